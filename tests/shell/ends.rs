//! Jobs end: by the server's wish, by their time, with the runner, whatever their processes do.

use super::fake::{Fake, PATIENCE, job};
use super::stand::{Stand, options, shown};
use baton::runner::{self, Ending, Patience, Stop};
use serde_json::json;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Processes whose command line has this text.
fn alive(text: &str) -> Vec<String> {
    let output = Command::new("pgrep").args(["-f", text]).output().unwrap();
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

/// A number of seconds that no other test's sleep has, as a pattern that does not match itself.
fn unique(seconds: u32) -> (String, String) {
    let text = seconds.to_string();
    let (begin, end) = text.split_at(text.len() - 1);
    (format!("sleep {text}"), format!("sleep {begin}[{end}]"))
}

#[track_caller]
fn gone(pattern: &str) {
    let until = Instant::now() + PATIENCE;
    while !alive(pattern).is_empty() {
        assert!(Instant::now() < until, "{pattern} lives on: {:?}", alive(pattern));
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Ways to get out of a group, a session and a family.
fn escapes(sleep: &str) -> Vec<String> {
    [
        format!("{sleep} > /dev/null 2>&1 &"),
        format!("setsid {sleep} > /dev/null 2>&1 < /dev/null &"),
        format!("(setsid sh -c '({sleep} > /dev/null 2>&1 &) ; exit') &"),
        format!("nohup {sleep} > /dev/null 2>&1 &"),
        format!("(trap '' TERM HUP INT; exec {sleep}) > /dev/null 2>&1 &"),
    ]
    .to_vec()
}

#[test]
fn what_escaped_from_a_job_ends_with_the_runner() {
    let (sleep, pattern) = unique(90_101);
    let mut stand = Stand::start();
    let mut script = escapes(&sleep);
    script.push("sleep 0.3; echo started".to_owned());
    let script: Vec<&str> = script.iter().map(String::as_str).collect();
    let log = stand.run(job(1, &script, json!({})));
    assert!(log.contains("\nstarted\n"), "{log}");
    assert_eq!(alive(&pattern).len(), 5, "what a job leaves lives on as long as the runner");
    stand.end(Ending::Drain).unwrap();
    gone(&pattern);
}

#[test]
fn what_a_job_leaves_stays_where_the_runner_is_a_service() {
    let (sleep, pattern) = unique(90_202);
    let mut stand = Stand::with(|options| options.ends_leftovers = false);
    stand.run(job(1, &[&format!("{sleep} > /dev/null 2>&1 &")], json!({})));
    stand.end(Ending::Drain).unwrap();
    let left = alive(&pattern);
    assert_eq!(left.len(), 1);
    assert!(Command::new("kill").args(&left).status().unwrap().success());
}

#[test]
fn a_job_whose_time_is_up_ends_though_it_ignores_every_signal() {
    let (sleep, pattern) = unique(90_303);
    let stand = Stand::with(|options| options.patience.usual = Duration::from_millis(300));
    let script = format!("trap '' TERM INT HUP; (trap '' TERM; {sleep}) & (setsid {sleep}) & {sleep}");
    let log = stand.run(job(1, &[&script], json!({"runner_info": {"timeout": 2}})));
    assert!(log.contains("Job failed: execution took longer than 2s seconds"), "{log}");
    assert_eq!(stand.fake.job(1).end.unwrap()["failure_reason"], "job_execution_timeout");
    gone(&pattern);
}

#[test]
fn an_abort_stops_everything_and_no_after_script_runs() {
    let stand = Stand::start();
    let steps = json!([
        {"name": "script", "script": ["echo begun", "sleep 90404"]}, {"name": "after_script", "script": ["echo after"]}
    ]);
    stand.fake.queue(job(1, &[], json!({"steps": steps})));
    stand.fake.says(1, "begun");
    stand.fake.wish(1, "canceled");
    let log = shown(&stand.fake.ended(1).log);
    assert!(!log.contains("\nafter\n"), "{log}");
}

#[test]
fn a_cancel_before_the_script_runs_nothing() {
    let stand = Stand::start();
    let hook = json!([{"name": "pre_get_sources_script", "script": ["echo begun", "sleep 90505"]}]);
    let variables = json!([{"key": "GIT_STRATEGY", "value": "fetch"}]);
    stand.fake.queue(job(1, &["echo ran"], json!({"hooks": hook, "variables": variables})));
    stand.fake.says(1, "begun");
    stand.fake.wish(1, "canceling");
    let known = stand.fake.ended(1);
    assert_eq!(known.end.unwrap()["failure_reason"], "job_canceled");
    assert!(!shown(&known.log).contains("\nran\n"));
}

#[test]
fn a_runner_that_is_interrupted_ends_its_jobs_and_says_so() {
    let (sleep, pattern) = unique(90_606);
    let mut stand = Stand::start();
    stand.fake.queue(job(1, &["echo begun", &sleep], json!({})));
    stand.fake.says(1, "begun");
    stand.end(Ending::Interrupt).unwrap();
    let known = stand.fake.job(1);
    assert_eq!(known.end.unwrap()["failure_reason"], "runner_interrupted");
    assert!(shown(&known.log).contains("Job failed: aborted: terminated"));
    gone(&pattern);
}

#[test]
fn a_runner_that_drains_lets_its_job_end_well() {
    let mut stand = Stand::start();
    stand.fake.queue(job(1, &["echo begun", "sleep 1", "echo done"], json!({})));
    stand.fake.says(1, "begun");
    stand.fake.queue(job(2, &["true"], json!({})));
    assert_eq!(stand.end(Ending::Drain).unwrap(), 1);
    assert_eq!(stand.fake.job(1).end.unwrap()["state"], "success");
    assert!(stand.fake.job(2).claimed_at.is_none());
}

#[test]
fn a_kill_waits_for_nobody() {
    let (sleep, pattern) = unique(90_707);
    let patience = Patience { usual: Duration::from_secs(3600), at_stop: Duration::from_secs(3600) };
    let mut stand = Stand::with(|options| options.patience = patience);
    stand.fake.queue(job(1, &["echo begun", &format!("trap '' TERM; {sleep}; {sleep}")], json!({})));
    stand.fake.says(1, "begun");
    stand.end(Ending::Kill).unwrap();
    gone(&pattern);
}

/// A runner in a process of its own, for the test below: nothing unless it is asked for.
#[test]
fn a_runner_as_a_process() {
    let Some(url) = std::env::var("BATON_TEST_RUNNER_URL").ok() else { return };
    let dir = std::env::var("BATON_TEST_RUNNER_DIR").unwrap();
    let fake = Fake::start();
    let mut options = options(&fake, Path::new(&dir));
    options.url = url;
    runner::serve(options, &Stop::default()).unwrap();
}

#[test]
fn of_a_runner_that_is_killed_nothing_is_left() {
    let (sleep, pattern) = unique(90_808);
    let (fake, dir) = (Fake::start(), tempfile::tempdir().unwrap());
    let mut runner = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "ends::a_runner_as_a_process"])
        .env("BATON_TEST_RUNNER_URL", fake.url())
        .env("BATON_TEST_RUNNER_DIR", dir.path().canonicalize().unwrap())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut script = escapes(&sleep);
    script.extend(["sleep 0.3; echo started".to_owned(), sleep]);
    let script: Vec<&str> = script.iter().map(String::as_str).collect();
    fake.queue(job(1, &script, json!({})));
    fake.says(1, "\u{1b}[32;1m$ sleep 0.3");
    while alive(&pattern).len() < 6 {
        std::thread::sleep(Duration::from_millis(20));
    }
    runner.kill().unwrap();
    runner.wait().unwrap();
    gone(&pattern);
    gone(&format!("internal-keepe[r].*{}", dir.path().display()));
}

#[test]
fn a_job_that_kills_or_stops_its_keeper_ends_itself() {
    for signal in ["KILL", "STOP"] {
        let stand = Stand::with(|options| options.patience.usual = Duration::from_millis(200));
        let (sleep, pattern) = unique(90_909);
        // The outer shell's parent.
        let script = format!("kill -{signal} $(ps -o ppid= -p $$); {sleep}");
        let log = stand.run(job(1, &["true", &script], json!({"runner_info": {"timeout": 3}})));
        assert!(log.contains("Job failed"), "{log}");
        gone(&pattern);
        assert!(stand.run(job(2, &["echo next"], json!({}))).contains("Job succeeded"));
    }
}

#[test]
fn signals_to_the_keeper_do_not_end_the_job() {
    let stand = Stand::start();
    let script = "p=$(ps -o ppid= -p $$); kill -TERM $p; kill -HUP $p; kill -INT $p; kill -QUIT $p; sleep 0.2; echo on";
    let log = stand.run(job(1, &[script], json!({})));
    assert!(log.contains("\non\n") && log.contains("Job succeeded"), "{log}");
}
