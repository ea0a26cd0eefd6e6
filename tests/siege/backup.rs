//! Backups and checks while builds run, logs grow, and artifacts come, are replaced and go.

use crate::harness::command::{baton, done};
use crate::harness::*;
use baton::domain::build::BuildId;
use baton::domain::build::Status;
use baton::domain::time::Timestamp;
use baton::store::traces;
use baton::{Config, Server};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// What one build was promised. Its log's byte at an offset, and each version of its artifacts, follow from its id.
#[derive(Clone, Default)]
struct Facts {
    token: String,
    trace_bytes: usize,
    /// Of the artifacts that were stored last; each upload has the next number.
    version: Option<u8>,
    /// A removal was asked for; it may or may not have happened.
    is_removed: bool,
    status: Option<Status>,
}

type Model = Mutex<BTreeMap<i64, Facts>>;

fn line_of(id: i64, offset: usize, bytes: usize) -> Vec<u8> {
    (offset..offset + bytes).map(|at| b'a' + ((at as u64 * 7 + id.unsigned_abs()) % 26) as u8).collect()
}

fn version_of(id: i64, version: u8) -> Vec<u8> {
    vec![version ^ (id as u8); 20_000 + usize::from(version) * 1000 + id as usize % 997]
}

/// Lives through whole builds until `stop`, and notes each thing that was acknowledged.
fn work(server: &Baton, model: &Model, stop: &AtomicBool) {
    let runner = server.runner();
    let mut random = random::Random::new();
    let note = |id: BuildId, change: &dyn Fn(&mut Facts)| change(model.lock().unwrap().entry(id.0).or_default());
    let mut connection = Connection::open(server.address());
    let mut ended = Vec::new();
    while !stop.load(Ordering::Acquire) {
        server.build();
        let response = connection.send(&ask(&runner.token));
        if response.status == 204 {
            continue;
        }
        let build = claimed(&response.expect(201));
        note(build.id, &|facts| facts.token.clone_from(&build.token));
        let mut written = 0;
        for version in 0..1 + random.below(3) as u8 {
            let bytes = 1 + random.below(40_000);
            connection.send(&patch(&build, written, &line_of(build.id.0, written, bytes))).expect(202);
            written += bytes;
            note(build.id, &|facts| facts.trace_bytes = written);
            connection.send(&upload(&build, "a.zip", &version_of(build.id.0, version))).expect(201);
            note(build.id, &|facts| facts.version = Some(version));
        }
        let (word, status) = random.pick(&[("success", Status::Success), ("failed", Status::Failed)]);
        server.finish(&build, word);
        note(build.id, &|facts| facts.status = Some(status));
        ended.push(build);
        if random.below(3) == 0 {
            let build = ended.swap_remove(random.below(ended.len()));
            note(build.id, &|facts| facts.is_removed = true);
            let path = format!("builds/{}/artifacts", build.id);
            connection.send(&Request::delete(&path).build_token(&build.token)).expect(200);
        }
    }
}

/// Everything that was promised `before` the backup began is in it; what is newer may be.
fn expect_promises(data: &Path, before: &BTreeMap<i64, Facts>, after: &BTreeMap<i64, Facts>) {
    expect_well(data);
    let said = done(&baton(data, &["check"]));
    assert!(said.ends_with("all is well\n"), "{said}");
    let server = Server::start(Config::local(data)).unwrap();
    let database = open_database(data);
    for (&id, facts) in before {
        let build = server.coordinator().show_build(BuildId(id), Timestamp::now()).unwrap().build;
        if let Some(status) = facts.status {
            assert_eq!(build.status, status, "build {id}");
        }
        // As it is stored: of a running build, an end that may begin a secret is not shown.
        let row = traces::of_build(&database, BuildId(id)).unwrap();
        let trace = traces::read(&database, &row, 0, row.size).unwrap();
        assert!(trace.len() >= facts.trace_bytes, "build {id}: {} of {}", trace.len(), facts.trace_bytes);
        assert!(trace == line_of(id, 0, trace.len()), "build {id}");
        let claimed = Claimed { id: BuildId(id), token: facts.token.clone(), json: Value::Null };
        let response = http::send(server.address(), &download(&claimed));
        match (facts.version, response.status) {
            (_, 404) if facts.version.is_none() || after[&id].is_removed => {}
            (Some(version), 200) => {
                let newer = version..=after[&id].version.unwrap();
                assert!(newer.into_iter().any(|version| response.body == version_of(id, version)), "build {id}");
            }
            (None, 200) => {}
            (version, status) => panic!("build {id}: artifacts {version:?} are {status}"),
        }
    }
    drop((server, database));
    expect_well(data);
}

#[test]
fn all_that_was_acknowledged_before_a_backup_under_load_is_in_it() {
    let server = Baton::with_project();
    let model = Model::default();
    let stop = AtomicBool::new(false);
    let dir = tempfile::tempdir().unwrap();
    let mut backups = Vec::new();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| work(&server, &model, &stop));
        }
        // Stops the others also when something fails here.
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for round in 1..=4 {
                let deadline = Instant::now() + Duration::from_secs(60);
                while model.lock().unwrap().len() < round * 30 && Instant::now() < deadline {
                    std::thread::yield_now();
                }
                let before = model.lock().unwrap().clone();
                assert!(before.len() >= round * 30);
                let to = dir.path().join(format!("backup-{round}"));
                done(&baton(server.data(), &["backup", to.to_str().unwrap()]));
                // Nothing that the server is doing alarms a check.
                done(&baton(server.data(), &["check"]));
                backups.push((to, before));
            }
        }));
        stop.store(true, Ordering::Release);
        if let Err(panic) = result {
            std::panic::resume_unwind(panic);
        }
    });
    let after = model.lock().unwrap().clone();
    for (to, before) in &backups {
        expect_promises(to, before, &after);
    }
    expect_well(server.data());
}
