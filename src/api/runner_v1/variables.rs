//! The variables that runners 1.x get: GitLab's, by the names of 8.x and 9.0; then the operator's, since later ones win.

use crate::api::shared::variables::OLD_NAMES;
use crate::coordinator::Assigned;
use crate::domain::base_url::BaseUrl;
use crate::domain::build::Variable;
use crate::domain::variables::Fact;

/// What this generation gets besides, by which names.
const NAMES: [(&str, Fact); 22] = [
    ("CI", Fact::IsBuild),
    ("GITLAB_CI", Fact::IsBuild),
    ("CI_SERVER_NAME", Fact::ServerName),
    ("CI_SERVER_VERSION", Fact::ServerVersion),
    ("CI_SERVER_REVISION", Fact::ServerVersion),
    ("CI_PIPELINE_ID", Fact::PipelineId),
    ("CI_JOB_ID", Fact::Id),
    ("CI_JOB_NAME", Fact::Name),
    ("CI_JOB_STAGE", Fact::Stage),
    ("CI_JOB_TOKEN", Fact::Token),
    ("CI_COMMIT_SHA", Fact::Sha),
    ("CI_COMMIT_REF_NAME", Fact::Ref),
    ("CI_COMMIT_REF_SLUG", Fact::RefSlug),
    ("CI_REPOSITORY_URL", Fact::RepoUrl),
    ("CI_COMMIT_TAG", Fact::Tag),
    ("CI_PROJECT_ID", Fact::ProjectId),
    ("CI_PROJECT_NAME", Fact::ProjectName),
    ("CI_PROJECT_PATH", Fact::ProjectPath),
    ("CI_RUNNER_ID", Fact::RunnerId),
    ("CI_RUNNER_DESCRIPTION", Fact::RunnerDescription),
    ("CI_RUNNER_TAGS", Fact::RunnerTags),
    ("GIT_STRATEGY", Fact::GitStrategy),
];

/// All variables of a build whose runner has come by `server`, with values as the build is to get them.
#[must_use]
pub fn of(assigned: &Assigned, server: Option<&BaseUrl>) -> Vec<Variable> {
    let facts = assigned.facts(server);
    let mut all = facts.variables(&NAMES);
    all.extend(facts.variables(&OLD_NAMES));
    all.extend(assigned.given_variables());
    all
}

/// Runners 1.x replace `$NAME` in values by other variables, and `$$` by `$`.
#[must_use]
pub fn sent_value(variable: &Variable) -> String {
    if variable.expand { variable.value.clone() } else { variable.value.replace('$', "$$") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::reserved::is_reserved;

    /// Those that operators may set mean something else than who the build is.
    #[test]
    fn operators_may_set_no_name_that_says_who_a_build_is() {
        for (name, _) in NAMES {
            let is_free = ["CI", "GITLAB_CI", "GIT_STRATEGY"].contains(&name);
            assert!(is_reserved(name) != is_free, "{name}");
        }
    }

    #[test]
    fn only_what_is_not_to_be_expanded_has_its_dollars_doubled() {
        let literal = Variable::public("A", "$B ${C} $$");
        assert_eq!(sent_value(&literal), "$$B $${C} $$$$");
        assert_eq!(sent_value(&Variable { expand: true, ..literal }), "$B ${C} $$");
    }
}
