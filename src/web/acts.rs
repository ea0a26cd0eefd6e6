//! What the buttons do: each is a POST to the page's own address plus a verb, and leads to the result.
//!
//! What must stay true: a button does what the command line does, by the same deed, and who pressed it is written down.
//! Pressed twice it does once: what is done already is refused with the sentence that the command line says.

use super::frame::{Nav, Page, Tab, button};
use super::live::PageOf;
use super::session::see;
use super::words::{cleaned, foreign};
use super::{Asked, Visit, job, pipeline, runners};
use crate::coordinator::Coordinator;
use crate::domain::act::Act;
use crate::domain::build::BuildId;
use crate::domain::pipeline::PipelineId;
use crate::domain::time::Timestamp;
use crate::error::Result;
use crate::http::Answer;
use crate::http::router::Places;
use crate::store::job_rows::JobRow;
use maud::html;
use std::sync::Arc;

/// Who has pressed the button.
fn actor(asked: &Asked) -> String {
    asked.reader.session().map(|session| session.name.clone()).unwrap_or_default()
}

/// What comes of a button: `to` is where a deed leads that did `act` to these builds. One that was refused leads to the page
/// `of`, on which the button stands, with the reason.
fn pressed(visit: &Visit<'_, '_>, act: Act, done: Result<(Vec<BuildId>, String)>, of: &PageOf) -> Result<Answer> {
    let (web, asked, now) = (visit.web, visit.asked, visit.now);
    match done {
        Ok((ids, to)) => {
            web.coordinator.note_acts(&ids, act, &actor(asked), now)?;
            Ok(see(&to).into())
        }
        Err(error) => {
            let path = asked.path.rsplit_once('/').map_or(asked.path.as_str(), |(page, _)| page).to_owned();
            let asked = Asked { path, query: String::new(), ..asked.clone() };
            Ok(web.refused(&asked, of, &error, now).into())
        }
    }
}

/// Does `deed` to the job that the path names, and leads to the job that it answers.
fn to_job(
    visit: &Visit<'_, '_>,
    act: Act,
    deed: impl FnOnce(&Coordinator, BuildId, Timestamp) -> Result<BuildId>,
) -> Result<Answer> {
    let (web, (id, project)) = (visit.web, job::own(visit)?);
    let done = deed(&web.coordinator, id, visit.now).map(|to| (vec![id], web.links().job(&project, to)));
    pressed(visit, act, done, &job::page(visit.asked, visit.places)?)
}

/// `POST .../jobs/:id/retry`.
pub fn retry(visit: &mut Visit<'_, '_>) -> Result<Answer> {
    to_job(visit, Act::Retry, Coordinator::retry_build)
}

/// `POST .../jobs/:id/cancel`.
pub fn cancel(visit: &mut Visit<'_, '_>) -> Result<Answer> {
    to_job(visit, Act::Cancel, |coordinator, id, now| coordinator.cancel_build(id, now).map(|_| id))
}

/// `POST .../jobs/:id/play`.
pub fn play(visit: &mut Visit<'_, '_>) -> Result<Answer> {
    to_job(visit, Act::Play, |coordinator, id, now| coordinator.play_build(id, now).map(|()| id))
}

/// `POST .../jobs/:id/erase`.
pub fn erase(visit: &mut Visit<'_, '_>) -> Result<Answer> {
    to_job(visit, Act::Erase, |coordinator, id, now| coordinator.erase_build(id, now).map(|()| id))
}

/// A page that asks before something is done that cannot be taken back, or that its configuration wants asked.
fn question(places: &Places<'_>, verb: &'static str, word: &'static str, says: fn(&str) -> String) -> Result<PageOf> {
    let id = job::id(places)?;
    Ok(Arc::new(move |web, asked, now| {
        let view = job::view(web, asked, id, now)?;
        let (links, build) = (web.links(), &view.report.build);
        let said = match &view.about.manual_confirmation {
            Some(asks) if verb == "play" => cleaned(asks),
            _ => says(&build.name),
        };
        let mut page = Page::new(Tab::titled(format!("{word} {}", build.name)), Nav::Jobs);
        page.crumbs = job::crumbs(&links, &view, false);
        Ok(page.with(
            "question",
            html! {
                div class="lead" { h1 { (word) " " (foreign(&build.name)) } }
                section class="panel narrow" {
                    p { (foreign(&said)) }
                    div class="acts pad" {
                        (button(&format!("{}/{verb}", links.job(&build.project, id)), "main", "", html! { (word) }))
                        a class="btn" href=(links.job(&build.project, id)) { "Back" }
                    }
                }
            },
        ))
    }))
}

/// `GET .../jobs/:id/erase`.
pub fn ask_erase(_: &Asked, places: &Places<'_>) -> Result<PageOf> {
    question(places, "erase", "Erase", |name| {
        format!("The log and the artifacts of {name} are removed for good. The job stays listed.")
    })
}

/// `GET .../jobs/:id/play`.
pub fn ask_play(_: &Asked, places: &Places<'_>) -> Result<PageOf> {
    question(places, "play", "Play", |name| format!("{name} starts."))
}

/// Does `deed` to the pipeline that the path names, and leads back to it. The deed answers the builds that it was done to.
fn to_pipeline(
    visit: &Visit<'_, '_>,
    act: Act,
    deed: impl FnOnce(&Coordinator, PipelineId, Timestamp) -> Result<Vec<BuildId>>,
) -> Result<Answer> {
    let (web, (id, project)) = (visit.web, pipeline::own(visit)?);
    let done = deed(&web.coordinator, id, visit.now).map(|ids| (ids, web.links().pipeline(&project, id)));
    pressed(visit, act, done, &pipeline::page(visit.asked, visit.places)?)
}

/// `POST .../pipelines/:id/retry`.
pub fn retry_pipeline(visit: &mut Visit<'_, '_>) -> Result<Answer> {
    to_pipeline(visit, Act::Retry, Coordinator::retry_pipeline)
}

/// `POST .../pipelines/:id/cancel`.
pub fn cancel_pipeline(visit: &mut Visit<'_, '_>) -> Result<Answer> {
    to_pipeline(visit, Act::Cancel, |coordinator, id, now| {
        let open = |row: &&JobRow| !row.status.is_finished() && row.retried_by.is_none();
        let ids = coordinator.pipeline_rows(id)?.iter().filter(open).map(|row| row.id).collect();
        coordinator.cancel_pipeline(id, now)?;
        Ok(ids)
    })
}

/// `POST /-/runners/:id/pause`.
pub fn pause(visit: &mut Visit<'_, '_>) -> Result<Answer> {
    set_paused(visit, true)
}

/// `POST /-/runners/:id/resume`.
pub fn resume(visit: &mut Visit<'_, '_>) -> Result<Answer> {
    set_paused(visit, false)
}

fn set_paused(visit: &Visit<'_, '_>, is_paused: bool) -> Result<Answer> {
    let (web, id) = (visit.web, runners::id(visit.places)?);
    web.coordinator.pause_runner(id, is_paused)?;
    log::info!("runner {id} was {} by {:?}", if is_paused { "paused" } else { "resumed" }, actor(visit.asked));
    Ok(see(&web.links().site("/-/runners")).into())
}
