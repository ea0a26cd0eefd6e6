//! Builds: what an operator asks for, and what is known of them.

use super::git_names::{check_ref, check_sha, url_of_short_form};
use super::pipeline::{PipelineId, When};
use super::spec::BuildSpec;
pub use super::state::{FailureReason, Status, after_needs};
use super::tags::Tags;
use super::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fmt;

/// Identifies a build. On the wire it may be any number, also -1, which no build has.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Debug, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BuildId(pub i64);

/// Identifies a project.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Serialize)]
#[serde(transparent)]
pub struct ProjectId(pub i64);

impl fmt::Display for BuildId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A variable of a build, as the runner gets it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Variable {
    /// Its name.
    pub key: String,
    /// Its value, which the build gets as it is, unless `expand` is set.
    #[serde(deserialize_with = "text_or_number")]
    pub value: String,
    /// Whether it may be shown. The values of others are masked in the trace.
    #[serde(default = "yes")]
    pub public: bool,
    /// Whether the runner (1.9 and later) puts the value into a file and passes the file's name.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub file: bool,
    /// Whether the runner replaces `$NAME` in the value by the variable of that name, and `$$` by `$`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub expand: bool,
    /// Whether a variable of this name in the dotenv report of a needed build wins over this one: so do those that are
    /// written in a `.gitlab-ci.yml`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub yields: bool,
}

fn yes() -> bool {
    true
}

/// People write `{"value": 5}`; the runner's decoder takes strings only.
fn text_or_number<'de, D: serde::Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    match Value::deserialize(from)? {
        Value::String(text) => Ok(text),
        Value::Number(number) => Ok(number.to_string()),
        Value::Bool(is) => Ok(is.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => {
            Err(serde::de::Error::custom("a variable's value must be a string, a number or a boolean"))
        }
    }
}

impl Variable {
    /// A variable that anybody may see.
    pub fn public(key: impl Into<String>, value: impl Into<String>) -> Variable {
        Variable { key: key.into(), value: value.into(), public: true, file: false, expand: false, yields: false }
    }

    /// A variable whose value is masked in the trace.
    pub fn secret(key: impl Into<String>, value: impl Into<String>) -> Variable {
        Variable { key: key.into(), value: value.into(), public: false, file: false, expand: false, yields: false }
    }

    /// Whether a build can have it.
    ///
    /// # Errors
    /// Says what is wrong with it, without its value.
    pub fn check(&self) -> Result<(), String> {
        check_variable_name(&self.key)?;
        if self.value.contains('\0') {
            return Err(format!("the variable {} has a NUL byte, which no program takes", self.key));
        }
        Ok(())
    }
}

/// Shows the value of public variables only.
impl fmt::Debug for Variable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = if self.public { self.value.as_str() } else { "hidden" };
        write!(f, "{}={value}", self.key)
    }
}

/// What an operator asks for: a build before it has an id and a state.
#[derive(Clone, Debug)]
pub struct NewBuild {
    /// The project's name.
    pub project: String,
    /// The build's name, shown in lists and default part of the runner's cache key.
    pub name: String,
    /// The stage's name.
    pub stage: String,
    /// Branch or tag.
    pub ref_: String,
    /// Commit, at least 8 characters; `None`: what `ref_` points to when the runner fetches it.
    pub sha: Option<String>,
    /// The commit before, for `CI_BUILD_BEFORE_SHA`.
    pub before_sha: Option<String>,
    /// Whether `ref_` is a tag.
    pub is_tag: bool,
    /// Overrides the project's repository.
    pub repo_url: Option<String>,
    /// What it is to do.
    pub spec: BuildSpec,
    /// Whether the runner may keep its checkout and fetch; otherwise it clones.
    pub allow_git_fetch: bool,
    /// In order; later ones win in the runner.
    pub variables: Vec<Variable>,
    /// What a runner must offer.
    pub tags: Tags,
    /// Builds of the same project that must succeed first, and whose artifacts this build gets.
    pub needs: Vec<BuildId>,
    /// Longest run, in seconds; `None`: the project's.
    pub timeout_s: Option<i64>,
}

/// Longest name, stage, ref or sha, in bytes.
const WORD_BYTES_MAX: usize = 255;
/// Longest URL of a repository, in bytes: that of the longest path, each byte of which is encoded as three.
const REPO_URL_BYTES_MAX: usize = "file://localhost".len() + 3 * 4096;
/// Most bytes of commands, of options and of variables each: together well below what a runner takes.
const SPEC_BYTES_MAX: usize = 1 << 20;
/// Most builds that one build may need.
const NEEDS_MAX: usize = 256;

impl NewBuild {
    /// A build of these commands, with everything else as `baton build add` has it by itself.
    #[must_use]
    pub fn new(project: &str, commands: &str) -> NewBuild {
        NewBuild {
            project: project.to_owned(),
            name: "build".to_owned(),
            stage: "test".to_owned(),
            ref_: "HEAD".to_owned(),
            sha: None,
            before_sha: None,
            is_tag: false,
            repo_url: None,
            spec: BuildSpec::of_script(commands),
            allow_git_fetch: true,
            variables: Vec::new(),
            tags: Tags::default(),
            needs: Vec::new(),
            timeout_s: None,
        }
    }

    /// Checks what can be checked without the database.
    ///
    /// # Errors
    /// Says which field is wrong and what it may be.
    pub fn check(&self) -> Result<(), String> {
        for (field, word) in [("name", &self.name), ("stage", &self.stage), ("ref", &self.ref_)] {
            check_word(field, word)?;
        }
        check_ref(&self.ref_)?;
        for (field, word) in [("sha", &self.sha), ("before_sha", &self.before_sha)] {
            if let Some(sha) = word {
                check_sha(field, sha)?;
            }
        }
        if let Some(url) = &self.repo_url {
            check_repo_url(url)?;
        }
        self.spec.check()?;
        if self.needs.len() > NEEDS_MAX {
            return Err(format!("{} builds needed; at most {NEEDS_MAX} are allowed", self.needs.len()));
        }
        if self.timeout_s.is_some_and(|s| s <= 0) {
            return Err("the timeout must be at least one second".to_owned());
        }
        self.variables.iter().try_for_each(Variable::check)?;
        self.check_sizes()
    }

    fn check_sizes(&self) -> Result<(), String> {
        let script_bytes: usize = self.spec.script.iter().map(|entry| entry.len() + 1).sum();
        let beside = BuildSpec { script: Vec::new(), ..self.spec.clone() };
        let options_bytes = serde_json::to_string(&beside).map_err(|error| error.to_string())?.len();
        check_bytes("script", script_bytes.saturating_sub(1))?;
        check_bytes("variables", variables_bytes(&self.variables))?;
        check_bytes("options", options_bytes)
    }
}

/// Bytes of these variables together.
#[must_use]
pub fn variables_bytes(variables: &[Variable]) -> usize {
    variables.iter().map(|variable| variable.key.len() + variable.value.len()).sum()
}

/// Whether a part of a build may have so many bytes.
///
/// # Errors
/// Says how many it may have.
pub fn check_bytes(part: &str, bytes: usize) -> Result<(), String> {
    if bytes > SPEC_BYTES_MAX {
        return Err(format!("the build's {part} have {bytes} bytes; at most {SPEC_BYTES_MAX} are allowed"));
    }
    Ok(())
}

/// A short text in one line.
///
/// # Errors
/// Says what is wrong with the field.
pub fn check_word(field: &str, word: &str) -> Result<(), String> {
    check_line(field, word, WORD_BYTES_MAX)
}

/// A text in one line, of so many bytes at most.
fn check_line(field: &str, word: &str, bytes_max: usize) -> Result<(), String> {
    if word.is_empty() || word.len() > bytes_max {
        return Err(format!("{field} has {} bytes; it must have 1 to {bytes_max}", word.len()));
    }
    if word.contains(char::is_control) {
        return Err(format!("{field} has a control character"));
    }
    Ok(())
}

/// A repository's URL: runners need one with a scheme, and make its path their checkout's folder.
///
/// # Errors
/// Says what is wrong with it.
pub fn check_repo_url(url: &str) -> Result<(), String> {
    check_line("repo_url", url, REPO_URL_BYTES_MAX)?;
    let local = url.starts_with('/');
    if let Some(long) = url_of_short_form(url).filter(|_| !local) {
        return Err(format!("repo_url {url:?} is ssh's short form, which runners do not take; as a URL it is {long}"));
    }
    if !local && !url.contains("://") {
        // It may have a password in it.
        let shown = if url.contains('@') { String::new() } else { format!("{url:?} ") };
        return Err(format!("repo_url {shown}is neither a URL such as https://host/group/name.git nor a path from /"));
    }
    if url.split('/').any(|part| part == "..") {
        return Err("repo_url has a `..`, which runners refuse".to_owned());
    }
    Ok(())
}

/// Names that shells take: a letter or `_`, then letters, digits and `_`.
///
/// # Errors
/// Says what is wrong with the name.
pub fn check_variable_name(key: &str) -> Result<(), String> {
    let mut bytes = key.bytes();
    let starts_well = bytes.next().is_some_and(|c| c.is_ascii_alphabetic() || c == b'_');
    if starts_well && bytes.all(|c| c.is_ascii_alphanumeric() || c == b'_') && key.len() <= WORD_BYTES_MAX {
        return Ok(());
    }
    Err(format!("{key:?} is no name for a variable: letters, digits and _ are allowed, not a digit first"))
}

/// A build as operators see it, without what only the runner gets.
#[derive(Clone, Debug)]
pub struct Build {
    /// Its id.
    pub id: BuildId,
    /// The project's id.
    pub project_id: ProjectId,
    /// The project's name.
    pub project: String,
    /// Its name.
    pub name: String,
    /// Its stage.
    pub stage: String,
    /// Branch or tag.
    pub ref_: String,
    /// Commit; `None`: what the ref pointed to when the runner fetched it.
    pub sha: Option<String>,
    /// Its state.
    pub status: Status,
    /// Why it failed; set exactly for failed builds.
    pub failure_reason: Option<FailureReason>,
    /// What a runner must offer.
    pub tags: Tags,
    /// The builds that it needs, by id.
    pub needs: Vec<BuildId>,
    /// When it was queued.
    pub created_at: Timestamp,
    /// When a runner took it.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// When its runner last called for it, to the minute.
    pub seen_at: Option<Timestamp>,
    /// When its trace and artifacts were erased.
    pub erased_at: Option<Timestamp>,
    /// The runner that took it: id and description.
    pub runner: Option<(i64, String)>,
    /// Bytes of its trace.
    pub trace_size: u64,
    /// Its artifacts, unless there are none or they have expired.
    pub artifacts: Option<ArtifactsFile>,
    /// How its script ended, if its runner said so.
    pub exit_code: Option<i64>,
    /// Why it failed in its runner's own word, where that is no reason of ours.
    pub failure_text: Option<String>,
    /// Whether those that need it go on although it failed.
    pub failure_allowed: bool,
    /// The build that it repeats.
    pub retry_of: Option<BuildId>,
    /// Its pipeline.
    pub pipeline_id: Option<PipelineId>,
    /// Place of its stage in the pipeline, if stages order it.
    pub stage_index: Option<usize>,
    /// When it runs, by the state of those before it.
    pub when: When,
    /// The build of its pipeline that counts in its place.
    pub retried_by: Option<BuildId>,
}

/// The artifacts of a build.
#[derive(Clone, Debug)]
pub struct ArtifactsFile {
    /// Name of the file below `artifacts/`.
    pub path: String,
    /// What the client called it.
    pub filename: String,
    /// Bytes.
    pub size: u64,
    /// Checksum of the file.
    pub sha256: [u8; 32],
    /// When they are removed; `None`: never by themselves.
    pub expire_at: Option<Timestamp>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn build() -> NewBuild {
        NewBuild::new("demo", "true")
    }

    #[test]
    fn bad_fields_are_named() {
        type Spoil = fn(&mut NewBuild);
        let cases: [(&str, Spoil); 8] = [
            ("sha", |b| b.sha = Some("1234567".into())),
            ("commands", |b| b.spec.script = vec![" \n".into()]),
            ("name", |b| b.name = "a\nb".into()),
            ("ref", |b| b.ref_ = String::new()),
            ("ssh://git@host/x.git", |b| b.repo_url = Some("git@host:x.git".into())),
            ("..", |b| b.repo_url = Some("http://h/../x".into())),
            ("variable", |b| b.variables = vec![Variable::public("1A", "x")]),
            ("timeout", |b| b.timeout_s = Some(0)),
        ];
        build().check().unwrap();
        for (word, spoil) in cases {
            let mut bad = build();
            spoil(&mut bad);
            let error = bad.check().unwrap_err();
            assert!(error.contains(word), "{word}: {error}");
        }
    }

    #[test]
    fn debug_shows_no_secret() {
        let text = format!("{:?}", Variable::secret("KEY", "hunter22hunter"));
        assert_eq!(text, "KEY=hidden");
    }
}
