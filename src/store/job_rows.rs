//! The builds of a pipeline as somebody sees them who follows it: one statement for all of them, narrow rows.

use super::columns::columns;
use crate::domain::build::{Build, BuildId, FailureReason, Status};
use crate::domain::pipeline::{PipelineId, When};
use crate::domain::runner::RunnerId;
use crate::domain::time::Timestamp;
use crate::error::Result;
use crate::limits::{EARLIER_BUILDS_MAX, EARLIER_PIPELINES_MAX};
use rusqlite::{Connection, OptionalExtension, named_params};

/// A build of a pipeline that is followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobRow {
    /// The build.
    pub id: BuildId,
    /// Its name.
    pub name: String,
    /// Its stage's name.
    pub stage: String,
    /// Place of its stage; `None`: no stage orders it.
    pub stage_index: Option<usize>,
    /// Its state.
    pub status: Status,
    /// Whether those behind it go on although it failed, was canceled, or is manual and nobody starts it.
    pub failure_allowed: bool,
    /// Why it failed.
    pub failure_reason: Option<FailureReason>,
    /// The same in words, if its runner or its child said more.
    pub failure_text: Option<String>,
    /// How its script ended, if its runner said so.
    pub exit_code: Option<i64>,
    /// When it runs, by the state of those before it.
    pub when: When,
    /// When a runner took it.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// Description of the runner that took it; empty if it has none.
    pub runner: Option<String>,
    /// The build that counts in its place.
    pub retried_by: Option<BuildId>,
}

impl JobRow {
    /// Whether the pipeline failed by it.
    #[must_use]
    pub fn is_bad(&self) -> bool {
        self.status == Status::Failed && !self.failure_allowed
    }

    /// Whether somebody must start it before the pipeline goes on.
    #[must_use]
    pub fn blocks(&self) -> bool {
        self.status == Status::Manual && !self.failure_allowed
    }
}

columns! {
    SELECT, job_row: JobRow {
        id: "b.id",
        name: "s.name",
        stage: "s.stage",
        stage_index: "b.stage_index",
        status: "b.status",
        failure_allowed: "b.failure_allowed",
        failure_reason: "b.failure_reason",
        failure_text: "b.failure_text",
        exit_code: "b.exit_code",
        when: "b.plays",
        started_at: "b.started_at",
        finished_at: "b.finished_at",
        runner: "r.description",
        retried_by: "b.retried_by",
    }
    "FROM builds b JOIN build_specs s ON s.build_id = b.id LEFT JOIN runners r ON r.id = b.runner_id"
}

/// All builds of a pipeline, the earliest stage first, inside of a stage in the order in which they were added.
pub fn of_pipeline(c: &Connection, id: PipelineId) -> Result<Vec<JobRow>> {
    let mut statement = c.prepare_cached(&format!("{SELECT} WHERE b.pipeline_id = ?1 ORDER BY b.stage_index, b.id"))?;
    let rows = statement.query_map([id.0], job_row)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// The newest build of a pipeline: another one has come when a job was made again.
pub fn newest(c: &Connection, id: PipelineId) -> Result<Option<BuildId>> {
    let mut statement = c.prepare_cached("SELECT max(id) FROM builds WHERE pipeline_id = ?1")?;
    Ok(statement.query_row([id.0], |row| row.get::<_, Option<i64>>(0))?.map(BuildId))
}

/// Which trace a build has, and its bytes: both 0 while there is none.
pub fn trace_size(c: &Connection, id: BuildId) -> Result<(i64, u64)> {
    let mut statement = c.prepare_cached("SELECT number, size FROM traces WHERE build_id = ?1")?;
    Ok(statement.query_row([id.0], |row| Ok((row.get(0)?, row.get(1)?))).optional()?.unwrap_or_default())
}

/// The builds of one stage of a pipeline, or of those that no stage orders; at most so many, the oldest first.
pub fn of_stage(c: &Connection, id: PipelineId, stage: Option<usize>, limit: usize) -> Result<Vec<JobRow>> {
    let mut statement =
        c.prepare_cached(&format!("{SELECT} WHERE b.pipeline_id = ?1 AND b.stage_index IS ?2 ORDER BY b.id LIMIT ?3"))?;
    let rows = statement.query_map((id.0, stage, limit), job_row)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Id and name of the first build of a pipeline.
pub fn first(c: &Connection, id: PipelineId) -> Result<Option<(BuildId, String)>> {
    let mut statement = c.prepare_cached(
        "SELECT b.id, s.name FROM builds b JOIN build_specs s ON s.build_id = b.id
         WHERE b.pipeline_id = ?1 ORDER BY b.id LIMIT 1",
    )?;
    Ok(statement.query_row([id.0], |row| Ok((BuildId(row.get(0)?), row.get(1)?))).optional()?)
}

/// A job of an earlier pipeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Earlier {
    /// The build.
    pub id: BuildId,
    /// Its pipeline.
    pub pipeline: PipelineId,
    /// Its state.
    pub status: Status,
    /// Whether those behind it go on although it failed.
    pub failure_allowed: bool,
    /// When a runner took it.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
}

columns! {
    EARLIER, earlier: Earlier {
        id: "b.id",
        pipeline: "b.pipeline_id",
        status: "b.status",
        failure_allowed: "b.failure_allowed",
        started_at: "b.started_at",
        finished_at: "b.finished_at",
    }
    "FROM
         (SELECT b.* FROM
             (SELECT id FROM pipelines WHERE project_id = :project AND ref = :ref AND id < :before
              ORDER BY id DESC LIMIT :pipelines) l
             JOIN builds b ON b.pipeline_id = l.id WHERE b.retried_by IS NULL LIMIT :builds) b
         JOIN build_specs s ON s.build_id = b.id
     WHERE s.name = :name ORDER BY b.id DESC"
}

/// The jobs of this one's name in the pipelines of its branch before its own, newest first: what counts of each.
pub fn same_before(c: &Connection, build: &Build) -> Result<Vec<Earlier>> {
    let mut statement = c.prepare_cached(EARLIER)?;
    let parameters = named_params! {
        ":project": build.project_id.0, ":ref": build.ref_, ":name": build.name,
        ":before": build.pipeline_id.map_or(i64::MAX, |id| id.0),
        ":pipelines": EARLIER_PIPELINES_MAX, ":builds": EARLIER_BUILDS_MAX,
    };
    let rows = statement.query_map(parameters, earlier)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Of the newest builds, at most so many: those that a runner took, newest first, with their states.
pub fn newest_of_runners(c: &Connection, limit: usize) -> Result<Vec<(RunnerId, BuildId, Status)>> {
    let mut statement = c.prepare_cached(
        "SELECT runner_id, id, status FROM (SELECT runner_id, id, status FROM builds ORDER BY id DESC LIMIT ?1)
         WHERE runner_id IS NOT NULL",
    )?;
    let rows = statement.query_map([limit], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Which builds of a pipeline name which others as their needs: those that wait for stages name none.
pub fn needs(c: &Connection, id: PipelineId) -> Result<Vec<(BuildId, BuildId)>> {
    let mut statement = c.prepare_cached(
        "SELECT n.build_id, n.needs_id FROM builds b JOIN build_needs n ON n.build_id = b.id
         WHERE b.pipeline_id = ?1 AND b.waits_for_stages = 0 AND b.retried_by IS NULL",
    )?;
    let rows = statement.query_map([id.0], |row| Ok((BuildId(row.get(0)?), BuildId(row.get(1)?))))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Builds of a pipeline that have an archive of artifacts: id, name, bytes.
pub fn archives(c: &Connection, id: PipelineId, limit: usize) -> Result<Vec<(BuildId, String, u64)>> {
    let mut statement = c.prepare_cached(
        "SELECT b.id, s.name, a.size FROM builds b JOIN build_specs s ON s.build_id = b.id
             JOIN artifacts a ON a.build_id = b.id AND a.kind = 'archive'
         WHERE b.pipeline_id = ?1 ORDER BY b.id LIMIT ?2",
    )?;
    let rows = statement.query_map((id.0, limit), |row| Ok((BuildId(row.get(0)?), row.get(1)?, row.get(2)?)))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}
