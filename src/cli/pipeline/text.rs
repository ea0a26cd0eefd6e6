//! Pipelines for people.

use super::facts::{Facts, Found};
use crate::cli::Done;
use crate::cli::run::live::words::failure;
use crate::cli::show::around::around;
use crate::cli::show::cells::{clean, shortened};
use crate::cli::show::print::{aligned, or_dash, short_time, table};
use crate::coordinator::{BuildReport, PipelineReport};
use crate::domain::build::{Build, Status};
use crate::domain::pipeline::When;
use crate::domain::pipeline::about::About;
use crate::domain::pipeline::states::PipelineState;
use crate::domain::text::duration::format_duration;
use crate::domain::time::Timestamp;
use crate::gitlab_ci::messages::Message;
use serde_json::Value;

/// Columns of a commit's title in a list.
const TITLE_COLUMNS: usize = 50;

/// What a list shows of a pipeline.
const COLUMNS: [&str; 8] = ["ID", "PROJECT", "REF", "SOURCE", "STATUS", "CREATED", "TOOK", "TITLE"];

/// What is shown of a job.
const JOB_COLUMNS: [&str; 7] = ["STAGE", "JOB", "BUILD", "STATUS", "RUNNER", "TOOK", "REMARK"];

/// What is shown of a job that rules have left out.
const LEFT_OUT_COLUMNS: [&str; 4] = ["STAGE", "LEFT OUT", "WHERE", "WHY"];

/// Pipelines as a table; `are_all`: nobody has asked for some only.
pub fn list(list: &[PipelineReport], are_all: bool) -> Done {
    let empty = if are_all {
        "no pipelines yet; `baton run` in a checkout with a .gitlab-ci.yml makes one"
    } else {
        "no pipelines of this project; `baton pipeline list` without options shows all"
    };
    table(COLUMNS, list.iter().map(row).collect(), empty)
}

fn row(report: &PipelineReport) -> [String; 8] {
    let pipeline = &report.pipeline;
    let title = clean(pipeline.name.as_deref().or(pipeline.title.as_deref()).unwrap_or_default());
    [
        pipeline.id.to_string(),
        pipeline.project.clone(),
        clean(&pipeline.ref_),
        pipeline.source.as_str().to_owned(),
        state(report),
        short_time(Some(pipeline.created_at)),
        or_dash(&took(report)),
        shortened(&title, TITLE_COLUMNS).into_owned(),
    ]
}

/// The state, and whether there is a failure that is allowed.
fn state(report: &PipelineReport) -> String {
    let state = report.state();
    match (state, report.has_warnings()) {
        (PipelineState::Success, true) => "success, with warnings".to_owned(),
        (PipelineState::Manual, _) => "manual (blocked)".to_owned(),
        (PipelineState::Failed, _) if report.standing.is_refused => "failed (refused)".to_owned(),
        (state, _) => state.as_str().to_owned(),
    }
}

fn took(report: &PipelineReport) -> String {
    let times = report.standing.started_at.zip(report.finished_at());
    times.map_or_else(String::new, |(start, end)| format_duration(end.since(start)))
}

/// A pipeline: what it is, its jobs in the order of stages, what rules have left out, and what people were told.
pub fn pipeline(report: &PipelineReport, facts: &Facts, now: Timestamp) -> String {
    let pipeline = &report.pipeline;
    let tag = if pipeline.is_tag { " (a tag)" } else { "" };
    let lines = [
        ("pipeline", Some(format!("{}, number {} of its project", pipeline.id, pipeline.iid))),
        ("project", Some(pipeline.project.clone())),
        ("name", pipeline.name.clone()),
        ("ref", Some(format!("{}{tag}", pipeline.ref_))),
        ("sha", pipeline.sha.clone()),
        ("commit", pipeline.title.clone()),
        ("source", Some(pipeline.source.as_str().to_owned())),
        ("started by", pipeline.actor.clone()),
        ("made by", pipeline.parent.map(|id| format!("build {id}"))),
        ("status", Some(state(report))),
        ("created", Some(short_time(Some(pipeline.created_at)))),
        ("finished", report.finished_at().map(|at| short_time(Some(at)))),
        ("took", Some(took(report)).filter(|took| !took.is_empty())),
    ];
    let rows: Vec<[String; 2]> =
        lines.into_iter().filter_map(|(name, value)| Some([name.to_owned(), clean(&value?)])).collect();
    let mut text = aligned(&rows);
    text.push('\n');
    if report.standing.is_refused {
        text.push_str(&refusal(&report.refusal));
        return text + &warnings(report);
    }
    let jobs = report.builds.iter().map(|(build, about)| job_row(build, about, facts.get(build.build.id), now));
    text.push_str(&with_header(JOB_COLUMNS, jobs.collect()));
    if let Some(left_out) = pipeline.left_out.as_array().filter(|list| !list.is_empty()) {
        text.push('\n');
        text.push_str(&with_header(LEFT_OUT_COLUMNS, left_out.iter().map(left_out_row).collect()));
    }
    text + &warnings(report)
}

/// What people were told when it was made.
fn warnings(report: &PipelineReport) -> String {
    let warnings = report.pipeline.warnings.iter().map(|warning| format!("warning: {}\n", clean(warning)));
    let all: String = warnings.collect();
    if all.is_empty() { all } else { format!("\n{all}") }
}

/// What is wrong with a configuration, with the lines around it.
fn refusal(messages: &[Message]) -> String {
    let mut text = "its configuration was refused; it has no jobs\n".to_owned();
    for message in messages {
        text.push_str(&format!("{}{}\n", clean(&message.to_string()), around(message, u32::MAX)));
    }
    text
}

fn with_header<const N: usize>(header: [&str; N], rows: Vec<[String; N]>) -> String {
    aligned(&[vec![header.map(str::to_owned)], rows].concat())
}

fn job_row(report: &BuildReport, about: &About, found: Option<&Found>, now: Timestamp) -> [String; 7] {
    let build = &report.build;
    let runner = build
        .runner
        .as_ref()
        .map(|(id, description)| if description.is_empty() { id.to_string() } else { clean(description) });
    [
        clean(&build.stage),
        clean(&build.name),
        build.id.to_string(),
        build.status.to_string(),
        or_dash(&runner.unwrap_or_default()),
        or_dash(&run_time(build, now)),
        clean(&remark(report, about, found)),
    ]
}

fn run_time(build: &Build, now: Timestamp) -> String {
    let end = build.finished_at.or_else(|| (build.status == Status::Running).then_some(now));
    build.started_at.zip(end).map_or_else(String::new, |(start, end)| format_duration(end.since(start)))
}

/// What else there is to be said of a job, in one line.
fn remark(report: &BuildReport, about: &About, found: Option<&Found>) -> String {
    let build = &report.build;
    let failed = (build.status == Status::Failed).then(|| {
        let allowed = if build.failure_allowed { ", which is allowed" } else { "" };
        format!("{}{allowed}", failure(build.failure_reason, build.exit_code))
    });
    let again = build.retried_by.map(|by| format!("made again as build {by}"));
    let when = match build.when {
        When::OnFailure | When::Always if build.status == Status::Created => Some(build.when.as_str().to_owned()),
        When::Manual if build.status == Status::Created => Some("manual".to_owned()),
        When::OnSuccess | When::OnFailure | When::Always | When::Manual | When::Delayed => None,
    };
    let blocks = (build.status == Status::Manual && !build.failure_allowed).then(|| "holds the pipeline up".to_owned());
    let coverage = found.and_then(|found| found.coverage.as_ref()).map(|number| format!("coverage {number} %"));
    let tests = found.and_then(|found| found.tests.as_ref());
    let tests = tests.map(|tests| format!("{} of {} tests failed", tests.failures + tests.errors, tests.tests));
    let place = found.and_then(|found| found.url.as_deref());
    let environment = about.environment.as_ref().map(|environment| {
        let place = place.map_or_else(String::new, |url| format!(" at {url}"));
        format!("environment {}{place}", environment.name)
    });
    let all = [failed, again, when, blocks, report.pending_reason.clone(), coverage, tests, environment];
    all.into_iter().flatten().collect::<Vec<_>>().join("; ")
}

/// Of an object with `name`, `stage`, `why`, `file` and `line`.
fn left_out_row(entry: &Value) -> [String; 4] {
    let word = |key: &str| clean(entry.get(key).and_then(Value::as_str).unwrap_or_default());
    let place = match entry.get("line").and_then(Value::as_u64).filter(|line| *line > 0) {
        Some(line) => format!("{}:{line}", word("file")),
        None => word("file"),
    };
    [word("stage"), word("name"), place, word("why")]
}
