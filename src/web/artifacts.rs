//! What a job uploaded: the folders of its archive, and a file to look at.
//!
//! What must stay true: names and contents are the build's: the ones are cleaned, the others are shown as text, or as a
//! picture that the browser loads by itself, and never as a page.

use super::frame::{Nav, Page, Tab};
use super::links::{Links, encoded};
use super::live::PageOf;
use super::words::{self, at, cleaned, count, foreign, number, size};
use super::{Asked, Web, job, raw};
use crate::coordinator::JobView;
use crate::domain::archive::{FolderPage, Item, ItemKind};
use crate::domain::build::ArtifactsFile;
use crate::domain::time::Timestamp;
use crate::domain::token::hex;
use crate::error::{Error, Kind, Result};
use crate::http::router::Places;
use maud::{Markup, html};
use std::io::Read;
use std::sync::Arc;

/// Bytes of a text that is shown.
const TEXT_BYTES_MAX: u64 = 1 << 20;

/// Lines of a text that are shown.
const TEXT_LINES_MAX: usize = 10_000;

/// `GET /PROJECT/-/jobs/:id/artifacts/browse/*path`.
pub fn folder(asked: &Asked, places: &Places<'_>) -> Result<PageOf> {
    let (id, path, after) = (job::id(places)?, raw::path(places)?, asked.parameter("after"));
    Ok(Arc::new(move |web, asked, now| {
        let view = job::view(web, asked, id, now)?;
        let links = web.links();
        let place = Place { links: &links, asked, view: &view, path: &path };
        let shown = match web.coordinator.archive_folder(id, &path, after.as_deref(), now) {
            Ok((folder, artifacts)) => place.folder(&folder, &artifacts),
            Err(error) => place.without(&error)?,
        };
        Ok(place.page("Artifacts", shown))
    }))
}

/// `GET /PROJECT/-/jobs/:id/artifacts/file/*path`.
pub fn file(_: &Asked, places: &Places<'_>) -> Result<PageOf> {
    let (id, path) = (job::id(places)?, raw::path(places)?);
    Ok(Arc::new(move |web, asked, now| {
        let view = job::view(web, asked, id, now)?;
        let links = web.links();
        let place = Place { links: &links, asked, view: &view, path: &path };
        let shown = place.file(web, now)?;
        Ok(place.page(&path, shown))
    }))
}

/// Where in a job's archive.
struct Place<'a> {
    links: &'a Links,
    asked: &'a Asked,
    view: &'a JobView,
    path: &'a str,
}

impl Place<'_> {
    fn page(&self, title: &str, shown: Markup) -> Page {
        let build = &self.view.report.build;
        let title = format!("{title} of {} #{} · {}", build.name, build.id, build.project);
        let mut page = Page::new(Tab::titled(title), Nav::Jobs);
        page.crumbs = job::crumbs(self.links, self.view, false);
        page.crumbs.push(("Artifacts".to_owned(), (!self.path.is_empty()).then(|| self.link("browse", ""))));
        page.with("artifacts", shown)
    }

    fn link(&self, verb: &str, path: &str) -> String {
        let build = &self.view.report.build;
        format!("{}/artifacts/{verb}/{}", self.links.job(&build.project, build.id), encoded(path))
    }

    /// A path below this one.
    fn below(&self, name: &str) -> String {
        let folder = self.path.trim_matches('/');
        if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
    }

    fn download(&self) -> Markup {
        let link = self.link("download", "");
        html! {
            @if self.asked.reader.may_act() {
                div class="acts" { a class="btn main" href=(link.trim_end_matches('/')) { "Download all" } }
            }
        }
    }

    /// What is said in place of a folder that cannot be shown.
    fn without(&self, error: &Error) -> Result<Markup> {
        let archive = self.view.report.build.artifacts.as_ref();
        let said = match (error.kind, archive) {
            (Kind::Conflict, Some(_)) => words::sentence(&error.message),
            (Kind::NotFound, None) if self.path.is_empty() => {
                "This job uploaded nothing, or it has expired.".to_owned()
            }
            _ => return Err(error.clone()),
        };
        Ok(html! {
            div class="head" { div { h1 { "Artifacts of " (foreign(&self.view.report.build.name)) } } (self.download()) }
            section class="panel narrow" { p { (cleaned(&said)) } }
        })
    }

    fn folder(&self, page: &FolderPage, artifacts: &ArtifactsFile) -> Markup {
        html! {
            div class="head" {
                div {
                    h1 { "Artifacts of " (foreign(&self.view.report.build.name)) }
                    div class="facts" {
                        span { (size(page.bytes)) " in " (count(page.files, "file")) }
                        @if let Some(until) = artifacts.expire_at { span { "kept until " (at(until)) } }
                        @if page.hidden > 0 { span { (count(page.hidden, "name")) " led out of the archive" } }
                        span class="mono" { "sha256 " (hex(&artifacts.sha256)) }
                    }
                }
                (self.download())
            }
            section class="panel" {
                header { h2 class="mono" { (self.steps(artifacts)) } }
                table class="t files" {
                    thead { tr { th { "Name" } th { "Size" } th { "Changed" } } }
                    tbody {
                        @if let Some((above, _)) = self.path.trim_matches('/').rsplit_once('/') {
                            tr { td class="mono" { a href=(self.link("browse", above)) { ".." } } td {} td {} }
                        } @else if !self.path.trim_matches('/').is_empty() {
                            tr { td class="mono" { a href=(self.link("browse", "")) { ".." } } td {} td {} }
                        }
                        @for item in &page.items { (self.row(item)) }
                    }
                }
                @if page.items.is_empty() { p { "There is nothing in it." } }
                @if let Some(next) = &page.next {
                    p { a href=(self.asked.with(self.links, &[("after", Some(next.clone()))])) { "The next ones" } }
                }
            }
        }
    }

    /// The archive's name and the folders down to this one.
    fn steps(&self, artifacts: &ArtifactsFile) -> Markup {
        let parts: Vec<&str> = self.path.split('/').filter(|part| !part.is_empty()).collect();
        let upto = |count: usize| parts.iter().take(count + 1).copied().collect::<Vec<_>>().join("/");
        html! {
            a href=(self.link("browse", "")) { (foreign(&artifacts.filename)) }
            @for (index, part) in parts.iter().enumerate() {
                " / "
                @if index + 1 < parts.len() { a href=(self.link("browse", &upto(index))) { (foreign(part)) } }
                @else { (foreign(part)) }
            }
        }
    }

    fn row(&self, item: &Item) -> Markup {
        let below = self.below(&item.name);
        html! {
            tr {
                td class="mono" {
                    @match item.kind {
                        ItemKind::Folder => a href=(self.link("browse", &below)) { (foreign(&item.name)) "/" },
                        ItemKind::File if self.asked.reader.may_act() => {
                            a href=(self.link("file", &below)) { (foreign(&item.name)) }
                        },
                        ItemKind::File => (foreign(&item.name)),
                        ItemKind::Link => { (foreign(&item.name)) " (link)" },
                    }
                }
                td class="num small" { @if item.kind == ItemKind::File { (size(item.bytes)) } }
                td class="num small" { @if let Some(changed) = item.changed_at { (at(changed)) } }
            }
        }
    }

    fn file(&self, web: &Web, now: Timestamp) -> Result<Markup> {
        let file = web.coordinator.archive_file(self.view.report.build.id, self.path, now)?;
        let (link, bytes) = (self.link("raw", self.path), file.size.unwrap_or(0));
        let picture = raw::picture(&file.name);
        let mut text = Vec::new();
        if picture.is_none() {
            file.read.take(TEXT_BYTES_MAX + 1).read_to_end(&mut text).map_err(|error| broken(&error))?;
        }
        let text =
            String::from_utf8(text).ok().filter(|text| !text.contains('\0') && text.len() as u64 <= TEXT_BYTES_MAX);
        Ok(html! {
            div class="head" {
                div {
                    h1 class="mono" { (foreign(&file.name)) }
                    div class="facts" {
                        span { (size(bytes)) }
                        @if let Some(changed) = file.modified_at { span { "changed " (at(changed)) } }
                    }
                }
                div class="acts" { a class="btn main" href=(link) { "Download" } }
            }
            section class="panel" {
                header { h2 class="mono" { (self.steps(&file.artifacts)) } }
                @match (picture, &text) {
                    (Some(_), _) => p { img src=(link) alt=(cleaned(&file.name)); },
                    (None, Some(text)) => (lines(text)),
                    (None, None) => p { "It is no text, or too long to be shown." },
                }
            }
        })
    }
}

fn broken(error: &std::io::Error) -> Error {
    Error::new(Kind::Conflict, format!("the file cannot be read: {error}"))
}

/// A text with numbers of lines.
fn lines(text: &str) -> Markup {
    let count = text.lines().count();
    html! {
        div class="log notime" {
            @for (line, index) in text.lines().zip(1..).take(TEXT_LINES_MAX) {
                div class="l" id={ "L" (index) } { a href={ "#L" (index) } { (index) } time {} span { (readable(line)) } }
            }
        }
        @if count > TEXT_LINES_MAX { p { (number((count - TEXT_LINES_MAX) as u64)) " more lines are in the download." } }
    }
}

/// A line as it is, but for what would turn or hide what follows.
fn readable(line: &str) -> String {
    line.split('\t').map(cleaned).collect::<Vec<_>>().join("\t")
}
