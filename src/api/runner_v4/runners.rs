//! Runners come, show that they live, get another token, and go.
//!
//! What must stay true: a token that is missing is 400, one that is not known is 403. Answers to registrations and checks
//! are JSON with an id that is not 0, else newer runners take them for failures; `token_expires_at` is always null, since
//! tokens do not expire.
//!
//! What is absent on purpose: `locked` and `access_level` are not kept. All runners from 12.10 on say that they are locked,
//! and one that is locked without a project would get nothing.

use super::{RUNNER_KEYS, TOKEN, TOKEN_ONLY, params};
use crate::api::Api;
use crate::api::shared::{INFO, SYSTEM_ID, info, system_id, to_runner};
use crate::domain::asker::Asker;
use crate::domain::runner::RunnerId;
use crate::domain::tags::Tags;
use crate::domain::time::Timestamp;
use crate::domain::token::Token;
use crate::error::{Error, Result};
use crate::http::params::{Field, Params, Shape, text};
use crate::http::{Request, Response};
use crate::store::runners::NewRunner;
use serde_json::json;

const REGISTER: &[Field] = &[
    TOKEN,
    text("description"),
    Field { name: "tag_list", shape: Shape::Words },
    Field { name: "run_untagged", shape: Shape::Flag },
    Field { name: "active", shape: Shape::Flag },
    Field { name: "paused", shape: Shape::Flag },
    text("maximum_timeout"),
    text("maintenance_note"),
    text("maintainer_note"),
    INFO,
];
const VERIFY: &[Field] = &[TOKEN, SYSTEM_ID, INFO];
const MANAGER: &[Field] = &[TOKEN, SYSTEM_ID];

/// Most tags of a runner that registers itself, as in GitLab.
const TAGS_MAX: usize = 50;

/// The token that the request shows.
fn token(params: &Params, request: &Request<'_>) -> Result<Token> {
    RUNNER_KEYS.of_request(params, request).token.ok_or_else(|| Error::invalid("\"token\" is missing"))
}

/// A runner's token, in the answer to whom it belongs.
fn given(status: u16, id: RunnerId, token: &Token) -> Response {
    let body = json!({ "id": id, "token": token.reveal(), "token_expires_at": null });
    to_runner(Response::json(status, &body), Some(id))
}

/// Answers `POST runners`.
///
/// # Errors
/// [`crate::error::Kind::Invalid`]; as [`crate::coordinator::Coordinator::register_runner`].
pub fn register(api: &Api, request: &mut Request<'_>, now: Timestamp) -> Result<Response> {
    let params = params(api, request, REGISTER)?;
    let token = token(&params, request)?;
    let new = NewRunner {
        description: params.text("description").unwrap_or_default().to_owned(),
        tags: tags(&params)?,
        run_untagged: params.flag("run_untagged").unwrap_or(true),
        // `active` in runners before 15.
        paused: params.flag("paused").unwrap_or_else(|| params.flag("active") == Some(false)),
        maximum_timeout_s: maximum_timeout_s(&params)?,
        maintenance_note: note(&params).to_owned(),
        info: info(&params),
        address: request.peer.map(|peer| peer.to_string()),
        ..NewRunner::default()
    };
    let made = api.coordinator.register_runner(Some(token), new, now)?;
    Ok(given(201, made.id, &made.token))
}

fn tags(params: &Params) -> Result<Tags> {
    let tags = match params.list("tag_list") {
        Some(words) => Tags::new(words),
        None => Tags::from_list(params.text("tag_list").unwrap_or_default()),
    };
    let tags = tags.map_err(Error::invalid)?;
    let count = tags.as_slice().len();
    if count > TAGS_MAX {
        return Err(Error::invalid(format!("{count} tags given; at most {TAGS_MAX} are allowed")));
    }
    Ok(tags)
}

/// Empty, as some clients send it, and 0, which runners take for none, are none.
fn maximum_timeout_s(params: &Params) -> Result<Option<i64>> {
    let text = params.text("maximum_timeout").unwrap_or_default().trim();
    if text.is_empty() {
        return Ok(None);
    }
    let seconds: i64 = text.parse().map_err(|_| Error::invalid("maximum_timeout must be a number of seconds"))?;
    Ok((seconds != 0).then_some(seconds))
}

/// `maintainer_note` is its older name.
fn note(params: &Params) -> &str {
    params.text("maintenance_note").or_else(|| params.text("maintainer_note")).unwrap_or_default()
}

/// Answers `DELETE runners`. The client needs exactly 204.
///
/// # Errors
/// [`crate::error::Kind::Invalid`]; as [`crate::coordinator::Coordinator::unregister_runner`].
pub fn delete(api: &Api, request: &mut Request<'_>, now: Timestamp) -> Result<Response> {
    let params = params(api, request, TOKEN_ONLY)?;
    let token = token(&params, request)?;
    let id = api.coordinator.unregister_runner(Some(&token), now)?;
    Ok(to_runner(Response::empty(204), Some(id)))
}

/// Answers `DELETE runners/managers`: 204 also for a manager that is not known. On 404 the client keeps its configuration.
///
/// # Errors
/// [`crate::error::Kind::Invalid`]; as [`crate::coordinator::Coordinator::unregister_manager`].
pub fn delete_manager(api: &Api, request: &mut Request<'_>) -> Result<Response> {
    let params = params(api, request, MANAGER)?;
    let token = token(&params, request)?;
    let system_id = system_id(&params).ok_or_else(|| Error::invalid("\"system_id\" is missing"))?;
    let id = api.coordinator.unregister_manager(Some(&token), system_id)?;
    Ok(to_runner(Response::empty(204), Some(id)))
}

/// Answers `POST runners/verify`, by which runners are also registered that have their token already.
///
/// # Errors
/// [`crate::error::Kind::Invalid`]; as [`crate::coordinator::Coordinator::verify_runner`].
pub fn verify(api: &Api, request: &mut Request<'_>, now: Timestamp) -> Result<Response> {
    let params = params(api, request, VERIFY)?;
    let token = token(&params, request)?;
    let asker =
        Asker { token: Some(token.clone()), info: info(&params), system_id: system_id(&params), address: request.peer };
    let id = api.coordinator.verify_runner(&asker, now)?;
    Ok(given(200, id, &token))
}

/// Answers `POST runners/reset_authentication_token`.
///
/// # Errors
/// [`crate::error::Kind::Invalid`]; as [`crate::coordinator::Coordinator::reset_runner_token`].
pub fn reset_token(api: &Api, request: &mut Request<'_>) -> Result<Response> {
    let params = params(api, request, TOKEN_ONLY)?;
    let token = token(&params, request)?;
    let made = api.coordinator.reset_runner_token(Some(&token))?;
    Ok(given(201, made.id, &made.token))
}

/// Answers `GET runners/router/discovery`, which runners ask when a feature of theirs is switched on. Whatever this says
/// but 200, they go on to ask for work.
pub fn discover() -> Response {
    Response::error(501, "")
}
