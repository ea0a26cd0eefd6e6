//! Builds as operators deal with them: queue, list, cancel, retry, erase.

pub(super) mod cascade;
pub(super) mod finish;
#[cfg(test)]
mod model_tests;
pub(super) mod reasons;
pub(super) mod retry;
pub(super) mod turn;

use self::finish::finish;
use self::reasons::{Reasons, runs_without};
use self::retry::counting;
use super::Coordinator;
use super::project_by_name::named;
use super::project_variables::of_builds;
use super::upkeep::serving::is_served;
use crate::domain::build::{Build, BuildId, NewBuild, ProjectId, Status, Variable, after_needs};
use crate::domain::pipeline::{PipelineId, Source};
use crate::domain::runner::RunnerId;
use crate::domain::time::Timestamp;
use crate::error::{Error, Kind, Result};
use crate::store::artifacts::{self, Stored};
use crate::store::builds::{self, Filter};
use crate::store::jobs::Place;
use crate::store::pipelines::{self, NewRow};
use crate::store::{managers, runner_builds, traces};
use rusqlite::Connection;
use std::collections::HashMap;

/// A build, why it is not running yet, and how it runs.
pub struct BuildReport {
    /// The build.
    pub build: Build,
    /// Only for builds that wait.
    pub pending_reason: Option<String>,
    /// Only for builds that run: what they do without, since their runner does not know it.
    pub runs_without: Vec<&'static str>,
    /// What it has uploaded that has not expired.
    pub artifacts: Vec<Stored>,
    /// The newest of the builds that repeat it.
    pub repeated_by: Option<BuildId>,
    /// What the manager calls itself that has or had it: one machine of several that share the runner's token.
    pub manager: Option<String>,
}

impl BuildReport {
    pub(super) fn of(c: &Connection, build: Build, reasons: &mut Reasons, now: Timestamp) -> Result<BuildReport> {
        Ok(BuildReport {
            pending_reason: reasons.of_build(c, &build)?,
            runs_without: runs_without(c, &build)?,
            artifacts: artifacts::all_of_build(c, build.id, now)?,
            repeated_by: builds::repeated_by(c, build.id)?,
            manager: if build.runner.is_some() { managers::system_for(c, build.id)? } else { None },
            build,
        })
    }

    /// The builds of these ids, as far as they are there.
    pub(super) fn of_ids(
        c: &Connection,
        ids: &[BuildId],
        reasons: &mut Reasons,
        now: Timestamp,
    ) -> Result<Vec<BuildReport>> {
        let mut all = Vec::with_capacity(ids.len());
        for id in ids {
            let build = builds::by_id(c, *id, now)?;
            all.extend(build.map(|build| BuildReport::of(c, build, reasons, now)).transpose()?);
        }
        Ok(all)
    }
}

/// One build of several that are queued together: `needs` may name others of them.
pub struct Queued {
    /// The build.
    pub new: NewBuild,
    /// Names of builds earlier in the same list, in addition to `new.needs`.
    pub needs_names: Vec<String>,
}

impl From<NewBuild> for Queued {
    fn from(new: NewBuild) -> Queued {
        Queued { new, needs_names: Vec::new() }
    }
}

/// What became of a build that somebody canceled.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cancel {
    /// It has ended.
    Done,
    /// Its runner is asked to bring it to an end.
    Asked,
}

/// What an unknown id is answered.
pub fn no_such(id: BuildId) -> Error {
    Error::not_found(format!("there is no build {id}; `baton build list` shows them"))
}

impl Coordinator {
    /// Queues these builds, all of them or, on an error, none. Returns their ids in order.
    ///
    /// # Errors
    /// [`Kind::Invalid`] or [`Kind::NotFound`] says which build of several is wrong, and how.
    pub fn add_builds(&self, queued: Vec<Queued>, now: Timestamp) -> Result<Vec<BuildId>> {
        self.add_builds_for(None, queued, now)
    }

    /// The same for a runner that was made for them, if there is one: nobody else takes them.
    ///
    /// # Errors
    /// As [`Coordinator::add_builds`].
    pub fn add_builds_for(
        &self,
        runner: Option<RunnerId>,
        queued: Vec<Queued>,
        now: Timestamp,
    ) -> Result<Vec<BuildId>> {
        let several = queued.len() > 1;
        self.store.write(move |c| {
            let mut ids = Vec::with_capacity(queued.len());
            let mut by_name = HashMap::new();
            // Of each project one: those that are queued together are a pipeline.
            let mut made = HashMap::new();
            for (index, mut item) in queued.into_iter().enumerate() {
                let name = item.new.name.clone();
                let added = resolve_names(&mut item, &by_name).and_then(|()| add_build(c, item.new, &mut made, now));
                let id = added.map_err(|error| {
                    let place = if several { format!("build {} of the list: ", index + 1) } else { String::new() };
                    Error::new(error.kind, format!("{place}{}", error.message))
                })?;
                if let Some(runner) = runner {
                    runner_builds::give(c, runner, id)?;
                }
                by_name.insert(name, id);
                ids.push(id);
            }
            Ok(ids)
        })
    }

    /// A build, and why it waits.
    ///
    /// # Errors
    /// [`Kind::NotFound`] for an unknown build.
    pub fn show_build(&self, id: BuildId, now: Timestamp) -> Result<BuildReport> {
        let mut reasons = Reasons::of(is_served(&self.data)?, now);
        self.store.read(|c| {
            let build = builds::by_id(c, id, now)?.ok_or_else(|| no_such(id))?;
            BuildReport::of(c, build, &mut reasons, now)
        })
    }

    /// Builds, newest first, each with why it waits.
    ///
    /// # Errors
    /// [`Kind::NotFound`] for an unknown project.
    pub fn list_builds(
        &self,
        project: Option<&str>,
        status: Option<Status>,
        limit: Option<u32>,
        now: Timestamp,
    ) -> Result<Vec<BuildReport>> {
        let mut reasons = Reasons::of(is_served(&self.data)?, now);
        self.store.read(|c| {
            let project = project.map(|name| named(c, name)).transpose()?.map(|project| project.id);
            let list = builds::list(c, &Filter { project, status, limit, ..Filter::default() }, now)?;
            list.into_iter().map(|build| BuildReport::of(c, build, &mut reasons, now)).collect()
        })
    }

    /// Ends a build that has not ended. A runner that has it is told at its next call. If it can run what comes after the
    /// script, the build ends when it has done so, at most some minutes later; a second call ends it at once.
    ///
    /// # Errors
    /// [`Kind::NotFound`]; [`Kind::Conflict`] for a build that has ended.
    pub fn cancel_build(&self, id: BuildId, now: Timestamp) -> Result<Cancel> {
        let cancel = self.store.write(move |c| {
            let build = builds::state(c, id)?.ok_or_else(|| no_such(id))?;
            if build.status.is_finished() {
                return Err(Error::new(Kind::Conflict, format!("build {id} has ended already: {}", build.status)));
            }
            if builds::ask_for_end(c, id, now)? {
                return Ok(Cancel::Asked);
            }
            finish(c, &build, Status::Canceled, None, now)?;
            Ok(Cancel::Done)
        })?;
        // It is canceled. What comes after it is the server's to go on with, should this process end here.
        while self.decide(now).unwrap_or_else(|error| {
            log::warn!("build {id} is canceled; those that need it are skipped later: {error}");
            false
        }) {}
        Ok(cancel)
    }

    /// Removes a finished build's trace and artifacts; the build itself stays listed.
    ///
    /// # Errors
    /// [`Kind::NotFound`]; [`Kind::Conflict`] for a build that has not ended.
    pub fn erase_build(&self, id: BuildId, now: Timestamp) -> Result<()> {
        let files = self.store.write(move |c| {
            let build = builds::state(c, id)?.ok_or_else(|| no_such(id))?;
            if !build.status.is_finished() {
                let hint = format!("build {id} is {}; only builds that have ended can be erased", build.status);
                return Err(Error::new(Kind::Conflict, hint));
            }
            traces::remove(c, id)?;
            builds::set_erased(c, id, now)?;
            artifacts::remove_all(c, id)
        })?;
        self.artifacts.remove(&files);
        Ok(())
    }
}

fn resolve_names(item: &mut Queued, by_name: &HashMap<String, BuildId>) -> Result<()> {
    for name in &item.needs_names {
        let id = by_name.get(name).ok_or_else(|| {
            Error::invalid(format!("needs {name:?}, but no build of that name stands before it in the list"))
        })?;
        item.new.needs.push(*id);
    }
    Ok(())
}

fn add_build(
    c: &Connection,
    mut new: NewBuild,
    made: &mut HashMap<ProjectId, PipelineId>,
    now: Timestamp,
) -> Result<BuildId> {
    let project = named(c, &new.project)?;
    let own = of_builds(c, &project, project.default_branch.as_deref(), (&new.ref_, new.is_tag))?;
    let given = std::mem::take(&mut new.variables);
    new.variables = own.into_iter().map(Variable::from).chain(given).collect();
    new.check().map_err(Error::invalid)?;
    let mut needs = Vec::with_capacity(new.needs.len());
    for id in &mut new.needs {
        let needed = counting(c, *id)?.ok_or_else(|| no_such(*id))?;
        // Else a project's build would read another project's artifacts.
        if needed.project_id != project.id {
            return Err(Error::invalid(format!("needs build {id}, which is of another project")));
        }
        needs.push(needed.as_need());
        *id = needed.id;
    }
    let status = after_needs(needs).unwrap_or(Status::Created);
    let pipeline = match made.get(&project.id) {
        Some(pipeline) => *pipeline,
        None => {
            let row = NewRow {
                ref_: &new.ref_,
                is_tag: new.is_tag,
                sha: new.sha.as_deref(),
                before_sha: new.before_sha.as_deref(),
                source: Source::Api,
                ..NewRow::default()
            };
            pipelines::insert(c, project.id, &row, now)?
        }
    };
    made.insert(project.id, pipeline);
    let timeout_s = new.timeout_s.unwrap_or(project.timeout_s);
    builds::insert(c, &new, Some(Place { pipeline, job: None }), project.id, timeout_s, status, now)
}
