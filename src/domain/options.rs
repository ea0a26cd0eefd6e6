//! A build's `options`: what the runner does around the commands (protocol 1.9).
//!
//! Runners decode them strictly: one value of a wrong type and the whole answer is unusable, with the build
//! already handed out. So they are checked when a build is queued, by the person who can mend them. Keys
//! that no runner 1.x reads pass through; runners only warn about them.

use super::text::duration::parse_keeping;
use serde_json::{Map, Value};

/// Checks the types that runners read, and brings the spellings of later GitLab versions (`image: {name}`,
/// `services: [{name}]`) to the plain strings that runners 1.x take.
///
/// # Errors
/// Says which key is wrong and what it must be.
pub fn check(options: &mut Map<String, Value>) -> Result<(), String> {
    options.retain(|_, value| !value.is_null());
    if let Some(image) = options.get_mut("image") {
        plain_name("image", image)?;
    }
    if let Some(services) = options.get_mut("services") {
        let Value::Array(services) = services else {
            return Err("options.services must be an array of strings".to_owned());
        };
        for service in services {
            plain_name("services", service)?;
        }
    }
    for key in ["dependencies", "after_script"] {
        strings(key, options.get(key))?;
    }
    for (key, texts, arrays) in [
        ("artifacts", ["name", "when", "expire_in"].as_slice(), ["paths"].as_slice()),
        ("cache", ["key"].as_slice(), ["paths"].as_slice()),
    ] {
        let Some(value) = options.get(key) else { continue };
        let Value::Object(inner) = value else {
            return Err(format!("options.{key} must be an object"));
        };
        for text in texts {
            if inner.get(*text).is_some_and(|v| !v.is_string() && !v.is_null()) {
                return Err(format!("options.{key}.{text} must be a string"));
            }
        }
        if let Some(Value::String(text)) = inner.get("expire_in") {
            // Else the upload is refused, after the build's work is done.
            parse_keeping(text).map_err(|error| format!("options.{key}.expire_in: {error}"))?;
        }
        for array in arrays {
            strings(&format!("{key}.{array}"), inner.get(*array))?;
        }
        if inner.get("untracked").is_some_and(|v| !v.is_boolean() && !v.is_null()) {
            return Err(format!("options.{key}.untracked must be true or false"));
        }
    }
    Ok(())
}

/// `"x"` stays, `{"name": "x", ...}` becomes `"x"`.
fn plain_name(key: &str, value: &mut Value) -> Result<(), String> {
    if let Value::Object(inner) = value {
        *value = inner.remove("name").unwrap_or(Value::Null);
    }
    if value.is_string() { Ok(()) } else { Err(format!("options.{key} must be a name, as in \"alpine:3.5\"")) }
}

fn strings(key: &str, value: Option<&Value>) -> Result<(), String> {
    match value {
        None | Some(Value::Null) => Ok(()),
        Some(Value::Array(items)) if items.iter().all(Value::is_string) => Ok(()),
        Some(_) => Err(format!("options.{key} must be an array of strings")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn checked(options: Value) -> Result<Value, String> {
        let Value::Object(mut map) = options else { panic!("no object") };
        check(&mut map).map(|()| Value::Object(map))
    }

    #[test]
    fn later_spellings_become_plain_strings() {
        let given = json!({"image": {"name": "ruby:2.1", "entrypoint": ["x"]}, "services": ["a", {"name": "b"}], "cache": null});
        assert_eq!(checked(given), Ok(json!({"image": "ruby:2.1", "services": ["a", "b"]})));
    }

    #[test]
    fn what_runners_take_and_unknown_keys_pass_unchanged() {
        for options in [
            json!({}),
            json!({"image": "ruby:2.1", "services": ["postgres:9.5"], "environment": {"x": [1]}}),
            json!({"artifacts": {"name": "n", "untracked": true, "paths": ["a"], "when": "always", "expire_in": "1 week"}}),
            json!({"cache": {"key": "k", "untracked": false, "paths": []}, "after_script": ["x"], "dependencies": []}),
        ] {
            assert_eq!(checked(options.clone()), Ok(options));
        }
    }

    #[test]
    fn a_type_that_breaks_the_runner_is_refused_by_name() {
        for (key, options) in [
            ("image", json!({"image": 5})),
            ("image", json!({"image": {}})),
            ("services", json!({"services": "postgres"})),
            ("services", json!({"services": [1]})),
            ("after_script", json!({"after_script": "x"})),
            ("artifacts", json!({"artifacts": []})),
            ("artifacts.paths", json!({"artifacts": {"paths": "x"}})),
            ("artifacts.expire_in", json!({"artifacts": {"expire_in": "soon"}})),
            ("artifacts.untracked", json!({"artifacts": {"untracked": 1}})),
            ("cache.key", json!({"cache": {"key": ["x"]}})),
        ] {
            let error = checked(options).unwrap_err();
            assert!(error.contains(&format!("options.{key}")), "{error}");
        }
    }
}
