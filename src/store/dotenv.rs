//! Rows of `build_dotenv`: the variables that a build hands on.

use super::from_json;
use crate::domain::build::BuildId;
use crate::error::Result;
use rusqlite::{Connection, OptionalExtension, named_params};

/// Name and value of each.
pub type Variables = Vec<(String, String)>;

/// Keeps the variables of a build's dotenv report, in the place of earlier ones.
pub fn replace(c: &Connection, id: BuildId, variables: &Variables) -> Result<()> {
    c.prepare_cached("INSERT OR REPLACE INTO build_dotenv (build_id, variables) VALUES (:id, :variables)")?
        .execute(named_params! {":id": id.0, ":variables": serde_json::to_string(variables)?})?;
    Ok(())
}

/// Forgets them, if there are any.
pub fn remove(c: &Connection, id: BuildId) -> Result<()> {
    c.prepare_cached("DELETE FROM build_dotenv WHERE build_id = ?1")?.execute([id.0])?;
    Ok(())
}

/// The variables of a build's dotenv report; none if it sent none.
pub fn of_build(c: &Connection, id: BuildId) -> Result<Variables> {
    let mut statement = c.prepare_cached("SELECT variables FROM build_dotenv WHERE build_id = ?1")?;
    Ok(statement.query_row([id.0], |row| from_json(row, 0)).optional()?.unwrap_or_default())
}
