//! Runners, and what became of their last jobs.

use crate::coordinator::Coordinator;
use crate::coordinator::runners::at_work;
use crate::domain::asker::Manager;
use crate::domain::build::{Build, Status};
use crate::domain::runner::{RunnerAtWork, RunnerId};
use crate::domain::time::Timestamp;
use crate::error::Result;
use crate::limits::RUNNER_JOBS_LOOKED_MAX;
use crate::store::{builds, job_rows, managers};
use std::collections::HashMap;

/// So many of a runner's jobs are shown.
pub const JOBS: usize = 20;
/// A runner, and what became of its last jobs.
pub struct RunnerLine {
    /// The runner, with what it runs.
    pub at_work: RunnerAtWork,
    /// Its managers, those first that called last.
    pub managers: Vec<Manager>,
    /// Its last jobs, the oldest first, each with its state.
    pub last: Vec<(crate::domain::build::BuildId, Status)>,
}

impl Coordinator {
    /// All runners, oldest first, and what became of their last jobs.
    ///
    /// # Errors
    /// The database's.
    pub fn view_runners(&self) -> Result<Vec<RunnerLine>> {
        self.store.read(|c| {
            let mut managers = managers::all(c)?;
            let mut last: HashMap<RunnerId, Vec<_>> = HashMap::new();
            for (runner, id, status) in job_rows::newest_of_runners(c, RUNNER_JOBS_LOOKED_MAX)? {
                let own = last.entry(runner).or_default();
                if own.len() < JOBS {
                    own.push((id, status));
                }
            }
            let line = |at_work: RunnerAtWork| {
                let id = at_work.runner.id;
                let mut last = last.remove(&id).unwrap_or_default();
                last.reverse();
                RunnerLine { managers: managers.remove(&id).unwrap_or_default(), last, at_work }
            };
            Ok(at_work(c)?.into_iter().map(line).collect())
        })
    }

    /// The builds of these ids, as far as they are there.
    ///
    /// # Errors
    /// The database's.
    pub fn builds_of(&self, ids: &[crate::domain::build::BuildId], now: Timestamp) -> Result<Vec<Build>> {
        self.store.read(|c| {
            let mut found = Vec::with_capacity(ids.len());
            for id in ids {
                found.extend(builds::by_id(c, *id, now)?);
            }
            Ok(found)
        })
    }
}
