//! The variables that a build gets: GitLab's, by the names of 8.x and 9.0, then the operator's, of which
//! later ones win in the runner. With them row 21, as far as it applies.

use crate::harness::*;
use baton::domain::build::{NewBuild, Variable};
use baton::store::runners::NewRunner;
use serde_json::Value;
use std::time::Duration;

/// The variables in an answer: key, value, public.
fn variables(build: &Claimed) -> Vec<(String, String, bool)> {
    let text = |value: &Value| value.as_str().expect("a string").to_owned();
    let variables = build.json["variables"].as_array().expect("an array");
    variables
        .iter()
        .map(|variable| (text(&variable["key"]), text(&variable["value"]), variable["public"].as_bool().unwrap()))
        .collect()
}

/// What the runner makes of them: the last value of each key.
fn value(build: &Claimed, key: &str) -> Option<String> {
    variables(build).into_iter().rev().find(|(own, _, _)| own == key).map(|(_, value, _)| value)
}

/// Key, value, public; those of the token apart.
fn check(build: &Claimed, expected: &[(&str, &str)]) {
    for (key, expected) in expected {
        assert_eq!(value(build, key).as_deref(), Some(*expected), "{key}");
    }
}

#[test]
fn a_build_knows_itself_its_project_and_its_runner() {
    let baton = Baton::start();
    let url = Some("https://git.test/group/demo.git");
    let project = baton
        .operator()
        .add_project("group/demo", url, Duration::from_secs(60), baton::domain::time::Timestamp::now())
        .unwrap();
    let runner = baton
        .runner_like(NewRunner { description: "big iron".to_owned(), tags: tags("mysql,ruby"), ..new_runner() }, None);
    let id = baton.queue(NewBuild { ref_: "feature/Foo_Bar".to_owned(), ..new_build("group/demo") }).to_string();
    let build = baton.claim(&runner);
    let sha = build.json["sha"].as_str().unwrap();
    let (project_id, runner_id) = (project.id.0.to_string(), runner.id.to_string());
    check(
        &build,
        &[
            ("CI", "true"),
            ("GITLAB_CI", "true"),
            ("CI_JOB_ID", &id),
            ("CI_JOB_NAME", "spinach"),
            ("CI_JOB_STAGE", "test"),
            ("CI_COMMIT_SHA", sha),
            ("CI_COMMIT_REF_NAME", "feature/Foo_Bar"),
            ("CI_COMMIT_REF_SLUG", "feature-foo-bar"),
            ("CI_BUILD_ID", &id),
            ("CI_BUILD_REF", sha),
            ("CI_BUILD_BEFORE_SHA", "0000000000000000000000000000000000000000"),
            ("CI_BUILD_REF_NAME", "feature/Foo_Bar"),
            ("CI_BUILD_REF_SLUG", "feature-foo-bar"),
            ("CI_BUILD_NAME", "spinach"),
            ("CI_BUILD_STAGE", "test"),
            ("CI_PROJECT_ID", &project_id),
            ("CI_PROJECT_NAME", "demo"),
            ("CI_PROJECT_PATH", "group/demo"),
            ("CI_RUNNER_ID", &runner_id),
            ("CI_RUNNER_DESCRIPTION", "big iron"),
            ("CI_RUNNER_TAGS", "mysql, ruby"),
            ("DB_NAME", "postgres"),
        ],
    );
    for key in ["CI_SERVER_NAME", "CI_SERVER_VERSION", "CI_SERVER_REVISION", "CI_REPOSITORY_URL", "CI_BUILD_REPO"] {
        assert!(value(&build, key).is_some_and(|value| !value.is_empty()), "{key}");
    }
    for key in ["CI_COMMIT_TAG", "CI_BUILD_TAG", "GIT_STRATEGY", "CI_PIPELINE_TRIGGERED", "CI_BUILD_TRIGGERED"] {
        assert_eq!(value(&build, key), None, "{key}");
    }
}

#[test]
fn a_build_of_a_tag_knows_the_tag() {
    let baton = Baton::with_project();
    baton.queue(NewBuild { ref_: "v1.0".to_owned(), is_tag: true, ..new_build("demo") });
    let build = baton.claim(&baton.runner());
    check(&build, &[("CI_COMMIT_TAG", "v1.0"), ("CI_BUILD_TAG", "v1.0")]);
    assert_eq!(build.json["tag"], true);
}

#[test]
fn the_builds_token_is_there_under_both_names_and_marked_secret() {
    let baton = Baton::with_project();
    let (_, build) = baton.running();
    for key in ["CI_JOB_TOKEN", "CI_BUILD_TOKEN"] {
        assert!(variables(&build).contains(&(key.to_owned(), build.token.clone(), false)), "{key}");
    }
    for (key, value, public) in variables(&build) {
        assert!(!public || !value.contains(&build.token), "{key} shows the token");
    }
}

/// Later ones win, so the operator's must come last, in the operator's order.
#[test]
fn the_operators_variables_come_last_and_in_order() {
    let baton = Baton::with_project();
    let own = vec![
        Variable::public("CI_JOB_NAME", "mine"),
        Variable::secret("PASSWORD", "correct horse"),
        Variable::public("A", "first"),
        Variable::public("A", "$CI_JOB_NAME ${B}"),
    ];
    baton.queue(NewBuild { variables: own.clone(), ..new_build("demo") });
    let build = baton.claim(&baton.runner());
    let got = variables(&build);
    let expected: Vec<_> = own.iter().map(|v| (v.key.clone(), v.value.replace('$', "$$"), v.public)).collect();
    assert_eq!(got[got.len() - own.len()..], expected);
    check(&build, &[("CI_JOB_NAME", "mine"), ("A", "$$CI_JOB_NAME $${B}"), ("CI_BUILD_NAME", "spinach")]);
}

/// All runners replace `$NAME`; what is not meant so is sent with its dollars doubled.
#[test]
fn a_value_that_is_to_be_expanded_is_sent_as_it_is() {
    let baton = Baton::with_project();
    let expanded = Variable { expand: true, ..Variable::public("A", "$CI_JOB_NAME $$ ${B}") };
    baton.queue(NewBuild { variables: vec![expanded, Variable::public("B", "$5")], ..new_build("demo") });
    let build = baton.claim(&baton.runner());
    check(&build, &[("A", "$CI_JOB_NAME $$ ${B}"), ("B", "$$5")]);
    let variables = build.json["variables"].as_array().unwrap();
    assert!(variables.iter().all(|variable| variable.get("expand").is_none()), "runners 1.x know no such key");
}

/// Runner 1.9 and later read `file`; for others the key must not be in the way.
#[test]
fn a_variable_may_be_a_file() {
    let baton = Baton::with_project();
    let file = Variable { file: true, ..Variable::secret("KEY", "-----BEGIN KEY-----\nabc\n") };
    baton.queue(NewBuild { variables: vec![file], ..new_build("demo") });
    let build = baton.claim(&baton.runner());
    let variables = build.json["variables"].as_array().unwrap();
    let key = variables.iter().find(|variable| variable["key"] == "KEY").unwrap();
    assert_eq!((&key["file"], &key["value"]), (&Value::Bool(true), &Value::from("-----BEGIN KEY-----\nabc\n")));
    for variable in variables {
        assert!(variable.get("file").is_none_or(Value::is_boolean), "{variable}");
    }
}

#[test]
fn a_long_ref_makes_a_slug_that_is_a_host_name() {
    let baton = Baton::with_project();
    let runner = baton.runner();
    for ref_ in ["release/1.0.x", "_odd-", "UPPER_case", &"a".repeat(100), "grün", "x!"] {
        baton.queue(NewBuild { ref_: ref_.to_owned(), ..new_build("demo") });
        let slug = value(&baton.claim(&runner), "CI_COMMIT_REF_SLUG").unwrap();
        assert!(slug.len() <= 63 && !slug.starts_with('-') && !slug.ends_with('-'), "{slug}");
        assert!(slug.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-'), "{slug}");
    }
}
