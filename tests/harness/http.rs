//! A small HTTP/1.1 client: it sends what it is told to, to the byte, and reads what comes back.

use serde_json::Value;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

/// A server that does not answer within this fails the test; it is no limit of the server.
const PATIENCE: Duration = Duration::from_secs(60);

/// Delimits the parts of the multipart bodies made here.
pub const BOUNDARY: &str = "27d0a9a674d4274b9814a147ec07ba3a7133ab0585280a898a7a6ae41f7e";

/// The User-Agent of a runner that understands 204.
pub const RUNNER_1_11: &str = "gitlab-ci-multi-runner 1.11.5 (HEAD; go1.19.8; linux/amd64)";

#[derive(Clone)]
enum Body {
    None,
    WithLength(Vec<u8>),
    /// The sizes of the chunks; the last one goes on.
    Chunked(Vec<u8>, Vec<usize>),
}

/// A request, built up by its methods.
#[derive(Clone)]
pub struct Request {
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    body: Body,
}

/// One part of a multipart body: a field, or a file if it has a filename.
pub struct Part<'a> {
    pub name: &'a str,
    pub filename: Option<&'a str>,
    pub data: &'a [u8],
}

impl<'a> Part<'a> {
    pub fn field(name: &'a str, value: &'a str) -> Part<'a> {
        Part { name, filename: None, data: value.as_bytes() }
    }

    pub fn file(filename: &'a str, data: &'a [u8]) -> Part<'a> {
        Part { name: "file", filename: Some(filename), data }
    }
}

impl Request {
    /// `path` is below `/ci/api/v1/`, unless it begins with a slash.
    pub fn new(method: &str, path: &str) -> Request {
        let target = if path.starts_with('/') { path.to_owned() } else { format!("/ci/api/v1/{path}") };
        Request { method: method.to_owned(), target, headers: vec![], body: Body::None }
    }

    pub fn get(path: &str) -> Request {
        Request::new("GET", path)
    }

    pub fn post(path: &str) -> Request {
        Request::new("POST", path)
    }

    pub fn put(path: &str) -> Request {
        Request::new("PUT", path)
    }

    pub fn patch(path: &str) -> Request {
        Request::new("PATCH", path)
    }

    pub fn delete(path: &str) -> Request {
        Request::new("DELETE", path)
    }

    pub fn header(mut self, name: &str, value: &str) -> Request {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn agent(self, user_agent: &str) -> Request {
        self.header("User-Agent", user_agent)
    }

    /// The token as Go's clients send it.
    pub fn build_token(self, token: &str) -> Request {
        self.header("Build-Token", token)
    }

    pub fn query(mut self, name: &str, value: &str) -> Request {
        let pair = form_urlencoded::Serializer::new(String::new()).append_pair(name, value).finish();
        let sign = if self.target.contains('?') { '&' } else { '?' };
        self.target = format!("{}{sign}{pair}", self.target);
        self
    }

    pub fn body(mut self, content_type: &str, bytes: impl Into<Vec<u8>>) -> Request {
        self.body = Body::WithLength(bytes.into());
        self.header("Content-Type", content_type)
    }

    pub fn json(self, value: &Value) -> Request {
        self.body("application/json", value.to_string())
    }

    pub fn form(self, pairs: &[(&str, &str)]) -> Request {
        let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
        self.body("application/x-www-form-urlencoded", form)
    }

    pub fn multipart(self, parts: &[Part<'_>]) -> Request {
        let body = multipart(parts);
        self.body(&format!("multipart/form-data; boundary={BOUNDARY}"), body)
    }

    /// Sends the body, as given before, in chunks of `chunk_bytes` instead of with a length.
    pub fn chunked(self, chunk_bytes: usize) -> Request {
        self.in_chunks(&[chunk_bytes])
    }

    /// Sends the body, as given before, in chunks of these sizes, of which the last one goes on. A server's reads end
    /// where chunks end.
    pub fn in_chunks(mut self, sizes: &[usize]) -> Request {
        self.body = match self.body {
            Body::WithLength(bytes) | Body::Chunked(bytes, _) => Body::Chunked(bytes, sizes.to_vec()),
            Body::None => Body::Chunked(vec![], sizes.to_vec()),
        };
        self
    }

    /// The method.
    pub fn method(&self) -> &str {
        &self.method
    }

    /// The target: path and query string.
    pub fn target(&self) -> &str {
        &self.target
    }

    /// Length of the body.
    pub fn body_bytes(&self) -> usize {
        match &self.body {
            Body::None => 0,
            Body::WithLength(bytes) | Body::Chunked(bytes, _) => bytes.len(),
        }
    }

    /// The request as it goes over the wire.
    pub fn bytes(&self) -> Vec<u8> {
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, self.target);
        if !self.headers.iter().any(|(name, _)| name == "Host") {
            head.push_str("Host: baton.test\r\n");
        }
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        match &self.body {
            Body::None => [head.as_bytes(), b"\r\n"].concat(),
            Body::WithLength(bytes) => {
                [head.as_bytes(), format!("Content-Length: {}\r\n\r\n", bytes.len()).as_bytes(), bytes].concat()
            }
            Body::Chunked(bytes, sizes) => {
                let mut wire = [head.as_bytes(), b"Transfer-Encoding: chunked\r\n\r\n"].concat();
                let mut rest = bytes.as_slice();
                let last = sizes.last().copied().expect("at least one size");
                let mut sizes = sizes.iter().copied().chain(std::iter::repeat(last));
                while let Some(size) = sizes.next().filter(|_| !rest.is_empty()) {
                    let (chunk, after) = rest.split_at(size.min(rest.len()));
                    rest = after;
                    wire.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                    wire.extend_from_slice(chunk);
                    wire.extend_from_slice(b"\r\n");
                }
                wire.extend_from_slice(b"0\r\n\r\n");
                wire
            }
        }
    }
}

/// What stands before the data of a part, from the delimiter on.
pub fn part_head(part: &Part<'_>) -> String {
    match part.filename {
        None => format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{}\"\r\n\r\n", part.name),
        Some(filename) => format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{}\"; filename=\"{filename}\"\r\n\
             Content-Type: application/octet-stream\r\n\r\n",
            part.name
        ),
    }
}

/// What stands after the data of the last part.
pub fn parts_end() -> String {
    format!("\r\n--{BOUNDARY}--\r\n")
}

fn multipart(parts: &[Part<'_>]) -> Vec<u8> {
    let mut body = Vec::new();
    for (index, part) in parts.iter().enumerate() {
        if index > 0 {
            body.extend_from_slice(b"\r\n");
        }
        body.extend_from_slice(part_head(part).as_bytes());
        body.extend_from_slice(part.data);
    }
    body.extend_from_slice(parts_end().as_bytes());
    body
}

/// An answer, read whole.
#[derive(Debug)]
pub struct Response {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Response {
    /// The value of this header, which must not be there twice.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.iter().filter(|(own, _)| own.eq_ignore_ascii_case(name));
        let value = values.next().map(|(_, value)| value.as_str());
        assert!(values.next().is_none(), "{name} is there twice: {:?}", self.headers);
        value
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON, whose type must be said as the oldest runners want it.
    pub fn json(&self) -> Value {
        assert_eq!(self.header("Content-Type"), Some("application/json"), "{self:?}");
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("no JSON, {error}: {}", self.text()))
    }

    /// Fails unless the status is this one.
    #[track_caller]
    pub fn expect(self, status: u16) -> Response {
        assert_eq!(self.status, status, "{:?} {}", self.headers, self.text());
        self
    }

    /// Fails unless this is an error in the one shape that errors have.
    #[track_caller]
    pub fn expect_error(self, status: u16) -> Response {
        let response = self.expect(status);
        let json = response.json();
        let message = json["message"].as_str().unwrap_or_else(|| panic!("no message: {json}"));
        assert!(message.starts_with(&status.to_string()), "the message does not name the status: {message}");
        response
    }
}

/// A connection that may carry several requests.
pub struct Connection<S = TcpStream> {
    address: SocketAddr,
    stream: BufReader<S>,
    /// Whether the last answer to [`Connection::send`] said that it was the last one.
    closed: bool,
}

/// A connection without a word on it.
pub fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

impl Connection {
    pub fn open(address: SocketAddr) -> Connection {
        Connection::over(connect(address), address)
    }

    /// Sends a request, on a new connection if the last answer ended this one, and reads the answer.
    pub fn send(&mut self, request: &Request) -> Response {
        if self.closed {
            *self = Connection::open(self.address);
        }
        self.send_raw(&request.bytes());
        let response = self.read(&request.method);
        self.closed = response.header("Connection") == Some("close");
        response
    }

    /// Says that nothing more will be sent.
    pub fn end_sending(&mut self) {
        let _ = self.stream.get_mut().shutdown(Shutdown::Write);
    }
}

impl<S: Read + Write> Connection<S> {
    /// A connection over `stream`, which leads to `address`.
    pub fn over(stream: S, address: SocketAddr) -> Connection<S> {
        Connection { address, stream: BufReader::with_capacity(1 << 16, stream), closed: false }
    }

    /// Writes these bytes. A server that has answered already may have closed: that shows in the answer.
    pub fn send_raw(&mut self, bytes: &[u8]) {
        if let Err(error) = self.stream.get_mut().write_all(bytes) {
            assert!(matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset), "{error}");
        }
    }

    /// Reads and drops what comes until the server closes.
    pub fn wait_for_close(&mut self) {
        let mut rest = Vec::new();
        let _ = self.stream.read_to_end(&mut rest);
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stream.read_line(&mut line).expect("an answer within a minute");
        let whole = line.strip_suffix("\r\n").unwrap_or_else(|| panic!("the answer ends inside a line: {line:?}"));
        whole.to_owned()
    }

    /// Reads status and headers; interim answers are skipped.
    pub fn read_head(&mut self) -> Response {
        loop {
            let status_line = self.line();
            let status = status_line
                .strip_prefix("HTTP/1.1 ")
                .and_then(|rest| rest.get(..3)?.parse().ok())
                .unwrap_or_else(|| panic!("no status line: {status_line:?}"));
            let mut headers = Vec::new();
            loop {
                let line = self.line();
                if line.is_empty() {
                    break;
                }
                let (name, value) = line.split_once(':').unwrap_or_else(|| panic!("no header: {line:?}"));
                headers.push((name.to_owned(), value.trim().to_owned()));
            }
            if status >= 200 {
                return Response { status, headers, body: vec![] };
            }
        }
    }

    /// Reads the answer to a request of this method.
    pub fn read(&mut self, method: &str) -> Response {
        let mut response = self.read_head();
        if method == "HEAD" || response.status == 204 || response.status == 304 {
            return response;
        }
        if response.header("Transfer-Encoding").is_some_and(|how| how.eq_ignore_ascii_case("chunked")) {
            loop {
                let size_line = self.line();
                let size = usize::from_str_radix(size_line.trim(), 16).expect("a chunk's size");
                let mut chunk = vec![0; size];
                self.stream.read_exact(&mut chunk).unwrap();
                response.body.extend_from_slice(&chunk);
                assert_eq!(self.line(), "");
                if size == 0 {
                    return response;
                }
            }
        }
        match response.header("Content-Length").map(|length| length.parse::<usize>().expect("a length")) {
            Some(length) => {
                response.body = vec![0; length];
                self.stream.read_exact(&mut response.body).expect("as many bytes as the length says");
            }
            None => {
                self.stream.read_to_end(&mut response.body).unwrap();
            }
        }
        response
    }

    /// The reader behind the head, for bodies that are too large to be held.
    pub fn reader(&mut self) -> &mut BufReader<S> {
        &mut self.stream
    }
}

/// Sends one request over a connection of its own.
pub fn send(address: SocketAddr, request: &Request) -> Response {
    Connection::open(address).send(request)
}
