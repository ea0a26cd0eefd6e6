//! What is said of a pipeline when nothing of it moves any more.

use super::words::failure;
use crate::cli::pipeline::facts::{Facts, Found, is_bad};
use crate::cli::show::cells::clean;
use crate::cli::show::print;
use crate::coordinator::{BuildReport, PipelineReport};
use crate::domain::build::{BuildId, Status};
use crate::domain::junit::Summary;
use crate::domain::pipeline::about::About;
use crate::domain::pipeline::states::PipelineState;
use crate::domain::spec::ArtifactKind;
use crate::domain::text::duration::format_duration;

/// Most jobs of a kind that are named.
const NAMES_MAX: usize = 10;
/// Most failed tests that are named in a line.
const TESTS_MAX: usize = 3;

/// The lines that end a run.
pub fn text(report: &PipelineReport, facts: &Facts) -> String {
    let jobs: Vec<Job<'_>> = report
        .builds
        .iter()
        .filter(|(build, _)| build.build.retried_by.is_none())
        .map(|(report, about)| Job { report, about, found: facts.get(report.build.id) })
        .collect();
    let mut lines: Vec<String> = report.refusal.iter().map(|message| clean(&message.to_string())).collect();
    lines.extend(failed(&jobs, report));
    lines.extend(each(&jobs, warning));
    lines.extend(skipped(&jobs));
    lines.extend(each(&jobs, coverage));
    lines.extend(each(&jobs, tests));
    lines.extend(each(&jobs, environment));
    lines.extend(each(&jobs, manual));
    lines.extend(each(&jobs, artifacts));
    lines.push(closing(report, &jobs));
    lines.into_iter().map(|line| line + "\n").collect()
}

/// A job that counts.
struct Job<'a> {
    report: &'a BuildReport,
    about: &'a About,
    found: Option<&'a Found>,
}

impl Job<'_> {
    fn id(&self) -> BuildId {
        self.report.build.id
    }

    fn name(&self) -> String {
        clean(&self.report.build.name)
    }

    fn status(&self) -> Status {
        self.report.build.status
    }

    fn why(&self) -> String {
        let build = &self.report.build;
        let text = build.failure_text.as_ref().map_or_else(String::new, |text| format!(" ({})", clean(text)));
        failure(build.failure_reason, build.exit_code) + &text
    }
}

/// The lines of the jobs that have one, and how many there are beside those that are named.
fn each(jobs: &[Job<'_>], line: impl Fn(&Job<'_>) -> Option<String>) -> Vec<String> {
    let mut lines: Vec<String> = jobs.iter().filter_map(line).collect();
    if lines.len() > NAMES_MAX {
        let more = lines.len() - NAMES_MAX;
        lines.truncate(NAMES_MAX);
        let kind = lines.first().and_then(|line| line.split_once(':')).map_or("", |(kind, _)| kind);
        lines.push(format!("{kind}: and {more} more"));
    }
    lines
}

fn failed(jobs: &[Job<'_>], report: &PipelineReport) -> Vec<String> {
    let failed: Vec<&Job<'_>> = jobs.iter().filter(|job| is_bad(job.report)).collect();
    let mut lines = Vec::new();
    for job in failed.iter().take(NAMES_MAX) {
        let (name, id) = (job.name(), job.id());
        lines.push(format!("failed: {name} (build {id}): {}", job.why()));
        let log = job.found.map(|found| found.lines.as_slice()).unwrap_or_default();
        lines.extend(log.iter().map(|line| format!("  | {line}").trim_end().to_owned()));
        lines.push(format!("  `baton build log {id}` shows the whole log"));
    }
    if failed.len() > NAMES_MAX {
        let (more, id) = (failed.len() - NAMES_MAX, report.pipeline.id);
        lines.push(format!("failed: and {more} more; `baton pipeline show {id}` shows all"));
    }
    lines
}

fn warning(job: &Job<'_>) -> Option<String> {
    let build = &job.report.build;
    let is_one = build.status == Status::Failed && build.failure_allowed;
    is_one.then(|| format!("warning: {} (build {}) failed, which is allowed: {}", job.name(), job.id(), job.why()))
}

/// Those that do not run, together by why.
fn skipped(jobs: &[Job<'_>]) -> Vec<String> {
    let mut reasons: Vec<(&str, Vec<String>)> = Vec::new();
    for job in jobs.iter().filter(|job| job.status() == Status::Skipped) {
        let why = job.report.pending_reason.as_deref().unwrap_or("does not run");
        match reasons.iter_mut().find(|(other, _)| *other == why) {
            Some((_, names)) => names.push(job.name()),
            None => reasons.push((why, vec![job.name()])),
        }
    }
    let line = |(why, names): (&str, Vec<String>)| {
        let more = names.len().saturating_sub(NAMES_MAX);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let names = names.into_iter().take(NAMES_MAX).collect::<Vec<_>>().join(", ");
        format!("skipped: {names}{more}: {}", clean(why))
    };
    reasons.into_iter().map(line).collect()
}

fn coverage(job: &Job<'_>) -> Option<String> {
    let number = job.found?.coverage.as_ref()?;
    Some(format!("coverage: {}: {number} %", job.name()))
}

fn tests(job: &Job<'_>) -> Option<String> {
    let summary = job.found?.tests.as_ref()?;
    Some(format!("tests: {}: {}", job.name(), clean(&tests_in_short(summary))))
}

/// What a JUnit report says, as a part of a line.
fn tests_in_short(summary: &Summary) -> String {
    let Summary { tests, failures, errors, skipped, failed, is_whole } = summary;
    let bad = failures + errors;
    let count = print::count(*tests, "test");
    let skipped = if *skipped > 0 { format!(", {skipped} skipped") } else { String::new() };
    let rest = if *is_whole { "" } else { "; the report cannot be read to its end" };
    if bad == 0 {
        return format!("{count} passed{skipped}{rest}");
    }
    let names = failed.iter().take(TESTS_MAX).map(String::as_str).collect::<Vec<_>>().join(", ");
    let more = if bad > TESTS_MAX as u64 { ", ..." } else { "" };
    format!("{bad} of {count} failed{skipped}{rest}: {names}{more}")
}

fn environment(job: &Job<'_>) -> Option<String> {
    let environment = job.about.environment.as_ref()?;
    let url = job.found?.url.as_ref()?;
    Some(format!("environment: {}: {}", clean(&environment.name), clean(url)))
}

fn manual(job: &Job<'_>) -> Option<String> {
    let build = &job.report.build;
    let what = if build.failure_allowed { "may be started" } else { "holds the pipeline up" };
    let id = build.id;
    (build.status == Status::Manual)
        .then(|| format!("manual: {} {what}: `baton build play {id}` starts it", job.name()))
}

fn artifacts(job: &Job<'_>) -> Option<String> {
    let has_archive = job.report.artifacts.iter().any(|stored| stored.kind == ArtifactKind::archive());
    let id = job.id();
    has_archive.then(|| format!("artifacts: {}: `baton build artifacts {id}` saves them", job.name()))
}

fn closing(report: &PipelineReport, jobs: &[Job<'_>]) -> String {
    let state = report.state();
    let note = match state {
        PipelineState::Success if report.has_warnings() => " with warnings",
        PipelineState::Manual => " (blocked)",
        PipelineState::Skipped => " (nothing ran)",
        PipelineState::Failed if report.standing.is_refused => " (its configuration was refused)",
        PipelineState::Success
        | PipelineState::Created
        | PipelineState::WaitingForResource
        | PipelineState::Pending
        | PipelineState::Running
        | PipelineState::Scheduled
        | PipelineState::Failed
        | PipelineState::Canceled => "",
    };
    let times = report.standing.started_at.zip(report.standing.finished_at);
    let took = times.map_or_else(String::new, |(start, end)| format!(" in {}", format_duration(end.since(start))));
    let (id, count) = (report.pipeline.id, print::count(jobs.len() as u64, "job"));
    format!("pipeline {id}: {}{note}, {count}{took}", state.as_str())
}

#[cfg(test)]
#[path = "summary_tests.rs"]
mod tests;
