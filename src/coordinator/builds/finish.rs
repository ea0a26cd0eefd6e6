//! The one place where every end of a build passes.

use super::cascade;
use crate::domain::build::{FailureReason, Status};
use crate::domain::time::Timestamp;
use crate::error::Result;
use crate::store::builds::{self, BuildState};
use crate::store::traces;
use rusqlite::Connection;

/// Ends a build, and decides about those that wait for it.
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
    cascade::after_end(c, build.id, now)
}
