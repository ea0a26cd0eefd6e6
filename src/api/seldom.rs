//! Warnings that anybody could have said all the time: they are said once a minute.

use crate::sync::lock;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Between two warnings of the same kind.
const PAUSE: Duration = Duration::from_secs(60);

/// Something that is said once in a while.
#[derive(Default)]
pub struct Seldom(Mutex<Option<Instant>>);

impl Seldom {
    /// Whether it is said now.
    pub fn is_due(&self, now: Instant) -> bool {
        let mut said = lock(&self.0);
        let is_due = said.is_none_or(|at| now.saturating_duration_since(at) >= PAUSE);
        if is_due {
            *said = Some(now);
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_is_said_once_a_minute() {
        let (seldom, start) = (Seldom::default(), Instant::now());
        let said = |s: u64| seldom.is_due(start + Duration::from_secs(s));
        assert_eq!([0, 1, 59, 60, 61, 119, 120].map(said), [true, false, false, true, false, false, true]);
    }
}
