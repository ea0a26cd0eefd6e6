//! `POST builds/register`: rows 1 and 4 to 31 (2, 3: `last_update`; 21: `variables`; 22: also `needs`).

use crate::harness::http::RUNNER_1_11;
use crate::harness::*;
use baton::domain::build::{NewBuild, Status, Variable};
use baton::domain::spec::BuildSpec;
use baton::store::runners::NewRunner;
use serde_json::{Value, json};

/// The names under which "nothing" is 204 to a runner, and those under which it is 404.
const UNDERSTANDS_204: [&str; 3] = [
    "gitlab-ci-multi-runner 1.5.2 (1-5-stable; go1.6.3; linux/amd64)",
    "gitlab-ci-multi-runner 1.6.0~beta.167.g2b2bacc (master; go1.6.3; linux/amd64)",
    RUNNER_1_11,
];
const NEEDS_404: [&str; 4] = [
    "Go-http-client/1.1",
    "Go 1.1 package http",
    "gitlab-ci-multi-runner dev (HEAD; go1.6.3; linux/amd64)",
    "gitlab-runner 10.0.0 (10-0-stable; go1.8.3; linux/amd64)",
];

fn ask_as(runner: &TestRunner, user_agent: Option<&str>) -> Request {
    let request = Request::post("builds/register.json").json(&json!({"token": runner.token}));
    match user_agent {
        Some(name) => request.agent(name),
        None => request,
    }
}

/// Rows 1, 4, 5, 6 and 18.
#[test]
fn nothing_to_do_is_204_or_404_by_user_agent() {
    let baton = Baton::with_project();
    let (_, build) = baton.running();
    baton.finish(&build, "success");
    let runner = baton.runner();
    for user_agent in UNDERSTANDS_204 {
        let response = baton.send(ask_as(&runner, Some(user_agent))).expect(204);
        assert!(response.header("X-GitLab-Last-Update").is_some_and(|value| !value.is_empty()), "{user_agent}");
    }
    for user_agent in NEEDS_404.map(Some).into_iter().chain([None]) {
        let response = baton.send(ask_as(&runner, user_agent)).expect_error(404);
        assert!(response.header("X-GitLab-Last-Update").is_some_and(|value| !value.is_empty()), "{user_agent:?}");
    }
}

/// Rows 7 to 11 and 17: however the options were written, old runners get strings.
#[test]
fn image_and_services_reach_the_runner_as_plain_strings() {
    let baton = Baton::with_project();
    let runner = baton.runner();
    for (written, sent) in [
        (json!({"image": "ruby:2.1"}), json!({"image": "ruby:2.1"})),
        (json!({"image": {"name": "ruby:2.1"}}), json!({"image": "ruby:2.1"})),
        (json!({"services": ["postgres", "mysql"]}), json!({"services": ["postgres", "mysql"]})),
        (json!({"services": [{"name": "postgres"}, {"name": "mysql"}]}), json!({"services": ["postgres", "mysql"]})),
        (json!({}), json!({})),
        (
            json!({"image": {"name": "ruby:2.1", "entrypoint": ["/bin/sh"]},
                   "services": [{"name": "postgres", "alias": "db", "command": ["run"]}]}),
            json!({"image": "ruby:2.1", "services": ["postgres"]}),
        ),
    ] {
        baton.queue(NewBuild { spec: with_options(written.clone()), ..new_build("demo") });
        assert_eq!(baton.claim(&runner).json["options"], sent, "{written}");
    }
}

/// Nothing of a rich specification is in the way of a runner 1.x: it gets the old spelling of what it understands.
#[test]
fn a_rich_specification_is_made_poorer_for_runners_1_x() {
    let baton = Baton::with_project();
    let runner = baton.runner();
    let spec = json!({
        "script": ["a", "b"], "after_script": ["bye"], "hooks": {"pre_get_sources_script": ["h"]},
        "image": {"name": "i", "entrypoint": [""], "pull_policy": ["always"]},
        "services": [{"name": "s", "alias": "db", "variables": [["A", "1"]]}],
        "artifacts": [{"paths": ["o"], "expire_in": "7d"}, {"paths": ["j"], "type": "junit", "format": "gzip"}],
        "cache": [{"key": "k", "paths": ["x"]}, {"key": "l"}], "dependencies": ["d"], "retry": {"max": 2},
        "allow_failure": {"exit_codes": [3]}, "other": {"environment": "e"},
    });
    let id = baton.queue(NewBuild { spec: serde_json::from_value(spec.clone()).unwrap(), ..new_build("demo") });
    let json = baton.claim(&runner).json;
    assert_eq!(json["commands"], "a\nb");
    let expected = json!({
        "image": "i", "services": ["s"], "artifacts": {"paths": ["o"], "expire_in": "7d"}, "environment": "e",
        "cache": {"key": "k", "paths": ["x"]}, "dependencies": ["d"], "after_script": ["bye"],
    });
    assert_eq!(json["options"], expected);
    let stored: String = baton
        .database()
        .query_row("SELECT spec FROM build_specs WHERE build_id = ?1", [id.0], |row| row.get(0))
        .unwrap();
    let stored: baton::domain::spec::BuildSpec = serde_json::from_str(&stored).unwrap();
    assert_eq!(stored, serde_json::from_value(spec).unwrap(), "nothing is lost where it is stored");
}

/// Row 12, and the types of all that runners decode: one wrong type and a runner loses the build.
#[test]
fn a_pending_build_is_handed_out_with_all_that_runners_read() {
    let baton = Baton::with_project();
    let runner = baton.runner_like(NewRunner { tags: tags("mysql,ruby"), ..new_runner() }, Some("demo"));
    let options = json!({
        "image": "ruby:2.1", "services": ["postgres"], "dependencies": [], "after_script": ["echo bye"],
        "artifacts": {"name": "out", "untracked": false, "paths": ["out/"], "when": "always", "expire_in": "1 week"},
        "cache": {"key": "k", "untracked": true, "paths": ["vendor/"]}
    });
    let id = baton.queue(NewBuild {
        repo_url: Some("https://git.test/group/demo.git".to_owned()),
        spec: BuildSpec {
            script: vec!["echo hello".to_owned(), "make test".to_owned()],
            ..with_options(options.clone())
        },
        timeout_s: Some(1234),
        allow_git_fetch: false,
        ..new_build("demo")
    });
    let info = json!({"name": "gitlab-ci-multi-runner", "platform": "darwin", "features": {"variables": true}});
    let request = Request::post("builds/register.json").agent(RUNNER_1_11);
    let response = baton.send(request.json(&json!({"token": runner.token, "info": info}))).expect(201);
    assert_eq!(response.header("X-GitLab-Last-Update"), None);
    let json = response.json();
    for (key, value) in [
        ("id", json!(id.0)),
        ("status", json!("running")),
        ("name", json!("spinach")),
        ("stage", json!("test")),
        ("ref", json!("master")),
        ("tag", json!(false)),
        ("sha", json!("0b3bce98f5d8d2c2a9b7d3b2f5f0c1e2a3b4c5d6")),
        ("before_sha", json!("0000000000000000000000000000000000000000")),
        ("commands", json!("echo hello\nmake test")),
        ("allow_git_fetch", json!(false)),
        ("timeout", json!(1234)),
        ("project_id", json!(baton.show(id).project_id)),
        ("project_name", json!("demo")),
        ("options", options),
        ("depends_on_builds", json!([])),
        // Row 16.
        ("credentials", json!([])),
    ] {
        assert_eq!(json[key], value, "{key}");
    }
    assert!(json["token"].as_str().is_some_and(|token| token.len() >= 20), "at least 128 bits");
    let repo_url = json["repo_url"].as_str().expect("a string");
    assert!(repo_url.ends_with("git.test/group/demo.git"), "{repo_url}");
    let variables = json["variables"].as_array().expect("an array");
    for variable in variables {
        assert!(variable["key"].is_string() && variable["value"].is_string() && variable["public"].is_boolean());
    }
    for (key, value) in [("CI_JOB_NAME", "spinach"), ("CI_JOB_STAGE", "test"), ("DB_NAME", "postgres")] {
        assert!(variables.contains(&json!({"key": key, "value": value, "public": true})), "{key}");
    }
    assert_eq!(baton.status(id), Status::Running);
    assert_eq!(baton.runner_row(runner.id.0).info.get("platform"), Some("darwin"));
}

#[test]
fn a_build_without_sources_still_has_what_runners_cannot_do_without() {
    let baton = Baton::with_project();
    let runner = baton.runner();
    baton.queue(NewBuild { sha: None, ..new_build("demo") });
    let json = baton.claim(&runner).json;
    assert!(json["sha"].as_str().unwrap().len() >= 8, "shorter ones panic the runner");
    assert!(json["repo_url"].as_str().unwrap().contains("://"), "{}", json["repo_url"]);
    assert!(json["variables"].as_array().unwrap().iter().any(|v| v["key"] == "GIT_STRATEGY" && v["value"] == "none"));
}

/// Row 13.
#[test]
fn asking_for_work_is_contact() {
    let baton = Baton::start();
    let runner = baton.runner();
    assert_eq!(baton.runner_row(runner.id.0).contacted_at, None);
    baton.ask(&runner).expect(204);
    assert!(baton.runner_row(runner.id.0).contacted_at.is_some());
}

/// Row 19, and the other way round.
#[test]
fn a_project_runner_gets_builds_of_its_project_only() {
    let baton = Baton::with_project();
    baton.project("other");
    let runner = baton.project_runner("other");
    let id = baton.build();
    baton.ask(&runner).expect(204);
    assert_eq!(baton.claim(&baton.project_runner("demo")).id, id);
    let own = baton.queue(new_build("other"));
    assert_eq!(baton.claim(&runner).id, own);
}

#[test]
fn a_shared_runner_gets_builds_of_every_project_and_a_locked_one_nothing() {
    let baton = Baton::with_project();
    baton.project("other");
    let ids = [baton.build(), baton.queue(new_build("other")), baton.build()];
    let locked = baton.runner_like(NewRunner { locked: true, ..new_runner() }, None);
    baton.ask(&locked).expect(204);
    let runner = baton.runner();
    assert_eq!(ids.map(|_| baton.claim(&runner).id), ids);
}

/// Row 22.
#[test]
fn a_build_names_the_builds_that_it_needs() {
    let baton = Baton::with_project();
    let (runner, first) = baton.running();
    let second = baton.build_needing(&[first.id]);
    baton.finish(&first, "success");
    let claim = baton.claim(&runner);
    assert_eq!(claim.id, second);
    let dependencies = claim.json["depends_on_builds"].as_array().unwrap();
    assert_eq!(dependencies.len(), 1);
    assert_eq!((&dependencies[0]["id"], &dependencies[0]["name"]), (&json!(first.id.0), &json!("spinach")));
}

/// Rows 23 to 27.
#[test]
fn each_word_that_a_runner_says_of_itself_is_kept() {
    let baton = Baton::with_project();
    for field in ["name", "version", "revision", "platform", "architecture", "executor"] {
        let runner = baton.runner();
        baton.build();
        let body = json!({"token": runner.token, "info": {field: "value-1.2"}});
        baton.send(Request::post("builds/register").json(&body)).expect(201);
        assert_eq!(baton.runner_row(runner.id.0).info.get(field), Some("value-1.2"), "{field}");
    }
}

#[test]
fn odd_info_is_no_reason_to_give_no_build() {
    let baton = Baton::with_project();
    let runner = baton.runner();
    for info in [json!(null), json!({}), json!({"name": null, "features": {"cache": true}}), json!({"version": 5})] {
        let id = baton.build();
        let body = json!({"token": runner.token, "info": info, "last_update": null, "something": ["new"]});
        let response = baton.send(Request::post("builds/register").json(&body)).expect(201);
        assert_eq!(response.json()["id"], json!(id.0), "{info}");
    }
}

/// Rows 28 and 29, and the rule about tags.
#[test]
fn the_tags_of_a_build_must_be_among_those_of_the_runner() {
    let baton = Baton::with_project();
    for (runner_tags, run_untagged, build_tags, takes) in [
        ("", true, "", true),
        ("ruby", true, "", true),
        ("ruby", false, "", false),
        ("ruby", false, "ruby", true),
        ("ruby,mysql", true, "ruby", true),
        ("ruby", true, "ruby,mysql", false),
        ("", true, "ruby", false),
    ] {
        let runner = baton.runner_like(NewRunner { tags: tags(runner_tags), run_untagged, ..new_runner() }, None);
        let id = baton.queue(NewBuild { tags: tags(build_tags), ..new_build("demo") });
        let status = baton.ask(&runner).status;
        assert_eq!(status, if takes { 201 } else { 204 }, "[{runner_tags}] {run_untagged} [{build_tags}]");
        if !takes {
            baton.cancel(id);
        }
    }
}

#[test]
fn a_build_that_nobody_can_take_does_not_hold_up_those_behind_it() {
    let baton = Baton::with_project();
    baton.queue(NewBuild { tags: tags("solaris"), ..new_build("demo") });
    let behind = baton.build();
    assert_eq!(baton.claim(&baton.runner()).id, behind);
}

/// Rows 30 and 31.
#[test]
fn a_paused_runner_gets_404_whatever_it_is_and_is_not_contacted() {
    let baton = Baton::with_project();
    let runner = baton.runner();
    let id = baton.build();
    baton.operator().pause_runner(runner.id, true).unwrap();
    for user_agent in UNDERSTANDS_204.iter().chain(&NEEDS_404) {
        let response = baton.send(ask_as(&runner, Some(user_agent))).expect_error(404);
        assert_eq!(response.header("X-GitLab-Last-Update"), None);
    }
    assert_eq!(baton.runner_row(runner.id.0).contacted_at, None);
    assert_eq!(baton.status(id), Status::Pending);
    baton.operator().pause_runner(runner.id, false).unwrap();
    assert_eq!(baton.claim(&runner).id, id);
}

#[test]
fn an_unknown_runner_gets_403_and_no_build() {
    let baton = Baton::with_project();
    let id = baton.build();
    for body in [json!({"token": "no-such-token"}), json!({"token": ""}), json!({}), json!({"token": null})] {
        let response = baton.send(Request::post("builds/register.json").agent(RUNNER_1_11).json(&body));
        let message = response.expect_error(403).json();
        assert_eq!(message, json!({"message": "403 Forbidden"}), "{body}");
    }
    assert_eq!(baton.status(id), Status::Pending);
}

#[test]
fn a_claimed_build_is_not_offered_again() {
    let baton = Baton::with_project();
    let (runner, build) = baton.running();
    baton.ask(&runner).expect(204);
    baton.ask(&baton.runner()).expect(204);
    baton.finish(&build, "failed");
    baton.ask(&runner).expect(204);
}

#[test]
fn the_operator_sees_who_has_a_build() {
    let baton = Baton::with_project();
    let (runner, build) = baton.running();
    let shown = baton.show(build.id);
    assert_eq!(shown.runner, Some((runner.id.0, "laptop".to_owned())));
    assert!(shown.started_at.is_some() && shown.finished_at.is_none());
}

#[test]
fn every_build_has_a_token_of_its_own() {
    let baton = Baton::with_project();
    let runner = baton.runner();
    let mut seen = std::collections::HashSet::new();
    for _ in 0..5 {
        baton.build();
        assert!(seen.insert(baton.claim(&runner).token));
    }
}

/// A secret variable is sent as it is, and marked.
#[test]
fn secret_variables_reach_the_runner_marked() {
    let baton = Baton::with_project();
    let secret = Variable::secret("PASSWORD", "correct horse");
    baton.queue(NewBuild { variables: vec![secret], ..new_build("demo") });
    let json = baton.claim(&baton.runner()).json;
    let expected: Value = json!({"key": "PASSWORD", "value": "correct horse", "public": false});
    assert!(json["variables"].as_array().unwrap().contains(&expected));
}
