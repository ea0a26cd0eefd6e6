//! What goes on, everywhere or in one project.

use super::frame::{Nav, Page, Tab, button};
use super::links::Links;
use super::live::PageOf;
use super::pipelines::{bars, history_line, lines};
use super::words::{self, foreign, number, runner, size, so_many};
use super::{Asked, icons, states};
use crate::coordinator::{BuildReport, Overview, RunningJob};
use crate::domain::build::Status;
use crate::domain::first_steps::register_line;
use crate::domain::line_times::Untimed;
use crate::domain::runner::{RunnerAtWork, RunnerState};
use crate::domain::terminal::{Parser, Screen, Style};
use crate::domain::text::shell::quoted;
use crate::domain::time::Timestamp;
use crate::error::Result;
use maud::{Markup, html};
use std::sync::Arc;

/// The overview, of a project or of all.
pub fn page(project: Option<String>) -> Result<PageOf> {
    Ok(Arc::new(move |web, asked, now| {
        let seen = web.coordinator.overview(project.as_deref(), now)?;
        let url = web.url(asked);
        Ok(render(&web.links(), asked, project.as_deref(), &seen, (&url, web.program(asked)), now))
    }))
}

fn render(
    links: &Links,
    asked: &Asked,
    project: Option<&str>,
    seen: &Overview,
    place: (&str, &str),
    now: Timestamp,
) -> Page {
    let waiting_for_somebody = seen.manual_count;
    let title = match project {
        Some(name) => name.to_owned(),
        None if seen.running_count + waiting_for_somebody > 0 => {
            let waits = if waiting_for_somebody > 0 {
                format!(", {} waits for you", number(waiting_for_somebody))
            } else {
                String::new()
            };
            format!("{} running{waits}", number(seen.running_count))
        }
        None => "Overview".to_owned(),
    };
    let icon = (seen.running_count > 0).then(|| states::of_status(Status::Running, false));
    let mut page = Page::new(Tab { title, icon }, Nav::Overview);
    page.is_moving = seen.running_count + seen.waiting_count > 0;
    page = page.with("top-lead", lead(project, seen));
    page = page.with_any("top-warning", warning(links, seen, now));
    let has_pipelines = !seen.pipelines.is_empty();
    page = if has_pipelines || seen.has_builds && project.is_none() {
        page.with("running", running(links, asked, project, seen, now))
            .with("waiting", waiting(links, asked, seen, now))
            .with("pipelines", newest(links, project, seen, now))
    } else {
        page.with("first", first(project, seen, place))
    };
    page = page.beside("runners", runners(links, seen, now));
    page = page.beside_any("branches", (!seen.histories.is_empty()).then(|| branches(links, project, seen)));
    if let Some(name) = project {
        page = page.beside("badge", badge(links, name, asked, seen, place));
    }
    page.beside("room", room(seen))
}

fn lead(project: Option<&str>, seen: &Overview) -> Markup {
    let online = seen.runners.len();
    html! {
        div class="lead" {
            h1 { @match project { Some(name) => (foreign(name)), None => "Overview" } }
            @if !seen.has_builds {
                p { "Nothing has run yet." }
            } @else {
                p {
                    (so_many(seen.running_count, "job runs", "jobs run")) ". "
                    @if seen.waiting_count > 0 {
                        (so_many(seen.waiting_count, "waits", "wait"))
                        @if seen.stuck_count > 0 { ", " b { (seen.stuck_count) } " of them without a runner that could take it" }
                        ". "
                    }
                    @if seen.manual_count > 0 { (so_many(seen.manual_count, "waits", "wait")) " for you. " }
                    @if online > 0 { (words::count(online as u64, "runner")) " registered." }
                }
            }
        }
    }
}

/// What is wrong with the whole, in one line.
fn warning(links: &Links, seen: &Overview, now: Timestamp) -> Option<Markup> {
    let is_any_online = seen.runners.iter().any(|it| it.state(now) == RunnerState::Online);
    let note = |text: Markup| html! { p class="note wait" role="status" { (icons::silent(states::of_status(Status::Pending, false))) span { (text) } } };
    if seen.is_disk_low {
        return Some(note(html! {
            strong { "The disk is full to its reserve: nothing new is taken on." }
            " " code { "baton prune" } " removes what is old; " code { "baton du" } " shows what takes the room."
        }));
    }
    let has_pending = seen.waiting.iter().any(|report| report.build.status == Status::Pending);
    (has_pending && !is_any_online && !seen.runners.is_empty()).then(|| {
        note(html! {
            strong { "No runner is online." } " Start one with " code { "gitlab-runner run" } ", or look at "
            a href=(links.site("/-/runners")) { "the runners" } "."
        })
    })
}

fn panel(id: &'static str, title: &str, beside: Markup, body: Markup) -> Markup {
    html! {
        section class="panel" aria-labelledby=(id) {
            header { h2 id=(id) { (title) } (beside) }
            (body)
        }
    }
}

fn running(links: &Links, asked: &Asked, project: Option<&str>, seen: &Overview, now: Timestamp) -> Markup {
    let beside = html! { span class="dim" { (number(seen.running_count)) } };
    if seen.running.is_empty() {
        let body = html! { p class="dim" { "Nothing runs." } };
        return panel("h-run", "Running", words::nothing(), body);
    }
    let body = html! {
        ul class="rows running" {
            @for job in &seen.running { (running_row(links, asked, project, job, now)) }
        }
    };
    panel("h-run", "Running", beside, body)
}

/// Where a job belongs: its project unless that is the page's, and its branch.
fn place(links: &Links, project: Option<&str>, report: &crate::domain::build::Build) -> Markup {
    html! {
        @if project.is_none() { a href=(links.project(&report.project)) { (foreign(&report.project)) } " · " }
        a href=(links.branch(&report.project, &report.ref_)) { (foreign(&report.ref_)) }
    }
}

fn running_row(links: &Links, asked: &Asked, project: Option<&str>, job: &RunningJob, now: Timestamp) -> Markup {
    let build = &job.build;
    let link = links.job(&build.project, build.id);
    let since = build.started_at.unwrap_or(build.created_at);
    let tail = last_line(&job.tail);
    html! {
        li {
            (icons::said(states::of_build(build)))
            div class="what" {
                a href=(link) { (foreign(&build.name)) } " "
                span class="sub num" { "#" (build.id) } " "
                span class="sub" {
                    (place(links, project, build))
                    @if let Some((id, description)) = &build.runner { " · on " a href=(links.runner(*id)) { (runner(*id, description)) } }
                }
            }
            (bar(since, job.usually, now, &build.name))
            div class="act" {
                @if asked.reader.may_act() {
                    (button(&format!("{link}/cancel"), "quiet", &format!("Cancel {}", words::cleaned(&build.name)), html! { "Cancel" }))
                }
            }
            @if !tail.is_empty() { div class="tail cut-off" { (foreign(&tail)) } }
        }
    }
}

/// The last line of a log's end that has something to see.
fn last_line(end: &[u8]) -> String {
    let mut untimed = Untimed::default();
    let mut text = untimed.push(end).into_owned();
    text.extend(untimed.finish());
    let mut last = String::new();
    for line in text.split(|byte| *byte == b'\n') {
        let (mut parser, mut screen) = (Parser::new(Style::default()), Screen::default());
        parser.feed(line, &mut screen);
        parser.end_line(&mut screen);
        if !screen.is_blank() {
            last.clear();
            last.push_str(screen.as_str());
        }
    }
    last
}

/// How far a job is, by how long it usually takes.
pub fn bar(since: Timestamp, usually: Option<std::time::Duration>, now: Timestamp, name: &str) -> Markup {
    let Some(usually) = usually.filter(|it| it.as_secs() > 0) else {
        return html! { div class="bar" { span class="num" { (words::running(since, now)) } } };
    };
    let (ran, usual) = (now.since(since).as_secs(), usually.as_secs());
    let is_over = ran > usual;
    let value = format!("{}{}{}", words::BEGIN, ran.min(usual), words::END);
    html! {
        div class={ "bar" @if is_over { " over" } } {
            progress max=(usual) value=(value) data-since=(since.to_the_second())
                aria-label={ "Time of " (words::cleaned(name)) } {}
            span class="num" {
                (words::running(since, now)) @if is_over { ", usually " } @else { " of about " } (words::duration(usually))
            }
        }
    }
}

fn waiting(links: &Links, asked: &Asked, seen: &Overview, now: Timestamp) -> Markup {
    if seen.waiting.is_empty() && seen.manual.is_empty() {
        return words::nothing();
    }
    let beside = html! { span class="dim" { (number(seen.waiting_count + seen.manual_count)) } };
    let body = html! {
        ul class="rows waiting" {
            @for report in seen.waiting.iter().chain(&seen.manual) { (waiting_row(links, asked, report, now)) }
        }
    };
    panel("h-wait", "Waiting, and why", beside, body)
}

/// Why a job waits, as the page says it: what the command line advises for a manual one is a button here.
pub fn reason(report: &BuildReport) -> String {
    if report.build.status == Status::Manual {
        return "Starts when somebody presses Play.".to_owned();
    }
    words::sentence(report.pending_reason.as_deref().unwrap_or_default())
}

/// A job that waits, and why.
pub fn waiting_row(links: &Links, asked: &Asked, report: &BuildReport, now: Timestamp) -> Markup {
    let build = &report.build;
    let link = links.job(&build.project, build.id);
    let may_play = asked.reader.may_act() && matches!(build.status, Status::Manual | Status::Scheduled);
    html! {
        li {
            (icons::said(states::of_build(build)))
            div class="what" {
                a href=(link) { (foreign(&build.name)) } " "
                span class="sub num" { "#" (build.id) } " "
                span class="sub" { (place(links, asked.project.as_deref(), build)) }
                div class="sub" { (foreign(&reason(report))) }
            }
            div class="sub num for" { (words::running(build.created_at, now)) }
            div class="act" {
                @if may_play {
                    (button(&format!("{link}/play"), "", &format!("Play {}", words::cleaned(&build.name)), html! {
                        (icons::silent(states::of_status(Status::Manual, false))) "Play"
                    }))
                }
            }
        }
    }
}

fn newest(links: &Links, project: Option<&str>, seen: &Overview, now: Timestamp) -> Markup {
    let beside = html! {
        span class="dim" { "latest first" }
        a class="more" href=(links.of(project, "pipelines")) { "All pipelines" }
    };
    panel("h-pipe", "Pipelines", beside, lines(links, project, &seen.pipelines, now))
}

fn runners(links: &Links, seen: &Overview, now: Timestamp) -> Markup {
    let beside = html! { a class="more" href=(links.site("/-/runners")) { "All runners" } };
    let row = |it: &RunnerAtWork| {
        let look = states::of_runner(it.state(now));
        html! {
            li {
                a href=(links.runner(it.runner.id.0)) {
                    (icons::said(look))
                    span class="cut-off" { (runner(it.runner.id.0, &it.runner.description)) }
                    span class="num" { @if it.builds.is_empty() { (look.word) } @else { (words::count(it.builds.len() as u64, "job")) } }
                }
            }
        }
    };
    let body = html! {
        @if seen.runners.is_empty() {
            p class="dim" { "None is registered." }
        } @else {
            ul class="list" { @for it in seen.runners.iter().take(super::runners::SHORT_LIST) { (row(it)) } }
        }
    };
    panel("h-runners", "Runners", beside, body)
}

fn branches(links: &Links, project: Option<&str>, seen: &Overview) -> Markup {
    let body = html! {
        @for history in &seen.histories {
            div class="branch" {
                div {
                    a href=(links.branch(&history.project, &history.ref_)) {
                        @if project.is_none() { (foreign(&history.project)) " · " } (foreign(&history.ref_))
                    }
                    span class="sub dim num" { (history_line(history)) }
                }
                (bars(history))
            }
        }
    };
    panel("h-branches", "Branches", html! { span class="dim" { "up passed, down failed" } }, body)
}

/// The badge of the branch that had a pipeline last, for a README.
fn badge(links: &Links, name: &str, asked: &Asked, seen: &Overview, (url, _): (&str, &str)) -> Markup {
    let Some(branch) = seen.histories.first().map(|history| &history.ref_) else { return words::nothing() };
    let path = format!("/{}/badges/{}/pipeline.svg", super::links::encoded(name), super::links::encoded(branch));
    let shown = match (asked.reader.session(), &seen.badge_key) {
        (Some(_), Some(key)) => format!("{url}{path}?key={key}"),
        _ => format!("{url}{path}"),
    };
    let body = html! {
        p { img src=(links.site(&path)) alt={ "state of " (words::cleaned(branch)) }; }
        pre class="cmd" { "![pipeline](" (shown) ")" }
    };
    panel("h-badge", "Badge", words::nothing(), body)
}

fn room(seen: &Overview) -> Markup {
    let body = html! {
        dl class="kv" {
            dt { "Data" } dd { (size(seen.data_bytes)) }
            dt { "Disk" } dd { (size(seen.room.free_bytes)) " free of " (size(seen.room.bytes)) }
        }
    };
    panel("h-room", "Room", words::nothing(), body)
}

/// The first steps, each ticked as it happens.
fn first(project: Option<&str>, seen: &Overview, (url, program): (&str, &str)) -> Markup {
    let Some(name) = project else {
        let register = register_line(url, program);
        let has_runner = !seen.runners.is_empty();
        let tick = |is: bool| {
            let look = states::of_status(if is { Status::Success } else { Status::Created }, false);
            html! { span class={ "st " (look.class) } { (icons::silent(look)) (if is { "done" } else { "not yet" }) } }
        };
        let body = html! {
            ol class="steps" {
                li {
                    p { "Run something, in the folder of a project or elsewhere. Without a runner, Baton runs it by itself. " (tick(false)) }
                    pre class="cmd" { (program) " run -- echo hello" }
                }
                li {
                    p { "Or run the pipeline of a checkout that has a " code { ".gitlab-ci.yml" } "." }
                    pre class="cmd" { (program) " run" }
                }
                li {
                    p { "Or register a GitLab Runner and start it. " (tick(has_runner)) }
                    pre class="cmd" { (register) "\ngitlab-runner run" }
                }
            }
        };
        return panel(
            "h-first",
            "To the first green job",
            html! { span class="dim" { "this page follows along" } },
            body,
        );
    };
    let body = html! {
        p { "No pipeline yet. " code { (program) " run --project " (quoted(&[words::cleaned(name)])) } " in a checkout starts one." }
    };
    panel("h-first", "Pipelines", words::nothing(), body)
}
