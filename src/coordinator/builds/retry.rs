//! Builds that somebody has made once more, or starts by hand.
//!
//! What must stay true: what was skipped behind a job that is started waits again, in the transaction that starts it; what
//! becomes of it is decided by the rules of `domain/pipeline/board.rs`.

use super::cascade::decide_all;
use super::no_such;
use super::turn::take;
use crate::coordinator::Coordinator;
use crate::domain::build::{Build, BuildId, Status, after_needs};
use crate::domain::pipeline::PipelineId;
use crate::domain::pipeline::board::{Board, Change};
use crate::domain::time::Timestamp;
use crate::error::{Error, Kind, Result};
use crate::store::builds::{self, BuildState};
use crate::store::jobs;
use rusqlite::Connection;

impl Coordinator {
    /// Queues a finished build once more, as a new one. Of the builds that it needs, those that ended badly and
    /// were repeated since are replaced by the newest that repeats them. Returns the new id. In the pipeline of a
    /// configuration, what was skipped behind it waits again.
    ///
    /// # Errors
    /// [`Kind::NotFound`]; [`Kind::Conflict`] for a build that has not ended, and for a job that was repeated already.
    pub fn retry_build(&self, id: BuildId, now: Timestamp) -> Result<BuildId> {
        self.store.write(move |c| {
            let build = builds::by_id(c, id, now)?.ok_or_else(|| no_such(id))?;
            if !build.status.is_finished() {
                let hint = format!("build {id} is {}; `baton build cancel {id}` ends it", build.status);
                return Err(Error::new(Kind::Conflict, hint));
            }
            // What is damaged is said here, not to a runner.
            builds::spec(c, id)?;
            if build.stage_index.is_some() {
                return retry_job(c, &build, now);
            }
            let (mut needs, mut states) = (Vec::new(), Vec::new());
            for (needed, artifacts) in builds::needs_in_full(c, id)? {
                if let Some(counting) = counting(c, needed)? {
                    states.push(counting.as_need());
                    needs.push((counting.id, artifacts));
                }
            }
            builds::repeat(c, id, &needs, after_needs(states).unwrap_or(Status::Created), 0, now)
        })
    }
}

/// The build that counts for those who need this one: itself, or, if it ended badly and was repeated, the newest that
/// repeats it. `None`: there is no such build.
pub fn counting(c: &Connection, id: BuildId) -> Result<Option<BuildState>> {
    let build = builds::state(c, id)?;
    // A failure that is allowed is one: its repetition counts.
    let ended_badly = |build: &BuildState| build.status.is_finished() && build.status != Status::Success;
    if build.as_ref().is_some_and(ended_badly) { builds::state(c, builds::latest(c, id)?) } else { Ok(build) }
}

/// Repeats a job of a pipeline that has ended, and starts it.
fn retry_job(c: &Connection, build: &Build, now: Timestamp) -> Result<BuildId> {
    let id = build.id;
    if let Some(by) = build.retried_by {
        let said = format!("build {id} was repeated as build {by}; `baton build retry {by}` repeats that");
        return Err(Error::new(Kind::Conflict, said));
    }
    if build.status == Status::Skipped {
        let said = format!("build {id} was skipped; it runs by itself when those before it are repeated and go well");
        return Err(Error::new(Kind::Conflict, said));
    }
    let new = repeat(c, build, now)?;
    match build.pipeline_id {
        Some(pipeline) => restart(c, pipeline, new, now)?,
        None => decide_all(c, &[new], now)?,
    }
    Ok(new)
}

/// Makes a job anew that waits; what had not run behind the old one waits for the new one.
pub fn repeat(c: &Connection, build: &Build, now: Timestamp) -> Result<BuildId> {
    let needs = builds::needs_in_full(c, build.id)?;
    let mut newest = Vec::with_capacity(needs.len());
    for (needed, artifacts) in needs {
        newest.push((builds::latest(c, needed)?, artifacts));
    }
    let new = builds::repeat(c, build.id, &newest, Status::Created, 0, now)?;
    builds::wait_for_another(c, build.id, new)?;
    Ok(new)
}

/// Makes a job pending, and has what was skipped behind it wait again.
pub fn restart(c: &Connection, pipeline: PipelineId, id: BuildId, now: Timestamp) -> Result<()> {
    let (ids, board_jobs) = jobs::board(c, pipeline)?;
    let Some(place) = ids.iter().position(|other| *other == id) else {
        return Err(Error::internal(format!("build {id} is none of pipeline {pipeline}")));
    };
    for Change { job, from, to, .. } in Board::new(board_jobs).restart(place) {
        if let Some(id) = ids.get(job) {
            take(c, *id, from, to, now)?;
        }
    }
    Ok(())
}
