//! What those who watch the server ask: can it work, and what does it hold.
//!
//! What must stay true: whoever asks, and however often, makes no more than one durable commit a second, and waits for
//! nobody else's; what a look costs does not grow with the number of builds.

use crate::artifacts::Room;
use crate::coordinator::Coordinator;
use crate::domain::build::BuildId;
use crate::domain::runner::RunnerState;
use crate::domain::time::Timestamp;
use crate::error::Result;
use crate::store::statistics::{self, Statistics};
use crate::store::{Commits, builds, runners};
use crate::sync::lock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// So long the result of a check holds.
const CHECKED_EVERY: Duration = Duration::from_secs(1);
/// A check that has not come back for so long has failed, whatever comes of it.
const CHECK_TIME_MAX: Duration = Duration::from_secs(5);

/// Whether the server can work.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Readiness {
    /// Whether a commit is durable.
    pub database: bool,
    /// What there is to say of the disk.
    pub disk: Disk,
    /// Whether the server was told to stop, and finishes what is under way.
    pub draining: bool,
}

/// What there is to say of the disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Disk {
    /// It has room.
    Ok,
    /// It is filled up to the reserve: nothing new is taken on, but what runs can end.
    Low,
    /// It does not answer.
    Failing,
}

impl Readiness {
    /// Whether requests should come here. A low disk does not forbid it: running builds must be able to end.
    #[must_use]
    pub fn is_ready(self) -> bool {
        self.database && self.disk != Disk::Failing && !self.draining
    }
}

/// The last check, and the one that is under way.
#[derive(Default)]
pub struct Health {
    draining: AtomicBool,
    checks: Mutex<Checks>,
}

#[derive(Default)]
struct Checks {
    begun_at: Option<Instant>,
    under_way: bool,
    /// Database and disk; `None` before the first check has ended.
    last: Option<(bool, Disk)>,
}

/// What a data directory holds, at one moment.
#[derive(Debug)]
pub struct Counts {
    /// Counts of builds and bytes.
    pub statistics: Statistics,
    /// The build that has been ready to be handed out for longest, and since when.
    pub oldest_pending: Option<(BuildId, Timestamp)>,
    /// How many runners are in each state.
    pub runners: Vec<(RunnerState, u64)>,
    /// Bytes of the database's file.
    pub database_bytes: u64,
    /// Bytes of its write-ahead log.
    pub log_bytes: u64,
    /// The room of its file system.
    pub room: Room,
}

impl Health {
    fn checks(&self) -> MutexGuard<'_, Checks> {
        lock(&self.checks)
    }

    /// What is known without a check: `None` if one is due, and then it is the caller's to make.
    fn known(&self, at: Instant) -> Option<(bool, Disk)> {
        let mut checks = self.checks();
        let age = checks.begun_at.map(|begun_at| at.saturating_duration_since(begun_at));
        // Before the first check has ended, there is nothing against it.
        let last = checks.last.unwrap_or((true, Disk::Ok));
        match age {
            Some(age) if checks.under_way => Some(if age > CHECK_TIME_MAX { (false, last.1) } else { last }),
            Some(age) if age < CHECKED_EVERY => Some(last),
            Some(_) | None => {
                (checks.begun_at, checks.under_way) = (Some(at), true);
                None
            }
        }
    }
}

impl Coordinator {
    /// Makes a durable commit and looks at the disk, unless that was done within the last second, or is being done.
    pub fn readiness(&self, at: Instant, now: Timestamp) -> Readiness {
        let (database, disk) = self.health.known(at).unwrap_or_else(|| self.check(now));
        Readiness { database, disk, draining: self.health.draining.load(Ordering::Acquire) }
    }

    fn check(&self, now: Timestamp) -> (bool, Disk) {
        // SQLite writes nothing for a value that is there already; this one is new each millisecond.
        let written = self.say_alive(now);
        let disk = match self.artifacts.room().map(|room| room.check(self.limits.disk_reserve_bytes)) {
            Ok(Ok(())) => Disk::Ok,
            Ok(Err(_)) => Disk::Low,
            Err(_) => Disk::Failing,
        };
        let result = (written.is_ok(), disk);
        let mut checks = self.health.checks();
        checks.under_way = false;
        let before = checks.last.replace(result);
        drop(checks);
        // Once, not with each check.
        match (before.is_none_or(|(database, _)| database), written) {
            (true, Err(error)) => log::error!("not ready: the database cannot be written: {error}"),
            (false, Ok(())) => log::info!("ready again: the database can be written"),
            (true, Ok(())) | (false, Err(_)) => {}
        }
        result
    }

    /// Whether the database can be read: in a moment, also while others write, however long they take.
    pub fn check_reading(&self) -> Result<()> {
        self.store.read(crate::store::queue::generation).map(drop)
    }

    /// Whether the server was told to stop.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.health.draining.load(Ordering::Acquire)
    }

    /// From now on the server is not ready any more: it was told to stop.
    pub fn begin_draining(&self) {
        self.health.draining.store(true, Ordering::Release);
    }

    /// What the commits of this process have taken.
    #[must_use]
    pub fn commits(&self) -> &Commits {
        self.store.commits()
    }

    /// What the data directory holds. It costs the same, however many builds there are; each runner costs a little.
    pub fn counts(&self, now: Timestamp) -> Result<Counts> {
        let read = |c: &rusqlite::Connection| {
            Ok((statistics::load(c)?, builds::longest_pending(c)?, runners::count_states(c, now)?))
        };
        let (statistics, oldest_pending, runners) = self.store.read(read)?;
        let (database_bytes, log_bytes) = self.store.file_bytes()?;
        let room = self.artifacts.room()?;
        Ok(Counts { statistics, oldest_pending, runners, database_bytes, log_bytes, room })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::Limits;
    use crate::store::runners::NewRunner;
    use std::thread;

    const READY: Readiness = Readiness { database: true, disk: Disk::Ok, draining: false };

    fn coordinator() -> (tempfile::TempDir, Coordinator) {
        let dir = tempfile::tempdir().unwrap();
        let coordinator = Coordinator::open(&dir.path().join("data"), Limits::default()).unwrap();
        (dir, coordinator)
    }

    #[test]
    fn readiness_is_shown_by_a_commit_that_writes_and_by_one_a_second_at_most() {
        let (dir, coordinator) = coordinator();
        let log_bytes = || dir.path().join("data/baton.db-wal").metadata().unwrap().len();
        let begin = Instant::now();
        let mut bytes = log_bytes();
        for (ms, writes) in [(0, true), (1, false), (999, false), (1000, true), (1500, false), (2000, true)] {
            let at = begin + Duration::from_millis(ms);
            let now = Timestamp(1 + i64::try_from(ms).unwrap());
            assert_eq!(coordinator.readiness(at, now), READY);
            assert_eq!(log_bytes() > bytes, writes, "at {ms} ms");
            bytes = log_bytes();
        }
    }

    #[test]
    fn a_check_that_hangs_holds_nobody_up_and_is_a_failure_after_a_while() {
        let (dir, coordinator) = coordinator();
        let begin = Instant::now();
        // Another process that does not let go of the database.
        let other = rusqlite::Connection::open(dir.path().join("data/baton.db")).unwrap();
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        thread::scope(|scope| {
            let hanging = scope.spawn(|| coordinator.readiness(begin, Timestamp(1)));
            while !coordinator.health.checks().under_way {
                thread::yield_now();
            }
            for (ms, database) in [(0, true), (2000, true), (5000, true), (5001, false), (9000, false)] {
                let seen = coordinator.readiness(begin + Duration::from_millis(ms), Timestamp(2));
                assert_eq!((seen.database, seen.is_ready()), (database, database), "at {ms} ms");
            }
            drop(other);
            assert!(hanging.join().unwrap().is_ready());
        });
        assert_eq!(coordinator.readiness(begin + Duration::from_secs(10), Timestamp(3)), READY);
    }

    #[test]
    fn a_low_disk_is_said_and_a_server_that_drains_is_not_ready() {
        let dir = tempfile::tempdir().unwrap();
        let limits = Limits { disk_reserve_bytes: u64::MAX, ..Limits::default() };
        let coordinator = Coordinator::open(&dir.path().join("data"), limits).unwrap();
        let low = coordinator.readiness(Instant::now(), Timestamp(1));
        assert_eq!((low, low.is_ready()), (Readiness { disk: Disk::Low, ..READY }, true));
        coordinator.begin_draining();
        let draining = coordinator.readiness(Instant::now(), Timestamp(1));
        assert!(draining.draining && !draining.is_ready());
    }

    #[test]
    fn runners_are_counted_by_state_and_a_report_on_a_build_counts_as_a_call() {
        let (_dir, coordinator) = coordinator();
        let minute = |n: i64| Timestamp(n * 60_000);
        let add = || coordinator.add_runner(NewRunner::default(), None, minute(0)).unwrap();
        let (busy, paused, gone, removed) = (add(), add(), add(), add());
        add();
        coordinator.add_project("p", None, Duration::from_secs(60), minute(0)).unwrap();
        let queued = crate::coordinator::Queued { new: crate::store::traces::tests::new_build(), needs_names: vec![] };
        coordinator.add_builds(vec![queued], minute(0)).unwrap();
        for runner in [&busy, &gone, &removed] {
            coordinator.claim_build(&runner.token.clone().into(), None, minute(1)).unwrap().wait().unwrap();
        }
        coordinator.pause_runner(paused.id, true).unwrap();
        coordinator.remove_runner(removed.id, minute(1)).unwrap();
        let states = |now| {
            let counts = coordinator.counts(now).unwrap();
            assert!(counts.database_bytes > 0 && counts.log_bytes > 0);
            assert!(counts.room.free_bytes <= counts.room.bytes);
            counts.runners.iter().map(|(state, count)| (state.as_str(), *count)).collect::<Vec<_>>()
        };
        assert_eq!(states(minute(4)), [("online", 2), ("stale", 0), ("paused", 1), ("never_seen", 1)]);
        let id = crate::domain::build::BuildId(1);
        coordinator.append_trace(id, busy.token.into(), Ok(0), vec![], minute(8)).unwrap().wait().unwrap();
        assert_eq!(states(minute(9)), [("online", 1), ("stale", 1), ("paused", 1), ("never_seen", 1)]);
    }
}
