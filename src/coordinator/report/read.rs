//! What is shown of a log.

use super::piece::carry;
use crate::coordinator::Coordinator;
use crate::coordinator::builds::no_such;
use crate::domain::build::{BuildId, Status};
use crate::error::Result;
use crate::store::builds;
use crate::store::traces::{self, TraceRow};
use rusqlite::Connection;

impl Coordinator {
    /// Up to `bytes_max` bytes of a build's trace from `offset` on, with its state at that moment. Of a running
    /// build, an end that may be the begin of a secret is held back until it is known.
    ///
    /// # Errors
    /// [`crate::error::Kind::NotFound`] for an unknown build.
    pub fn read_trace(&self, id: BuildId, offset: u64, bytes_max: u64) -> Result<(Vec<u8>, Status)> {
        self.read_trace_into(id, offset, bytes_max, Vec::new())
    }

    /// The same, with the trace's number: if it is another one than before, another trace has taken the place of the
    /// one that was read, and `offset` means nothing in it. 0: none is stored yet.
    ///
    /// # Errors
    /// As [`Coordinator::read_trace`].
    pub fn read_numbered_trace(&self, id: BuildId, offset: u64, bytes_max: u64) -> Result<NumberedPiece> {
        self.store.read(|c| {
            let (trace, status) = shown(c, id)?;
            let bytes = traces::read(c, &trace, offset, bytes_max)?;
            Ok(NumberedPiece { bytes, status, number: trace.number() })
        })
    }

    /// The same in memory that was used before. With new memory for each piece, a long log takes a seventh longer.
    ///
    /// # Errors
    /// As [`Coordinator::read_trace`].
    pub fn read_trace_into(
        &self,
        id: BuildId,
        offset: u64,
        bytes_max: u64,
        memory: Vec<u8>,
    ) -> Result<(Vec<u8>, Status)> {
        self.store.read(|c| {
            let (trace, status) = shown(c, id)?;
            Ok((traces::read_into(c, &trace, offset, bytes_max, memory)?, status))
        })
    }

    /// The last bytes of a build's trace, at most so many, and whether that is all of it.
    ///
    /// # Errors
    /// As [`Coordinator::read_trace`].
    pub fn read_trace_end(&self, id: BuildId, bytes_max: u64) -> Result<(Vec<u8>, bool)> {
        self.store.read(|c| {
            let (trace, _) = shown(c, id)?;
            let from = trace.size.saturating_sub(bytes_max);
            Ok((traces::read(c, &trace, from, bytes_max)?, from == 0))
        })
    }
}

/// A build's trace up to where it may be shown, and the build's state.
fn shown(c: &Connection, id: BuildId) -> Result<(TraceRow, Status)> {
    let build = builds::state(c, id)?.ok_or_else(|| no_such(id))?;
    Ok((shown_trace(c, id, build.status)?, build.status))
}

/// The trace of a build in this state, up to where it may be shown.
pub fn shown_trace(c: &Connection, id: BuildId, status: Status) -> Result<TraceRow> {
    let mut trace = traces::of_build(c, id)?;
    if !status.is_finished() {
        trace.size = trace.size.saturating_sub(carry(&trace)?.len() as u64);
    }
    Ok(trace)
}

/// A piece of a trace, and which trace that is.
#[derive(Debug)]
pub struct NumberedPiece {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// The build's state at that moment.
    pub status: Status,
    /// The trace's number.
    pub number: i64,
}
