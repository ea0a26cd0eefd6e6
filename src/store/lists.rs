//! Pages of long lists: which builds and pipelines are on one, by their ids.
//!
//! What must stay true: a page costs the same however much is stored. Without a filter an index is walked from where the
//! page begins; with one, at most so many rows are looked at ([`crate::limits`]), and whoever asks by cursor is told where
//! to go on. Builds that have not ended are found by the indices of the queue, however old they are.

use crate::domain::build::{BuildId, ProjectId, Status};
use crate::domain::pipeline::PipelineId;
use crate::domain::runner::RunnerId;
use crate::domain::time::Timestamp;
use crate::error::Result;
use crate::limits::{BUILDS_LOOKED_MAX, PIPELINES_COUNTED_MAX, PIPELINES_LOOKED_MAX};
use rusqlite::{Connection, OptionalExtension, named_params};

/// Whose builds a list has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// This project's.
    Project(ProjectId),
    /// Those that this runner has or had.
    Runner(RunnerId),
}

/// A page of a list of builds.
#[derive(Clone, Debug)]
pub struct BuildsAsked {
    /// Whose.
    pub whose: Whose,
    /// Only those of this project; what a caller may not see is not there.
    pub kept_to: Option<ProjectId>,
    /// Only those in these states; empty: in any.
    pub states: Vec<Status>,
    /// Whether the oldest comes first.
    pub is_ascending: bool,
    /// Only those behind this one, in the order of the list.
    pub cursor: Option<BuildId>,
    /// Whether the page is asked for by its number, and not by the cursor that the one before has named.
    pub is_numbered: bool,
    /// How many of them come before the page.
    pub skip: u64,
    /// At most so many.
    pub limit: usize,
}

/// A page, and where the next one begins.
#[derive(Debug, PartialEq, Eq)]
pub struct IdsFound<T> {
    /// The ids.
    pub ids: Vec<T>,
    /// The cursor of the next page; `None`: nothing follows.
    pub next: Option<i64>,
}

impl BuildsAsked {
    /// Where the list begins: behind the cursor, or before all.
    fn begin(&self) -> i64 {
        self.cursor.map_or(if self.is_ascending { i64::MIN } else { i64::MAX }, |id| id.0)
    }

    fn comes_before(&self, one: i64, other: i64) -> bool {
        if self.is_ascending { one < other } else { one > other }
    }

    fn is_filtered(&self) -> bool {
        !self.states.is_empty() || matches!(self.whose, Whose::Runner(_))
    }
}

/// The builds on a page.
pub fn builds(c: &Connection, asked: &BuildsAsked) -> Result<IdsFound<BuildId>> {
    let (mut all, end) = if asked.is_filtered() { filtered(c, asked)? } else { (walked(c, asked)?, None) };
    let skip = if asked.is_filtered() { usize::try_from(asked.skip).unwrap_or(usize::MAX) } else { 0 };
    let mut ids: Vec<i64> = all.drain(..).skip(skip).take(asked.limit.saturating_add(1)).collect();
    let has_more = ids.len() > asked.limit;
    ids.truncate(asked.limit);
    let next = if has_more { ids.last().copied() } else { end };
    Ok(IdsFound { ids: ids.into_iter().map(BuildId).collect(), next })
}

/// Without a filter: one more than the page has, so that it shows whether there is one.
fn walked(c: &Connection, asked: &BuildsAsked) -> Result<Vec<i64>> {
    let Whose::Project(project) = asked.whose else { return Ok(Vec::new()) };
    let mut statement = c.prepare_cached(if asked.is_ascending {
        "SELECT id FROM builds WHERE project_id = ?1 AND id > ?2 ORDER BY id LIMIT ?3 OFFSET ?4"
    } else {
        "SELECT id FROM builds WHERE project_id = ?1 AND id < ?2 ORDER BY id DESC LIMIT ?3 OFFSET ?4"
    })?;
    let skip = i64::try_from(asked.skip).unwrap_or(i64::MAX);
    let limit = i64::try_from(asked.limit).unwrap_or(i64::MAX).saturating_add(1);
    let rows = statement.query_map((project.0, asked.begin(), limit, skip), |row| row.get(0))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Those of the next rows that the filter lets through, and those that have not ended. The second is where the rows end
/// that were looked at, if some follow.
fn filtered(c: &Connection, asked: &BuildsAsked) -> Result<(Vec<i64>, Option<i64>)> {
    let (whose, column) = match asked.whose {
        Whose::Project(id) => (id.0, "project_id = :whose"),
        Whose::Runner(id) => (id.0, "runner_id IS :whose"),
    };
    let (sign, order) = if asked.is_ascending { (">", "") } else { ("<", "DESC") };
    let walk = match asked.whose {
        Whose::Project(_) => column,
        Whose::Runner(_) => "coalesce(:whose, 1)",
    };
    let mut statement = c.prepare_cached(&format!(
        "SELECT id, status, project_id, {column} FROM builds WHERE {walk} AND id {sign} :begin ORDER BY id {order} LIMIT :looked"
    ))?;
    let begin = asked.begin();
    let mut rows = statement.query(named_params! {":whose": whose, ":begin": begin, ":looked": BUILDS_LOOKED_MAX})?;
    let (mut all, mut last, mut looked): (Vec<i64>, i64, usize) = (Vec::new(), begin, 0);
    let fits = |status: Status, project: i64| {
        let is_kept = asked.kept_to.is_none_or(|own| own.0 == project);
        is_kept && (asked.states.is_empty() || asked.states.contains(&status))
    };
    while let Some(row) = rows.next()? {
        (last, looked) = (row.get(0)?, looked + 1);
        if row.get(3)? && fits(row.get(1)?, row.get(2)?) {
            all.push(last);
        }
    }
    let end = (looked == BUILDS_LOOKED_MAX).then_some(last);
    for (id, status, project) in unfinished(c, asked)? {
        // Whoever asks by cursor meets them later; whoever asks by number would not.
        let is_behind = end.is_some_and(|end| asked.comes_before(end, id));
        if asked.comes_before(begin, id) && is_behind && asked.is_numbered && fits(status, project) {
            all.push(id);
        }
    }
    all.sort_unstable();
    all.dedup();
    if !asked.is_ascending {
        all.reverse();
    }
    Ok((all, end))
}

/// The builds that the indices of the queue know, if such are asked for.
fn unfinished(c: &Connection, asked: &BuildsAsked) -> Result<Vec<(i64, Status, i64)>> {
    // A partial index is used only where the state is written out.
    let by_state = |state: Status| match (state, asked.whose) {
        (Status::Pending, Whose::Project(_)) => Some("status = 'pending' AND project_id = ?1"),
        (Status::Running, Whose::Project(_)) => Some("status = 'running' AND project_id = ?1"),
        (Status::Running, Whose::Runner(_)) => Some("status = 'running' AND runner_id = ?1"),
        (Status::Created, Whose::Project(_)) => Some("status = 'created' AND project_id = ?1"),
        (Status::Scheduled, Whose::Project(_)) => Some("status = 'scheduled' AND project_id = ?1"),
        _ => None,
    };
    let whose = match asked.whose {
        Whose::Project(id) => id.0,
        Whose::Runner(id) => id.0,
    };
    let mut all = Vec::new();
    let running = [Status::Running];
    let states = if asked.states.is_empty() { &running[..] } else { &asked.states };
    for (state, condition) in states.iter().filter_map(|state| Some((*state, by_state(*state)?))) {
        let mut statement = c.prepare_cached(&format!("SELECT id, project_id FROM builds WHERE {condition}"))?;
        let rows = statement.query_map([whose], |row| Ok((row.get(0)?, state, row.get(1)?)))?;
        for row in rows {
            all.push(row?);
        }
    }
    Ok(all)
}

/// All builds of a pipeline that count, or all, the newest first.
pub fn of_pipeline(c: &Connection, id: PipelineId, with_retried: bool) -> Result<Vec<(BuildId, Status)>> {
    let mut statement = c.prepare_cached(
        "SELECT id, status FROM builds WHERE pipeline_id = ?1 AND (?2 OR retried_by IS NULL) ORDER BY id DESC",
    )?;
    let rows = statement.query_map((id.0, with_retried), |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// The newest build of this name in a pipeline that succeeded and has an archive by `now`.
pub fn archive_of_job(c: &Connection, id: PipelineId, name: &str, now: Timestamp) -> Result<Option<BuildId>> {
    let mut statement = c.prepare_cached(
        "SELECT b.id FROM builds b JOIN build_specs s ON s.build_id = b.id
             JOIN artifacts a ON a.build_id = b.id AND a.kind = 'archive' AND coalesce(a.expire_at > :now, 1)
         WHERE b.pipeline_id = :pipeline AND s.name = :name AND b.status = 'success' AND b.retried_by IS NULL
         ORDER BY b.id DESC LIMIT 1",
    )?;
    let parameters = named_params! {":pipeline": id.0, ":name": name, ":now": now.0};
    Ok(statement.query_row(parameters, |row| row.get(0)).optional()?.map(BuildId))
}

/// Builds of a pipeline that count and have artifacts of a kind, with their names, at most so many.
pub fn with_artifacts(c: &Connection, id: PipelineId, kind: &str, limit: usize) -> Result<Vec<(BuildId, String)>> {
    let mut statement = c.prepare_cached(
        "SELECT b.id, s.name FROM builds b JOIN build_specs s ON s.build_id = b.id
             JOIN artifacts a ON a.build_id = b.id AND a.kind = ?2
         WHERE b.pipeline_id = ?1 AND b.retried_by IS NULL ORDER BY b.id LIMIT ?3",
    )?;
    let rows = statement.query_map((id.0, kind, limit), |row| Ok((BuildId(row.get(0)?), row.get(1)?)))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Which pipelines a list has, by what their rows say. What is `None` is not asked for.
#[derive(Clone, Debug, Default)]
pub struct PipelinesAsked {
    /// Only those of this branch or tag.
    pub ref_: Option<String>,
    /// Only those of this commit.
    pub sha: Option<String>,
    /// Only those with this source.
    pub source: Option<String>,
    /// Only those of this name.
    pub name: Option<String>,
    /// Only those that this one has started.
    pub actor: Option<String>,
    /// Only those of tags, or of branches.
    pub is_tag: Option<bool>,
    /// Only those that were made later.
    pub created_after: Option<Timestamp>,
    /// Only those that were made earlier.
    pub created_before: Option<Timestamp>,
    /// Only those whose configuration was refused, or was taken.
    pub is_refused: Option<bool>,
}

impl PipelinesAsked {
    /// Whether more is asked for than an index says.
    #[must_use]
    pub fn looks_at_rows(&self) -> bool {
        let PipelinesAsked { ref_, sha, source, name, actor, is_tag, created_after, created_before, is_refused } = self;
        let of_rows = [source, name, actor].into_iter().any(Option::is_some);
        let is_either = is_tag.or(*is_refused).is_some();
        of_rows || is_either || created_after.or(*created_before).is_some() || (ref_.is_some() && sha.is_some())
    }

    /// What an index finds.
    fn by_index(&self) -> &'static str {
        match (&self.ref_, &self.sha) {
            (Some(_), _) => "project_id = :project AND ref = :ref AND coalesce(sha = :sha, :sha IS NULL)",
            (None, Some(_)) => "project_id = :project AND sha = :sha AND :ref IS NULL",
            (None, None) => "project_id = :project AND :ref IS NULL AND :sha IS NULL",
        }
    }
}

/// Those of a project's pipelines that are asked for: of the whole list from the `skip`th on, at most so many.
pub fn pipelines(
    c: &Connection,
    project: ProjectId,
    asked: &PipelinesAsked,
    is_ascending: bool,
    (skip, limit): (u64, usize),
) -> Result<Vec<PipelineId>> {
    let (order, by_index) = (if is_ascending { "" } else { "DESC" }, asked.by_index());
    let page = "LIMIT :limit OFFSET :skip";
    let sql = if asked.looks_at_rows() {
        format!(
            "SELECT id FROM (SELECT id, source, name, actor, is_tag, created_at, refusal IS NOT NULL AS is_refused
                 FROM pipelines WHERE {by_index} ORDER BY id {order} LIMIT {PIPELINES_LOOKED_MAX})
             WHERE {OF_ROWS} ORDER BY id {order} {page}"
        )
    } else {
        format!(
            "SELECT id FROM (SELECT *, refusal IS NOT NULL AS is_refused FROM pipelines)
             WHERE {by_index} AND {OF_ROWS} ORDER BY id {order} {page}"
        )
    };
    let rows_limit = (i64::try_from(limit).unwrap_or(i64::MAX), i64::try_from(skip).unwrap_or(i64::MAX));
    let mut statement = c.prepare_cached(&sql)?;
    let rows = statement.query_map(
        named_params! {
            ":project": project.0, ":ref": asked.ref_, ":sha": asked.sha, ":source": asked.source, ":name": asked.name,
            ":actor": asked.actor, ":is_tag": asked.is_tag, ":after": asked.created_after.map(|at| at.0),
            ":before": asked.created_before.map(|at| at.0), ":is_refused": asked.is_refused, ":limit": rows_limit.0,
            ":skip": rows_limit.1,
        },
        |row| row.get(0).map(PipelineId),
    )?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// What rows are asked for, beside what an index finds.
const OF_ROWS: &str = "coalesce(source = :source, :source IS NULL) AND coalesce(name = :name, :name IS NULL)
    AND coalesce(actor = :actor, :actor IS NULL) AND coalesce(is_tag = :is_tag, :is_tag IS NULL)
    AND coalesce(created_at > :after, :after IS NULL) AND coalesce(created_at < :before, :before IS NULL)
    AND coalesce(is_refused = :is_refused, :is_refused IS NULL)";

/// The newest pipeline of each of a project's branches and tags, by their names, of so many at most: two look-ups each.
pub fn newest_of_refs(c: &Connection, project: ProjectId, limit: usize) -> Result<Vec<PipelineId>> {
    let mut statement = c.prepare_cached(
        "WITH RECURSIVE refs (ref) AS (
             SELECT min(ref) FROM pipelines WHERE project_id = :project
             UNION ALL
             SELECT (SELECT min(ref) FROM pipelines WHERE project_id = :project AND ref > refs.ref)
             FROM refs WHERE refs.ref IS NOT NULL LIMIT :limit)
         SELECT (SELECT max(id) FROM pipelines WHERE project_id = :project AND ref = refs.ref) FROM refs
         WHERE refs.ref IS NOT NULL",
    )?;
    let rows = statement
        .query_map(named_params! {":project": project.0, ":limit": limit}, |row| row.get(0).map(PipelineId))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// How many pipelines a project has. The database keeps the number.
pub fn count_pipelines(c: &Connection, project: ProjectId) -> Result<u64> {
    let mut statement =
        c.prepare_cached("SELECT coalesce(sum(pipelines), 0) FROM pipeline_counts WHERE project_id = ?1")?;
    Ok(statement.query_row([project.0], |row| row.get(0))?)
}

/// How many of them an index finds, counted up to [`PIPELINES_COUNTED_MAX`].
pub fn count_by_index(c: &Connection, project: ProjectId, asked: &PipelinesAsked) -> Result<u64> {
    let by_index = asked.by_index();
    let mut statement =
        c.prepare_cached(&format!("SELECT count(*) FROM (SELECT 1 FROM pipelines WHERE {by_index} LIMIT :most)"))?;
    let most = i64::try_from(PIPELINES_COUNTED_MAX).unwrap_or(i64::MAX);
    let parameters = named_params! {":project": project.0, ":ref": asked.ref_, ":sha": asked.sha, ":most": most};
    Ok(statement.query_row(parameters, |row| row.get(0))?)
}
