//! Requests as bytes, as runners 1.11.5 and 19.3 send them, and the little of HTTP that answers need.

use serde_json::{Value, json};

/// Understands 204.
const AGENT: &str = "gitlab-ci-multi-runner 1.11.5 (HEAD; go1.19.8; linux/amd64)";

/// What becomes of a connection after an answer.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Connections {
    /// It carries the next request.
    Kept,
    /// The next request has a connection of its own.
    Fresh,
}

/// A request, complete with its body.
pub fn request(method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut bytes = head(method, path, headers);
    bytes.truncate(bytes.len() - 2);
    bytes.extend_from_slice(format!("Content-Length: {}\r\n\r\n", body.len()).as_bytes());
    bytes.extend_from_slice(body);
    bytes
}

/// The head of a request, to its empty line.
pub fn head(method: &str, path: &str, headers: &[(&str, &str)]) -> Vec<u8> {
    let mut head = format!("{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nUser-Agent: {AGENT}\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("Accept-Encoding: gzip\r\n\r\n");
    head.into_bytes()
}

/// What a runner says of itself with each call.
pub fn info() -> Value {
    json!({
        "name": "gitlab-ci-multi-runner", "version": "1.11.5", "revision": "HEAD", "platform": "linux",
        "architecture": "amd64", "executor": "shell",
        "features": {"variables": true, "image": false, "services": false, "features": false, "cache": false},
    })
}

/// Which protocol of runners.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Api {
    /// Of runners 1.x.
    V1,
    /// Of runners 9.0 to 19.3.
    V4,
}

/// What a runner of today says of itself with each call.
fn info_v4() -> Value {
    let all = "variables artifacts cache fallback_cache_keys shared upload_multiple_artifacts upload_raw_artifacts session \
               terminal refspecs masking raw_variables artifacts_exclude multi_build_steps trace_reset trace_checksum \
               trace_size vault_secrets cancelable return_exit_code cancel_gracefully two_phase_job_commit job_inputs";
    let features: serde_json::Map<String, Value> =
        all.split_whitespace().map(|name| (name.to_owned(), Value::Bool(true))).collect();
    json!({
        "name": "gitlab-runner", "version": "19.3.0", "revision": "HEAD", "platform": "linux", "architecture": "amd64",
        "executor": "shell", "shell": "bash", "features": features, "config": {"gpus": ""},
    })
}

impl Api {
    /// A runner asks for a build.
    pub fn poll(self, runner_token: &str, last_update: Option<&str>, connections: Connections) -> Vec<u8> {
        if self == Api::V1 {
            return poll(runner_token, last_update, connections);
        }
        let mut body = json!({"info": info_v4(), "token": runner_token, "system_id": "s_1746f8786189"});
        if let Some(last_update) = last_update {
            body["last_update"] = last_update.into();
        }
        let mut headers = vec![("Accept", "application/json"), ("Content-Type", "application/json")];
        headers.push(("Runner-Token", runner_token));
        if connections == Connections::Fresh {
            headers.push(("Connection", "close"));
        }
        request("POST", "/api/v4/jobs/request", &headers, body.to_string().as_bytes())
    }

    /// A runner reports the end of a build that has logged nothing.
    pub fn finish(self, build: i64, token: &str) -> Vec<u8> {
        if self == Api::V1 {
            return finish(build, token);
        }
        let sum = r#""checksum":"crc32:00000000","output":{"checksum":"crc32:00000000","bytesize":0}"#;
        let body = format!(r#"{{"token":"{token}","state":"success",{sum}}}"#);
        let headers = [("Content-Type", "application/json"), ("Job-Token", token)];
        request("PUT", &format!("/api/v4/jobs/{build}"), &headers, body.as_bytes())
    }

    /// A runner appends to a log that has `start` bytes.
    pub fn patch(self, build: i64, token: &str, start: usize, data: &[u8]) -> Vec<u8> {
        if self == Api::V1 {
            return patch(build, token, start, data);
        }
        let range = format!("{start}-{}", (start + data.len()).saturating_sub(1));
        let headers = [("Job-Token", token), ("Content-Range", &range), ("Content-Type", "text/plain")];
        request("PATCH", &format!("/api/v4/jobs/{build}/trace?debug_trace=false"), &headers, data)
    }

    /// The path of a build's artifacts.
    pub fn artifacts(self, build: i64) -> String {
        match self {
            Api::V1 => format!("/ci/api/v1/builds/{build}/artifacts"),
            Api::V4 => format!("/api/v4/jobs/{build}/artifacts"),
        }
    }

    /// The header for a build's token.
    pub fn token_header(self) -> &'static str {
        match self {
            Api::V1 => "Build-Token",
            Api::V4 => "Job-Token",
        }
    }
}

/// A runner asks for a build.
pub fn poll(runner_token: &str, last_update: Option<&str>, connections: Connections) -> Vec<u8> {
    let mut body = json!({"info": info(), "token": runner_token});
    if let Some(last_update) = last_update {
        body["last_update"] = last_update.into();
    }
    let mut headers = vec![("Accept", "application/json"), ("Content-Type", "application/json")];
    if connections == Connections::Fresh {
        headers.push(("Connection", "close"));
    }
    request("POST", "/ci/api/v1/builds/register.json", &headers, body.to_string().as_bytes())
}

/// A runner reports the end of a build.
pub fn finish(build: i64, token: &str) -> Vec<u8> {
    let body = format!(r#"{{"token":"{token}","state":"success"}}"#);
    let path = format!("/ci/api/v1/builds/{build}.json");
    request("PUT", &path, &[("Content-Type", "application/json")], body.as_bytes())
}

/// A runner appends to a log that has `start` bytes.
pub fn patch(build: i64, token: &str, start: usize, data: &[u8]) -> Vec<u8> {
    let range = format!("{start}-{}", start + data.len());
    let headers = [("Build-Token", token), ("Content-Range", &range), ("Content-Type", "text/plain")];
    request("PATCH", &format!("/ci/api/v1/builds/{build}/trace.txt"), &headers, data)
}

/// An answer's head.
#[derive(Debug, Clone)]
pub struct Head {
    pub status: u16,
    /// Bytes of the head.
    pub len: usize,
    /// Bytes of the body.
    pub body_bytes: u64,
    /// Whether the connection ends with this answer.
    pub closes: bool,
}

/// The head of the answer that `input` begins with; `None` while it is incomplete.
pub fn parse_head(input: &[u8]) -> Option<Head> {
    let mut headers = [httparse::EMPTY_HEADER; 24];
    let mut answer = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(len) = answer.parse(input).expect("an answer in HTTP") else { return None };
    let status = answer.code.unwrap();
    let (mut body_bytes, mut closes) = (None, false);
    for header in answer.headers.iter() {
        let value = std::str::from_utf8(header.value).unwrap();
        if header.name.eq_ignore_ascii_case("content-length") {
            body_bytes = Some(value.parse().unwrap());
        } else if header.name.eq_ignore_ascii_case("connection") {
            closes = value.eq_ignore_ascii_case("close");
        }
    }
    let without_body = status == 204 || status < 200;
    let body_bytes = if without_body { 0 } else { body_bytes.expect("an answer with a length") };
    Some(Head { status, len, body_bytes, closes })
}

/// The value of a header in a head.
pub fn header<'a>(head: &'a [u8], name: &str) -> Option<&'a str> {
    let text = std::str::from_utf8(head).ok()?;
    text.lines().find_map(|line| {
        let (own, value) = line.split_once(':')?;
        own.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

/// The value of a field in the JSON of ours that a claim is answered with, without reading the rest.
pub fn field<'a>(json: &'a [u8], name: &str) -> &'a str {
    let quoted = format!("\"{name}\":");
    let at = memchr::memmem::find(json, quoted.as_bytes()).expect("the field") + quoted.len();
    let rest = std::str::from_utf8(&json[at..]).unwrap();
    let rest = rest.trim_start_matches('"');
    &rest[..rest.find(['"', ',', '}']).unwrap()]
}
