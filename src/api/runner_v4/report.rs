//! A runner reports on a job that it has.

use super::{KEYS, TOKEN, refused};
use crate::api::shared::long_body::{self, ReportWords};
use crate::api::shared::to_runner;
use crate::api::{Api, answer_to};
use crate::coordinator::{Report, Updated};
use crate::domain::build::{BuildId, FailureReason, Status};
use crate::domain::end::{End, Reported};
use crate::domain::time::Timestamp;
use crate::error::{Error, Result};
use crate::http::params::{Field, Params, Shape, text};
use crate::http::{Answer, Body, Request, Response};

/// `info` is not kept: what matters of it came with the request for the job.
const FIELDS: &[Field] = &[
    TOKEN,
    text("state"),
    text("failure_reason"),
    text("exit_code"),
    text("checksum"),
    Field { name: "output", shape: Shape::Object(&["checksum", "bytesize"]) },
    Field { name: "info", shape: Shape::Object(&[]) },
];

const WORDS: ReportWords = ReportWords { keys: KEYS, fields: FIELDS, reported };

/// Answers `PUT jobs/:id`.
///
/// # Errors
/// As [`crate::coordinator::Coordinator::update_build`]; those of the body.
pub fn update_job(api: &Api, request: &mut Request<'_>, id: BuildId, now: Timestamp) -> Result<Answer> {
    let sent = long_body::read(api, request, id, &WORDS)?;
    let state = sent.params.text("state");
    if state.is_some_and(|state| !["pending", "running", "success", "failed"].contains(&state)) {
        api.coordinator.authorize_report(id, &sent.shown, None)?;
        return Err(Error::invalid("state must be running, success or failed"));
    }
    let end = reported(&sent.params).and_then(Reported::end);
    let report = Report { id, shown: sent.shown, end, trace: sent.trace, now };
    let memory = sent.memory;
    Ok(answer_to(api.coordinator.update_build(report)?, move |updated| {
        drop(memory);
        Ok(match updated? {
            Updated::Accepted(runner) => to_runner(done(), runner),
            Updated::Gone(runner) => to_runner(Response::error(403, ""), runner),
            Updated::Refused(error) => return Err(error),
            Updated::TraceTooLarge => refused("the log is too large", Status::Failed),
        }
        .into())
    }))
}

/// The state, which counts when it is an end.
fn reported(params: &Params) -> Option<Reported> {
    Some(match params.text("state")? {
        "success" => Reported::Ended(End { status: Status::Success, reason: None }),
        "failed" => Reported::Ended(End { status: Status::Failed, reason: Some(FailureReason::ScriptFailure) }),
        _ => Reported::Runs,
    })
}

/// The body is never decided on.
fn done() -> Response {
    Response::new(200, Body::Bytes(b"200".to_vec())).with("Content-Type", "text/plain")
}
