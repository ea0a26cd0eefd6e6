//! Rows of `build_specs`: what a build was asked to do. They never change.

use crate::domain::build::{BuildId, NewBuild, ProjectId, Status, Variable};
use crate::domain::spec::BuildSpec;
use crate::domain::time::Timestamp;
use crate::error::Result;
use crate::store::jobs::Place;
use crate::store::{from_json, runners};
use rusqlite::{Connection, named_params};

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
    let tag_set_id = runners::tag_set(c, &new.tags)?;
    c.prepare_cached(
        "INSERT INTO builds (project_id, status, tag_set_id, timeout_s, created_at, finished_at, pipeline_id, stage_index,
             waits_for_stages, plays, start_in_s, scheduled_at, resource_group, failure_allowed, room)
         VALUES (:project, :status, :tag_set_id, :timeout_s, :now, :finished_at, :pipeline, :stage_index,
             :waits_for_stages, :plays, :start_in_s, :scheduled_at, :resource_group, :failure_allowed, zeroblob(136))",
    )?
    .execute(named_params! {
        ":project": project.0, ":status": status.as_str(), ":tag_set_id": tag_set_id,
        ":timeout_s": timeout_s, ":now": now.0, ":finished_at": status.is_finished().then_some(now.0),
        ":pipeline": place.map(|place| place.pipeline.0), ":stage_index": job.map(|job| job.stage_index),
        ":waits_for_stages": job.is_some_and(|job| job.waits_for_stages),
        ":plays": job.map(|job| job.when).unwrap_or_default().as_str(),
        ":start_in_s": job.and_then(|job| job.start_in_s),
        ":scheduled_at": job.and_then(|job| job.scheduled_at).map(|at| at.0),
        ":resource_group": job.and_then(|job| job.resource_group),
        ":failure_allowed": job.is_some_and(|job| job.failure_allowed),
    })?;
    let id = BuildId(c.last_insert_rowid());
    c.prepare_cached(
        "INSERT INTO build_specs (build_id, name, stage, ref, sha, before_sha, is_tag, repo_url,
             allow_git_fetch, spec, variables, job)
         VALUES (:id, :name, :stage, :ref, :sha, :before_sha, :is_tag, :repo_url,
             :allow_git_fetch, :spec, :variables, :job)",
    )?
    .execute(named_params! {
        ":id": id.0, ":name": new.name, ":stage": new.stage, ":ref": new.ref_, ":sha": new.sha,
        ":before_sha": new.before_sha, ":is_tag": new.is_tag, ":repo_url": new.repo_url,
        ":allow_git_fetch": new.allow_git_fetch,
        ":spec": serde_json::to_string(&new.spec)?, ":variables": serde_json::to_string(&new.variables)?,
        ":job": job.map(|job| serde_json::to_string(job.about)).transpose()?,
    })?;
    for needs in &new.needs {
        super::add_need(c, id, *needs, true)?;
    }
    Ok(id)
}

/// What the runner gets of this build.
///
/// # Errors
/// The database's; also when there is no such build.
pub fn spec(c: &Connection, id: BuildId) -> Result<Spec> {
    let mut statement = c.prepare_cached(
        "SELECT s.spec, s.before_sha, s.is_tag, s.repo_url, s.allow_git_fetch, s.variables, b.timeout_s
         FROM build_specs s JOIN builds b ON b.id = s.build_id WHERE b.id = ?1",
    )?;
    Ok(statement.query_row([id.0], |row| {
        Ok(Spec {
            asked: from_json(row, 0)?,
            before_sha: row.get(1)?,
            is_tag: row.get(2)?,
            repo_url: row.get(3)?,
            allow_git_fetch: row.get(4)?,
            variables: from_json(row, 5)?,
            timeout_s: row.get(6)?,
        })
    })?)
}

/// Whether the build's ref is a tag.
///
/// # Errors
/// The database's; also when there is no such build.
pub fn is_tag(c: &Connection, id: BuildId) -> Result<bool> {
    let mut statement = c.prepare_cached("SELECT is_tag FROM build_specs WHERE build_id = ?1")?;
    Ok(statement.query_row([id.0], |row| row.get(0))?)
}
