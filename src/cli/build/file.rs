//! `baton build add --from`: builds from JSON Lines.
//!
//! What must stay true: every error names its line, none repeats a value, which might be a secret; what
//! `build show --json` prints can be fed back.

use crate::cli::words::secrets::warn_of_short;
use crate::cli::{Done, Stop};
use crate::coordinator::{Coordinator, Queued};
use crate::domain::build::{BuildId, NewBuild, Variable};
use crate::domain::keywords::{self, Place, plain};
use crate::domain::options;
use crate::domain::spec::BuildSpec;
use crate::domain::tags::Tags;
use crate::domain::text::did_you_mean::nearest;
use crate::domain::text::duration::parse_duration;
use crate::domain::time::Timestamp;
use crate::error::{Error, Kind};
use serde_json::{Map, Value};
use std::io::{BufRead, Read};

/// Longest line, in bytes.
const LINE_BYTES_MAX: u64 = 4 << 20;
/// Most builds in a file.
const BUILDS_MAX: usize = 100_000;
/// Longest file, in bytes: all of its builds are queued in one step.
const FILE_BYTES_MAX: u64 = 512 << 20;

/// The fields of a line.
const FIELDS: [&str; 27] = [
    "project",
    "name",
    "stage",
    "ref",
    "sha",
    "before_sha",
    "tag",
    "repo_url",
    "script",
    "commands",
    "options",
    "image",
    "services",
    "artifacts",
    "expire_in",
    "cache",
    "after_script",
    "hooks",
    "retry",
    "allow_failure",
    "dependencies",
    "variables",
    "secrets",
    "tags",
    "needs",
    "timeout",
    "allow_git_fetch",
];

/// Fields of `build show --json` that a new build cannot have.
const IGNORED: [&str; 10] = [
    "id",
    "status",
    "failure_reason",
    "pending_reason",
    "created_at",
    "started_at",
    "finished_at",
    "runner",
    "trace_size",
    "artifacts_file",
];

/// A build, and the number of the line that asks for it.
pub struct Line {
    number: usize,
    queued: Queued,
}

/// Reads a file of builds, of which those that name no project are of `project`.
///
/// # Errors
/// Says which line is wrong, and how.
pub fn read(from: &mut dyn BufRead, project: Option<&str>) -> Result<Vec<Line>, String> {
    let mut builds = Vec::new();
    let mut bytes_read = 0;
    for number in 1.. {
        let at = |message: &str| format!("line {number}: {message}");
        let mut line = Vec::new();
        from.take(LINE_BYTES_MAX + 1).read_until(b'\n', &mut line).map_err(|error| at(&error.to_string()))?;
        bytes_read += line.len() as u64;
        if line.is_empty() {
            break;
        }
        if line.len() as u64 > LINE_BYTES_MAX {
            return Err(at(&format!("it has more than {LINE_BYTES_MAX} bytes")));
        }
        if bytes_read > FILE_BYTES_MAX {
            return Err(at(&format!("the file has more than {FILE_BYTES_MAX} bytes; divide it")));
        }
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        if builds.len() == BUILDS_MAX {
            return Err(at(&format!("the file has more than {BUILDS_MAX} builds; divide it")));
        }
        builds.push(Line { number, queued: parse(&line, project).map_err(|message| at(&message))? });
    }
    Ok(builds)
}

/// Queues the builds of a file, all of them or none.
pub fn queue(coordinator: &Coordinator, lines: Vec<Line>) -> Done<Vec<BuildId>> {
    let numbers: Vec<usize> = lines.iter().map(|line| line.number).collect();
    if lines.is_empty() {
        return Err(Stop::Failed("there is no build in the file; nothing was queued".to_owned()));
    }
    let queued = lines.into_iter().map(|line| line.queued).collect();
    coordinator.add_builds(queued, Timestamp::now()).map_err(|error| with_line(error, &numbers).into())
}

/// Turns the place that `Coordinator::add_builds` names, which is a build's place in the list, into its line.
fn with_line(error: Error, numbers: &[usize]) -> Error {
    let named = error.message.strip_prefix("build ").and_then(|rest| {
        let (place, message) = rest.split_once(" of the list: ")?;
        let number = numbers.get(place.parse::<usize>().ok()?.checked_sub(1)?)?;
        Some((*number, message.to_owned()))
    });
    let (number, message) = match (named, numbers) {
        (Some(named), _) => named,
        (None, [only]) if matches!(error.kind, Kind::Invalid | Kind::NotFound) => (*only, error.message),
        (None, _) => return error,
    };
    Error::new(error.kind, format!("line {number}: {message}; nothing was queued"))
}

fn parse(line: &[u8], project: Option<&str>) -> Result<Queued, String> {
    let fields: Map<String, Value> = serde_json::from_slice(line).map_err(|error| not_json(&error))?;
    let mut fields = Fields(fields);
    let (needs, needs_names) = fields.needs()?;
    let new = NewBuild {
        project: fields.text("project")?.or(project.map(str::to_owned)).ok_or("\"project\" is missing")?,
        name: fields.text("name")?.unwrap_or_else(|| "build".to_owned()),
        stage: fields.text("stage")?.unwrap_or_else(|| "test".to_owned()),
        ref_: fields.text("ref")?.unwrap_or_else(|| "HEAD".to_owned()),
        sha: fields.text("sha")?,
        before_sha: fields.text("before_sha")?,
        is_tag: fields.flag("tag")?.unwrap_or(false),
        repo_url: fields.text("repo_url")?,
        spec: BuildSpec { script: fields.script()?, ..fields.asked()? },
        allow_git_fetch: fields.flag("allow_git_fetch")?.unwrap_or(true),
        variables: fields.variables()?,
        tags: Tags::new(fields.texts("tags")?.unwrap_or_default())?,
        needs,
        timeout_s: fields.timeout()?,
    };
    fields.check_rest()?;
    super::add::check(&new)?;
    Ok(Queued { new, needs_names })
}

/// Says which secrets of the lines are too short to be masked.
pub fn warn_of_short_secrets(lines: &[Line]) {
    warn_of_short(lines.iter().flat_map(|line| &line.queued.new.variables));
}

/// serde's own words would repeat a value that is no object.
fn not_json(error: &serde_json::Error) -> String {
    match error.classify() {
        serde_json::error::Category::Data => {
            "it must be a JSON object, as in {\"project\": ..., \"script\": ...}".to_owned()
        }
        serde_json::error::Category::Io | serde_json::error::Category::Syntax | serde_json::error::Category::Eof => {
            format!("it is not JSON (at character {})", error.column())
        }
    }
}

/// The fields of a line that were not read yet.
struct Fields(Map<String, Value>);

impl Fields {
    /// A field; one that is null is absent.
    fn take(&mut self, key: &str) -> Option<Value> {
        self.0.remove(key).filter(|value| !value.is_null())
    }

    fn text(&mut self, key: &str) -> Result<Option<String>, String> {
        match self.take(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(format!("{key:?} must be a string")),
        }
    }

    fn flag(&mut self, key: &str) -> Result<Option<bool>, String> {
        match self.take(key) {
            None => Ok(None),
            Some(Value::Bool(is)) => Ok(Some(is)),
            Some(_) => Err(format!("{key:?} must be true or false")),
        }
    }

    fn object(&mut self, key: &str) -> Result<Option<Map<String, Value>>, String> {
        match self.take(key) {
            None => Ok(None),
            Some(Value::Object(object)) => Ok(Some(object)),
            Some(_) => Err(format!("{key:?} must be an object")),
        }
    }

    fn texts(&mut self, key: &str) -> Result<Option<Vec<String>>, String> {
        let Some(value) = self.take(key) else { return Ok(None) };
        all_texts(value).map(Some).ok_or_else(|| format!("{key:?} must be an array of strings"))
    }

    /// `script`, or by its name on the wire `commands`.
    fn script(&mut self) -> Result<Vec<String>, String> {
        match (self.take("script"), self.take("commands")) {
            (Some(_), Some(_)) => Err("\"script\" and \"commands\" are the same; give one".to_owned()),
            (None, None) => Err("\"script\" is missing: a string, or an array of lines".to_owned()),
            (Some(Value::String(text)), None) | (None, Some(Value::String(text))) => Ok(vec![text]),
            (Some(lines), None) | (None, Some(lines)) => {
                all_texts(lines).ok_or_else(|| "\"script\" must be a string, or an array of strings".to_owned())
            }
        }
    }

    /// Ids, and names of earlier builds of the file.
    fn needs(&mut self) -> Result<(Vec<BuildId>, Vec<String>), String> {
        let wrong = || "\"needs\" must be an array of ids, or of names of earlier builds of the file".to_owned();
        let (mut ids, mut names) = (Vec::new(), Vec::new());
        match self.take("needs") {
            None => {}
            Some(Value::Array(items)) => {
                for item in items {
                    match (item.as_i64(), item.as_str()) {
                        (Some(id), _) => ids.push(BuildId(id)),
                        (None, Some(name)) => names.push(name.to_owned()),
                        (None, None) => return Err(wrong()),
                    }
                }
            }
            Some(_) => return Err(wrong()),
        }
        Ok((ids, names))
    }

    fn timeout(&mut self) -> Result<Option<i64>, String> {
        match self.take("timeout") {
            None => Ok(None),
            Some(Value::String(text)) => {
                let duration = parse_duration(&text).map_err(|error| format!("\"timeout\": {error}"))?;
                Ok(Some(super::add::seconds(duration)))
            }
            Some(value) => value.as_i64().map(Some).ok_or_else(|| {
                "\"timeout\" must be a whole number of seconds, or a text as in \"2h 30min\"".to_owned()
            }),
        }
    }

    /// What a build asks for beside its script: `options`, and the same and more by GitLab's own names.
    fn asked(&mut self) -> Result<BuildSpec, String> {
        let mut options = self.object("options")?.unwrap_or_default();
        let expire_in = self.text("expire_in")?;
        let artifacts = self.artifacts(&mut options, expire_in)?;
        let mut own = |key: &str| self.own(&options, key);
        let (image, services, cache) = (own("image")?, own("services")?, own("cache")?);
        let (after_script, dependencies) = (own("after_script")?, own("dependencies")?);
        let mut spec = options::read(options)?;
        let place = Place::strict;
        if let Some(value) = image {
            spec.image = Some(keywords::image(&place("image"), value)?);
        }
        if let Some(value) = services {
            spec.services = keywords::services(&place("services"), value)?;
        }
        if let Some(value) = artifacts {
            spec.set_artifacts(keywords::artifacts::artifacts(&place("artifacts"), value)?);
        }
        if let Some(value) = cache {
            spec.set_cache(keywords::caches(&place("cache"), value)?);
        }
        if let Some(value) = after_script {
            spec.after_script = keywords::lines(&place("after_script"), value)?;
        }
        if let Some(value) = dependencies {
            spec.dependencies = Some(keywords::texts(&place("dependencies"), value)?);
        }
        if let Some(value) = self.take("hooks") {
            spec.hooks = keywords::hooks(&place("hooks"), value)?;
        }
        if let Some(value) = self.take("retry") {
            spec.retry = Some(keywords::retry(&place("retry"), value)?);
        }
        if let Some(value) = self.take("allow_failure") {
            spec.allow_failure = keywords::allow_failure(&place("allow_failure"), value)?;
        }
        Ok(spec)
    }

    /// A field that may not stand in `options`, too.
    fn own(&mut self, options: &Map<String, Value>, key: &str) -> Result<Option<Value>, String> {
        let own = self.take(key);
        if own.is_some() && options.get(key).is_some_and(|value| !value.is_null()) {
            return Err(format!("{key:?} and options.{key} are the same; give one"));
        }
        Ok(own)
    }

    /// `artifacts` as an object, with `expire_in`, which may also be that of `options`.
    fn artifacts(
        &mut self,
        options: &mut Map<String, Value>,
        expire_in: Option<String>,
    ) -> Result<Option<Value>, String> {
        let mut own = match self.own(options, "artifacts")? {
            None => None,
            Some(Value::Object(object)) => Some(object),
            Some(paths @ Value::Array(_)) => Some(Map::from_iter([("paths".to_owned(), paths)])),
            Some(_) => return Err("\"artifacts\" must be an array of paths, or an object with `paths`".to_owned()),
        };
        if let Some(expire_in) = expire_in {
            let (given, place) = match (&mut own, options.get_mut("artifacts")) {
                (Some(own), _) => (own, "artifacts"),
                (None, Some(Value::Object(of_options))) => (of_options, "options.artifacts"),
                (None, _) => {
                    let message = "\"expire_in\" says how long to keep the files of \"artifacts\", which is missing";
                    return Err(message.to_owned());
                }
            };
            if given.insert("expire_in".to_owned(), expire_in.into()).is_some_and(|old| !old.is_null()) {
                return Err(format!("\"expire_in\" and {place}.expire_in are the same; give one"));
            }
        }
        Ok(own.map(Value::Object))
    }

    /// Public ones and others, then `secrets`: the later of two with the same name wins in the runner.
    fn variables(&mut self) -> Result<Vec<Variable>, String> {
        let mut all = self.listed_variables()?;
        for (key, value) in self.object("secrets")?.unwrap_or_default() {
            let value = plain(value).ok_or_else(|| format!("the secret {key:?} must be a string or a number"))?;
            all.push(Variable::secret(key, value));
        }
        Ok(all)
    }

    fn listed_variables(&mut self) -> Result<Vec<Variable>, String> {
        match self.take("variables") {
            None => Ok(Vec::new()),
            Some(Value::Object(object)) => object
                .into_iter()
                .map(|(key, value)| match plain(value) {
                    Some(value) => Ok(Variable::public(key, value)),
                    None => Err(format!("the variable {key:?} must be a string, a number, true or false")),
                })
                .collect(),
            Some(Value::Array(items)) => items
                .into_iter()
                .zip(1..)
                .map(|(item, place)| variable(item).map_err(|message| format!("variable {place}: {message}")))
                .collect(),
            Some(_) => {
                Err("\"variables\" must be an array of {\"key\", \"value\", \"public\"}, or an object".to_owned())
            }
        }
    }

    /// Nothing may be left that has a meaning.
    fn check_rest(&self) -> Result<(), String> {
        match self.0.keys().find(|key| !IGNORED.contains(&key.as_str())) {
            None => Ok(()),
            Some(key) => Err(unknown(key, &FIELDS)),
        }
    }
}

fn unknown(key: &str, known: &[&str]) -> String {
    match nearest(key, known.iter().copied()) {
        Some(near) => format!("there is no field {key:?}; did you mean {near:?}?"),
        None => format!("there is no field {key:?}; there are {}", known.join(", ")),
    }
}

fn all_texts(value: Value) -> Option<Vec<String>> {
    match value {
        Value::Array(items) => items
            .into_iter()
            .map(|item| match item {
                Value::String(text) => Some(text),
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => None,
            })
            .collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => None,
    }
}

/// A variable as runners get it. Not serde's work, whose errors would repeat values.
fn variable(item: Value) -> Result<Variable, String> {
    let Value::Object(object) = item else {
        return Err("it must be an object, as in {\"key\": \"A\", \"value\": \"1\", \"public\": true}".to_owned());
    };
    let mut fields = Fields(object);
    let key = fields.text("key")?.ok_or("\"key\" is missing")?;
    let value = fields.take("value").ok_or("\"value\" is missing")?;
    let value = plain(value).ok_or("\"value\" must be a string, a number, true or false")?;
    let public = fields.flag("public")?.unwrap_or(true);
    let file = fields.flag("file")?.unwrap_or(false);
    let expand = fields.flag("expand")?.unwrap_or(false);
    match fields.0.keys().next() {
        None => Ok(Variable { key, value, public, file, expand, yields: false }),
        Some(other) => Err(unknown(other, &["key", "value", "public", "file", "expand"])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn one(line: &Value) -> Result<Queued, String> {
        read(&mut line.to_string().as_bytes(), None).map(|mut lines| lines.remove(0).queued)
    }

    fn minimal(key: &str, value: Value) -> Value {
        let mut line = json!({"project": "p", "script": "true"});
        line[key] = value;
        line
    }

    #[test]
    fn a_line_has_the_defaults_of_the_command_line() {
        let new = one(&json!({"project": "p", "script": ["a", "b"]})).unwrap().new;
        let words = (new.project.as_str(), new.name.as_str(), new.stage.as_str(), new.ref_.as_str());
        assert_eq!(words, ("p", "build", "test", "HEAD"));
        assert_eq!(new.spec.script, ["a", "b"]);
        assert!(new.sha.is_none() && !new.is_tag && new.allow_git_fetch && new.timeout_s.is_none());
    }

    #[test]
    fn all_fields_are_read() {
        let queued = one(&json!({
            "project": "p", "name": "n", "stage": "s", "ref": "r", "sha": "0123456789", "before_sha": "9876543210",
            "tag": true, "repo_url": "/r", "commands": "x", "options": {"image": {"name": "i"}},
            "variables": [{"key": "A", "value": 5}, {"key": "S", "value": "s", "public": false, "file": true}],
            "tags": ["b", "a"], "needs": [3, "first", 4], "timeout": "2min", "allow_git_fetch": false,
        }))
        .unwrap();
        let new = queued.new;
        assert_eq!((new.sha.as_deref(), new.before_sha.as_deref()), (Some("0123456789"), Some("9876543210")));
        assert!(new.is_tag && !new.allow_git_fetch);
        assert_eq!((new.spec.image.unwrap().name, new.spec.script), ("i".to_owned(), vec!["x".to_owned()]));
        assert_eq!(new.variables[0], Variable::public("A", "5"));
        assert_eq!(new.variables[1], Variable { file: true, ..Variable::secret("S", "s") });
        assert_eq!(new.tags.join(","), "a,b");
        assert_eq!((new.needs, queued.needs_names), (vec![BuildId(3), BuildId(4)], vec!["first".to_owned()]));
        assert_eq!(new.timeout_s, Some(120));
        assert_eq!(
            one(&minimal("variables", json!({"B": true}))).unwrap().new.variables,
            [Variable::public("B", "true")]
        );
        assert_eq!(one(&minimal("timeout", json!(90))).unwrap().new.timeout_s, Some(90));
    }

    #[test]
    fn what_build_add_has_options_for_has_the_same_words_here() {
        let new = one(&json!({
            "project": "p", "script": "x", "image": "alpine:3.5", "services": ["mysql", {"name": "redis"}],
            "artifacts": ["out/", "*.log"], "expire_in": "7d", "options": {"cache": {"key": "k"}},
            "variables": {"A": "1"}, "secrets": {"S": "s", "PIN": 1234},
        }))
        .unwrap()
        .new;
        let names: Vec<&str> = new.spec.services.iter().map(|service| service.image.name.as_str()).collect();
        assert_eq!((new.spec.image.unwrap().name.as_str(), names), ("alpine:3.5", vec!["mysql", "redis"]));
        assert_eq!((new.spec.artifacts[0].paths.len(), new.spec.artifacts[0].expire_in.as_deref()), (2, Some("7d")));
        assert_eq!(new.spec.cache[0].key.as_deref(), Some("k"));
        let variables = [Variable::public("A", "1"), Variable::secret("S", "s"), Variable::secret("PIN", "1234")];
        for variable in variables {
            assert!(new.variables.contains(&variable), "{variable:?}");
        }
        let kept = one(&minimal("expire_in", json!("7d"))).err().unwrap();
        assert!(kept.contains("\"artifacts\", which is missing"), "{kept}");
        let mut line = minimal("options", json!({"artifacts": {"paths": ["a"]}}));
        line["expire_in"] = json!("7d");
        assert_eq!(one(&line).unwrap().new.spec.artifacts[0].expire_in.as_deref(), Some("7d"));
    }

    #[test]
    fn gitlabs_own_spellings_are_kept_whole() {
        let spec = one(&json!({
            "project": "p", "script": ["a", "b"], "image": {"name": "i", "entrypoint": [""], "pull_policy": ["always"]},
            "services": ["s", {"name": "t", "alias": "db", "command": ["run"], "variables": {"A": 1}}],
            "artifacts": {"paths": ["o"], "when": "always", "reports": {"junit": "j.xml", "dotenv": "e"}},
            "expire_in": "7d", "cache": [{"key": "a", "paths": ["x"]}, {"key": "b", "policy": "pull"}],
            "after_script": "bye", "hooks": {"pre_get_sources_script": ["h"]}, "retry": {"max": 2},
            "allow_failure": {"exit_codes": 3}, "dependencies": ["d"],
            "variables": [{"key": "A", "value": "$B", "expand": true}],
        }))
        .unwrap()
        .new;
        assert!(spec.variables[0].expand);
        let expected = json!({
            "script": ["a", "b"], "after_script": ["bye"], "hooks": {"pre_get_sources_script": ["h"]},
            "image": {"name": "i", "entrypoint": [""], "pull_policy": ["always"]},
            "services": [{"name": "s"}, {"name": "t", "alias": "db", "command": ["run"], "variables": [["A", "1"]]}],
            "artifacts": [
                {"paths": ["o"], "when": "always", "expire_in": "7d", "type": "archive", "format": "zip"},
                {"name": ".env", "paths": ["e"], "when": "always", "expire_in": "7d", "type": "dotenv", "format": "gzip"},
                {"name": "junit.xml", "paths": ["j.xml"], "when": "always", "expire_in": "7d", "type": "junit",
                 "format": "gzip"},
            ],
            "cache": [{"key": "a", "paths": ["x"]}, {"key": "b", "paths": [], "policy": "pull"}],
            "retry": {"max": 2}, "allow_failure": {"exit_codes": [3]}, "dependencies": ["d"],
        });
        assert_eq!(serde_json::to_value(spec.spec).unwrap(), expected);
    }

    /// Each option of `build add` is a word here, but for those that name files of this machine.
    #[test]
    fn no_option_of_build_add_lacks_its_word() {
        use argh::ArgsInfo as _;
        let others = ["--help", "--from", "--json", "--script-file", "--secret-file"];
        for flag in crate::cli::build::add::Add::get_args_info().flags {
            let word = flag.long.trim_start_matches('-').replace('-', "_");
            let is_there = FIELDS.contains(&word.as_str()) || FIELDS.contains(&format!("{word}s").as_str());
            assert!(is_there != others.contains(&flag.long), "{}", flag.long);
        }
    }

    #[test]
    fn a_shown_build_with_a_script_can_be_fed_back() {
        let new = one(&json!({
            "id": 7, "project": "p", "name": "n", "stage": "s", "ref": "r", "sha": null, "status": "failed",
            "failure_reason": "timed_out", "pending_reason": null, "tags": [], "needs": [3], "created_at": "x",
            "started_at": null, "finished_at": null, "runner": {"id": 1}, "trace_size": 5, "artifacts_file": null,
            "script": "true",
        }))
        .unwrap()
        .new;
        assert_eq!((new.name.as_str(), new.needs), ("n", vec![BuildId(3)]));
    }

    #[test]
    fn what_is_wrong_with_a_line_is_said_without_its_values() {
        for (line, part) in [
            (json!({"script": "x"}), "\"project\" is missing"),
            (json!({"project": "p"}), "\"script\" is missing"),
            (json!({"project": "p", "script": " "}), "no commands"),
            (json!(["hunter2"]), "JSON object"),
            (json!("hunter2"), "JSON object"),
            (minimal("scirpt", json!("hunter2")), "did you mean \"script\"?"),
            (minimal("colour", json!("hunter2")), "there are project, name"),
            (minimal("commands", json!("hunter2")), "the same"),
            (minimal("script", json!([1])), "array of strings"),
            (minimal("name", json!(5)), "\"name\" must be a string"),
            (minimal("tag", json!("v1")), "\"tag\" must be true or false"),
            (minimal("tags", json!("a,b")), "\"tags\" must be an array"),
            (minimal("needs", json!([1.5])), "\"needs\""),
            (minimal("needs", json!(3)), "\"needs\""),
            (minimal("timeout", json!("soon")), "\"timeout\""),
            (minimal("timeout", json!(0)), "at least one second"),
            (minimal("options", json!([])), "\"options\" must be an object"),
            (minimal("options", json!({"artifacts": {"paths": "x"}})), "options.artifacts.paths"),
            (minimal("sha", json!("abc")), "at least 8"),
            (minimal("image", json!("foo bar")), "cannot be an image's name"),
            (minimal("image", json!(5)), "image must be a name"),
            (minimal("services", json!("mysql")), "services must be an array"),
            (minimal("artifacts", json!("out/")), "\"artifacts\" must be an array of paths"),
            (minimal("artifacts", json!({"path": ["hunter2"]})), "did you mean \"paths\"?"),
            (minimal("artifacts", json!({"reports": {"junti": "hunter2"}})), "did you mean \"junit\"?"),
            (minimal("cache", json!({"key": {"files": ["hunter2"]}})), "cache.key must be a string"),
            (minimal("retry", json!(3)), "from 0 to 2"),
            (minimal("allow_failure", json!("hunter2")), "true or false"),
            (minimal("after_script", json!({"hunter2": 1})), "after_script must be"),
            (minimal("secrets", json!(["hunter2"])), "\"secrets\" must be an object"),
            (minimal("secrets", json!({"K": ["hunter2"]})), "the secret \"K\" must be"),
            (minimal("secrets", json!({"CI_JOB_TOKEN": "hunter2"})), "CI_JOB_TOKEN is set for every build"),
            (
                json!({"project": "p", "script": "x", "image": "a", "options": {"image": "hunter2"}}),
                "\"image\" and options.image are the same",
            ),
            (minimal("variables", json!("hunter2")), "\"variables\""),
            (minimal("variables", json!(["K=hunter2"])), "variable 1: it must be an object"),
            (minimal("variables", json!([{"key": "K", "vlaue": "hunter2"}])), "\"value\" is missing"),
            (
                minimal("variables", json!([{"key": "K", "value": "x", "pubilc": "hunter2"}])),
                "did you mean \"public\"?",
            ),
            (minimal("variables", json!([{"key": "K", "value": ["hunter2"]}])), "\"value\" must be"),
            (minimal("variables", json!([{"key": "K", "value": "x", "public": "hunter2"}])), "true or false"),
            (minimal("variables", json!({"K": ["hunter2"]})), "the variable \"K\""),
        ] {
            let message = one(&line).err().unwrap();
            assert!(message.starts_with("line 1: ") && message.contains(part), "{line}: {message}");
            assert!(!message.contains("hunter2"), "{message}");
        }
    }

    #[test]
    fn errors_count_every_line_of_the_file() {
        let good = "{\"project\":\"p\",\"script\":\"x\"}\n";
        let read_text = |text: &str| {
            read(&mut text.as_bytes(), None).map(|lines| lines.iter().map(|l| l.number).collect::<Vec<_>>())
        };
        assert_eq!(read_text(&format!("{good}\n \r\n{good}")), Ok(vec![1, 4]));
        assert_eq!(read_text(""), Ok(vec![]));
        for (text, begin) in [
            (format!("{good}\n{{\"project\": hunter2}}\n"), "line 3: it is not JSON (at character 13)"),
            (format!("{good}{{\"project\":"), "line 2: it is not JSON"),
            (format!("{good}{}", good.trim_end().repeat(2)), "line 2: it is not JSON"),
        ] {
            let message = read_text(&text).unwrap_err();
            assert!(message.starts_with(begin), "{message}");
        }
        let long = format!("{good}\"{}\"", "x".repeat(5 << 20));
        assert!(read_text(&long).unwrap_err().contains("line 2: it has more than 4194304 bytes"));
    }

    #[test]
    fn the_project_of_the_command_line_is_for_lines_without_one() {
        let text = "{\"script\":\"x\"}\n{\"project\":\"q\",\"script\":\"x\"}";
        let lines = read(&mut text.as_bytes(), Some("p")).unwrap();
        let projects: Vec<&str> = lines.iter().map(|line| line.queued.new.project.as_str()).collect();
        assert_eq!(projects, ["p", "q"]);
    }

    #[test]
    fn a_refusal_of_the_coordinator_names_the_line_and_not_the_place_in_the_list() {
        let message = |text: &str, kind, numbers: &[usize]| with_line(Error::new(kind, text), numbers).message;
        assert_eq!(message("build 2 of the list: no", Kind::Invalid, &[1, 4]), "line 4: no; nothing was queued");
        assert_eq!(message("no project", Kind::NotFound, &[3]), "line 3: no project; nothing was queued");
        assert_eq!(message("database: locked", Kind::Busy, &[3]), "database: locked");
    }
}
