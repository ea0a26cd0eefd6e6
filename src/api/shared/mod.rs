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

use crate::domain::runner::{RunnerId, RunnerInfo};
use crate::http::Response;
use crate::http::params::{Field, Params, Shape};

/// What a runner says of itself.
pub const INFO: Field = Field { name: "info", shape: Shape::Object(&RunnerInfo::FIELDS) };

/// What the runner says of itself.
pub fn info(params: &Params) -> RunnerInfo {
    let mut info = RunnerInfo::default();
    params.members(INFO.name).for_each(|(field, value)| info.set(field, value));
    info
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
