//! What runners report of a build: its trace and its end.

use super::Coordinator;
use super::auth::{Purpose, build_for, build_for_put};
use super::builds::finish;
use crate::domain::build::{BuildId, FailureReason, Status};
use crate::domain::content_range::ContentRange;
use crate::domain::masking::{Carry, Masker};
use crate::domain::time::Timestamp;
use crate::domain::token::Token;
use crate::error::{Error, Kind, Result};
use crate::store::builds;
use crate::store::builds::BuildState;
use crate::store::traces::{self, TraceRow};
use rusqlite::Connection;
use std::sync::Arc;
use std::time::Duration;

/// What became of a patch.
#[derive(Debug)]
pub enum Patched {
    /// Appended; the trace has `size` bytes now.
    Stored {
        /// The build's state.
        status: Status,
        /// Bytes.
        size: u64,
    },
    /// The patch does not begin at the trace's end; nothing was stored.
    Elsewhere {
        /// Where it must begin.
        size: u64,
    },
    /// The build does not run; nothing was stored.
    NotRunning {
        /// The build's state.
        status: Status,
    },
    /// The patch is wrong, or there is no room for it; nothing was stored but that its sender lives.
    Refused(Error),
}

/// What became of an update.
#[derive(Debug)]
pub enum Updated {
    /// Done, or done before.
    Accepted,
    /// The build is not the caller's to report on (any more); a canceled build's last trace was kept.
    Gone,
    /// The trace passed the limit; the build has failed.
    TraceTooLarge,
    /// There is no room for a trace that is not the last one; nothing was stored but that its sender lives.
    Refused(Error),
}

impl Coordinator {
    /// Appends `data` to a running build's trace (protocol 1.3). `range` is the request's, `None` if it has none.
    ///
    /// # Errors
    /// [`Kind::NotFound`], [`Kind::Forbidden`]. Whoever passes those lives, whatever becomes of the patch.
    pub fn append_trace(
        &self,
        id: BuildId,
        token: Option<Token>,
        range: Option<ContentRange>,
        mut data: Vec<u8>,
        now: Timestamp,
    ) -> Result<Patched> {
        let (step, bytes_max) = (self.limits().seen_step(), self.limits().trace_bytes_max);
        let room = self.check_room();
        let maskers = Arc::clone(&self.maskers);
        self.store.write(move |c| {
            let build = build_for(c, id, token.as_ref(), Purpose::Change)?;
            if build.status != Status::Running {
                return Ok(Patched::NotRunning { status: build.status });
            }
            touch(c, &build, step, now)?;
            let trace = traces::of_build(c, id)?;
            let range = match fitting(range, data.len() as u64) {
                Ok(range) => range,
                Err(error) => return Ok(Patched::Refused(error)),
            };
            if range.start != trace.size {
                return Ok(Patched::Elsewhere { size: trace.size });
            }
            if trace.size + data.len() as u64 > bytes_max {
                finish(c, &build, Status::Failed, Some(FailureReason::TraceTooLarge), now)?;
                return Ok(Patched::NotRunning { status: Status::Failed });
            }
            let size = trace.size + data.len() as u64;
            if !data.is_empty() {
                if let Err(error) = room {
                    return Ok(Patched::Refused(error));
                }
                append(c, id, &trace, &*maskers.of_build(c, id)?, &mut data)?;
            }
            Ok(Patched::Stored { status: Status::Running, size })
        })
    }

    /// Says whether the holder of `token` may report on this build with a `PUT`, before a long body is read.
    ///
    /// # Errors
    /// As [`Coordinator::update_build`].
    pub fn authorize_report(&self, id: BuildId, token: Option<Token>) -> Result<()> {
        self.store.read(|c| build_for_put(c, id, token.as_ref()).map(drop))
    }

    /// Says whether the holder of `token` may append to this build's trace, before a long body is read.
    ///
    /// # Errors
    /// As [`Coordinator::append_trace`].
    pub fn authorize_patch(&self, id: BuildId, token: Option<&Token>) -> Result<()> {
        self.store.read(|c| build_for(c, id, token, Purpose::Change).map(drop))
    }

    /// Takes a build's state and whole trace (protocol 1.2). `state` counts when it is `success` or `failed`.
    ///
    /// # Errors
    /// [`Kind::Forbidden`] for a token that nobody holds, [`Kind::NotFound`] for a build that is not the
    /// holder's.
    pub fn update_build(
        &self,
        id: BuildId,
        token: Option<Token>,
        state: Option<&str>,
        trace: Option<Vec<u8>>,
        now: Timestamp,
    ) -> Result<Updated> {
        let end = match state {
            Some("success") => Some((Status::Success, None)),
            Some("failed") => Some((Status::Failed, Some(FailureReason::ScriptFailure))),
            _ => None,
        };
        let (step, bytes_max) = (self.limits().seen_step(), self.limits().trace_bytes_max);
        let room = self.check_room();
        let maskers = Arc::clone(&self.maskers);
        self.store.write(move |c| {
            let build = build_for_put(c, id, token.as_ref())?;
            let too_large = trace.as_ref().is_some_and(|trace| trace.len() as u64 > bytes_max);
            match build.status {
                Status::Running => {}
                Status::Canceled if build.runner_id.is_some() && build.erased_at.is_none() => {
                    // The runner has not heard of it yet: its last words are kept, and it is told to stop.
                    if let Some(trace) = trace.filter(|_| !too_large) {
                        put_trace(c, id, &*maskers.of_build(c, id)?, trace)?;
                        traces::finish(c, id)?;
                    }
                    return Ok(Updated::Gone);
                }
                // The answer to this very report was lost on its way.
                status if end.is_some_and(|(end, _)| end == status) && build.erased_at.is_none() => {
                    return Ok(Updated::Accepted);
                }
                Status::Created
                | Status::Pending
                | Status::Success
                | Status::Failed
                | Status::Canceled
                | Status::Skipped => return Ok(Updated::Gone),
            }
            if too_large {
                finish(c, &build, Status::Failed, Some(FailureReason::TraceTooLarge), now)?;
                return Ok(Updated::TraceTooLarge);
            }
            touch(c, &build, step, now)?;
            if let Some(trace) = trace {
                // The last trace lives on the reserve; runners before 1.3 send one every three seconds.
                match room {
                    Err(error) if end.is_none() => return Ok(Updated::Refused(error)),
                    Ok(()) | Err(_) => put_trace(c, id, &*maskers.of_build(c, id)?, trace)?,
                }
            }
            if let Some((status, reason)) = end {
                finish(c, &build, status, reason, now)?;
            }
            Ok(Updated::Accepted)
        })
    }

    /// Up to `bytes_max` bytes of a build's trace from `offset` on, with its state at that moment. Of a running
    /// build, an end that may be the begin of a secret is held back until it is known.
    ///
    /// # Errors
    /// [`Kind::NotFound`] for an unknown build.
    pub fn read_trace(&self, id: BuildId, offset: u64, bytes_max: u64) -> Result<(Vec<u8>, Status)> {
        self.store.read(|c| {
            let build = builds::state(c, id)?.ok_or_else(|| super::builds::no_such(id))?;
            let mut trace = traces::of_build(c, id)?;
            if !build.status.is_finished() {
                trace.size = trace.size.saturating_sub(carry(&trace)?.len() as u64);
            }
            Ok((traces::read(c, &trace, offset, bytes_max)?, build.status))
        })
    }
}

/// The range, if there is one and it fits so many bytes.
fn fitting(range: Option<ContentRange>, bytes: u64) -> Result<ContentRange> {
    let range = range.ok_or_else(|| Error::invalid("Missing header Content-Range"))?;
    if range.agrees_with(bytes) {
        return Ok(range);
    }
    let (start, end) = (range.start, range.end);
    Err(Error::invalid(format!("Content-Range {start}-{end} does not fit a body of {bytes} bytes")))
}

/// Notes that a running build's runner lives, at most once a step.
pub fn touch(c: &Connection, build: &BuildState, step: Duration, now: Timestamp) -> Result<()> {
    if is_due(build, step, now) { builds::touch(c, build.id, now) } else { Ok(()) }
}

/// Whether the build runs, and its stored sign of life is a step old.
pub fn is_due(build: &BuildState, step: Duration, now: Timestamp) -> bool {
    build.status == Status::Running && build.seen_at.is_none_or(|at| now.since(at) >= step)
}

fn carry(trace: &TraceRow) -> Result<Carry> {
    Carry::from_bytes(&trace.carry).ok_or_else(|| Error::new(Kind::Internal, "a trace's carry is damaged"))
}

fn append(c: &Connection, id: BuildId, trace: &TraceRow, masker: &Masker, data: &mut [u8]) -> Result<()> {
    let appended = masker.mask_append(&carry(trace)?, data);
    let kept = appended.carry.to_bytes();
    match appended.tail {
        None => traces::write(c, id, trace, trace.size, data, &kept),
        Some(mut tail) => {
            let offset = trace.size.saturating_sub(tail.len() as u64);
            tail.extend_from_slice(data);
            traces::write(c, id, trace, offset, &tail, &kept)
        }
    }
}

/// Bytes that are compared at a time.
const PIECE_BYTES: usize = 1 << 20;

/// Makes `data`, masked, the whole trace. What is stored already is not written again: runners repeat the
/// whole log with their last report (protocol 5).
fn put_trace(c: &Connection, id: BuildId, masker: &Masker, mut data: Vec<u8>) -> Result<()> {
    let appended = masker.mask_append(&Carry::default(), &mut data);
    let kept = appended.carry.to_bytes();
    let trace = traces::of_build(c, id)?;
    // The held-back end may be masked by now; up to it the stored bytes are final.
    let mut same = 0;
    for piece in data.chunks(PIECE_BYTES) {
        let stored = traces::read(c, &trace, same as u64, piece.len() as u64)?;
        let equal = stored.iter().zip(piece).take_while(|(a, b)| a == b).count();
        same += equal;
        if equal < piece.len() {
            break;
        }
    }
    let final_bytes = trace.size.saturating_sub(carry(&trace)?.len() as u64);
    if (data.len() as u64) < trace.size || (same as u64) < final_bytes {
        return traces::replace(c, id, &data, &kept);
    }
    if data.len() as u64 == trace.size && same == data.len() && kept == trace.carry {
        return Ok(());
    }
    traces::write(c, id, &trace, same as u64, data.get(same..).unwrap_or_default(), &kept)
}
