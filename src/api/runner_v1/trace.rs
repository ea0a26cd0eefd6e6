//! A runner appends to a build's log (`docs/http.md`, PATCH builds/:id/trace.txt).

use super::{TOKEN_ONLY, shown};
use crate::api::Api;
use crate::api::shared::patch::{self, PatchWords};
use crate::api::shared::{refused, to_runner};
use crate::coordinator::Patched;
use crate::domain::build::BuildId;
use crate::domain::time::Timestamp;
use crate::error::Result;
use crate::http::params::Params;
use crate::http::{Answer, Body, Request, Response};

const WORDS: PatchWords = PatchWords { checks_end: true, response };

/// Answers `PATCH builds/:id/trace.txt`.
///
/// # Errors
/// As [`patch::append_trace`].
pub fn append_trace(api: &Api, request: &mut Request<'_>, id: BuildId, now: Timestamp) -> Result<Answer> {
    let shown = shown(&Params::of_query(request, TOKEN_ONLY)?, request);
    patch::append_trace(api, request, (id, shown), &WORDS, now)
}

fn response(patched: Patched) -> Result<Response> {
    Ok(match patched {
        Patched::Stored { status, size, runner, .. } => {
            let response = Response::new(202, Body::Bytes(format!("0-{size}").into_bytes()))
                .with("Content-Type", "text/plain")
                .with("Build-Status", status.as_str())
                .with("Range", format!("0-{size}"));
            to_runner(response, runner)
        }
        // The header must be there and have a `-`: without it runners crash.
        Patched::Elsewhere { size } => Response::error(416, "").with("Range", format!("0-{size}")),
        Patched::Refused(error) => return Err(error),
        Patched::NotRunning { status, runner } => {
            to_runner(refused("Build is not running!").with("Build-Status", status.as_str()), runner)
        }
    })
}
