//! Data directories with runners, builds and logs in them, made with Baton's own library before a server starts.

use crate::client::{Client, ask_once};
use crate::wire::{self, Api, Connections, field, poll};
use baton::coordinator::{Coordinator, Queued};
use baton::domain::build::NewBuild;
use baton::domain::runner::RunnerInfo;
use baton::domain::spec::BuildSpec;
use baton::domain::tags::Tags;
use baton::domain::time::Timestamp;
use baton::limits::Limits;
use baton::store::runners::NewRunner;
use rusqlite::Connection;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;
use tempfile::TempDir;

/// The project that all builds belong to, unless a row needs more.
pub const PROJECT: &str = "demo";

/// Bytes of a patch.
pub const PATCH_BYTES: usize = 4096;

/// A data directory, removed when dropped.
pub struct Data {
    dir: TempDir,
}

/// A build that a runner has got.
#[derive(Clone)]
pub struct Running {
    /// Which protocol its runner speaks.
    pub api: Api,
    pub id: i64,
    pub token: String,
    /// Bytes of its log.
    pub size: usize,
}

impl Data {
    /// A new one, with one project. `TMPDIR` says on which disk.
    pub fn new() -> Data {
        let data = Data { dir: tempfile::tempdir().unwrap() };
        data.operator().add_project(PROJECT, None, Duration::from_secs(3600), Timestamp::now()).unwrap();
        data
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    pub fn database(&self) -> PathBuf {
        self.path().join("baton.db")
    }

    /// The operator's deeds; to be dropped before a server starts.
    pub fn operator(&self) -> Coordinator {
        Coordinator::open(self.path(), Limits::default()).unwrap()
    }

    /// A plain connection to the database.
    pub fn connect(&self) -> Connection {
        let connection = Connection::open(self.database()).unwrap();
        connection.busy_timeout(Duration::from_secs(10)).unwrap();
        connection.execute_batch("PRAGMA foreign_keys = ON").unwrap();
        connection
    }

    /// So many shared runners that take every untagged build; their tokens.
    pub fn runners(&self, count: usize) -> Vec<String> {
        let operator = self.operator();
        let some = |count| (0..count).map(|_| add_runner(&operator, Tags::default(), true, None)).collect::<Vec<_>>();
        // In threads, so that they share commits.
        let threads = count.min(32);
        thread::scope(|scope| {
            let parts = (0..threads).map(|index| (count + index) / threads);
            let parts: Vec<_> = parts.map(|count| scope.spawn(move || some(count))).collect();
            parts.into_iter().flat_map(|part| part.join().unwrap()).collect()
        })
    }

    /// Queues so many trivial builds.
    pub fn queue(&self, count: usize) {
        queue_tagged(&self.operator(), count, &Tags::default());
    }
}

/// Queues so many trivial builds with these tags.
pub fn queue_tagged(operator: &Coordinator, count: usize, tags: &Tags) {
    let mut left = count;
    while left > 0 {
        let several = left.min(1000);
        let one = || Queued { new: NewBuild { tags: tags.clone(), ..trivial_build() }, needs_names: vec![] };
        operator.add_builds(std::iter::repeat_with(one).take(several).collect(), Timestamp::now()).unwrap();
        left -= several;
    }
}

/// The build that most rows deal with.
fn trivial_build() -> NewBuild {
    NewBuild {
        project: PROJECT.to_owned(),
        name: "unit".to_owned(),
        stage: "test".to_owned(),
        ref_: "master".to_owned(),
        sha: Some("0b3bce98f5d8d2c2a9b7d3b2f5f0c1e2a3b4c5d6".to_owned()),
        before_sha: None,
        is_tag: false,
        repo_url: None,
        spec: BuildSpec::of_script("true"),
        allow_git_fetch: true,
        variables: vec![],
        tags: Tags::default(),
        needs: vec![],
        timeout_s: None,
    }
}

/// A runner's token.
pub fn add_runner(operator: &Coordinator, tags: Tags, run_untagged: bool, project: Option<&str>) -> String {
    let mut info = RunnerInfo::default();
    for name in RunnerInfo::FIELDS {
        info.set(name, wire::info()[name].as_str().unwrap());
    }
    let description = "bench".to_owned();
    let new = NewRunner { description, tags, run_untagged, info, ..NewRunner::default() };
    operator.add_runner(new, project, Timestamp::now()).unwrap().token.reveal().to_owned()
}

/// Claims one build with each of these tokens; there must be enough.
pub fn claim_each(address: SocketAddr, runners: &[String]) -> Vec<Running> {
    claim_each_by(Api::V1, address, runners)
}

/// The same in this protocol.
pub fn claim_each_by(api: Api, address: SocketAddr, runners: &[String]) -> Vec<Running> {
    let mut client = Client::new(address);
    let mut claim = |token: &String| {
        let answer = client.ask(&api.poll(token, None, Connections::Kept)).expect(201);
        let id = field(&answer.body, "id").parse().unwrap();
        Running { api, id, token: field(&answer.body, "token").to_owned(), size: 0 }
    };
    runners.iter().map(&mut claim).collect()
}

/// The `last_update` that this runner is told at present.
pub fn last_update(address: SocketAddr, runner: &str) -> String {
    let answer = ask_once(address, &poll(runner, None, Connections::Kept)).expect(204);
    answer.header("X-GitLab-Last-Update").unwrap().to_owned()
}

/// So many bytes that look like a build's log.
pub fn log_text(bytes: usize) -> Vec<u8> {
    let mut text = Vec::with_capacity(bytes + 100);
    let mut line = 0_usize;
    while text.len() < bytes {
        let size = line.wrapping_mul(7919) % 4096;
        text.extend_from_slice(
            format!("   Compiling crate-{line} v0.{}.{} ({size} bytes)\n", line % 50, line % 9).as_bytes(),
        );
        line += 1;
    }
    text.truncate(bytes);
    text
}

impl Running {
    /// The next patch of this log, and the log's size with it.
    pub fn patch(&mut self, data: &[u8]) -> Vec<u8> {
        let request = self.api.patch(self.id, &self.token, self.size, data);
        self.size += data.len();
        request
    }
}
