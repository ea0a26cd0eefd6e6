//! Lists of pipelines, and the histories of branches.

use super::PAGE;
use crate::coordinator::{Coordinator, PipelineReport, projects};
use crate::domain::build::{BuildId, ProjectId};
use crate::domain::pipeline::states::{PipelineState, Tally};
use crate::domain::pipeline::{PipelineId, Source};
use crate::error::Result;
use crate::limits::PAGE_STANDINGS_LOOKED_MAX;
use crate::store::pipelines::{self, Newest};
use crate::store::{job_rows, jobs};
use rusqlite::Connection;

/// So many pipelines are a branch's history.
pub const HISTORY: usize = 20;

/// Which pipelines are shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PipelinesOf {
    /// The project's name; `None`: all.
    pub project: Option<String>,
    /// Branch or tag.
    pub ref_: Option<String>,
    /// Their state.
    pub state: Option<PipelineState>,
    /// Why there are such.
    pub source: Option<Source>,
    /// Older ones than this.
    pub before: Option<PipelineId>,
}

/// A pipeline as a line of a list.
pub struct PipelineLine {
    /// The pipeline, without its builds.
    pub report: PipelineReport,
    /// Its stages that have jobs, and how those stand.
    pub stages: Vec<(String, Tally)>,
    /// The one build of a pipeline without stages.
    pub alone: Option<(BuildId, String)>,
}

/// A page of a list.
pub struct PipelinePage {
    /// The lines, newest first.
    pub lines: Vec<PipelineLine>,
    /// Where the next page begins; `None`: there is none.
    pub next: Option<PipelineId>,
}

/// What became of the newest pipelines of a branch.
pub struct History {
    /// The project's name.
    pub project: String,
    /// Branch or tag.
    pub ref_: String,
    /// Oldest first.
    pub pipelines: Vec<PipelineReport>,
}

impl History {
    /// How many of those that ended well or badly failed, and how many there were.
    #[must_use]
    pub fn failed(&self) -> (usize, usize) {
        let is = |state| move |report: &&PipelineReport| report.state() == state;
        let failed = self.pipelines.iter().filter(is(PipelineState::Failed)).count();
        (failed, failed + self.pipelines.iter().filter(is(PipelineState::Success)).count())
    }
}

impl Coordinator {
    /// A page of pipelines, newest first.
    ///
    /// # Errors
    /// [`crate::error::Kind::NotFound`] for an unknown project.
    pub fn page_of_pipelines(&self, of: &PipelinesOf) -> Result<PipelinePage> {
        self.store.read(|c| {
            let project = of.project.as_deref().map(|name| projects::named(c, name)).transpose()?.map(|it| it.id);
            page(c, project, of, PAGE)
        })
    }

    /// The history of a branch.
    ///
    /// # Errors
    /// [`crate::error::Kind::NotFound`] for an unknown project.
    pub fn history(&self, project: &str, ref_: &str) -> Result<History> {
        self.store.read(|c| {
            let project = projects::named(c, project)?;
            history(c, project.id, &project.name, ref_)
        })
    }
}

/// At most so many pipelines.
pub(super) fn page(c: &Connection, project: Option<ProjectId>, of: &PipelinesOf, limit: usize) -> Result<PipelinePage> {
    let (mut lines, mut before, mut looked_at) = (Vec::new(), of.before, 0);
    loop {
        let asked = Newest { project, ref_: of.ref_.as_deref(), before, limit: Some(limit + 1) };
        let found = pipelines::newest(c, &asked)?;
        let is_last = found.len() <= limit;
        for pipeline in found.into_iter().take(limit) {
            looked_at += 1;
            before = Some(pipeline.id);
            if of.source.is_some_and(|source| source != pipeline.source) {
                continue;
            }
            let report = PipelineReport::of(c, pipeline)?;
            if of.state.is_none_or(|state| report.state() == state) {
                lines.push(line(c, report)?);
            }
            if lines.len() == limit || looked_at == PAGE_STANDINGS_LOOKED_MAX {
                return Ok(PipelinePage { lines, next: before });
            }
        }
        if is_last {
            return Ok(PipelinePage { lines, next: None });
        }
    }
}

fn line(c: &Connection, report: PipelineReport) -> Result<PipelineLine> {
    let id = report.pipeline.id;
    let stages = report.pipeline.stages.iter().cloned().zip(jobs::tallies(c, id)?);
    let stages: Vec<_> = stages.filter(|(_, tally)| *tally != Tally::default()).collect();
    let alone = if stages.is_empty() { job_rows::first(c, id)? } else { None };
    Ok(PipelineLine { report, stages, alone })
}

/// The newest pipelines of a branch, the oldest of them first.
pub(super) fn history(c: &Connection, project: ProjectId, name: &str, ref_: &str) -> Result<History> {
    let asked = Newest { project: Some(project), ref_: Some(ref_), before: None, limit: Some(HISTORY) };
    let found = pipelines::newest(c, &asked)?.into_iter().rev();
    let pipelines = found.map(|pipeline| PipelineReport::of(c, pipeline)).collect::<Result<_>>()?;
    Ok(History { project: name.to_owned(), ref_: ref_.to_owned(), pipelines })
}
