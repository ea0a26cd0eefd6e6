//! The page: what people see in a browser.
//!
//! What must stay true: a page is a GET that works without a script; every button is a form. The server renders, once: the
//! same function makes a row for the first page and for its update. Nothing comes from another host, and nothing inline is
//! a script or a style. Nothing that a build, a runner or a commit says is markup. Whoever is not signed in sees nothing, but
//! where the operator has made reading public, and does nothing in any case. The page is a guest: it adds nothing to what
//! runners ask for, and runners come first where there is no room.

mod acts;
mod artifacts;
mod assets;
mod badge;
mod frame;
mod graph;
mod icons;
mod job;
mod jobs;
mod links;
mod live;
mod log;
mod log_parts;
mod overview;
mod pipeline;
mod pipelines;
mod raw;
mod refusal;
mod runners;
mod search;
mod session;
mod states;
mod turn;
mod words;

use self::frame::Notice;
use self::live::PageOf;
use self::session::{Reader, WrongKeys};
use crate::coordinator::Coordinator;
use crate::domain::base_url::BaseUrl;
use crate::domain::time::Timestamp;
use crate::error::{Error, Kind, Result};
use crate::http::budget::Budget;
use crate::http::router::{Endpoint, Found, Places, find, patterns};
use crate::http::{Answer, Method, Request, Response};
use crate::limits::PAGE_TRANSFERS_MAX;
use percent_encoding::percent_decode_str;
use std::sync::Arc;

/// Who may look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Access {
    /// Those who are signed in.
    #[default]
    Login,
    /// Everybody; what changes something is for those who are signed in.
    Public,
    /// Nobody: there is no page.
    Off,
}

impl Access {
    /// Every word for it.
    pub const WORDS: [(&'static str, Access); 3] =
        [("login", Access::Login), ("public", Access::Public), ("off", Access::Off)];
}

/// The page of a server.
pub struct Web {
    coordinator: Arc<Coordinator>,
    access: Access,
    /// What the operator has named; `None`: what the browser asks for.
    base_url: Option<BaseUrl>,
    is_tls: bool,
    /// How the command line is called for this data.
    program: String,
    cookie: String,
    wrong_keys: WrongKeys,
    rendered: live::Rendered,
    /// Logs and artifacts that are sent at a time.
    transfers: Budget,
}

/// A request to the page, as far as it is judged.
#[derive(Clone)]
pub struct Asked {
    /// The project that the path names.
    project: Option<String>,
    /// The path below the base URL, as it was sent.
    path: String,
    /// What follows the question mark.
    query: String,
    /// The host that was asked for.
    host: Option<BaseUrl>,
    reader: Reader,
}

/// What a path may need of whoever asks for it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum For {
    /// Everybody.
    All,
    /// Those who may look.
    Readers,
    /// Those who are signed in.
    Known,
}

/// A request that may be answered, with all that its handler looks at.
pub struct Visit<'v, 'r> {
    web: &'v Arc<Web>,
    request: &'v mut Request<'r>,
    asked: &'v Asked,
    /// What the path has in the places of its pattern.
    places: &'v Places<'v>,
    now: Timestamp,
}

type Handler = fn(&mut Visit<'_, '_>) -> Result<Answer>;

/// What answers a path, and for whom.
struct Handling {
    who: For,
    handler: Handler,
}

const fn on(method: Method, pattern: &'static str, who: For, handler: Handler) -> Endpoint<Handling> {
    Endpoint { method, pattern, answer: Handling { who, handler } }
}

/// A page: all that its handler decides is which.
macro_rules! page {
    ($of:expr) => {
        |visit| live::answer(visit, $of(visit.asked, visit.places)?)
    };
}

/// Paths of the installation: those behind `/-/`, and the overview.
const SITE: &[Endpoint<Handling>] = &[
    on(Method::Get, "/", For::Readers, page!(|_, _| overview::page(None))),
    on(Method::Get, "/-/assets/:hash/:name", For::All, assets::answer),
    on(Method::Get, "/-/login", For::All, session::ask),
    on(Method::Post, "/-/login", For::All, session::log_in),
    on(Method::Post, "/-/logout", For::Known, session::log_out),
    on(Method::Get, "/-/pipelines", For::Readers, page!(pipelines::page)),
    on(Method::Get, "/-/pipelines/:id", For::Readers, pipeline::find),
    on(Method::Get, "/-/jobs", For::Readers, page!(jobs::page)),
    on(Method::Get, "/-/jobs/:id", For::Readers, job::find),
    on(Method::Get, "/-/runners", For::Readers, page!(|_, _| runners::page())),
    on(Method::Get, "/-/runners/:id", For::Readers, page!(runners::one)),
    on(Method::Post, "/-/runners", For::Known, runners::add),
    on(Method::Post, "/-/runners/:id/pause", For::Known, acts::pause),
    on(Method::Post, "/-/runners/:id/resume", For::Known, acts::resume),
    on(Method::Get, "/-/search", For::Readers, search::answer),
];

/// Paths of a project, behind its name.
const PROJECT: &[Endpoint<Handling>] = &[
    on(Method::Get, "/PROJECT", For::Readers, page!(|asked: &Asked, _| overview::page(asked.project.clone()))),
    on(Method::Get, "/PROJECT/badges/*badge", For::All, badge::answer),
    on(Method::Get, "/PROJECT/-/badges/*badge", For::All, badge::answer),
    on(Method::Get, "/PROJECT/-/pipelines", For::Readers, page!(pipelines::page)),
    on(Method::Get, "/PROJECT/-/pipelines/:id", For::Readers, page!(pipeline::page)),
    on(Method::Post, "/PROJECT/-/pipelines/:id/retry", For::Known, acts::retry_pipeline),
    on(Method::Post, "/PROJECT/-/pipelines/:id/cancel", For::Known, acts::cancel_pipeline),
    on(Method::Get, "/PROJECT/-/jobs", For::Readers, page!(jobs::page)),
    on(Method::Get, "/PROJECT/-/jobs/:id", For::Readers, page!(job::page)),
    on(Method::Get, "/PROJECT/-/jobs/:id/log", For::Readers, log_parts::part),
    on(Method::Get, "/PROJECT/-/jobs/:id/log/search", For::Readers, log_parts::search),
    on(Method::Get, "/PROJECT/-/jobs/:id/raw", For::Readers, raw::log),
    on(Method::Get, "/PROJECT/-/jobs/:id/artifacts/browse/", For::Readers, page!(artifacts::folder)),
    on(Method::Get, "/PROJECT/-/jobs/:id/artifacts/browse/*path", For::Readers, page!(artifacts::folder)),
    on(Method::Get, "/PROJECT/-/jobs/:id/artifacts/file/*path", For::Known, page!(artifacts::file)),
    on(Method::Get, "/PROJECT/-/jobs/:id/artifacts/raw/*path", For::Known, raw::file),
    on(Method::Get, "/PROJECT/-/jobs/:id/artifacts/download", For::Known, raw::archive),
    on(Method::Post, "/PROJECT/-/jobs/:id/retry", For::Known, acts::retry),
    on(Method::Post, "/PROJECT/-/jobs/:id/cancel", For::Known, acts::cancel),
    on(Method::Get, "/PROJECT/-/jobs/:id/play", For::Known, page!(acts::ask_play)),
    on(Method::Post, "/PROJECT/-/jobs/:id/play", For::Known, acts::play),
    on(Method::Get, "/PROJECT/-/jobs/:id/erase", For::Known, page!(acts::ask_erase)),
    on(Method::Post, "/PROJECT/-/jobs/:id/erase", For::Known, acts::erase),
];

/// The patterns of all paths of the page.
#[must_use]
pub fn routes() -> Vec<&'static str> {
    [patterns(SITE), patterns(PROJECT)].concat()
}

/// A path, as far as it is the page's.
struct Target {
    /// The path as the tables have it.
    in_table: String,
    is_site: bool,
    project: Option<String>,
}

impl Target {
    /// `None`: it is not the page's.
    fn of(path: &str, method: Method) -> Option<Target> {
        let is_look = matches!(method, Method::Get | Method::Head);
        if path == "/" && is_look {
            return Some(Target { in_table: "/".to_owned(), is_site: true, project: None });
        }
        if let Some(rest) = path.strip_prefix("/-/") {
            let first = rest.split('/').next().unwrap_or_default();
            let is_own = ["assets", "login", "logout", "pipelines", "jobs", "runners", "search"].contains(&first);
            return is_own.then(|| Target { in_table: path.to_owned(), is_site: true, project: None });
        }
        let (project, rest) = match path.split_once("/-/") {
            Some((project, rest)) => (project, format!("/PROJECT/-/{rest}")),
            None => match path.split_once("/badges/") {
                Some((project, rest)) => (project, format!("/PROJECT/badges/{rest}")),
                None if is_look => (path, "/PROJECT".to_owned()),
                None => return None,
            },
        };
        let name = project.strip_prefix('/')?.trim_end_matches('/');
        let first = name.split('/').next().unwrap_or_default();
        // Doubled slashes are a mistake of runners, who are told so.
        if name.split('/').any(str::is_empty) || ["api", "ci", "git", "-", "favicon.ico", "robots.txt"].contains(&first)
        {
            return None;
        }
        let name = percent_decode_str(name).decode_utf8().ok()?.into_owned();
        Some(Target { in_table: rest, is_site: false, project: Some(name) })
    }
}

impl Web {
    /// The page over these deeds.
    #[must_use]
    pub fn new(
        coordinator: Arc<Coordinator>,
        access: Access,
        base_url: Option<BaseUrl>,
        is_tls: bool,
        program: String,
    ) -> Web {
        let cookie = format!("baton_{}", coordinator.installation());
        Web {
            coordinator,
            access,
            base_url,
            is_tls,
            program,
            cookie,
            wrong_keys: WrongKeys::default(),
            rendered: live::Rendered::default(),
            transfers: Budget::new("downloads", PAGE_TRANSFERS_MAX),
        }
    }

    /// Answers a request, if its path is the page's.
    pub fn handle(self: &Arc<Self>, request: &mut Request<'_>) -> Option<Answer> {
        let is_others = ["/api/", "/ci/", "/git/"].iter().any(|prefix| request.path.starts_with(prefix));
        if is_others || self.access == Access::Off {
            return None;
        }
        let target = Target::of(&request.path, request.method)?;
        let table = if target.is_site { SITE } else { PROJECT };
        let found = find(table, request.method, &target.in_table);
        if let Found::Endpoint(Endpoint { pattern, .. }, places) | Found::OtherMethods(pattern, _, places) = &found {
            request.note.route = pattern;
            let subject = if pattern.contains("runners") { "runner" } else { "build" };
            let is_pipeline = pattern.contains("pipelines/:id");
            places
                .numbers
                .iter()
                .for_each(|id| request.note.set_id(if is_pipeline { "pipeline" } else { subject }, *id));
        }
        Some(self.judge(request, &target, found))
    }

    fn judge(self: &Arc<Self>, request: &mut Request<'_>, target: &Target, found: Found<'_, '_, Handling>) -> Answer {
        if let Some(refusal) = self.refuse_host(request) {
            return refusal.into();
        }
        let now = Timestamp::now();
        let reader = match self.reader(request, now) {
            Ok(reader) => reader,
            Err(error) => return self.failed(&Asked::stranger(request), &error).into(),
        };
        let asked = Asked {
            project: target.project.clone(),
            path: request.path.clone(),
            query: request.query.clone(),
            host: self.host(request),
            reader,
        };
        let answer = match found {
            Found::Endpoint(endpoint, places) => {
                let Handling { who, handler } = &endpoint.answer;
                let may = match who {
                    For::All => true,
                    For::Readers => asked.reader.may_look(),
                    For::Known => asked.reader.may_act(),
                };
                if !may {
                    Ok(self.sign_in(&asked).into())
                } else if request.method == Method::Post && !self.is_own_form(request) {
                    Ok(self.forged(&asked, request).into())
                } else {
                    handler(&mut Visit { web: self, request, asked: &asked, places: &places, now })
                }
            }
            Found::OtherMethods(_, methods, _) => {
                let allow: Vec<&str> = methods.iter().map(|method| method.as_str()).collect();
                let said = Notice::new("This address takes no such request", "The page's buttons do what they say.");
                Ok(self.notice(&asked, 405, &said).with("Allow", allow.join(", ")).into())
            }
            Found::Nothing if asked.reader.may_look() => Err(Error::not_found("")),
            Found::Nothing => Ok(self.sign_in(&asked).into()),
        };
        answer.unwrap_or_else(|error| self.failed(&asked, &error).into())
    }

    /// The URL that a request has asked for.
    fn host(&self, request: &Request<'_>) -> Option<BaseUrl> {
        BaseUrl::of_host(self.is_tls, request.headers.get("Host")?)
    }

    /// The URL of this server, as whoever asks has it.
    fn url(&self, asked: &Asked) -> String {
        let url = self.base_url.as_ref().or(asked.host.as_ref());
        url.map_or_else(|| "URL".to_owned(), ToString::to_string)
    }

    /// How the command line is called for this server's data, from any directory. Strangers are not told where that is.
    fn program(&self, asked: &Asked) -> &str {
        if asked.reader.may_act() { &self.program } else { "baton" }
    }

    /// The path of the base URL, which each link begins with: empty, or with a slash in front.
    fn base_path(&self) -> &str {
        self.base_url.as_ref().map_or("", BaseUrl::path)
    }

    /// What was pressed on `of` was refused, or could not be done: the same page says why.
    fn refused(self: &Arc<Self>, asked: &Asked, of: &PageOf, error: &Error, now: Timestamp) -> Response {
        let status = match error.kind {
            Kind::Conflict => 409,
            Kind::Invalid => 400,
            Kind::Forbidden
            | Kind::NotFound
            | Kind::TooLarge
            | Kind::TooSlow
            | Kind::Busy
            | Kind::DiskFull
            | Kind::Internal
            | Kind::Damaged => return self.failed(asked, error),
        };
        live::with_notice(self, asked, of, status, &error.message, now)
    }
}

impl Asked {
    fn stranger(request: &Request<'_>) -> Asked {
        Asked {
            project: None,
            path: request.path.clone(),
            query: request.query.clone(),
            host: None,
            reader: Reader::stranger(),
        }
    }

    /// A parameter of the query, unless it is empty.
    fn parameter(&self, name: &str) -> Option<String> {
        let pairs = form_urlencoded::parse(self.query.as_bytes());
        pairs.into_iter().find(|(own, _)| own == name).map(|(_, value)| value.into_owned()).filter(|it| !it.is_empty())
    }

    /// The same address with these parameters, and no others.
    fn with(&self, links: &links::Links, parameters: &[(&str, Option<String>)]) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        for (name, value) in parameters {
            if let Some(value) = value {
                query.append_pair(name, value);
            }
        }
        let query = query.finish();
        let path = format!("{}{}", links.base(), self.path);
        if query.is_empty() { path } else { format!("{path}?{query}") }
    }
}
