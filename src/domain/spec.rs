//! What a build is asked to do, in its richest form: that of `.gitlab-ci.yml`, with everything decided that can be
//! decided before a runner takes the build.
//!
//! What must stay true: it is stored as JSON, so that a field that is added later has a default, and no field changes its
//! meaning. A protocol whose runners understand less makes it poorer when it hands the build out.

use super::text::duration::parse_keeping;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::borrow::Cow;

/// Most caches of a build, as in GitLab.
pub const CACHES_MAX: usize = 4;
/// Most times that a build is made again by itself, as in GitLab.
pub const RETRIES_MAX: u32 = 2;

/// What a build is asked to do.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct BuildSpec {
    /// `before_script` and `script` together, in order: an entry may have several lines, and is run as it is.
    pub script: Vec<String>,
    /// What runs behind it, whatever came of it; its result does not count.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub after_script: Vec<String>,
    /// What runs before and behind the fetching of sources.
    #[serde(skip_serializing_if = "Hooks::is_empty")]
    pub hooks: Hooks,
    /// Container to run in; `None`: the runner's own choice.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<Image>,
    /// Containers beside it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<Service>,
    /// What is uploaded: the archive, and each report.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub artifacts: Vec<ArtifactsSpec>,
    /// What is kept on the runner's side between builds.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cache: Vec<CacheSpec>,
    /// Of the builds that this one needs, those whose artifacts it gets, by name; `None`: of all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dependencies: Option<Vec<String>>,
    /// Whether a pipeline goes on when the build fails.
    #[serde(skip_serializing_if = "AllowFailure::is_never")]
    pub allow_failure: AllowFailure,
    /// When a failed build is made again by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
    /// `run`, as runners that know it read it, in place of a script.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<Value>,
    /// Options that nothing here knows: handed to runners 1.x as they came. Those of the archive and of the first cache
    /// stand below `artifacts` and `cache`.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub other: Map<String, Value>,
}

impl BuildSpec {
    /// A script, and nothing beside it.
    #[must_use]
    pub fn of_script(script: &str) -> BuildSpec {
        BuildSpec { script: vec![script.to_owned()], ..BuildSpec::default() }
    }

    /// The script in one text, entries joined by line ends.
    #[must_use]
    pub fn commands(&self) -> Cow<'_, str> {
        match self.script.as_slice() {
            [only] => Cow::Borrowed(only),
            several => Cow::Owned(several.join("\n")),
        }
    }

    /// The archive among the uploads, if one is asked for.
    #[must_use]
    pub fn archive(&self) -> Option<&ArtifactsSpec> {
        self.artifacts.iter().find(|one| one.kind == ArtifactKind::default())
    }

    /// The same, to be changed.
    pub fn archive_mut(&mut self) -> Option<&mut ArtifactsSpec> {
        self.artifacts.iter_mut().find(|one| one.kind == ArtifactKind::default())
    }

    /// Takes uploads, and what is left of the archive's fields.
    pub fn set_artifacts(&mut self, (artifacts, rest): (Vec<ArtifactsSpec>, Map<String, Value>)) {
        self.artifacts = artifacts;
        self.keep_rest("artifacts", rest);
    }

    /// Takes caches, and what is left of the first one's fields.
    pub fn set_cache(&mut self, (cache, rest): (Vec<CacheSpec>, Map<String, Value>)) {
        self.cache = cache;
        self.keep_rest("cache", rest);
    }

    fn keep_rest(&mut self, key: &str, rest: Map<String, Value>) {
        if !rest.is_empty() {
            self.other.insert(key.to_owned(), rest.into());
        }
    }

    /// Checks what no type says. Whoever reads a specification from text has checked the words, too.
    ///
    /// # Errors
    /// Says what is wrong.
    pub fn check(&self) -> Result<(), String> {
        if self.script.iter().all(|entry| entry.trim().is_empty()) {
            return Err("the build has no commands; give at least one line of script".to_owned());
        }
        let hooks = self.hooks.pre_get_sources_script.iter().chain(&self.hooks.post_get_sources_script);
        if self.script.iter().chain(&self.after_script).chain(hooks).any(|entry| entry.contains('\0')) {
            return Err("the script has a NUL byte, which no shell takes".to_owned());
        }
        for (index, upload) in self.artifacts.iter().enumerate() {
            if let Some(text) = &upload.expire_in {
                // Else the upload is refused, after the build's work is done.
                parse_keeping(text).map_err(|error| format!("artifacts.expire_in: {error}"))?;
            }
            if self.artifacts.iter().take(index).any(|earlier| earlier.kind == upload.kind) {
                return Err(format!("there are two artifacts of the kind {}; each has one", upload.kind.0));
            }
        }
        if self.cache.len() > CACHES_MAX {
            return Err(format!("{} caches; at most {CACHES_MAX} are allowed", self.cache.len()));
        }
        if self.retry.as_ref().is_some_and(|retry| retry.max > RETRIES_MAX) {
            return Err(format!("retry.max is too large; at most {RETRIES_MAX} are allowed"));
        }
        Ok(())
    }
}

/// Scripts around the fetching of sources.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Hooks {
    /// Before it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pre_get_sources_script: Vec<String>,
    /// Behind it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub post_get_sources_script: Vec<String>,
}

impl Hooks {
    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pre_get_sources_script.is_empty() && self.post_get_sources_script.is_empty()
    }
}

/// A container image.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Image {
    /// As in `alpine:3.20`.
    pub name: String,
    /// What is run in it; `None`: the image's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entrypoint: Option<Vec<String>>,
    /// `always`, `if-not-present` or `never`, in order of preference; empty: the runner's.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pull_policy: Vec<String>,
    /// `docker: {platform, user}` and the like, as runners from 16.11 read it.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub executor_opts: Map<String, Value>,
}

/// A container beside the build.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Service {
    /// Its image.
    #[serde(flatten)]
    pub image: Image,
    /// The host's name by which the build reaches it; `None`: the image's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alias: Option<String>,
    /// What is run in it; `None`: the image's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<Vec<String>>,
    /// Variables of the service alone, as `(name, value)`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub variables: Vec<(String, String)>,
}

/// One upload of a build.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ArtifactsSpec {
    /// The archive's name, without its ending; `None`: `artifacts`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Whether files that git does not track go with it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub untracked: bool,
    /// Paths and patterns.
    pub paths: Vec<String>,
    /// What is left out of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<String>,
    /// `on_success`, `on_failure` or `always`; `None`: on success.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
    /// How long it is kept, in words; `None`: as the server does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expire_in: Option<String>,
    /// `archive`, or the kind of a report: `junit`, `dotenv`, ...
    #[serde(rename = "type")]
    pub kind: ArtifactKind,
    /// `zip`, `gzip` or `raw`.
    pub format: ArtifactFormat,
}

/// What an artifact is. Runners know the words, and new ones come with new reports.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ArtifactKind(pub String);

impl Default for ArtifactKind {
    fn default() -> ArtifactKind {
        ArtifactKind("archive".to_owned())
    }
}

/// How an artifact is packed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ArtifactFormat {
    /// An archive.
    #[default]
    Zip,
    /// A member for each file, one behind the other.
    Gzip,
    /// The bytes of one file.
    Raw,
    /// An archive, compressed as its runner's operator chose.
    ZipZstd,
    /// As above.
    TarZstd,
}

/// What a runner keeps from one build to the next.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct CacheSpec {
    /// Which one; `None`: the runner's own choice, the build's name and ref.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Paths and patterns.
    pub paths: Vec<String>,
    /// Whether files that git does not track go with it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub untracked: bool,
    /// `pull-push`, `pull` or `push`; `None`: both.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// `on_success`, `on_failure` or `always`; `None`: on success.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
    /// Which ones are taken if there is none of the key.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fallback_keys: Vec<String>,
}

/// Whether a pipeline goes on when a build fails.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum AllowFailure {
    /// Always, or never.
    Any(bool),
    /// If its script ends with one of these.
    ExitCodes {
        /// As the runner reports them.
        exit_codes: Vec<i64>,
    },
}

impl AllowFailure {
    /// Whether no failure is allowed.
    #[must_use]
    pub fn is_never(&self) -> bool {
        *self == AllowFailure::Any(false)
    }
}

impl Default for AllowFailure {
    fn default() -> AllowFailure {
        AllowFailure::Any(false)
    }
}

/// When a failed build is made again by itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Retry {
    /// How often, 0 to 2.
    pub max: u32,
    /// GitLab's words for reasons, `always` among them; empty: always, or, with exit codes, for none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub when: Vec<String>,
    /// Also if the script ended with one of these.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub exit_codes: Vec<i64>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_specification_that_is_stored_is_read_as_it_was() {
        let value = json!({
            "script": ["a", "b\nc"], "image": {"name": "i", "entrypoint": []}, "retry": {"max": 1},
            "services": [{"name": "s", "alias": "t", "variables": [["A", "1"]]}],
            "artifacts": [{"paths": ["o"], "type": "archive", "format": "zip"},
                          {"paths": ["j"], "type": "junit", "format": "gzip"}],
            "cache": [{"paths": []}, {"key": "k", "paths": ["v"], "policy": "pull"}],
            "allow_failure": {"exit_codes": [1]}, "other": {"environment": "x"},
        });
        let spec: BuildSpec = serde_json::from_value(value.clone()).unwrap();
        assert_eq!(serde_json::to_value(&spec).unwrap(), value);
        assert_eq!(spec.commands(), "a\nb\nc");
        assert_eq!(serde_json::to_value(BuildSpec::of_script("x")).unwrap(), json!({"script": ["x"]}));
    }

    #[test]
    fn what_no_type_says_is_checked() {
        type Spoil = fn(&mut BuildSpec);
        let upload = |kind: &str| ArtifactsSpec { kind: ArtifactKind(kind.to_owned()), ..ArtifactsSpec::default() };
        let good = BuildSpec { artifacts: vec![upload("archive"), upload("junit")], ..BuildSpec::of_script("x") };
        good.check().unwrap();
        let cases: [(&str, Spoil); 7] = [
            ("no commands", |s| s.script = vec![" \n".to_owned(), String::new()]),
            ("no commands", |s| s.script.clear()),
            ("NUL", |s| s.after_script = vec!["a\0".to_owned()]),
            ("expire_in", |s| s.artifacts[1].expire_in = Some("soon".to_owned())),
            ("two artifacts", |s| s.artifacts.push(s.artifacts[1].clone())),
            ("5 caches", |s| s.cache = vec![CacheSpec::default(); 5]),
            ("retry.max", |s| s.retry = Some(Retry { max: 3, ..Retry::default() })),
        ];
        for (word, spoil) in cases {
            let mut bad = good.clone();
            spoil(&mut bad);
            let error = bad.check().unwrap_err();
            assert!(error.contains(word), "{word}: {error}");
        }
    }
}
