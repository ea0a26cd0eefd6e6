//! A long log read by a thread of its own, ahead of whoever goes through it: both take about as long.
//!
//! What must stay true: whoever reads is given what it would have read itself; the thread ends with the look that it is
//! for.

use super::{READ_BYTES, View};
use crate::error::Result;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::{Builder, Scope};

/// Pieces that wait to be taken.
const PIECES: usize = 1;

/// Shorter rests are read by whoever wants them.
const BYTES_MIN: u64 = 4 * READ_BYTES;

/// Reads a log piece by piece.
pub struct Ahead<'scope, 'view: 'scope> {
    scope: &'scope Scope<'scope, 'view>,
    view: &'view View<'view>,
    /// The pieces from `at` on, if they are read ahead.
    pieces: Option<Receiver<Result<Vec<u8>>>>,
    at: u64,
}

impl<'scope, 'view> Ahead<'scope, 'view> {
    pub fn new(scope: &'scope Scope<'scope, 'view>, view: &'view View<'view>) -> Ahead<'scope, 'view> {
        Ahead { scope, view, pieces: None, at: 0 }
    }

    /// Up to `bytes_max` bytes from `offset` on; fewer only at the end.
    pub fn read(&mut self, offset: u64, bytes_max: u64) -> Result<Vec<u8>> {
        if bytes_max != READ_BYTES {
            return self.view.read(offset, bytes_max);
        }
        if self.pieces.is_none() || offset != self.at {
            self.pieces = self.begin(offset);
        }
        let piece = self.pieces.as_ref().and_then(|pieces| pieces.recv().ok());
        let piece = piece.unwrap_or_else(|| self.view.read(offset, bytes_max))?;
        self.at = offset + piece.len() as u64;
        Ok(piece)
    }

    /// Has the pieces from `offset` on read, if there are many. Where there is no thread for it, nobody does.
    fn begin(&self, offset: u64) -> Option<Receiver<Result<Vec<u8>>>> {
        let (view, end) = (self.view, self.view.shown.bytes);
        if end.saturating_sub(offset) < BYTES_MIN {
            return None;
        }
        let (sender, pieces) = sync_channel(PIECES);
        let read = move || {
            let mut at = offset;
            while at < end {
                let piece = view.read(at, READ_BYTES);
                at = at.saturating_add(READ_BYTES);
                let is_last = piece.is_err();
                // Nobody takes it any more: the look is over.
                if sender.send(piece).is_err() || is_last {
                    return;
                }
            }
        };
        Builder::new().name("log reader".to_owned()).spawn_scoped(self.scope, read).ok()?;
        Some(pieces)
    }
}
