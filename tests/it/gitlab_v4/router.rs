//! One prefix, two protocols: runners and programs.

use super::Programs;
use crate::harness::*;
use serde_json::json;

fn allowed(response: &Response) -> Vec<String> {
    let mut all: Vec<String> = response.header("Allow").expect("Allow").split(", ").map(str::to_owned).collect();
    all.sort();
    all
}

#[test]
fn runners_and_programs_share_a_prefix_and_none_hides_the_others_paths() {
    let programs = Programs::start();
    let send = |method: &str, path: &str| programs.baton.send(Request::new(method, &format!("/api/v4/{path}")));
    for (method, path, methods) in [
        // GET of programs, POST and DELETE of runners.
        ("PATCH", "runners", &["DELETE", "GET", "HEAD", "POST"][..]),
        ("POST", "runners/1", &["DELETE", "GET", "HEAD", "PUT"]),
        ("PUT", "runners/verify", &["POST"]),
        ("DELETE", "jobs/1", &["PUT"]),
        ("POST", "projects/demo/jobs/1", &["GET", "HEAD"]),
        ("POST", "projects/demo/pipelines/1", &["DELETE", "GET", "HEAD"]),
        ("PUT", "projects", &["GET", "HEAD", "POST"]),
    ] {
        assert_eq!(allowed(&send(method, path).expect_error(405)), methods, "{method} {path}");
    }
    // A runner's calls need a runner's token, whatever else is shown.
    let refused = programs.baton.send(Request::delete("/api/v4/runners").header("PRIVATE-TOKEN", &programs.token));
    refused.expect_error(400);
    send("POST", "runners/verify").expect_error(400);
    send("GET", "runners").expect(401);
    for path in ["projects/1/issues", "nothing", "projects/demo/jobs/x", "projects/demo/", "graphql"] {
        let said = send("GET", path).expect(404).json();
        assert_eq!(said, json!({"error": "404 Not Found", "message": "404 Not Found"}), "{path}");
    }
    programs.baton.send(Request::post("/api/graphql").json(&json!({"query": "{}"}))).expect(404).json();
    // Who means a runner's path is told the right URL still.
    let hint = programs.baton.send(Request::post("/gitlab/api/v4/jobs/request")).expect_error(404);
    assert!(hint.text().contains("The right URL for runners"), "{}", hint.text());
    let none = programs.baton.send(Request::post("/api/v4/projects/demo/runners/verify"));
    assert!(!none.text().contains("URL"), "{}", none.text());
}

#[test]
fn a_path_is_never_cut_at_json_and_bodies_are_as_clients_send_them() {
    let programs = Programs::start();
    programs.get("projects.json").expect(404);
    programs.get("projects/demo.json").expect(404);
    assert_eq!(programs.get("openapi.json").expect(200).json()["openapi"], "3.1.0");
    let id = programs.baton.build();
    let cancel = || Request::post(&format!("/api/v4/projects/demo/jobs/{id}/cancel"));
    // Without a body, with an empty one that says it is JSON, with one that is not looked at, with a wrong one.
    for (request, status) in [
        (cancel(), 201),
        (cancel().body("application/json", ""), 201),
        (cancel().body("application/json", "{}"), 201),
        (cancel().form(&[("unknown", "x")]), 201),
        (cancel().json(&json!({"force": "maybe"})), 400),
        (cancel().body("application/json", "{"), 400),
        (cancel().header("Content-Encoding", "gzip").body("application/json", "{}"), 415),
    ] {
        programs.ask(request, &programs.token).expect(status);
    }
    // Who asks for HEAD is told what GET would be.
    let head = programs.ask(Request::new("HEAD", "/api/v4/projects/demo"), &programs.token).expect(200);
    let get = programs.get("projects/demo").expect(200);
    assert_eq!((head.body.len(), head.header("Content-Length")), (0, get.header("Content-Length")));
    // A DELETE may have a body.
    let delete = Request::delete(&format!("/api/v4/projects/demo/jobs/{id}/artifacts")).json(&json!({}));
    programs.ask(delete, &programs.token).expect(204);
    // One undefined variable in a script must not remove all artifacts.
    programs.delete("projects/demo/artifacts").expect(405);
}
