//! Under which circumstances a configuration is read that lies in a commit, and the variables that say so.

use super::PipelineRequest;
use super::fetch::FetchedCommit;
use crate::domain::pipeline::Source;
use crate::git::Head;
use crate::gitlab_ci::context::Context;

/// The file that is read first, unless somebody names another.
pub const CONFIG_PATH: &str = ".gitlab-ci.yml";
/// GitLab's "no commit".
const NO_COMMIT: &str = "0000000000000000000000000000000000000000";
/// Digits of a commit that scripts know as its short name.
const SHORT: usize = 8;
/// The name of the one who operates this: there are no others.
const OPERATOR: &str = "operator";

/// What a commit says of itself; `sha` is its name, and `base` what it is compared with.
#[must_use]
pub fn of_commit(head: &Head, sha: &str, base: Option<&str>) -> Vec<(String, String)> {
    let description = head.message.split_once('\n').map(|(_, rest)| rest.trim_start_matches('\n')).unwrap_or_default();
    [
        ("CI_COMMIT_SHA", sha),
        ("CI_COMMIT_SHORT_SHA", sha.get(..SHORT).unwrap_or_default()),
        ("CI_COMMIT_BEFORE_SHA", base.unwrap_or(NO_COMMIT)),
        ("CI_COMMIT_TITLE", head.title()),
        ("CI_COMMIT_MESSAGE", &head.message),
        ("CI_COMMIT_DESCRIPTION", description),
        ("CI_COMMIT_AUTHOR", &format!("{} <{}>", head.author_name, head.author_email)),
        ("CI_COMMIT_TIMESTAMP", &head.committed_at),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .into()
}

/// Those of a pipeline that is asked for.
pub fn context_of(commit: &FetchedCommit, request: &PipelineRequest) -> Context {
    let mut predefined = of_commit(&commit.head, &commit.sha, None);
    let mut put = |key: &str, value: &str| predefined.push((key.to_owned(), value.to_owned()));
    if let Some(message) = &commit.tag_message {
        put("CI_COMMIT_TAG_MESSAGE", message);
    }
    if matches!(request.source, Source::Trigger | Source::Pipeline) {
        put("CI_PIPELINE_TRIGGERED", "true");
    }
    put("GITLAB_USER_ID", "1");
    put("GITLAB_USER_LOGIN", OPERATOR);
    put("GITLAB_USER_NAME", &request.actor);
    let name = commit.ref_name.clone();
    let (branch, tag) = if commit.is_tag { (None, Some(name)) } else { (Some(name), None) };
    Context {
        source: request.source,
        default_branch: commit.default_branch.clone().unwrap_or_default(),
        branch,
        tag,
        target: None,
        project: request.project.clone(),
        config_path: CONFIG_PATH.to_owned(),
        predefined,
        given: request.given.clone(),
        inputs: request.inputs.clone(),
    }
}
