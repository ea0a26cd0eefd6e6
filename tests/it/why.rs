//! Why a build is where it is, and how the runners are, as the operator is told.

use crate::harness::*;
use baton::coordinator::Coordinator;
use baton::domain::build::{BuildId, NewBuild};
use baton::domain::spec::{ArtifactFormat, ArtifactKind, ArtifactsSpec, BuildSpec};
use baton::domain::time::Timestamp;
use baton::limits::Limits;
use baton::store::runners::NewRunner;
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

fn command(data: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_baton"));
    command.env_remove("BATON_DATA").env_remove("RUST_LOG").arg("--data").arg(data).args(arguments);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Why a build waits, `later` than now; an empty text if it does not.
fn why(operator: &Coordinator, id: BuildId, later: Duration) -> String {
    operator.show_build(id, Timestamp::now().plus(later)).unwrap().pending_reason.unwrap_or_default()
}

const NOW: Duration = Duration::ZERO;
const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn a_build_says_at_each_moment_why_it_waits() {
    let baton = Baton::with_project();
    let expect = |id, later, reason: &str| {
        let said = why(baton.operator(), id, later);
        assert!(said.contains(reason), "{said}");
    };
    let first = baton.queue(NewBuild { tags: tags("docker"), ..new_build("demo") });
    let second = baton.queue(NewBuild { tags: tags("docker"), ..new_build("demo") });
    let third = baton.build_needing(&[second]);
    expect(first, NOW, "no runner is registered");
    baton.project("other");
    let of_other = baton.project_runner("other");
    expect(first, NOW, "the only one, runner 1 (laptop), is kept to another");
    baton.runner();
    expect(first, NOW, "no runner has the tag docker; the nearest, runner 2 (laptop), lacks docker");
    let runner = baton.runner_like(NewRunner { tags: tags("docker"), ..new_runner() }, None);
    expect(first, NOW, "runner 3 (laptop), the only one that could take it, has never asked for work");
    baton.operator().pause_runner(runner.id, true).unwrap();
    expect(first, NOW, "runner 3 (laptop), the only one that could take it, is paused");
    baton.operator().pause_runner(runner.id, false).unwrap();
    let running = baton.claim(&runner);
    assert_eq!(running.id, first);
    expect(first, NOW, "");
    expect(second, NOW, &format!("runner 3 (laptop), the only one that could take it, is busy with build {first}"));
    expect(third, NOW, &format!("waits for build {second} (pending)"));
    expect(second, HOUR, "has not been seen since 20");
    baton.finish(&running, "success");
    expect(second, NOW, "could be taken any moment by runner 3 (laptop), which is online");
    baton.ask(&of_other).expect(204);
    let list = lines(&command(baton.data(), &["build", "list", "--json"]));
    let reasons: Vec<&Value> = list.iter().map(|build| &build["pending_reason"]).collect();
    let expected = [third, second].map(|id| why(baton.operator(), id, NOW));
    assert_eq!(json!(reasons), json!([expected[0], expected[1], null]));
}

/// An old runner gets every build; what it does not know is named before, and in the server's log.
#[test]
fn a_build_says_what_the_runners_do_not_know_that_may_take_it() {
    let baton = Baton::with_project();
    let reports = ArtifactsSpec {
        kind: ArtifactKind("junit".to_owned()),
        format: ArtifactFormat::Gzip,
        paths: vec!["j.xml".to_owned()],
        ..ArtifactsSpec::default()
    };
    let spec = BuildSpec { artifacts: vec![reports], ..BuildSpec::of_script("x") };
    let old = baton.runner();
    // It says what it is with its first question.
    baton.send(Speech::Old.ask(&old.token)).expect(204);
    let id = baton.queue(NewBuild { spec, ..new_build("demo") });
    let without = "; runner 1 (laptop) would run it without what it does not know: artifacts:reports";
    assert_eq!(
        why(baton.operator(), id, NOW),
        format!("could be taken any moment by runner 1 (laptop), which is online{without}")
    );
    let list = lines(&command(baton.data(), &["build", "list", "--json"]));
    assert!(list[0]["pending_reason"].as_str().unwrap().ends_with(without));
    let today = baton.runner();
    let info = json!({"name": "gitlab-runner", "version": "19.3.0", "features": {"upload_multiple_artifacts": true}});
    let verify = Request::post("/api/v4/runners/verify").json(&json!({"token": today.token, "info": info}));
    baton.send(verify).expect(200);
    assert!(!why(baton.operator(), id, NOW).contains("without"), "{}", why(baton.operator(), id, NOW));
    let build = claimed(&baton.send(Speech::Old.ask(&old.token)).expect(201));
    assert_eq!(build.id, id, "it is nobody's but who asks first");
    // While it runs, it says what it runs without.
    let show = |json: &[&str]| command(baton.data(), &[&["build", "show", "1"], json].concat());
    assert_eq!(lines(&show(&["--json"]))[0]["runs_without"], json!(["artifacts:reports"]));
    let shown = show(&[]);
    let line = shown.lines().find(|line| line.starts_with("without")).expect("a line");
    assert!(line.ends_with("artifacts:reports"), "{shown}");
    baton.finish(&build, "failed");
    assert!(!show(&[]).contains("without"));
}

/// Of several machines that share a token, the one counts that has the build.
#[test]
fn what_a_build_runs_without_is_what_its_manager_does_not_know() {
    let baton = Baton::with_project();
    let runner = baton.runner();
    let archive =
        ArtifactsSpec { paths: vec!["a".to_owned()], exclude: vec!["b".to_owned()], ..ArtifactsSpec::default() };
    let ask = |system_id: &str, feature: &str| {
        let spec = BuildSpec { artifacts: vec![archive.clone()], ..BuildSpec::of_script("x") };
        let id = baton.queue(NewBuild { spec, ..new_build("demo") });
        let info = json!({"name": "gitlab-runner", "version": "19.3.0", "features": {feature: true}});
        let body = json!({"token": runner.token, "system_id": system_id, "info": info});
        baton.send(Request::post("/api/v4/jobs/request").json(&body)).expect(201);
        id
    };
    let (knows, does_not) = (ask("s_1", "artifacts_exclude"), ask("s_2", "refspecs"));
    let without = |id| baton.operator().show_build(id, Timestamp::now()).unwrap().runs_without;
    assert_eq!((without(knows), without(does_not)), (vec![], vec!["artifacts:exclude"]));
}

#[test]
fn a_build_of_which_no_server_knows_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let operator = Coordinator::open(dir.path(), Limits::default()).unwrap();
    add_project(&operator, "demo");
    let id = queue(&operator, new_build("demo"));
    assert!(why(&operator, id, NOW).starts_with("no server runs"));
    let baton = Baton::start_in(dir, Limits::default());
    assert_eq!(why(&operator, id, NOW), "no runner is registered");
    drop(baton);
}

#[test]
fn the_list_of_runners_says_how_each_is_and_what_it_does() {
    let baton = Baton::with_project();
    let (first, second) = (baton.build(), baton.build());
    let busy = baton.runner();
    assert_eq!([baton.claim(&busy).id, baton.claim(&busy).id], [first, second]);
    let paused = baton.runner();
    baton.operator().pause_runner(paused.id, true).unwrap();
    let stale = baton.runner();
    baton.ask(&stale).expect(204);
    baton
        .database()
        .execute("UPDATE runners SET contacted_at = contacted_at - 3723000 WHERE id = ?1", [stale.id.0])
        .unwrap();
    baton.runner();
    let list = lines(&command(baton.data(), &["runner", "list", "--json"]));
    let of_all = |field: &str| json!(list.iter().map(|runner| &runner[field]).collect::<Vec<_>>());
    assert_eq!(of_all("state"), json!(["online", "paused", "stale", "never_seen"]));
    assert_eq!(of_all("builds"), json!([[first, second], [], [], []]));
    assert_eq!(of_all("paused"), json!([false, true, false, false]));
    assert!(list[0]["contacted_at"].is_string() && list[3]["contacted_at"].is_null());

    let table = command(baton.data(), &["runner", "list"]);
    let rows: Vec<String> = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    assert!(rows[1].starts_with("1 online 1,2 - yes all"), "{table}");
    assert!(rows[3].starts_with("3 stale - ") && rows[3].contains(" 1h 2m ago"), "{table}");
    assert!(rows[4].starts_with("4 never seen - ") && rows[4].ends_with(" - laptop"), "{table}");
}

/// A runner that takes one build at a time asks for no work while it has one, and is there all the same.
#[test]
fn a_runner_that_reports_on_its_build_is_online_however_long_it_has_not_asked() {
    let baton = Baton::with_project();
    let (_, build) = baton.running();
    let sql = "UPDATE runners SET contacted_at = contacted_at - 36000000";
    baton.database().execute(sql, []).unwrap();
    let state = || lines(&command(baton.data(), &["runner", "list", "--json"]))[0]["state"].clone();
    assert_eq!(state(), "online");
    baton.finish(&build, "success");
    assert_eq!(state(), "stale");
}

#[test]
fn the_status_says_how_things_stand_whether_or_not_a_server_runs() {
    let dir = tempfile::tempdir().unwrap();
    let status = |data: &Path| -> Value { serde_json::from_str(&command(data, &["status", "--json"])).unwrap() };
    command(dir.path(), &["runner", "token"]);
    let empty = status(dir.path());
    assert_eq!(empty["server"], json!({"running": false, "alive_at": null}));
    assert_eq!(empty["queue"], json!({"pending": 0, "created": 0, "oldest": null}));
    assert_eq!(empty["running"], json!({"builds": 0, "longest": null}));
    assert!(command(dir.path(), &["status"]).contains("server   does not run, and never has; `baton serve` starts it"));

    let baton = Baton::start_in(dir, Limits::default());
    baton.project("demo");
    let first = baton.build();
    let runner = baton.runner();
    let running = baton.claim(&runner);
    baton.send(upload(&running, "a.zip", b"12345")).expect(201);
    let second = baton.queue(NewBuild { tags: tags("a"), ..new_build("demo") });
    baton.build_needing(&[second]);
    let paused = baton.runner();
    baton.operator().pause_runner(paused.id, true).unwrap();
    let now = status(baton.data());
    assert_eq!(now["server"]["running"], true);
    assert!(now["server"]["alive_at"].is_string());
    assert_eq!((&now["queue"]["pending"], &now["queue"]["created"]), (&json!(1), &json!(1)));
    let oldest = &now["queue"]["oldest"];
    assert_eq!(
        (&oldest["id"], &oldest["project"], &oldest["name"]),
        (&json!(second), &json!("demo"), &json!("spinach"))
    );
    assert!(oldest["pending_reason"].as_str().unwrap().starts_with("no runner has the tag a;"), "{oldest}");
    assert!(oldest["since"].is_string() && oldest["age"].is_u64(), "{oldest}");
    let longest = &now["running"]["longest"];
    assert_eq!((&now["running"]["builds"], &longest["id"]), (&json!(1), &json!(first)));
    assert_eq!(longest["runner"], json!({"id": 1, "description": "laptop"}));
    assert_eq!(now["runners"], json!({"online": 1, "stale": 0, "paused": 1, "never_seen": 0}));
    assert_eq!(now["disk"]["artifact_bytes"], 5);
    assert!(["database_bytes", "wal_bytes", "free_bytes"].iter().all(|what| now["disk"][what].as_u64() > Some(0)));

    let text = command(baton.data(), &["status"]);
    let expected = [
        "server   runs\n".to_owned(),
        "queue    1 build, and 1 build that waits for others\n".to_owned(),
        format!("oldest   build {second} (spinach), for "),
        "running  1 build\n".to_owned(),
        format!("longest  build {first} (spinach), for "),
        "runners  1 online, 0 stale, 1 paused, 0 never seen\n".to_owned(),
        ", artifacts 5 B; ".to_owned(),
    ];
    for part in expected {
        assert!(text.contains(&part), "{part:?} in {text}");
    }
}
