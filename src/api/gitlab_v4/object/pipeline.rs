//! Pipelines.
//!
//! What must stay true: `user` and `created_at` are never null: glab breaks down on that.

use super::people::user;
use super::time;
use crate::api::gitlab_v4::urls::Urls;
use crate::coordinator::PipelineReport;
use crate::domain::pipeline::states::PipelineState;
use crate::domain::time::Timestamp;
use serde_json::{Map, Value, json};
use std::time::Duration;

/// What a branch's commit before the first is.
const NO_SHA: &str = "0000000000000000000000000000000000000000";

fn short(urls: &Urls, report: &PipelineReport) -> Map<String, Value> {
    let it = &report.pipeline;
    let fields = [
        ("id", json!(it.id)),
        ("iid", json!(it.iid)),
        ("project_id", json!(it.project_id)),
        ("sha", json!(it.sha)),
        ("ref", json!(it.ref_)),
        ("status", json!(report.state().as_str())),
        ("source", json!(it.source.as_str())),
        ("created_at", json!(it.created_at.to_string())),
        ("updated_at", json!(report.updated_at().to_string())),
        ("web_url", json!(urls.pipeline(&it.project, it.id))),
    ];
    fields.map(|(name, value)| (name.to_owned(), value)).into_iter().collect()
}

/// A pipeline as a job names it.
pub fn pipeline_of_job(urls: &Urls, report: &PipelineReport) -> Value {
    Value::Object(short(urls, report))
}

/// A pipeline of a list.
pub fn short_pipeline(urls: &Urls, report: &PipelineReport) -> Value {
    let mut fields = short(urls, report);
    fields.insert("name".to_owned(), json!(report.pipeline.name));
    Value::Object(fields)
}

/// A pipeline by itself.
pub fn pipeline(urls: &Urls, report: &PipelineReport, now: Timestamp) -> Value {
    let it = &report.pipeline;
    let mut fields = short(urls, report);
    let begun = report.standing.started_at;
    let until = report.finished_at().unwrap_or(now);
    let whole_seconds = |duration: Duration| duration.as_secs();
    let more = [
        ("name", json!(it.name)),
        ("before_sha", json!(it.before_sha.as_deref().unwrap_or(NO_SHA))),
        ("tag", json!(it.is_tag)),
        ("yaml_errors", json!(yaml_errors(report))),
        ("user", user(urls, it.actor.as_deref())),
        ("started_at", time(begun)),
        ("finished_at", time(report.finished_at())),
        ("committed_at", Value::Null),
        ("duration", json!(begun.map(|begun| whole_seconds(until.since(begun))))),
        ("queued_duration", json!(begun.map(|begun| whole_seconds(begun.since(it.created_at))))),
        ("coverage", Value::Null),
        ("archived", json!(false)),
        ("detailed_status", detailed_status(urls, report)),
        ("stages", json!(it.stages)),
        ("has_warnings", json!(report.has_warnings())),
        ("warnings", json!(it.warnings)),
        ("left_out", it.left_out.clone()),
        ("title", json!(it.title)),
        ("parent_job", json!(it.parent)),
    ];
    fields.extend(more.map(|(name, value)| (name.to_owned(), value)));
    Value::Object(fields)
}

/// What is wrong with its configuration, a sentence a line, as GitLab says it.
fn yaml_errors(report: &PipelineReport) -> Option<String> {
    let sentences: Vec<String> = report.refusal.iter().map(ToString::to_string).collect();
    (!sentences.is_empty()).then(|| sentences.join("\n"))
}

/// Its state, for a badge.
fn detailed_status(urls: &Urls, report: &PipelineReport) -> Value {
    let state = report.state();
    let is_warned = state == PipelineState::Success && report.has_warnings();
    let (icon, text, label, group) = match state {
        PipelineState::Success if is_warned => {
            ("status_warning", "Warning", "passed with warnings", "success-with-warnings")
        }
        PipelineState::Success => ("status_success", "Passed", "passed", "success"),
        PipelineState::Failed => ("status_failed", "Failed", "failed", "failed"),
        PipelineState::Canceled => ("status_canceled", "Canceled", "canceled", "canceled"),
        PipelineState::Skipped => ("status_skipped", "Skipped", "skipped", "skipped"),
        PipelineState::Manual => ("status_manual", "Blocked", "waiting for manual action", "manual"),
        PipelineState::Scheduled => ("status_scheduled", "Delayed", "waiting for delayed job", "scheduled"),
        PipelineState::Running => ("status_running", "Running", "running", "running"),
        PipelineState::Pending => ("status_pending", "Pending", "pending", "pending"),
        PipelineState::WaitingForResource => {
            ("status_pending", "Waiting", "waiting for resource", "waiting-for-resource")
        }
        PipelineState::Created => ("status_created", "Created", "created", "created"),
    };
    let url = urls.pipeline(&report.pipeline.project, report.pipeline.id);
    json!({
        "icon": icon,
        "text": text,
        "label": label,
        "group": group,
        "tooltip": label,
        "has_details": true,
        "details_path": url.strip_prefix(urls.page()).unwrap_or(&url),
        "illustration": null,
        "favicon": null,
    })
}
