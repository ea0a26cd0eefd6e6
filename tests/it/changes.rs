//! What operators change afterwards: projects and runners, by the commands that they have for it.

use crate::harness::*;
use baton::coordinator::check;
use baton::domain::build::{BuildId, NewBuild, Status};
use baton::store::runners::NewRunner;
use serde_json::{Value, json};
use std::process::{Command, Output};

fn baton(server: &Baton, words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_baton"));
    command.env_remove("BATON_DATA").env_remove("RUST_LOG").arg("--data").arg(server.data()).args(words);
    command.output().unwrap()
}

/// What a command prints that must succeed.
#[track_caller]
fn done(server: &Baton, words: &[&str]) -> String {
    let output = baton(server, words);
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Why a command is refused, with this status.
#[track_caller]
fn refused(server: &Baton, words: &[&str], status: i32) -> String {
    let output = baton(server, words);
    let why = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), why.lines().count()), (Some(status), 1), "{words:?}: {why}");
    why
}

fn projects(server: &Baton) -> Vec<Value> {
    done(server, &["project", "list", "--json"]).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_builds_sources_are_where_the_project_has_them_when_a_runner_takes_it() {
    let server = Baton::with_project();
    let runner = server.runner();
    server.build();
    server.queue(NewBuild { repo_url: Some("/srv/own".to_owned()), ..new_build("demo") });
    assert_eq!(
        done(&server, &["project", "set", "demo", "--repo-url", "/srv/right", "--timeout", "2h"]),
        "project demo is changed\n"
    );
    let repo_url = |build: &Claimed| build.json["repo_url"].as_str().unwrap().to_owned();
    let first = server.claim(&runner);
    assert_eq!((repo_url(&first), first.json["timeout"].as_i64()), ("/srv/right".to_owned(), Some(3600)));
    assert_eq!(repo_url(&server.claim(&runner)), "/srv/own");
    server.build();
    assert_eq!(server.claim(&runner).json["timeout"], 7200);
    done(&server, &["project", "set", "DEMO", "--no-repo-url"]);
    assert_eq!((&projects(&server)[0]["repo_url"], &projects(&server)[0]["timeout"]), (&Value::Null, &json!(7200)));
}

#[test]
fn what_is_no_change_of_a_project_is_refused_and_changes_nothing() {
    let server = Baton::with_project();
    server.project("other");
    let before = projects(&server);
    for (words, status, part) in [
        (&["project", "set", "demo"][..], 2, "what to change is missing"),
        (&["project", "set", "demo", "--repo-url", "/a", "--no-repo-url"], 2, "do not go together"),
        (&["project", "set", "demo", "--repo-url", "a.git"], 1, "neither a URL"),
        (&["project", "set", "dmeo", "--timeout", "1h"], 1, "did you mean \"demo\"?"),
        (&["project", "rename", "demo", "OTHER"], 1, "there is a project \"other\" already"),
        (&["project", "rename", "demo", ""], 1, "1 to 255"),
        (&["project", "rename", "demo"], 2, "new_name is missing"),
        (&["project", "add", "DEMO"], 1, "there is a project \"demo\" already"),
    ] {
        let why = refused(&server, words, status);
        assert!(why.contains(part), "{words:?}: {why}");
    }
    assert_eq!(projects(&server), before);
}

#[test]
fn a_project_with_another_name_is_the_same_project() {
    let server = Baton::with_project();
    let token = done(&server, &["project", "token", "demo"]);
    let id = server.build();
    assert_eq!(done(&server, &["project", "rename", "demo", "group/Demo"]), "project demo is group/Demo now\n");
    assert_eq!(done(&server, &["project", "rename", "group/demo", "Demo"]), "project group/demo is Demo now\n");
    assert_eq!(done(&server, &["project", "rename", "demo", "demo"]), "project demo is demo now\n");
    assert_eq!(done(&server, &["project", "token", "demo"]), token);
    assert_eq!(server.show(id).project, "demo");
}

#[test]
fn a_project_without_builds_goes_with_its_token_and_its_runners() {
    let server = Baton::with_project();
    let ci_token = server.project("other");
    let (own, shared) = (server.project_runner("other"), server.runner());
    let said = done(&server, &["project", "remove", "OTHER"]);
    assert_eq!(said, "removed project other: 0 builds, 0 B of logs, 0 B of artifacts, 1 runner\n");
    server.ask(&own).expect(403);
    server.ask(&shared).expect(204);
    server.send(Request::post("runners/register").json(&json!({"token": ci_token}))).expect(403);
    assert_eq!(projects(&server).len(), 1);
    assert_eq!(check(server.data()).unwrap().problems, []);
    // Its name is free, and its id is not used again.
    server.project("other");
    assert_eq!(projects(&server)[1]["id"], 3);
    assert_eq!(server.operator().list_runners().unwrap().len(), 1);
}

#[test]
fn a_project_with_builds_goes_only_by_force_and_then_with_all_of_them() {
    let server = Baton::with_project();
    server.project("other");
    let kept = server.queue(new_build("other"));
    let own = server.project_runner("demo");
    server.build();
    let ended = server.claim(&own);
    server.append(&ended, 0, "12345");
    server.send(upload(&ended, "a.zip", b"1234567")).expect(201);
    server.finish(&ended, "success");
    let first = server.build();
    server.build();
    let running = server.claim(&own);
    assert_eq!(running.id, first);
    let mut last = server.build_needing(&[running.id]);
    for _ in 0..500 {
        last = server.build_needing(&[last]);
    }
    let why = refused(&server, &["project", "remove", "demo"], 1);
    assert!(why.contains("504 builds, of which 503 have not ended") && why.contains("--force"), "{why}");
    assert_eq!((server.status(running.id), server.status(last)), (Status::Running, Status::Created));

    let said = done(&server, &["project", "remove", "demo", "--force", "--json"]);
    let expected = json!({"name": "demo", "builds": 504, "log_bytes": 5, "artifact_bytes": 7, "runners": 1});
    assert_eq!(serde_json::from_str::<Value>(&said).unwrap(), expected);
    let body = json!({"token": running.token, "state": "success"});
    let told = server.send(Request::put(&format!("builds/{}", running.id)).json(&body)).status;
    assert!([403, 404].contains(&told), "its runner gives up on {told}");
    server.ask(&own).expect(403);
    assert_eq!(server.files(), [""; 0]);
    assert_eq!(server.status(kept), Status::Pending);
    let checked = check(server.data()).unwrap();
    assert_eq!((checked.problems, checked.builds), (vec![], 1));
    assert!(server.queue(new_build("other")) > BuildId(505));
}

#[test]
fn a_runner_takes_what_it_is_set_to_take() {
    let server = Baton::with_project();
    let runner = server.runner_like(NewRunner { tags: tags("old"), ..new_runner() }, None);
    let id = runner.id.to_string();
    let tagged = server.queue(NewBuild { tags: tags("docker"), ..new_build("demo") });
    server.ask(&runner).expect(204);
    let words = ["runner", "set", &id, "--tags", "linux,docker", "--no-untagged", "--description", "in the cellar"];
    assert_eq!(done(&server, &words), format!("runner {id} is changed\n"));
    let row = server.runner_row(runner.id.0);
    assert_eq!((row.description.as_str(), row.tags, row.run_untagged), ("in the cellar", tags("docker,linux"), false));
    assert_eq!(server.claim(&runner).id, tagged);
    let untagged = server.build();
    server.ask(&runner).expect(204);
    done(&server, &["runner", "set", &id, "--untagged"]);
    assert_eq!(server.claim(&runner).id, untagged);
    done(&server, &["runner", "set", &id, "--tags", ""]);
    let before = server.runner_row(runner.id.0);
    assert!(before.tags.is_empty());
    for (words, status, part) in [
        (&["--no-untagged"][..], 1, "could take none"),
        (&["--untagged", "--no-untagged"], 2, "do not go together"),
        (&[], 2, "what to change is missing"),
        (&["--description", "a\tb"], 1, "control characters"),
        (&["--tags", ","], 2, "a tag is empty"),
        (&["--tags", "a b"], 2, "a tag has a blank"),
    ] {
        let why = refused(&server, &[&["runner", "set", &id], words].concat(), status);
        assert!(why.contains(part), "{words:?}: {why}");
    }
    let after = server.runner_row(runner.id.0);
    assert_eq!((after.description, after.tags, after.run_untagged), (before.description, before.tags, true));
    assert!(refused(&server, &["runner", "set", "99", "--untagged"], 1).contains("there is no runner 99"));
}

#[test]
fn who_changes_something_is_told_what_has_become_of_it() {
    let server = Baton::with_project();
    let (_, build) = server.running();
    let waiting = server.build();
    for (words, said) in [
        (&["build", "cancel", &waiting.to_string()][..], format!("build {waiting} is canceled\n")),
        (&["runner", "pause", "1"], "runner 1 is paused\n".to_owned()),
        (&["runner", "resume", "1"], "runner 1 takes builds again\n".to_owned()),
        (&["runner", "remove", "1"], "runner 1 is removed\n".to_owned()),
        (
            &["build", "erase", &build.id.to_string()],
            format!("build {} is erased: its log and its artifacts are gone\n", build.id),
        ),
    ] {
        assert_eq!(done(&server, words), said);
    }
}

#[test]
fn a_list_of_no_builds_says_whether_there_are_none_at_all() {
    let server = Baton::with_project();
    for (words, part) in [
        (&["build", "list"][..], "no builds yet"),
        (&["build", "list", "--status", "failed"], "no such builds"),
        (&["build", "list", "--project", "demo"], "no such builds"),
    ] {
        let output = baton(&server, words);
        assert!(output.status.success() && output.stdout.is_empty());
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains(part), "{words:?}: {said}");
    }
}

/// Where the same is wrong, the status is the same: 2 for words that mean nothing, whichever word it is.
#[test]
fn a_build_that_cannot_be_described_so_is_wrong_usage() {
    let server = Baton::with_project();
    let begin = ["build", "add", "--project", "demo", "--script", "true"];
    for rest in [
        &["--needs", "x"][..],
        &["--sha", "xyz"],
        &["--repo-url", "a.git"],
        &["--name", ""],
        &["--variable", "1=1"],
        &["--variable", "CI_BUILD_ID=1"],
        &["--image", "foo bar"],
        &["--tags", ","],
        &["--expire-in", "soon"],
    ] {
        refused(&server, &[&begin[..], rest].concat(), 2);
    }
    assert_eq!(done(&server, &["build", "list", "--json"]), "");
    // What there is not, is not there.
    refused(&server, &[&begin[..], &["--needs", "99"]].concat(), 1);
    refused(&server, &["build", "add", "--project", "dmeo", "--script", "true"], 1);
}

/// What a build gets by itself, an operator cannot give it.
#[test]
fn no_variable_that_a_build_gets_by_itself_can_be_given() {
    let server = Baton::with_project();
    server.queue(NewBuild { is_tag: true, variables: vec![], ..new_build("demo") });
    let build = server.claim(&server.runner());
    let free = ["CI", "GITLAB_CI", "GIT_STRATEGY"];
    let names = build.json["variables"].as_array().unwrap().iter().map(|variable| variable["key"].as_str().unwrap());
    let names: Vec<&str> = names.filter(|name| !free.contains(name)).collect();
    assert!(names.len() > 20, "{names:?}");
    for name in names {
        assert!(baton::domain::reserved::is_reserved(name), "{name}");
    }
}
