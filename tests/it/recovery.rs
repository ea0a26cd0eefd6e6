//! What the server mends by itself: builds whose runners are gone end, what expired or was left by a crash goes. Time
//! is an argument of the deeds, so that nobody waits for it.

use crate::harness::*;
use baton::coordinator::{Claim, Coordinator, Swept};
use baton::domain::build::{BuildId, FailureReason, NewBuild, Status};
use baton::domain::spec::ArtifactKind;
use baton::domain::time::Timestamp;
use baton::domain::token::{Shown, Token};
use baton::limits::Limits;
use baton::server::{Config, Server};
use serde_json::json;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const RUNNER_TIMEOUT_S: u64 = 100;
const GRACE_S: u64 = 50;
/// The stored time of the last call may be older than the call by so much.
const STEP_S: u64 = RUNNER_TIMEOUT_S / 10;

fn limits() -> Limits {
    Limits {
        runner_timeout: Duration::from_secs(RUNNER_TIMEOUT_S),
        timeout_grace: Duration::from_secs(GRACE_S),
        ..Limits::default()
    }
}

fn server() -> Baton {
    let baton = Baton::with_limits(limits());
    baton.project("demo");
    baton
}

fn after(start: Timestamp, seconds: u64) -> Timestamp {
    start.plus(Duration::from_secs(seconds))
}

fn lost(count: usize) -> Swept {
    Swept { runner_lost: count, ..Swept::default() }
}

fn timed_out(count: usize) -> Swept {
    Swept { timed_out: count, ..Swept::default() }
}

fn reason(operator: &Coordinator, id: BuildId) -> Option<FailureReason> {
    operator.show_build(id, Timestamp::now()).unwrap().build.failure_reason
}

/// A data directory without a server, with project `demo`.
fn unserved(data: &Path) -> Coordinator {
    let coordinator = Coordinator::open(data, limits()).unwrap();
    add_project(&coordinator, "demo");
    coordinator
}

/// A build that a runner has got at this time.
fn running_since(coordinator: &Coordinator, new: NewBuild, now: Timestamp) -> BuildId {
    queue(coordinator, new);
    let runner = coordinator.add_runner(new_runner(), None, now).unwrap();
    let claim = coordinator.claim_build(&runner.token.into(), None, now);
    let Ok(Claim::Build(assigned)) = claim.unwrap().wait() else { panic!("no build") };
    assigned.build.id
}

#[test]
fn a_build_of_a_silent_runner_fails_as_lost_and_what_waits_for_it_is_skipped() {
    let baton = server();
    let (_, build) = baton.running();
    let waiting = baton.build_needing(&[build.id]);
    let waiting_for_that = baton.build_needing(&[waiting]);
    let seen = Timestamp::now();
    let in_time = after(seen, RUNNER_TIMEOUT_S);
    assert_eq!(baton.operator().sweep(in_time).unwrap(), Swept::default());
    assert_eq!(baton.operator().sweep(after(seen, RUNNER_TIMEOUT_S + STEP_S + 1)).unwrap(), lost(1));
    assert_eq!(baton.status(build.id), Status::Failed);
    assert_eq!(reason(baton.operator(), build.id), Some(FailureReason::RunnerLost));
    assert_eq!((baton.status(waiting), baton.status(waiting_for_that)), (Status::Skipped, Status::Skipped));
    // A runner that comes back is told.
    let response = baton.send(patch(&build, 0, b"x")).expect_error(403);
    assert_eq!(response.header("Build-Status"), Some("failed"));
    let report = json!({"token": build.token, "state": "success"});
    baton.send(Request::put(&format!("builds/{}", build.id)).json(&report)).expect_error(404);
    assert_eq!(baton.operator().sweep(after(seen, 10 * RUNNER_TIMEOUT_S)).unwrap(), Swept::default());
}

#[test]
fn a_build_past_its_timeout_and_the_grace_fails_as_timed_out_and_what_waits_for_it_is_skipped() {
    let baton = server();
    let id = baton.queue(NewBuild { timeout_s: Some(20), ..new_build("demo") });
    baton.claim(&baton.runner());
    let waiting = baton.build_needing(&[id]);
    let started = baton.show(id).started_at.unwrap();
    assert_eq!(baton.operator().sweep(after(started, 20 + GRACE_S)).unwrap(), Swept::default());
    assert_eq!(baton.operator().sweep(after(started, 20 + GRACE_S + 1)).unwrap(), timed_out(1));
    assert_eq!(reason(baton.operator(), id), Some(FailureReason::TimedOut));
    assert_eq!(baton.status(waiting), Status::Skipped);
}

/// A retry of what was lost is an ordinary build.
#[test]
fn a_lost_build_can_be_retried() {
    let baton = server();
    let (runner, build) = baton.running();
    baton.operator().sweep(after(Timestamp::now(), 1000)).unwrap();
    let again = baton.operator().retry_build(build.id, Timestamp::now()).unwrap();
    assert_eq!(baton.claim(&runner).id, again);
}

/// A call about a build, and whether it is refused.
type Call = (&'static str, fn(&Claimed) -> Request, u16);

#[test]
fn reports_are_signs_of_life() {
    let calls: [Call; 6] = [
        ("a patch", |build| patch(build, 0, b"log"), 202),
        ("an empty patch", |build| patch(build, 0, b""), 202),
        ("a state", |build| put(build, json!({"state": "running"})), 200),
        ("a whole log", |build| put(build, json!({"state": "running", "trace": "log"})), 200),
        ("the wish to upload", |build| artifacts("POST", build, "/authorize"), 200),
        ("an upload", |build| upload(build, "x.zip", b"x"), 201),
    ];
    let baton = server();
    for (name, call, status) in calls {
        assert!(is_sign_of_life(&baton, call, status), "{name}");
    }
}

fn put(build: &Claimed, mut body: serde_json::Value) -> Request {
    body["token"] = json!(build.token);
    Request::put(&format!("builds/{}", build.id)).json(&body)
}

fn artifacts(method: &str, build: &Claimed, beyond: &str) -> Request {
    Request::new(method, &format!("builds/{}/artifacts{beyond}", build.id)).build_token(&build.token)
}

/// Whether a runner that was about to be given up is not, after this call.
fn is_sign_of_life(baton: &Baton, call: fn(&Claimed) -> Request, status: u16) -> bool {
    let (_, build) = baton.running();
    let silent_ms = (RUNNER_TIMEOUT_S * 1000).cast_signed();
    let database = baton.database();
    database.execute("UPDATE builds SET seen_at = seen_at - ?1 WHERE id = ?2", [silent_ms, build.id.0]).unwrap();
    baton.send(call(&build)).expect(status);
    baton.operator().sweep(after(Timestamp::now(), STEP_S + 1)).unwrap();
    baton.status(build.id) == Status::Running
}

#[test]
fn a_server_sweeps_when_it_starts() {
    let dir = tempfile::tempdir().unwrap();
    let coordinator = unserved(dir.path());
    let long_ago = Timestamp(Timestamp::now().0 - 1_000_000);
    let silent = running_since(&coordinator, new_build("demo"), long_ago);
    let late = running_since(&coordinator, NewBuild { timeout_s: Some(1), ..new_build("demo") }, long_ago);
    drop(coordinator);
    let baton = Baton::start_in(dir, limits());
    assert_eq!(reason(baton.operator(), silent), Some(FailureReason::RunnerLost));
    assert_eq!(reason(baton.operator(), late), Some(FailureReason::TimedOut));
}

#[test]
fn a_server_sweeps_while_it_serves() {
    let baton = Baton::with_limits(Limits { runner_timeout: Duration::from_millis(200), ..Limits::default() });
    baton.project("demo");
    let (_, build) = baton.running();
    let deadline = Instant::now() + Duration::from_secs(120);
    while baton.status(build.id) == Status::Running {
        assert!(Instant::now() < deadline, "nobody sweeps");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(reason(baton.operator(), build.id), Some(FailureReason::RunnerLost));
}

#[test]
fn a_time_without_a_server_does_not_count_against_runners() {
    let dir = tempfile::tempdir().unwrap();
    let began = Timestamp::now();
    let (down, up) = (after(began, 60), after(began, 100_000));
    let before = unserved(dir.path());
    before.begin_serving(began).unwrap();
    let silent = running_since(&before, NewBuild { timeout_s: Some(1_000_000), ..new_build("demo") }, began);
    let late = running_since(&before, NewBuild { timeout_s: Some(1000), ..new_build("demo") }, began);
    before.say_alive(down).unwrap();
    drop(before);

    let coordinator = Coordinator::open(dir.path(), limits()).unwrap();
    coordinator.begin_serving(up).unwrap();
    assert_eq!(coordinator.sweep(up).unwrap(), Swept::default());
    // A minute of the silence was with a server.
    let patience = RUNNER_TIMEOUT_S + STEP_S - 60;
    assert_eq!(coordinator.sweep(after(up, GRACE_S.min(patience))).unwrap(), Swept::default());
    assert_eq!(coordinator.sweep(after(up, patience + 1)).unwrap(), Swept { timed_out: 1, ..lost(1) });
    assert_eq!(reason(&coordinator, silent), Some(FailureReason::RunnerLost));
    assert_eq!(reason(&coordinator, late), Some(FailureReason::TimedOut));
}

/// A server that starts after a long time, is killed, and starts once more.
#[test]
fn a_second_start_does_not_take_back_the_time_that_the_first_gave() {
    let dir = tempfile::tempdir().unwrap();
    let began = Timestamp::now();
    let up = after(began, 100_000);
    let before = unserved(dir.path());
    before.begin_serving(began).unwrap();
    let late = running_since(&before, NewBuild { timeout_s: Some(1000), ..new_build("demo") }, began);
    for start in [up, after(up, 1)] {
        let coordinator = Coordinator::open(dir.path(), limits()).unwrap();
        coordinator.begin_serving(start).unwrap();
        assert_eq!(coordinator.sweep(start).unwrap(), Swept::default(), "at {start}");
    }
    assert_eq!(before.show_build(late, up).unwrap().build.status, Status::Running);
}

/// What a server sees of a machine that sleeps: it goes on, and the clock is another.
#[test]
fn a_time_in_which_the_machine_slept_does_not_count_against_runners() {
    let dir = tempfile::tempdir().unwrap();
    let began = Timestamp::now();
    let coordinator = unserved(dir.path());
    coordinator.begin_serving(began).unwrap();
    let late = running_since(&coordinator, NewBuild { timeout_s: Some(20), ..new_build("demo") }, began);
    let silent = running_since(&coordinator, NewBuild { timeout_s: Some(1_000_000), ..new_build("demo") }, began);
    // The clock that cannot be set stands still meanwhile.
    let steady = Instant::now();
    let tick = |now, lived_s| {
        coordinator.notice_absence(now, steady + Duration::from_secs(lived_s)).unwrap();
        coordinator.sweep(now).unwrap()
    };
    assert_eq!(tick(began, 0), Swept::default());
    let woken = after(began, 100_000);
    // A probe of readiness may come first, which says so: it must not hide the absence.
    coordinator.say_alive(woken).unwrap();
    assert_eq!(tick(woken, 1), Swept::default());
    // From now on it lives, and the silence counts.
    let patience = RUNNER_TIMEOUT_S + STEP_S;
    let (mut ends, mut at) = (Vec::new(), 0);
    while at <= 1000 + patience.max(GRACE_S) {
        at += 10;
        coordinator.say_alive(after(woken, at)).unwrap();
        let swept = tick(after(woken, at), 1 + at);
        if swept != Swept::default() {
            ends.push((at, swept));
        }
    }
    let lost: usize = ends.iter().map(|(_, swept)| swept.runner_lost).sum();
    let timed_out: usize = ends.iter().map(|(_, swept)| swept.timed_out).sum();
    assert_eq!((lost, timed_out), (1, 1), "{ends:?}");
    assert!(ends.iter().all(|(at, _)| *at > patience.min(GRACE_S)), "{ends:?}");
    assert_eq!(reason(&coordinator, silent), Some(FailureReason::RunnerLost));
    assert_eq!(reason(&coordinator, late), Some(FailureReason::TimedOut));
}

#[test]
fn expired_artifacts_are_hidden_at_once_and_removed_by_the_sweep() {
    let baton = server();
    let (_, build) = baton.running();
    let parts = [
        Part::file("x.zip", b"content"),
        Part { name: "metadata", filename: Some("metadata.gz"), data: b"what is in it" },
        Part::field("expire_in", "1 hour"),
    ];
    let path = format!("builds/{}/artifacts", build.id);
    baton.send(Request::post(&path).build_token(&build.token).multipart(&parts)).expect(201);
    baton.finish(&build, "success");
    let expire_at = baton.show(build.id).artifacts.expect("artifacts").expire_at.expect("they expire");
    let shown = Shown { token: Token::received(&build.token), ..Shown::default() };
    let get = |now| baton.operator().get_artifacts(build.id, &shown, now).is_ok();
    assert!(get(Timestamp(expire_at.0 - 1)) && !get(expire_at));
    assert!(baton.operator().operator_artifacts(build.id, &ArtifactKind::archive(), expire_at).is_err());
    assert!(baton.operator().show_build(build.id, expire_at).unwrap().build.artifacts.is_none());

    assert_eq!(baton.operator().sweep(Timestamp(expire_at.0 - 1)).unwrap(), Swept::default());
    assert_eq!(baton.files().len(), 2);
    assert!(baton.operator().sweep(expire_at).unwrap().expired > 0);
    assert_eq!(baton.files(), Vec::<String>::new());
    baton.send(download(&build)).expect_error(404);
}

#[test]
fn a_start_removes_files_without_a_row_and_says_so_in_one_line() {
    let dir = tempfile::tempdir().unwrap();
    let kept = data_with_artifacts(dir.path());
    let folder = dir.path().join("artifacts");
    for orphan in ["7-0123456789abcdef", "incoming-7-0123456789abcdef", "incoming-8-0123456789abcdef"] {
        std::fs::write(folder.join(orphan), "half of it").unwrap();
    }
    let log = log_of_a_start(dir.path());
    assert_eq!(names(&folder), kept);
    let lines: Vec<&String> = log.iter().filter(|line| line.contains("cleaned up")).collect();
    assert!(matches!(lines.as_slice(), [line] if line.contains("cleaned up: 3 files without a build")), "{log:?}");
    assert!(log_of_a_start(dir.path()).iter().all(|line| !line.contains("cleaned up")), "there is nothing left");
}

/// Makes a data directory in which a build has artifacts, without a server. The files' names.
fn data_with_artifacts(data: &Path) -> Vec<String> {
    let server = Server::start(Config::local(data)).unwrap();
    add_project(server.coordinator(), "demo");
    queue(server.coordinator(), new_build("demo"));
    let runner = server.coordinator().add_runner(new_runner(), None, Timestamp::now()).unwrap();
    let build = claimed(&http::send(server.address(), &ask(runner.token.reveal())).expect(201));
    http::send(server.address(), &upload(&build, "x.zip", b"content")).expect(201);
    names(&data.join("artifacts"))
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// Starts the program, and tells it to stop as soon as it listens; what it logged.
fn log_of_a_start(data: &Path) -> Vec<String> {
    let mut process = Command::new(env!("CARGO_BIN_EXE_baton"))
        .env_remove("RUST_LOG")
        .args(["serve", "--listen", "127.0.0.1:0", "--data"])
        .arg(data)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    BufReader::new(process.stdout.take().unwrap()).read_line(&mut String::new()).unwrap();
    let pid = nix::unistd::Pid::from_raw(process.id().cast_signed());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
    let log = BufReader::new(process.stderr.take().unwrap()).lines().map(Result::unwrap).collect();
    assert!(process.wait().unwrap().success(), "{log:?}");
    log
}

#[test]
fn the_readable_token_of_a_canceled_build_is_forgotten_after_a_day() {
    let baton = server();
    let (_, build) = baton.running();
    baton.cancel(build.id);
    let is_readable = || {
        let sql = "SELECT token IS NOT NULL FROM builds WHERE id = ?1";
        baton.database().query_row(sql, [build.id.0], |row| row.get::<_, bool>(0)).unwrap()
    };
    let canceled = baton.show(build.id).finished_at.unwrap();
    baton.operator().sweep(after(canceled, 24 * 3600)).unwrap();
    assert!(is_readable());
    baton.operator().sweep(Timestamp(after(canceled, 24 * 3600).0 + 1)).unwrap();
    assert!(!is_readable());
    // It still opens what it opened.
    baton.send(Request::delete(&format!("builds/{}/artifacts", build.id)).build_token(&build.token)).expect(200);
}
