//! Runners that are held until there is a build for them.
//!
//! Most servers here hold a runner for an hour, so that nothing but what a test does ends that: an answer that comes
//! at all comes for the right reason. Whether a runner is held by now, [`Coordinator::count_waiting`] says.

use super::http::RUNNER_1_11;
use super::raw::{PATIENCE, Raw};
use super::*;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Instant;

/// Longer than any test.
pub const HOUR: Duration = Duration::from_secs(3600);

/// A server that holds runners until there is a build for them.
pub fn holding() -> Baton {
    holding_with(Limits { hold_time_max: HOUR, drain_time_max: HOUR, ..Limits::default() })
}

pub fn holding_with(limits: Limits) -> Baton {
    let baton = Baton::with_limits(limits);
    baton.project("demo");
    baton
}

/// The same database, opened as another process opens it.
pub fn beside(baton: &Baton) -> Coordinator {
    Coordinator::open(baton.data(), baton.operator().limits().clone()).unwrap()
}

/// The request for a build by a runner that was told `last_update`.
pub fn poll(token: &str, last_update: &str) -> Request {
    let body = json!({"token": token, "last_update": last_update});
    Request::post("builds/register.json").agent(RUNNER_1_11).json(&body)
}

pub fn value_of(response: &Response) -> String {
    response.header("X-GitLab-Last-Update").expect("a value with \"nothing\"").to_owned()
}

/// What a runner is told when there is nothing.
pub fn value(address: SocketAddr, token: &str) -> String {
    value_of(&http::send(address, &ask(token)).expect(204))
}

#[track_caller]
pub fn wait_until(what: &str, mut has_come: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !has_come() {
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        thread::sleep(Duration::from_millis(1));
    }
}

/// Runs what must come to an end by itself; without one, the test would hang and not say where.
#[track_caller]
pub fn ends<T: Send + 'static>(what: &str, run: impl FnOnce() -> T + Send + 'static) -> T {
    let (sender, done) = channel();
    let thread = thread::spawn(move || {
        let result = run();
        let _ = sender.send(());
        result
    });
    assert!(done.recv_timeout(PATIENCE).is_ok(), "this does not end: {what}");
    thread.join().unwrap()
}

/// Sends a request for a build that is held.
#[track_caller]
pub fn hold_on(baton: &Baton, raw: &mut Raw, request: &Request) {
    let before = baton.operator().count_waiting();
    raw.send(&request.bytes());
    wait_until("the request is held", || baton.operator().count_waiting() > before);
}

/// A connection of this runner on which it is held.
#[track_caller]
pub fn hold(baton: &Baton, runner: &TestRunner) -> Raw {
    let request = poll(&runner.token, &value(baton.address(), &runner.token));
    let mut raw = Raw::open(baton.address()).unwrap();
    hold_on(baton, &mut raw, &request);
    raw
}

pub fn queue_many(operator: &Coordinator, count: usize) -> Vec<BuildId> {
    let queued = (0..count).map(|_| Queued { new: new_build("demo"), needs_names: vec![] }).collect();
    operator.add_builds(queued, Timestamp::now()).unwrap()
}

pub fn expect_build(raw: &mut Raw, id: BuildId) -> Claimed {
    let got = claimed(&raw.expect_answer().expect(201));
    assert_eq!(got.id, id);
    got
}

/// How a client goes.
#[derive(Clone, Copy, Debug)]
pub enum Way {
    Close,
    /// It says that it will send nothing more, and goes on reading. No runner does that.
    EndSending,
    /// As a client does that dies with unread bytes, or a middlebox that has lost it.
    Reset,
}

pub const WAYS: [Way; 3] = [Way::Close, Way::EndSending, Way::Reset];

/// What remains of a connection that was left.
pub fn leave(mut raw: Raw, way: Way) -> Option<Raw> {
    match way {
        Way::Close => None,
        Way::EndSending => {
            raw.end_sending();
            Some(raw)
        }
        Way::Reset => {
            raw.reset();
            None
        }
    }
}
