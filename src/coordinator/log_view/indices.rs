//! The indices of the logs that were looked at last.
//!
//! What must stay true: there are at most [`INDICES_MAX`] of them in [`INDICES_BYTES_MAX`]; one log is gone through by one
//! thread at a time; whoever was told to wait is woken by the next who is ready, also if that has failed.

use super::AT_ONCE_MAX;
use crate::domain::build::BuildId;
use crate::domain::log_index::LogIndex;
use crate::sync::lock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, RwLock};

/// Most indices.
const INDICES_MAX: usize = 32;

/// Bytes of all of them; the one that was looked at last may be larger by itself.
const INDICES_BYTES_MAX: usize = 8 << 20;

/// Requests that wait at a time; further ones are told to look again at once.
const WAITING_MAX: usize = 4096;

/// An index, and whose turn it is.
#[derive(Default)]
pub struct Indexed {
    pub index: RwLock<LogIndex>,
    memory_bytes: AtomicUsize,
}

impl Indexed {
    /// Notes how much memory it takes.
    pub fn note_memory(&self, index: &LogIndex) {
        self.memory_bytes.store(index.memory_bytes(), Ordering::Relaxed);
    }
}

/// All indices.
#[derive(Default)]
pub struct LogIndices {
    state: Arc<Mutex<State>>,
}

type WakeUp = Box<dyn FnOnce() + Send>;

#[derive(Default)]
struct State {
    /// By the number of the trace, that which was looked at last at the end.
    kept: Vec<(i64, Arc<Indexed>)>,
    /// Those that are gone through now.
    growing: Vec<Arc<Indexed>>,
    /// How many of those, and of searches, take long.
    long: usize,
    searched: Vec<BuildId>,
    /// How many have become ready.
    ready: u64,
    waiting: Vec<WakeUp>,
}

/// Who waits until somebody else is ready.
pub struct Soon {
    state: Arc<Mutex<State>>,
    ready: u64,
}

impl Soon {
    /// Has `wake` called when it is worth to try again: by another thread, or by this one before it returns.
    pub fn when_ready(self, wake: impl FnOnce() + Send + 'static) {
        let mut state = lock(&self.state);
        if state.ready == self.ready && state.waiting.len() < WAITING_MAX {
            state.waiting.push(Box::new(wake));
        } else {
            drop(state);
            wake();
        }
    }
}

/// The right to go through a log; dropping it wakes those who wait.
pub struct Turn {
    state: Arc<Mutex<State>>,
    growing: Option<Arc<Indexed>>,
    searched: Option<BuildId>,
    is_long: bool,
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut state = lock(&self.state);
        if let Some(own) = &self.growing {
            state.growing.retain(|other| !Arc::ptr_eq(other, own));
        }
        if let Some(own) = self.searched {
            state.searched.retain(|other| *other != own);
        }
        state.long -= usize::from(self.is_long);
        state.ready += 1;
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        waiting.into_iter().for_each(|wake| wake());
    }
}

impl LogIndices {
    /// To be had before anything is looked at: what becomes ready from now on counts.
    pub fn soon(&self) -> Soon {
        Soon { state: Arc::clone(&self.state), ready: lock(&self.state).ready }
    }

    /// The index of the trace of this number, a new one if there is none.
    pub fn of(&self, number: i64) -> Arc<Indexed> {
        if number == 0 {
            return Arc::default();
        }
        let mut state = lock(&self.state);
        let known = state.kept.iter().position(|(own, _)| *own == number);
        let entry = known.map_or_else(|| (number, Arc::default()), |place| state.kept.remove(place));
        let indexed = Arc::clone(&entry.1);
        state.kept.push(entry);
        if state.kept.len() > INDICES_MAX {
            state.kept.remove(0);
        }
        indexed
    }

    /// The right to go through a log for its index; `None`: somebody does, or too many do.
    pub fn begin(&self, indexed: &Arc<Indexed>, is_long: bool) -> Option<Turn> {
        let mut state = lock(&self.state);
        let is_growing = state.growing.iter().any(|other| Arc::ptr_eq(other, indexed));
        if is_growing || (is_long && state.long >= AT_ONCE_MAX) {
            return None;
        }
        state.growing.push(Arc::clone(indexed));
        state.long += usize::from(is_long);
        Some(Turn { state: Arc::clone(&self.state), growing: Some(Arc::clone(indexed)), searched: None, is_long })
    }

    /// The right to search a build's log; `None`: somebody does, or too many do.
    pub fn begin_search(&self, id: BuildId) -> Option<Turn> {
        let mut state = lock(&self.state);
        if state.searched.contains(&id) || state.long >= AT_ONCE_MAX {
            return None;
        }
        state.searched.push(id);
        state.long += 1;
        Some(Turn { state: Arc::clone(&self.state), growing: None, searched: Some(id), is_long: true })
    }

    /// Lets go of those that were not looked at for longest, if all are too large.
    pub fn keep_within_bounds(&self) {
        let mut state = lock(&self.state);
        let bytes = |kept: &[(i64, Arc<Indexed>)]| -> usize {
            kept.iter().map(|(_, indexed)| indexed.memory_bytes.load(Ordering::Relaxed)).sum()
        };
        while state.kept.len() > 1 && bytes(&state.kept) > INDICES_BYTES_MAX {
            state.kept.remove(0);
        }
    }

    /// How many there are.
    #[cfg(test)]
    pub fn count(&self) -> usize {
        lock(&self.state).kept.len()
    }
}
