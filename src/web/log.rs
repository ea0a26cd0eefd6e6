//! A job's log on its page: the end of it, what is folded, and how to get at the rest.

use super::words::{self, foreign, number};
use super::{Asked, Web};
use crate::coordinator::{JobView, LogBegin, LogFacts, LogPart, LogStand, OrSoon, Soon};
use crate::domain::act::Act;
use crate::domain::build::{BuildId, Status};
use crate::domain::log_sections::LogSection;
use crate::error::Result;
use maud::{Markup, PreEscaped, html};
use std::time::Duration;

/// Rows of the end of a log, or around a line, that a page has at first.
const ROWS: u64 = 500;

/// Rows of the begin of a log, as far as they are outside of the section that the end is in.
const OUTLINE_ROWS: u64 = 30;

/// Sections in the list at the side.
const SECTIONS_MAX: usize = 200;

/// The log of a job's page.
pub fn panel(web: &Web, asked: &Asked, view: &JobView) -> Result<OrSoon<Markup>> {
    let build = &view.report.build;
    if view.about.trigger.is_some() {
        return Ok(OrSoon::There(html! {
            section class="panel" aria-label="Log" { p { "This job makes a pipeline: no runner takes it, and it has no log." } }
        }));
    }
    let job = web.links().job(&build.project, build.id);
    let line = asked.parameter("line").and_then(|line| line.parse().ok());
    let begin = line.map_or(LogBegin::Tail, LogBegin::Around);
    let found = web.coordinator.log_ends(build.id, begin, ROWS, OUTLINE_ROWS, &format!("{job}/raw"))?;
    Ok(match found {
        OrSoon::Soon(soon) => OrSoon::Soon(soon),
        OrSoon::There((_, part)) if part.stand.lines == 0 && build.status.is_finished() => OrSoon::There(empty(view)),
        OrSoon::There((outline, part)) => OrSoon::There(whole(view, &job, &part, outline.as_ref())),
    })
}

/// A part of a log, as the script puts it in place.
pub fn lines(part: &LogPart, is_end: bool) -> Markup {
    let (from, to) = (part.piece.from, last_line(part));
    let LogStand { number, lines, status, .. } = part.stand;
    html! {
        @if is_end {
            div class="lines" data-from=(from) data-to=(to) data-trace=(number) data-offset=(part.piece.next.offset)
                data-lines=(lines) data-state=(state(status)) data-went-on=(went_on(&part.went_on)) { (PreEscaped(&part.piece.html)) }
        } @else {
            div class="lines" data-from=(from) data-to=(to) { (PreEscaped(&part.piece.html)) }
        }
    }
}

/// What stands beside the titles of sections, one a line: the script puts it there.
fn went_on(sections: &[(u64, String)]) -> String {
    sections.iter().map(|(line, note)| format!("{line} {note}\n")).collect()
}

/// The last line of a part, also one that has no end yet.
fn last_line(part: &LogPart) -> u64 {
    if part.piece.next.offset < part.stand.bytes && part.piece.next.number == part.stand.lines {
        part.stand.lines
    } else {
        part.piece.next.number.saturating_sub(1)
    }
}

/// Whether the log may grow, in the script's words: it asks for more while it runs.
fn state(status: Status) -> &'static str {
    match status {
        // It may begin at any time.
        Status::Created | Status::WaitingForResource | Status::Pending | Status::Running => "running",
        Status::Scheduled | Status::Manual | Status::Success | Status::Failed | Status::Canceled | Status::Skipped => {
            status.as_str()
        }
    }
}

/// Lines that are not there, from and to the ones that are named.
fn gap(from: u64, to: u64) -> Markup {
    html! {
        @if from <= to {
            div class="gap" data-from=(from) data-to=(to) {
                span { (words::count(to - from + 1, "line")) " are not on the page." }
                a href={ "?line=" (from) "#L" (from) } { "From line " (number(from)) }
                @if to - from >= ROWS { a href={ "?line=" (to) "#L" (to) } { (ROWS) " up to line " (number(to)) } }
            }
        }
    }
}

fn whole(view: &JobView, job: &str, part: &LogPart, outline: Option<&LogPart>) -> Markup {
    let LogStand { number: trace, bytes, lines: count, status, is_open, is_timed } = part.stand;
    let last = last_line(part);
    let above = outline.map_or(0, last_line);
    html! {
        section class={ "panel" (if is_timed { "" } else { " notime" }) } aria-label="Log" {
            (bar(job, &part.stand))
            div class="log" id="log" role="log" aria-live="off" tabindex="0" data-url={ (job) "/log" } data-trace=(trace)
                data-offset=(part.piece.next.offset) data-lines=(count) data-state=(state(status)) {
                @if let Some(outline) = outline { (lines(outline, false)) }
                (gap(above + 1, part.piece.from.saturating_sub(1)))
                @if count > 0 { (lines(part, false)) }
                (gap(last + 1, count))
            }
            div class="logend" id="end" {
                @if !is_open { span class="dim" { (words::size(bytes)) ". Nothing more will come." } }
                @else if count == 0 { (awaited(view)) }
            }
        }
    }
}

fn awaited(view: &JobView) -> Markup {
    let said = if view.report.build.status == Status::Running {
        "Waits for the runner's first line."
    } else {
        "The job has not begun."
    };
    html! { span class="dim" { (said) } }
}

fn bar(job: &str, stand: &LogStand) -> Markup {
    let act = |act: &str, class: &str, label: &str, words: &str| {
        html! { button class={ "btn quiet" (class) } type="button" hidden data-act=(act) aria-label=(label) { (words) } }
    };
    html! {
        div class="logbar" {
            span class="where" {
                b class="num" { (number(stand.lines)) } (if stand.lines == 1 { " line, " } else { " lines, " })
                (words::size(stand.bytes)) @if !stand.is_open { ", complete" }
            }
            form class="find" role="search" aria-label="Log" action={ (job) "/log/search" } {
                input type="search" name="q" placeholder="Find in the whole log" aria-label="Find in the whole log";
                output {}
            }
            (act("prev", "", "Previous hit or red line", "↑"))
            (act("next", "", "Next hit or red line", "↓ red"))
            @if stand.is_timed { (act("time", " wide-only", "Show times", "Time")) }
            (act("wrap", "", "Wrap long lines", "Wrap"))
            @if stand.is_open { (act("follow", "", "Follow the end", "Follow")) }
            a class="btn quiet" href="?line=1#L1" { "First" }
            a class="btn quiet" href="?#end" { "Last" }
        }
    }
}

/// What stands in place of a log that has no line, and will have none.
fn empty(view: &JobView) -> Markup {
    let erased = view.acts.iter().rev().find(|acted| acted.act == Act::Erase);
    html! {
        section class="panel" aria-label="Log" {
            p {
                @if let Some(at) = view.report.build.erased_at {
                    "Erased" @if let Some(erased) = erased { " by " (foreign(&erased.actor)) } " " (words::at(at)) "."
                } @else if view.report.build.started_at.is_none() {
                    "The job never ran."
                } @else {
                    "The runner sent no log."
                }
            }
        }
    }
}

/// The list of a log's sections. `soon`: whom to wait for, as in [`first_red`].
pub fn sections(web: &Web, view: &JobView, soon: &mut Option<Soon>) -> Option<Markup> {
    let build = &view.report.build;
    let facts = facts(web, build.id, soon).filter(|facts| !facts.sections.is_empty())?;
    let link = web.links().job(&build.project, build.id);
    let took = |section: &LogSection| section.seconds().map(|seconds| words::duration(Duration::from_secs(seconds)));
    Some(html! {
        section class="panel" {
            header { h2 { "Sections" } }
            ul class="list plain" {
                @for section in facts.sections.iter().filter(|section| section.depth == 0).take(SECTIONS_MAX) {
                    li {
                        a href={ (link) "?line=" (section.line) "#S" (section.line) } {
                            span class="cut-off" { (foreign(section.short_title())) }
                            span class="num" { @if let Some(took) = took(section) { (took) } }
                        }
                    }
                }
            }
        }
    })
}

fn facts(web: &Web, id: BuildId, soon: &mut Option<Soon>) -> Option<LogFacts> {
    match web.coordinator.log_facts(id) {
        Ok(OrSoon::There(facts)) => Some(facts),
        Ok(OrSoon::Soon(other)) => {
            *soon = Some(other);
            None
        }
        Err(error) => {
            log::warn!("build {id}: what is in its log is not known: {error}");
            None
        }
    }
}

/// Number and text of the first red line of a log. `soon` becomes whom to wait for, if others have logs gone through first:
/// nothing is known of this one yet.
pub fn first_red(web: &Web, id: BuildId, soon: &mut Option<Soon>) -> Option<(u64, String)> {
    facts(web, id, soon)?.first_red
}
