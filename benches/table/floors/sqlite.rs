//! The same bytes through SQLite with the same durability, from one loop in one thread, without HTTP, JSON, tokens or
//! locks of ours.

use rusqlite::config::DbConfig;
use rusqlite::{Connection, Params, named_params};
use sha2::{Digest, Sha256};
use std::path::Path;
use std::time::{Duration, Instant};

/// Jobs in one commit: as many as there are clients, which is the most that the server could gather.
const GROUP: usize = 64;

/// Opens a database as `src/store/mod.rs` does, with the same pragmas. QPSG on: else SQLite, built with STAT4 as
/// rusqlite builds it, prepares most statements anew each time that the cache hands them out.
fn open(path: &Path) -> Connection {
    let connection = Connection::open(path).unwrap();
    connection.busy_timeout(Duration::from_secs(10)).unwrap();
    connection.set_prepared_statement_cache_capacity(64);
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).unwrap();
    connection
        .execute_batch(
            "PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA temp_store = MEMORY;
             PRAGMA cache_size = -16000; PRAGMA wal_autocheckpoint = 4000;
             PRAGMA journal_size_limit = 67108864; PRAGMA trusted_schema = OFF;
             PRAGMA cell_size_check = ON; PRAGMA secure_delete = FAST;",
        )
        .unwrap();
    connection
}

/// The database of a data directory, as the server opens it.
pub struct Builds {
    writer: Connection,
    /// Sees only what is committed.
    reader: Connection,
}

impl Builds {
    pub fn open(path: &Path) -> Builds {
        Builds { writer: open(path), reader: open(path) }
    }

    /// Claims and finishes so many queued builds: a commit of 64 claims, then one of their 64 ends.
    pub fn claim_and_finish(&self, builds: usize, runner_tokens: &[String]) {
        let runners: Vec<[u8; 32]> = runner_tokens.iter().map(|token| Sha256::digest(token).into()).collect();
        let mut left = builds;
        while left > 0 {
            let count = left.min(GROUP);
            let mut claimed = Vec::with_capacity(count);
            for index in 0..count {
                look(&self.reader, &runners[index % runners.len()]);
            }
            group(&self.writer, count, |c, index| claimed.push(claim(c, &runners[index % runners.len()])));
            group(&self.writer, count, |c, index| finish(c, claimed[index]));
            left -= count;
        }
    }
}

/// Runs `count` jobs in one commit, each under a savepoint, as `src/store/writer.rs` does.
fn group(connection: &Connection, count: usize, mut job: impl FnMut(&Connection, usize)) {
    run(connection, "BEGIN IMMEDIATE", []);
    for index in 0..count {
        run(connection, "SAVEPOINT job", []);
        job(connection, index);
        run(connection, "RELEASE job", []);
    }
    run(connection, "COMMIT", []);
}

const RUNNER: &str = "SELECT r.id, r.description, t.tags, r.tag_set_id, r.run_untagged, r.locked, r.paused,
        r.project_id, p.name, r.info, r.contacted_at
    FROM runners r JOIN tag_sets t ON t.id = r.tag_set_id LEFT JOIN projects p ON p.id = r.project_id";

/// What `Coordinator::claim_build` reads to see whether there is anything to write.
fn look(c: &Connection, runner_token: &[u8; 32]) {
    run(c, "BEGIN", []);
    value(c, &format!("{RUNNER} WHERE r.token_hash = ?1"), [runner_token]);
    value(c, "SELECT generation FROM queue_state", []);
    oldest_pending(c);
    run(c, "COMMIT", []);
}

fn oldest_pending(c: &Connection) -> i64 {
    let set = value(c, "SELECT coalesce(max(id), 0) FROM tag_sets", []);
    value(c, "SELECT min(id) FROM builds WHERE status = 'pending' AND tag_set_id = ?1", [set])
}

/// The statements of `Coordinator::claim_build` when it writes, in its order.
fn claim(c: &Connection, runner_token: &[u8; 32]) -> i64 {
    let runner = value(c, &format!("{RUNNER} WHERE r.token_hash = ?1"), [runner_token]);
    let id = oldest_pending(c);
    run(
        c,
        "UPDATE builds SET status = 'running', runner_id = :runner, token = :token, token_hash = :hash,
             started_at = :now, seen_at = :now
         WHERE id = :id AND status = 'pending'",
        named_params! {
            ":runner": runner, ":token": "abcdefghjkmnpqrstuvwyzAB", ":hash": [7_u8; 32], ":now": NOW, ":id": id,
        },
    );
    run(
        c,
        "SELECT b.id, b.project_id, p.name, s.name, s.stage, s.ref, s.sha, b.status, b.failure_reason, t.tags,
             b.created_at, b.started_at, b.finished_at, b.erased_at, r.id, r.description, coalesce(tr.size, 0),
             a.path, a.filename, a.size, a.sha256, a.expire_at
         FROM builds b
         JOIN projects p ON p.id = b.project_id
         JOIN build_specs s ON s.build_id = b.id
         JOIN tag_sets t ON t.id = b.tag_set_id
         LEFT JOIN runners r ON r.id = b.runner_id
         LEFT JOIN traces tr ON tr.build_id = b.id
         LEFT JOIN artifacts a ON a.build_id = b.id AND coalesce(a.expire_at > :now, 1)
         WHERE b.id = :id",
        named_params! {":now": NOW, ":id": id},
    );
    run(c, "SELECT needs_id FROM build_needs WHERE build_id = ?1 ORDER BY needs_id", [id]);
    run(
        c,
        "SELECT s.commands, s.before_sha, s.is_tag, s.repo_url, s.allow_git_fetch, s.options, s.variables, b.timeout_s
         FROM build_specs s JOIN builds b ON b.id = s.build_id WHERE b.id = ?1",
        [id],
    );
    run(c, "SELECT id, name, repo_url, ci_token, timeout_s, created_at FROM projects WHERE id = ?1", [1]);
    run(c, &format!("{RUNNER} WHERE r.id = ?1 AND r.removed_at IS NULL"), [runner]);
    id
}

/// The statements of `Coordinator::update_build` for a build that ended without a log, in its order.
fn finish(c: &Connection, id: i64) {
    run(c, "SELECT id, project_id, status, runner_id, token_hash, seen_at, erased_at FROM builds WHERE id = ?1", [id]);
    run(
        c,
        "UPDATE builds SET status = :to, failure_reason = :reason, finished_at = :finished_at,
             token = CASE WHEN :to = 'canceled' THEN token END
         WHERE id = :id AND status = :from",
        named_params! {
            ":to": "success", ":reason": None::<&str>, ":finished_at": NOW, ":id": id, ":from": "running",
        },
    );
    run(c, "SELECT number, size, carry FROM traces WHERE build_id = ?1", [id]);
    run(c, "UPDATE traces SET carry = x'' WHERE build_id = ?1 AND carry <> x''", [id]);
    run(
        c,
        "SELECT n.build_id FROM build_needs n JOIN builds b ON b.id = n.build_id
         WHERE n.needs_id = ?1 AND b.status = 'created' ORDER BY n.build_id",
        [id],
    );
}

/// Any time in milliseconds since 1970.
const NOW: i64 = 1_700_000_000_000;

/// Runs a statement to its end.
fn run(c: &Connection, sql: &str, parameters: impl Params) {
    let mut statement = c.prepare_cached(sql).unwrap();
    let mut rows = statement.query(parameters).unwrap();
    while rows.next().unwrap().is_some() {}
}

/// The number in the first column of the only row.
fn value(c: &Connection, sql: &str, parameters: impl Params) -> i64 {
    c.prepare_cached(sql).unwrap().query_row(parameters, |row| row.get(0)).unwrap()
}

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
