//! Whether the disk has room for more.

use super::Coordinator;
use crate::error::Result;

impl Coordinator {
    /// Bytes that the file system of the data directory has left for us.
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
}
