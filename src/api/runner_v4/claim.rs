//! A runner asks for a job.

use super::payload::Job;
use super::{RUNNER_KEYS, TOKEN, params};
use crate::api::Api;
use crate::api::shared::hold::{self, Ask, Got};
use crate::api::shared::{INFO, SYSTEM_ID, info, system_id};
use crate::domain::asker::Asker;
use crate::domain::time::Timestamp;
use crate::error::{Error, Result};
use crate::http::params::{Field, text};
use crate::http::{Answer, Request, Response};

const FIELDS: &[Field] = &[TOKEN, text("last_update"), SYSTEM_ID, INFO];

/// What a paused runner is to repeat: it is the word for no state of the queue, so that nothing is held back from the runner
/// when it is resumed.
const PAUSED: &str = "paused";

/// Answers `POST jobs/request`.
pub fn request_job(api: &Api, request: &mut Request<'_>, now: Timestamp) -> Answer {
    let ask = ask(api, request);
    let features = ask.as_ref().map(|ask| ask.asker.info.feature_set()).unwrap_or_default();
    let server = api.reached.by(request);
    let words = move |got: &Got<'_>| match got {
        Got::Build(assigned) => {
            Response::of_json(201, Job::of(assigned, features, server.as_ref(), Timestamp::now()).to_json())
        }
        Got::Nothing(last_update) => Response::empty(204).with("X-GitLab-Last-Update", *last_update),
        Got::Paused => Response::empty(204).with("X-GitLab-Last-Update", PAUSED),
    };
    hold::claim_build(api, ask, words, now)
}

fn ask(api: &Api, request: &mut Request<'_>) -> Result<Ask> {
    let params = params(api, request, FIELDS)?;
    let token = RUNNER_KEYS.of_request(&params, request).token;
    if token.is_none() {
        return Err(Error::invalid("token is missing"));
    }
    let asker = Asker { token, info: info(&params), system_id: system_id(&params), address: request.peer };
    Ok(Ask { asker, last_update: params.text("last_update").map(ToOwned::to_owned) })
}
