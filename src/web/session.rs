//! Who looks: sign-in by a link, what the browser keeps, and what of other sites is refused.
//!
//! What must stay true: without a session nothing is shown but this, unless the operator has made reading public. A form
//! counts only if the browser says that a page of ours has sent it. A name that is not known to be this server's is answered
//! with nothing, since it may be a stranger's that points here.

use super::frame::{Nav, Notice, Page, Tab};
use super::{Access, Asked, Visit, Web, words};
use crate::coordinator::{SESSION_TIME, Session};
use crate::domain::base_url::BaseUrl;
use crate::domain::time::Timestamp;
use crate::error::Result;
use crate::http::params::{Field, Params, text};
use crate::http::{Answer, Request, Response};
use crate::limits::{SIGN_IN_BYTES_MAX, WRONG_KEYS_MAX, WRONG_KEYS_TIME};
use crate::sync::lock;
use maud::html;
use std::net::IpAddr;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// What the form has.
const FIELDS: [Field; 2] = [text("key"), text("to")];
/// Bytes of an address to go to after signing in.
const TO_BYTES_MAX: usize = 2048;

/// Who asks.
#[derive(Clone)]
pub struct Reader {
    session: Option<Session>,
    is_public: bool,
}

impl Reader {
    /// Nobody that is known.
    pub fn stranger() -> Reader {
        Reader { session: None, is_public: false }
    }

    /// Whether pages may be shown.
    pub fn may_look(&self) -> bool {
        self.is_public || self.session.is_some()
    }

    /// Who is signed in.
    pub fn session(&self) -> Option<&Session> {
        self.session.as_ref()
    }

    /// Whether buttons are shown.
    pub fn may_act(&self) -> bool {
        self.session.is_some()
    }
}

/// Keys that let nobody in, of late.
#[derive(Default)]
pub struct WrongKeys(Mutex<Option<(Instant, u32)>>);

impl WrongKeys {
    /// Whether there were too many.
    fn are_too_many(&self) -> bool {
        lock(&self.0).is_some_and(|(since, count)| since.elapsed() < WRONG_KEYS_TIME && count >= WRONG_KEYS_MAX)
    }

    fn add(&self) {
        let mut known = lock(&self.0);
        *known = match *known {
            Some((since, count)) if since.elapsed() < WRONG_KEYS_TIME => Some((since, count.saturating_add(1))),
            _ => Some((Instant::now(), 1)),
        };
    }
}

impl Web {
    /// Who sends this request.
    pub(super) fn reader(&self, request: &Request<'_>, now: Timestamp) -> Result<Reader> {
        let is_public = self.access == Access::Public;
        let session = match cookie(request, &self.cookie) {
            Some(kept) => self.coordinator.session(kept, now)?,
            None => None,
        };
        Ok(Reader { session, is_public })
    }

    /// Refuses a request for a host whose name is not known to be this server's.
    pub(super) fn refuse_host(&self, request: &Request<'_>) -> Option<Response> {
        let host = request.headers.get("Host").unwrap_or_default();
        let asked = BaseUrl::of_host(self.is_tls, host)?;
        let name = asked.host().trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
        let is_ours = self.base_url.as_ref().is_some_and(|own| own.host().eq_ignore_ascii_case(asked.host()));
        let is_here = name == "localhost" || name.ends_with(".localhost");
        if is_ours || is_here || name.parse::<IpAddr>().is_ok() {
            return None;
        }
        let why = "this server is not known by that name; its operator names it with `baton serve --base-url URL`";
        Some(Response::words(421, why).because(why))
    }

    /// Whether the browser says that a page of this server has sent this form.
    pub(super) fn is_own_form(&self, request: &Request<'_>) -> bool {
        if let Some(site) = request.headers.get("Sec-Fetch-Site") {
            return site == "same-origin";
        }
        let own = match &self.base_url {
            Some(url) => Some(url.clone()),
            None => request.headers.get("Host").and_then(|host| BaseUrl::of_host(self.is_tls, host)),
        };
        let origin = request.headers.get("Origin").and_then(|origin| BaseUrl::parse(origin).ok());
        match (own, origin) {
            (Some(own), Some(origin)) => {
                let place = |url: &BaseUrl| [url.protocol(), url.host(), url.port()].map(str::to_ascii_lowercase);
                place(&own) == place(&origin)
            }
            _ => false,
        }
    }

    /// The answer to a form that another page may have sent.
    pub(super) fn forged(&self, asked: &Asked, request: &Request<'_>) -> Response {
        let why = "a form that no page of this server has sent";
        let said = if request.headers.get("Sec-Fetch-Site").is_none() && self.base_url.is_none() {
            "The browser does not say that a page of this server has sent this. Behind a proxy, the operator tells the server \
             its address with --base-url."
        } else {
            "The browser says that another page has sent this. If the address in the browser is not the one that the operator \
             has named with --base-url, that is why."
        };
        self.notice(asked, 403, &Notice::new("That came from elsewhere", said)).because(why)
    }

    /// The answer to whoever is not signed in.
    pub(super) fn sign_in(&self, asked: &Asked) -> Response {
        if asked.parameter("part").is_some() {
            return Response::empty(401);
        }
        let page = Page::new(Tab::titled("Sign in"), Nav::None).with(
            "login",
            html! {
                div class="lead" { h1 { "Sign in" } }
                (how())
            },
        );
        self.page_response(asked, 401, &page)
    }
}

fn how() -> maud::Markup {
    html! {
        section class="panel narrow" {
            header { h2 { "Who may" } }
            p { "Whoever may read Baton's data directory can make a link that signs a browser in. It is good once, for ten minutes." }
            pre class="cmd" { "baton open" }
            p class="dim" { "For somebody else: " code { "baton page login --name mira" } }
        }
    }
}

/// The value of a cookie.
fn cookie<'r>(request: &'r Request<'_>, name: &str) -> Option<&'r str> {
    let all = request.headers.0.iter().filter(|(own, _)| own.eq_ignore_ascii_case("Cookie"));
    let mut pairs = all.flat_map(|(_, value)| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(own, _)| *own == name).map(|(_, value)| value)
}

/// An address of ours to go to after signing in: a path, and not one that a browser takes for another host.
fn place_to_go(to: Option<&str>) -> String {
    let is_ours = |to: &&str| {
        to.len() <= TO_BYTES_MAX
            && to.starts_with('/')
            && !to.starts_with("//")
            && !to.contains(['\\', '\r', '\n', '\t'])
            && !to.starts_with("/-/log")
    };
    to.filter(is_ours).unwrap_or("/").to_owned()
}

/// `GET /-/login`: whom the link lets in. It uses nothing up, since programs that show a preview of a link ask for it.
pub fn ask(visit: &mut Visit<'_, '_>) -> Result<Answer> {
    let (web, asked, now) = (visit.web, visit.asked, visit.now);
    let Some(key) = asked.parameter("key") else {
        let page = Page::new(Tab::titled("Sign in"), Nav::None)
            .with("login", html! { div class="lead" { h1 { "Sign in" } } (how()) });
        return Ok(web.page_response(asked, 200, &page).into());
    };
    if web.wrong_keys.are_too_many() {
        return Ok(too_many(web, asked).into());
    }
    let Some(name) = web.coordinator.name_of_login_key(&key, now)? else {
        web.wrong_keys.add();
        return Ok(used(web, asked).into());
    };
    let to = place_to_go(asked.parameter("to").as_deref());
    let page = Page::new(Tab::titled("Sign in"), Nav::None).with(
        "login",
        html! {
            div class="lead" { h1 { "Sign in" } }
            section class="panel narrow" {
                p {
                    "This link signs you in as " b { (words::foreign(&name)) }
                    " on this browser, for 30 days after your last visit."
                }
                div class="acts pad" {
                    form class="b" method="post" action=(web.links().site("/-/login")) {
                        input type="hidden" name="key" value=(key);
                        input type="hidden" name="to" value=(to);
                        button class="btn main" { "Sign in" }
                    }
                }
            }
        },
    );
    Ok(web.page_response(asked, 200, &page).into())
}

fn used(web: &Web, asked: &Asked) -> Response {
    let said = "This link was used, or is older than ten minutes. `baton open` makes another.";
    web.notice(asked, 403, &Notice::new("This link lets nobody in", said))
}

fn too_many(web: &Web, asked: &Asked) -> Response {
    let said = "Too many wrong links were tried. Wait a minute.";
    web.notice(asked, 429, &Notice::new("Wait a minute", said)).with("Retry-After", "60")
}

/// `POST /-/login`: signs a browser in.
pub fn log_in(visit: &mut Visit<'_, '_>) -> Result<Answer> {
    let (web, asked, now) = (visit.web, visit.asked, visit.now);
    if web.wrong_keys.are_too_many() {
        return Ok(too_many(web, asked).into());
    }
    let params = Params::of_request(visit.request, &FIELDS, SIGN_IN_BYTES_MAX)?;
    let Some((name, kept)) = web.coordinator.log_in(params.text("key").unwrap_or_default(), now)? else {
        web.wrong_keys.add();
        return Ok(used(web, asked).into());
    };
    log::info!("{name:?} has signed in to the page");
    let to = format!("{}{}", web.base_path(), place_to_go(params.text("to")));
    Ok(see(&to).with("Set-Cookie", web.set_cookie(kept.reveal(), SESSION_TIME)).into())
}

/// `POST /-/logout`: ends a session.
pub fn log_out(visit: &mut Visit<'_, '_>) -> Result<Answer> {
    let (web, asked) = (visit.web, visit.asked);
    if let Some(session) = asked.reader.session() {
        web.coordinator.end_session(session.id)?;
    }
    Ok(see(&web.links().site("/-/login")).with("Set-Cookie", web.set_cookie("", Duration::ZERO)).into())
}

impl Web {
    fn set_cookie(&self, value: &str, keep: Duration) -> String {
        let path = if self.base_path().is_empty() { "/" } else { self.base_path() };
        let is_tls =
            self.is_tls || self.base_url.as_ref().is_some_and(|url| url.protocol().eq_ignore_ascii_case("https"));
        let secure = if is_tls { "; Secure" } else { "" };
        let (name, seconds) = (&self.cookie, keep.as_secs());
        format!("{name}={value}; Path={path}; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}")
    }
}

/// Sends the browser elsewhere.
pub fn see(place: &str) -> Response {
    Response::empty(303).with("Location", place).with("Cache-Control", "no-store")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_signs_in_stays_on_this_server() {
        for (to, place) in [
            ("/demo/-/jobs/7?x=1", "/demo/-/jobs/7?x=1"),
            ("//evil.example/", "/"),
            ("/\\evil.example", "/"),
            ("https://evil.example/", "/"),
            ("javascript:alert(1)", "/"),
            ("/\r\nSet-Cookie: a=b", "/"),
            ("/-/logout", "/"),
            ("", "/"),
        ] {
            assert_eq!(place_to_go(Some(to)), place, "{to:?}");
        }
        assert_eq!(place_to_go(Some(&format!("/{}", "a".repeat(3000)))), "/");
        assert_eq!(place_to_go(None), "/");
    }

    #[test]
    fn after_ten_wrong_keys_none_is_looked_at() {
        let wrong = WrongKeys::default();
        for _ in 0..WRONG_KEYS_MAX {
            assert!(!wrong.are_too_many());
            wrong.add();
        }
        assert!(wrong.are_too_many());
    }
}
