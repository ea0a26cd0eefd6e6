//! A pipeline that is watched: what is known of its jobs, and which have moved since the last look.

use crate::cli::Done;
use crate::cli::run::patience::Patience;
use crate::coordinator::{Coordinator, PipelineMark};
use crate::domain::build::{BuildId, Status};
use crate::domain::pipeline::PipelineId;
use crate::domain::pipeline::states::{PipelineState, Tally};
use crate::store::job_rows::JobRow;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// All jobs are looked at so often, also when the pipeline's mark does not change.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// See the module.
pub struct Watched {
    /// The pipeline.
    pub id: PipelineId,
    /// Names of its stages, in order.
    pub stages: Vec<String>,
    /// All of its builds, those that were made again too, in the order of stages.
    pub rows: Vec<JobRow>,
    known: HashMap<BuildId, Status>,
    mark: PipelineMark,
    looked: Option<Instant>,
    patience: Option<(BuildId, Patience)>,
}

impl Watched {
    /// Knows nothing yet of the pipeline's jobs.
    pub fn new(id: PipelineId, stages: Vec<String>) -> Watched {
        let (rows, known, mark) = (Vec::new(), HashMap::new(), PipelineMark::default());
        Watched { id, stages, rows, known, mark, looked: None, patience: None }
    }

    /// Looks again. Returns the places of the rows that have moved, those that have ended first; at the first look those
    /// that do not just wait.
    pub fn look(&mut self, coordinator: &Coordinator) -> Done<Vec<usize>> {
        let mark = coordinator.pipeline_mark(self.id)?;
        let is_fresh = self.looked.is_some_and(|at| at.elapsed() < LOOK_EVERY);
        if is_fresh && mark == self.mark {
            return Ok(Vec::new());
        }
        let is_first = self.looked.is_none();
        (self.mark, self.looked) = (mark, Some(Instant::now()));
        self.rows = coordinator.pipeline_rows(self.id)?;
        let mut moved = Vec::new();
        for (at, row) in self.rows.iter().enumerate() {
            let before = self.known.insert(row.id, row.status);
            let just_waits = is_first && matches!(row.status, Status::Created | Status::Pending);
            if before != Some(row.status) && !just_waits {
                moved.push(at);
            }
        }
        moved.sort_by_key(|at| self.rows.get(*at).is_some_and(|row| !row.status.is_finished()));
        Ok(moved)
    }

    /// The jobs that count: those that were not made again.
    pub fn counting(&self) -> impl Iterator<Item = &JobRow> {
        self.rows.iter().filter(|row| row.retried_by.is_none())
    }

    /// The pipeline's state.
    pub fn state(&self) -> PipelineState {
        let mut tally = Tally::default();
        self.counting().for_each(|row| tally.add(row.status, row.failure_allowed, 1));
        tally.pipeline()
    }

    /// What there is to be said when no job runs for long although one could.
    pub fn patience(&mut self, coordinator: &Coordinator) -> Done<Option<String>> {
        let runs = self.counting().any(|row| row.status == Status::Running);
        let waiting = self.counting().find(|row| row.status == Status::Pending).map(|row| row.id);
        let Some(id) = waiting.filter(|_| !runs) else {
            self.patience = None;
            return Ok(None);
        };
        if self.patience.as_ref().is_none_or(|(of, _)| *of != id) {
            self.patience = Some((id, Patience::new(id)));
        }
        self.patience.as_mut().map_or(Ok(None), |(_, patience)| patience.words(coordinator, Status::Pending))
    }
}
