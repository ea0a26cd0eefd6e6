//! `options`: what a build asks for beside its script, in the spelling in which runners 1.x get it. Later
//! spellings of `image`, `services`, `artifacts` and `cache` are understood, too.
//!
//! Runners decode them strictly: one value of a wrong type and the whole answer is unusable, with the build
//! already handed out. So they are checked when a build is queued, by the person who can mend them. Keys
//! that nothing here knows are kept, for runners 1.x; runners only warn about them.

use super::keywords::{self, Place};
use super::spec::BuildSpec;
use serde_json::{Map, Value};

/// The specification that these options ask for, without a script.
///
/// # Errors
/// Says which key is wrong and what it must be.
pub fn read(options: Map<String, Value>) -> Result<BuildSpec, String> {
    let mut spec = BuildSpec::default();
    options.into_iter().try_for_each(|(key, value)| take(&mut spec, &key, value))?;
    Ok(spec)
}

/// The same of options that were stored before, and must not be refused any more: what cannot be read is kept as it is.
#[must_use]
pub fn read_stored(options: Map<String, Value>) -> BuildSpec {
    let mut spec = BuildSpec::default();
    for (key, value) in options {
        if take(&mut spec, &key, value.clone()).is_err() {
            spec.other.insert(key, value);
        }
    }
    spec
}

fn take(spec: &mut BuildSpec, key: &str, value: Value) -> Result<(), String> {
    if value.is_null() {
        return Ok(());
    }
    let place = Place::open(&format!("options.{key}"));
    let is_empty_list = value.as_array().is_some_and(Vec::is_empty);
    match key {
        "image" => spec.image = Some(keywords::image(&place, value)?),
        "services" if !is_empty_list => spec.services = keywords::services(&place, value)?,
        "artifacts" => spec.set_artifacts(keywords::artifacts::artifacts(&place, value)?),
        "cache" => spec.set_cache(keywords::caches(&place, value)?),
        "dependencies" => spec.dependencies = Some(keywords::texts(&place, value)?),
        "after_script" if !is_empty_list => spec.after_script = keywords::texts(&place, value)?,
        _ => {
            spec.other.insert(key.to_owned(), value);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn map(options: Value) -> Map<String, Value> {
        let Value::Object(map) = options else { panic!("no object") };
        map
    }

    #[test]
    fn nothing_of_the_later_spellings_is_lost() {
        let spec = read(map(json!({
            "image": {"name": "ruby:2.1", "entrypoint": ["x"]}, "services": ["a", {"name": "b", "alias": "c"}],
            "cache": [{"key": "k"}, {"key": "l"}], "artifacts": {"paths": ["o"], "reports": {"junit": "j.xml"}},
        })))
        .unwrap();
        assert_eq!(spec.image.unwrap().entrypoint, Some(vec!["x".to_owned()]));
        assert_eq!(spec.services[1].alias.as_deref(), Some("c"));
        assert_eq!((spec.cache.len(), spec.artifacts.len(), spec.other.len()), (2, 2, 0));
    }

    #[test]
    fn what_nothing_here_knows_is_kept_and_null_is_nothing() {
        let spec = read(map(json!({"environment": {"x": [1]}, "cache": null, "retry": 2}))).unwrap();
        assert_eq!(Value::Object(spec.other), json!({"environment": {"x": [1]}, "retry": 2}));
        assert!(spec.cache.is_empty() && spec.retry.is_none());
    }

    #[test]
    fn a_type_that_breaks_the_runner_is_refused_by_name_and_kept_where_it_was_stored_before() {
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
            let error = read(map(options.clone())).unwrap_err();
            assert!(error.contains(&format!("options.{key}")), "{error}");
            assert_eq!(Value::Object(read_stored(map(options.clone())).other), options);
        }
    }
}
