//! Builds that are past keeping: which they are, and their removal with all that belongs to them.
//!
//! Ids say in which order builds were queued, and nothing says in which order they ended. So the table is walked
//! in the order of ids, a slice at a time: that needs no index, which every end of a build would pay for. Pipelines that
//! were refused have no builds: an index of their own has them.

use super::artifacts::{self, Files};
use super::pipelines;
use super::usage::Taken;
use crate::domain::build::{BuildId, ProjectId};
use crate::domain::pipeline::PipelineId;
use crate::domain::time::Timestamp;
use crate::error::Result;
use rusqlite::{Connection, OptionalExtension, named_params};

/// Which builds are past keeping.
#[derive(Clone, Copy, Debug)]
pub struct Past {
    /// Those that ended then or before.
    pub ended_by: Timestamp,
    /// Only this project's.
    pub project: Option<ProjectId>,
}

/// A build that is past keeping, and what it takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PastBuild {
    /// The build.
    pub id: BuildId,
    /// What it takes.
    pub taken: Taken,
    /// Bytes of its script, options and variables.
    pub spec_bytes: u64,
}

/// Some consecutive builds.
pub struct Slice {
    /// Those of them that are past keeping.
    pub past: Vec<PastBuild>,
    /// The last of them; `None`: there was none left.
    pub last: Option<BuildId>,
}

/// What makes a build `b` past keeping: it has ended, and no build that has not needs it, whose runner would fetch
/// its artifacts. The jobs of a pipeline go together, those among them that nobody has started too.
const IS_PAST: &str = "iif(b.status = 'manual', b.created_at, b.finished_at) <= :ended_by AND NOT EXISTS
    (SELECT 1 FROM build_needs n JOIN builds waiting ON waiting.id = n.build_id
     WHERE n.needs_id = b.id AND waiting.finished_at IS NULL AND waiting.status <> 'manual')
    AND (b.stage_index IS NULL OR NOT EXISTS
    (SELECT 1 FROM builds beside WHERE beside.pipeline_id = b.pipeline_id
     AND iif(beside.status = 'manual', beside.created_at, beside.finished_at) <= :ended_by IS NOT 1))";

/// Looks at the next `rows` builds after `after`.
pub fn slice(c: &Connection, past: Past, after: BuildId, rows: usize) -> Result<Slice> {
    let last: Option<i64> = c
        .prepare_cached("SELECT max(id) FROM (SELECT id FROM builds WHERE id > :after ORDER BY id LIMIT :rows)")?
        .query_row(named_params! {":after": after.0, ":rows": rows}, |row| row.get(0))?;
    let Some(last) = last else { return Ok(Slice { past: Vec::new(), last: None }) };
    let mut statement = c.prepare_cached(&format!(
        "SELECT b.id, coalesce(t.size, 0), (SELECT coalesce(sum(size), 0) FROM artifacts WHERE build_id = b.id),
             octet_length(s.spec) + octet_length(s.variables)
         FROM builds b
         JOIN build_specs s ON s.build_id = b.id
         LEFT JOIN traces t ON t.build_id = b.id
         WHERE b.id > :after AND b.id <= :last AND {IS_PAST} AND (:project IS NULL OR b.project_id = :project)
         ORDER BY b.id"
    ))?;
    let rows = statement.query_map(
        named_params! {
            ":after": after.0, ":last": last, ":ended_by": past.ended_by.0,
            ":project": past.project.map(|id| id.0),
        },
        |row| {
            Ok(PastBuild {
                id: BuildId(row.get(0)?),
                taken: Taken { builds: 1, log_bytes: row.get(1)?, artifact_bytes: row.get(2)? },
                spec_bytes: row.get(3)?,
            })
        },
    )?;
    Ok(Slice { past: rows.collect::<rusqlite::Result<_>>()?, last: Some(BuildId(last)) })
}

/// Removes a build with its log and the rows of its artifacts, and returns their files. `None`: it is not past
/// keeping, any more or at all. Builds that have ended and needed it stay, and forget that they did.
pub fn remove(c: &Connection, past: Past, id: BuildId) -> Result<Option<Files>> {
    let pipeline: Option<Option<i64>> = c
        .prepare_cached(&format!("SELECT b.pipeline_id FROM builds b WHERE b.id = :id AND {IS_PAST}"))?
        .query_row(named_params! {":id": id.0, ":ended_by": past.ended_by.0}, |row| row.get(0))
        .optional()?;
    let Some(pipeline) = pipeline else { return Ok(None) };
    let files = remove_build(c, id)?;
    if let Some(pipeline) = pipeline {
        pipelines::remove_if_empty(c, PipelineId(pipeline))?;
    }
    Ok(Some(files))
}

/// Pipelines that were refused and are past keeping: the oldest behind the one that was made then, at most so many.
pub fn refusals(
    c: &Connection,
    past: Past,
    (made_at, id): (Timestamp, PipelineId),
    limit: usize,
) -> Result<Vec<(Timestamp, PipelineId)>> {
    let mut statement = c.prepare_cached(
        "SELECT created_at, id FROM pipelines
         WHERE refusal IS NOT NULL AND created_at <= :ended_by AND (created_at, id) > (:made_at, :id)
             AND (:project IS NULL OR project_id = :project)
         ORDER BY created_at, id LIMIT :limit",
    )?;
    let rows = statement.query_map(
        named_params! {
            ":ended_by": past.ended_by.0, ":made_at": made_at.0, ":id": id.0, ":project": past.project.map(|id| id.0),
            ":limit": limit,
        },
        |row| Ok((Timestamp(row.get(0)?), PipelineId(row.get(1)?))),
    )?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Removes a build with its log and the rows of its artifacts, and returns their files, whatever its state.
pub fn remove_build(c: &Connection, id: BuildId) -> Result<Files> {
    let files = artifacts::remove_all(c, id)?;
    c.prepare_cached("DELETE FROM build_needs WHERE needs_id = ?1")?.execute([id.0])?;
    c.prepare_cached("DELETE FROM builds WHERE id = ?1")?.execute([id.0])?;
    Ok(files)
}

/// A build of another pipeline that needs this one and has not ended.
pub fn waits_for(c: &Connection, id: BuildId) -> Result<Option<BuildId>> {
    let mut statement = c.prepare_cached(
        "SELECT n.build_id FROM build_needs n JOIN builds waiting ON waiting.id = n.build_id
             JOIN builds own ON own.id = n.needs_id
         WHERE n.needs_id = ?1 AND waiting.finished_at IS NULL AND waiting.pipeline_id IS NOT own.pipeline_id LIMIT 1",
    )?;
    Ok(statement.query_row([id.0], |row| row.get(0)).optional()?.map(BuildId))
}
