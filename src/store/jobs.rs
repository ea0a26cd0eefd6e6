//! Builds as jobs of a pipeline: which they wait for, by stages and needs, and how those stand.
//!
//! What must stay true: no question here looks at all jobs of a pipeline, but those that say so: tallies of stages are
//! kept by triggers (`stage_counts`).

use super::columns::{Columns, columns};
use crate::domain::build::{BuildId, ProjectId, Status};
use crate::domain::pipeline::about::About;
use crate::domain::pipeline::board::BoardJob;
use crate::domain::pipeline::states::{PipelineState, Tally, Waits};
use crate::domain::pipeline::{PipelineId, When};
use crate::domain::spec::AllowFailure;
use crate::domain::time::Timestamp;
use crate::error::Result;
use rusqlite::{Connection, OptionalExtension, Row, named_params};
use std::collections::HashMap;

/// What a build is in its pipeline.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// Its pipeline.
    pub pipeline: PipelineId,
    /// Its place among the stages; `None`: it waits for what it needs, and for nothing else.
    pub job: Option<NewJob<'a>>,
}

/// What a build is that stages order.
#[derive(Clone, Copy, Debug)]
pub struct NewJob<'a> {
    /// Place of its stage.
    pub stage_index: usize,
    /// Whether it waits for all of earlier stages.
    pub waits_for_stages: bool,
    /// When it runs.
    pub when: When,
    /// How long it waits once its turn has come, in seconds.
    pub start_in_s: Option<u64>,
    /// When it becomes pending, if it is scheduled from the start.
    pub scheduled_at: Option<Timestamp>,
    /// Of those with this word, one at a time runs.
    pub resource_group: Option<&'a str>,
    /// Whether those behind it go on without it in any case.
    pub failure_allowed: bool,
    /// What people are told of it.
    pub about: &'a About,
}

/// What decides about a job that waits, and about those behind one.
#[derive(Clone, Debug)]
pub struct Job {
    /// The build.
    pub id: BuildId,
    /// Its project.
    pub project: ProjectId,
    /// Its pipeline.
    pub pipeline: PipelineId,
    /// Place of its stage.
    pub stage_index: usize,
    /// Whom it waits for.
    pub waits: Waits,
    /// When it runs.
    pub when: When,
    /// How long it waits once its turn has come, in seconds.
    pub start_in_s: Option<i64>,
    /// Of those with this word, one at a time runs.
    pub resource_group: Option<String>,
    /// Its state.
    pub status: Status,
    /// The build that counts in its place.
    pub retried_by: Option<BuildId>,
    /// Whether those behind it go on without it.
    pub failure_allowed: bool,
    /// Whether it is there to be listed only.
    pub is_refused: bool,
    /// Whether it makes a pipeline, and no runner gets it.
    pub is_trigger: bool,
}

/// How the builds of a pipeline stand.
#[derive(Clone, Copy, Debug, Default)]
pub struct Standing {
    /// How many stand how.
    pub tally: Tally,
    /// When the first began to run.
    pub started_at: Option<Timestamp>,
    /// When the last began to run of those that have.
    pub last_started_at: Option<Timestamp>,
    /// When the last ended of those that have.
    pub finished_at: Option<Timestamp>,
    /// The first that was made.
    pub first: Option<BuildId>,
    /// Whether there are none, since the configuration was refused.
    pub is_refused: bool,
}

impl Standing {
    /// The state of the pipeline: whoever asks for it by its builds alone takes a refused one for one in which nothing ran.
    #[must_use]
    pub fn state(&self) -> PipelineState {
        if self.is_refused { PipelineState::Failed } else { self.tally.pipeline() }
    }
}

columns! {
    SELECT, job: Job {
        id: "b.id",
        project: "b.project_id",
        pipeline: "b.pipeline_id",
        stage_index: "b.stage_index",
        waits: "b.waits_for_stages" by waits,
        when: "b.plays",
        start_in_s: "b.start_in_s",
        resource_group: "b.resource_group",
        status: "b.status",
        retried_by: "b.retried_by",
        failure_allowed: "b.failure_allowed",
        is_refused: "s.job -> '$.refused' IS NOT NULL",
        is_trigger: "s.job -> '$.trigger' IS NOT NULL",
    }
    "FROM builds b JOIN build_specs s ON s.build_id = b.id"
}

fn waits(columns: &mut Columns<'_>) -> rusqlite::Result<Waits> {
    Ok(if columns.next()? { Waits::Stages } else { Waits::Needs })
}

/// This build as a job; `None`: no stage orders it.
pub fn by_id(c: &Connection, id: BuildId) -> Result<Option<Job>> {
    let mut statement = c.prepare_cached(&format!("{SELECT} WHERE b.id = ?1 AND b.stage_index IS NOT NULL"))?;
    Ok(statement.query_row([id.0], job).optional()?)
}

/// The pipeline of this build, and the place of its stage in it; `None`: no stage orders it.
pub fn stage_of(c: &Connection, id: BuildId) -> Result<Option<(PipelineId, usize)>> {
    let mut statement =
        c.prepare_cached("SELECT pipeline_id, stage_index FROM builds WHERE id = ?1 AND stage_index IS NOT NULL")?;
    Ok(statement.query_row([id.0], |row| Ok((PipelineId(row.get(0)?), row.get(1)?))).optional()?)
}

/// All jobs of a pipeline that count, the earliest stage first. Looks at all of them.
pub fn counting(c: &Connection, pipeline: PipelineId) -> Result<Vec<Job>> {
    let mut statement = c.prepare_cached(&format!(
        "{SELECT} WHERE b.pipeline_id = ?1 AND b.stage_index IS NOT NULL AND b.retried_by IS NULL
         ORDER BY b.stage_index, b.id"
    ))?;
    let rows = statement.query_map([pipeline.0], job)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Adds a row of `status, is_allowed, count` to a tally.
pub(super) fn tally_row(row: &Row<'_>, column: usize, tally: &mut Tally) -> rusqlite::Result<()> {
    tally.add(row.get(column)?, row.get(column + 1)?, row.get(column + 2)?);
    Ok(())
}

/// How the jobs of each stage stand: of each from the first to the last that has or had jobs.
pub fn tallies(c: &Connection, pipeline: PipelineId) -> Result<Vec<Tally>> {
    let mut statement = c.prepare_cached(
        "SELECT stage_index, status, is_allowed, builds FROM stage_counts WHERE pipeline_id = ?1 ORDER BY stage_index",
    )?;
    let mut rows = statement.query([pipeline.0])?;
    let mut all: Vec<Tally> = Vec::new();
    while let Some(row) = rows.next()? {
        let stage: usize = row.get(0)?;
        if all.len() <= stage {
            all.resize(stage + 1, Tally::default());
        }
        if let Some(tally) = all.get_mut(stage) {
            tally_row(row, 1, tally)?;
        }
    }
    Ok(all)
}

/// How the builds stand together that this one needs.
pub fn tally_of_needs(c: &Connection, id: BuildId) -> Result<Tally> {
    let mut statement = c.prepare_cached(
        "SELECT b.status, b.failure_allowed, 1 FROM build_needs n JOIN builds b ON b.id = n.needs_id
         WHERE n.build_id = ?1",
    )?;
    let mut rows = statement.query([id.0])?;
    let mut tally = Tally::default();
    while let Some(row) = rows.next()? {
        tally_row(row, 0, &mut tally)?;
    }
    Ok(tally)
}

/// The jobs that wait for all stages before this one.
pub fn behind_stages(c: &Connection, pipeline: PipelineId, stage: usize) -> Result<Vec<BuildId>> {
    super::builds::ids(
        c,
        "SELECT id FROM builds
         WHERE pipeline_id = ?1 AND stage_index = ?2 AND status = 'created' AND waits_for_stages = 1 ORDER BY id",
        (pipeline.0, stage),
    )
}

/// Who has a resource of a project at present: the oldest build that is pending or runs with it.
pub fn holder(c: &Connection, project: ProjectId, group: &str) -> Result<Option<BuildId>> {
    first_of(c, project, group, &[Status::Pending, Status::Running])
}

/// Who has waited longest for a resource of a project.
pub fn next_holder(c: &Connection, project: ProjectId, group: &str) -> Result<Option<BuildId>> {
    first_of(c, project, group, &[Status::WaitingForResource])
}

fn first_of(c: &Connection, project: ProjectId, group: &str, states: &[Status]) -> Result<Option<BuildId>> {
    let words = serde_json::to_string(states)?;
    let mut statement = c.prepare_cached(
        "SELECT id FROM builds WHERE project_id = :project AND resource_group = :group
             AND status IN (SELECT value FROM json_each(:states)) ORDER BY id LIMIT 1",
    )?;
    let parameters = named_params! {":project": project.0, ":group": group, ":states": words};
    Ok(statement.query_row(parameters, |row| row.get(0)).optional()?.map(BuildId))
}

/// The resource that a build shares with others.
pub fn resource_of(c: &Connection, id: BuildId) -> Result<Option<String>> {
    let mut statement = c.prepare_cached("SELECT resource_group FROM builds WHERE id = ?1")?;
    Ok(statement.query_row([id.0], |row| row.get(0)).optional()?.flatten())
}

/// Says when a build becomes pending that waits for its time.
pub fn set_time(c: &Connection, id: BuildId, at: Option<Timestamp>) -> Result<()> {
    c.prepare_cached("UPDATE builds SET scheduled_at = ?2 WHERE id = ?1")?.execute((id.0, at.map(|at| at.0)))?;
    Ok(())
}

/// When the last build of the stages before this one ended.
pub fn earlier_stages_ended_at(c: &Connection, pipeline: PipelineId, stage: usize) -> Result<Option<Timestamp>> {
    let mut statement =
        c.prepare_cached("SELECT max(finished_at) FROM builds WHERE pipeline_id = ?1 AND stage_index < ?2")?;
    Ok(statement.query_row((pipeline.0, stage), |row| row.get::<_, Option<i64>>(0))?.map(Timestamp))
}

/// When a build becomes pending that waits for its time.
pub fn time_of(c: &Connection, id: BuildId) -> Result<Option<Timestamp>> {
    let mut statement = c.prepare_cached("SELECT scheduled_at FROM builds WHERE id = ?1 AND status = 'scheduled'")?;
    Ok(statement.query_row([id.0], |row| row.get::<_, Option<i64>>(0)).optional()?.flatten().map(Timestamp))
}

/// Builds whose time has come, the earliest first: those that make a pipeline then, or those that do not.
pub fn due(c: &Connection, makes_pipeline: bool, now: Timestamp, count_max: usize) -> Result<Vec<BuildId>> {
    super::builds::ids(
        c,
        "SELECT id FROM builds b WHERE status = 'scheduled' AND scheduled_at <= ?1
             AND (SELECT job -> '$.trigger' FROM build_specs WHERE build_id = b.id) IS NOT NULL = ?3
         ORDER BY scheduled_at LIMIT ?2",
        (now.0, count_max, makes_pipeline),
    )
}

/// Those that have made a pipeline and wait for its end.
pub fn running_triggers(c: &Connection) -> Result<Vec<BuildId>> {
    super::builds::ids(c, "SELECT id FROM builds WHERE status = 'running' AND runner_id IS NULL", [])
}

/// Notes that a job makes its pipeline: from now on it runs, without a runner.
pub fn begin_trigger(c: &Connection, id: BuildId, now: Timestamp) -> Result<()> {
    c.prepare_cached(
        "UPDATE builds SET status = 'running', started_at = :now, room = NULL WHERE id = :id AND status = 'scheduled'",
    )?
    .execute(named_params! {":id": id.0, ":now": now.0})?;
    Ok(())
}

/// The job of this name in a pipeline that counts.
pub fn named(c: &Connection, pipeline: PipelineId, name: &str) -> Result<Option<BuildId>> {
    let mut statement = c.prepare_cached(
        "SELECT b.id FROM builds b JOIN build_specs s ON s.build_id = b.id
         WHERE b.pipeline_id = ?1 AND b.retried_by IS NULL AND s.name = ?2 LIMIT 1",
    )?;
    Ok(statement.query_row((pipeline.0, name), |row| row.get(0)).optional()?.map(BuildId))
}

/// The earlier builds of the same pipeline whose uploads this one gets by the order of stages: those that have some.
pub fn uploads_of_earlier_stages(c: &Connection, id: BuildId) -> Result<Vec<BuildId>> {
    super::builds::ids(
        c,
        "SELECT e.id FROM builds b JOIN builds e
             ON e.pipeline_id = b.pipeline_id AND e.stage_index < b.stage_index AND e.retried_by IS NULL
         WHERE b.id = ?1 AND b.waits_for_stages = 1
             AND (EXISTS (SELECT 1 FROM artifacts a WHERE a.build_id = e.id)
                 OR EXISTS (SELECT 1 FROM build_dotenv d WHERE d.build_id = e.id))
         ORDER BY e.stage_index, e.id",
        [id.0],
    )
}

/// What people are told of a job; `None`: the build is none.
pub fn about(c: &Connection, id: BuildId) -> Result<Option<About>> {
    let mut statement = c.prepare_cached("SELECT job FROM build_specs WHERE build_id = ?1")?;
    let text: Option<String> = statement.query_row([id.0], |row| row.get(0)).optional()?.flatten();
    Ok(text.and_then(|text| serde_json::from_str(&text).ok()))
}

/// The jobs of a pipeline that count as a board has them, and the build at each place of it. Looks at all of them.
pub fn board(c: &Connection, pipeline: PipelineId) -> Result<(Vec<BuildId>, Vec<BoardJob>)> {
    let jobs = counting(c, pipeline)?;
    let places: HashMap<BuildId, usize> = jobs.iter().enumerate().map(|(at, job)| (job.id, at)).collect();
    let mut all = Vec::with_capacity(jobs.len());
    for job in &jobs {
        let needs = match job.waits {
            Waits::Stages => None,
            Waits::Needs => {
                let needs = super::builds::needs(c, job.id)?;
                Some(needs.into_iter().filter_map(|id| places.get(&id).copied()).collect())
            }
        };
        all.push(BoardJob {
            stage: job.stage_index,
            needs,
            when: job.when,
            allow_failure: AllowFailure::Any(job.failure_allowed),
            can_run: !job.is_refused,
            state: job.status,
            exit_code: None,
        });
    }
    Ok((jobs.into_iter().map(|job| job.id).collect(), all))
}
