//! One pipeline: how it stands, what failed, its stages and needs, and when each job ran.

use super::frame::{Nav, Page, Tab, button};
use super::graph::{Columns, time_line};
use super::job::{failure, is_of};
use super::links::Links;
use super::live::PageOf;
use super::session::see;
use super::words::{self, cleaned, count, foreign, short_sha};
use super::{Asked, Visit, Web, icons, pipelines, refusal, states};
use crate::coordinator::{PipelineReport, PipelineView, Soon};
use crate::domain::pipeline::PipelineId;
use crate::domain::pipeline::states::Tally;
use crate::domain::time::Timestamp;
use crate::error::{Error, Kind, Result};
use crate::http::Answer;
use crate::http::router::Places;
use crate::store::job_rows::JobRow;
use maud::{Markup, html};
use std::sync::Arc;

/// Failed jobs that are shown with their first red line.
const FAILED_MAX: usize = 10;

/// The pipeline that the path names.
pub fn id(places: &Places<'_>) -> Result<PipelineId> {
    places.numbers.first().map(|id| PipelineId(*id)).ok_or_else(|| Error::not_found(""))
}

fn no_such(id: PipelineId) -> Error {
    Error::not_found(format!("there is no pipeline #{id}, or it was removed"))
}

/// `GET /-/pipelines/:id`: leads to the pipeline, whichever project it is of.
pub fn find(visit: &mut Visit<'_, '_>) -> Result<Answer> {
    let (web, places) = (visit.web, visit.places);
    let id = id(places)?;
    let pipeline = web.coordinator.pipeline(id).map_err(|error| said(error, id))?;
    Ok(see(&web.links().pipeline(&pipeline.project, id)).into())
}

fn said(error: Error, id: PipelineId) -> Error {
    if error.kind == Kind::NotFound { no_such(id) } else { error }
}

/// The pipeline that the path names, and its project's name, if that is the path's.
pub fn own(visit: &Visit<'_, '_>) -> Result<(PipelineId, String)> {
    let id = id(visit.places)?;
    let pipeline = visit.web.coordinator.pipeline(id).map_err(|error| said(error, id))?;
    if is_of(visit.asked, &pipeline.project) { Ok((id, pipeline.project)) } else { Err(no_such(id)) }
}

/// All that is shown of a pipeline, if it is one of the path's project.
fn view(web: &Web, asked: &Asked, id: PipelineId) -> Result<PipelineView> {
    let found = web.coordinator.view_pipeline(id).map_err(|error| said(error, id))?;
    if is_of(asked, &found.report.pipeline.project) { Ok(found) } else { Err(no_such(id)) }
}

/// `GET /PROJECT/-/pipelines/:id`.
pub fn page(_: &Asked, places: &Places<'_>) -> Result<PageOf> {
    let id = id(places)?;
    Ok(Arc::new(move |web, asked, now| {
        let view = view(web, asked, id)?;
        Ok(render(web, asked, &view, now))
    }))
}

fn render(web: &Web, asked: &Asked, view: &PipelineView, now: Timestamp) -> Page {
    let (links, report) = (web.links(), &view.report);
    let pipeline = &report.pipeline;
    let look = pipelines::look(report);
    let title = format!("Pipeline #{} {} · {}", pipeline.id, look.word, pipeline.project);
    let mut page = Page::new(Tab { title, icon: Some(look) }, Nav::Pipelines);
    page.is_moving = !report.state().is_at_rest();
    page.crumbs = vec![
        (pipeline.project.clone(), Some(links.project(&pipeline.project))),
        (pipeline.ref_.clone(), Some(links.branch(&pipeline.project, &pipeline.ref_))),
        (format!("Pipeline #{}", pipeline.id), None),
    ];
    page = page.with("top-head", head(&links, asked, view, now));
    let failed =
        if report.standing.is_refused { Some(refusal::note()) } else { for_failed(web, &links, view, &mut page.soon) };
    page = page.with_any("top-failed", failed);
    if !pipeline.warnings.is_empty() {
        page = page.with("top-warnings", html! {
            p class="note wait" { (icons::silent(states::of_pipeline(report.state(), true))) span { @for warning in &pipeline.warnings { (foreign(&words::sentence(warning))) " " } } }
        });
    }
    if report.standing.is_refused {
        return page.with("jobs", refusal::panel(report, asked.reader.may_act()));
    }
    if view.rows.is_empty() {
        return page.with("jobs", html! { section class="panel" { p { "This pipeline has no jobs any more." } } });
    }
    let columns = Columns::new(&view.rows, &view.needs);
    let about = if columns.has_needs() { "columns are stages, lines are needs" } else { "columns are stages" };
    page = page.with(
        "jobs",
        html! {
            section class="panel" aria-labelledby="h-st" {
                header { h2 id="h-st" { "Jobs" } span class="dim" { (about) } }
                (columns.graph(&links, &pipeline.project, now))
            }
        },
    );
    let has_begun = view.rows.iter().any(|row| row.started_at.is_some());
    let time = html! {
        section class="panel" aria-labelledby="h-time" {
            header { h2 id="h-time" { "Time" } span class="dim" { "dashed: waited for a runner" } }
            (time_line(&links, &pipeline.project, &view.rows, pipeline.created_at, now))
        }
    };
    page.with_any("time", has_begun.then_some(time)).with("more", more(&links, view))
}

/// How many jobs stand how, in words.
fn tally(of: &Tally) -> String {
    let all = of.active() + of.good + of.warned + of.bad + of.canceled + of.skipped + of.optional + of.blocking;
    let parts = [
        (of.good, "passed"),
        (of.bad, "failed"),
        (of.warned, "failed and allowed"),
        (of.running, "running"),
        (of.pending, "pending"),
        (of.created + of.waiting + of.scheduled, "waiting"),
        (of.canceled, "canceled"),
        (of.skipped, "skipped"),
        (of.optional + of.blocking, "manual"),
    ];
    let said: Vec<String> = parts.iter().filter(|(n, _)| *n > 0).map(|(n, word)| format!("{n} {word}")).collect();
    format!("{}: {}", count(u64::from(all), "job"), said.join(", "))
}

fn head(links: &Links, asked: &Asked, view: &PipelineView, now: Timestamp) -> Markup {
    let report = &view.report;
    let pipeline = &report.pipeline;
    let alone = view.rows.first().filter(|_| view.rows.len() == 1).map(|row| row.name.as_str());
    html! {
        div class="head" {
            div {
                h1 { span role="status" { (icons::state(pipelines::look(report))) } " " (foreign(&pipelines::title(report, alone))) }
                div class="facts" {
                    @if let Some(sha) = &pipeline.sha { span class="mono" { (short_sha(sha)) } }
                    span { (pipelines::started_by(report)) ", " (words::ago(pipeline.created_at)) }
                    @if let Some(at) = report.standing.started_at {
                        span class="num" { "took " (pipelines::took(report, now)) ", waited " (words::duration(at.since(pipeline.created_at))) }
                    }
                    span { @if report.standing.is_refused { "no jobs" } @else { (tally(&report.standing.tally)) } }
                    @if let Some(parent) = pipeline.parent { span { "made by " a href=(links.of(None, &format!("jobs/{parent}"))) { "job #" (parent) } } }
                }
            }
            (acts(links, asked, report))
        }
    }
}

fn acts(links: &Links, asked: &Asked, report: &PipelineReport) -> Markup {
    let link = links.pipeline(&report.pipeline.project, report.pipeline.id);
    let tally = &report.standing.tally;
    html! {
        div class="acts" {
            @if asked.reader.may_act() {
                @if tally.bad + tally.warned + tally.canceled > 0 {
                    (button(&format!("{link}/retry"), "main", "", html! { "Retry what failed" }))
                }
                @if tally.active() > 0 { (button(&format!("{link}/cancel"), "", "", html! { "Cancel" })) }
            }
        }
    }
}

fn for_failed(web: &Web, links: &Links, view: &PipelineView, soon: &mut Option<Soon>) -> Option<Markup> {
    let failed: Vec<&JobRow> = view.rows.iter().filter(|row| row.is_bad() && row.retried_by.is_none()).collect();
    if failed.is_empty() {
        return None;
    }
    let project = &view.report.pipeline.project;
    let mut one = |row: &JobRow| {
        let red = super::log::first_red(web, row.id, soon);
        let link = links.job(project, row.id);
        html! {
            p class="note fail" {
                span class="st fail" { (icons::silent(states::of_row(row))) a href=(link) { (foreign(&row.name)) } }
                span { (failure(row.failure_reason, row.exit_code, row.failure_text.as_deref())) }
                @if let Some((line, text)) = red {
                    span class="mono" { (foreign(&text)) }
                    a class="to" href={ (link) "#L" (line) } { "Line " (words::number(line)) }
                }
            }
        }
    };
    Some(html! {
        @for row in failed.iter().take(FAILED_MAX) { (one(row)) }
        @if failed.len() > FAILED_MAX { p class="note fail" { (count((failed.len() - FAILED_MAX) as u64, "more job")) " failed." } }
    })
}

/// Where the configuration came from, what rules have left out, and artifacts.
fn more(links: &Links, view: &PipelineView) -> Markup {
    let pipeline = &view.report.pipeline;
    let left_out = pipeline.left_out.as_array().map(Vec::as_slice).unwrap_or_default();
    let text = |value: &serde_json::Value, name: &str| {
        value.get(name).and_then(|it| it.as_str()).map(cleaned).unwrap_or_default()
    };
    html! {
        @if !view.artifacts.is_empty() {
            section class="panel" {
                header { h2 { "Artifacts" } }
                ul class="list plain" {
                    @for (id, name, bytes) in &view.artifacts {
                        li { a href={ (links.job(&pipeline.project, *id)) "/artifacts/browse/" } { span { (foreign(name)) } span class="num" { (words::size(*bytes)) } } }
                    }
                }
            }
        }
        @if !left_out.is_empty() {
            section class="panel" {
                header { h2 { "Left out by rules" } span class="dim" { (count(left_out.len() as u64, "job")) } }
                ul class="list plain" {
                    @for it in left_out { li { span { span { b { (text(it, "name")) } " " (text(it, "why")) } span class="num" { (text(it, "stage")) } } } }
                }
            }
        }
        @if !view.children.is_empty() {
            section class="panel" {
                header { h2 { "Child pipelines" } }
                ul class="list plain" {
                    @for child in &view.children {
                        @let look = states::of_child(child);
                        li { a href=(links.of(None, &format!("pipelines/{}", child.id))) { span { "Pipeline #" (child.id) } (icons::state(look)) } }
                    }
                }
            }
        }
    }
}
