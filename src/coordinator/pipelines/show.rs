//! How pipelines stand.

use super::{no_such, refusal};
use crate::coordinator::Coordinator;
use crate::coordinator::builds::BuildReport;
use crate::coordinator::builds::reasons::Reasons;
use crate::coordinator::upkeep::serving::is_served;
use crate::domain::build::BuildId;
use crate::domain::pipeline::PipelineId;
use crate::domain::pipeline::about::About;
use crate::domain::pipeline::states::PipelineState;
use crate::domain::time::Timestamp;
use crate::error::Result;
use crate::gitlab_ci::messages::Message;
use crate::store::jobs::Standing;
use crate::store::pipelines::{Newest, Pipeline};
use crate::store::{builds, jobs, pipelines};
use rusqlite::Connection;

/// A pipeline, and how it stands.
pub struct PipelineReport {
    /// The pipeline.
    pub pipeline: Pipeline,
    /// How its builds stand that count.
    pub standing: Standing,
    /// Its builds, those that were made again too, in the order of stages; of a list of pipelines: none.
    pub builds: Vec<(BuildReport, About)>,
    /// What is wrong with its configuration, if that was refused; of a list of pipelines: nothing.
    pub refusal: Vec<Message>,
}

impl PipelineReport {
    /// Its state.
    #[must_use]
    pub fn state(&self) -> PipelineState {
        self.standing.state()
    }

    /// Whether a job failed that is allowed to.
    #[must_use]
    pub fn has_warnings(&self) -> bool {
        self.standing.tally.has_warnings()
    }

    /// When the last of it ended; `None`: something goes on.
    #[must_use]
    pub fn finished_at(&self) -> Option<Timestamp> {
        self.standing.finished_at.filter(|_| self.state().is_at_rest())
    }

    /// When something last happened to it: it was made, one of its builds was taken by a runner, or one has ended.
    #[must_use]
    pub fn updated_at(&self) -> Timestamp {
        let times = [self.standing.last_started_at, self.standing.finished_at];
        times.into_iter().flatten().fold(self.pipeline.created_at, Timestamp::max)
    }

    pub(in crate::coordinator) fn of(c: &Connection, pipeline: Pipeline) -> Result<PipelineReport> {
        let standing = pipelines::standing(c, pipeline.id)?;
        Ok(PipelineReport { pipeline, standing, builds: Vec::new(), refusal: Vec::new() })
    }

    /// The same with what is wrong with its configuration.
    pub(in crate::coordinator) fn alone(c: &Connection, pipeline: Pipeline) -> Result<PipelineReport> {
        let report = PipelineReport::of(c, pipeline)?;
        let refusal =
            if report.standing.is_refused { refusal::of_pipeline(c, report.pipeline.id)? } else { Vec::new() };
        Ok(PipelineReport { refusal, ..report })
    }
}

impl Coordinator {
    /// A pipeline with all of its builds.
    ///
    /// # Errors
    /// [`crate::error::Kind::NotFound`] for an unknown pipeline.
    pub fn show_pipeline(&self, id: PipelineId, now: Timestamp) -> Result<PipelineReport> {
        let mut reasons = Reasons::of(is_served(&self.data)?, now);
        self.store.read(|c| {
            let pipeline = pipelines::by_id(c, id)?.ok_or_else(|| no_such(id))?;
            let mut report = PipelineReport::alone(c, pipeline)?;
            let filter = builds::Filter { pipeline: Some(id), ..builds::Filter::default() };
            let mut all = builds::list(c, &filter, now)?;
            all.sort_by_key(|build| (build.stage_index, build.id));
            for build in all {
                let about = jobs::about(c, build.id)?.unwrap_or_default();
                report.builds.push((BuildReport::of(c, build, &mut reasons, now)?, about));
            }
            Ok(report)
        })
    }

    /// A pipeline without its builds.
    ///
    /// # Errors
    /// [`crate::error::Kind::NotFound`] for an unknown pipeline.
    pub fn pipeline(&self, id: PipelineId) -> Result<Pipeline> {
        self.store.read(|c| pipelines::by_id(c, id)?.ok_or_else(|| no_such(id)))
    }

    /// What people are told of a build that a configuration has made; `None`: none has.
    ///
    /// # Errors
    /// The database's.
    pub fn about_job(&self, id: BuildId) -> Result<Option<About>> {
        self.store.read(|c| jobs::about(c, id))
    }

    /// How the builds of a pipeline stand together: cheaper than [`Coordinator::show_pipeline`].
    ///
    /// # Errors
    /// [`crate::error::Kind::NotFound`] for an unknown pipeline.
    pub fn pipeline_standing(&self, id: PipelineId) -> Result<Standing> {
        self.store.read(|c| {
            pipelines::by_id(c, id)?.ok_or_else(|| no_such(id))?;
            pipelines::standing(c, id)
        })
    }

    /// Pipelines, newest first, without their builds.
    ///
    /// # Errors
    /// [`crate::error::Kind::NotFound`] for an unknown project.
    pub fn list_pipelines(&self, project: Option<&str>, limit: Option<u32>) -> Result<Vec<PipelineReport>> {
        self.store.read(|c| {
            let project = project
                .map(|name| crate::coordinator::project_by_name::named(c, name))
                .transpose()?
                .map(|project| project.id);
            let limit = limit.and_then(|limit| usize::try_from(limit).ok());
            let list = pipelines::newest(c, &Newest { project, limit, ..Newest::default() })?;
            list.into_iter().map(|pipeline| PipelineReport::of(c, pipeline)).collect()
        })
    }
}
