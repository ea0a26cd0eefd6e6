//! Rows of `projects`.

use super::columns::columns;
use crate::domain::build::{BuildId, ProjectId};
use crate::domain::time::Timestamp;
use crate::domain::token::{Token, TokenHash};
use crate::error::Result;
use rusqlite::{Connection, OptionalExtension, named_params};

/// A project, with its CI token readable: not for logs.
pub struct Project {
    /// Its id.
    pub id: ProjectId,
    /// Its name, unique without regard to case.
    pub name: String,
    /// Where runners fetch sources from.
    pub repo_url: Option<String>,
    /// Its CI token.
    pub ci_token: String,
    /// Longest run of its builds, in seconds, unless a build says otherwise.
    pub timeout_s: i64,
    /// When it was made.
    pub created_at: Timestamp,
    /// What `HEAD` of its repository points to; `None`: nobody has asked it yet.
    pub default_branch: Option<String>,
}

columns! {
    SELECT, project: Project {
        id: "id",
        name: "name",
        repo_url: "repo_url",
        ci_token: "ci_token",
        timeout_s: "timeout_s",
        created_at: "created_at",
        default_branch: "default_branch",
    }
    "FROM projects"
}

/// Adds a project.
///
/// # Errors
/// The database's, also for a name that is taken.
pub fn insert(
    c: &Connection,
    name: &str,
    repo_url: Option<&str>,
    ci_token: &Token,
    timeout_s: i64,
    now: Timestamp,
) -> Result<ProjectId> {
    c.execute(
        "INSERT INTO projects (name, repo_url, ci_token, ci_token_hash, timeout_s, created_at)
         VALUES (:name, :repo_url, :ci_token, :hash, :timeout_s, :now)",
        named_params! {
            ":name": name, ":repo_url": repo_url, ":ci_token": ci_token.reveal(), ":hash": ci_token.hash().0,
            ":timeout_s": timeout_s, ":now": now.0,
        },
    )?;
    Ok(ProjectId(c.last_insert_rowid()))
}

/// The project of this id.
pub fn by_id(c: &Connection, id: ProjectId) -> Result<Option<Project>> {
    Ok(c.prepare_cached(&format!("{SELECT} WHERE id = ?1"))?.query_row([id.0], project).optional()?)
}

/// The project of this name, whatever its case.
pub fn by_name(c: &Connection, name: &str) -> Result<Option<Project>> {
    Ok(c.prepare_cached(&format!("{SELECT} WHERE name = ?1"))?.query_row([name], project).optional()?)
}

/// Whether the CI token of this project has this hash.
pub fn has_ci_token(c: &Connection, id: ProjectId, token: TokenHash) -> Result<bool> {
    let mut statement = c.prepare_cached("SELECT ci_token_hash = ?2 FROM projects WHERE id = ?1")?;
    Ok(statement.query_row(rusqlite::params![id.0, token.0], |row| row.get(0)).optional()?.unwrap_or(false))
}

/// The project whose CI token has this hash.
pub fn by_ci_token(c: &Connection, token: TokenHash) -> Result<Option<Project>> {
    Ok(c.prepare_cached(&format!("{SELECT} WHERE ci_token_hash = ?1"))?.query_row([token.0], project).optional()?)
}

/// When something was last asked for in this project: its newest pipeline's begin.
pub fn last_asked_at(c: &Connection, id: ProjectId) -> Result<Option<Timestamp>> {
    let mut statement =
        c.prepare_cached("SELECT created_at FROM pipelines WHERE project_id = ?1 ORDER BY id DESC LIMIT 1")?;
    Ok(statement.query_row([id.0], |row| row.get(0)).optional()?.map(Timestamp))
}

/// All projects, oldest first.
pub fn all(c: &Connection) -> Result<Vec<Project>> {
    let mut statement = c.prepare(&format!("{SELECT} ORDER BY id"))?;
    let rows = statement.query_map([], project)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Replaces a project's CI token.
pub fn set_ci_token(c: &Connection, id: ProjectId, ci_token: &Token) -> Result<()> {
    c.execute(
        "UPDATE projects SET ci_token = :ci_token, ci_token_hash = :hash WHERE id = :id",
        named_params! {":ci_token": ci_token.reveal(), ":hash": ci_token.hash().0, ":id": id.0},
    )?;
    Ok(())
}

/// Notes a project's default branch.
///
/// # Errors
/// The database's.
pub fn set_default_branch(c: &Connection, id: ProjectId, name: Option<&str>) -> Result<()> {
    c.execute("UPDATE projects SET default_branch = ?2 WHERE id = ?1", rusqlite::params![id.0, name])?;
    Ok(())
}

/// Gives a project another name, repository and timeout.
///
/// # Errors
/// The database's, also for a name that is taken.
pub fn update(c: &Connection, project: &Project) -> Result<()> {
    c.execute(
        "UPDATE projects SET name = :name, repo_url = :repo_url, timeout_s = :timeout_s WHERE id = :id",
        named_params! {
            ":name": project.name, ":repo_url": project.repo_url, ":timeout_s": project.timeout_s, ":id": project.id.0,
        },
    )?;
    Ok(())
}

/// What belongs to a project.
#[derive(Debug)]
pub struct Belongings {
    /// Its builds.
    pub builds: u64,
    /// Those of them that have not ended.
    pub unfinished: u64,
    /// Runners that take its builds only, and were not removed.
    pub runners: u64,
    /// Whether it has pipelines: those of its builds, or refused ones.
    pub has_pipelines: bool,
}

/// What belongs to a project. Reads all builds.
pub fn belongings(c: &Connection, id: ProjectId) -> Result<Belongings> {
    let mut statement = c.prepare(
        "SELECT count(*), count(*) FILTER (WHERE finished_at IS NULL),
             (SELECT count(*) FROM runners WHERE project_id = :id AND removed_at IS NULL),
             EXISTS (SELECT 1 FROM pipelines WHERE project_id = :id)
         FROM builds WHERE project_id = :id",
    )?;
    Ok(statement.query_row(named_params! {":id": id.0}, |row| {
        let (builds, unfinished) = (row.get(0)?, row.get(1)?);
        Ok(Belongings { builds, unfinished, runners: row.get(2)?, has_pipelines: row.get(3)? })
    })?)
}

/// The newest of a project's builds that have not ended, at most so many.
pub fn newest_unfinished(c: &Connection, id: ProjectId, limit: usize) -> Result<Vec<BuildId>> {
    super::builds::ids(
        c,
        "SELECT id FROM builds WHERE project_id = :id AND finished_at IS NULL ORDER BY id DESC LIMIT :limit",
        named_params! {":id": id.0, ":limit": limit},
    )
}

/// Removes a project that has no pipelines, and the runners that take its builds only.
///
/// # Errors
/// The database's, also for a project that has some.
pub fn remove(c: &Connection, id: ProjectId, now: Timestamp) -> Result<()> {
    c.execute("DELETE FROM runner_managers WHERE runner_id IN (SELECT id FROM runners WHERE project_id = ?1)", [id.0])?;
    // Their rows stay, like those of other removed runners: to delete one, SQLite would look through all builds.
    c.execute(
        "UPDATE runners SET token_hash = NULL, project_id = NULL, removed_at = coalesce(removed_at, :now)
         WHERE project_id = :id",
        named_params! {":now": now.0, ":id": id.0},
    )?;
    c.execute("DELETE FROM projects WHERE id = ?1", [id.0])?;
    Ok(())
}
