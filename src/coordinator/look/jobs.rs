//! Builds with all that a program is told of them: their pipelines, runners, and what they wait for.
//!
//! What must stay true: a list costs what its entries cost. What several of them share is looked up once.

use crate::coordinator::builds::no_such;
use crate::coordinator::builds::reasons::Reasons;
use crate::coordinator::pipelines::no_such as no_such_pipeline;
use crate::coordinator::runners::{no_such as no_such_runner, running};
use crate::coordinator::upkeep::serving::is_served;
use crate::coordinator::{BuildReport, Coordinator, PipelineReport};
use crate::domain::asker::Manager;
use crate::domain::build::{Build, BuildId, ProjectId, Status};
use crate::domain::pipeline::PipelineId;
use crate::domain::pipeline::about::About;
use crate::domain::pipeline::states::{PipelineState, Waits};
use crate::domain::runner::{RunnerAtWork, RunnerId};
use crate::domain::time::Timestamp;
use crate::error::{Error, Result};
use crate::limits::STANDINGS_LOOKED_MAX;
use crate::store::lists::{self, BuildsAsked, IdsFound, PipelinesAsked};
use crate::store::{builds, jobs, managers, pipelines, runners};
use rusqlite::Connection;
use std::collections::HashMap;
use std::sync::Arc;

/// A build with all that a program is told of it.
pub struct JobReport {
    /// The build.
    pub report: BuildReport,
    /// What people are told of a job of a configuration.
    pub about: About,
    /// Its pipeline, without the builds; `None`: it has none.
    pub pipeline: Option<Arc<PipelineReport>>,
    /// The runner that has or had it, with what that does at present.
    pub runner: Option<Arc<RunnerAtWork>>,
    /// The manager of the runner that has or had it.
    pub manager: Option<Manager>,
    /// Whether its runner is to bring it to an end.
    pub is_canceling: bool,
    /// From when on it could be handed out, as far as others held it up.
    pub ready_at: Timestamp,
    /// When it starts by itself.
    pub scheduled_at: Option<Timestamp>,
}

/// A page of builds, and where the next one begins.
pub struct JobsFound {
    /// The builds.
    pub jobs: Vec<JobReport>,
    /// The cursor of the next page; `None`: nothing follows.
    pub next: Option<i64>,
}

/// What has been looked up.
struct Known<'c> {
    c: &'c Connection,
    now: Timestamp,
    reasons: Reasons,
    pipelines: HashMap<PipelineId, Arc<PipelineReport>>,
    runners: HashMap<i64, Option<Arc<RunnerAtWork>>>,
    /// When the stages before this one have ended.
    stages: HashMap<(PipelineId, usize), Option<Timestamp>>,
}

impl Known<'_> {
    /// Nothing is asked of the database that the build's row rules out: lists are long.
    fn job(&mut self, build: Build) -> Result<JobReport> {
        let (c, is_ordered) = (self.c, build.stage_index.is_some());
        let is_running = build.status == Status::Running;
        let is_canceling = is_running && builds::state(c, build.id)?.is_some_and(|state| state.is_canceling);
        let about = if is_ordered { jobs::about(c, build.id)?.unwrap_or_default() } else { About::default() };
        let runner = match &build.runner {
            Some((id, _)) => self.runner(*id)?,
            None => None,
        };
        Ok(JobReport {
            about,
            pipeline: build.pipeline_id.map(|id| self.pipeline(id)).transpose()?.flatten(),
            manager: if runner.is_some() { managers::of_build(c, build.id)? } else { None },
            runner,
            is_canceling,
            ready_at: self.ready_at(&build)?,
            scheduled_at: if build.status == Status::Scheduled { jobs::time_of(c, build.id)? } else { None },
            report: BuildReport::of(c, build, &mut self.reasons, self.now)?,
        })
    }

    fn pipeline(&mut self, id: PipelineId) -> Result<Option<Arc<PipelineReport>>> {
        if let Some(known) = self.pipelines.get(&id) {
            return Ok(Some(Arc::clone(known)));
        }
        let Some(pipeline) = pipelines::by_id(self.c, id)? else { return Ok(None) };
        let report = Arc::new(PipelineReport::of(self.c, pipeline)?);
        self.pipelines.insert(id, Arc::clone(&report));
        Ok(Some(report))
    }

    fn runner(&mut self, id: i64) -> Result<Option<Arc<RunnerAtWork>>> {
        if let Some(known) = self.runners.get(&id) {
            return Ok(known.clone());
        }
        let found = at_work_even_removed(self.c, RunnerId(id))?.map(Arc::new);
        self.runners.insert(id, found.clone());
        Ok(found)
    }

    fn ready_at(&mut self, build: &Build) -> Result<Timestamp> {
        let mut at = if build.needs.is_empty() { None } else { builds::needs_ended_at(self.c, build.id)? };
        if let (Some(pipeline), Some(stage @ 1..)) = (build.pipeline_id, build.stage_index)
            && jobs::by_id(self.c, build.id)?.is_some_and(|job| job.waits == Waits::Stages)
        {
            let ended = match self.stages.get(&(pipeline, stage)) {
                Some(known) => *known,
                None => jobs::earlier_stages_ended_at(self.c, pipeline, stage)?,
            };
            self.stages.insert((pipeline, stage), ended);
            at = at.max(ended);
        }
        Ok(build.created_at.max(at.unwrap_or(build.created_at)))
    }
}

/// A runner with what it does, also if it was removed.
fn at_work_even_removed(c: &Connection, id: RunnerId) -> Result<Option<RunnerAtWork>> {
    let Some(runner) = runners::by_id_even_removed(c, id)? else { return Ok(None) };
    let builds = builds::running_of(c, id)?.iter().map(running).collect();
    Ok(Some(RunnerAtWork { runner, builds }))
}

impl Coordinator {
    fn with_known<T>(&self, now: Timestamp, look: impl FnOnce(&mut Known<'_>) -> Result<T>) -> Result<T> {
        let reasons = Reasons::of(is_served(self.data())?, now);
        self.store.read(|c| {
            let (pipelines, runners, stages) = (HashMap::new(), HashMap::new(), HashMap::new());
            look(&mut Known { c, now, reasons, pipelines, runners, stages })
        })
    }

    /// A build of this project.
    ///
    /// # Errors
    /// [`crate::error::Kind::NotFound`] for an unknown build, and for another project's.
    pub fn job_of(&self, project: ProjectId, id: BuildId, now: Timestamp) -> Result<JobReport> {
        self.with_known(now, |known| {
            let build = builds::by_id(known.c, id, now)?.filter(|build| build.project_id == project);
            known.job(build.ok_or_else(|| no_such(id))?)
        })
    }

    /// The newest successful build of this name with an archive, in the newest successful pipeline of a branch or tag, or,
    /// with `is_any`, in the newest that has one.
    ///
    /// # Errors
    /// [`crate::error::Kind::NotFound`] if there is none among the newest pipelines that are looked at.
    pub fn newest_archive_of(
        &self,
        project: ProjectId,
        (ref_, is_any): (&str, bool),
        job: &str,
        now: Timestamp,
    ) -> Result<BuildId> {
        let asked = PipelinesAsked { ref_: Some(ref_.to_owned()), ..PipelinesAsked::default() };
        self.store.read(|c| {
            for id in lists::pipelines(c, project, &asked, false, (0, STANDINGS_LOOKED_MAX))? {
                if pipelines::standing(c, id)?.state() != PipelineState::Success {
                    continue;
                }
                let found = lists::archive_of_job(c, id, job, now)?;
                if is_any && found.is_none() {
                    continue;
                }
                return found.ok_or_else(|| Error::not_found(format!("pipeline {id} has no archive of job {job:?}")));
            }
            Err(Error::not_found(format!(
                "there is no successful pipeline of {ref_:?}, or none with an archive of job {job:?}"
            )))
        })
    }

    /// A runner with what it does.
    ///
    /// # Errors
    /// [`crate::error::Kind::NotFound`] for an unknown runner.
    pub fn runner_at_work(&self, id: RunnerId) -> Result<RunnerAtWork> {
        self.store.read(|c| {
            let found = if runners::by_id(c, id)?.is_some() { at_work_even_removed(c, id)? } else { None };
            found.ok_or_else(|| no_such_runner(id))
        })
    }

    /// The managers of a runner, those first that called last.
    pub fn managers_of(&self, id: RunnerId) -> Result<Vec<Manager>> {
        self.store.read(|c| managers::all_of(c, id))
    }

    /// Whether this is a build of the project.
    ///
    /// # Errors
    /// As [`Coordinator::job_of`].
    pub fn is_job_of(&self, project: ProjectId, id: BuildId) -> Result<()> {
        let state = self.store.read(|c| builds::state(c, id))?.filter(|state| state.project_id == project);
        state.map(drop).ok_or_else(|| no_such(id))
    }

    /// A page of a list of builds.
    pub fn jobs_page(&self, asked: &BuildsAsked, now: Timestamp) -> Result<JobsFound> {
        self.with_known(now, |known| {
            let IdsFound { ids, next } = lists::builds(known.c, asked)?;
            let mut found = Vec::with_capacity(ids.len());
            for id in ids {
                let build = builds::by_id(known.c, id, now)?;
                found.extend(build.map(|build| known.job(build)).transpose()?);
            }
            Ok(JobsFound { jobs: found, next })
        })
    }

    /// Builds of a pipeline, the newest first: in these states, or in any where none is said; those that count, or all.
    /// `cut` makes a page of them; the second is how many there are.
    ///
    /// # Errors
    /// [`crate::error::Kind::NotFound`] for an unknown pipeline, and for another project's.
    pub fn jobs_of_pipeline(
        &self,
        (project, id): (ProjectId, PipelineId),
        states: &[Status],
        with_retried: bool,
        cut: impl FnOnce(Vec<BuildId>) -> Vec<BuildId>,
        now: Timestamp,
    ) -> Result<(Vec<JobReport>, usize)> {
        self.with_known(now, |known| {
            pipeline_of(known.c, project, id)?;
            let all = lists::of_pipeline(known.c, id, with_retried)?;
            let fits = |status: &Status| states.is_empty() || states.contains(status);
            let ids: Vec<BuildId> = all.into_iter().filter(|(_, status)| fits(status)).map(|(id, _)| id).collect();
            let count = ids.len();
            let mut found = Vec::new();
            for id in cut(ids) {
                let build = builds::by_id(known.c, id, now)?;
                found.extend(build.map(|build| known.job(build)).transpose()?);
            }
            Ok((found, count))
        })
    }
}

/// A pipeline of this project.
pub fn pipeline_of(c: &Connection, project: ProjectId, id: PipelineId) -> Result<pipelines::Pipeline> {
    let found = pipelines::by_id(c, id)?.filter(|pipeline| pipeline.project_id == project);
    found.ok_or_else(|| no_such_pipeline(id))
}
