//! Jobs of API v4, from the request to the end: rows 44 to 61, 84 to 107 and 112 to 129 of the reference of that protocol,
//! as far as they are kept here, and its section 8.
//!
//! What differs on purpose: no 202 and no 412 at the end of a job (99 to 101, 111), and a repeated report of the end is 200.

use crate::harness::*;
use baton::domain::build::{BuildId, FailureReason, NewBuild, Status, Variable};
use baton::domain::spec::{AllowFailure, BuildSpec};
use baton::domain::time::Timestamp;
use serde_json::{Value, json};
use std::time::Duration;

const FEATURES: &str = "two_phase_job_commit";

/// A runner's question for a job, with what it can do.
fn request(token: &str, features: &[&str]) -> Request {
    let features: Value = features.iter().map(|name| ((*name).to_owned(), Value::Bool(true))).collect();
    let info = json!({"name": "gitlab-runner", "version": "19.3.0", "features": features});
    Request::post("/api/v4/jobs/request").json(&json!({"token": token, "info": info, "system_id": "s_1"}))
}

fn job(baton: &Baton, runner: &TestRunner, features: &[&str]) -> Claimed {
    claimed(&baton.send(request(&runner.token, features)).expect(201))
}

fn put(job: &Claimed, body: Value) -> Request {
    let mut all = json!({"token": job.token, "info": {}});
    all.as_object_mut().unwrap().extend(object(body));
    Request::put(&format!("/api/v4/jobs/{}", job.id)).json(&all)
}

fn patch_of(job: &Claimed, range: &str, data: &[u8]) -> Request {
    let request = Request::patch(&format!("/api/v4/jobs/{}/trace", job.id)).header("JOB-TOKEN", &job.token);
    request.header("Content-Range", range).body("text/plain", data)
}

#[test]
fn rows_44_to_55_a_runner_that_asks_gets_a_job_nothing_or_is_told_what_is_wrong() {
    let baton = Baton::with_project();
    let runner = baton.runner();
    baton.send(Request::post("/api/v4/jobs/request").json(&json!({"info": {}}))).expect(400);
    baton.send(request("unknown", &[])).expect(403);
    let none = baton.send(request(&runner.token, &[])).expect(204);
    let known = none.header("X-GitLab-Last-Update").unwrap().to_owned();
    assert!(none.body.is_empty() && !known.is_empty());
    baton.build();
    let response = baton.send(request(&runner.token, &[])).expect(201);
    assert_eq!(response.header("Content-Type"), Some("application/json"), "exactly");
    assert_eq!(response.header("X-GitLab-Last-Update"), None);
    let job = response.json();
    assert!(job["image"].is_null());
    for field in ["services", "artifacts", "cache", "credentials", "dependencies", "hooks", "inputs"] {
        assert_eq!(job[field], json!([]), "{field}");
    }
    assert!(job["git_info"]["sha"].as_str().unwrap().len() >= 8);
    assert!(job["job_info"]["time_in_queue_seconds"].is_number());
    assert!(job["job_info"]["project_jobs_running_on_instance_runners_count"].is_string());
    assert_eq!(job["features"]["trace_sections"], true);
    let step = json!({"name": "script", "script": job["steps"][0]["script"], "timeout": 3600, "when": "on_success",
        "allow_failure": false});
    assert_eq!(job["steps"], json!([step]));
    assert!(
        job["variables"].as_array().unwrap().iter().all(|one| one["public"].is_boolean() && one["masked"].is_boolean())
    );
    let paused = baton.runner();
    baton.operator().pause_runner(paused.id, true).unwrap();
    let none = baton.send(request(&paused.token, &[])).expect(204);
    assert!(none.header("X-GitLab-Last-Update").is_some_and(|value| !value.is_empty()));
}

/// Row 64: who is asked for a job hands out the next one, in either protocol.
#[test]
fn a_build_of_which_damaged_data_is_stored_fails_and_keeps_nobody_from_those_behind_it() {
    let baton = Baton::with_project();
    let runner = baton.runner();
    for speech in Speech::BOTH {
        let damaged: Vec<BuildId> = (0..3).map(|_| baton.build()).collect();
        let waits = baton.build_needing(&damaged[..1]);
        let behind = baton.build();
        for (id, column) in damaged.iter().zip(["spec", "variables", "spec"]) {
            let sql = format!("UPDATE build_specs SET {column} = '{{' WHERE build_id = {id}");
            baton.database().execute(&sql, []).unwrap();
        }
        assert_eq!(claimed(&baton.send(speech.ask(&runner.token)).expect(201)).id, behind);
        for id in damaged {
            let shown = baton.show(id);
            assert_eq!((shown.status, shown.failure_reason), (Status::Failed, Some(FailureReason::SchedulerFailure)));
        }
        assert_eq!(baton.status(waits), Status::Skipped);
        baton.send(speech.ask(&runner.token)).expect(204);
    }
}

#[test]
fn what_a_paused_runner_repeats_holds_nothing_back_once_it_is_resumed() {
    let baton = Baton::with_project();
    let runner = baton.runner();
    let asked = |known: &str| {
        baton.send(Request::post("/api/v4/jobs/request").json(&json!({"token": runner.token, "last_update": known})))
    };
    baton.operator().pause_runner(runner.id, true).unwrap();
    let known = asked("").expect(204).header("X-GitLab-Last-Update").unwrap().to_owned();
    let again = asked(&known).expect(204);
    assert_eq!(again.header("X-GitLab-Last-Update"), Some(known.as_str()));
    baton.build();
    asked(&known).expect(204);
    baton.operator().pause_runner(runner.id, false).unwrap();
    asked(&known).expect(201);
}

#[test]
fn both_protocols_are_on_one_queue_and_a_build_is_handed_to_one_of_them() {
    let baton = Baton::with_project();
    let (old, new) = (baton.runner(), baton.runner());
    let ids = [baton.build(), baton.build(), baton.build()];
    let got = [job(&baton, &new, &[]).id, baton.claim(&old).id, job(&baton, &new, &[]).id];
    assert_eq!(got, ids, "in order of age");
    baton.send(request(&new.token, &[])).expect(204);
    baton.ask(&old).expect(204);
}

#[test]
fn rows_92_to_107_the_end_is_as_the_jobs_own_token_says() {
    let baton = Baton::with_project();
    let runner = baton.runner();
    let build = |spec: BuildSpec| baton.queue(NewBuild { spec, ..new_build("demo") });
    let allowed = AllowFailure::ExitCodes { exit_codes: vec![3] };
    for (said, status, reason, text, code) in [
        (json!({"state": "success"}), Status::Success, None, None, None),
        (json!({"state": "failed"}), Status::Failed, Some(FailureReason::ScriptFailure), None, None),
        (
            json!({"state": "failed", "failure_reason": "script_failure", "exit_code": 3}),
            Status::Failed,
            Some(FailureReason::ScriptFailure),
            None,
            Some(3),
        ),
        (
            json!({"state": "failed", "failure_reason": "job_execution_timeout"}),
            Status::Failed,
            Some(FailureReason::TimedOut),
            None,
            None,
        ),
        (
            json!({"state": "failed", "failure_reason": "image_pull_failure", "exit_code": 1, "x": [1]}),
            Status::Failed,
            Some(FailureReason::RunnerFailure),
            Some("image_pull_failure"),
            Some(1),
        ),
    ] {
        build(BuildSpec { allow_failure: allowed.clone(), ..BuildSpec::of_script("x") });
        let job = job(&baton, &runner, &[]);
        let runs = baton.send(put(&job, json!({"state": "running"}))).expect(200);
        assert_eq!(runs.header("Job-Status"), Some("running"));
        assert_eq!(runs.header("X-GitLab-Trace-Update-Interval"), None);
        baton.send(put(&job, json!({"state": "done"}))).expect(400);
        let other = Claimed { id: job.id, token: runner.token.clone(), json: Value::Null };
        baton.send(put(&other, said.clone())).expect(403);
        assert_eq!(baton.status(job.id), Status::Running, "a runner's token ends no job");
        baton.send(put(&job, said.clone())).expect(200);
        let shown = baton.show(job.id);
        assert_eq!((shown.status, shown.failure_reason), (status, reason), "{said}");
        assert_eq!((shown.failure_text.as_deref(), shown.exit_code), (text, code), "{said}");
        assert_eq!(shown.failure_allowed, code == Some(3), "{said}");
        baton.send(put(&job, said)).expect(200);
        let contrary = if status == Status::Success { "failed" } else { "success" };
        let told = baton.send(put(&job, json!({"state": contrary}))).expect(403);
        assert_eq!(told.header("Job-Status"), Some(status.as_str()));
        assert_eq!(baton.status(job.id), status);
    }
    baton
        .send(put(&Claimed { id: BuildId(99), token: "x".into(), json: Value::Null }, json!({"state": "success"})))
        .expect(403);
}

#[test]
fn rows_112_to_127_the_log_grows_from_where_it_is_and_the_end_in_the_range_means_nothing() {
    let baton = Baton::with_project();
    let runner = baton.runner();
    baton.build();
    let job = job(&baton, &runner, &[]);
    let first = baton.send(patch_of(&job, "0-4", b"hello")).expect(202);
    assert_eq!(first.header("Range"), Some("0-5"));
    assert_eq!(first.header("Job-Status"), Some("running"));
    assert_eq!(first.header("X-GitLab-Trace-Update-Interval"), Some("3"));
    baton.send(patch_of(&job, "5-11", b" world")).expect(202);
    baton.send(patch_of(&job, "11-99/200", b"!")).expect(202);
    baton.send(patch_of(&job, "12-12", b"")).expect(202);
    for wrong in ["11-12", "13-14"] {
        let refused = baton.send(patch_of(&job, wrong, b"x")).expect(416);
        assert_eq!(refused.header("Range"), Some("0-12"), "{wrong}");
    }
    baton.send(Request::patch(&format!("/api/v4/jobs/{}/trace", job.id)).header("JOB-TOKEN", &job.token)).expect(400);
    let foreign = Claimed { id: job.id, token: runner.token.clone(), json: Value::Null };
    baton.send(patch_of(&foreign, "12-13", b"x")).expect(403);
    baton.send(patch_of(&Claimed { id: BuildId(99), ..foreign }, "0-1", b"x")).expect(403);
    assert_eq!(baton.trace_text(job.id), "hello world!");
    baton.send(put(&job, json!({"state": "success"}))).expect(200);
    let late = baton.send(patch_of(&job, "12-13", b"x")).expect(403);
    assert_eq!(late.header("Job-Status"), Some("success"));
    baton.erase(job.id);
    baton.send(patch_of(&job, "0-1", b"x")).expect(403);
}

/// A report of a job's end, with what was sent as the log.
fn put_with_sum(job: &Claimed, checksum: &str, bytes: usize) -> Request {
    put(job, json!({"state": "success", "checksum": checksum, "output": {"checksum": checksum, "bytesize": bytes}}))
}

fn crc32(log: &[u8]) -> String {
    format!("crc32:{:08x}", crc32fast::hash(log))
}

/// Row 115.
#[test]
fn a_job_whose_project_goes_takes_nothing_more() {
    let baton = Baton::with_project();
    let runner = baton.runner();
    baton.build();
    let build = job(&baton, &runner, &[]);
    baton.send(patch_of(&build, "0-1", b"ab")).expect(202);
    baton.operator().remove_project("demo", true, Timestamp::now()).unwrap();
    baton.send(patch_of(&build, "2-3", b"cd")).expect(403);
    baton.send(put(&build, json!({"state": "success"}))).expect(403);
}

/// Row 111.
#[test]
fn a_checksum_of_the_log_is_compared_counted_and_no_reason_to_refuse_the_end() {
    let baton = Baton::with_project();
    let runner = baton.runner();
    let verdicts = || {
        let metrics = metrics::Metrics::parse(&baton.send(Request::get("/-/metrics")).expect(200).text());
        ["same", "different", "unknown"].map(|word| metrics.value("baton_trace_checks_total", &[("verdict", word)]))
    };
    let running = || {
        baton.build();
        let job = job(&baton, &runner, &[]);
        baton.send(patch_of(&job, "0-4", b"hello")).expect(202);
        baton.send(patch_of(&job, "5-11", b" world\n")).expect(202);
        // Nothing of what is refused or said along the way counts.
        baton.send(patch_of(&job, "5-6", b"x")).expect(416);
        baton.send(put(&job, json!({"state": "running", "output": {"checksum": "crc32:00000001"}}))).expect(200);
        baton.send(put(&job, json!({"state": "running", "output": {}}))).expect(200);
        job
    };
    let sum = crc32(b"hello world\n");
    for (checksum, bytes, expected) in [
        (sum.as_str(), 12, [1.0, 0.0, 0.0]),
        ("crc32:00000000", 12, [1.0, 1.0, 0.0]),
        (&sum, 13, [1.0, 2.0, 0.0]),
        ("sha256:00", 12, [1.0, 2.0, 1.0]),
    ] {
        let job = running();
        let told = baton.send(put_with_sum(&job, checksum, bytes)).expect(200);
        assert_eq!(told.header("Job-Status"), Some("success"));
        assert_eq!(baton.status(job.id), Status::Success);
        assert_eq!(verdicts(), expected, "{checksum} {bytes}");
        baton.send(put_with_sum(&job, checksum, bytes)).expect(200);
        assert_eq!(verdicts(), expected, "a repeated report is not counted again");
    }
    let job = running();
    let wrong = json!({"state": "success", "output": ["crc32"]});
    baton.send(put(&job, wrong)).expect(400);
    let only_outside = json!({"state": "success", "checksum": sum});
    baton.send(put(&job, only_outside)).expect(200);
    assert_eq!(verdicts(), [2.0, 2.0, 1.0]);
}

#[test]
fn the_checksum_is_that_of_what_was_sent_before_it_was_masked_whatever_happened_meanwhile() {
    let baton = Baton::with_project();
    let runner = baton.runner();
    let secret = "correct horse battery staple";
    let variables = vec![Variable::secret("SECRET", secret)];
    baton.queue(NewBuild { variables, ..new_build("demo") });
    let job = job(&baton, &runner, &[]);
    let log = format!("begin\n{secret}\n{}{secret}", "line\n".repeat(400_000)).into_bytes();
    // Cut inside the secret, and longer than what one transaction stores.
    let (first, second) = log.split_at(12);
    baton.send(patch_of(&job, "0-11", first)).expect(202);
    let baton = baton.restart();
    baton.send(patch_of(&job, "12-", second)).expect_error(400);
    baton.send(patch_of(&job, "12-0", second)).expect(202);
    baton.send(put_with_sum(&job, &crc32(&log), log.len())).expect(200);
    let stored = baton.trace(job.id);
    assert!(stored.len() == log.len() && stored != log && !String::from_utf8_lossy(&stored).contains(secret));
    // A whole log takes the place of what was there.
    baton.build();
    let job = self::job(&baton, &runner, &[]);
    baton.send(patch_of(&job, "0-6", b"other\n")).expect(202);
    for whole in ["short", &"x".repeat(3 << 20), &"x".repeat(5 << 20)] {
        baton.send(put(&job, json!({"state": "running", "trace": whole}))).expect(200);
    }
    let whole = "x".repeat(5 << 20);
    baton.send(patch_of(&job, &format!("{}-0", whole.len()), b"end")).expect(202);
    baton.send(put_with_sum(&job, &crc32((whole + "end").as_bytes()), (5 << 20) + 3)).expect(200);
    let metrics = metrics::Metrics::parse(&baton.send(Request::get("/-/metrics")).expect(200).text());
    assert_eq!(metrics.value("baton_trace_checks_total", &[("verdict", "same")]), 2.0);
    assert_eq!(metrics.sum("baton_trace_checks_total"), 2.0);
}

#[test]
fn a_runner_of_9_x_sends_the_log_with_the_end() {
    let baton = Baton::with_project();
    let runner = baton.runner();
    baton.build();
    let job = job(&baton, &runner, &[]);
    baton.send(put(&job, json!({"state": "success", "trace": "all of it\n"}))).expect(200);
    assert_eq!(baton.trace_text(job.id), "all of it\n");
}

#[test]
fn who_can_run_what_comes_after_the_script_is_asked_to_and_ends_the_build_as_canceled() {
    let baton = Baton::with_project();
    let runner = baton.runner();
    let told = |response: Response| response.header("Job-Status").map(ToOwned::to_owned);
    baton.build();
    let one = job(&baton, &runner, &["cancel_gracefully"]);
    baton.cancel(one.id);
    assert_eq!(baton.status(one.id), Status::Running);
    assert_eq!(told(baton.send(patch_of(&one, "0-4", b"after")).expect(202)).as_deref(), Some("canceling"));
    assert_eq!(told(baton.send(put(&one, json!({"state": "running"}))).expect(200)).as_deref(), Some("canceling"));
    baton.send(put(&one, json!({"state": "failed", "failure_reason": "job_canceled"}))).expect(200);
    assert_eq!(baton.status(one.id), Status::Canceled);
    assert_eq!(baton.trace_text(one.id), "after");
    baton.build();
    let two = job(&baton, &runner, &["cancel_gracefully"]);
    baton.cancel(two.id);
    baton.cancel(two.id);
    assert_eq!(baton.status(two.id), Status::Canceled, "once more ends it at once");
    baton.build();
    let old = job(&baton, &runner, &[]);
    baton.cancel(old.id);
    assert_eq!(baton.status(old.id), Status::Canceled, "who cannot is told at its next call");
    assert_eq!(told(baton.send(patch_of(&old, "0-1", b"x")).expect(403)).as_deref(), Some("canceled"));
}

#[test]
fn a_claim_that_was_never_heard_of_again_is_taken_back_where_runners_speak_at_once() {
    let baton = Baton::with_project();
    let runner = baton.runner();
    let later = || Timestamp::now().plus(Duration::from_secs(61));
    baton.build();
    let lost = job(&baton, &runner, &[FEATURES]);
    assert_eq!(baton.operator().sweep(Timestamp::now()).unwrap().given_back, 0);
    assert_eq!(baton.operator().sweep(later()).unwrap().given_back, 1);
    assert_eq!(baton.status(lost.id), Status::Pending);
    let heard = job(&baton, &runner, &[FEATURES]);
    assert_eq!(heard.id, lost.id);
    baton.send(put(&lost, json!({"state": "running"}))).expect(403);
    baton.send(put(&heard, json!({"state": "running"}))).expect(200);
    assert_eq!(baton.operator().sweep(later()).unwrap().given_back, 0);
    baton.build();
    job(&baton, &runner, &[]);
    assert_eq!(baton.operator().sweep(later()).unwrap().given_back, 0, "others may be silent for longer");
}
