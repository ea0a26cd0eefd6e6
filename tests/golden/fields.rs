//! The fields of a job that a case names.

use crate::kinds::same;
use baton::domain::pipeline::{Job, Pipeline, Work};
use baton::domain::spec::{AllowFailure, BuildSpec};
use baton::gitlab_ci::Compiled;
use baton::gitlab_ci::yaml::{Map, Node, to_json};
use serde_json::{Map as Json, Value, json};

pub fn check(compiled: &Compiled, pipeline: &Pipeline, job: &Job, expected: &Map) -> Result<(), String> {
    for (field, entry) in &expected.0 {
        let wanted = to_json(&entry.node);
        let is = field_of(compiled, pipeline, job, field, &wanted);
        let holds = if &**field == "yaml_variables" { is == wanted } else { covers(&is, &wanted) };
        if !holds {
            same(&is, &wanted).map_err(|why| format!("{field} {why}"))?;
        }
    }
    Ok(())
}

/// Whether a value is as wanted; of hashes only the keys that are wanted are looked at, and null is an absent one.
fn covers(is: &Value, wanted: &Value) -> bool {
    match (is, wanted) {
        (Value::Object(is), Value::Object(wanted)) => {
            wanted.iter().all(|(key, wanted)| covers(is.get(key).unwrap_or(&Value::Null), wanted))
        }
        (Value::Array(is), Value::Array(wanted)) => {
            is.len() == wanted.len() && is.iter().zip(wanted).all(|(is, wanted)| covers(is, wanted))
        }
        _ => is == wanted,
    }
}

fn spec(job: &Job) -> BuildSpec {
    match &job.work {
        Work::Build(spec) => BuildSpec::clone(spec),
        Work::Trigger(_) | Work::Refused { .. } => BuildSpec::default(),
    }
}

fn or_null<T: serde::Serialize>(list: &[T]) -> Value {
    if list.is_empty() { Value::Null } else { json!(list) }
}

fn field_of(compiled: &Compiled, pipeline: &Pipeline, job: &Job, field: &str, wanted: &Value) -> Value {
    let spec = spec(job);
    match field {
        "stage" => json!(job.stage),
        "when" => json!(job.when),
        "kind" => json!(if is_trigger(compiled, job) { "trigger" } else { "build" }),
        "allow_failure" => json!(job.allow_failure == AllowFailure::Any(true)),
        "allow_failure_exit_codes" => match &job.allow_failure {
            AllowFailure::ExitCodes { exit_codes } => json!(exit_codes),
            AllowFailure::Any(_) => Value::Null,
        },
        "start_in" => json!(job.start_in.as_ref().map(|span| &span.text)),
        "interruptible" => json!(job.interruptible),
        "resource_group" => json!(job.resource_group),
        "coverage" => json!(job.coverage),
        "timeout_s" => json!(job.timeout_s),
        "environment" => json!(job.environment.as_ref().map(|environment| &environment.name)),
        "tags" => or_null(&job.tags),
        "needs" => needs(job, wanted),
        "waits_for" => json!(pipeline.waits_for(job).iter().map(|job| &job.name).collect::<Vec<_>>()),
        "artifacts_from" => json!(pipeline.artifacts_from(job).iter().map(|job| &job.name).collect::<Vec<_>>()),
        "script" => or_null(scripts(compiled, job, &spec).1),
        "before_script" => match wanted {
            Value::Array(wanted) if wanted.is_empty() => json!(scripts(compiled, job, &spec).0),
            _ => or_null(scripts(compiled, job, &spec).0),
        },
        "after_script" => or_null(&spec.after_script),
        "steps" => steps(job, &spec),
        "hooks" => json!([{"name": "pre_get_sources_script", "script": spec.hooks.pre_get_sources_script}]),
        "image" => json!(spec.image),
        "services" => services(&spec),
        "cache" => cache(&spec),
        "artifacts" => json!(spec.artifacts.iter().find(|upload| upload.kind.0 == "archive")),
        "artifacts_json" => artifacts(&spec),
        "variables" => {
            json!(
                job.variables
                    .iter()
                    .map(|variable| (variable.key.clone(), json!(variable.value)))
                    .collect::<Json<_, _>>()
            )
        }
        "yaml_variables" => {
            let all = job.file_variables.iter().map(|variable| (variable.key.clone(), json!(variable.value)));
            json!(all.collect::<Json<_, _>>())
        }
        "raw" => json!(
            job.variables.iter().filter(|variable| variable.raw).map(|variable| &variable.key).collect::<Vec<_>>()
        ),
        "git_depth" => {
            let depth = job.variables.iter().find(|variable| variable.key == "GIT_DEPTH");
            json!(depth.and_then(|depth| depth.value.parse::<i64>().ok()))
        }
        "retry" => json!(spec.retry),
        _ => panic!("there is no field {field}"),
    }
}

/// The keyword of a job in the merged configuration.
fn keyword<'c>(compiled: &'c Compiled, job: &Job, key: &str) -> Option<&'c Node> {
    compiled.merged.as_ref()?.map()?.get(&job.group)?.map()?.get(key)
}

fn is_trigger(compiled: &Compiled, job: &Job) -> bool {
    keyword(compiled, job, "trigger").is_some()
}

fn lines(node: &Node) -> usize {
    node.list().map_or(1, |list| list.iter().map(lines).sum())
}

/// `before_script` and `script`, of which the runner gets one list.
fn scripts<'s>(compiled: &Compiled, job: &Job, spec: &'s BuildSpec) -> (&'s [String], &'s [String]) {
    let count = keyword(compiled, job, "script").map_or(0, lines);
    spec.script.split_at(spec.script.len() - count)
}

fn needs(job: &Job, wanted: &Value) -> Value {
    let is_list_of_hashes = wanted.as_array().is_some_and(|list| list.iter().any(Value::is_object));
    match &job.needs {
        None => Value::Null,
        Some(needs) if is_list_of_hashes => json!(needs),
        Some(needs) => json!(needs.iter().map(|need| &need.job).collect::<Vec<_>>()),
    }
}

fn steps(job: &Job, spec: &BuildSpec) -> Value {
    let timeout = job.timeout_s.unwrap_or(3600);
    let step = |name: &str, script: &[String], when: &str, allow_failure: bool| json!({"name": name, "script": script, "timeout": timeout, "when": when, "allow_failure": allow_failure});
    let mut steps = vec![step("script", &spec.script, "on_success", false)];
    if !spec.after_script.is_empty() {
        steps.push(step("after_script", &spec.after_script, "always", true));
    }
    Value::Array(steps)
}

fn services(spec: &BuildSpec) -> Value {
    let services = spec.services.iter().map(|service| {
        let mut value = json!(service);
        let variables = service.variables.iter().map(|(key, value)| json!({"key": key, "value": value}));
        value["variables"] = variables.collect();
        value
    });
    services.collect()
}

/// Without the suffix of protected refs.
fn cache(spec: &BuildSpec) -> Value {
    let plain = |key: &String| {
        let key = key.strip_suffix("-non_protected").or_else(|| key.strip_suffix("-protected"));
        key.expect("a key says whether its ref is protected").to_owned()
    };
    let caches = spec.cache.iter().map(|cache| {
        let mut cache = cache.clone();
        cache.key = cache.key.as_ref().map(plain);
        cache.fallback_keys = cache.fallback_keys.iter().map(plain).collect();
        json!(cache)
    });
    caches.collect()
}

fn artifacts(spec: &BuildSpec) -> Value {
    let uploads = spec.artifacts.iter().map(|upload| {
        let mut value = json!(upload);
        value["artifact_type"] = value["type"].take();
        value["artifact_format"] = value["format"].take();
        value
    });
    uploads.collect()
}
