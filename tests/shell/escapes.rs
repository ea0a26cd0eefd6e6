//! What a job can see, and what it can do to its runner: nothing that is not its own.

use super::fake::{TOKEN, job};
use super::stand::{Stand, shown};
use serde_json::json;
use std::os::unix::fs::PermissionsExt;

#[test]
fn a_job_sees_no_token_and_no_folder_of_batons() {
    let stand = Stand::start();
    let script = [
        "env; env | sed 's/-of-the-/-of_the-/'",
        "for p in $(ps -eo pid=); do tr '\\0' '\\n' < /proc/$p/cmdline; done 2> /dev/null | sed 's/-of-the-/-of_the-/'",
        "set",
    ];
    let log = stand.run(job(1, &script, json!({})));
    // It would be shown with a mark in it, if it were anywhere.
    assert!(!log.contains("token-of_the-runner") && !log.contains(TOKEN), "{log}");
    assert!(!log.contains("BATON_") && !log.contains(&stand.dir.path().join("data").display().to_string()), "{log}");
}

#[test]
fn nobody_looks_into_a_keeper() {
    // Root looks into everything.
    let stand = Stand::start();
    let script = "stat -c '%U %a' /proc/$(ps -o ppid= -p $$ | tr -d ' ')/environ; id -un";
    let log = stand.run(job(1, &[script], json!({})));
    assert!(log.contains("\nroot 400\n"), "an undumpable process belongs to root: {log}");
}

#[test]
fn the_jobs_own_token_is_masked_in_its_log() {
    let stand = Stand::start();
    let variables = json!([
        {"key": "GIT_STRATEGY", "value": "none"}, {"key": "CI_JOB_TOKEN", "value": "job-token-1", "masked": true},
        {"key": "WITH", "value": "x-$CI_JOB_TOKEN"}
    ]);
    let log = stand.run(job(
        1,
        &["echo $CI_JOB_TOKEN; echo $WITH; printf job-; sleep 0.2; echo token-1"],
        json!({"variables": variables}),
    ));
    assert!(!log.contains("job-token-1") && log.contains("\n[MASKED]\nx-[MASKED]\n[MASKED]\n"), "{log}");
}

#[test]
fn a_job_has_no_terminal_and_nothing_to_read() {
    let stand = Stand::start();
    let log = stand.run(job(1, &["head -c1 < /dev/tty || echo none", "cat", "read x || echo empty"], json!({})));
    assert!(log.contains("\nnone\n") && log.contains("\nempty\n"), "{log}");
}

#[test]
fn a_job_may_remove_its_own_folders_and_close_its_outputs() {
    let stand = Stand::start();
    let remove = "cd /; rm -rf \"$CI_PROJECT_DIR\" \"$CI_PROJECT_DIR.tmp\"";
    assert!(stand.run(job(1, &[remove], json!({}))).contains("Job succeeded"));
    assert!(stand.run(job(2, &["exec >&- 2>&-"], json!({}))).contains("Job succeeded"));
    let steps = json!([{"name": "script", "script": [remove]}, {"name": "after_script", "script": ["echo after"]}]);
    let artifacts = json!([{"paths": ["x"], "when": "always"}]);
    let log = stand.run(job(3, &[], json!({"steps": steps, "artifacts": artifacts})));
    assert!(log.contains("No files to upload"), "{log}");
    assert!(stand.run(job(4, &["echo back"], json!({}))).contains("\nback\n"));
}

#[test]
fn a_job_that_prints_without_end_ends_by_its_time_and_fills_nothing() {
    let stand = Stand::with(|options| options.log_bytes_max = 100_000);
    let log = stand.run(job(1, &["yes"], json!({"runner_info": {"timeout": 2}})));
    assert!(
        log.contains("Job's log exceeded limit of 100000 bytes.") && log.contains("execution took longer"),
        "{}",
        &log[log.len() - 1000..]
    );
    assert!(stand.fake.job(1).log.len() < 200_000);
}

#[test]
fn bytes_that_are_no_text_become_some() {
    let stand = Stand::start();
    let log = stand.run(job(1, &["printf 'a\\377b\\000c\\n'"], json!({})));
    assert!(log.contains("\na\u{fffd}b\0c\n"), "{log:?}");
}

#[test]
fn file_variables_are_private_and_gone_after_the_job() {
    let stand = Stand::start();
    let variables = json!([{"key": "GIT_STRATEGY", "value": "none"}, {"key": "CONF", "value": "secret", "file": true}]);
    let script =
        "stat -c %a \"$CONF\" \"$CI_PROJECT_DIR.tmp\" \"$CI_PROJECT_DIR\" \"$CI_BUILDS_DIR\"; cat \"$CONF\"; echo";
    let log = stand.run(job(1, &[script], json!({"variables": variables})));
    assert!(log.contains("\n600\n700\n700\n700\nsecret\n"), "{log}");
    let temporary = stand.project().with_file_name("p.tmp");
    assert_eq!(std::fs::read_dir(&temporary).unwrap().count(), 0);
    assert_eq!(std::fs::metadata(&temporary).unwrap().permissions().mode() & 0o777, 0o700);
}

#[test]
fn a_process_that_holds_the_output_holds_the_job_until_its_time_is_up() {
    let stand = Stand::with(|options| options.patience.usual = std::time::Duration::from_millis(100));
    stand.fake.queue(job(1, &["setsid sleep 91919 &"], json!({"runner_info": {"timeout": 8}})));
    let log = shown(&stand.fake.ended(1).log);
    assert!(log.contains("execution took longer than 8s seconds"), "{log}");
}
