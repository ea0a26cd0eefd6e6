//! Logs that arrived as they were sent, and others, counted.

use crate::domain::log_sum::{LogCheck, LogVerdict};
use crate::metrics::Counter;

/// How often each verdict came of the comparison of a log with what its runner says of it.
#[derive(Default)]
pub struct LogChecks([Counter; LogVerdict::ALL.len()]);

impl LogChecks {
    /// One more.
    pub fn count(&self, check: &LogCheck) {
        if let Some(count) = self.0.get(check.verdict() as usize) {
            count.increment();
        }
    }

    /// Every verdict with its number.
    pub fn counts(&self) -> impl Iterator<Item = (LogVerdict, u64)> + '_ {
        LogVerdict::ALL.into_iter().zip(self.0.iter().map(Counter::get))
    }
}
