//! Variables that a project gives to its builds, whoever queues them without a checkout.
//!
//! What must stay true: a protected one reaches builds of the default branch only; where nobody knows that branch, none. All
//! of them are weaker than what is given for one pipeline or build.

use super::Coordinator;
use super::projects::named;
use crate::domain::project_variable::{ProjectVariable, WrongVariable};
use crate::error::{Error, Kind, Result};
use crate::limits::{PROJECT_VALUES_BYTES_MAX, PROJECT_VARIABLES_MAX};
use crate::store::project_variables;
use crate::store::projects::Project;
use rusqlite::Connection;

/// Whether a variable may, or must, be there already.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Presence {
    /// It is new.
    New,
    /// It is there.
    Known,
    /// Either.
    Any,
}

impl Coordinator {
    /// Gives a project a variable, in the place of one of that name.
    ///
    /// # Errors
    /// [`Kind::NotFound`] for an unknown project, and for a variable that is to be there; [`Kind::Conflict`] for one that is not;
    /// [`Kind::Invalid`] for what cannot be one.
    pub fn put_project_variable(&self, project: &str, new: ProjectVariable, presence: Presence) -> Result<()> {
        new.check().map_err(|WrongVariable { why, .. }| Error::invalid(why))?;
        let project = project.to_owned();
        self.store.write(move |c| {
            let project = named(c, &project)?.id;
            let mut all = project_variables::all(c, project)?;
            let count = all.len();
            all.retain(|other| other.key != new.key);
            match (presence, all.len() < count) {
                (Presence::New, true) => {
                    return Err(Error::new(Kind::Conflict, format!("there is a variable {} already", new.key)));
                }
                (Presence::Known, false) => return Err(no_such(&new.key)),
                _ => {}
            }
            let bytes = all.iter().map(|other| other.value.len()).sum::<usize>() + new.value.len();
            if all.len() >= PROJECT_VARIABLES_MAX || bytes > PROJECT_VALUES_BYTES_MAX {
                let why =
                    format!("a project has at most {PROJECT_VARIABLES_MAX} variables, of {PROJECT_VALUES_BYTES_MAX} bytes together");
                return Err(Error::new(Kind::Conflict, why));
            }
            project_variables::put(c, project, &new)
        })
    }

    /// A project's variables with their values, by name.
    ///
    /// # Errors
    /// [`Kind::NotFound`] for an unknown project.
    pub fn project_variables(&self, project: &str) -> Result<Vec<ProjectVariable>> {
        self.store.read(|c| project_variables::all(c, named(c, project)?.id))
    }

    /// One of them.
    ///
    /// # Errors
    /// [`Kind::NotFound`] for an unknown project or variable.
    pub fn project_variable(&self, project: &str, key: &str) -> Result<ProjectVariable> {
        let found = self.store.read(|c| project_variables::by_key(c, named(c, project)?.id, key))?;
        found.ok_or_else(|| no_such(key))
    }

    /// Removes one of them. Builds that are queued already keep it.
    ///
    /// # Errors
    /// [`Kind::NotFound`] for an unknown project or variable.
    pub fn remove_project_variable(&self, project: &str, key: &str) -> Result<()> {
        let (project, key) = (project.to_owned(), key.to_owned());
        self.store.write(move |c| match project_variables::remove(c, named(c, &project)?.id, &key)? {
            true => Ok(()),
            false => Err(no_such(&key)),
        })
    }
}

fn no_such(key: &str) -> Error {
    Error::not_found(format!("the project has no variable {key:?}; `baton variable list` shows them"))
}

/// What a project gives to builds of this branch, or tag.
pub fn of_builds(
    c: &Connection,
    project: &Project,
    default_branch: Option<&str>,
    (ref_name, is_tag): (&str, bool),
) -> Result<Vec<ProjectVariable>> {
    let is_default = !is_tag && default_branch == Some(ref_name);
    let mut all = project_variables::all(c, project.id)?;
    all.retain(|own| is_default || !own.is_protected);
    Ok(all)
}
