//! A runner reports on a build that it has (`docs/http.md`, PUT builds/:id).

use super::{KEYS, TOKEN};
use crate::api::shared::long_body::{self, ReportWords};
use crate::api::shared::{refused, to_runner};
use crate::api::{Api, answer_to};
use crate::coordinator::{Report, Updated};
use crate::domain::build::{BuildId, FailureReason};
use crate::domain::end::{End, Reported};
use crate::domain::time::Timestamp;
use crate::error::Result;
use crate::http::params::{Field, Params, Shape, text};
use crate::http::{Answer, Request, Response};
use serde_json::Value;

/// `info` is not kept: what matters of it came with the request for the build.
const FIELDS: &[Field] = &[TOKEN, text("state"), Field { name: "info", shape: Shape::Object(&[]) }];

const WORDS: ReportWords = ReportWords { keys: KEYS, fields: FIELDS, reported };

/// Answers `PUT builds/:id`.
///
/// # Errors
/// As [`crate::coordinator::Coordinator::update_build`]; those of the body.
pub fn update_build(api: &Api, request: &mut Request<'_>, id: BuildId, now: Timestamp) -> Result<Answer> {
    let sent = long_body::read(api, request, id, &WORDS)?;
    let end = reported(&sent.params).and_then(Reported::end);
    let report = Report { id, shown: sent.shown, end, trace: sent.trace, now };
    let memory = sent.memory;
    Ok(answer_to(api.coordinator.update_build(report)?, move |updated| {
        drop(memory);
        Ok(match updated? {
            Updated::Accepted(told) => to_runner(Response::json(200, &Value::Bool(true)), told.runner),
            Updated::Gone(told) => to_runner(Response::error(404, ""), told.runner),
            Updated::Refused(error) => return Err(error),
            Updated::TraceTooLarge => refused("the trace is too large"),
        }
        .into())
    }))
}

/// The state, which counts when it is an end.
fn reported(params: &Params) -> Option<Reported> {
    Some(match params.text("state")? {
        "success" => Reported::Ended(End::success()),
        "failed" => Reported::Ended(End::failed(FailureReason::ScriptFailure)),
        _ => Reported::Runs,
    })
}
