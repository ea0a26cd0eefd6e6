//! `builds/:id/artifacts` and `builds/:id/artifacts/authorize`: rows 50 to 77 without those of `main`'s table,
//! protocol 1.4 to 1.7 and 6. What arrives to the byte is in `bytes` and `big`.

use crate::harness::http::{BOUNDARY, part_head, parts_end};
use crate::harness::*;
use baton::domain::build::NewBuild;
use baton::domain::time::Timestamp;
use baton::limits::Limits;
use baton::store::builds;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::thread;
use std::time::{Duration, Instant};

const NAME: &str = "ci_build_artifacts.zip";

fn path(build: &Claimed) -> String {
    format!("builds/{}/artifacts", build.id)
}

/// A server whose artifacts must be smaller than `bytes_max`.
fn limited(bytes_max: u64) -> Baton {
    let baton = Baton::with_limits(Limits { artifacts_bytes_max: bytes_max, ..Limits::default() });
    baton.project("demo");
    baton
}

/// A running build with artifacts "first".
fn with_artifacts(baton: &Baton) -> (TestRunner, Claimed) {
    let (runner, build) = baton.running();
    baton.send(upload(&build, NAME, b"first")).expect(201);
    (runner, build)
}

#[track_caller]
fn expect_stored(baton: &Baton, build: &Claimed, data: &[u8]) {
    let response = baton.send(download(build)).expect(200);
    assert!(response.body == data, "{} bytes came back, not {}", response.body.len(), data.len());
}

#[track_caller]
fn expect_nothing_stored(baton: &Baton, build: &Claimed) {
    baton.send(download(build)).expect_error(404);
    assert!(baton.show(build.id).artifacts.is_none());
    expect_files(baton, 0);
}

/// Waits for what the server does after its answer, or after a connection that broke off.
#[track_caller]
fn expect_files(baton: &Baton, count: usize) {
    let patience = Instant::now() + Duration::from_secs(120);
    while baton.files().len() != count && Instant::now() < patience {
        std::thread::yield_now();
    }
    assert_eq!(baton.files().len(), count, "{:?}", baton.files());
}

/// Rows 50 to 52.
#[test]
fn a_running_build_may_upload() {
    let baton = Baton::start();
    let ci_token = baton.project("demo");
    let (_, build) = baton.running();
    let authorize = format!("{}/authorize", path(&build));
    for request in [
        Request::post(&authorize).json(&json!({"token": build.token})),
        Request::post(&authorize).build_token(&build.token),
        Request::post(&authorize).build_token(&ci_token),
        Request::post(&authorize).build_token(&build.token).query("filesize", "100"),
    ] {
        let response = baton.send(request).expect(200);
        assert_eq!(response.header("Content-Type"), Some("application/vnd.gitlab-workhorse+json"));
        let json: Value = serde_json::from_slice(&response.body).unwrap();
        assert_eq!(json, json!({"MaximumSize": baton.operator().limits().artifacts_bytes_max}));
    }
}

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

/// Row 56, and protocol 1.4.
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

/// Row 57.
#[test]
fn an_erased_build_takes_no_artifacts_and_gives_none() {
    let baton = Baton::with_project();
    let (_, build) = with_artifacts(&baton);
    baton.finish(&build, "success");
    baton.erase(build.id);
    baton.send(upload(&build, NAME, b"second")).expect_error(403);
    baton.send(download(&build)).expect_error(403);
    baton.send(Request::delete(&path(&build)).build_token(&build.token)).expect_error(403);
    expect_files(&baton, 0);
}

/// Rows 58 and 66; the answer is the build, as `register` gives it.
#[test]
fn an_upload_is_answered_with_the_build() {
    let baton = Baton::with_project();
    let (_, build) = baton.running();
    let json = baton.send(upload(&build, NAME, b"content")).expect(201).json();
    assert_eq!(json["artifacts_file"], json!({"filename": NAME, "size": 7}));
    assert_eq!(json["artifacts_expire_at"], Value::Null);
    for key in ["id", "token", "name", "stage", "ref", "sha", "status", "variables", "options", "depends_on_builds"] {
        assert_eq!(json[key], build.json[key], "{key}");
    }
    let shown = baton.show(build.id).artifacts.expect("the operator sees them");
    assert_eq!((shown.filename.as_str(), shown.size, shown.expire_at), (NAME, 7, None));
    assert_eq!(shown.sha256, <[u8; 32]>::from(Sha256::digest(b"content")));
}

/// Row 60.
#[test]
fn a_second_upload_takes_the_place_of_the_first() {
    let baton = Baton::with_project();
    let (_, build) = with_artifacts(&baton);
    let json = baton.send(upload(&build, "other.zip", b"second")).expect(201).json();
    assert_eq!(json["artifacts_file"]["filename"], "other.zip");
    expect_stored(&baton, &build, b"second");
    expect_files(&baton, 1);
}

/// Rows 61, 74 and 76.
#[test]
fn the_projects_token_stands_for_its_builds_tokens() {
    let baton = Baton::start();
    let ci_token = baton.project("demo");
    let (_, build) = baton.running();
    let file = [Part::file(NAME, b"content")];
    baton.send(Request::post(&path(&build)).build_token(&ci_token).multipart(&file)).expect(201);
    let response = baton.send(Request::get(&path(&build)).build_token(&ci_token)).expect(200);
    assert_eq!(response.body, b"content");
    baton.send(Request::delete(&path(&build)).build_token(&ci_token)).expect(200);
    expect_nothing_stored(&baton, &build);
}

/// Row 62.
#[test]
fn metadata_is_stored_beside_the_file() {
    let baton = Baton::with_project();
    let (_, build) = baton.running();
    let metadata = || Part { name: "metadata", filename: Some("metadata.gz"), data: b"an index" };
    let file = || Part::file(NAME, b"content");
    for parts in [[file(), metadata()], [metadata(), file()]] {
        let request = Request::post(&path(&build)).build_token(&build.token).multipart(&parts);
        let json = baton.send(request).expect(201).json();
        assert_eq!(json["artifacts_file"], json!({"filename": NAME, "size": 7}));
        expect_stored(&baton, &build, b"content");
        expect_files(&baton, 2);
    }
    baton.send(upload(&build, NAME, b"alone")).expect(201);
    expect_files(&baton, 1);
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

/// Row 65, and the words of protocol 6.
#[test]
fn artifacts_expire_when_the_client_says() {
    let baton = Baton::with_project();
    let (_, build) = baton.running();
    let post = || Request::post(&path(&build)).build_token(&build.token);
    let file = || Part::file(NAME, b"content");
    for (words, seconds) in
        [("7 days", 604_800), ("7d", 604_800), ("2 hrs 20 min", 8400), ("3 weeks and 2 days", 1_987_200), ("90", 90)]
    {
        let in_query = post().query("expire_in", words).multipart(&[file()]);
        let in_field = post().multipart(&[Part::field("expire_in", words), file()]);
        for request in [in_query, in_field] {
            let before = Timestamp::now();
            let json = baton.send(request).expect(201).json();
            let after = Timestamp::now();
            let shown = baton.show(build.id).artifacts.unwrap().expire_at.expect("a time");
            let span = Duration::from_secs(seconds);
            assert!(before.plus(span) <= shown && shown <= after.plus(span), "{words}: {shown}");
            let text = json["artifacts_expire_at"].as_str().expect("a time").to_owned();
            let said = humantime::parse_rfc3339_weak(text.trim_end_matches('Z')).expect("RFC 3339");
            let said = said.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() as i64;
            assert!((said - shown.0 / 1000).abs() <= 1, "{text} and {shown}");
        }
    }
}

/// Row 66 with an empty query, as runners send it, and "never".
#[test]
fn artifacts_without_an_end_stay() {
    let baton = Baton::with_project();
    let (_, build) = baton.running();
    for query in ["", "?", "?expire_in=", "?expire_in=0"] {
        let request = Request::post(&format!("{}{query}", path(&build))).build_token(&build.token);
        let json = baton.send(request.multipart(&[Part::file(NAME, b"content")])).expect(201).json();
        assert_eq!(json["artifacts_expire_at"], Value::Null, "{query}");
    }
}

/// Runners before 1.3 do not repeat it with the upload.
#[test]
fn expire_in_of_the_builds_options_holds_when_the_upload_says_nothing() {
    let baton = Baton::with_project();
    let runner = baton.runner();
    let options = object(json!({"artifacts": {"paths": ["out/"], "expire_in": "1 week"}}));
    baton.queue(NewBuild { options, ..new_build("demo") });
    let build = baton.claim(&runner);
    let json = baton.send(upload(&build, NAME, b"content")).expect(201).json();
    assert!(json["artifacts_expire_at"].is_string(), "{json}");
}

/// Rows 67 and 68: the site's default holds for those who say nothing; and what each of them says goes before it.
#[test]
fn artifacts_of_which_nobody_says_more_expire_as_the_server_says() {
    let day = Duration::from_secs(24 * 3600);
    let baton = Baton::with_limits(Limits { keep_artifacts: Some(30 * day), ..Limits::default() });
    baton.project("demo");
    let runner = baton.runner();
    for (own, query, days) in [
        (None, "", Some(30)),
        (None, "?", Some(30)),
        (None, "?expire_in=7d", Some(7)),
        (None, "?expire_in=", None),
        (None, "?expire_in=0", None),
        (None, "?expire_in=never", None),
        (Some("2 days"), "", Some(2)),
        (Some("2 days"), "?expire_in=1d", Some(1)),
        (Some("0"), "", None),
        (Some("never"), "", None),
        (Some("never"), "?expire_in=1d", Some(1)),
    ] {
        let mut artifacts = object(json!({"paths": ["out/"]}));
        artifacts.extend(own.map(|text| ("expire_in".to_owned(), json!(text))));
        baton.queue(NewBuild { options: object(json!({"artifacts": artifacts})), ..new_build("demo") });
        let build = baton.claim(&runner);
        let before = Timestamp::now();
        let request = Request::post(&format!("{}{query}", path(&build))).build_token(&build.token);
        let json = baton.send(request.multipart(&[Part::file(NAME, b"content")])).expect(201).json();
        let after = Timestamp::now();
        let at = baton.show(build.id).artifacts.unwrap().expire_at;
        assert_eq!(json["artifacts_expire_at"].is_null(), days.is_none(), "{own:?} {query}: {json}");
        let as_said = match (at, days) {
            (Some(at), Some(days)) => before.plus(days * day) <= at && at <= after.plus(days * day),
            (at, days) => at.is_none() && days.is_none(),
        };
        assert!(as_said, "{own:?} {query}: {at:?}");
    }
}

#[test]
fn expired_artifacts_are_gone() {
    let baton = Baton::with_project();
    let (_, build) = with_artifacts(&baton);
    baton.database().execute("UPDATE artifacts SET expire_at = 1", []).unwrap();
    baton.send(download(&build)).expect_error(404);
    assert!(baton.show(build.id).artifacts.is_none());
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

/// Row 73.
#[test]
fn a_finished_builds_artifacts_can_be_removed() {
    let baton = Baton::with_project();
    for state in ["success", "failed"] {
        let (_, build) = with_artifacts(&baton);
        baton.finish(&build, state);
        expect_stored(&baton, &build, b"first");
        for _ in 0..2 {
            baton.send(Request::delete(&path(&build)).build_token(&build.token)).expect(200);
            expect_nothing_stored(&baton, &build);
        }
    }
}

/// Row 75, and what a download needs to be resumed.
#[test]
fn a_download_says_name_length_and_checksum() {
    let baton = Baton::with_project();
    let (_, build) = baton.running();
    baton.send(upload(&build, NAME, b"content")).expect(201);
    let response = baton.send(download(&build)).expect(200);
    assert_eq!(response.body, b"content");
    let sha256: String = Sha256::digest(b"content").iter().map(|byte| format!("{byte:02x}")).collect();
    for (name, value) in [
        ("Content-Transfer-Encoding", "binary".to_owned()),
        ("Content-Disposition", format!("attachment; filename={NAME}")),
        ("Content-Type", "application/octet-stream".to_owned()),
        ("Content-Length", "7".to_owned()),
        ("ETag", format!("\"{sha256}\"")),
    ] {
        assert_eq!(response.header(name), Some(value.as_str()), "{name}");
    }
}

/// Row 77.
#[test]
fn without_artifacts_a_download_is_404() {
    let baton = Baton::with_project();
    let (_, build) = baton.running();
    baton.send(download(&build)).expect_error(404);
    baton.send(Request::get("builds/4711/artifacts").build_token("wrong")).expect_error(404);
    baton.send(Request::get(&path(&build)).build_token("wrong")).expect_error(403);
}

#[test]
fn a_clients_file_name_is_a_name_only() {
    let baton = Baton::with_project();
    let (_, build) = baton.running();
    for (sent, kept) in [
        ("../../../etc/cron.d/x.zip", "x.zip"),
        ("/abs/y.zip", "y.zip"),
        ("C:\\\\builds\\\\z.zip", "z.zip"),
        ("", "artifacts.zip"),
        ("..", "artifacts.zip"),
        ("with blank.zip", "with blank.zip"),
        ("größe.zip", "größe.zip"),
    ] {
        let json = baton.send(upload(&build, sent, b"content")).expect(201).json();
        assert_eq!(json["artifacts_file"]["filename"], kept, "{sent}");
        let disposition = baton.send(download(&build)).expect(200).header("Content-Disposition").unwrap().to_owned();
        assert!(disposition.starts_with("attachment; filename="), "{disposition}");
    }
    expect_files(&baton, 1);
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

/// Else the end of one archive would follow the beginning of another.
#[test]
fn a_download_that_goes_on_after_a_new_upload_begins_anew() {
    let baton = Baton::with_project();
    let (_, build) = baton.running();
    baton.send(upload(&build, NAME, b"the first archive")).expect(201);
    let etag = baton.send(download(&build)).expect(200).header("ETag").expect("an ETag").to_owned();
    let go_on = || baton.send(download(&build).header("Range", "bytes=4-").header("If-Range", &etag));
    assert_eq!(go_on().expect(206).body, b"first archive");
    baton.send(upload(&build, NAME, b"another one")).expect(201);
    assert_eq!(go_on().expect(200).body, b"another one");
}

/// Any name that a runner sends can be stored, announced, and used by whoever saves the file.
#[test]
fn a_long_or_foreign_name_is_cut_before_its_extension() {
    let baton = Baton::with_project();
    let (_, build) = baton.running();
    for (sent, stored) in [
        (format!("{}.zip", "a".repeat(250)), format!("{}.zip", "a".repeat(250))),
        (format!("{}.zip", "a".repeat(300)), format!("{}.zip", "a".repeat(251))),
        (format!("{}.zip", "€".repeat(300)), format!("{}.zip", "€".repeat(83))),
        (format!("{}.zip", "日".repeat(2000)), format!("{}.zip", "日".repeat(83))),
    ] {
        let json = baton.send(upload(&build, &sent, b"content")).expect(201).json();
        assert_eq!(json["artifacts_file"]["filename"], json!(stored), "{sent}");
        baton.send(download(&build)).expect(200);
    }
    let body = format!(
        "--{BOUNDARY}\r\nCONTENT-DISPOSITION: Form-Data; Name=\"file\"; FileName*=UTF-8''gr%C3%B6%C3%9Fe.zip\r\n\r\n\
         content\r\n--{BOUNDARY}--\r\n"
    );
    let request = Request::post(&path(&build)).build_token(&build.token);
    let request = request.body(&format!("multipart/form-data; boundary={BOUNDARY}"), body);
    assert_eq!(baton.send(request).expect(201).json()["artifacts_file"]["filename"], json!("größe.zip"));
}

/// A build whose runner is busy with sending is not lost, however long that takes.
#[test]
fn an_upload_under_way_is_a_sign_of_life() {
    // A sign of life is stored each two seconds.
    let baton = Baton::with_limits(Limits { runner_timeout: Duration::from_secs(20), ..Limits::default() });
    add_project(baton.operator(), "demo");
    let (_, build) = baton.running();
    let seen_at = || builds::state(&baton.database(), build.id).unwrap().unwrap().seen_at;
    let bytes = upload(&build, NAME, &[b'x'; 100_000]).chunked(100).bytes();
    let mut connection = Connection::open(baton.address());
    let (begin, mut rest) = bytes.split_at(1000);
    connection.send_raw(begin);
    // The authorization is one, too; it comes at once.
    let begun_at = seen_at();
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut signs = 0;
    let mut last = begun_at;
    while signs < 2 {
        assert!(Instant::now() < deadline, "no sign of life in the middle of an upload");
        let (piece, after) = rest.split_at(100);
        connection.send_raw(piece);
        (rest, signs) = (after, signs + usize::from(seen_at() != last));
        last = seen_at();
        thread::sleep(Duration::from_millis(100));
    }
    connection.send_raw(rest);
    connection.read("POST").expect(201);
}

/// Strangers have few places; whoever has shown a token takes none of them, wherever the token stood.
#[test]
fn an_upload_whose_token_is_a_field_keeps_no_strangers_place() {
    let baton = Baton::with_limits(Limits { workers_max: 8, ..Limits::default() });
    add_project(baton.operator(), "demo");
    let (_, build) = baton.running();
    let upload = |data: &[u8]| {
        let parts = [Part::field("token", &build.token), Part::file(NAME, data)];
        Request::post(&path(&build)).multipart(&parts)
    };
    let bytes = upload(&[b'x'; 100_000]).bytes();
    let under_way: Vec<Connection> = (0..4)
        .map(|_| {
            let mut connection = Connection::open(baton.address());
            connection.send_raw(&bytes[..50_000]);
            connection
        })
        .collect();
    let deadline = Instant::now() + Duration::from_secs(60);
    while baton.files().len() < under_way.len() {
        assert!(Instant::now() < deadline, "{} uploads have begun", baton.files().len());
        thread::sleep(Duration::from_millis(20));
    }
    baton.send(upload(&[b'y'; 100_000])).expect(201);
    drop(under_way);
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

#[test]
fn parts_of_a_file_can_be_had() {
    let baton = Baton::with_project();
    let (_, build) = baton.running();
    baton.send(upload(&build, NAME, b"0123456789")).expect(201);
    let etag = baton.send(download(&build)).header("ETag").unwrap().to_owned();
    for (range, start, end) in
        [("bytes=0-3", 0, 3), ("bytes=4-", 4, 9), ("bytes=-2", 8, 9), ("bytes=5-100", 5, 9), ("bytes=9-9", 9, 9)]
    {
        let response = baton.send(download(&build).header("Range", range)).expect(206);
        assert_eq!(response.body, &b"0123456789"[start..=end], "{range}");
        assert_eq!(response.header("Content-Range"), Some(format!("bytes {start}-{end}/10").as_str()), "{range}");
        assert_eq!(response.header("Content-Length"), Some((end - start + 1).to_string().as_str()), "{range}");
        assert_eq!(response.header("ETag"), Some(etag.as_str()));
    }
    for range in ["bytes=10-", "bytes=10-20", "bytes=-0"] {
        let response = baton.send(download(&build).header("Range", range)).expect(416);
        assert_eq!(response.header("Content-Range"), Some("bytes */10"), "{range}");
    }
    for range in ["bytes=0-1,3-4", "items=0-1", "bytes=5-4", "x"] {
        let response = baton.send(download(&build).header("Range", range)).expect(200);
        assert_eq!(response.body, b"0123456789", "{range}");
    }
}

#[test]
fn artifacts_survive_a_restart_and_what_broke_off_does_not() {
    let baton = Baton::with_project();
    let (_, build) = with_artifacts(&baton);
    let kept = baton.files();
    std::fs::write(baton.data().join("artifacts/incoming-1-0123456789abcdef"), b"half").unwrap();
    let baton = baton.restart();
    expect_stored(&baton, &build, b"first");
    assert_eq!(baton.files(), kept);
}
