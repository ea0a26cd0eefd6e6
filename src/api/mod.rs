//! What is spoken over HTTP: a room for each protocol, which only translates between requests and deeds, and `shared/`,
//! which holds what several of them need.
//!
//! What must stay true: a protocol is one line of `PROTOCOLS`. Which endpoints there are (404, 405 with its `Allow`, the
//! routes in the log and the metrics) follows from its tables, and its room knows no other room but `shared/`. Protocols
//! that share a prefix share what follows from their tables.

mod bad_tokens;
mod elsewhere;
mod git;
mod gitlab_v4;
pub mod health;
mod runner_v1;
mod runner_v4;
mod seldom;
mod shared;

use self::bad_tokens::BadTokens;
use self::elsewhere::Elsewhere;
use self::health::claim_metrics::Claims;
use self::health::log_metrics::LogChecks;
use crate::coordinator::{Coordinator, Deed};
use crate::domain::base_url::BaseUrl;
use crate::domain::build::BuildId;
use crate::domain::time::Timestamp;
use crate::error::{Error, Kind, Result};
use crate::http::budget::Budget;
use crate::http::router::{Endpoint, Found, Places, find, patterns};
use crate::http::traffic::Traffic;
use crate::http::{AfterCommit, Answer, Method, Request, Response};
use crate::limits::GIT_WAITING_PER_SEAT;
use crate::seats::Seats;
use std::borrow::Cow;
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
    /// Processes of git.
    git: Seats<BuildId>,
    claims: Arc<Claims>,
    log_checks: Arc<LogChecks>,
    /// Calls of programs without a token that is good for them.
    bad_tokens: BadTokens,
    elsewhere: Elsewhere,
    /// What the server that this answers for has counted.
    traffic: Arc<Traffic>,
    started_at: Timestamp,
    /// Serving processes before this one, of the same supervisor.
    restarts: u64,
    reached: Reached,
}

/// By which URL clients reach the server.
#[derive(Clone, Debug, Default)]
pub struct Reached {
    /// The one that its operator has named.
    pub base_url: Option<BaseUrl>,
    /// Whether it speaks TLS.
    pub is_tls: bool,
}

impl Reached {
    /// The URL for whoever sent this request: what the operator says, else the host that was asked for, by the scheme that a
    /// proxy names. What a client makes up there is for its own answer only.
    fn by(&self, request: &Request<'_>) -> Option<BaseUrl> {
        let is_tls = self.is_tls
            || request.headers.get("X-Forwarded-Proto").is_some_and(|scheme| scheme.eq_ignore_ascii_case("https"));
        self.base_url.clone().or_else(|| BaseUrl::of_host(is_tls, request.headers.get("Host")?))
    }
}

/// What answers an endpoint, given what stands in the places of its pattern.
type Answering = fn(&Api, &mut Request<'_>, &Places<'_>, Timestamp) -> Result<Answer>;

/// What answers an endpoint.
#[derive(Clone, Copy)]
enum Handler {
    /// This, with the errors of all protocols.
    Own(Answering),
    /// The API for programs, which looks at who calls first.
    Program(gitlab_v4::Route),
}

/// A protocol.
struct Protocol {
    /// What its paths begin with, with a slash at either end.
    prefixes: &'static [&'static str],
    /// Its endpoints.
    tables: &'static [&'static [Endpoint<Handler>]],
    /// The rest of a path behind the prefix, as the tables have it.
    in_table: for<'p> fn(&'p str) -> Cow<'p, str>,
    /// Whether runners speak it: who misses its paths is told the right URL, and bodies are taken as they are only.
    is_for_runners: bool,
}

/// All protocols. One whose prefix is the begin of another's comes after that.
const PROTOCOLS: [&Protocol; 5] =
    [&runner_v1::PROTOCOL, &runner_v4::PROTOCOL, &gitlab_v4::PROTOCOL, &git::PROTOCOL, &health::PROTOCOL];

impl Protocol {
    /// Which of its prefixes the path begins with.
    fn prefix_of(&self, path: &str) -> Option<&'static str> {
        self.prefixes.iter().copied().find(|prefix| path.starts_with(prefix))
    }

    /// The path as this protocol's tables have it; `None` if it is not below one of its prefixes.
    fn below_prefix<'p>(&self, path: &'p str) -> Option<Cow<'p, str>> {
        self.prefix_of(path).and_then(|prefix| path.strip_prefix(prefix)).map(self.in_table)
    }

    /// All of its endpoints.
    fn endpoints(&self) -> impl Iterator<Item = &'static Endpoint<Handler>> {
        self.tables.iter().copied().flatten()
    }

    /// Answers a request for an endpoint of it.
    fn answer(
        &self,
        api: &Api,
        request: &mut Request<'_>,
        endpoint: &Endpoint<Handler>,
        places: &Places<'_>,
    ) -> Answer {
        note(request, endpoint.pattern, places);
        if let Some(refusal) = refuse_encoded(request).filter(|_| self.is_for_runners) {
            return refusal.into();
        }
        let now = Timestamp::now();
        match endpoint.answer {
            Handler::Own(answer) => {
                answer(api, request, places, now).unwrap_or_else(|error| error_response(&error).into())
            }
            Handler::Program(route) => gitlab_v4::answer(api, route, endpoint.pattern, (request, places), now),
        }
    }
}

/// Methods of a path that there is, with its pattern.
#[derive(Default)]
struct OtherMethods {
    pattern: &'static str,
    methods: Vec<Method>,
    is_for_runners: bool,
}

impl OtherMethods {
    fn add(&mut self, protocol: &Protocol, pattern: &'static str, methods: Vec<Method>) {
        if self.methods.is_empty() {
            self.pattern = pattern;
        }
        self.is_for_runners |= protocol.is_for_runners;
        for method in methods {
            if !self.methods.contains(&method) {
                self.methods.push(method);
            }
        }
    }

    fn answer(&self, request: &Request<'_>) -> Response {
        let encoded = refuse_encoded(request).filter(|_| self.is_for_runners);
        encoded.unwrap_or_else(|| method_not_allowed(&self.methods))
    }
}

/// Names the route and what it is about, for the log.
fn note(request: &mut Request<'_>, pattern: &'static str, places: &Places<'_>) {
    request.note.route = pattern;
    let words: Vec<&str> = pattern.split('/').collect();
    let nouns = words.windows(2).filter_map(|pair| match pair {
        [noun, ":id"] => Some(subject(noun)),
        _ => None,
    });
    places.numbers.iter().zip(nouns).for_each(|(id, noun)| request.note.set_id(noun, *id));
}

/// What the number in a path is, for the log: by the word before it.
fn subject(noun: &str) -> &'static str {
    match noun {
        "builds" | "jobs" => "build",
        "runners" => "runner",
        "pipelines" => "pipeline",
        _ => "id",
    }
}

/// A line of a protocol's table.
const fn on(method: Method, pattern: &'static str, answer: Answering) -> Endpoint<Handler> {
    Endpoint { method, pattern, answer: Handler::Own(answer) }
}

/// The patterns of all paths that there are; what lies elsewhere has none.
pub fn routes() -> Vec<&'static str> {
    let mut all: Vec<&'static str> = Vec::new();
    for pattern in PROTOCOLS.into_iter().flat_map(|protocol| protocol.tables).flat_map(|table| patterns(table)) {
        if !all.contains(&pattern) {
            all.push(pattern);
        }
    }
    all
}

/// The same of the API for programs alone, below its prefix.
pub fn program_routes() -> Vec<&'static str> {
    gitlab_v4::PROTOCOL.tables.iter().flat_map(|table| patterns(table)).collect()
}

impl Api {
    /// The protocols over these deeds, for a server that counts in `traffic`, by [`routes`]. `restarts`: as
    /// [`crate::server::Config::restarts`].
    #[must_use]
    pub fn new(coordinator: Arc<Coordinator>, traffic: Arc<Traffic>, reached: Reached, restarts: u64) -> Api {
        let limits = coordinator.limits();
        Api {
            bodies: Budget::new("long traces", limits.bodies_bytes_max),
            strangers: Budget::new("long traces without a token", limits.strangers_bytes_max),
            transfers: Budget::new("transfers", limits.transfers_max),
            // The builds of a pipeline begin together, so that they wait for each other.
            git: Seats::new("processes of git", limits.git_children_max, limits.git_children_per_build_max)
                .waited_for(limits.git_wait_max, limits.git_children_max * GIT_WAITING_PER_SEAT),
            claims: Arc::default(),
            log_checks: Arc::default(),
            bad_tokens: BadTokens::default(),
            elsewhere: Elsewhere::default(),
            traffic,
            started_at: Timestamp::now(),
            restarts,
            reached,
            coordinator,
        }
    }

    /// Answers any request.
    pub fn handle(&self, request: &mut Request<'_>) -> Answer {
        self.answer_by(&PROTOCOLS, request)
    }

    /// Answers a request by one of these protocols.
    fn answer_by(&self, protocols: &[&Protocol], request: &mut Request<'_>) -> Answer {
        let path = request.path.clone();
        let prefix = protocols.iter().find_map(|protocol| protocol.prefix_of(&path));
        let Some((prefix, rest)) = prefix.and_then(|prefix| Some((prefix, path.strip_prefix(prefix)?))) else {
            return self.elsewhere.answer(request).into();
        };
        let sharing = || protocols.iter().filter(|protocol| protocol.prefixes.contains(&prefix));
        let mut others = OtherMethods::default();
        for protocol in sharing() {
            let in_table = (protocol.in_table)(rest);
            for table in protocol.tables {
                match find(table, request.method, &in_table) {
                    Found::Endpoint(endpoint, places) => return protocol.answer(self, request, endpoint, &places),
                    Found::OtherMethods(pattern, methods, places) => {
                        note(request, pattern, &places);
                        others.add(protocol, pattern, methods);
                    }
                    Found::Nothing => {}
                }
            }
        }
        if !others.methods.is_empty() {
            request.note.route = others.pattern;
            return others.answer(request).into();
        }
        if sharing().any(|protocol| protocol.is_for_runners) {
            return self.elsewhere.answer(request).into();
        }
        Response::error(404, "").into()
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
        Err(deed) => Answer::AfterCommit(AfterCommit::new(move |reply| {
            deed.then(move |tried| reply.give(move || answer(tried.settle())));
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
        Kind::Internal | Kind::Damaged => Response::error(500, ""),
    };
    response.because(&error.message)
}

/// What is answered while there is no room. Never 403 or 404, on which old runners give a build up.
fn disk_full(status: u16, error: &Error) -> Response {
    Response::error(status, "the server's disk is full").with("Retry-After", "10").because(&error.message)
}
