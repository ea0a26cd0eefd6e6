//! What is shown of a build that a configuration has made, beside what every build has.

use crate::coordinator::BuildReport;
use crate::domain::pipeline::about::About;
use crate::domain::pipeline::{Environment, Part, Trigger, When};
use serde::Serialize;

/// What a job of a pipeline is, in JSON, beside its build.
#[derive(Serialize)]
pub struct JobDocument<'a> {
    stage_index: Option<usize>,
    when: When,
    group: Option<&'a str>,
    parallel: Option<Part>,
    environment: Option<Environment>,
    coverage: Option<&'a str>,
    interruptible: Option<bool>,
    manual_confirmation: Option<&'a str>,
    refused: Option<&'a str>,
    trigger: Option<&'a Trigger>,
}

impl<'a> JobDocument<'a> {
    /// Of a build of which people are told this, whose log has this number as its coverage, and whose environment is at
    /// this URL as far as that is known.
    pub fn new(
        report: &BuildReport,
        about: &'a About,
        coverage: Option<&'a str>,
        url: Option<&str>,
    ) -> JobDocument<'a> {
        let located = |environment: &Environment| Environment {
            url: url.map(str::to_owned).or_else(|| environment.url.clone()),
            ..environment.clone()
        };
        JobDocument {
            stage_index: report.build.stage_index,
            when: report.build.when,
            group: about.group.as_deref(),
            parallel: about.parallel,
            environment: about.environment.as_ref().map(located),
            coverage,
            interruptible: about.interruptible,
            manual_confirmation: about.manual_confirmation.as_deref(),
            refused: about.refused.as_deref(),
            trigger: about.trigger.as_deref(),
        }
    }
}

/// A line for people: what it says something of, and what.
pub type Line = (&'static str, Option<String>);

/// The same as lines for people.
pub fn lines(report: &BuildReport, about: &About, coverage: Option<&str>, url: Option<&str>) -> Vec<Line> {
    let environment = about.environment.as_ref().map(|environment| {
        let action = if matches!(environment.action.as_str(), "" | "start") {
            String::new()
        } else {
            format!(" ({})", environment.action)
        };
        let place = url.map_or_else(String::new, |url| format!(", {url}"));
        format!("{}{action}{place}", environment.name)
    });
    let part = about.parallel.map(|part| format!("{} of {}", part.index, part.total));
    let when = Some(report.build.when).filter(|when| *when != When::OnSuccess);
    vec![
        ("when", when.map(|when| when.as_str().to_owned())),
        ("allowed", report.build.failure_allowed.then(|| "the pipeline goes on without it".to_owned())),
        ("part", part),
        ("coverage", coverage.map(|number| format!("{number} %"))),
        ("environment", environment),
        ("asks", about.manual_confirmation.clone()),
        ("cannot run", about.refused.clone()),
    ]
}
