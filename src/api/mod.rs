//! What is spoken over HTTP: one file per protocol, each only translating between requests and deeds.

mod elsewhere;
pub mod health;
mod runner_v1;
mod shared;

use self::elsewhere::Elsewhere;
use self::health::claim_metrics::Claims;
use crate::coordinator::{Coordinator, Deed};
use crate::domain::time::Timestamp;
use crate::error::{Error, Kind, Result};
use crate::http::budget::Budget;
use crate::http::router::{Endpoint, Found, find, patterns};
use crate::http::traffic::Traffic;
use crate::http::{Answer, Method, Request, Response, Soon};
use std::sync::Arc;

/// The protocols, and what their requests share.
pub struct Api {
    coordinator: Arc<Coordinator>,
    /// Memory for bodies of traces.
    bodies: Budget,
    /// Memory for those of senders who have shown no token yet.
    strangers: Budget,
    /// Uploads and downloads.
    transfers: Budget,
    claims: Arc<Claims>,
    elsewhere: Elsewhere,
    /// What the server that this answers for has counted.
    traffic: Arc<Traffic>,
    started_at: Timestamp,
}

/// What answers an endpoint, given the numbers in its path.
type Handler = fn(&Api, &mut Request<'_>, &[i64], Timestamp) -> Result<Answer>;

/// A line of a protocol's table.
const fn on(method: Method, pattern: &'static str, answer: Handler) -> Endpoint<Handler> {
    Endpoint { method, pattern, answer }
}

/// Looks for the request's endpoint, and notes its route.
fn look_up<'t>(table: &'t [Endpoint<Handler>], request: &mut Request<'_>, path: &str) -> Found<'t, Handler> {
    let found = find(table, request.method, path);
    if let Found::Endpoint(Endpoint { pattern, .. }, _) | Found::OtherMethods(pattern, ..) = &found {
        request.note.route = pattern;
    }
    found
}

/// The answer of what was found in a table.
fn answer(api: &Api, request: &mut Request<'_>, found: Found<'_, Handler>) -> Answer {
    match found {
        Found::Endpoint(endpoint, ids) => {
            let answer = (endpoint.answer)(api, request, &ids, Timestamp::now());
            answer.unwrap_or_else(|error| error_response(&error).into())
        }
        Found::OtherMethods(_, methods, _) => method_not_allowed(&methods).into(),
        Found::Nothing => Response::error(404, "").into(),
    }
}

/// The patterns of all paths that there are; what lies elsewhere has none.
pub fn routes() -> Vec<&'static str> {
    [patterns(&runner_v1::ENDPOINTS), patterns(&health::ENDPOINTS)].concat()
}

impl Api {
    /// The protocols over these deeds, for a server that counts in `traffic`, by [`routes`].
    #[must_use]
    pub fn new(coordinator: Arc<Coordinator>, traffic: Arc<Traffic>) -> Api {
        let limits = coordinator.limits();
        Api {
            bodies: Budget::new("long traces", limits.bodies_bytes_max),
            strangers: Budget::new("long traces without a token", limits.strangers_bytes_max),
            transfers: Budget::new("transfers", limits.transfers_max),
            claims: Arc::default(),
            elsewhere: Elsewhere::default(),
            traffic,
            started_at: Timestamp::now(),
            coordinator,
        }
    }

    /// Answers any request.
    pub fn handle(&self, request: &mut Request<'_>) -> Answer {
        let path = request.path.clone();
        if path.starts_with("/-/") {
            return health::handle(self, request, &path);
        }
        // Runners before 1.6 that are given a bare host leave out `/ci` (protocol 1.0).
        match path.strip_prefix("/ci/api/v1/").or_else(|| path.strip_prefix("/api/v1/")) {
            Some(rest) => runner_v1::handle(self, request, rest),
            None => self.elsewhere.answer(request).into(),
        }
    }
}

/// The refusal of a body that is compressed, before anything of it is read: taken as it is, a log would hold gzip's bytes,
/// and a runner's token would be none. No runner sends such bodies.
fn refuse_encoded(request: &Request<'_>) -> Option<Response> {
    let is_encoded = |(name, value): &(String, String)| {
        let mut codings = value.split(',').map(str::trim);
        name.eq_ignore_ascii_case("Content-Encoding")
            && codings.any(|coding| !coding.is_empty() && !coding.eq_ignore_ascii_case("identity"))
    };
    request.headers.0.iter().any(is_encoded).then(|| {
        let why = "send the body without Content-Encoding";
        Response::error(415, why).with("Accept-Encoding", "identity").because(why)
    })
}

/// What `answer` makes of what this deed comes to.
fn answer_to<T: Send + 'static>(
    deed: Deed<T>,
    answer: impl FnOnce(Result<T>) -> Result<Answer> + Send + 'static,
) -> Answer {
    let answer = move |result| answer(result).unwrap_or_else(|error| error_response(&error).into());
    match deed.outcome() {
        Ok(result) => answer(result),
        Err(deed) => Answer::Soon(Soon::new(move |reply| {
            deed.then(move |result| reply.give(move || answer(result)));
        })),
    }
}

/// A known path with another method.
fn method_not_allowed(allowed: &[Method]) -> Response {
    let allow: Vec<&str> = allowed.iter().map(|method| method.as_str()).collect();
    Response::error(405, "").with("Allow", allow.join(", "))
}

/// The one table from errors to statuses. What went wrong inside goes to the log, never to the client.
fn error_response(error: &Error) -> Response {
    let response = match error.kind {
        Kind::Invalid => Response::error(400, &error.message),
        Kind::Forbidden => Response::error(403, &error.message),
        Kind::NotFound => Response::error(404, ""),
        Kind::TooSlow => Response::error(408, &error.message),
        Kind::Conflict => Response::error(409, &error.message),
        Kind::TooLarge => Response::error(413, &error.message),
        Kind::Busy => Response::error(503, "the server is busy, try again").with("Retry-After", "1"),
        Kind::DiskFull => return disk_full(503, error),
        Kind::Internal => Response::error(500, ""),
    };
    response.because(&error.message)
}

/// What is answered while there is no room. Never 403 or 404, on which old runners give a build up.
fn disk_full(status: u16, error: &Error) -> Response {
    Response::error(status, "the server's disk is full").with("Retry-After", "10").because(&error.message)
}
