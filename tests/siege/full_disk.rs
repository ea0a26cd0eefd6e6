//! A disk without room: what is new is refused in time, nothing is half stored, and when room is back, so is all else.
//!
//! Each test runs itself again, alone, with a small file system mounted for it alone: that needs `unshare` and the
//! right to make user namespaces. Where it cannot be made, the test says so and is skipped.

use crate::harness::*;
use baton::coordinator::{Coordinator, Swept};
use baton::domain::build::Status;
use baton::domain::time::Timestamp;
use baton::limits::Limits;
use serde_json::{Value, json};
use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Names the directory of the small file system.
const VARIABLE: &str = "BATON_TEST_SMALL_DISK";
const MIB: u64 = 1 << 20;

/// Runs `test` in a directory on a file system of `mib` MiB; `name` is the test's own.
fn on_a_small_disk(name: &str, mib: u64, test: fn(&Path)) {
    if let Some(dir) = std::env::var_os(VARIABLE) {
        return test(Path::new(&dir));
    }
    let dir = tempfile::tempdir().unwrap();
    let mount = format!("mount -t tmpfs -o size={mib}m baton-test \"$0\"");
    let unshare = |script: &str| {
        let mut command = Command::new("unshare");
        command.args(["--map-root-user", "--mount", "sh", "-c", script]).arg(dir.path());
        command
    };
    let possible = unshare(&mount).output();
    if !possible.as_ref().is_ok_and(|output| output.status.success()) {
        return skipped(&format!("no file system can be mounted: {possible:?}"));
    }
    let output = unshare(&format!("{mount} && exec \"$@\""))
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", &format!("full_disk::{name}"), "--nocapture"])
        .env(VARIABLE, dir.path())
        .output()
        .unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

/// A file that takes the room away.
struct Ballast(PathBuf);

impl Ballast {
    /// Leaves so many bytes, or none.
    fn leaving(baton: &Baton, bytes: u64) -> Ballast {
        let path = baton.data().with_file_name("ballast");
        let mut file = OpenOptions::new().create(true).append(true).open(&path).unwrap();
        while baton.operator().free_disk_bytes().unwrap() > bytes {
            let piece = (baton.operator().free_disk_bytes().unwrap() - bytes).min(MIB);
            file.write_all(&vec![0; piece as usize]).unwrap();
        }
        Ballast(path)
    }
}

impl Drop for Ballast {
    fn drop(&mut self) {
        std::fs::remove_file(&self.0).unwrap();
    }
}

/// A server on the small disk, with project `demo`.
fn server(disk: &Path, reserve_bytes: u64) -> Baton {
    let limits = Limits { disk_reserve_bytes: reserve_bytes, ..Limits::default() };
    let baton = Baton::start_in(tempfile::tempdir_in(disk).unwrap(), limits);
    baton.project("demo");
    baton
}

#[track_caller]
fn expect_full(response: Response, status: u16) {
    let response = response.expect_error(status);
    assert!(response.header("Retry-After").is_some(), "{response:?}");
    assert_eq!(response.json()["message"].as_str().unwrap().split(" - ").count(), 2, "{}", response.text());
}

#[track_caller]
fn expect_sound(baton: &Baton) {
    let verdict: String = baton.database().query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(verdict, "ok");
}

fn put(build: &Claimed, mut body: Value) -> Request {
    body["token"] = json!(build.token);
    Request::put(&format!("builds/{}", build.id)).json(&body)
}

fn authorize(build: &Claimed) -> Request {
    Request::post(&format!("builds/{}/artifacts/authorize", build.id)).build_token(&build.token)
}

fn delete(build: &Claimed) -> Request {
    Request::delete(&format!("builds/{}/artifacts", build.id)).build_token(&build.token)
}

#[test]
fn below_the_reserve_nothing_new_is_taken_on_and_ends_reads_and_removals_go_on() {
    on_a_small_disk(
        "below_the_reserve_nothing_new_is_taken_on_and_ends_reads_and_removals_go_on",
        16,
        below_the_reserve,
    );
}

fn below_the_reserve(disk: &Path) {
    let baton = server(disk, 4 * MIB);
    let (runner, build) = baton.running();
    let (_, other) = baton.running();
    baton.append(&build, 0, "before\n");
    baton.send(upload(&build, "x.zip", b"content")).expect(201);
    let waiting = baton.build();

    let ballast = Ballast::leaving(&baton, 3 * MIB);
    expect_full(baton.ask(&runner), 503);
    assert_eq!(baton.status(waiting), Status::Pending);
    expect_full(baton.send(patch(&build, 7, b"after\n")), 503);
    expect_full(baton.send(authorize(&build)), 503);
    expect_full(baton.send(upload(&build, "y.zip", b"other content")), 507);
    expect_full(baton.send(upload(&build, "y.zip", &vec![b'y'; 3 << 20])), 507);
    assert_eq!(baton.files().len(), 1);

    baton.send(patch(&build, 7, b"")).expect(202);
    assert_eq!(baton.send(download(&build)).expect(200).body, b"content");
    baton.send(Request::get("/-/readiness")).expect(200);
    baton.send(Request::get("/-/metrics")).expect(200);
    baton.send(put(&build, json!({"state": "success", "trace": "before\nafter\n"}))).expect(200);
    assert_eq!((baton.status(build.id), baton.trace_text(build.id)), (Status::Success, "before\nafter\n".to_owned()));
    baton.send(delete(&build)).expect(200);
    assert_eq!(baton.files(), Vec::<String>::new());
    baton.cancel(waiting);

    drop(ballast);
    baton.append(&other, 0, "goes on\n");
    baton.send(upload(&other, "x.zip", b"content")).expect(201);
    let next = baton.build();
    assert_eq!(baton.claim(&runner).id, next);
    expect_sound(&baton);
}

#[test]
fn a_server_starts_below_the_reserve() {
    on_a_small_disk("a_server_starts_below_the_reserve", 16, |disk| {
        let baton = server(disk, 4 * MIB);
        let (_, build) = baton.running();
        let _ballast = Ballast::leaving(&baton, 3 * MIB);
        let baton = baton.restart();
        baton.send(put(&build, json!({"state": "success"}))).expect(200);
    });
}

/// Nobody is to blame for a silence that a full disk imposes.
#[test]
fn a_refused_report_is_a_sign_of_life() {
    on_a_small_disk("a_refused_report_is_a_sign_of_life", 16, |disk| {
        let baton = server(disk, 4 * MIB);
        let (_, build) = baton.running();
        let _ballast = Ballast::leaving(&baton, 3 * MIB);
        let an_hour_ago = "UPDATE builds SET seen_at = seen_at - 3600000";
        baton.database().execute(an_hour_ago, []).unwrap();
        expect_full(baton.send(patch(&build, 0, b"log")), 503);
        let soon = Timestamp::now().plus(Duration::from_secs(120));
        assert_eq!(baton.operator().sweep(soon).unwrap(), Swept::default());
    });
}

#[test]
fn an_upload_that_meets_the_end_of_the_disk_leaves_nothing_and_the_earlier_one_in_place() {
    on_a_small_disk(
        "an_upload_that_meets_the_end_of_the_disk_leaves_nothing_and_the_earlier_one_in_place",
        16,
        upload_meets_the_end,
    );
}

fn upload_meets_the_end(disk: &Path) {
    let baton = server(disk, 0);
    let (_, build) = baton.running();
    baton.send(upload(&build, "x.zip", b"content")).expect(201);
    let large = vec![b'x'; 5 << 20];
    let ballast = Ballast::leaving(&baton, 3 * MIB);
    for _ in 0..3 {
        expect_full(baton.send(upload(&build, "y.zip", &large)), 507);
        assert_eq!(baton.files().len(), 1);
    }
    assert_eq!(baton.send(download(&build)).expect(200).body, b"content");
    expect_sound(&baton);
    drop(ballast);
    baton.send(upload(&build, "y.zip", &large)).expect(201);
    assert!(baton.send(download(&build)).expect(200).body == large);
    assert_eq!(baton.files().len(), 1);
}

#[test]
fn a_commit_that_meets_the_end_of_the_disk_is_undone_and_said() {
    on_a_small_disk("a_commit_that_meets_the_end_of_the_disk_is_undone_and_said", 16, commit_meets_the_end);
}

fn commit_meets_the_end(disk: &Path) {
    let baton = server(disk, 0);
    let (runner, build) = baton.running();
    baton.append(&build, 0, "before\n");
    baton.send(upload(&build, "x.zip", b"content")).expect(201);
    let waiting = baton.build();
    let long = "x".repeat(300_000);

    let ballast = Ballast::leaving(&baton, 0);
    expect_full(baton.send(patch(&build, 7, long.as_bytes())), 503);
    expect_full(baton.send(put(&build, json!({"state": "success", "trace": format!("before\n{long}")}))), 503);
    expect_full(baton.ask(&runner), 503);
    expect_full(baton.send(upload(&build, "y.zip", b"other content")), 507);
    assert_eq!((baton.status(build.id), baton.status(waiting)), (Status::Running, Status::Pending));
    assert_eq!(baton.trace_text(build.id), "before\n");
    assert_eq!(baton.send(download(&build)).expect(200).body, b"content");
    assert_eq!(baton.files().len(), 1);
    expect_sound(&baton);
    baton.send(Request::get("/-/health")).expect(200);

    drop(ballast);
    baton.send(Request::get("/-/readiness")).expect(200);
    baton.append(&build, 7, &long);
    assert_eq!(baton.claim(&runner).id, waiting);
    baton.send(put(&build, json!({"state": "success", "trace": format!("before\n{long}")}))).expect(200);
    expect_sound(&baton);
}

/// Larger than what makes SQLite move its log into the database, so that this meets the end of the disk, too.
#[test]
fn a_trace_that_fills_the_disk_is_what_was_acknowledged() {
    on_a_small_disk("a_trace_that_fills_the_disk_is_what_was_acknowledged", 40, trace_fills_the_disk);
}

fn trace_fills_the_disk(disk: &Path) {
    let baton = server(disk, 0);
    let (_, build) = baton.running();
    let mut sent = Vec::new();
    let mut line = 0;
    for bytes in [1 << 20, 100_000, 1000] {
        loop {
            line += 1;
            let piece = format!("line {line}\n").repeat(bytes / 8);
            let response = baton.send(patch(&build, sent.len(), piece.as_bytes()));
            if response.status != 202 {
                expect_full(response, 503);
                break;
            }
            sent.extend_from_slice(piece.as_bytes());
        }
        assert!(baton.trace(build.id) == sent, "after {} bytes", sent.len());
    }
    assert!(sent.len() as u64 > 10 * MIB, "{}", sent.len());
    expect_sound(&baton);
    // Whoever opens it beside the server sees the same.
    let limits = Limits { disk_reserve_bytes: 0, ..Limits::default() };
    let beside = Coordinator::open(baton.data(), limits).unwrap();
    assert_eq!(beside.show_build(build.id, Timestamp::now()).unwrap().build.trace_size, sent.len() as u64);
}
