//! The runner that works while others attack. It polls for builds over new connections and streams a trace over a
//! kept one, as runners do; every request must be answered rightly, and soon.

use super::raw::{Raw, is_cut};
use crate::harness::http::{RUNNER_1_11, Request, Response};
use crate::harness::{Claimed, TestRunner, add_project, claimed, new_build, new_runner, patch, queue};
use baton::coordinator::Coordinator;
use baton::domain::time::Timestamp;
use serde_json::json;
use std::cell::Cell;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// What a healthy client may have to wait, 99 times of 100. Generous: tests share their machine.
const P99_MAX: Duration = Duration::from_secs(2);
/// What nobody may ever have to wait.
const MAX: Duration = Duration::from_secs(8);
/// Between two rounds.
const PAUSE: Duration = Duration::from_millis(3);

/// A poll and a patch.
const REQUESTS_A_ROUND: usize = 2;

/// The client at work.
pub struct Healthy {
    stop: Arc<AtomicBool>,
    rounds: Arc<AtomicUsize>,
    thread: Option<JoinHandle<Vec<Duration>>>,
    /// The rounds that are judged; all, if nobody says when the attack is.
    judged: Cell<(usize, usize)>,
}

struct Client {
    address: SocketAddr,
    runner: TestRunner,
    build: Claimed,
    trace_bytes: usize,
    kept: Option<Raw>,
    times: Vec<Duration>,
}

/// A runner of `project`, which is made, with a build of it.
pub fn working_runner(operator: &Coordinator, address: SocketAddr, project: &str) -> (TestRunner, Claimed) {
    add_project(operator, project);
    let registration = operator.add_runner(new_runner(), Some(project), Timestamp::now()).unwrap();
    let runner = TestRunner { id: registration.id, token: registration.token.reveal().to_owned() };
    queue(operator, new_build(project));
    let answer = Raw::open(address).unwrap().ask(&poll(&runner)).unwrap().expect(201);
    (runner, claimed(&answer))
}

fn poll(runner: &TestRunner) -> Request {
    Request::post("builds/register.json").agent(RUNNER_1_11).json(&json!({"token": runner.token}))
}

impl Healthy {
    /// Begins to work.
    pub fn beside(operator: &Coordinator, address: SocketAddr) -> Healthy {
        let (runner, build) = working_runner(operator, address, "healthy");
        let mut client = Client { address, runner, build, trace_bytes: 0, kept: None, times: vec![] };
        let (stop, rounds) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (stopped, done) = (Arc::clone(&stop), Arc::clone(&rounds));
        let thread = thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                client.round();
                done.fetch_add(1, Ordering::Relaxed);
                thread::sleep(PAUSE);
            }
            client.times
        });
        Healthy { stop, rounds, thread: Some(thread), judged: Cell::new((0, usize::MAX)) }
    }

    /// Returns when so many more rounds were worked.
    #[track_caller]
    pub fn work(&self, rounds: usize) {
        let until = self.rounds.load(Ordering::Relaxed) + rounds;
        let thread = self.thread.as_ref().expect("it works");
        while self.rounds.load(Ordering::Relaxed) < until {
            assert!(!thread.is_finished(), "the healthy client was not served: see above");
            thread::sleep(PAUSE);
        }
    }

    /// From now on there is an attack: rounds begun before do not count.
    pub fn attack_begins(&self) {
        self.judged.set((self.rounds.load(Ordering::Relaxed), usize::MAX));
    }

    /// Rounds begun from now on do not count.
    pub fn attack_ends(&self) {
        self.judged.set((self.judged.get().0, self.rounds.load(Ordering::Relaxed) + 1));
    }

    /// Ends the work and judges it.
    #[track_caller]
    pub fn rest(mut self, attack: &str) {
        self.stop.store(true, Ordering::Relaxed);
        let thread = self.thread.take().expect("it works");
        let all = thread.join().expect("every healthy request is answered rightly");
        let (begin, end) = self.judged.get();
        let end = end.saturating_mul(REQUESTS_A_ROUND).min(all.len());
        let mut times = all[begin * REQUESTS_A_ROUND..end].to_vec();
        times.sort();
        let at = |percent: usize| times[(times.len() * percent / 100).min(times.len() - 1)];
        println!(
            "{attack}: healthy client: {} requests, p50 {:.1?}, p99 {:.1?}, max {:.1?}",
            times.len(),
            at(50),
            at(99),
            at(100)
        );
        assert!(at(99) < P99_MAX, "{attack}: p99 is {:?}", at(99));
        assert!(at(100) < MAX, "{attack}: somebody waited {:?}", at(100));
    }
}

impl Drop for Healthy {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Client {
    fn round(&mut self) {
        let started = Instant::now();
        let answer = Raw::open(self.address).and_then(|mut raw| raw.ask(&poll(&self.runner)));
        self.times.push(started.elapsed());
        answer.expect("an answer to a poll").expect(204);
        self.append();
    }

    fn append(&mut self) {
        let data = b"one line of a trace\n";
        let started = Instant::now();
        let answer = self.ask_kept(&patch(&self.build, self.trace_bytes, data)).expect("an answer to a patch");
        self.times.push(started.elapsed());
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
