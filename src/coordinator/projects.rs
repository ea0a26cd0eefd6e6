//! Projects and their CI tokens.

use super::Coordinator;
use crate::domain::build::{check_repo_url, check_word};
use crate::domain::near::nearest;
use crate::domain::time::Timestamp;
use crate::domain::token::Token;
use crate::error::{Error, Kind, Result};
use crate::store::projects::{self, Project};
use crate::store::settings;
use rusqlite::Connection;
use std::time::Duration;

/// The project of this name.
///
/// # Errors
/// [`Kind::NotFound`], with the nearest name.
pub fn named(c: &Connection, name: &str) -> Result<Project> {
    if let Some(project) = projects::by_name(c, name)? {
        return Ok(project);
    }
    let all = projects::all(c)?;
    let hint = match nearest(name, all.iter().map(|project| project.name.as_str())) {
        Some(near) => format!("did you mean {near:?}?"),
        None if all.is_empty() => "`baton project add NAME` makes the first".to_owned(),
        None => "`baton project list` shows them".to_owned(),
    };
    Err(Error::not_found(format!("there is no project {name:?}; {hint}")))
}

impl Coordinator {
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
        check_word("the project's name", name).map_err(Error::invalid)?;
        if let Some(url) = repo_url {
            check_repo_url(url).map_err(Error::invalid)?;
        }
        let timeout_s = i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX);
        if timeout_s == 0 {
            return Err(Error::invalid("the timeout must be at least one second"));
        }
        let (name, repo_url) = (name.to_owned(), repo_url.map(str::to_owned));
        self.store.write(move |c| {
            if projects::by_name(c, &name)?.is_some() {
                return Err(Error::new(Kind::Conflict, format!("there is a project {name:?} already")));
            }
            let id = projects::insert(c, &name, repo_url.as_deref(), &Token::new_secret()?, timeout_s, now)?;
            projects::by_id(c, id)?.ok_or_else(|| Error::internal("the new project has vanished"))
        })
    }

    /// The project of this name.
    ///
    /// # Errors
    /// [`Kind::NotFound`], with the nearest name.
    pub fn project(&self, name: &str) -> Result<Project> {
        self.store.read(|c| named(c, name))
    }

    /// All projects, oldest first.
    ///
    /// # Errors
    /// The database's.
    pub fn list_projects(&self) -> Result<Vec<Project>> {
        self.store.read(projects::all)
    }

    /// A project's CI token; a new one, and the old one void, with `reset`.
    ///
    /// # Errors
    /// [`Kind::NotFound`] for an unknown project.
    pub fn project_token(&self, name: &str, reset: bool) -> Result<String> {
        if !reset {
            return self.store.read(|c| Ok(named(c, name)?.ci_token));
        }
        let name = name.to_owned();
        self.store.write(move |c| {
            let token = Token::new_secret()?;
            projects::set_ci_token(c, named(c, &name)?.id, &token)?;
            Ok(token.reveal().to_owned())
        })
    }

    /// Makes `token` the registration token; the old one is void.
    ///
    /// # Errors
    /// The database's.
    pub fn set_registration_token(&self, token: Token) -> Result<()> {
        self.store.write(move |c| settings::set_registration_token(c, token.reveal()))
    }

    /// The registration token; a new one, and the old one void, with `reset`.
    ///
    /// # Errors
    /// The database's.
    pub fn registration_token(&self, reset: bool) -> Result<String> {
        if !reset {
            return self.store.read(settings::registration_token);
        }
        self.store.write(|c| {
            let token = Token::new_secret()?;
            settings::set_registration_token(c, token.reveal())?;
            Ok(token.reveal().to_owned())
        })
    }
}
