//! Builds that are made once more.

use crate::domain::build::{BuildId, Status};
use crate::domain::spec::{AllowFailure, Retry};
use crate::domain::time::Timestamp;
use crate::error::Result;
use crate::store::columns::{Columns, columns};
use rusqlite::{Connection, named_params};
use serde::de::DeserializeOwned;

/// What decides about a build that has failed, beside the reason.
#[derive(Debug, Default)]
pub struct Failed {
    /// How its script ended.
    pub exit_code: Option<i64>,
    /// The reason in its runner's own word.
    pub text: Option<String>,
    /// How often it was made again by itself until now.
    pub retries: u32,
    /// When it is made again.
    pub retry: Option<Retry>,
    /// Whether those behind it go on.
    pub allow_failure: AllowFailure,
}

columns! {
    FAILED, failed_row: Failed {
        exit_code: "b.exit_code",
        text: "b.failure_text",
        retries: "b.retries",
        retry: "iif(json_valid(s.spec), s.spec -> '$.retry', NULL)" by asked,
        allow_failure: "iif(json_valid(s.spec), s.spec -> '$.allow_failure', NULL)" by asked,
    }
    "FROM builds b JOIN build_specs s ON s.build_id = b.id"
}

fn asked<T: DeserializeOwned + Default>(columns: &mut Columns<'_>) -> rusqlite::Result<T> {
    let text: Option<String> = columns.next()?;
    Ok(serde_json::from_str(&text.unwrap_or_default()).unwrap_or_default())
}

/// What decides about this build. A specification that is damaged, of which `baton check` tells, asks for nothing.
pub fn failed(c: &Connection, id: BuildId) -> Result<Failed> {
    let mut statement = c.prepare_cached(&format!("{FAILED} WHERE b.id = ?1"))?;
    Ok(statement.query_row([id.0], failed_row)?)
}

/// Columns of `builds` that one that is made again has of the one that it repeats.
const KEPT: &str = "project_id, tag_set_id, timeout_s, pipeline_id, stage_index, waits_for_stages, plays, start_in_s,
     resource_group";

/// All columns of `build_specs` but the build's id.
const ASKED: &str = "name, stage, ref, sha, before_sha, is_tag, repo_url, allow_git_fetch, spec, variables, job";

/// Adds a build that repeats `id` to its pipeline, where it counts from now on, in `status`, of which `retries` say how often it was made again by itself until now.
pub fn repeat(
    c: &Connection,
    id: BuildId,
    needs: &[(BuildId, bool)],
    status: Status,
    retries: u32,
    now: Timestamp,
) -> Result<BuildId> {
    let last = latest(c, id)?;
    c.prepare_cached(&format!(
        "INSERT INTO builds ({KEPT}, status, created_at, finished_at, retry_of, retries, failure_allowed, room)
         SELECT {KEPT}, :status, :now, :finished_at, id, :retries,
             stage_index IS NOT NULL AND iif(json_valid(spec), spec ->> '$.allow_failure', 0) IS 1, zeroblob(136)
         FROM builds JOIN build_specs ON build_id = id WHERE id = :id"
    ))?
    .execute(named_params! {
        ":status": status.as_str(), ":now": now.0, ":finished_at": status.is_finished().then_some(now.0),
        ":retries": retries, ":id": id.0,
    })?;
    let new = BuildId(c.last_insert_rowid());
    c.prepare_cached(&format!(
        "INSERT INTO build_specs (build_id, {ASKED}) SELECT :new, {ASKED} FROM build_specs WHERE build_id = :id"
    ))?
    .execute(named_params! {":new": new.0, ":id": id.0})?;
    c.prepare_cached("UPDATE builds SET retried_by = :new WHERE id = :last AND pipeline_id IS NOT NULL")?
        .execute(named_params! {":new": new.0, ":last": last.0})?;
    for (needed, artifacts) in needs {
        add_need(c, new, *needed, *artifacts)?;
    }
    crate::store::runner_builds::repeat(c, id, new)?;
    Ok(new)
}

/// The builds that this one needs, each with whether it gets the artifacts.
pub fn needs_in_full(c: &Connection, id: BuildId) -> Result<Vec<(BuildId, bool)>> {
    let mut statement =
        c.prepare_cached("SELECT needs_id, artifacts FROM build_needs WHERE build_id = ?1 ORDER BY needs_id")?;
    let rows = statement.query_map([id.0], |row| Ok((BuildId(row.get(0)?), row.get(1)?)))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Has a build wait for another one, whose artifacts it gets or not.
pub fn add_need(c: &Connection, id: BuildId, needs: BuildId, artifacts: bool) -> Result<()> {
    c.prepare_cached("INSERT OR IGNORE INTO build_needs (build_id, needs_id, artifacts) VALUES (?1, ?2, ?3)")?
        .execute((id.0, needs.0, artifacts))?;
    Ok(())
}

/// Has those that wait for one build wait for another one instead: in a pipeline, all that have not run.
pub fn wait_for_another(c: &Connection, from: BuildId, to: BuildId) -> Result<()> {
    c.prepare_cached(
        "UPDATE build_needs SET needs_id = :to
         WHERE needs_id = :from AND EXISTS
             (SELECT 1 FROM builds b WHERE b.id = build_needs.build_id AND (b.status = 'created'
                  OR b.stage_index IS NOT NULL AND b.started_at IS NULL AND b.status <> 'canceled'))",
    )?
    .execute(named_params! {":from": from.0, ":to": to.0})?;
    Ok(())
}

/// The newest of the builds that repeat this one, and those that repeat it, and so on; itself if there are none.
pub fn latest(c: &Connection, id: BuildId) -> Result<BuildId> {
    let mut statement = c.prepare_cached(
        "WITH RECURSIVE again (id) AS (
             SELECT :id UNION ALL SELECT b.id FROM again JOIN builds b ON b.retry_of = again.id)
         SELECT max(id) FROM again",
    )?;
    Ok(BuildId(statement.query_row(named_params! {":id": id.0}, |row| row.get(0))?))
}

/// The build that repeats this one; the newest, if there are several.
pub fn repeated_by(c: &Connection, id: BuildId) -> Result<Option<BuildId>> {
    let mut statement = c.prepare_cached("SELECT max(id) FROM builds WHERE retry_of = ?1")?;
    Ok(statement.query_row([id.0], |row| row.get::<_, Option<i64>>(0))?.map(BuildId))
}

/// Notes that those behind this failed build go on.
pub fn allow_failure(c: &Connection, id: BuildId) -> Result<()> {
    c.prepare_cached("UPDATE builds SET failure_allowed = 1 WHERE id = ?1")?.execute([id.0])?;
    Ok(())
}
