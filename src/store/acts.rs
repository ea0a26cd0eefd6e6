//! Who did what to builds: rows of `build_acts`.

use crate::domain::act::{Act, Acted};
use crate::domain::build::BuildId;
use crate::domain::time::Timestamp;
use crate::error::Result;
use crate::limits::ACTS_KEPT_MAX;
use rusqlite::{Connection, named_params};

/// Notes a deed; of a build's deeds the newest are kept.
pub fn insert(c: &Connection, id: BuildId, act: Act, actor: &str, now: Timestamp) -> Result<()> {
    c.prepare_cached("INSERT INTO build_acts (build_id, act, actor, acted_at) VALUES (:build, :act, :actor, :now)")?
        .execute(named_params! {":build": id.0, ":act": act.as_str(), ":actor": actor, ":now": now.0})?;
    c.prepare_cached(
        "DELETE FROM build_acts WHERE build_id = ?1
             AND id NOT IN (SELECT id FROM build_acts WHERE build_id = ?1 ORDER BY id DESC LIMIT ?2)",
    )?
    .execute((id.0, ACTS_KEPT_MAX))?;
    Ok(())
}

/// What was done to a build, the oldest first.
pub fn of_build(c: &Connection, id: BuildId) -> Result<Vec<Acted>> {
    let mut statement =
        c.prepare_cached("SELECT act, actor, acted_at FROM build_acts WHERE build_id = ?1 ORDER BY id")?;
    let rows =
        statement.query_map([id.0], |row| Ok(Acted { act: row.get(0)?, actor: row.get(1)?, at: row.get(2)? }))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}
