//! A runner asks for work (`docs/http.md`, POST builds/register).

use super::payload::Job;
use super::user_agent::understands_no_content;
use super::{TOKEN, params, shown};
use crate::api::Api;
use crate::api::shared::hold::{self, Ask, Got};
use crate::api::shared::{INFO, info};
use crate::domain::asker::Asker;
use crate::domain::time::Timestamp;
use crate::error::Result;
use crate::http::params::{Field, text};
use crate::http::{Answer, Request, Response};

const FIELDS: &[Field] = &[TOKEN, text("last_update"), INFO];

/// Answers `POST builds/register`.
pub fn register_build(api: &Api, request: &mut Request<'_>, now: Timestamp) -> Answer {
    let takes_204 = understands_no_content(request.headers.get("User-Agent"));
    let none = move || if takes_204 { Response::empty(204) } else { Response::error(404, "") };
    let server = api.reached.by(request);
    let words = move |got: &Got<'_>| match got {
        Got::Build(assigned) => Response::json(201, &Job::of(assigned, server.as_ref())),
        Got::Nothing(last_update) => none().with("X-GitLab-Last-Update", *last_update),
        // Whatever the runner takes: it knows no other word for this.
        Got::Paused => Response::error(404, ""),
    };
    hold::claim_build(api, ask(api, request), words, now)
}

fn ask(api: &Api, request: &mut Request<'_>) -> Result<Ask> {
    let params = params(api, request, FIELDS)?;
    let asker =
        Asker { token: shown(&params, request).token, info: info(&params), system_id: None, address: request.peer };
    Ok(Ask { asker, last_update: params.text("last_update").map(ToOwned::to_owned) })
}
