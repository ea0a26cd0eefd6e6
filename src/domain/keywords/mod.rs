//! GitLab's keywords of a job, written as JSON: what they mean as parts of a [`BuildSpec`](super::spec::BuildSpec).
//!
//! What must stay true: an error names the place and what belongs there, and repeats no value. A reader leaves in its
//! fields what it does not know, and what says no more than an absent field does (`null`, `false`, an empty list). Whoever
//! keeps that rest can write down again what was read.

pub mod artifacts;
mod fields;
pub mod reports;

pub use fields::{Place, plain};

use self::fields::{Fields, all_texts, one_or_all_texts};
use super::spec::{AllowFailure, CACHES_MAX, CacheSpec, Hooks, Image, RETRIES_MAX, Retry, Service};
use serde_json::{Map, Value};

/// When an upload or a cache is made.
const WHEN: [&str; 3] = ["on_success", "on_failure", "always"];

/// `image`: a name, or an object with `name`, `entrypoint`, `pull_policy`, `docker` and `kubernetes`.
///
/// # Errors
/// Says what is wrong, and where.
pub fn image(place: &Place, value: Value) -> Result<Image, String> {
    if let Value::String(name) = value {
        return Ok(Image { name, ..Image::default() });
    }
    let mut fields = Fields::of(place, value, NAME_OR_OBJECT)?;
    let image = image_of(&mut fields)?;
    fields.rest()?;
    Ok(image)
}

const NAME_OR_OBJECT: &str = "a name, as in \"alpine:3.5\", or an object with one";

/// What images and services have in common.
fn image_of(fields: &mut Fields<'_>) -> Result<Image, String> {
    let name = fields.text("name")?.ok_or_else(|| format!("{} must be {NAME_OR_OBJECT}", fields.place()))?;
    let mut executor_opts = Map::new();
    for executor in ["docker", "kubernetes"] {
        if let Some(options) = fields.object(executor)? {
            executor_opts.insert(executor.to_owned(), options.into());
        }
    }
    Ok(Image {
        name,
        entrypoint: fields.optional_texts("entrypoint")?,
        pull_policy: fields.words("pull_policy", &["always", "if-not-present", "never"])?,
        executor_opts,
    })
}

/// `services`: an array of names and of objects, which have `alias`, `command` and `variables` beside what an image has.
///
/// # Errors
/// Says what is wrong, and where.
pub fn services(place: &Place, value: Value) -> Result<Vec<Service>, String> {
    let Value::Array(items) = value else {
        return Err(format!("{} must be an array of names and objects", place.path()));
    };
    items.into_iter().map(|item| service(place, item)).collect()
}

fn service(place: &Place, value: Value) -> Result<Service, String> {
    if let Value::String(name) = value {
        return Ok(Service { image: Image { name, ..Image::default() }, ..Service::default() });
    }
    let mut fields = Fields::of(place, value, NAME_OR_OBJECT)?;
    let mut variables = Vec::new();
    for (key, value) in fields.object("variables")?.unwrap_or_default() {
        let value = plain(value)
            .ok_or_else(|| format!("{}.variables.{key} must be a string, a number, true or false", place.path()))?;
        variables.push((key, value));
    }
    let service = Service {
        image: image_of(&mut fields)?,
        alias: fields.text("alias")?,
        command: fields.optional_texts("command")?,
        variables,
    };
    fields.rest()?;
    Ok(service)
}

/// `cache`: one object, or an array of up to four. With what of the first one was left.
///
/// # Errors
/// Says what is wrong, and where.
pub fn caches(place: &Place, value: Value) -> Result<(Vec<CacheSpec>, Map<String, Value>), String> {
    let items = if let Value::Array(items) = value { items } else { vec![value] };
    if items.len() > CACHES_MAX {
        return Err(format!("{} has {} entries; at most {CACHES_MAX} are allowed", place.path(), items.len()));
    }
    let mut rest_of_first = None;
    let mut all = Vec::with_capacity(items.len());
    for item in items {
        let mut fields = Fields::of(place, item, "an object")?;
        all.push(CacheSpec {
            key: fields.text("key")?,
            paths: fields.texts("paths")?,
            untracked: fields.flag("untracked")?,
            policy: fields.word("policy", &["pull-push", "pull", "push"])?,
            when: fields.word("when", &WHEN)?,
            fallback_keys: fields.texts("fallback_keys")?,
        });
        let rest = fields.rest()?;
        rest_of_first.get_or_insert(rest);
    }
    Ok((all, rest_of_first.unwrap_or_default()))
}

/// `after_script`: a text, or an array of texts.
///
/// # Errors
/// Says what is wrong, and where.
pub fn lines(place: &Place, value: Value) -> Result<Vec<String>, String> {
    one_or_all_texts(value).ok_or_else(|| format!("{} must be a string, or an array of strings", place.path()))
}

/// `dependencies`: an array of names.
///
/// # Errors
/// Says what is wrong, and where.
pub fn texts(place: &Place, value: Value) -> Result<Vec<String>, String> {
    all_texts(value).ok_or_else(|| format!("{} must be an array of strings", place.path()))
}

/// `hooks`: an object with `pre_get_sources_script` and `post_get_sources_script`.
///
/// # Errors
/// Says what is wrong, and where.
pub fn hooks(place: &Place, value: Value) -> Result<Hooks, String> {
    let mut fields = Fields::of(place, value, "an object")?;
    let hooks = Hooks {
        pre_get_sources_script: fields.lines("pre_get_sources_script")?,
        post_get_sources_script: fields.lines("post_get_sources_script")?,
    };
    fields.rest()?;
    Ok(hooks)
}

/// GitLab's words for why a build failed, as `retry` has them.
const RETRY_WHEN: [&str; 13] = [
    "always",
    "unknown_failure",
    "script_failure",
    "api_failure",
    "stuck_or_timeout_failure",
    "runner_system_failure",
    "runner_unsupported",
    "stale_schedule",
    "job_execution_timeout",
    "archived_failure",
    "unmet_prerequisites",
    "scheduler_failure",
    "data_integrity_failure",
];

/// `retry`: a number, or an object with `max`, `when` and `exit_codes`.
///
/// # Errors
/// Says what is wrong, and where.
pub fn retry(place: &Place, value: Value) -> Result<Retry, String> {
    let wrong = || format!("{} must be a number from 0 to {RETRIES_MAX}, or an object with `max`", place.path());
    let max_of = |value: &Value| {
        value.as_u64().and_then(|max| u32::try_from(max).ok()).filter(|max| *max <= RETRIES_MAX).ok_or_else(wrong)
    };
    if value.is_number() {
        return Ok(Retry { max: max_of(&value)?, ..Retry::default() });
    }
    let mut fields = Fields::of(place, value, "a number, or an object with `max`")?;
    let retry = Retry {
        max: max_of(&fields.any("max").ok_or_else(wrong)?)?,
        when: fields.words("when", &RETRY_WHEN)?,
        exit_codes: fields.numbers("exit_codes")?,
    };
    fields.rest()?;
    Ok(retry)
}

/// `allow_failure`: true or false, or an object with `exit_codes`.
///
/// # Errors
/// Says what is wrong, and where.
pub fn allow_failure(place: &Place, value: Value) -> Result<AllowFailure, String> {
    if let Value::Bool(is) = value {
        return Ok(AllowFailure::Any(is));
    }
    let mut fields = Fields::of(place, value, "true or false, or an object with `exit_codes`")?;
    let exit_codes = fields.numbers("exit_codes")?;
    fields.rest()?;
    if exit_codes.is_empty() {
        return Err(format!("{}.exit_codes is missing", place.path()));
    }
    Ok(AllowFailure::ExitCodes { exit_codes })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn line(key: &str) -> Place {
        Place::strict(key)
    }

    #[test]
    fn an_image_is_a_name_or_an_object_with_one() {
        let plain = Image { name: "ruby".to_owned(), ..Image::default() };
        assert_eq!(image(&line("image"), json!("ruby")), Ok(plain));
        let rich =
            json!({"name": "ruby", "entrypoint": ["/bin/sh"], "pull_policy": "always", "docker": {"user": "ci"}});
        let image = image(&line("image"), rich).unwrap();
        assert_eq!(
            (image.entrypoint, image.pull_policy),
            (Some(vec!["/bin/sh".to_owned()]), vec!["always".to_owned()])
        );
        assert_eq!(Value::Object(image.executor_opts), json!({"docker": {"user": "ci"}}));
    }

    #[test]
    fn an_empty_entrypoint_is_not_the_images_own() {
        let image = image(&line("image"), json!({"name": "ruby", "entrypoint": []})).unwrap();
        assert_eq!(image.entrypoint, Some(vec![]));
    }

    #[test]
    fn a_service_keeps_its_alias_its_command_and_its_variables() {
        let written = json!(["mysql", {"name": "redis", "alias": "db", "command": ["run"], "variables": {"A": 1}}]);
        let all = services(&line("services"), written).unwrap();
        assert_eq!((all[0].image.name.as_str(), &all[0].alias), ("mysql", &None));
        assert_eq!((all[1].alias.as_deref(), all[1].command.clone()), (Some("db"), Some(vec!["run".to_owned()])));
        assert_eq!(all[1].variables, [("A".to_owned(), "1".to_owned())]);
    }

    #[test]
    fn a_cache_is_one_object_or_up_to_four() {
        let (one, rest) = caches(&line("cache"), json!({"key": "k", "paths": ["a"], "untracked": false})).unwrap();
        assert_eq!((one.len(), Value::Object(rest)), (1, json!({"untracked": false})));
        let four = json!([{"key": "a"}, {"key": "b", "policy": "pull"}, {}, {"fallback_keys": ["c"]}]);
        let (four, _) = caches(&line("cache"), four).unwrap();
        assert_eq!((four.len(), four[1].policy.as_deref()), (4, Some("pull")));
        assert!(caches(&line("cache"), json!([{}, {}, {}, {}, {}])).unwrap_err().contains("at most 4"));
    }

    #[test]
    fn retry_and_allow_failure_have_a_short_and_a_long_form() {
        assert_eq!(retry(&line("retry"), json!(2)).unwrap().max, 2);
        let long = retry(&line("retry"), json!({"max": 1, "when": "script_failure", "exit_codes": 137})).unwrap();
        assert_eq!((long.max, long.when, long.exit_codes), (1, vec!["script_failure".to_owned()], vec![137]));
        assert_eq!(allow_failure(&line("allow_failure"), json!(true)), Ok(AllowFailure::Any(true)));
        let codes = allow_failure(&line("allow_failure"), json!({"exit_codes": [1, 2]}));
        assert_eq!(codes, Ok(AllowFailure::ExitCodes { exit_codes: vec![1, 2] }));
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place_and_without_its_value() {
        type Read = fn(&Place, Value) -> Result<(), String>;
        let cases: [(Read, Value, &str); 15] = [
            (|p, v| image(p, v).map(drop), json!({"nmae": "hunter2"}), "must be a name"),
            (|p, v| image(p, v).map(drop), json!({"name": "x", "entrypiont": []}), "did you mean \"entrypoint\"?"),
            (|p, v| image(p, v).map(drop), json!({"name": "x", "entrypoint": "hunter2"}), "x.entrypoint must be"),
            (|p, v| image(p, v).map(drop), json!({"name": "x", "pull_policy": "hunter2"}), "if-not-present"),
            (|p, v| services(p, v).map(drop), json!("hunter2"), "an array of names"),
            (|p, v| services(p, v).map(drop), json!([{"name": "x", "variables": {"A": ["hunter2"]}}]), "variables.A"),
            (|p, v| caches(p, v).map(drop), json!({"key": {"files": ["hunter2"]}}), "x.key must be a string"),
            (|p, v| caches(p, v).map(drop), json!({"policy": "hunter2"}), "pull-push"),
            (|p, v| hooks(p, v).map(drop), json!({"pre_get_sources_script": 5}), "must be a string, or an array"),
            (|p, v| retry(p, v).map(drop), json!(3), "from 0 to 2"),
            (|p, v| retry(p, v).map(drop), json!({"when": "always"}), "with `max`"),
            (|p, v| retry(p, v).map(drop), json!({"max": 1, "when": ["hunter2"]}), "x.when"),
            (|p, v| retry(p, v).map(drop), json!({"max": 1, "exit_codes": ["hunter2"]}), "x.exit_codes"),
            (|p, v| allow_failure(p, v).map(drop), json!("hunter2"), "true or false"),
            (|p, v| allow_failure(p, v).map(drop), json!({}), "x.exit_codes is missing"),
        ];
        for (read, value, part) in cases {
            let message = read(&line("x"), value.clone()).unwrap_err();
            assert!(message.starts_with('x') && message.contains(part), "{value}: {message}");
            assert!(!message.contains("hunter2"), "{message}");
        }
    }
}
