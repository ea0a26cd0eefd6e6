//! What real runners of API v4 sent, replayed byte for byte (`tests/fixtures`): GitLab Runner 9.5.1 and 12.10.3, and the
//! crate `gitlab-runner` 0.3.2.
//!
//! The recordings name fixed tokens, job 7, and job 8, which needs 7. Both are queued when the recording gets them.

use crate::fixtures::{BUILD, arranged, body, recorded, set_token};
use crate::harness::*;
use baton::domain::build::{BuildId, FailureReason, NewBuild, Status, Variable};
use baton::domain::time::Timestamp;
use serde_json::{Value, json};
use std::time::Duration;

/// The job that needs the first one's archive, and fails.
const SECOND: BuildId = BuildId(8);

/// What 9.5.1 shows in the log, since it masks nothing.
const SECRET: &str = "masked-value-1";

/// A recorded life: what each request is answered, and what is left.
struct Life {
    version: &'static str,
    statuses: &'static [u16],
    /// What job 7 uploads.
    kinds: &'static [&'static str],
}

const OF_9_5_1: Life = Life {
    version: "9.5.1",
    statuses: &[201, 201, 200, 202, 202, 201, 200, 201, 200, 200, 204, 204, 204, 200, 204],
    kinds: &["archive zip"],
};

const OF_12_10_3: Life = Life {
    version: "12.10.3",
    statuses: &[201, 201, 202, 202, 201, 201, 202, 200, 201, 200, 202, 200, 204, 204, 204, 200, 204],
    kinds: &["archive zip", "junit gzip"],
};

/// Its first and seventh request were told that there was nothing.
const OF_THE_CRATE: Life = Life {
    version: "crate-0.3.2",
    statuses: &[204, 201, 201, 201, 202, 200, 204, 201, 200, 202, 200, 204],
    kinds: &["archive zip", "junit gzip"],
};

type Recording = Vec<(String, Vec<u8>)>;

/// Queues the job that the recording gets next.
fn queue_next(baton: &Baton, is_first: bool) -> BuildId {
    let first = NewBuild {
        name: "compile".to_owned(),
        variables: vec![Variable::secret("SECRET_WORD", SECRET)],
        ..new_build("demo")
    };
    let second = NewBuild { name: "unit".to_owned(), needs: vec![BUILD], ..new_build("demo") };
    baton.queue(if is_first { first } else { second })
}

/// Replays a whole life and checks what each request is answered.
fn replay(life: &Life, keep_alive: bool) {
    let baton = arranged();
    let requests = recorded(life.version);
    assert_eq!(requests.len(), life.statuses.len());
    let (mut connection, mut is_first) = (Connection::open(baton.address()), true);
    for ((name, request), status) in requests.iter().zip(life.statuses) {
        let is_claim = name.contains("jobs-request") && *status == 201;
        let queued = is_claim.then(|| queue_next(&baton, std::mem::take(&mut is_first)));
        if !keep_alive {
            connection = Connection::open(baton.address());
        }
        connection.send_raw(request);
        let response = connection.read(name.split('-').nth(1).unwrap());
        assert_eq!(response.status, *status, "{} {name}: {}", life.version, response.text());
        if response.header("Connection").is_some_and(|value| value.eq_ignore_ascii_case("close")) {
            connection = Connection::open(baton.address());
        }
        if let Some(id) = queued {
            check_job(&response, id);
            set_token(&baton, id, &format!("job-token-{id}"));
        }
        check_answer(&baton, &requests, name, &response);
    }
    check_jobs(&baton, life, &requests);
    let runners = baton.operator().list_runners().unwrap();
    assert_eq!(runners.len(), 1, "the recorded one, or the one that registered while the recorded one left");
}

/// The strictest reader wants each of these fields.
fn check_job(response: &Response, id: BuildId) {
    let job = response.json();
    assert_eq!(job["id"], id.0);
    for field in ["token", "allow_git_fetch", "variables", "steps", "dependencies", "artifacts", "git_info"] {
        assert!(job.get(field).is_some(), "{field}");
    }
    for variable in job["variables"].as_array().unwrap() {
        assert!(variable["public"].is_boolean() && variable["masked"].is_boolean(), "{variable}");
    }
    for step in job["steps"].as_array().unwrap() {
        assert!(["script", "after_script"].contains(&step["name"].as_str().unwrap()), "{step}");
    }
    if id == SECOND {
        let needed = &job["dependencies"][0];
        assert_eq!((&needed["id"], &needed["name"]), (&json!(BUILD.0), &json!("compile")));
        assert_eq!(needed["token"], job["token"]);
        assert_eq!(needed["artifacts_file"]["filename"], "out.zip");
    }
}

fn check_answer(baton: &Baton, requests: &Recording, name: &str, response: &Response) {
    let told = response.header("Job-Status");
    match name.split_once('-').unwrap().1 {
        "post-jobs-request.http" if response.status == 204 => {
            assert!(response.body.is_empty());
            assert!(response.header("X-GitLab-Last-Update").is_some_and(|value| !value.is_empty()), "{name}");
        }
        "post-runners.http" => {
            let row = baton.runner_row(response.json()["id"].as_i64().unwrap());
            assert_eq!((row.description.as_str(), &row.tags), ("laptop", &tags("linux,shell")));
            assert!(!row.run_untagged && !row.paused && !row.locked);
            assert_eq!(row.info.get("platform"), Some("linux"));
        }
        "post-runners-verify.http" => {
            assert_eq!(response.json(), json!({"id": 1, "token": "runner-token-1", "token_expires_at": null}));
        }
        "patch-jobs-7-trace.http" | "patch-jobs-8-trace.http" => {
            assert_eq!(told, Some("running"), "{name}");
            assert_eq!(response.header("Range").unwrap(), format!("0-{}", patched(requests, name)), "{name}");
            assert_eq!(response.header("X-GitLab-Trace-Update-Interval"), Some("3"));
        }
        "put-jobs-7.http" | "put-jobs-8.http" => {
            let request = requests.iter().find(|(own, _)| own == name).unwrap();
            let sent: Value = serde_json::from_slice(&body(&request.1)).unwrap();
            let expected = sent["state"].as_str().filter(|state| *state != "failed");
            assert_eq!(told, expected, "{name}: `failed` would have it warn that the job was taken from it");
        }
        "get-jobs-7-artifacts.http" => {
            assert!(response.body == file(request(requests, "post-jobs-7-artifacts")), "{name}");
        }
        "delete-runners.http" => assert!(response.body.is_empty()),
        _ => {}
    }
}

/// The first request whose name has this in it.
fn request<'a>(requests: &'a Recording, part: &str) -> &'a [u8] {
    &requests.iter().find(|(name, _)| name.contains(part)).unwrap().1
}

/// The bytes of all patches of a job up to the one of this name.
fn patched(requests: &Recording, upto: &str) -> usize {
    log_until(requests, upto).len()
}

/// What was sent of a job's log in patches, up to the one of this name.
fn log_until(requests: &Recording, upto: &str) -> Vec<u8> {
    let of = upto.split_once('-').unwrap().1;
    let so_far = requests.iter().filter(|(name, _)| name.ends_with(of) && name.as_str() <= upto);
    so_far.flat_map(|(_, request)| body(request)).collect()
}

/// A job's whole log as it was sent: with the last report, or in patches.
fn sent_log(requests: &Recording, id: BuildId) -> String {
    let put = requests.iter().rfind(|(name, _)| name.contains(&format!("put-jobs-{id}"))).unwrap();
    let report: Value = serde_json::from_slice(&body(&put.1)).unwrap();
    match report["trace"].as_str() {
        Some(trace) => trace.to_owned(),
        None => String::from_utf8(log_until(requests, &format!("99-patch-jobs-{id}-trace.http"))).unwrap(),
    }
}

/// The file in a recorded upload, whatever follows it.
fn file(request: &[u8]) -> Vec<u8> {
    let find = |text: &[u8], what: &[u8]| text.windows(what.len()).position(|window| window == what).unwrap();
    let body = body(request);
    let delimiter = &body[..find(&body, b"\r\n")];
    let data = &body[find(&body, b"\r\n\r\n") + 4..];
    data[..find(data, &[b"\r\n", delimiter].concat())].to_vec()
}

fn check_jobs(baton: &Baton, life: &Life, requests: &Recording) {
    let masked = |log: String| log.replace(SECRET, &"x".repeat(SECRET.len()));
    let sent = sent_log(requests, BUILD);
    assert_eq!(sent.contains(SECRET), life.version == "9.5.1", "the others mask by themselves, or ran no such script");
    assert_eq!(baton.trace_text(BUILD), masked(sent));
    assert_eq!(baton.trace_text(SECOND), sent_log(requests, SECOND));
    let (first, second) = (baton.show(BUILD), baton.show(SECOND));
    assert_eq!((first.status, second.status), (Status::Success, Status::Failed));
    assert_eq!((first.failure_reason, second.failure_reason), (None, Some(FailureReason::ScriptFailure)));
    let database = baton.database();
    let mut kinds =
        database.prepare("SELECT kind || ' ' || format FROM artifacts WHERE build_id = 7 ORDER BY kind").unwrap();
    let kinds: Vec<String> = kinds.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    assert_eq!(kinds, life.kinds, "{}", life.version);
    let archive = first.artifacts.unwrap();
    let sent = file(request(requests, "post-jobs-7-artifacts"));
    assert!(sent.starts_with(b"PK\x03\x04"));
    assert_eq!((archive.filename.as_str(), archive.size), ("out.zip", sent.len() as u64));
    let seconds = archive.expire_at.unwrap().since(Timestamp::now()).as_secs();
    assert!(seconds.abs_diff(Duration::from_secs(7 * 86_400).as_secs()) < 600, "{seconds}");
}

#[test]
fn a_runner_9_5_1_lives_its_recorded_life() {
    replay(&OF_9_5_1, false);
}

#[test]
fn a_runner_12_10_3_lives_its_recorded_life() {
    replay(&OF_12_10_3, false);
}

#[test]
fn the_crate_lives_its_recorded_life() {
    replay(&OF_THE_CRATE, false);
}

#[test]
fn a_recorded_life_of_api_v4_may_pass_over_one_connection() {
    for life in [&OF_9_5_1, &OF_12_10_3, &OF_THE_CRATE] {
        replay(life, true);
    }
}

/// After the last request, `DELETE runners`, the token is nobody's.
#[test]
fn a_recorded_request_of_api_v4_after_the_removal_is_403() {
    let baton = arranged();
    let requests = recorded("12.10.3");
    let mut connection = Connection::open(baton.address());
    for (part, status) in
        [("16-post-runners-verify", 200), ("17-delete", 204), ("16-post", 403), ("17-delete", 403), ("02-post", 403)]
    {
        connection.send_raw(request(&requests, part));
        assert_eq!(connection.read("").status, status, "{part}");
    }
}
