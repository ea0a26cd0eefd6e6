//! Runners: list, show, make, change, remove.
//!
//! What must stay true: who is kept to a project sees that one's runners only; those of all projects are not his to see or
//! to change. A token is in the answer that makes it, and in no other.

use super::call::Call;
use super::denial::Denial;
use super::jobs::{self, SCOPE};
use super::object::project::simple_project;
use super::object::runner::{manager, runner, runner_details, runner_status};
use super::pages::{self, Asked};
use super::route::{Answered, Content, May, route, says};
use crate::api::Handler;
use crate::coordinator::RunnerChange;
use crate::domain::runner::{RunnerAtWork, RunnerId};
use crate::domain::tags::Tags;
use crate::http::params::{Field, Params, Shape, text};
use crate::http::router::Endpoint;
use crate::http::{Method, Response};
use crate::store::lists::Whose;
use crate::store::runners::NewRunner;
use serde_json::{Value, json};

/// The endpoints.
pub const ENDPOINTS: &[Endpoint<Handler>] = &[
    route(Method::Get, "runners", May::Read, LIST, list, says("Runners", 200, Content::List("Runner"))),
    route(Method::Get, "runners/all", May::Read, LIST, list_all, says("All runners", 200, Content::List("Runner"))),
    route(
        Method::Get,
        "projects/:project/runners",
        May::Read,
        LIST,
        list_of_project,
        says("The runners that may take a project's jobs", 200, Content::List("Runner")),
    ),
    route(
        Method::Post,
        "projects/:project/runners",
        May::Write,
        &[],
        |_| Err(NOT_SHARED),
        says("Refused: a runner is one project's or all projects'", 201, Content::Object("Runner")),
    ),
    route(
        Method::Delete,
        "projects/:project/runners/:id",
        May::Write,
        &[],
        |_| Err(NOT_SHARED),
        says("Refused: a runner is one project's or all projects'", 204, Content::Nothing),
    ),
    route(Method::Get, "runners/:id", May::Read, &[], show, says("A runner", 200, Content::Object("RunnerDetails"))),
    route(
        Method::Put,
        "runners/:id",
        May::Write,
        CHANGE,
        change,
        says("Changes a runner", 200, Content::Object("RunnerDetails")),
    ),
    route(
        Method::Delete,
        "runners/:id",
        May::Write,
        &[],
        remove,
        says("Removes a runner; the job that it has fails", 204, Content::Nothing),
    ),
    route(
        Method::Get,
        "runners/:id/jobs",
        May::Read,
        JOBS,
        list_jobs,
        says("The jobs that a runner has or had", 200, Content::List("Job")),
    ),
    route(
        Method::Get,
        "runners/:id/managers",
        May::Read,
        &[],
        managers,
        says("The machines that use a runner's token", 200, Content::List("RunnerManager")),
    ),
    route(
        Method::Post,
        "runners/:id/reset_authentication_token",
        May::Write,
        &[],
        reset_token,
        says("Gives a runner another token", 201, Content::Object("NewToken")),
    ),
    route(
        Method::Post,
        "user/runners",
        May::Write,
        MAKE,
        make,
        says("Makes a runner, and shows its token this once", 201, Content::Object("NewRunner")),
    ),
];

const NOT_SHARED: Denial =
    Denial::Refused("403 Forbidden - a runner of Baton belongs to one project or to all of them");
const NOT_YOURS: Denial = Denial::Refused("403 Forbidden - this token is for one project's runners only");

const TAGS: Field = Field { name: "tag_list", shape: Shape::Words };
const PAUSED: Field = Field { name: "paused", shape: Shape::Flag };
const ACTIVE: Field = Field { name: "active", shape: Shape::Flag };
const RUN_UNTAGGED: Field = Field { name: "run_untagged", shape: Shape::Flag };
const LOCKED: Field = Field { name: "locked", shape: Shape::Flag };

const LIST: &[Field] = &[
    pages::PAGE,
    pages::PER_PAGE,
    pages::PAGINATION,
    text("type"),
    text("status"),
    text("scope"),
    text("version_prefix"),
    PAUSED,
    TAGS,
];
const CHANGE: &[Field] = &[
    text("description"),
    PAUSED,
    ACTIVE,
    TAGS,
    RUN_UNTAGGED,
    LOCKED,
    text("maximum_timeout"),
    text("access_level"),
    text("maintenance_note"),
];
const MAKE: &[Field] = &[
    text("runner_type"),
    text("project_id"),
    text("group_id"),
    text("description"),
    PAUSED,
    TAGS,
    RUN_UNTAGGED,
    LOCKED,
    text("maximum_timeout"),
    text("access_level"),
    text("maintenance_note"),
];
const JOBS: &[Field] = &[
    text("status"),
    text("system_id"),
    SCOPE,
    pages::PAGE,
    pages::PER_PAGE,
    pages::PAGINATION,
    pages::CURSOR,
    pages::ORDER_BY,
    pages::SORT,
];

/// A text that is not empty.
fn given<'p>(params: &'p Params, name: &str) -> Option<&'p str> {
    params.text(name).filter(|text| !text.is_empty())
}

/// Tags, as a list or separated by commas; `None`: nothing was said of them.
fn tags(params: &Params) -> Result<Option<Tags>, Denial> {
    let tags = match (params.list(TAGS.name), params.text(TAGS.name)) {
        (Some(words), _) => Tags::new(words),
        (None, Some(text)) => Tags::from_list(text),
        (None, None) => return Ok(None),
    };
    tags.map(Some).map_err(|why| Denial::Value { field: "tags_list", why })
}

/// Whether what the parameters ask for is true of a runner.
fn fits(params: &Params, wanted: Option<&Tags>, at_work: &RunnerAtWork, call: &Call<'_, '_>) -> Result<bool, Denial> {
    let it = &at_work.runner;
    let status = runner_status(at_work, call.now);
    let by_word = |word: &str| match word {
        "" => Some(true),
        "active" => Some(!it.paused),
        "paused" => Some(it.paused),
        "online" | "offline" | "never_contacted" => Some(status == word),
        // GitLab's runners are stale after some days of silence; here they go on to be offline.
        "stale" => Some(false),
        "shared" | "instance_type" => Some(it.project.is_none()),
        "specific" | "project_type" => Some(it.project.is_some()),
        "group_type" => Some(false),
        _ => None,
    };
    let mut is_fit = true;
    for name in ["type", "status", "scope"] {
        is_fit &= by_word(params.text(name).unwrap_or_default()).ok_or_else(|| Denial::invalid(name))?;
    }
    is_fit &= params.flag(PAUSED.name).is_none_or(|paused| paused == it.paused);
    is_fit &= wanted.is_none_or(|tags| tags.are_among(&it.tags));
    let version = it.info.get("version").unwrap_or_default();
    Ok(is_fit && given(params, "version_prefix").is_none_or(|prefix| version.starts_with(prefix)))
}

/// Answers a list of those runners that `is_seen` and the parameters ask for, the newest first.
fn answer_list(call: &Call<'_, '_>, is_seen: impl Fn(&RunnerAtWork) -> bool) -> Answered {
    let params = call.params()?;
    let (asked, wanted) = (Asked::numbered(params)?, tags(params)?);
    let mut found = Vec::new();
    for at_work in call.coordinator().runners_at_work()?.into_iter().rev() {
        if is_seen(&at_work) && fits(params, wanted.as_ref(), &at_work, call)? {
            found.push(at_work);
        }
    }
    let part = asked.cut(found).map(|at_work| runner(&at_work, call.now));
    Ok(asked.answer(call, &part).as_routine().into())
}

fn list(call: &mut Call<'_, '_>) -> Answered {
    let kept_to = call.kept_to();
    let of = |at_work: &RunnerAtWork| at_work.runner.project.as_ref().map(|(id, _)| *id);
    answer_list(call, |at_work| kept_to.is_none() || of(at_work) == kept_to)
}

fn list_all(call: &mut Call<'_, '_>) -> Answered {
    if call.kept_to().is_some() {
        return Err(NOT_YOURS);
    }
    answer_list(call, |_| true)
}

fn list_of_project(call: &mut Call<'_, '_>) -> Answered {
    let (own, is_kept) = (call.project()?.id, call.kept_to().is_some());
    answer_list(call, |at_work| match &at_work.runner.project {
        Some((id, _)) => *id == own,
        None => !is_kept && !at_work.runner.locked,
    })
}

/// The runner in the path, if it is the caller's to see.
fn seen(call: &Call<'_, '_>) -> Result<RunnerAtWork, Denial> {
    let found = call.coordinator().runner_at_work(call.runner()?)?;
    match (call.kept_to(), &found.runner.project) {
        (Some(own), Some((id, _))) if own != *id => Err(Denial::NoThing),
        (Some(_), None) => Err(NOT_YOURS),
        (Some(_) | None, _) => Ok(found),
    }
}

/// The answer that a runner is.
fn answer(call: &Call<'_, '_>, id: RunnerId) -> Answered {
    let found = call.coordinator().runner_at_work(id)?;
    let project = match &found.runner.project {
        Some((id, _)) => call.coordinator().project_by_id(*id)?,
        None => None,
    };
    let project = project.map(|project| simple_project(&call.urls(), &project, None));
    let body = runner_details(&found, project, call.now);
    Ok(Response::json(200, &body).with_id("runner", id.0).into())
}

fn show(call: &mut Call<'_, '_>) -> Answered {
    let id = seen(call)?.runner.id;
    answer(call, id)
}

/// Seconds; empty and 0 are no limit.
fn maximum_timeout_s(params: &Params) -> Result<Option<Option<i64>>, Denial> {
    let Some(text) = params.text("maximum_timeout").map(str::trim) else { return Ok(None) };
    if text.is_empty() {
        return Ok(Some(None));
    }
    let seconds: i64 = text.parse().map_err(|_| Denial::Parameter("maximum_timeout is invalid".to_owned()))?;
    Ok(Some((seconds != 0).then_some(seconds)))
}

fn change(call: &mut Call<'_, '_>) -> Answered {
    let id = seen(call)?.runner.id;
    let params = call.params()?;
    let names: Vec<&str> = CHANGE.iter().map(|field| field.name).collect();
    if !names.iter().any(|name| params.has(name)) {
        let all = names.join(", ");
        return Err(Denial::Parameter(format!("{all} are missing, at least one parameter must be provided")));
    }
    let paused = match (params.flag(PAUSED.name), params.flag(ACTIVE.name)) {
        (Some(_), Some(_)) => return Err(Denial::Parameter("active, paused are mutually exclusive".to_owned())),
        (paused, active) => paused.or(active.map(|is| !is)),
    };
    let change = RunnerChange {
        description: params.text("description").map(str::to_owned),
        tags: tags(params)?,
        run_untagged: params.flag(RUN_UNTAGGED.name),
        maximum_timeout_s: maximum_timeout_s(params)?,
        maintenance_note: params.text("maintenance_note").map(str::to_owned),
        paused,
    };
    call.coordinator().change_runner(id, change)?;
    answer(call, id)
}

fn remove(call: &mut Call<'_, '_>) -> Answered {
    let id = seen(call)?.runner.id;
    call.coordinator().remove_runner(id, call.now)?;
    Ok(Response::empty(204).with_id("runner", id.0).into())
}

fn list_jobs(call: &mut Call<'_, '_>) -> Answered {
    let id = seen(call)?.runner.id;
    let params = call.params()?;
    let states = match given(params, "status") {
        Some(word) => match crate::domain::build::Status::parse(word) {
            Some(state) => Some(vec![state]),
            None => return Err(Denial::invalid("status")),
        },
        None => jobs::states(params)?,
    };
    jobs::list_of(call, Whose::Runner(id), states)
}

fn managers(call: &mut Call<'_, '_>) -> Answered {
    let id = seen(call)?.runner.id;
    let all = call.coordinator().managers_of(id)?;
    let all: Vec<Value> = all.iter().map(|own| manager(own, call.now)).collect();
    Ok(Response::json(200, &all).as_routine().into())
}

fn reset_token(call: &mut Call<'_, '_>) -> Answered {
    let id = seen(call)?.runner.id;
    let made = call.coordinator().new_runner_token(id)?;
    let body = json!({"token": made.token.reveal(), "token_expires_at": null});
    Ok(Response::json(201, &body).with_id("runner", id.0).into())
}

fn make(call: &mut Call<'_, '_>) -> Answered {
    let params = call.params()?;
    let number = pages::id(params, "project_id")?;
    let project = match (given(params, "runner_type"), number) {
        (None, _) => return Err(Denial::missing("runner_type")),
        (Some("instance_type"), _) if call.kept_to().is_some() => return Err(NOT_YOURS),
        (Some("instance_type"), _) => None,
        (Some("project_type"), None) => return Err(Denial::missing("project_id")),
        (Some("project_type"), Some(id)) => {
            let found = call.coordinator().project_by_id(crate::domain::build::ProjectId(id))?;
            let own = found.filter(|project| call.caller().is_ok_and(|caller| caller.sees(project.id)));
            Some(own.ok_or(Denial::NoProject)?.name)
        }
        (Some("group_type"), _) => {
            return Err(Denial::Value { field: "base", why: "Baton has no groups".to_owned() });
        }
        (Some(_), _) => return Err(Denial::invalid("runner_type")),
    };
    let new = NewRunner {
        description: params.text("description").unwrap_or_default().to_owned(),
        tags: tags(params)?.unwrap_or_default(),
        run_untagged: params.flag(RUN_UNTAGGED.name).unwrap_or(true),
        locked: project.is_some(),
        paused: params.flag(PAUSED.name).unwrap_or(false),
        maximum_timeout_s: maximum_timeout_s(params)?.flatten(),
        maintenance_note: params.text("maintenance_note").unwrap_or_default().to_owned(),
        ..NewRunner::default()
    };
    let made = call.coordinator().add_runner(new, project.as_deref(), call.now)?;
    let body = json!({"id": made.id, "token": made.token.reveal(), "token_expires_at": null});
    Ok(Response::json(201, &body).with_id("runner", made.id.0).into())
}
