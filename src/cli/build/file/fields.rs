//! The fields of a line of `baton build add --from`: which there are, and what their values may be.

use crate::domain::build::{BuildId, Variable};
use crate::domain::keywords::{self, Place, plain};
use crate::domain::options;
use crate::domain::spec::BuildSpec;
use crate::domain::text::did_you_mean::nearest;
use crate::domain::text::duration::parse_duration;
use serde_json::{Map, Value};

/// The fields of a line.
pub(super) const FIELDS: [&str; 27] = [
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
const IGNORED: [&str; 19] = [
    "id",
    "status",
    "failure_reason",
    "pending_reason",
    "runs_without",
    "created_at",
    "started_at",
    "finished_at",
    "runner",
    "manager",
    "trace_size",
    "artifacts_file",
    "exit_code",
    "failure_text",
    "failure_allowed",
    "retry_of",
    "retried_as",
    "pipeline",
    "junit",
];

/// The fields of a line that were not read yet.
pub(super) struct Fields(Map<String, Value>);

impl Fields {
    /// All of them.
    pub(super) fn new(fields: Map<String, Value>) -> Fields {
        Fields(fields)
    }

    /// A field; one that is null is absent.
    fn take(&mut self, key: &str) -> Option<Value> {
        self.0.remove(key).filter(|value| !value.is_null())
    }

    pub(super) fn text(&mut self, key: &str) -> Result<Option<String>, String> {
        match self.take(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(format!("{key:?} must be a string")),
        }
    }

    pub(super) fn flag(&mut self, key: &str) -> Result<Option<bool>, String> {
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

    pub(super) fn texts(&mut self, key: &str) -> Result<Option<Vec<String>>, String> {
        let Some(value) = self.take(key) else { return Ok(None) };
        all_texts(value).map(Some).ok_or_else(|| format!("{key:?} must be an array of strings"))
    }

    /// `script`, or by its name on the wire `commands`.
    pub(super) fn script(&mut self) -> Result<Vec<String>, String> {
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
    pub(super) fn needs(&mut self) -> Result<(Vec<BuildId>, Vec<String>), String> {
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

    pub(super) fn timeout(&mut self) -> Result<Option<i64>, String> {
        match self.take("timeout") {
            None => Ok(None),
            Some(Value::String(text)) => {
                let duration = parse_duration(&text).map_err(|error| format!("\"timeout\": {error}"))?;
                Ok(Some(crate::cli::build::add::seconds(duration)))
            }
            Some(value) => value.as_i64().map(Some).ok_or_else(|| {
                "\"timeout\" must be a whole number of seconds, or a text as in \"2h 30min\"".to_owned()
            }),
        }
    }

    /// What a build asks for beside its script: `options`, and the same and more by GitLab's own names.
    pub(super) fn asked(&mut self) -> Result<BuildSpec, String> {
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
            // Those of a shown build.
            Some(Value::Array(uploaded)) if uploaded.iter().all(Value::is_object) => None,
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
    pub(super) fn variables(&mut self) -> Result<Vec<Variable>, String> {
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
    pub(super) fn check_rest(&self) -> Result<(), String> {
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
