//! Runners of API v4: `runners...`. Rows are those of section 9 of that protocol's reference. Those that do not apply:
//!
//! | rows | why |
//! | --- | --- |
//! | 5, 6, 26, 39 | no groups, no limit of runners, no conditional removal, no runners made by a page |
//! | 11, 14 | `locked` and `access_level` are taken and mean nothing |
//! | 18, 72 | the address is the peer's: a header may say anything |
//! | 22 | there is no switch for registration |
//! | 29 | a manager that is not known is 204: on 404 runners keep their configuration |
//! | 38, 41, 42 | tokens do not expire |

use crate::harness::http::Part;
use crate::harness::*;
use baton::coordinator::Claim;
use baton::domain::asker::{Asker, Manager, SystemId};
use baton::domain::build::{NewBuild, Status};
use baton::domain::runner::{Feature, RunnerId};
use baton::domain::time::Timestamp;
use baton::domain::token::Token;
use serde_json::{Value, json};

/// The answers that newer runners decode need exactly this.
const JSON: Option<&str> = Some("application/json");

fn v4(method: &str, path: &str) -> Request {
    Request::new(method, &format!("/api/v4/{path}"))
}

fn register(baton: &Baton, more: Value) -> Response {
    let mut body = object(more);
    body.insert("token".into(), baton.operator().registration_token(false).unwrap().into());
    baton.send(v4("POST", "runners").json(&body.into()))
}

/// Registers, and returns the row.
#[track_caller]
fn registered(baton: &Baton, more: Value) -> baton::domain::runner::Runner {
    let response = register(baton, more).expect(201);
    baton.runner_row(response.json()["id"].as_i64().unwrap())
}

fn managers(baton: &Baton, runner: RunnerId) -> Vec<Manager> {
    baton.operator().show_runner(runner).unwrap().1
}

fn verify(baton: &Baton, body: Value) -> Response {
    baton.send(v4("POST", "runners/verify").json(&body))
}

/// Makes the stored times of calls older than any step.
fn make_old(baton: &Baton) {
    let database = baton.database();
    database
        .execute_batch("UPDATE runners SET contacted_at = 1; UPDATE runner_managers SET contacted_at = 1;")
        .unwrap();
}

/// Rows 3, 12, 20.
#[test]
fn the_registration_token_makes_a_shared_runner_that_takes_everything() {
    let baton = Baton::with_project();
    let response = register(&baton, json!({})).expect(201);
    assert_eq!(response.header("Content-Type"), JSON);
    let json = response.json();
    assert_eq!(json["token_expires_at"], Value::Null);
    assert!(json.as_object().unwrap().contains_key("token_expires_at"));
    let token = json["token"].as_str().unwrap();
    assert!(token.len() >= 22 && !token.starts_with("glrt-"), "plain and random");
    assert_ne!(token, baton.operator().registration_token(false).unwrap());
    let row = baton.runner_row(json["id"].as_i64().unwrap());
    assert!(row.run_untagged && !row.paused && !row.locked && row.project.is_none());
    let id = baton.build();
    assert_eq!(claimed(&baton.send(ask(token)).expect(201)).id, id);
}

/// Row 4.
#[test]
fn a_projects_token_makes_a_runner_of_the_project_only() {
    let baton = Baton::start();
    let ci_token = baton.project("demo");
    let response = baton.send(v4("POST", "runners").json(&json!({"token": ci_token}))).expect(201);
    let row = baton.runner_row(response.json()["id"].as_i64().unwrap());
    assert_eq!(row.project.map(|(_, name)| name).as_deref(), Some("demo"));
}

/// Rows 1 and 2.
#[test]
fn registering_without_a_token_is_400_and_with_a_wrong_one_403() {
    let baton = Baton::start();
    let runner = baton.runner();
    for (body, status) in [
        (json!({}), 400),
        (json!({"token": ""}), 400),
        (json!({"token": null}), 400),
        (json!({"token": "wrong"}), 403),
        (json!({"token": runner.token}), 403),
    ] {
        baton.send(v4("POST", "runners").json(&body)).expect_error(status);
    }
    baton.send(v4("POST", "runners")).expect_error(400);
    assert_eq!(baton.operator().list_runners().unwrap().len(), 1);
}

/// Rows 7, 8, 9, 15, 16, 17, 19, and what runners say that means nothing here (11, 14).
#[test]
fn what_a_runner_says_at_registration_is_kept() {
    let baton = Baton::start();
    let row =
        registered(&baton, json!({"description": "in the cellar", "tag_list": "tag1, tag2", "run_untagged": false}));
    assert_eq!((row.description.as_str(), row.run_untagged), ("in the cellar", false));
    assert_eq!(row.tags, tags("tag1,tag2"));
    assert_eq!(registered(&baton, json!({"tag_list": ["tag1", "tag2"]})).tags, tags("tag1,tag2"));
    for (given, kept) in [(json!(9000), Some(9000)), (json!("9000"), Some(9000)), (json!(""), None), (json!(0), None)] {
        assert_eq!(registered(&baton, json!({"maximum_timeout": given})).maximum_timeout_s, kept, "{given}");
    }
    for name in ["maintenance_note", "maintainer_note"] {
        assert_eq!(registered(&baton, json!({name: "ask\nAda"})).maintenance_note, "ask\nAda");
    }
    for field in ["name", "version", "revision", "platform", "architecture"] {
        let row = registered(&baton, json!({"info": {field: "value-1.2"}}));
        assert_eq!(row.info.get(field), Some("value-1.2"), "{field}");
    }
    let row = registered(&baton, json!({"locked": true, "access_level": "ref_protected"}));
    assert!(!row.locked, "else it would get nothing");
}

/// Row 18, with the peer's address.
#[test]
fn the_address_that_a_runner_calls_from_is_kept() {
    let baton = Baton::start();
    assert_eq!(registered(&baton, json!({})).address.as_deref(), Some("127.0.0.1"));
    let runner = baton.runner();
    assert_eq!(baton.runner_row(runner.id.0).address, None);
    verify(&baton, json!({"token": runner.token, "system_id": "s_1"})).expect(200);
    assert_eq!(baton.runner_row(runner.id.0).address.as_deref(), Some("127.0.0.1"));
    assert_eq!(managers(&baton, runner.id)[0].address.as_deref(), Some("127.0.0.1"));
}

/// Rows 12 and 13.
#[test]
fn a_runner_that_registers_as_paused_gets_nothing_until_it_is_resumed() {
    let baton = Baton::with_project();
    for (said, paused) in [
        (json!({"active": false}), true),
        (json!({"active": true}), false),
        (json!({"paused": true}), true),
        (json!({"paused": false}), false),
        (json!({"paused": false, "active": false}), false),
    ] {
        assert_eq!(registered(&baton, said.clone()).paused, paused, "{said}");
    }
    let id = baton.build();
    let token = register(&baton, json!({"paused": true})).expect(201).json()["token"].as_str().unwrap().to_owned();
    baton.send(ask(&token)).expect_error(404);
    assert_eq!(baton.status(id), Status::Pending);
}

/// Rows 10 and 21, and what cannot be kept.
#[test]
fn a_registration_that_makes_no_sense_is_400_and_makes_nothing() {
    let baton = Baton::start();
    let many = |count: usize| (0..count).map(|n| format!("tag{n}")).collect::<Vec<_>>().join(",");
    for said in [
        json!({"run_untagged": false}),
        json!({"run_untagged": false, "tag_list": ""}),
        json!({"tag_list": many(51)}),
        json!({"maximum_timeout": "soon"}),
        json!({"maximum_timeout": -1}),
        json!({"maximum_timeout": [1]}),
        json!({"maintenance_note": "x".repeat(1025)}),
        json!({"maintenance_note": "\u{1b}[2J"}),
        json!({"description": "x".repeat(1025)}),
        json!({"paused": "perhaps"}),
    ] {
        register(&baton, said).expect_error(400);
    }
    assert!(baton.operator().list_runners().unwrap().is_empty());
    assert_eq!(registered(&baton, json!({"tag_list": many(50)})).tags.as_slice().len(), 50);
}

/// Rows 23 to 25.
#[test]
fn a_runner_removes_itself_with_204_and_nothing_in_it() {
    let baton = Baton::with_project();
    let (runner, build) = baton.running();
    let delete = |body: Value| baton.send(v4("DELETE", "runners").json(&body));
    delete(json!({})).expect_error(400);
    delete(json!({"token": "wrong"})).expect_error(403);
    delete(json!({"token": build.token})).expect_error(403);
    let gone = delete(json!({"token": runner.token})).expect(204);
    assert!(gone.body.is_empty());
    assert!(baton.operator().list_runners().unwrap().is_empty());
    assert_eq!(baton.status(build.id), Status::Failed);
    delete(json!({"token": runner.token})).expect_error(403);
}

/// Rows 27, 28, 30; and 29, where Baton differs.
#[test]
fn a_manager_that_leaves_takes_neither_the_runner_nor_the_others_with_it() {
    let baton = Baton::start();
    let runner = baton.runner();
    for system in ["s_1", "s_2"] {
        verify(&baton, json!({"token": runner.token, "system_id": system})).expect(200);
    }
    let delete = |body: Value| baton.send(v4("DELETE", "runners/managers").json(&body));
    delete(json!({"system_id": "s_1"})).expect_error(400);
    delete(json!({"token": runner.token})).expect_error(400);
    delete(json!({"token": runner.token, "system_id": ""})).expect_error(400);
    delete(json!({"token": "wrong", "system_id": "s_1"})).expect_error(403);
    assert_eq!(managers(&baton, runner.id).len(), 2);
    delete(json!({"token": runner.token, "system_id": "s_1"})).expect(204);
    delete(json!({"token": runner.token, "system_id": "s_1"})).expect(204);
    let left = managers(&baton, runner.id);
    assert_eq!(left.iter().map(|manager| manager.system_id.as_str()).collect::<Vec<_>>(), ["s_2"]);
    verify(&baton, json!({"token": runner.token})).expect(200);
}

/// Rows 31 to 35.
#[test]
fn a_good_token_is_verified_in_words_that_newer_runners_decode() {
    let baton = Baton::start();
    verify(&baton, json!({})).expect_error(400);
    verify(&baton, json!({"token": "wrong"})).expect_error(403);
    let plain = register(&baton, json!({})).expect(201).json()["token"].as_str().unwrap().to_owned();
    let telling = baton.runner();
    assert!(telling.token.starts_with("glrt-") && telling.token.len() >= 25);
    for token in [plain, telling.token] {
        let response = verify(&baton, json!({"token": token})).expect(200);
        assert_eq!(response.header("Content-Type"), JSON);
        let json = response.json();
        assert_eq!((&json["token"], &json["token_expires_at"]), (&json!(token), &Value::Null));
        assert!(json["id"].as_i64().is_some_and(|id| id > 0));
    }
}

/// Rows 36, 37, 50, 51.
#[test]
fn verifying_is_contact_of_the_runner_and_of_the_manager_that_it_names() {
    let baton = Baton::start();
    let runner = baton.runner();
    verify(&baton, json!({"token": runner.token})).expect(200);
    assert!(baton.runner_row(runner.id.0).contacted_at.is_some());
    assert!(managers(&baton, runner.id).is_empty());
    make_old(&baton);
    let info = json!({"version": "19.3.0", "features": {"refspecs": true}});
    verify(&baton, json!({"token": runner.token, "system_id": "s_1746f8786189", "info": info})).expect(200);
    let first = managers(&baton, runner.id);
    assert_eq!(first.len(), 1);
    assert_eq!((first[0].system_id.as_str(), first[0].info.get("version")), ("s_1746f8786189", Some("19.3.0")));
    assert!(first[0].info.has(Feature::Refspecs));
    make_old(&baton);
    verify(&baton, json!({"token": runner.token, "system_id": "s_1746f8786189"})).expect(200);
    let again = managers(&baton, runner.id);
    assert!(again.len() == 1 && again[0].id == first[0].id && again[0].contacted_at > Timestamp(1));
    assert_eq!(again[0].info.get("version"), Some("19.3.0"), "what is not said again stays");
    assert!(baton.runner_row(runner.id.0).contacted_at > Some(Timestamp(1)));
}

/// Runners from 15.10 to 18 say what they are when they register, and only their `system_id` when they verify.
#[test]
fn what_a_runner_said_when_it_registered_stays_until_its_managers_say_more() {
    let baton = Baton::start();
    let answer = register(&baton, json!({"info": {"version": "15.11.1"}})).expect(201).json();
    let (id, token) = (answer["id"].as_i64().unwrap(), answer["token"].as_str().unwrap());
    verify(&baton, json!({"token": token, "system_id": "s_1"})).expect(200);
    assert_eq!(baton.runner_row(id).info.get("version"), Some("15.11.1"));
    claim(&baton, &asker(token, "s_1", &[("version", "19.3.0")], &[]));
    assert_eq!(baton.runner_row(id).info.get("version"), Some("19.3.0"));
}

/// Rows 40 and 43.
#[test]
fn a_runner_gets_another_token_of_the_same_kind_and_the_old_one_is_void() {
    let baton = Baton::with_project();
    let reset = |body: Value| baton.send(v4("POST", "runners/reset_authentication_token").json(&body));
    reset(json!({})).expect_error(400);
    reset(json!({"token": "wrong"})).expect_error(403);
    let plain = register(&baton, json!({})).expect(201).json()["token"].as_str().unwrap().to_owned();
    for old in [plain, baton.runner().token] {
        // One that was told that there is nothing is remembered.
        baton.send(ask(&old)).expect(204);
        let response = reset(json!({"token": old})).expect(201);
        assert_eq!(response.header("Content-Type"), JSON);
        let json = response.json();
        let new = json["token"].as_str().unwrap();
        assert_eq!(json["token_expires_at"], Value::Null);
        assert!(new != old && new.starts_with("glrt-") == old.starts_with("glrt-"));
        verify(&baton, json!({"token": old})).expect_error(403);
        baton.send(ask(&old)).expect_error(403);
        reset(json!({"token": old})).expect_error(403);
        verify(&baton, json!({"token": new})).expect(200);
    }
}

#[test]
fn an_operators_reset_wants_a_token_that_nobody_has() {
    let baton = Baton::start();
    let runner = baton.runner();
    for id in [runner.id.0, 999] {
        let path = format!("runners/{id}/reset_authentication_token");
        baton.send(v4("POST", &path)).expect_error(401);
        baton.send(v4("POST", &path).header("PRIVATE-TOKEN", &runner.token)).expect_error(401);
    }
    verify(&baton, json!({"token": runner.token})).expect(200);
}

#[test]
fn there_is_no_router_of_jobs() {
    let baton = Baton::start();
    let answer = baton.send(v4("GET", "runners/router/discovery").header("RUNNER-TOKEN", &baton.runner().token));
    assert_eq!(answer.expect_error(501).json(), json!({"message": "501 Not Implemented"}));
}

/// An endpoint that wants a token: method, path, other parameters, what a good token gets.
type Wanting = (&'static str, &'static str, &'static [(&'static str, &'static str)], u16);

/// Those that want a runner's.
const ENDPOINTS: [Wanting; 4] = [
    ("POST", "runners/verify", &[], 200),
    ("POST", "runners/reset_authentication_token", &[], 201),
    ("DELETE", "runners/managers", &[("system_id", "s_1")], 204),
    ("DELETE", "runners", &[], 204),
];

#[test]
fn a_token_may_come_in_each_place_and_each_encoding_and_a_parameter_wins_over_the_header() {
    let baton = Baton::start();
    let registration = baton.operator().registration_token(false).unwrap();
    let new = || baton.runner().token;
    let all = [("POST", "runners", &[] as &[_], 201)].into_iter().chain(ENDPOINTS);
    for (method, path, others, status) in all {
        let good = || if path == "runners" && method == "POST" { registration.clone() } else { new() };
        let fields = |token: &str| -> Vec<(String, String)> {
            let others = others.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            others.chain((!token.is_empty()).then(|| ("token".to_owned(), token.to_owned()))).collect()
        };
        let with_query = |token: &str| {
            fields(token).iter().fold(v4(method, path), |request, (name, value)| request.query(name, value))
        };
        let form = |token: &str| {
            let fields = fields(token);
            let pairs: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            v4(method, path).form(&pairs)
        };
        let multipart = |token: &str| {
            let fields = fields(token);
            let parts: Vec<Part<'_>> = fields.iter().map(|(name, value)| Part::field(name, value)).collect();
            v4(method, path).multipart(&parts)
        };
        let json = |token: &str| v4(method, path).json(&fields(token).into_iter().collect());
        baton.send(with_query(&good())).expect(status);
        baton.send(form(&good())).expect(status);
        baton.send(multipart(&good())).expect(status);
        baton.send(json(&good())).expect(status);
        baton.send(json(&good()).chunked(3)).expect(status);
        baton.send(json("").header("RUNNER-TOKEN", &good())).expect(status);
        baton.send(with_query("").header("runner-token", &good())).expect(status);
        baton.send(json(&good()).header("RUNNER-TOKEN", "wrong")).expect(status);
        baton.send(json("wrong").header("RUNNER-TOKEN", &good())).expect_error(403);
        baton.send(json("")).expect_error(400);
    }
}

#[test]
fn a_known_path_with_another_method_is_405() {
    let baton = Baton::start();
    for (method, path, allow) in [
        ("PUT", "runners", "POST, DELETE, GET, HEAD"),
        ("POST", "runners/managers", "DELETE"),
        ("GET", "runners/verify", "POST"),
        ("DELETE", "runners/reset_authentication_token", "POST"),
        ("GET", "runners/7/reset_authentication_token", "POST"),
        ("POST", "runners/router/discovery", "GET, HEAD"),
    ] {
        assert_eq!(baton.send(v4(method, path)).expect_error(405).header("Allow"), Some(allow), "{path}");
    }
    baton.send(v4("POST", "runners/x/reset_authentication_token")).expect_error(404);
}

/// One who asks for work, as a manager.
fn asker(token: &str, system_id: &str, info: &[(&str, &str)], features: &[&str]) -> Asker {
    let mut asker = Asker { system_id: SystemId::received(system_id), ..Token::received(token).unwrap().into() };
    info.iter().for_each(|(name, value)| asker.info.set(name, value));
    features.iter().for_each(|feature| asker.info.set_feature(feature, true));
    asker
}

fn claim(baton: &Baton, asker: &Asker) -> Claim {
    baton.operator().claim_build(asker, None, Timestamp::now()).unwrap().wait().unwrap()
}

/// Row 71: of `config` nothing is kept here, and it may be anything.
#[test]
fn what_a_runner_is_configured_to_is_passed_over() {
    let baton = Baton::with_project();
    let runner = baton.runner();
    for config in [json!({"gpus": "all", "other": [1]}), json!({}), json!(null), json!("all"), json!([{"gpus": 1}])] {
        let info = json!({"name": "gitlab-runner", "config": config, "labels": {"gpus": "all"}});
        let body = json!({"token": runner.token, "system_id": "s_1", "info": info});
        baton.send(Request::post("/api/v4/jobs/request").json(&body)).expect(204);
    }
    let stored: String = baton.database().query_row("SELECT info FROM runner_managers", [], |row| row.get(0)).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&stored).unwrap(), json!({"name": "gitlab-runner"}));
}

/// Rows 67 to 70.
#[test]
fn each_word_that_a_manager_says_when_it_asks_is_kept_for_this_manager() {
    let baton = Baton::with_project();
    let runner = baton.runner();
    for (number, field) in ["name", "version", "revision", "platform", "architecture", "executor"].iter().enumerate() {
        claim(&baton, &asker(&runner.token, &format!("s_{number}"), &[(field, "value-1.2")], &[]));
        let all = managers(&baton, runner.id);
        let own = all.iter().find(|manager| manager.system_id == format!("s_{number}")).unwrap();
        assert_eq!(own.info.get(field), Some("value-1.2"), "{field}");
    }
    assert_eq!(managers(&baton, runner.id).len(), 6);
}

#[test]
fn a_build_is_for_the_manager_that_asked_and_not_for_what_another_one_can_do() {
    let baton = Baton::with_project();
    let runner = baton.runner();
    let new = asker(&runner.token, "s_new", &[("version", "19.3.0")], &["refspecs", "cancel_gracefully"]);
    let old = asker(&runner.token, "s_old", &[("version", "1.6.0")], &[]);
    claim(&baton, &new);
    let without_sources = baton.build();
    assert!(matches!(claim(&baton, &old), Claim::Nothing(..)), "a runner before 1.7 needs sources");
    let Claim::Build(assigned) = claim(&baton, &new) else { panic!("no build") };
    let told = assigned.runner.expect("a runner").info;
    assert_eq!((assigned.build.id, told.get("version")), (without_sources, Some("19.3.0")));
    assert!(told.has(Feature::CancelGracefully) && told.has(Feature::Refspecs) && !told.has(Feature::Masking));
    let sources = Some("https://git.test/demo.git".to_owned());
    baton.queue(NewBuild { repo_url: sources, ..new_build("demo") });
    let Claim::Build(assigned) = claim(&baton, &old) else { panic!("no build") };
    let told = assigned.runner.expect("a runner").info;
    assert_eq!(told.get("version"), Some("1.6.0"));
    assert!(!told.has(Feature::CancelGracefully));
    let (at_work, managers) = baton.operator().show_runner(runner.id).unwrap();
    let builds_of = |system: &str| {
        let manager = managers.iter().find(|manager| manager.system_id == system).unwrap();
        at_work.builds.iter().filter(|build| build.manager_id == Some(manager.id)).map(|build| build.id).collect()
    };
    assert_eq!((builds_of("s_new"), builds_of("s_old")), (vec![without_sources], vec![assigned.build.id]));
}

/// A runner's maximum shortens what the build may take, for the runner and for the server.
#[test]
fn a_runners_maximum_timeout_shortens_the_time_of_its_builds() {
    let baton = Baton::with_project();
    for (maximum, seconds) in [(json!(1000), 1000), (json!(2000), 1234), (json!(""), 1234)] {
        let response = register(&baton, json!({"maximum_timeout": maximum})).expect(201);
        let id = baton.queue(NewBuild { timeout_s: Some(1234), ..new_build("demo") });
        let build = claimed(&baton.send(ask(response.json()["token"].as_str().unwrap())).expect(201));
        assert_eq!((build.id, &build.json["timeout"]), (id, &json!(seconds)), "{maximum}");
        let until = |query: &str| -> i64 { baton.database().query_row(query, [id.0], |row| row.get(0)).unwrap() };
        assert_eq!(until("SELECT coalesce(run_timeout_s, timeout_s) FROM builds WHERE id = ?1"), seconds);
        baton.finish(&build, "success");
    }
}

#[test]
fn a_poll_that_changes_nothing_writes_nothing_however_many_managers_take_turns() {
    let baton = Baton::with_project();
    let runner = baton.runner();
    let askers = ["s_1", "s_2", "s_3"].map(|system| asker(&runner.token, system, &[("version", system)], &["masking"]));
    for _ in 0..2 {
        askers.iter().for_each(|asker| drop(claim(&baton, asker)));
    }
    let contacts = || managers(&baton, runner.id).into_iter().map(|it| it.contacted_at).collect::<Vec<_>>();
    let before = (contacts(), baton.runner_row(runner.id.0).contacted_at);
    for _ in 0..20 {
        askers.iter().for_each(|asker| assert!(matches!(claim(&baton, asker), Claim::Nothing(..))));
    }
    assert_eq!((contacts(), baton.runner_row(runner.id.0).contacted_at), before);
}

#[test]
fn a_runner_has_a_thousand_managers_at_most_and_the_silent_ones_go() {
    let baton = Baton::start();
    let runner = baton.runner();
    verify(&baton, json!({"token": runner.token, "system_id": "s_stays"})).expect(200);
    baton
        .database()
        .execute_batch(
            "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 999)
             INSERT INTO runner_managers (runner_id, system_id, info, contacted_at)
             SELECT (SELECT min(id) FROM runners), 's' || i, '{}', i FROM n",
        )
        .unwrap();
    let names = || managers(&baton, runner.id).into_iter().map(|it| it.system_id).collect::<Vec<_>>();
    assert_eq!(names().len(), 1000);
    for (new, gone) in [("s_new", "s1"), ("s_newer", "s2")] {
        assert!(names().iter().any(|name| name == gone));
        verify(&baton, json!({"token": runner.token, "system_id": new})).expect(200);
        let names = names();
        assert_eq!(names.len(), 1000);
        assert!(["s_stays", new].iter().all(|name| names.iter().any(|own| own == name)));
        assert!(!names.iter().any(|name| name == gone));
    }
    let long = format!("{}\n\u{1b}[2J", "x".repeat(5000));
    verify(&baton, json!({"token": runner.token, "system_id": long})).expect(200);
    assert_eq!(names()[0].len(), 64);
}

#[test]
fn odd_words_of_a_runner_about_itself_are_no_reason_to_refuse_it() {
    let baton = Baton::start();
    for (info, features) in [
        (json!(null), ""),
        (json!({"features": null}), ""),
        (json!({"features": []}), ""),
        (json!({"features": "all"}), ""),
        (
            json!({"features": {"refspecs": {"a": 1}, "masking": [true], "unknown": true, "trace_size": 1}}),
            "trace_size",
        ),
        (json!({"features": {"version": "7", "refspecs": true, "masking": false}, "version": "1"}), "refspecs"),
        (json!({"config": {"gpus": "", "version": "8"}, "labels": {"refspecs": "true"}, "version": "1"}), ""),
    ] {
        let row = registered(&baton, json!({ "info": info }));
        assert_eq!(row.info.features().collect::<Vec<_>>().join(" "), features, "{info}");
        assert_ne!(row.info.get("version").unwrap_or("1"), "7", "{info}");
        assert_ne!(row.info.get("version").unwrap_or("1"), "8", "{info}");
    }
    let token = baton.operator().registration_token(false).unwrap();
    let form = [("token", token.as_str()), ("info[version]", "1"), ("info[features][refspecs]", "true")];
    let response = baton.send(v4("POST", "runners").form(&form)).expect(201);
    let row = baton.runner_row(response.json()["id"].as_i64().unwrap());
    assert!(row.info.has(Feature::Refspecs), "{:?}", row.info);
}
