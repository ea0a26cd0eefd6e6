//! Git over HTTP, as far as a running build needs it: its own token reads the commit of its own pipeline, and nothing else
//! (`gitprotocol-http`, "Smart Clients").
//!
//! What must stay true: nobody without the token of a running build has a program started for him; what is asked for is
//! judged before that program sees it (`git/wants.rs`); the number of programs, their time and what they may say are bounded.
//! Nothing is ever received: there is no `git-receive-pack`, and no file of a repository by its name.
//!
//! Refusals are plain text, since git shows that to people.

use super::{Api, Handler, Protocol, error_response, on};
use crate::blocking;
use crate::coordinator::Source;
use crate::domain::build::BuildId;
use crate::domain::time::Timestamp;
use crate::domain::token::Token;
use crate::error::{Error, Kind, Result};
use crate::git::upload_pack::{Answering, Bounds, Offered};
use crate::http::params::body_error;
use crate::http::router::Endpoint;
use crate::http::{Body, Method, Request, Response, Stream};
use crate::seats::Seat;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use flate2::read::GzDecoder;
use std::io::Read;

/// What git speaks.
pub(super) const PROTOCOL: Protocol = Protocol {
    prefixes: &["/git/"],
    tables: &[&ENDPOINTS],
    in_table: |path| format!("/git/{path}").into(),
    is_for_runners: false,
};

const ENDPOINTS: [Endpoint<Handler>; 2] = [
    on(Method::Get, "/git/*repository", |api, request, places, now| {
        Ok(answer(api, request, place(&places.texts), now).into())
    }),
    on(Method::Post, "/git/*repository", |api, request, places, now| {
        Ok(answer(api, request, place(&places.texts), now).into())
    }),
];

/// What comes before the list of what there is: a line, and a flush.
const SERVICE_LINE: &[u8] = b"001e# service=git-upload-pack\n0000";

/// A path below a repository.
enum Place<'p> {
    /// The list of what a project's repository has.
    List(&'p str),
    /// Where it is asked for.
    Pack(&'p str),
    /// Where it would be changed.
    Receive,
    /// Anything else.
    Nothing,
}

fn place<'p>(texts: &[&'p str]) -> Place<'p> {
    let path = texts.first().copied().unwrap_or_default();
    let below = |end: &str| path.strip_suffix(end).and_then(|path| path.strip_suffix(".git"));
    match (below("/info/refs"), below("/git-upload-pack"), below("/git-receive-pack")) {
        (Some(project), ..) => Place::List(project),
        (_, Some(project), _) => Place::Pack(project),
        (.., Some(_)) => Place::Receive,
        (None, None, None) => Place::Nothing,
    }
}

fn answer(api: &Api, request: &mut Request<'_>, place: Place<'_>, now: Timestamp) -> Response {
    let answer = match (place, request.method) {
        (Place::List(project), Method::Get | Method::Head) => list(api, request, project, now),
        (Place::Pack(project), Method::Post) => pack(api, request, project, now),
        (Place::List(_), _) => return Response::words(405, "").with("Allow", "GET, HEAD"),
        (Place::Pack(_), _) => return Response::words(405, "").with("Allow", "POST"),
        (Place::Receive, _) => return read_only(),
        (Place::Nothing, _) => return Response::words(404, ""),
    };
    answer.unwrap_or_else(|error| in_words(&error))
}

fn read_only() -> Response {
    let why = "the sources of a build can only be fetched";
    Response::words(403, why).because(why)
}

/// The same status that others get, in words.
fn in_words(error: &Error) -> Response {
    let plain = error_response(error);
    let shown = match error.kind {
        Kind::Busy => "too many builds fetch their sources at once; try again",
        Kind::Internal | Kind::Damaged | Kind::DiskFull => "",
        Kind::Invalid | Kind::Forbidden | Kind::NotFound | Kind::Conflict | Kind::TooLarge | Kind::TooSlow => {
            &error.message
        }
    };
    let words = Response::words(plain.status, shown);
    let retry = plain.headers.into_iter().filter(|(name, _)| *name == "Retry-After");
    Response { headers: words.headers.into_iter().chain(retry).collect(), note: plain.note, ..words }
}

/// What is answered to one that shows nothing: git shows what it has then.
fn asks() -> Response {
    let words = Response::words(401, "show the token of a running build, as the password of any user");
    words.with("WWW-Authenticate", "Basic realm=\"builds\"").as_routine()
}

/// Who asks; `None`: the request shows nothing.
fn token(request: &Request<'_>) -> Option<Option<Token>> {
    let shown = request.headers.get("Authorization")?;
    let (scheme, value) = shown.split_once(' ').unwrap_or((shown, ""));
    let bytes = scheme.eq_ignore_ascii_case("Basic").then(|| BASE64_STANDARD.decode(value.trim()).ok()).flatten();
    let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_default();
    Some(text.split_once(':').and_then(|(_, password)| Token::received(password)))
}

/// Answers `GET info/refs`.
fn list(api: &Api, request: &mut Request<'_>, project: &str, now: Timestamp) -> Result<Response> {
    match request.query.as_str() {
        "service=git-upload-pack" => {}
        "service=git-receive-pack" => return Ok(read_only()),
        _ => return Ok(Response::words(403, "git must ask for git-upload-pack: there is no other way to fetch")),
    }
    let Some(token) = token(request) else { return Ok(asks()) };
    let source = find(api, request, project, token.as_ref(), now)?;
    let listed = blocking::waiting(|| {
        let _seat = api.git.take(source.build)?;
        Offered::open(&source.dir)?.list()
    })?;
    Ok(sent("application/x-git-upload-pack-advertisement", Body::Bytes([SERVICE_LINE, &listed].concat())))
}

/// Answers `POST git-upload-pack`.
fn pack(api: &Api, request: &mut Request<'_>, project: &str, now: Timestamp) -> Result<Response> {
    let Some(token) = token(request) else { return Ok(asks()) };
    let source = find(api, request, project, token.as_ref(), now)?;
    if request.headers.get("Content-Type") != Some("application/x-git-upload-pack-request") {
        return Ok(Response::words(415, "the body must be application/x-git-upload-pack-request"));
    }
    // Who has shown such a token is no stranger.
    request.stranger = None;
    let limits = api.coordinator.limits();
    let room = api.bodies.reserve(limits.git_request_bytes_max)?;
    let asked = body(request, limits.git_request_bytes_max)?;
    // Usually it is short, and it may have to wait.
    drop(room);
    let _room = api.bodies.reserve(asked.len() as u64)?;
    let bounds = Bounds {
        time_max: limits.git_time_max,
        silence_max: limits.stall_time_max,
        bytes_max: limits.git_response_bytes_max,
    };
    let stream = blocking::waiting(|| {
        let seat = api.git.take(source.build)?;
        let answering = Offered::open(&source.dir)?.answer(asked, bounds)?;
        Ok::<_, Error>(Seated { answering, _seat: seat })
    })?;
    Ok(sent("application/x-git-upload-pack-result", Body::Stream(Stream(Box::new(stream)))))
}

/// An answer under way, and its seat among the processes of git, which is free when git has ended.
struct Seated {
    answering: Answering,
    _seat: Seat<BuildId>,
}

impl Read for Seated {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.answering.read(buffer)
    }
}

fn find(api: &Api, request: &mut Request<'_>, project: &str, token: Option<&Token>, now: Timestamp) -> Result<Source> {
    let source = api.coordinator.source_for(token, project, now)?;
    request.note.set_id("build", source.build.0);
    Ok(source)
}

fn sent(kind: &str, body: Body) -> Response {
    Response::new(200, body).with("Content-Type", kind).with("Cache-Control", "no-cache")
}

/// The body, unpacked. No more is read or unpacked than it may have.
fn body(request: &mut Request<'_>, bytes_max: u64) -> Result<Vec<u8>> {
    let too_long = || Error::new(Kind::TooLarge, format!("git may ask with at most {bytes_max} bytes"));
    if request.body_bytes.is_some_and(|bytes| bytes > bytes_max) {
        return Err(too_long());
    }
    let coding = request.headers.get("Content-Encoding").unwrap_or("identity").to_ascii_lowercase();
    let mut packed = (&mut *request.body).take(bytes_max + 1);
    let mut bytes = Vec::new();
    match coding.as_str() {
        "identity" => packed.read_to_end(&mut bytes),
        "gzip" | "x-gzip" => GzDecoder::new(&mut packed).take(bytes_max + 1).read_to_end(&mut bytes),
        _ => return Err(Error::invalid("the only Content-Encoding that is taken is gzip")),
    }
    .map_err(body_error)?;
    if bytes.len() as u64 > bytes_max {
        return Err(too_long());
    }
    // A packed body ends behind its content; what framed it is taken, too, so that the connection can carry more.
    std::io::copy(&mut packed, &mut std::io::sink()).map_err(body_error)?;
    if packed.limit() == 0 { Err(too_long()) } else { Ok(bytes) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_says_what_is_asked_of_which_project() {
        let words = |path: &str| match place(&[path]) {
            Place::List(project) => format!("list {project}"),
            Place::Pack(project) => format!("pack {project}"),
            Place::Receive => "receive".to_owned(),
            Place::Nothing => "nothing".to_owned(),
        };
        for (path, expected) in [
            ("demo.git/info/refs", "list demo"),
            ("group/sub/demo.git/git-upload-pack", "pack group/sub/demo"),
            ("demo.git/git-receive-pack", "receive"),
            ("demo.git/HEAD", "nothing"),
            ("demo.git/objects/info/packs", "nothing"),
            ("demo/info/refs", "nothing"),
            ("demo.git/info/refs/", "nothing"),
            ("../demo.git/info/refs", "list ../demo"),
            ("", "nothing"),
        ] {
            assert_eq!(words(path), expected, "{path}");
        }
    }

    #[test]
    fn a_token_is_the_password_of_whomever() {
        let shown = |value: &str| {
            let mut body = std::io::empty();
            let headers = crate::http::message::Headers(vec![("authorization".to_owned(), value.to_owned())]);
            let request = Request {
                method: Method::Get,
                path: String::new(),
                query: String::new(),
                headers,
                body: &mut body,
                body_bytes: Some(0),
                peer: None,
                stranger: None,
                note: crate::http::Note::default(),
            };
            token(&request).flatten().map(|token| token.reveal().to_owned())
        };
        let basic = |text: &str| format!("Basic {}", BASE64_STANDARD.encode(text));
        assert_eq!(shown(&basic("gitlab-ci-token:abc")).as_deref(), Some("abc"));
        assert_eq!(shown(&basic("x:a:b").replace("Basic", "basic")).as_deref(), Some("a:b"));
        for wrong in [basic("abc"), basic("abc:"), "Bearer abc".to_owned(), "Basic ???".to_owned(), "Basic".to_owned()]
        {
            assert_eq!(shown(&wrong), None, "{wrong}");
        }
    }
}
