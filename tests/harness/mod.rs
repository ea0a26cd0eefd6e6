//! A server in a temporary directory, and what tests need around it, in one line each. `it`, `siege` and `browser` share it.
#![allow(dead_code, unused_imports, reason = "each of them uses a part")]

pub mod browser;
pub mod command;
pub mod forge;
pub mod healthy;
pub mod hold;
pub mod http;
pub mod metrics;
pub mod random;
pub mod raw;
pub mod served;
mod skip;
pub mod sources;
pub mod speech;
pub mod terminal;
mod turn;
pub mod victim;

pub use http::{Connection, Part, Request, Response};
pub use skip::skipped;
pub use speech::Speech;

use baton::coordinator::{Checked, Coordinator, Queued, check};
use baton::domain::build::{Build, BuildId, NewBuild, Status, Variable};
use baton::domain::runner::{Runner, RunnerId};
use baton::domain::spec::BuildSpec;
use baton::domain::tags::Tags;
use baton::domain::time::Timestamp;
use baton::limits::Limits;
use baton::server::{Config, Server};
use baton::store::runners::NewRunner;
use baton::store::traces;
use serde_json::{Map, Value, json};
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;

/// A running server. Fields are dropped in order: the server stops before its directory goes.
pub struct Baton {
    server: Server,
    dir: TempDir,
}

/// A registered runner.
#[derive(Clone)]
pub struct TestRunner {
    pub id: RunnerId,
    pub token: String,
}

/// A build that a runner has got.
pub struct Claimed {
    pub id: BuildId,
    pub token: String,
    /// The whole answer.
    pub json: Value,
}

/// Every endpoint that wants a token, of a build: method and path.
pub fn endpoints(id: BuildId) -> [(&'static str, String); 9] {
    [
        ("POST", "builds/register".to_owned()),
        ("PUT", format!("builds/{id}")),
        ("PATCH", format!("builds/{id}/trace.txt")),
        ("POST", format!("builds/{id}/artifacts")),
        ("GET", format!("builds/{id}/artifacts")),
        ("DELETE", format!("builds/{id}/artifacts")),
        ("POST", format!("builds/{id}/artifacts/authorize")),
        ("POST", "runners/register".to_owned()),
        ("DELETE", "runners/delete".to_owned()),
    ]
}

/// The same of API v4, but for those that nobody's token opens.
pub fn v4_endpoints(id: BuildId) -> [(&'static str, String); 11] {
    let job = |rest: &str| format!("/api/v4/jobs/{id}{rest}");
    let runners = |rest: &str| format!("/api/v4/runners{rest}");
    [
        ("POST", "/api/v4/jobs/request".to_owned()),
        ("PUT", job("")),
        ("PATCH", job("/trace")),
        ("POST", job("/artifacts")),
        ("GET", job("/artifacts")),
        ("POST", job("/artifacts/authorize")),
        ("POST", runners("")),
        ("DELETE", runners("")),
        ("DELETE", runners("/managers")),
        ("POST", runners("/verify")),
        ("POST", runners("/reset_authentication_token")),
    ]
}

/// The runner that most tests want: shared, without tags.
pub fn new_runner() -> NewRunner {
    NewRunner { description: "laptop".to_owned(), ..NewRunner::default() }
}

/// The build that most tests want, of project `project`.
pub fn new_build(project: &str) -> NewBuild {
    NewBuild {
        project: project.to_owned(),
        name: "spinach".to_owned(),
        stage: "test".to_owned(),
        ref_: "master".to_owned(),
        sha: Some("0b3bce98f5d8d2c2a9b7d3b2f5f0c1e2a3b4c5d6".to_owned()),
        before_sha: None,
        is_tag: false,
        repo_url: None,
        spec: BuildSpec::of_script("ls -a"),
        allow_git_fetch: true,
        variables: vec![Variable::public("DB_NAME", "postgres")],
        tags: Tags::default(),
        needs: vec![],
        timeout_s: None,
    }
}

/// What [`new_build`] asks for, with `options` as runners 1.x get them.
pub fn with_options(options: Value) -> BuildSpec {
    BuildSpec { script: vec!["ls -a".to_owned()], ..baton::domain::options::read(object(options)).unwrap() }
}

pub fn tags(list: &str) -> Tags {
    Tags::from_list(list).unwrap()
}

/// The keys and values of a JSON object.
pub fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        other => panic!("no object: {other}"),
    }
}

impl Baton {
    pub fn start() -> Baton {
        Baton::with_limits(Limits::default())
    }

    pub fn with_limits(limits: Limits) -> Baton {
        Baton::start_in(tempfile::tempdir().unwrap(), limits)
    }

    /// Starts on a directory that may hold something already.
    pub fn start_in(dir: TempDir, limits: Limits) -> Baton {
        let config = Config { limits, ..Config::local(dir.path()) };
        Baton::start_with(dir, config)
    }

    /// Starts as `config` says, in `dir`.
    pub fn start_with(dir: TempDir, config: Config) -> Baton {
        turn::beside_others();
        Baton { server: Server::start(config).unwrap(), dir }
    }

    /// Stops as the program does, and leaves the data.
    pub fn stop(self) -> TempDir {
        self.server.stop();
        self.dir
    }

    /// A server with one project, `demo`.
    pub fn with_project() -> Baton {
        let baton = Baton::start();
        baton.project("demo");
        baton
    }

    /// Stops, and starts again on the same directory.
    pub fn restart(self) -> Baton {
        let Baton { server, dir } = self;
        drop(server);
        Baton::start_in(dir, Limits::default())
    }

    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// The operator's deeds.
    pub fn operator(&self) -> &Coordinator {
        self.server.coordinator()
    }

    pub fn data(&self) -> &Path {
        self.dir.path()
    }

    /// The database, beside the server.
    pub fn database(&self) -> rusqlite::Connection {
        open_database(self.data())
    }

    /// Sends a request over a connection of its own.
    pub fn send(&self, request: Request) -> Response {
        http::send(self.address(), &request)
    }

    /// Adds a project; its CI token.
    pub fn project(&self, name: &str) -> String {
        add_project(self.operator(), name)
    }

    pub fn runner(&self) -> TestRunner {
        self.runner_like(new_runner(), None)
    }

    pub fn project_runner(&self, project: &str) -> TestRunner {
        self.runner_like(new_runner(), Some(project))
    }

    pub fn runner_like(&self, new: NewRunner, project: Option<&str>) -> TestRunner {
        let registration = self.operator().add_runner(new, project, Timestamp::now()).unwrap();
        TestRunner { id: registration.id, token: registration.token.reveal().to_owned() }
    }

    /// What the operator sees of a runner.
    pub fn runner_row(&self, id: i64) -> Runner {
        let runners = self.operator().list_runners().unwrap();
        runners.into_iter().find(|runner| runner.id.0 == id).expect("the runner is listed")
    }

    /// Queues a build of project `demo`.
    pub fn build(&self) -> BuildId {
        self.queue(new_build("demo"))
    }

    pub fn queue(&self, new: NewBuild) -> BuildId {
        queue(self.operator(), new)
    }

    /// Queues a build of project `demo` that needs others.
    pub fn build_needing(&self, needs: &[BuildId]) -> BuildId {
        self.queue(NewBuild { needs: needs.to_vec(), ..new_build("demo") })
    }

    /// What the operator sees of a build.
    pub fn show(&self, id: BuildId) -> Build {
        self.operator().show_build(id, Timestamp::now()).unwrap().build
    }

    pub fn status(&self, id: BuildId) -> Status {
        self.show(id).status
    }

    pub fn cancel(&self, id: BuildId) {
        self.operator().cancel_build(id, Timestamp::now()).unwrap();
    }

    pub fn erase(&self, id: BuildId) {
        self.operator().erase_build(id, Timestamp::now()).unwrap();
    }

    /// Asks for a build as a runner that understands 204.
    pub fn ask(&self, runner: &TestRunner) -> Response {
        self.send(ask(&runner.token))
    }

    /// Asks for a build, which there must be.
    pub fn claim(&self, runner: &TestRunner) -> Claimed {
        claimed(&self.ask(runner).expect(201))
    }

    /// A runner that has a new build of project `demo`.
    pub fn running(&self) -> (TestRunner, Claimed) {
        let id = self.build();
        let runner = self.runner();
        let claimed = self.claim(&runner);
        assert_eq!(claimed.id, id);
        (runner, claimed)
    }

    /// Reports a build's state with its token.
    #[track_caller]
    pub fn finish(&self, build: &Claimed, state: &str) {
        let body = json!({"token": build.token, "state": state});
        self.send(Request::put(&format!("builds/{}", build.id)).json(&body)).expect(200);
    }

    /// Appends to a trace as a runner does, and must be told that it is stored.
    #[track_caller]
    pub fn append(&self, build: &Claimed, start: usize, data: &str) -> Response {
        self.send(patch(build, start, data.as_bytes())).expect(202)
    }

    /// A trace as it is stored, to its last byte.
    pub fn trace(&self, id: BuildId) -> Vec<u8> {
        let database = self.database();
        let row = traces::of_build(&database, id).unwrap();
        traces::read(&database, &row, 0, row.size).unwrap()
    }

    /// A trace as the operator sees it: while the build runs, without an end that may become a secret.
    pub fn shown_trace(&self, id: BuildId) -> Vec<u8> {
        let mut trace = Vec::new();
        loop {
            let (piece, _) = self.operator().read_trace(id, trace.len() as u64, 1 << 20).unwrap();
            if piece.is_empty() {
                return trace;
            }
            trace.extend_from_slice(&piece);
        }
    }

    pub fn trace_text(&self, id: BuildId) -> String {
        String::from_utf8(self.trace(id)).unwrap()
    }

    /// Names of the files below `artifacts/`.
    pub fn files(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.data().join("artifacts")).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }
}

pub fn open_database(data: &Path) -> rusqlite::Connection {
    let database = rusqlite::Connection::open(data.join("baton.db")).unwrap();
    database.busy_timeout(Duration::from_secs(10)).unwrap();
    database.execute_batch("PRAGMA foreign_keys = ON").unwrap();
    database
}

/// Finds nothing wrong with a data directory that no server changes meanwhile.
#[track_caller]
pub fn expect_well(data: &Path) -> Checked {
    let checked = check(data).unwrap();
    assert!(checked.problems.is_empty(), "{:#?}", checked.problems);
    checked
}

pub fn add_project(operator: &Coordinator, name: &str) -> String {
    operator.add_project(name, None, Duration::from_secs(3600), Timestamp::now()).unwrap().ci_token
}

pub fn queue(operator: &Coordinator, new: NewBuild) -> BuildId {
    operator.add_builds(vec![Queued { new, needs_names: vec![] }], Timestamp::now()).unwrap()[0]
}

/// The request for a build.
pub fn ask(runner_token: &str) -> Request {
    Request::post("builds/register.json").agent(http::RUNNER_1_11).json(&json!({"token": runner_token}))
}

/// The build in an answer.
pub fn claimed(response: &Response) -> Claimed {
    let json = response.json();
    Claimed {
        id: BuildId(json["id"].as_i64().expect("an id")),
        token: json["token"].as_str().expect("a token").to_owned(),
        json,
    }
}

/// A patch as runners up to 11.10 send it: the end of the range is exclusive.
pub fn patch(build: &Claimed, start: usize, data: &[u8]) -> Request {
    Request::patch(&format!("builds/{}/trace.txt", build.id))
        .build_token(&build.token)
        .header("Content-Range", &format!("{start}-{}", start + data.len()))
        .body("text/plain", data)
}

/// An upload as runners send it.
pub fn upload(build: &Claimed, filename: &str, data: &[u8]) -> Request {
    Request::post(&format!("builds/{}/artifacts", build.id))
        .build_token(&build.token)
        .multipart(&[Part::file(filename, data)])
}

/// A download with the build's own token.
pub fn download(build: &Claimed) -> Request {
    Request::get(&format!("builds/{}/artifacts", build.id)).build_token(&build.token)
}
