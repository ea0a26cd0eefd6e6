//! Trigger tokens: who shows one starts a pipeline of its project, and does nothing else.
//!
//! What must stay true: a token is shown once, and found by its hash, in its own project only. The last use is noted at most
//! once a minute, and nobody waits for that.

use super::Coordinator;
use super::projects::named;
use crate::domain::build::{BuildId, ProjectId};
use crate::domain::time::Timestamp;
use crate::domain::token::Token;
use crate::domain::trigger_token::{TriggerToken, TriggerTokenId};
use crate::error::{Error, Kind, Result};
use crate::limits::{TRIGGER_BUILDS_LOOKED_MAX, TRIGGERS_MAX, USE_STEP};
use crate::store::{builds, triggers};
use rusqlite::Connection;

/// Bytes of a description.
const DESCRIPTION_BYTES_MAX: usize = 255;

/// Whose token starts a pipeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TriggeredBy {
    /// A trigger token's holder.
    Token(TriggerToken),
    /// A job that runs.
    Job(BuildId),
}

impl TriggeredBy {
    /// Who that is, in words.
    #[must_use]
    pub fn actor(&self) -> String {
        match self {
            TriggeredBy::Token(token) if token.description.is_empty() => format!("trigger token {}", token.id),
            TriggeredBy::Token(token) => format!("trigger token {}", token.description),
            TriggeredBy::Job(id) => format!("job {id}"),
        }
    }
}

impl Coordinator {
    /// Makes a trigger token of a project. The token itself is returned this once.
    ///
    /// # Errors
    /// [`Kind::NotFound`] for an unknown project; [`Kind::Invalid`] for a bad description; [`Kind::Conflict`] if there are too
    /// many.
    pub fn add_trigger(&self, project: &str, description: &str, now: Timestamp) -> Result<(TriggerToken, Token)> {
        check(description)?;
        let (project, description) = (project.to_owned(), description.to_owned());
        self.store.write(move |c| {
            let project = named(c, &project)?.id;
            if triggers::of_project(c, project)?.len() >= TRIGGERS_MAX {
                let why = format!("the project has {TRIGGERS_MAX} trigger tokens, which is the most");
                return Err(Error::new(Kind::Conflict, why));
            }
            let token = Token::new_trigger()?;
            let id = triggers::insert(c, project, &token, &description, now)?;
            Ok((found(c, project, id)?, token))
        })
    }

    /// A project's trigger tokens, oldest first.
    ///
    /// # Errors
    /// [`Kind::NotFound`] for an unknown project.
    pub fn list_triggers(&self, project: &str) -> Result<Vec<TriggerToken>> {
        self.store.read(|c| triggers::of_project(c, named(c, project)?.id))
    }

    /// One of a project's trigger tokens.
    ///
    /// # Errors
    /// [`Kind::NotFound`] for an unknown project or token.
    pub fn trigger(&self, project: &str, id: TriggerTokenId) -> Result<TriggerToken> {
        self.store.read(|c| found(c, named(c, project)?.id, id))
    }

    /// Says what a trigger token is for.
    ///
    /// # Errors
    /// [`Kind::NotFound`] for an unknown project or token; [`Kind::Invalid`] for a bad description.
    pub fn describe_trigger(&self, project: &str, id: TriggerTokenId, description: &str) -> Result<TriggerToken> {
        check(description)?;
        let (project, description) = (project.to_owned(), description.to_owned());
        self.store.write(move |c| {
            let project = named(c, &project)?.id;
            found(c, project, id)?;
            triggers::describe(c, id, &description)?;
            found(c, project, id)
        })
    }

    /// Removes a trigger token, which opens nothing any more.
    ///
    /// # Errors
    /// [`Kind::NotFound`] for an unknown project or token.
    pub fn remove_trigger(&self, project: &str, id: TriggerTokenId) -> Result<TriggerToken> {
        let project = project.to_owned();
        self.store.write(move |c| {
            let removed = found(c, named(c, &project)?.id, id)?;
            triggers::remove(c, id)?;
            Ok(removed)
        })
    }

    /// Who starts a pipeline of this project with this token: the holder of one of its trigger tokens, or a job of it that
    /// runs. `None`: nobody.
    ///
    /// # Errors
    /// The database's.
    pub fn triggered_by(&self, project: ProjectId, token: &Token, now: Timestamp) -> Result<Option<TriggeredBy>> {
        if !token.is_trigger() {
            return self.store.read(|c| {
                let Some(id) = builds::running_by_token(c, token.hash())? else { return Ok(None) };
                let build = builds::state(c, id)?.filter(|build| build.project_id == project);
                Ok(build.map(|build| TriggeredBy::Job(build.id)))
            });
        }
        let Some(own) = self.store.read(|c| triggers::by_token(c, project, token))? else { return Ok(None) };
        if own.used_at.is_none_or(|at| now.since(at) >= USE_STEP) {
            let id = own.id;
            self.store.submit(
                move |c| triggers::touch(c, id, now),
                move |noted| {
                    if let Err(error) = noted {
                        log::warn!("the last use of trigger token {id} is not noted: {error}");
                    }
                },
            );
        }
        Ok(Some(TriggeredBy::Token(own)))
    }

    /// Whether a job of this project has had this token, which opens nothing since the job has ended. Among the newest jobs.
    ///
    /// # Errors
    /// The database's.
    pub fn was_jobs_token(&self, project: ProjectId, token: &Token) -> Result<bool> {
        if token.is_trigger() || token.is_access() || token.is_telling() {
            return Ok(false);
        }
        self.store.read(|c| builds::had_token(c, project, token.hash(), TRIGGER_BUILDS_LOOKED_MAX))
    }
}

fn found(c: &Connection, project: ProjectId, id: TriggerTokenId) -> Result<TriggerToken> {
    let absent = || Error::not_found(format!("the project has no trigger token {id}; `baton trigger list` shows them"));
    triggers::by_id(c, project, id)?.ok_or_else(absent)
}

fn check(description: &str) -> Result<()> {
    if description.len() > DESCRIPTION_BYTES_MAX {
        let (bytes, most) = (description.len(), DESCRIPTION_BYTES_MAX);
        return Err(Error::invalid(format!("the description has {bytes} bytes; at most {most} are allowed")));
    }
    if description.contains(char::is_control) {
        return Err(Error::invalid("the description has a control character"));
    }
    Ok(())
}
