//! One pipeline with its jobs.

use crate::coordinator::pipelines::no_such;
use crate::coordinator::{Coordinator, PipelineReport};
use crate::domain::build::BuildId;
use crate::domain::pipeline::PipelineId;
use crate::error::Result;
use crate::store::job_rows::{self, JobRow};
use crate::store::pipelines;
use std::collections::HashMap;

/// Archives of artifacts that are listed.
const ARTIFACTS_MAX: usize = 100;

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
    pub children: Vec<PipelineId>,
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
                children: pipelines::children_of_pipeline(c, id)?,
            })
        })
    }
}
