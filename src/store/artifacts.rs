//! Rows of `artifacts`; the files they name are `crate::artifacts`' business.

use crate::domain::build::{ArtifactsFile, BuildId};
use crate::domain::time::Timestamp;
use crate::error::Result;
use rusqlite::{Connection, OptionalExtension, Row, named_params};

/// Names of files below `artifacts/`, to be removed after the commit.
pub type Files = Vec<String>;

/// Puts the row of a build's artifacts in the place of an earlier one; returns the earlier one's files.
pub fn replace(
    c: &Connection,
    id: BuildId,
    file: &ArtifactsFile,
    metadata_path: Option<&str>,
    now: Timestamp,
) -> Result<Files> {
    let old = remove(c, id)?;
    c.prepare_cached(
        "INSERT INTO artifacts (build_id, path, filename, size, sha256, metadata_path, uploaded_at, expire_at)
         VALUES (:id, :path, :filename, :size, :sha256, :metadata_path, :now, :expire_at)",
    )?
    .execute(named_params! {
        ":id": id.0, ":path": file.path, ":filename": file.filename, ":size": file.size,
        ":sha256": file.sha256, ":metadata_path": metadata_path, ":now": now.0,
        ":expire_at": file.expire_at.map(|at| at.0),
    })?;
    Ok(old)
}

/// Removes the row of a build's artifacts, if there is one; returns its files.
pub fn remove(c: &Connection, id: BuildId) -> Result<Files> {
    let files: Option<(String, Option<String>)> = c
        .prepare_cached("DELETE FROM artifacts WHERE build_id = ?1 RETURNING path, metadata_path")?
        .query_row([id.0], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    Ok(files.into_iter().flat_map(|(path, metadata)| [Some(path), metadata]).flatten().collect())
}

/// A build's artifacts, unless there are none or they have expired by `now`.
pub fn of_build(c: &Connection, id: BuildId, now: Timestamp) -> Result<Option<ArtifactsFile>> {
    let mut statement = c.prepare_cached(
        "SELECT path, filename, size, sha256, expire_at FROM artifacts
         WHERE build_id = :id AND coalesce(expire_at > :now, 1)",
    )?;
    let file = statement.query_row(named_params! {":id": id.0, ":now": now.0}, |row| {
        Ok(ArtifactsFile {
            path: row.get(0)?,
            filename: row.get(1)?,
            size: row.get(2)?,
            sha256: row.get(3)?,
            expire_at: row.get::<_, Option<i64>>(4)?.map(Timestamp),
        })
    });
    Ok(file.optional()?)
}

/// Builds whose artifacts have expired by `now`.
pub fn expired(c: &Connection, now: Timestamp) -> Result<Vec<BuildId>> {
    let mut statement = c.prepare_cached("SELECT build_id FROM artifacts WHERE expire_at <= ?1 LIMIT 1000")?;
    let rows = statement.query_map([now.0], |row| row.get(0).map(BuildId))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// A row, with all that belongs to it.
#[derive(Clone, Debug)]
pub struct Stored {
    /// The build.
    pub id: BuildId,
    /// The archive.
    pub file: ArtifactsFile,
    /// Name of the second file below `artifacts/`.
    pub metadata_path: Option<String>,
    /// When they came.
    pub uploaded_at: Timestamp,
}

const SELECT: &str =
    "SELECT build_id, path, filename, size, sha256, expire_at, metadata_path, uploaded_at FROM artifacts";

/// The artifacts of up to a thousand builds after `after`, in the order of the builds, expired ones included.
pub fn page(c: &Connection, after: BuildId) -> Result<Vec<Stored>> {
    let mut statement = c.prepare_cached(&format!("{SELECT} WHERE build_id > ?1 ORDER BY build_id LIMIT 1000"))?;
    let rows = statement.query_map([after.0], stored)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// A build's artifacts, expired ones included.
pub fn stored_of_build(c: &Connection, id: BuildId) -> Result<Option<Stored>> {
    let mut statement = c.prepare_cached(&format!("{SELECT} WHERE build_id = ?1"))?;
    Ok(statement.query_row([id.0], stored).optional()?)
}

fn stored(row: &Row<'_>) -> rusqlite::Result<Stored> {
    Ok(Stored {
        id: BuildId(row.get(0)?),
        file: ArtifactsFile {
            path: row.get(1)?,
            filename: row.get(2)?,
            size: row.get(3)?,
            sha256: row.get(4)?,
            expire_at: row.get::<_, Option<i64>>(5)?.map(Timestamp),
        },
        metadata_path: row.get(6)?,
        uploaded_at: Timestamp(row.get(7)?),
    })
}

/// How many builds have artifacts, and their bytes.
pub fn total(c: &Connection) -> Result<(u64, u64)> {
    let row =
        c.query_row("SELECT count(*), coalesce(sum(size), 0) FROM artifacts", [], |row| Ok((row.get(0)?, row.get(1)?)));
    Ok(row?)
}

/// Whether a row names this file.
pub fn is_named(c: &Connection, name: &str) -> Result<bool> {
    let sql = "SELECT EXISTS (SELECT 1 FROM artifacts WHERE path = ?1 OR metadata_path = ?1)";
    Ok(c.prepare_cached(sql)?.query_row([name], |row| row.get(0))?)
}

/// Every file that a row names.
pub fn all_files(c: &Connection) -> Result<std::collections::HashSet<String>> {
    let mut statement = c.prepare(
        "SELECT path FROM artifacts UNION ALL SELECT metadata_path FROM artifacts WHERE metadata_path IS NOT NULL",
    )?;
    let rows = statement.query_map([], |row| row.get(0))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}
