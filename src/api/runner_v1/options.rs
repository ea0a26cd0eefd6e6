//! What a build asks for, made so poor that runners 1.x understand it: the `options` of `docs/http.md`, POST builds/register.
//!
//! What must stay true: a build that was queued with options in this spelling is handed out with the same options, value
//! for value; absent, `null`, `false` and `[]` stay what they were.

use crate::domain::spec::{ArtifactsSpec, BuildSpec, CacheSpec};
use serde_json::{Map, Value};

/// The options of a build. Of images and services runners 1.x read the name only, of the uploads the archive, and of the
/// caches one.
#[must_use]
pub fn of(spec: &BuildSpec) -> Map<String, Value> {
    let mut all = spec.other.clone();
    if let Some(image) = &spec.image {
        all.insert("image".to_owned(), image.name.as_str().into());
    }
    if !spec.services.is_empty() {
        let names = spec.services.iter().map(|service| Value::from(service.image.name.as_str()));
        all.insert("services".to_owned(), names.collect());
    }
    if let Some(archive) = spec.archive() {
        merge(&mut all, "artifacts", archive_of(archive));
    }
    if let Some(cache) = spec.cache.first() {
        merge(&mut all, "cache", cache_of(cache));
    }
    if !spec.after_script.is_empty() {
        all.insert("after_script".to_owned(), spec.after_script.clone().into());
    }
    if let Some(dependencies) = &spec.dependencies {
        all.insert("dependencies".to_owned(), dependencies.clone().into());
    }
    all
}

/// Puts an object beside what is kept of its fields as it came.
fn merge(all: &mut Map<String, Value>, key: &str, mut object: Map<String, Value>) {
    if let Some(Value::Object(kept)) = all.remove(key) {
        object.extend(kept);
    }
    all.insert(key.to_owned(), object.into());
}

fn archive_of(archive: &ArtifactsSpec) -> Map<String, Value> {
    let mut object = Map::new();
    put_text(&mut object, "name", archive.name.as_deref());
    put_flag(&mut object, "untracked", archive.untracked);
    put_texts(&mut object, "paths", &archive.paths);
    put_texts(&mut object, "exclude", &archive.exclude);
    put_text(&mut object, "when", archive.when.as_deref());
    put_text(&mut object, "expire_in", archive.expire_in.as_deref());
    object
}

fn cache_of(cache: &CacheSpec) -> Map<String, Value> {
    let mut object = Map::new();
    put_text(&mut object, "key", cache.key.as_deref());
    put_flag(&mut object, "untracked", cache.untracked);
    put_texts(&mut object, "paths", &cache.paths);
    put_text(&mut object, "policy", cache.policy.as_deref());
    put_text(&mut object, "when", cache.when.as_deref());
    put_texts(&mut object, "fallback_keys", &cache.fallback_keys);
    object
}

fn put_text(object: &mut Map<String, Value>, key: &str, text: Option<&str>) {
    if let Some(text) = text {
        object.insert(key.to_owned(), text.into());
    }
}

fn put_flag(object: &mut Map<String, Value>, key: &str, is: bool) {
    if is {
        object.insert(key.to_owned(), true.into());
    }
}

fn put_texts(object: &mut Map<String, Value>, key: &str, texts: &[String]) {
    if !texts.is_empty() {
        object.insert(key.to_owned(), texts.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::options::read;
    use serde_json::json;

    fn sent(options: Value) -> Value {
        let Value::Object(map) = options else { panic!("no object") };
        Value::Object(of(&read(map).unwrap()))
    }

    #[test]
    fn options_in_the_old_spelling_are_handed_out_value_for_value() {
        for options in [
            json!({}),
            json!({"image": "ruby:2.1", "services": ["postgres:9.5"], "environment": {"x": [1]}}),
            json!({"artifacts": {"name": "n", "untracked": true, "paths": ["a"], "when": "always", "expire_in": "1 week"}}),
            json!({"cache": {"key": "k", "untracked": false, "paths": []}, "after_script": ["x"], "dependencies": []}),
            json!({"artifacts": {}, "cache": {}, "services": [], "after_script": []}),
            json!({"artifacts": {"name": null, "untracked": null, "paths": null, "when": null, "expire_in": null}}),
            json!({"artifacts": {"paths": ["a"], "untracked": false, "public": true, "exclude": ["b"]}}),
            json!({"artifacts": {"when": "sometimes", "expire_in": "never", "exclude": []}}),
            json!({"cache": {"key": null, "paths": ["a"], "policy": "pull", "when": "x", "unprotect": true}}),
            json!({"cache": {"key": "", "untracked": true, "fallback_keys": ["a"]}, "dependencies": ["a", "b"]}),
            json!({"image": "", "services": ["", "a"], "allow_failure": true, "retry": 2, "hooks": {"x": null}}),
        ] {
            assert_eq!(sent(options.clone()), options);
        }
    }

    #[test]
    fn options_in_later_spellings_are_made_poorer() {
        let given = json!({
            "image": {"name": "ruby:2.1", "entrypoint": ["x"], "ports": [1]}, "cache": null,
            "services": ["a", {"name": "b", "alias": "c"}], "artifacts": {"reports": {"junit": "j.xml"}},
        });
        assert_eq!(sent(given), json!({"image": "ruby:2.1", "services": ["a", "b"]}));
        let given = json!({
            "artifacts": {"paths": ["o"], "reports": {"junit": "j.xml"}}, "cache": [{"key": "a"}, {"key": "b"}],
        });
        assert_eq!(sent(given), json!({"artifacts": {"paths": ["o"]}, "cache": {"key": "a"}}));
    }
}
