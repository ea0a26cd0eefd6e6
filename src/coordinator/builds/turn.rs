//! A build whose turn has come: it is pending at once, when its time comes, or when nobody else has what it shares.
//!
//! What must stay true: of the builds of a project that share a resource, one at a time is pending or running. Whoever ends
//! it, hands the resource on in the same transaction.

use crate::coordinator::Coordinator;
use crate::domain::build::{BuildId, Status};
use crate::domain::time::Timestamp;
use crate::error::Result;
use crate::store::builds::{self, BuildState};
use crate::store::jobs;
use rusqlite::Connection;
use std::time::Duration;

/// Builds whose time has come, of which one commit takes so many.
const DUE_PER_COMMIT_MAX: usize = 200;

impl Coordinator {
    /// Makes builds pending whose time has come. To be called each second. Returns how many there were.
    pub fn start_due(&self, now: Timestamp) -> Result<usize> {
        let due = self.store.read(|c| jobs::due(c, false, now, DUE_PER_COMMIT_MAX))?;
        if due.is_empty() {
            return Ok(0);
        }
        self.store.write(move |c| {
            for id in &due {
                if builds::state(c, *id)?.is_some_and(|build| build.status == Status::Scheduled) {
                    take(c, *id, Status::Scheduled, Status::Pending, now)?;
                }
            }
            Ok(due.len())
        })
    }
}

/// Changes a build's state to that of which it was decided: what is to be pending may have to wait for what it shares, and
/// what is scheduled learns its time. Returns the state that it has.
pub fn take(c: &Connection, id: BuildId, from: Status, to: Status, now: Timestamp) -> Result<Status> {
    let to = match (to, builds::state(c, id)?) {
        (Status::Pending, Some(BuildState { resource_group: Some(group), project_id, .. }))
            if jobs::holder(c, project_id, &group)?.is_some() =>
        {
            Status::WaitingForResource
        }
        // No runner gets it: it makes a pipeline, at once.
        (Status::Pending, _) if jobs::by_id(c, id)?.is_some_and(|job| job.is_trigger) => {
            jobs::set_time(c, id, Some(now))?;
            if from == Status::Scheduled {
                return Ok(Status::Scheduled);
            }
            Status::Scheduled
        }
        (Status::Scheduled, _) => {
            let wait = jobs::by_id(c, id)?.and_then(|job| job.start_in_s).unwrap_or_default();
            let wait = Duration::from_secs(u64::try_from(wait).unwrap_or_default());
            jobs::set_time(c, id, Some(now.plus(wait)))?;
            Status::Scheduled
        }
        (to, _) => to,
    };
    builds::change_status(c, id, from, to, None, now)?;
    Ok(to)
}

/// Hands on what a build shared that has ended.
pub fn hand_on(c: &Connection, build: &BuildState, now: Timestamp) -> Result<()> {
    let Some(group) = &build.resource_group else { return Ok(()) };
    if jobs::holder(c, build.project_id, group)?.is_none()
        && let Some(next) = jobs::next_holder(c, build.project_id, group)?
    {
        take(c, next, Status::WaitingForResource, Status::Pending, now)?;
    }
    Ok(())
}
