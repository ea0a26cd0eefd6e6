//! Long polling: a runner that says that it knows that there is nothing is answered when there is
//! something, or its time is over. What is long or by chance of it is in `siege`.

mod carried;

use crate::harness::hold::*;
use crate::harness::random::Random;
use crate::harness::raw::{HEALTH, PATIENCE, Raw};
use crate::harness::*;
use baton::domain::build::{BuildId, NewBuild, Status};
use baton::domain::time::Timestamp;
use baton::limits::Limits;
use baton::store::runners::NewRunner;
use serde_json::json;
use std::net::SocketAddr;
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

#[test]
fn a_build_ends_the_hold_whichever_process_queues_it() {
    let baton = holding();
    let (runner, beside) = (baton.runner(), beside(&baton));
    for operator in [baton.operator(), &beside] {
        for _ in 0..5 {
            let mut raw = hold(&baton, &runner);
            let id = queue(operator, new_build("demo"));
            let build = expect_build(&mut raw, id);
            baton.finish(&build, "success");
        }
    }
}

/// The connection of a held request is as good as any other.
#[test]
fn a_connection_carries_one_held_request_after_the_other() {
    let baton = holding();
    let runner = baton.runner();
    let mut raw = Raw::open(baton.address()).unwrap();
    for _ in 0..20 {
        let request = poll(&runner.token, &value(baton.address(), &runner.token));
        hold_on(&baton, &mut raw, &request);
        let id = baton.build();
        let answer = raw.expect_answer().expect(201);
        assert_eq!((claimed(&answer).id, answer.header("Connection")), (id, None));
    }
}

#[test]
fn after_the_hold_time_there_is_nothing_and_the_connection_goes_on() {
    let time = Duration::from_millis(300);
    let baton = holding_with(Limits { hold_time_max: time, ..Limits::default() });
    let runner = baton.runner();
    let current = value(baton.address(), &runner.token);
    let body = json!({"token": runner.token, "last_update": current});
    let old = Request::post("builds/register.json").json(&body);
    for (request, status) in [(poll(&runner.token, &current), 204), (old, 404)] {
        let mut raw = Raw::open(baton.address()).unwrap();
        for _ in 0..2 {
            let started = Instant::now();
            let answer = raw.ask(&request).unwrap().expect(status);
            assert!(started.elapsed() >= time, "{status}: answered after {:?}", started.elapsed());
            assert_eq!((value_of(&answer), answer.header("Connection")), (current.clone(), None));
            raw.ask(&Request::get("/-/health")).unwrap().expect(200);
        }
    }
    assert_eq!(baton.operator().count_waiting(), 0);
}

/// Only who knows what there is waits for more.
#[test]
fn nobody_is_held_who_does_not_know_that_there_is_nothing() {
    let baton = holding();
    let (runner, other) = (baton.runner(), baton.runner());
    let old = value(baton.address(), &runner.token);
    let of_other = value(baton.address(), &other.token);
    baton.cancel(baton.build());
    for last_update in ["", "abc", &old, &of_other, &value(baton.address(), &other.token)] {
        baton.send(poll(&runner.token, last_update)).expect(204);
    }
    let current = value(baton.address(), &runner.token);
    baton.send(poll("not a token", &current)).expect(403);
    baton.send(Request::new("HEAD", "builds/register.json").query("last_update", &current)).expect(405);
    baton.operator().pause_runner(runner.id, true).unwrap();
    baton.send(poll(&runner.token, &current)).expect(404);
}

/// A runner, and builds that it may not take.
type Unfit = (&'static str, NewRunner, Option<&'static str>, Vec<NewBuild>);

fn unfit() -> Vec<Unfit> {
    let tagged = |list: &str| NewBuild { tags: tags(list), ..new_build("demo") };
    let ruby = || NewRunner { tags: tags("ruby"), ..new_runner() };
    vec![
        ("a tag", new_runner(), None, vec![tagged("ruby")]),
        ("one tag too many", ruby(), None, vec![tagged("ruby,mysql"), tagged("mysql")]),
        ("no tag", NewRunner { run_untagged: false, ..ruby() }, None, vec![new_build("demo")]),
        ("another project", new_runner(), Some("demo"), vec![new_build("other")]),
    ]
}

#[test]
fn a_build_that_the_runner_may_not_take_does_not_end_the_hold() {
    for (name, new, project, builds) in unfit() {
        let baton = holding();
        baton.project("other");
        let fitting = NewBuild { tags: new.tags.clone(), ..new_build("demo") };
        let runner = baton.runner_like(new, project);
        let mut raw = hold(&baton, &runner);
        let beside = beside(&baton);
        for build in builds {
            baton.queue(build.clone());
            queue(&beside, build);
        }
        let id = baton.queue(fitting);
        let answer = raw.expect_answer();
        assert_eq!((name, answer.status), (name, 201));
        assert_eq!((name, claimed(&answer).id), (name, id));
    }
}

#[test]
fn a_build_ends_the_hold_when_what_it_needs_has_succeeded() {
    let baton = holding();
    let (_, first) = baton.running();
    let (_, second) = baton.running();
    let needing = baton.build_needing(&[first.id, second.id]);
    let skipped = baton.build_needing(&[second.id, needing]);
    let mut raw = hold(&baton, &baton.runner());
    baton.finish(&first, "success");
    baton.finish(&second, "success");
    let needing = expect_build(&mut raw, needing);
    let mut raw = hold(&baton, &baton.runner());
    baton.finish(&needing, "failed");
    assert_eq!(baton.status(skipped), Status::Skipped);
    let id = baton.build();
    expect_build(&mut raw, id);
}

#[test]
fn a_retried_build_ends_the_hold() {
    let baton = holding();
    let canceled = baton.build();
    baton.cancel(canceled);
    let mut raw = hold(&baton, &baton.runner());
    let id = baton.operator().retry_build(canceled, Timestamp::now()).unwrap();
    expect_build(&mut raw, id);
}

#[test]
fn an_edited_runner_gets_at_once_what_it_may_take_now() {
    let baton = holding();
    let id = baton.queue(NewBuild { tags: tags("ruby"), ..new_build("demo") });
    let runner = baton.runner();
    let mut raw = hold(&baton, &runner);
    let edit = "UPDATE runners SET tag_set_id = (SELECT tag_set_id FROM builds WHERE id = ?1) WHERE id = ?2";
    assert_eq!(baton.database().execute(edit, [id.0, runner.id.0]).unwrap(), 1);
    expect_build(&mut raw, id);
}

#[test]
fn a_runner_that_is_paused_or_removed_while_it_is_held_is_told_at_once() {
    let baton = holding();
    let beside = beside(&baton);
    for operator in [baton.operator(), &beside] {
        let (paused, removed, other) = (baton.runner(), baton.runner(), baton.runner());
        let (mut of_paused, mut of_removed) = (hold(&baton, &paused), hold(&baton, &removed));
        let mut of_other = hold(&baton, &other);
        operator.pause_runner(paused.id, true).unwrap();
        let answer = of_paused.expect_answer().expect_error(404);
        assert_eq!(answer.header("X-GitLab-Last-Update"), None, "it would be held with that");
        operator.remove_runner(removed.id, Timestamp::now()).unwrap();
        of_removed.expect_answer().expect_error(403);
        // And nobody else was told anything.
        let id = baton.build();
        expect_build(&mut of_other, id);
    }
}

#[test]
fn one_build_goes_to_the_one_that_has_waited_longest_and_the_others_stay() {
    let baton = holding();
    let runners: Vec<TestRunner> = (0..8).map(|_| baton.runner()).collect();
    let held: Vec<Raw> = runners.iter().map(|runner| hold(&baton, runner)).collect();
    let (answered, answers) = channel();
    thread::scope(|scope| {
        for (which, mut raw) in held.into_iter().enumerate() {
            let answered = answered.clone();
            scope.spawn(move || answered.send((which, raw.expect_answer())).unwrap());
        }
        for (turn, runner) in runners.iter().enumerate() {
            let id = baton.build();
            let (which, answer) = answers.recv_timeout(PATIENCE).unwrap();
            assert_eq!((which, claimed(&answer.expect(201)).id), (turn, id));
            assert_eq!(baton.show(id).runner.unwrap().0, runner.id.0);
            wait_until("all others wait again", || baton.operator().count_waiting() == runners.len() - turn - 1);
            assert!(answers.try_recv().is_err(), "another one was answered");
        }
    });
}

#[test]
fn builds_queued_together_go_to_as_many_runners_at_once() {
    let baton = holding();
    let beside = beside(&baton);
    for operator in [baton.operator(), &beside] {
        // The last two are requests of one runner.
        let mut runners: Vec<TestRunner> = (0..4).map(|_| baton.runner()).collect();
        runners.push(runners[3].clone());
        let mut held: Vec<Raw> = runners.iter().map(|runner| hold(&baton, runner)).collect();
        let mut waiting_on = hold(&baton, &baton.runner());
        let ids = queue_many(operator, 5);
        let mut got: Vec<BuildId> = held.iter_mut().map(|raw| claimed(&raw.expect_answer().expect(201)).id).collect();
        got.sort_unstable();
        assert_eq!(got, ids);
        let id = baton.build();
        expect_build(&mut waiting_on, id);
    }
}

/// The second request is read when the first is answered, whatever it is.
#[test]
fn what_comes_behind_a_held_request_is_answered_after_it() {
    let baton = holding();
    let runner = baton.runner();
    let head = Request::new("HEAD", "/-/health").bytes();
    let long = [b"GET / HTTP/1.1\r\nX: ".as_slice(), &[b'x'; 20_000]].concat();
    let cases: [(&[u8], u16); 5] = [
        (HEALTH, 200),
        (&head, 200),
        (b"\x16\x03\x01 what?\r\n\r\n", 400),
        (b"GET / HTTP/2.0\r\n\r\n", 505),
        (&long, 431),
    ];
    for (behind, status) in cases {
        let mut raw = hold(&baton, &runner);
        assert!(raw.send(behind));
        // Later than that has arrived, another runner is held: the first one was not disturbed.
        let mut other = hold(&baton, &runner);
        let id = baton.build();
        expect_build(&mut raw, id);
        if behind == head {
            raw.has_no_bodies();
        }
        raw.expect_answer().expect(status);
        let id = baton.build();
        expect_build(&mut other, id);
    }
}

#[test]
fn two_polls_behind_each_other_get_two_builds_in_order() {
    let baton = holding();
    let runner = baton.runner();
    let mut raw = hold(&baton, &runner);
    raw.send(&poll(&runner.token, &value(baton.address(), &runner.token)).bytes());
    for id in queue_many(baton.operator(), 2) {
        expect_build(&mut raw, id);
    }
}

#[test]
fn held_requests_keep_no_worker() {
    let baton = holding_with(Limits { hold_time_max: HOUR, workers_max: 2, ..Limits::default() });
    let runner = baton.runner();
    let mut held: Vec<Raw> = (0..50).map(|_| hold(&baton, &runner)).collect();
    baton.send(Request::get("/-/health")).expect(200);
    baton.send(Request::get("/-/readiness")).expect(200);
    assert_eq!(baton.operator().count_waiting(), 50);
    for raw in &mut held {
        let id = baton.build();
        expect_build(raw, id);
    }
}

#[test]
fn a_stop_answers_all_that_are_held_for_the_last_time() {
    let baton = holding();
    let runners: Vec<TestRunner> = (0..20).map(|_| baton.runner()).collect();
    let mut held: Vec<Raw> = runners.iter().map(|runner| hold(&baton, runner)).collect();
    // Moves the value, and is for none of them.
    baton.queue(NewBuild { tags: tags("ruby"), ..new_build("demo") });
    let values: Vec<String> = runners.iter().map(|runner| value(baton.address(), &runner.token)).collect();
    ends("the stop of a server that holds requests", || drop(baton));
    for (raw, value) in held.iter_mut().zip(values) {
        let answer = raw.expect_answer().expect(204);
        assert_eq!((value_of(&answer), answer.header("Connection")), (value, Some("close")));
        raw.expect_closed();
    }
}

/// In every step of their way: each is answered, or cut before it was read.
#[test]
fn polls_that_meet_a_stop_do_not_hold_it_up() {
    let mut random = Random::new();
    for _ in 0..25 {
        let baton = holding();
        let (address, runner) = (baton.address(), baton.runner());
        let current = value(address, &runner.token);
        let request = poll(&runner.token, &current).bytes();
        let spin = Duration::from_micros(random.next() % 2000);
        let clients: Vec<_> = (0..8)
            .map(|_| {
                let (request, current) = (request.clone(), current.clone());
                let mut raw = Raw::open(address).unwrap();
                thread::spawn(move || {
                    raw.send(&request);
                    if let Ok(Some(answer)) = raw.answer() {
                        assert_eq!(value_of(&answer.expect(204)), current);
                        raw.expect_closed();
                    }
                })
            })
            .collect();
        let started = Instant::now();
        while started.elapsed() < spin {
            std::hint::spin_loop();
        }
        ends("a stop among polls", || drop(baton));
        clients.into_iter().for_each(|client| client.join().unwrap());
    }
}
