//! Rows of `project_variables`.

use super::columns::columns;
use crate::domain::build::ProjectId;
use crate::domain::project_variable::ProjectVariable;
use crate::error::Result;
use rusqlite::{Connection, OptionalExtension, named_params, params};

columns! {
    SELECT, variable: ProjectVariable {
        key: "key",
        value: "value",
        is_file: "is_file",
        is_masked: "is_masked",
        is_raw: "is_raw",
        is_protected: "is_protected",
        description: "description",
    }
    "FROM project_variables"
}

/// All of a project's, by name.
pub fn all(c: &Connection, project: ProjectId) -> Result<Vec<ProjectVariable>> {
    let mut statement = c.prepare_cached(&format!("{SELECT} WHERE project_id = ?1 ORDER BY key"))?;
    let rows = statement.query_map([project.0], variable)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// The one of this name.
pub fn by_key(c: &Connection, project: ProjectId, key: &str) -> Result<Option<ProjectVariable>> {
    let mut statement = c.prepare_cached(&format!("{SELECT} WHERE project_id = ?1 AND key = ?2"))?;
    Ok(statement.query_row(params![project.0, key], variable).optional()?)
}

/// Puts a variable in the place of the one of its name, or adds it.
pub fn put(c: &Connection, project: ProjectId, it: &ProjectVariable) -> Result<()> {
    c.execute(
        "INSERT OR REPLACE INTO project_variables
             (project_id, key, value, is_file, is_masked, is_raw, is_protected, description)
         VALUES (:project, :key, :value, :file, :masked, :raw, :protected, :description)",
        named_params! {
            ":project": project.0, ":key": it.key, ":value": it.value, ":file": it.is_file, ":masked": it.is_masked,
            ":raw": it.is_raw, ":protected": it.is_protected, ":description": it.description,
        },
    )?;
    Ok(())
}

/// Removes the one of this name; whether there was one.
pub fn remove(c: &Connection, project: ProjectId, key: &str) -> Result<bool> {
    let removed =
        c.execute("DELETE FROM project_variables WHERE project_id = ?1 AND key = ?2", params![project.0, key])?;
    Ok(removed > 0)
}
