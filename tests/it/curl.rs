//! The examples of the Builds API's documentation, run with curl as they are written there, once their typing slips
//! are mended: headers as `NAME: value`, and `--request GET` where `--form` would make a POST of a download.

use crate::harness::*;
use baton::domain::build::Status;
use serde_json::Value;
use std::path::Path;
use std::process::Command;

/// Whether curl is there; says so if not, since the tests below then show nothing.
fn curl_is_missing() -> bool {
    let missing = Command::new("curl").arg("--version").output().is_err();
    if missing {
        skipped("there is no curl on this machine");
    }
    missing
}

/// Runs curl; the status and the body.
fn curl(baton: &Baton, path: &str, arguments: &[&str]) -> (u16, Vec<u8>) {
    let url = format!("http://{}/ci/api/v1/{path}", baton.address());
    let body = baton.data().join("curl-body");
    let _ = std::fs::remove_file(&body);
    let output = Command::new("curl")
        .args(["--silent", "--show-error", "--max-time", "60", "--noproxy", "*", "--write-out", "%{http_code}"])
        .arg("--output")
        .arg(&body)
        .args(arguments)
        .arg(url)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let status = String::from_utf8(output.stdout).unwrap().parse().unwrap();
    (status, std::fs::read(&body).unwrap_or_default())
}

fn token_form(token: &str) -> String {
    format!("token={token}")
}

#[test]
fn register_a_build() {
    if curl_is_missing() {
        return;
    }
    let baton = Baton::with_project();
    let runner = baton.runner();
    let id = baton.build();
    let (status, body) = curl(&baton, "builds/register", &["--request", "POST", "--form", &token_form(&runner.token)]);
    assert_eq!(status, 201);
    let json: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(json["id"], id.0);
}

#[test]
fn update_a_build() {
    if curl_is_missing() {
        return;
    }
    let baton = Baton::with_project();
    let (runner, build) = baton.running();
    let state = |state: &str, token: &str| {
        curl(
            &baton,
            &format!("builds/{}", build.id),
            &[
                "--request",
                "PUT",
                "--form",
                &token_form(token),
                "--form",
                &format!("state={state}"),
                "--form",
                "trace=Running git clone...\\n",
            ],
        )
        .0
    };
    // The documentation's runner token, and by design the build's own.
    for token in [&runner.token, &build.token] {
        assert_eq!(state("running", token), 200);
        assert_eq!(baton.trace_text(build.id), "Running git clone...\\n");
    }
    assert_eq!(state("success", &runner.token), 200);
    assert_eq!(baton.status(build.id), Status::Success);
}

/// `\n` is two characters to the shell, so the body has 22 bytes, and 0-21 is the whole of it.
#[test]
fn append_to_a_trace() {
    if curl_is_missing() {
        return;
    }
    let baton = Baton::with_project();
    let (_, build) = baton.running();
    let header = format!("BUILD-TOKEN: {}", build.token);
    let arguments = [
        "--request",
        "PATCH",
        "--header",
        &header,
        "--header",
        "Content-Range: 0-21",
        "--data",
        "Running git clone...\\n",
    ];
    let path = format!("builds/{}/trace.txt", build.id);
    assert_eq!(curl(&baton, &path, &arguments).0, 202);
    assert_eq!(baton.trace_text(build.id), "Running git clone...\\n");
    assert_eq!(curl(&baton, &path, &arguments).0, 416);
}

fn upload_with_curl(baton: &Baton, build: &Claimed, file: &Path) -> (u16, Vec<u8>) {
    let form = format!("file=@{}", file.display());
    let path = format!("builds/{}/artifacts", build.id);
    curl(baton, &path, &["--request", "POST", "--form", &token_form(&build.token), "--form", &form])
}

#[test]
fn upload_download_and_delete_artifacts() {
    if curl_is_missing() {
        return;
    }
    let baton = Baton::with_project();
    let (_, build) = baton.running();
    let path = format!("builds/{}/artifacts", build.id);
    let file = baton.data().join("some artifacts.zip");
    // Small ones are sent at once; for large ones curl waits for `100 Continue`.
    for size in [0, 1000, 3 << 20] {
        let data = random::Random::new().bytes(size);
        std::fs::write(&file, &data).unwrap();
        let (status, body) = upload_with_curl(&baton, &build, &file);
        assert_eq!(status, 201);
        let json: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(json["artifacts_file"]["filename"], "some artifacts.zip");
        let token = token_form(&build.token);
        let (status, body) = curl(&baton, &path, &["--request", "GET", "--form", &token]);
        assert_eq!(status, 200);
        assert!(body == data, "{} bytes came back, not {size}", body.len());
        let header = format!("BUILD-TOKEN: {}", build.token);
        let (status, body) = curl(&baton, &path, &["--header", &header]);
        assert_eq!((status, body.len()), (200, size));
        assert_eq!(curl(&baton, &path, &["--request", "DELETE", "--form", &token]).0, 200);
        assert_eq!(curl(&baton, &path, &["--request", "GET", "--form", &token]).0, 404);
    }
}

#[test]
fn authorize_an_upload() {
    if curl_is_missing() {
        return;
    }
    let baton = Baton::with_project();
    let (_, build) = baton.running();
    let path = format!("builds/{}/artifacts/authorize", build.id);
    let token = token_form(&build.token);
    let with_size = ["--request", "POST", "--form", &token, "--form", "filesize=100"];
    assert_eq!(curl(&baton, &path, &with_size).0, 200);
    assert_eq!(curl(&baton, &path, &["--request", "POST", "--form", "token=wrong"]).0, 403);
}

#[test]
fn register_and_delete_a_runner() {
    if curl_is_missing() {
        return;
    }
    let baton = Baton::start();
    let registration = token_form(&baton.operator().registration_token(false).unwrap());
    let (status, body) = curl(&baton, "runners/register", &["--request", "POST", "--form", &registration]);
    assert_eq!(status, 201);
    let json: Value = serde_json::from_slice(&body).unwrap();
    let token = token_form(json["token"].as_str().unwrap());
    assert_eq!(curl(&baton, "runners/delete", &["--request", "DELETE", "--form", &token]).0, 200);
    assert!(baton.operator().list_runners().unwrap().is_empty());
}
