//! Which uploads are refused, when, and that nothing is left of them.

use super::*;
use baton::domain::build::{FailureReason, Status};

/// Rows 54 and 55.
#[test]
fn an_upload_at_the_limit_is_refused_before_it_is_sent() {
    for (limit, filesize, status) in [(0, "100", 413), (100, "100", 413), (100, "101", 413), (100, "99", 200)] {
        let baton = limited(limit);
        let (_, build) = baton.running();
        let authorize = Request::post(&format!("{}/authorize", path(&build))).query("filesize", filesize);
        for request in [authorize.clone().query("token", &build.token), authorize.build_token(&build.token)] {
            assert_eq!(baton.send(request).status, status, "{filesize} of {limit}");
        }
    }
}

/// Row 56, and what `authorize` answers.
#[test]
fn who_may_not_upload_is_told_before() {
    let baton = Baton::with_project();
    let (_, build) = baton.running();
    let authorize = |id: &str| Request::post(&format!("builds/{id}/artifacts/authorize"));
    let id = build.id.to_string();
    baton.send(authorize(&id).build_token("wrong")).expect_error(403);
    baton.send(authorize(&id)).expect_error(403);
    baton.send(authorize("4711").build_token("wrong")).expect_error(404);
    baton.send(authorize("-1").build_token(&build.token)).expect_error(404);
    baton.finish(&build, "success");
    baton.send(authorize(&id).build_token(&build.token)).expect_error(403);
    baton.erase(build.id);
    baton.send(authorize(&id).build_token(&build.token)).expect_error(403);
}

/// Rows 63, 64 and 70, and in the place of 72: no field makes the server open a file of its own.
#[test]
fn an_upload_without_a_file_is_400_and_stores_nothing() {
    let baton = Baton::with_project();
    let (_, build) = baton.running();
    let post = || Request::post(&path(&build)).build_token(&build.token);
    let metadata = Part { name: "metadata", filename: Some("metadata.gz"), data: b"an index" };
    let paths = [Part::field("file.path", "/etc/passwd"), Part::field("file.name", NAME)];
    for request in [
        post(),
        post().form(&[("expire_in", "1 week")]),
        post().json(&json!({"file": "content"})),
        post().multipart(&[metadata]),
        post().multipart(&[Part::field("expire_in", "1 week")]),
        post().multipart(&paths),
        post().body("multipart/form-data", "no boundary"),
    ] {
        baton.send(request).expect_error(400);
    }
    expect_nothing_stored(&baton, &build);
}

#[test]
fn two_files_are_one_too_many() {
    let baton = Baton::with_project();
    let (_, build) = baton.running();
    let parts = [Part::file(NAME, b"one"), Part::file("other.zip", b"two")];
    baton.send(Request::post(&path(&build)).build_token(&build.token).multipart(&parts)).expect_error(400);
    expect_nothing_stored(&baton, &build);
}

#[test]
fn a_refused_upload_leaves_the_earlier_one() {
    let baton = limited(1000);
    let (_, build) = with_artifacts(&baton);
    baton.send(upload(&build, NAME, &[0; 1000])).expect(413);
    baton.send(upload(&build, NAME, b"x").query("token", "wrong")).expect(403);
    baton.send(upload(&build, NAME, b"x").query("expire_in", "whenever")).expect_error(400);
    expect_stored(&baton, &build, b"first");
    expect_files(&baton, 1);
}

/// Row 69: strictly smaller passes.
#[test]
fn artifacts_at_the_limit_are_413_and_leave_nothing() {
    for (limit, size, status) in [(0, 0, 413), (0, 1, 413), (1, 0, 201), (1000, 999, 201), (1000, 1000, 413)] {
        let baton = limited(limit);
        let (_, build) = baton.running();
        let data = vec![b'z'; size];
        for request in [upload(&build, NAME, &data), upload(&build, NAME, &data).chunked(100)] {
            let response = baton.send(request);
            assert_eq!(response.status, status, "{size} of {limit}: {}", response.text());
            if status == 413 {
                response.expect_error(413);
                expect_nothing_stored(&baton, &build);
            }
        }
    }
}

/// A client that is told while it still sends must get the answer, not a broken connection: old runners repeat an
/// upload on the latter, and give up on 403 and 413.
#[test]
fn a_refusal_reaches_a_client_that_sends_a_lot() {
    let baton = limited(1000);
    let (_, build) = baton.running();
    let data = vec![b'z'; 4 << 20];
    for chunked in [false, true] {
        let in_form = |request: Request| if chunked { request.chunked(4096) } else { request };
        baton.send(in_form(upload(&build, NAME, &data))).expect_error(413);
        let wrong = Request::post(&path(&build)).build_token("wrong").multipart(&[Part::file(NAME, &data)]);
        baton.send(in_form(wrong)).expect_error(403);
    }
    expect_nothing_stored(&baton, &build);
}

#[test]
fn a_build_that_does_not_run_takes_no_artifacts() {
    let baton = Baton::start();
    let ci_token = baton.project("demo");
    for end in ["pending", "success", "failed", "canceled"] {
        let id = baton.build();
        if end != "pending" {
            let build = baton.claim(&baton.runner());
            if end == "canceled" { baton.cancel(id) } else { baton.finish(&build, end) }
        }
        let request = Request::post(&format!("builds/{id}/artifacts")).build_token(&ci_token);
        baton.send(request.multipart(&[Part::file(NAME, b"content")])).expect_error(403);
        expect_files(&baton, 0);
        if end == "pending" {
            baton.cancel(id);
        }
    }
}

#[test]
fn an_upload_that_breaks_off_leaves_nothing_and_the_earlier_one() {
    let baton = Baton::with_project();
    let (_, build) = with_artifacts(&baton);
    let data = vec![b'z'; 100_000];
    for request in [upload(&build, NAME, &data), upload(&build, NAME, &data).chunked(1000)] {
        let bytes = request.bytes();
        for missing in [20, 70, 5000, 99_000] {
            let mut connection = Connection::open(baton.address());
            connection.send_raw(&bytes[..bytes.len() - missing]);
            connection.end_sending();
            connection.wait_for_close();
            expect_files(&baton, 1);
            expect_stored(&baton, &build, b"first");
        }
    }
}

/// A chunked body can end early without breaking off: only the closing delimiter says that the file is whole.
#[test]
fn an_upload_without_its_closing_delimiter_is_not_stored() {
    let baton = Baton::with_project();
    let (_, build) = with_artifacts(&baton);
    let head = part_head(&Part::file(NAME, b""));
    let whole = [head.as_bytes(), b"second", parts_end().as_bytes()].concat();
    for missing in [3, 4, 10, 66, 70] {
        let content_type = format!("multipart/form-data; boundary={}", http::BOUNDARY);
        let request = Request::post(&path(&build)).build_token(&build.token);
        let request = request.body(&content_type, &whole[..whole.len() - missing]);
        for request in [request.clone(), request.chunked(50)] {
            baton.send(request).expect_error(400);
            expect_stored(&baton, &build, b"first");
        }
    }
    expect_files(&baton, 1);
}

/// The runner only says that the build failed; the server has answered 413 before.
#[test]
fn a_build_fails_for_the_size_of_its_artifacts_if_the_last_ones_were_refused() {
    type Send = fn(&Claimed) -> Vec<Request>;
    let whole = |build: &Claimed| vec![upload(build, NAME, &[b'z'; 1000])];
    let unannounced = |build: &Claimed| vec![upload(build, NAME, &[b'z'; 1000]).chunked(100)];
    let far_too_long = |build: &Claimed| vec![upload(build, NAME, &vec![b'z'; 2 << 20])];
    let announced = |build: &Claimed| {
        let path = format!("{}/authorize", path(build));
        vec![Request::post(&path).build_token(&build.token).json(&json!({"filesize": "1000"}))]
    };
    let then_smaller = |build: &Claimed| vec![upload(build, NAME, &[b'z'; 1000]), upload(build, NAME, b"small")];
    let of_a_stranger = |build: &Claimed| {
        vec![Request::post(&path(build)).build_token("no").multipart(&[Part::file(NAME, &[b'z'; 1000])])]
    };
    let cases: [(&str, Send, Option<&str>, FailureReason); 7] = [
        ("a whole upload", whole, None, FailureReason::ArtifactsTooLarge),
        ("one of unknown length", unannounced, Some("always"), FailureReason::ArtifactsTooLarge),
        ("one that is refused unread", far_too_long, Some("on_success"), FailureReason::ArtifactsTooLarge),
        ("one that is only announced", announced, None, FailureReason::ArtifactsTooLarge),
        ("a smaller one after it", then_smaller, None, FailureReason::ScriptFailure),
        ("one that somebody else sends", of_a_stranger, None, FailureReason::ScriptFailure),
        ("one that is made for failures", whole, Some("on_failure"), FailureReason::ScriptFailure),
    ];
    let baton = limited(1000);
    let runner = baton.runner();
    for (what, send, when, reason) in cases {
        baton.queue(NewBuild { spec: with_options(json!({"artifacts": {"when": when}})), ..new_build("demo") });
        let build = baton.claim(&runner);
        let statuses: Vec<u16> = send(&build).into_iter().map(|request| baton.send(request).status).collect();
        assert!(matches!(statuses[0], 413 | 403), "{what}: {statuses:?}");
        baton.finish(&build, "failed");
        assert_eq!(baton.show(build.id).failure_reason, Some(reason), "{what}");
    }
    baton.queue(new_build("demo"));
    let build = baton.claim(&runner);
    baton.send(upload(&build, NAME, &[b'z'; 1000])).expect_error(413);
    baton.finish(&build, "success");
    assert_eq!((baton.status(build.id), baton.show(build.id).failure_reason), (Status::Success, None));
}
