//! Builds for which a runner was made: rows of `runner_builds`.

use crate::domain::build::BuildId;
use crate::domain::runner::RunnerId;
use crate::error::Result;
use rusqlite::{Connection, OptionalExtension};

/// Keeps a build for this runner.
pub fn give(c: &Connection, runner: RunnerId, build: BuildId) -> Result<()> {
    c.prepare_cached("INSERT INTO runner_builds (build_id, runner_id) VALUES (?1, ?2)")?
        .execute((build.0, runner.0))?;
    Ok(())
}

/// Keeps `again` for whom `id` is kept, which it repeats.
pub fn repeat(c: &Connection, id: BuildId, again: BuildId) -> Result<()> {
    c.prepare_cached(
        "INSERT INTO runner_builds (build_id, runner_id)
         SELECT ?2, runner_id FROM runner_builds WHERE build_id = ?1",
    )?
    .execute((id.0, again.0))?;
    Ok(())
}

/// The oldest of the runner's builds that is pending.
pub fn oldest_pending(c: &Connection, runner: RunnerId) -> Result<Option<BuildId>> {
    let mut statement = c.prepare_cached(
        "SELECT min(b.id) FROM runner_builds r JOIN builds b ON b.id = r.build_id
         WHERE r.runner_id = ?1 AND b.status = 'pending'",
    )?;
    Ok(statement.query_row([runner.0], |row| row.get::<_, Option<i64>>(0))?.map(BuildId))
}

/// The runner for which a build is kept.
pub fn runner_of(c: &Connection, build: BuildId) -> Result<Option<RunnerId>> {
    let mut statement = c.prepare_cached("SELECT runner_id FROM runner_builds WHERE build_id = ?1")?;
    Ok(statement.query_row([build.0], |row| row.get(0).map(RunnerId)).optional()?)
}

/// How many of the runner's builds are pending.
pub fn count_pending(c: &Connection, runner: RunnerId) -> Result<usize> {
    let mut statement = c.prepare_cached(
        "SELECT count(*) FROM runner_builds r JOIN builds b ON b.id = r.build_id
         WHERE r.runner_id = ?1 AND b.status = 'pending'",
    )?;
    Ok(statement.query_row([runner.0], |row| row.get(0))?)
}

/// The runner's builds that have not ended, but for those that nobody has started, and those that only wait for such.
pub fn open(c: &Connection, runner: RunnerId) -> Result<Vec<BuildId>> {
    super::builds::ids(
        c,
        "SELECT b.id FROM runner_builds r JOIN builds b ON b.id = r.build_id
         WHERE r.runner_id = ?1 AND b.finished_at IS NULL AND b.status <> 'manual'
             AND NOT (b.status = 'created' AND EXISTS
                 (SELECT 1 FROM builds m WHERE m.pipeline_id = b.pipeline_id AND m.status = 'manual')
             AND NOT EXISTS
                 (SELECT 1 FROM builds m WHERE m.pipeline_id = b.pipeline_id
                  AND m.status IN ('pending', 'running', 'scheduled', 'waiting_for_resource')))
         ORDER BY b.id",
        [runner.0],
    )
}

/// All runners that builds are kept for.
pub fn runners(c: &Connection) -> Result<Vec<RunnerId>> {
    let mut statement = c.prepare_cached("SELECT DISTINCT runner_id FROM runner_builds")?;
    let rows = statement.query_map([], |row| row.get(0).map(RunnerId))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Keeps nothing for this runner any more.
pub fn release(c: &Connection, runner: RunnerId) -> Result<()> {
    c.prepare_cached("DELETE FROM runner_builds WHERE runner_id = ?1")?.execute([runner.0])?;
    Ok(())
}
