//! Pipelines as programs list them.
//!
//! What must stay true: how a pipeline stands is what its builds say. So who asks for pipelines in some state has a bounded
//! number of them looked at, the newest (the const below).

use super::jobs::pipeline_of;
use crate::coordinator::{Coordinator, PipelineReport};
use crate::domain::build::{BuildId, ProjectId};
use crate::domain::junit::Summary;
use crate::domain::pipeline::PipelineId;
use crate::domain::pipeline::states::PipelineState;
use crate::domain::time::Timestamp;
use crate::error::Result;
use crate::gitlab_ci::context::{Context, Given};
use crate::limits::{JUNIT_REPORTS_MAX, PIPELINES_COUNTED_MAX, STANDINGS_LOOKED_MAX};
use crate::store::lists::{self, PipelinesAsked};
use crate::store::pipelines;
use rusqlite::Connection;

/// Branches and tags that are listed of one project.
const REFS_MAX: usize = 1000;

/// By what a list of pipelines is ordered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PipelineOrder {
    /// Their ids.
    #[default]
    Id,
    /// Their branches and tags.
    Ref,
    /// The words for their states.
    State,
    /// When something last happened to them.
    UpdatedAt,
}

/// A page of a project's pipelines.
#[derive(Clone, Debug, Default)]
pub struct PipelinesPage {
    /// By what their rows say.
    pub rows: PipelinesAsked,
    /// Only those in one of these states; empty: in any.
    pub states: Vec<PipelineState>,
    /// Only those to which something happened later.
    pub updated_after: Option<Timestamp>,
    /// Only those to which nothing happened later.
    pub updated_before: Option<Timestamp>,
    /// By what they are ordered.
    pub order: PipelineOrder,
    /// Whether the smallest comes first.
    pub is_ascending: bool,
    /// How many come before the page.
    pub skip: u64,
    /// At most so many.
    pub limit: usize,
}

/// What was found.
pub struct PipelinesFound {
    /// The page.
    pub pipelines: Vec<PipelineReport>,
    /// How many there are on all pages; `None`: too many to be counted.
    pub total: Option<u64>,
    /// Whether another page follows.
    pub has_more: bool,
}

impl PipelinesPage {
    fn asks_how_they_stand(&self) -> bool {
        let by_time = self.updated_after.or(self.updated_before).is_some();
        !self.states.is_empty() || by_time || self.order != PipelineOrder::Id
    }

    fn lets_through(&self, report: &PipelineReport) -> bool {
        let at = report.updated_at();
        (self.states.is_empty() || self.states.contains(&report.state()))
            && self.updated_after.is_none_or(|after| at > after)
            && self.updated_before.is_none_or(|before| at < before)
    }
}

impl Coordinator {
    /// A page of a project's pipelines.
    pub fn pipelines_page(&self, project: ProjectId, page: &PipelinesPage) -> Result<PipelinesFound> {
        self.store.read(|c| {
            if page.asks_how_they_stand() { by_standing(c, project, page) } else { by_rows(c, project, page) }
        })
    }

    /// A pipeline of this project, without its builds.
    ///
    /// # Errors
    /// [`crate::error::Kind::NotFound`] for an unknown pipeline, and for another project's.
    pub fn pipeline_of(&self, project: ProjectId, id: PipelineId) -> Result<PipelineReport> {
        self.store.read(|c| PipelineReport::alone(c, pipeline_of(c, project, id)?))
    }

    /// Whether this is a pipeline of the project.
    ///
    /// # Errors
    /// As [`Coordinator::pipeline_of`].
    pub fn is_pipeline_of(&self, project: ProjectId, id: PipelineId) -> Result<()> {
        self.store.read(|c| pipeline_of(c, project, id)).map(drop)
    }

    /// The variables that people gave a pipeline when it was made; secrets may be among them.
    ///
    /// # Errors
    /// As [`Coordinator::pipeline_of`].
    pub fn variables_given(&self, project: ProjectId, id: PipelineId) -> Result<Vec<Given>> {
        let pipeline = self.store.read(|c| pipeline_of(c, project, id))?;
        match pipeline.context {
            Some(context) => Ok(serde_json::from_str::<Context>(&context)?.given),
            None => Ok(Vec::new()),
        }
    }

    /// The JUnit reports of a pipeline's jobs in short, each with the job's name and id; of so many jobs at most.
    pub fn junit_of_pipeline(&self, id: PipelineId, now: Timestamp) -> Result<Vec<(String, BuildId, Summary)>> {
        let jobs = self.store.read(|c| lists::with_artifacts(c, id, "junit", JUNIT_REPORTS_MAX))?;
        let mut all = Vec::with_capacity(jobs.len());
        for (build, name) in jobs {
            all.extend(self.junit_summary(build, now)?.map(|summary| (name, build, summary)));
        }
        Ok(all)
    }

    /// The newest pipeline of a branch, of a tag, or else of a commit of this name.
    pub fn newest_of_commit(&self, project: ProjectId, name: &str) -> Result<Option<PipelineReport>> {
        let of_ref = PipelinesAsked { ref_: Some(name.to_owned()), ..PipelinesAsked::default() };
        let of_sha = PipelinesAsked { sha: Some(name.to_owned()), ..PipelinesAsked::default() };
        match self.newest_pipeline(project, &of_ref)? {
            Some(found) => Ok(Some(found)),
            None => self.newest_pipeline(project, &of_sha),
        }
    }

    /// The newest pipeline of each branch and tag of a project, by their names; of so many at most.
    pub fn refs_of(&self, project: ProjectId) -> Result<Vec<PipelineReport>> {
        self.store.read(|c| {
            let ids = lists::newest_of_refs(c, project, REFS_MAX)?;
            reports(c, ids)
        })
    }

    /// The newest pipeline that is asked for, if there is one.
    pub fn newest_pipeline(&self, project: ProjectId, asked: &PipelinesAsked) -> Result<Option<PipelineReport>> {
        self.store.read(|c| {
            let newest = lists::pipelines(c, project, asked, false, (0, 1))?.first().copied();
            let pipeline = newest.map(|id| pipelines::by_id(c, id)).transpose()?.flatten();
            pipeline.map(|pipeline| PipelineReport::alone(c, pipeline)).transpose()
        })
    }
}

fn reports(c: &Connection, ids: Vec<PipelineId>) -> Result<Vec<PipelineReport>> {
    let mut all = Vec::with_capacity(ids.len());
    for id in ids {
        if let Some(pipeline) = pipelines::by_id(c, id)? {
            all.push(PipelineReport::of(c, pipeline)?);
        }
    }
    Ok(all)
}

fn by_rows(c: &Connection, project: ProjectId, page: &PipelinesPage) -> Result<PipelinesFound> {
    let (rows, window) = (&page.rows, (page.skip, page.limit.saturating_add(1)));
    let mut ids = lists::pipelines(c, project, rows, page.is_ascending, window)?;
    let has_more = ids.len() > page.limit;
    ids.truncate(page.limit);
    let total = if rows.looks_at_rows() {
        lists::pipelines(c, project, rows, false, (0, usize::MAX))?.len() as u64
    } else if rows.ref_.is_some() || rows.sha.is_some() {
        lists::count_by_index(c, project, rows)?
    } else {
        return Ok(PipelinesFound {
            pipelines: reports(c, ids)?,
            total: Some(lists::count_pipelines(c, project)?),
            has_more,
        });
    };
    Ok(PipelinesFound {
        pipelines: reports(c, ids)?,
        total: Some(total).filter(|total| *total < PIPELINES_COUNTED_MAX),
        has_more,
    })
}

fn by_standing(c: &Connection, project: ProjectId, page: &PipelinesPage) -> Result<PipelinesFound> {
    let ids = lists::pipelines(c, project, &page.rows, false, (0, STANDINGS_LOOKED_MAX))?;
    let mut all = reports(c, ids)?;
    all.retain(|report| page.lets_through(report));
    all.sort_by(|one, other| {
        let by_id = one.pipeline.id.cmp(&other.pipeline.id);
        match page.order {
            PipelineOrder::Id => by_id,
            PipelineOrder::Ref => one.pipeline.ref_.cmp(&other.pipeline.ref_).then(by_id),
            PipelineOrder::State => one.state().as_str().cmp(other.state().as_str()).then(by_id),
            PipelineOrder::UpdatedAt => one.updated_at().cmp(&other.updated_at()).then(by_id),
        }
    });
    if !page.is_ascending {
        all.reverse();
    }
    let (total, skip) = (all.len() as u64, usize::try_from(page.skip).unwrap_or(usize::MAX));
    let pipelines: Vec<PipelineReport> = all.into_iter().skip(skip).take(page.limit).collect();
    let has_more = !pipelines.is_empty() && page.skip.saturating_add(pipelines.len() as u64) < total;
    Ok(PipelinesFound { pipelines, total: Some(total), has_more })
}
