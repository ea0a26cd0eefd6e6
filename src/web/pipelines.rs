//! Lists of pipelines, and the history of a branch.

use super::frame::{Nav, Page, Tab};
use super::links::Links;
use super::live::PageOf;
use super::states::{self, Look};
use super::words::{self, foreign, short_sha};
use super::{Asked, icons};
use crate::coordinator::{HISTORY, History, PipelineLine, PipelineReport, PipelinesOf};
use crate::domain::pipeline::states::PipelineState;
use crate::domain::pipeline::{PipelineId, Source};
use crate::domain::time::Timestamp;
use crate::error::{Error, Result};
use crate::http::router::Places;
use maud::{Markup, html};
use std::sync::Arc;
use std::time::Duration;

/// What a pipeline is called: the title of its commit, its own name, or its only job's.
pub fn title(line: &PipelineReport, alone: Option<&str>) -> String {
    let pipeline = &line.pipeline;
    let of = pipeline.title.as_deref().or(pipeline.name.as_deref()).or(alone);
    of.map_or_else(|| format!("Pipeline #{}", pipeline.id), str::to_owned)
}

/// How a pipeline looks.
pub fn look(report: &PipelineReport) -> Look {
    states::of_pipeline(report.state(), report.has_warnings())
}

/// Why there is a pipeline, and who started it.
pub fn started_by(report: &PipelineReport) -> Markup {
    let source = match report.pipeline.source {
        Source::MergeRequestEvent => "merge request",
        Source::ParentPipeline => "child",
        other @ (Source::Push
        | Source::Schedule
        | Source::Web
        | Source::Api
        | Source::Trigger
        | Source::Pipeline
        | Source::Webide
        | Source::Chat
        | Source::External) => other.as_str(),
    };
    html! { (source) @if let Some(actor) = &report.pipeline.actor { " by " (foreign(actor)) } }
}

/// How long a pipeline took, or takes.
pub fn took(report: &PipelineReport, now: Timestamp) -> Markup {
    match (report.standing.started_at, report.finished_at()) {
        (Some(from), Some(to)) => html! { (words::duration(to.since(from))) },
        (Some(from), None) => words::running(from, now),
        (None, _) => words::nothing(),
    }
}

/// What stands in the place of the stages of a pipeline that has none.
pub const REFUSED: &str = "configuration refused";

/// A list of pipelines, a line each.
pub fn lines(links: &Links, project: Option<&str>, lines: &[PipelineLine], now: Timestamp) -> Markup {
    if lines.is_empty() {
        return html! { p class="dim" { "No pipeline yet." } };
    }
    html! { ul class="rows pipes" { @for line in lines { (row(links, project, line, now)) } } }
}

fn row(links: &Links, project: Option<&str>, line: &PipelineLine, now: Timestamp) -> Markup {
    let (report, pipeline) = (&line.report, &line.report.pipeline);
    let link = links.pipeline(&pipeline.project, pipeline.id);
    let alone = line.alone.as_ref().map(|(_, name)| name.as_str());
    html! {
        li {
            (icons::said(look(report)))
            div class="what" {
                div class="cut-off" { a class="strong" href=(link) { (foreign(&title(report, alone))) } }
                div class="sub" {
                    @if project.is_none() { a href=(links.project(&pipeline.project)) { (foreign(&pipeline.project)) } " · " }
                    a href=(links.branch(&pipeline.project, &pipeline.ref_)) { (foreign(&pipeline.ref_)) }
                    @if let Some(sha) = &pipeline.sha { " · " span class="mono" { (short_sha(sha)) } }
                    " · " span class="num" { "#" (pipeline.id) } " · " (started_by(report))
                }
            }
            span class="stages" {
                @if report.standing.is_refused { span class="sub" { (REFUSED) } }
                @for (name, tally) in &line.stages {
                    @let look = states::of_tally(tally);
                    @let said = format!("{}: {}", words::cleaned(name), look.word);
                    a href=(link) title=(said) { (icons::named(look, &said)) }
                }
            }
            div class="sub num took" { (took(report, now)) }
            div class="sub num when" { (words::ago(pipeline.created_at)) }
        }
    }
}

/// `GET /-/pipelines`, of a project or of all, with `?ref=`, `?status=`, `?source=`, `?before=`.
pub fn page(asked: &Asked, _: &Places<'_>) -> Result<PageOf> {
    let of = PipelinesOf {
        project: asked.project.clone(),
        ref_: asked.parameter("ref"),
        state: asked.parameter("status").map(|word| state(&word)).transpose()?,
        source: asked.parameter("source").map(|word| source(&word)).transpose()?,
        before: asked.parameter("before").map(|id| before(&id)).transpose()?.map(PipelineId),
    };
    Ok(Arc::new(move |web, asked, now| {
        let links = web.links();
        let found = web.coordinator.page_of_pipelines(&of)?;
        let history = match (&of.project, &of.ref_) {
            (Some(project), Some(ref_)) => Some(web.coordinator.history(project, ref_)?),
            _ => None,
        };
        let project = of.project.as_deref();
        let name = of.ref_.as_ref().map_or_else(|| "Pipelines".to_owned(), |ref_| format!("Pipelines of {ref_}"));
        let icon = history.as_ref().and_then(|history| history.pipelines.last()).map(look);
        let mut page = Page::new(Tab { title: name.clone(), icon }, Nav::Pipelines);
        page.is_moving = found.lines.iter().any(|line| !line.report.state().is_at_rest());
        page.crumbs = project.map(|name| (name.to_owned(), Some(links.project(name)))).into_iter().collect();
        page =
            page.with("top-lead", html! { div class="lead" { h1 { (foreign(&name)) } (filters(&links, asked, &of)) } });
        if let Some(history) = &history {
            page = page.with("history", of_branch(&links, history));
        }
        let next = found.next.map(|id| {
            let parameter = |name: &str| asked.parameter(name);
            asked.with(
                &links,
                &[
                    ("ref", parameter("ref")),
                    ("status", parameter("status")),
                    ("source", parameter("source")),
                    ("before", Some(id.0.to_string())),
                ],
            )
        });
        Ok(page.with(
            "pipelines",
            html! {
                section class="panel" {
                    @if found.lines.is_empty() { p class="dim" { (none(web.program(asked), &of, found.next.is_some())) } }
                    @else { (lines(&links, project, &found.lines, now)) }
                }
                (older(next.as_deref()))
            },
        ))
    }))
}

/// A link to the next page of a list.
pub fn older(next: Option<&str>) -> Markup {
    html! { @if let Some(next) = next { p class="pages" { a class="btn" href=(next) rel="next" { "Older" } } } }
}

fn none(program: &str, of: &PipelinesOf, is_cut: bool) -> String {
    let of_branch = of.ref_.as_ref().map(|ref_| format!(" of {}", words::cleaned(ref_))).unwrap_or_default();
    match of.state {
        Some(state) if is_cut => format!("No pipeline{of_branch} among those that were looked at is {}.", word(state)),
        Some(state) => format!("No pipeline{of_branch} is {}.", word(state)),
        None if of.before.is_some() => "There are no older ones.".to_owned(),
        None => format!("No pipeline{of_branch} yet. `{program} run` in a checkout starts one."),
    }
}

fn word(state: PipelineState) -> &'static str {
    states::of_pipeline(state, false).word
}

/// States that one may ask for, each by its word in the address.
const STATES: [PipelineState; 6] = [
    PipelineState::Running,
    PipelineState::Pending,
    PipelineState::Success,
    PipelineState::Failed,
    PipelineState::Canceled,
    PipelineState::Manual,
];

fn filters(links: &Links, asked: &Asked, of: &PipelinesOf) -> Markup {
    let link = |state: Option<PipelineState>| {
        asked.with(
            links,
            &[
                ("ref", of.ref_.clone()),
                ("status", state.map(|state| state.as_str().to_owned())),
                ("source", of.source.map(|source| source.as_str().to_owned())),
            ],
        )
    };
    html! {
        nav class="filters" aria-label="By state" {
            a href=(link(None)) aria-current=[of.state.is_none().then_some("true")] { "all" }
            @for state in STATES {
                a href=(link(Some(state))) aria-current=[(of.state == Some(state)).then_some("true")] { (word(state)) }
            }
        }
    }
}

/// A state by its word, or by ours.
fn state(text: &str) -> Result<PipelineState> {
    let all = STATES.into_iter().chain([
        PipelineState::Created,
        PipelineState::WaitingForResource,
        PipelineState::Scheduled,
        PipelineState::Skipped,
    ]);
    all.into_iter().find(|state| state.as_str() == text || word(*state) == text).ok_or_else(|| {
        let known: Vec<&str> = STATES.iter().map(|state| state.as_str()).collect();
        Error::invalid(format!("no pipeline is ever {:?}; there are {}", words::cleaned(text), known.join(", ")))
    })
}

fn source(text: &str) -> Result<Source> {
    Source::parse(text).ok_or_else(|| {
        let known: Vec<&str> = Source::ALL.iter().map(|source| source.as_str()).collect();
        Error::invalid(format!("no pipeline comes from {:?}; there are {}", words::cleaned(text), known.join(", ")))
    })
}

/// A number behind which a page begins.
pub fn before(text: &str) -> Result<i64> {
    text.parse().map_err(|_| Error::invalid(format!("before must be a number, and is {:?}", words::cleaned(text))))
}

/// How often a branch failed of late.
pub fn history_line(history: &History) -> String {
    match history.failed() {
        (_, 0) => String::new(),
        (0, all) => format!("{all} of {all} passed"),
        (failed, all) => format!("{failed} of {all} failed"),
    }
}

/// A branch's history, drawn: a bar up for success, down for failure, as high as it took long.
pub fn bars(history: &History) -> Markup {
    const STEP: usize = 14;
    let took = |report: &PipelineReport| match (report.standing.started_at, report.finished_at()) {
        (Some(from), Some(to)) => to.since(from),
        _ => Duration::ZERO,
    };
    let longest = history.pipelines.iter().map(took).max().unwrap_or_default().as_millis().max(1);
    let bar = |(index, report): (usize, &PipelineReport)| {
        let height = 3 + u64::try_from(took(report).as_millis() * 12 / longest).unwrap_or(12);
        let x = index * STEP + 1;
        let (class, y, height) = match report.state() {
            PipelineState::Success => ("u", 16 - height, height),
            PipelineState::Failed => ("d", 18, height),
            PipelineState::Running | PipelineState::Pending => ("r", 12, 10),
            PipelineState::Created
            | PipelineState::WaitingForResource
            | PipelineState::Scheduled
            | PipelineState::Manual
            | PipelineState::Canceled
            | PipelineState::Skipped => ("n", 15, 4),
        };
        html! { rect class=(class) x=(x) y=(y) width=(STEP - 4) height=(height) rx="1" {} }
    };
    let (failed, all) = history.failed();
    let said = format!("{} passed, {failed} failed, the newest at the right", all - failed);
    html! {
        svg class="hist" viewBox={ "0 0 " (HISTORY * STEP) " 34" } preserveAspectRatio="none" role="img" aria-label=(said) {
            line class="base" x1="0" y1="17" x2=(HISTORY * STEP) y2="17" {}
            @for it in history.pipelines.iter().enumerate() { (bar(it)) }
        }
    }
}

fn of_branch(links: &Links, history: &History) -> Markup {
    let passed = history.pipelines.iter().rev().find(|report| report.state() == PipelineState::Success);
    html! {
        section class="panel" {
            header { h2 { "The last " (history.pipelines.len()) } span class="dim" { "up passed, down failed; the height is the time" } }
            div class="branch" {
                (bars(history))
                p class="dim" {
                    (history_line(history))
                    @match passed {
                        Some(report) => {
                            "; it last passed with "
                            a href=(links.pipeline(&report.pipeline.project, report.pipeline.id)) { "#" (report.pipeline.id) }
                            " " (words::ago(report.pipeline.created_at)) "."
                        }
                        None => "; none of these passed.",
                    }
                }
            }
        }
    }
}
