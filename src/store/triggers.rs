//! Rows of `triggers`.

use super::columns::columns;
use crate::domain::build::ProjectId;
use crate::domain::time::Timestamp;
use crate::domain::token::Token;
use crate::domain::trigger_token::{SHOWN_CHARS, TriggerToken, TriggerTokenId};
use crate::error::Result;
use rusqlite::{Connection, OptionalExtension, named_params, params};

columns! {
    SELECT, trigger: TriggerToken {
        id: "t.id",
        project: "p.name",
        first_characters: "t.first_characters",
        description: "t.description",
        created_at: "t.created_at",
        used_at: "t.used_at",
    }
    "FROM triggers t JOIN projects p ON p.id = t.project_id"
}

/// Adds a trigger token of a project.
pub fn insert(
    c: &Connection,
    project: ProjectId,
    token: &Token,
    description: &str,
    now: Timestamp,
) -> Result<TriggerTokenId> {
    let shown: String = token.reveal().chars().take(SHOWN_CHARS).collect();
    c.execute(
        "INSERT INTO triggers (project_id, token_hash, first_characters, description, created_at)
         VALUES (:project, :hash, :shown, :description, :now)",
        named_params! {
            ":project": project.0, ":hash": token.hash().0, ":shown": shown, ":description": description,
            ":now": now.0,
        },
    )?;
    Ok(TriggerTokenId(c.last_insert_rowid()))
}

/// One of a project's.
pub fn by_id(c: &Connection, project: ProjectId, id: TriggerTokenId) -> Result<Option<TriggerToken>> {
    let mut statement = c.prepare_cached(&format!("{SELECT} WHERE t.id = ?1 AND t.project_id = ?2"))?;
    Ok(statement.query_row([id.0, project.0], trigger).optional()?)
}

/// The one of a project that this token is.
pub fn by_token(c: &Connection, project: ProjectId, token: &Token) -> Result<Option<TriggerToken>> {
    let mut statement = c.prepare_cached(&format!("{SELECT} WHERE t.token_hash = ?1 AND t.project_id = ?2"))?;
    Ok(statement.query_row(params![token.hash().0, project.0], trigger).optional()?)
}

/// All of a project's, oldest first.
pub fn of_project(c: &Connection, project: ProjectId) -> Result<Vec<TriggerToken>> {
    let mut statement = c.prepare(&format!("{SELECT} WHERE t.project_id = ?1 ORDER BY t.id"))?;
    let rows = statement.query_map([project.0], trigger)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Says what a token is for.
pub fn describe(c: &Connection, id: TriggerTokenId, description: &str) -> Result<()> {
    c.execute("UPDATE triggers SET description = ?2 WHERE id = ?1", params![id.0, description])?;
    Ok(())
}

/// Notes that a token was used.
pub fn touch(c: &Connection, id: TriggerTokenId, now: Timestamp) -> Result<()> {
    c.prepare_cached("UPDATE triggers SET used_at = max(coalesce(used_at, 0), ?2) WHERE id = ?1")?
        .execute([id.0, now.0])?;
    Ok(())
}

/// Removes a token.
pub fn remove(c: &Connection, id: TriggerTokenId) -> Result<()> {
    c.execute("DELETE FROM triggers WHERE id = ?1", [id.0])?;
    Ok(())
}
