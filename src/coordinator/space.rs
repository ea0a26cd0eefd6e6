//! The room of what was removed goes back, first to the database, then to the file system.
//!
//! What must stay true: no commit is long, so that writes in between wait for milliseconds only; what is to be done
//! is in the database, so that a crash at any moment loses none of it. Only a server does this, and there is one to
//! a data directory.

use super::Coordinator;
use crate::error::Result;
use crate::store::traces;

/// Segments that one commit removes (measured: 0.7 ms with the commit, and 2 ms for four times as many).
const SEGMENTS_PER_COMMIT_MAX: usize = 256;

/// Commits of one run that remove segments: 128 MiB.
const REMOVALS_PER_RUN_MAX: usize = 32;

impl Coordinator {
    /// Gives back what is left of removed traces; of much, a part. To be called every second, and then a tenth of
    /// the writer's time suffices for 100 MB of traces a second.
    ///
    /// # Errors
    /// The database's.
    pub fn reclaim(&self) -> Result<()> {
        for _ in 0..REMOVALS_PER_RUN_MAX {
            if !self.collect_some()? {
                break;
            }
        }
        Ok(())
    }

    /// Removes some segments of removed traces. False: there were none.
    fn collect_some(&self) -> Result<bool> {
        // An idle server does not write.
        if !self.store.read(traces::is_any_detached)? {
            return Ok(false);
        }
        self.store.write(|c| traces::collect(c, SEGMENTS_PER_COMMIT_MAX))?;
        Ok(true)
    }
}
