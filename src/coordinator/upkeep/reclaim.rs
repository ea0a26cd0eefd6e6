//! The room of what was removed goes back, first to the database, then to the file system.
//!
//! What must stay true: no commit is long, so that writes in between wait for milliseconds only; what is to be done
//! is in the database, so that a crash at any moment loses none of it. Only who serves does this, or a command for
//! moments in which nobody serves: the segments that a server is about to attach must be spared.

use crate::coordinator::{Coordinator, Serving};
use crate::error::Result;
use crate::store::traces::{self, room};
use std::path::Path;
use std::thread;
use std::time::Duration;

/// Segments that one commit removes (measured: 0.7 ms with the commit, and 2 ms for four times as many).
const SEGMENTS_PER_COMMIT_MAX: usize = 256;

/// Commits of one run that remove segments: 128 MiB.
const REMOVALS_PER_RUN_MAX: usize = 32;

/// Free pages that stay in the file, for what is written next: 8 MiB.
const FREE_PAGES_KEPT: u64 = 2048;

/// Pages that one commit gives back (measured: 1.7 ms with the commit; 7 ms where 1.5 GB are free).
const PAGES_PER_COMMIT_MAX: u64 = 128;

/// Commits of one run that give pages back: 8 MiB, half of what makes the writer stop for a checkpoint.
const RETURNS_PER_RUN_MAX: usize = 16;

/// For how long a command steps aside between two runs: a server that begins looks more often.
const STEP_ASIDE: Duration = Duration::from_millis(40);

impl Coordinator {
    /// Gives back the room of what was removed; of much, a part. To be called every second: then 100 MB are back
    /// within half a minute, and the writer is busy with it for at most a twentieth of the time. Returns whether
    /// there may be more.
    pub fn reclaim(&self) -> Result<bool> {
        let are_segments_left = repeat(REMOVALS_PER_RUN_MAX, || self.collect_some())?;
        let are_pages_left = repeat(RETURNS_PER_RUN_MAX, || self.give_back_some())?;
        if let Some(path) = self.store.read(room::longer_file)? {
            room::checkpoint(Path::new(&path))?;
        }
        Ok(are_segments_left || are_pages_left)
    }

    /// Gives back the room of what was removed, all of it, unless a server runs, which does so by itself. For a
    /// command that has removed something.
    pub fn reclaim_unserved(&self) -> Result<()> {
        while let Some(serving) = Serving::begin_if_unserved(&self.data)? {
            let is_more = self.reclaim()?;
            drop(serving);
            if !is_more {
                break;
            }
            thread::sleep(STEP_ASIDE);
        }
        Ok(())
    }

    /// Removes some segments of removed traces. False: there were none.
    fn collect_some(&self) -> Result<bool> {
        // An idle server does not write.
        if !self.store.read(|c| traces::is_any_detached(c, &self.spared.all()))? {
            return Ok(false);
        }
        let spared = self.spared.clone();
        self.store.write(move |c| traces::collect(c, &spared.all(), SEGMENTS_PER_COMMIT_MAX))?;
        Ok(true)
    }

    /// Makes the database a little smaller. False: there was nothing to give back.
    fn give_back_some(&self) -> Result<bool> {
        let free = self.store.read(room::free_pages)?;
        let surplus = free.saturating_sub(FREE_PAGES_KEPT).min(PAGES_PER_COMMIT_MAX);
        if surplus == 0 {
            return Ok(false);
        }
        Ok(self.store.write(move |c| room::give_back(c, surplus))? < free)
    }
}

/// Takes a step up to so many times, while it says that there may be more. Returns what it said last.
fn repeat(times_max: usize, mut step: impl FnMut() -> Result<bool>) -> Result<bool> {
    for _ in 0..times_max {
        if !step()? {
            return Ok(false);
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coordinator::Queued;
    use crate::domain::build::BuildId;
    use crate::domain::time::Timestamp;
    use crate::limits::Limits;
    use crate::store::traces::tests::new_build;

    const MIB: u64 = 1 << 20;

    /// A data directory that nobody serves, with builds 1 and 2.
    fn unserved() -> (tempfile::TempDir, Coordinator) {
        let dir = tempfile::tempdir().unwrap();
        let coordinator = Coordinator::open(dir.path(), Limits::default()).unwrap();
        coordinator.add_project("p", None, Duration::from_secs(60), Timestamp(1)).unwrap();
        let queued = [(); 2].map(|()| Queued { new: new_build(), needs_names: vec![] });
        coordinator.add_builds(queued.into(), Timestamp(1)).unwrap();
        (dir, coordinator)
    }

    fn append(coordinator: &Coordinator, id: BuildId, bytes: usize) {
        let append = move |c: &rusqlite::Connection| {
            let trace = traces::of_build(c, id)?;
            traces::write(c, id, &trace, trace.size, &vec![b'x'; bytes], traces::Tail::NONE)
        };
        coordinator.store.write(append).unwrap();
    }

    /// Pages of the database, and how many of them are free.
    fn pages(coordinator: &Coordinator) -> (u64, u64) {
        let count = |c: &rusqlite::Connection| Ok(c.pragma_query_value(None, "page_count", |row| row.get(0))?);
        (coordinator.store.read(count).unwrap(), coordinator.store.read(room::free_pages).unwrap())
    }

    fn file_bytes(dir: &tempfile::TempDir) -> u64 {
        std::fs::metadata(dir.path().join("baton.db")).unwrap().len()
    }

    #[test]
    fn the_file_shrinks_after_a_removal_in_short_steps_to_what_is_used_and_a_reserve() {
        let (dir, coordinator) = unserved();
        let (gone, stays) = (BuildId(1), BuildId(2));
        // The one that stays ends up behind, between and before the one that goes.
        for _ in 0..8 {
            append(&coordinator, stays, 100_000);
            append(&coordinator, gone, 3 << 20);
            append(&coordinator, stays, 100_000);
        }
        room::checkpoint(&dir.path().join("baton.db")).unwrap();
        let (full, _) = pages(&coordinator);
        assert!(file_bytes(&dir) > 25 * MIB);
        coordinator.store.write(move |c| traces::remove(c, gone)).unwrap();
        while coordinator.collect_some().unwrap() {}
        let (mut all, mut free) = pages(&coordinator);
        assert!(all == full && free > 24 * MIB / 4096, "{free} of {all} are free");
        loop {
            let went_on = coordinator.give_back_some().unwrap();
            let (all_now, free_now) = pages(&coordinator);
            if !went_on {
                break;
            }
            assert!((1..=PAGES_PER_COMMIT_MAX + 1).contains(&(all - all_now)), "{all} to {all_now}");
            assert!(free_now < free);
            (all, free) = (all_now, free_now);
            append(&coordinator, stays, 10);
        }
        assert!(free <= FREE_PAGES_KEPT, "{free} are free");
        assert!(file_bytes(&dir) > 25 * MIB, "what is cut is in the log yet");
        coordinator.reclaim().unwrap();
        assert_eq!(file_bytes(&dir), pages(&coordinator).0 * 4096);
        assert!(file_bytes(&dir) < 11 * MIB, "{} bytes", file_bytes(&dir));
        let trace = coordinator.read_trace(stays, 0, u64::MAX).unwrap().0;
        assert!(trace.iter().all(|byte| *byte == b'x') && trace.len() > 1_600_000);
        assert!(crate::coordinator::check(dir.path()).unwrap().problems.is_empty());
    }

    #[test]
    fn others_write_after_every_few_segments_of_a_removal() {
        let (_dir, coordinator) = unserved();
        let (gone, stays) = (BuildId(1), BuildId(2));
        append(&coordinator, gone, 30 << 20);
        coordinator.store.write(move |c| traces::remove(c, gone)).unwrap();
        let count = || {
            let count = |c: &rusqlite::Connection| {
                Ok(c.query_row("SELECT count(*) FROM trace_segments WHERE id >> 20 = 1", [], |row| row.get(0))?)
            };
            coordinator.store.read(count).unwrap()
        };
        let mut left: usize = count();
        let mut steps = 0;
        while coordinator.collect_some().unwrap() {
            let now = count();
            assert!(left - now <= SEGMENTS_PER_COMMIT_MAX, "{left} to {now}");
            append(&coordinator, stays, 1000);
            (left, steps) = (now, steps + 1);
        }
        assert!(left == 0 && steps >= 1920 / SEGMENTS_PER_COMMIT_MAX, "{left} left after {steps}");
        assert_eq!(coordinator.read_trace(stays, 0, u64::MAX).unwrap().0.len(), 1000 * steps);
    }

    #[test]
    fn nothing_is_written_when_there_is_nothing_to_give_back() {
        let (_dir, coordinator) = unserved();
        append(&coordinator, BuildId(1), 5 << 20);
        coordinator.reclaim().unwrap();
        let changes = || {
            let changes = |c: &rusqlite::Connection| Ok(c.pragma_query_value(None, "data_version", |row| row.get(0))?);
            coordinator.store.read(changes).unwrap()
        };
        let before: i64 = changes();
        for _ in 0..3 {
            coordinator.reclaim().unwrap();
        }
        assert_eq!(changes(), before);
        coordinator.store.write(|c| traces::remove(c, BuildId(1))).unwrap();
        assert_ne!(changes(), before);
        coordinator.reclaim().unwrap();
        let (_, free) = pages(&coordinator);
        assert!((1000..FREE_PAGES_KEPT).contains(&free), "a little stays for what is written next: {free}");
    }
}
