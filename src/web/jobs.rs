//! Lists of jobs.

use super::frame::{Nav, Page, Tab};
use super::live::PageOf;
use super::pipelines::{before, older};
use super::words::{self, cleaned, foreign, runner, short_sha};
use super::{Asked, icons, states};
use crate::coordinator::BuildReport;
use crate::domain::build::{BuildId, Status};
use crate::domain::time::Timestamp;
use crate::error::{Error, Result};
use crate::http::router::Places;
use maud::{Markup, html};
use std::sync::Arc;

/// `GET /-/jobs`, of a project or of all, with `?status=` and `?before=`.
pub fn page(asked: &Asked, _: &Places<'_>) -> Result<PageOf> {
    let project = asked.project.clone();
    let status = asked.parameter("status").map(|word| status(&word)).transpose()?;
    let older_than = asked.parameter("before").map(|id| before(&id)).transpose()?.map(BuildId);
    Ok(Arc::new(move |web, asked, now| {
        let links = web.links();
        let (reports, next) = web.coordinator.page_of_jobs(project.as_deref(), status, older_than, now)?;
        let icon = None;
        let mut page = Page::new(Tab { title: "Jobs".to_owned(), icon }, Nav::Jobs);
        page.is_moving = reports.iter().any(|report| !report.build.status.is_finished());
        page.crumbs = project.iter().map(|name| (name.clone(), Some(links.project(name)))).collect();
        page = page.with("top-lead", html! { div class="lead" { h1 { "Jobs" } (filters(&links, asked, status)) } });
        let next = next
            .map(|id| asked.with(&links, &[("status", asked.parameter("status")), ("before", Some(id.0.to_string()))]));
        Ok(page.with("jobs", html! {
            section class="panel" {
                @if reports.is_empty() {
                    p class="dim" { @match status { Some(status) => { "No job is " (word(status)) "." }, None => "No job yet." } }
                } @else {
                    ul class="rows jobs" { @for report in &reports { (row(&links, asked, report, now)) } }
                }
            }
            (older(next.as_deref()))
        }))
    }))
}

fn row(links: &super::links::Links, asked: &Asked, report: &BuildReport, now: Timestamp) -> Markup {
    let build = &report.build;
    let time = match (build.started_at, build.finished_at) {
        (Some(from), Some(to)) => html! { (words::duration(to.since(from))) },
        (Some(from), None) => words::running(from, now),
        (None, _) => words::nothing(),
    };
    html! {
        li {
            (icons::said(states::of_build(build)))
            div class="what" {
                a href=(links.job(&build.project, build.id)) { (foreign(&build.name)) } " " span class="sub num" { "#" (build.id) } " "
                span class="sub" {
                    @if asked.project.is_none() { a href=(links.project(&build.project)) { (foreign(&build.project)) } " · " }
                    a href=(links.branch(&build.project, &build.ref_)) { (foreign(&build.ref_)) }
                    @if let Some(sha) = &build.sha { " · " span class="mono" { (short_sha(sha)) } }
                    @if let Some(id) = build.pipeline_id { " · " a href=(links.pipeline(&build.project, id)) { "pipeline #" (id) } }
                    @if let Some((id, name)) = &build.runner { " · on " a href=(links.runner(*id)) { (runner(*id, name)) } }
                }
                @if let Some(reason) = &report.pending_reason { div class="sub" { (foreign(&words::sentence(reason))) } }
            }
            div class="sub num took" { (time) }
            div class="sub num when" { (words::ago(build.created_at)) }
        }
    }
}

fn word(status: Status) -> &'static str {
    states::of_status(status, false).word
}

/// States that one may ask for.
const STATES: [Status; 7] = [
    Status::Running,
    Status::Pending,
    Status::Success,
    Status::Failed,
    Status::Canceled,
    Status::Manual,
    Status::Skipped,
];

fn filters(links: &super::links::Links, asked: &Asked, now: Option<Status>) -> Markup {
    let link = |status: Option<Status>| asked.with(links, &[("status", status.map(|it| it.as_str().to_owned()))]);
    html! {
        nav class="filters" aria-label="By state" {
            a href=(link(None)) aria-current=[now.is_none().then_some("true")] { "all" }
            @for status in STATES {
                a href=(link(Some(status))) aria-current=[(now == Some(status)).then_some("true")] { (word(status)) }
            }
        }
    }
}

fn status(text: &str) -> Result<Status> {
    let found = Status::ALL.into_iter().find(|status| status.as_str() == text || word(*status) == text);
    found.ok_or_else(|| {
        let known: Vec<&str> = STATES.iter().map(|status| status.as_str()).collect();
        Error::invalid(format!("no job is ever {:?}; there are {}", cleaned(text), known.join(", ")))
    })
}
