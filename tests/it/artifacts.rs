//! `builds/:id/artifacts` and `builds/:id/artifacts/authorize`: rows 50 to 77 without those of `main`'s table. What arrives to
//! the byte is in `bytes` and `big`.

mod download;
mod expiry;
mod refused;

use crate::harness::http::{BOUNDARY, part_head, parts_end};
use crate::harness::*;
use baton::domain::build::NewBuild;
use baton::domain::time::Timestamp;
use baton::limits::Limits;
use baton::store::builds;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::thread;
use std::time::{Duration, Instant};

const NAME: &str = "ci_build_artifacts.zip";

fn path(build: &Claimed) -> String {
    format!("builds/{}/artifacts", build.id)
}

/// A server whose artifacts must be smaller than `bytes_max`.
fn limited(bytes_max: u64) -> Baton {
    let baton = Baton::with_limits(Limits { artifacts_bytes_max: bytes_max, ..Limits::default() });
    baton.project("demo");
    baton
}

/// A running build with artifacts "first".
fn with_artifacts(baton: &Baton) -> (TestRunner, Claimed) {
    let (runner, build) = baton.running();
    baton.send(upload(&build, NAME, b"first")).expect(201);
    (runner, build)
}

#[track_caller]
fn expect_stored(baton: &Baton, build: &Claimed, data: &[u8]) {
    let response = baton.send(download(build)).expect(200);
    assert!(response.body == data, "{} bytes came back, not {}", response.body.len(), data.len());
}

#[track_caller]
fn expect_nothing_stored(baton: &Baton, build: &Claimed) {
    baton.send(download(build)).expect_error(404);
    assert!(baton.show(build.id).artifacts.is_none());
    expect_files(baton, 0);
}

/// Waits for what the server does after its answer, or after a connection that broke off.
#[track_caller]
fn expect_files(baton: &Baton, count: usize) {
    let patience = Instant::now() + Duration::from_secs(120);
    while baton.files().len() != count && Instant::now() < patience {
        std::thread::yield_now();
    }
    assert_eq!(baton.files().len(), count, "{:?}", baton.files());
}

/// Rows 50 to 52.
#[test]
fn a_running_build_may_upload() {
    let baton = Baton::start();
    let ci_token = baton.project("demo");
    let (_, build) = baton.running();
    let authorize = format!("{}/authorize", path(&build));
    for request in [
        Request::post(&authorize).json(&json!({"token": build.token})),
        Request::post(&authorize).build_token(&build.token),
        Request::post(&authorize).build_token(&ci_token),
        Request::post(&authorize).build_token(&build.token).query("filesize", "100"),
    ] {
        let response = baton.send(request).expect(200);
        assert_eq!(response.header("Content-Type"), Some("application/vnd.gitlab-workhorse+json"));
        let json: Value = serde_json::from_slice(&response.body).unwrap();
        assert_eq!(json, json!({"MaximumSize": baton.operator().limits().artifacts_bytes_max}));
    }
}

/// Row 57.
#[test]
fn an_erased_build_takes_no_artifacts_and_gives_none() {
    let baton = Baton::with_project();
    let (_, build) = with_artifacts(&baton);
    baton.finish(&build, "success");
    baton.erase(build.id);
    baton.send(upload(&build, NAME, b"second")).expect_error(403);
    baton.send(download(&build)).expect_error(403);
    baton.send(Request::delete(&path(&build)).build_token(&build.token)).expect_error(403);
    expect_files(&baton, 0);
}

/// Rows 58 and 66; the answer is the build, as `register` gives it.
#[test]
fn an_upload_is_answered_with_the_build() {
    let baton = Baton::with_project();
    let (_, build) = baton.running();
    let json = baton.send(upload(&build, NAME, b"content")).expect(201).json();
    assert_eq!(json["artifacts_file"], json!({"filename": NAME, "size": 7}));
    assert_eq!(json["artifacts_expire_at"], Value::Null);
    for key in ["id", "token", "name", "stage", "ref", "sha", "status", "variables", "options", "depends_on_builds"] {
        assert_eq!(json[key], build.json[key], "{key}");
    }
    let shown = baton.show(build.id).artifacts.expect("the operator sees them");
    assert_eq!((shown.filename.as_str(), shown.size, shown.expire_at), (NAME, 7, None));
    assert_eq!(shown.sha256, <[u8; 32]>::from(Sha256::digest(b"content")));
}

/// Row 60.
#[test]
fn a_second_upload_takes_the_place_of_the_first() {
    let baton = Baton::with_project();
    let (_, build) = with_artifacts(&baton);
    let json = baton.send(upload(&build, "other.zip", b"second")).expect(201).json();
    assert_eq!(json["artifacts_file"]["filename"], "other.zip");
    expect_stored(&baton, &build, b"second");
    expect_files(&baton, 1);
}

/// Rows 61, 74 and 76.
#[test]
fn the_projects_token_stands_for_its_builds_tokens() {
    let baton = Baton::start();
    let ci_token = baton.project("demo");
    let (_, build) = baton.running();
    let file = [Part::file(NAME, b"content")];
    baton.send(Request::post(&path(&build)).build_token(&ci_token).multipart(&file)).expect(201);
    let response = baton.send(Request::get(&path(&build)).build_token(&ci_token)).expect(200);
    assert_eq!(response.body, b"content");
    baton.send(Request::delete(&path(&build)).build_token(&ci_token)).expect(200);
    expect_nothing_stored(&baton, &build);
}

/// Row 62.
#[test]
fn metadata_is_stored_beside_the_file() {
    let baton = Baton::with_project();
    let (_, build) = baton.running();
    let metadata = || Part { name: "metadata", filename: Some("metadata.gz"), data: b"an index" };
    let file = || Part::file(NAME, b"content");
    for parts in [[file(), metadata()], [metadata(), file()]] {
        let request = Request::post(&path(&build)).build_token(&build.token).multipart(&parts);
        let json = baton.send(request).expect(201).json();
        assert_eq!(json["artifacts_file"], json!({"filename": NAME, "size": 7}));
        expect_stored(&baton, &build, b"content");
        expect_files(&baton, 2);
    }
    baton.send(upload(&build, NAME, b"alone")).expect(201);
    expect_files(&baton, 1);
}

/// Row 73.
#[test]
fn a_finished_builds_artifacts_can_be_removed() {
    let baton = Baton::with_project();
    for state in ["success", "failed"] {
        let (_, build) = with_artifacts(&baton);
        baton.finish(&build, state);
        expect_stored(&baton, &build, b"first");
        for _ in 0..2 {
            baton.send(Request::delete(&path(&build)).build_token(&build.token)).expect(200);
            expect_nothing_stored(&baton, &build);
        }
    }
}

/// A build whose runner is busy with sending is not lost, however long that takes.
#[test]
fn an_upload_under_way_is_a_sign_of_life() {
    // A sign of life is stored each two seconds.
    let baton = Baton::with_limits(Limits { runner_timeout: Duration::from_secs(20), ..Limits::default() });
    add_project(baton.operator(), "demo");
    let (_, build) = baton.running();
    let seen_at = || builds::state(&baton.database(), build.id).unwrap().unwrap().seen_at;
    let bytes = upload(&build, NAME, &[b'x'; 100_000]).chunked(100).bytes();
    let mut connection = Connection::open(baton.address());
    let (begin, mut rest) = bytes.split_at(1000);
    connection.send_raw(begin);
    // The authorization is one, too; it comes at once.
    let begun_at = seen_at();
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut signs = 0;
    let mut last = begun_at;
    while signs < 2 {
        assert!(Instant::now() < deadline, "no sign of life in the middle of an upload");
        let (piece, after) = rest.split_at(100);
        connection.send_raw(piece);
        (rest, signs) = (after, signs + usize::from(seen_at() != last));
        last = seen_at();
        thread::sleep(Duration::from_millis(100));
    }
    connection.send_raw(rest);
    connection.read("POST").expect(201);
}

/// Strangers have few places; whoever has shown a token takes none of them, wherever the token stood.
#[test]
fn an_upload_whose_token_is_a_field_keeps_no_strangers_place() {
    let baton = Baton::with_limits(Limits { workers_max: 8, ..Limits::default() });
    add_project(baton.operator(), "demo");
    let (_, build) = baton.running();
    let upload = |data: &[u8]| {
        let parts = [Part::field("token", &build.token), Part::file(NAME, data)];
        Request::post(&path(&build)).multipart(&parts)
    };
    let bytes = upload(&[b'x'; 100_000]).bytes();
    let under_way: Vec<Connection> = (0..4)
        .map(|_| {
            let mut connection = Connection::open(baton.address());
            connection.send_raw(&bytes[..50_000]);
            connection
        })
        .collect();
    let deadline = Instant::now() + Duration::from_secs(60);
    while baton.files().len() < under_way.len() {
        assert!(Instant::now() < deadline, "{} uploads have begun", baton.files().len());
        thread::sleep(Duration::from_millis(20));
    }
    baton.send(upload(&[b'y'; 100_000])).expect(201);
    drop(under_way);
}

#[test]
fn artifacts_survive_a_restart_and_what_broke_off_does_not() {
    let baton = Baton::with_project();
    let (_, build) = with_artifacts(&baton);
    let kept = baton.files();
    std::fs::write(baton.data().join("artifacts/incoming-1-0123456789abcdef"), b"half").unwrap();
    let baton = baton.restart();
    expect_stored(&baton, &build, b"first");
    assert_eq!(baton.files(), kept);
}
