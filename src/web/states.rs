//! How states look: a shape, then a word, then a colour.

use crate::coordinator::Child;
use crate::domain::build::{Build, Status};
use crate::domain::pipeline::states::{PipelineState, Tally};
use crate::domain::runner::RunnerState;
use crate::store::job_rows::{Earlier, JobRow};

/// How a state looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// The name of its shape.
    pub shape: &'static str,
    /// The class of its colour.
    pub class: &'static str,
    /// Its word.
    pub word: &'static str,
    /// The sign in a tab's title.
    pub sign: &'static str,
    /// The colour of its icon in a tab.
    pub colour: &'static str,
}

const fn look(
    shape: &'static str,
    class: &'static str,
    word: &'static str,
    sign: &'static str,
    colour: &'static str,
) -> Look {
    Look { shape, class, word, sign, colour }
}

const PASSED: Look = look("ok", "ok", "passed", "✓", "0a7650");
const FAILED: Look = look("fail", "fail", "failed", "✗", "bd2f16");
const ALLOWED: Look = look("warn", "warn", "failed, allowed", "!", "85590a");
const WARNED: Look = look("warn", "warn", "passed with warnings", "!", "85590a");
const RUNNING: Look = look("run", "run", "running", "▶", "1a5fc4");
const PENDING: Look = look("pend", "wait", "pending", "…", "85590a");
const WAITS: Look = look("need", "off", "waits", "…", "656970");
const SCHEDULED: Look = look("pend", "off", "scheduled", "…", "656970");
const MANUAL: Look = look("hand", "hand", "manual", "▷", "6a3da8");
const CANCELED: Look = look("cancel", "off", "canceled", "⊘", "656970");
const SKIPPED: Look = look("skip", "off", "skipped", "»", "656970");

/// Of a job in this state.
pub fn of_status(status: Status, is_allowed: bool) -> Look {
    match status {
        Status::Created | Status::WaitingForResource => WAITS,
        Status::Pending => PENDING,
        Status::Running => RUNNING,
        Status::Scheduled => SCHEDULED,
        Status::Manual => MANUAL,
        Status::Success => PASSED,
        Status::Failed if is_allowed => ALLOWED,
        Status::Failed => FAILED,
        Status::Canceled => CANCELED,
        Status::Skipped => SKIPPED,
    }
}

/// Of a job.
pub fn of_build(build: &Build) -> Look {
    of_status(build.status, build.failure_allowed)
}

/// Of a job of a pipeline.
pub fn of_row(row: &JobRow) -> Look {
    of_status(row.status, row.failure_allowed)
}

/// Of a job of an earlier pipeline.
pub fn of_earlier(row: &Earlier) -> Look {
    of_status(row.status, row.failure_allowed)
}

/// Of a pipeline.
pub fn of_pipeline(state: PipelineState, has_warnings: bool) -> Look {
    match state {
        PipelineState::Created | PipelineState::WaitingForResource => WAITS,
        PipelineState::Pending => PENDING,
        PipelineState::Running => RUNNING,
        PipelineState::Scheduled => SCHEDULED,
        PipelineState::Manual => MANUAL,
        PipelineState::Success if has_warnings => WARNED,
        PipelineState::Success => PASSED,
        PipelineState::Failed => FAILED,
        PipelineState::Canceled => CANCELED,
        PipelineState::Skipped => SKIPPED,
    }
}

/// Of a pipeline that a job has made.
pub fn of_child(child: &Child) -> Look {
    of_pipeline(child.state, child.has_warnings)
}

/// Of a stage whose jobs stand so.
pub fn of_tally(tally: &Tally) -> Look {
    of_pipeline(tally.pipeline(), tally.has_warnings())
}

/// Of a runner.
pub fn of_runner(state: RunnerState) -> Look {
    match state {
        RunnerState::Online => look("on", "ok", "online", "", "0a7650"),
        RunnerState::Paused => look("pause", "wait", "paused", "", "85590a"),
        RunnerState::Stale => look("gone", "off", "offline", "", "656970"),
        RunnerState::NeverSeen => look("gone", "off", "never seen", "", "656970"),
    }
}
