//! The one place where every end of a build passes.
//!
//! What must stay true: a build that failed and is made again by itself is made again in the transaction that ends it, and
//! those that wait for it wait for the new one from that moment on. So none of them is decided by the first one's end.

use super::{cascade, turn};
use crate::domain::again::Failure;
use crate::domain::build::{BuildId, FailureReason, Status};
use crate::domain::pipeline::states::PipelineState;
use crate::domain::time::Timestamp;
use crate::error::Result;
use crate::store::builds::{self, BuildState};
use crate::store::{pipelines, traces};
use rusqlite::Connection;

/// Ends a build, makes it again if that is due, and else decides about those that wait for it. What its runner says of a
/// failure beyond the reason is stored before.
///
/// # Errors
/// [`crate::error::Kind::Conflict`] if the build may not change so.
pub fn finish(
    c: &Connection,
    build: &BuildState,
    to: Status,
    reason: Option<FailureReason>,
    now: Timestamp,
) -> Result<()> {
    end(c, build, to, reason, now)?;
    if let Some(reason) = reason
        && to == Status::Failed
        && after_failure(c, build, reason, now)?.is_some()
    {
        return turn::hand_on(c, build, now);
    }
    turn::hand_on(c, build, now)?;
    cascade::after_end(c, build.id, now)?;
    // Who was queued alone has no pipeline that another one waits for.
    if build.is_staged { settle_parent(c, build.id, now) } else { Ok(()) }
}

/// Ends a build, and decides about no other one.
///
/// # Errors
/// [`crate::error::Kind::Conflict`] if the build may not change so.
pub fn end(
    c: &Connection,
    build: &BuildState,
    to: Status,
    reason: Option<FailureReason>,
    now: Timestamp,
) -> Result<()> {
    builds::change_status(c, build.id, build.status, to, reason, now)?;
    if build.status == Status::Running {
        if to == Status::Canceled { traces::trim(c, build.id)? } else { traces::finish(c, build.id)? }
    }
    Ok(())
}

/// Ends a job that waits for its child, if that has ended.
pub fn settle(c: &Connection, id: BuildId, now: Timestamp) -> Result<()> {
    let Some(build) = builds::state(c, id)?.filter(|build| build.status == Status::Running) else { return Ok(()) };
    let Some(child) = pipelines::children(c, id)?.pop() else { return Ok(()) };
    let (to, reason) = match pipelines::standing(c, child)?.state() {
        PipelineState::Success | PipelineState::Skipped => (Status::Success, None),
        PipelineState::Failed => (Status::Failed, Some(FailureReason::RunnerFailure)),
        PipelineState::Canceled => (Status::Canceled, None),
        PipelineState::Created
        | PipelineState::WaitingForResource
        | PipelineState::Pending
        | PipelineState::Running
        | PipelineState::Scheduled
        | PipelineState::Manual => return Ok(()),
    };
    if reason.is_some() {
        builds::set_failure(c, id, Some(&format!("its pipeline {child} failed")), None)?;
    }
    finish(c, &build, to, reason, now)
}

/// Ends the job that waits for the pipeline of this build, if that build was the last of it.
fn settle_parent(c: &Connection, id: BuildId, now: Timestamp) -> Result<()> {
    match pipelines::parent_of_build(c, id)? {
        Some(parent) => settle(c, parent, now),
        None => Ok(()),
    }
}

/// Notes whether a failure is allowed, and makes the build again if that is due. Returns the new build.
fn after_failure(c: &Connection, build: &BuildState, reason: FailureReason, now: Timestamp) -> Result<Option<BuildId>> {
    let id = build.id;
    let failed = builds::failed(c, id)?;
    let failure = Failure { reason, text: failed.text.as_deref(), exit_code: failed.exit_code };
    if failed.allow_failure.allows(&failure) {
        builds::allow_failure(c, id)?;
    }
    if !failed.retry.is_some_and(|retry| retry.is_due(&failure, failed.retries)) {
        return Ok(None);
    }
    // What it needs has ended well, else it had not run.
    let needs = builds::needs_in_full(c, id)?;
    let status = if build.resource_group.is_some() { Status::WaitingForResource } else { Status::Pending };
    let again = builds::repeat(c, id, &needs, status, failed.retries + 1, now)?;
    builds::wait_for_another(c, id, again)?;
    Ok(Some(again))
}
