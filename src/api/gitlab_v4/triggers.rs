//! Trigger tokens: list, show, make, describe, remove. A token is shown once, when it is made.

use super::call::Call;
use super::denial::Denial;
use super::object::trigger::trigger;
use super::pages::{self, Asked};
use super::route::{Answered, Content, May, route, says};
use crate::api::Handler;
use crate::domain::trigger_token::TriggerTokenId;
use crate::http::params::{Field, text};
use crate::http::router::Endpoint;
use crate::http::{Method, Response};

/// The endpoints. All of them want a token that may change things: who may not start pipelines learns nothing of who may.
pub const ENDPOINTS: &[Endpoint<Handler>] = &[
    route(
        Method::Get,
        "projects/:project/triggers",
        May::Write,
        &[pages::PAGE, pages::PER_PAGE],
        list,
        says("The trigger tokens of a project", 200, Content::List("Trigger")),
    ),
    route(
        Method::Post,
        "projects/:project/triggers",
        May::Write,
        DESCRIPTION,
        make,
        says("Makes a trigger token, which is shown this once", 201, Content::Object("Trigger")),
    ),
    route(
        Method::Get,
        "projects/:project/triggers/:id",
        May::Write,
        &[],
        show,
        says("A trigger token", 200, Content::Object("Trigger")),
    ),
    route(
        Method::Put,
        "projects/:project/triggers/:id",
        May::Write,
        DESCRIPTION,
        describe,
        says("Says what a trigger token is for", 200, Content::Object("Trigger")),
    ),
    route(
        Method::Delete,
        "projects/:project/triggers/:id",
        May::Write,
        &[],
        remove,
        says("Removes a trigger token", 204, Content::Nothing),
    ),
];

const DESCRIPTION: &[Field] = &[text("description")];

fn id(call: &Call<'_, '_>) -> Result<TriggerTokenId, Denial> {
    call.number().map(TriggerTokenId)
}

fn list(call: &mut Call<'_, '_>) -> Answered {
    let asked = Asked::numbered(call.params()?)?;
    let all = call.coordinator().list_triggers(&call.project()?.name)?;
    let urls = call.urls();
    let part = asked.cut(all).map(|one| trigger(&urls, &one, None));
    Ok(asked.answer(call, &part).as_routine().into())
}

fn show(call: &mut Call<'_, '_>) -> Answered {
    let found = call.coordinator().trigger(&call.project()?.name, id(call)?)?;
    Ok(Response::json(200, &trigger(&call.urls(), &found, None)).as_routine().into())
}

fn make(call: &mut Call<'_, '_>) -> Answered {
    let description = call.params()?.text("description").ok_or_else(|| Denial::missing("description"))?;
    let (made, token) = call.coordinator().add_trigger(&call.project()?.name, description, call.now)?;
    Ok(Response::json(201, &trigger(&call.urls(), &made, Some(&token))).into())
}

fn describe(call: &mut Call<'_, '_>) -> Answered {
    let (project, id) = (&call.project()?.name, id(call)?);
    let found = call.coordinator().trigger(project, id)?;
    let changed = match call.params()?.text("description") {
        Some(description) => call.coordinator().describe_trigger(project, id, description)?,
        None => found,
    };
    Ok(Response::json(200, &trigger(&call.urls(), &changed, None)).into())
}

fn remove(call: &mut Call<'_, '_>) -> Answered {
    call.coordinator().remove_trigger(&call.project()?.name, id(call)?)?;
    Ok(Response::empty(204).into())
}
