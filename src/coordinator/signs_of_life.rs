//! Signs of life: any call of a runner for a build says that it lives. They are written at most once a step, so that a
//! talkative runner costs no writes.

use crate::domain::build::Status;
use crate::domain::time::Timestamp;
use crate::error::Result;
use crate::store::builds::{self, BuildState};
use rusqlite::Connection;
use std::time::Duration;

/// Notes that a running build's runner lives, at most once a step.
pub fn touch(c: &Connection, build: &BuildState, step: Duration, now: Timestamp) -> Result<()> {
    if is_due(build, step, now) { builds::touch(c, build.id, now) } else { Ok(()) }
}

/// Whether the build runs, and its stored sign of life is a step old, or there is none yet.
pub fn is_due(build: &BuildState, step: Duration, now: Timestamp) -> bool {
    let is_old = build.seen_at.is_none_or(|at| now.since(at) >= step);
    build.status == Status::Running && (is_old || build.is_unheard)
}
