//! What those who watch the server ask.

use super::Coordinator;
use crate::domain::build::Status;
use crate::domain::time::Timestamp;
use crate::error::Result;
use crate::store::builds;

impl Coordinator {
    /// Makes a durable commit, to see that it can: of a new value, since SQLite writes nothing for an old one.
    ///
    /// # Errors
    /// What hinders it.
    pub fn check_writable(&self, now: Timestamp) -> Result<()> {
        self.say_alive(now)
    }

    /// Bytes that the file system of the data directory has left for us.
    ///
    /// # Errors
    /// The file system's.
    pub fn free_disk_bytes(&self) -> Result<u64> {
        self.artifacts.free_bytes()
    }

    /// Whether there is room to take on something new. What must go on with a full disk (the ends of builds,
    /// reads, removals) does not ask, and lives on the reserve.
    ///
    /// # Errors
    /// [`crate::error::Kind::DiskFull`] below the reserve.
    pub fn check_room(&self) -> Result<()> {
        self.artifacts.check_room(self.limits.disk_reserve_bytes)
    }

    /// How many builds are in each state.
    ///
    /// # Errors
    /// The database's.
    pub fn count_builds(&self) -> Result<Vec<(Status, u64)>> {
        self.store.read(builds::count)
    }

    /// When the oldest pending build was queued.
    ///
    /// # Errors
    /// The database's.
    pub fn oldest_pending_at(&self) -> Result<Option<Timestamp>> {
        self.store.read(builds::oldest_pending_at)
    }
}

#[cfg(test)]
mod tests {
    use crate::coordinator::Coordinator;
    use crate::domain::time::Timestamp;
    use crate::limits::Limits;

    #[test]
    fn readiness_is_shown_by_a_commit_that_writes() {
        let dir = tempfile::tempdir().unwrap();
        let coordinator = Coordinator::open(&dir.path().join("data"), Limits::default()).unwrap();
        let log_bytes = || dir.path().join("data/baton.db-wal").metadata().unwrap().len();
        for ms in 1..=3 {
            let before = log_bytes();
            coordinator.check_writable(Timestamp(ms)).unwrap();
            assert!(log_bytes() > before, "{before}");
        }
    }
}
