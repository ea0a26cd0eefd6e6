//! What comes after a build that has ended: those that wait for it become pending, or are skipped, and then those that
//! wait for them. A build of a configuration waits by GitLab's rules (`domain/pipeline/states.rs`), for what it needs or for
//! all earlier stages; any other one until all that it needs has ended well.
//!
//! What must stay true: no commit looks at more than [`LOOKS_PER_COMMIT_MAX`] builds, so that writes in between
//! wait for milliseconds only, however long the chain is. What is left is known to the process that writes, which goes on
//! with it; and what a process that was killed has left is found by the server's walk over all builds that wait.

use super::turn;
use crate::coordinator::Coordinator;
use crate::domain::build::{BuildId, Status, after_needs};
use crate::domain::pipeline::states::{Tally, Waits, decide};
use crate::domain::time::Timestamp;
use crate::error::Result;
use crate::store::jobs::{self, Job};
use crate::store::{builds, statistics, undecided};
use crate::sync::lock;
use rusqlite::Connection;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

/// Builds at which one commit looks: those that have ended, and those that wait for them.
const LOOKS_PER_COMMIT_MAX: usize = 500;
/// Commits of one run: then the server does something else in between.
const COMMITS_PER_RUN_MAX: usize = 32;
/// Between two commits others write; at most for so long, and as long as the last one took.
const STEP_ASIDE_MAX: Duration = Duration::from_millis(50);
/// Builds that one step of the walk looks at.
const BUILDS_PER_STEP: usize = 1000;

/// Where the walk over all builds that wait has come to.
#[derive(Default)]
pub struct Walk(Mutex<i64>);

/// An ended build, and the last of those that wait for it about which it was decided.
type Ended = (BuildId, BuildId);

impl Coordinator {
    /// Decides about builds whose needs have ended, as far as that was left for later; of much, a part. To be called every
    /// second. Returns whether there is more.
    pub fn decide(&self, now: Timestamp) -> Result<bool> {
        // An idle server does not write.
        if self.store.read(statistics::load)?.stored(Status::Created) == 0 {
            return Ok(false);
        }
        for _ in 0..COMMITS_PER_RUN_MAX {
            let begun = Instant::now();
            if !self.store.write(move |c| decide_some(c, now))? {
                return Ok(false);
            }
            thread::sleep(begun.elapsed().min(STEP_ASIDE_MAX));
        }
        Ok(true)
    }

    /// Finds builds that wait although their needs have ended, as a process leaves them that was killed in the middle. To
    /// be called every few seconds: each call goes on where the one before it stopped, and begins anew at the end.
    pub fn find_undecided(&self, now: Timestamp) -> Result<usize> {
        let mut walk = lock(&self.cascade.0);
        let after = BuildId(*walk);
        let (found, last) = self.store.read(|c| {
            let waiting = undecided::created_after(c, after, BUILDS_PER_STEP)?;
            let mut found = Vec::new();
            for id in &waiting {
                if verdict(c, *id)?.is_some() {
                    found.push(*id);
                }
            }
            Ok((found, waiting.last().filter(|_| waiting.len() == BUILDS_PER_STEP).copied()))
        })?;
        *walk = last.map_or(0, |id| id.0);
        for some in found.chunks(LOOKS_PER_COMMIT_MAX) {
            let some = some.to_vec();
            self.store.write(move |c| decide_all(c, &some, now))?;
        }
        Ok(found.len())
    }
}

/// Decides about these builds, if they still wait, and about those behind them.
pub fn decide_all(c: &Connection, waiting: &[BuildId], now: Timestamp) -> Result<()> {
    let mut ended = Vec::new();
    for id in waiting {
        if builds::state(c, *id)?.is_some_and(|build| build.status == Status::Created) && decide_one(c, *id, now)? {
            ended.push((*id, BuildId(0)));
        }
    }
    decide_after(c, ended, now)
}

/// Decides about those that wait for this build, which has ended, and for those that end with it.
pub fn after_end(c: &Connection, id: BuildId, now: Timestamp) -> Result<()> {
    decide_after(c, vec![(id, BuildId(0))], now)
}

/// Goes on with what is left. False: nothing was.
fn decide_some(c: &Connection, now: Timestamp) -> Result<bool> {
    let ended = undecided::take(c, LOOKS_PER_COMMIT_MAX)?;
    let is_any = !ended.is_empty();
    decide_after(c, ended, now)?;
    Ok(is_any)
}

fn decide_after(c: &Connection, mut ended: Vec<Ended>, now: Timestamp) -> Result<()> {
    let mut left = LOOKS_PER_COMMIT_MAX;
    while left > 0
        && let Some((id, after)) = ended.pop()
    {
        let waiting = undecided::waiting_for(c, id, after, left)?;
        if let Some(last) = waiting.last().filter(|_| waiting.len() == left) {
            ended.push((id, *last));
        }
        // Those behind its stage are as many as a pipeline has jobs at most.
        let behind = if after == BuildId(0) { behind_stage_of(c, id)? } else { Vec::new() };
        left = left.saturating_sub((waiting.len() + behind.len()).max(1));
        for build in waiting.into_iter().chain(behind) {
            if decide_one(c, build, now)? {
                ended.push((build, BuildId(0)));
            }
        }
    }
    undecided::leave(c, &ended)
}

/// Moves a build that waits, if it is to. Returns whether those behind it must be looked at.
fn decide_one(c: &Connection, id: BuildId, now: Timestamp) -> Result<bool> {
    let Some(status) = verdict(c, id)? else { return Ok(false) };
    turn::take(c, id, Status::Created, status, now)?;
    Ok(status.is_finished() || status == Status::Manual)
}

/// What becomes of a build that waits; `None`: it goes on waiting.
fn verdict(c: &Connection, id: BuildId) -> Result<Option<Status>> {
    if let Some(job) = jobs::by_id(c, id)? {
        let (status, _) = decision(c, &job)?;
        return Ok((status != Status::Created).then_some(status));
    }
    let mut needs = Vec::new();
    for needed in builds::needs(c, id)? {
        needs.extend(builds::state(c, needed)?.map(|build| build.as_need()));
    }
    Ok(after_needs(needs))
}

/// What a job that waits becomes now, and why.
pub fn decision(c: &Connection, job: &Job) -> Result<(Status, &'static str)> {
    let before = match job.waits {
        Waits::Needs => jobs::tally_of_needs(c, job.id)?,
        Waits::Stages => up_to(&jobs::tallies(c, job.pipeline)?, job.stage_index),
    };
    let decision = decide(job.when, job.waits, &before);
    if job.is_refused && !matches!(decision.state, Status::Created | Status::Skipped) {
        return Ok((Status::Skipped, "Baton cannot run it"));
    }
    Ok((decision.state, decision.why))
}

/// The tally of the first stages, so many of them.
fn up_to(tallies: &[Tally], count: usize) -> Tally {
    tallies.iter().take(count).fold(Tally::default(), |sum, tally| sum.plus(tally))
}

/// The jobs that wait for stages whose turn has come with this build's end.
fn behind_stage_of(c: &Connection, id: BuildId) -> Result<Vec<BuildId>> {
    let Some((pipeline, own_stage)) = jobs::stage_of(c, id)? else { return Ok(Vec::new()) };
    let tallies = jobs::tallies(c, pipeline)?;
    if up_to(&tallies, own_stage + 1).active() > 0 {
        return Ok(Vec::new());
    }
    let mut behind = Vec::new();
    for (stage, tally) in tallies.iter().enumerate().skip(own_stage + 1) {
        if tally.created > 0 {
            behind.extend(jobs::behind_stages(c, pipeline, stage)?);
        }
        if tally.active() > 0 {
            break;
        }
    }
    Ok(behind)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coordinator::Queued;
    use crate::limits::Limits;
    use crate::store::traces::tests::new_build;
    use std::path::Path;

    const LONG: i64 = 3 * LOOKS_PER_COMMIT_MAX as i64 + 7;

    fn open(dir: &Path) -> Coordinator {
        Coordinator::open(dir, Limits::default()).unwrap()
    }

    /// Builds 1 to `LONG`; `needs` says what each but the first needs.
    fn queued(dir: &Path, needs: fn(i64) -> i64) -> Coordinator {
        let coordinator = open(dir);
        coordinator.add_project("p", None, Duration::from_secs(60), Timestamp(1)).unwrap();
        let build = |id| {
            let mut new = new_build();
            new.needs = (id > 1).then(|| BuildId(needs(id))).into_iter().collect();
            Queued { new, needs_names: vec![] }
        };
        for id in 1..=LONG {
            coordinator.add_builds(vec![build(id)], Timestamp(1)).unwrap();
        }
        coordinator
    }

    fn waiting(coordinator: &Coordinator) -> u64 {
        coordinator.store.read(statistics::load).unwrap().stored(Status::Created)
    }

    fn cancel_first(coordinator: &Coordinator) {
        let end = |c: &Connection| {
            let build = builds::state(c, BuildId(1))?.unwrap();
            crate::coordinator::builds::finish::finish(c, &build, Status::Canceled, None, Timestamp(2))
        };
        coordinator.store.write(end).unwrap();
    }

    #[test]
    fn a_long_chain_and_a_wide_fan_are_decided_in_short_commits_to_the_end() {
        let shapes: [fn(i64) -> i64; 2] = [|id| id - 1, |_| 1];
        for needs in shapes {
            let dir = tempfile::tempdir().unwrap();
            let coordinator = queued(dir.path(), needs);
            let mut before = waiting(&coordinator);
            cancel_first(&coordinator);
            for _ in 0..20 {
                let now = waiting(&coordinator);
                assert!(before >= now && before - now <= LOOKS_PER_COMMIT_MAX as u64, "{before} to {now}");
                before = now;
                coordinator.store.write(|c| decide_some(c, Timestamp(3))).unwrap();
            }
            let skipped = coordinator.store.read(statistics::load).unwrap().stored(Status::Skipped);
            assert_eq!(skipped, LONG as u64 - 1);
        }
    }

    #[test]
    fn what_a_killed_process_left_in_the_middle_is_found_and_decided() {
        let dir = tempfile::tempdir().unwrap();
        let killed = queued(dir.path(), |id| id - 1);
        cancel_first(&killed);
        // What it knew is gone with it.
        drop(killed);
        let coordinator = open(dir.path());
        assert!(waiting(&coordinator) > 0);
        assert!(!coordinator.decide(Timestamp(3)).unwrap() && waiting(&coordinator) > 0);
        assert_eq!(coordinator.find_undecided(Timestamp(3)).unwrap(), 1);
        while coordinator.decide(Timestamp(3)).unwrap() {}
        assert_eq!(waiting(&coordinator), 0);
        assert_eq!(coordinator.find_undecided(Timestamp(3)).unwrap(), 0);
    }

    #[test]
    fn who_cancels_waits_until_all_of_the_chain_is_decided() {
        let dir = tempfile::tempdir().unwrap();
        let coordinator = queued(dir.path(), |id| id - 1);
        coordinator.cancel_build(BuildId(1), Timestamp(2)).unwrap();
        assert_eq!(waiting(&coordinator), 0);
    }
}
