//! Rows of `pipelines`.

use crate::domain::build::{BuildId, ProjectId};
use crate::domain::pipeline::{PipelineId, Source};
use crate::domain::time::Timestamp;
use crate::error::Result;
use crate::store::columns::{columns, json};
use crate::store::jobs::{Standing, tally_row};
use rusqlite::{Connection, OptionalExtension, named_params};
use serde_json::Value;

/// A pipeline before it has an id.
#[derive(Clone, Debug, Default)]
pub struct NewRow<'a> {
    /// Branch or tag.
    pub ref_: &'a str,
    /// Whether that is a tag.
    pub is_tag: bool,
    /// The commit; `None`: what the ref points to when it is fetched.
    pub sha: Option<&'a str>,
    /// The commit before.
    pub before_sha: Option<&'a str>,
    /// Why there is one.
    pub source: Source,
    /// `workflow:name`.
    pub name: Option<&'a str>,
    /// Names of its stages, in order.
    pub stages: &'a [String],
    /// What rules have left out, as JSON.
    pub left_out: Value,
    /// What people were told when it was made.
    pub warnings: &'a [String],
    /// The first line of the commit's message.
    pub title: Option<&'a str>,
    /// Who started it.
    pub actor: Option<&'a str>,
    /// The repository below `sources/` that holds its commit.
    pub sources_key: Option<&'a str>,
    /// The circumstances for its children, as JSON.
    pub context: Option<&'a str>,
    /// The build that makes it as its child.
    pub parent: Option<BuildId>,
    /// What is wrong with its configuration, as JSON: then it gets no builds.
    pub refusal: Option<&'a str>,
}

/// A pipeline. Has no `Debug`, since it knows secrets.
#[derive(Clone)]
pub struct Pipeline {
    /// Its id.
    pub id: PipelineId,
    /// The project's id.
    pub project_id: ProjectId,
    /// The project's name.
    pub project: String,
    /// Its number in the project, from 1.
    pub iid: i64,
    /// Branch or tag.
    pub ref_: String,
    /// Whether that is a tag.
    pub is_tag: bool,
    /// The commit; `None`: what the ref pointed to when it was fetched.
    pub sha: Option<String>,
    /// Why there is one.
    pub source: Source,
    /// `workflow:name`, or what somebody has called it since.
    pub name: Option<String>,
    /// Names of its stages, in order.
    pub stages: Vec<String>,
    /// What rules have left out: objects with `name`, `stage`, `why`, `file`, `line`.
    pub left_out: Value,
    /// What people were told when it was made.
    pub warnings: Vec<String>,
    /// The first line of the commit's message.
    pub title: Option<String>,
    /// Who started it.
    pub actor: Option<String>,
    /// The repository below `sources/` that holds its commit.
    pub sources_key: Option<String>,
    /// The circumstances for its children, as JSON: secrets are among them.
    pub context: Option<String>,
    /// The build that made it as its child.
    pub parent: Option<BuildId>,
    /// The commit before.
    pub before_sha: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
}

/// Adds a pipeline, with the next number of its project.
pub fn insert(c: &Connection, project: ProjectId, new: &NewRow<'_>, now: Timestamp) -> Result<PipelineId> {
    c.prepare_cached(
        "INSERT INTO pipelines (project_id, iid, ref, is_tag, sha, before_sha, source, name, stages, left_out, warnings,
             title, actor, sources_key, context, parent_id, created_at, refusal)
         VALUES (:project, (SELECT coalesce(max(iid), 0) + 1 FROM pipelines WHERE project_id = :project), :ref, :is_tag,
             :sha, :before_sha, :source, :name, :stages, :left_out, :warnings, :title, :actor, :sources_key, :context,
             :parent, :now, :refusal)",
    )?
    .execute(named_params! {
        ":project": project.0, ":ref": new.ref_, ":is_tag": new.is_tag, ":sha": new.sha,
        ":before_sha": new.before_sha, ":source": new.source.as_str(), ":name": new.name,
        ":stages": serde_json::to_string(new.stages)?,
        ":left_out": if new.left_out.is_null() { "[]".to_owned() } else { new.left_out.to_string() },
        ":warnings": serde_json::to_string(new.warnings)?, ":title": new.title, ":actor": new.actor,
        ":sources_key": new.sources_key, ":context": new.context, ":parent": new.parent.map(|id| id.0), ":now": now.0,
        ":refusal": new.refusal,
    })?;
    Ok(PipelineId(c.last_insert_rowid()))
}

// Pipelines first: else a page of them is all of them, sorted.
columns! {
    SELECT, pipeline: Pipeline {
        id: "l.id",
        project_id: "l.project_id",
        project: "p.name",
        iid: "l.iid",
        ref_: "l.ref",
        is_tag: "l.is_tag",
        sha: "l.sha",
        source: "l.source",
        name: "l.name",
        stages: "l.stages" by json,
        left_out: "l.left_out" by json,
        warnings: "l.warnings" by json,
        title: "l.title",
        actor: "l.actor",
        sources_key: "l.sources_key",
        context: "l.context",
        parent: "l.parent_id",
        before_sha: "l.before_sha",
        created_at: "l.created_at",
    }
    "FROM pipelines l CROSS JOIN projects p ON p.id = l.project_id"
}

/// The pipeline of this id.
pub fn by_id(c: &Connection, id: PipelineId) -> Result<Option<Pipeline>> {
    let mut statement = c.prepare_cached(&format!("{SELECT} WHERE l.id = ?1"))?;
    Ok(statement.query_row([id.0], pipeline).optional()?)
}

/// What builds are told of their pipeline, and where its commit lies.
pub struct AboutPipeline {
    /// Its id.
    pub id: PipelineId,
    /// Its number in the project, from 1.
    pub iid: i64,
    /// Why there is one.
    pub source: Source,
    /// `workflow:name`.
    pub name: Option<String>,
    /// The repository below `sources/` that holds its commit.
    pub sources_key: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
}

columns! {
    ABOUT, about_pipeline: AboutPipeline {
        id: "id",
        iid: "iid",
        source: "source",
        name: "name",
        sources_key: "sources_key",
        created_at: "created_at",
    }
    "FROM pipelines"
}

/// What builds of this pipeline are told of it: read with each claim.
pub fn about(c: &Connection, id: PipelineId) -> Result<Option<AboutPipeline>> {
    let mut statement = c.prepare_cached(&format!("{ABOUT} WHERE id = ?1"))?;
    Ok(statement.query_row([id.0], about_pipeline).optional()?)
}

/// The pipeline of a build.
pub fn of_build(c: &Connection, id: BuildId) -> Result<Option<Pipeline>> {
    let mut statement =
        c.prepare_cached(&format!("{SELECT} WHERE l.id = (SELECT pipeline_id FROM builds WHERE id = ?1)"))?;
    Ok(statement.query_row([id.0], pipeline).optional()?)
}

/// Which pipelines of a list are asked for.
#[derive(Default)]
pub struct Newest<'a> {
    /// The project; `None`: all.
    pub project: Option<ProjectId>,
    /// Branch or tag, of a project.
    pub ref_: Option<&'a str>,
    /// Older ones than this.
    pub before: Option<PipelineId>,
    /// At most so many.
    pub limit: Option<usize>,
}

/// These pipelines, the newest first: by an index, however many there are.
pub fn newest(c: &Connection, asked: &Newest<'_>) -> Result<Vec<Pipeline>> {
    let which = match (asked.project, asked.ref_) {
        (None, None) => ":project IS NULL AND :ref IS NULL",
        (None, Some(_)) => ":project IS NULL AND l.ref = :ref",
        (Some(_), None) => "l.project_id = :project AND :ref IS NULL",
        (Some(_), Some(_)) => "l.project_id = :project AND l.ref = :ref",
    };
    let mut statement = c.prepare_cached(&format!(
        "{SELECT} WHERE {which} AND l.id < :before ORDER BY l.id DESC LIMIT coalesce(:limit, -1)"
    ))?;
    let parameters = named_params! {
        ":project": asked.project.map(|id| id.0), ":ref": asked.ref_,
        ":before": asked.before.map_or(i64::MAX, |id| id.0), ":limit": asked.limit,
    };
    let rows = statement.query_map(parameters, pipeline)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Pipelines of a commit that begins so, the newest first: among the newest that there are.
pub fn of_commit(c: &Connection, begin: &str, limit: usize) -> Result<Vec<Pipeline>> {
    let mut statement = c.prepare_cached(&format!(
        "{SELECT} WHERE l.id IN (SELECT id FROM (SELECT id, sha FROM pipelines ORDER BY id DESC LIMIT 20000)
             WHERE substr(sha, 1, length(:begin)) = :begin) ORDER BY l.id DESC LIMIT :limit"
    ))?;
    let rows = statement.query_map(named_params! {":begin": begin, ":limit": limit}, pipeline)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Branches and tags that had the newest pipelines, at most so many, each with its project's id and name.
pub fn newest_refs(
    c: &Connection,
    project: Option<ProjectId>,
    limit: usize,
) -> Result<Vec<(ProjectId, String, String)>> {
    let mut statement = c.prepare_cached(&format!(
        "SELECT project_id, p.name, ref FROM
             (SELECT id, project_id, ref FROM pipelines WHERE {} ORDER BY id DESC LIMIT 200) l
             JOIN projects p ON p.id = l.project_id
         GROUP BY project_id, ref ORDER BY max(l.id) DESC LIMIT :limit",
        if project.is_some() { "project_id = :project" } else { ":project IS NULL" }
    ))?;
    let parameters = named_params! {":project": project.map(|id| id.0), ":limit": limit};
    let rows = statement.query_map(parameters, |row| Ok((ProjectId(row.get(0)?), row.get(1)?, row.get(2)?)))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// The pipelines that this build has made.
pub fn children(c: &Connection, id: BuildId) -> Result<Vec<PipelineId>> {
    let mut statement = c.prepare_cached("SELECT id FROM pipelines WHERE parent_id = ?1 ORDER BY id")?;
    let rows = statement.query_map([id.0], |row| row.get(0).map(PipelineId))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// The pipelines that builds of this one have made.
pub fn children_of_pipeline(c: &Connection, id: PipelineId) -> Result<Vec<PipelineId>> {
    let mut statement = c.prepare_cached(
        "SELECT l.id FROM builds b JOIN pipelines l ON l.parent_id = b.id WHERE b.pipeline_id = ?1 ORDER BY l.id",
    )?;
    let rows = statement.query_map([id.0], |row| row.get(0).map(PipelineId))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// The build that made the pipeline of this one, if one did.
pub fn parent_of_build(c: &Connection, id: BuildId) -> Result<Option<BuildId>> {
    let mut statement = c.prepare_cached(
        "SELECT l.parent_id FROM builds b JOIN pipelines l ON l.id = b.pipeline_id
         WHERE b.id = ?1 AND b.stage_index IS NOT NULL",
    )?;
    Ok(statement.query_row([id.0], |row| row.get::<_, Option<i64>>(0)).optional()?.flatten().map(BuildId))
}

/// What is wrong with a pipeline's configuration, as JSON; `None`: it was taken.
pub fn refusal(c: &Connection, id: PipelineId) -> Result<Option<String>> {
    let mut statement = c.prepare_cached("SELECT refusal FROM pipelines WHERE id = ?1")?;
    Ok(statement.query_row([id.0], |row| row.get(0)).optional()?.flatten())
}

/// When a pipeline was made whose configuration was refused; `None`: it was taken.
fn refused_at(c: &Connection, id: PipelineId) -> Result<Option<Timestamp>> {
    let mut statement = c.prepare_cached("SELECT created_at FROM pipelines WHERE id = ?1 AND refusal IS NOT NULL")?;
    Ok(statement.query_row([id.0], |row| row.get(0)).optional()?.map(Timestamp))
}

/// How the builds of a pipeline stand that count: those that were made again do not.
pub fn standing(c: &Connection, id: PipelineId) -> Result<Standing> {
    let mut statement = c.prepare_cached(
        "SELECT status, failure_allowed, count(*), min(started_at), max(finished_at), max(started_at), min(id) FROM builds
         WHERE pipeline_id = ?1 AND retried_by IS NULL GROUP BY 1, 2",
    )?;
    let mut rows = statement.query([id.0])?;
    let mut standing = Standing::default();
    while let Some(row) = rows.next()? {
        tally_row(row, 0, &mut standing.tally)?;
        let (started, finished): (Option<i64>, Option<i64>) = (row.get(3)?, row.get(4)?);
        let (last_started, first): (Option<i64>, i64) = (row.get(5)?, row.get(6)?);
        standing.first = standing.first.into_iter().chain([BuildId(first)]).min();
        standing.last_started_at = standing.last_started_at.max(last_started.map(Timestamp));
        standing.started_at = standing.started_at.into_iter().chain(started.map(Timestamp)).min();
        standing.finished_at = standing.finished_at.into_iter().chain(finished.map(Timestamp)).max();
    }
    if standing.first.is_none() {
        // It has ended as it began.
        standing.finished_at = refused_at(c, id)?;
        standing.is_refused = standing.finished_at.is_some();
    }
    Ok(standing)
}

/// Gives a pipeline a name, or takes it from it.
pub fn set_name(c: &Connection, id: PipelineId, name: Option<&str>) -> Result<()> {
    c.prepare_cached("UPDATE pipelines SET name = ?2 WHERE id = ?1")?.execute((id.0, name))?;
    Ok(())
}

/// Removes a pipeline whose last build has gone. The repository that held its commit goes when nobody names it any more.
pub fn remove_if_empty(c: &Connection, id: PipelineId) -> Result<()> {
    c.prepare_cached(
        "DELETE FROM pipelines WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM builds WHERE pipeline_id = ?1)",
    )?
    .execute([id.0])?;
    Ok(())
}

/// Whether some pipeline's commit lies in this repository below `sources/`.
pub fn has_sources_key(c: &Connection, key: &str) -> Result<bool> {
    let mut statement = c.prepare_cached("SELECT EXISTS (SELECT 1 FROM pipelines WHERE sources_key = ?1)")?;
    Ok(statement.query_row([key], |row| row.get(0))?)
}
