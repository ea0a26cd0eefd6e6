//! What must be masked in a build's trace.

use crate::domain::build::{BuildId, Variable};
use crate::domain::{repo_url, secret};
use crate::error::Result;
use crate::store::from_json;
use rusqlite::{Connection, Row};
use std::collections::BTreeSet;

/// The tokens that must be masked in a build's trace. Has no `Debug`.
#[derive(Default, PartialEq, Eq)]
pub struct Tokens {
    /// The build's own, while it runs.
    build: Option<String>,
    /// Its project's CI token.
    project: String,
    /// The URL of its project's repository, whose secrets are masked with those of the build.
    repo_url: Option<String>,
}

impl Tokens {
    /// Whether the build's own can be masked.
    pub fn has_own(&self) -> bool {
        self.build.is_some()
    }

    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = String> {
        [self.build.clone(), Some(self.project.clone())].into_iter().flatten()
    }
}

/// The tokens that must be masked in this build's trace.
pub fn tokens(c: &Connection, id: BuildId) -> Result<Tokens> {
    let mut statement = c.prepare_cached(
        "SELECT b.token, p.ci_token, p.repo_url FROM builds b JOIN projects p ON p.id = b.project_id WHERE b.id = ?1",
    )?;
    let read = |row: &Row<'_>| Ok(Tokens { build: row.get(0)?, project: row.get(1)?, repo_url: row.get(2)? });
    Ok(statement.query_row([id.0], read)?)
}

/// What else must be masked in this build's trace: the values of secret variables, and what is secret in the URLs of
/// repositories, in all forms in which they can be read. The build's own never
/// change once a runner has it.
pub fn secret_values(c: &Connection, id: BuildId) -> Result<BTreeSet<String>> {
    let mut statement = c.prepare_cached(
        "SELECT s.variables, s.repo_url, p.repo_url FROM build_specs s
         JOIN builds b ON b.id = s.build_id JOIN projects p ON p.id = b.project_id WHERE s.build_id = ?1",
    )?;
    let (variables, urls): (Vec<Variable>, [Option<String>; 2]) =
        statement.query_row([id.0], |row| Ok((from_json(row, 0)?, [row.get(1)?, row.get(2)?])))?;
    let values = variables.into_iter().filter(|variable| !variable.public).map(|variable| variable.value);
    let of_urls = urls.into_iter().flatten().flat_map(|url| repo_url::secrets(&url));
    Ok(values.chain(of_urls).flat_map(|value| secret::forms(&value)).collect())
}
