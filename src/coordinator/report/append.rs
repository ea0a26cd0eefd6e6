//! What runners report of a build: its trace and its end.

use super::maskers::Maskers;
use super::whole::{Continuation, PIECE_BYTES_MAX, Ready};
use crate::coordinator::auth::{Purpose, build_for, build_for_put};
use crate::coordinator::builds::finish;
use crate::coordinator::{Coordinator, Deed};
use crate::domain::build::{BuildId, FailureReason, Status};
use crate::domain::masking::{Carry, Masker};
use crate::domain::runner::RunnerId;
use crate::domain::text::size::format_size;
use crate::domain::time::Timestamp;
use crate::domain::token::Token;
use crate::error::{Error, Kind, Result};
use crate::http::headers::content_range::ContentRange;
use crate::store::builds::{self, BuildState};
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
        /// Who has the build.
        runner: Option<RunnerId>,
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
        /// Who has or had the build.
        runner: Option<RunnerId>,
    },
    /// The patch is wrong, or there is no room for it; nothing was stored but that its sender lives.
    Refused(Error),
}

/// What became of an update.
#[derive(Debug)]
pub enum Updated {
    /// Done, or done before, by the runner that has or had the build.
    Accepted(Option<RunnerId>),
    /// The build is not the caller's to report on (any more); a canceled build's last trace was kept.
    Gone(Option<RunnerId>),
    /// The trace passed the limit; the build has failed.
    TraceTooLarge,
    /// There is no room for a trace that is not the last one; nothing was stored but that its sender lives.
    Refused(Error),
}

/// What a runner says of a build that it has.
pub struct Report {
    /// The build.
    pub id: BuildId,
    /// Who says it.
    pub token: Option<Token>,
    /// Counts when it is `success` or `failed`.
    pub state: Option<String>,
    /// The whole trace.
    pub trace: Option<Vec<u8>>,
    /// When.
    pub now: Timestamp,
}

impl Coordinator {
    /// Appends `data` to a running build's trace (protocol 1.3). `range` is the request's, `None` if it has none.
    /// A long patch is stored like several short ones.
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
    ) -> Result<Deed<Patched>> {
        let mut start = fitting(range, data.len() as u64).map(|range| range.start);
        loop {
            let rest = data.split_off(data.len().min(PIECE_BYTES_MAX));
            let piece = Piece { start, data };
            let deed = self.append_piece(id, token.clone(), piece, self.check_room(), now);
            if rest.is_empty() {
                return Ok(deed);
            }
            match deed.wait()? {
                Patched::Stored { size, .. } => (start, data) = (Ok(size), rest),
                refused @ (Patched::Elsewhere { .. } | Patched::NotRunning { .. } | Patched::Refused(_)) => {
                    return Ok(Deed::done(Ok(refused)));
                }
            }
        }
    }

    /// Appends a piece of a patch. `room` says whether there is some.
    ///
    /// # Errors
    /// As [`Coordinator::append_trace`].
    pub(in crate::coordinator) fn append_piece(
        &self,
        id: BuildId,
        token: Option<Token>,
        piece: Piece,
        room: Result<()>,
        now: Timestamp,
    ) -> Deed<Patched> {
        let (step, bytes_max) = (self.limits().seen_step(), self.limits().trace_bytes_max);
        let maskers = Arc::clone(&self.maskers);
        Deed::write(&self.store, move |c| {
            let build = build_for(c, id, token.as_ref(), Purpose::Change)?;
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
                Continuation::new(&masker, &carry(&trace)?, trace.size, data).write(c, id, &trace)?;
            }
            Ok(Patched::Stored { status: Status::Running, size, runner: build.runner_id })
        })
    }

    /// Says whether the holder of `token` may report on this build with a `PUT`, before a long trace is read, and
    /// whether a trace would be taken. A build that has ended takes none, but the report of its end may be repeated;
    /// `state` is what is known of it so far.
    ///
    /// # Errors
    /// As [`Coordinator::update_build`]; [`Kind::NotFound`] also if that would answer [`Updated::Gone`].
    pub fn authorize_report(&self, id: BuildId, token: Option<&Token>, state: Option<&str>) -> Result<bool> {
        let build = self.store.read(|c| build_for_put(c, id, token))?;
        if build.status == Status::Running || build.has_last_words() {
            return Ok(true);
        }
        let is_repeated = |state| end_of(state).is_some_and(|(end, _)| end == build.status);
        if build.erased_at.is_some() || !state.is_none_or(is_repeated) {
            return Err(Error::not_found(""));
        }
        Ok(false)
    }

    /// Says whether the holder of `token` may append to this build's trace, before a long body is read, and whether
    /// the build runs, so that there is something to append to.
    ///
    /// # Errors
    /// As [`Coordinator::append_trace`].
    pub fn authorize_patch(&self, id: BuildId, token: Option<&Token>) -> Result<bool> {
        self.store.read(|c| Ok(build_for(c, id, token, Purpose::Change)?.status == Status::Running))
    }

    /// Takes a build's state and whole trace (protocol 1.2).
    ///
    /// # Errors
    /// [`Kind::Forbidden`] for a token that nobody holds, [`Kind::NotFound`] for a build that is not the
    /// holder's.
    pub fn update_build(&self, report: &Report) -> Result<Updated> {
        for _ in 0..TRIES_MAX {
            if let Some(updated) = self.try_update(report)?.wait()? {
                return Ok(updated);
            }
        }
        Err(Error::new(Kind::Busy, "somebody else writes to the trace at the same time"))
    }

    /// The same, once. `None`: somebody else has written to the trace meanwhile.
    ///
    /// # Errors
    /// As [`Coordinator::update_build`].
    pub fn try_update(&self, report: &Report) -> Result<Deed<Option<Updated>>> {
        let Report { id, now, .. } = *report;
        let end = report.state.as_deref().and_then(end_of);
        let bytes_max = self.limits().trace_bytes_max;
        let too_large = report.trace.as_ref().is_some_and(|trace| trace.len() as u64 > bytes_max);
        let room = self.check_room();
        // The last trace lives on the reserve; runners before 1.3 send one every three seconds.
        let has_room = room.is_ok() || end.is_some();
        let trace = match &report.trace {
            None => None,
            Some(data) => {
                let most = usize::try_from(bytes_max).unwrap_or(usize::MAX);
                let data = data.get(..most).unwrap_or(data);
                Some(self.ready(id, report.token.as_ref(), data, has_room, now)?)
            }
        };
        let room = if has_room { Ok(()) } else { room };
        let cut = too_large.then(|| Cut { bytes_max, maskers: Arc::clone(&self.maskers) });
        let update = Update { id, end, trace, cut, room, step: self.limits().seen_step(), now };
        let token = report.token.clone();
        Ok(Deed::write(&self.store, move |c| update.run(c, &build_for_put(c, id, token.as_ref())?)))
    }

    /// Up to `bytes_max` bytes of a build's trace from `offset` on, with its state at that moment. Of a running
    /// build, an end that may be the begin of a secret is held back until it is known.
    ///
    /// # Errors
    /// [`Kind::NotFound`] for an unknown build.
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
}

/// A build's trace up to where it may be shown, and the build's state.
fn shown(c: &Connection, id: BuildId) -> Result<(TraceRow, Status)> {
    let build = builds::state(c, id)?.ok_or_else(|| crate::coordinator::builds::no_such(id))?;
    let mut trace = traces::of_build(c, id)?;
    if !build.status.is_finished() {
        trace.size = trace.size.saturating_sub(carry(&trace)?.len() as u64);
    }
    Ok((trace, build.status))
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

/// A part of a patch.
pub struct Piece {
    /// Where it begins, or what is wrong with what the patch says of that.
    pub start: Result<u64>,
    /// Its bytes.
    pub data: Vec<u8>,
}

/// Appends to the trace, whatever its length.
fn append(c: &Connection, id: BuildId, masker: &Masker, data: Vec<u8>) -> Result<()> {
    let trace = traces::of_build(c, id)?;
    Continuation::new(masker, &carry(&trace)?, trace.size, data).write(c, id, &trace)
}

/// The last line of a log of which no more is kept.
fn cut_line(bytes_max: u64) -> Vec<u8> {
    format!("\nbaton: the log is cut here, at {}, the most that the server keeps of one\n", format_size(bytes_max))
        .into_bytes()
}

/// A report, with all that was found out beforehand.
struct Update {
    id: BuildId,
    end: Option<(Status, Option<FailureReason>)>,
    trace: Option<Ready>,
    /// Set when the trace is only what fits of the one that was sent.
    cut: Option<Cut>,
    room: Result<()>,
    step: Duration,
    now: Timestamp,
}

/// What it takes to say that a trace is cut.
struct Cut {
    bytes_max: u64,
    maskers: Arc<Maskers>,
}

impl Update {
    /// Does what is reported. `None`: what was found out does not hold any more; only a sign of life was noted.
    fn run(self, c: &Connection, build: &BuildState) -> Result<Option<Updated>> {
        let Update { id, end, now, .. } = self;
        if build.has_last_words() {
            // The runner has not heard of it yet: its last words are kept, and it is told to stop.
            if let Some(trace) = self.trace {
                if !trace.take(c, id)? {
                    return Ok(None);
                }
                if let Some(cut) = &self.cut {
                    cut.say(c, id)?;
                }
                traces::finish(c, id)?;
            }
            return Ok(Some(Updated::Gone(build.runner_id)));
        }
        if build.status != Status::Running {
            // Maybe the answer to this very report was lost on its way.
            let is_repeated = end.is_some_and(|(end, _)| end == build.status) && build.erased_at.is_none();
            let runner = build.runner_id;
            return Ok(Some(if is_repeated { Updated::Accepted(runner) } else { Updated::Gone(runner) }));
        }
        if let Some(cut) = self.cut {
            if let (Some(trace), Ok(())) = (self.trace, &self.room) {
                if !trace.take(c, id)? {
                    return Ok(None);
                }
                cut.say(c, id)?;
            }
            finish(c, build, Status::Failed, Some(FailureReason::TraceTooLarge), now)?;
            return Ok(Some(Updated::TraceTooLarge));
        }
        touch(c, build, self.step, now)?;
        if let Some(trace) = self.trace {
            if let Err(error) = self.room {
                return Ok(Some(Updated::Refused(error)));
            }
            if !trace.take(c, id)? {
                return Ok(None);
            }
        }
        if let Some((status, reason)) = end {
            // Runners 1.x only say that it failed when they end it since its time is over.
            let is_over = status == Status::Failed && builds::is_time_over(c, id, now)?;
            let reason = if is_over { Some(FailureReason::TimedOut) } else { reason };
            finish(c, build, status, reason, now)?;
        }
        Ok(Some(Updated::Accepted(build.runner_id)))
    }
}

/// The end that a runner's word for a state means; `None`: none.
fn end_of(state: &str) -> Option<(Status, Option<FailureReason>)> {
    match state {
        "success" => Some((Status::Success, None)),
        "failed" => Some((Status::Failed, Some(FailureReason::ScriptFailure))),
        _ => None,
    }
}

impl Cut {
    /// Ends the trace with a line on its cut. What may be the begin of a secret there is masked: nobody will see whether
    /// it was one.
    fn say(&self, c: &Connection, id: BuildId) -> Result<()> {
        let trace = traces::of_build(c, id)?;
        let begin = carry(&trace)?.len();
        if begin > 0 {
            let offset = trace.size.saturating_sub(begin as u64);
            traces::write(c, id, &trace, offset, &vec![b'x'; begin], &Carry::default().to_bytes())?;
        }
        append(c, id, &*self.maskers.of_build(c, id)?, cut_line(self.bytes_max))
    }
}

/// How often a report is looked at anew, since somebody else writes to the same trace.
const TRIES_MAX: usize = 5;

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

/// What must be carried on from the end of this trace.
///
/// # Errors
/// [`Kind::Internal`] if it is damaged.
pub fn carry(trace: &TraceRow) -> Result<Carry> {
    Carry::from_bytes(&trace.carry).ok_or_else(|| Error::new(Kind::Internal, "a trace's carry is damaged"))
}
