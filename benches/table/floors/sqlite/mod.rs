//! The same bytes through SQLite with the same durability, from one loop in one thread, without HTTP, JSON, tokens or
//! locks of ours.

pub mod builds;
pub mod logs;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, Params};
use std::path::Path;
use std::time::Duration;

/// Jobs in one commit: as many as there are clients, which is the most that the server could gather.
pub const GROUP: usize = 64;

/// Opens a database as `src/store/mod.rs` does, with the same settings.
pub fn open(path: &Path) -> Connection {
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

/// Runs `count` jobs in one commit, each under a savepoint, as `src/store/writer.rs` does.
pub fn group(connection: &Connection, count: usize, mut job: impl FnMut(&Connection, usize)) {
    run(connection, "BEGIN IMMEDIATE", []);
    for index in 0..count {
        run(connection, "SAVEPOINT job", []);
        job(connection, index);
        run(connection, "RELEASE job", []);
    }
    run(connection, "COMMIT", []);
}

/// Any time in milliseconds since 1970.
pub const NOW: i64 = 1_700_000_000_000;

/// Runs a statement to its end.
pub fn run(c: &Connection, sql: &str, parameters: impl Params) {
    let mut statement = c.prepare_cached(sql).unwrap();
    let mut rows = statement.query(parameters).unwrap();
    while rows.next().unwrap().is_some() {}
}

/// The number in the first column of the only row.
pub fn value(c: &Connection, sql: &str, parameters: impl Params) -> i64 {
    c.prepare_cached(sql).unwrap().query_row(parameters, |row| row.get(0)).unwrap()
}
