//! Logs for people who look: parts as HTML, what is in them, a word in them, their bytes.
//!
//! What must stay true: nothing is shown that [`Coordinator::read_trace`] would not show, and nothing is stored; the path
//! of a patch knows nothing of this. An index is made when somebody looks, and grows with its log. At most
//! [`AT_ONCE_MAX`] logs are gone through at a time: whoever comes then waits without a thread ([`OrSoon::Soon`]). The memory
//! is bounded: `indices`. A log that takes another's place has another number, so nobody sees one with the other's index.

mod ahead;
mod bytes;
mod indices;
mod part;
mod search;

pub use bytes::LogBytes;
pub use indices::Soon;
pub use part::{LogBegin, LogFacts, LogPart, LogStand};

use super::Coordinator;
use super::builds::no_such;
use super::report::piece::carry;
use crate::domain::build::{BuildId, Status};
use crate::domain::log_index::{LogIndex, READ_BYTES};
use crate::error::{Error, Kind, Result};
use crate::store::builds;
use crate::store::traces;
use crate::sync::whole;
use ahead::Ahead;
use indices::Indexed;
pub(super) use indices::LogIndices;
use std::sync::{Arc, RwLockReadGuard};

/// Logs that are gone through at a time.
const AT_ONCE_MAX: usize = 2;

/// So much of a log is gone through at once by whoever comes.
const AT_ONCE_BYTES: u64 = 256 << 10;

/// How often is begun anew with a log that takes the place of the one that is read.
const TRIES: usize = 3;

/// What a deed gives that may have to wait for others.
pub enum OrSoon<T> {
    /// It is there.
    There(T),
    /// It will be there when somebody else is ready.
    Soon(Soon),
}

/// A log, as far as it may be shown at a moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Shown {
    /// The trace's number; 0: none is stored.
    number: i64,
    bytes: u64,
    status: Status,
    /// Whether more may come.
    is_open: bool,
}

/// A log whose index covers what may be shown of it.
struct View<'a> {
    coordinator: &'a Coordinator,
    id: BuildId,
    shown: Shown,
    indexed: Arc<Indexed>,
}

impl View<'_> {
    fn index(&self) -> RwLockReadGuard<'_, LogIndex> {
        whole(self.indexed.index.read())
    }

    /// Up to `bytes_max` bytes from `offset` on.
    fn read(&self, offset: u64, bytes_max: u64) -> Result<Vec<u8>> {
        self.coordinator.read_shown(self.id, self.shown, offset, bytes_max)
    }
}

impl Coordinator {
    /// Gives `look` a log with its index. If another log takes its place meanwhile, it begins anew.
    fn view_log<T>(&self, id: BuildId, look: impl Fn(&View<'_>) -> Result<T>) -> Result<OrSoon<T>> {
        let mut tries = TRIES;
        loop {
            let found = self.index_log(id).and_then(|found| match found {
                OrSoon::There(view) => look(&view).map(OrSoon::There),
                OrSoon::Soon(soon) => Ok(OrSoon::Soon(soon)),
            });
            tries -= 1;
            match found {
                Err(error) if error.kind == Kind::Conflict && tries > 0 => {}
                found => return found,
            }
        }
    }

    /// A log whose index is brought to its end.
    fn index_log(&self, id: BuildId) -> Result<OrSoon<View<'_>>> {
        let soon = self.log_indices.soon();
        let shown = self.shown_log(id)?;
        let indexed = self.log_indices.of(shown.number);
        let view = View { coordinator: self, id, shown, indexed };
        let known = {
            let index = view.index();
            if index.bytes() >= shown.bytes && (shown.is_open || index.is_finished()) {
                drop(index);
                return Ok(OrSoon::There(view));
            }
            index.bytes()
        };
        let is_long = shown.bytes.saturating_sub(known) > AT_ONCE_BYTES;
        let Some(turn) = self.log_indices.begin(&view.indexed, is_long) else { return Ok(OrSoon::Soon(soon)) };
        self.grow(&view)?;
        drop(turn);
        self.log_indices.keep_within_bounds();
        Ok(OrSoon::There(view))
    }

    /// Brings an index to the end of what is shown. Readers may read it meanwhile.
    fn grow(&self, view: &View<'_>) -> Result<()> {
        let index = || whole(view.indexed.index.write());
        if index().is_finished() {
            // More has come than anybody expected.
            *index() = LogIndex::default();
        }
        std::thread::scope(|scope| {
            let mut ahead = Ahead::new(scope, view);
            loop {
                let at = index().bytes();
                let bytes = ahead.read(at, READ_BYTES)?;
                let mut index = index();
                if bytes.is_empty() {
                    if !view.shown.is_open {
                        index.finish();
                    }
                    view.indexed.note_memory(&index);
                    return Ok(());
                }
                index.push(&bytes);
            }
        })
    }

    /// What may be shown of a log now. An end that may still become a mask is held back, also when the build was canceled
    /// under its runner, whose last words may follow.
    fn shown_log(&self, id: BuildId) -> Result<Shown> {
        self.store.read(|c| {
            let build = builds::state(c, id)?.ok_or_else(|| no_such(id))?;
            let trace = traces::of_build(c, id)?;
            let is_open = !build.status.is_finished();
            let is_growing = is_open || build.has_last_words();
            let held_back = if is_growing { carry(&trace)?.len() as u64 } else { 0 };
            let bytes = trace.size.saturating_sub(held_back);
            Ok(Shown { number: trace.number(), bytes, status: build.status, is_open })
        })
    }

    /// Bytes of the log that was shown.
    fn read_shown(&self, id: BuildId, shown: Shown, offset: u64, bytes_max: u64) -> Result<Vec<u8>> {
        if shown.number == 0 || offset >= shown.bytes {
            return Ok(Vec::new());
        }
        self.store.read(|c| {
            let trace = traces::of_build(c, id)?;
            if trace.number() != shown.number || trace.size < shown.bytes {
                return Err(Error::new(Kind::Conflict, "another log has taken the place of the one that was read"));
            }
            traces::read(c, &trace, offset, bytes_max.min(shown.bytes - offset))
        })
    }
}

#[cfg(test)]
mod tests;
