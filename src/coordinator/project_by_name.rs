//! The project that somebody names.

use crate::domain::text::did_you_mean::nearest;
use crate::error::{Error, Result};
use crate::store::projects::{self, Project};
use rusqlite::Connection;

/// The project of this name.
///
/// # Errors
/// [`crate::error::Kind::NotFound`], with the nearest name.
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
