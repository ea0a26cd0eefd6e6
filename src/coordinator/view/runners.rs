//! Runners, and what became of their last jobs.

use super::PAGE;
use crate::coordinator::builds::reasons::{Reasons, asked};
use crate::coordinator::runners::at_work;
use crate::coordinator::upkeep::serving::is_served;
use crate::coordinator::{BuildReport, Coordinator};
use crate::domain::asker::Manager;
use crate::domain::build::{Build, BuildId, Status};
use crate::domain::runner::{RunnerAtWork, RunnerId};
use crate::domain::time::Timestamp;
use crate::error::Result;
use crate::limits::RUNNER_JOBS_LOOKED_MAX;
use crate::store::statistics::{self, Statistics};
use crate::store::{builds, job_rows, managers, runner_builds};
use rusqlite::Connection;
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
    pub last: Vec<(BuildId, Status)>,
}

/// Runners, and what waits for them.
pub struct RunnersView {
    /// All runners, oldest first.
    pub lines: Vec<RunnerLine>,
    /// Jobs that none of them could take, the oldest first.
    pub stuck: Vec<BuildReport>,
    /// How many jobs run.
    pub running_count: u64,
    /// How many wait for something that may come.
    pub waiting_count: u64,
}

impl Coordinator {
    /// All runners, what became of their last jobs, and what waits for them.
    ///
    /// # Errors
    /// The database's.
    pub fn view_runners(&self, now: Timestamp) -> Result<RunnersView> {
        let mut reasons = Reasons::of(is_served(&self.data)?, now);
        self.store.read(|c| {
            let (runners, counts) = (at_work(c)?, statistics::load(c)?);
            let mut stuck = Vec::new();
            for id in builds::waiting(c, None, PAGE)? {
                let Some(build) = builds::by_id(c, id, now)? else { continue };
                if finds_nobody(c, &build, &runners)? {
                    stuck.push(BuildReport::of(c, build, &mut reasons, now)?);
                }
            }
            Ok(RunnersView {
                lines: lines(c, runners)?,
                stuck,
                running_count: counts.stored(Status::Running),
                waiting_count: waiting_count(&counts),
            })
        })
    }

    /// One runner, and what became of its last jobs; `None`: there is none of this id, or it was removed.
    ///
    /// # Errors
    /// The database's.
    pub fn view_runner(&self, id: RunnerId) -> Result<Option<RunnerLine>> {
        self.store.read(|c| Ok(lines(c, at_work(c)?)?.into_iter().find(|line| line.at_work.runner.id == id)))
    }

    /// The builds of these ids, as far as they are there.
    ///
    /// # Errors
    /// The database's.
    pub fn builds_of(&self, ids: &[BuildId], now: Timestamp) -> Result<Vec<Build>> {
        self.store.read(|c| {
            let mut found = Vec::with_capacity(ids.len());
            for id in ids {
                found.extend(builds::by_id(c, *id, now)?);
            }
            Ok(found)
        })
    }
}

fn lines(c: &Connection, runners: Vec<RunnerAtWork>) -> Result<Vec<RunnerLine>> {
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
    Ok(runners.into_iter().map(line).collect())
}

/// Those of these runners that may take a build: where one was made for it, that one alone, whatever it asks for.
pub(super) fn takers<'r>(c: &Connection, build: &Build, runners: &'r [RunnerAtWork]) -> Result<Vec<&'r RunnerAtWork>> {
    if let Some(own) = runner_builds::runner_of(c, build.id)? {
        return Ok(runners.iter().filter(|it| it.runner.id == own).collect());
    }
    let asked = asked(c, build)?;
    Ok(runners.iter().filter(|it| it.may_take(&asked)).collect())
}

/// Whether this build is pending, and none of these runners could take it: who is paused takes nothing.
pub(super) fn finds_nobody(c: &Connection, build: &Build, runners: &[RunnerAtWork]) -> Result<bool> {
    Ok(build.status == Status::Pending && takers(c, build, runners)?.iter().all(|it| it.runner.paused))
}

/// How many builds wait for something that may come.
pub(super) fn waiting_count(counts: &Statistics) -> u64 {
    let waits = [Status::Pending, Status::Created, Status::WaitingForResource, Status::Scheduled];
    waits.into_iter().map(|status| counts.stored(status)).sum()
}
