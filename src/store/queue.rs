//! The queue's generation: moves whenever a build may have become claimable (`schema.sql`, triggers).

use crate::domain::runner::RunnerId;
use crate::domain::token::hex;
use crate::error::Result;
use rusqlite::Connection;
use sha2::{Digest, Sha256};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

/// The present generation.
///
/// # Errors
/// The database's.
pub fn generation(c: &Connection) -> Result<u64> {
    Ok(c.prepare_cached("SELECT generation FROM queue_state")?.query_row([], |row| row.get(0))?)
}

/// What this process knows of the queue without asking the database: the generation after its own last commit,
/// or at its last look at what other processes have done, whichever is newer.
#[derive(Default)]
pub struct Queue {
    generation: AtomicU64,
    nudges: Mutex<u64>,
    nudged: Condvar,
}

impl Queue {
    /// The newest known generation.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// This generation is committed.
    pub fn note(&self, generation: u64) {
        if self.generation.fetch_max(generation, Ordering::AcqRel) < generation {
            self.nudge();
        }
    }

    /// Ends what [`Queue::wait`] waits for.
    pub fn nudge(&self) {
        *self.nudges.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.nudged.notify_all();
    }

    /// Waits until the generation is another than `seen`, somebody nudges, or the time is over. Returns the newest
    /// known generation. For one thread at a time.
    pub fn wait(&self, seen: u64, at_most: Duration) -> u64 {
        let mut nudges = self.nudges.lock().unwrap_or_else(PoisonError::into_inner);
        if *nudges == 0 && self.generation() == seen {
            nudges = self.nudged.wait_timeout(nudges, at_most).unwrap_or_else(PoisonError::into_inner).0;
        }
        *nudges = 0;
        self.generation()
    }
}

/// Makes the opaque values of `last_update` and `X-GitLab-Last-Update` (protocol 2).
///
/// GitLab compares them per runner, since runners 1.9 to 1.11.1 may present one that another runner got; so
/// the runner is part of the value. It says "nothing for you as of this generation".
#[derive(Clone)]
pub struct QueueKey([u8; 16]);

impl QueueKey {
    /// The key of this installation.
    ///
    /// # Errors
    /// The database's.
    pub fn load(c: &Connection) -> Result<QueueKey> {
        Ok(QueueKey(c.query_row("SELECT queue_key FROM settings", [], |row| row.get(0))?))
    }

    /// The value for `runner` at `generation`: 32 hexadecimal digits.
    #[must_use]
    pub fn value(&self, runner: RunnerId, generation: u64) -> String {
        let mut hash = Sha256::new();
        hash.update(self.0);
        hash.update(runner.0.to_le_bytes());
        hash.update(generation.to_le_bytes());
        hex(hash.finalize().get(..16).unwrap_or_default())
    }
}
