//! A runner appends to a job's log.

use super::{TOKEN_ONLY, job_status, refused, shown};
use crate::api::Api;
use crate::api::shared::patch::{self, PatchWords};
use crate::api::shared::to_runner;
use crate::coordinator::Patched;
use crate::domain::build::BuildId;
use crate::domain::time::Timestamp;
use crate::error::Result;
use crate::http::params::Params;
use crate::http::{Answer, Body, Request, Response};

/// Seconds after which a runner sends what is new; those from 11.11 on keep to it.
const UPDATE_INTERVAL_S: &str = "3";

const WORDS: PatchWords = PatchWords { checks_end: false, response };

/// Answers `PATCH jobs/:id/trace`.
///
/// # Errors
/// As [`patch::append_trace`].
pub fn append_trace(api: &Api, request: &mut Request<'_>, id: BuildId, now: Timestamp) -> Result<Answer> {
    let shown = shown(&Params::of_query(request, TOKEN_ONLY)?, request);
    patch::append_trace(api, request, (id, shown), &WORDS, now)
}

/// 202 and nothing else is "taken".
fn response(patched: Patched) -> Result<Response> {
    Ok(match patched {
        Patched::Stored { status, size, runner, is_canceling } => {
            let response = Response::new(202, Body::Bytes(format!("0-{size}").into_bytes()))
                .with("Content-Type", "text/plain")
                .with("Job-Status", job_status(status, is_canceling))
                .with("Range", format!("0-{size}"))
                .with("X-GitLab-Trace-Update-Interval", UPDATE_INTERVAL_S);
            to_runner(response, runner)
        }
        // The header must be there and have a `-`: without it runners before 11.11 crash.
        Patched::Elsewhere { size } => Response::error(416, "").with("Range", format!("0-{size}")),
        Patched::Refused(error) => return Err(error),
        Patched::NotRunning { status, runner } => to_runner(refused("the job does not run", status.as_str()), runner),
    })
}
