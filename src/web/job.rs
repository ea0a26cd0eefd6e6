//! One job: how it stands and why, its log, and all that is around it.

use super::frame::{Nav, Page, Tab, button};
use super::links::Links;
use super::live::PageOf;
use super::session::see;
use super::words::{self, cleaned, count, foreign, runner, short_sha, size};
use super::{Asked, Visit, Web, graph, icons, overview, states};
use crate::coordinator::{JobView, Soon};
use crate::domain::build::{BuildId, FailureReason, Status};
use crate::domain::runner::RunnerAtWork;
use crate::domain::time::Timestamp;
use crate::error::{Error, Kind, Result};
use crate::http::Answer;
use crate::http::router::Places;
use maud::{Markup, html};
use std::sync::Arc;

/// The build that the path names.
pub fn id(places: &Places<'_>) -> Result<BuildId> {
    places.numbers.first().map(|id| BuildId(*id)).ok_or_else(|| Error::not_found(""))
}

/// `GET /-/jobs/:id`: leads to the job, whichever project it is of.
pub fn find(visit: &mut Visit<'_, '_>) -> Result<Answer> {
    let (web, places) = (visit.web, visit.places);
    let id = id(places)?;
    let project = web.coordinator.project_of_build(id)?.ok_or_else(|| no_such(id))?;
    Ok(see(&web.links().job(&project, id)).into())
}

fn no_such(id: BuildId) -> Error {
    Error::not_found(format!("there is no job #{id}, or it was removed"))
}

/// Whether the path's project is this one.
pub fn is_of(asked: &Asked, project: &str) -> bool {
    asked.project.as_ref().is_some_and(|name| name.eq_ignore_ascii_case(project))
}

/// The job that the path names, and its project's name, if that is the path's.
pub fn own(visit: &Visit<'_, '_>) -> Result<(BuildId, String)> {
    let id = id(visit.places)?;
    let project = visit.web.coordinator.project_of_build(id)?.filter(|name| is_of(visit.asked, name));
    project.map(|name| (id, name)).ok_or_else(|| no_such(id))
}

/// All that is shown of the job that the path names, if it is one of the path's project.
pub fn view(web: &Web, asked: &Asked, id: BuildId, now: Timestamp) -> Result<JobView> {
    let said = |error: Error| if error.kind == Kind::NotFound { no_such(id) } else { error };
    let found = web.coordinator.view_job(id, now).map_err(said)?;
    if is_of(asked, &found.report.build.project) { Ok(found) } else { Err(no_such(id)) }
}

/// `GET /PROJECT/-/jobs/:id`.
pub fn page(_: &Asked, places: &Places<'_>) -> Result<PageOf> {
    let id = id(places)?;
    Ok(Arc::new(move |web, asked, now| {
        let view = view(web, asked, id, now)?;
        let mut page = render(web, asked, &view, now);
        page.fixed = Some(Box::new(move |web, asked| super::log::panel(web, asked, &view)));
        Ok(page)
    }))
}

/// The words at the top of a job's pages: where it is.
pub fn crumbs(links: &Links, view: &JobView, is_itself: bool) -> Vec<(String, Option<String>)> {
    let build = &view.report.build;
    let mut crumbs = vec![
        (build.project.clone(), Some(links.project(&build.project))),
        (build.ref_.clone(), Some(links.branch(&build.project, &build.ref_))),
    ];
    if let Some(id) = build.pipeline_id {
        crumbs.push((format!("Pipeline #{id}"), Some(links.pipeline(&build.project, id))));
    }
    crumbs.push((format!("Job #{}", build.id), (!is_itself).then(|| links.job(&build.project, build.id))));
    crumbs
}

fn render(web: &Web, asked: &Asked, view: &JobView, now: Timestamp) -> Page {
    let (links, build) = (web.links(), &view.report.build);
    let look = states::of_build(build);
    let title = format!("{} #{} {} · {}", build.name, build.id, look.word, build.project);
    let mut page = Page::new(Tab { title, icon: Some(look) }, Nav::Jobs);
    page.columns = "withlog";
    page.is_moving = !build.status.is_finished() && build.status != Status::Manual;
    page.crumbs = crumbs(&links, view, true);
    page = page.with("top-head", head(&links, asked, view, now));
    let is_repeated = !view.earlier.is_empty() || view.report.repeated_by.is_some() || build.retry_of.is_some();
    let note = note(web, &links, view, &mut page.soon, now);
    let sections = super::log::sections(web, view, &mut page.soon);
    page.with_any("top-note", note)
        .beside("facts", facts(web, &links, view, now))
        .beside_any("sections", sections)
        .beside_any("artifacts", (!view.report.artifacts.is_empty()).then(|| artifacts(&links, asked, view)))
        .beside_any("before", is_repeated.then(|| before(&links, view)))
        .beside_any("stage", (view.stage.len() > 1).then(|| stage(&links, view, now)))
}

fn head(links: &Links, asked: &Asked, view: &JobView, now: Timestamp) -> Markup {
    let build = &view.report.build;
    let title = view.pipeline.as_ref().and_then(|pipeline| pipeline.title.as_deref());
    html! {
        div class="head" {
            div {
                h1 { span role="status" { (icons::state(states::of_build(build))) } " " (foreign(&build.name)) }
                div class="facts" {
                    @if let Some(sha) = &build.sha { span class="mono" { (short_sha(sha)) } }
                    @if let Some(title) = title { span { (foreign(title)) } }
                    span class="num" { (times(view, now)) }
                    @if build.status == Status::Running && let Some((id, name)) = &build.runner {
                        span { "on " a href=(links.runner(*id)) { (runner(*id, name)) } }
                    }
                    @if let Some(at) = build.finished_at { span { "ended " (words::ago(at)) } }
                }
            }
            (acts(links, asked, view))
        }
    }
}

fn times(view: &JobView, now: Timestamp) -> Markup {
    let build = &view.report.build;
    let waited = |from: Timestamp| html! { ", waited " (words::duration(from.since(build.created_at))) };
    match (build.started_at, build.finished_at) {
        (Some(from), Some(to)) => html! { "took " (words::duration(to.since(from))) (waited(from)) },
        (Some(from), None) => overview::bar(from, view.usually, now, &build.name),
        (None, Some(_)) => html! { "never ran" },
        (None, None) => html! { "waits since " (words::at(build.created_at)) },
    }
}

fn acts(links: &Links, asked: &Asked, view: &JobView) -> Markup {
    let build = &view.report.build;
    let link = links.job(&build.project, build.id);
    let act = |verb: &str, class: &str, words: &str| button(&format!("{link}/{verb}"), class, "", html! { (words) });
    let is_repeated = build.retried_by.is_some();
    html! {
        div class="acts" {
            @if asked.reader.may_act() {
                @match build.status {
                    Status::Manual | Status::Scheduled => {
                        @if view.about.manual_confirmation.is_some() { a class="btn main" href={ (link) "/play" } { "Play" } }
                        @else { (act("play", "main", "Play")) }
                    }
                    Status::Success | Status::Failed | Status::Canceled if !is_repeated => {
                        (act("retry", if build.status == Status::Success { "" } else { "main" }, "Retry"))
                    }
                    _ => {}
                }
                @if !build.status.is_finished() { (act("cancel", "", "Cancel")) }
            }
            @if build.trace_size > 0 { a class="btn" href={ (link) "/raw" } { "Raw log" } }
            @if build.artifacts.is_some() { a class="btn" href={ (link) "/artifacts/browse/" } { "Artifacts" } }
            @if asked.reader.may_act() && build.status.is_finished() && build.erased_at.is_none()
                && (build.trace_size > 0 || !view.report.artifacts.is_empty()) {
                a class="btn quiet" href={ (link) "/erase" } { "Erase" }
            }
        }
    }
}

/// Why a job failed, in a sentence.
pub fn failure(reason: Option<FailureReason>, exit_code: Option<i64>, text: Option<&str>) -> String {
    match (reason, exit_code, text) {
        (Some(FailureReason::ScriptFailure), Some(code), _) => format!("The script failed with exit code {code}."),
        (Some(FailureReason::ScriptFailure), None, None) => "The script failed.".to_owned(),
        (_, _, Some(text)) => format!("It failed: {}.", cleaned(text)),
        (Some(reason), ..) => format!("It failed: {}.", reason.as_str().replace('_', " ")),
        (None, ..) => "It failed.".to_owned(),
    }
}

fn note(web: &Web, links: &Links, view: &JobView, soon: &mut Option<Soon>, now: Timestamp) -> Option<Markup> {
    let build = &view.report.build;
    if build.status == Status::Failed {
        let said = failure(build.failure_reason, build.exit_code, build.failure_text.as_deref());
        let red = super::log::first_red(web, build.id, soon);
        return Some(html! {
            p class="note fail" {
                strong { (said) }
                @if let Some((line, text)) = red {
                    " " span class="mono" { (foreign(&text)) }
                    a class="to" href={ (links.job(&build.project, build.id)) "?line=" (line) "#L" (line) } { "First red line: " (words::number(line)) }
                }
            }
        });
    }
    view.report.pending_reason.as_ref()?;
    let takers = view.takers.iter().take(super::runners::SHORT_LIST);
    let mine = |it: &RunnerAtWork| html! { a href=(links.runner(it.runner.id.0)) { (runner(it.runner.id.0, &it.runner.description)) } " (" (it.state(now).as_str().replace('_', " ")) ")" };
    Some(html! {
        p class="note wait" {
            (icons::silent(states::of_build(build)))
            span {
                strong { (foreign(&overview::reason(&view.report))) }
                @if view.before_it > 0 { " " (count(view.before_it as u64, "job")) " " (if view.before_it == 1 { "waits" } else { "wait" }) " in front of it." }
                @if !view.takers.is_empty() {
                    " Could take it: "
                    @for (index, it) in takers.enumerate() { @if index > 0 { ", " } (mine(it)) }
                    "."
                }
            }
        }
    })
}

fn facts(web: &Web, links: &Links, view: &JobView, now: Timestamp) -> Markup {
    let build = &view.report.build;
    // Who speaks all the time is noted once a step: less says nothing.
    let is_silent = |at: &Timestamp| now.since(*at) > 2 * web.coordinator.limits().seen_step();
    let last_heard = build.seen_at.filter(|at| build.status == Status::Running && is_silent(at));
    html! {
        section class="panel" {
            header { h2 { "Job" } span class="dim num" { "#" (build.id) } }
            dl class="kv" {
                dt { "Stage" } dd { (foreign(&build.stage)) }
                dt { "Runner" } dd {
                    @match &build.runner {
                        Some((id, name)) => { a href=(links.runner(*id)) { (runner(*id, name)) } },
                        None if build.status.is_finished() || view.about.trigger.is_some() => "none",
                        None => "none yet",
                    }
                    @if let Some(manager) = &view.report.manager { " " span class="mono dim" { (foreign(manager)) } }
                }
                @if !build.tags.is_empty() { dt { "Tags" } dd { span class="tags" { @for tag in build.tags.as_slice() { span class="tag" { (cleaned(tag)) } } } } }
                dt { "Queued" } dd { (words::at(build.created_at)) }
                @if let Some(at) = build.started_at { dt { "Began" } dd { (words::at(at)) } }
                @if let Some(at) = build.finished_at { dt { "Ended" } dd { (words::at(at)) } }
                @if let Some(at) = last_heard { dt { "Last heard" } dd { (words::ago(at)) } }
                @if let Some(code) = build.exit_code { dt { "Exit code" } dd class="num" { (code) } }
                @if build.failure_allowed { dt { "Failure" } dd { "is allowed" } }
                @if let Some(environment) = &view.about.environment { dt { "Environment" } dd { (foreign(&environment.name)) } }
                @if !build.needs.is_empty() {
                    dt { "Needs" } dd { @for (index, id) in build.needs.iter().enumerate() { @if index > 0 { ", " } a href=(links.job(&build.project, *id)) { "#" (id) } } }
                }
                @if !view.children.is_empty() {
                    dt { "Made" } dd { @for child in &view.children { a href=(links.of(None, &format!("pipelines/{}", child.id))) { "pipeline #" (child.id) } ", " (states::of_child(child).word) " " } }
                }
                @for acted in &view.acts { dt { (words::sentence(acted.act.done()).trim_end_matches('.')) } dd { "by " (foreign(&acted.actor)) " " (words::ago(acted.at)) } }
            }
        }
    }
}

fn artifacts(links: &Links, asked: &Asked, view: &JobView) -> Markup {
    let build = &view.report.build;
    let link = links.job(&build.project, build.id);
    let whole: u64 = view.report.artifacts.iter().map(|stored| stored.file.size).sum();
    html! {
        section class="panel" {
            header { h2 { "Artifacts" } span class="dim" { (size(whole)) } }
            ul class="list plain" {
                @for stored in &view.report.artifacts {
                    @if stored.kind.0 == "archive" {
                        li { a href={ (link) "/artifacts/browse/" } { span class="mono" { (foreign(&stored.file.filename)) } span class="num" { (size(stored.file.size)) } } }
                    } @else {
                        li { span { span { (cleaned(&stored.kind.0)) } span class="num" { (size(stored.file.size)) } } }
                    }
                }
                @if build.artifacts.is_some() && asked.reader.may_act() {
                    li { a href={ (link) "/artifacts/download" } { span { "Download all" } span class="num" { "zip" } } }
                }
            }
            @if let Some(at) = build.artifacts.as_ref().and_then(|file| file.expire_at) { p class="dim" { "kept until " (words::at(at)) } }
        }
    }
}

fn before(links: &Links, view: &JobView) -> Markup {
    let build = &view.report.build;
    let try_of = |id: BuildId, said: &str| html! { li { a href=(links.job(&build.project, id)) { span {} span class="num" { "#" (id) } span class="num" { (said) } } } };
    html! {
        section class="panel" {
            header { h2 { "This job before" } }
            ul class="list" {
                @if let Some(by) = view.report.repeated_by { (try_of(by, "newer try")) }
                li { a href=(links.job(&build.project, build.id)) aria-current="true" { (icons::said(states::of_build(build))) span class="num" { "#" (build.id) } span class="num" { "this" } } }
                @if let Some(of) = build.retry_of { (try_of(of, "try before")) }
                @for it in &view.earlier {
                    li { a href=(links.job(&build.project, it.id)) { (icons::said(states::of_earlier(it))) span class="num" { "#" (it.id) } span class="num" { "pipeline #" (it.pipeline) } } }
                }
            }
        }
    }
}

fn stage(links: &Links, view: &JobView, now: Timestamp) -> Markup {
    let build = &view.report.build;
    let is_this = |id: BuildId| (id == build.id).then_some("true");
    let shown = || view.stage.iter().filter(|row| row.retried_by.is_none() || row.id == build.id);
    let place = shown().position(|row| row.id == build.id).unwrap_or(0);
    let key = |index: usize| match index {
        index if index + 1 == place => Some("k"),
        index if index == place + 1 => Some("j"),
        _ => None,
    };
    html! {
        section class="panel" {
            header { h2 { "Stage " (foreign(&build.stage)) } }
            ul class="list" {
                @for (index, row) in shown().enumerate() {
                    li {
                        a href=(links.job(&build.project, row.id)) aria-current=[is_this(row.id)] data-key=[key(index)] {
                            (icons::said(states::of_row(row))) span class="cut-off" { (foreign(&row.name)) }
                            span class="num" { (graph::took(row, now)) }
                        }
                    }
                }
            }
        }
    }
}
