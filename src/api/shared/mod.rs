//! What the protocols of runners have in common: all but the words. A protocol hands its own words in (the name of its
//! header for tokens, its parameters, what it answers), so that nothing here changes with a new one.
//!
//! What must stay true: nothing here names a protocol or imports one.

pub mod download;
pub mod hold;
pub mod long_body;
pub mod patch;
#[cfg(test)]
mod tests;
pub mod token;
pub mod upload;
pub mod variables;
pub mod version;

use super::Api;
use crate::domain::asker::SystemId;
use crate::domain::build::BuildId;
use crate::domain::runner::{RunnerId, RunnerInfo};
use crate::error::{Error, Result};
use crate::http::params::{Field, Params, Shape, text};
use crate::http::router::Places;
use crate::http::{Request, Response};

/// What a runner says of itself: [`RunnerInfo::FIELDS`], and each [`crate::domain::runner::Feature`].
pub const INFO: Field = Field { name: "info", shape: Shape::Object(&INFO_MEMBERS) };

const INFO_MEMBERS: [&str; 22] = [
    "name",
    "version",
    "revision",
    "platform",
    "architecture",
    "executor",
    "features][upload_multiple_artifacts",
    "features][upload_raw_artifacts",
    "features][refspecs",
    "features][masking",
    "features][raw_variables",
    "features][return_exit_code",
    "features][cancelable",
    "features][cancel_gracefully",
    "features][two_phase_job_commit",
    "features][trace_checksum",
    "features][trace_size",
    "features][artifacts_exclude",
    "features][multi_build_steps",
    "features][image_executor_opts",
    "features][service_executor_opts",
    "features][fallback_cache_keys",
];

/// What the runner says of itself.
pub fn info(params: &Params) -> RunnerInfo {
    let mut info = RunnerInfo::default();
    for (member, value) in params.members(INFO.name) {
        match member.strip_prefix("features][") {
            Some(feature) => info.set_feature(feature, ["true", "1"].contains(&value)),
            None => info.set(member, value),
        }
    }
    info
}

/// Which manager of a runner asks.
pub const SYSTEM_ID: Field = text("system_id");

/// Which manager of the runner asks.
pub fn system_id(params: &Params) -> Option<SystemId> {
    params.text(SYSTEM_ID.name).and_then(SystemId::received)
}

/// The build that the path names.
pub fn build(places: &Places<'_>) -> Result<BuildId> {
    places.numbers.first().map(|id| BuildId(*id)).ok_or_else(|| Error::not_found(""))
}

/// The parameters of a request that may have a short body.
pub fn params(api: &Api, request: &mut Request<'_>, fields: &'static [Field]) -> Result<Params> {
    Params::of_request(request, fields, api.coordinator.limits().form_bytes_max)
}

/// The response, noted as this runner's.
pub fn to_runner(response: Response, runner: Option<RunnerId>) -> Response {
    match runner {
        Some(id) => response.with_id("runner", id.0),
        None => response,
    }
}

/// A 403 for a reason that the holder of a valid token may know.
pub fn refused(why: &str) -> Response {
    Response::error(403, why).because(why)
}
