//! What the server says in its log.

use crate::harness::served::{Served, serve, wait_for};
use crate::harness::{Connection, Request, add_project, ask, claimed, new_build, new_runner, patch, queue, upload};
use baton::coordinator::Coordinator;
use baton::domain::time::Timestamp;
use baton::limits::Limits;
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Instant;

/// A server with a project, whose log is JSON, and its operator.
fn server(data: &Path, rust_log: &str) -> (Served, Coordinator) {
    let served = Served::of(serve(data).args(["--log-format", "json"]).env("RUST_LOG", rust_log));
    let operator = Coordinator::open(data, Limits::default()).unwrap();
    add_project(&operator, "demo");
    (served, operator)
}

/// What the log says of requests, once it has a record for which `last` holds.
fn requests(served: &Served, last: impl Fn(&Value) -> bool) -> Vec<Value> {
    wait_for("the last record", || {
        // Its end may not have come yet.
        let log = served.log();
        let lines = json_lines(log.rsplit_once('\n')?.0);
        let requests: Vec<Value> = lines.into_iter().filter(|line| line["method"].is_string()).collect();
        requests.iter().any(&last).then_some(requests)
    })
}

/// Method, status, route, build and runner.
type Told<'a> = (&'a str, u64, &'a str, Option<i64>, Option<i64>);

fn told(requests: &[Value]) -> Vec<Told<'_>> {
    let row = |line: &Value| line["method"].as_str().is_some() && line["duration_ms"].as_f64().is_some();
    assert!(requests.iter().all(row), "{requests:?}");
    requests
        .iter()
        .map(|line| {
            let (method, route) = (line["method"].as_str().unwrap(), line["route"].as_str().unwrap());
            (method, line["status"].as_u64().unwrap(), route, line["build"].as_i64(), line["runner"].as_i64())
        })
        .collect()
}

fn json_lines(log: &str) -> Vec<Value> {
    let parse = |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    log.lines().map(parse).collect()
}

#[test]
fn every_line_of_both_processes_is_an_object_with_time_level_and_message() {
    let dir = tempfile::tempdir().unwrap();
    let mut served =
        Served::of(serve(dir.path()).args(["--log-format", "json"]).args(["--max-connections", "1000000"]));
    served.log_has("a runner is registered with");
    served.kill_child();
    served.log_has("was ended by SIGKILL; restarting");
    served.signal(Signal::SIGTERM);
    served.log_has(": stopping");
    served.end();
    let lines = json_lines(&served.log());
    for line in &lines {
        let text = |field: &str| line[field].as_str().unwrap_or_else(|| panic!("no {field}: {line}")).to_owned();
        assert!(text("time").ends_with('Z') && !text("message").is_empty(), "{line}");
        assert!(["info", "warn", "error"].contains(&text("level").as_str()), "{line}");
    }
    // The serving process has spoken, too: fewer connections fit than were wanted.
    assert!(
        lines.iter().any(|line| line["message"].as_str().unwrap().contains("descriptors") && line["level"] == "warn")
    );
}

#[test]
fn each_request_that_does_something_is_a_record_with_its_build_and_runner_and_empty_polls_are_for_debug() {
    for (rust_log, polls_are_told) in [("info", false), ("debug", true)] {
        let dir = tempfile::tempdir().unwrap();
        let (served, operator) = server(dir.path(), rust_log);
        let runner = operator.add_runner(new_runner(), None, Timestamp::now()).unwrap();
        let token = runner.token.reveal();
        // On one connection, a request is served when all is told of the one before.
        let mut client = Connection::open(served.address);
        client.send(&ask(token)).expect(204);
        client.send(&Request::get("/-/readiness")).expect(200);
        client.send(&Request::get("/-/metrics")).expect(200);
        let id = queue(&operator, new_build("demo"));
        let build = claimed(&client.send(&ask(token)).expect(201));
        client.send(&patch(&build, 0, b"hello\n")).expect(202);
        client.send(&upload(&build, "secret-name.zip", b"content")).expect(201);
        let query = format!("builds/{id}/artifacts?token={}", build.token);
        assert_eq!(client.send(&Request::get(&query)).expect(200).body, b"content");
        client.send(&patch(&build, 99, b"hole")).expect(416);
        let end = json!({"token": build.token, "state": "success"});
        client.send(&Request::put(&format!("builds/{id}")).json(&end)).expect(200);
        client.send(&Request::get(&format!("/{token}"))).expect(421);
        client.send(&Request::new("ZANZIBAR", &format!("builds/{id}?{token}"))).expect(405);
        let all = requests(&served, |line| line["status"] == 405);
        let (own, his) = (Some(id.0), Some(runner.id.0));
        let polls = [
            ("POST", 204, "builds/register", None, his),
            ("GET", 200, "/-/readiness", None, None),
            ("GET", 200, "/-/metrics", None, None),
        ];
        let rest = [
            ("POST", 201, "builds/register", own, his),
            ("PATCH", 202, "builds/:id/trace.txt", own, his),
            ("POST", 201, "builds/:id/artifacts", own, his),
            ("GET", 200, "builds/:id/artifacts", own, None),
            ("PATCH", 416, "builds/:id/trace.txt", own, None),
            ("PUT", 200, "builds/:id", own, his),
            ("GET", 421, "/PROJECT", None, None),
            ("OTHER", 405, "builds/:id", own, None),
        ];
        let expected = if polls_are_told { [&polls[..], &rest].concat() } else { rest.to_vec() };
        assert_eq!(told(&all), expected);
        let upload = all.iter().find(|line| line["route"] == "builds/:id/artifacts").unwrap();
        assert!(
            upload["bytes_in"].as_u64().unwrap() > 7 && upload["remote"].as_str().unwrap().starts_with("127.0.0.1:")
        );
        let log = served.log();
        for secret in [token, &build.token, "secret-name", "ZANZIBAR", "content\\"] {
            assert!(!log.contains(secret), "{secret}: {log}");
        }
    }
}

#[test]
fn a_held_poll_is_told_of_when_it_is_answered_with_the_time_that_it_was_held() {
    let dir = tempfile::tempdir().unwrap();
    let (served, operator) = server(dir.path(), "info");
    let runner = operator.add_runner(new_runner(), None, Timestamp::now()).unwrap();
    let token = runner.token.reveal();
    let last_update = served.send(&ask(token)).expect(204).header("X-GitLab-Last-Update").unwrap().to_owned();
    let asks = Request::post("builds/register.json")
        .agent(crate::harness::http::RUNNER_1_11)
        .json(&json!({"token": token, "last_update": last_update}));
    let mut connection = Connection::open(served.address);
    let begin = Instant::now();
    connection.send_raw(&asks.bytes());
    wait_for("a held poll", || {
        let metrics = served.send(&Request::get("/-/metrics")).expect(200).text();
        metrics.contains("\nbaton_held_polls 1\n").then_some(())
    });
    let id = queue(&operator, new_build("demo"));
    connection.read("POST").expect(201);
    let all = requests(&served, |line| line["status"] == 201);
    assert_eq!(told(&all), [("POST", 201, "builds/register", Some(id.0), Some(runner.id.0))]);
    let ms = all[0]["duration_ms"].as_f64().unwrap();
    assert!(ms > 0.0 && ms <= begin.elapsed().as_secs_f64() * 1000.0, "{ms}");
}

#[test]
fn refusals_fill_no_log_and_put_nothing_into_it() {
    let dir = tempfile::tempdir().unwrap();
    let (served, _operator) = server(dir.path(), "info");
    let begin = Instant::now();
    let mut connection = Connection::open(served.address);
    for _ in 0..300 {
        connection.send(&ask("zanzibar")).expect(403);
    }
    for _ in 0..100 {
        let mut raw = Connection::open(served.address);
        raw.send_raw(b"GET /zanzibar\x1b[2J\n{\"level\":\"error\"} HTTP/1.1\r\n\r\n");
        raw.wait_for_close();
    }
    served.log_has("more requests were answered 403; they are not listed");
    served.log_has("more requests were answered 400; they are not listed");
    let seconds = begin.elapsed().as_secs() as usize + 1;
    let all = requests(&served, |line| line["status"] == 400);
    for status in [400, 403] {
        let listed = all.iter().filter(|line| line["status"] == status).count();
        assert!((20..=20 * (seconds + 1)).contains(&listed), "{listed} of {status} in {seconds} s");
    }
    let refusal = all.iter().find(|line| line["status"] == 400).unwrap();
    assert!(refusal["error"].as_str().unwrap().contains("head") && refusal["method"] == "-", "{refusal}");
    assert!(!served.log().contains("zanzibar"));
}

#[test]
fn for_people_a_request_is_a_line_in_columns_without_colours_in_a_pipe() {
    let dir = tempfile::tempdir().unwrap();
    let served = Served::of(&mut serve(dir.path()));
    served.send(&Request::put("builds/7").json(&json!({"token": "zanzibar"}))).expect(403);
    served.log_has("PUT    403");
    let log = served.log();
    let line = log.lines().find(|line| line.contains("PUT    403")).unwrap();
    let words: Vec<&str> = line.split_whitespace().collect();
    assert_eq!(
        (words[1], words[2], words[3], words[5], words[6]),
        ("INFO", "PUT", "403", "builds/:id", "build=7"),
        "{line}"
    );
    assert!(words[0].ends_with('Z') && words[4].ends_with('s') && !log.contains('\x1b'), "{line}");
    assert!(words.iter().any(|word| word.starts_with("remote=127.0.0.1:")), "{line}");
}

#[test]
fn a_log_that_nobody_reads_holds_nobody_up_and_says_later_what_it_lacks() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = serve(dir.path());
    let mut process = command.env("RUST_LOG", "debug").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let address = line.trim().strip_prefix("baton listening on http://").unwrap().parse().unwrap();
    let mut client = Connection::open(address);
    // A pipe takes 64 KiB, a line has a hundred bytes.
    for _ in 0..2000 {
        client.send(&Request::get("/-/health")).expect(200);
    }
    let (sender, lines) = channel();
    let stderr = BufReader::new(process.stderr.take().unwrap());
    let reader = thread::spawn(move || stderr.lines().map_while(Result::ok).for_each(|line| drop(sender.send(line))));
    wait_for("a word about it", || {
        client.send(&Request::get("/-/health")).expect(200);
        lines
            .try_iter()
            .any(|line| line.contains(" lines of the log were left out, since nobody read them"))
            .then_some(())
    });
    process.kill().unwrap();
    process.wait().unwrap();
    reader.join().unwrap();
}
