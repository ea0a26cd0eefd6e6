//! Logs: the same bytes, stored in the plainest way, and by the statements that the coordinator runs.

use super::{GROUP, group, open, run};
use rusqlite::{Connection, MAIN_DB};
use std::path::Path;
use std::time::{Duration, Instant};

/// A database with a table of patches: a row each, which is the plainest way to store them.
pub fn patches(path: &Path) -> Connection {
    let connection = open(path);
    connection.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(())).unwrap();
    connection.execute_batch("CREATE TABLE patches (id INTEGER PRIMARY KEY, data BLOB NOT NULL)").unwrap();
    connection
}

const INSERT_PATCH: &str = "INSERT INTO patches (data) VALUES (?1)";

/// One durable commit of these bytes.
pub fn patch(c: &Connection, data: &[u8]) {
    run(c, INSERT_PATCH, [data]);
}

/// Patches a second, in commits of 64.
pub fn patches_per_second(c: &Connection, data: &[u8], time: Duration) -> f64 {
    let started = Instant::now();
    let mut count = 0;
    while started.elapsed() < time {
        group(c, GROUP, |c, _| run(c, INSERT_PATCH, [data]));
        count += GROUP;
    }
    count as f64 / started.elapsed().as_secs_f64()
}

/// Logs of running builds, which grow by the statements of `Coordinator::append_trace` on its own tables.
pub struct Logs {
    writer: Connection,
    /// Each build's id, and its log's size in bytes.
    logs: Vec<(i64, usize)>,
}

impl Logs {
    /// For these builds, whose logs are empty.
    pub fn new(path: &Path, builds: Vec<i64>) -> Logs {
        Logs { writer: open(path), logs: builds.into_iter().map(|id| (id, 0)).collect() }
    }

    /// Patches a second, one of each build in a commit.
    pub fn patches_per_second(&mut self, data: &[u8], time: Duration) -> f64 {
        let started = Instant::now();
        let mut count = 0;
        while started.elapsed() < time {
            group(&self.writer, self.logs.len(), |c, index| append(c, &mut self.logs[index], data));
            count += self.logs.len();
        }
        count as f64 / started.elapsed().as_secs_f64()
    }
}

/// Bytes of a segment; patches are parts of it.
const SEGMENT_BYTES: usize = 16 << 10;

fn append(c: &Connection, (id, size): &mut (i64, usize), data: &[u8]) {
    run(c, "SELECT id, project_id, status, runner_id, token_hash, seen_at, erased_at FROM builds WHERE id = ?1", [*id]);
    run(c, "SELECT b.token, p.ci_token FROM builds b JOIN projects p ON p.id = b.project_id WHERE b.id = ?1", [*id]);
    run(c, "SELECT number, size, carry FROM traces WHERE build_id = ?1", [*id]);
    if *size == 0 {
        run(c, "INSERT INTO traces (build_id, number, size, carry) VALUES (?1, ?1, 0, x'')", [*id]);
    }
    let after = *size + data.len();
    run(c, "UPDATE traces SET size = ?1, carry = x'00' WHERE build_id = ?2", [after as i64, *id]);
    let segment = *id << 20 | (*size / SEGMENT_BYTES) as i64;
    let offset = *size % SEGMENT_BYTES;
    if offset == 0 {
        let empty = SEGMENT_BYTES as i64;
        run(c, "INSERT INTO trace_segments (id, data) VALUES (?1, zeroblob(?2))", [segment, empty]);
    }
    let mut blob = c.blob_open(MAIN_DB, "trace_segments", "data", segment, false).unwrap();
    blob.write_at(data, offset).unwrap();
    *size = after;
}

/// A log's bytes as rows of 16 KiB, which is how Baton keeps them.
pub fn store_log(c: &Connection, log: &[u8]) {
    c.execute_batch("CREATE TABLE log (id INTEGER PRIMARY KEY, data BLOB NOT NULL); BEGIN").unwrap();
    for segment in log.chunks(16 << 10) {
        run(c, "INSERT INTO log (data) VALUES (?1)", [segment]);
    }
    c.execute_batch("COMMIT").unwrap();
}

/// Reads all of a log; its length.
pub fn read_log(path: &Path) -> usize {
    let connection = open(path);
    let mut statement = connection.prepare("SELECT data FROM log ORDER BY id").unwrap();
    let mut rows = statement.query([]).unwrap();
    let mut bytes = 0;
    while let Some(row) = rows.next().unwrap() {
        bytes += std::hint::black_box(row.get_ref(0).unwrap().as_blob().unwrap()).len();
    }
    bytes
}
