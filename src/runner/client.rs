//! The five calls of API v4 that a runner needs. Its reference is docs/http.md; the statuses mean what they mean to
//! gitlab-runner 19.3.
//!
//! What must stay true: no token is ever part of an address, a message or `Debug`; no redirection is followed with a
//! token; what the server sends is read to a limit. What failed may be tried again: each call says what came of it, and
//! how often it is tried is its caller's.

use super::job::Job;
use super::trust;
use crate::domain::token::Token;
use crate::error::{Error, Kind};
use crate::sync::lock;
use serde_json::{Value, json};
use std::fs::File;
use std::io::{self, Read, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use ureq::http::Response;
use ureq::{Agent, Body, SendBody};

/// Bytes of a job.
const JOB_BYTES_MAX: u64 = 64 << 20;
/// From the question for work to its answer: servers hold it for up to 50 seconds.
const ASK_TIME_MAX: Duration = Duration::from_secs(90);
/// From a call about a job to its answer.
const CALL_TIME_MAX: Duration = Duration::from_secs(60);
/// Without a byte of progress of an upload or a download, and from an upload's end to its answer.
const STALL_TIME_MAX: Duration = Duration::from_secs(120);
/// For a connection to be there.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(10);
/// The longest interval between two patches that a server can ask for.
const INTERVAL_MAX: Duration = Duration::from_secs(15 * 60);

/// Calls a server, as one runner.
pub struct Client {
    /// Questions for work, which are cut when the runner is to stop.
    asks: Agent,
    /// All other calls, which are not.
    calls: Agent,
    /// The server's address, without a slash at its end.
    base: Mutex<String>,
    /// See [`super::Options::place`].
    place: Option<Place>,
    token: Token,
    info: Value,
    system_id: String,
}

/// Where the server is now, if that is known.
type Place = Arc<dyn Fn() -> Option<String> + Send + Sync>;

/// What came of a question for work.
pub enum Asked {
    /// A job.
    Job(Box<Job>),
    /// A job that cannot be read: its number, its token, and why.
    Unreadable(u64, Token, String),
    /// There is none. What to send with the next question, so that it is held until there is.
    Nothing(Option<String>),
    /// The server does not know the token.
    Refused,
    /// Something else; the sentence says what.
    Trouble(String),
}

/// What the server wants of a job.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wish {
    /// Go on.
    GoOn,
    /// End the script, and finish the job.
    Cancel,
    /// Stop everything.
    Abort,
}

/// An answer to a call about a job.
#[derive(Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// What the server wants of the job.
    pub wish: Wish,
    /// Where the log goes on, if the server says.
    pub range_end: Option<u64>,
    /// How long to wait until the next call, if the server says.
    pub interval: Option<Duration>,
}

/// How a job has ended, for the server.
pub struct End<'a> {
    /// `success` or `failed`.
    pub state: &'a str,
    /// A word.
    pub reason: Option<&'a str>,
    /// 0 is not sent.
    pub exit_code: i32,
    /// Bytes of the log and their CRC-32.
    pub checksum: (u64, u32),
}

/// A file for the server.
pub struct Upload<'a> {
    /// The name that it gets.
    pub filename: &'a str,
    /// `archive`, `junit`, ...
    pub kind: &'a str,
    /// `zip`, `gzip`, `raw`.
    pub format: &'a str,
    /// How long it is kept; nothing: as the server does.
    pub expire_in: &'a str,
}

/// Who a runner is to the server.
pub struct Identity<'a> {
    /// The shell's name.
    pub shell: &'a str,
    /// What distinguishes this process's machine from others with the same token.
    pub system_id: String,
}

impl Client {
    /// A client of the server at `url`, which may end in a slash or in `/ci`, as in a real runner's configuration.
    ///
    /// # Errors
    /// If the URL is none, or no certificate is trusted here.
    pub fn new(url: &str, token: Token, identity: &Identity<'_>) -> Result<Client, Error> {
        let base = base_of(url);
        let address: ureq::http::Uri = base.parse().map_err(|_| invalid("the server's URL is none"))?;
        let host = address.host().ok_or_else(|| invalid("the server's URL has no host"))?;
        if !["http", "https"].contains(&address.scheme_str().unwrap_or("")) {
            return Err(invalid("the server's URL must begin with http:// or https://"));
        }
        let is_loopback = host == "localhost" || host.starts_with("127.") || host == "[::1]";
        let mut config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_connect(Some(CONNECT_TIME_MAX))
            .user_agent(concat!("baton-runner/", env!("CARGO_PKG_VERSION")));
        if is_loopback {
            config = config.proxy(None);
        }
        if address.scheme_str() == Some("https") {
            config = config.tls_config(trust::of_system()?);
        }
        let config = config.build();
        let features = json!({
            "variables": true, "artifacts": true, "cache": true, "fallback_cache_keys": true, "shared": true,
            "upload_multiple_artifacts": true, "upload_raw_artifacts": true, "refspecs": true, "masking": true,
            "raw_variables": true, "artifacts_exclude": true, "multi_build_steps": true, "trace_reset": true,
            "trace_checksum": true, "trace_size": true, "return_exit_code": true, "cancelable": true,
            "cancel_gracefully": true, "two_phase_job_commit": true
        });
        let info = json!({
            "name": crate::domain::runner::BUILT_IN, "version": env!("CARGO_PKG_VERSION"), "platform": std::env::consts::OS,
            "architecture": architecture(), "executor": "shell", "shell": identity.shell, "features": features
        });
        let system_id = identity.system_id.clone();
        let (asks, calls, base) = (config.new_agent(), config.new_agent(), Mutex::new(base));
        Ok(Client { asks, calls, base, place: None, token, info, system_id })
    }

    /// The same, of a server that may move to where this says.
    #[must_use]
    pub fn moving_to(self, place: Option<Place>) -> Client {
        Client { place, ..self }
    }

    fn base(&self) -> String {
        lock(&self.base).clone()
    }

    /// Looks where the server is, since it has not answered.
    fn look_for_server(&self) {
        if let Some(url) = self.place.as_ref().and_then(|place| place()) {
            *lock(&self.base) = base_of(&url);
        }
    }

    /// What came of a call.
    fn answered<T>(&self, result: Result<T, ureq::Error>) -> io::Result<T> {
        result.map_err(|error| {
            self.look_for_server();
            error.into_io()
        })
    }

    /// Asks for a job.
    #[must_use]
    pub fn ask(&self, last_update: Option<&str>) -> Asked {
        let mut body = json!({"token": self.token.reveal(), "system_id": self.system_id, "info": self.info});
        if let (Some(last_update), Some(fields)) = (last_update, body.as_object_mut()) {
            fields.insert("last_update".to_owned(), json!(last_update));
        }
        let request = self
            .asks
            .post(format!("{}/api/v4/jobs/request", self.base()))
            .config()
            .timeout_global(Some(ASK_TIME_MAX))
            .build()
            .header("content-type", "application/json")
            .header("accept", "application/json")
            .header("runner-token", self.token.reveal());
        let mut response = match request.send(body.to_string()) {
            Ok(response) => response,
            Err(error) => {
                self.look_for_server();
                return Asked::Trouble(error.to_string());
            }
        };
        match response.status().as_u16() {
            201 => read_job(&mut response),
            204 => Asked::Nothing(header(&response, "x-gitlab-last-update").map(str::to_owned)),
            403 => Asked::Refused,
            status => Asked::Trouble(format!("the server answers {status} to the question for work")),
        }
    }

    /// Cuts the question that is under way, and lets no further one begin.
    pub fn stop_asking(&self) {
        self.asks.clone().shutdown();
    }

    /// Says that a job runs.
    ///
    /// # Errors
    /// If there is no answer.
    pub fn running(&self, id: u64, token: &Token) -> io::Result<Answer> {
        self.put(id, token, json!({"token": token.reveal(), "info": self.info, "state": "running"}))
    }

    /// Says how a job has ended.
    ///
    /// # Errors
    /// If there is no answer.
    pub fn ended(&self, id: u64, token: &Token, end: &End<'_>) -> io::Result<Answer> {
        let (bytes, crc) = end.checksum;
        let checksum = format!("crc32:{crc:08x}");
        let mut body = json!({
            "token": token.reveal(), "info": self.info, "state": end.state, "checksum": checksum,
            "output": {"checksum": checksum, "bytesize": bytes}
        });
        if let Some(fields) = body.as_object_mut() {
            if let Some(reason) = end.reason {
                fields.insert("failure_reason".to_owned(), json!(reason));
            }
            if end.exit_code != 0 {
                fields.insert("exit_code".to_owned(), json!(end.exit_code));
            }
        }
        self.put(id, token, body)
    }

    fn put(&self, id: u64, token: &Token, body: Value) -> io::Result<Answer> {
        let request = self
            .calls
            .put(format!("{}/api/v4/jobs/{id}", self.base()))
            .config()
            .timeout_global(Some(CALL_TIME_MAX))
            .build()
            .header("content-type", "application/json")
            .header("job-token", token.reveal());
        self.answered(request.send(body.to_string())).map(|response| answer(&response))
    }

    /// Adds to the log of a job, which has `from` bytes.
    ///
    /// # Errors
    /// If there is no answer.
    pub fn patch(&self, id: u64, token: &Token, from: u64, bytes: &[u8]) -> io::Result<Answer> {
        let last = (from + bytes.len() as u64).saturating_sub(1);
        let request = self
            .calls
            .patch(format!("{}/api/v4/jobs/{id}/trace", self.base()))
            .config()
            .timeout_global(Some(CALL_TIME_MAX))
            .build()
            .header("content-type", "text/plain")
            .header("content-range", format!("{from}-{last}"))
            .header("job-token", token.reveal());
        self.answered(request.send(bytes)).map(|response| answer(&response))
    }

    /// Uploads a file of `bytes` bytes.
    ///
    /// # Errors
    /// If there is no answer, or the file cannot be read.
    pub fn upload(
        &self,
        id: u64,
        token: &Token,
        upload: &Upload<'_>,
        file: impl Read,
        bytes: u64,
    ) -> io::Result<Answer> {
        let boundary = crate::domain::token::random::<16>().map_err(|error| io::Error::other(error.to_string()))?;
        let boundary = crate::domain::token::hex(&boundary);
        // A quote or a line end in the name would end it.
        let filename: String =
            upload.filename.chars().map(|c| if c.is_control() || c == '"' || c == '\\' { '_' } else { c }).collect();
        let head = format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{filename}\"\r\n\
             Content-Type: application/octet-stream\r\n\r\n"
        );
        let tail = format!("\r\n--{boundary}--\r\n");
        let length = bytes + (head.len() + tail.len()) as u64;
        let mut body = head.as_bytes().chain(Exactly { from: file, left: bytes }).chain(tail.as_bytes());
        let mut query = vec![("artifact_format", upload.format), ("artifact_type", upload.kind)];
        if !upload.expire_in.is_empty() {
            query.push(("expire_in", upload.expire_in));
        }
        let request = self
            .calls
            .post(format!("{}/api/v4/jobs/{id}/artifacts", self.base()))
            .query_pairs(query)
            .config()
            .timeout_per_write(Some(STALL_TIME_MAX))
            .timeout_recv_response(Some(STALL_TIME_MAX))
            .build()
            .header("content-type", format!("multipart/form-data; boundary={boundary}"))
            .header("content-length", length.to_string())
            .header("job-token", token.reveal());
        let response = self.answered(request.send(SendBody::from_reader(&mut body)))?;
        Ok(answer(&response))
    }

    /// Downloads the archive of job `id` into `to`, and returns the status. `is_wanted` is asked again and again.
    ///
    /// # Errors
    /// If there is no answer, or not all of it, or more than `bytes_max`.
    pub fn download(
        &self,
        id: u64,
        token: &Token,
        to: &mut File,
        bytes_max: u64,
        is_wanted: &dyn Fn() -> bool,
    ) -> io::Result<u16> {
        let get = |address: &str, token: Option<&Token>| {
            let request = self.calls.get(address).config();
            let request =
                request.timeout_per_read(Some(STALL_TIME_MAX)).timeout_recv_response(Some(STALL_TIME_MAX)).build();
            self.answered(match token {
                Some(token) => request.header("job-token", token.reveal()).call(),
                None => request.call(),
            })
        };
        let mut response = get(&format!("{}/api/v4/jobs/{id}/artifacts", self.base()), Some(token))?;
        if [302, 303, 307].contains(&response.status().as_u16()) {
            // To a storage, which has a secret of its own in the address.
            let place = header(&response, "location").unwrap_or("").to_owned();
            response = get(&place, None)?;
        }
        let status = response.status().as_u16();
        if status != 200 {
            return Ok(status);
        }
        let mut from = response.body_mut().with_config().limit(bytes_max).reader();
        let mut piece = vec![0; 64 << 10];
        loop {
            let read = from.read(&mut piece)?;
            if read == 0 {
                return Ok(status);
            }
            if !is_wanted() {
                return Err(io::ErrorKind::Interrupted.into());
            }
            to.write_all(piece.get(..read).unwrap_or_default())?;
        }
    }
}

/// The address of a server whose URL may end in a slash or in `/ci`.
fn base_of(url: &str) -> String {
    let base = url.trim_end_matches('/');
    base.strip_suffix("/ci").unwrap_or(base).trim_end_matches('/').to_owned()
}

/// What Go calls this kind of machine.
#[must_use]
pub fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "x86" => "386",
        "aarch64" => "arm64",
        other => other,
    }
}

/// A file of which exactly so many bytes are read: the length was said beforehand.
struct Exactly<R> {
    from: R,
    left: u64,
}

impl<R: Read> Read for Exactly<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        if most == 0 {
            return Ok(0);
        }
        let read = self.from.read(buffer.get_mut(..most).unwrap_or_default())?;
        if read == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file has become shorter"));
        }
        self.left -= read as u64;
        Ok(read)
    }
}

fn invalid(text: &str) -> Error {
    Error::new(Kind::Invalid, text)
}

fn read_job(response: &mut Response<Body>) -> Asked {
    let text = match response.body_mut().with_config().limit(JOB_BYTES_MAX).read_to_vec() {
        Ok(text) => text,
        Err(error) => return Asked::Trouble(format!("a job was cut off: {error}")),
    };
    match serde_json::from_slice::<Job>(&text) {
        Ok(job) => Asked::Job(Box::new(job)),
        Err(error) => {
            let value: Value = serde_json::from_slice(&text).unwrap_or_default();
            let id = value.get("id").and_then(Value::as_u64);
            let token = value.get("token").and_then(Value::as_str).and_then(Token::received);
            // The place only: the message may repeat a value.
            let why = format!("the job cannot be read, at line {} column {}", error.line(), error.column());
            match (id, token) {
                (Some(id), Some(token)) => Asked::Unreadable(id, token, why),
                _ => Asked::Trouble(why),
            }
        }
    }
}

fn header<'a>(response: &'a Response<Body>, name: &str) -> Option<&'a str> {
    response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::trim)
}

fn answer(response: &Response<Body>) -> Answer {
    let status = response.status().as_u16();
    let wish = match header(response, "job-status") {
        Some("canceling") => Wish::Cancel,
        Some("canceled" | "failed") => Wish::Abort,
        Some(_) | None if status == 403 => Wish::Abort,
        Some(_) | None => Wish::GoOn,
    };
    // Without a dash it is none, and the log begins anew.
    let range_end = header(response, "range")
        .map(|range| range.rsplit_once('-').and_then(|(_, end)| end.parse().ok()).unwrap_or(0));
    let seconds = header(response, "x-gitlab-trace-update-interval").and_then(|text| text.parse::<u64>().ok());
    let interval = seconds.map(|seconds| Duration::from_secs(seconds).min(INTERVAL_MAX));
    Answer { status, wish, range_end, interval }
}
