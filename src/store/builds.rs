//! Rows of `builds`, `build_specs` and `build_needs`.

mod again;
mod masked;
mod spec;
mod whole;

pub use again::{
    Failed, add_need, allow_failure, failed, latest, needs_in_full, repeat, repeated_by, wait_for_another,
};
pub use masked::{Tokens, secret_values, tokens};
pub use spec::{Spec, insert, is_tag, set_variables, spec};
pub use whole::{
    Filter, by_id, count_pending_before, had_token, list, manual, page, project_of, running_by_token, waiting,
};

use crate::domain::build::{BuildId, FailureReason, ProjectId, Status};
use crate::domain::runner::RunnerId;
use crate::domain::time::Timestamp;
use crate::domain::token::{Token, TokenHash};
use crate::error::{Error, Result};
use crate::store::columns::columns;
use rusqlite::{Connection, OptionalExtension, Params, ToSql, named_params};

/// What every call about one build needs to know of it: the narrow row.
#[derive(Clone, Debug)]
pub struct BuildState {
    /// Its id.
    pub id: BuildId,
    /// Its project.
    pub project_id: ProjectId,
    /// Its state.
    pub status: Status,
    /// The runner that has or had it.
    pub runner_id: Option<RunnerId>,
    /// Hash of its token, from the moment a runner took it.
    pub token_hash: Option<TokenHash>,
    /// Last authenticated call for it, to the minute.
    pub seen_at: Option<Timestamp>,
    /// When it was erased.
    pub erased_at: Option<Timestamp>,
    /// Whether those that need it go on although it failed.
    pub failure_allowed: bool,
    /// Whether its runner is to bring it to an end.
    pub is_canceling: bool,
    /// Whether nothing was heard yet of who took it, of whom something is to be heard at once.
    pub is_unheard: bool,
    /// Of its project's builds with this word, one at a time is pending or running.
    pub resource_group: Option<String>,
    /// Whether stages order it, so that its end may concern others of its pipeline, and who made that.
    pub is_staged: bool,
}

impl BuildState {
    /// The state as those see it that need this build: a failure that is allowed is none.
    #[must_use]
    pub fn as_need(&self) -> Status {
        if self.status == Status::Failed && self.failure_allowed { Status::Success } else { self.status }
    }

    /// Whether it was canceled under its runner, who has maybe not heard of it yet: what it sends is kept.
    #[must_use]
    pub fn has_last_words(&self) -> bool {
        self.status == Status::Canceled && self.runner_id.is_some() && self.erased_at.is_none()
    }
}

columns! {
    STATE, build_state: BuildState {
        id: "id",
        project_id: "project_id",
        status: "status",
        runner_id: "runner_id",
        token_hash: "token_hash",
        seen_at: "seen_at",
        erased_at: "erased_at",
        failure_allowed: "failure_allowed",
        is_canceling: "canceling_at IS NOT NULL",
        is_unheard: "unheard_until IS NOT NULL",
        resource_group: "resource_group",
        is_staged: "stage_index IS NOT NULL",
    } "FROM builds"
}

/// The narrow row of this build.
pub fn state(c: &Connection, id: BuildId) -> Result<Option<BuildState>> {
    let mut statement = c.prepare_cached(&format!("{STATE} WHERE id = ?1"))?;
    Ok(statement.query_row([id.0], build_state).optional()?)
}

/// The oldest pending build with one of these sets of tags, of this project or of all.
///
/// One index look-up a set: the rest of the queue costs nothing.
pub fn oldest_pending(c: &Connection, tag_sets: &[i64], project: Option<ProjectId>) -> Result<Option<BuildId>> {
    let mut oldest: Option<i64> = None;
    let mut statement = c.prepare_cached(match project {
        Some(_) => {
            "SELECT id FROM builds WHERE status = 'pending' AND tag_set_id = ?1 AND project_id = ?2
                 AND id NOT IN (SELECT build_id FROM runner_builds) ORDER BY id LIMIT 1"
        }
        None => {
            "SELECT id FROM builds WHERE status = 'pending' AND tag_set_id = ?1
                 AND id NOT IN (SELECT build_id FROM runner_builds) ORDER BY id LIMIT 1"
        }
    })?;
    for set in tag_sets {
        let project = project.map(|id| id.0);
        let parameters: &[&dyn ToSql] = match &project {
            Some(id) => &[set, id],
            None => &[set],
        };
        let first: Option<i64> = statement.query_row(parameters, |row| row.get(0)).optional()?;
        oldest = [oldest, first].into_iter().flatten().min();
    }
    Ok(oldest.map(BuildId))
}

/// The same of builds with sources only: who is behind many without waits for a look at each of them.
pub fn oldest_pending_with_sources(
    c: &Connection,
    tag_sets: &[i64],
    project: Option<ProjectId>,
) -> Result<Option<BuildId>> {
    let mut statement = c.prepare_cached(
        "SELECT b.id FROM builds b JOIN build_specs s ON s.build_id = b.id JOIN projects p ON p.id = b.project_id
             LEFT JOIN pipelines l ON l.id = b.pipeline_id
         WHERE b.status = 'pending' AND b.tag_set_id = ?1 AND coalesce(b.project_id = ?2, ?2 IS NULL)
             AND coalesce(s.repo_url, p.repo_url, l.sources_key) IS NOT NULL
             AND b.id NOT IN (SELECT build_id FROM runner_builds)
         ORDER BY b.id LIMIT 1",
    )?;
    let mut oldest: Option<i64> = None;
    for set in tag_sets {
        let first = statement.query_row((set, project.map(|id| id.0)), |row| row.get(0)).optional()?;
        oldest = [oldest, first].into_iter().flatten().min();
    }
    Ok(oldest.map(BuildId))
}

/// Whether a runner fetches something for this build: it or its project names a repository, or its pipeline has a snapshot.
pub fn has_sources(c: &Connection, id: BuildId) -> Result<bool> {
    let mut statement = c.prepare_cached(
        "SELECT coalesce(s.repo_url, p.repo_url, l.sources_key) IS NOT NULL FROM builds b
         JOIN build_specs s ON s.build_id = b.id JOIN projects p ON p.id = b.project_id
         LEFT JOIN pipelines l ON l.id = b.pipeline_id WHERE b.id = ?1",
    )?;
    Ok(statement.query_row([id.0], |row| row.get(0))?)
}

/// How many pending builds there are with one of these sets of tags, of `project` or of all; at most `max`.
pub fn count_pending(c: &Connection, tag_sets: &[i64], project: Option<ProjectId>, max: usize) -> Result<usize> {
    let mut count = 0;
    let mut statement = c.prepare_cached(match project {
        Some(_) => {
            "SELECT count(*) FROM (SELECT 1 FROM builds
             WHERE status = 'pending' AND tag_set_id = :set AND project_id = :project
                 AND id NOT IN (SELECT build_id FROM runner_builds) LIMIT :max)"
        }
        None => {
            "SELECT count(*) FROM (SELECT 1 FROM builds WHERE status = 'pending' AND tag_set_id = :set
                 AND id NOT IN (SELECT build_id FROM runner_builds) LIMIT :max)"
        }
    })?;
    for set in tag_sets {
        let left = max - count;
        if left == 0 {
            break;
        }
        let project = project.map(|id| id.0);
        let mut parameters: Vec<(&str, &dyn ToSql)> = vec![(":set", set), (":max", &left)];
        parameters.extend(project.iter().map(|id| (":project", id as &dyn ToSql)));
        count += statement.query_row(parameters.as_slice(), |row| row.get::<_, usize>(0))?;
    }
    Ok(count)
}

/// Who takes a build.
pub struct Taker {
    /// The runner.
    pub runner: RunnerId,
    /// The row of its manager, if it named one.
    pub manager: Option<i64>,
    /// The longest that it lets a build run, in seconds.
    pub maximum_timeout_s: Option<i64>,
    /// Whether it brings a build to an end when it is told to.
    pub is_graceful: bool,
    /// When the build goes back into the queue unless something was heard of it.
    pub unheard_until: Option<Timestamp>,
}

impl Taker {
    /// A runner that says nothing but who it is.
    #[must_use]
    pub fn of(runner: RunnerId) -> Taker {
        Taker { runner, manager: None, maximum_timeout_s: None, is_graceful: false, unheard_until: None }
    }
}

/// Hands a pending build to a runner. False: it is not pending any more. The row takes the room that it was given
/// (`schema.sql`), and some is left for its end.
pub fn start(c: &Connection, id: BuildId, taker: &Taker, token: &Token, now: Timestamp) -> Result<bool> {
    let changed = c
        .prepare_cached(
            "UPDATE builds SET status = 'running', runner_id = :runner, token = :token, token_hash = :hash,
                 started_at = :now, seen_at = :now, room = zeroblob(32), manager_id = :manager,
                 run_timeout_s = min(timeout_s, :maximum_timeout_s), is_graceful = :is_graceful,
                 unheard_until = :unheard_until
             WHERE id = :id AND status = 'pending'",
        )?
        .execute(named_params! {
            ":runner": taker.runner.0, ":token": token.reveal(), ":hash": token.hash().0, ":now": now.0, ":id": id.0,
            ":manager": taker.manager, ":maximum_timeout_s": taker.maximum_timeout_s,
            ":is_graceful": taker.is_graceful, ":unheard_until": taker.unheard_until.map(|at| at.0),
        })?;
    Ok(changed == 1)
}

/// Puts a build back into the queue that [`start`] has taken out, if nothing was heard of it since. Returns whether that
/// was so.
pub fn give_back(c: &Connection, id: BuildId, hash: TokenHash) -> Result<bool> {
    let changed = c
        .prepare_cached(
            "UPDATE builds SET status = 'pending', runner_id = NULL, token = NULL, token_hash = NULL,
                 started_at = NULL, seen_at = NULL, deadline_at = NULL, manager_id = NULL, run_timeout_s = NULL,
                 is_graceful = 0, canceling_at = NULL, unheard_until = NULL, room = zeroblob(136)
             WHERE id = :id AND status = 'running' AND token_hash = :hash
                 AND NOT EXISTS (SELECT 1 FROM traces WHERE build_id = :id)
                 AND NOT EXISTS (SELECT 1 FROM artifacts WHERE build_id = :id)",
        )?
        .execute(named_params! { ":id": id.0, ":hash": hash.0 })?;
    Ok(changed == 1)
}

/// Changes a build's state from what the caller believes it to be.
///
/// # Errors
/// The database's; [`crate::error::Kind::Conflict`] if the state is another, or may not change so.
pub fn change_status(
    c: &Connection,
    id: BuildId,
    from: Status,
    to: Status,
    reason: Option<FailureReason>,
    now: Timestamp,
) -> Result<()> {
    let impossible =
        || Error::new(crate::error::Kind::Conflict, format!("build {id} is {from} and cannot become {to}"));
    if !from.may_become(to) {
        return Err(impossible());
    }
    let changed = c
        .prepare_cached(
            "UPDATE builds SET status = :to, failure_reason = :reason, finished_at = :finished_at,
                 token = CASE WHEN :to = 'canceled' THEN token END, unheard_until = NULL,
                 room = iif(:waits, coalesce(room, zeroblob(136)), NULL)
             WHERE id = :id AND status = :from",
        )?
        .execute(named_params! {
            ":to": to.as_str(), ":reason": reason.map(FailureReason::as_str),
            ":finished_at": to.is_finished().then_some(now.0), ":id": id.0, ":from": from.as_str(),
            ":waits": !to.is_finished(),
        })?;
    if changed == 1 { Ok(()) } else { Err(impossible()) }
}

/// Notes what a runner says of a failure besides the reason.
pub fn set_failure(c: &Connection, id: BuildId, text: Option<&str>, exit_code: Option<i64>) -> Result<()> {
    c.prepare_cached("UPDATE builds SET failure_text = :text, exit_code = :exit_code WHERE id = :id")?
        .execute(named_params! {":text": text, ":exit_code": exit_code, ":id": id.0})?;
    Ok(())
}

/// Asks for a running build to be brought to an end by its runner, if that has said that it can. Returns whether it has.
pub fn ask_for_end(c: &Connection, id: BuildId, now: Timestamp) -> Result<bool> {
    let changed = c
        .prepare_cached(
            "UPDATE builds SET canceling_at = :now
             WHERE id = :id AND status = 'running' AND is_graceful AND canceling_at IS NULL",
        )?
        .execute(named_params! {":now": now.0, ":id": id.0})?;
    Ok(changed == 1)
}

/// Notes that the build's runner lives.
pub fn touch(c: &Connection, id: BuildId, now: Timestamp) -> Result<()> {
    c.prepare_cached("UPDATE builds SET seen_at = :now, unheard_until = NULL WHERE id = :id")?
        .execute(named_params! {":now": now.0, ":id": id.0})?;
    Ok(())
}

/// Times of a running build, by which it may be given up.
pub struct Running {
    /// The build.
    pub id: BuildId,
    /// When a runner took it.
    pub started_at: Timestamp,
    /// Last authenticated call for it.
    pub seen_at: Timestamp,
    /// Longest run in seconds, as its runner was told.
    pub timeout_s: i64,
    /// The row of the manager that has it, if one was named.
    pub manager_id: Option<i64>,
    /// When it is given up, if that was put off.
    pub deadline_at: Option<Timestamp>,
    /// Who has it.
    pub runner_id: Option<RunnerId>,
    /// When its runner was asked to bring it to an end.
    pub canceling_at: Option<Timestamp>,
    /// When it goes back into the queue unless something was heard of it.
    pub unheard_until: Option<Timestamp>,
}

columns! {
    RUNNING, running_row: Running {
        id: "id",
        started_at: "started_at",
        seen_at: "coalesce(seen_at, started_at)",
        timeout_s: "coalesce(run_timeout_s, timeout_s)",
        manager_id: "manager_id",
        deadline_at: "deadline_at",
        runner_id: "runner_id",
        canceling_at: "canceling_at",
        unheard_until: "unheard_until",
    } "FROM builds WHERE status = 'running'"
}

/// All running builds.
pub fn running(c: &Connection) -> Result<Vec<Running>> {
    let mut statement = c.prepare_cached(&format!("{RUNNING} AND runner_id IS NOT NULL"))?;
    let rows = statement.query_map([], running_row)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// The running builds that this runner has, oldest first.
pub fn running_of(c: &Connection, runner: RunnerId) -> Result<Vec<Running>> {
    let mut statement = c.prepare_cached(&format!("{RUNNING} AND runner_id = ?1 ORDER BY id"))?;
    let rows = statement.query_map([runner.0], running_row)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Whether a running build has had all the time that it may run.
pub fn is_time_over(c: &Connection, id: BuildId, now: Timestamp) -> Result<bool> {
    let mut statement = c.prepare_cached(
        "SELECT coalesce(?2 - started_at >= coalesce(run_timeout_s, timeout_s) * 1000, 0) FROM builds WHERE id = ?1",
    )?;
    Ok(statement.query_row([id.0, now.0], |row| row.get(0))?)
}

/// Forgets the readable tokens of builds that were canceled before `before`: their runners have gone silent.
pub fn forget_tokens(c: &Connection, before: Timestamp) -> Result<()> {
    c.prepare_cached(
        "UPDATE builds SET token = NULL WHERE status = 'canceled' AND token IS NOT NULL AND finished_at < ?1",
    )?
    .execute([before.0])?;
    Ok(())
}

/// Notes that artifacts of a running build were refused for their size; `None`: that others were taken since.
pub fn note_refused_artifacts(c: &Connection, id: BuildId, at: Option<Timestamp>) -> Result<()> {
    c.prepare_cached(
        "UPDATE builds SET artifacts_refused_at = :at
         WHERE id = :id AND status = 'running' AND artifacts_refused_at IS NOT :at",
    )?
    .execute(named_params! {":at": at.map(|at| at.0), ":id": id.0})?;
    Ok(())
}

/// Whether the last artifacts that this build has sent were refused for their size.
pub fn has_refused_artifacts(c: &Connection, id: BuildId) -> Result<bool> {
    let mut statement = c.prepare_cached("SELECT artifacts_refused_at IS NOT NULL FROM builds WHERE id = ?1")?;
    Ok(statement.query_row([id.0], |row| row.get(0))?)
}

/// Notes that the build's trace and artifacts were erased.
pub fn set_erased(c: &Connection, id: BuildId, now: Timestamp) -> Result<()> {
    c.execute("UPDATE builds SET erased_at = :now WHERE id = :id", named_params! {":now": now.0, ":id": id.0})?;
    Ok(())
}

/// The builds that this one needs.
pub fn needs(c: &Connection, id: BuildId) -> Result<Vec<BuildId>> {
    ids(c, "SELECT needs_id FROM build_needs WHERE build_id = ?1 ORDER BY needs_id", [id.0])
}

/// When the last of the builds ended that this one needs.
pub fn needs_ended_at(c: &Connection, id: BuildId) -> Result<Option<Timestamp>> {
    let mut statement = c.prepare_cached(
        "SELECT max(b.finished_at) FROM build_needs n JOIN builds b ON b.id = n.needs_id WHERE n.build_id = ?1",
    )?;
    Ok(statement.query_row([id.0], |row| row.get::<_, Option<i64>>(0))?.map(Timestamp))
}

/// Those of them whose artifacts this build gets.
pub fn needs_with_artifacts(c: &Connection, id: BuildId) -> Result<Vec<BuildId>> {
    ids(c, "SELECT needs_id FROM build_needs WHERE build_id = ?1 AND artifacts = 1 ORDER BY needs_id", [id.0])
}

/// The builds that this runner has at present.
pub fn running_on(c: &Connection, runner: RunnerId) -> Result<Vec<BuildId>> {
    ids(c, "SELECT id FROM builds WHERE runner_id = ?1 AND status = 'running' ORDER BY id", [runner.0])
}

/// The builds whose ids a statement selects.
pub(super) fn ids(c: &Connection, sql: &str, parameters: impl Params) -> Result<Vec<BuildId>> {
    let mut statement = c.prepare_cached(sql)?;
    let rows = statement.query_map(parameters, |row| row.get(0).map(BuildId))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Whether some running build that gets the artifacts of `id` holds the token of this hash.
pub fn is_token_of_dependent(c: &Connection, id: BuildId, token: TokenHash) -> Result<bool> {
    let mut statement = c.prepare_cached(
        "SELECT b.token_hash FROM build_needs n JOIN builds b ON b.id = n.build_id
         WHERE n.needs_id = ?1 AND n.artifacts = 1 AND b.status = 'running'
         UNION ALL
         SELECT b.token_hash FROM builds own JOIN builds b
             ON b.pipeline_id = own.pipeline_id AND b.stage_index > own.stage_index
         WHERE own.id = ?1 AND own.retried_by IS NULL AND b.waits_for_stages = 1 AND b.status = 'running'",
    )?;
    let mut rows = statement.query([id.0])?;
    while let Some(row) = rows.next()? {
        if row.get::<_, Option<[u8; 32]>>(0)?.map(TokenHash) == Some(token) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The token of a running build.
///
/// # Errors
/// The database's; also when the build does not run.
pub fn token(c: &Connection, id: BuildId) -> Result<Token> {
    let text: Option<String> =
        c.prepare_cached("SELECT token FROM builds WHERE id = ?1")?.query_row([id.0], |row| row.get(0))?;
    text.as_deref().and_then(Token::received).ok_or_else(|| Error::internal(format!("build {id} has no token")))
}

/// How many builds are in each state that some build is in, counted one by one.
pub fn count(c: &Connection) -> Result<Vec<(Status, u64)>> {
    let mut statement = c.prepare_cached("SELECT status, count(*) FROM builds GROUP BY status")?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// The build that has been ready to be handed out for longest, of those that are first in line for their sets of tags,
/// and since when: one look-up a set, however long the queue is. Who needs others is ready when the last of them has
/// ended.
pub(super) const LONGEST_PENDING: &str = "
    WITH RECURSIVE sets (id) AS (
        SELECT min(tag_set_id) FROM builds WHERE status = 'pending'
        UNION ALL
        SELECT (SELECT min(tag_set_id) FROM builds WHERE status = 'pending' AND tag_set_id > sets.id)
        FROM sets WHERE sets.id IS NOT NULL)
    SELECT first.id, max(first.created_at, coalesce(
        (SELECT max(needed.finished_at) FROM build_needs n JOIN builds needed ON needed.id = n.needs_id
         WHERE n.build_id = first.id), 0)) AS ready_at
    FROM sets JOIN builds first
        ON first.id = (SELECT min(id) FROM builds WHERE status = 'pending' AND tag_set_id = sets.id)
    ORDER BY ready_at, first.id LIMIT 1";

/// The build that has been ready to be handed out for longest, of those that are first in line for their sets of tags,
/// and since when.
pub fn longest_pending(c: &Connection) -> Result<Option<(BuildId, Timestamp)>> {
    let mut statement = c.prepare_cached(LONGEST_PENDING)?;
    Ok(statement.query_row([], |row| Ok((BuildId(row.get(0)?), Timestamp(row.get(1)?)))).optional()?)
}
