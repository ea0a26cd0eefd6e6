//! What all pages have: head, navigation, foot, and the headers of their answers.
//!
//! What must stay true: a page has the same parts, whatever stands in them, so that each finds its place when it changes.

use super::links::Links;
use super::states::Look;
use super::words::{self, cleaned};
use super::{Asked, Web, assets, icons};
use crate::coordinator::{OrSoon, Soon};
use crate::domain::time::Timestamp;
use crate::error::{Error, Kind, Result};
use crate::gzip;
use crate::http::{Body, Response};
use maud::{DOCTYPE, Markup, html};
use std::sync::Arc;

/// What browsers may load and do: nothing from elsewhere, nothing that stands in the page itself.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; \
                      form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
/// Shorter answers are not packed.
const PACKED_FROM_BYTES: usize = 1024;

/// The places in the navigation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Nav {
    /// The overview.
    Overview,
    /// Pipelines.
    Pipelines,
    /// Jobs.
    Jobs,
    /// Runners.
    Runners,
    /// Elsewhere.
    None,
}

/// What a tab shows of a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tab {
    /// Its title, without the program's name.
    pub title: String,
    /// The state that its icon shows.
    pub icon: Option<Look>,
}

impl Tab {
    /// A tab without a state.
    pub fn titled(title: impl Into<String>) -> Tab {
        Tab { title: title.into(), icon: None }
    }

    fn whole_title(&self) -> String {
        let sign = self.icon.map_or("", |look| look.sign);
        format!("{sign}{}{} · Baton", if sign.is_empty() { "" } else { " " }, cleaned(&self.title))
    }

    /// What the script sets, as a part of the page.
    pub fn part(&self) -> String {
        let icon = self.icon.map(|look| look.shape);
        html! { section data-part="head" hidden data-title=(self.whole_title()) data-icon=[icon] {} }.into_string()
    }
}

/// A piece of a page that is replaced when it changes.
pub struct Part {
    /// Its name, which no other part of the page has.
    pub name: &'static str,
    /// Whether it stands at the side.
    pub is_side: bool,
    /// What it holds.
    pub body: Markup,
}

/// Makes what a page has but once.
pub type Fixed = Box<dyn Fn(&Web, &Asked) -> Result<OrSoon<Markup>>>;

/// A page, without its frame.
pub struct Page {
    /// What its tab shows.
    pub tab: Tab,
    /// Where it is in the navigation.
    pub nav: Nav,
    /// Where it is: names and links, from the top; the last one is the page itself.
    pub crumbs: Vec<(String, Option<String>)>,
    /// Its parts, in order.
    pub parts: Vec<Part>,
    /// What stands in its first column behind the parts, and is not replaced: a log. It is made for whole pages only.
    pub fixed: Option<Fixed>,
    /// Whom to wait for: others have logs gone through first of which its parts tell.
    pub soon: Option<Soon>,
    /// The class of what holds both columns.
    pub columns: &'static str,
    /// Whether something goes on that changes it.
    pub is_moving: bool,
}

impl Page {
    /// A page without parts.
    pub fn new(tab: Tab, nav: Nav) -> Page {
        Page {
            tab,
            nav,
            crumbs: Vec::new(),
            parts: Vec::new(),
            fixed: None,
            soon: None,
            columns: "two",
            is_moving: false,
        }
    }

    /// The same with one more part.
    pub fn with(mut self, name: &'static str, body: Markup) -> Page {
        self.parts.push(Part { name, is_side: false, body });
        self
    }

    /// The same with one more part, which may have nothing to say now.
    pub fn with_any(self, name: &'static str, body: Option<Markup>) -> Page {
        self.with(name, body.unwrap_or_else(words::nothing))
    }

    /// The same with one more part at the side, which may have nothing to say now.
    pub fn beside_any(self, name: &'static str, body: Option<Markup>) -> Page {
        self.beside(name, body.unwrap_or_else(words::nothing))
    }

    /// The same with one more part at the side.
    pub fn beside(mut self, name: &'static str, body: Markup) -> Page {
        self.parts.push(Part { name, is_side: true, body });
        self
    }

    /// What it has but once, or whom to wait for; with `is_last` nobody waits any more.
    pub fn fixed(&self, web: &Web, asked: &Asked, is_last: bool) -> std::result::Result<Option<Markup>, Soon> {
        let Some(make) = &self.fixed else { return Ok(None) };
        match make(web, asked) {
            Ok(OrSoon::There(fixed)) => Ok(Some(fixed)),
            Ok(OrSoon::Soon(soon)) if !is_last => Err(soon),
            Ok(OrSoon::Soon(_)) => Ok(Some(busy(web, asked))),
            Err(error) => Ok(Some(html! { p class="note fail" { (cleaned(&words::sentence(&error.message))) } })),
        }
    }
}

/// What is said while others have logs gone through.
fn busy(web: &Web, asked: &Asked) -> Markup {
    html! {
        section class="panel" aria-label="Log" {
            p { "Other long logs are being read first. " a href={ (web.links().base()) (asked.path) } { "Look again" } "." }
        }
    }
}

/// A part, as it stands in a page. What is above the columns goes by names that begin so.
const ABOVE: &str = "top";

/// Each part in its place.
fn body(page: &Page, fixed: Option<&Markup>) -> Markup {
    let part = |part: &Part| html! { section data-part=(part.name) { (part.body) } };
    let above = page.parts.iter().filter(|part| part.name.starts_with(ABOVE));
    let main = || page.parts.iter().filter(|part| !part.is_side && !part.name.starts_with(ABOVE));
    let side = || page.parts.iter().filter(|part| part.is_side);
    html! {
        @for it in above { (part(it)) }
        @if side().next().is_some() {
            div class=(page.columns) {
                div { @for it in main() { (part(it)) } @if let Some(fixed) = fixed { (fixed) } }
                aside class="side" { @for it in side() { (part(it)) } }
            }
        } @else {
            @for it in main() { (part(it)) }
            @if let Some(fixed) = fixed { (fixed) }
        }
    }
}

/// A whole page. `fixed`: what it has but once. `token`: what its parts are asked for anew with.
pub fn whole(
    web: &Web,
    asked: &Asked,
    page: &Page,
    fixed: Option<&Markup>,
    token: Option<&str>,
    now: Timestamp,
) -> Markup {
    let links = web.links();
    let url = token.map(|_| live_url(&links, asked));
    html! {
        (DOCTYPE)
        html lang="en" data-assets=(assets::hash()) data-title=(page.tab.whole_title())
            data-now=(now.to_the_second()) {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (page.tab.whole_title()) }
                (icon(page.tab.icon))
                link rel="stylesheet" href=(links.site(&assets::path("style.css")));
                // Before the page is painted: it knows whether that is to be dark.
                script src=(links.site(&assets::path("page.js"))) {}
                @if page.is_moving { noscript { meta http-equiv="refresh" content="5"; } }
            }
            body {
                a class="skip" href="#main" { "Skip to the content" }
                (icons::sprite())
                (top(&links, asked, page))
                main id="main" data-live=[token] data-url=[url] {
                    @if !page.crumbs.is_empty() { (crumbs(&page.crumbs)) }
                    (body(page, fixed))
                }
                (foot(&links))
            }
        }
    }
}

/// The page's own address, without what asks for a part of it.
fn live_url(links: &Links, asked: &Asked) -> String {
    let query = &asked.query;
    let path = format!("{}{}", links.base(), asked.path);
    if query.is_empty() { path } else { format!("{path}?{query}") }
}

fn icon(look: Option<Look>) -> Markup {
    let colour = look.map_or("1a56a8", |look| look.colour);
    let drawn = match look.map(|look| look.shape) {
        Some("fail") => {
            "<path d='M8 .3 15.7 8 8 15.7.3 8z' fill='%23C'/><path d='M5.7 5.7l4.6 4.6m0-4.6l-4.6 4.6' stroke='%23fff' stroke-width='2'/>"
        }
        Some("ok") => {
            "<circle cx='8' cy='8' r='7' fill='%23C'/><path d='M4.7 8.3l2.3 2.3 4.4-4.9' stroke='%23fff' stroke-width='2' fill='none'/>"
        }
        Some("warn") => {
            "<path d='M8 1.2L15.4 14.4H.6z' fill='%23C'/><path d='M8 5.6v4.2m0 1.2v1.4' stroke='%23fff' stroke-width='2'/>"
        }
        Some("run") => {
            "<circle cx='8' cy='8' r='6' stroke='%23C' stroke-width='3' fill='none'/><circle cx='8' cy='8' r='2.4' fill='%23C'/>"
        }
        Some("hand") => {
            "<circle cx='8' cy='8' r='6.2' stroke='%23C' stroke-width='2' fill='none'/><path d='M6.4 5.1l4.4 2.9-4.4 2.9z' fill='%23C'/>"
        }
        Some("pend" | "need" | "cancel" | "skip") => {
            "<circle cx='8' cy='8' r='6.2' stroke='%23C' stroke-width='2.4' fill='none'/>"
        }
        Some(_) | None => "<path d='M3.5 12.5L12.5 3.5' stroke='%23C' stroke-width='4.5' stroke-linecap='round'/>",
    };
    let svg =
        format!("<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'>{}</svg>", drawn.replace('C', colour));
    html! { link rel="icon" href={ "data:image/svg+xml," (svg) }; }
}

fn top(links: &Links, asked: &Asked, page: &Page) -> Markup {
    let places = [
        (Nav::Overview, "Overview", "/", "g o"),
        (Nav::Pipelines, "Pipelines", "/-/pipelines", "g p"),
        (Nav::Jobs, "Jobs", "/-/jobs", "g j"),
        (Nav::Runners, "Runners", "/-/runners", "g r"),
    ];
    html! {
        header class="top" {
            div {
                a class="brand" href=(links.site("/")) { svg aria-hidden="true" { (icons::shape("mark")) } "Baton" }
                @if asked.reader.may_look() {
                    nav class="nav" aria-label="Main" {
                        @for (nav, word, path, key) in places {
                            a href=(links.site(path)) aria-current=[(nav == page.nav).then_some("page")] data-key=(key) {
                                (word)
                            }
                        }
                    }
                }
                div class="end" {
                    @if asked.reader.may_look() {
                        form action=(links.site("/-/search")) role="search" aria-label="Go to" {
                            input class="jump" type="search" name="q" placeholder="Go to # or branch"
                                aria-label="Go to a job, pipeline, branch or project";
                        }
                        span class="live" hidden { "live" }
                    }
                    @if let Some(session) = asked.reader.session() {
                        form class="b" method="post" action=(links.site("/-/logout")) {
                            span { (words::foreign(&session.name)) " · " }
                            button class="link" { "Sign out" }
                        }
                    }
                }
            }
        }
    }
}

fn crumbs(crumbs: &[(String, Option<String>)]) -> Markup {
    html! {
        nav aria-label="Where" {
            ol class="crumbs" {
                @for (name, link) in crumbs {
                    li {
                        @match link {
                            Some(link) => a href=(link) { (words::foreign(name)) },
                            None => (words::foreign(name)),
                        }
                    }
                }
            }
        }
    }
}

fn foot(links: &Links) -> Markup {
    html! {
        footer class="foot" {
            span { "Baton " (env!("CARGO_PKG_VERSION")) }
            span id="zone" { "Times are UTC." }
            span id="theme" {}
            span id="keys" {}
            span { "The same as JSON: " a href=(links.site("/api/v4/openapi.json")) { "/api/v4" } }
        }
    }
}

/// What a page says in place of its content.
pub struct Notice<'a> {
    title: &'a str,
    said: &'a str,
}

impl<'a> Notice<'a> {
    /// In a title and a sentence.
    pub fn new(title: &'a str, said: &'a str) -> Notice<'a> {
        Notice { title, said }
    }
}

impl Web {
    /// Makes links.
    pub fn links(&self) -> Links {
        Links::below(self.base_path())
    }

    /// A page that says something in place of its content.
    pub fn notice(&self, asked: &Asked, status: u16, notice: &Notice<'_>) -> Response {
        let page = Page::new(Tab::titled(notice.title), Nav::None).with(
            "notice",
            html! {
                div class="lead" { h1 { (notice.title) } }
                section class="panel narrow" {
                    p { (cleaned(notice.said)) }
                    p { a href=(self.links().site("/")) { "To the overview" } }
                }
            },
        );
        self.page_response(asked, status, &page)
    }

    /// A page without what keeps it live.
    pub fn page_response(&self, asked: &Asked, status: u16, page: &Page) -> Response {
        let fixed = page.fixed(self, asked, true).unwrap_or_default();
        let html = whole(self, asked, page, fixed.as_ref(), None, Timestamp::now()).into_string();
        with_headers(Response::new(status, Body::Bytes(words::shown(&html).into_bytes())))
            .with("Cache-Control", "private, no-store")
    }

    /// What went wrong, as a page.
    pub fn failed(&self, asked: &Asked, error: &Error) -> Response {
        let (status, title, said) = match error.kind {
            Kind::NotFound if error.message.is_empty() => (404, "There is nothing here", "No page has this address."),
            Kind::NotFound => (404, "There is nothing here", error.message.as_str()),
            Kind::Invalid => (400, "That cannot be shown", error.message.as_str()),
            Kind::Forbidden => (403, "That is not allowed", error.message.as_str()),
            Kind::Conflict => (409, "That was refused", error.message.as_str()),
            Kind::TooLarge => (413, "That is too large", error.message.as_str()),
            Kind::TooSlow => (408, "That took too long", error.message.as_str()),
            Kind::Busy => (503, "The server is busy", "Try again in a moment."),
            Kind::DiskFull => (503, "The server's disk is full", "Make room on it, and try again."),
            Kind::Internal | Kind::Damaged => (500, "Something went wrong", "The server's log says what."),
        };
        let response = self.notice(asked, status, &Notice::new(title, &words::sentence(said))).because(&error.message);
        if status == 503 { response.with("Retry-After", "5") } else { response }
    }
}

/// The headers that each page has.
pub fn with_headers(response: Response) -> Response {
    response
        .with("Content-Type", "text/html; charset=utf-8")
        .with("Content-Security-Policy", POLICY)
        .with("X-Content-Type-Options", "nosniff")
        .with("Referrer-Policy", "same-origin")
        .with("Vary", "Accept-Encoding, Cookie")
        .with("X-Baton-Assets", assets::hash())
}

/// Text as the body of an answer, packed if the browser likes that. No secret is in any page, so that its length says none.
pub fn packed(request_takes_gzip: bool, status: u16, text: String) -> Response {
    if request_takes_gzip && text.len() > PACKED_FROM_BYTES {
        let body = gzip::packed(text.as_bytes());
        return Response::new(status, Body::Bytes(body)).with("Content-Encoding", "gzip");
    }
    Response::new(status, Body::Bytes(text.into_bytes()))
}

/// A form with one button.
pub fn button(action: &str, class: &str, label: &str, words: Markup) -> Markup {
    html! {
        form class="b" method="post" action=(action) {
            button class={ "btn " (class) } aria-label=[(!label.is_empty()).then_some(label)] { (words) }
        }
    }
}

/// For those who hold it longer than a request.
pub type SharedWeb = Arc<Web>;
