//! Rows of `runner_managers`.
//!
//! What must stay true: a runner has at most [`MANAGERS_MAX`] of them, whatever its clients call themselves.

use crate::domain::asker::{Manager, SystemId};
use crate::domain::build::BuildId;
use crate::domain::runner::{RunnerId, RunnerInfo};
use crate::domain::time::Timestamp;
use crate::error::Result;
use crate::limits::MANAGERS_MAX;
use rusqlite::{Connection, OptionalExtension, Row, named_params, params};
use std::collections::HashMap;

const SELECT: &str = "SELECT id, system_id, info, address, contacted_at FROM runner_managers WHERE runner_id = ?1";

fn manager(row: &Row<'_>) -> rusqlite::Result<Manager> {
    Ok(Manager {
        id: row.get(0)?,
        system_id: row.get(1)?,
        info: super::from_json(row, 2)?,
        address: row.get(3)?,
        contacted_at: Timestamp(row.get(4)?),
    })
}

/// The manager of this runner that calls itself so.
pub fn of_system(c: &Connection, runner: RunnerId, system_id: &SystemId) -> Result<Option<Manager>> {
    let mut statement = c.prepare_cached(&format!("{SELECT} AND system_id = ?2"))?;
    Ok(statement.query_row(params![runner.0, system_id.as_str()], manager).optional()?)
}

/// The managers of this runner, those first that called last.
pub fn all_of(c: &Connection, runner: RunnerId) -> Result<Vec<Manager>> {
    let mut statement = c.prepare_cached(&format!("{SELECT} ORDER BY contacted_at DESC, id"))?;
    let rows = statement.query_map([runner.0], manager)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// The managers of all runners, in the order of [`all_of`].
pub fn all(c: &Connection) -> Result<HashMap<RunnerId, Vec<Manager>>> {
    let mut statement = c.prepare_cached(
        "SELECT id, system_id, info, address, contacted_at, runner_id FROM runner_managers
         ORDER BY runner_id, contacted_at DESC, id",
    )?;
    let mut all: HashMap<RunnerId, Vec<Manager>> = HashMap::new();
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        all.entry(RunnerId(row.get(5)?)).or_default().push(manager(row)?);
    }
    Ok(all)
}

/// What the manager calls itself that has or had a build, if one was named and is still known.
pub fn system_for(c: &Connection, build: BuildId) -> Result<Option<String>> {
    let mut statement = c.prepare_cached(
        "SELECT m.system_id FROM builds b JOIN runner_managers m ON m.id = b.manager_id WHERE b.id = ?1",
    )?;
    Ok(statement.query_row([build.0], |row| row.get(0)).optional()?)
}

/// The manager that has or had a build, if one was named and is still known.
pub fn of_build(c: &Connection, build: BuildId) -> Result<Option<Manager>> {
    let mut statement = c.prepare_cached(
        "SELECT id, system_id, info, address, contacted_at FROM runner_managers
         WHERE id = (SELECT manager_id FROM builds WHERE id = ?1)",
    )?;
    Ok(statement.query_row([build.0], manager).optional()?)
}

/// What the manager that has a build says of itself, if it is known which one that is.
pub fn info_for(c: &Connection, build: BuildId) -> Result<Option<RunnerInfo>> {
    let mut statement =
        c.prepare_cached("SELECT m.info FROM builds b JOIN runner_managers m ON m.id = b.manager_id WHERE b.id = ?1")?;
    Ok(statement.query_row([build.0], |row| super::from_json(row, 0)).optional()?)
}

/// Notes what a manager said of itself, and when and from where; its row is made if there is none. Returns its id.
pub fn touch(
    c: &Connection,
    runner: RunnerId,
    system_id: &SystemId,
    info: &RunnerInfo,
    address: Option<&str>,
    now: Timestamp,
) -> Result<i64> {
    let text = serde_json::to_string(info)?;
    let known = c
        .prepare_cached(
            "UPDATE runner_managers SET info = :info, address = coalesce(:address, address), contacted_at = :now
             WHERE runner_id = :runner AND system_id = :system_id RETURNING id",
        )?
        .query_row(
            named_params! {
                ":info": text, ":address": address, ":now": now.0, ":runner": runner.0,
                ":system_id": system_id.as_str(),
            },
            |row| row.get(0),
        )
        .optional()?;
    if let Some(id) = known {
        return Ok(id);
    }
    make_room(c, runner)?;
    c.prepare_cached(
        "INSERT INTO runner_managers (runner_id, system_id, info, address, contacted_at)
         VALUES (:runner, :system_id, :info, :address, :now)",
    )?
    .execute(named_params! {
        ":runner": runner.0, ":system_id": system_id.as_str(), ":info": text, ":address": address, ":now": now.0,
    })?;
    Ok(c.last_insert_rowid())
}

/// Takes away as many as there are too many for one more.
fn make_room(c: &Connection, runner: RunnerId) -> Result<()> {
    c.prepare_cached(
        "DELETE FROM runner_managers WHERE id IN
             (SELECT id FROM runner_managers WHERE runner_id = ?1 ORDER BY contacted_at DESC, id DESC LIMIT -1 OFFSET ?2)",
    )?
    .execute(params![runner.0, MANAGERS_MAX - 1])?;
    Ok(())
}

/// Forgets a manager, if there is one of this name.
pub fn remove(c: &Connection, runner: RunnerId, system_id: &SystemId) -> Result<()> {
    c.execute(
        "DELETE FROM runner_managers WHERE runner_id = ?1 AND system_id = ?2",
        params![runner.0, system_id.as_str()],
    )?;
    Ok(())
}

/// Forgets all managers of a runner.
pub fn remove_all(c: &Connection, runner: RunnerId) -> Result<()> {
    c.execute("DELETE FROM runner_managers WHERE runner_id = ?1", [runner.0])?;
    Ok(())
}
