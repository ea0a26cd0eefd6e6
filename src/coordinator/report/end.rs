//! A runner reports on a build that it has: its whole log so far, its end.

use super::piece::Cut;
use super::whole::Ready;
use crate::coordinator::auth::build_for_put;
use crate::coordinator::builds::finish::finish;
use crate::coordinator::signs_of_life::touch;
use crate::coordinator::{Coordinator, Deed};
use crate::domain::build::{BuildId, FailureReason, Status};
use crate::domain::end::{End, Reported};
use crate::domain::log_sum::{LogCheck, LogSum};
use crate::domain::runner::RunnerId;
use crate::domain::time::Timestamp;
use crate::domain::token::{Shown, Takes};
use crate::error::{Error, Kind, Result};
use crate::store::builds::{self, BuildState};
use crate::store::traces;
use rusqlite::Connection;
use std::sync::Arc;
use std::time::Duration;

/// How often a report is looked at, since somebody else writes to the same trace.
const TRIES_MAX: usize = 6;

/// What became of an update.
#[derive(Debug)]
pub enum Updated {
    /// Done, or done before, by the runner that has or had the build.
    Accepted(Told),
    /// The build is not the caller's to report on (any more); a canceled build's last trace was kept.
    Gone(Told),
    /// The trace passed the limit; the build has failed.
    TraceTooLarge,
    /// There is no room for a trace that is not the last one; nothing was stored but that its sender lives.
    Refused(Error),
}

/// What a runner is told of a build that it has or had.
#[derive(Clone, Copy, Debug)]
pub struct Told {
    /// Who has or had it.
    pub runner: Option<RunnerId>,
    /// The build's state, by now.
    pub status: Status,
    /// Whether it is to be brought to an end.
    pub is_canceling: bool,
    /// What it says that it sent as the log, beside what has arrived: when it ends the build, and says so.
    pub log: Option<LogCheck>,
}

/// What a runner says of a build that it has.
pub struct Report {
    /// The build.
    pub id: BuildId,
    /// Who says it.
    pub shown: Shown,
    /// The build's end; `None`: it goes on.
    pub end: Option<End>,
    /// The whole trace.
    pub trace: Option<Vec<u8>>,
    /// When.
    pub now: Timestamp,
}

impl Coordinator {
    /// Takes a build's end and whole trace. What somebody else has written to the trace meanwhile is looked at anew, a
    /// few times.
    ///
    /// # Errors
    /// [`Kind::Forbidden`] for a token that nobody holds, [`Kind::NotFound`] for a build that is not the
    /// holder's, [`Kind::Busy`] if others never cease to write to the trace.
    pub fn update_build(self: &Arc<Self>, report: Report) -> Result<Deed<Updated>> {
        let update = self.update(&report)?;
        let (own, shown) = (Arc::clone(self), report.shown.clone());
        let job = move |c: &Connection| update.run(c, &shown);
        Ok(Deed::write_and(&self.store, job, move |updated| match updated? {
            Some(updated) => Ok(updated),
            None => own.update_again(&report),
        }))
    }

    fn update_again(&self, report: &Report) -> Result<Updated> {
        for _ in 1..TRIES_MAX {
            let (update, shown) = (self.update(report)?, report.shown.clone());
            if let Some(updated) = self.store.write(move |c| update.run(c, &shown))? {
                return Ok(updated);
            }
        }
        Err(Error::new(Kind::Busy, "somebody else writes to the trace at the same time"))
    }

    /// Finds out all that the transaction of a report need not.
    fn update(&self, report: &Report) -> Result<Update> {
        let Report { id, now, .. } = *report;
        let end = report.end.clone();
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
                Some(self.ready(id, &report.shown, data, has_room, now)?)
            }
        };
        let room = if has_room { Ok(()) } else { room };
        let cut = too_large.then(|| Cut { bytes_max, maskers: Arc::clone(&self.maskers) });
        Ok(Update { id, end, trace, cut, room, step: self.limits().seen_step(), now })
    }

    /// Says whether the holder of what is shown may report on this build, before a long trace is read, and
    /// whether a trace would be taken. A build that has ended takes none, but the report of its end may be repeated;
    /// `reported` is what is known of it so far.
    ///
    /// # Errors
    /// As [`Coordinator::update_build`]; [`Kind::NotFound`] also if that would answer [`Updated::Gone`].
    pub fn authorize_report(&self, id: BuildId, shown: &Shown, reported: Option<Reported>) -> Result<bool> {
        let build = self.store.read(|c| build_for_put(c, id, shown))?;
        if build.status == Status::Running || build.has_last_words() {
            return Ok(true);
        }
        let is_repeated = |reported: Reported| reported.end().is_some_and(|end| end.status == build.status);
        if build.erased_at.is_some() || !reported.is_none_or(is_repeated) {
            return Err(match shown.takes {
                Takes::Any => Error::not_found(""),
                Takes::Own => Error::forbidden(),
            });
        }
        Ok(false)
    }
}

/// A report, with all that was found out beforehand.
struct Update {
    id: BuildId,
    end: Option<End>,
    trace: Option<Ready>,
    /// Set when the trace is only what fits of the one that was sent.
    cut: Option<Cut>,
    room: Result<()>,
    step: Duration,
    now: Timestamp,
}

impl Update {
    /// Does what is reported. `None`: what was found out does not hold any more; only a sign of life was noted.
    fn run(self, c: &Connection, shown: &Shown) -> Result<Option<Updated>> {
        let build = &build_for_put(c, self.id, shown)?;
        let (id, end, now) = (self.id, self.end, self.now);
        let is_canceling = build.is_canceling;
        let told = |status| Told { runner: build.runner_id, status, is_canceling, log: None };
        if build.has_last_words() {
            // The runner has not heard of it yet: its last words are kept, and it is told to stop.
            if let Some(trace) = self.trace {
                if !trace.take(c, id)? {
                    return Ok(None);
                }
                if let Some(cut) = &self.cut {
                    cut.say(c, id)?;
                }
                traces::trim(c, id)?;
            }
            return Ok(Some(Updated::Gone(told(build.status))));
        }
        if build.status != Status::Running {
            // Maybe the answer to this very report was lost on its way.
            let is_repeated = end.is_some_and(|end| end.status == build.status) && build.erased_at.is_none();
            let told = told(build.status);
            return Ok(Some(if is_repeated { Updated::Accepted(told) } else { Updated::Gone(told) }));
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
        // What ends a build says that it was heard of.
        if end.is_none() || !build.is_unheard {
            touch(c, build, self.step, now)?;
        }
        if let Some(trace) = self.trace {
            if let Err(error) = self.room {
                return Ok(Some(Updated::Refused(error)));
            }
            if !trace.take(c, id)? {
                return Ok(None);
            }
        }
        let Some(end) = end else { return Ok(Some(Updated::Accepted(told(Status::Running)))) };
        let log = end.log.map(|said| check_log(c, id, said)).transpose()?;
        let status = end_by(c, build, end, now)?;
        Ok(Some(Updated::Accepted(Told { log, ..told(status) })))
    }
}

/// Puts what a runner says of its log beside what has arrived of it. Nothing follows from a difference: a runner that is
/// told of one sends all of the log again and again.
fn check_log(c: &Connection, id: BuildId, said: LogSum) -> Result<LogCheck> {
    let trace = traces::of_build(c, id)?;
    Ok(LogCheck { said, received: LogSum { crc32: trace.crc32, bytes: Some(trace.size) } })
}

/// Ends a running build as its runner says, or as canceled if that was asked for. Returns its state.
fn end_by(c: &Connection, build: &BuildState, end: End, now: Timestamp) -> Result<Status> {
    if build.is_canceling {
        finish(c, build, Status::Canceled, None, now)?;
        return Ok(Status::Canceled);
    }
    let (status, mut reason) = (end.status, end.reason);
    if status == Status::Failed {
        reason = known_reason(c, build.id, reason, now)?;
        let text = end.text.filter(|_| reason == Some(FailureReason::RunnerFailure));
        if text.is_some() || end.exit_code.is_some() {
            builds::set_failure(c, build.id, text.as_deref(), end.exit_code)?;
        }
    }
    finish(c, build, status, reason, now)?;
    Ok(status)
}

/// Why a build has failed of which its runner said this. Runners 1.x say no more than that it did when its time is over,
/// and when its artifacts were refused. What is uploaded on failure only says that the script had failed before.
fn known_reason(
    c: &Connection,
    id: BuildId,
    said: Option<FailureReason>,
    now: Timestamp,
) -> Result<Option<FailureReason>> {
    if builds::is_time_over(c, id, now)? {
        return Ok(Some(FailureReason::TimedOut));
    }
    if said == Some(FailureReason::ScriptFailure) && builds::has_refused_artifacts(c, id)? {
        let asked = builds::spec(c, id)?.asked;
        if asked.archive().is_none_or(|archive| archive.when.as_deref() != Some("on_failure")) {
            return Ok(Some(FailureReason::ArtifactsTooLarge));
        }
    }
    Ok(said)
}
