//! A pipeline in JSON.

use super::facts::Facts;
use crate::cli::show::job::JobDocument;
use crate::cli::show::print::BuildDocument;
use crate::coordinator::PipelineReport;
use crate::domain::build::BuildId;
use crate::domain::pipeline::about::About;
use crate::domain::pipeline::states::PipelineState;
use crate::domain::pipeline::{PipelineId, Source};
use crate::domain::time::Timestamp;
use crate::gitlab_ci::messages::Message;
use serde::Serialize;
use serde_json::Value;

/// A pipeline, in the JSON of every command.
#[derive(Serialize)]
pub struct PipelineDocument<'a> {
    id: PipelineId,
    iid: i64,
    project: &'a str,
    name: Option<&'a str>,
    r#ref: &'a str,
    tag: bool,
    sha: Option<&'a str>,
    before_sha: Option<&'a str>,
    title: Option<&'a str>,
    source: Source,
    actor: Option<&'a str>,
    status: PipelineState,
    has_warnings: bool,
    created_at: String,
    started_at: Option<String>,
    finished_at: Option<String>,
    parent: Option<BuildId>,
    stages: &'a [String],
    warnings: &'a [String],
    left_out: &'a Value,
    /// Whether its configuration was refused.
    refused: bool,
    /// What is wrong with it; of a list of pipelines, and of one that was taken: absent.
    #[serde(skip_serializing_if = "<[Message]>::is_empty")]
    refusal: &'a [Message],
    /// Of a list of pipelines: absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    jobs: Option<Vec<BuildDocument<'a>>>,
}

impl<'a> PipelineDocument<'a> {
    /// The document of a pipeline with its builds, those that were made again too.
    pub fn new(report: &'a PipelineReport, facts: &'a Facts) -> PipelineDocument<'a> {
        let job = |(build, about): &'a (_, About)| {
            let document = BuildDocument::new(build);
            let found = facts.get(build.build.id);
            let coverage = found.and_then(|found| found.coverage.as_deref());
            let url = found.and_then(|found| found.url.as_deref());
            document
                .with_tests(found.and_then(|found| found.tests.clone()))
                .with_job(JobDocument::new(build, about, coverage, url))
        };
        PipelineDocument { jobs: Some(report.builds.iter().map(job).collect()), ..PipelineDocument::in_short(report) }
    }

    /// The same without its builds.
    pub fn in_short(report: &'a PipelineReport) -> PipelineDocument<'a> {
        let time = |time: Option<Timestamp>| time.map(|time| time.to_string());
        let pipeline = &report.pipeline;
        PipelineDocument {
            id: pipeline.id,
            iid: pipeline.iid,
            project: &pipeline.project,
            name: pipeline.name.as_deref(),
            r#ref: &pipeline.ref_,
            tag: pipeline.is_tag,
            sha: pipeline.sha.as_deref(),
            before_sha: pipeline.before_sha.as_deref(),
            title: pipeline.title.as_deref(),
            source: pipeline.source,
            actor: pipeline.actor.as_deref(),
            status: report.state(),
            has_warnings: report.has_warnings(),
            created_at: pipeline.created_at.to_string(),
            started_at: time(report.standing.started_at),
            finished_at: time(report.finished_at()),
            parent: pipeline.parent,
            stages: &pipeline.stages,
            warnings: &pipeline.warnings,
            left_out: &pipeline.left_out,
            refused: report.standing.is_refused,
            refusal: &report.refusal,
            jobs: None,
        }
    }
}
