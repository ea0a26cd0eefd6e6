//! Rows of `runners` and `tag_sets`.

use super::columns::{Value, add_row, columns, json, project_named};
use crate::domain::build::ProjectId;
use crate::domain::runner::{Runner, RunnerId, RunnerInfo, RunnerState};
use crate::domain::tags::Tags;
use crate::domain::time::Timestamp;
use crate::domain::token::TokenHash;
use crate::error::Result;
use rusqlite::{Connection, OptionalExtension, named_params};

/// What a new runner is made of.
pub struct NewRunner {
    /// What its owner calls it.
    pub description: String,
    /// What it offers.
    pub tags: Tags,
    /// Whether it takes builds without tags.
    pub run_untagged: bool,
    /// Whether it is kept to its project.
    pub locked: bool,
    /// The only project whose builds it takes.
    pub project: Option<ProjectId>,
    /// What it says of itself.
    pub info: RunnerInfo,
    /// Whether it gets no builds until it is resumed.
    pub paused: bool,
    /// The longest that it lets a build run, in seconds.
    pub maximum_timeout_s: Option<i64>,
    /// What its owner notes of it.
    pub maintenance_note: String,
    /// Where it registers from.
    pub address: Option<String>,
}

impl Default for NewRunner {
    /// A shared runner without tags, of which nothing is known.
    fn default() -> NewRunner {
        NewRunner {
            description: String::new(),
            tags: Tags::default(),
            run_untagged: true,
            locked: false,
            project: None,
            info: RunnerInfo::default(),
            paused: false,
            maximum_timeout_s: None,
            maintenance_note: String::new(),
            address: None,
        }
    }
}

columns! {
    SELECT, runner: Runner {
        id: "r.id",
        description: "r.description",
        tags: "t.tags" by json,
        tag_set_id: "r.tag_set_id",
        run_untagged: "r.run_untagged",
        locked: "r.locked",
        paused: "r.paused",
        project: "p.id, p.name" by project_named,
        info: "r.info" by json,
        contacted_at: "r.contacted_at",
        maximum_timeout_s: "r.maximum_timeout_s",
        maintenance_note: "r.maintenance_note",
        address: "r.address",
        created_at: "r.created_at",
    }
    "FROM runners r JOIN tag_sets t ON t.id = r.tag_set_id LEFT JOIN projects p ON p.id = r.project_id"
}

/// The row of this set of tags, made if there is none.
pub fn tag_set(c: &Connection, tags: &Tags) -> Result<i64> {
    let text = serde_json::to_string(tags)?;
    let known =
        c.prepare_cached("SELECT id FROM tag_sets WHERE tags = ?1")?.query_row([&text], |row| row.get(0)).optional()?;
    if let Some(id) = known {
        return Ok(id);
    }
    c.execute("INSERT INTO tag_sets (tags) VALUES (?1)", [&text])?;
    Ok(c.last_insert_rowid())
}

/// Every set of tags that a build or runner has had.
pub fn tag_sets(c: &Connection) -> Result<Vec<(i64, Tags)>> {
    let mut statement = c.prepare_cached("SELECT id, tags FROM tag_sets")?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, super::from_json(row, 1)?)))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Adds a runner.
pub fn insert(c: &Connection, new: &NewRunner, token: TokenHash, now: Timestamp) -> Result<RunnerId> {
    let row: &[Value<'_>] = &[
        ("token_hash", &token),
        ("description", &new.description),
        ("tag_set_id", &tag_set(c, &new.tags)?),
        ("run_untagged", &new.run_untagged),
        ("locked", &new.locked),
        ("paused", &new.paused),
        ("project_id", &new.project),
        ("info", &serde_json::to_string(&new.info)?),
        ("created_at", &now),
        ("maximum_timeout_s", &new.maximum_timeout_s),
        ("maintenance_note", &new.maintenance_note),
        ("address", &new.address),
    ];
    add_row(c, "runners", row).map(RunnerId)
}

/// Whether the token of this runner has this hash; a removed runner's has none.
pub fn has_token(c: &Connection, id: RunnerId, token: TokenHash) -> Result<bool> {
    let mut statement = c.prepare_cached("SELECT token_hash = ?2 FROM runners WHERE id = ?1")?;
    let is_same =
        statement.query_row(rusqlite::params![id.0, token.0], |row| row.get::<_, Option<bool>>(0)).optional()?;
    Ok(is_same.flatten().unwrap_or(false))
}

/// The runner that holds the token of this hash.
pub fn by_token(c: &Connection, token: TokenHash) -> Result<Option<Runner>> {
    Ok(c.prepare_cached(&format!("{SELECT} WHERE r.token_hash = ?1"))?.query_row([token.0], runner).optional()?)
}

/// The runner of this id, unless it was removed.
pub fn by_id(c: &Connection, id: RunnerId) -> Result<Option<Runner>> {
    let sql = format!("{SELECT} WHERE r.id = ?1 AND r.removed_at IS NULL");
    Ok(c.prepare_cached(&sql)?.query_row([id.0], runner).optional()?)
}

/// The runner of this id, also if it was removed: builds name it.
pub fn by_id_even_removed(c: &Connection, id: RunnerId) -> Result<Option<Runner>> {
    Ok(c.prepare_cached(&format!("{SELECT} WHERE r.id = ?1"))?.query_row([id.0], runner).optional()?)
}

/// All runners that were not removed, oldest first.
pub fn all(c: &Connection) -> Result<Vec<Runner>> {
    let mut statement = c.prepare_cached(&format!("{SELECT} WHERE r.removed_at IS NULL ORDER BY r.id"))?;
    let rows = statement.query_map([], runner)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// How many runners are in each state.
pub fn count_states(c: &Connection, now: Timestamp) -> Result<Vec<(RunnerState, u64)>> {
    // By the index of tokens, in which those that were removed are not: they may be many.
    let mut statement = c.prepare_cached(
        "SELECT r.paused, r.contacted_at,
             (SELECT max(coalesce(b.seen_at, b.started_at)) FROM builds b
              WHERE b.runner_id = r.id AND b.status = 'running')
         FROM runners r WHERE r.token_hash >= x''",
    )?;
    let mut counts = RunnerState::ALL.map(|state| (state, 0)).to_vec();
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (asked_at, reported_at): (Option<i64>, Option<i64>) = (row.get(1)?, row.get(2)?);
        let state = RunnerState::of(row.get(0)?, asked_at.max(reported_at).map(Timestamp), now);
        counts.iter_mut().filter(|(own, _)| *own == state).for_each(|(_, count)| *count += 1);
    }
    Ok(counts)
}

/// Notes what a runner said of itself, and when and from where.
pub fn touch(c: &Connection, id: RunnerId, info: &RunnerInfo, address: Option<&str>, now: Timestamp) -> Result<()> {
    c.prepare_cached(
        "UPDATE runners SET info = :info, contacted_at = :now, address = coalesce(:address, address) WHERE id = :id",
    )?
    .execute(named_params! {
        ":info": serde_json::to_string(info)?, ":now": now.0, ":address": address, ":id": id.0,
    })?;
    Ok(())
}

/// Gives a runner another token; the old one is void.
pub fn set_token(c: &Connection, id: RunnerId, token: TokenHash) -> Result<()> {
    c.execute("UPDATE runners SET token_hash = ?1 WHERE id = ?2", rusqlite::params![token.0, id.0])?;
    Ok(())
}

/// Changes what a runner is called and what it takes; what it says of itself and its project stay.
pub fn update(c: &Connection, id: RunnerId, new: &NewRunner) -> Result<()> {
    let tag_set_id = tag_set(c, &new.tags)?;
    c.execute(
        "UPDATE runners SET description = :description, tag_set_id = :tag_set_id, run_untagged = :run_untagged,
             maximum_timeout_s = :maximum_timeout_s, maintenance_note = :maintenance_note
         WHERE id = :id",
        named_params! {
            ":description": new.description, ":tag_set_id": tag_set_id, ":run_untagged": new.run_untagged,
            ":maximum_timeout_s": new.maximum_timeout_s, ":maintenance_note": new.maintenance_note, ":id": id.0,
        },
    )?;
    Ok(())
}

/// Pauses or resumes a runner.
pub fn set_paused(c: &Connection, id: RunnerId, paused: bool) -> Result<()> {
    c.execute("UPDATE runners SET paused = :paused WHERE id = :id", named_params! {":paused": paused, ":id": id.0})?;
    Ok(())
}

/// Ends a runner's token, and forgets its managers; the row stays for the builds that name it.
pub fn remove(c: &Connection, id: RunnerId, now: Timestamp) -> Result<()> {
    c.execute(
        "UPDATE runners SET token_hash = NULL, removed_at = :now WHERE id = :id",
        named_params! {":now": now.0, ":id": id.0},
    )?;
    super::runner_builds::release(c, id)?;
    super::managers::remove_all(c, id)
}
