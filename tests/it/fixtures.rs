//! What real runners sent, replayed byte for byte (`tests/fixtures`): GitLab Runner 1.11.5 and 1.0.4. `v4_fixtures` does it
//! with those of API v4.
//!
//! The recordings name fixed tokens and build 7, so the database is given those before the server starts. A claim makes
//! a token of its own; the recorded one is put in its place right after it.

use crate::harness::*;
use baton::coordinator::Coordinator;
use baton::domain::build::{BuildId, Status};
use baton::domain::time::Timestamp;
use baton::limits::Limits;
use rusqlite::params;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The first build of each recording.
pub const BUILD: BuildId = BuildId(7);

pub fn sha256(text: &str) -> Vec<u8> {
    Sha256::digest(text.as_bytes()).to_vec()
}

/// The recorded requests of a runner, in order.
pub fn recorded(version: &str) -> Vec<(String, Vec<u8>)> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(format!("gitlab-runner-{version}"));
    let mut paths: Vec<PathBuf> = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
    paths.iter().map(|path| (name(path), std::fs::read(path).unwrap())).collect()
}

/// A server that knows the tokens of the recordings, with build 7 pending.
fn prepared() -> Baton {
    let baton = arranged();
    assert_eq!(baton.build(), BUILD);
    baton
}

/// A server that knows the tokens of the recordings, and whose next build is number 7.
pub fn arranged() -> Baton {
    let dir = tempfile::tempdir().unwrap();
    {
        let operator = Coordinator::open(dir.path(), Limits::default()).unwrap();
        add_project(&operator, "demo");
        for _ in 1..BUILD.0 {
            let id = queue(&operator, new_build("demo"));
            operator.cancel_build(id, Timestamp::now()).unwrap();
        }
        operator.add_runner(new_runner(), None, Timestamp::now()).unwrap();
    }
    let database = open_database(dir.path());
    database.execute("UPDATE settings SET registration_token = 'registration-token'", []).unwrap();
    database.execute("UPDATE runners SET token_hash = ?1", params![sha256("runner-token-1")]).unwrap();
    drop(database);
    Baton::start_in(dir, Limits::default())
}

/// Gives a build the token that the recordings name, in the place of the one that its claim has made.
pub fn set_token(baton: &Baton, id: BuildId, token: &str) {
    let set = "UPDATE builds SET token = ?2, token_hash = ?3 WHERE id = ?1 AND status = 'running'";
    assert_eq!(baton.database().execute(set, params![id.0, token, sha256(token)]).unwrap(), 1);
}

/// The body of a recorded request, its chunks joined.
pub fn body(request: &[u8]) -> Vec<u8> {
    let head_end = request.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
    let (head, mut rest) = request.split_at(head_end);
    if !String::from_utf8_lossy(head).to_lowercase().contains("transfer-encoding: chunked") {
        return rest.to_vec();
    }
    let mut body = Vec::new();
    loop {
        let line_end = rest.windows(2).position(|window| window == b"\r\n").unwrap();
        let size = usize::from_str_radix(std::str::from_utf8(&rest[..line_end]).unwrap(), 16).unwrap();
        rest = &rest[line_end + 2..];
        if size == 0 {
            return body;
        }
        body.extend_from_slice(&rest[..size]);
        rest = &rest[size + 2..];
    }
}

/// The file in a recorded upload.
fn uploaded(request: &[u8]) -> Vec<u8> {
    let body = body(request);
    let start = body.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
    let end = body.windows(4).rposition(|window| window == b"\r\n--").unwrap();
    body[start..end].to_vec()
}

/// The trace in a recorded last report.
fn reported_trace(request: &[u8]) -> String {
    let json: Value = serde_json::from_slice(&body(request)).unwrap();
    json["trace"].as_str().unwrap().to_owned()
}

/// Replays a runner's whole life and checks what each request is answered. Go keeps its connections.
fn replay(version: &str, statuses: &[u16], keep_alive: bool) {
    let baton = prepared();
    let requests = recorded(version);
    assert_eq!(requests.len(), statuses.len());
    let mut connection = Connection::open(baton.address());
    for ((name, request), status) in requests.iter().zip(statuses) {
        if !keep_alive {
            connection = Connection::open(baton.address());
        }
        connection.send_raw(request);
        let response = connection.read(name.split('-').nth(1).unwrap());
        assert_eq!(response.status, *status, "{version} {name}: {}", response.text());
        if response.header("Connection").is_some_and(|value| value.eq_ignore_ascii_case("close")) {
            connection = Connection::open(baton.address());
        }
        match (name.as_str(), *status) {
            (_, 201) if name.contains("builds-register") => {
                let json = response.json();
                assert_eq!(json["id"], 7);
                set_token(&baton, BUILD, "build-token-7");
            }
            (_, 204 | 404) if name.contains("builds-register") => {
                assert!(response.header("X-GitLab-Last-Update").is_some_and(|value| !value.is_empty()), "{name}");
            }
            (_, 201) if name.contains("runners-register") => {
                let row = baton.runner_row(response.json()["id"].as_i64().unwrap());
                assert_eq!((row.description.as_str(), &row.tags), ("laptop", &tags("linux,shell")));
                assert_eq!(row.run_untagged, version == "1.0.4", "older ones do not say it, and it is true then");
                assert_eq!(row.info.get("platform"), Some("linux"));
            }
            (_, 202) => {
                assert_eq!(response.header("Build-Status"), Some("running"));
                let end = if name.starts_with("04") { 480 } else { 501 };
                assert_eq!(response.header("Range"), Some(format!("0-{end}").as_str()));
            }
            _ => {}
        }
    }
    check_result(&baton, &requests);
}

fn check_result(baton: &Baton, requests: &[(String, Vec<u8>)]) {
    let request = |part: &str| &requests.iter().rfind(|(name, _)| name.contains(part)).unwrap().1;
    assert_eq!(baton.trace_text(BUILD), reported_trace(request("put-builds-7")));
    let file = uploaded(request("artifacts"));
    assert!(file.starts_with(b"PK\x03\x04") && file.len() > 80_000);
    let response = baton.send(Request::get("builds/7/artifacts").build_token("build-token-7")).expect(200);
    assert!(response.body == file, "the archive is not what was sent");
    assert_eq!(response.header("Content-Disposition"), Some("attachment; filename=artifacts.zip"));
    let shown = baton.show(BUILD);
    assert_eq!(shown.status, Status::Success);
    assert_eq!(shown.runner.unwrap().0, 1);
    let artifacts = shown.artifacts.unwrap();
    assert_eq!(artifacts.size, file.len() as u64);
    if let Some(expire_at) = artifacts.expire_at {
        let seconds = expire_at.since(Timestamp::now()).as_secs();
        assert!(seconds.abs_diff(Duration::from_secs(7 * 86_400).as_secs()) < 600, "{seconds}");
    }
    let runners = baton.operator().list_runners().unwrap();
    assert_eq!(runners.len(), 1, "the one that the recordings registered; the other removed itself");
}

const OF_1_11_5: [u16; 13] = [201, 201, 200, 202, 202, 201, 200, 204, 204, 204, 204, 404, 200];
const OF_1_0_4: [u16; 12] = [201, 201, 200, 200, 201, 200, 404, 404, 404, 404, 404, 200];

#[test]
fn a_runner_1_11_5_lives_its_recorded_life() {
    replay("1.11.5", &OF_1_11_5, false);
}

#[test]
fn a_runner_1_0_4_lives_its_recorded_life() {
    replay("1.0.4", &OF_1_0_4, false);
}

#[test]
fn a_recorded_life_may_pass_over_one_connection() {
    replay("1.11.5", &OF_1_11_5, true);
    replay("1.0.4", &OF_1_0_4, true);
}

/// Bytes may arrive one at a time or all at once. A client that does not wait for answers gets them all, or is told
/// that the connection ends, and sends the rest again.
#[test]
fn how_the_recorded_bytes_arrive_does_not_matter() {
    let baton = prepared();
    let requests = recorded("1.11.5");
    let mut connection = Connection::open(baton.address());
    for byte in &requests[0].1 {
        connection.send_raw(std::slice::from_ref(byte));
    }
    assert_eq!(connection.read("POST").status, 201);
    let verify = &requests[11].1;
    connection.send_raw(&[verify.as_slice(), verify, verify].concat());
    for _ in 0..3 {
        let response = connection.read("PUT");
        assert_eq!(response.status, 404);
        if response.header("Connection").is_some_and(|value| value.eq_ignore_ascii_case("close")) {
            break;
        }
    }
}

/// A runner that removed itself must not learn anything more.
#[test]
fn a_recorded_request_after_the_removal_is_403() {
    let baton = prepared();
    let requests = recorded("1.11.5");
    let mut connection = Connection::open(baton.address());
    for (index, status) in [(11, 404), (12, 200), (11, 403), (12, 403), (1, 403)] {
        connection.send_raw(&requests[index].1);
        assert_eq!(connection.read("").status, status, "{}", requests[index].0);
    }
}
