//! What the objects are made of, as the description says it (JSON Schema).
//!
//! What must stay true: each member of an object is here, and is there always but for those behind `?`.

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
    ("Nothing", &[]),
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
        schema["format"] = json!("date-time");
    }
    schema
}
