//! The builds of a pipeline as somebody sees them who follows it: one statement for all of them, narrow rows.

use super::builds::{bad_word, status};
use crate::domain::build::{BuildId, FailureReason, Status};
use crate::domain::pipeline::{PipelineId, When};
use crate::domain::time::Timestamp;
use crate::error::Result;
use rusqlite::{Connection, OptionalExtension, Row};

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

fn job_row(row: &Row<'_>) -> rusqlite::Result<JobRow> {
    let (reason, plays): (Option<String>, String) = (row.get(6)?, row.get(8)?);
    let time = |column| Ok::<_, rusqlite::Error>(row.get::<_, Option<i64>>(column)?.map(Timestamp));
    Ok(JobRow {
        id: BuildId(row.get(0)?),
        name: row.get(1)?,
        stage: row.get(2)?,
        stage_index: row.get(3)?,
        status: status(row, 4)?,
        failure_allowed: row.get(5)?,
        failure_reason: reason.map(|word| FailureReason::parse(&word).ok_or_else(|| bad_word(6, &word))).transpose()?,
        exit_code: row.get(7)?,
        when: When::parse(&plays).ok_or_else(|| bad_word(8, &plays))?,
        started_at: time(9)?,
        finished_at: time(10)?,
        runner: row.get(11)?,
        retried_by: row.get::<_, Option<i64>>(12)?.map(BuildId),
    })
}

/// All builds of a pipeline, the earliest stage first, inside of a stage in the order in which they were added.
pub fn of_pipeline(c: &Connection, id: PipelineId) -> Result<Vec<JobRow>> {
    let mut statement = c.prepare_cached(
        "SELECT b.id, s.name, s.stage, b.stage_index, b.status, b.failure_allowed, b.failure_reason, b.exit_code,
             b.plays, b.started_at, b.finished_at, r.description, b.retried_by
         FROM builds b JOIN build_specs s ON s.build_id = b.id LEFT JOIN runners r ON r.id = b.runner_id
         WHERE b.pipeline_id = ?1 ORDER BY b.stage_index, b.id",
    )?;
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
