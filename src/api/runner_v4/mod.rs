//! GitLab's runner API, version 4, as runners 9.0 to 19.3 speak it.
//!
//! What must stay true: statuses and headers decide, bodies of errors never do. The 201 of a claim is `application/json`,
//! a piece of a log is taken with 202, the end of a job with 200, and a removal with 204, each with nothing else: any other
//! status means "not done" to some runner. 403 on a request for work switches a runner off for an hour after the third
//! time, so that it is said of tokens only.
//!
//! What is absent on purpose: the two-phase commit of claims (a job runs from its 201 on), answers that keep a runner
//! waiting with a finished job (202, 412: some never cease to ask), limits by rate.

mod artifacts;
mod claim;
mod payload;
mod report;
mod runners;
mod trace;
mod variables;

use super::shared::token::{Keys, TOKEN, TOKEN_ONLY};
use super::shared::{self, build, params};
use super::{Handler, Protocol, on};
use crate::domain::build::Status;
use crate::domain::token::{Shown, Takes};
use crate::http::params::Params;
use crate::http::router::Endpoint;
use crate::http::{Method, Request, Response};

/// Today's protocol of runners.
pub const PROTOCOL: Protocol =
    Protocol { prefixes: &["/api/v4/"], tables: &[&ENDPOINTS], in_table: |path| path.into(), is_for_runners: true };

const ENDPOINTS: [Endpoint<Handler>; 12] = [
    on(Method::Post, "runners", |api, request, _, now| Ok(runners::register(api, request, now)?.into())),
    on(Method::Delete, "runners", |api, request, _, now| Ok(runners::delete(api, request, now)?.into())),
    on(Method::Delete, "runners/managers", |api, request, _, _| Ok(runners::delete_manager(api, request)?.into())),
    on(Method::Post, "runners/verify", |api, request, _, now| Ok(runners::verify(api, request, now)?.into())),
    on(Method::Post, "runners/reset_authentication_token", |api, request, _, _| {
        Ok(runners::reset_token(api, request)?.into())
    }),
    on(Method::Get, "runners/router/discovery", |_, _, _, _| Ok(runners::discover().into())),
    on(Method::Post, "jobs/request", |api, request, _, now| Ok(claim::request_job(api, request, now))),
    on(Method::Put, "jobs/:id", |api, request, places, now| report::update_job(api, request, build(places)?, now)),
    on(Method::Patch, "jobs/:id/trace", |api, request, places, now| {
        trace::append_trace(api, request, build(places)?, now)
    }),
    on(Method::Get, "jobs/:id/artifacts", |api, request, places, now| {
        Ok(artifacts::download(api, request, build(places)?, now)?.into())
    }),
    on(Method::Post, "jobs/:id/artifacts", |api, request, places, now| {
        artifacts::answer_upload(artifacts::upload(api, request, build(places)?, now))
    }),
    on(Method::Post, "jobs/:id/artifacts/authorize", |api, request, places, now| {
        Ok(artifacts::authorize(api, request, build(places)?, now)?.into())
    }),
];

/// A job's own token, and no other.
const KEYS: Keys = Keys { header: "JOB-TOKEN", takes: Takes::Own };

/// The header for a runner's token.
const RUNNER_KEYS: Keys = Keys { header: "RUNNER-TOKEN", takes: Takes::Own };

/// What a request for a job shows.
fn shown(params: &Params, request: &Request<'_>) -> Shown {
    KEYS.of_request(params, request)
}

/// A 403 for a reason that the job's runner may know. The header has it drop the job.
fn refused(why: &str, status: &'static str) -> Response {
    shared::refused(why).with("Job-Status", status)
}

/// The word for a job's state. `canceling` has runners from 13.5 on stop the script and run what comes after it.
fn job_status(status: Status, is_canceling: bool) -> &'static str {
    if is_canceling && status == Status::Running { "canceling" } else { status.as_str() }
}
