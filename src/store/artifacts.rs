//! Rows of `artifacts`; the files they name are `crate::artifacts`' business.

use super::columns::{Columns, columns};
use super::dotenv;
use crate::domain::build::{ArtifactsFile, BuildId};
use crate::domain::spec::{ArtifactFormat, ArtifactKind};
use crate::domain::time::Timestamp;
use crate::error::Result;
use rusqlite::{Connection, OptionalExtension, Row, named_params};

/// Names of files below `artifacts/`, to be removed after the commit.
pub type Files = Vec<String>;

/// A row, with all that belongs to it.
#[derive(Clone, Debug)]
pub struct Stored {
    /// The build.
    pub id: BuildId,
    /// Archive, or which report.
    pub kind: ArtifactKind,
    /// How it is packed.
    pub format: ArtifactFormat,
    /// The file.
    pub file: ArtifactsFile,
    /// Name of the second file below `artifacts/`.
    pub metadata_path: Option<String>,
    /// When it came.
    pub uploaded_at: Timestamp,
}

columns! {
    SELECT, stored: Stored {
        id: "build_id",
        kind: "kind" by kind,
        format: "format",
        file: "path, filename, size, sha256, expire_at" by file,
        metadata_path: "metadata_path",
        uploaded_at: "uploaded_at",
    }
    "FROM artifacts"
}

fn kind(columns: &mut Columns<'_>) -> rusqlite::Result<ArtifactKind> {
    columns.next().map(ArtifactKind)
}

/// The file of these columns: path, filename, size, sha256, expire_at.
pub(super) fn file(columns: &mut Columns<'_>) -> rusqlite::Result<ArtifactsFile> {
    Ok(ArtifactsFile {
        path: columns.next()?,
        filename: columns.next()?,
        size: columns.next()?,
        sha256: columns.next()?,
        expire_at: columns.next()?,
    })
}

/// Puts a row in the place of an earlier one of that build and kind; returns the earlier one's files.
pub fn replace(c: &Connection, new: &Stored) -> Result<Files> {
    let old = remove(c, new.id, &new.kind)?;
    let file = &new.file;
    c.prepare_cached(
        "INSERT INTO artifacts
             (build_id, kind, format, path, filename, size, sha256, metadata_path, uploaded_at, expire_at)
         VALUES (:id, :kind, :format, :path, :filename, :size, :sha256, :metadata_path, :uploaded_at, :expire_at)",
    )?
    .execute(named_params! {
        ":id": new.id.0, ":kind": new.kind.0, ":format": new.format.as_str(), ":path": file.path,
        ":filename": file.filename, ":size": file.size, ":sha256": file.sha256,
        ":metadata_path": new.metadata_path, ":uploaded_at": new.uploaded_at.0,
        ":expire_at": file.expire_at.map(|at| at.0),
    })?;
    Ok(old)
}

/// Has artifacts expire at another time.
pub fn set_expiry(c: &Connection, id: BuildId, kind: &ArtifactKind, at: Option<Timestamp>) -> Result<()> {
    c.prepare_cached("UPDATE artifacts SET expire_at = :at WHERE build_id = :id AND kind = :kind")?
        .execute(named_params! {":at": at.map(|at| at.0), ":id": id.0, ":kind": kind.0})?;
    Ok(())
}

/// Removes the row of this kind, if there is one; returns its files.
pub fn remove(c: &Connection, id: BuildId, kind: &ArtifactKind) -> Result<Files> {
    let mut statement =
        c.prepare_cached("DELETE FROM artifacts WHERE build_id = ?1 AND kind = ?2 RETURNING path, metadata_path")?;
    let files = statement.query_row((id.0, &kind.0), both_paths).optional()?;
    Ok(files.into_iter().flatten().flatten().collect())
}

/// Removes all that a build has uploaded, and the variables of its dotenv report; returns the files.
pub fn remove_all(c: &Connection, id: BuildId) -> Result<Files> {
    dotenv::remove(c, id)?;
    let mut statement = c.prepare_cached("DELETE FROM artifacts WHERE build_id = ?1 RETURNING path, metadata_path")?;
    let rows = statement.query_map([id.0], both_paths)?.collect::<rusqlite::Result<Vec<_>>>()?;
    Ok(rows.into_iter().flatten().flatten().collect())
}

fn both_paths(row: &Row<'_>) -> rusqlite::Result<[Option<String>; 2]> {
    Ok([Some(row.get(0)?), row.get(1)?])
}

/// A build's artifacts of this kind, unless there are none or they have expired by `now`.
pub fn of_build(c: &Connection, id: BuildId, kind: &ArtifactKind, now: Timestamp) -> Result<Option<Stored>> {
    Ok(stored_of_build(c, id, kind)?.filter(|stored| stored.file.expire_at.is_none_or(|at| at > now)))
}

/// All of a build's artifacts that have not expired by `now`, the archive first.
pub fn all_of_build(c: &Connection, id: BuildId, now: Timestamp) -> Result<Vec<Stored>> {
    let mut statement = c.prepare_cached(&format!(
        "{SELECT} WHERE build_id = :id AND coalesce(expire_at > :now, 1) ORDER BY kind <> 'archive', kind"
    ))?;
    let rows = statement.query_map(named_params! {":id": id.0, ":now": now.0}, stored)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// How many kinds of artifacts a build has, expired ones included.
pub fn count_kinds(c: &Connection, id: BuildId) -> Result<usize> {
    let mut statement = c.prepare_cached("SELECT count(*) FROM artifacts WHERE build_id = ?1")?;
    Ok(statement.query_row([id.0], |row| row.get(0))?)
}

/// Artifacts that have expired by `now`.
pub fn expired(c: &Connection, now: Timestamp) -> Result<Vec<(BuildId, ArtifactKind)>> {
    let mut statement = c.prepare_cached("SELECT build_id, kind FROM artifacts WHERE expire_at <= ?1 LIMIT 1000")?;
    let rows = statement.query_map([now.0], |row| Ok((BuildId(row.get(0)?), ArtifactKind(row.get(1)?))))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// A place in the order of all artifacts.
pub type Place = (BuildId, ArtifactKind);

impl Stored {
    /// Its place.
    #[must_use]
    pub fn place(&self) -> Place {
        (self.id, self.kind.clone())
    }
}

/// Before all artifacts.
#[must_use]
pub fn first_place() -> Place {
    (BuildId(i64::MIN), ArtifactKind(String::new()))
}

/// Up to a thousand artifacts after `after`, in the order of the builds, expired ones included.
pub fn page(c: &Connection, after: &Place) -> Result<Vec<Stored>> {
    let mut statement =
        c.prepare_cached(&format!("{SELECT} WHERE (build_id, kind) > (?1, ?2) ORDER BY build_id, kind LIMIT 1000"))?;
    let rows = statement.query_map((after.0.0, &after.1.0), stored)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// A build's artifacts of this kind, expired ones included.
pub fn stored_of_build(c: &Connection, id: BuildId, kind: &ArtifactKind) -> Result<Option<Stored>> {
    let mut statement = c.prepare_cached(&format!("{SELECT} WHERE build_id = ?1 AND kind = ?2"))?;
    Ok(statement.query_row((id.0, &kind.0), stored).optional()?)
}

/// How many artifacts there are, and their bytes.
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
