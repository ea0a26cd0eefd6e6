//! A piece of a log: the most that one transaction appends.
//!
//! What must stay true: nothing is stored that was not masked, together with what is stored before it; whoever appends has
//! found the trace's end where it believed it to be.

use super::maskers::Maskers;
use crate::coordinator::auth::{Purpose, build_for};
use crate::coordinator::builds::finish::finish;
use crate::coordinator::signs_of_life::touch;
use crate::coordinator::{Coordinator, Deed};
use crate::domain::build::{BuildId, FailureReason, Status};
use crate::domain::masking::{Carry, Masker};
use crate::domain::runner::RunnerId;
use crate::domain::text::size::format_size;
use crate::domain::time::Timestamp;
use crate::domain::token::Shown;
use crate::error::{Error, Kind, Result};
use crate::store::builds;
use crate::store::traces::{self, Tail, TraceRow};
use rusqlite::Connection;
use std::sync::Arc;

/// Bytes that one transaction writes, or one read compares. (Measured, 100 MB beside small patches: these wait for 20 to
/// 60 ms at most, mostly for checkpoints; in one transaction for 0.6 to 1 s.)
pub const PIECE_BYTES_MAX: usize = 1 << 20;

/// What became of a patch.
#[derive(Debug)]
pub enum Patched {
    /// Appended; the trace has `size` bytes now.
    Stored {
        /// The build's state.
        status: Status,
        /// Bytes.
        size: u64,
        /// Who has the build.
        runner: Option<RunnerId>,
        /// Whether the build is to be brought to an end.
        is_canceling: bool,
    },
    /// The patch does not begin at the trace's end; nothing was stored.
    Elsewhere {
        /// Where it must begin.
        size: u64,
    },
    /// The build does not run; nothing was stored but the last words of one that was canceled under its runner.
    NotRunning {
        /// The build's state.
        status: Status,
        /// Who has or had the build.
        runner: Option<RunnerId>,
    },
    /// The patch is wrong, or there is no room for it; nothing was stored but that its sender lives.
    Refused(Error),
}

/// A piece, as its sender has it.
pub struct Piece {
    /// Where it begins, or what is wrong with what its sender says of that.
    pub start: Result<u64>,
    /// Its bytes.
    pub data: Vec<u8>,
}

/// Masked bytes that continue a trace.
pub struct Continuation {
    /// Where they go: before the trace's end, if they end a secret that began there.
    pub offset: u64,
    /// The bytes.
    pub bytes: Vec<u8>,
    /// The new end that may be the begin of a secret.
    pub carry: Carry,
    /// CRC-32 of all that was received up to its end, before it was masked.
    pub crc32: Option<u32>,
}

/// Where a trace ends that is to be continued.
pub struct Ending {
    /// The end that may be the begin of a secret.
    pub carry: Carry,
    /// Bytes.
    pub size: u64,
    /// CRC-32 of what was received; `None`: unknown, or not asked for.
    pub crc32: Option<u32>,
}

impl Ending {
    /// Where a stored trace ends.
    ///
    /// # Errors
    /// [`Kind::Internal`] if it is damaged.
    pub fn of(trace: &TraceRow) -> Result<Ending> {
        Ok(Ending { carry: carry(trace)?, size: trace.size, crc32: trace.crc32 })
    }

    /// Where a new trace begins.
    pub fn start() -> Ending {
        Ending { carry: Carry::default(), size: 0, crc32: Some(0) }
    }
}

impl Continuation {
    /// Masks `data`, which continues a trace that ends there.
    pub fn new(masker: &Masker, end: &Ending, mut data: Vec<u8>) -> Continuation {
        let crc32 = end.crc32.map(|before| crc32_on(before, &data));
        let appended = masker.mask_append(&end.carry, &mut data);
        let tail = appended.tail.unwrap_or_default();
        let offset = end.size.saturating_sub(tail.len() as u64);
        let bytes = if tail.is_empty() { data } else { [tail, data].concat() };
        Continuation { offset, bytes, carry: appended.carry, crc32 }
    }

    /// Where the trace ends with it.
    pub fn end(&self) -> u64 {
        self.offset + self.bytes.len() as u64
    }

    /// Writes it to the end of the build's trace.
    pub fn write(&self, c: &Connection, id: BuildId, trace: &TraceRow) -> Result<()> {
        let carry = self.carry.to_bytes();
        traces::write(c, id, trace, self.offset, &self.bytes, Tail { carry: &carry, crc32: self.crc32 })
    }
}

/// What it takes to say that a trace is cut.
pub struct Cut {
    pub bytes_max: u64,
    pub maskers: Arc<Maskers>,
}

impl Coordinator {
    /// Appends a piece. `room` says whether there is some.
    ///
    /// # Errors
    /// As [`Coordinator::append_trace`].
    pub(in crate::coordinator) fn append_piece(
        &self,
        id: BuildId,
        shown: Shown,
        piece: Piece,
        room: Result<()>,
        now: Timestamp,
    ) -> Deed<Patched> {
        let (step, bytes_max) = (self.limits().seen_step(), self.limits().trace_bytes_max);
        let maskers = Arc::clone(&self.maskers);
        Deed::write(&self.store, move |c| {
            let build = build_for(c, id, &shown, Purpose::Change)?;
            if build.has_last_words() {
                // The runner has not heard of it yet: it is told to stop.
                LastWords { id, piece, bytes_max, maskers }.keep(c, room.is_ok())?;
                return Ok(Patched::NotRunning { status: build.status, runner: build.runner_id });
            }
            if build.status != Status::Running {
                return Ok(Patched::NotRunning { status: build.status, runner: build.runner_id });
            }
            touch(c, &build, step, now)?;
            let trace = traces::of_build(c, id)?;
            let start = match piece.start {
                Ok(start) => start,
                Err(error) => return Ok(Patched::Refused(error)),
            };
            if start != trace.size {
                return Ok(Patched::Elsewhere { size: trace.size });
            }
            let size = trace.size + piece.data.len() as u64;
            let mut data = piece.data;
            if size > bytes_max {
                if room.is_ok() {
                    let fitting = usize::try_from(bytes_max.saturating_sub(trace.size)).unwrap_or(data.len());
                    data.truncate(fitting);
                    append(c, id, &*maskers.of_build(c, id)?, data)?;
                    Cut { bytes_max, maskers: Arc::clone(&maskers) }.say(c, id)?;
                }
                finish(c, &build, Status::Failed, Some(FailureReason::TraceTooLarge), now)?;
                return Ok(Patched::NotRunning { status: Status::Failed, runner: build.runner_id });
            }
            if !data.is_empty() {
                if let Err(error) = room {
                    return Ok(Patched::Refused(error));
                }
                let masker = maskers.of_build(c, id)?;
                Continuation::new(&masker, &Ending::of(&trace)?, data).write(c, id, &trace)?;
            }
            Ok(Patched::Stored {
                status: Status::Running,
                size,
                runner: build.runner_id,
                is_canceling: build.is_canceling,
            })
        })
    }
}

/// What comes of a log after its build was canceled. Runners from 11.11 to 15 send what the refusal of a piece has left
/// unsent once more, with their last line.
struct LastWords {
    id: BuildId,
    piece: Piece,
    bytes_max: u64,
    maskers: Arc<Maskers>,
}

impl LastWords {
    /// Appends what is not stored yet.
    fn keep(self, c: &Connection, has_room: bool) -> Result<()> {
        let LastWords { id, piece, bytes_max, maskers } = self;
        let trace = traces::of_build(c, id)?;
        let is_maskable = builds::tokens(c, id)?.has_own();
        let Some(known) = piece.start.ok().and_then(|start| trace.size.checked_sub(start)) else { return Ok(()) };
        let mut data = piece.data;
        let known = usize::try_from(known).unwrap_or(usize::MAX).min(data.len());
        data.drain(..known);
        // A trace that is longer was cut.
        if data.is_empty() || trace.size > bytes_max || !has_room || !is_maskable {
            return Ok(());
        }
        let fitting = usize::try_from(bytes_max - trace.size).unwrap_or(usize::MAX);
        let is_cut = data.len() > fitting;
        data.truncate(fitting);
        append(c, id, &*maskers.of_build(c, id)?, data)?;
        if is_cut {
            Cut { bytes_max, maskers }.say(c, id)?;
        }
        traces::trim(c, id)
    }
}

impl Cut {
    /// Ends the trace with a line on its cut. What may be the begin of a secret there is masked: nobody will see whether
    /// it was one.
    pub fn say(&self, c: &Connection, id: BuildId) -> Result<()> {
        let trace = traces::of_build(c, id)?;
        let begin = carry(&trace)?.len();
        if begin > 0 {
            let offset = trace.size.saturating_sub(begin as u64);
            let tail = Tail { carry: &Carry::default().to_bytes(), crc32: trace.crc32 };
            traces::write(c, id, &trace, offset, &vec![b'x'; begin], tail)?;
        }
        append(c, id, &*self.maskers.of_build(c, id)?, cut_line(self.bytes_max))
    }
}

/// Appends to the trace, whatever its length.
fn append(c: &Connection, id: BuildId, masker: &Masker, data: Vec<u8>) -> Result<()> {
    let trace = traces::of_build(c, id)?;
    Continuation::new(masker, &Ending::of(&trace)?, data).write(c, id, &trace)
}

/// The CRC-32 of what has this one, and of `data` behind it.
fn crc32_on(before: u32, data: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new_with_initial(before);
    hasher.update(data);
    hasher.finalize()
}

/// The last line of a log of which no more is kept.
fn cut_line(bytes_max: u64) -> Vec<u8> {
    format!("\nbaton: the log is cut here, at {}, the most that the server keeps of one\n", format_size(bytes_max))
        .into_bytes()
}

/// What must be carried on from the end of this trace.
///
/// # Errors
/// [`Kind::Internal`] if it is damaged.
pub fn carry(trace: &TraceRow) -> Result<Carry> {
    Carry::from_bytes(&trace.carry).ok_or_else(|| Error::new(Kind::Internal, "a trace's carry is damaged"))
}
