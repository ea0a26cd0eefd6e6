//! Seats for what costs much, as a process or a compiled configuration does: so many in all, and fewer for one owner, so
//! that nobody takes all of them.

use crate::error::{Error, Kind, Result};
use crate::sync::{lock, whole};
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

/// The seats.
pub struct Seats<K: Eq + Hash> {
    taken: Arc<Taken<K>>,
    what: &'static str,
    most: usize,
    most_each: usize,
    wait_max: Duration,
    waiting_max: usize,
}

struct Taken<K> {
    counts: Mutex<Counts<K>>,
    freed: Condvar,
}

struct Counts<K> {
    all: usize,
    by_owner: HashMap<K, usize>,
    waiting: usize,
}

/// One that is taken, until it is dropped.
pub struct Seat<K: Eq + Hash> {
    taken: Arc<Taken<K>>,
    owner: K,
}

impl<K: Eq + Hash + Clone> Seats<K> {
    /// So many in all, and so many for each owner. Nobody waits for one. The refusal says that there are too many of
    /// `what`.
    #[must_use]
    pub fn new(what: &'static str, most: usize, most_each: usize) -> Seats<K> {
        let counts = Counts { all: 0, by_owner: HashMap::new(), waiting: 0 };
        let taken = Arc::new(Taken { counts: Mutex::new(counts), freed: Condvar::new() });
        Seats { taken, what, most, most_each, wait_max: Duration::ZERO, waiting_max: 0 }
    }

    /// The same where so many wait for one, for so long.
    #[must_use]
    pub fn waited_for(self, wait_max: Duration, waiting_max: usize) -> Seats<K> {
        Seats { wait_max, waiting_max, ..self }
    }

    /// Takes a seat for this owner, as soon as there is one.
    ///
    /// # Errors
    /// [`Kind::Busy`] if there is none in time, or too many wait.
    pub fn take(&self, owner: K) -> Result<Seat<K>> {
        let busy = || Error::new(Kind::Busy, format!("too many {} at once", self.what));
        let until = Instant::now() + self.wait_max;
        let mut counts = lock(&self.taken.counts);
        if !self.has_room(&counts, &owner) {
            if counts.waiting >= self.waiting_max {
                return Err(busy());
            }
            counts.waiting += 1;
            while !self.has_room(&counts, &owner) {
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
        *counts.by_owner.entry(owner.clone()).or_default() += 1;
        drop(counts);
        Ok(Seat { taken: Arc::clone(&self.taken), owner })
    }

    fn has_room(&self, counts: &Counts<K>, owner: &K) -> bool {
        let own = counts.by_owner.get(owner).copied().unwrap_or_default();
        counts.all < self.most && own < self.most_each
    }
}

impl<K: Eq + Hash> Drop for Seat<K> {
    fn drop(&mut self) {
        let mut counts = lock(&self.taken.counts);
        counts.all = counts.all.saturating_sub(1);
        if let Some(own) = counts.by_owner.get_mut(&self.owner) {
            *own = own.saturating_sub(1);
            if *own == 0 {
                counts.by_owner.remove(&self.owner);
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
    fn one_owner_does_not_take_all_seats_and_what_is_given_back_is_free() {
        let seats = Seats::new("guests", 3, 2);
        let first = seats.take(1).ok().unwrap();
        let second = seats.take(1).ok().unwrap();
        let error = seats.take(1).err().unwrap();
        assert_eq!((error.kind, error.message.as_str()), (Kind::Busy, "too many guests at once"), "its own are taken");
        let third = seats.take(2).ok().unwrap();
        assert_eq!(seats.take(3).err().unwrap().kind, Kind::Busy, "all are taken");
        drop((first, third));
        let again = [seats.take(1).ok().unwrap(), seats.take(3).ok().unwrap()];
        assert_eq!(seats.take(1).err().unwrap().kind, Kind::Busy);
        drop((second, again));
        let counts = lock(&seats.taken.counts);
        assert_eq!((counts.all, counts.by_owner.len()), (0, 0));
    }

    #[test]
    fn who_waits_gets_the_seat_that_is_given_back_or_is_refused_in_time() {
        let seats = Seats::new("guests", 1, 1).waited_for(Duration::from_secs(60), 1);
        let only = seats.take(1).ok().unwrap();
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| seats.take(2).is_ok());
            drop(only);
            assert!(waits.join().unwrap());
        });
        let hasty = Seats::new("guests", 1, 1).waited_for(Duration::from_millis(20), 1);
        let _only = hasty.take(1).ok().unwrap();
        assert_eq!(hasty.take(2).err().unwrap().kind, Kind::Busy);
    }
}
