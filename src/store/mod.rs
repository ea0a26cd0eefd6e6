//! The database file: connections, the one writer, migrations, and statements by noun.
//!
//! What must stay true: every connection is made by `open`, which sets every pragma; everything that is
//! written goes through [`Store::write`] or [`Store::submit`], whose answer comes after a durable commit; no read
//! holds its snapshot for longer than one short statement or group of statements. [`inspect`] and [`invariants`],
//! for copies and checks, are the exception to all three: they read whole tables, and never write.

pub mod access_tokens;
pub mod acts;
pub mod artifacts;
pub mod builds;
pub mod changes;
mod columns;
pub mod dotenv;
pub mod inspect;
pub mod invariants;
pub mod job_rows;
pub mod jobs;
pub mod lists;
pub mod managers;
mod migrations;
pub mod pipelines;
pub mod project_variables;
pub mod projects;
pub mod queue;
mod readers;
pub mod retention;
pub mod runner_builds;
pub mod runners;
pub mod same_file;
pub mod sessions;
pub mod settings;
pub mod silence;
pub mod statistics;
mod steps;
pub mod traces;
pub mod triggers;
pub mod undecided;
pub mod usage;
mod writer;

use crate::error::{Error, Kind, Result};
use changes::{Changes, Ear};
use readers::Readers;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use same_file::SameFile;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use writer::Writer;

pub use writer::Commits;

/// How long a connection waits for a lock that another process holds.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// An open database. All methods may be called from any thread.
pub struct Store {
    // Closed before the writer: the last connection to go empties the write-ahead log, which a reader cannot.
    readers: Readers,
    writer: Writer,
    changes: Arc<Changes>,
    /// The write-ahead log.
    log: PathBuf,
}

impl Store {
    /// Opens the database at `path`, makes it if there is none, and brings it to the present schema.
    ///
    /// # Errors
    /// If the file is not ours, damaged, from a newer version, or cannot be opened.
    pub fn open(path: &Path) -> Result<Store> {
        let mut connection = open(path, Access::Write)?;
        migrations::migrate(&mut connection)?;
        Store::of(path, connection, Access::Read)
    }

    /// Opens the database at `path` where nothing can be written: reads work, and writes say why they do not.
    ///
    /// # Errors
    /// As [`Store::open`]; [`Kind::Conflict`] for a file that a crash left, or that an older version made.
    pub fn open_fixed(path: &Path) -> Result<Store> {
        let access = if inspect::in_use(path) { Access::Read } else { Access::Still };
        let connection = open(path, access)?;
        if !migrations::is_present(&connection)? {
            let why = "an older version made this data, and it cannot be brought up to date where it cannot be written";
            return Err(Error::new(Kind::Conflict, format!("{why}: copy it elsewhere, and name the copy")));
        }
        Store::of(path, connection, access)
    }

    fn of(path: &Path, connection: Connection, reading: Access) -> Result<Store> {
        let place = SameFile::of(path)?;
        let changes = Arc::new(Changes::new(path, queue::generation(&connection)?));
        let writer = Writer::new(connection, Arc::clone(&changes), place.clone());
        let (log, readers) = (inspect::beside(path, "-wal"), Readers::new(path.to_owned(), reading, place));
        Ok(Store { writer, readers, changes, log })
    }

    /// Runs `job` in a transaction; returns after a durable commit.
    ///
    /// Jobs that arrive together share one commit. A job that fails is undone alone.
    ///
    /// # Errors
    /// The job's own; or that of the commit, and then nothing of the job is stored.
    pub fn write<T, F>(&self, job: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T> + Send + 'static,
    {
        self.writer.write(job)
    }

    /// The same without waiting: `then` is given the result, by another thread, or by this one before it returns. It
    /// must not wait for anything.
    pub fn submit<T, F, A>(&self, job: F, then: A)
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T> + Send + 'static,
        A: FnOnce(Result<T>) + Send + 'static,
    {
        self.writer.submit(job, then);
    }

    /// Runs `query` on a read-only connection, in one snapshot.
    ///
    /// # Errors
    /// The query's own.
    pub fn read<T>(&self, query: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        self.readers.read(query)
    }

    /// What is known of commits without asking the database.
    #[must_use]
    pub fn changes(&self) -> &Changes {
        &self.changes
    }

    /// Hears of the commits of other processes, as a server does; see [`Changes::listen`].
    #[must_use]
    pub fn listen(&self) -> Option<Ear> {
        self.changes.listen()
    }

    /// What the commits of this process have taken.
    #[must_use]
    pub fn commits(&self) -> &Commits {
        self.writer.commits()
    }

    /// Bytes of the database's file, and of its write-ahead log.
    pub fn file_bytes(&self) -> Result<(u64, u64)> {
        let log = match fs::metadata(&self.log) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => 0,
            metadata => metadata?.len(),
        };
        Ok((fs::metadata(self.readers.path())?.len(), log))
    }

    /// The queue's generation as it is stored, whoever moved it.
    pub fn look_at_queue(&self) -> Result<u64> {
        self.changes.look(|| self.readers.read_one(queue::generation))
    }

    /// Waits until the queue's generation is another than `seen`, or there may be something else to do for those who
    /// wait. Returns the generation.
    pub fn wait_for_change(&self, seen: u64) -> Result<u64> {
        self.changes.wait(seen, || self.readers.read_one(queue::generation))
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Access {
    Read,
    /// Without locks, and without the files that locks need: for a file that nobody else uses.
    Still,
    Write,
}

/// The one place where connections are made, since pragmas belong to a connection.
fn open(path: &Path, access: Access) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_NO_MUTEX
        | match access {
            Access::Read => OpenFlags::SQLITE_OPEN_READ_ONLY,
            Access::Still => OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI,
            Access::Write => OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE,
        };
    let connection = match access {
        Access::Read | Access::Write => Connection::open_with_flags(path, flags)?,
        Access::Still => Connection::open_with_flags(inspect::still_uri(path), flags)?,
    };
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(64);
    // Else a statement that compares a parameter with the column of a partial index is prepared anew for each value.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.execute_batch(match access {
        Access::Read | Access::Still => {
            "PRAGMA query_only = ON; PRAGMA cache_size = -2000; PRAGMA trusted_schema = OFF;"
        }
        // cache_size in KiB when negative; a checkpoint each 4,000 pages keeps the tail of commits short.
        Access::Write => {
            "PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA temp_store = MEMORY;
             PRAGMA cache_size = -16000; PRAGMA wal_autocheckpoint = 4000;
             PRAGMA journal_size_limit = 67108864; PRAGMA trusted_schema = OFF;
             PRAGMA cell_size_check = ON; PRAGMA secure_delete = FAST;
             CREATE TEMP TABLE undecided (needs_id INTEGER NOT NULL, after_id INTEGER NOT NULL) STRICT;"
        }
    })?;
    Ok(connection)
}

/// A column that holds JSON of ours.
fn from_json<T: serde::de::DeserializeOwned>(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<T> {
    let text = row.get_ref(column)?.as_str()?;
    serde_json::from_str(text)
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, error.into()))
}
