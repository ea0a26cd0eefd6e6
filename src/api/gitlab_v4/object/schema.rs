//! What the objects are made of, as the description says it (JSON Schema).
//!
//! What must stay true: each member of an object is here, and is there always but for those behind `?`.

use super::put;
use serde_json::{Map, Value, json};

/// Members of an object: names, each with what it holds: `i` integer, `n` number, `s` text, `b` boolean, `t` time, `o` an
/// object, `a` a list, or the name of an object; behind that `|` where it may be null. A `?` before the name: it need not be there.
type Members = &'static [(&'static str, &'static str)];

const OBJECTS: &[(&str, Members)] = &[
    ("Version", &[("version", "s"), ("revision", "s"), ("enterprise", "b"), ("kas", "o")]),
    ("User", USER),
    ("OwnUser", OWN_USER),
    ("AccessToken", ACCESS_TOKEN),
    ("Project", PROJECT),
    ("Job", JOB),
    ("PipelineOfJob", PIPELINE_OF_JOB),
    ("ShortPipeline", SHORT_PIPELINE),
    ("Pipeline", PIPELINE),
    ("PipelineVariable", &[("key", "s"), ("value", "s"), ("variable_type", "s"), ("raw", "b")]),
    ("Commit", COMMIT),
    ("CommitStatus", COMMIT_STATUS),
    ("Branch", BRANCH),
    ("Tag", TAG),
    ("Runner", RUNNER),
    ("RunnerDetails", RUNNER_DETAILS),
    ("RunnerManager", RUNNER_MANAGER),
    ("NewRunner", &[("id", "i"), ("token", "s"), ("token_expires_at", "t|")]),
    ("NewToken", &[("token", "s"), ("token_expires_at", "t|")]),
    ("Trigger", TRIGGER),
    ("Linted", LINTED),
    ("LintedOfOld", LINTED_OF_OLD),
    ("ProjectVariable", PROJECT_VARIABLE),
    ("Nothing", &[]),
];

const JOB: Members = &[
    ("id", "i"),
    ("status", "s"),
    ("stage", "s"),
    ("name", "s"),
    ("ref", "s"),
    ("tag", "b"),
    ("coverage", "n|"),
    ("allow_failure", "b"),
    ("created_at", "t"),
    ("started_at", "t|"),
    ("finished_at", "t|"),
    ("erased_at", "t|"),
    ("duration", "n|"),
    ("queued_duration", "n|"),
    ("user", "User"),
    ("commit", "Commit|"),
    ("pipeline", "PipelineOfJob|"),
    ("web_url", "s"),
    ("project", "o"),
    ("artifacts", "a"),
    ("?artifacts_file", "o"),
    ("runner", "Runner|"),
    ("runner_manager", "RunnerManager|"),
    ("artifacts_expire_at", "t|"),
    ("archived", "b"),
    ("tag_list", "a"),
    ("environment", "o|"),
    ("stage_index", "i|"),
    ("group", "s|"),
    ("parallel", "o|"),
    ("interruptible", "b|"),
    ("manual_confirmation", "s|"),
    ("refused", "s|"),
    ("exit_code", "i|"),
    ("needs", "a"),
    ("when", "s"),
    ("pending_reason", "s|"),
    ("runs_without", "a"),
    ("scheduled_at", "t|"),
    ("retry_of", "i|"),
    ("retried_by", "i|"),
    ("log_bytes", "i"),
    ("?failure_reason", "s"),
    ("?failure_text", "s|"),
];

const PIPELINE_OF_JOB: Members = &[
    ("id", "i"),
    ("iid", "i"),
    ("project_id", "i"),
    ("sha", "s|"),
    ("ref", "s"),
    ("status", "s"),
    ("source", "s"),
    ("created_at", "t"),
    ("updated_at", "t"),
    ("web_url", "s"),
];

const SHORT_PIPELINE: Members = &[
    ("id", "i"),
    ("iid", "i"),
    ("project_id", "i"),
    ("sha", "s|"),
    ("ref", "s"),
    ("status", "s"),
    ("source", "s"),
    ("created_at", "t"),
    ("updated_at", "t"),
    ("web_url", "s"),
    ("name", "s|"),
];

const PIPELINE: Members = &[
    ("id", "i"),
    ("iid", "i"),
    ("project_id", "i"),
    ("sha", "s|"),
    ("ref", "s"),
    ("status", "s"),
    ("source", "s"),
    ("created_at", "t"),
    ("updated_at", "t"),
    ("web_url", "s"),
    ("name", "s|"),
    ("before_sha", "s"),
    ("tag", "b"),
    ("yaml_errors", "s|"),
    ("user", "User"),
    ("started_at", "t|"),
    ("finished_at", "t|"),
    ("committed_at", "t|"),
    ("duration", "i|"),
    ("queued_duration", "i|"),
    ("coverage", "s|"),
    ("archived", "b"),
    ("detailed_status", "o"),
    ("stages", "a"),
    ("has_warnings", "b"),
    ("warnings", "a"),
    ("left_out", "a"),
    ("title", "s|"),
    ("parent_job", "i|"),
];

const COMMIT: Members = &[
    ("id", "s"),
    ("short_id", "s"),
    ("created_at", "t"),
    ("parent_ids", "a"),
    ("title", "s"),
    ("message", "s"),
    ("author_name", "s"),
    ("author_email", "s"),
    ("authored_date", "t"),
    ("committer_name", "s"),
    ("committer_email", "s"),
    ("committed_date", "t"),
    ("trailers", "o"),
    ("web_url", "s"),
    ("?stats", "o"),
    ("?status", "s"),
    ("?project_id", "i"),
    ("?last_pipeline", "ShortPipeline"),
];

const COMMIT_STATUS: Members = &[
    ("id", "i"),
    ("sha", "s|"),
    ("ref", "s"),
    ("status", "s"),
    ("name", "s"),
    ("target_url", "s"),
    ("description", "s|"),
    ("created_at", "t"),
    ("started_at", "t|"),
    ("finished_at", "t|"),
    ("allow_failure", "b"),
    ("coverage", "n|"),
    ("pipeline_id", "i|"),
    ("author", "User"),
];

const BRANCH: Members = &[
    ("name", "s"),
    ("commit", "Commit"),
    ("merged", "b"),
    ("protected", "b"),
    ("default", "b"),
    ("developers_can_push", "b"),
    ("developers_can_merge", "b"),
    ("can_push", "b"),
    ("web_url", "s"),
];

const TAG: Members = &[
    ("name", "s"),
    ("message", "s|"),
    ("target", "s|"),
    ("commit", "Commit"),
    ("release", "o|"),
    ("protected", "b"),
    ("created_at", "t|"),
];

const RUNNER: Members = &[
    ("id", "i"),
    ("description", "s"),
    ("ip_address", "s|"),
    ("active", "b"),
    ("paused", "b"),
    ("is_shared", "b"),
    ("runner_type", "s"),
    ("name", "s|"),
    ("online", "b"),
    ("status", "s"),
    ("created_at", "t"),
    ("created_by", "User|"),
    ("job_execution_status", "s"),
];

const RUNNER_DETAILS: Members = &[
    ("id", "i"),
    ("description", "s"),
    ("ip_address", "s|"),
    ("active", "b"),
    ("paused", "b"),
    ("is_shared", "b"),
    ("runner_type", "s"),
    ("name", "s|"),
    ("online", "b"),
    ("status", "s"),
    ("created_at", "t"),
    ("created_by", "User|"),
    ("job_execution_status", "s"),
    ("tag_list", "a"),
    ("run_untagged", "b"),
    ("locked", "b"),
    ("maximum_timeout", "i|"),
    ("access_level", "s"),
    ("contacted_at", "t|"),
    ("maintenance_note", "s"),
    ("projects", "a"),
    ("groups", "a"),
    ("running_jobs", "a"),
    ("version", "s|"),
    ("revision", "s|"),
    ("platform", "s|"),
    ("architecture", "s|"),
];

const RUNNER_MANAGER: Members = &[
    ("id", "i"),
    ("system_id", "s"),
    ("created_at", "t"),
    ("contacted_at", "t"),
    ("ip_address", "s|"),
    ("status", "s"),
    ("job_execution_status", "s|"),
    ("version", "s|"),
    ("revision", "s|"),
    ("platform", "s|"),
    ("architecture", "s|"),
];

const USER: Members = &[
    ("id", "i"),
    ("username", "s"),
    ("name", "s"),
    ("state", "s"),
    ("locked", "b"),
    ("avatar_url", "s|"),
    ("web_url", "s"),
];

const OWN_USER: Members = &[
    ("id", "i"),
    ("username", "s"),
    ("name", "s"),
    ("state", "s"),
    ("locked", "b"),
    ("avatar_url", "s|"),
    ("web_url", "s"),
    ("created_at", "t"),
    ("is_admin", "b"),
    ("bio", "s"),
    ("email", "s|"),
    ("public_email", "s|"),
    ("can_create_group", "b"),
    ("can_create_project", "b"),
    ("two_factor_enabled", "b"),
    ("external", "b"),
];

const ACCESS_TOKEN: Members = &[
    ("id", "i"),
    ("name", "s"),
    ("description", "s|"),
    ("revoked", "b"),
    ("created_at", "t"),
    ("scopes", "a"),
    ("user_id", "i"),
    ("last_used_at", "t|"),
    ("active", "b"),
    ("expires_at", "s|"),
    ("project_id", "i|"),
];

const PROJECT: Members = &[
    ("id", "i"),
    ("description", "s|"),
    ("name", "s"),
    ("name_with_namespace", "s"),
    ("path", "s"),
    ("path_with_namespace", "s"),
    ("created_at", "t"),
    ("?updated_at", "t"),
    ("default_branch", "s|"),
    ("tag_list", "a"),
    ("topics", "a"),
    ("ssh_url_to_repo", "s|"),
    ("http_url_to_repo", "s|"),
    ("web_url", "s"),
    ("readme_url", "s|"),
    ("forks_count", "i"),
    ("avatar_url", "s|"),
    ("star_count", "i"),
    ("last_activity_at", "t"),
    ("?visibility", "s"),
    ("namespace", "o"),
    ("?archived", "b"),
    ("?empty_repo", "b"),
    ("?jobs_enabled", "b"),
    ("?builds_access_level", "s"),
    ("?shared_runners_enabled", "b"),
    ("?build_timeout", "i"),
    ("?ci_config_path", "s"),
    ("?issues_enabled", "b"),
    ("?merge_requests_enabled", "b"),
    ("?wiki_enabled", "b"),
    ("?snippets_enabled", "b"),
    ("?permissions", "o"),
];

const TRIGGER: Members = &[
    ("id", "i"),
    ("description", "s"),
    ("token", "s"),
    ("created_at", "t"),
    ("updated_at", "t"),
    ("deleted_at", "t|"),
    ("last_used", "t|"),
    ("expires_at", "t|"),
    ("owner", "User"),
];

const PROJECT_VARIABLE: Members = &[
    ("key", "s"),
    ("value", "s"),
    ("variable_type", "s"),
    ("protected", "b"),
    ("masked", "b"),
    ("hidden", "b"),
    ("raw", "b"),
    ("environment_scope", "s"),
    ("description", "s|"),
];

const LINTED: Members =
    &[("valid", "b"), ("errors", "a"), ("warnings", "a"), ("merged_yaml", "s|"), ("includes", "a"), ("jobs", "a|")];

const LINTED_OF_OLD: Members = &[
    ("valid", "b"),
    ("status", "s"),
    ("errors", "a"),
    ("warnings", "a"),
    ("merged_yaml", "s|"),
    ("includes", "a"),
    ("jobs", "a|"),
];

/// The schemas of all objects, and of errors.
pub fn all() -> Value {
    let mut all: Map<String, Value> =
        OBJECTS.iter().map(|(name, members)| ((*name).to_owned(), schema(members))).collect();
    let said = json!({"type": ["string", "object"]});
    let error = json!({
        "type": "object",
        "properties": {"message": said, "error": {"type": "string"}},
        "anyOf": [{"required": ["message"]}, {"required": ["error"]}],
    });
    all.insert("Error".to_owned(), error);
    Value::Object(all)
}

fn schema(members: Members) -> Value {
    let properties: Map<String, Value> =
        members.iter().map(|(name, holds)| (name.trim_start_matches('?').to_owned(), of(holds))).collect();
    let required: Vec<&str> = members.iter().map(|(name, _)| *name).filter(|name| !name.starts_with('?')).collect();
    json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false})
}

fn of(holds: &str) -> Value {
    let (what, is_nullable) = holds.strip_suffix('|').map_or((holds, false), |what| (what, true));
    let kind = match what {
        "i" => "integer",
        "n" => "number",
        "s" | "t" => "string",
        "b" => "boolean",
        "o" => "object",
        "a" => "array",
        name => {
            let reference = json!({"$ref": format!("#/components/schemas/{name}")});
            return if is_nullable { json!({"anyOf": [reference, {"type": "null"}]}) } else { reference };
        }
    };
    let mut schema = if is_nullable { json!({"type": [kind, "null"]}) } else { json!({"type": kind}) };
    if what == "t" {
        put(&mut schema, "format", json!("date-time"));
    }
    schema
}
