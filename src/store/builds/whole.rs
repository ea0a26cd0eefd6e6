//! Builds as operators and runners see them: all that is known of one, from every table.

use crate::domain::build::{ArtifactsFile, Build, BuildId, ProjectId, Status};
use crate::domain::pipeline::PipelineId;
use crate::domain::time::Timestamp;
use crate::domain::token::TokenHash;
use crate::error::Result;
use crate::limits::PAGE_BUILDS_LOOKED_MAX;
use crate::store::artifacts;
use crate::store::columns::{Columns, columns, joined, json};
use rusqlite::{Connection, OptionalExtension, named_params};

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

columns! {
    SELECT, build: Build {
        id: "b.id",
        project_id: "b.project_id",
        project: "p.name",
        name: "s.name",
        stage: "s.stage",
        ref_: "s.ref",
        sha: "s.sha",
        status: "b.status",
        failure_reason: "b.failure_reason",
        exit_code: "b.exit_code",
        failure_text: "b.failure_text",
        failure_allowed: "b.failure_allowed",
        tags: "t.tags" by json,
        needs: "(SELECT json_group_array(needs_id) FROM
                     (SELECT needs_id FROM build_needs WHERE build_id = b.id ORDER BY needs_id))" by json,
        created_at: "b.created_at",
        started_at: "b.started_at",
        finished_at: "b.finished_at",
        seen_at: "b.seen_at",
        erased_at: "b.erased_at",
        runner: "r.id, r.description" by runner,
        trace_size: "coalesce(tr.size, 0)",
        artifacts: "a.path, a.filename, a.size, a.sha256, a.expire_at" by archive,
        retry_of: "b.retry_of",
        retried_by: "b.retried_by",
        pipeline_id: "b.pipeline_id",
        stage_index: "b.stage_index",
        when: "b.plays",
    }
    "FROM builds b
     JOIN projects p ON p.id = b.project_id
     JOIN build_specs s ON s.build_id = b.id
     JOIN tag_sets t ON t.id = b.tag_set_id
     LEFT JOIN runners r ON r.id = b.runner_id
     LEFT JOIN traces tr ON tr.build_id = b.id
     LEFT JOIN artifacts a ON a.build_id = b.id AND a.kind = 'archive'
         AND coalesce(a.expire_at > :now, 1)"
}

fn runner(columns: &mut Columns<'_>) -> rusqlite::Result<Option<(i64, String)>> {
    joined(columns, 2, |columns| Ok((columns.next()?, columns.next()?)))
}

fn archive(columns: &mut Columns<'_>) -> rusqlite::Result<Option<ArtifactsFile>> {
    joined(columns, 5, artifacts::file)
}

/// A build as operators see it. Artifacts that have expired by `now` do not show.
pub fn by_id(c: &Connection, id: BuildId, now: Timestamp) -> Result<Option<Build>> {
    let mut statement = c.prepare_cached(&format!("{SELECT} WHERE b.id = :id"))?;
    Ok(statement.query_row(named_params! {":now": now.0, ":id": id.0}, build).optional()?)
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
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// The running build whose own token this is. Others that have had it are not looked at.
pub fn running_by_token(c: &Connection, hash: TokenHash) -> Result<Option<BuildId>> {
    let mut statement = c.prepare_cached("SELECT id FROM builds WHERE status = 'running' AND token_hash = ?1")?;
    Ok(statement.query_row([hash.0], |row| row.get(0).map(BuildId)).optional()?)
}

/// Whether one of a project's newest builds, of so many, has or had this token.
pub fn had_token(c: &Connection, project: ProjectId, hash: TokenHash, limit: usize) -> Result<bool> {
    let mut statement = c.prepare_cached(
        "SELECT EXISTS (SELECT 1 FROM
             (SELECT token_hash FROM builds WHERE project_id = :project ORDER BY id DESC LIMIT :limit)
             WHERE token_hash = :hash)",
    )?;
    let parameters = named_params! {":project": project.0, ":hash": hash.0, ":limit": limit};
    Ok(statement.query_row(parameters, |row| row.get(0))?)
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
        ":project": project.map(|id| id.0), ":before": before.map_or(i64::MAX, |id| id.0), ":most": PAGE_BUILDS_LOOKED_MAX,
    })?;
    let (mut page, mut looked_at, mut last) = (Vec::new(), 0, None);
    while let Some(row) = rows.next()? {
        if page.len() == limit {
            return Ok((page, last));
        }
        looked_at += 1;
        let id = BuildId(row.get(0)?);
        last = Some(id);
        let found: Status = row.get(1)?;
        if wanted.is_none_or(|wanted| wanted == found) {
            page.push(id);
        }
    }
    Ok((page, last.filter(|_| looked_at == PAGE_BUILDS_LOOKED_MAX)))
}
