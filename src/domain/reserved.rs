//! Variables that tell a build who it is. The runner would take an operator's value in their place, and the build
//! would then speak of another one, or with a token that is none.

use super::build::Variable;

/// Their names, without `CI` and `GITLAB_CI`: scripts are told with `CI=false` to behave as on a desk.
const NAMES: [&str; 59] = [
    "CI_SERVER",
    "CI_SERVER_NAME",
    "CI_SERVER_VERSION",
    "CI_SERVER_REVISION",
    "CI_PIPELINE_ID",
    "CI_PIPELINE_IID",
    "CI_PIPELINE_SOURCE",
    "CI_PIPELINE_NAME",
    "CI_PIPELINE_CREATED_AT",
    "CI_JOB_ID",
    "CI_JOB_NAME",
    "CI_JOB_STAGE",
    "CI_JOB_TOKEN",
    "CI_COMMIT_SHA",
    "CI_COMMIT_REF_NAME",
    "CI_COMMIT_REF_SLUG",
    "CI_COMMIT_TAG",
    "CI_REPOSITORY_URL",
    "CI_BUILD_ID",
    "CI_BUILD_REF",
    "CI_BUILD_BEFORE_SHA",
    "CI_BUILD_REF_NAME",
    "CI_BUILD_REF_SLUG",
    "CI_BUILD_NAME",
    "CI_BUILD_STAGE",
    "CI_BUILD_TOKEN",
    "CI_BUILD_REPO",
    "CI_BUILD_TAG",
    "CI_PROJECT_ID",
    "CI_PROJECT_NAME",
    "CI_PROJECT_PATH",
    "CI_PROJECT_DIR",
    "CI_RUNNER_ID",
    "CI_RUNNER_DESCRIPTION",
    "CI_RUNNER_TAGS",
    "CI_JOB_NAME_SLUG",
    "CI_JOB_STARTED_AT",
    "CI_NODE_TOTAL",
    "CI_COMMIT_SHORT_SHA",
    "CI_COMMIT_BEFORE_SHA",
    "CI_COMMIT_BRANCH",
    "CI_PROJECT_TITLE",
    "CI_PROJECT_PATH_SLUG",
    "CI_PROJECT_NAMESPACE",
    "CI_PROJECT_ROOT_NAMESPACE",
    "CI_PROJECT_VISIBILITY",
    "CI_PROJECT_URL",
    "CI_SERVER_URL",
    "CI_SERVER_HOST",
    "CI_SERVER_PORT",
    "CI_SERVER_PROTOCOL",
    "CI_SERVER_FQDN",
    "CI_API_V4_URL",
    "CI_SERVER_VERSION_MAJOR",
    "CI_SERVER_VERSION_MINOR",
    "CI_SERVER_VERSION_PATCH",
    "GITLAB_FEATURES",
    "CI_CONFIG_PATH",
    "CI_JOB_TIMEOUT",
];

/// Whether a build gets a variable of this name by itself.
#[must_use]
pub fn is_reserved(name: &str) -> bool {
    NAMES.contains(&name)
}

/// Refuses variables that a build gets by itself.
///
/// # Errors
/// Names the first of them.
pub fn check(variables: &[Variable]) -> Result<(), String> {
    check_names(variables.iter().map(|variable| variable.key.as_str()))
}

/// Refuses names of variables that a build gets by itself.
///
/// # Errors
/// Names the first of them.
pub fn check_names<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<(), String> {
    match names.into_iter().find(|name| is_reserved(name)) {
        None => Ok(()),
        Some(name) => Err(format!("the variable {name} is set for every build, to what it is; choose another name")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_build_gets_by_itself_is_refused_and_what_only_sounds_so_is_not() {
        for name in ["CI_BUILD_ID", "CI_JOB_TOKEN", "CI_RUNNER_TAGS"] {
            let message = check(&[Variable::secret("A", "1"), Variable::secret(name, "hunter2")]).unwrap_err();
            assert!(message.contains(name) && !message.contains("hunter2"), "{message}");
        }
        for name in ["CI", "CI_DEBUG_TRACE", "GIT_STRATEGY", "CI_COMMIT_TITLE", "ci_build_id", "MY_CI_BUILD_ID"] {
            assert_eq!(check(&[Variable::public(name, "1")]), Ok(()), "{name}");
        }
    }
}
