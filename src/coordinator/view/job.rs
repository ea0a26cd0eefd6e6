//! One job, with all that is around it.

use super::PAGE;
use super::pipeline::{Child, children};
use super::runners::takers;
use crate::coordinator::builds::no_such;
use crate::coordinator::builds::reasons::Reasons;
use crate::coordinator::runners::at_work;
use crate::coordinator::upkeep::serving::is_served;
use crate::coordinator::{BuildReport, Coordinator, projects};
use crate::domain::act::Acted;
use crate::domain::build::{BuildId, Status};
use crate::domain::pipeline::about::About;
use crate::domain::runner::RunnerAtWork;
use crate::domain::time::Timestamp;
use crate::error::Result;
use crate::store::job_rows::{Earlier, JobRow};
use crate::store::pipelines::Pipeline;
use crate::store::{acts, builds, job_rows, jobs, pipelines};
use std::time::Duration;

/// A job, with all that is around it.
pub struct JobView {
    /// The job.
    pub report: BuildReport,
    /// What people are told of it.
    pub about: About,
    /// Its pipeline.
    pub pipeline: Option<Pipeline>,
    /// The jobs of its stage, tries that were repeated too; without stages: of its pipeline.
    pub stage: Vec<JobRow>,
    /// The same job in earlier pipelines of its branch, newest first.
    pub earlier: Vec<Earlier>,
    /// How long it usually takes.
    pub usually: Option<Duration>,
    /// What was done to it, and by whom.
    pub acts: Vec<Acted>,
    /// While it is pending: the runners that could take it.
    pub takers: Vec<RunnerAtWork>,
    /// While it is pending: how many wait in front of it.
    pub before_it: usize,
    /// The pipelines that it made.
    pub children: Vec<Child>,
}

/// So many jobs of a stage are shown.
const STAGE_MAX: usize = 200;

impl Coordinator {
    /// A job, with all that is around it.
    ///
    /// # Errors
    /// [`crate::error::Kind::NotFound`] for an unknown build.
    pub fn view_job(&self, id: BuildId, now: Timestamp) -> Result<JobView> {
        let mut reasons = Reasons::of(is_served(&self.data)?, now);
        self.store.read(|c| {
            let build = builds::by_id(c, id, now)?.ok_or_else(|| no_such(id))?;
            let pipeline = pipelines::of_build(c, id)?;
            let stage = match build.pipeline_id {
                Some(pipeline) => job_rows::of_stage(c, pipeline, build.stage_index, STAGE_MAX)?,
                None => Vec::new(),
            };
            let is_pending = build.status == Status::Pending;
            let runners = if is_pending { at_work(c)? } else { Vec::new() };
            let takers = if is_pending { takers(c, &build, &runners)? } else { Vec::new() };
            let earlier = job_rows::same_before(c, &build)?;
            Ok(JobView {
                about: jobs::about(c, id)?.unwrap_or_default(),
                usually: usual_time(&earlier),
                earlier,
                acts: acts::of_build(c, id)?,
                takers: takers.into_iter().cloned().collect(),
                before_it: if is_pending { builds::count_pending_before(c, id)? } else { 0 },
                children: children(c, pipelines::children(c, id)?)?,
                report: BuildReport::of(c, build, &mut reasons, now)?,
                pipeline,
                stage,
            })
        })
    }

    /// A page of jobs, newest first, each with why it waits, and where the next page begins.
    ///
    /// # Errors
    /// [`crate::error::Kind::NotFound`] for an unknown project.
    pub fn page_of_jobs(
        &self,
        project: Option<&str>,
        status: Option<Status>,
        before: Option<BuildId>,
        now: Timestamp,
    ) -> Result<(Vec<BuildReport>, Option<BuildId>)> {
        let mut reasons = Reasons::of(is_served(&self.data)?, now);
        self.store.read(|c| {
            let project = project.map(|name| projects::named(c, name)).transpose()?.map(|project| project.id);
            let (ids, next) = builds::page(c, project, status, before, PAGE)?;
            Ok((BuildReport::of_ids(c, &ids, &mut reasons, now)?, next))
        })
    }

    /// The project of a build, by its name; `None`: there is no such build.
    ///
    /// # Errors
    /// The database's.
    pub fn project_of_build(&self, id: BuildId) -> Result<Option<String>> {
        self.store.read(|c| builds::project_of(c, id))
    }
}

/// How long a job took in those earlier pipelines in which it went well: the middle of them.
pub(super) fn usual_time(earlier: &[Earlier]) -> Option<Duration> {
    let ran = |row: &Earlier| Some(row.finished_at?.since(row.started_at?));
    let mut times: Vec<Duration> = earlier.iter().filter(|row| row.status == Status::Success).filter_map(ran).collect();
    times.sort_unstable();
    times.get(times.len() / 2).copied()
}
