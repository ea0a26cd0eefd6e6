//! What may end a job from outside: the server's wish, and the runner's own end.
//!
//! What must stay true: an order is never taken back, only followed by a stricter one.

use super::client::{Client, Wish};
use crate::sync::lock;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, Weak};

/// How a runner is to end.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Ending {
    /// It is not.
    No,
    /// It takes no new job, and ends after the last.
    Drain,
    /// It ends its jobs, and then itself.
    Interrupt,
    /// It kills its jobs.
    Kill,
}

/// Tells a runner to end; clones tell the same runner.
#[derive(Clone)]
pub struct Stop {
    level: Arc<AtomicU8>,
    /// Whether all its jobs are canceled.
    is_canceling: Arc<AtomicBool>,
    /// Whose question for work is cut.
    client: Arc<Mutex<Weak<Client>>>,
}

impl Default for Stop {
    fn default() -> Stop {
        let is_canceling = Arc::new(AtomicBool::new(false));
        Stop { level: Arc::new(AtomicU8::new(0)), is_canceling, client: Arc::new(Mutex::new(Weak::new())) }
    }
}

impl Stop {
    /// Tells that. What was told before and is stricter stays.
    pub fn tell(&self, ending: Ending) {
        let level = match ending {
            Ending::No => 0,
            Ending::Drain => 1,
            Ending::Interrupt => 2,
            Ending::Kill => 3,
        };
        self.level.fetch_max(level, Ordering::AcqRel);
        if ending > Ending::No {
            self.cut();
        }
    }

    /// What was told.
    #[must_use]
    pub fn ending(&self) -> Ending {
        match self.level.load(Ordering::Acquire) {
            0 => Ending::No,
            1 => Ending::Drain,
            2 => Ending::Interrupt,
            _ => Ending::Kill,
        }
    }

    /// Has it cancel its jobs at once, as if the server had said so, which it will. For whoever has told the server.
    pub fn cancel_jobs(&self) {
        self.is_canceling.store(true, Ordering::Release);
    }

    /// Whether that was told.
    #[must_use]
    pub fn is_canceling(&self) -> bool {
        self.is_canceling.load(Ordering::Acquire)
    }

    /// From now on, the client's questions are cut when the runner is told to end.
    pub(super) fn watch(&self, client: &Arc<Client>) {
        *lock(&self.client) = Arc::downgrade(client);
        if self.ending() > Ending::No {
            self.cut();
        }
    }

    fn cut(&self) {
        let client = lock(&self.client).upgrade();
        if let Some(client) = client {
            client.stop_asking();
        }
    }
}

/// What a server wants of one job.
#[derive(Default)]
pub struct Wishes(AtomicU8);

impl Wishes {
    /// Notes what an answer says.
    pub fn note(&self, wish: Wish) {
        let level = match wish {
            Wish::GoOn => 0,
            Wish::Cancel => 1,
            Wish::Abort => 2,
        };
        self.0.fetch_max(level, Ordering::AcqRel);
    }

    /// The strictest so far.
    #[must_use]
    pub fn strictest(&self) -> Wish {
        match self.0.load(Ordering::Acquire) {
            0 => Wish::GoOn,
            1 => Wish::Cancel,
            _ => Wish::Abort,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_told_is_only_followed_by_what_is_stricter() {
        let (stop, wishes) = (Stop::default(), Wishes::default());
        for (told, ending) in [
            (Ending::No, Ending::No),
            (Ending::Interrupt, Ending::Interrupt),
            (Ending::Drain, Ending::Interrupt),
            (Ending::Kill, Ending::Kill),
            (Ending::No, Ending::Kill),
        ] {
            stop.clone().tell(told);
            assert_eq!(stop.ending(), ending);
        }
        for (noted, wish) in [
            (Wish::GoOn, Wish::GoOn),
            (Wish::Cancel, Wish::Cancel),
            (Wish::Abort, Wish::Abort),
            (Wish::GoOn, Wish::Abort),
        ] {
            wishes.note(noted);
            assert_eq!(wishes.strictest(), wish);
        }
    }
}
