//! Readers that wait for something to change: pages, and logs that grow.
//!
//! What must stay true: nothing of this is in the way of a commit, which only counts; a reader keeps no thread; there are
//! never more of them than [`crate::limits::Limits::readers_max`]; they are woken together, with [`PAUSE`] between two
//! times, however much is written.

use super::Coordinator;
use crate::sync::{lock, whole};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

/// Between two times that readers are woken.
const PAUSE: Duration = Duration::from_millis(250);
/// How long the thread that wakes them sleeps at a time, also while nothing happens.
const SLEEP_MAX: Duration = Duration::from_secs(1);

/// Those that wait.
#[derive(Default)]
pub struct Watchers {
    all: Mutex<All>,
    changed: Condvar,
}

#[derive(Default)]
struct All {
    next: u64,
    waiting: HashMap<u64, Box<dyn Fn() + Send>>,
}

/// A reader's place. Dropping it gives it back.
pub struct Watching {
    watchers: Arc<Watchers>,
    number: u64,
}

impl Drop for Watching {
    fn drop(&mut self) {
        let gone = lock(&self.watchers.all).waiting.remove(&self.number);
        drop(gone);
    }
}

impl Watchers {
    fn wake_all(&self) {
        for wake in lock(&self.all).waiting.values() {
            wake();
        }
    }

    /// Sleeps until there is somebody, or `stop`, or for a while. Returns whether there is somebody.
    fn await_somebody(&self, stop: &AtomicBool) -> bool {
        let nobody = |all: &mut All| all.waiting.is_empty() && !stop.load(Ordering::Acquire);
        let (all, _) = whole(self.changed.wait_timeout_while(lock(&self.all), SLEEP_MAX, nobody));
        !all.waiting.is_empty()
    }

    /// Sleeps so long, or until `stop`.
    fn pause(&self, stop: &AtomicBool) {
        let goes_on = |_: &mut All| !stop.load(Ordering::Acquire);
        drop(whole(self.changed.wait_timeout_while(lock(&self.all), PAUSE, goes_on)));
    }
}

impl Coordinator {
    /// Grows with each commit: while it stays, nothing that is stored has changed.
    #[must_use]
    pub fn moves(&self) -> u64 {
        self.store.changes().moves()
    }

    /// Has `wake` called soon after what is stored is no more as at `seen` ([`Coordinator::moves`]). `None`: there are as
    /// many readers as there may be. `wake` must be quick, and may come more than once and for nothing.
    #[must_use]
    pub fn watch(&self, seen: u64, wake: impl Fn() + Send + 'static) -> Option<Watching> {
        let number = {
            let mut all = lock(&self.watchers.all);
            if all.waiting.len() >= self.limits.readers_max() {
                return None;
            }
            all.next += 1;
            let number = all.next;
            all.waiting.insert(number, Box::new(wake));
            number
        };
        self.watchers.changed.notify_all();
        if self.moves() != seen {
            // The others may have been woken for that before. Not at once: a log that grows without end moves all the time.
            self.store.changes().note_move();
        }
        Some(Watching { watchers: Arc::clone(&self.watchers), number })
    }

    /// Wakes readers until `stop`, which [`Coordinator::end_watch`] says. For one thread.
    pub fn wake_readers(&self, stop: &AtomicBool) {
        let changes = self.store.changes();
        let mut seen = changes.moves();
        while !stop.load(Ordering::Acquire) {
            if !self.watchers.await_somebody(stop) {
                continue;
            }
            let newest = changes.wait_for_move(seen, SLEEP_MAX);
            if newest != seen {
                seen = newest;
                self.watchers.wake_all();
                self.watchers.pause(stop);
            }
        }
    }

    /// Ends the sleep of the thread that wakes readers, which is to look at its `stop`.
    pub(super) fn nudge_readers(&self) {
        drop(lock(&self.watchers.all));
        self.watchers.changed.notify_all();
        self.store.changes().note_move();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::Limits;
    use std::sync::mpsc::channel;
    use std::thread;

    #[test]
    fn a_reader_is_woken_by_commits_of_this_process_and_of_others_and_finds_no_place_beyond_the_limit() {
        let dir = tempfile::tempdir().unwrap();
        let limits = Limits { connections_max: 16, ..Limits::default() };
        let coordinator = Arc::new(Coordinator::open(dir.path(), limits.clone()).unwrap());
        let other = Coordinator::open(dir.path(), limits).unwrap();
        let ear = coordinator.store.listen();
        assert!(ear.is_some());
        let stop = Arc::new(AtomicBool::new(false));
        let thread = {
            let (coordinator, stop) = (Arc::clone(&coordinator), Arc::clone(&stop));
            thread::spawn(move || coordinator.wake_readers(&stop))
        };
        let (sender, woken) = channel();
        let first = coordinator.watch(coordinator.moves(), move || sender.send(()).unwrap()).unwrap();
        let second = coordinator.watch(coordinator.moves(), || {}).unwrap();
        assert!(coordinator.watch(0, || {}).is_none(), "16 connections have two places for readers");
        let now = crate::domain::time::Timestamp(1);
        coordinator.add_project("own", None, Duration::from_secs(60), now).unwrap();
        woken.recv_timeout(Duration::from_secs(30)).unwrap();
        other.add_project("other", None, Duration::from_secs(60), now).unwrap();
        woken.recv_timeout(Duration::from_secs(30)).unwrap();
        drop(second);
        let (sender, woken) = channel();
        let third = coordinator.watch(0, move || sender.send(()).unwrap()).unwrap();
        woken.recv_timeout(Duration::from_secs(30)).expect("who comes late is woken, too");
        drop((first, third));
        coordinator.end_watch(&stop);
        thread.join().unwrap();
    }
}
