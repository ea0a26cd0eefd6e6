//! Which build has which snapshot.

use crate::domain::build::BuildId;
use crate::domain::token::TokenHash;
use crate::error::Result;
use rusqlite::{Connection, OptionalExtension};

/// What a repository's URL begins with that is a snapshot's key.
const SCHEME: &str = "baton-sources:";

/// Where a build's sources are.
pub struct Sources {
    /// The project's name.
    pub project: String,
    /// The key of its pipeline's snapshot; `None`: they are elsewhere.
    pub key: Option<String>,
}

/// The running build whose own token this is. Only running ones are looked at.
pub fn running(c: &Connection, hash: TokenHash) -> Result<Option<BuildId>> {
    let mut statement = c.prepare_cached("SELECT id FROM builds WHERE status = 'running' AND token_hash = ?1")?;
    Ok(statement.query_row([hash.0], |row| row.get(0).map(BuildId)).optional()?)
}

/// Where this build's sources are.
pub fn of_build(c: &Connection, id: BuildId) -> Result<Option<Sources>> {
    let mut statement = c.prepare_cached(
        "SELECT p.name, s.repo_url FROM builds b
         JOIN projects p ON p.id = b.project_id JOIN build_specs s ON s.build_id = b.id WHERE b.id = ?1",
    )?;
    let sources = |row: &rusqlite::Row<'_>| {
        let url: Option<String> = row.get(1)?;
        let key = url.as_deref().and_then(|url| url.strip_prefix(SCHEME)).map(ToOwned::to_owned);
        Ok(Sources { project: row.get(0)?, key })
    };
    Ok(statement.query_row([id.0], sources).optional()?)
}

/// Whether a pipeline has the snapshot with this key.
pub fn is_named(c: &Connection, key: &str) -> Result<bool> {
    let mut statement = c.prepare_cached("SELECT EXISTS (SELECT 1 FROM build_specs WHERE repo_url = ?1)")?;
    Ok(statement.query_row([format!("{SCHEME}{key}")], |row| row.get(0))?)
}
