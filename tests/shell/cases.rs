//! The cases of `tests/golden/shell-runner-cases.yml`: what the shell executor does with a job. Each is a repository and
//! a pipeline, which the built-in runner runs to its end.
//!
//! `BATON_TEST_RUNNER` names a `gitlab-runner` that runs them in its place: what fails then is where the two differ, or where
//! the cases are wrong. `docs/compatibility.md` lists that.
//!
//! What is not judged: `equal`, which compares two runners, and the upper bound of `seconds`, since a machine may be busy
//! with anything.

use super::fake::{Fake, Known};
use super::pipeline::{Planned, Repository, plan};
use super::stand::{Stand, shown};
use baton::runner::{Options, Shell};
use flate2::read::MultiGzDecoder;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{Cursor, Read};
use std::path::PathBuf;
use std::time::{Duration, Instant};
use zip::ZipArchive;

fn all() -> Vec<Value> {
    serde_yaml_ng::from_str(include_str!("../golden/shell-runner-cases.yml")).unwrap()
}

macro_rules! cases {
    ($($test:ident $name:literal)*) => {
        $(#[test] fn $test() { run($name); })*

        #[test]
        fn every_case_is_run() {
            let names: Vec<Value> = all().iter().map(|case| case["name"].clone()).collect();
            let mut run = vec![$($name),*];
            run.sort_by_key(|name| names.iter().position(|known| known == name));
            assert_eq!(names, run);
        }
    };
}

cases! {
    green_with_every_kind_of_line "green-with-every-kind-of-line"
    exit_code_of_a_subshell_is_kept "exit-code-of-a-subshell-is-kept"
    exit_zero_ends_the_script_and_is_good "exit-zero-ends-the-script-and-is-good"
    pipefail_and_errexit "pipefail-and-errexit"
    syntax_error_ends_with_2 "syntax-error-ends-with-2"
    an_if_over_three_entries "an-if-over-three-entries"
    missing_command_is_127 "missing-command-is-127"
    allow_failure_by_exit_code "allow-failure-by-exit-code"
    killing_the_outer_shell "killing-the-outer-shell"
    variables_survive_quoting "variables-survive-quoting"
    runner_expands_once "runner-expands-once"
    file_variable "file-variable"
    masked_value_across_writes "masked-value-across-writes"
    environment_of_the_runner "environment-of-the-runner"
    login_shell_and_profile "login-shell-and-profile"
    profile_that_exits "profile-that-exits"
    profile_that_reads_standard_input "profile-that-reads-standard-input"
    bash_logout_that_fails "bash-logout-that-fails"
    background_process_that_holds_the_log "background-process-that-holds-the-log"
    background_process_without_the_log "background-process-without-the-log"
    job_timeout_ends_everything "job-timeout-ends-everything"
    script_timeout_leaves_time_for_after_script "script-timeout-leaves-time-for-after-script"
    cancel_runs_after_script_and_traps "cancel-runs-after-script-and-traps"
    cancel_of_a_process_that_ignores_term "cancel-of-a-process-that-ignores-term"
    terminal_is_not_the_jobs "terminal-is-not-the-jobs"
    after_script_is_another_shell "after-script-is-another-shell"
    gitlab_env_reaches_later_stages "gitlab-env-reaches-later-stages"
    second_run_cleans_the_checkout "second-run-cleans-the-checkout"
    git_strategies "git-strategies"
    no_clean_no_checkout "no-clean-no-checkout"
    locks_left_over "locks-left-over"
    broken_repository "broken-repository"
    artifact_archive_in_detail "artifact-archive-in-detail"
    artifact_globs "artifact-globs"
    artifacts_hidden_git_and_untracked "artifacts-hidden-git-and-untracked"
    artifacts_when_and_nothing_to_upload "artifacts-when-and-nothing-to-upload"
    reports_junit_and_dotenv "reports-junit-and-dotenv"
    artifacts_come_down_in_order "artifacts-come-down-in-order"
    cache_keys_policies_fallback "cache-keys-policies-fallback"
    cache_is_not_remade_for_deletions "cache-is-not-remade-for-deletions"
}

/// A job that ran.
struct Ran {
    id: u64,
    known: Known,
    took: Duration,
}

fn run(name: &str) {
    let case = all().into_iter().find(|case| case["name"] == name).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let repository = Repository::make(&dir.path().canonicalize().unwrap().join("repository"), &case);
    let home = dir.path().join("home");
    std::fs::create_dir_all(&home).unwrap();
    for (file, text) in case.get("home").and_then(Value::as_object).into_iter().flatten() {
        std::fs::write(home.join(file), text.as_str().unwrap()).unwrap();
    }
    let installed = std::env::var_os("BATON_TEST_RUNNER").map(PathBuf::from);
    let change = |options: &mut Options| {
        for (name, value) in case.get("env").and_then(Value::as_object).into_iter().flatten() {
            options.environment.push((name.into(), value.as_str().unwrap().into()));
        }
        if case.get("shell") == Some(&json!("sh")) {
            options.shell = Shell::Sh;
        }
    };
    let mut stand = match &installed {
        Some(program) => Stand::installed(program, Fake::start(), dir, change),
        None => Stand::in_dir(Fake::start(), dir, change),
    };
    let planned = plan(case["yaml"].as_str().unwrap());
    let mut ran = BTreeMap::new();
    for round in 0..case.get("runs").and_then(Value::as_u64).unwrap_or(1) {
        ran = pipeline(&stand, &case, &repository, &planned, round * 100 + 1);
    }
    let project = stand.dir.path().canonicalize().unwrap().join("builds/local/0/project-1");
    let expectations: &[&str] = if installed.is_some() { &["expect"] } else { &["expect", "builtin"] };
    for expectation in expectations.iter().copied() {
        let Some(expected) = case.get(expectation) else { continue };
        let of_jobs = planned.iter().any(|job| expected.get(&job.name).is_some());
        for job in &planned {
            let expected = if of_jobs { &expected[&job.name] } else { expected };
            if let Some(ran) = ran.get(&job.name) {
                check(&format!("{name}: {}", job.name), expected, ran, &project.display().to_string());
            } else {
                assert!(expected.is_null(), "{name}: {} did not run", job.name);
            }
        }
    }
    stand.end(baton::runner::Ending::Drain).unwrap();
    if installed.is_none() && case.pointer("/builtin/left_after_run").is_some() {
        let alive = std::process::Command::new("pgrep").args(["-f", "sleep 4[7]"]).output().unwrap();
        assert_eq!(String::from_utf8(alive.stdout).unwrap(), "", "{name}: something is left");
    }
}

fn pipeline(
    stand: &Stand,
    case: &Value,
    repository: &Repository,
    planned: &[Planned],
    first: u64,
) -> BTreeMap<String, Ran> {
    let mut ran: BTreeMap<String, Ran> = BTreeMap::new();
    let mut before: Vec<(String, usize)> = Vec::new();
    let mut is_good = true;
    for (job, id) in planned.iter().zip(first..) {
        if !is_good && !job.runs_always() && case.get("all_jobs") != Some(&json!(true)) {
            continue;
        }
        let wanted = job.wants(&before);
        let dependencies = wanted.iter().filter_map(|name| dependency(name, &ran[name])).collect();
        let dotenv: Vec<Value> = wanted.iter().flat_map(|name| dotenv(&ran[name].known)).collect();
        let started_at = Instant::now();
        stand.fake.queue(job.job(id, case, repository, &dotenv, dependencies));
        for order in case.get("do").and_then(Value::as_array).into_iter().flatten() {
            assert_eq!(order["what"], "cancel");
            stand.fake.wait(id, "claim", |known| known.claimed_at.is_some());
            std::thread::sleep(Duration::from_secs(order["after_s"].as_u64().unwrap()));
            stand.fake.wish(id, "canceling");
        }
        let known = stand.fake.ended(id);
        let end = known.end.as_ref().unwrap();
        let code = end["exit_code"].as_i64().unwrap_or(0);
        is_good = is_good && (end["state"] == "success" || job.allows(code));
        ran.insert(job.name.clone(), Ran { id, known, took: started_at.elapsed() });
        before.push((job.name.clone(), job.stage));
    }
    ran
}

fn dependency(name: &str, ran: &Ran) -> Option<Value> {
    ran.known.files.iter().any(|file| file.query.contains("artifact_type=archive")).then(
        || json!({"id": ran.id, "name": name, "token": "any", "artifacts_file": {"filename": "a.zip", "size": 1}}),
    )
}

fn unzipped(bytes: &[u8]) -> String {
    let mut text = String::new();
    MultiGzDecoder::new(bytes).read_to_string(&mut text).unwrap();
    text
}

fn dotenv(known: &Known) -> Vec<Value> {
    let files = known.files.iter().filter(|file| file.query.contains("artifact_type=dotenv"));
    let text: String = files.map(|file| unzipped(&file.bytes)).collect();
    let lines = text.lines().filter_map(|line| line.split_once('='));
    lines.map(|(key, value)| json!({"key": key, "value": value, "public": true, "masked": false})).collect()
}

#[track_caller]
fn check(what: &str, expected: &Value, ran: &Ran, project: &str) {
    let end = ran.known.end.as_ref().unwrap();
    let log = shown(&ran.known.log);
    let log = log.replace(project, "PROJECT");
    let strings = |name: &str| -> Vec<String> {
        let list = expected.get(name).and_then(Value::as_array).cloned().unwrap_or_default();
        list.iter().map(|text| text.as_str().unwrap().trim_start_matches("re:").to_owned()).collect()
    };
    if let Some(state) = expected.get("state") {
        assert_eq!(&end["state"], state, "{what}:{log}");
    }
    if let Some(reason) = expected.get("reason") {
        assert_eq!(&end["failure_reason"], reason, "{what}:{log}");
    }
    if let Some(code) = expected.get("exit_code") {
        assert_eq!(&end["exit_code"], code, "{what}:{log}");
    }
    for text in strings("log_has") {
        assert!(log.contains(&text), "{what}: no {text:?} in{log}");
    }
    for text in strings("log_lacks") {
        assert!(!log.contains(&text), "{what}: {text:?} in{log}");
    }
    let mut rest = log.as_str();
    for text in strings("log_order") {
        let place = rest.find(&text).unwrap_or_else(|| panic!("{what}: no {text:?} where it should be in{log}"));
        rest = &rest[place + text.len()..];
    }
    if let Some(least) = expected.pointer("/seconds/0").and_then(Value::as_u64) {
        assert!(ran.took >= Duration::from_secs(least), "{what}: took {:?}{log}", ran.took);
    }
    check_files(what, expected, &ran.known, &log);
}

fn check_files(what: &str, expected: &Value, known: &Known, log: &str) {
    let archive = known.files.iter().find(|file| file.query.contains("artifact_type=archive"));
    if expected.get("no_archive").is_some() {
        assert!(archive.is_none(), "{what}:{log}");
    }
    if let Some(name) = expected.get("upload_name") {
        assert_eq!(archive.unwrap().filename, name.as_str().unwrap(), "{what}");
    }
    let mut entries: Vec<(String, Value)> = Vec::new();
    if let Some(archive) = archive {
        let mut zip = ZipArchive::new(Cursor::new(archive.bytes.clone())).unwrap();
        for index in 0..zip.len() {
            let mut entry = zip.by_index(index).unwrap();
            let mut text = Vec::new();
            entry.read_to_end(&mut text).unwrap();
            let text = String::from_utf8_lossy(&text).into_owned();
            let mode = format!("{:o}", entry.unix_mode().unwrap() & 0o7777);
            let key = if entry.is_symlink() { "link" } else { "text" };
            entries.push((entry.name().unwrap().into_owned(), json!({"mode": mode, key: text})));
        }
    }
    let names: Vec<&str> = entries.iter().map(|(name, _)| name.as_str()).collect();
    match expected.get("archive") {
        None => {}
        Some(Value::Array(expected)) => {
            assert_eq!(names, expected.iter().map(|name| name.as_str().unwrap()).collect::<Vec<_>>(), "{what}:{log}");
        }
        Some(expected) => {
            let expected = expected.as_object().unwrap();
            let mut wanted: Vec<&str> = expected.keys().map(String::as_str).collect();
            wanted.sort_unstable();
            assert_eq!(names, wanted, "{what}:{log}");
            for (name, found) in &entries {
                for (key, value) in expected[name].as_object().unwrap() {
                    assert_eq!(&found[key], value, "{what}: {key} of {name}");
                }
            }
        }
    }
    for name in expected.get("archive_has").and_then(Value::as_array).into_iter().flatten() {
        assert!(names.contains(&name.as_str().unwrap()), "{what}: no {name} in {names:?}");
    }
    for name in expected.get("archive_lacks").and_then(Value::as_array).into_iter().flatten() {
        assert!(!names.contains(&name.as_str().unwrap()), "{what}: {name} in {names:?}");
    }
    for (kind, text) in expected.get("report").and_then(Value::as_object).into_iter().flatten() {
        let file = known.files.iter().find(|file| file.query.contains(&format!("artifact_type={kind}")));
        assert_eq!(unzipped(&file.unwrap().bytes), text.as_str().unwrap(), "{what}: {kind}");
    }
}
