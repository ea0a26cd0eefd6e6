//! Jobs of a pipeline by their names.

use crate::coordinator::PipelineReport;
use crate::domain::build::{Build, Status};
use crate::domain::text::did_you_mean::nearest;
use crate::error::{Error, Result};

/// Most names in a message.
const NAMES_MAX: usize = 10;

/// The builds that count of the jobs of this name: of one job, or of those that have the name in common; of these, those
/// that wait for somebody or for their time, or else all.
///
/// # Errors
/// [`crate::error::Kind::NotFound`] names the job that may have been meant.
pub fn named<'a>(report: &'a PipelineReport, name: &str) -> Result<Vec<&'a Build>> {
    let jobs = || report.builds.iter().filter(|(report, _)| report.build.retried_by.is_none());
    let exact: Vec<&Build> = jobs().map(|(report, _)| &report.build).filter(|build| build.name == name).collect();
    if !exact.is_empty() {
        return Ok(exact);
    }
    let parts = jobs().filter(|(_, about)| about.group.as_deref() == Some(name));
    let parts: Vec<&Build> = parts.map(|(report, _)| &report.build).collect();
    if !parts.is_empty() {
        let waits = |build: &&Build| matches!(build.status, Status::Manual | Status::Scheduled);
        let waiting: Vec<&Build> = parts.iter().copied().filter(waits).collect();
        return Ok(if waiting.is_empty() { parts } else { waiting });
    }
    let mut known: Vec<&str> = jobs().map(|(report, _)| report.build.name.as_str()).collect();
    let groups = jobs().filter_map(|(_, about)| about.group.as_deref());
    let hint = match nearest(name, known.iter().copied().chain(groups)) {
        Some(near) => format!("did you mean {near}?"),
        None => {
            let more = if known.len() > NAMES_MAX { ", ..." } else { "" };
            known.truncate(NAMES_MAX);
            format!("there are {}{more}", known.join(", "))
        }
    };
    Err(Error::not_found(format!("pipeline {} has no job {name:?}; {hint}", report.pipeline.id)))
}
