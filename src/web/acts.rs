//! What the buttons do: each is a POST to the page's own address plus a verb, and leads to the result.
//!
//! What must stay true: a button does what the command line does, by the same deed, and who pressed it is written down.
//! Pressed twice it does once: what is done already is refused with the sentence that the command line says.

use super::frame::{Nav, Page, SharedWeb, Tab, button};
use super::live::PageOf;
use super::session::see;
use super::words::{cleaned, foreign};
use super::{Asked, job, pipeline, runners};
use crate::domain::act::Act;
use crate::domain::build::BuildId;
use crate::domain::time::Timestamp;
use crate::error::Result;
use crate::http::router::Places;
use crate::http::{Answer, Request};
use maud::html;
use std::sync::Arc;

/// Who has pressed the button.
fn actor(asked: &Asked) -> String {
    asked.reader.session().map(|session| session.name.clone()).unwrap_or_default()
}

/// Does `deed` to the job that the path names, and leads to the job that it answers.
fn to_job(
    web: &SharedWeb,
    asked: &Asked,
    places: &Places<'_>,
    now: Timestamp,
    act: Act,
    deed: impl FnOnce(BuildId) -> Result<BuildId>,
) -> Result<Answer> {
    let id = job::id(places)?;
    // Of this project, as the path says.
    let view = job::view(web, asked, id, now)?;
    let project = view.report.build.project;
    match deed(id) {
        Ok(to) => {
            web.coordinator.note_acts(&[id], act, &actor(asked), now)?;
            Ok(see(&web.links().job(&project, to)).into())
        }
        Err(error) => {
            let asked = Asked { path: before_verb(&asked.path), query: String::new(), ..asked.clone() };
            Ok(web.refused(&asked, &job::page(&asked, places)?, &error, now).into())
        }
    }
}

/// The address of the page on which a button stands.
fn before_verb(path: &str) -> String {
    path.rsplit_once('/').map_or_else(|| path.to_owned(), |(page, _)| page.to_owned())
}

/// `POST .../jobs/:id/retry`.
pub fn retry(
    web: &SharedWeb,
    _: &mut Request<'_>,
    asked: &Asked,
    places: &Places<'_>,
    now: Timestamp,
) -> Result<Answer> {
    to_job(web, asked, places, now, Act::Retry, |id| web.coordinator.retry_build(id, now))
}

/// `POST .../jobs/:id/cancel`.
pub fn cancel(
    web: &SharedWeb,
    _: &mut Request<'_>,
    asked: &Asked,
    places: &Places<'_>,
    now: Timestamp,
) -> Result<Answer> {
    to_job(web, asked, places, now, Act::Cancel, |id| web.coordinator.cancel_build(id, now).map(|_| id))
}

/// `POST .../jobs/:id/play`.
pub fn play(
    web: &SharedWeb,
    _: &mut Request<'_>,
    asked: &Asked,
    places: &Places<'_>,
    now: Timestamp,
) -> Result<Answer> {
    to_job(web, asked, places, now, Act::Play, |id| web.coordinator.play_build(id, now).map(|()| id))
}

/// `POST .../jobs/:id/erase`.
pub fn erase(
    web: &SharedWeb,
    _: &mut Request<'_>,
    asked: &Asked,
    places: &Places<'_>,
    now: Timestamp,
) -> Result<Answer> {
    to_job(web, asked, places, now, Act::Erase, |id| web.coordinator.erase_build(id, now).map(|()| id))
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

/// Does `deed` to the pipeline that the path names.
fn to_pipeline(
    web: &SharedWeb,
    asked: &Asked,
    places: &Places<'_>,
    now: Timestamp,
    deed: impl FnOnce() -> Result<(Vec<BuildId>, Act)>,
) -> Result<Answer> {
    let id = pipeline::id(places)?;
    let project = pipeline::view(web, asked, id)?.report.pipeline.project;
    match deed() {
        Ok((ids, act)) => {
            web.coordinator.note_acts(&ids, act, &actor(asked), now)?;
            Ok(see(&web.links().pipeline(&project, id)).into())
        }
        Err(error) => {
            let asked = Asked { path: before_verb(&asked.path), query: String::new(), ..asked.clone() };
            Ok(web.refused(&asked, &pipeline::page(&asked, places)?, &error, now).into())
        }
    }
}

/// `POST .../pipelines/:id/retry`.
pub fn retry_pipeline(
    web: &SharedWeb,
    _: &mut Request<'_>,
    asked: &Asked,
    places: &Places<'_>,
    now: Timestamp,
) -> Result<Answer> {
    let id = pipeline::id(places)?;
    to_pipeline(web, asked, places, now, || Ok((web.coordinator.retry_pipeline(id, now)?, Act::Retry)))
}

/// `POST .../pipelines/:id/cancel`.
pub fn cancel_pipeline(
    web: &SharedWeb,
    _: &mut Request<'_>,
    asked: &Asked,
    places: &Places<'_>,
    now: Timestamp,
) -> Result<Answer> {
    let id = pipeline::id(places)?;
    to_pipeline(web, asked, places, now, || {
        let open = |row: &&crate::store::job_rows::JobRow| !row.status.is_finished() && row.retried_by.is_none();
        let ids = web.coordinator.pipeline_rows(id)?.iter().filter(open).map(|row| row.id).collect();
        web.coordinator.cancel_pipeline(id, now)?;
        Ok((ids, Act::Cancel))
    })
}

/// `POST /-/runners/:id/pause`.
pub fn pause(web: &SharedWeb, _: &mut Request<'_>, asked: &Asked, places: &Places<'_>, _: Timestamp) -> Result<Answer> {
    set_paused(web, asked, places, true)
}

/// `POST /-/runners/:id/resume`.
pub fn resume(
    web: &SharedWeb,
    _: &mut Request<'_>,
    asked: &Asked,
    places: &Places<'_>,
    _: Timestamp,
) -> Result<Answer> {
    set_paused(web, asked, places, false)
}

fn set_paused(web: &SharedWeb, asked: &Asked, places: &Places<'_>, is_paused: bool) -> Result<Answer> {
    let id = runners::id(places)?;
    web.coordinator.pause_runner(id, is_paused)?;
    log::info!("runner {id} was {} by {:?}", if is_paused { "paused" } else { "resumed" }, actor(asked));
    Ok(see(&web.links().site("/-/runners")).into())
}
