//! The one place where every end of a build passes.
//!
//! What must stay true: a build that failed and is made again by itself is made again in the transaction that ends it, and
//! those that wait for it wait for the new one from that moment on. So none of them is decided by the first one's end.

use super::cascade;
use crate::domain::again::Failure;
use crate::domain::build::{BuildId, FailureReason, Status};
use crate::domain::time::Timestamp;
use crate::error::Result;
use crate::store::builds::{self, BuildState};
use crate::store::traces;
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
    builds::change_status(c, build.id, build.status, to, reason, now)?;
    if build.status == Status::Running {
        traces::finish(c, build.id)?;
    }
    if let Some(reason) = reason
        && to == Status::Failed
        && after_failure(c, build.id, reason, now)?.is_some()
    {
        return Ok(());
    }
    cascade::after_end(c, build.id, now)
}

/// Notes whether a failure is allowed, and makes the build again if that is due. Returns the new build.
fn after_failure(c: &Connection, id: BuildId, reason: FailureReason, now: Timestamp) -> Result<Option<BuildId>> {
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
    let again = builds::repeat(c, id, &needs, Status::Pending, failed.retries + 1, now)?;
    builds::wait_for_another(c, id, again)?;
    Ok(Some(again))
}
