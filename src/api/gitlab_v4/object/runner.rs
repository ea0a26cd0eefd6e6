//! Runners, and the machines that use their tokens. No token is ever in one.

use super::time;
use crate::domain::asker::Manager;
use crate::domain::runner::{RunnerAtWork, RunnerInfo, RunnerState};
use crate::domain::time::Timestamp;
use serde_json::{Map, Value, json};

/// GitLab's word for whether one who called then is to be counted on.
fn status(called_at: Option<Timestamp>, now: Timestamp) -> &'static str {
    match RunnerState::of(false, called_at, now) {
        RunnerState::Online => "online",
        RunnerState::NeverSeen => "never_contacted",
        RunnerState::Stale | RunnerState::Paused => "offline",
    }
}

/// The word for whether a runner is to be counted on.
pub fn runner_status(at_work: &RunnerAtWork, now: Timestamp) -> &'static str {
    status(at_work.called_at(), now)
}

fn job_status(builds: usize) -> &'static str {
    if builds > 0 { "active" } else { "idle" }
}

fn short(at_work: &RunnerAtWork, now: Timestamp) -> Map<String, Value> {
    let it = &at_work.runner;
    let status = runner_status(at_work, now);
    let fields = [
        ("id", json!(it.id)),
        ("description", json!(it.description)),
        ("ip_address", json!(it.address)),
        ("active", json!(!it.paused)),
        ("paused", json!(it.paused)),
        ("is_shared", json!(it.project.is_none())),
        ("runner_type", json!(runner_type(at_work))),
        ("name", json!(it.info.get("name"))),
        ("online", json!(status == "online")),
        ("status", json!(status)),
        ("created_at", json!(it.created_at.to_string())),
        ("created_by", Value::Null),
        ("job_execution_status", json!(job_status(at_work.builds.len()))),
    ];
    fields.map(|(name, value)| (name.to_owned(), value)).into_iter().collect()
}

/// Whether it is one of all projects, by GitLab's words.
pub fn runner_type(at_work: &RunnerAtWork) -> &'static str {
    if at_work.runner.project.is_none() { "instance_type" } else { "project_type" }
}

/// A runner of a list.
pub fn runner(at_work: &RunnerAtWork, now: Timestamp) -> Value {
    Value::Object(short(at_work, now))
}

fn said(info: &RunnerInfo) -> [(&'static str, Value); 4] {
    let of = |field| json!(info.get(field));
    [
        ("version", of("version")),
        ("revision", of("revision")),
        ("platform", of("platform")),
        ("architecture", of("architecture")),
    ]
}

/// A runner by itself.
pub fn runner_details(at_work: &RunnerAtWork, project: Option<Value>, now: Timestamp) -> Value {
    let it = &at_work.runner;
    let mut fields = short(at_work, now);
    let more = [
        ("tag_list", json!(it.tags.as_slice())),
        ("run_untagged", json!(it.run_untagged)),
        ("locked", json!(it.locked)),
        ("maximum_timeout", json!(it.maximum_timeout_s)),
        ("access_level", json!("not_protected")),
        ("contacted_at", time(at_work.called_at())),
        ("maintenance_note", json!(it.maintenance_note)),
        ("projects", json!(project.into_iter().collect::<Vec<_>>())),
        ("groups", json!([])),
        ("running_jobs", json!(at_work.builds.iter().map(|build| build.id).collect::<Vec<_>>())),
    ];
    fields.extend(more.into_iter().chain(said(&it.info)).map(|(name, value)| (name.to_owned(), value)));
    Value::Object(fields)
}

/// A machine that uses a runner's token. When it first did is not kept.
pub fn manager(manager: &Manager, now: Timestamp) -> Value {
    let status = status(Some(manager.contacted_at), now);
    let mut fields: Map<String, Value> = [
        ("id", json!(manager.id)),
        ("system_id", json!(manager.system_id)),
        ("created_at", json!(manager.contacted_at.to_string())),
        ("contacted_at", json!(manager.contacted_at.to_string())),
        ("ip_address", json!(manager.address)),
        ("status", json!(status)),
        ("job_execution_status", Value::Null),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into_iter()
    .collect();
    fields.extend(said(&manager.info).map(|(name, value)| (name.to_owned(), value)));
    Value::Object(fields)
}
