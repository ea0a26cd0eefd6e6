//! A runner reports on a job that it has.

use super::{KEYS, TOKEN, job_status, refused};
use crate::api::health::log_metrics::LogChecks;
use crate::api::shared::long_body::{self, ReportWords};
use crate::api::shared::to_runner;
use crate::api::{Api, answer_to};
use crate::coordinator::{Report, Told, Updated};
use crate::domain::build::{BuildId, FailureReason, Status};
use crate::domain::end::{End, Reported};
use crate::domain::log_sum::{LogCheck, LogSum, LogVerdict};
use crate::domain::time::Timestamp;
use crate::error::{Error, Result};
use crate::http::params::{Field, Params, Shape, text};
use crate::http::{Answer, Body, Request, Response};
use std::sync::Arc;

/// `info` is not kept: what matters of it came with the request for the job.
const FIELDS: &[Field] = &[
    TOKEN,
    text("state"),
    text("failure_reason"),
    text("exit_code"),
    text("checksum"),
    Field { name: "output", shape: Shape::Object(&OUTPUT) },
    Field { name: "info", shape: Shape::Object(&[]) },
];

/// What runners say of the log, from 13.4 on; `checksum` beside it is the same again.
const OUTPUT: [&str; 2] = ["checksum", "bytesize"];

const WORDS: ReportWords = ReportWords { keys: KEYS, fields: FIELDS, reported };

/// States that runners send. Whatever else comes is from none.
const STATES: [&str; 4] = ["pending", "running", "success", "failed"];

/// Longest word for a reason that is kept, in characters.
const REASON_CHARS_MAX: usize = 100;

/// Answers `PUT jobs/:id`.
///
/// # Errors
/// As [`crate::coordinator::Coordinator::update_build`]; those of the body.
pub fn update_job(api: &Api, request: &mut Request<'_>, id: BuildId, now: Timestamp) -> Result<Answer> {
    let sent = long_body::read(api, request, id, &WORDS)?;
    if sent.params.text("state").is_some_and(|state| !STATES.contains(&state)) {
        // Who may not know is told nothing, also of this.
        api.coordinator.authorize_report(id, &sent.shown, None)?;
        return Err(Error::invalid("state must be running, success or failed"));
    }
    let end = reported(&sent.params).and_then(Reported::end);
    let is_end = end.is_some();
    let report = Report { id, shown: sent.shown, end, trace: sent.trace, now };
    let (memory, log_checks) = (sent.memory, Arc::clone(&api.log_checks));
    Ok(answer_to(api.coordinator.update_build(report)?, move |updated| {
        drop(memory);
        Ok(match updated? {
            Updated::Accepted(told) => {
                told.log.iter().for_each(|check| compared(&log_checks, id, check));
                to_runner(done(&told, is_end), told.runner)
            }
            Updated::Gone(told) => to_runner(refused("the job has ended", job_status(told.status, false)), told.runner),
            Updated::Refused(error) => return Err(error),
            Updated::TraceTooLarge => refused("the log is too large", Status::Failed.as_str()),
        }
        .into())
    }))
}

/// Counts whether the log is what its runner sent, and says it in the server's log if it is not.
fn compared(log_checks: &LogChecks, id: BuildId, check: &LogCheck) {
    log_checks.count(check);
    if check.verdict() == LogVerdict::Different {
        let LogCheck { said, received } = check;
        log::warn!("build {id}: its log is not what its runner sent, which was {said}; {received} have arrived");
    }
}

/// 200 and nothing else is "done". A runner that has said how a job ended is not told of it: `failed` would have it warn
/// that the job was taken from it.
fn done(told: &Told, is_end: bool) -> Response {
    let response = Response::new(200, Body::Bytes(b"200".to_vec())).with("Content-Type", "text/plain");
    if is_end && told.status == Status::Failed {
        return response;
    }
    response.with("Job-Status", job_status(told.status, told.is_canceling))
}

/// The state, which counts when it is an end.
fn reported(params: &Params) -> Option<Reported> {
    Some(match params.text("state")? {
        "success" => Reported::Ended(End { log: log_sum(params), ..End::success() }),
        "failed" => Reported::Ended(End { log: log_sum(params), ..failure(params) }),
        _ => Reported::Runs,
    })
}

/// What the runner says that it sent as the log.
fn log_sum(params: &Params) -> Option<LogSum> {
    let in_output = |name| params.members("output").find(|(member, _)| *member == name).map(|(_, value)| value);
    LogSum::said(in_output("checksum").or_else(|| params.text("checksum")), in_output("bytesize"))
}

/// Runners before 10.4 name no reason; the others say `script_failure` for what those mean.
fn failure(params: &Params) -> End {
    let exit_code = params.text("exit_code").and_then(|text| text.trim().parse().ok()).filter(|code| *code != 0);
    let end = match params.text("failure_reason").unwrap_or_default() {
        "" | "script_failure" => End::failed(FailureReason::ScriptFailure),
        "job_execution_timeout" => End::failed(FailureReason::TimedOut),
        other => {
            let text = other.chars().filter(|c| !c.is_control()).take(REASON_CHARS_MAX).collect();
            End { text: Some(text), ..End::failed(FailureReason::RunnerFailure) }
        }
    };
    End { exit_code, ..end }
}
