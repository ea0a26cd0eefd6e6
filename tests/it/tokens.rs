//! Every token in every place (design, Tokens): where it is accepted, where it is not, and what the refusal tells.

use crate::harness::*;
use baton::domain::build::{BuildId, NewBuild};
use serde_json::json;

/// Two projects, and in the first: a finished build, one that runs and needs it, one that needed it and ended.
struct World {
    baton: Baton,
    /// Counts the projects, of which every cell of a table has its own.
    projects: std::cell::Cell<u32>,
}

struct Scene {
    /// The build that the tables speak of while it runs.
    running: Claimed,
    /// The one that they speak of when it has ended; with artifacts.
    ended: Claimed,
    /// Runs, and needs `ended`.
    dependent: Claimed,
    /// Has run, and needed `ended`.
    ended_dependent: Claimed,
    runner: TestRunner,
    other_runner: TestRunner,
    ci_token: String,
    old_ci_token: String,
    other_ci_token: String,
    registration_token: String,
}

impl World {
    fn new() -> World {
        World { baton: Baton::start(), projects: std::cell::Cell::new(0) }
    }

    fn scene(&self) -> Scene {
        let baton = &self.baton;
        let number = self.projects.get();
        self.projects.set(number + 1);
        let (name, other) = (format!("demo{number}"), format!("other{number}"));
        let (old_ci_token, other_ci_token) = (baton.project(&name), baton.project(&other));
        let ci_token = baton.operator().project_token(&name, true).unwrap();
        let (runner, other_runner) = (baton.project_runner(&name), baton.project_runner(&name));
        let next = |runner: &TestRunner, needs: &[BuildId]| {
            let id = baton.queue(NewBuild { needs: needs.to_vec(), ..new_build(&name) });
            let build = baton.claim(runner);
            assert_eq!(build.id, id);
            build
        };
        let ended = next(&runner, &[]);
        baton.send(upload(&ended, "x.zip", b"content")).expect(201);
        baton.finish(&ended, "success");
        let ended_dependent = next(&other_runner, &[ended.id]);
        baton.finish(&ended_dependent, "failed");
        let dependent = next(&other_runner, &[ended.id]);
        let running = next(&runner, &[]);
        baton.send(upload(&running, "x.zip", b"content")).expect(201);
        let registration_token = baton.operator().registration_token(false).unwrap();
        Scene {
            running,
            ended,
            dependent,
            ended_dependent,
            runner,
            other_runner,
            ci_token,
            old_ci_token,
            other_ci_token,
            registration_token,
        }
    }
}

/// A token, by what it is.
type Holder = (&'static str, fn(&Scene) -> String);

const HOLDERS: [Holder; 12] = [
    ("the registration token", |scene| scene.registration_token.clone()),
    ("the project's CI token", |scene| scene.ci_token.clone()),
    ("the project's CI token before it was reset", |scene| scene.old_ci_token.clone()),
    ("another project's CI token", |scene| scene.other_ci_token.clone()),
    ("the runner that has the builds", |scene| scene.runner.token.clone()),
    ("another runner", |scene| scene.other_runner.token.clone()),
    ("the running build's token", |scene| scene.running.token.clone()),
    ("the ended build's token", |scene| scene.ended.token.clone()),
    ("the token of a running build that needs the ended one", |scene| scene.dependent.token.clone()),
    ("the token of an ended build that needed the ended one", |scene| scene.ended_dependent.token.clone()),
    ("garbage", |_| "no-such-token-anywhere-0123456789".to_owned()),
    ("a token that is too long to be one", |_| "a".repeat(3000)),
];

/// A request of a scene, without its token.
type Call = fn(&Scene) -> Request;

const FILE: &[u8] = b"content";

fn put(id: BuildId) -> Request {
    Request::put(&format!("builds/{id}")).query("state", "running")
}

fn patch_empty(id: BuildId) -> Request {
    Request::patch(&format!("builds/{id}/trace.txt")).header("Content-Range", "0-0")
}

fn post_file(id: BuildId) -> Request {
    Request::post(&format!("builds/{id}/artifacts")).multipart(&[Part::file("y.zip", FILE)])
}

/// Endpoint, request, and the status for each of [`HOLDERS`], then for no token at all.
const TABLE: [(&str, Call, [u16; 13]); 15] = [
    //                                                            reg  ci  old  oci run orun own end dep edep gar long none
    (
        "PUT of the running build",
        |s| put(s.running.id),
        [403, 200, 403, 404, 200, 404, 200, 403, 403, 403, 403, 403, 403],
    ),
    ("PATCH of it", |s| patch_empty(s.running.id), [403, 202, 403, 403, 202, 403, 202, 403, 403, 403, 403, 403, 403]),
    (
        "POST of its artifacts",
        |s| post_file(s.running.id),
        [403, 201, 403, 403, 201, 403, 201, 403, 403, 403, 403, 403, 403],
    ),
    (
        "authorize for it",
        |s| Request::post(&format!("builds/{}/artifacts/authorize", s.running.id)),
        [403, 200, 403, 403, 200, 403, 200, 403, 403, 403, 403, 403, 403],
    ),
    (
        "GET of its artifacts",
        |s| Request::get(&format!("builds/{}/artifacts", s.running.id)),
        [403, 200, 403, 403, 200, 403, 200, 403, 403, 403, 403, 403, 403],
    ),
    (
        "DELETE of its artifacts",
        |s| Request::delete(&format!("builds/{}/artifacts", s.running.id)),
        [403, 200, 403, 403, 200, 403, 200, 403, 403, 403, 403, 403, 403],
    ),
    ("PUT of the ended build", |s| put(s.ended.id), [403, 404, 403, 404, 404, 404, 403, 404, 403, 403, 403, 403, 403]),
    ("PATCH of it", |s| patch_empty(s.ended.id), [403; 13]),
    ("POST of its artifacts", |s| post_file(s.ended.id), [403; 13]),
    ("authorize for it", |s| Request::post(&format!("builds/{}/artifacts/authorize", s.ended.id)), [403; 13]),
    (
        "GET of its artifacts",
        |s| Request::get(&format!("builds/{}/artifacts", s.ended.id)),
        [403, 200, 403, 403, 200, 403, 403, 200, 200, 403, 403, 403, 403],
    ),
    (
        "DELETE of its artifacts",
        |s| Request::delete(&format!("builds/{}/artifacts", s.ended.id)),
        [403, 200, 403, 403, 200, 403, 403, 200, 403, 403, 403, 403, 403],
    ),
    (
        "builds/register",
        |_| Request::post("builds/register"),
        [403, 403, 403, 403, 404, 404, 403, 403, 403, 403, 403, 403, 403],
    ),
    (
        "runners/register",
        |_| Request::post("runners/register"),
        [201, 201, 403, 201, 403, 403, 403, 403, 403, 403, 403, 403, 400],
    ),
    (
        "runners/delete",
        |_| Request::delete("runners/delete"),
        [403, 403, 403, 403, 200, 200, 403, 403, 403, 403, 403, 403, 400],
    ),
];

/// Whether this request changes what the next would be answered.
fn spends_the_scene(endpoint: &str, status: u16) -> bool {
    (endpoint.starts_with("DELETE") || endpoint == "runners/delete") && status == 200
}

#[test]
fn each_token_opens_what_it_may_and_nothing_else() {
    let world = World::new();
    let mut scene = world.scene();
    let mut wrong = Vec::new();
    for (endpoint, call, statuses) in TABLE {
        for ((holder, token), expected) in HOLDERS.iter().zip(statuses) {
            let token = token(&scene);
            let response = world.baton.send(call(&scene).query("token", &token));
            if response.status != expected {
                wrong.push(format!("{endpoint} with {holder}: {} instead of {expected}", response.status));
            }
            if response.status >= 400 {
                let told = format!("{:?} {}", response.headers, response.text());
                assert!(!told.contains(&token), "{endpoint} with {holder} repeats the token: {told}");
            }
            if spends_the_scene(endpoint, response.status) {
                scene = world.scene();
            }
        }
        let response = world.baton.send(call(&scene));
        if response.status != statuses[12] {
            wrong.push(format!("{endpoint} without token: {} instead of {}", response.status, statuses[12]));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_header_opens_what_the_parameter_opens() {
    let world = World::new();
    let mut scene = world.scene();
    let mut wrong = Vec::new();
    // Runners' own calls have no header in the protocol, but one way in is as good as the other.
    for (endpoint, call, statuses) in &TABLE[..12] {
        for ((holder, token), expected) in HOLDERS.iter().zip(statuses) {
            let response = world.baton.send(call(&scene).build_token(&token(&scene)));
            if response.status != *expected {
                wrong.push(format!("{endpoint} with {holder}: {} instead of {expected}", response.status));
            }
            if spends_the_scene(endpoint, response.status) {
                scene = world.scene();
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_parameter_wins_over_the_header() {
    let world = World::new();
    let mut scene = world.scene();
    for (endpoint, call, statuses) in &TABLE[..6] {
        let good = &scene.running.token;
        let refused = call(&scene).query("token", "wrong").build_token(good);
        assert_eq!(world.baton.send(refused).status, 403, "{endpoint}");
        let passed = call(&scene).query("token", good).build_token("wrong");
        assert_eq!(world.baton.send(passed).status, statuses[6], "{endpoint}");
        if spends_the_scene(endpoint, statuses[6]) {
            scene = world.scene();
        }
    }
}

/// Which project or build a token is of must not show where nothing may be done with it.
#[test]
fn refusals_do_not_differ_by_token() {
    let world = World::new();
    let scene = world.scene();
    let path = format!("builds/{}/artifacts", scene.running.id);
    let told: Vec<_> = [scene.registration_token.as_str(), &scene.other_ci_token, &scene.dependent.token, "garbage"]
        .into_iter()
        .map(|token| world.baton.send(Request::get(&path).build_token(token)).expect_error(403).text())
        .collect();
    assert!(told.iter().all(|text| *text == told[0]), "{told:?}");
}

#[test]
fn a_reset_registration_token_registers_and_the_old_one_does_not() {
    let baton = Baton::start();
    let old = baton.operator().registration_token(false).unwrap();
    let new = baton.operator().registration_token(true).unwrap();
    baton.send(Request::post("runners/register").json(&json!({"token": old}))).expect_error(403);
    baton.send(Request::post("runners/register").json(&json!({"token": new}))).expect(201);
}

/// Tokens of ended builds and runners are kept as hashes.
#[test]
fn tokens_that_need_only_be_checked_are_not_in_the_file() {
    let baton = Baton::with_project();
    let (runner, build) = baton.running();
    baton.finish(&build, "success");
    let database = baton.database();
    database.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    let tokens: i64 =
        database.query_row("SELECT count(*) FROM builds WHERE token IS NOT NULL", [], |row| row.get(0)).unwrap();
    assert_eq!(tokens, 0);
    let bytes = std::fs::read(baton.data().join("baton.db")).unwrap();
    let contains = |text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(!contains(&runner.token), "the runner's token is readable");
}
