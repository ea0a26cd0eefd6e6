//! What the script asks a log for: parts of it, what has come since, and where a word is.
//!
//! What must stay true: an answer is a part of the page, made by what makes the page. Who waits for more of a log keeps no
//! thread.

use super::assets::takes_gzip;
use super::frame::{self, Nav, Page, SharedWeb, Tab, with_headers};
use super::live::{self, COME_AGAIN_S, HOLD_MAX, PageOf};
use super::turn::in_turn;
use super::words::{foreign, number};
use super::{Asked, Visit, Web, job, log};
use crate::coordinator::{JobView, LogBegin, LogPart, OrSoon, Soon, Watching};
use crate::domain::build::BuildId;
use crate::domain::log_search::{HITS_MAX, LogFound, Needle};
use crate::error::{Error, Result};
use crate::http::{Answer, Held, Response, Wake};
use maud::{Markup, PreEscaped, html};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A number of the query.
fn given(asked: &Asked, name: &str) -> Result<Option<u64>> {
    let parse = |text: String| text.parse().map_err(|_| Error::invalid(format!("{name} is a number")));
    asked.parameter(name).map(parse).transpose()
}

/// The log of which job.
struct Of {
    id: BuildId,
    /// The address of the raw log.
    raw: String,
}

fn of(visit: &Visit<'_, '_>) -> Result<Of> {
    let (id, project) = job::own(visit)?;
    Ok(Of { id, raw: format!("{}/raw", visit.web.links().job(&project, id)) })
}

/// `GET /PROJECT/-/jobs/:id/log`: the lines of `from=N&to=M`, or what has come `after=OFFSET`.
pub fn part(visit: &mut Visit<'_, '_>) -> Result<Answer> {
    let (web, asked, of) = (visit.web, visit.asked, of(visit)?);
    if let Some(offset) = given(asked, "after")? {
        return since(visit, of, offset);
    }
    let from = given(asked, "from")?.unwrap_or(1);
    let lines = given(asked, "lines")?.unwrap_or(500);
    let (begin, rows) = match given(asked, "to")? {
        Some(to) if to < from => return Err(Error::invalid("to is not before from")),
        Some(to) => (LogBegin::Lines(from, to), u64::MAX),
        None => (LogBegin::Line(from), lines),
    };
    let known = visit.request.headers.get("If-None-Match").map(str::to_owned);
    let packs = takes_gzip(visit.request);
    in_turn(web, asked, move |web, _, _| {
        let Of { id, raw } = &of;
        let part = match web.coordinator.log_part(*id, begin, rows, raw)? {
            OrSoon::There(part) => part,
            OrSoon::Soon(soon) => return Ok(OrSoon::Soon(soon)),
        };
        let stand = part.stand;
        let etag = format!("\"{}-{}-{}-{from}-{rows}\"", stand.number, stand.bytes, stand.status.as_str());
        let is_known = known.as_ref().is_some_and(|known| known.split(',').any(|tag| tag.trim() == etag));
        let response = if is_known {
            with_headers(Response::empty(304))
        } else {
            with_headers(frame::packed(packs, 200, log::lines(&part, false).into_string()))
        };
        Ok(OrSoon::There(response.with("ETag", etag).with("Cache-Control", "private, no-cache").as_routine()))
    })
}

/// A reader that waits for more of a log, or for its page to change.
struct HeldLog {
    web: SharedWeb,
    asked: Asked,
    page: PageOf,
    of: Of,
    offset: u64,
    /// The trace's number.
    trace: i64,
    /// What the page is asked for anew with.
    token: String,
    seen: u64,
    watching: Option<Watching>,
    soon: Option<Soon>,
    until: Instant,
    packs: bool,
}

fn since(visit: &Visit<'_, '_>, of: Of, offset: u64) -> Result<Answer> {
    let (web, asked, places) = (visit.web, visit.asked, visit.places);
    let hold = given(asked, "hold")?.map_or(Duration::ZERO, Duration::from_secs);
    let hold = hold.min(web.coordinator.limits().hold_time_max).min(HOLD_MAX);
    let trace = asked.parameter("trace").and_then(|number| number.parse().ok()).unwrap_or(0);
    let path = asked.path.strip_suffix("/log").unwrap_or(&asked.path).to_owned();
    let mut held = HeldLog {
        web: Arc::clone(web),
        page: job::page(asked, places)?,
        of,
        offset,
        trace,
        token: asked.parameter("v").unwrap_or_default(),
        seen: 0,
        watching: None,
        soon: None,
        until: Instant::now() + hold,
        packs: takes_gzip(visit.request),
        asked: Asked { path, query: String::new(), ..asked.clone() },
    };
    if let Some(response) = held.look(hold.is_zero()) {
        return Ok(response.into());
    }
    if !held.take_place(|| {}) {
        return Ok(held.nothing().with("Retry-After", COME_AGAIN_S).into());
    }
    Ok(Answer::Held(Box::new(held)))
}

impl HeldLog {
    fn take_place(&mut self, wake: impl Fn() + Send + 'static) -> bool {
        self.watching = None;
        self.watching = self.web.coordinator.watch(self.seen, wake);
        self.watching.is_some()
    }

    fn nothing(&self) -> Response {
        self.told(with_headers(Response::empty(204)))
    }

    fn told(&self, response: Response) -> Response {
        response.with("X-Baton-Token", self.token.clone()).with("Cache-Control", "no-store").as_routine()
    }

    /// What has come, if anything has.
    fn look(&mut self, last: bool) -> Option<Response> {
        match self.news() {
            Ok(Some(part)) => {
                let html = log::lines(&part, true).into_string();
                Some(self.told(with_headers(frame::packed(self.packs, 200, html))))
            }
            Ok(None) => last.then(|| self.nothing()),
            Err(error) => Some(self.web.failed(&self.asked, &error)),
        }
    }

    fn news(&mut self) -> Result<Option<LogPart>> {
        let (token, moves) = live::token(&self.web, &self.asked, &self.page)?;
        self.seen = moves;
        let is_page_new = !self.token.is_empty() && token.as_ref().is_some_and(|token| self.token != *token);
        self.token = token.unwrap_or_else(|| std::mem::take(&mut self.token));
        let part = match self.web.coordinator.log_part(self.of.id, LogBegin::After(self.offset), 500, &self.of.raw)? {
            OrSoon::There(part) => part,
            OrSoon::Soon(soon) => {
                self.soon = Some(soon);
                return Ok(None);
            }
        };
        let is_grown = part.stand.bytes > part.piece.next.offset || part.piece.next.offset != self.offset;
        let is_new = is_grown || part.stand.number != self.trace || !part.stand.is_open || is_page_new;
        Ok(is_new.then_some(part))
    }
}

impl Held for HeldLog {
    fn begin(&mut self, wake: Wake) {
        if let Some(soon) = self.soon.take() {
            soon.when_ready(move || wake.wake());
        } else if !self.take_place(move || wake.wake()) {
            // Another has taken its place between two looks: it is answered at once.
            self.until = Instant::now();
        }
    }

    fn answer(&mut self, last: bool) -> Option<Response> {
        if self.seen == self.web.coordinator.moves() && self.watching.is_some() {
            return last.then(|| self.nothing());
        }
        self.look(last)
    }

    fn until(&self) -> Instant {
        self.until
    }
}

/// `GET /PROJECT/-/jobs/:id/log/search`: the lines that have `q`, or with `red=1` those that have something red.
pub fn search(visit: &mut Visit<'_, '_>) -> Result<Answer> {
    let (web, asked, id) = (visit.web, visit.asked, job::id(visit.places)?);
    let view = job::view(web, asked, id, visit.now)?;
    let from = given(asked, "from")?.unwrap_or(1);
    let text = asked.parameter("q");
    let needle = match &text {
        Some(text) => Some(Needle::parse(text).map_err(Error::invalid)?),
        None if asked.parameter("red").is_some() => None,
        None => return Err(Error::invalid("q is what is looked for")),
    };
    let of = Hits { id, from, text, job: web.links().job(&view.report.build.project, id), view };
    in_turn(web, asked, move |web, asked, _| {
        let found = match &needle {
            Some(needle) => web.coordinator.search_log(id, needle, from)?,
            None => reds(web, id, from)?,
        };
        Ok(match found {
            OrSoon::There(found) => OrSoon::There(of.page(web, asked, &found)),
            OrSoon::Soon(soon) => OrSoon::Soon(soon),
        })
    })
}

/// Red lines as hits, without their texts.
fn reds(web: &Web, id: BuildId, from: u64) -> Result<OrSoon<LogFound>> {
    Ok(match web.coordinator.log_reds(id, from, HITS_MAX)? {
        OrSoon::Soon(soon) => OrSoon::Soon(soon),
        OrSoon::There((lines, is_more)) => {
            let next_line = lines.last().filter(|_| is_more).map(|line| line + 1);
            OrSoon::There(LogFound { hits: lines.into_iter().map(Into::into).collect(), next_line })
        }
    })
}

/// What was looked for, and where.
struct Hits {
    id: BuildId,
    from: u64,
    /// `None`: something red.
    text: Option<String>,
    /// The job's address.
    job: String,
    view: JobView,
}

impl Hits {
    fn page(&self, web: &Web, asked: &Asked, found: &LogFound) -> Response {
        let build = &self.view.report.build;
        let title = format!("Search in {} #{} · {}", build.name, self.id, build.project);
        let mut page = Page::new(Tab::titled(title), Nav::Jobs);
        page.crumbs = job::crumbs(&web.links(), &self.view, false);
        page.crumbs.push(("Search".to_owned(), None));
        let page = page.with("hits", self.list(web, asked, found));
        web.page_response(asked, 200, &page).as_routine()
    }

    fn list(&self, web: &Web, asked: &Asked, found: &LogFound) -> Markup {
        let next = found.next_line.map(|next| {
            let (key, value) = self.text.as_ref().map_or(("red", "1"), |text| ("q", text.as_str()));
            let next = Some(next.to_string());
            (next.clone(), asked.with(&web.links(), &[(key, Some(value.to_owned())), ("from", next)]))
        });
        html! {
            section class="panel" {
                header { h2 { @match &self.text { Some(text) => { "Lines with " (foreign(text)) }, None => "Lines with something red" } } }
                @if found.hits.is_empty() { p { "Nothing was found" @if self.from > 1 { " from line " (number(self.from)) " on" } "." } }
                div class="log" {
                    @for hit in &found.hits {
                        div class="l" data-line=(hit.line) {
                            a href={ (self.job) "?line=" (hit.line) "#L" (hit.line) } { (hit.line) }
                            time {}
                            span { (hit_html(hit)) }
                        }
                    }
                }
                @if let Some((next, link)) = next {
                    p { a href=(link) data-next=[next] { "More from line " (number(found.next_line.unwrap_or(0))) } }
                }
            }
        }
    }
}

fn hit_html(hit: &crate::domain::log_search::LogHit) -> Markup {
    let mut html = String::new();
    hit.write_html(&mut html);
    PreEscaped(html)
}
