//! Builds as operators and runners see them: all that is known of one, from every table.

use super::{bad_word, needs, status};
use crate::domain::build::{ArtifactsFile, Build, BuildId, FailureReason, ProjectId, Status};
use crate::domain::pipeline::{PipelineId, When};
use crate::domain::time::Timestamp;
use crate::domain::token::TokenHash;
use crate::error::Result;
use crate::store::from_json;
use rusqlite::{Connection, OptionalExtension, Row, named_params};

/// Which builds to list.
#[derive(Default)]
pub struct Filter {
    /// Only this project's.
    pub project: Option<ProjectId>,
    /// Only this pipeline's.
    pub pipeline: Option<PipelineId>,
    /// Only those in this state.
    pub status: Option<Status>,
    /// At most so many, the newest.
    pub limit: Option<u32>,
}

const SELECT: &str =
    "SELECT b.id, b.project_id, p.name, s.name, s.stage, s.ref, s.sha, b.status, b.failure_reason, t.tags,
         b.created_at, b.started_at, b.finished_at, b.erased_at, r.id, r.description, coalesce(tr.size, 0),
         a.path, a.filename, a.size, a.sha256, a.expire_at, b.seen_at,
         b.exit_code, b.failure_text, b.failure_allowed, b.retry_of, b.pipeline_id, b.stage_index, b.plays, b.retried_by
     FROM builds b
     JOIN projects p ON p.id = b.project_id
     JOIN build_specs s ON s.build_id = b.id
     JOIN tag_sets t ON t.id = b.tag_set_id
     LEFT JOIN runners r ON r.id = b.runner_id
     LEFT JOIN traces tr ON tr.build_id = b.id
     LEFT JOIN artifacts a ON a.build_id = b.id AND a.kind = 'archive'
         AND coalesce(a.expire_at > :now, 1)";

/// A build as operators see it. Artifacts that have expired by `now` do not show.
pub fn by_id(c: &Connection, id: BuildId, now: Timestamp) -> Result<Option<Build>> {
    let mut statement = c.prepare_cached(&format!("{SELECT} WHERE b.id = :id"))?;
    let build = statement.query_row(named_params! {":now": now.0, ":id": id.0}, build).optional()?;
    build.map(|build| with_needs(c, build)).transpose()
}

/// Builds as operators see them, newest first. Artifacts that have expired by `now` do not show.
pub fn list(c: &Connection, filter: &Filter, now: Timestamp) -> Result<Vec<Build>> {
    let mut statement = c.prepare_cached(&format!(
        "{SELECT} WHERE (:project IS NULL OR b.project_id = :project) AND (:status IS NULL OR b.status = :status)
             {}
         ORDER BY b.id DESC LIMIT coalesce(:limit, -1)",
        if filter.pipeline.is_some() { "AND b.pipeline_id = :pipeline" } else { "AND :pipeline IS NULL" }
    ))?;
    let rows = statement.query_map(
        named_params! {
            ":now": now.0, ":project": filter.project.map(|id| id.0),
            ":status": filter.status.map(Status::as_str), ":limit": filter.limit,
            ":pipeline": filter.pipeline.map(|id| id.0),
        },
        build,
    )?;
    rows.map(|build| with_needs(c, build?)).collect()
}

fn with_needs(c: &Connection, build: Build) -> Result<Build> {
    Ok(Build { needs: needs(c, build.id)?, ..build })
}

fn build(row: &Row<'_>) -> rusqlite::Result<Build> {
    let time = |column| row.get::<_, Option<i64>>(column).map(|ms| ms.map(Timestamp));
    let reason: Option<String> = row.get(8)?;
    let runner: Option<i64> = row.get(14)?;
    let path: Option<String> = row.get(17)?;
    let plays: String = row.get(29)?;
    let artifacts = |path| -> rusqlite::Result<ArtifactsFile> {
        Ok(ArtifactsFile {
            path,
            filename: row.get(18)?,
            size: row.get(19)?,
            sha256: row.get(20)?,
            expire_at: time(21)?,
        })
    };
    Ok(Build {
        id: BuildId(row.get(0)?),
        project_id: ProjectId(row.get(1)?),
        project: row.get(2)?,
        name: row.get(3)?,
        stage: row.get(4)?,
        ref_: row.get(5)?,
        sha: row.get(6)?,
        status: status(row, 7)?,
        failure_reason: reason.map(|word| FailureReason::parse(&word).ok_or_else(|| bad_word(8, &word))).transpose()?,
        tags: from_json(row, 9)?,
        needs: Vec::new(),
        created_at: Timestamp(row.get(10)?),
        started_at: time(11)?,
        finished_at: time(12)?,
        seen_at: row.get::<_, Option<i64>>(22)?.map(Timestamp),
        erased_at: time(13)?,
        runner: runner.map(|id| row.get(15).map(|description| (id, description))).transpose()?,
        trace_size: row.get(16)?,
        artifacts: path.map(artifacts).transpose()?,
        exit_code: row.get(23)?,
        failure_text: row.get(24)?,
        failure_allowed: row.get(25)?,
        retry_of: row.get::<_, Option<i64>>(26)?.map(BuildId),
        pipeline_id: row.get::<_, Option<i64>>(27)?.map(PipelineId),
        stage_index: row.get(28)?,
        when: When::parse(&plays).ok_or_else(|| bad_word(29, &plays))?,
        retried_by: row.get::<_, Option<i64>>(30)?.map(BuildId),
    })
}

/// The running build whose own token this is. Others that have had it are not looked at.
pub fn running_by_token(c: &Connection, hash: TokenHash) -> Result<Option<BuildId>> {
    let mut statement = c.prepare_cached("SELECT id FROM builds WHERE status = 'running' AND token_hash = ?1")?;
    Ok(statement.query_row([hash.0], |row| row.get(0).map(BuildId)).optional()?)
}

/// Builds that wait for something that may come by itself, of this project or of all; at most so many of each state, the
/// oldest first.
pub fn waiting(c: &Connection, project: Option<ProjectId>, limit: usize) -> Result<Vec<BuildId>> {
    let mut all = Vec::new();
    for status in ["pending", "created", "scheduled"] {
        all.extend(of_status(c, status, project, limit)?);
    }
    all.truncate(limit);
    Ok(all)
}

/// Builds that wait until somebody starts them, of this project or of all; at most so many, the newest first.
pub fn manual(c: &Connection, project: Option<ProjectId>, limit: usize) -> Result<Vec<BuildId>> {
    of_status(c, "manual", project, limit)
}

/// By the index that each of these states has of its own.
fn of_status(c: &Connection, status: &'static str, project: Option<ProjectId>, limit: usize) -> Result<Vec<BuildId>> {
    let order = if status == "manual" { "DESC" } else { "ASC" };
    // Else all builds are gone through in the order of their ids.
    let mut statement = c.prepare_cached(&format!(
        "SELECT id FROM builds INDEXED BY builds_{status} WHERE status = '{status}' AND (?1 IS NULL OR project_id = ?1)
         ORDER BY id {order} LIMIT ?2"
    ))?;
    let rows = statement.query_map((project.map(|id| id.0), limit), |row| row.get(0).map(BuildId))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// So many of those that are pending before a build are counted.
const BEFORE_MAX: usize = 1000;

/// How many builds are pending that were queued before this one, at most 1,000.
pub fn count_pending_before(c: &Connection, id: BuildId) -> Result<usize> {
    let mut statement =
        c.prepare_cached("SELECT count(*) FROM (SELECT 1 FROM builds WHERE status = 'pending' AND id < ?1 LIMIT ?2)")?;
    Ok(statement.query_row((id.0, BEFORE_MAX), |row| row.get(0))?)
}

/// The name of a build's project.
pub fn project_of(c: &Connection, id: BuildId) -> Result<Option<String>> {
    let mut statement =
        c.prepare_cached("SELECT p.name FROM builds b JOIN projects p ON p.id = b.project_id WHERE b.id = ?1")?;
    Ok(statement.query_row([id.0], |row| row.get(0)).optional()?)
}

/// So many builds are looked at for one page of those in a state.
const LOOKED_AT_MAX: usize = 20_000;

/// A page of builds, newest first, of this project or of all, in this state or in any, older than `before`; with where the
/// next page begins. A page may be short where builds in the state are rare: it then ends where the looking ended.
pub fn page(
    c: &Connection,
    project: Option<ProjectId>,
    wanted: Option<Status>,
    before: Option<BuildId>,
    limit: usize,
) -> Result<(Vec<BuildId>, Option<BuildId>)> {
    let mut statement = c.prepare_cached(&format!(
        "SELECT id, status FROM builds WHERE {} AND id < :before ORDER BY id DESC LIMIT :most",
        if project.is_some() { "project_id = :project" } else { ":project IS NULL" }
    ))?;
    let mut rows = statement.query(named_params! {
        ":project": project.map(|id| id.0), ":before": before.map_or(i64::MAX, |id| id.0), ":most": LOOKED_AT_MAX,
    })?;
    let (mut page, mut looked_at, mut last) = (Vec::new(), 0, None);
    while let Some(row) = rows.next()? {
        if page.len() == limit {
            return Ok((page, last));
        }
        looked_at += 1;
        let id = BuildId(row.get(0)?);
        last = Some(id);
        let found = status(row, 1)?;
        if wanted.is_none_or(|wanted| wanted == found) {
            page.push(id);
        }
    }
    Ok((page, last.filter(|_| looked_at == LOOKED_AT_MAX)))
}
