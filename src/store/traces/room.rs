//! Room in the database file: what removed traces leave free, and its way back to the file system.

use crate::error::{Error, Result};
use crate::store::{Access, open};
use rusqlite::Connection;
use std::path::Path;

/// Pages of the file that hold nothing.
pub fn free_pages(c: &Connection) -> Result<u64> {
    Ok(c.pragma_query_value(None, "freelist_count", |row| row.get(0))?)
}

/// Makes the database smaller by up to `pages` free pages: the last pages of the file take their places. Returns
/// how many are left free.
pub fn give_back(c: &Connection, pages: u64) -> Result<u64> {
    // Each step of the statement gives back one page; `execute_batch` would take one.
    let mut statement = c.prepare(&format!("PRAGMA incremental_vacuum({pages})"))?;
    let mut rows = statement.query([])?;
    while rows.next()?.is_some() {}
    free_pages(c)
}

/// The file's path, if it is longer than the database in it: it is cut by a checkpoint that brings in the whole
/// write-ahead log.
pub fn longer_file(c: &Connection) -> Result<Option<String>> {
    let path = c.path().ok_or_else(|| Error::internal("the database has no file"))?;
    let pragma = |name| c.pragma_query_value(None, name, |row| row.get::<_, u64>(0));
    let is_longer = std::fs::metadata(path)?.len() > pragma("page_count")? * pragma("page_size")?;
    Ok(is_longer.then(|| path.to_owned()))
}

/// Brings the write-ahead log into the file, as far as nobody reads or writes an older state; nobody waits for it.
pub fn checkpoint(path: &Path) -> Result<()> {
    // On a connection of its own, so that the writer goes on meanwhile.
    let connection = open(path, Access::Write)?;
    Ok(connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))?)
}
