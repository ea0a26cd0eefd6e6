//! Every endpoint in every encoding of parameters, under both prefixes, with and without suffix; and how unknown paths,
//! other methods and errors are answered (design, HTTP surface).

use crate::harness::*;
use baton::domain::build::Status;
use serde_json::{Map, Value, json};

/// How parameters can come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Encoding {
    Query,
    Form,
    Multipart,
    Json,
    JsonWithCharset,
}

/// All of them.
pub const ENCODINGS: [Encoding; 5] =
    [Encoding::Query, Encoding::Form, Encoding::Multipart, Encoding::Json, Encoding::JsonWithCharset];

const PREFIXES: [&str; 2] = ["/ci/api/v1", "/api/v1"];

/// The request with these parameters.
pub fn encoded(request: Request, encoding: Encoding, pairs: &[(&str, &str)]) -> Request {
    let json = || {
        let map: Map<String, Value> = pairs.iter().map(|(key, value)| ((*key).to_owned(), json!(value))).collect();
        Value::Object(map)
    };
    match encoding {
        Encoding::Query => pairs.iter().fold(request, |request, (key, value)| request.query(key, value)),
        Encoding::Form => request.form(pairs),
        Encoding::Multipart => {
            let parts: Vec<_> = pairs.iter().map(|(key, value)| Part::field(key, value)).collect();
            request.multipart(&parts)
        }
        Encoding::Json => request.json(&json()),
        Encoding::JsonWithCharset => request.body("Application/JSON; charset=utf-8", json().to_string()),
    }
}

/// Calls `check` with every encoding, prefix and suffix of `path`.
fn in_every_form(path: &str, check: impl Fn(&str, Encoding)) {
    for encoding in ENCODINGS {
        for prefix in PREFIXES {
            for suffix in ["", ".json"] {
                check(&format!("{prefix}/{path}{suffix}"), encoding);
            }
        }
    }
}

#[test]
fn builds_register_takes_every_encoding() {
    let baton = Baton::with_project();
    let runner = baton.runner();
    in_every_form("builds/register", |path, encoding| {
        let id = baton.build();
        let pairs = [("token", runner.token.as_str()), ("last_update", "")];
        let response = baton.send(encoded(Request::post(path), encoding, &pairs)).expect(201);
        assert_eq!(claimed(&response).id, id, "{path} {encoding:?}");
    });
}

#[test]
fn put_takes_every_encoding() {
    let baton = Baton::with_project();
    let trace = "a=b&c%20d + \u{1b}[0m\r\nü\n--\r\n";
    let (runner, first) = baton.running();
    baton.finish(&first, "success");
    for encoding in ENCODINGS {
        for prefix in PREFIXES {
            for suffix in ["", ".json"] {
                let id = baton.build();
                baton.claim(&runner);
                let path = format!("{prefix}/builds/{id}{suffix}");
                let pairs = [("token", runner.token.as_str()), ("state", "success"), ("trace", trace)];
                baton.send(encoded(Request::put(&path), encoding, &pairs)).expect(200);
                assert_eq!(baton.status(id), Status::Success, "{path} {encoding:?}");
                assert_eq!(baton.trace_text(id), trace, "{path} {encoding:?}");
            }
        }
    }
}

/// The body is the log, so parameters can come in the query only.
#[test]
fn patch_takes_its_token_as_query_or_header() {
    let baton = Baton::with_project();
    for prefix in PREFIXES {
        for (path, in_query) in [("trace.txt", true), ("trace.txt", false), ("trace", false), ("trace.json", false)] {
            let (_, build) = baton.running();
            let request = Request::patch(&format!("{prefix}/builds/{}/{path}", build.id));
            let request = match in_query {
                true => request.query("token", &build.token),
                false => request.header("bUiLd-ToKeN", &build.token),
            };
            let response = baton.send(request.header("content-RANGE", "0-3").body("text/plain", "log")).expect(202);
            assert_eq!(response.header("Range"), Some("0-3"), "{path}");
        }
    }
}

#[test]
fn authorize_takes_every_encoding() {
    let baton = Baton::with_project();
    let (_, build) = baton.running();
    in_every_form(&format!("builds/{}/artifacts/authorize", build.id), |path, encoding| {
        for (filesize, status) in [("1", 200), ("99999999999999", 413)] {
            let pairs = [("token", build.token.as_str()), ("filesize", filesize)];
            let response = baton.send(encoded(Request::post(path), encoding, &pairs));
            assert_eq!(response.status, status, "{path} {encoding:?} {filesize}: {}", response.text());
        }
    });
}

/// An upload is multipart; its parameters may be fields or come in the query. The token must come before the file,
/// since nothing is stored for a stranger.
#[test]
fn an_upload_takes_its_parameters_in_the_query_and_in_fields() {
    let baton = Baton::with_project();
    let (_, build) = baton.running();
    let token = || Part::field("token", &build.token);
    let expire_in = || Part::field("expire_in", "1 week");
    let file = || Part::file("x.zip", b"content");
    for prefix in PREFIXES {
        for suffix in ["", ".json"] {
            let post = || Request::post(&format!("{prefix}/builds/{}/artifacts{suffix}", build.id));
            for request in [
                post().multipart(&[token(), expire_in(), file()]),
                post().build_token(&build.token).multipart(&[file(), expire_in()]),
                post().query("token", &build.token).query("expire_in", "1 week").multipart(&[file()]),
                post().build_token(&build.token).query("expire_in", "1 week").multipart(&[file()]),
                post().multipart(&[Part::field("other", "x"), token(), file(), expire_in()]),
            ] {
                let json = baton.send(request).expect(201).json();
                assert_eq!(json["artifacts_file"], json!({"filename": "x.zip", "size": 7}));
                assert!(json["artifacts_expire_at"].is_string(), "{json}");
            }
            baton.send(post().multipart(&[file(), token()])).expect_error(403);
        }
    }
}

#[test]
fn a_download_takes_every_encoding() {
    let baton = Baton::with_project();
    let (_, build) = baton.running();
    baton.send(upload(&build, "x.zip", b"content")).expect(201);
    in_every_form(&format!("builds/{}/artifacts", build.id), |path, encoding| {
        let pairs = [("token", build.token.as_str())];
        let response = baton.send(encoded(Request::get(path), encoding, &pairs)).expect(200);
        assert_eq!(response.body, b"content", "{path} {encoding:?}");
        let wrong = [("token", "wrong")];
        baton.send(encoded(Request::get(path), encoding, &wrong)).expect_error(403);
    });
}

#[test]
fn head_of_a_download_is_its_head() {
    let baton = Baton::with_project();
    let (_, build) = baton.running();
    let path = format!("builds/{}/artifacts", build.id);
    let head = |token: &str| baton.send(Request::new("HEAD", &path).build_token(token));
    assert_eq!(head(&build.token).status, 404);
    baton.send(upload(&build, "x.zip", b"content")).expect(201);
    let (got, headed) = (baton.send(download(&build)), head(&build.token).expect(200));
    for name in ["Content-Length", "Content-Type", "Content-Disposition", "Content-Transfer-Encoding", "ETag"] {
        assert_eq!(headed.header(name), got.header(name), "{name}");
    }
    assert_eq!(head("wrong").status, 403);
}

/// The connection must be in step after an answer without a body.
#[test]
fn a_connection_goes_on_after_head_and_204() {
    let baton = Baton::with_project();
    let (runner, build) = baton.running();
    baton.send(upload(&build, "x.zip", b"content")).expect(201);
    let mut connection = Connection::open(baton.address());
    for _ in 0..3 {
        let head = Request::new("HEAD", &format!("builds/{}/artifacts", build.id)).build_token(&build.token);
        connection.send(&head).expect(200);
        connection.send(&ask(&runner.token)).expect(204);
        assert_eq!(connection.send(&download(&build)).expect(200).body, b"content");
        connection.send(&patch(&build, 7, b"hole")).expect(416);
        connection.send(&Request::post("/nowhere")).expect(404);
    }
}

#[test]
fn a_removal_of_artifacts_takes_every_encoding() {
    let baton = Baton::with_project();
    let (_, build) = baton.running();
    in_every_form(&format!("builds/{}/artifacts", build.id), |path, encoding| {
        baton.send(upload(&build, "x.zip", b"content")).expect(201);
        let pairs = [("token", build.token.as_str())];
        baton.send(encoded(Request::delete(path), encoding, &pairs)).expect(200);
        baton.send(download(&build)).expect_error(404);
    });
}

#[test]
fn runners_register_takes_every_encoding() {
    let baton = Baton::start();
    let token = baton.operator().registration_token(false).unwrap();
    in_every_form("runners/register", |path, encoding| {
        let pairs =
            [("token", token.as_str()), ("description", "a b&c=d"), ("tag_list", "x, y"), ("run_untagged", "false")];
        let json = baton.send(encoded(Request::post(path), encoding, &pairs)).expect(201).json();
        let row = baton.runner_row(json["id"].as_i64().unwrap());
        assert_eq!((row.description.as_str(), row.run_untagged), ("a b&c=d", false), "{path} {encoding:?}");
        assert_eq!(row.tags, tags("x,y"), "{path} {encoding:?}");
    });
}

#[test]
fn runners_delete_takes_every_encoding() {
    let baton = Baton::start();
    in_every_form("runners/delete", |path, encoding| {
        let runner = baton.runner();
        baton.send(encoded(Request::delete(path), encoding, &[("token", &runner.token)])).expect(200);
        assert!(baton.operator().list_runners().unwrap().is_empty(), "{path} {encoding:?}");
    });
}

#[test]
fn info_arrives_in_forms_as_in_rails() {
    let baton = Baton::start();
    let token = baton.operator().registration_token(false).unwrap();
    let pairs = [("token", token.as_str()), ("info[version]", "1.2.3")];
    for encoding in [Encoding::Query, Encoding::Form, Encoding::Multipart] {
        let json = baton.send(encoded(Request::post("runners/register"), encoding, &pairs)).expect(201).json();
        let row = baton.runner_row(json["id"].as_i64().unwrap());
        assert_eq!(row.info.get("version"), Some("1.2.3"), "{encoding:?}");
    }
}

#[test]
fn parameters_of_query_and_body_add_up() {
    let baton = Baton::with_project();
    let (runner, build) = baton.running();
    let request = Request::put(&format!("builds/{}", build.id)).query("token", &runner.token);
    baton.send(request.json(&json!({"state": "success"}))).expect(200);
    assert_eq!(baton.status(build.id), Status::Success);
}

#[test]
fn every_endpoint_takes_a_chunked_body() {
    let baton = Baton::with_project();
    let runner = baton.runner();
    let id = baton.build();
    let build = claimed(&baton.send(ask(&runner.token).chunked(5)).expect(201));
    assert_eq!(build.id, id);
    let body = json!({"token": runner.token, "state": "running", "trace": "log"});
    baton.send(Request::put(&format!("builds/{id}")).json(&body).chunked(1)).expect(200);
    baton.send(patch(&build, 3, b"more").chunked(2)).expect(202);
    assert_eq!(baton.trace_text(id), "logmore");
    let delete = Request::delete("runners/delete").json(&json!({"token": runner.token}));
    baton.send(delete.chunked(7)).expect(200);
}

#[test]
fn a_known_path_with_another_method_is_405_and_says_which() {
    let baton = Baton::with_project();
    let (_, build) = baton.running();
    let id = build.id;
    for (path, allowed) in [
        ("builds/register".to_owned(), vec!["POST"]),
        ("runners/register".to_owned(), vec!["POST"]),
        ("runners/delete".to_owned(), vec!["DELETE"]),
        (format!("builds/{id}"), vec!["PUT"]),
        (format!("builds/{id}/trace.txt"), vec!["PATCH"]),
        (format!("builds/{id}/artifacts"), vec!["DELETE", "GET", "HEAD", "POST"]),
        (format!("builds/{id}/artifacts/authorize"), vec!["POST"]),
        ("/-/health".to_owned(), vec!["GET", "HEAD"]),
    ] {
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
            if allowed.contains(&method) {
                continue;
            }
            let response = baton.send(Request::new(method, &path)).expect_error(405);
            let mut said: Vec<_> = response.header("Allow").expect("Allow").split(',').map(str::trim).collect();
            said.sort_unstable();
            assert_eq!(said, allowed, "{method} {path}");
        }
    }
}

#[test]
fn an_unknown_path_is_404() {
    let baton = Baton::start();
    for path in [
        "/",
        "/ci/api/v1/builds",
        "/ci/api/v1/builds/",
        "/ci/api/v1/builds/7/nothing",
        "/ci/api/v1/builds/7/artifacts/nothing",
        "/ci/api/v1/runners",
        "/ci/api/v2/jobs/register",
        "/ci/api/v1/builds/register.xml",
        "/favicon.ico",
        "/%00",
        "/%ff%fe",
        "/../../etc/passwd",
    ] {
        // What is no protocol's is the page's, which says nothing to strangers.
        let is_pages = ["/", "/%00", "/../../etc/passwd"].contains(&path);
        if is_pages {
            baton.send(Request::get(path).header("Host", "127.0.0.1")).expect(401);
            baton.send(Request::get(path)).expect(421);
        }
        for method in if is_pages { &["POST"][..] } else { &["GET", "POST"] } {
            let json = baton.send(Request::new(method, path)).expect_error(404).json();
            assert_eq!(json, json!({"message": "404 Not Found"}), "{method} {path}");
        }
    }
}

/// Also those of the trace, whose path ends in `.txt`.
#[test]
fn errors_have_one_shape_on_every_endpoint() {
    let baton = Baton::with_project();
    let (_, build) = baton.running();
    let id = build.id;
    for (method, path) in endpoints(id).into_iter().chain(v4_endpoints(id)) {
        let request = Request::new(method, &path).query("token", "wrong").query("system_id", "s_1");
        let json = baton.send(request).expect_error(403).json();
        assert_eq!(json, json!({"message": "403 Forbidden"}), "{method} {path}");
    }
    for range in ["7-7", "x"] {
        let request = Request::patch(&format!("builds/{id}/trace.txt")).build_token(&build.token);
        let status = if range == "x" { 400 } else { 416 };
        baton.send(request.header("Content-Range", range)).expect_error(status);
    }
}

#[test]
fn health_is_there_for_whoever_asks() {
    let baton = Baton::start();
    for path in ["/-/health", "/-/liveness", "/-/readiness"] {
        baton.send(Request::get(path)).expect(200);
        baton.send(Request::new("HEAD", path)).expect(200);
    }
    let metrics = baton.send(Request::get("/-/metrics")).expect(200);
    assert!(metrics.header("Content-Type").unwrap().starts_with("text/plain; version=0.0.4"), "{metrics:?}");
}
