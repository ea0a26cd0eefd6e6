//! What comes after a build that has ended: those that wait for it become pending, or are skipped, and then those that
//! wait for them.
//!
//! What must stay true: no commit looks at more than [`LOOKS_PER_COMMIT_MAX`] builds, so that writes in between
//! wait for milliseconds only, however long the chain is. What is left is known to the process that writes, which goes on
//! with it; and what a process that was killed has left is found by the server's walk over all builds that wait.

use crate::coordinator::Coordinator;
use crate::domain::build::{BuildId, Status, after_needs};
use crate::domain::time::Timestamp;
use crate::error::Result;
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
    ///
    /// # Errors
    /// The database's.
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
    ///
    /// # Errors
    /// The database's.
    pub fn find_undecided(&self) -> Result<usize> {
        let mut walk = lock(&self.cascade.0);
        let after = BuildId(*walk);
        let (found, last) = self.store.read(|c| {
            let waiting = undecided::created_after(c, after, BUILDS_PER_STEP)?;
            let mut found = Vec::new();
            for id in &waiting {
                if verdict(c, *id)?.is_some()
                    && let Some(needed) = ended_need(c, *id)?
                {
                    found.push((needed, BuildId(id.0 - 1)));
                }
            }
            Ok((found, waiting.last().filter(|_| waiting.len() == BUILDS_PER_STEP).copied()))
        })?;
        *walk = last.map_or(0, |id| id.0);
        let count = found.len();
        if count > 0 {
            self.store.write(move |c| undecided::leave(c, &found))?;
        }
        Ok(count)
    }
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
        left -= waiting.len().max(1);
        for build in waiting {
            if let Some(status) = verdict(c, build)? {
                builds::change_status(c, build, Status::Created, status, None, now)?;
                if status.is_finished() {
                    ended.push((build, BuildId(0)));
                }
            }
        }
    }
    undecided::leave(c, &ended)
}

/// What becomes of a build that waits; `None`: it goes on waiting.
fn verdict(c: &Connection, id: BuildId) -> Result<Option<Status>> {
    let mut needs = Vec::new();
    for needed in builds::needs(c, id)? {
        needs.extend(builds::state(c, needed)?.map(|build| build.as_need()));
    }
    Ok(after_needs(needs))
}

/// One of the builds that this one needs, which has ended.
fn ended_need(c: &Connection, id: BuildId) -> Result<Option<BuildId>> {
    for needed in builds::needs(c, id)? {
        if builds::state(c, needed)?.is_some_and(|build| build.status.is_finished()) {
            return Ok(Some(needed));
        }
    }
    Ok(None)
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
        assert_eq!(coordinator.find_undecided().unwrap(), 1);
        while coordinator.decide(Timestamp(3)).unwrap() {}
        assert_eq!(waiting(&coordinator), 0);
        assert_eq!(coordinator.find_undecided().unwrap(), 0);
    }

    #[test]
    fn who_cancels_waits_until_all_of_the_chain_is_decided() {
        let dir = tempfile::tempdir().unwrap();
        let coordinator = queued(dir.path(), |id| id - 1);
        coordinator.cancel_build(BuildId(1), Timestamp(2)).unwrap();
        assert_eq!(waiting(&coordinator), 0);
    }
}
