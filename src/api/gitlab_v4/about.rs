//! What the server is, who calls, and lists of what there is not.

use super::call::Call;
use super::denial::Denial;
use super::object::people;
use super::pages::{self, Asked};
use super::route::{Answered, Content, May, route, says};
use crate::api::Handler;
use crate::domain::access_token::Caller;
use crate::http::params::Field;
use crate::http::router::Endpoint;
use crate::http::{Method, Response};
use serde_json::{Value, json};

/// The version of GitLab whose answers these are like: clients dare what that one can.
const VERSION: &str = "18.0.0-baton";

/// The endpoints.
pub const ENDPOINTS: &[Endpoint<Handler>] = &[
    route(Method::Get, "version", May::Read, &[], version, says("The version", 200, Content::Object("Version"))),
    route(Method::Get, "metadata", May::Read, &[], version, says("The version", 200, Content::Object("Version"))),
    route(Method::Get, "user", May::Read, &[], user, says("Who calls", 200, Content::Object("OwnUser"))),
    route(
        Method::Get,
        "personal_access_tokens/self",
        May::Read,
        &[],
        own_token,
        says("The token of the call", 200, Content::Object("AccessToken")),
    ),
    route(Method::Get, "groups", May::Read, PAGES, none, says("Groups: there are none", 200, Content::List("Nothing"))),
    route(
        Method::Get,
        "namespaces",
        May::Read,
        PAGES,
        none,
        says("Namespaces: there are none", 200, Content::List("Nothing")),
    ),
    route(
        Method::Get,
        "projects/:project/merge_requests",
        May::Read,
        PAGES,
        none,
        says("Merge requests: there are none", 200, Content::List("Nothing")),
    ),
    route(
        Method::Get,
        "projects/:project/environments",
        May::Read,
        PAGES,
        none,
        says("Environments: there are none", 200, Content::List("Nothing")),
    ),
    route(
        Method::Get,
        "projects/:project/pipeline_schedules",
        May::Read,
        PAGES,
        none,
        says("Schedules: there are none", 200, Content::List("Nothing")),
    ),
    route(
        Method::Post,
        "projects/:project/pipeline_schedules",
        May::Write,
        &[],
        |_| Err(Denial::Refused("403 Forbidden - Baton has no schedules: let cron start `baton pipeline run`")),
        says("Refused: there are no schedules", 201, Content::Json),
    ),
];

const PAGES: &[Field] = &[pages::PAGE, pages::PER_PAGE];

fn version(_: &mut Call<'_, '_>) -> Answered {
    let body = json!({
        "version": VERSION,
        "revision": env!("CARGO_PKG_VERSION"),
        "kas": {"enabled": false, "externalUrl": null, "externalK8sProxyUrl": null, "version": null},
        "enterprise": false,
    });
    Ok(Response::json(200, &body).as_routine().into())
}

fn user(call: &mut Call<'_, '_>) -> Answered {
    let Caller::Program(token) = call.caller()? else { return Err(Denial::Unauthorized) };
    Ok(Response::json(200, &people::own_user(&call.urls(), &token.name, token.created_at)).as_routine().into())
}

fn own_token(call: &mut Call<'_, '_>) -> Answered {
    let Caller::Program(token) = call.caller()? else { return Err(Denial::Unauthorized) };
    Ok(Response::json(200, &people::access_token(token, call.now)).as_routine().into())
}

fn none(call: &mut Call<'_, '_>) -> Answered {
    let asked = Asked::numbered(call.params()?)?;
    Ok(asked.answer(call, &asked.cut(Vec::<Value>::new())).as_routine().into())
}
