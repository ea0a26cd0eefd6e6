//! How long a transfer may take: it must always move, and after a grace at no less than a rate.
//!
//! A single read or write that makes no progress fails by itself, by the socket's own timeouts.

use crate::limits::Limits;
use std::io::{self, ErrorKind};
use std::time::{Duration, Instant};

/// The pace of one transfer.
pub struct Pace {
    started: Instant,
    grace: Duration,
    bytes_per_second_min: u64,
    bytes: u64,
}

impl Pace {
    /// A transfer that begins now.
    #[must_use]
    pub fn new(limits: &Limits) -> Pace {
        Pace {
            started: Instant::now(),
            grace: limits.transfer_grace,
            bytes_per_second_min: limits.transfer_bytes_per_second_min,
            bytes: 0,
        }
    }

    /// To be called before each read or write.
    ///
    /// # Errors
    /// [`ErrorKind::TimedOut`]: the transfer has been too slow so far.
    pub fn check(&self) -> io::Result<()> {
        let earned = Duration::from_secs(self.bytes / self.bytes_per_second_min.max(1));
        if self.started.elapsed() > self.grace.saturating_add(earned) {
            return Err(io::Error::new(ErrorKind::TimedOut, "the transfer is too slow"));
        }
        Ok(())
    }

    /// So much time has passed in which the other side could not move anything.
    pub fn waited(&mut self, time: Duration) {
        self.started = self.started.checked_add(time).unwrap_or(self.started);
    }

    /// So many bytes more have moved.
    pub fn moved(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_add(bytes as u64);
    }
}
