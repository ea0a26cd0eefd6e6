//! Rows of `access_tokens`.

use super::columns::{columns, project_named};
use crate::domain::access_token::{AccessScope, AccessToken, AccessTokenId};
use crate::domain::build::ProjectId;
use crate::domain::time::Timestamp;
use crate::domain::token::TokenHash;
use crate::error::Result;
use rusqlite::{Connection, OptionalExtension, named_params};

columns! {
    SELECT, access_token: AccessToken {
        id: "t.id",
        name: "t.name",
        scope: "t.scope",
        project: "p.id, p.name" by project_named,
        created_at: "t.created_at",
        expire_at: "t.expire_at",
        used_at: "t.used_at",
        revoked_at: "t.revoked_at",
    }
    "FROM access_tokens t LEFT JOIN projects p ON p.id = t.project_id"
}

/// Adds a token.
///
/// # Errors
/// The database's, also for a name that is taken.
pub fn insert(
    c: &Connection,
    name: &str,
    hash: TokenHash,
    scope: AccessScope,
    project: Option<ProjectId>,
    expire_at: Option<Timestamp>,
    now: Timestamp,
) -> Result<AccessTokenId> {
    c.execute(
        "INSERT INTO access_tokens (name, token_hash, scope, project_id, created_at, expire_at)
         VALUES (:name, :hash, :scope, :project, :now, :expire_at)",
        named_params! {
            ":name": name, ":hash": hash.0, ":scope": scope.as_str(), ":project": project.map(|id| id.0),
            ":now": now.0, ":expire_at": expire_at.map(|at| at.0),
        },
    )?;
    Ok(AccessTokenId(c.last_insert_rowid()))
}

/// The token of this hash, also one that opens nothing any more.
pub fn by_hash(c: &Connection, hash: TokenHash) -> Result<Option<AccessToken>> {
    let mut statement = c.prepare_cached(&format!("{SELECT} WHERE t.token_hash = ?1"))?;
    Ok(statement.query_row([hash.0], access_token).optional()?)
}

/// The token of this id.
pub fn by_id(c: &Connection, id: AccessTokenId) -> Result<Option<AccessToken>> {
    Ok(c.prepare_cached(&format!("{SELECT} WHERE t.id = ?1"))?.query_row([id.0], access_token).optional()?)
}

/// The token of this name.
pub fn by_name(c: &Connection, name: &str) -> Result<Option<AccessToken>> {
    Ok(c.prepare_cached(&format!("{SELECT} WHERE t.name = ?1"))?.query_row([name], access_token).optional()?)
}

/// All tokens, oldest first, also those that open nothing any more.
pub fn all(c: &Connection) -> Result<Vec<AccessToken>> {
    let mut statement = c.prepare(&format!("{SELECT} ORDER BY t.id"))?;
    let rows = statement.query_map([], access_token)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Notes that a token was used.
pub fn touch(c: &Connection, id: AccessTokenId, now: Timestamp) -> Result<()> {
    c.prepare_cached("UPDATE access_tokens SET used_at = max(coalesce(used_at, 0), ?2) WHERE id = ?1")?
        .execute([id.0, now.0])?;
    Ok(())
}

/// Has a token open nothing any more.
pub fn revoke(c: &Connection, id: AccessTokenId, now: Timestamp) -> Result<()> {
    c.execute(
        "UPDATE access_tokens SET revoked_at = coalesce(revoked_at, :now) WHERE id = :id",
        named_params! {":now": now.0, ":id": id.0},
    )?;
    Ok(())
}
