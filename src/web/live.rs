//! Pages that follow what happens: a page is asked for as a whole, or for those of its parts that have changed.
//!
//! What must stay true: a part is made by the function that makes the page. A token says what the asker has: a number that
//! grows with each commit, and a sum of each part, so that it means something to another process of the server, too. Who
//! waits keeps no thread, and waits only while nothing has changed. A page is made once a commit for all who ask for it
//! with the same rights.

use super::assets::takes_gzip;
use super::frame::{self, Page, SharedWeb, with_headers};
use super::turn::in_turn;
use super::words::{shown, still};
use super::{Asked, Visit, Web, assets};
use crate::coordinator::{OrSoon, Watching};
use crate::domain::time::Timestamp;
use crate::error::Result;
use crate::http::{Answer, Held, Request, Response, Wake};
use crate::sync::lock;
use maud::html;
use std::collections::HashMap;
use std::fmt::Write;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::{Duration, Instant};

/// Makes a page.
pub type PageOf = Arc<dyn Fn(&Web, &Asked, Timestamp) -> Result<Page> + Send + Sync>;

/// How long a request is held at most. Time limits of proxies are 60 seconds, usually.
pub const HOLD_MAX: Duration = Duration::from_secs(25);
/// When to come again who finds no place.
pub const COME_AGAIN_S: &str = "5";
/// Pages that are kept until the next commit.
const RENDERED_MAX: usize = 64;
/// What is kept is not older than this: runners go offline without a commit.
const RENDERED_TIME: Duration = Duration::from_secs(1);
/// Without a script, a page in which something runs shows other times after so many seconds.
const STEP_MS: i64 = 5000;

/// Another one each time that the server starts.
static NONCE: LazyLock<String> = LazyLock::new(|| {
    crate::domain::token::random::<4>().map_or_else(|_| "0".to_owned(), |bytes| crate::domain::token::hex(&bytes))
});

/// A page's parts, each whole, by name.
struct Parts {
    moves: u64,
    /// Whether they tell less than they will: others have logs gone through first.
    is_early: bool,
    made_at: Instant,
    parts: Vec<(&'static str, String, u32)>,
}

/// Pages that were made of late, by address and rights.
#[derive(Default)]
pub struct Rendered {
    pages: Mutex<HashMap<String, Arc<Parts>>>,
    /// Held by whoever makes one: hundreds are woken at once, and one of them makes it for all.
    making: Mutex<()>,
}

impl Parts {
    fn of(page: &Page, moves: u64) -> Parts {
        let one = |name, html: String| {
            let sum = crc32fast::hash(still(&html).as_bytes());
            (name, shown(&html), sum)
        };
        let mut parts = vec![one("head", page.tab.part())];
        parts.extend(
            page.parts
                .iter()
                .map(|part| one(part.name, html! { section data-part=(part.name) { (part.body) } }.into_string())),
        );
        Parts { moves, is_early: page.soon.is_some(), made_at: Instant::now(), parts }
    }

    fn token(&self) -> String {
        let mut token = format!("{}.{}", *NONCE, self.moves);
        for (_, _, sum) in &self.parts {
            // A write into memory does not fail.
            let _ = write!(token, ".{sum:08x}");
        }
        token
    }

    /// Those parts that are others than the token says.
    fn other_than(&self, token: &str) -> String {
        let mut known = token.split('.').skip(2);
        let mut all = String::new();
        for (_, html, sum) in &self.parts {
            if known.next() != Some(format!("{sum:08x}").as_str()) {
                all.push_str(html);
            }
        }
        all
    }
}

/// How far the commits were that a token knows of, if it is of this process.
fn moves_of(token: &str) -> Option<u64> {
    let mut parts = token.split('.');
    (parts.next() == Some(NONCE.as_str())).then(|| parts.next()?.parse().ok()).flatten()
}

/// Answers a request for a page, or for its parts.
pub fn answer(visit: &Visit<'_, '_>, of: PageOf) -> Result<Answer> {
    let (web, request, asked, now) = (visit.web, &*visit.request, visit.asked, visit.now);
    if asked.parameter("part").is_some() {
        return parts(web, request, asked, of);
    }
    let session = asked.reader.session().map_or(0, |session| session.id);
    let etag = move |moves: u64| format!("\"{}-{moves}-{}-{session}-{}\"", *NONCE, now.0 / STEP_MS, assets::hash());
    let current = etag(web.coordinator.moves());
    if request.headers.get("If-None-Match").is_some_and(|known| known.split(',').any(|tag| tag.trim() == current)) {
        return Ok(with_headers(Response::empty(304)).with("ETag", current).into());
    }
    let packs = takes_gzip(request);
    in_turn(web, asked, move |web, asked, is_last| {
        let moves = web.coordinator.moves();
        let mut page = of(web, asked, now)?;
        if let Some(soon) = page.soon.take().filter(|_| !is_last) {
            return Ok(OrSoon::Soon(soon));
        }
        let fixed = match page.fixed(web, asked, is_last) {
            Ok(fixed) => fixed,
            Err(soon) => return Ok(OrSoon::Soon(soon)),
        };
        let token = Parts::of(&page, moves).token();
        let html = shown(&frame::whole(web, asked, &page, fixed.as_ref(), Some(&token), now).into_string());
        let response = with_headers(frame::packed(packs, 200, html));
        Ok(OrSoon::There(response.with("Cache-Control", "private, no-cache").with("ETag", etag(moves))))
    })
}

/// A page with a sentence on top: what was pressed on it could not be done.
pub fn with_notice(web: &SharedWeb, asked: &Asked, of: &PageOf, status: u16, said: &str, now: Timestamp) -> Response {
    match of(web, asked, now) {
        Ok(mut page) => {
            let words = super::words::sentence(said);
            let body = html! { p class="note fail" role="alert" { strong { "That was refused." } span { (super::words::cleaned(&words)) } } };
            page.parts.insert(0, frame::Part { name: "top-refused", is_side: false, body });
            web.page_response(asked, status, &page)
        }
        Err(error) => web.failed(asked, &error),
    }
}

fn parts(web: &SharedWeb, request: &Request<'_>, asked: &Asked, of: PageOf) -> Result<Answer> {
    let token = asked.parameter("v").unwrap_or_default();
    let asked = Asked { query: without_parts(&asked.query), ..asked.clone() };
    let hold = form_urlencoded::parse(request.query.as_bytes()).find(|(name, _)| name == "hold");
    let hold = hold.and_then(|(_, value)| value.parse().ok()).map_or(Duration::ZERO, Duration::from_secs);
    let allowed = web.coordinator.limits().hold_time_max.min(HOLD_MAX);
    let mut held = HeldPart {
        web: Arc::clone(web),
        asked,
        of,
        seen: moves_of(&token),
        token,
        watching: None,
        until: Instant::now() + hold.min(allowed),
        takes_gzip: takes_gzip(request),
    };
    let wants_hold = !hold.is_zero() && !allowed.is_zero();
    if held.seen != Some(held.web.coordinator.moves())
        && let Some(response) = held.look(!wants_hold)
    {
        return Ok(response.into());
    }
    if !wants_hold {
        return Ok(held.nothing().into());
    }
    // A place now, and not when the server holds it: who finds none is told so.
    if !held.take_place(|| {}) {
        return Ok(held.nothing().with("Retry-After", COME_AGAIN_S).into());
    }
    Ok(Answer::Held(Box::new(held)))
}

/// The query without what asks for parts.
fn without_parts(query: &str) -> String {
    let kept =
        form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| !["part", "v", "hold"].contains(&name.as_ref()));
    form_urlencoded::Serializer::new(String::new()).extend_pairs(kept).finish()
}

/// A reader that waits for a page to change.
struct HeldPart {
    web: SharedWeb,
    asked: Asked,
    of: PageOf,
    /// What the reader has.
    token: String,
    /// The commits up to which nothing of it has changed.
    seen: Option<u64>,
    watching: Option<Watching>,
    until: Instant,
    takes_gzip: bool,
}

impl HeldPart {
    fn take_place(&mut self, wake: impl Fn() + Send + 'static) -> bool {
        self.watching = None;
        self.watching = self.web.coordinator.watch(self.seen.unwrap_or(0), wake);
        self.watching.is_some()
    }

    fn nothing(&self) -> Response {
        let response = Response::empty(204).with("X-Baton-Token", self.token.clone());
        response.with("X-Baton-Assets", assets::hash()).with("Cache-Control", "no-store").as_routine()
    }

    /// What has changed, if anything has.
    fn look(&mut self, last: bool) -> Option<Response> {
        let parts = match self.web.rendered(&self.asked, &self.of) {
            Ok(parts) => parts,
            Err(error) => return Some(self.web.failed(&self.asked, &error)),
        };
        self.seen = Some(parts.moves);
        // What the reader has tells more.
        if parts.is_early {
            return last.then(|| self.nothing());
        }
        let other = parts.other_than(&self.token);
        self.token = parts.token();
        if other.is_empty() {
            return last.then(|| self.nothing());
        }
        let response = with_headers(frame::packed(self.takes_gzip, 200, other));
        Some(response.with("X-Baton-Token", self.token.clone()).with("Cache-Control", "no-store").as_routine())
    }
}

impl Held for HeldPart {
    fn begin(&mut self, wake: Wake) {
        if !self.take_place(move || wake.wake()) {
            // Another has taken its place between two looks: it is answered at once.
            self.until = Instant::now();
        }
    }

    fn answer(&mut self, last: bool) -> Option<Response> {
        if self.seen == Some(self.web.coordinator.moves()) {
            return last.then(|| self.nothing());
        }
        self.look(last)
    }

    fn until(&self) -> Instant {
        self.until
    }
}

/// What a page is asked for anew with as things stand, and up to which commit. `None`: as before, since others have logs gone
/// through first.
pub fn token(web: &Web, asked: &Asked, of: &PageOf) -> Result<(Option<String>, u64)> {
    let parts = web.rendered(asked, of)?;
    Ok(((!parts.is_early).then(|| parts.token()), parts.moves))
}

impl Web {
    /// The parts of a page as things stand: made anew only if something was committed since.
    fn rendered(&self, asked: &Asked, of: &PageOf) -> Result<Arc<Parts>> {
        let key = format!("{} {}?{}", u8::from(asked.reader.session().is_some()), asked.path, asked.query);
        let known = |moves| {
            let found = lock(&self.rendered.pages).get(&key).cloned();
            found.filter(|it: &Arc<Parts>| it.moves == moves && it.made_at.elapsed() < RENDERED_TIME)
        };
        if let Some(parts) = known(self.coordinator.moves()) {
            return Ok(parts);
        }
        let _making = lock(&self.rendered.making);
        let moves = self.coordinator.moves();
        if let Some(parts) = known(moves) {
            return Ok(parts);
        }
        let parts = Arc::new(Parts::of(&of(self, asked, Timestamp::now())?, moves));
        let mut all = lock(&self.rendered.pages);
        if all.len() >= RENDERED_MAX {
            all.clear();
        }
        all.insert(key, Arc::clone(&parts));
        Ok(parts)
    }
}
