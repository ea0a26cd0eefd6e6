//! `POST runners/register` and `DELETE runners/delete`: rows 78 to 91.

use crate::harness::*;
use baton::domain::build::Status;
use serde_json::{Value, json};

/// Registers with the installation's token and these further fields.
fn register(baton: &Baton, fields: Value) -> Response {
    let mut body = object(fields);
    body.insert("token".to_owned(), json!(baton.operator().registration_token(false).unwrap()));
    baton.send(Request::post("runners/register.json").json(&Value::Object(body)))
}

fn id_of(response: &Response) -> i64 {
    response.json()["id"].as_i64().expect("an id")
}

/// Row 78.
#[test]
fn the_registration_token_makes_a_shared_runner() {
    let baton = Baton::with_project();
    let response = register(&baton, json!({})).expect(201);
    let token = response.json()["token"].as_str().unwrap().to_owned();
    assert_ne!(token, baton.operator().registration_token(false).unwrap());
    let row = baton.runner_row(id_of(&response));
    assert!(row.run_untagged && !row.locked && !row.paused && row.project.is_none() && row.tags.is_empty());
    let id = baton.build();
    assert_eq!(claimed(&baton.send(ask(&token)).expect(201)).id, id);
}

/// Row 79.
#[test]
fn a_description_is_kept() {
    let baton = Baton::start();
    for description in ["server.hostname", "", "Büro, 2. Stock"] {
        let response = register(&baton, json!({"description": description})).expect(201);
        assert_eq!(baton.runner_row(id_of(&response)).description, description);
    }
}

/// Row 80; real runners send one text, the server takes an array too.
#[test]
fn tags_come_as_a_text_or_an_array() {
    let baton = Baton::start();
    for list in [json!("tag1, tag2"), json!("tag2,tag1"), json!(["tag1", "tag2"]), json!(" tag1 ,, tag2 ")] {
        let response = register(&baton, json!({"tag_list": list})).expect(201);
        assert_eq!(baton.runner_row(id_of(&response)).tags, tags("tag1,tag2"), "{list}");
    }
    for none in [json!(""), json!([]), json!(null)] {
        let response = register(&baton, json!({"tag_list": none})).expect(201);
        assert!(baton.runner_row(id_of(&response)).tags.is_empty(), "{none}");
    }
}

/// Row 81.
#[test]
fn a_runner_with_tags_may_refuse_untagged_builds() {
    let baton = Baton::with_project();
    let response = register(&baton, json!({"run_untagged": false, "tag_list": "tag"})).expect(201);
    let row = baton.runner_row(id_of(&response));
    assert!(!row.run_untagged);
    assert_eq!(row.tags, tags("tag"));
    baton.build();
    baton.send(ask(response.json()["token"].as_str().unwrap())).expect(204);
}

/// Row 82.
#[test]
fn a_runner_that_could_take_nothing_is_404() {
    let baton = Baton::start();
    register(&baton, json!({"run_untagged": false})).expect_error(404);
    register(&baton, json!({"run_untagged": false, "tag_list": ""})).expect_error(404);
    assert!(baton.operator().list_runners().unwrap().is_empty());
}

/// Row 83.
#[test]
fn a_projects_token_makes_a_runner_of_the_project() {
    let baton = Baton::start();
    let ci_token = baton.project("demo");
    let response = baton.send(Request::post("runners/register.json").json(&json!({"token": ci_token}))).expect(201);
    let token = response.json()["token"].as_str().unwrap().to_owned();
    assert!(token != ci_token && token != baton.operator().registration_token(false).unwrap());
    let (_, project) = baton.runner_row(id_of(&response)).project.expect("a project");
    assert_eq!(project, "demo");
}

#[test]
fn a_locked_runner_keeps_to_its_project() {
    let baton = Baton::start();
    let ci_token = baton.project("demo");
    let body = json!({"token": ci_token, "locked": true});
    let response = baton.send(Request::post("runners/register.json").json(&body)).expect(201);
    assert!(baton.runner_row(id_of(&response)).locked);
    let id = baton.build();
    assert_eq!(claimed(&baton.send(ask(response.json()["token"].as_str().unwrap())).expect(201)).id, id);
}

/// Rows 84 and 85.
#[test]
fn a_wrong_token_is_403_and_none_is_400() {
    let baton = Baton::start();
    let post = |body: Value| baton.send(Request::post("runners/register.json").json(&body));
    post(json!({"token": "invalid"})).expect_error(403);
    post(json!({})).expect_error(400);
    post(json!({"description": "no token"})).expect_error(400);
    baton.send(Request::post("runners/register")).expect_error(400);
    assert!(baton.operator().list_runners().unwrap().is_empty());
}

/// Rows 86 to 90.
#[test]
fn what_a_runner_says_of_itself_is_kept_at_registration() {
    let baton = Baton::start();
    for field in ["name", "version", "revision", "platform", "architecture"] {
        let response = register(&baton, json!({"info": {field: "value-1.2"}})).expect(201);
        assert_eq!(baton.runner_row(id_of(&response)).info.get(field), Some("value-1.2"), "{field}");
    }
}

#[test]
fn run_untagged_may_be_said_in_the_words_of_a_form() {
    let baton = Baton::start();
    let token = baton.operator().registration_token(false).unwrap();
    for (word, run_untagged) in [("true", true), ("false", false), ("1", true), ("0", false)] {
        let form = [("token", token.as_str()), ("tag_list", "tag"), ("run_untagged", word)];
        let response = baton.send(Request::post("runners/register").form(&form)).expect(201);
        assert_eq!(baton.runner_row(id_of(&response)).run_untagged, run_untagged, "{word}");
    }
}

/// Row 91.
#[test]
fn a_runner_can_remove_itself() {
    let baton = Baton::start();
    let runner = baton.runner();
    let delete = || baton.send(Request::delete("runners/delete").json(&json!({"token": runner.token})));
    delete().expect(200);
    assert!(baton.operator().list_runners().unwrap().is_empty());
    delete().expect_error(403);
    baton.ask(&runner).expect_error(403);
    baton.send(Request::delete("runners/delete").json(&json!({}))).expect_error(400);
    baton.send(Request::delete("runners/delete").json(&json!({"token": "wrong"}))).expect_error(403);
}

#[test]
fn a_runner_that_removes_itself_fails_its_build() {
    let baton = Baton::with_project();
    let (runner, build) = baton.running();
    baton.send(Request::delete("runners/delete").json(&json!({"token": runner.token}))).expect(200);
    assert_eq!(baton.status(build.id), Status::Failed);
}

#[test]
fn every_registration_makes_a_runner_of_its_own() {
    let baton = Baton::start();
    let mut seen = std::collections::HashSet::new();
    for _ in 0..3 {
        let response = register(&baton, json!({"description": "same"})).expect(201);
        assert!(seen.insert(response.json()["token"].as_str().unwrap().to_owned()));
    }
    assert_eq!(baton.operator().list_runners().unwrap().len(), 3);
}
