//! Requests as bytes, as runner 1.11.5 sends them, and the little of HTTP that answers need.

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
