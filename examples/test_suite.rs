//! A test suite with a real coordinator: each test has a server of its own, in its own process, with temporary
//! data and a free port, and nothing is left of either when the test ends, however it ends.
//!
//! ```text
//! cargo test --test test_suite
//! ```
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests stop at the first surprise, and say where")]

use baton::Server;
use baton::domain::build::{BuildId, FailureReason, NewBuild, Status};
use baton::domain::time::Timestamp;
use baton::limits::Limits;
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// What the tests are about: here, a runner that speaks the protocol by hand.
struct Runner<'a> {
    server: &'a Server,
    token: String,
}

impl Runner<'_> {
    /// Registers, as `gitlab-runner register` does.
    fn register(server: &Server) -> Runner<'_> {
        let registration_token = server.coordinator().registration_token(false).unwrap();
        let (status, answer) = send(server, "POST", "runners/register", &json!({ "token": registration_token }));
        assert_eq!(status, 201);
        Runner { server, token: answer["token"].as_str().unwrap().to_owned() }
    }

    /// Asks for work.
    fn ask(&self) -> Option<BuildId> {
        let (status, job) = send(self.server, "POST", "builds/register", &json!({ "token": self.token }));
        (status == 201).then(|| BuildId(job["id"].as_i64().unwrap()))
    }

    /// Reports the end of a build, with its log.
    fn finish(&self, build: BuildId, state: &str, log: &str) {
        let report = json!({ "token": self.token, "state": state, "trace": log });
        assert_eq!(send(self.server, "PUT", &format!("builds/{build}"), &report).0, 200);
    }
}

/// A request in JSON, and its answer: any HTTP client will do.
fn send(server: &Server, method: &str, path: &str, body: &Value) -> (u16, Value) {
    let mut stream = TcpStream::connect(server.address()).unwrap();
    let body = body.to_string();
    let head = "Host: baton\r\nConnection: close\r\nContent-Type: application/json";
    let length = body.len();
    write!(stream, "{method} /ci/api/v1/{path} HTTP/1.1\r\n{head}\r\nContent-Length: {length}\r\n\r\n{body}").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, serde_json::from_str(body).unwrap_or_default())
}

/// A server with one project, `demo`.
fn server(limits: Limits) -> Server {
    let server = Server::ephemeral(limits).unwrap();
    let an_hour = Duration::from_secs(3600);
    server.coordinator().add_project("demo", None, an_hour, Timestamp::now()).unwrap();
    server
}

/// Queues a build.
fn queue(server: &Server, commands: &str) -> BuildId {
    let build = NewBuild::new("demo", commands);
    *server.coordinator().add_builds(vec![build.into()], Timestamp::now()).unwrap().first().unwrap()
}

#[test]
fn a_build_goes_to_a_runner_and_its_log_comes_back() {
    let server = server(Limits::default());
    let runner = Runner::register(&server);
    let build = queue(&server, "make test");

    assert_eq!(runner.ask(), Some(build));
    runner.finish(build, "success", "all is well\n");

    let shown = server.coordinator().show_build(build, Timestamp::now()).unwrap().build;
    assert_eq!(shown.status, Status::Success);
    let (log, _) = server.coordinator().read_trace(build, 0, 1000).unwrap();
    assert_eq!(log, b"all is well\n");
}

#[test]
fn a_runner_without_work_is_told_so() {
    // Else it is held until there is some, or for half a minute.
    let server = server(Limits { hold_time_max: Duration::ZERO, ..Limits::default() });
    assert_eq!(Runner::register(&server).ask(), None);
}

#[test]
fn the_build_of_a_runner_that_has_gone_fails() {
    let a_minute = Duration::from_secs(60);
    let server = server(Limits { runner_timeout: a_minute, ..Limits::default() });
    let runner = Runner::register(&server);
    let build = queue(&server, "make test");
    assert_eq!(runner.ask(), Some(build));

    // Time is an argument: nobody waits for a minute.
    let later = Timestamp::now().plus(2 * a_minute);
    server.coordinator().sweep(later).unwrap();

    let shown = server.coordinator().show_build(build, later).unwrap().build;
    assert_eq!((shown.status, shown.failure_reason), (Status::Failed, Some(FailureReason::RunnerLost)));
}
