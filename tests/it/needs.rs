//! Builds that need others: waiting, becoming pending, being skipped; artifacts passed on; cancel, retry and erase.

use crate::harness::*;
use baton::coordinator::Queued;
use baton::domain::build::{BuildId, NewBuild, Status};
use baton::domain::time::Timestamp;
use baton::error::Kind;
use serde_json::{Value, json};

#[test]
fn a_build_waits_until_all_that_it_needs_have_succeeded() {
    let baton = Baton::with_project();
    let runner = baton.runner();
    let (first, second) = (baton.build(), baton.build());
    let third = baton.build_needing(&[first, second]);
    let fourth = baton.build_needing(&[third]);
    assert_eq!((baton.status(third), baton.status(fourth)), (Status::Created, Status::Created));
    let (one, two) = (baton.claim(&runner), baton.claim(&runner));
    baton.ask(&runner).expect(204);
    baton.finish(&two, "success");
    assert_eq!(baton.status(third), Status::Created);
    baton.finish(&one, "success");
    assert_eq!((baton.status(third), baton.status(fourth)), (Status::Pending, Status::Created));
    let three = baton.claim(&runner);
    assert_eq!(three.id, third);
    baton.finish(&three, "success");
    assert_eq!(baton.claim(&runner).id, fourth);
}

#[test]
fn a_build_is_skipped_when_one_that_it_needs_cannot_succeed_and_so_are_those_behind_it() {
    for how in ["failed", "canceled", "canceled before it ran"] {
        let baton = Baton::with_project();
        let first = baton.build();
        let second = baton.build_needing(&[first]);
        let third = baton.build_needing(&[second]);
        let aside = baton.build_needing(&[]);
        match how {
            "failed" => baton.finish(&baton.claim(&baton.runner()), "failed"),
            "canceled" => {
                baton.claim(&baton.runner());
                baton.cancel(first);
            }
            _ => baton.cancel(first),
        }
        assert_eq!((baton.status(second), baton.status(third)), (Status::Skipped, Status::Skipped), "{how}");
        assert!(baton.show(third).finished_at.is_some());
        assert_eq!(baton.status(aside), Status::Pending, "{how}");
        assert_eq!(baton.status(baton.build_needing(&[third])), Status::Skipped, "queued too late");
    }
}

#[test]
fn a_build_whose_needs_have_succeeded_already_does_not_wait() {
    let baton = Baton::with_project();
    let (_, build) = baton.running();
    baton.finish(&build, "success");
    assert_eq!(baton.status(baton.build_needing(&[build.id])), Status::Pending);
}

#[test]
fn builds_queued_together_may_need_each_other_by_name_all_or_none() {
    let baton = Baton::with_project();
    let named = |name: &str, needs: &[&str]| Queued {
        new: NewBuild { name: name.to_owned(), ..new_build("demo") },
        needs_names: needs.iter().map(|name| (*name).to_owned()).collect(),
    };
    let list = vec![named("compile", &[]), named("test", &["compile"]), named("deploy", &["compile", "test"])];
    let ids = baton.operator().add_builds(list, Timestamp::now()).unwrap();
    assert_eq!(baton.show(ids[2]).needs, ids[..2]);
    let list = vec![named("compile", &[]), named("test", &["nothing of that name"])];
    let error = baton.operator().add_builds(list, Timestamp::now()).unwrap_err();
    assert_eq!(error.kind, Kind::Invalid);
    let all = baton.operator().list_builds(None, None, None, Timestamp::now()).unwrap();
    assert_eq!(all.len(), 3, "nothing of a list with an error is queued");
}

/// A finished build with artifacts and one that needs it and runs.
fn passed_on(baton: &Baton) -> (Claimed, Claimed) {
    let (runner, first) = baton.running();
    baton.send(upload(&first, "out.zip", b"made by the first")).expect(201);
    baton.finish(&first, "success");
    let second = baton.build_needing(&[first.id]);
    let build = baton.claim(&runner);
    assert_eq!(build.id, second);
    (first, build)
}

fn dependencies(build: &Claimed) -> &Vec<Value> {
    build.json["depends_on_builds"].as_array().unwrap()
}

/// What runners do: GET with the dependency's id and the token that its entry carries.
#[test]
fn a_runner_downloads_what_a_needed_build_made() {
    let baton = Baton::with_project();
    let (first, second) = passed_on(&baton);
    let entry = &dependencies(&second)[0];
    for (key, value) in [
        ("id", json!(first.id.0)),
        ("name", json!("spinach")),
        ("stage", json!("test")),
        ("ref", json!("master")),
        ("tag", json!(false)),
        ("status", json!("success")),
        ("sha", first.json["sha"].clone()),
        ("project_id", first.json["project_id"].clone()),
        ("artifacts_file", json!({"filename": "out.zip", "size": 17})),
    ] {
        assert_eq!(entry[key], value, "{key}");
    }
    let token = entry["token"].as_str().unwrap();
    assert_eq!(token, second.token, "the dependent's own, which ends with it");
    let request = Request::get(&format!("builds/{}/artifacts", entry["id"])).build_token(token);
    let response = baton.send(request.clone()).expect(200);
    assert_eq!(response.body, b"made by the first");
    baton.finish(&second, "success");
    baton.send(request).expect_error(403);
}

#[test]
fn a_needed_build_without_artifacts_is_named_without_a_file() {
    let baton = Baton::with_project();
    let (runner, first) = baton.running();
    baton.finish(&first, "success");
    baton.build_needing(&[first.id]);
    let second = baton.claim(&runner);
    let entry = &dependencies(&second)[0];
    assert_eq!(entry["artifacts_file"], Value::Null);
    let request = Request::get(&format!("builds/{}/artifacts", first.id)).build_token(&second.token);
    baton.send(request).expect_error(404);
}

#[test]
fn only_builds_named_as_needed_are_opened_by_a_dependents_token() {
    let baton = Baton::with_project();
    let (first, second) = passed_on(&baton);
    let third = baton.build_needing(&[second.id]);
    baton.send(upload(&second, "out.zip", b"second")).expect(201);
    baton.finish(&second, "success");
    let third_build = baton.claim(&baton.runner());
    assert_eq!(third_build.id, third);
    let get = |id: BuildId| {
        baton.send(Request::get(&format!("builds/{id}/artifacts")).build_token(&third_build.token)).status
    };
    assert_eq!((get(second.id), get(first.id)), (200, 403), "what it needs, not what that needed");
    assert_eq!(dependencies(&third_build).len(), 1);
}

#[test]
fn a_build_needs_only_builds_of_its_own_project() {
    let baton = Baton::with_project();
    baton.project("other");
    let id = baton.build();
    let new = NewBuild { needs: vec![id], ..new_build("other") };
    let queued = vec![Queued { new, needs_names: vec![] }];
    assert_eq!(baton.operator().add_builds(queued, Timestamp::now()).unwrap_err().kind, Kind::Invalid);
}

/// Protocol 4.3: how runners of each age learn that they must stop.
#[test]
fn a_canceled_builds_runner_is_told_at_its_next_call() {
    let baton = Baton::with_project();
    let (runner, build) = baton.running();
    baton.append(&build, 0, "working\n");
    baton.cancel(build.id);
    let response = baton.send(patch(&build, 8, b"still working\n")).expect(403);
    assert_eq!(response.header("Build-Status"), Some("canceled"));
    let body = json!({"token": runner.token, "state": "running", "trace": "working\nstill working\n"});
    baton.send(Request::put(&format!("builds/{}.json", build.id)).json(&body)).expect_error(404);
    baton.send(upload(&build, "x.zip", b"late")).expect_error(403);
    assert_eq!(baton.status(build.id), Status::Canceled);
    let error = baton.operator().cancel_build(build.id, Timestamp::now()).unwrap_err();
    assert_eq!(error.kind, Kind::Conflict);
}

#[test]
fn a_retry_is_a_new_build_of_the_same_work() {
    let baton = Baton::with_project();
    let runner = baton.runner();
    let spec = with_options(json!({"image": "ruby:2.1"}));
    let id = baton.queue(NewBuild { spec, tags: tags(""), timeout_s: Some(99), ..new_build("demo") });
    let first = baton.claim(&runner);
    assert_eq!(baton.operator().retry_build(id, Timestamp::now()).unwrap_err().kind, Kind::Conflict);
    baton.append(&first, 0, "old log");
    baton.finish(&first, "failed");
    let again = baton.operator().retry_build(id, Timestamp::now()).unwrap();
    let second = baton.claim(&runner);
    assert_eq!(second.id, again);
    assert!(again > id && second.token != first.token);
    for key in ["name", "stage", "ref", "sha", "commands", "options", "timeout"] {
        assert_eq!(second.json[key], first.json[key], "{key}");
    }
    assert_eq!((baton.status(id), baton.trace_text(id).as_str()), (Status::Failed, "old log"));
    assert_eq!(baton.trace(again), b"");
}

#[test]
fn erasing_removes_trace_and_artifacts_and_leaves_the_build() {
    let baton = Baton::with_project();
    let (_, build) = baton.running();
    baton.append(&build, 0, "a log");
    baton.send(upload(&build, "x.zip", b"content")).expect(201);
    let erase = || baton.operator().erase_build(build.id, Timestamp::now());
    assert_eq!(erase().unwrap_err().kind, Kind::Conflict, "it still runs");
    baton.finish(&build, "success");
    erase().unwrap();
    let shown = baton.show(build.id);
    assert_eq!((shown.status, shown.trace_size), (Status::Success, 0));
    assert!(shown.artifacts.is_none() && shown.erased_at.is_some());
    assert_eq!(baton.trace(build.id), b"");
    assert!(baton.files().is_empty());
}

#[test]
fn the_reason_why_a_build_waits_is_said() {
    let baton = Baton::with_project();
    let first = baton.build();
    let second = baton.build_needing(&[first]);
    let reason = |id: BuildId| baton.operator().show_build(id, Timestamp::now()).unwrap().pending_reason;
    assert!(reason(second).unwrap().contains(&first.to_string()));
    assert!(reason(first).unwrap().contains("no runner"));
    let runner = baton.runner();
    assert!(reason(first).is_some());
    baton.claim(&runner);
    assert_eq!(reason(first), None);
}
