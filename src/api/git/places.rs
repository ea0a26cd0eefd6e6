//! Places for processes of git: so many in all, and so many for one build. Who finds none waits for a while, since the builds
//! of a pipeline begin together.

use crate::domain::build::BuildId;
use crate::error::{Error, Kind, Result};
use crate::limits::{GIT_WAITING_PER_PLACE, Limits};
use crate::sync::{lock, whole};
use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

/// The places.
pub struct Places {
    taken: Arc<Taken>,
    most: usize,
    most_per_build: usize,
    wait_max: Duration,
}

#[derive(Default)]
struct Taken {
    counts: Mutex<Counts>,
    freed: Condvar,
}

#[derive(Default)]
struct Counts {
    all: usize,
    by_build: HashMap<BuildId, usize>,
    waiting: usize,
}

/// One that is taken.
pub struct Place {
    taken: Arc<Taken>,
    build: BuildId,
}

impl Places {
    /// As many as the limits say.
    #[must_use]
    pub fn new(limits: &Limits) -> Places {
        Places {
            taken: Arc::default(),
            most: limits.git_children_max,
            most_per_build: limits.git_children_per_build_max,
            wait_max: limits.git_wait_max,
        }
    }

    /// Takes a place for this build, as soon as there is one.
    ///
    /// # Errors
    /// [`Kind::Busy`] if there is none in time, or too many wait.
    pub fn take(&self, build: BuildId) -> Result<Place> {
        let busy = || Error::new(Kind::Busy, "too many processes of git at once");
        let until = Instant::now() + self.wait_max;
        let mut counts = lock(&self.taken.counts);
        if !self.has_room(&counts, build) {
            if counts.waiting >= self.most * GIT_WAITING_PER_PLACE {
                return Err(busy());
            }
            counts.waiting += 1;
            while !self.has_room(&counts, build) {
                let left = until.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    counts.waiting -= 1;
                    return Err(busy());
                }
                counts = whole(self.taken.freed.wait_timeout(counts, left)).0;
            }
            counts.waiting -= 1;
        }
        counts.all += 1;
        *counts.by_build.entry(build).or_default() += 1;
        drop(counts);
        Ok(Place { taken: Arc::clone(&self.taken), build })
    }

    fn has_room(&self, counts: &Counts, build: BuildId) -> bool {
        let own = counts.by_build.get(&build).copied().unwrap_or_default();
        counts.all < self.most && own < self.most_per_build
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = lock(&self.taken.counts);
        counts.all = counts.all.saturating_sub(1);
        if let Some(own) = counts.by_build.get_mut(&self.build) {
            *own = own.saturating_sub(1);
            if *own == 0 {
                counts.by_build.remove(&self.build);
            }
        }
        drop(counts);
        self.taken.freed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_have_a_place_and_others_wait_for_one() {
        let limits = Limits {
            git_children_max: 3,
            git_children_per_build_max: 2,
            git_wait_max: Duration::from_millis(20),
            ..Limits::default()
        };
        let places = Places::new(&limits);
        let first = places.take(BuildId(1)).unwrap();
        let second = places.take(BuildId(1)).unwrap();
        assert_eq!(places.take(BuildId(1)).err().unwrap().kind, Kind::Busy, "its own are taken");
        let third = places.take(BuildId(2)).unwrap();
        assert_eq!(places.take(BuildId(3)).err().unwrap().kind, Kind::Busy, "all are taken");
        drop((first, third));
        let again = [places.take(BuildId(1)).unwrap(), places.take(BuildId(3)).unwrap()];
        drop((second, again));
        assert!(lock(&places.taken.counts).by_build.is_empty());
        let patient = Places::new(&Limits { git_children_max: 1, ..Limits::default() });
        let only = patient.take(BuildId(1)).unwrap();
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| patient.take(BuildId(2)).is_ok());
            drop(only);
            assert!(waits.join().unwrap());
        });
    }
}
