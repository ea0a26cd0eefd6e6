//! Runners: registration by themselves, and by the operator.

use super::Coordinator;
use super::builds::finish::finish;
use crate::domain::build::{FailureReason, Status};
use crate::domain::runner::{Runner, RunnerAtWork, RunnerId, RunningBuild};
use crate::domain::tags::Tags;
use crate::domain::time::Timestamp;
use crate::domain::token::{Token, TokenHash};
use crate::error::{Error, Kind, Result};
use crate::store::runners::NewRunner;
use crate::store::{builds, projects, runners, settings};
use rusqlite::Connection;
use std::collections::HashMap;

/// A new runner's id and token; the token is shown this once.
#[derive(Debug)]
pub struct Registration {
    /// Its id.
    pub id: RunnerId,
    /// Its token.
    pub token: Token,
}

/// What is to be another of a runner; `None` stays as it is.
#[derive(Debug, Default)]
pub struct RunnerChange {
    /// What its owner calls it.
    pub description: Option<String>,
    /// What it offers.
    pub tags: Option<Tags>,
    /// Whether it takes builds without tags.
    pub run_untagged: Option<bool>,
}

/// Longest description, in bytes.
const DESCRIPTION_BYTES_MAX: usize = 1024;

impl Coordinator {
    /// Makes a runner for the holder of a registration token: a shared one for the installation's token, one of
    /// a project for the project's CI token (protocol 1.8).
    ///
    /// # Errors
    /// [`Kind::Forbidden`] for another token; [`Kind::NotFound`] for a runner that could take nothing, as in
    /// GitLab.
    pub fn register_runner(&self, token: Option<Token>, mut new: NewRunner, now: Timestamp) -> Result<Registration> {
        check_description(&new.description)?;
        self.store.write(move |c| {
            let hash = token.ok_or_else(Error::forbidden)?.hash();
            let shared = Token::received(&settings::registration_token(c)?).is_some_and(|own| own.hash() == hash);
            if !shared {
                new.project = Some(projects::by_ci_token(c, hash)?.ok_or_else(Error::forbidden)?.id);
            }
            add(c, &new, now).map_err(|error| {
                let kind = if error.kind == Kind::Invalid { Kind::NotFound } else { error.kind };
                Error::new(kind, error.message)
            })
        })
    }

    /// Makes a runner without the handshake, of a project or of all.
    ///
    /// # Errors
    /// [`Kind::NotFound`] for an unknown project, [`Kind::Invalid`] for a runner that could take nothing.
    pub fn add_runner(&self, mut new: NewRunner, project: Option<&str>, now: Timestamp) -> Result<Registration> {
        let project = project.map(str::to_owned);
        self.store.write(move |c| {
            if let Some(name) = project {
                new.project = Some(super::projects::named(c, &name)?.id);
            }
            add(c, &new, now)
        })
    }

    /// All runners, oldest first.
    ///
    /// # Errors
    /// The database's.
    pub fn list_runners(&self) -> Result<Vec<Runner>> {
        self.store.read(runners::all)
    }

    /// All runners, oldest first, with what each does.
    ///
    /// # Errors
    /// The database's.
    pub fn runners_at_work(&self) -> Result<Vec<RunnerAtWork>> {
        self.store.read(at_work)
    }

    /// Makes a runner get no builds, or get them again.
    ///
    /// # Errors
    /// [`Kind::NotFound`] for an unknown runner.
    pub fn pause_runner(&self, id: RunnerId, paused: bool) -> Result<()> {
        self.store.write(move |c| {
            let runner = runners::by_id(c, id)?.ok_or_else(|| no_such(id))?;
            runners::set_paused(c, runner.id, paused)
        })
    }

    /// Changes what a runner is called and what it takes. What it runs goes on.
    ///
    /// # Errors
    /// [`Kind::NotFound`] for an unknown runner, [`Kind::Invalid`] for one that could take nothing.
    pub fn change_runner(&self, id: RunnerId, change: RunnerChange) -> Result<()> {
        self.store.write(move |c| {
            let runner = runners::by_id(c, id)?.ok_or_else(|| no_such(id))?;
            let description = change.description.unwrap_or(runner.description);
            let tags = change.tags.unwrap_or(runner.tags);
            let run_untagged = change.run_untagged.unwrap_or(runner.run_untagged);
            check(&description, &tags, run_untagged)?;
            runners::update(c, id, &description, &tags, run_untagged)
        })
    }

    /// Removes a runner; a build that it has fails with `runner_lost`.
    ///
    /// # Errors
    /// [`Kind::NotFound`] for an unknown runner.
    pub fn remove_runner(&self, id: RunnerId, now: Timestamp) -> Result<()> {
        self.store.write(move |c| {
            let runner = runners::by_id(c, id)?.ok_or_else(|| no_such(id))?;
            remove(c, runner.id, now)
        })
    }

    /// Removes the runner that holds `token`, at its own wish.
    ///
    /// # Errors
    /// [`Kind::Forbidden`] for anything but a runner's token.
    pub fn unregister_runner(&self, token: Option<&Token>, now: Timestamp) -> Result<RunnerId> {
        let hash: TokenHash = token.ok_or_else(Error::forbidden)?.hash();
        self.store.write(move |c| {
            let runner = runners::by_token(c, hash)?.ok_or_else(Error::forbidden)?;
            remove(c, runner.id, now)?;
            Ok(runner.id)
        })
    }
}

/// All runners, oldest first, with what each does.
///
/// # Errors
/// The database's.
pub fn at_work(c: &Connection) -> Result<Vec<RunnerAtWork>> {
    let mut builds: HashMap<RunnerId, Vec<RunningBuild>> = HashMap::new();
    for build in builds::running(c)? {
        let running = RunningBuild { id: build.id, started_at: build.started_at, seen_at: build.seen_at };
        if let Some(id) = build.runner_id {
            builds.entry(id).or_default().push(running);
        }
    }
    let with_builds = |runner: Runner| {
        let mut builds = builds.remove(&runner.id).unwrap_or_default();
        builds.sort_unstable_by_key(|build| build.id);
        RunnerAtWork { runner, builds }
    };
    Ok(runners::all(c)?.into_iter().map(with_builds).collect())
}

fn no_such(id: RunnerId) -> Error {
    Error::not_found(format!("there is no runner {id}; `baton runner list` shows them"))
}

fn add(c: &Connection, new: &NewRunner, now: Timestamp) -> Result<Registration> {
    check(&new.description, &new.tags, new.run_untagged)?;
    let token = Token::new_runner()?;
    Ok(Registration { id: runners::insert(c, new, token.hash(), now)?, token })
}

fn check(description: &str, tags: &Tags, run_untagged: bool) -> Result<()> {
    if !run_untagged && tags.is_empty() {
        return Err(Error::invalid("a runner without tags that takes no untagged builds could take none at all"));
    }
    check_description(description)
}

fn check_description(description: &str) -> Result<()> {
    if description.len() > DESCRIPTION_BYTES_MAX || description.contains(char::is_control) {
        return Err(Error::invalid(format!(
            "the description must have at most {DESCRIPTION_BYTES_MAX} bytes, none of them control characters"
        )));
    }
    Ok(())
}

fn remove(c: &Connection, id: RunnerId, now: Timestamp) -> Result<()> {
    for build in builds::running_on(c, id)? {
        if let Some(build) = builds::state(c, build)? {
            finish(c, &build, Status::Failed, Some(FailureReason::RunnerLost), now)?;
        }
    }
    runners::remove(c, id, now)
}
