//! What a configuration means.

use crate::coordinator::Linted;
use crate::domain::pipeline::{Job, Work};
use crate::domain::spec::{AllowFailure, BuildSpec};
use serde_json::{Value, json};

/// What is said of a configuration of a project; with `with_jobs`, its jobs too.
pub fn linted(it: &Linted, with_jobs: bool) -> Value {
    let include = |name: &String| {
        json!({
            "type": "local", "location": name, "blob": null, "raw": null, "extra": {},
            "context_project": null, "context_sha": null,
        })
    };
    json!({
        "valid": it.errors.is_empty(),
        "errors": it.errors,
        "warnings": it.warnings,
        "merged_yaml": it.merged_yaml,
        "includes": it.includes.iter().map(include).collect::<Vec<_>>(),
        "jobs": with_jobs.then(|| it.jobs.iter().map(job).collect::<Vec<_>>()),
    })
}

/// The same with GitLab's word of old, for clients that ask without a project.
pub fn linted_of_old(it: &Linted, with_jobs: bool) -> Value {
    let mut said = linted(it, with_jobs);
    if let Value::Object(members) = &mut said {
        let word = if it.errors.is_empty() { "valid" } else { "invalid" };
        members.insert("status".to_owned(), json!(word));
    }
    said
}

fn job(job: &Job) -> Value {
    let spec = match &job.work {
        Work::Build(spec) => BuildSpec::clone(spec),
        Work::Trigger(_) | Work::Refused { .. } => BuildSpec::default(),
    };
    json!({
        "name": job.name,
        "stage": job.stage,
        "before_script": [],
        "script": spec.script,
        "after_script": spec.after_script,
        "tag_list": job.tags,
        "only": null,
        "except": null,
        "environment": job.environment.as_ref().map(|environment| environment.name.as_str()),
        "when": job.when.as_str(),
        "allow_failure": job.allow_failure != AllowFailure::Any(false),
        "needs": job.needs.as_ref().map(|needs| {
            needs.iter().map(|need| json!({"name": need.job, "artifacts": need.artifacts})).collect::<Vec<_>>()
        }),
    })
}
