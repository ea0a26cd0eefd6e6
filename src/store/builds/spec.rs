//! Rows of `build_specs`: what a build was asked to do. They never change, but for variables that somebody gives to a job that
//! he starts by hand, before any runner has it.

use crate::domain::build::{BuildId, NewBuild, ProjectId, Status, Variable};
use crate::domain::spec::BuildSpec;
use crate::domain::time::Timestamp;
use crate::error::Result;
use crate::store::columns::{Value, add_row, columns, json};
use crate::store::jobs::Place;
use crate::store::runners;
use rusqlite::Connection;
use rusqlite::blob::ZeroBlob;

/// What only the runner gets.
pub struct Spec {
    /// What it was asked to do.
    pub asked: BuildSpec,
    /// The commit before.
    pub before_sha: Option<String>,
    /// Whether the ref is a tag.
    pub is_tag: bool,
    /// Where to fetch from, if not from the project's repository.
    pub repo_url: Option<String>,
    /// Whether the runner may fetch instead of clone.
    pub allow_git_fetch: bool,
    /// The operator's variables, secrets among them.
    pub variables: Vec<Variable>,
    /// Longest run in seconds.
    pub timeout_s: i64,
}

/// Adds a checked build in `status`, with the timeout decided, to a pipeline. Needs are added as they are.
pub fn insert(
    c: &Connection,
    new: &NewBuild,
    place: Option<Place<'_>>,
    project: ProjectId,
    timeout_s: i64,
    status: Status,
    now: Timestamp,
) -> Result<BuildId> {
    let job = place.and_then(|place| place.job);
    let row: &[Value<'_>] = &[
        ("project_id", &project),
        ("status", &status),
        ("tag_set_id", &runners::tag_set(c, &new.tags)?),
        ("timeout_s", &timeout_s),
        ("created_at", &now),
        ("finished_at", &status.is_finished().then_some(now)),
        ("pipeline_id", &place.map(|place| place.pipeline)),
        ("stage_index", &job.map(|job| job.stage_index)),
        ("waits_for_stages", &job.is_some_and(|job| job.waits_for_stages)),
        ("plays", &job.map(|job| job.when).unwrap_or_default()),
        ("start_in_s", &job.and_then(|job| job.start_in_s)),
        ("scheduled_at", &job.and_then(|job| job.scheduled_at)),
        ("resource_group", &job.and_then(|job| job.resource_group)),
        ("failure_allowed", &job.is_some_and(|job| job.failure_allowed)),
        ("room", &ZeroBlob(136)),
    ];
    let id = BuildId(add_row(c, "builds", row)?);
    let spec: &[Value<'_>] = &[
        ("build_id", &id),
        ("name", &new.name),
        ("stage", &new.stage),
        ("ref", &new.ref_),
        ("sha", &new.sha),
        ("before_sha", &new.before_sha),
        ("is_tag", &new.is_tag),
        ("repo_url", &new.repo_url),
        ("allow_git_fetch", &new.allow_git_fetch),
        ("spec", &serde_json::to_string(&new.spec)?),
        ("variables", &serde_json::to_string(&new.variables)?),
        ("job", &job.map(|job| serde_json::to_string(job.about)).transpose()?),
    ];
    add_row(c, "build_specs", spec)?;
    for needs in &new.needs {
        super::add_need(c, id, *needs, true)?;
    }
    Ok(id)
}

columns! {
    SELECT, asked: Spec {
        asked: "s.spec" by json,
        before_sha: "s.before_sha",
        is_tag: "s.is_tag",
        repo_url: "s.repo_url",
        allow_git_fetch: "s.allow_git_fetch",
        variables: "s.variables" by json,
        timeout_s: "b.timeout_s",
    }
    "FROM build_specs s JOIN builds b ON b.id = s.build_id"
}

/// What the runner gets of this build.
///
/// # Errors
/// The database's; also when there is no such build.
pub fn spec(c: &Connection, id: BuildId) -> Result<Spec> {
    let mut statement = c.prepare_cached(&format!("{SELECT} WHERE b.id = ?1"))?;
    Ok(statement.query_row([id.0], asked)?)
}

/// Gives a build that no runner has had these variables instead of its own.
pub fn set_variables(c: &Connection, id: BuildId, variables: &[Variable]) -> Result<()> {
    c.prepare_cached("UPDATE build_specs SET variables = ?2 WHERE build_id = ?1")?
        .execute((id.0, serde_json::to_string(variables)?))?;
    Ok(())
}

/// Whether the build's ref is a tag.
///
/// # Errors
/// The database's; also when there is no such build.
pub fn is_tag(c: &Connection, id: BuildId) -> Result<bool> {
    let mut statement = c.prepare_cached("SELECT is_tag FROM build_specs WHERE build_id = ?1")?;
    Ok(statement.query_row([id.0], |row| row.get(0))?)
}
