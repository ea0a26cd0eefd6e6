//! Requests and responses as values.

use super::budget::Reserved;
use crate::blocking;
use crate::error::Result;
use serde::Serialize;
use serde_json::json;
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::net::IpAddr;
use std::sync::mpsc;
use std::time::Instant;

/// The methods that some endpoint takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Method {
    /// GET
    Get,
    /// HEAD
    Head,
    /// POST
    Post,
    /// PUT
    Put,
    /// PATCH
    Patch,
    /// DELETE
    Delete,
    /// Any other.
    Other,
}

impl Method {
    /// Every method.
    pub const ALL: [Method; 7] =
        [Method::Get, Method::Head, Method::Post, Method::Put, Method::Patch, Method::Delete, Method::Other];

    /// The method of this name.
    #[must_use]
    pub fn parse(name: &str) -> Method {
        match name {
            "GET" => Method::Get,
            "HEAD" => Method::Head,
            "POST" => Method::Post,
            "PUT" => Method::Put,
            "PATCH" => Method::Patch,
            "DELETE" => Method::Delete,
            _ => Method::Other,
        }
    }

    /// Its name, as `Allow` and the log have it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Head => "HEAD",
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Patch => "PATCH",
            Method::Delete => "DELETE",
            Method::Other => "OTHER",
        }
    }
}

/// Request headers, in order. Names compare without regard to case.
#[derive(Clone, Debug, Default)]
pub struct Headers(pub Vec<(String, String)>);

impl Headers {
    /// The first value of this header.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

/// A request. The body is read from `body`, at most once, and need not be read.
pub struct Request<'a> {
    /// What to do.
    pub method: Method,
    /// The target up to `?`, as sent.
    pub path: String,
    /// The target after `?`, as sent; empty without one.
    pub query: String,
    /// The headers.
    pub headers: Headers,
    /// The body. Ends where the body ends; a body that is cut off, too slow or too long ends in an error.
    pub body: &'a mut dyn Read,
    /// The declared length of the body, in bytes; `None` for a chunked one.
    pub body_bytes: Option<u64>,
    /// Who sends it, as far as that is known: behind a proxy, that one.
    pub peer: Option<IpAddr>,
    /// With a long body: the place among those who have not shown yet that they may send one. A handler that
    /// has seen a valid token drops it.
    pub stranger: Option<Reserved>,
    /// What the handler knows of it so far.
    pub note: Note,
}

/// What a handler knows of a request, for those who watch: the log and the metrics.
#[derive(Clone, Default, Debug)]
pub struct Note {
    /// The pattern of the path, one of those that the metrics have; empty: none.
    pub route: &'static str,
    /// What it is about, and who asks: a few names with numbers.
    pub ids: [Option<(&'static str, i64)>; 2],
    /// Whether it happens all the time, and changed nothing.
    pub is_routine: bool,
    /// What went wrong, in a sentence without secrets.
    pub cause: Option<String>,
}

impl Note {
    /// Takes over what `later` says; what that leaves open stays.
    #[must_use]
    pub fn and(mut self, later: Note) -> Note {
        later.ids.into_iter().flatten().for_each(|(name, id)| self.set_id(name, id));
        Note {
            route: if later.route.is_empty() { self.route } else { later.route },
            ids: self.ids,
            is_routine: later.is_routine || self.is_routine,
            cause: later.cause.or(self.cause),
        }
    }

    /// Names an id. Those that there is no room for are left out.
    pub fn set_id(&mut self, name: &'static str, id: i64) {
        let is_free = |place: &&mut Option<(&str, i64)>| place.is_none_or(|(own, _)| own == name);
        if let Some(place) = self.ids.iter_mut().find(is_free) {
            *place = Some((name, id));
        }
    }
}

/// What a handler gives back.
pub enum Answer {
    /// The response.
    Now(Response),
    /// The response follows as soon as something short is over, such as a commit.
    AfterCommit(AfterCommit),
    /// The response follows when something happens that may be long in coming, or at the latest when its time is over.
    Held(Box<dyn Held>),
}

impl From<Response> for Answer {
    fn from(response: Response) -> Answer {
        Answer::Now(response)
    }
}

impl Answer {
    /// The response, now.
    #[must_use]
    pub fn at_once(self) -> Response {
        match self {
            Answer::Now(response) => response,
            Answer::AfterCommit(after) => after.wait().at_once(),
            Answer::Held(mut held) => held.answer(true).unwrap_or_else(|| Response::error(500, "")),
        }
    }
}

/// An answer that waits for something short, such as the commit of a write. Meanwhile it keeps no thread.
pub struct AfterCommit(Box<dyn FnOnce(Reply) + Send>);

/// Makes an answer.
pub type Finish = Box<dyn FnOnce() -> Answer + Send>;

impl AfterCommit {
    /// `begin` begins what is waited for, and sees to it that the [`Reply`] is given when that is over.
    pub fn new(begin: impl FnOnce(Reply) + Send + 'static) -> AfterCommit {
        AfterCommit(Box::new(begin))
    }

    /// Begins. `take` is given what makes the answer, by another thread, or by this one before it returns.
    pub fn begin(self, take: impl FnOnce(Finish) + Send + 'static) {
        (self.0)(Reply(Some(Box::new(take))));
    }

    fn wait(self) -> Answer {
        let (sender, receiver) = mpsc::channel();
        // It is received below, unless this thread panics.
        self.begin(move |finish| drop(sender.send(finish)));
        match blocking::waiting(|| receiver.recv()) {
            Ok(finish) => finish(),
            Err(mpsc::RecvError) => Response::error(500, "").into(),
        }
    }
}

/// Where an answer goes. Dropped without one, it says that something went wrong.
pub struct Reply(Option<Box<dyn FnOnce(Finish) + Send>>);

impl Reply {
    /// Has `finish` make the answer, in a thread that may wait.
    pub fn give(mut self, finish: impl FnOnce() -> Answer + Send + 'static) {
        if let Some(take) = self.0.take() {
            take(Box::new(finish));
        }
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        if let Some(take) = self.0.take() {
            take(Box::new(|| Response::error(500, "").into()));
        }
    }
}

/// A response that is not there yet. While it is awaited it keeps no thread.
pub trait Held: Send {
    /// Begins to wait: from now on `wake` is to be called when there may be a response. Called again after each
    /// [`Held::answer`] that gave none.
    fn begin(&mut self, wake: Wake);

    /// The response, if there is one by now. `last`: there must be one now.
    fn answer(&mut self, last: bool) -> Option<Response>;

    /// When it is asked for the last time.
    fn until(&self) -> Instant;
}

/// Has a [`Held`] asked for its response. It may be called from any thread, more than once, and too late.
pub struct Wake(Box<dyn Fn() + Send + Sync>);

impl Wake {
    /// Calls `wake`.
    pub fn new(wake: impl Fn() + Send + Sync + 'static) -> Wake {
        Wake(Box::new(wake))
    }

    /// There may be a response.
    pub fn wake(&self) {
        (self.0)();
    }
}

/// What a response carries.
#[derive(Debug)]
pub enum Body {
    /// These bytes.
    Bytes(Vec<u8>),
    /// So many bytes of a file, from its present position on.
    File {
        /// The file.
        file: File,
        /// How many bytes.
        bytes: u64,
        /// The right to a transfer, kept until it ends.
        transfer: Reserved,
    },
    /// All that comes from there, until it ends. An error cuts the response off, so that the client sees that something is
    /// missing.
    Stream(Stream),
}

/// Where a body comes from whose length nobody knows. Dropped when it has ended, or the client has left.
pub struct Stream(pub Box<dyn Read + Send>);

/// What is read, with the right to send it.
struct Holding {
    from: Box<dyn Read + Send>,
    _transfer: Reserved,
}

impl Read for Holding {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        self.from.read(out)
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Stream")
    }
}

impl Body {
    /// What is read from there: whole, if it is known to be of at most `whole_bytes_max` bytes, and else piece by piece, with
    /// the right to a transfer that `reserve` gives, until it ends.
    ///
    /// # Errors
    /// Those of reading it whole, and of `reserve`.
    pub fn read(
        from: Box<dyn Read + Send>,
        bytes: Option<u64>,
        whole_bytes_max: u64,
        reserve: impl FnOnce() -> Result<Reserved>,
    ) -> Result<Body> {
        if bytes.is_some_and(|bytes| bytes <= whole_bytes_max) {
            let mut whole = Vec::new();
            from.take(whole_bytes_max).read_to_end(&mut whole)?;
            return Ok(Body::Bytes(whole));
        }
        Ok(Body::Stream(Stream(Box::new(Holding { from, _transfer: reserve()? }))))
    }

    /// The length in bytes, if it is known.
    #[must_use]
    pub fn len(&self) -> Option<u64> {
        match self {
            Body::Bytes(bytes) => Some(bytes.len() as u64),
            Body::File { bytes, .. } => Some(*bytes),
            Body::Stream(_) => None,
        }
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == Some(0)
    }
}

/// A response. `Content-Length`, `Transfer-Encoding`, `Date`, `Server` and `Connection` are the server's to add.
#[derive(Debug)]
pub struct Response {
    /// The status.
    pub status: u16,
    /// Further headers.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: Body,
    /// What is not sent: for the log and the metrics.
    pub note: Note,
    /// What is to be done if the client does not take it.
    pub untaken: Option<Untaken>,
}

/// Undoes what a response says, for a client that never heard it.
pub struct Untaken(pub Box<dyn FnOnce() + Send>);

impl fmt::Debug for Untaken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Untaken")
    }
}

impl Response {
    /// A response with this body, whose type it does not say.
    #[must_use]
    pub fn new(status: u16, body: Body) -> Response {
        Response { status, headers: Vec::new(), body, note: Note::default(), untaken: None }
    }

    /// A response without a body.
    #[must_use]
    pub fn empty(status: u16) -> Response {
        Response::new(status, Body::Bytes(Vec::new()))
    }

    /// A JSON response. The type is exactly `application/json`: runners up to 1.10 take no `; charset` with it.
    #[must_use]
    pub fn json(status: u16, value: &impl Serialize) -> Response {
        // Only a map whose keys are no texts cannot be written.
        Response::of_json(status, serde_json::to_vec(value).unwrap_or_default())
    }

    /// The same of JSON that is there.
    #[must_use]
    pub fn of_json(status: u16, json: Vec<u8>) -> Response {
        Response::new(status, Body::Bytes(json)).with("Content-Type", "application/json")
    }

    /// An error: `{"message": "404 Not Found"}`, with the details, if any, after the status.
    #[must_use]
    pub fn error(status: u16, details: &str) -> Response {
        let reason = reason(status);
        let message =
            if details.is_empty() { format!("{status} {reason}") } else { format!("{status} {reason} - {details}") };
        Response::json(status, &json!({ "message": message }))
    }

    /// A refusal in plain text, for clients that show it to people.
    #[must_use]
    pub fn words(status: u16, words: &str) -> Response {
        let words = if words.is_empty() { reason(status) } else { words };
        let body = Body::Bytes(format!("{words}\n").into_bytes());
        Response::new(status, body).with("Content-Type", "text/plain; charset=utf-8")
    }

    /// The same with one more header. Control characters cannot become part of a value.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Response {
        let value: String = value.into();
        self.headers.push((name, value.replace(char::is_control, "")));
        self
    }
}

impl Response {
    /// The same with an id in its note.
    #[must_use]
    pub fn with_id(mut self, name: &'static str, id: i64) -> Response {
        self.note.set_id(name, id);
        self
    }

    /// The same with what is to be done if the client has broken the connection before it took the response. Whoever
    /// leaves later may have taken it.
    #[must_use]
    pub fn if_untaken(mut self, undo: impl FnOnce() + Send + 'static) -> Response {
        self.untaken = Some(Untaken(Box::new(undo)));
        self
    }

    /// The same as one of many that say nothing new.
    #[must_use]
    pub fn as_routine(mut self) -> Response {
        self.note.is_routine = true;
        self
    }

    /// The same for this reason, which is not sent.
    #[must_use]
    pub fn because(mut self, cause: &str) -> Response {
        self.note.cause = Some(cause.to_owned()).filter(|cause| !cause.is_empty());
        self
    }
}

/// The statuses that are answered, with their reason phrases.
pub const STATUSES: [(u16, &str); 27] = [
    (100, "Continue"),
    (200, "OK"),
    (201, "Created"),
    (202, "Accepted"),
    (204, "No Content"),
    (206, "Partial Content"),
    (303, "See Other"),
    (304, "Not Modified"),
    (400, "Bad Request"),
    (401, "Unauthorized"),
    (403, "Forbidden"),
    (404, "Not Found"),
    (405, "Method Not Allowed"),
    (408, "Request Timeout"),
    (409, "Conflict"),
    (413, "Request Entity Too Large"),
    (414, "URI Too Long"),
    (415, "Unsupported Media Type"),
    (416, "Range Not Satisfiable"),
    (421, "Misdirected Request"),
    (429, "Too Many Requests"),
    (431, "Request Header Fields Too Large"),
    (500, "Internal Server Error"),
    (501, "Not Implemented"),
    (503, "Service Unavailable"),
    (505, "HTTP Version Not Supported"),
    (507, "Insufficient Storage"),
];

/// The reason phrase of a status.
#[must_use]
pub fn reason(status: u16) -> &'static str {
    STATUSES.iter().find(|(own, _)| *own == status).map_or("", |(_, reason)| reason)
}
