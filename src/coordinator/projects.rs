//! Projects and their CI tokens.

use super::Coordinator;
use super::builds::finish::finish;
pub use super::project_by_name::named;
use super::upkeep::retention::{Removal, step_aside};
use crate::domain::build::{ProjectId, Status, check_repo_url, check_word};
use crate::domain::repo_url::with_login;
use crate::domain::time::Timestamp;
use crate::domain::token::Token;
use crate::error::{Error, Kind, Result};
use crate::store::builds;
use crate::store::projects::{self, Belongings, Project};
use crate::store::retention::Past;
use crate::store::usage::Taken;
use std::time::{Duration, Instant};

/// Builds that one commit cancels.
const CANCELED_PER_COMMIT: usize = 200;

/// How often a project is looked at anew that gets builds while it is being removed.
const REMOVAL_TRIES_MAX: usize = 20;

/// What is to be another of a project; `None` stays as it is. Has no `Debug`, since it may hold a password.
#[derive(Default)]
pub struct ProjectChange {
    /// Its name.
    pub name: Option<String>,
    /// Where runners fetch its sources from; `Some(None)`: nowhere.
    pub repo_url: Option<Option<String>>,
    /// With what it is fetched, as `user:password`: they become part of its URL.
    pub repo_credentials: Option<String>,
    /// Longest run of builds that are queued from now on.
    pub timeout: Option<Duration>,
}

/// What went with a project.
#[derive(Debug)]
pub struct RemovedProject {
    /// Its name, as it was written.
    pub name: String,
    /// Its builds, with their logs and artifacts.
    pub taken: Taken,
    /// Its runners.
    pub runners: u64,
}

impl Coordinator {
    /// The names of all projects.
    pub fn project_names(&self) -> Result<Vec<String>> {
        self.store.read(|c| Ok(projects::all(c)?.into_iter().map(|project| project.name).collect()))
    }

    /// Adds a project.
    ///
    /// # Errors
    /// [`Kind::Invalid`] for a bad name or URL, [`Kind::Conflict`] for a name that is taken.
    pub fn add_project(
        &self,
        name: &str,
        repo_url: Option<&str>,
        timeout: Duration,
        now: Timestamp,
    ) -> Result<Project> {
        check(name, repo_url)?;
        check_new_name(name)?;
        let timeout_s = whole_seconds(timeout)?;
        let (name, repo_url) = (name.to_owned(), repo_url.map(str::to_owned));
        self.store.write(move |c| {
            if let Some(other) = projects::by_name(c, &name)? {
                return Err(taken(&other));
            }
            let id = projects::insert(c, &name, repo_url.as_deref(), &Token::new_secret()?, timeout_s, now)?;
            projects::by_id(c, id)?.ok_or_else(|| Error::internal("the new project has vanished"))
        })
    }

    /// Changes a project. Builds that wait get their sources from the new repository, unless they have their own; what
    /// runs goes on as it began.
    ///
    /// # Errors
    /// [`Kind::NotFound`]; [`Kind::Invalid`] for a bad name or URL, [`Kind::Conflict`] for a name that is taken.
    pub fn change_project(&self, name: &str, change: ProjectChange) -> Result<Project> {
        let timeout_s = change.timeout.map(whole_seconds).transpose()?;
        let name = name.to_owned();
        self.store.write(move |c| {
            let mut project = named(c, &name)?;
            if let Some(name) = change.name {
                // Its own name in other letters is not taken.
                if let Some(other) = projects::by_name(c, &name)?.filter(|other| other.id != project.id) {
                    return Err(taken(&other));
                }
                check_new_name(&name)?;
                project.name = name;
            }
            if let Some(repo_url) = change.repo_url.filter(|new| *new != project.repo_url) {
                project.repo_url = repo_url;
                projects::set_default_branch(c, project.id, None)?;
                project.default_branch = None;
            }
            if let Some(login) = change.repo_credentials {
                let url = project.repo_url.as_deref().and_then(|url| with_login(url, &login));
                let why = "credentials are `user:token`, and go with a repository URL of http or https";
                project.repo_url = Some(url.ok_or_else(|| Error::invalid(why))?);
            }
            project.timeout_s = timeout_s.unwrap_or(project.timeout_s);
            check(&project.name, project.repo_url.as_deref())?;
            projects::update(c, &project)?;
            Ok(project)
        })
    }

    /// Removes a project, its CI token, and the runners that take its builds only; with `force`, also its builds, of
    /// which those that have not ended are canceled first. Canceling and removing are done in pieces, so that no commit
    /// is long: whoever stops it may begin it anew.
    ///
    /// # Errors
    /// [`Kind::NotFound`]; [`Kind::Conflict`] for a project that has builds, without `force`.
    pub fn remove_project(&self, name: &str, force: bool, now: Timestamp) -> Result<RemovedProject> {
        let (project, owned) = self.store.read(|c| {
            let project = named(c, name)?;
            let owned = projects::belongings(c, project.id)?;
            Ok((project, owned))
        })?;
        if owned.builds > 0 && !force {
            return Err(has_builds(&project.name, &owned));
        }
        let (id, mut taken) = (project.id, Taken::default());
        let past = Past { ended_by: Timestamp(i64::MAX), project: Some(id) };
        for _ in 0..REMOVAL_TRIES_MAX {
            if force {
                self.cancel_all(id, now)?;
                taken = taken.and(self.prune_past(past, Removal::Done)?);
            }
            // They hold nothing that anybody would miss.
            self.prune_refused_past(past, Removal::Done, u64::MAX)?;
            let owned = self.store.write(move |c| {
                let owned = projects::belongings(c, id)?;
                if !owned.has_pipelines {
                    projects::remove(c, id, now)?;
                }
                Ok(owned)
            })?;
            match owned.builds {
                0 if owned.has_pipelines => {}
                0 => return Ok(RemovedProject { name: project.name, taken, runners: owned.runners }),
                _ if force => {}
                _ => return Err(has_builds(&project.name, &owned)),
            }
        }
        let name = project.name;
        Err(Error::new(Kind::Busy, format!("somebody queues builds of project {name:?} all the time")))
    }

    /// Cancels all builds of a project, the newest first, so that none is left that waits for one that ends.
    fn cancel_all(&self, id: ProjectId, now: Timestamp) -> Result<()> {
        loop {
            let begun = Instant::now();
            let canceled = self.store.write(move |c| {
                let newest = projects::newest_unfinished(c, id, CANCELED_PER_COMMIT)?;
                for build in &newest {
                    if let Some(build) = builds::state(c, *build)?.filter(|build| !build.status.is_finished()) {
                        finish(c, &build, Status::Canceled, None, now)?;
                    }
                }
                Ok(newest.len())
            })?;
            if canceled == 0 {
                return Ok(());
            }
            step_aside(begun);
        }
    }

    /// The project of this name.
    ///
    /// # Errors
    /// [`Kind::NotFound`], with the nearest name.
    pub fn project(&self, name: &str) -> Result<Project> {
        self.store.read(|c| named(c, name))
    }

    /// The project of this name, whatever its case; `None`: there is none.
    pub fn project_by_name(&self, name: &str) -> Result<Option<Project>> {
        self.store.read(|c| projects::by_name(c, name))
    }

    /// The project of this id; `None`: there is none.
    pub fn project_by_id(&self, id: ProjectId) -> Result<Option<Project>> {
        self.store.read(|c| projects::by_id(c, id))
    }

    /// When something was last asked for in this project; `None`: never.
    pub fn last_asked_at(&self, id: ProjectId) -> Result<Option<Timestamp>> {
        self.store.read(|c| projects::last_asked_at(c, id))
    }

    /// All projects, oldest first.
    pub fn list_projects(&self) -> Result<Vec<Project>> {
        self.store.read(projects::all)
    }
}

fn check(name: &str, repo_url: Option<&str>) -> Result<()> {
    check_word("the project's name", name).map_err(Error::invalid)?;
    repo_url.map_or(Ok(()), check_repo_url).map_err(Error::invalid)
}

/// Programs take digits for a project's number, and the begin of some paths is taken.
fn check_new_name(name: &str) -> Result<()> {
    let mut segments = name.split('/');
    let first = segments.next().unwrap_or_default();
    if ["api", "ci", "git", "-"].contains(&first) || segments.any(|segment| segment == "-") {
        let why = "the project's name must not begin with api/, ci/ or git/, nor have a part that is -: these are paths of the server";
        return Err(Error::invalid(why));
    }
    if !name.is_empty() && name.bytes().all(|c| c.is_ascii_digit()) {
        return Err(Error::invalid("the project's name must not be a number, which is a project's id"));
    }
    Ok(())
}

fn whole_seconds(timeout: Duration) -> Result<i64> {
    match i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX) {
        0 => Err(Error::invalid("the timeout must be at least one second")),
        seconds => Ok(seconds),
    }
}

fn taken(other: &Project) -> Error {
    Error::new(Kind::Conflict, format!("there is a project {:?} already", other.name))
}

fn has_builds(name: &str, owned: &Belongings) -> Error {
    let (builds, unfinished) = (owned.builds, owned.unfinished);
    let s = if builds == 1 { "" } else { "s" };
    Error::new(
        Kind::Conflict,
        format!(
            "project {name:?} has {builds} build{s}, of which {unfinished} have not ended; with --force they are \
             canceled, and all go with their logs and artifacts"
        ),
    )
}
