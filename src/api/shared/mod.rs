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
pub mod version;

use crate::domain::asker::SystemId;
use crate::domain::runner::{RunnerId, RunnerInfo};
use crate::http::Response;
use crate::http::params::{Field, Params, Shape, text};

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
