//! Old builds go: when the operator says so, or when a server has been told how long to keep them.
//!
//! What must stay true: a build that has not ended stays, and so does every build that such a one needs; files go
//! after the commit that removes their rows, so that a crash leaves at most files, which the next start removes; no
//! commit is long, whatever is removed, and no look at the table is, however long it is.

use crate::coordinator::Coordinator;
use crate::domain::build::BuildId;
use crate::domain::pipeline::PipelineId;
use crate::domain::time::Timestamp;
use crate::error::Result;
use crate::store::pipelines;
use crate::store::retention::{self, Past, PastBuild};
use crate::store::usage::Taken;
use crate::sync::lock;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

/// Builds that are looked at in one snapshot.
const ROWS_PER_LOOK: usize = 1000;

/// Builds that one commit removes.
const BUILDS_PER_COMMIT_MAX: usize = 200;

/// Bytes of scripts, options and variables that one commit removes, but for the last build's: they can be large.
const SPEC_BYTES_PER_COMMIT_MAX: u64 = 4 << 20;

/// Refused pipelines that one commit removes, each with at most [`crate::limits::REFUSAL_BYTES_MAX`].
const REFUSALS_PER_COMMIT_MAX: usize = 50;

/// Longest pause after a commit; usually it is as long as the commit.
const STEP_ASIDE_MAX: Duration = Duration::from_millis(200);

/// Looks of one run of the server's.
const LOOKS_PER_RUN_MAX: usize = 10;

/// Builds after which a run of the server's is over.
const REMOVALS_PER_RUN_MAX: u64 = 2000;

/// Whether builds that are past keeping go, or are only counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Removal {
    /// They go.
    Done,
    /// They are counted.
    Tried,
}

/// How far the server's walk over the table has come.
#[derive(Default)]
pub struct Walk(Mutex<BuildId>);

impl Coordinator {
    /// Removes all builds, of `project` or of all, that ended longer than `older_than` ago. Returns what they took.
    ///
    /// # Errors
    /// [`crate::error::Kind::NotFound`] for an unknown project.
    pub fn prune(
        &self,
        older_than: Duration,
        project: Option<&str>,
        removal: Removal,
        now: Timestamp,
    ) -> Result<Taken> {
        self.prune_past(self.past(older_than, project, now)?, removal)
    }

    /// Removes all pipelines, of `project` or of all, that were refused longer than `older_than` ago. Returns how many.
    ///
    /// # Errors
    /// [`crate::error::Kind::NotFound`] for an unknown project.
    pub fn prune_refused(
        &self,
        older_than: Duration,
        project: Option<&str>,
        removal: Removal,
        now: Timestamp,
    ) -> Result<u64> {
        self.prune_refused_past(self.past(older_than, project, now)?, removal, u64::MAX)
    }

    /// What is past keeping, of `project` or of all.
    fn past(&self, older_than: Duration, project: Option<&str>, now: Timestamp) -> Result<Past> {
        let named = |name| self.store.read(|c| crate::coordinator::project_by_name::named(c, name));
        let project = project.map(named).transpose()?.map(|project| project.id);
        Ok(Past { ended_by: now.minus(older_than), project })
    }

    /// Removes those that were refused and are `past` keeping, and no more after so many. Returns how many.
    pub(in crate::coordinator) fn prune_refused_past(&self, past: Past, removal: Removal, enough: u64) -> Result<u64> {
        let (mut pruned, mut after) = (0, (Timestamp(i64::MIN), PipelineId(0)));
        while pruned < enough {
            let found = self.store.read(|c| retention::refusals(c, past, after, REFUSALS_PER_COMMIT_MAX))?;
            let Some(last) = found.last() else { break };
            (after, pruned) = (*last, pruned + found.len() as u64);
            if removal == Removal::Done {
                let begun = Instant::now();
                self.store.write(move |c| found.iter().try_for_each(|(_, id)| pipelines::remove_if_empty(c, *id)))?;
                step_aside(begun);
            }
        }
        Ok(pruned)
    }

    /// Removes all builds that are `past` keeping. Returns what they took.
    pub(in crate::coordinator) fn prune_past(&self, past: Past, removal: Removal) -> Result<Taken> {
        let (mut pruned, mut after) = (Taken::default(), BuildId(0));
        loop {
            let (more, last) = self.prune_slice(past, after, removal)?;
            pruned = pruned.and(more);
            match last {
                Some(last) => after = last,
                None => return Ok(pruned),
            }
        }
    }

    /// Removes some of the builds that ended longer ago than the server is to keep them, and of the pipelines that were
    /// refused then. To be called every few seconds: each call goes on where the one before it stopped, and begins anew at
    /// the end. Returns what the builds took.
    pub fn retire(&self, now: Timestamp) -> Result<Taken> {
        let mut pruned = Taken::default();
        let Some(keep) = self.limits().keep_builds else { return Ok(pruned) };
        let past = Past { ended_by: now.minus(keep), project: None };
        let mut walk = lock(&self.walk.0);
        for _ in 0..LOOKS_PER_RUN_MAX {
            let (more, last) = self.prune_slice(past, *walk, Removal::Done)?;
            pruned = pruned.and(more);
            *walk = last.unwrap_or(BuildId(0));
            if last.is_none() || pruned.builds >= REMOVALS_PER_RUN_MAX {
                break;
            }
        }
        let refused = self.prune_refused_past(past, Removal::Done, REMOVALS_PER_RUN_MAX)?;
        if refused > 0 {
            log::info!("removed {refused} refused pipelines that were past keeping");
        }
        if pruned.builds > 0 {
            log::info!("removed {} builds that were past keeping, {} bytes", pruned.builds, pruned.bytes());
        }
        Ok(pruned)
    }

    /// Looks at the next builds after `after`, and removes what is past keeping of them. Returns the last of them;
    /// `None`: there was none.
    fn prune_slice(&self, past: Past, after: BuildId, removal: Removal) -> Result<(Taken, Option<BuildId>)> {
        let slice = self.store.read(|c| retention::slice(c, past, after, ROWS_PER_LOOK))?;
        let mut pruned = Taken::default();
        for group in groups(&slice.past) {
            match removal {
                Removal::Tried => pruned = group.iter().fold(pruned, |sum, build| sum.and(build.taken)),
                Removal::Done => pruned = pruned.and(self.remove_group(past, group.to_vec())?),
            }
        }
        Ok((pruned, slice.last))
    }

    fn remove_group(&self, past: Past, group: Vec<PastBuild>) -> Result<Taken> {
        let begun = Instant::now();
        let (pruned, files) = self.store.write(move |c| {
            let (mut pruned, mut files) = (Taken::default(), Vec::new());
            for build in &group {
                // Since the look, a build that needs it may have been queued.
                if let Some(own) = retention::remove(c, past, build.id)? {
                    pruned = pruned.and(build.taken);
                    files.extend(own);
                }
            }
            Ok((pruned, files))
        })?;
        self.artifacts.remove(&files);
        step_aside(begun);
        Ok(pruned)
    }
}

/// Lets others write after one of many commits, which was begun at `begun`. Other processes look now and then whether
/// the database is free: about as often as not, it must be (measured beside a prune of 780,000 builds: the longest wait
/// was 5.4 s without this, and is 0.3 s).
pub(in crate::coordinator) fn step_aside(begun: Instant) {
    thread::sleep(begun.elapsed().min(STEP_ASIDE_MAX));
}

/// Cuts the list into what one commit removes.
fn groups(mut past: &[PastBuild]) -> Vec<&[PastBuild]> {
    let mut groups = Vec::new();
    while !past.is_empty() {
        let mut spec_bytes = 0;
        let fits = past.iter().take(BUILDS_PER_COMMIT_MAX).take_while(|build| {
            let is_room = spec_bytes < SPEC_BYTES_PER_COMMIT_MAX;
            spec_bytes += build.spec_bytes;
            is_room
        });
        let (group, rest) = past.split_at(fits.count());
        groups.push(group);
        past = rest;
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_removes_few_builds_and_fewer_large_ones() {
        let build = |spec_bytes| PastBuild { id: BuildId(1), taken: Taken::default(), spec_bytes };
        let sizes = |past: &[PastBuild]| groups(past).iter().map(|group| group.len()).collect::<Vec<_>>();
        assert!(sizes(&[]).is_empty());
        assert_eq!(sizes(&[build(100); 450]), [200, 200, 50]);
        assert_eq!(sizes(&[build(3 << 20); 5]), [2, 2, 1]);
        assert_eq!(sizes(&[build(100 << 20); 3]), [1, 1, 1]);
    }
}
