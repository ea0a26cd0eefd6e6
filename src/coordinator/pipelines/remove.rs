//! A pipeline goes, with the builds, logs and artifacts that are its own.
//!
//! What must stay true: nothing that runs or waits loses what it needs: such a pipeline stays, and says for whom.

use super::no_such;
use crate::coordinator::Coordinator;
use crate::coordinator::builds::finish::finish;
use crate::domain::build::{BuildId, Status};
use crate::domain::pipeline::PipelineId;
use crate::domain::time::Timestamp;
use crate::error::{Error, Kind, Result};
use crate::store::artifacts::Files;
use crate::store::{builds, lists, pipelines, retention};
use rusqlite::Connection;

impl Coordinator {
    /// Removes a pipeline. What has not ended of it is canceled first, also jobs that nobody has started. Pipelines that its
    /// builds have made stay.
    ///
    /// # Errors
    /// [`Kind::NotFound`]; [`Kind::Conflict`] while a build of another pipeline, which has not ended, needs one of it.
    pub fn remove_pipeline(&self, id: PipelineId, now: Timestamp) -> Result<()> {
        match self.cancel_pipeline(id, now) {
            // Nothing of it goes on.
            Err(error) if error.kind == Kind::Conflict => {}
            other => drop(other?),
        }
        let files = self.store.write(move |c| remove(c, id, now))?;
        self.artifacts.remove(&files);
        Ok(())
    }
}

fn remove(c: &Connection, id: PipelineId, now: Timestamp) -> Result<Files> {
    pipelines::by_id(c, id)?.ok_or_else(|| no_such(id))?;
    // The end of one may begin another.
    while let Some(build) = first_unfinished(c, id)? {
        let state = builds::state(c, build)?.ok_or_else(|| Error::internal(format!("build {build} has vanished")))?;
        finish(c, &state, Status::Canceled, None, now)?;
    }
    let all = lists::of_pipeline(c, id, true)?;
    for (build, _) in &all {
        if let Some(other) = retention::waits_for(c, *build)? {
            let said =
                format!("build {other} of another pipeline, which has not ended, needs build {build} of pipeline {id}");
            return Err(Error::new(Kind::Conflict, said));
        }
    }
    let mut files = Files::new();
    for (build, _) in all {
        files.extend(retention::remove_build(c, build)?);
    }
    pipelines::remove_if_empty(c, id)?;
    Ok(files)
}

fn first_unfinished(c: &Connection, id: PipelineId) -> Result<Option<BuildId>> {
    let open = lists::of_pipeline(c, id, true)?.into_iter().find(|(_, status)| !status.is_finished());
    Ok(open.map(|(build, _)| build))
}
