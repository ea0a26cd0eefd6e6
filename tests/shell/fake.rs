//! A server of API v4 that has only what a runner needs, and answers as it is told.

use serde_json::{Value, json};
use std::collections::{BTreeMap, VecDeque};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// How long anything may take to come at all.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: String,
    /// Without the query.
    pub path: String,
    pub query: String,
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
}

/// An answer to be sent; the body is JSON or nothing.
#[derive(Clone, Debug)]
pub struct Response {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

/// An uploaded file.
#[derive(Clone, Debug)]
pub struct File {
    pub query: String,
    pub filename: String,
    pub bytes: Vec<u8>,
}

/// What is known of a job.
#[derive(Clone, Debug, Default)]
pub struct Known {
    pub token: String,
    pub log: Vec<u8>,
    /// Bodies of `PUT`.
    pub puts: Vec<Value>,
    pub files: Vec<File>,
    /// What `Job-Status` says.
    pub wish: Option<&'static str>,
    pub claimed_at: Option<Instant>,
    /// The last `PUT` with an end.
    pub end: Option<Value>,
}

type Intercept = Box<dyn FnMut(&Request) -> Option<Response> + Send>;

#[derive(Default)]
struct State {
    queue: VecDeque<Value>,
    jobs: BTreeMap<u64, Known>,
    requests: Vec<Request>,
    intercept: Option<Intercept>,
    /// The token that may ask.
    is_closed: bool,
}

#[derive(Clone)]
pub struct Fake {
    pub address: SocketAddr,
    state: Arc<(Mutex<State>, Condvar)>,
}

pub const TOKEN: &str = "glrt-token-of-the-runner";

impl Fake {
    pub fn start() -> Fake {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let fake = Fake { address: listener.local_addr().unwrap(), state: Arc::default() };
        let own = fake.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let fake = own.clone();
                if fake.state.0.lock().unwrap().is_closed {
                    return;
                }
                thread::spawn(move || fake.converse(stream));
            }
        });
        fake
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Refuses connections from now on.
    pub fn close(&self) {
        self.state.0.lock().unwrap().is_closed = true;
        let _ = TcpStream::connect(self.address);
    }

    /// Lets `intercept` answer what it wants to.
    pub fn intercept(&self, intercept: impl FnMut(&Request) -> Option<Response> + Send + 'static) {
        self.state.0.lock().unwrap().intercept = Some(Box::new(intercept));
    }

    /// Queues a job.
    pub fn queue(&self, job: Value) {
        let mut state = self.state.0.lock().unwrap();
        let (id, token) = (job["id"].as_u64().unwrap(), job["token"].as_str().unwrap().to_owned());
        state.jobs.insert(id, Known { token, ..Known::default() });
        state.queue.push_back(job);
        self.state.1.notify_all();
    }

    pub fn job(&self, id: u64) -> Known {
        self.state.0.lock().unwrap().jobs[&id].clone()
    }

    pub fn requests(&self) -> Vec<Request> {
        self.state.0.lock().unwrap().requests.clone()
    }

    /// Tells the runner, with the next answer, what the server wants.
    pub fn wish(&self, id: u64, wish: &'static str) {
        self.state.0.lock().unwrap().jobs.get_mut(&id).unwrap().wish = Some(wish);
    }

    /// Waits until something holds of a job.
    #[track_caller]
    pub fn wait(&self, id: u64, what: &str, holds: impl Fn(&Known) -> bool) -> Known {
        let (lock, changed) = &*self.state;
        let until = Instant::now() + PATIENCE;
        let mut state = lock.lock().unwrap();
        while !holds(&state.jobs[&id]) {
            let left = until.saturating_duration_since(Instant::now());
            let known = &state.jobs[&id];
            assert!(!left.is_zero(), "job {id}: no {what}\n{}", String::from_utf8_lossy(&known.log));
            state = changed.wait_timeout(state, left.min(Duration::from_millis(200))).unwrap().0;
        }
        state.jobs[&id].clone()
    }

    /// Waits for a job's end.
    #[track_caller]
    pub fn ended(&self, id: u64) -> Known {
        self.wait(id, "end", |known| known.end.is_some())
    }

    /// Waits until a text is in a job's log.
    #[track_caller]
    pub fn says(&self, id: u64, text: &str) -> Known {
        self.wait(id, text, |known| String::from_utf8_lossy(&known.log).contains(text))
    }

    fn converse(&self, stream: TcpStream) {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let mut stream = stream;
        while let Some(request) = read(&mut reader) {
            let response = self.answer(request);
            let mut head = format!("HTTP/1.1 {} X\r\ncontent-length: {}\r\n", response.status, response.body.len());
            if response.status == 204 {
                head = "HTTP/1.1 204 X\r\n".to_owned();
            }
            for (name, value) in &response.headers {
                head.push_str(&format!("{name}: {value}\r\n"));
            }
            head.push_str("\r\n");
            let sent = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&response.body));
            if sent.is_err() {
                return;
            }
        }
    }

    fn answer(&self, request: Request) -> Response {
        let (lock, changed) = &*self.state;
        let mut state = lock.lock().unwrap();
        state.requests.push(request.clone());
        let intercepted = state.intercept.as_mut().and_then(|intercept| intercept(&request));
        let response = intercepted.unwrap_or_else(|| {
            if request.path == "/api/v4/jobs/request" {
                // Held for a while, as real servers do.
                let until = Instant::now() + Duration::from_millis(200);
                while state.queue.is_empty() && Instant::now() < until {
                    state = changed.wait_timeout(state, Duration::from_millis(20)).unwrap().0;
                }
            }
            state.answer(&request)
        });
        changed.notify_all();
        response
    }
}

impl State {
    fn answer(&mut self, request: &Request) -> Response {
        if request.path == "/api/v4/jobs/request" {
            let body: Value = serde_json::from_slice(&request.body).unwrap();
            if body["token"] != TOKEN {
                return status(403);
            }
            let Some(job) = self.queue.pop_front() else {
                // Different each time, as when the question was held.
                let last = format!("{}", self.requests.len());
                return Response { headers: vec![("X-GitLab-Last-Update".into(), last)], ..status(204) };
            };
            self.jobs.get_mut(&job["id"].as_u64().unwrap()).unwrap().claimed_at = Some(Instant::now());
            let headers = vec![("Content-Type".into(), "application/json".into())];
            return Response { status: 201, headers, body: job.to_string().into_bytes() };
        }
        let mut parts = request.path.strip_prefix("/api/v4/jobs/").unwrap_or("").split('/');
        let id: u64 = parts.next().unwrap().parse().unwrap();
        let Some(job) = self.jobs.get_mut(&id) else { return status(404) };
        let token = request.headers.get("job-token").cloned().unwrap_or_default();
        let mut response = match (request.method.as_str(), parts.next()) {
            // Any job's token reads an archive: which one may is no affair of the runner's.
            ("GET", Some("artifacts")) => {
                let archive = job.files.iter().rfind(|file| file.query.contains("artifact_type=archive"));
                archive.map_or(status(404), |file| Response { body: file.bytes.clone(), ..status(200) })
            }
            _ if token != job.token => status(403),
            ("PUT", None) => {
                let body: Value = serde_json::from_slice(&request.body).unwrap();
                if body["state"] != "running" {
                    job.end = Some(body.clone());
                }
                job.puts.push(body);
                status(200)
            }
            ("PATCH", Some("trace")) => {
                let range = &request.headers["content-range"];
                let from: usize = range.split_once('-').unwrap().0.parse().unwrap();
                let is_next = from == job.log.len();
                if is_next {
                    job.log.extend_from_slice(&request.body);
                }
                let range = format!("0-{}", job.log.len());
                let code = if is_next { 202 } else { 416 };
                Response { headers: vec![("Range".into(), range)], ..status(code) }
            }
            ("POST", Some("artifacts")) => {
                job.files.push(uploaded(request));
                status(201)
            }
            _ => status(404),
        };
        if let Some(wish) = job.wish {
            response.headers.push(("Job-Status".into(), wish.into()));
        }
        response
    }
}

pub fn status(status: u16) -> Response {
    Response { status, headers: Vec::new(), body: Vec::new() }
}

/// The one file of a multipart body.
fn uploaded(request: &Request) -> File {
    let boundary = request.headers["content-type"].split_once("boundary=").unwrap().1;
    let body = &request.body;
    let find = |text: &str, from: usize| {
        body[from..].windows(text.len()).position(|window| window == text.as_bytes()).unwrap() + from
    };
    let head_end = find("\r\n\r\n", 0);
    let head = String::from_utf8_lossy(&body[..head_end]).into_owned();
    let filename = head.split_once("filename=\"").unwrap().1.split_once('"').unwrap().0.to_owned();
    let end = body.len() - format!("\r\n--{boundary}--\r\n").len();
    assert_eq!(&body[end..], format!("\r\n--{boundary}--\r\n").as_bytes());
    File { query: request.query.clone(), filename, bytes: body[head_end + 4..end].to_vec() }
}

fn read(reader: &mut BufReader<TcpStream>) -> Option<Request> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|&bytes| bytes > 0)?;
    let mut words = line.split_whitespace();
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let body = if headers.contains_key("transfer-encoding") {
        assert!(headers["user-agent"].starts_with("gitlab-runner"), "the built-in runner always says the length");
        chunks(reader)?
    } else {
        let length: usize = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        body
    };
    Some(Request { method, path: path.to_owned(), query: query.to_owned(), headers, body })
}

/// A body in chunks, without trailers.
fn chunks(reader: &mut BufReader<TcpStream>) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let mut chunk = vec![0; usize::from_str_radix(line.trim_end(), 16).ok()?];
        reader.read_exact(&mut chunk).ok()?;
        reader.read_line(&mut String::new()).ok()?;
        if chunk.is_empty() {
            return Some(body);
        }
        body.append(&mut chunk);
    }
}

/// A job with a script, and what else is said.
pub fn job(id: u64, script: &[&str], more: Value) -> Value {
    let mut job = json!({
        "id": id, "token": format!("job-token-{id}"), "allow_git_fetch": true,
        "job_info": {"name": format!("job{id}"), "stage": "test", "project_id": 1, "project_name": "p"},
        "git_info": {"repo_url": "http://gitlab-ci-token:x@127.0.0.1:1/git/p.git", "ref": "main", "sha": "0".repeat(40)},
        "runner_info": {"timeout": 120},
        "variables": [{"key": "GIT_STRATEGY", "value": "none", "public": true, "masked": false}],
        "steps": [{"name": "script", "script": script, "timeout": 120, "when": "on_success", "allow_failure": false}],
        "features": {"trace_sections": true, "failure_reasons": [
            "unknown_failure", "script_failure", "runner_system_failure", "job_execution_timeout",
            "runner_configuration_error", "runner_interrupted", "job_canceled"
        ]}
    });
    merge(&mut job, more);
    job
}

fn merge(to: &mut Value, from: Value) {
    match (to, from) {
        (Value::Object(to), Value::Object(from)) => {
            for (key, value) in from {
                merge(to.entry(key).or_insert(Value::Null), value);
            }
        }
        (to, from) => *to = from,
    }
}
