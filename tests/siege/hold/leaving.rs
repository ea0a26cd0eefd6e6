//! Runners that leave while they are held: what was meant for them is another's.

use super::*;
use baton::coordinator::{Claim, Waiting};
use baton::domain::runner::RunnerId;
use baton::domain::token::Token;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use tempfile::TempDir;

/// The first two lines of a request, behind the one that is held.
const MORE: &[u8] = b"GET /-/health HTTP/1.1\r\nHost: baton.test\r\n";

#[test]
fn who_leaves_while_held_is_let_go_and_gets_no_build() {
    let baton = holding();
    let (runner, other) = (baton.runner(), baton.runner());
    for way in WAYS {
        for header in [None, Some(("Connection", "close"))] {
            for more in [b"".as_slice(), MORE, HEALTH] {
                let mut request = poll(&runner.token, &value(baton.address(), &runner.token));
                if let Some((name, value)) = header {
                    request = request.header(name, value);
                }
                let mut raw = Raw::open(baton.address()).unwrap();
                hold_on(&baton, &mut raw, &request);
                raw.send(more);
                let case = format!("{way:?}, {header:?}, {} bytes behind", more.len());
                let rest = leave(raw, way);
                wait_until(&case, || baton.operator().count_waiting() == 0);
                let mut of_other = hold(&baton, &other);
                let id = baton.build();
                expect_build(&mut of_other, id);
                if let Some(mut rest) = rest {
                    rest.expect_closed();
                }
            }
        }
    }
}

/// The end has come before the request was held, so that no event tells of it.
#[test]
fn who_has_left_before_it_is_held_is_let_go_too() {
    let baton = holding();
    let (runner, other) = (baton.runner(), baton.runner());
    let mut number = 0;
    for way in WAYS {
        for more in [b"".as_slice(), MORE, HEALTH] {
            for _ in 0..5 {
                number += 1;
                let current = value(baton.address(), &runner.token);
                // What is new in `info` is written by whoever works on the request, so that it shows when one does.
                let version = number.to_string();
                let body = json!({"token": runner.token, "last_update": current, "info": {"version": version}});
                let request = Request::post("builds/register.json").agent(RUNNER_1_11).json(&body);
                let mut raw = Raw::open(baton.address()).unwrap();
                raw.send(&[request.bytes().as_slice(), more].concat());
                let rest = leave(raw, way);
                // A reset may also take the request out of the kernel before it was read.
                if !matches!(way, Way::Reset) {
                    let is_known = || baton.runner_row(runner.id.0).info.get("version") == Some(&version);
                    wait_until("the request is worked on", is_known);
                }
                let request = poll(&other.token, &value(baton.address(), &other.token));
                let mut of_other = Raw::open(baton.address()).unwrap();
                of_other.send(&request.bytes());
                let case = format!("{way:?}, {} bytes behind: the other one is held, and it alone", more.len());
                wait_until(&case, || baton.operator().count_waiting() == 1);
                let id = baton.build();
                expect_build(&mut of_other, id);
                drop(rest);
            }
        }
    }
}

/// One stays, others leave while a build comes and looks for somebody; they are first in line.
#[test]
fn no_build_stays_pending_when_others_leave_as_it_comes() {
    let mut random = Random::new();
    let baton = holding();
    let beside = beside(&baton);
    let runners: Vec<TestRunner> = (0..4).map(|_| baton.runner()).collect();
    let stayer = baton.runner();
    let (mut to_stayer, mut to_others) = (0, 0);
    for _ in 0..300 {
        let mut leavers: Vec<Raw> = runners.iter().map(|runner| hold(&baton, runner)).collect();
        let mut of_stayer = hold(&baton, &stayer);
        let count = 1 + random.below(2);
        let ways: Vec<Way> = leavers.iter().map(|_| random.pick(&WAYS)).collect();
        // Long ago, from the point of view of the build.
        let early = leavers.pop().unwrap();
        let early = leave(early, ways[3]);
        wait_until("the first one is gone", || baton.operator().count_waiting() == leavers.len() + 1);
        let operator = if random.below(4) == 0 { &beside } else { baton.operator() };
        let spins: Vec<Duration> = leavers.iter().map(|_| Duration::from_micros(random.next() % 5000)).collect();
        let ids = thread::scope(|scope| {
            let queued = scope.spawn(|| queue_many(operator, count));
            for ((raw, way), spin) in leavers.into_iter().zip(ways).zip(spins) {
                scope.spawn(move || {
                    let started = Instant::now();
                    while started.elapsed() < spin {
                        std::hint::spin_loop();
                    }
                    // The rest is closed at once: two ways to go in a row.
                    drop(leave(raw, way));
                });
            }
            queued.join().unwrap()
        });
        // The builds may have gone to those who were about to leave; with one that stays, none is left over.
        let is_pending = |id: &BuildId| baton.status(*id) == Status::Pending;
        let holders = || ids.iter().filter_map(|id| baton.show(*id).runner).map(|(id, _)| id).collect::<Vec<_>>();
        wait_until("the last build is taken, or nobody waits for it", || {
            !ids.iter().any(is_pending) || holders().contains(&stayer.id.0)
        });
        let holders = holders();
        assert!(!holders.contains(&runners[3].id.0), "a build went to one that had left long before");
        if holders.contains(&stayer.id.0) {
            let id = claimed(&of_stayer.expect_answer().expect(201)).id;
            assert!(ids.contains(&id) && baton.show(id).runner.unwrap().0 == stayer.id.0);
            to_stayer += 1;
        } else {
            let id = baton.build();
            // Or one that comes back from a runner that left before it took the answer.
            let got = claimed(&of_stayer.expect_answer().expect(201)).id;
            assert!(got == id || ids.contains(&got), "{got}");
            baton.cancel(id);
            to_others += 1;
        }
        ids.into_iter().for_each(|id| baton.cancel(id));
        wait_until("nobody waits", || baton.operator().count_waiting() == 0);
        drop(early);
    }
    println!("{to_stayer} rounds with a build for the one who stayed, {to_others} without");
}

/// A runner that was told that there is nothing: its id and token, and as of when.
fn told(coordinator: &Coordinator, new: NewRunner) -> (RunnerId, Token, u64) {
    let registration = coordinator.add_runner(new, None, Timestamp::now()).unwrap();
    match ask_directly(coordinator, &registration.token) {
        Claim::Nothing(id, nothing) => (id, registration.token, nothing.generation),
        Claim::Build(_) | Claim::Paused(_) => panic!("there is something"),
    }
}

fn ask_directly(coordinator: &Coordinator, token: &Token) -> Claim {
    coordinator.claim_build(&token.clone().into(), None, Timestamp::now()).unwrap().wait().unwrap()
}

/// A coordinator without a server; its queue is watched only by [`watched`].
fn unwatched() -> (TempDir, Arc<Coordinator>) {
    let dir = tempfile::tempdir().unwrap();
    let coordinator = Coordinator::open(dir.path(), Limits::default()).unwrap();
    add_project(&coordinator, "demo");
    (dir, Arc::new(coordinator))
}

/// Has the queue watched while `look` runs.
fn watched(coordinator: &Coordinator, look: impl FnOnce()) {
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let watch = scope.spawn(|| coordinator.watch_queue(&stop));
        let looked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(look));
        coordinator.end_watch(&stop);
        watch.join().unwrap();
        looked.unwrap();
    });
}

/// Two builds, for the first two of three who wait; the second one leaves when both are chosen, but one is woken.
#[test]
fn a_build_for_one_who_has_just_left_goes_to_the_next() {
    let (_dir, coordinator) = unwatched();
    let (id, _, generation) = told(&coordinator, new_runner());
    let (woken, who) = channel();
    let second: Arc<Mutex<Option<Waiting>>> = Arc::default();
    let wakes = |name: &'static str| {
        let woken = woken.clone();
        move || woken.send(name).unwrap()
    };
    let first = {
        let (second, wake) = (Arc::clone(&second), wakes("first"));
        coordinator.wait_for_build(id, generation, move || {
            drop(second.lock().unwrap().take());
            wake();
        })
    };
    *second.lock().unwrap() = Some(coordinator.wait_for_build(id, generation, wakes("second")));
    let third = coordinator.wait_for_build(id, generation, wakes("third"));
    queue_many(&coordinator, 2);
    watched(&coordinator, || {
        assert_eq!(who.recv_timeout(PATIENCE), Ok("first"));
        assert_eq!(who.recv_timeout(PATIENCE), Ok("third"));
    });
    drop((first, third));
    assert_eq!(coordinator.count_waiting(), 0);
}

/// Two builds, three who wait for them, and one who waits for another.
#[test]
fn no_more_are_woken_than_there_are_builds() {
    let (_dir, coordinator) = unwatched();
    let (id, token, _) = told(&coordinator, new_runner());
    let ruby = NewRunner { tags: tags("ruby"), run_untagged: false, ..new_runner() };
    let (of_ruby, _, generation) = told(&coordinator, ruby);
    let (woken, who) = channel();
    let wait = |id: RunnerId, name: &'static str| {
        let woken = woken.clone();
        coordinator.wait_for_build(id, generation, move || woken.send(name).unwrap())
    };
    let first = wait(id, "first");
    let second = wait(id, "second");
    let _third = wait(id, "third");
    let _last = wait(of_ruby, "of ruby");
    watched(&coordinator, || {
        queue_many(&coordinator, 2);
        assert_eq!(who.recv_timeout(PATIENCE), Ok("first"));
        assert_eq!(who.recv_timeout(PATIENCE), Ok("second"));
        assert!(matches!(ask_directly(&coordinator, &token), Claim::Build(_)));
        drop(first);
        // One build is left, and the second one is about to take it. Whoever is woken beside the last one comes first.
        queue(&coordinator, NewBuild { tags: tags("ruby"), ..new_build("demo") });
        assert_eq!(who.recv_timeout(PATIENCE), Ok("of ruby"));
        drop(second);
        assert_eq!(who.recv_timeout(PATIENCE), Ok("third"));
    });
}

/// As a server's listener and its watch begin one after the other.
#[test]
fn what_came_before_the_queue_was_watched_is_not_missed() {
    let (_dir, coordinator) = unwatched();
    let (id, _, generation) = told(&coordinator, new_runner());
    let (woken, is_woken) = channel();
    let _waiting = coordinator.wait_for_build(id, generation, move || woken.send(()).unwrap());
    queue_many(&coordinator, 1);
    assert!(is_woken.try_recv().is_err(), "nobody watches");
    watched(&coordinator, || is_woken.recv_timeout(PATIENCE).unwrap());
}
