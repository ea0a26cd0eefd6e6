//! `PATCH builds/:id/trace.txt`: rows 35, 37, 39, 41, 43 and 45 to 49 of GitLab's own tests, and what Baton decides
//! otherwise: a build that does not run is 403, and the range must agree with the body.

use crate::harness::*;
use baton::domain::build::{BuildId, FailureReason, Status};
use baton::limits::Limits;
use std::time::Duration;

/// A running build with the trace of GitLab's tests, 11 bytes.
fn with_trace(baton: &Baton) -> (TestRunner, Claimed) {
    let (runner, build) = baton.running();
    baton.append(&build, 0, "BUILD TRACE");
    (runner, build)
}

fn patch_range(build: &Claimed, range: &str, data: &str) -> Request {
    Request::patch(&format!("builds/{}/trace.txt", build.id))
        .build_token(&build.token)
        .header("Content-Range", range)
        .body("text/plain", data)
}

/// Rows 35, 37 and 41; the end as runners up to 11.10 send it, and as later ones and GitLab's tests do.
#[test]
fn a_patch_at_the_end_is_appended() {
    let baton = Baton::with_project();
    for range in ["11-20", "11-19"] {
        let (_, build) = with_trace(&baton);
        let response = baton.send(patch_range(&build, range, " appended")).expect(202);
        assert_eq!(response.header("Range"), Some("0-20"));
        assert_eq!(response.header("Build-Status"), Some("running"));
        assert_eq!(baton.trace_text(build.id), "BUILD TRACE appended");
    }
}

/// Rows 39, 43 and 45: signs of life.
#[test]
fn an_empty_patch_at_the_end_changes_nothing() {
    let baton = Baton::with_project();
    let (_, build) = with_trace(&baton);
    for range in ["11-10", "11-11", "11-500", "11-0"] {
        let response = baton.send(patch_range(&build, range, "")).expect(202);
        assert_eq!(response.header("Range"), Some("0-11"), "{range}");
        assert_eq!(response.header("Build-Status"), Some("running"), "{range}");
    }
    let (_, fresh) = baton.running();
    let response = baton.send(patch_range(&fresh, "0-0", "")).expect(202);
    assert_eq!(response.header("Range"), Some("0-0"));
    assert_eq!(baton.trace_text(build.id), "BUILD TRACE");
}

/// Old Go sends neither a length nor chunks then.
#[test]
fn a_patch_without_any_body_is_an_empty_one() {
    let baton = Baton::with_project();
    let (_, build) = with_trace(&baton);
    let request = Request::patch(&format!("builds/{}/trace.txt", build.id));
    let request = request.build_token(&build.token).header("Content-Range", "11-11");
    let response = baton.send(request).expect(202);
    assert_eq!(response.header("Range"), Some("0-11"));
}

/// Row 46.
#[test]
fn patch_with_a_hole_is_told_where_to_resume() {
    let baton = Baton::with_project();
    let (_, build) = with_trace(&baton);
    for (range, data) in [("15-23", " appended"), ("15-24", " appended"), ("12-12", ""), ("999999999999-0", "")] {
        let response = baton.send(patch_range(&build, range, data)).expect(416);
        assert_eq!(response.header("Range"), Some("0-11"), "{range}");
        assert_eq!(response.header("Build-Status"), None, "{range}");
    }
    assert_eq!(baton.trace_text(build.id), "BUILD TRACE");
}

/// Row 47, and with it the patch whose answer was lost.
#[test]
fn patch_of_what_is_there_already_is_told_where_to_resume() {
    let baton = Baton::with_project();
    let (_, build) = with_trace(&baton);
    for (range, data) in [("8-16", " appended"), ("8-17", " appended"), ("0-11", "BUILD TRACE"), ("0-0", "")] {
        let response = baton.send(patch_range(&build, range, data)).expect(416);
        assert_eq!(response.header("Range"), Some("0-11"), "{range}");
    }
    assert_eq!(baton.trace_text(build.id), "BUILD TRACE");
}

/// Row 48.
#[test]
fn a_patch_without_a_range_is_400() {
    let baton = Baton::with_project();
    let (_, build) = with_trace(&baton);
    let request = Request::patch(&format!("builds/{}/trace.txt", build.id)).build_token(&build.token);
    for data in ["", " appended"] {
        baton.send(request.clone().body("text/plain", data)).expect(400);
    }
    assert_eq!(baton.trace_text(build.id), "BUILD TRACE");
}

#[test]
fn a_range_must_be_one_and_agree_with_the_body() {
    let baton = Baton::with_project();
    let (_, build) = with_trace(&baton);
    for range in [
        "",
        "-",
        "11",
        "11-",
        "-20",
        "a-b",
        "11-20-30",
        "11-18",
        "11-21",
        "11-11",
        "20-11",
        "0x0b-20",
        "+11-20",
        "11 - 20",
        "99999999999999999999-99999999999999999999",
    ] {
        baton.send(patch_range(&build, range, " appended")).expect(400);
    }
    assert_eq!(baton.trace_text(build.id), "BUILD TRACE");
    for range in ["bytes 11-20", "bytes 11-19/20", "11-20/*"] {
        let (_, build) = with_trace(&baton);
        baton.send(patch_range(&build, range, " appended")).expect(202);
    }
}

/// Row 49.
#[test]
fn an_erased_build_is_403() {
    let baton = Baton::with_project();
    let (_, build) = with_trace(&baton);
    baton.finish(&build, "success");
    baton.erase(build.id);
    baton.send(patch_range(&build, "0-9", " appended")).expect(403);
    assert_eq!(baton.trace(build.id), b"");
}

#[test]
fn a_build_that_does_not_run_is_403_with_its_status() {
    let baton = Baton::with_project();
    for end in ["success", "failed"] {
        let (_, build) = with_trace(&baton);
        baton.finish(&build, end);
        for (range, data) in [("11-20", " appended"), ("11-11", ""), ("15-24", " appended")] {
            let response = baton.send(patch_range(&build, range, data)).expect(403);
            assert_eq!(response.header("Build-Status"), Some(end), "{range}");
        }
        assert_eq!(baton.trace_text(build.id), "BUILD TRACE");
    }
}

/// The runner has not heard of the end yet. What it sends a second time, with more, is stored once.
#[test]
fn what_continues_the_log_of_a_canceled_build_is_stored_and_refused() {
    let baton = Baton::with_project();
    let (_, build) = with_trace(&baton);
    baton.cancel(build.id);
    for (range, data, stored) in [
        ("12-18", "a hole", "BUILD TRACE"),
        ("11-20", " appended", "BUILD TRACE appended"),
        ("11-20", " appended", "BUILD TRACE appended"),
        ("11-37", " appended, ERROR: canceled", "BUILD TRACE appended, ERROR: canceled"),
        ("3-6", "abc", "BUILD TRACE appended, ERROR: canceled"),
    ] {
        let response = baton.send(patch_range(&build, range, data)).expect(403);
        assert_eq!(response.header("Build-Status"), Some("canceled"), "{range}");
        assert_eq!(baton.trace_text(build.id), stored, "{range}");
    }
    baton.erase(build.id);
    baton.send(patch_range(&build, "0-9", " appended")).expect(403);
    assert_eq!(baton.trace(build.id), b"");
}

#[test]
fn a_build_that_has_not_begun_is_403_with_its_status() {
    let baton = Baton::start();
    let ci_token = baton.project("demo");
    let pending = baton.build();
    let created = baton.build_needing(&[pending]);
    for (id, status) in [(pending, "pending"), (created, "created")] {
        let request = Request::patch(&format!("builds/{id}/trace.txt")).build_token(&ci_token);
        let response = baton.send(request.header("Content-Range", "0-1").body("text/plain", "x")).expect(403);
        assert_eq!(response.header("Build-Status"), Some(status));
        assert_eq!(baton.trace(id), b"");
    }
}

/// Protocol 1.3: build, then token, then range.
#[test]
fn an_unknown_build_comes_before_the_token_and_the_token_before_the_range() {
    let baton = Baton::with_project();
    let (_, build) = with_trace(&baton);
    for id in ["4711", "-1"] {
        baton.send(Request::patch(&format!("builds/{id}/trace.txt")).build_token("wrong")).expect(404);
        baton.send(Request::patch(&format!("builds/{id}/trace.txt"))).expect(404);
    }
    let path = format!("builds/{}/trace.txt", build.id);
    baton.send(Request::patch(&path).build_token("wrong").body("text/plain", "x")).expect(403);
    baton.send(Request::patch(&path).body("text/plain", "x")).expect(403);
}

#[test]
fn the_body_is_the_log_whatever_its_type_says() {
    let baton = Baton::with_project();
    let log = "token=x&a=b%20c\r\n--boundary\r\n{\"token\":\"x\"}\n";
    for content_type in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/json",
        "multipart/form-data; boundary=boundary",
        "multipart/form-data",
        "application/octet-stream",
        "x",
    ] {
        let (_, build) = baton.running();
        let request = Request::patch(&format!("builds/{}/trace.txt", build.id)).build_token(&build.token);
        let request = request.header("Content-Range", &format!("0-{}", log.len())).body(content_type, log);
        baton.send(request).expect(202);
        assert_eq!(baton.trace_text(build.id), log, "{content_type}");
    }
}

#[test]
fn a_token_in_the_body_is_no_token() {
    let baton = Baton::with_project();
    let (_, build) = baton.running();
    let path = format!("builds/{}/trace.txt", build.id);
    let form = format!("token={}", build.token);
    let range = format!("0-{}", form.len());
    let request = Request::patch(&path).header("Content-Range", &range);
    baton.send(request.body("application/x-www-form-urlencoded", form)).expect(403);
    let json = format!("{{\"token\":\"{}\"}}", build.token);
    let range = format!("0-{}", json.len());
    baton.send(Request::patch(&path).header("Content-Range", &range).body("application/json", json)).expect(403);
    assert_eq!(baton.trace(build.id), b"");
}

#[test]
fn bytes_that_are_no_text_are_kept_as_they_are() {
    let baton = Baton::with_project();
    let (_, build) = baton.running();
    let every: Vec<u8> = (0..=255).collect();
    baton.send(patch(&build, 0, &every)).expect(202);
    baton.send(patch(&build, 256, &every)).expect(202);
    assert_eq!(baton.trace(build.id), [every.clone(), every].concat());
}

#[test]
fn a_patch_in_chunks_is_taken_too() {
    let baton = Baton::with_project();
    let (_, build) = baton.running();
    let log = "0123456789".repeat(5000);
    baton.send(patch(&build, 0, log.as_bytes()).chunked(777)).expect(202);
    assert_eq!(baton.trace_text(build.id), log);
}

/// Runners before 11.11 send all that is new in one patch.
#[test]
fn a_patch_of_many_mebibytes_is_taken() {
    let baton = Baton::with_project();
    let (_, build) = baton.running();
    let log = vec![b'x'; 8 << 20];
    let response = baton.send(patch(&build, 0, &log)).expect(202);
    assert_eq!(response.header("Range"), Some(format!("0-{}", log.len()).as_str()));
    assert!(baton.trace(build.id) == log, "the trace is not what was sent");
}

/// It is stored like several patches.
#[test]
fn a_long_patch_is_stored_whole_or_as_far_as_it_fits() {
    let baton = Baton::with_limits(Limits { trace_bytes_max: 5 << 20, ..Limits::default() });
    baton.project("demo");
    let (_, build) = baton.running();
    let log = "a line of the log\n".repeat(200_000);
    let response = baton.append(&build, 0, &log);
    assert_eq!(response.header("Range"), Some(format!("0-{}", log.len()).as_str()));
    assert!(baton.trace_text(build.id) == log, "the trace is not the log");
    baton.send(patch(&build, log.len() - 1, log.as_bytes())).expect_error(416);
    baton.send(patch(&build, log.len(), log.as_bytes())).expect_error(403);
    let shown = baton.show(build.id);
    assert_eq!((shown.status, shown.failure_reason), (Status::Failed, Some(FailureReason::TraceTooLarge)));
    assert_cut(&baton, build.id, &log.repeat(2), 5 << 20);
}

/// The stored trace is the log up to the limit, and a line that says so.
fn assert_cut(baton: &Baton, id: BuildId, log: &str, bytes_max: usize) {
    let stored = baton.trace_text(id);
    let (kept, last) = stored.split_at(bytes_max);
    assert!(kept == &log[..bytes_max], "what fits is kept");
    assert!(last.starts_with("\nbaton: the log is cut here, at ") && last.lines().count() == 2, "{last:?}");
}

#[test]
fn a_trace_over_the_limit_fails_the_build_and_the_runner_is_told() {
    let baton = Baton::with_limits(Limits { trace_bytes_max: 1000, ..Limits::default() });
    baton.project("demo");
    let (_, build) = baton.running();
    baton.send(patch(&build, 0, &[b'x'; 1000])).expect(202);
    let response = baton.send(patch(&build, 1000, b"y")).expect(403);
    assert_eq!(response.header("Build-Status"), Some("failed"));
    let shown = baton.show(build.id);
    assert_eq!((shown.status, shown.failure_reason), (Status::Failed, Some(FailureReason::TraceTooLarge)));
    assert_cut(&baton, build.id, &"x".repeat(1000), 1000);
    let (_, build) = baton.running();
    baton.send(patch(&build, 0, "one patch ".repeat(200).as_bytes())).expect(403);
    assert_cut(&baton, build.id, &"one patch ".repeat(200), 1000);
}

#[test]
fn a_patch_that_breaks_off_is_not_stored() {
    // A small body is awaited for as long as a head.
    let limits = Limits { head_time_max: Duration::from_millis(300), ..Limits::default() };
    let baton = Baton::with_limits(limits);
    baton.project("demo");
    let (_, build) = with_trace(&baton);
    let whole = patch(&build, 11, b" appended");
    // The end of this range would also fit, exclusive, a body that lacks a byte.
    let inclusive = patch_range(&build, "11-19", " appended");
    for (request, cuts) in [
        (whole.clone(), [1, 3, 9]),
        (whole.chunked(4), [5, 7, 12]),
        (inclusive.clone(), [1, 2, 8]),
        (inclusive.clone().chunked(4), [5, 7, 12]),
        (inclusive.chunked(9), [5, 7, 8]),
    ] {
        let bytes = request.bytes();
        for missing in cuts {
            let mut connection = Connection::open(baton.address());
            connection.send_raw(&bytes[..bytes.len() - missing]);
            connection.end_sending();
            connection.wait_for_close();
            assert_eq!(baton.trace_text(build.id), "BUILD TRACE", "without the last {missing} bytes");
        }
    }
    baton.append(&build, 11, " appended");
}
