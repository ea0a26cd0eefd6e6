//! Who may do what with a build (`docs/http.md`, Tokens).

use crate::domain::build::{BuildId, Status};
use crate::domain::token::{Shown, Takes, Token};
use crate::error::{Error, Kind, Result};
use crate::store::builds::BuildState;
use crate::store::{builds, projects, runners};
use rusqlite::Connection;

/// What a token is presented for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Anything but reading artifacts.
    Change,
    /// Reading artifacts, which builds that need this one may do too.
    ReadArtifacts,
}

/// The build, if there is one and who shows this may do this with it. Where any token of the build counts, 404 comes
/// before 403; where only its own does, what is unknown is forbidden, and reading ends with the build.
///
/// # Errors
/// [`Kind::NotFound`], then [`Kind::Forbidden`], also for a build that was erased.
pub fn build_for(c: &Connection, id: BuildId, shown: &Shown, purpose: Purpose) -> Result<BuildState> {
    let unknown = || match shown.takes {
        Takes::Any => Error::not_found(""),
        Takes::Own => Error::forbidden(),
    };
    let build = builds::state(c, id)?.ok_or_else(unknown)?;
    let token = shown.token.as_ref().ok_or_else(Error::forbidden)?;
    let is_reading = purpose == Purpose::ReadArtifacts;
    let own = match shown.takes {
        Takes::Any => holds(c, &build, token)?,
        Takes::Own if is_reading && build.status != Status::Running => false,
        Takes::Own => build.token_hash == Some(token.hash()),
    };
    let may = own || (is_reading && builds::is_token_of_dependent(c, id, token.hash())?);
    if !may {
        return Err(Error::forbidden());
    }
    if build.erased_at.is_some() {
        return Err(Error::new(Kind::Forbidden, "Build has been erased!"));
    }
    Ok(build)
}

/// Whether `token` is the build's own, its project's CI token, or that of the runner that has or had it.
/// Tokens are found and compared by their hashes, so that time tells nothing about them; those that may be meant are
/// asked for by their ids, since all of a runner or project is dear to read.
fn holds(c: &Connection, build: &BuildState, token: &Token) -> Result<bool> {
    let hash = token.hash();
    let is_runners = || build.runner_id.map_or(Ok(false), |runner| runners::has_token(c, runner, hash));
    Ok(build.token_hash == Some(hash) || is_runners()? || projects::has_ci_token(c, build.project_id, hash)?)
}

/// The build for a `PUT`: where any token counts, it is judged before the id is looked at, since runners verify themselves
/// with `PUT builds/-1`, where 404 means "alive" and 403 "removed".
///
/// # Errors
/// [`Kind::Forbidden`] for a token that nobody holds, then [`Kind::NotFound`] for a build that is not its
/// holder's.
pub fn build_for_put(c: &Connection, id: BuildId, shown: &Shown) -> Result<BuildState> {
    let token = shown.token.as_ref().ok_or_else(Error::forbidden)?;
    if shown.takes == Takes::Own {
        let build = builds::state(c, id)?.filter(|build| build.token_hash == Some(token.hash()));
        return build.ok_or_else(Error::forbidden);
    }
    let build = builds::state(c, id)?;
    let hash = token.hash();
    let is_own = match &build {
        Some(build) => holds(c, build, token)?,
        None => false,
    };
    let is_known = is_own || runners::by_token(c, hash)?.is_some() || projects::by_ci_token(c, hash)?.is_some();
    match build {
        Some(build) if is_own => Ok(build),
        _ if is_known => Err(Error::not_found("")),
        _ => Err(Error::forbidden()),
    }
}
