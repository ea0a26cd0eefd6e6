//! Old builds go, and nothing else does; what they took is free again.

use crate::harness::*;
use baton::coordinator::check;
use baton::coordinator::{Coordinator, Queued, Removal, Taken};
use baton::domain::build::{ArtifactsFile, BuildId, NewBuild, Status};
use baton::domain::spec::{ArtifactFormat, ArtifactKind};
use baton::domain::time::Timestamp;
use baton::limits::Limits;
use baton::server::{Config, Server};
use baton::store::artifacts::{self, Stored};
use baton::store::traces;
use rusqlite::{Transaction, TransactionBehavior};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const DAY: Duration = Duration::from_secs(24 * 3600);
const CONTENT: &[u8] = b"what the build made";

/// Runs `baton` in a process of its own.
fn command(data: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_baton"));
    command.env_remove("BATON_DATA").env_remove("RUST_LOG").arg("--data").arg(data).args(arguments);
    command
}

#[track_caller]
fn json(output: &Output) -> Value {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// A data directory that nobody serves, with project `demo`.
fn unserved() -> (TempDir, Coordinator) {
    let dir = tempfile::tempdir().unwrap();
    let coordinator = Coordinator::open(dir.path(), Limits::default()).unwrap();
    add_project(&coordinator, "demo");
    (dir, coordinator)
}

/// Queues builds of project `demo`; the first of them.
fn queue_many(operator: &Coordinator, count: i64) -> i64 {
    let queued = (0..count).map(|_| Queued { new: new_build("demo"), needs_names: vec![] }).collect();
    operator.add_builds(queued, Timestamp::now()).unwrap()[0].0
}

/// Ends a build that waits, `days` ago.
fn end(data: &Path, id: i64, days: u32) {
    let at = Timestamp::now().minus(days * DAY);
    let sql = "UPDATE builds SET status = 'success', finished_at = ?1 WHERE id = ?2";
    assert_eq!(open_database(data).execute(sql, [at.0, id]).unwrap(), 1);
}

/// Ends all builds that wait, 100 days ago, with a log of `log_bytes` and artifacts each.
fn end_all_with_output(data: &Path, log_bytes: usize) {
    let database = open_database(data);
    // At once, since a server may write between a look and a change.
    let all = Transaction::new_unchecked(&database, TransactionBehavior::Immediate).unwrap();
    let ids: Vec<i64> = {
        let mut waiting = all.prepare("SELECT id FROM builds WHERE finished_at IS NULL").unwrap();
        waiting.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    };
    let at = Timestamp::now().minus(100 * DAY);
    all.execute("UPDATE builds SET status = 'success', finished_at = ?1 WHERE finished_at IS NULL", [at.0]).unwrap();
    for id in ids {
        let file = ArtifactsFile {
            path: format!("{id}-{id:016x}"),
            filename: "out.zip".to_owned(),
            size: CONTENT.len() as u64,
            sha256: Sha256::digest(CONTENT).into(),
            expire_at: None,
        };
        std::fs::write(data.join("artifacts").join(&file.path), CONTENT).unwrap();
        let (kind, format) = (ArtifactKind::archive(), ArtifactFormat::Zip);
        let stored = Stored { id: BuildId(id), kind, format, file, metadata_path: None, uploaded_at: at };
        artifacts::replace(&all, &stored).unwrap();
        let trace = traces::of_build(&all, BuildId(id)).unwrap();
        traces::write(&all, BuildId(id), &trace, 0, &vec![b'x'; log_bytes], traces::Tail::NONE).unwrap();
        traces::finish(&all, BuildId(id)).unwrap();
    }
    all.commit().unwrap();
}

fn ids(data: &Path) -> Vec<i64> {
    let database = open_database(data);
    let mut statement = database.prepare("SELECT id FROM builds ORDER BY id").unwrap();
    statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

fn files(data: &Path) -> usize {
    std::fs::read_dir(data.join("artifacts")).unwrap().count()
}

#[track_caller]
fn expect_well(data: &Path) {
    let problems = check(data).unwrap().problems;
    assert!(problems.is_empty(), "{problems:#?}");
}

/// All that the tables hold, but what moves by itself.
fn content(data: &Path) -> Vec<String> {
    let database = open_database(data);
    let tables = ["builds", "build_specs", "build_needs", "traces", "detached_traces", "artifacts", "sqlite_sequence"];
    let mut all = Vec::new();
    for table in tables {
        let mut statement = database.prepare(&format!("SELECT * FROM {table}")).unwrap();
        let width = statement.column_count();
        let rows = statement.query_map([], |row| {
            (0..width).map(|column| row.get::<_, rusqlite::types::Value>(column)).collect::<Result<Vec<_>, _>>()
        });
        all.extend(rows.unwrap().map(|row| format!("{table}: {:?}", row.unwrap())));
    }
    all
}

#[test]
fn builds_that_ended_long_ago_go_and_all_others_stay() {
    let (dir, operator) = unserved();
    let data = dir.path();
    add_project(&operator, "other");
    let of_other = queue(&operator, new_build("other")).0;
    let first = queue_many(&operator, 5);
    let ages = [(of_other, 50), (first, 31), (first + 1, 29), (first + 2, 400)];
    ages.into_iter().for_each(|(id, days)| end(data, id, days));
    // One that runs since long ago, and one that waits.
    let runner = operator.add_runner(new_runner(), None, Timestamp::now()).unwrap();
    operator.claim_build(&runner.token.into(), None, Timestamp(1)).unwrap().wait().unwrap();
    let stay = [first + 1, first + 3, first + 4];

    let prune =
        |arguments: &[&str]| json(&command(data, &[&["prune", "--json"], arguments].concat()).output().unwrap());
    let tried = prune(&["--older-than", "30d", "--project", "demo", "--dry-run"]);
    assert_eq!((tried["builds"].as_u64(), tried["dry_run"].as_bool()), (Some(2), Some(true)));
    assert_eq!(ids(data).len(), 6);
    assert_eq!(prune(&["--older-than", "30d", "--project", "demo"])["builds"], 2);
    assert_eq!(ids(data), [&[of_other], &stay[..]].concat());
    assert_eq!(prune(&["--older-than", "30 days"])["builds"], 1);
    assert_eq!(prune(&["--older-than", "30 days"])["builds"], 0);
    assert_eq!(ids(data), stay);
    assert_eq!(queue_many(&operator, 1), first + 5, "no id is used again");
    expect_well(data);
    let unknown = command(data, &["prune", "--older-than", "1d", "--project", "demmo"]).output().unwrap();
    assert_eq!(unknown.status.code(), Some(1));
}

#[test]
fn what_an_unfinished_build_needs_stays_and_what_finished_ones_needed_goes() {
    let (dir, operator) = unserved();
    let data = dir.path();
    let first = queue_many(&operator, 3);
    let needing = |needs: &[i64]| {
        let needs = needs.iter().map(|id| BuildId(*id)).collect();
        queue(&operator, NewBuild { needs, ..new_build("demo") }).0
    };
    let ended = needing(&[first]);
    let waits = needing(&[first + 1, first + 2]);
    for id in [first, first + 1] {
        end(data, id, 100);
    }
    end(data, ended, 10);
    let prune = || operator.prune(30 * DAY, None, Removal::Done, Timestamp::now()).unwrap().builds;
    assert_eq!(prune(), 1);
    assert_eq!(ids(data), [first + 1, first + 2, ended, waits]);
    let show = |id| operator.show_build(BuildId(id), Timestamp::now()).unwrap().build;
    assert_eq!(show(ended).needs, []);
    assert_eq!(show(waits).needs, [BuildId(first + 1), BuildId(first + 2)]);
    expect_well(data);
    let again = operator.retry_build(BuildId(ended), Timestamp::now()).unwrap();
    assert_eq!(show(again.0).status, Status::Pending);
    operator.cancel_build(BuildId(waits), Timestamp::now()).unwrap();
    assert_eq!(prune(), 1);
    assert_eq!(show(waits).needs, [BuildId(first + 2)]);
    expect_well(data);
}

#[test]
fn a_try_counts_what_would_go_and_changes_nothing() {
    let (dir, operator) = unserved();
    let data = dir.path();
    queue_many(&operator, 20);
    end_all_with_output(data, 50_000);
    queue_many(&operator, 2);
    let before = (content(data), files(data));
    let run = |removal| operator.prune(DAY, None, removal, Timestamp::now()).unwrap();
    let tried = run(Removal::Tried);
    assert_eq!((content(data), files(data)), before);
    assert_eq!(tried, Taken { builds: 20, log_bytes: 1_000_000, artifact_bytes: 20 * CONTENT.len() as u64 });
    assert_eq!(run(Removal::Done), tried);
    assert_eq!((ids(data).len(), files(data)), (2, 0));
}

#[test]
fn a_server_keeps_builds_as_long_as_it_is_told() {
    let baton = Baton::with_limits(Limits { keep_builds: Some(30 * DAY), ..Limits::default() });
    baton.project("demo");
    let (_, build) = baton.running();
    baton.append(&build, 0, "a log\n");
    baton.send(upload(&build, "out.zip", CONTENT)).expect(201);
    let (_, runs) = baton.running();
    baton.finish(&build, "success");
    let ended = baton.show(build.id).finished_at.unwrap();
    let retire = |now: Timestamp| baton.operator().retire(now).unwrap().builds;
    assert_eq!(retire(Timestamp(ended.plus(30 * DAY).0 - 1)), 0);
    assert_eq!(baton.files().len(), 1);
    // Had the walk come to the end before, it begins anew.
    assert_eq!(retire(ended.plus(30 * DAY)), 1);
    assert_eq!((ids(baton.data()), baton.files()), (vec![runs.id.0], vec![]));
    baton.send(download(&build)).expect_error(404);
    assert_eq!(baton.status(runs.id), Status::Running);
    let ephemeral = Baton::with_project();
    let (_, build) = ephemeral.running();
    ephemeral.finish(&build, "success");
    assert_eq!(ephemeral.operator().retire(Timestamp::now().plus(36_500 * DAY)).unwrap(), Taken::default());
}

#[test]
fn a_server_removes_many_in_many_runs_and_finds_those_that_ended_late() {
    let dir = tempfile::tempdir().unwrap();
    let limits = Limits { keep_builds: Some(DAY), ..Limits::default() };
    let operator = Coordinator::open(dir.path(), limits).unwrap();
    add_project(&operator, "demo");
    let first = queue_many(&operator, 3001);
    open_database(dir.path())
        .execute("UPDATE builds SET status = 'success', finished_at = 1 WHERE id > ?1", [first])
        .unwrap();
    let retire = || operator.retire(Timestamp::now()).unwrap().builds;
    let run = retire();
    assert!((2000..3000).contains(&run), "{run}");
    assert_eq!(run + retire(), 3000);
    end(dir.path(), first, 2);
    assert_eq!(retire() + retire(), 1, "the walk begins anew at the end");
    expect_well(dir.path());
}

#[test]
fn the_file_shrinks_at_once_where_nobody_serves() {
    let (dir, operator) = unserved();
    let data = dir.path();
    queue_many(&operator, 100);
    end_all_with_output(data, 400_000);
    drop(operator);
    let bytes = || std::fs::metadata(data.join("baton.db")).unwrap().len();
    assert!(bytes() > 38 << 20);
    let pruned = json(&command(data, &["prune", "--older-than", "1d", "--json"]).output().unwrap());
    assert_eq!((pruned["builds"].as_u64(), pruned["log_bytes"].as_u64()), (Some(100), Some(40_000_000)));
    assert_eq!(pruned["bytes"].as_u64(), Some(40_000_000 + 100 * CONTENT.len() as u64));
    assert!(bytes() < 12 << 20, "{} bytes", bytes());
    assert_eq!(files(data), 0);
    expect_well(data);
}

#[test]
fn a_command_beside_a_server_leaves_the_room_to_it() {
    let baton = Baton::with_project();
    queue_many(baton.operator(), 100);
    end_all_with_output(baton.data(), 400_000);
    let running = baton.running().1;
    let output = command(baton.data(), &["prune", "--older-than", "1d"]).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(said, "removed 100 builds that ended more than 1d ago: 38.1 MiB of logs, 1.9 KiB of artifacts\n");
    let deadline = Instant::now() + Duration::from_secs(60);
    let is_long = || {
        let detached: i64 =
            baton.database().query_row("SELECT count(*) FROM detached_traces", [], |row| row.get(0)).unwrap();
        detached > 0 || std::fs::metadata(baton.data().join("baton.db")).unwrap().len() > 12 << 20
    };
    while is_long() {
        assert!(Instant::now() < deadline, "the file stays long");
        std::thread::sleep(Duration::from_millis(20));
    }
    baton.append(&running, 0, "goes on\n");
    expect_well(baton.data());
}

#[test]
fn what_each_project_takes_is_said() {
    let (dir, operator) = unserved();
    let data = dir.path();
    add_project(&operator, "idle");
    queue_many(&operator, 3);
    end_all_with_output(data, 50_000);
    queue_many(&operator, 2);
    let du = json(&command(data, &["du", "--json"]).output().unwrap());
    let artifact_bytes = 3 * CONTENT.len() as u64;
    let of = |project: &str, builds: u64, log_bytes: u64, artifact_bytes: u64| serde_json::json!({"project": project, "builds": builds, "log_bytes": log_bytes, "artifact_bytes": artifact_bytes});
    assert_eq!(du["projects"], serde_json::json!([of("demo", 5, 150_000, artifact_bytes), of("idle", 0, 0, 0)]));
    assert_eq!(du["artifact_bytes"].as_u64(), Some(artifact_bytes));
    let database_bytes = du["database_bytes"].as_u64().unwrap();
    assert!(database_bytes > 150_000 && du["database_free_bytes"].as_u64().unwrap() < database_bytes);
    assert_eq!(du["total_bytes"].as_u64(), Some(database_bytes + artifact_bytes));
    drop(operator);
    assert_eq!(std::fs::metadata(data.join("baton.db")).unwrap().len(), database_bytes);
    let table = String::from_utf8(command(data, &["du"]).output().unwrap().stdout).unwrap();
    assert!(table.contains("all      5       146.5 KiB  57 B"), "{table}");
}

/// The files of what was committed go after it: who is killed in between leaves files that no row names.
#[test]
fn a_command_that_is_killed_leaves_whole_builds_and_nothing_after_the_next_start() {
    let (dir, operator) = unserved();
    let data = dir.path();
    queue_many(&operator, 3000);
    end_all_with_output(data, 1000);
    let count = || ids(data).len();
    for life in 0..5 {
        let before = count();
        let mut process = command(data, &["prune", "--older-than", "1d"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // It is in the midst of it when the first are gone.
        while count() == before && process.try_wait().unwrap().is_none() {}
        process.kill().unwrap();
        process.wait().unwrap();
        let left = count();
        assert_eq!((before - left) % 200, 0, "life {life}: a commit is done or not");
        assert!(files(data) >= left, "life {life}: no row has lost its file");
        drop(Server::start(Config::local(data)).unwrap());
        assert_eq!((count(), files(data)), (left, left), "life {life}");
        expect_well(data);
    }
    json(&command(data, &["prune", "--older-than", "1d", "--json"]).output().unwrap());
    assert_eq!((count(), files(data)), (0, 0));
    expect_well(data);
}
