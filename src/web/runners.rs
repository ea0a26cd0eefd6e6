//! Runners: whether they can be counted on, what they take, what they run and ran.

use super::frame::{Nav, Page, Tab, button};
use super::links::Links;
use super::live::PageOf;
use super::words::{self, cleaned, count, foreign, so_many};
use super::{Asked, Visit, icons, states};
use crate::coordinator::RunnerLine;
use crate::domain::build::{Build, BuildId, Status};
use crate::domain::first_steps::register_line;
use crate::domain::runner::{RunnerId, RunnerState};
use crate::domain::time::Timestamp;
use crate::error::{Error, Result};
use crate::http::Answer;
use crate::http::router::Places;
use crate::store::runners::NewRunner;
use maud::{Markup, html};
use std::collections::HashMap;
use std::sync::Arc;

/// Runners in a short list.
pub const SHORT_LIST: usize = 12;
/// Runners on the page.
const LIST_MAX: usize = 500;
/// Jobs that are named of each.
const NAMED_MAX: usize = 5;

/// The runner that the path names.
pub fn id(places: &Places<'_>) -> Result<RunnerId> {
    places.numbers.first().map(|id| RunnerId(*id)).ok_or_else(|| Error::not_found(""))
}

/// `GET /-/runners`.
pub fn page() -> Result<PageOf> {
    Ok(Arc::new(|web, asked, now| {
        let seen = web.coordinator.view_runners(now)?;
        let lines = &seen.lines;
        let running: Vec<BuildId> =
            lines.iter().flat_map(|line| line.at_work.builds.iter().take(NAMED_MAX).map(|build| build.id)).collect();
        let names = names(web.coordinator.builds_of(&running, now)?);
        let links = web.links();
        let online = lines.iter().filter(|line| line.at_work.state(now) == RunnerState::Online).count();
        let mut page = Page::new(Tab::titled("Runners"), Nav::Runners);
        page.is_moving = !running.is_empty();
        page = page.with("top-lead", html! {
            div class="lead" {
                h1 { "Runners" }
                p {
                    b { (online) } " of " (lines.len()) (if online == 1 { " is online. " } else { " are online. " })
                    (so_many(seen.running_count, "job runs", "jobs run")) ", " (so_many(seen.waiting_count, "waits", "wait")) "."
                }
            }
        });
        let is_any_stuck = !seen.stuck.is_empty() && !lines.is_empty();
        page = page.with_any("top-stuck", is_any_stuck.then(|| html! {
                @for report in seen.stuck.iter().take(NAMED_MAX) {
                    p class="note wait" {
                        (icons::silent(states::of_build(&report.build)))
                        span {
                            strong { a href=(links.job(&report.build.project, report.build.id)) { (foreign(&report.build.name)) " #" (report.build.id) } " can be taken by none of them." }
                            " " (foreign(&words::sentence(report.pending_reason.as_deref().unwrap_or_default())))
                        }
                    }
                }
        }));
        page = page.with("runners", html! {
            section class="panel" {
                @if lines.is_empty() { p class="dim" { "No runner yet." } } @else { (table(&links, asked, lines, &names, now)) }
            }
        });
        Ok(page.with("add", how(web, asked)))
    }))
}

fn names(builds: Vec<Build>) -> HashMap<BuildId, Build> {
    builds.into_iter().map(|build| (build.id, build)).collect()
}

fn how(web: &super::Web, asked: &Asked) -> Markup {
    html! {
        section class="panel" {
            header { h2 { "Add a runner" } }
            p { "On a machine that has GitLab Runner, and may read Baton's data:" }
            pre class="cmd" { (register_line(&web.url(asked), web.program(asked))) "\ngitlab-runner run" }
            @if asked.reader.may_act() {
                p { "For another machine, make a token here; it is shown once." }
                div class="acts pad" { (button(&web.links().site("/-/runners"), "", "", html! { "Make a token" })) }
            }
        }
    }
}

fn table(
    links: &Links,
    asked: &Asked,
    lines: &[RunnerLine],
    names: &HashMap<BuildId, Build>,
    now: Timestamp,
) -> Markup {
    html! {
        table class="t" {
            caption class="sr" { "Runners, their state, and what they run" }
            thead { tr { th { "Runner" } th { "State" } th { "Takes" } th { "Runs" } th { "Last 20 jobs" } th { "Version" } th { span class="sr" { "Actions" } } } }
            tbody { @for line in lines.iter().take(LIST_MAX) { (row(links, asked, line, names, now)) } }
        }
        @if lines.len() > LIST_MAX { p class="dim" { (count((lines.len() - LIST_MAX) as u64, "runner")) " more: " code { "baton runner list" } } }
    }
}

fn row(links: &Links, asked: &Asked, line: &RunnerLine, names: &HashMap<BuildId, Build>, now: Timestamp) -> Markup {
    let (runner, look) = (&line.at_work.runner, states::of_runner(line.at_work.state(now)));
    html! {
        tr {
            td {
                a class="strong" href=(links.runner(runner.id.0)) { (words::runner(runner.id.0, &runner.description)) } " " span class="small num" { "#" (runner.id) }
                div class="small" { @match &runner.project { Some((_, name)) => { "only " (foreign(name)) }, None => "shared" } }
            }
            td { (icons::state(look)) div class="small num" { (called(line)) } }
            td class="wide" data-h="Takes" { (takes(line)) }
            td class="wide" data-h="Runs" { (runs(links, line, names)) }
            td class="wide" { (beads(line)) }
            td class="wide" { (version(line)) }
            td { @if asked.reader.may_act() { (pause(links, line)) } }
        }
    }
}

fn called(line: &RunnerLine) -> Markup {
    html! { @match line.at_work.called_at() { Some(at) => (words::ago(at)), None => "never" } }
}

fn takes(line: &RunnerLine) -> Markup {
    let runner = &line.at_work.runner;
    html! {
        @if !runner.tags.is_empty() { span class="tags" { @for tag in runner.tags.as_slice() { span class="tag" { (cleaned(tag)) } } } }
        div class="small" {
            @match (runner.run_untagged, runner.tags.is_empty()) { (true, true) => "jobs without tags", (true, false) => "and jobs without tags", (false, _) => "only jobs with a tag" }
        }
    }
}

fn runs(links: &Links, line: &RunnerLine, names: &HashMap<BuildId, Build>) -> Markup {
    html! {
        @for it in line.at_work.builds.iter().take(NAMED_MAX) {
            @if let Some(build) = names.get(&it.id) {
                a href=(links.job(&build.project, build.id)) { (foreign(&build.name)) " " span class="num" { "#" (build.id) } } " "
            }
        }
        @if line.at_work.builds.is_empty() { span class="small" { "nothing" } }
        @else if line.at_work.builds.len() > NAMED_MAX { div class="small num" { (line.at_work.builds.len()) " in all" } }
    }
}

fn beads(line: &RunnerLine) -> Markup {
    let of = |status| line.last.iter().filter(|(_, own)| *own == status).count();
    let said = format!("{} passed, {} failed", of(Status::Success), of(Status::Failed));
    html! {
        @if line.last.is_empty() { span class="small" { "none yet" } }
        @else { span class="beads" role="img" aria-label=(said) { @for (_, status) in &line.last { (icons::silent(states::of_status(*status, false))) } } }
    }
}

fn version(line: &RunnerLine) -> Markup {
    let info = &line.at_work.runner.info;
    let of = |field: &str| info.get(field).map(cleaned).filter(|it| !it.is_empty());
    let machine: Vec<String> = [of("platform"), of("architecture")].into_iter().flatten().collect();
    let beside: Vec<String> =
        [Some(machine.join("/")).filter(|it| !it.is_empty()), of("executor")].into_iter().flatten().collect();
    html! {
        span class="num" { (of("version").unwrap_or_default()) }
        div class="small" { (beside.join(", ")) }
        @if line.managers.len() > 1 { div class="small num" { (line.managers.len()) " machines" } }
    }
}

fn pause(links: &Links, line: &RunnerLine) -> Markup {
    let runner = &line.at_work.runner;
    let (verb, word) = if runner.paused { ("resume", "Resume") } else { ("pause", "Pause") };
    let label = format!("{word} {}", words::runner_text(runner.id.0, &runner.description));
    button(&format!("{}/{verb}", links.runner(runner.id.0)), "", &label, html! { (word) })
}

/// `GET /-/runners/:id`.
pub fn one(_: &Asked, places: &Places<'_>) -> Result<PageOf> {
    let id = id(places)?;
    Ok(Arc::new(move |web, asked, now| {
        let removed = || Error::not_found(format!("there is no runner #{id}, or it was removed"));
        let line = web.coordinator.view_runner(id)?.ok_or_else(removed)?;
        let ids: Vec<BuildId> = line.last.iter().rev().map(|(id, _)| *id).collect();
        let builds = web.coordinator.builds_of(&ids, now)?;
        let links = web.links();
        let runner = &line.at_work.runner;
        let look = states::of_runner(line.at_work.state(now));
        let mut page = Page::new(
            Tab::titled(format!("{} {}", words::runner_text(runner.id.0, &runner.description), look.word)),
            Nav::Runners,
        );
        page.is_moving = !line.at_work.builds.is_empty();
        page.crumbs = vec![("Runners".to_owned(), Some(links.site("/-/runners"))), (format!("Runner #{id}"), None)];
        page = page.with("top-head", html! {
            div class="head" {
                div {
                    h1 { span role="status" { (icons::state(look)) } " " (words::runner(runner.id.0, &runner.description)) }
                    div class="facts" { span { "last heard " (called(&line)) } span { (version(&line)) } @if let Some(address) = &runner.address { span class="mono" { (cleaned(address)) } } }
                }
                div class="acts" { @if asked.reader.may_act() { (pause(&links, &line)) } }
            }
        });
        page = page.with("jobs", html! {
            section class="panel" {
                header { h2 { "Last jobs" } span class="dim" { (lost(&builds)) } }
                @if builds.is_empty() { p class="dim" { "It ran nothing of late." } }
                @else { ul class="list" { @for build in &builds { li {
                    a href=(links.job(&build.project, build.id)) {
                        (icons::said(states::of_build(build)))
                        span class="cut-off" { (foreign(&build.name)) " " span class="dim" { (foreign(&build.project)) " · " (foreign(&build.ref_)) } }
                        span class="num" { "#" (build.id) }
                    }
                } } } }
            }
        });
        Ok(page.beside("facts", html! {
            section class="panel" {
                header { h2 { "Takes" } }
                div class="pad" { (takes(&line)) }
                @if !runner.maintenance_note.is_empty() { p class="dim" { (foreign(&runner.maintenance_note)) } }
            }
            @if !line.managers.is_empty() {
                section class="panel" {
                    header { h2 { "Machines" } }
                    ul class="list plain" { @for manager in line.managers.iter().take(SHORT_LIST) { li { span { span class="mono" { (cleaned(manager.system_id.as_str())) } span class="num" { (words::ago(manager.contacted_at)) } } } } }
                }
            }
        }))
    }))
}

/// How many of these were lost with it.
fn lost(builds: &[Build]) -> String {
    use crate::domain::build::FailureReason;
    let lost = builds.iter().filter(|build| build.failure_reason == Some(FailureReason::RunnerLost)).count();
    format!("{lost} of {} were lost", builds.len())
}

/// `POST /-/runners`: makes a runner, and shows its token, this once.
pub fn add(visit: &mut Visit<'_, '_>) -> Result<Answer> {
    let (web, asked, now) = (visit.web, visit.asked, visit.now);
    let name = asked.reader.session().map(|session| session.name.clone()).unwrap_or_default();
    let new = NewRunner { run_untagged: true, description: format!("made by {name}"), ..NewRunner::default() };
    let made = web.coordinator.add_runner(new, None, now)?;
    log::info!("runner {} was made by {name:?} on the page", made.id);
    let line = format!(
        "gitlab-runner register --non-interactive --executor shell --url {} --token {}",
        web.url(asked),
        made.token.reveal()
    );
    let page = Page::new(Tab::titled("A new runner"), Nav::Runners).with(
        "token",
        html! {
            div class="lead" { h1 { "Runner #" (made.id) } p { "Its token is shown this once." } }
            section class="panel" {
                p { "On its machine:" }
                pre class="cmd" { (line) "\ngitlab-runner run" }
                p { a href=(web.links().site("/-/runners")) { "To the runners" } }
            }
        },
    );
    Ok(web.page_response(asked, 200, &page).into())
}
