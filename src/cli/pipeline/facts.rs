//! What is found out about the jobs of a pipeline when somebody looks at them: in their logs and reports.

use crate::cli::Done;
use crate::cli::show::tail::last_lines;
use crate::coordinator::{BuildReport, Coordinator, PipelineReport};
use crate::domain::build::{BuildId, Status};
use crate::domain::junit::Summary;
use crate::domain::pipeline::about::About;
use crate::domain::time::Timestamp;
use std::collections::HashMap;

/// Logs of so many failed jobs are shown.
pub const FAILED_MAX: usize = 5;
/// So many lines of each.
const LINES_MAX: usize = 20;
/// They are looked for in so much of a log's end.
const END_BYTES: u64 = 64 << 10;

/// What was found out about each build.
#[derive(Default)]
pub struct Facts {
    found: HashMap<BuildId, Found>,
}

/// What was found out about one build.
#[derive(Default)]
pub struct Found {
    /// The number that its pattern finds in its log.
    pub coverage: Option<String>,
    /// What its JUnit report says.
    pub tests: Option<Summary>,
    /// Where its environment is.
    pub url: Option<String>,
    /// The last lines of its log, if it failed and that counts.
    pub lines: Vec<String>,
}

impl Facts {
    /// Of these builds that count; with the last lines of the first that failed only if they are asked for.
    pub fn of(coordinator: &Coordinator, report: &PipelineReport, with_lines: bool) -> Done<Facts> {
        let mut facts = Facts::default();
        let mut failed = 0;
        for (build, about) in report.builds.iter().filter(|(build, _)| build.build.retried_by.is_none()) {
            let mut found = found(coordinator, build, about)?;
            if with_lines && is_bad(build) && failed < FAILED_MAX {
                failed += 1;
                let (end, is_whole) = coordinator.read_trace_end(build.build.id, END_BYTES)?;
                found.lines = last_lines(&end, is_whole, LINES_MAX);
            }
            facts.note(build.build.id, found);
        }
        Ok(facts)
    }

    /// Notes what was found out about a build.
    pub fn note(&mut self, id: BuildId, found: Found) {
        self.found.insert(id, found);
    }

    /// What was found out about a build.
    pub fn get(&self, id: BuildId) -> Option<&Found> {
        self.found.get(&id)
    }
}

/// Whether the pipeline failed by it.
pub fn is_bad(report: &BuildReport) -> bool {
    report.build.status == Status::Failed && !report.build.failure_allowed
}

/// What is found out about a build.
pub fn found(coordinator: &Coordinator, report: &BuildReport, about: &About) -> Done<Found> {
    let build = &report.build;
    let has_junit = report.artifacts.iter().any(|stored| stored.kind.0 == "junit");
    let has_log = build.trace_size > 0 && build.status.is_finished();
    let coverage = about.coverage.as_ref().filter(|_| has_log);
    let url = about.environment.as_ref().and_then(|environment| environment.url.as_ref());
    let url = url.filter(|_| build.status == Status::Success);
    Ok(Found {
        coverage: coverage.map(|pattern| coordinator.coverage(build.id, pattern)).transpose()?.flatten(),
        tests: if has_junit { coordinator.junit_summary(build.id, Timestamp::now())? } else { None },
        url: url.map(|url| coordinator.environment_url(build.id, url)).transpose()?,
        lines: Vec::new(),
    })
}
