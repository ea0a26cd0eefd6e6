//! How the state of a job is said: as a sign, as a word, and as a part of a sentence.

use crate::domain::build::{FailureReason, Status};
use crate::domain::text::duration::format_duration;
use crate::domain::time::Timestamp;
use crate::store::job_rows::JobRow;

/// What a line is drawn in, where there are colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colour {
    /// The terminal's own.
    None,
    /// Of what went well.
    Good,
    /// Of what went badly.
    Bad,
    /// Of what went badly and may.
    Warning,
    /// Of what goes on.
    Active,
    /// Of what waits or does not run.
    Dim,
}

impl Colour {
    /// The text in this colour.
    pub fn paint(self, text: &str) -> String {
        let code = match self {
            Colour::None => return text.to_owned(),
            Colour::Good => "32",
            Colour::Bad => "31",
            Colour::Warning => "33",
            Colour::Active => "36",
            Colour::Dim => "2",
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }
}

/// A state as a sign, and its colour.
pub fn sign(row: &JobRow) -> (char, Colour) {
    match row.status {
        Status::Created => (' ', Colour::Dim),
        Status::Pending => (':', Colour::None),
        Status::WaitingForResource => ('=', Colour::None),
        Status::Scheduled => ('@', Colour::None),
        Status::Running => ('>', Colour::Active),
        Status::Manual => ('?', Colour::Warning),
        Status::Success => ('+', Colour::Good),
        Status::Failed | Status::Canceled if row.failure_allowed => ('!', Colour::Warning),
        Status::Failed => ('x', Colour::Bad),
        Status::Canceled => ('-', Colour::Bad),
        Status::Skipped => ('~', Colour::Dim),
    }
}

/// A state as a word of at most nine letters.
pub fn word(status: Status) -> &'static str {
    if status == Status::WaitingForResource { "waiting" } else { status.as_str() }
}

/// For how long a job has run, or ran; nothing if it did not.
pub fn run_time(row: &JobRow, now: Timestamp) -> String {
    let Some(start) = row.started_at else { return String::new() };
    match row.finished_at {
        Some(end) => format_duration(end.since(start)),
        None if row.status == Status::Running => format_duration(now.since(start)),
        None => String::new(),
    }
}

/// Why a job failed: its reason, and with what its script ended.
pub fn failure(reason: Option<FailureReason>, exit_code: Option<i64>) -> String {
    let code = exit_code.map(|code| format!("exit code {code}"));
    let parts: Vec<String> = reason.map(|reason| reason.as_str().to_owned()).into_iter().chain(code).collect();
    parts.join(", ")
}

/// What has become of a job, as a line says that is printed when it moves.
pub fn moved(row: &JobRow) -> String {
    let word = row.status.as_str();
    let took = run_time(row, Timestamp(0));
    let took = if took.is_empty() { took } else { format!(" after {took}") };
    let id = row.id;
    match row.status {
        Status::Running => {
            let runner = row.runner.as_deref().filter(|name| !name.is_empty());
            format!("running: build {id}{}", runner.map_or_else(String::new, |name| format!(" on {name}")))
        }
        Status::Failed => {
            let why = failure(row.failure_reason, row.exit_code);
            let allowed = if row.failure_allowed { ", which is allowed" } else { "" };
            let again = row.retried_by.map_or_else(String::new, |by| format!("; made again as build {by}"));
            format!("failed{took}: {why}{allowed}{again}")
        }
        Status::Manual => format!("manual: `baton build play {id}` starts it"),
        Status::Created
        | Status::Pending
        | Status::WaitingForResource
        | Status::Scheduled
        | Status::Success
        | Status::Canceled
        | Status::Skipped => format!("{word}{took}"),
    }
}
