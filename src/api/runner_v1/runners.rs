//! Runners come and go (`docs/http.md`, Runners).

use super::{TOKEN, TOKEN_ONLY, params, shown};
use crate::api::Api;
use crate::api::shared::{INFO, info, to_runner};
use crate::domain::tags::Tags;
use crate::domain::time::Timestamp;
use crate::error::{Error, Kind, Result};
use crate::http::params::{Field, Shape, text};
use crate::http::{Request, Response};
use crate::store::runners::NewRunner;
use serde_json::json;

const FIELDS: &[Field] = &[
    TOKEN,
    text("description"),
    Field { name: "tag_list", shape: Shape::Words },
    Field { name: "run_untagged", shape: Shape::Flag },
    Field { name: "locked", shape: Shape::Flag },
    INFO,
];

/// Answers `POST runners/register`.
///
/// # Errors
/// [`crate::error::Kind::Invalid`]; as [`crate::coordinator::Coordinator::register_runner`].
pub fn register(api: &Api, request: &mut Request<'_>, now: Timestamp) -> Result<Response> {
    let params = params(api, request, FIELDS)?;
    let Some(token) = shown(&params, request).token else {
        return Err(Error::invalid("\"token\" is missing"));
    };
    let tags = match params.list("tag_list") {
        Some(words) => Tags::new(words),
        None => Tags::from_list(params.text("tag_list").unwrap_or_default()),
    }
    .map_err(Error::invalid)?;
    let new = NewRunner {
        description: params.text("description").unwrap_or_default().to_owned(),
        tags,
        run_untagged: params.flag("run_untagged").unwrap_or(true),
        locked: params.flag("locked").unwrap_or(false),
        info: info(&params),
        address: request.peer.map(|peer| peer.to_string()),
        ..NewRunner::default()
    };
    let could_take_nothing = !new.run_untagged && new.tags.is_empty();
    let made = api.coordinator.register_runner(Some(token), new, now).map_err(|error| {
        // As GitLab said it.
        let kind = if error.kind == Kind::Invalid && could_take_nothing { Kind::NotFound } else { error.kind };
        Error::new(kind, error.message)
    })?;
    let response = Response::json(201, &json!({ "id": made.id, "token": made.token.reveal() }));
    Ok(to_runner(response, Some(made.id)))
}

/// Answers `DELETE runners/delete`. The client needs exactly 200.
///
/// # Errors
/// [`crate::error::Kind::Invalid`]; as [`crate::coordinator::Coordinator::unregister_runner`].
pub fn delete(api: &Api, request: &mut Request<'_>, now: Timestamp) -> Result<Response> {
    let params = params(api, request, TOKEN_ONLY)?;
    let Some(token) = shown(&params, request).token else {
        return Err(Error::invalid("\"token\" is missing"));
    };
    let id = api.coordinator.unregister_runner(Some(&token), now)?;
    Ok(to_runner(Response::json(200, &json!({ "id": id })), Some(id)))
}
