//! `PUT builds/:id`: rows 32 to 34, and what Baton does beyond GitLab: a repeated last report is
//! 200, and a canceled build's last trace is kept.

use crate::harness::*;
use baton::domain::build::{BuildId, FailureReason, NewBuild, Status, Variable};
use baton::limits::Limits;
use serde_json::{Value, json};

fn put(id: BuildId, body: &Value) -> Request {
    Request::put(&format!("builds/{id}.json")).json(body)
}

fn report(runner: &TestRunner, state: &str) -> Value {
    json!({"token": runner.token, "state": state})
}

/// Row 32.
#[test]
fn a_running_build_may_be_reported_on() {
    let baton = Baton::with_project();
    let (runner, build) = baton.running();
    baton.send(put(build.id, &report(&runner, "running"))).expect(200);
    assert_eq!(baton.status(build.id), Status::Running);
}

/// Row 33.
#[test]
fn a_report_without_a_trace_leaves_the_stored_one() {
    let baton = Baton::with_project();
    let (runner, build) = baton.running();
    baton.append(&build, 0, "BUILD TRACE");
    for state in ["running", "success"] {
        baton.send(put(build.id, &report(&runner, state))).expect(200);
        assert_eq!(baton.trace_text(build.id), "BUILD TRACE");
    }
}

#[test]
fn a_trace_in_a_report_replaces_the_stored_one() {
    let baton = Baton::with_project();
    let (runner, build) = baton.running();
    baton.append(&build, 0, "BUILD TRACE");
    for trace in ["BUILD TRACE and more", "something else", "short", "", "Grüße, 世界 \u{1b}[0m \u{0} \r\n<&>"] {
        let body = json!({"token": runner.token, "state": "running", "trace": trace});
        baton.send(put(build.id, &body)).expect(200);
        assert_eq!(baton.trace_text(build.id), trace);
        assert_eq!(baton.show(build.id).trace_size, trace.len() as u64, "counted in bytes");
    }
}

#[test]
fn a_patch_goes_on_where_a_report_ended() {
    let baton = Baton::with_project();
    let (runner, build) = baton.running();
    let body = json!({"token": runner.token, "state": "running", "trace": "héllo\n"});
    baton.send(put(build.id, &body)).expect(200);
    let response = baton.append(&build, 7, "world\n");
    assert_eq!(response.header("Range"), Some("0-13"));
    assert_eq!(baton.trace_text(build.id), "héllo\nworld\n");
}

#[test]
fn only_success_and_failed_end_a_build() {
    let baton = Baton::with_project();
    for (state, status, reason) in [
        (json!("success"), Status::Success, None),
        (json!("failed"), Status::Failed, Some(FailureReason::ScriptFailure)),
        (json!("running"), Status::Running, None),
        (json!("pending"), Status::Running, None),
        (json!("canceled"), Status::Running, None),
        (json!("skipped"), Status::Running, None),
        (json!("Success"), Status::Running, None),
        (json!(""), Status::Running, None),
        (json!(null), Status::Running, None),
    ] {
        let (runner, build) = baton.running();
        let body = json!({"token": runner.token, "state": state, "trace": "log"});
        baton.send(put(build.id, &body)).expect(200);
        let shown = baton.show(build.id);
        assert_eq!((shown.status, shown.failure_reason), (status, reason), "{state}");
        assert_eq!(shown.finished_at.is_some(), status != Status::Running, "{state}");
        assert_eq!(baton.trace_text(build.id), "log", "{state}");
    }
}

#[test]
fn a_report_without_state_changes_no_state() {
    let baton = Baton::with_project();
    let (runner, build) = baton.running();
    baton.send(put(build.id, &json!({"token": runner.token}))).expect(200);
    assert_eq!(baton.status(build.id), Status::Running);
}

/// Protocol 4.2: pending, finished, another runner's, none.
#[test]
fn what_is_not_the_runners_to_report_on_is_404() {
    let baton = Baton::with_project();
    let (runner, build) = baton.running();
    let stranger = baton.runner();
    let pending = baton.build();
    for (who, id) in [(&stranger, build.id), (&runner, pending), (&runner, BuildId(4711)), (&runner, BuildId(-1))] {
        baton.send(put(id, &report(who, "success"))).expect_error(404);
    }
    assert_eq!(baton.status(build.id), Status::Running);
    assert_eq!(baton.status(pending), Status::Pending);
}

/// How runners verify themselves: the token is judged before the id.
#[test]
fn a_runner_learns_from_build_minus_one_whether_it_is_known() {
    let baton = Baton::start();
    let runner = baton.runner();
    let verify = |token: &str| baton.send(Request::put("builds/-1").json(&json!({"token": token})));
    verify(&runner.token).expect_error(404);
    verify("0123456789abcdef0123456789abcdef").expect_error(403);
    verify("").expect_error(403);
    baton.send(Request::put("builds/-1")).expect_error(403);
    baton.operator().remove_runner(runner.id, baton::domain::time::Timestamp::now()).unwrap();
    verify(&runner.token).expect_error(403);
}

#[test]
fn ids_beyond_all_bounds_are_404() {
    let baton = Baton::start();
    let runner = baton.runner();
    for id in ["0", "-9223372036854775808", "9223372036854775807"] {
        let request = Request::put(&format!("builds/{id}.json"));
        baton.send(request.json(&json!({"token": runner.token}))).expect_error(404);
    }
    for id in ["99999999999999999999999", "abc", "1x", "%31x"] {
        let status = baton.send(Request::put(&format!("builds/{id}")).json(&json!({"token": runner.token}))).status;
        assert_eq!(status, 404, "{id}");
    }
}

#[test]
fn the_last_report_may_be_repeated_by_the_runner_that_has_the_build() {
    let baton = Baton::with_project();
    for (state, other, status) in [("success", "failed", Status::Success), ("failed", "success", Status::Failed)] {
        let (runner, build) = baton.running();
        let last = json!({"token": runner.token, "state": state, "trace": "all of it\n"});
        for _ in 0..3 {
            baton.send(put(build.id, &last)).expect(200);
        }
        baton.send(put(build.id, &report(&runner, other))).expect_error(404);
        baton.send(put(build.id, &report(&runner, "running"))).expect_error(404);
        baton.send(put(build.id, &report(&baton.runner(), state))).expect_error(404);
        assert_eq!(baton.status(build.id), status);
        assert_eq!(baton.trace_text(build.id), "all of it\n");
    }
}

#[test]
fn a_canceled_build_is_404_and_keeps_its_last_trace() {
    let baton = Baton::with_project();
    for state in ["running", "failed", "success"] {
        let (runner, build) = baton.running();
        baton.append(&build, 0, "begun\n");
        baton.cancel(build.id);
        let last = json!({"token": runner.token, "state": state, "trace": "begun\ncanceled\n"});
        for _ in 0..2 {
            baton.send(put(build.id, &last)).expect_error(404);
        }
        assert_eq!(baton.status(build.id), Status::Canceled);
        assert_eq!(baton.trace_text(build.id), "begun\ncanceled\n");
    }
}

#[test]
fn a_build_canceled_before_it_ran_takes_no_trace() {
    let baton = Baton::with_project();
    let id = baton.build();
    baton.cancel(id);
    let runner = baton.runner();
    baton.send(put(id, &json!({"token": runner.token, "state": "failed", "trace": "x"}))).expect_error(404);
    assert_eq!(baton.trace(id), b"");
}

/// In the place of row 34 (GitLab: 403 while it runs, which cannot be, else 404).
#[test]
fn an_erased_build_is_404() {
    let baton = Baton::with_project();
    let (runner, build) = baton.running();
    baton.finish(&build, "success");
    baton.erase(build.id);
    for state in ["running", "success"] {
        let body = json!({"token": runner.token, "state": state, "trace": "back again"});
        baton.send(put(build.id, &body)).expect_error(404);
    }
    assert_eq!(baton.trace(build.id), b"");
}

/// Old runners repeat a last report for ever, unless it is answered with 200, 403 or 404.
#[test]
fn a_trace_over_the_limit_fails_the_build_and_ends_the_report() {
    let baton = Baton::with_limits(Limits { trace_bytes_max: 1000, ..Limits::default() });
    baton.project("demo");
    let (runner, build) = baton.running();
    let body = |size: usize| json!({"token": runner.token, "state": "running", "trace": "x".repeat(size)});
    baton.send(put(build.id, &body(1000))).expect(200);
    let status = baton.send(put(build.id, &body(1001))).status;
    assert!(matches!(status, 403 | 404), "{status}");
    let shown = baton.show(build.id);
    assert_eq!((shown.status, shown.failure_reason), (Status::Failed, Some(FailureReason::TraceTooLarge)));
    let stored = baton.trace_text(build.id);
    assert!(stored.starts_with(&"x".repeat(1000)) && stored[1000..].starts_with("\nbaton: the log is cut here"));
}

#[test]
fn a_build_that_fails_after_its_timeout_has_timed_out() {
    let baton = Baton::with_project();
    for (timeout_s, reason) in [(1, FailureReason::TimedOut), (3600, FailureReason::ScriptFailure)] {
        let id = baton.queue(NewBuild { timeout_s: Some(timeout_s), ..new_build("demo") });
        let runner = baton.runner();
        let build = baton.claim(&runner);
        assert_eq!(build.id, id);
        let set_back = "UPDATE builds SET started_at = started_at - 2000 WHERE id = ?1";
        baton.database().execute(set_back, [id.0]).unwrap();
        baton.send(put(id, &json!({"token": runner.token, "state": "failed"}))).expect(200);
        assert_eq!(baton.show(id).failure_reason, Some(reason));
    }
}

/// Runners write control characters and `<>&` with six characters each.
#[test]
fn a_long_trace_in_escapes_is_taken() {
    let baton = Baton::with_project();
    let (runner, build) = baton.running();
    let log = "\u{1b}<".repeat(1 << 20);
    let escaped = "\\u001b\\u003c".repeat(1 << 20);
    let body = format!(r#"{{"token":"{}","state":"success","trace":"{escaped}"}}"#, runner.token);
    let request = Request::put(&format!("builds/{}.json", build.id)).body("application/json", body);
    baton.send(request).expect(200);
    assert!(baton.trace(build.id) == log.as_bytes(), "the trace is not what was sent");
}

#[test]
fn a_body_that_is_no_json_is_400_and_changes_nothing() {
    let baton = Baton::with_project();
    let (runner, build) = baton.running();
    let whole = report(&runner, "success").to_string();
    for body in [whole.get(..whole.len() - 1).unwrap(), "[]x", "\u{0}"] {
        let request = Request::put(&format!("builds/{}", build.id)).body("application/json", body);
        baton.send(request).expect_error(400);
    }
    assert_eq!(baton.status(build.id), Status::Running);
}

/// A form has no end of its own, and a chunked body can break off inside a chunk.
#[test]
fn a_report_that_breaks_off_changes_nothing() {
    let baton = Baton::with_project();
    let (runner, build) = baton.running();
    let form = [("token", runner.token.as_str()), ("state", "success"), ("trace", "all of the log")];
    let request = Request::put(&format!("builds/{}", build.id)).form(&form);
    for request in [request.clone().chunked(1000), request.chunked(7)] {
        let bytes = request.bytes();
        for missing in [5, 7, 9, 12] {
            let mut connection = Connection::open(baton.address());
            connection.send_raw(&bytes[..bytes.len() - missing]);
            connection.end_sending();
            connection.wait_for_close();
            assert_eq!(baton.status(build.id), Status::Running, "without the last {missing} bytes");
            assert_eq!(baton.trace_text(build.id), "", "without the last {missing} bytes");
        }
    }
}

#[test]
fn a_removed_runners_build_fails_and_its_reports_are_403() {
    let baton = Baton::with_project();
    let (runner, build) = baton.running();
    baton.operator().remove_runner(runner.id, baton::domain::time::Timestamp::now()).unwrap();
    baton.send(put(build.id, &report(&runner, "success"))).expect_error(403);
    let shown = baton.show(build.id);
    assert_eq!((shown.status, shown.failure_reason), (Status::Failed, Some(FailureReason::RunnerLost)));
}

/// A report is JSON: where the log is no UTF-8, it says replacement characters, and can say nothing better.
#[test]
fn a_report_that_differs_from_the_log_only_by_replacement_characters_changes_nothing() {
    let baton = Baton::with_project();
    let (runner, build) = baton.running();
    let log = [&b"caf\xe9\n"[..], "gr\u{f6}\u{df}e\n".as_bytes(), b"\xff\xfe and \xe2\x82 cut\n"].concat();
    baton.send(patch(&build, 0, &log)).expect(202);
    let said = String::from_utf8_lossy(&log).into_owned();
    let more = format!("{said}\u{fffd} more\n");
    let all = [&log, "\u{fffd} more\n".as_bytes()].concat();
    for (state, trace, stored) in [("running", &said, &log), ("running", &more, &all), ("success", &more, &all)] {
        let body = json!({"token": runner.token, "state": state, "trace": trace});
        baton.send(put(build.id, &body)).expect(200);
        assert_eq!(baton.trace(build.id), *stored, "{state}");
    }
}

/// Longer than what is compared at a time, with a secret, which makes a difference of its own.
#[test]
fn a_long_report_is_compared_with_the_log_piece_by_piece() {
    let baton = Baton::with_project();
    let runner = baton.runner();
    let variables = vec![Variable::secret("KEY", "correct horse")];
    baton.queue(NewBuild { variables, ..new_build("demo") });
    let build = baton.claim(&runner);
    let line = |number: usize| [format!("{number} correct horse \u{20ac} ").as_bytes(), b"\xe9\xe8\n"].concat();
    let log: Vec<u8> = (0..100_000).flat_map(line).collect();
    assert!(log.len() > 2 << 20);
    baton.send(patch(&build, 0, &log)).expect(202);
    let masked = baton.trace(build.id);
    assert!(masked.len() == log.len() && masked != log);
    let body = json!({"token": runner.token, "state": "success", "trace": String::from_utf8_lossy(&log)});
    baton.send(put(build.id, &body)).expect(200);
    assert!(baton.trace(build.id) == masked, "the log has changed");
}
