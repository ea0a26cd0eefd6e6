//! The field at the top: a number, a commit, a branch or a project leads straight there; else there is a list.

use super::frame::{Nav, Page, Tab};
use super::session::see;
use super::words::{cleaned, foreign};
use super::{Visit, pipelines};
use crate::domain::build::BuildId;
use crate::domain::pipeline::PipelineId;
use crate::error::Result;
use crate::http::Answer;
use maud::html;

/// Longest text that is looked for, in bytes.
const TEXT_BYTES_MAX: usize = 255;

/// `GET /-/search?q=`.
pub fn answer(visit: &mut Visit<'_, '_>) -> Result<Answer> {
    let (web, asked) = (visit.web, visit.asked);
    let text = asked.parameter("q").unwrap_or_default();
    let text = text.trim().get(..TEXT_BYTES_MAX).unwrap_or(text.trim());
    let links = web.links();
    let mut found: Vec<(String, String)> = Vec::new();
    if let Ok(number) = text.trim_start_matches('#').parse::<i64>() {
        if let Some(project) = web.coordinator.project_of_build(BuildId(number))? {
            found.push((format!("job #{number}"), links.job(&project, BuildId(number))));
        }
        if let Ok(pipeline) = web.coordinator.pipeline(PipelineId(number)) {
            found.push((format!("pipeline #{number}"), links.pipeline(&pipeline.project, pipeline.id)));
        }
    }
    if !text.is_empty() {
        let known = web.coordinator.search(text)?;
        found.extend(known.projects.iter().map(|name| (format!("project {name}"), links.project(name))));
        let branch = |(project, ref_): &(String, String)| (format!("{ref_} of {project}"), links.branch(project, ref_));
        found.extend(known.branches.iter().map(branch));
        found.extend(known.pipelines.iter().map(|report| {
            let said = pipelines::title(report, None);
            (
                format!("pipeline #{}: {said}", report.pipeline.id),
                links.pipeline(&report.pipeline.project, report.pipeline.id),
            )
        }));
    }
    if let [(_, only)] = found.as_slice() {
        return Ok(see(only).into());
    }
    let page = Page::new(Tab::titled("Search"), Nav::None).with("found", html! {
        div class="lead" { h1 { "Search" } p { "for " b { (cleaned(text)) } } }
        section class="panel" {
            @if found.is_empty() {
                p { "Nothing is called that. A number, the begin of a commit, a branch or a project leads there." }
            } @else {
                ul class="list plain" { @for (name, link) in &found { li { a href=(link) { (foreign(name)) span {} } } } }
            }
        }
    });
    Ok(web.page_response(asked, 200, &page).into())
}
