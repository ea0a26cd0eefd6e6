//! Projects: list, show, make, change, remove.

use super::call::Call;
use super::denial::Denial;
use super::object::project::{project, simple_project};
use super::pages::{self, Asked};
use super::route::{Answered, Content, May, route, says};
use crate::api::Handler;
use crate::coordinator::ProjectChange;
use crate::error::{Error, Kind};
use crate::http::params::{Field, Params, Shape, text};
use crate::http::router::Endpoint;
use crate::http::{Method, Response};
use crate::store::projects::Project;
use serde_json::json;
use std::cmp::Ordering;
use std::time::Duration;

/// The endpoints.
pub const ENDPOINTS: &[Endpoint<Handler>] = &[
    route(Method::Get, "projects", May::Read, LIST, list, says("Projects", 200, Content::List("Project"))),
    route(
        Method::Get,
        "projects/:project",
        May::Read,
        &[],
        show,
        says("A project, by its number or its encoded name", 200, Content::Object("Project")),
    ),
    route(
        Method::Put,
        "projects/:project",
        May::Write,
        CHANGE,
        change,
        says("Changes a project's name or the longest run of its builds", 200, Content::Object("Project")),
    ),
    route(
        Method::Delete,
        "projects/:project",
        May::Write,
        &[],
        remove,
        says("Removes a project with its builds, logs and artifacts", 202, Content::Json),
    ),
    route(
        Method::Post,
        "projects",
        May::Write,
        MAKE,
        make,
        says("Makes a project without a repository", 201, Content::Object("Project")),
    ),
    // A client whose caller forgets a job's number calls this: all artifacts of the project would go.
    route(
        Method::Delete,
        "projects/:project/artifacts",
        May::Write,
        &[],
        |_| Err(Denial::Status(405, "405 Method Not Allowed - name the job".to_owned())),
        says("Refused: artifacts are removed by their job", 204, Content::Nothing),
    ),
];

const LIST: &[Field] = &[
    pages::PAGE,
    pages::PER_PAGE,
    pages::PAGINATION,
    pages::ORDER_BY,
    pages::SORT,
    pages::ID_AFTER,
    pages::ID_BEFORE,
    text("search"),
    text("visibility"),
    Field { name: "simple", shape: Shape::Flag },
    Field { name: "archived", shape: Shape::Flag },
];

const MAKE: &[Field] = &[text("name"), text("path"), text("import_url"), text("default_branch"), text("build_timeout")];

const CHANGE: &[Field] =
    &[text("name"), text("path"), text("build_timeout"), text("default_branch"), text("import_url")];

/// Where sources come from is said by the command line: a token of a program makes no server fetch from anywhere.
const NO_URL: Denial = Denial::Refused("403 Forbidden - `baton project set --repo-url` names the repository");
const ONE_ONLY: Denial = Denial::Refused("403 Forbidden - this token is for one project only");

/// Longest run of builds of a project that is made here, in seconds, as for `baton project add`.
const TIMEOUT_S: u64 = 3600;

/// A text that is not empty.
fn given<'p>(params: &'p Params, name: &str) -> Option<&'p str> {
    params.text(name).filter(|text| !text.is_empty())
}

fn timeout(params: &Params) -> Result<Option<Duration>, Denial> {
    let seconds = given(params, "build_timeout").map(str::parse).transpose();
    let seconds = seconds.map_err(|_| Denial::Parameter("build_timeout is invalid".to_owned()))?;
    Ok(seconds.map(Duration::from_secs))
}

/// A name that is taken, in GitLab's words.
fn taken(error: Error) -> Denial {
    let why = || "has already been taken".to_owned();
    if error.kind == Kind::Conflict { Denial::Value { field: "name", why: why() } } else { error.into() }
}

/// Answers `POST projects`.
fn make(call: &mut Call<'_, '_>) -> Answered {
    if call.kept_to().is_some() {
        return Err(ONE_ONLY);
    }
    let params = call.params()?;
    if given(params, "import_url").is_some() {
        return Err(NO_URL);
    }
    let name = given(params, "path").or(given(params, "name")).ok_or_else(|| Denial::missing("name, path"))?;
    let timeout = timeout(params)?.unwrap_or(Duration::from_secs(TIMEOUT_S));
    let made = call.coordinator().add_project(name, None, timeout, call.now).map_err(taken)?;
    Ok(Response::json(201, &project(&call.urls(), &made, None)).into())
}

/// Answers `PUT projects/:project`. A name is what stands behind the last slash, as answers have it: the rest stays.
fn change(call: &mut Call<'_, '_>) -> Answered {
    let (known, params) = (call.project()?, call.params()?);
    let names: Vec<&str> = CHANGE.iter().map(|field| field.name).collect();
    if !names.iter().any(|name| params.has(name)) {
        let all = names.join(", ");
        return Err(Denial::Parameter(format!("{all} are missing, at least one parameter must be provided")));
    }
    if given(params, "import_url").is_some() {
        return Err(NO_URL);
    }
    if given(params, "default_branch").is_some_and(|name| known.default_branch.as_deref() != Some(name)) {
        let why = "is what HEAD of its repository points to".to_owned();
        return Err(Denial::Value { field: "default_branch", why });
    }
    let last = given(params, "path").or(given(params, "name"));
    if last.is_some_and(|last| last.contains('/')) {
        let why = "must not have a slash: `baton project rename` moves a project".to_owned();
        return Err(Denial::Value { field: "path", why });
    }
    let whole = |last: &str| match known.name.rsplit_once('/') {
        Some((namespace, _)) => format!("{namespace}/{last}"),
        None => last.to_owned(),
    };
    let change = ProjectChange { name: last.map(whole), timeout: timeout(params)?, ..ProjectChange::default() };
    let changed = call.coordinator().change_project(&known.name, change).map_err(taken)?;
    let at = call.coordinator().last_asked_at(changed.id)?;
    Ok(Response::json(200, &project(&call.urls(), &changed, at)).into())
}

/// Answers `DELETE projects/:project`. It has gone when this is answered; the words are GitLab's.
fn remove(call: &mut Call<'_, '_>) -> Answered {
    if call.kept_to().is_some() {
        return Err(ONE_ONLY);
    }
    call.coordinator().remove_project(&call.project()?.name, true, call.now)?;
    Ok(Response::json(202, &json!({"message": "202 Accepted"})).into())
}

/// Answers `GET projects`. Whatever GitLab asks of the caller's part in a project (`membership`, `owned`, ...) is true of all.
fn list(call: &mut Call<'_, '_>) -> Answered {
    let params = call.params()?;
    let (asked, is_ascending) = (Asked::of(params)?, pages::is_ascending(params)?.unwrap_or(false));
    let order: fn(&Project, &Project) -> Ordering = match params.text(pages::ORDER_BY.name).unwrap_or("created_at") {
        "" | "id" | "created_at" | "updated_at" | "last_activity_at" | "similarity" | "star_count" => {
            |one, other| one.id.0.cmp(&other.id.0)
        }
        "name" | "path" => |one, other| one.name.to_lowercase().cmp(&other.name.to_lowercase()),
        _ => return Err(Denial::invalid(pages::ORDER_BY.name)),
    };
    let (after, before) = (pages::id(params, pages::ID_AFTER.name)?, pages::id(params, pages::ID_BEFORE.name)?);
    let search = params.text("search").unwrap_or_default().to_lowercase();
    let is_private = params.text("visibility").is_none_or(|word| word.is_empty() || word == "private");
    let is_live = params.flag("archived") != Some(true);
    let is_simple = params.flag("simple") == Some(true);
    let mut all = call.coordinator().list_projects()?;
    all.retain(|project| {
        let is_seen = call.caller().is_ok_and(|caller| caller.sees(project.id));
        let is_within = after.is_none_or(|id| project.id.0 > id) && before.is_none_or(|id| project.id.0 < id);
        is_seen && is_within && is_private && is_live && project.name.to_lowercase().contains(&search)
    });
    all.sort_by(order);
    if !is_ascending {
        all.reverse();
    }
    let mut part = asked.cut(all);
    if asked.is_keyset && part.has_more {
        let name = if is_ascending { pages::ID_AFTER.name } else { pages::ID_BEFORE.name };
        part.next = part.items.last().map(|last| (name, last.id.0));
    }
    let urls = call.urls();
    let mut items = Vec::with_capacity(part.items.len());
    for found in &part.items {
        let at = call.coordinator().last_asked_at(found.id)?;
        items.push(if is_simple { simple_project(&urls, found, at) } else { project(&urls, found, at) });
    }
    let part = pages::Part { items, has_more: part.has_more, total: part.total, next: part.next };
    Ok(asked.answer(call, &part).as_routine().into())
}

fn show(call: &mut Call<'_, '_>) -> Answered {
    let found = call.project()?;
    let at = call.coordinator().last_asked_at(found.id)?;
    Ok(Response::json(200, &project(&call.urls(), found, at)).as_routine().into())
}
