//! A job as `POST jobs/request` answers it (API v4).
//!
//! What must stay true: nothing unknown is an error, and `null` is everywhere the same as absent, so that a newer server
//! is understood. What a job holds is secret in large parts: nothing here has a `Debug` that shows a value or a token.

use crate::domain::token::Token;
use serde::{Deserialize, Deserializer};

/// A job that this runner has claimed.
#[derive(Deserialize)]
pub struct Job {
    /// The job's number.
    pub id: u64,
    /// What every call about this job presents.
    #[serde(deserialize_with = "token")]
    pub token: Token,
    /// Whether the checkout may be kept from one job to the next.
    #[serde(default, deserialize_with = "nullable")]
    pub allow_git_fetch: bool,
    /// What the job is called.
    #[serde(default, deserialize_with = "nullable")]
    pub job_info: JobInfo,
    /// What is checked out.
    #[serde(default, deserialize_with = "nullable")]
    pub git_info: GitInfo,
    /// What the server asks of the runner.
    #[serde(default, deserialize_with = "nullable")]
    pub runner_info: RunnerInfo,
    /// In the server's order; later ones win.
    #[serde(default, deserialize_with = "list")]
    pub variables: Vec<Variable>,
    /// The scripts; `after_script` is one of them.
    #[serde(default, deserialize_with = "list")]
    pub steps: Vec<Step>,
    /// What a container would be made of; a shell only tells its name.
    #[serde(default, deserialize_with = "nullable")]
    pub image: Image,
    /// Containers beside that one, which a shell does not start.
    #[serde(default, deserialize_with = "list")]
    pub services: Vec<Image>,
    /// What is uploaded.
    #[serde(default, deserialize_with = "list")]
    pub artifacts: Vec<Artifact>,
    /// What is kept from job to job.
    #[serde(default, deserialize_with = "list")]
    pub cache: Vec<Cache>,
    /// Jobs whose archives are unpacked before the script.
    #[serde(default, deserialize_with = "list")]
    pub dependencies: Vec<Dependency>,
    /// Scripts around the checkout.
    #[serde(default, deserialize_with = "list")]
    pub hooks: Vec<Hook>,
    /// What the server understands.
    #[serde(default, deserialize_with = "nullable")]
    pub features: Features,
}

/// What a job is called.
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct JobInfo {
    /// The job's name.
    #[serde(deserialize_with = "nullable")]
    pub name: String,
    /// The project's number.
    #[serde(deserialize_with = "nullable")]
    pub project_id: i64,
}

/// What is checked out.
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct GitInfo {
    /// May hold a token.
    #[serde(deserialize_with = "nullable")]
    pub repo_url: String,
    /// The name of the branch or tag.
    #[serde(rename = "ref", deserialize_with = "nullable")]
    pub reference: String,
    /// The commit.
    #[serde(deserialize_with = "nullable")]
    pub sha: String,
    /// What is fetched.
    #[serde(deserialize_with = "nullable")]
    pub refspecs: Vec<String>,
    /// How many commits are fetched; 0: all.
    #[serde(deserialize_with = "nullable")]
    pub depth: i64,
    /// `sha256`, or else SHA-1.
    #[serde(deserialize_with = "nullable")]
    pub repo_object_format: String,
}

/// What the server asks of the runner.
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct RunnerInfo {
    /// Seconds from the claim to the job's end.
    #[serde(deserialize_with = "nullable")]
    pub timeout: i64,
}

/// A variable.
#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub struct Variable {
    /// Its name, which need not be one that shells take.
    #[serde(deserialize_with = "nullable")]
    pub key: String,
    /// Its value, which may be secret.
    #[serde(deserialize_with = "nullable")]
    pub value: String,
    /// Whether the value goes to a file, whose path the variable then is.
    #[serde(deserialize_with = "nullable")]
    pub file: bool,
    /// Whether `$` in it is only that.
    #[serde(deserialize_with = "nullable")]
    pub raw: bool,
    /// Whether the log shows `[MASKED]` in its place.
    #[serde(deserialize_with = "nullable")]
    pub masked: bool,
}

/// A script.
#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub struct Step {
    /// `script`, `after_script`, or a name of its own.
    #[serde(deserialize_with = "nullable")]
    pub name: String,
    /// Its entries, each of one line or more.
    #[serde(deserialize_with = "nullable")]
    pub script: Vec<String>,
}

/// A container's image.
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct Image {
    /// Empty: there is none.
    #[serde(deserialize_with = "nullable")]
    pub name: String,
}

/// When artifacts are uploaded and caches are saved.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub enum When {
    /// After a job that went well.
    #[default]
    OnSuccess,
    /// After a job that failed.
    OnFailure,
    /// After either.
    Always,
}

impl When {
    /// Whether it holds for a job that went well so far, or failed.
    #[must_use]
    pub fn holds(self, is_good: bool) -> bool {
        match self {
            When::OnSuccess => is_good,
            When::OnFailure => !is_good,
            When::Always => true,
        }
    }
}

impl<'de> Deserialize<'de> for When {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<When, D::Error> {
        let word = Option::<String>::deserialize(deserializer)?;
        Ok(match word.as_deref() {
            Some("on_failure") => When::OnFailure,
            Some("always") => When::Always,
            // As absent: an unknown word of a newer server must not lose the job.
            Some(_) | None => When::OnSuccess,
        })
    }
}

/// One upload.
#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub struct Artifact {
    /// What the archive is called; expanded.
    #[serde(deserialize_with = "nullable")]
    pub name: String,
    /// Whether all files are taken that git does not track.
    #[serde(deserialize_with = "nullable")]
    pub untracked: bool,
    /// Globs of what is taken.
    #[serde(deserialize_with = "nullable")]
    pub paths: Vec<String>,
    /// Globs of what is left out.
    #[serde(deserialize_with = "nullable")]
    pub exclude: Vec<String>,
    /// After which jobs.
    pub when: When,
    /// How long the server keeps it, in its own words.
    #[serde(deserialize_with = "nullable")]
    pub expire_in: String,
    /// `archive`, `junit`, ...
    #[serde(deserialize_with = "nullable")]
    pub artifact_type: String,
    /// `zip`, `gzip`, `raw`.
    #[serde(deserialize_with = "nullable")]
    pub artifact_format: String,
}

/// Files that are kept from job to job.
#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub struct Cache {
    /// Which of the kept archives it is; expanded.
    #[serde(deserialize_with = "nullable")]
    pub key: String,
    /// Whether all files are kept that git does not track.
    #[serde(deserialize_with = "nullable")]
    pub untracked: bool,
    /// Globs of what is kept.
    #[serde(deserialize_with = "nullable")]
    pub paths: Vec<String>,
    /// `pull-push`, `pull`, `push`; expanded.
    #[serde(deserialize_with = "nullable")]
    pub policy: String,
    /// After which jobs it is saved.
    pub when: When,
    /// Keys that are tried when there is no archive of the first.
    #[serde(deserialize_with = "nullable")]
    pub fallback_keys: Vec<String>,
}

/// A job whose archive is unpacked before the script.
#[derive(Deserialize)]
pub struct Dependency {
    /// Its number.
    pub id: u64,
    /// What it is called.
    #[serde(default, deserialize_with = "nullable")]
    pub name: String,
    /// What the download presents.
    #[serde(deserialize_with = "token")]
    pub token: Token,
    /// What it has uploaded.
    #[serde(default, deserialize_with = "nullable")]
    pub artifacts_file: ArtifactsFile,
}

/// An archive that another job has uploaded.
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct ArtifactsFile {
    /// Empty: there is none.
    #[serde(deserialize_with = "nullable")]
    pub filename: String,
}

/// A script around the checkout.
#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub struct Hook {
    /// `pre_get_sources_script` or `post_get_sources_script`.
    #[serde(deserialize_with = "nullable")]
    pub name: String,
    /// Its entries.
    #[serde(deserialize_with = "nullable")]
    pub script: Vec<String>,
}

/// What the server understands.
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct Features {
    /// Marks of sections in the log.
    #[serde(deserialize_with = "nullable")]
    pub trace_sections: bool,
    /// Words that begin a secret, beside those that are known.
    #[serde(deserialize_with = "nullable")]
    pub token_mask_prefixes: Vec<String>,
    /// Reasons of failures that may be sent.
    #[serde(deserialize_with = "nullable")]
    pub failure_reasons: Vec<String>,
}

impl Job {
    /// The job's entries of a hook.
    #[must_use]
    pub fn hook(&self, name: &str) -> &[String] {
        self.hooks.iter().find(|hook| hook.name == name).map_or(&[], |hook| &hook.script)
    }
}

/// `null` is the default value.
fn nullable<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(deserializer: D) -> Result<T, D::Error> {
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

/// A list, in which old servers have `null` for nothing.
fn list<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    let list = Option::<Vec<Option<T>>>::deserialize(deserializer)?;
    Ok(list.into_iter().flatten().flatten().collect())
}

fn token<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Token, D::Error> {
    let text = String::deserialize(deserializer)?;
    Token::received(&text).ok_or_else(|| serde::de::Error::custom("the token is empty"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_job_with_an_id_and_a_token_is_enough() {
        let job: Job = serde_json::from_value(json!({"id": 7, "token": "t"})).unwrap();
        assert!(job.id == 7 && job.token.reveal() == "t" && job.steps.is_empty());
        assert!(serde_json::from_value::<Job>(json!({"id": 7})).is_err());
        assert!(serde_json::from_value::<Job>(json!({"id": 7, "token": ""})).is_err());
    }

    #[test]
    fn null_is_absent_and_what_is_unknown_is_passed_over() {
        let job: Job = serde_json::from_value(json!({
            "id": 7, "token": "t", "allow_git_fetch": null, "git_info": null, "artifacts": [null], "cache": null,
            "variables": [{"key": "A", "value": null, "file": null, "new": 1}], "features": {"later": {}},
            "image": {"name": null, "entrypoint": ["x"]}, "run": "[]", "steps": [{"name": "script", "script": null}],
            "runner_info": {"timeout": null}
        }))
        .unwrap();
        assert!(job.artifacts.is_empty() && job.variables[0].value.is_empty() && job.image.name.is_empty());
    }

    #[test]
    fn when_holds_after_the_jobs_that_it_names() {
        let of = |value| serde_json::from_value::<Artifact>(json!({"when": value})).unwrap().when;
        assert_eq!(of(json!(null)), When::OnSuccess);
        assert_eq!(of(json!("sometimes")), When::OnSuccess);
        for (word, good, bad) in [("on_success", true, false), ("on_failure", false, true), ("always", true, true)] {
            let when = of(json!(word));
            assert_eq!((when.holds(true), when.holds(false)), (good, bad), "{word}");
        }
    }
}
