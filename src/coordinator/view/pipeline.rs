//! One pipeline with its jobs.

use crate::coordinator::pipelines::no_such;
use crate::coordinator::{Coordinator, PipelineReport};
use crate::domain::build::BuildId;
use crate::domain::pipeline::PipelineId;
use crate::domain::pipeline::states::PipelineState;
use crate::error::Result;
use crate::store::job_rows::{self, JobRow};
use crate::store::pipelines;
use rusqlite::Connection;
use std::collections::HashMap;

/// Archives of artifacts that are listed.
const ARTIFACTS_MAX: usize = 100;
/// Pipelines of a job, or of a pipeline's jobs, that are shown.
const CHILDREN_MAX: usize = 100;

/// A pipeline that a job has made.
pub struct Child {
    /// Its id.
    pub id: PipelineId,
    /// Its state.
    pub state: PipelineState,
    /// Whether a job of it failed that is allowed to.
    pub has_warnings: bool,
}

/// A pipeline with its jobs.
pub struct PipelineView {
    /// The pipeline.
    pub report: PipelineReport,
    /// Its jobs, the earliest stage first, those that were made again too.
    pub rows: Vec<JobRow>,
    /// Which jobs each job names as its needs.
    pub needs: HashMap<BuildId, Vec<BuildId>>,
    /// Jobs that have an archive of artifacts: id, name, bytes.
    pub artifacts: Vec<(BuildId, String, u64)>,
    /// The pipelines that its jobs made.
    pub children: Vec<Child>,
}

impl Coordinator {
    /// A pipeline with its jobs: a few statements, however many jobs it has.
    ///
    /// # Errors
    /// [`crate::error::Kind::NotFound`] for an unknown pipeline.
    pub fn view_pipeline(&self, id: PipelineId) -> Result<PipelineView> {
        self.store.read(|c| {
            let pipeline = pipelines::by_id(c, id)?.ok_or_else(|| no_such(id))?;
            let mut needs: HashMap<BuildId, Vec<BuildId>> = HashMap::new();
            for (of, need) in job_rows::needs(c, id)? {
                needs.entry(of).or_default().push(need);
            }
            Ok(PipelineView {
                report: PipelineReport::alone(c, pipeline)?,
                rows: job_rows::of_pipeline(c, id)?,
                needs,
                artifacts: job_rows::archives(c, id, ARTIFACTS_MAX)?,
                children: children(c, pipelines::children_of_pipeline(c, id)?)?,
            })
        })
    }
}

/// How these stand, the newest of them if they are many.
pub fn children(c: &Connection, mut ids: Vec<PipelineId>) -> Result<Vec<Child>> {
    ids.drain(..ids.len().saturating_sub(CHILDREN_MAX));
    let child = |id| {
        let standing = pipelines::standing(c, id)?;
        Ok(Child { id, state: standing.state(), has_warnings: standing.tally.has_warnings() })
    };
    ids.into_iter().map(child).collect()
}
