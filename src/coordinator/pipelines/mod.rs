//! Pipelines as operators deal with them: made from what a configuration means, shown, canceled, repeated; and jobs that are
//! started by hand.

pub(super) mod act;
pub(super) mod add;
pub(super) mod children;
mod follow;
#[cfg(test)]
mod model_tests;
mod outcome;
pub(super) mod refusal;
mod remove;
mod show;

pub use add::{Added, NewPipeline};
pub use follow::PipelineMark;
pub use show::PipelineReport;

use crate::domain::pipeline::PipelineId;
use crate::error::Error;

/// What an unknown id is answered.
pub(in crate::coordinator) fn no_such(id: PipelineId) -> Error {
    Error::not_found(format!("there is no pipeline {id}; `baton pipeline list` shows them"))
}
