//! Why builds wait, in words for people.

use crate::coordinator::runners::at_work;
use crate::domain::build::{Build, Status};
use crate::domain::pending::{Asked, UNSERVED, needs_reason, pending_reason};
use crate::domain::runner::RunnerAtWork;
use crate::domain::time::Timestamp;
use crate::error::Result;
use crate::store::builds;
use rusqlite::Connection;
use std::collections::HashMap;

/// Why builds wait: runners are looked at once, and once for all builds that ask for the same.
pub struct Reasons {
    is_served: bool,
    now: Timestamp,
    runners: Option<Vec<RunnerAtWork>>,
    known: HashMap<Asked, String>,
}

impl Reasons {
    /// As of `now`, for whom a server runs or not.
    pub fn of(is_served: bool, now: Timestamp) -> Reasons {
        Reasons { is_served, now, runners: None, known: HashMap::new() }
    }

    /// Why this build waits; `None` if it does not.
    pub fn of_build(&mut self, c: &Connection, build: &Build) -> Result<Option<String>> {
        match build.status {
            Status::Created => waits_for(c, build).map(Some),
            Status::Pending => self.of_pending(c, build).map(Some),
            Status::Running | Status::Success | Status::Failed | Status::Canceled | Status::Skipped => Ok(None),
        }
    }

    fn of_pending(&mut self, c: &Connection, build: &Build) -> Result<String> {
        if !self.is_served {
            return Ok(UNSERVED.to_owned());
        }
        let has_sources = builds::has_sources(c, build.id)?;
        let asked = Asked { project: build.project_id, tags: build.tags.clone(), has_sources };
        if let Some(reason) = self.known.get(&asked) {
            return Ok(reason.clone());
        }
        let runners = match self.runners.take() {
            Some(runners) => runners,
            None => at_work(c)?,
        };
        let reason = pending_reason(&asked, self.runners.insert(runners), self.now);
        self.known.insert(asked, reason.clone());
        Ok(reason)
    }
}

fn waits_for(c: &Connection, build: &Build) -> Result<String> {
    let mut open = Vec::new();
    for id in &build.needs {
        let needed = builds::state(c, *id)?.filter(|needed| needed.as_need() != Status::Success);
        open.extend(needed.map(|needed| (needed.id, needed.status)));
    }
    Ok(needs_reason(&open))
}
