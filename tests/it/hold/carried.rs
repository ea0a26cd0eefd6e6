//! What carries requests that are answered later, without a coordinator: a handler of the test's own decides when there
//! is an answer.

use super::*;
use baton::http::peers::Peers;
use baton::http::server::{HttpServer, bind};
use baton::http::traffic::Traffic;
use baton::http::{Answer, Held, Response as Answered, Wake};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender};
use std::sync::{Arc, Mutex};

/// What the test knows of requests that are answered later.
#[derive(Default)]
struct Seen {
    made: AtomicUsize,
    /// How often one was found among those that are held.
    kept: AtomicUsize,
    asked: AtomicUsize,
    gone: AtomicUsize,
}

/// Answered when `is_ready` says so.
struct Slow {
    seen: Arc<Seen>,
    begun: Sender<Wake>,
    is_ready: Box<dyn FnMut() -> bool + Send>,
    until: Instant,
    is_kept: AtomicBool,
    is_eager: bool,
}

impl Held for Slow {
    fn begin(&mut self, wake: Wake) {
        self.is_kept.store(false, Ordering::SeqCst);
        if self.is_eager {
            wake.wake();
        }
        let _ = self.begun.send(wake);
    }

    fn answer(&mut self, last: bool) -> Option<Answered> {
        self.seen.asked.fetch_add(1, Ordering::SeqCst);
        ((self.is_ready)() || last).then(|| Answered::empty(204))
    }

    /// The poller looks at all that are held.
    fn until(&self) -> Instant {
        if thread::current().name() == Some("poller") && !self.is_kept.swap(true, Ordering::SeqCst) {
            self.seen.kept.fetch_add(1, Ordering::SeqCst);
        }
        self.until
    }
}

impl Drop for Slow {
    fn drop(&mut self) {
        self.seen.gone.fetch_add(1, Ordering::SeqCst);
    }
}

const LATER: &[u8] = b"GET /later HTTP/1.1\r\nHost: baton.test\r\n\r\n";
const EAGER: &[u8] = b"GET /eager HTTP/1.1\r\nHost: baton.test\r\n\r\n";
const HANG: &[u8] = b"GET /hang HTTP/1.1\r\nHost: baton.test\r\n\r\n";

/// A server: `/later` is answered later; `/eager` too, but it wakes itself as it begins to wait; `/hang` is answered
/// when the lock `hang` can be had; and everything else at once.
struct Server {
    http: HttpServer,
    seen: Arc<Seen>,
    /// From each time that a request begins to wait.
    wakes: Receiver<Wake>,
    ready: Arc<AtomicBool>,
    hanging: Arc<AtomicUsize>,
    hang: Arc<Mutex<()>>,
}

impl Server {
    /// Its answers come when `ready` is set, and at the latest after `time`.
    fn start(limits: Limits, time: Duration) -> Server {
        let ready = Arc::new(AtomicBool::new(false));
        let is_ready = {
            let ready = Arc::clone(&ready);
            move |_| {
                let ready = Arc::clone(&ready);
                Box::new(move || ready.load(Ordering::SeqCst)) as Box<dyn FnMut() -> bool + Send>
            }
        };
        Server::with(limits, ready, move |_| time, is_ready)
    }

    fn with(
        limits: Limits,
        ready: Arc<AtomicBool>,
        time: impl Fn(usize) -> Duration + Send + Sync + 'static,
        is_ready: impl Fn(usize) -> Box<dyn FnMut() -> bool + Send> + Send + Sync + 'static,
    ) -> Server {
        let (begun, wakes) = channel();
        let seen: Arc<Seen> = Arc::default();
        let (hanging, hang) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(())));
        let handler = {
            let (seen, hanging, hang) = (Arc::clone(&seen), Arc::clone(&hanging), Arc::clone(&hang));
            move |request: &mut baton::http::Request<'_>| match request.path.as_str() {
                path @ ("/later" | "/eager") => {
                    let number = seen.made.fetch_add(1, Ordering::SeqCst);
                    Answer::Held(Box::new(Slow {
                        seen: Arc::clone(&seen),
                        begun: begun.clone(),
                        is_ready: is_ready(number),
                        until: Instant::now() + time(number),
                        is_kept: AtomicBool::new(false),
                        is_eager: path == "/eager",
                    }))
                }
                "/hang" => {
                    hanging.fetch_add(1, Ordering::SeqCst);
                    drop(hang.lock().unwrap());
                    Answered::empty(204).into()
                }
                _ => Answered::json(200, &json!({})).into(),
            }
        };
        let listener = bind(SocketAddr::from(([127, 0, 0, 1], 0)), &limits).unwrap();
        let http =
            HttpServer::start(listener, limits, Arc::new(Traffic::new(&[])), Peers::default(), Box::new(handler))
                .unwrap();
        Server { http, seen, wakes, ready, hanging, hang }
    }

    fn connect(&self) -> Raw {
        Raw::open(self.http.address()).unwrap()
    }

    fn send(&self, bytes: &[u8]) -> Raw {
        let mut raw = self.connect();
        raw.send(bytes);
        raw
    }

    /// A request that is held by now, and what wakes it.
    fn hold(&self, bytes: &[u8]) -> (Raw, Wake) {
        let kept = self.seen.kept.load(Ordering::SeqCst);
        let raw = self.send(bytes);
        let wake = self.wakes.recv_timeout(PATIENCE).unwrap();
        wait_until("the request is held", || self.seen.kept.load(Ordering::SeqCst) > kept);
        (raw, wake)
    }

    fn stop(mut self) {
        let (given_up, made, gone) = ends("the server", move || {
            let given_up = self.http.stop();
            (given_up, self.seen.made.load(Ordering::SeqCst), self.seen.gone.load(Ordering::SeqCst))
        });
        assert_eq!((given_up, made), (0, gone), "nothing is left behind");
    }
}

fn patient() -> Limits {
    Limits { drain_time_max: HOUR, ..Limits::default() }
}

/// Whether the kernel knows that the client on the other end has closed its side.
fn is_left(server: SocketAddr, client: SocketAddr) -> bool {
    let end = |address: SocketAddr| format!("0100007F:{:04X}", address.port());
    let ends = format!("{} {} 01 ", end(server), end(client));
    !std::fs::read_to_string("/proc/net/tcp").unwrap().contains(&ends)
}

/// Half of all connections, but for the places of readers, are for those who want an answer now.
#[test]
fn when_half_of_the_connections_are_held_further_requests_are_answered_at_once() {
    for connections_max in [8, 9] {
        let limits = Limits { connections_max, ..patient() };
        let places = 4 + limits.readers_max();
        let server = Server::start(limits, HOUR);
        let mut held: Vec<Raw> = (0..places).map(|_| server.hold(LATER).0).collect();
        for _ in 0..10 {
            let answer = server.send(LATER).expect_answer().expect(204);
            assert_eq!(answer.header("Connection"), None);
        }
        for way in WAYS {
            // A place that is free again is taken again.
            let gone = server.seen.gone.load(Ordering::SeqCst);
            let left = leave(held.remove(0), way);
            wait_until("who leaves is let go", || server.seen.gone.load(Ordering::SeqCst) > gone);
            drop(left);
            held.push(server.hold(LATER).0);
            server.send(LATER).expect_answer().expect(204);
        }
        server.ready.store(true, Ordering::SeqCst);
        server.stop();
        held.iter_mut().for_each(|raw| drop(raw.expect_answer().expect(204)));
    }
}

/// A worker that gets to it later must not ask for the answer: that may be something which only one gets.
#[test]
fn who_leaves_between_being_woken_and_being_answered_is_not_answered() {
    for way in WAYS {
        for behind in [b"".as_slice(), HEALTH] {
            let server = Server::start(Limits { workers_max: 1, ..patient() }, HOUR);
            let (mut raw, wake) = server.hold(LATER);
            let lock = server.hang.lock().unwrap();
            let mut hanging = server.send(HANG);
            wait_until("the only worker hangs", || server.hanging.load(Ordering::SeqCst) == 1);
            wake.wake();
            raw.send(behind);
            let client = raw.local_address();
            let rest = leave(raw, way);
            wait_until("that has arrived", || is_left(server.http.address(), client));
            server.ready.store(true, Ordering::SeqCst);
            drop(lock);
            hanging.expect_answer().expect(204);
            let case = format!("{way:?}, {} bytes behind", behind.len());
            wait_until(&case, || server.seen.gone.load(Ordering::SeqCst) == 1);
            assert_eq!(server.seen.asked.load(Ordering::SeqCst), 0, "{case}");
            drop(rest);
            server.stop();
        }
    }
}

/// The poller does not know such connections when their first request comes with them.
#[test]
fn who_leaves_a_connection_for_one_request_is_let_go_too() {
    let server = Server::start(patient(), HOUR);
    let line = "GET /later HTTP/1.";
    for head in [format!("{line}1\r\nHost: baton.test\r\nConnection: close\r\n\r\n"), format!("{line}0\r\n\r\n")] {
        for way in WAYS {
            for behind in [b"".as_slice(), HEALTH] {
                let gone = server.seen.gone.load(Ordering::SeqCst);
                let (mut raw, _) = server.hold(head.as_bytes());
                raw.send(behind);
                let rest = leave(raw, way);
                wait_until(&format!("{head} {way:?}"), || server.seen.gone.load(Ordering::SeqCst) > gone);
                drop(rest);
            }
        }
    }
    assert_eq!(server.seen.asked.load(Ordering::SeqCst), 0);
    server.stop();
}

/// As when a build comes just before a runner is held.
#[test]
fn a_wake_before_the_request_is_kept_counts() {
    let third_time = |_| {
        let mut asked = 0;
        Box::new(move || {
            asked += 1;
            asked == 3
        }) as Box<dyn FnMut() -> bool + Send>
    };
    let server = Server::with(patient(), Arc::default(), |_| HOUR, third_time);
    let mut raw = server.connect();
    for _ in 0..100 {
        raw.send(EAGER);
        raw.expect_answer().expect(204);
    }
    assert_eq!(server.seen.asked.load(Ordering::SeqCst), 300);
    server.stop();
}

#[test]
fn a_wake_that_comes_too_late_or_too_often_does_no_harm() {
    let server = Server::start(patient(), HOUR);
    let (mut raw, first) = server.hold(LATER);
    server.ready.store(true, Ordering::SeqCst);
    (0..3).for_each(|_| first.wake());
    raw.expect_answer().expect(204);
    server.ready.store(false, Ordering::SeqCst);
    // The next request on the same connection is only looked at again.
    raw.send(LATER);
    let _old = server.wakes.recv_timeout(PATIENCE).unwrap();
    let asked = server.seen.asked.load(Ordering::SeqCst);
    wait_until("the late wake is heard", || {
        first.wake();
        server.seen.asked.load(Ordering::SeqCst) > asked
    });
    let second = server.wakes.recv_timeout(PATIENCE).unwrap();
    server.ready.store(true, Ordering::SeqCst);
    second.wake();
    raw.expect_answer().expect(204);
    raw.send(HEALTH);
    raw.expect_answer().expect(200);
    server.stop();
    first.wake();
    second.wake();
}

#[test]
fn a_held_head_request_is_answered_without_a_body() {
    let server = Server::start(patient(), HOUR);
    let (mut raw, wake) = server.hold(&Request::new("HEAD", "/later").bytes());
    raw.send(HEALTH);
    server.ready.store(true, Ordering::SeqCst);
    wake.wake();
    raw.expect_answer().expect(204);
    raw.expect_answer().expect(200);
    server.stop();
}

#[test]
fn an_answer_that_panics_is_an_error_and_harms_no_other() {
    let panics = |number| {
        Box::new(move || {
            assert!(number % 2 == 1, "expected in this test");
            true
        }) as Box<dyn FnMut() -> bool + Send>
    };
    let server = Server::with(patient(), Arc::default(), |_| HOUR, panics);
    for status in [500, 204, 500, 204] {
        let (mut raw, wake) = server.hold(LATER);
        wake.wake();
        raw.expect_answer().expect(status);
        raw.send(HEALTH);
        raw.expect_answer().expect(200);
    }
    server.stop();
}

/// More than run at a time: the machine's processors, but at least four.
fn more_than_run() -> usize {
    thread::available_parallelism().unwrap().get().max(4) + 3
}

#[test]
fn handlers_that_hang_and_do_not_say_so_keep_nobody_from_being_answered() {
    let server = Server::start(patient(), HOUR);
    let (mut held, wake) = server.hold(LATER);
    let lock = server.hang.lock().unwrap();
    let mut hanging: Vec<Raw> = (0..more_than_run()).map(|_| server.send(HANG)).collect();
    wait_until("all of them hang", || server.hanging.load(Ordering::SeqCst) == hanging.len());
    for _ in 0..20 {
        server.send(HEALTH).expect_answer().expect(200);
    }
    server.ready.store(true, Ordering::SeqCst);
    wake.wake();
    held.expect_answer().expect(204);
    drop(lock);
    hanging.iter_mut().for_each(|raw| drop(raw.expect_answer().expect(204)));
    server.stop();
}

/// All of the workers that there may be: then others wait, and are answered when one is free.
#[test]
fn when_every_worker_hangs_others_are_answered_after_them() {
    let workers_max = more_than_run();
    let server = Server::start(Limits { workers_max, ..patient() }, HOUR);
    let (mut held, wake) = server.hold(LATER);
    let lock = server.hang.lock().unwrap();
    let mut hanging: Vec<Raw> = (0..workers_max).map(|_| server.send(HANG)).collect();
    wait_until("all of them hang", || server.hanging.load(Ordering::SeqCst) == hanging.len());
    let mut waiting: Vec<Raw> = (0..3).map(|_| server.send(HEALTH)).collect();
    server.ready.store(true, Ordering::SeqCst);
    wake.wake();
    drop(lock);
    held.expect_answer().expect(204);
    waiting.iter_mut().for_each(|raw| drop(raw.expect_answer().expect(200)));
    hanging.iter_mut().for_each(|raw| drop(raw.expect_answer().expect(204)));
    server.stop();
}

/// Wakes, ends of the time and clients that leave, all at any time. Who stays is answered once, and nothing is left
/// over.
#[test]
fn whatever_comes_together_each_request_ends_once() {
    const CLIENTS: usize = 6;
    const REQUESTS: usize = 80;
    let mut random = Random::new();
    let times: Vec<Duration> =
        (0..CLIENTS * REQUESTS).map(|_| Duration::from_millis(random.pick(&[0, 1, 20, 120, 120]))).collect();
    // Ready at the first, second, ... time of asking.
    let patience: Vec<usize> = (0..CLIENTS * REQUESTS).map(|_| random.below(4)).collect();
    let is_ready = move |number: usize| {
        let mut left = patience[number];
        Box::new(move || {
            left = left.saturating_sub(1);
            left == 0
        }) as Box<dyn FnMut() -> bool + Send>
    };
    let mut server = Server::with(patient(), Arc::default(), move |number| times[number], is_ready);
    let address = server.http.address();
    let wakes = std::mem::replace(&mut server.wakes, channel().1);
    let mut of_waker = random.fork();
    let waker = thread::spawn(move || {
        let mut old: Vec<Wake> = Vec::new();
        // Until the server has gone, and with it the other end.
        for wake in wakes {
            for _ in 0..of_waker.below(3) {
                wake.wake();
            }
            old.push(wake);
            let which = of_waker.below(old.len());
            old[which].wake();
        }
    });
    let spin = |random: &mut Random| {
        let (started, time) = (Instant::now(), Duration::from_micros(random.next() % 1500));
        while started.elapsed() < time {
            std::hint::spin_loop();
        }
    };
    thread::scope(|scope| {
        for _ in 0..CLIENTS {
            let mut random = random.fork();
            scope.spawn(move || {
                let mut raw = Raw::open(address).unwrap();
                for _ in 0..REQUESTS {
                    raw.send(LATER);
                    if random.below(3) == 0 {
                        spin(&mut random);
                        let way = random.pick(&[Way::Close, Way::EndSending, Way::Reset]);
                        drop(leave(raw, way));
                        raw = Raw::open(address).unwrap();
                    } else {
                        raw.expect_answer().expect(204);
                        raw.send(HEALTH);
                        raw.expect_answer().expect(200);
                    }
                }
            });
        }
    });
    server.stop();
    waker.join().unwrap();
}
