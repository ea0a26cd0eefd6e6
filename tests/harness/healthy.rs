//! The runner that works while others attack. It polls for builds over new connections and streams a trace over a
//! kept one, as runners do, in one protocol and the other by turns; every request must be answered rightly, and about as
//! soon as without an attack.
//!
//! How soon that is depends on what else the machine does. So the same runner works at the same time at a server of its
//! own that nobody attacks, and the two are compared: no time is judged by itself.

use super::raw::{Raw, is_cut};
use crate::harness::http::{Request, Response};
use crate::harness::{Baton, Claimed, Speech, TestRunner, add_project, claimed, new_build, new_runner, queue};
use baton::coordinator::Coordinator;
use baton::domain::time::Timestamp;
use std::cell::Cell;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// So many times as long as at the server that is left alone, 90 of 100 requests may take.
const FACTOR_MAX: u32 = 20;
/// What is less is not felt, whatever the other server does. Who is kept out waits for longer.
const UNFELT: Duration = Duration::from_secs(1);
/// Between two rounds.
const PAUSE: Duration = Duration::from_millis(3);
/// A client that the machine has held up while it spoke may be told 408; so often it says it again.
const LATE_MAX: usize = 5;

/// The client at work.
pub struct Healthy {
    client: AtWork,
    /// The same client elsewhere, and its server, which goes after it.
    other: AtWork,
    _other_server: Baton,
    /// Requests that begin then are judged; all, if nobody says when the attack is.
    judged: Cell<(Option<Instant>, Option<Instant>)>,
}

/// A client in a thread of its own.
struct AtWork {
    stop: Arc<AtomicBool>,
    rounds: Arc<AtomicUsize>,
    thread: Option<JoinHandle<Vec<Timed>>>,
}

/// A request: when it began, how long it took.
type Timed = (Instant, Duration);

struct Client {
    address: SocketAddr,
    runner: TestRunner,
    build: Claimed,
    /// What it speaks in this round.
    speech: Speech,
    trace_bytes: usize,
    kept: Option<Raw>,
    times: Vec<Timed>,
}

/// A runner of `project`, which is made, with a build of it.
pub fn working_runner(operator: &Coordinator, address: SocketAddr, project: &str) -> (TestRunner, Claimed) {
    add_project(operator, project);
    let registration = operator.add_runner(new_runner(), Some(project), Timestamp::now()).unwrap();
    let runner = TestRunner { id: registration.id, token: registration.token.reveal().to_owned() };
    queue(operator, new_build(project));
    let answer = Raw::open(address).unwrap().ask(&Speech::Old.ask(&runner.token)).unwrap().expect(201);
    (runner, claimed(&answer))
}

impl AtWork {
    fn begin(operator: &Coordinator, address: SocketAddr) -> AtWork {
        let (runner, build) = working_runner(operator, address, "healthy");
        let mut client =
            Client { address, runner, build, speech: Speech::Old, trace_bytes: 0, kept: None, times: vec![] };
        let (stop, rounds) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (stopped, done) = (Arc::clone(&stop), Arc::clone(&rounds));
        let thread = thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                client.speech = Speech::of(done.load(Ordering::Relaxed));
                client.round();
                done.fetch_add(1, Ordering::Relaxed);
                thread::sleep(PAUSE);
            }
            client.times
        });
        AtWork { stop, rounds, thread: Some(thread) }
    }

    /// Ends the work; the times of all requests.
    #[track_caller]
    fn end(&mut self) -> Vec<Timed> {
        self.stop.store(true, Ordering::Relaxed);
        let thread = self.thread.take().expect("it works");
        thread.join().expect("every healthy request is answered rightly")
    }
}

impl Drop for AtWork {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Healthy {
    /// Begins to work.
    pub fn beside(operator: &Coordinator, address: SocketAddr) -> Healthy {
        super::turn::alone();
        let other_server = Baton::start();
        let other = AtWork::begin(other_server.operator(), other_server.address());
        let client = AtWork::begin(operator, address);
        Healthy { client, other, _other_server: other_server, judged: Cell::new((None, None)) }
    }

    /// Returns when so many more rounds were worked.
    #[track_caller]
    pub fn work(&self, rounds: usize) {
        let until = self.client.rounds.load(Ordering::Relaxed) + rounds;
        let thread = self.client.thread.as_ref().expect("it works");
        while self.client.rounds.load(Ordering::Relaxed) < until {
            assert!(!thread.is_finished(), "the healthy client was not served: see above");
            thread::sleep(PAUSE);
        }
    }

    /// From now on there is an attack: requests begun before do not count.
    pub fn attack_begins(&self) {
        self.judged.set((Some(Instant::now()), None));
    }

    /// Requests begun from now on do not count.
    pub fn attack_ends(&self) {
        self.judged.set((self.judged.get().0, Some(Instant::now())));
    }

    /// Ends the work and judges it.
    #[track_caller]
    pub fn rest(mut self, attack: &str) {
        let (begin, end) = self.judged.get();
        let counts = |at: Instant| begin.is_none_or(|begin| begin <= at) && end.is_none_or(|end| at < end);
        let judged = |all: Vec<Timed>| {
            let mut times: Vec<Duration> =
                all.into_iter().filter(|(at, _)| counts(*at)).map(|(_, time)| time).collect();
            times.sort();
            times
        };
        let (times, others) = (judged(self.client.end()), judged(self.other.end()));
        assert!(!times.is_empty(), "{attack}: the healthy client has not worked");
        println!("{attack}: healthy client: {}; elsewhere: {}", summary(&times), summary(&others));
        let most = (percentile(&others, 90) * FACTOR_MAX).max(UNFELT);
        let took = percentile(&times, 90);
        assert!(took <= most, "{attack}: nine of ten requests took {took:.1?} and less, where {most:.1?} is most");
    }
}

/// So many percent of the sorted times are not longer; nothing if there are none.
fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    sorted.get((sorted.len() * percent / 100).min(sorted.len().saturating_sub(1))).copied().unwrap_or_default()
}

fn summary(sorted: &[Duration]) -> String {
    let [p50, p90, max] = [50, 90, 100].map(|percent| percentile(sorted, percent));
    format!("{} requests, p50 {p50:.1?}, p90 {p90:.1?}, max {max:.1?}", sorted.len())
}

/// What `ask` is answered, again if that came too late for the server.
fn in_time(mut ask: impl FnMut() -> io::Result<Response>) -> io::Result<Response> {
    let mut answer = ask();
    for _ in 0..LATE_MAX {
        if !answer.as_ref().is_ok_and(|answer| answer.status == 408) {
            break;
        }
        answer = ask();
    }
    answer
}

impl Client {
    fn round(&mut self) {
        let started = Instant::now();
        let request = self.speech.ask(&self.runner.token);
        let answer = in_time(|| Raw::open(self.address).and_then(|mut raw| raw.ask(&request)));
        self.times.push((started, started.elapsed()));
        answer.expect("an answer to a poll").expect(204);
        self.append();
    }

    fn append(&mut self) {
        let data = b"one line of a trace\n";
        let started = Instant::now();
        let request = self.speech.patch(&self.build, self.trace_bytes, data);
        let answer = in_time(|| self.ask_kept(&request)).expect("an answer to a patch");
        self.times.push((started, started.elapsed()));
        self.trace_bytes += data.len();
        let range = answer.expect(202).header("Range").map(ToOwned::to_owned);
        assert_eq!(range, Some(format!("0-{}", self.trace_bytes)));
    }

    /// A kept connection may have been closed while it idled: then, as Go does, once more over a new one.
    fn ask_kept(&mut self, request: &Request) -> io::Result<Response> {
        if let Some(mut kept) = self.kept.take() {
            kept.send(&request.bytes());
            match kept.answer() {
                Ok(Some(answer)) => {
                    self.keep(kept, &answer);
                    return Ok(answer);
                }
                Ok(None) => {}
                Err(error) if is_cut(&error) => {}
                Err(error) => return Err(error),
            }
        }
        let mut new = Raw::open(self.address)?;
        let answer = new.ask(request)?;
        self.keep(new, &answer);
        Ok(answer)
    }

    fn keep(&mut self, connection: Raw, answer: &Response) {
        self.kept = answer.header("Connection").is_none().then_some(connection);
    }
}

impl Raw {
    /// Sends a request and reads its answer.
    pub fn ask(&mut self, request: &Request) -> io::Result<Response> {
        self.send(&request.bytes());
        self.answer()?.ok_or_else(|| io::ErrorKind::ConnectionReset.into())
    }
}
