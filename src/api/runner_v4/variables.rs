//! The variables that runners from 9.0 on get: today's names, in GitLab's order; then the operator's, since later ones win.
//! Runners that know one kind of upload (before 11.2) get the names of 8.x too, which scripts of their time read.

use crate::api::shared::variables::OLD_NAMES;
use crate::coordinator::Assigned;
use crate::domain::base_url::BaseUrl;
use crate::domain::build::Variable;
use crate::domain::runner::{Feature, FeatureSet};
use crate::domain::variables::Fact;

/// What every generation gets, by which names.
const NAMES: [(&str, Fact); 51] = [
    ("CI", Fact::IsBuild),
    ("GITLAB_CI", Fact::IsBuild),
    ("BATON", Fact::IsBuild),
    ("CI_PIPELINE_ID", Fact::PipelineId),
    ("CI_PIPELINE_IID", Fact::PipelineIid),
    ("CI_PIPELINE_SOURCE", Fact::PipelineSource),
    ("CI_PIPELINE_NAME", Fact::PipelineName),
    ("CI_PIPELINE_CREATED_AT", Fact::PipelineCreatedAt),
    ("CI_JOB_ID", Fact::Id),
    ("CI_JOB_TOKEN", Fact::Token),
    ("CI_JOB_NAME", Fact::Name),
    ("CI_JOB_NAME_SLUG", Fact::NameSlug),
    ("CI_JOB_STAGE", Fact::Stage),
    ("CI_JOB_STARTED_AT", Fact::StartedAt),
    ("CI_NODE_TOTAL", Fact::NodeTotal),
    ("CI_REPOSITORY_URL", Fact::RepoUrl),
    ("CI_COMMIT_SHA", Fact::Sha),
    ("CI_COMMIT_SHORT_SHA", Fact::ShortSha),
    ("CI_COMMIT_BEFORE_SHA", Fact::BeforeSha),
    ("CI_COMMIT_REF_NAME", Fact::Ref),
    ("CI_COMMIT_REF_SLUG", Fact::RefSlug),
    ("CI_COMMIT_BRANCH", Fact::Branch),
    ("CI_COMMIT_TAG", Fact::Tag),
    ("CI_PROJECT_ID", Fact::ProjectId),
    ("CI_PROJECT_NAME", Fact::ProjectName),
    ("CI_PROJECT_TITLE", Fact::ProjectName),
    ("CI_PROJECT_PATH", Fact::ProjectPath),
    ("CI_PROJECT_PATH_SLUG", Fact::ProjectPathSlug),
    ("CI_PROJECT_NAMESPACE", Fact::ProjectNamespace),
    ("CI_PROJECT_ROOT_NAMESPACE", Fact::ProjectRootNamespace),
    ("CI_PROJECT_VISIBILITY", Fact::Visibility),
    ("CI_PROJECT_URL", Fact::ProjectUrl),
    ("CI_SERVER_URL", Fact::ServerUrl),
    ("CI_SERVER_HOST", Fact::ServerHost),
    ("CI_SERVER_PORT", Fact::ServerPort),
    ("CI_SERVER_PROTOCOL", Fact::ServerProtocol),
    ("CI_SERVER_FQDN", Fact::ServerAuthority),
    ("CI_API_V4_URL", Fact::ApiUrl),
    ("CI_SERVER_NAME", Fact::ServerName),
    ("CI_SERVER_VERSION", Fact::ServerVersion),
    ("CI_SERVER_VERSION_MAJOR", Fact::ServerMajor),
    ("CI_SERVER_VERSION_MINOR", Fact::ServerMinor),
    ("CI_SERVER_VERSION_PATCH", Fact::ServerPatch),
    ("CI_SERVER_REVISION", Fact::ServerVersion),
    ("GITLAB_FEATURES", Fact::Nothing),
    ("CI_RUNNER_ID", Fact::RunnerId),
    ("CI_RUNNER_DESCRIPTION", Fact::RunnerDescription),
    ("CI_RUNNER_TAGS", Fact::RunnerTagsJson),
    ("CI_CONFIG_PATH", Fact::ConfigPath),
    ("CI_JOB_TIMEOUT", Fact::Timeout),
    ("GIT_STRATEGY", Fact::GitStrategy),
];

/// All variables of a build for a runner that has these features and has come by `server`.
#[must_use]
pub fn of(assigned: &Assigned, features: FeatureSet, server: Option<&BaseUrl>) -> Vec<Variable> {
    let facts = assigned.facts(server);
    let mut all = facts.variables(&NAMES);
    if !features.has(Feature::UploadMultipleArtifacts) {
        all.extend(facts.variables(&OLD_NAMES));
    }
    all.extend(assigned.given_variables());
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::reserved::is_reserved;

    /// Those that operators may set mean something else than who the build is.
    #[test]
    fn operators_may_set_no_name_that_says_who_a_build_is() {
        for (name, _) in NAMES.iter().chain(&OLD_NAMES) {
            let is_free = ["CI", "GITLAB_CI", "BATON", "GIT_STRATEGY"].contains(name);
            assert!(is_reserved(name) != is_free, "{name}");
        }
    }
}
