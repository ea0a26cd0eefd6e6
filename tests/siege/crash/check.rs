//! Compares the data with the model, after a restart and with nobody at work, and settles what was in doubt.

use super::client::{Outcome, try_send};
use super::model::{Cancel, Facts, Known, Model};
use super::runner::{Doubt, TestRunner};
use crate::harness::{Request, Response, Speech, open_database};
use baton::domain::build::{BuildId, Status};
use baton::store::traces;
use rusqlite::Connection;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::Path;

/// How much to compare.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// Since the last check; of the rest, that it is there.
    WhatChanged,
    Everything,
}

/// What the narrow row says.
struct Row {
    status: Status,
    runner: Option<i64>,
}

pub fn check(data: &Path, model: &Model, runners: &mut [TestRunner], address: SocketAddr, depth: Depth) {
    let database = open_database(data);
    expect_sound(&database);
    expect_files_and_rows_to_agree(data, &database);
    let rows = rows(&database);
    let known: Vec<BuildId> = model.builds().keys().copied().collect();
    assert_eq!(rows.keys().copied().collect::<Vec<_>>(), known, "the builds are those that were queued");
    settle_runners(&database, runners, address);
    settle_claims(&database, &rows, model, runners);
    for (id, row) in &rows {
        let mut builds = model.builds();
        let known = builds.get_mut(id).expect("compared above");
        if known.changed || depth == Depth::Everything {
            let was_in_doubt = known.doubt.is_some();
            let done = settle(*id, row, known, &Stored::of(&database, *id), |build| get(&database, address, build));
            if was_in_doubt {
                model.count(if done { "doubts: it was done" } else { "doubts: it was not done" });
            }
        }
        assert_eq!((row.status, row.runner), (known.status(), known.facts.runner), "build {id}");
    }
    for runner in runners {
        let builds = model.builds();
        runner.build = runner.build.take().filter(|(id, _)| builds[id].status() == Status::Running);
    }
}

impl Known {
    fn status(&self) -> Status {
        if self.cancel == Cancel::Done { Status::Canceled } else { self.facts.status }
    }
}

fn expect_sound(database: &Connection) {
    let verdict: String = database.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(verdict, "ok");
    let none = [
        ("SELECT count(*) FROM pragma_foreign_key_check", "rows that name a missing row"),
        (
            "SELECT count(*) FROM trace_segments WHERE id >> 20 NOT IN
                (SELECT number FROM traces UNION ALL SELECT number FROM detached_traces)",
            "segments of no trace",
        ),
        (
            "SELECT count(*) FROM traces t WHERE (t.size + 16383) / 16384 <>
                (SELECT count(*) FROM trace_segments WHERE id >= t.number << 20 AND id < (t.number + 1) << 20)",
            "traces with a segment too few or too many",
        ),
        (
            "SELECT count(*) FROM builds WHERE id NOT IN (SELECT build_id FROM build_specs)",
            "builds without a specification",
        ),
    ];
    for (sql, what) in none {
        let count: i64 = database.query_row(sql, [], |row| row.get(0)).unwrap();
        assert_eq!(count, 0, "{what}");
    }
}

fn expect_files_and_rows_to_agree(data: &Path, database: &Connection) {
    let sql =
        "SELECT path FROM artifacts UNION ALL SELECT metadata_path FROM artifacts WHERE metadata_path IS NOT NULL";
    let mut statement = database.prepare(sql).unwrap();
    let named: BTreeSet<String> = statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    let entries = std::fs::read_dir(data.join("artifacts")).unwrap();
    let files: BTreeSet<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(files, named, "the files are those that rows name");
}

fn rows(database: &Connection) -> BTreeMap<BuildId, Row> {
    let mut statement = database.prepare("SELECT id, status, runner_id FROM builds").unwrap();
    let rows = statement.query_map([], |row| {
        let status = Status::parse(&row.get::<_, String>(1)?).expect("a state");
        Ok((BuildId(row.get(0)?), Row { status, runner: row.get(2)? }))
    });
    rows.unwrap().map(Result::unwrap).collect()
}

/// A log, and the checksum of what has arrived of it, which is the same here: there are no secrets.
struct Stored {
    trace: Vec<u8>,
    crc32: Option<u32>,
}

impl Stored {
    fn of(database: &Connection, id: BuildId) -> Stored {
        let row = traces::of_build(database, id).unwrap();
        Stored { trace: traces::read(database, &row, 0, row.size).unwrap(), crc32: row.crc32 }
    }
}

/// The server has nothing else to do.
fn send(address: SocketAddr, request: Request) -> Response {
    match try_send(address, request) {
        Outcome::Answered(response) => response,
        _ => panic!("the server died by itself"),
    }
}

/// A build's artifacts as its project gets them; none for a build that no token opens.
fn get(database: &Connection, address: SocketAddr, id: BuildId) -> Response {
    let sql = "SELECT ci_token FROM projects WHERE id = (SELECT project_id FROM builds WHERE id = ?1)";
    let token: String = database.query_row(sql, [id.0], |row| row.get(0)).unwrap();
    send(address, Request::get(&format!("builds/{id}/artifacts")).build_token(&token))
}

/// Runner tokens that were given out are good, those that were given back are not.
fn settle_runners(database: &Connection, runners: &mut [TestRunner], address: SocketAddr) {
    for runner in runners {
        let doubt = runner.doubt.take_if(|doubt| *doubt != Doubt::Claim);
        let Some(identity) = runner.identity.clone() else { continue };
        let (request, good) = runner.speech.verify(&identity.token);
        match send(address, request).status {
            status if status == good => {}
            403 if doubt == Some(Doubt::Unregister) => runner.identity = None,
            status => panic!("runner {}: {status}", identity.id),
        }
        let sql = "SELECT (token_hash IS NULL) + (removed_at IS NULL) FROM runners WHERE id = ?1";
        let halves: i64 = database.query_row(sql, [identity.id], |row| row.get(0)).unwrap();
        assert_eq!(halves, 1, "runner {} is half removed", identity.id);
    }
}

/// A claim without an answer took one build or none; its runner goes on with that, by its own token where that opens it.
fn settle_claims(database: &Connection, rows: &BTreeMap<BuildId, Row>, model: &Model, runners: &mut [TestRunner]) {
    for (id, row) in rows {
        let Some(holder) = row.runner else { continue };
        let mut builds = model.builds();
        let known = builds.get_mut(id).expect("compared before");
        if known.facts.runner.is_some() {
            continue;
        }
        let runner = runners.iter_mut().find(|runner| runner.identity.as_ref().is_some_and(|own| own.id == holder));
        let runner = runner.unwrap_or_else(|| panic!("build {id} was handed to {holder}, whom nobody knows"));
        assert_eq!(runner.doubt.take(), Some(Doubt::Claim), "build {id} was handed to {holder}, who did not ask");
        (known.facts.status, known.facts.runner) = (Status::Running, Some(holder));
        let own = runner.identity.as_ref().expect("found by it").token.clone();
        // Gone with the build's end.
        let of_build =
            || database.query_row("SELECT coalesce(token, '') FROM builds WHERE id = ?1", [id.0], |row| row.get(0));
        runner.build = Some((*id, if runner.speech == Speech::Old { own } else { of_build().unwrap() }));
    }
    for runner in runners {
        runner.doubt = None;
    }
}

/// Finds the build among what it may be; from now on that is known. Returns whether what was in doubt was done.
fn settle(id: BuildId, row: &Row, known: &mut Known, stored: &Stored, download: impl Fn(BuildId) -> Response) -> bool {
    let response = download(id);
    let is_so = |facts: &Facts| {
        let artifacts_agree = match &facts.artifacts {
            Some(archive) => response.status == 200 && response.body == *archive,
            None => response.status == 404,
        };
        let is_summed = stored.crc32 == Some(crc32fast::hash(&facts.trace));
        row.status == facts.status && stored.trace == facts.trace && is_summed && artifacts_agree
    };
    let possible = known.possible();
    let found = possible.iter().rposition(is_so).unwrap_or_else(|| {
        let found = Facts {
            status: row.status,
            runner: row.runner,
            trace: stored.trace.clone(),
            artifacts: (response.status == 200).then(|| response.body.clone()),
        };
        let lines: Vec<String> = possible.iter().map(Facts::outline).collect();
        panic!("build {id} is\n    {}\nand may be\n    {}", found.outline(), lines.join("\n    "))
    });
    let (found, was_done) = (possible[found].clone(), found > 0);
    known.facts = Facts { status: if is_canceled(known) { known.facts.status } else { found.status }, ..found };
    known.doubt = None;
    known.changed = false;
    was_done
}

fn is_canceled(known: &Known) -> bool {
    known.cancel == Cancel::Done
}

impl Facts {
    fn outline(&self) -> String {
        let artifacts = self.artifacts.as_ref().map(Vec::len);
        format!("{} on {:?}, {} bytes of trace, artifacts {artifacts:?}", self.status, self.runner, self.trace.len())
    }
}
