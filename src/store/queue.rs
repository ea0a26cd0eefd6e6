//! The queue's generation: moves whenever a build may have become claimable (`schema.sql`, triggers).

use crate::domain::runner::RunnerId;
use crate::domain::token::hex;
use crate::error::Result;
use rusqlite::Connection;
use sha2::{Digest, Sha256};

/// The present generation.
pub fn generation(c: &Connection) -> Result<u64> {
    Ok(c.prepare_cached("SELECT generation FROM queue_state")?.query_row([], |row| row.get(0))?)
}

/// Makes the opaque values of `last_update` and `X-GitLab-Last-Update`.
///
/// GitLab compares them per runner, since runners 1.9 to 1.11.1 may present one that another runner got; so
/// the runner is part of the value. It says "nothing for you as of this generation".
#[derive(Clone)]
pub struct QueueKey([u8; 16]);

impl QueueKey {
    /// The key of this installation.
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
