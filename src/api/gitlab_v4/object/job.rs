//! Jobs, which are Baton's builds.

use super::commit::commit_of_pipeline;
use super::people::user;
use super::pipeline::pipeline_of_job;
use super::runner::{manager, runner};
use super::time;
use crate::api::gitlab_v4::urls::Urls;
use crate::coordinator::JobReport;
use crate::domain::again::Failure;
use crate::domain::build::{Build, FailureReason, Status};
use crate::domain::time::Timestamp;
use crate::store::artifacts::Stored;
use serde_json::{Value, json};
use std::time::Duration;

/// When a job was made. Those of a pipeline are made in the same moment, and glab puts them in order by these times: their
/// places are microseconds.
fn created_at(job: &JobReport) -> String {
    let at = job.report.build.created_at.to_string();
    let first = job.pipeline.as_deref().and_then(|report| report.standing.first);
    let place = first.map_or(0, |first| job.report.build.id.0 - first.0).clamp(0, 999);
    format!("{}{place:03}Z", at.trim_end_matches('Z'))
}

/// A job.
pub fn job(urls: &Urls, job: &JobReport, now: Timestamp) -> Value {
    let (report, build) = (&job.report, &job.report.build);
    let pipeline = job.pipeline.as_deref();
    let actor = pipeline.and_then(|report| report.pipeline.actor.as_deref());
    let mut object = json!({
        "id": build.id,
        "status": status(job),
        "stage": build.stage,
        "name": build.name,
        "ref": build.ref_,
        "tag": pipeline.is_some_and(|report| report.pipeline.is_tag),
        "coverage": null,
        "allow_failure": build.failure_allowed,
        "created_at": created_at(job),
        "started_at": time(build.started_at),
        "finished_at": time(build.finished_at),
        "erased_at": time(build.erased_at),
        "duration": duration(build, now),
        "queued_duration": queued_duration(job, now),
        "user": user(urls, actor),
        "commit": pipeline.map(|report| commit_of_pipeline(urls, report)),
        "pipeline": pipeline.map(|report| pipeline_of_job(urls, report)),
        "web_url": urls.job(&build.project, build.id),
        "project": {"ci_job_token_scope_enabled": false},
        "artifacts": report.artifacts.iter().map(artifact).collect::<Vec<_>>(),
        "runner": job.runner.as_deref().map(|at_work| runner(at_work, now)),
        "runner_manager": job.manager.as_ref().map(|own| manager(own, now)),
        "artifacts_expire_at": time(build.artifacts.as_ref().and_then(|file| file.expire_at)),
        "archived": false,
        "tag_list": build.tags.as_slice(),
        "environment": job.about.environment.as_ref(),
        "stage_index": build.stage_index,
        "group": job.about.group,
        "parallel": job.about.parallel,
        "interruptible": job.about.interruptible,
        "manual_confirmation": job.about.manual_confirmation,
        "refused": job.about.refused,
        "exit_code": build.exit_code,
        "needs": build.needs,
        "when": build.when.as_str(),
        "pending_reason": report.pending_reason,
        "runs_without": report.runs_without,
        "scheduled_at": time(job.scheduled_at),
        "retry_of": build.retry_of,
        "retried_by": report.repeated_by,
        "log_bytes": build.trace_size,
    });
    if let Value::Object(fields) = &mut object {
        if let Some(reason) = build.failure_reason {
            fields.insert("failure_reason".to_owned(), json!(failure_word(build, reason)));
            fields.insert("failure_text".to_owned(), json!(build.failure_text));
        }
        if let Some(file) = &build.artifacts {
            let archive = json!({"filename": file.filename, "size": file.size});
            fields.insert("artifacts_file".to_owned(), archive);
        }
    }
    object
}

/// A job as the status of a commit.
pub fn commit_status(urls: &Urls, job: &JobReport) -> Value {
    let build = &job.report.build;
    let actor = job.pipeline.as_deref().and_then(|report| report.pipeline.actor.as_deref());
    json!({
        "id": build.id,
        "sha": build.sha,
        "ref": build.ref_,
        "status": status(job),
        "name": build.name,
        "target_url": urls.job(&build.project, build.id),
        "description": job.report.pending_reason,
        "created_at": created_at(job),
        "started_at": time(build.started_at),
        "finished_at": time(build.finished_at),
        "allow_failure": build.failure_allowed,
        "coverage": null,
        "pipeline_id": build.pipeline_id,
        "author": user(urls, actor),
    })
}

/// GitLab's word for its state.
fn status(job: &JobReport) -> &'static str {
    if job.is_canceling { "canceling" } else { job.report.build.status.as_str() }
}

/// How long it runs or ran, in seconds with three decimals; null before it runs.
fn duration(build: &Build, now: Timestamp) -> Option<f64> {
    build.started_at.map(|begun| seconds(build.finished_at.unwrap_or(now).since(begun)))
}

/// How long it waits or waited for a runner, in seconds; null while it cannot be handed out.
fn queued_duration(job: &JobReport, now: Timestamp) -> Option<f64> {
    let build = &job.report.build;
    let until = build.started_at.or((build.status == Status::Pending).then_some(now))?;
    Some(seconds(until.since(job.ready_at)))
}

/// Seconds with three decimals.
pub fn seconds(duration: Duration) -> f64 {
    duration.as_secs_f64()
}

fn artifact(stored: &Stored) -> Value {
    json!({
        "file_type": stored.kind.0,
        "size": stored.file.size,
        "filename": stored.file.filename,
        "file_format": stored.format.as_str(),
    })
}

/// GitLab's word for a failure; a log or artifacts that are too large are ours.
fn failure_word(build: &Build, reason: FailureReason) -> String {
    let failure = Failure { reason, text: build.failure_text.as_deref(), exit_code: build.exit_code };
    let own = match reason {
        FailureReason::TraceTooLarge => "trace_size_exceeded",
        FailureReason::RunnerLost
        | FailureReason::ScriptFailure
        | FailureReason::TimedOut
        | FailureReason::ArtifactsTooLarge
        | FailureReason::RunnerFailure
        | FailureReason::SchedulerFailure => reason.as_str(),
    };
    failure.words().first().copied().unwrap_or(own).to_owned()
}
