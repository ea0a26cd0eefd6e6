//! Under which circumstances a pipeline is made, and the variables that say so.

use crate::domain::build::Variable;
use crate::domain::pipeline::Source;
use crate::domain::project_variable::ProjectVariable;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Under which circumstances a pipeline is made.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Context {
    /// Why there is a pipeline.
    pub source: Source,
    /// The branch; of a merge request the source branch; `None` for a tag.
    pub branch: Option<String>,
    /// The tag.
    pub tag: Option<String>,
    /// The target branch of a merge request.
    pub target: Option<String>,
    /// The default branch.
    pub default_branch: String,
    /// As in `group/project`.
    pub project: String,
    /// Path of the file that is read first.
    pub config_path: String,
    /// What else is known beforehand: commit, server, user. It wins over what is derived from the fields above.
    pub predefined: Vec<(String, String)>,
    /// What people gave: it wins over all that the file says. The weakest first.
    pub given: Vec<Given>,
    /// Values for the `spec:inputs` of the first file, as text.
    pub inputs: Vec<(String, String)>,
}

/// A variable that people gave.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Given {
    /// Its name.
    pub key: String,
    /// Its value.
    pub value: String,
    /// Whether it may be shown.
    pub public: bool,
    /// Whether the build gets the name of a file with the value.
    pub file: bool,
    /// Whether nothing in it is expanded.
    pub raw: bool,
}

/// Shows the value of public variables only.
impl fmt::Debug for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.key, if self.public { &self.value } else { "hidden" })
    }
}

impl Given {
    /// A variable that anybody may see.
    pub fn public(key: impl Into<String>, value: impl Into<String>) -> Given {
        Given { key: key.into(), value: value.into(), public: true, file: false, raw: false }
    }
}

impl From<Variable> for Given {
    /// The variable of a build, of which nothing is left to say but that it may be expanded.
    fn from(variable: Variable) -> Given {
        let Variable { key, value, public, file, .. } = variable;
        Given { key, value, public, file, raw: false }
    }
}

impl From<Given> for Variable {
    fn from(given: Given) -> Variable {
        let Given { key, value, public, file, raw } = given;
        Variable { public, file, expand: !raw && !file, ..Variable::public(key, value) }
    }
}

impl From<ProjectVariable> for Given {
    fn from(own: ProjectVariable) -> Given {
        let ProjectVariable { key, value, is_file, is_masked, is_raw, .. } = own;
        Given { key, value, public: !is_masked, file: is_file, raw: is_raw }
    }
}

impl Default for Context {
    fn default() -> Context {
        Context {
            source: Source::Push,
            branch: Some("main".to_owned()),
            tag: None,
            target: None,
            default_branch: "main".to_owned(),
            project: "group/project".to_owned(),
            config_path: ".gitlab-ci.yml".to_owned(),
            predefined: Vec::new(),
            given: Vec::new(),
            inputs: Vec::new(),
        }
    }
}

impl Context {
    /// Name of the branch or the tag.
    #[must_use]
    pub fn ref_name(&self) -> &str {
        self.tag.as_deref().or(self.branch.as_deref()).unwrap_or_default()
    }

    /// Whether it is a merge request's.
    #[must_use]
    pub fn is_merge_request(&self) -> bool {
        self.source == Source::MergeRequestEvent
    }

    /// Variables that do not depend on the job, in order, each once.
    #[must_use]
    pub fn pipeline_variables(&self) -> Vec<(String, String)> {
        let mut all: Vec<(String, String)> = Vec::new();
        let mut put = |key: &str, value: &str| all.push((key.to_owned(), value.to_owned()));
        for (key, value) in [("CI", "true"), ("GITLAB_CI", "true"), ("CI_SERVER", "yes"), ("BATON", "true")] {
            put(key, value);
        }
        put("CI_PIPELINE_SOURCE", self.source.as_str());
        put("CI_DEFAULT_BRANCH", &self.default_branch);
        put("CI_CONFIG_PATH", &self.config_path);
        put("CI_COMMIT_REF_NAME", self.ref_name());
        put("CI_COMMIT_REF_SLUG", &slug(self.ref_name()));
        let is_default = self.tag.is_none() && self.branch.as_ref() == Some(&self.default_branch);
        put("CI_COMMIT_REF_PROTECTED", if is_default { "true" } else { "false" });
        if let Some(tag) = &self.tag {
            put("CI_COMMIT_TAG", tag);
        } else if self.is_merge_request() {
            for (key, value) in self.merge_request_variables() {
                put(key, value);
            }
        } else if let Some(branch) = &self.branch {
            put("CI_COMMIT_BRANCH", branch);
        }
        put("CI_PROJECT_PATH", &self.project);
        put("CI_PROJECT_PATH_SLUG", &slug(&self.project));
        let (namespace, name) = self.project.rsplit_once('/').unwrap_or(("", &self.project));
        put("CI_PROJECT_NAME", name);
        put("CI_PROJECT_TITLE", name);
        put("CI_PROJECT_NAMESPACE", namespace);
        put("CI_PROJECT_ROOT_NAMESPACE", namespace.split('/').next().unwrap_or_default());
        put("CI_PROJECT_VISIBILITY", "private");
        for (key, value) in &self.predefined {
            match all.iter_mut().find(|(known, _)| known == key) {
                Some(known) => known.1.clone_from(value),
                None => all.push((key.clone(), value.clone())),
            }
        }
        all
    }

    fn merge_request_variables(&self) -> [(&'static str, &str); 7] {
        [
            ("CI_MERGE_REQUEST_ID", "1"),
            ("CI_MERGE_REQUEST_IID", "1"),
            ("CI_MERGE_REQUEST_EVENT_TYPE", "detached"),
            ("CI_MERGE_REQUEST_SOURCE_BRANCH_NAME", self.branch.as_deref().unwrap_or_default()),
            ("CI_MERGE_REQUEST_TARGET_BRANCH_NAME", self.target.as_deref().unwrap_or(&self.default_branch)),
            ("CI_MERGE_REQUEST_PROJECT_PATH", &self.project),
            ("CI_MERGE_REQUEST_SOURCE_PROJECT_PATH", &self.project),
        ]
    }
}

/// GitLab's slug: lower case, `-` for all but letters and digits, at most 63 characters, no `-` at its ends.
#[must_use]
pub fn slug(text: &str) -> String {
    let text: String = text
        .chars()
        .flat_map(char::to_lowercase)
        .map(|c| if c.is_ascii_lowercase() || c.is_ascii_digit() { c } else { '-' })
        .take(63)
        .collect();
    text.trim_matches('-').to_owned()
}

/// The slug of an environment's name: a letter first, at most 24 characters, and a mark of the whole name if it lost
/// something.
#[must_use]
pub fn environment_slug(name: &str) -> String {
    let mut text = String::new();
    for c in name.chars().flat_map(char::to_lowercase) {
        let c = if c.is_ascii_lowercase() || c.is_ascii_digit() { c } else { '-' };
        if !(c == '-' && text.ends_with('-')) {
            text.push(c);
        }
    }
    if !text.starts_with(|c: char| c.is_ascii_lowercase()) {
        text.insert_str(0, "env-");
    }
    if text.len() <= 24 && text == name {
        return text.trim_end_matches('-').to_owned();
    }
    let digest = <sha2::Sha256 as sha2::Digest>::digest(name.as_bytes());
    let last = digest.iter().fold(0, |sum, byte| (sum * 256 + u64::from(*byte)) % 36_u64.pow(6));
    text.truncate(17);
    let dash = if text.ends_with('-') { "" } else { "-" };
    format!("{text}{dash}{}", base_36(last))
}

/// The last six digits of a number, with `a` to `z` behind `9`.
fn base_36(mut number: u64) -> String {
    let mut text = Vec::new();
    for _ in 0..6 {
        let digit = u32::try_from(number % 36).unwrap_or_default();
        text.push(char::from_digit(digit, 36).unwrap_or('0'));
        number /= 36;
    }
    text.iter().rev().collect()
}
