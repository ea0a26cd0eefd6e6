//! Builds that wait for others, and those of which it is not decided yet what comes after them.

use crate::domain::build::BuildId;
use crate::error::Result;
use rusqlite::Connection;

/// The next builds after `after` in state `created` that need this one.
pub fn waiting_for(c: &Connection, id: BuildId, after: BuildId, count_max: usize) -> Result<Vec<BuildId>> {
    let mut statement = c.prepare_cached(
        "SELECT n.build_id FROM build_needs n JOIN builds b ON b.id = n.build_id
         WHERE n.needs_id = ?1 AND n.build_id > ?2 AND b.status = 'created' ORDER BY n.build_id LIMIT ?3",
    )?;
    let count_max = i64::try_from(count_max).unwrap_or(i64::MAX);
    let rows = statement.query_map([id.0, after.0, count_max], |row| row.get(0).map(BuildId))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// The next builds in state `created` with ids above `after`.
pub fn created_after(c: &Connection, after: BuildId, count_max: usize) -> Result<Vec<BuildId>> {
    let mut statement =
        c.prepare_cached("SELECT id FROM builds WHERE status = 'created' AND id > ?1 ORDER BY id LIMIT ?2")?;
    let count_max = i64::try_from(count_max).unwrap_or(i64::MAX);
    let rows = statement.query_map([after.0, count_max], |row| row.get(0).map(BuildId))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Builds that have ended, of which those that need them are not all decided yet: each with the last that is. Known to
/// the connection that writes, and to no other process.
pub fn leave(c: &Connection, ended: &[(BuildId, BuildId)]) -> Result<()> {
    if ended.is_empty() {
        return Ok(());
    }
    let mut statement = c.prepare_cached("INSERT INTO temp.undecided (needs_id, after_id) VALUES (?1, ?2)")?;
    for (id, after) in ended {
        statement.execute([id.0, after.0])?;
    }
    Ok(())
}

/// Takes the newest of what [`leave`] left.
pub fn take(c: &Connection, count_max: usize) -> Result<Vec<(BuildId, BuildId)>> {
    let mut statement = c.prepare_cached(
        "DELETE FROM temp.undecided WHERE rowid IN (SELECT rowid FROM temp.undecided ORDER BY rowid DESC LIMIT ?1)
         RETURNING needs_id, after_id",
    )?;
    let rows = statement.query_map([i64::try_from(count_max).unwrap_or(i64::MAX)], |row| {
        Ok((BuildId(row.get(0)?), BuildId(row.get(1)?)))
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}
