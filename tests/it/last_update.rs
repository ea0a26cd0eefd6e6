//! `last_update` and `X-GitLab-Last-Update` (rows 1 to 3): a value that says "nothing for you as of then",
//! so that it must change with every event that may make a build claimable.

use crate::harness::http::RUNNER_1_11;
use crate::harness::*;
use baton::domain::build::NewBuild;
use baton::domain::time::Timestamp;
use baton::limits::Limits;
use baton::store::runners::NewRunner;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// A server that holds nobody.
fn answering_at_once() -> Baton {
    let baton = Baton::with_limits(Limits { hold_time_max: Duration::ZERO, ..Limits::default() });
    baton.project("demo");
    baton
}

fn ask_with(baton: &Baton, runner: &TestRunner, last_update: &Value) -> Response {
    let body = json!({"token": runner.token, "last_update": last_update});
    baton.send(Request::post("builds/register.json").agent(RUNNER_1_11).json(&body))
}

fn value_of(response: &Response) -> String {
    let value = response.header("X-GitLab-Last-Update").expect("a value with \"nothing\"").to_owned();
    assert!(!value.is_empty());
    value
}

/// The value that a runner is told when there is nothing.
fn value(baton: &Baton, runner: &TestRunner) -> String {
    value_of(&baton.ask(runner).expect(204))
}

/// Row 2.
#[test]
fn a_current_value_is_answered_with_itself() {
    let baton = answering_at_once();
    let runner = baton.runner();
    let current = value(&baton, &runner);
    for _ in 0..3 {
        assert_eq!(value_of(&ask_with(&baton, &runner, &json!(current)).expect(204)), current);
    }
    assert_eq!(value(&baton, &runner), current, "asking changes nothing");
}

/// Row 2 for runners that need 404.
#[test]
fn the_value_comes_with_404_too() {
    let baton = answering_at_once();
    let runner = baton.runner();
    let current = value(&baton, &runner);
    let body = json!({"token": runner.token, "last_update": current});
    let response = baton.send(Request::post("builds/register.json").json(&body)).expect_error(404);
    assert_eq!(value_of(&response), current);
}

/// Row 3.
#[test]
fn an_outdated_value_is_answered_with_the_current_one() {
    let baton = answering_at_once();
    let runner = baton.runner();
    let old = value(&baton, &runner);
    baton.cancel(baton.build());
    let new = value_of(&ask_with(&baton, &runner, &json!(old)).expect(204));
    assert_ne!(old, new);
    assert_eq!(value_of(&ask_with(&baton, &runner, &json!(new)).expect(204)), new);
}

#[test]
fn without_a_value_there_is_always_a_search() {
    let baton = answering_at_once();
    let runner = baton.runner();
    for given in [json!(null), json!(""), json!("abc123"), json!(0)] {
        let id = baton.build();
        assert_eq!(claimed(&ask_with(&baton, &runner, &given).expect(201)).id, id, "{given}");
    }
}

/// The value stays with a build's answer, as the client has none other to send.
#[test]
fn a_build_comes_without_a_value() {
    let baton = answering_at_once();
    let runner = baton.runner();
    let old = value(&baton, &runner);
    baton.build();
    let response = ask_with(&baton, &runner, &json!(old)).expect(201);
    assert_eq!(response.header("X-GitLab-Last-Update"), None);
    assert_ne!(value_of(&ask_with(&baton, &runner, &json!(old)).expect(204)), old);
}

/// An event that makes a build claimable for a runner, done after the runner was told that there is nothing.
type Event = fn(&Baton, &TestRunner);

#[test]
fn every_event_that_makes_a_build_claimable_changes_the_value() {
    let prepared_by_needs: Event = |baton, _| {
        let first = baton.operator().list_builds(None, None, None, Timestamp::now()).unwrap().pop().unwrap().build.id;
        let token = baton.operator().project_token("demo", false).unwrap();
        let body = json!({"token": token, "state": "success"});
        baton.send(Request::put(&format!("builds/{first}")).json(&body)).expect(200);
    };
    let events: [(&str, Event, Event); 4] = [
        (
            "a build is queued",
            |_, _| {},
            |baton, _| {
                baton.build();
            },
        ),
        (
            "a build is retried",
            |baton, _| baton.cancel(baton.build()),
            |baton, _| {
                let id = baton.operator().list_builds(None, None, None, Timestamp::now()).unwrap()[0].build.id;
                baton.operator().retry_build(id, Timestamp::now()).unwrap();
            },
        ),
        (
            "the last needed build succeeds",
            |baton, _| {
                let (_, first) = baton.running();
                baton.build_needing(&[first.id]);
            },
            prepared_by_needs,
        ),
        (
            "another process queues one",
            |_, _| {},
            |baton, _| {
                let beside = baton::coordinator::Coordinator::open(baton.data(), baton.operator().limits().clone());
                queue(&beside.unwrap(), new_build("demo"));
            },
        ),
    ];
    for (name, prepare, event) in events {
        let baton = answering_at_once();
        let runner = baton.runner();
        prepare(&baton, &runner);
        let old = value(&baton, &runner);
        ask_with(&baton, &runner, &json!(old)).expect(204);
        event(&baton, &runner);
        // What this process did must count at once, what another one did in a moment.
        let mut status = ask_with(&baton, &runner, &json!(old)).status;
        let patience = Instant::now() + Duration::from_secs(60);
        while status != 201 && name.contains("another process") && Instant::now() < patience {
            status = ask_with(&baton, &runner, &json!(old)).status;
        }
        assert_eq!(status, 201, "after this, the old value must not match: {name}");
    }
}

#[test]
fn an_edited_or_resumed_runner_searches_again() {
    let baton = answering_at_once();
    let runner = baton.runner();
    let old = value(&baton, &runner);
    baton.operator().pause_runner(runner.id, true).unwrap();
    assert_eq!(ask_with(&baton, &runner, &json!(old)).expect(404).header("X-GitLab-Last-Update"), None);
    baton.operator().pause_runner(runner.id, false).unwrap();
    let resumed = value(&baton, &runner);
    assert_ne!(old, resumed);
    // As an operator's edit would do, in the file.
    let edit = "UPDATE runners SET run_untagged = 0, tag_set_id = tag_set_id WHERE id = ?1";
    assert_eq!(baton.database().execute(edit, [runner.id.0]).unwrap(), 1);
    assert_ne!(value(&baton, &runner), resumed);
}

/// Runners 1.9 to 1.10.7 send a value that another runner of the same configuration was given.
#[test]
fn another_runners_value_never_matches() {
    let baton = answering_at_once();
    let plain = baton.runner();
    let tagged = baton.runner_like(NewRunner { tags: tags("ruby"), ..new_runner() }, None);
    assert_ne!(value(&baton, &plain), value(&baton, &tagged));
    let id = baton.queue(NewBuild { tags: tags("ruby"), ..new_build("demo") });
    let of_plain = value(&baton, &plain);
    assert_eq!(claimed(&ask_with(&baton, &tagged, &json!(of_plain)).expect(201)).id, id);
}

/// Values that are asked for while builds are queued: none may hide a build.
#[test]
fn no_build_is_missed_while_builds_are_queued() {
    let baton = answering_at_once();
    let runner = baton.runner();
    let count = 40;
    let got = std::thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..count {
                baton.build();
            }
        });
        let mut got = Vec::new();
        let mut last_update = json!("");
        // An honest client asks for as long as it takes; a lost build would keep it here until the test's time is up.
        let patience = Instant::now() + Duration::from_secs(60);
        while got.len() < count && Instant::now() < patience {
            let response = ask_with(&baton, &runner, &last_update);
            if response.status == 201 {
                got.push(claimed(&response).id);
            } else {
                last_update = json!(value_of(&response.expect(204)));
            }
        }
        got
    });
    assert_eq!(got.len(), count);
    assert!(got.is_sorted());
}
