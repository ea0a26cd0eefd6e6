//! Runners: registration by themselves, and by the operator.

use super::Coordinator;
use super::builds::finish::finish;
use super::hand_out::contact;
use crate::domain::asker::{Asker, Manager, SystemId};
use crate::domain::build::{FailureReason, Status};
use crate::domain::runner::{Runner, RunnerAtWork, RunnerId, RunningBuild};
use crate::domain::tags::Tags;
use crate::domain::time::Timestamp;
use crate::domain::token::{Token, TokenHash};
use crate::error::{Error, Result};
use crate::store::runners::NewRunner;
use crate::store::{builds, managers, projects, runner_builds, runners, settings};
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
    /// The longest that it lets a build run, in seconds, or no such limit.
    pub maximum_timeout_s: Option<Option<i64>>,
    /// What its owner notes of it.
    pub maintenance_note: Option<String>,
    /// Whether it gets no builds until it is resumed.
    pub paused: Option<bool>,
}

/// Longest description, in bytes.
const DESCRIPTION_BYTES_MAX: usize = 1024;
/// Longest maintenance note, in bytes.
const NOTE_BYTES_MAX: usize = 1024;

impl Coordinator {
    /// Makes a runner for the holder of a registration token: a shared one for the installation's token, one of
    /// a project for the project's CI token.
    ///
    /// # Errors
    /// [`crate::error::Kind::Forbidden`] for another token; [`crate::error::Kind::Invalid`] for a runner that could take
    /// nothing, and for texts that are too long.
    pub fn register_runner(&self, token: Option<Token>, mut new: NewRunner, now: Timestamp) -> Result<Registration> {
        check_kept(&new)?;
        self.store.write(move |c| {
            let hash = token.ok_or_else(Error::forbidden)?.hash();
            let shared = Token::received(&settings::registration_token(c)?).is_some_and(|own| own.hash() == hash);
            if !shared {
                new.project = Some(projects::by_ci_token(c, hash)?.ok_or_else(Error::forbidden)?.id);
            }
            add(c, &new, Token::new_runner()?, now)
        })
    }

    /// Makes a runner without the handshake, of a project or of all.
    ///
    /// # Errors
    /// [`crate::error::Kind::NotFound`] for an unknown project, [`crate::error::Kind::Invalid`] for a runner that could take nothing.
    pub fn add_runner(&self, mut new: NewRunner, project: Option<&str>, now: Timestamp) -> Result<Registration> {
        let project = project.map(str::to_owned);
        self.store.write(move |c| {
            if let Some(name) = project {
                new.project = Some(super::project_by_name::named(c, &name)?.id);
            }
            add(c, &new, Token::new_telling()?, now)
        })
    }

    /// Notes that the holder of this token lives, as one that asks for work does. Returns its id.
    ///
    /// # Errors
    /// [`crate::error::Kind::Forbidden`] for anything but a runner's token.
    pub fn verify_runner(&self, asker: &Asker, now: Timestamp) -> Result<RunnerId> {
        let hash = asker.token.as_ref().ok_or_else(Error::forbidden)?.hash();
        let step = self.limits().seen_step();
        let look = |c: &Connection| {
            let runner = runners::by_token(c, hash)?.ok_or_else(Error::forbidden)?;
            let is_due = contact::known(c, &runner, asker)?.is_contact_due(&asker.info, step, now);
            Ok((runner.id, is_due))
        };
        let (id, is_due) = self.store.read(look)?;
        if !is_due {
            return Ok(id);
        }
        let asker = asker.clone();
        self.store.write(move |c| {
            let runner = runners::by_token(c, hash)?.ok_or_else(Error::forbidden)?;
            contact::note(c, runner, &asker, step, now).map(|(runner, _)| runner.id)
        })
    }

    /// Gives the holder of this token another one of the same kind; the old one is void.
    ///
    /// # Errors
    /// [`crate::error::Kind::Forbidden`] for anything but a runner's token.
    pub fn reset_runner_token(&self, token: Option<&Token>) -> Result<Registration> {
        let token = token.ok_or_else(Error::forbidden)?;
        let (hash, new) = (token.hash(), if token.is_telling() { Token::new_telling()? } else { Token::new_runner()? });
        self.store.write(move |c| {
            let id = runners::by_token(c, hash)?.ok_or_else(Error::forbidden)?.id;
            runners::set_token(c, id, new.hash())?;
            Ok(Registration { id, token: new })
        })
    }

    /// Forgets a manager of the runner that holds `token`, at its own wish. Returns the runner, which stays.
    ///
    /// # Errors
    /// [`crate::error::Kind::Forbidden`] for anything but a runner's token.
    pub fn unregister_manager(&self, token: Option<&Token>, system_id: SystemId) -> Result<RunnerId> {
        let hash = token.ok_or_else(Error::forbidden)?.hash();
        self.store.write(move |c| {
            let id = runners::by_token(c, hash)?.ok_or_else(Error::forbidden)?.id;
            managers::remove(c, id, &system_id)?;
            Ok(id)
        })
    }

    /// A runner with what it does, and its managers, those first that called last.
    ///
    /// # Errors
    /// [`crate::error::Kind::NotFound`] for an unknown runner.
    pub fn show_runner(&self, id: RunnerId) -> Result<(RunnerAtWork, Vec<Manager>)> {
        self.store.read(|c| {
            let found = at_work(c)?.into_iter().find(|it| it.runner.id == id).ok_or_else(|| no_such(id))?;
            Ok((found, managers::all_of(c, id)?))
        })
    }

    /// All runners, oldest first, with what each does, and its managers, as [`Coordinator::show_runner`] has them.
    pub fn runners_with_managers(&self) -> Result<Vec<(RunnerAtWork, Vec<Manager>)>> {
        self.store.read(|c| {
            let mut managers = managers::all(c)?;
            let with_managers = |it: RunnerAtWork| {
                let own = managers.remove(&it.runner.id).unwrap_or_default();
                (it, own)
            };
            Ok(at_work(c)?.into_iter().map(with_managers).collect())
        })
    }

    /// Whether a runner holds this token.
    pub fn is_runners(&self, token: &Token) -> Result<bool> {
        let hash = token.hash();
        self.store.read(|c| Ok(runners::by_token(c, hash)?.is_some()))
    }

    /// All runners, oldest first.
    pub fn list_runners(&self) -> Result<Vec<Runner>> {
        self.store.read(runners::all)
    }

    /// All runners, oldest first, with what each does.
    pub fn runners_at_work(&self) -> Result<Vec<RunnerAtWork>> {
        self.store.read(at_work)
    }

    /// Makes a runner get no builds, or get them again.
    ///
    /// # Errors
    /// [`crate::error::Kind::NotFound`] for an unknown runner.
    pub fn pause_runner(&self, id: RunnerId, paused: bool) -> Result<()> {
        self.store.write(move |c| {
            let runner = runners::by_id(c, id)?.ok_or_else(|| no_such(id))?;
            runners::set_paused(c, runner.id, paused)
        })
    }

    /// Changes what a runner is called and what it takes. What it runs goes on.
    ///
    /// # Errors
    /// [`crate::error::Kind::NotFound`] for an unknown runner, [`crate::error::Kind::Invalid`] for one that could take nothing.
    pub fn change_runner(&self, id: RunnerId, change: RunnerChange) -> Result<()> {
        self.store.write(move |c| {
            let runner = runners::by_id(c, id)?.ok_or_else(|| no_such(id))?;
            let new = NewRunner {
                description: change.description.unwrap_or(runner.description),
                tags: change.tags.unwrap_or(runner.tags),
                run_untagged: change.run_untagged.unwrap_or(runner.run_untagged),
                maximum_timeout_s: change.maximum_timeout_s.unwrap_or(runner.maximum_timeout_s),
                maintenance_note: change.maintenance_note.unwrap_or(runner.maintenance_note),
                ..NewRunner::default()
            };
            check(&new)?;
            runners::update(c, id, &new)?;
            match change.paused {
                Some(paused) => runners::set_paused(c, id, paused),
                None => Ok(()),
            }
        })
    }

    /// Gives a runner another token; the old one is void.
    ///
    /// # Errors
    /// [`crate::error::Kind::NotFound`] for an unknown runner.
    pub fn new_runner_token(&self, id: RunnerId) -> Result<Registration> {
        self.store.write(move |c| {
            let id = runners::by_id(c, id)?.ok_or_else(|| no_such(id))?.id;
            let token = Token::new_telling()?;
            runners::set_token(c, id, token.hash())?;
            Ok(Registration { id, token })
        })
    }

    /// Removes a runner; a build that it has fails with `runner_lost`, and those are canceled that were kept for it.
    ///
    /// # Errors
    /// [`crate::error::Kind::NotFound`] for an unknown runner.
    pub fn remove_runner(&self, id: RunnerId, now: Timestamp) -> Result<()> {
        self.store.write(move |c| {
            let runner = runners::by_id(c, id)?.ok_or_else(|| no_such(id))?;
            remove(c, runner.id, now)
        })
    }

    /// Removes the runner that holds `token`, at its own wish.
    ///
    /// # Errors
    /// [`crate::error::Kind::Forbidden`] for anything but a runner's token.
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
pub fn at_work(c: &Connection) -> Result<Vec<RunnerAtWork>> {
    let mut builds: HashMap<RunnerId, Vec<RunningBuild>> = HashMap::new();
    for build in builds::running(c)? {
        if let Some(id) = build.runner_id {
            builds.entry(id).or_default().push(running(&build));
        }
    }
    let with_builds = |runner: Runner| {
        let mut builds = builds.remove(&runner.id).unwrap_or_default();
        builds.sort_unstable_by_key(|build| build.id);
        RunnerAtWork { runner, builds }
    };
    Ok(runners::all(c)?.into_iter().map(with_builds).collect())
}

/// A build as its runner's.
pub(super) fn running(build: &builds::Running) -> RunningBuild {
    RunningBuild { id: build.id, started_at: build.started_at, seen_at: build.seen_at, manager_id: build.manager_id }
}

/// What an unknown id is answered.
pub(super) fn no_such(id: RunnerId) -> Error {
    Error::not_found(format!("there is no runner {id}; `baton runner list` shows them"))
}

fn add(c: &Connection, new: &NewRunner, token: Token, now: Timestamp) -> Result<Registration> {
    check(new)?;
    Ok(Registration { id: runners::insert(c, new, token.hash(), now)?, token })
}

fn check(new: &NewRunner) -> Result<()> {
    if !new.run_untagged && new.tags.is_empty() {
        return Err(Error::invalid("a runner without tags that takes no untagged builds could take none at all"));
    }
    check_kept(new)
}

/// Whether what its owner says of a runner can be kept.
fn check_kept(new: &NewRunner) -> Result<()> {
    if new.description.len() > DESCRIPTION_BYTES_MAX || new.description.contains(char::is_control) {
        return Err(Error::invalid(format!(
            "the description must have at most {DESCRIPTION_BYTES_MAX} bytes, none of them control characters"
        )));
    }
    let is_odd = |c: char| c.is_control() && !matches!(c, '\n' | '\r' | '\t');
    if new.maintenance_note.len() > NOTE_BYTES_MAX || new.maintenance_note.contains(is_odd) {
        return Err(Error::invalid(format!(
            "the maintenance note must have at most {NOTE_BYTES_MAX} bytes, and no control characters but line breaks and tabs"
        )));
    }
    if new.maximum_timeout_s.is_some_and(|seconds| seconds <= 0) {
        return Err(Error::invalid("the maximum timeout must be at least one second"));
    }
    Ok(())
}

pub(super) fn remove(c: &Connection, id: RunnerId, now: Timestamp) -> Result<()> {
    for build in builds::running_on(c, id)? {
        if let Some(build) = builds::state(c, build)? {
            finish(c, &build, Status::Failed, Some(FailureReason::RunnerLost), now)?;
        }
    }
    // Nobody else takes those that were kept for it. The end of one may end others.
    for build in runner_builds::open(c, id)? {
        if let Some(build) = builds::state(c, build)?.filter(|build| !build.status.is_finished()) {
            finish(c, &build, Status::Canceled, None, now)?;
        }
    }
    runners::remove(c, id, now)
}
