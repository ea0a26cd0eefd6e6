//! Why builds wait, and what they run without, in words for people.

use super::cascade::decision;
use crate::coordinator::runners::at_work;
use crate::domain::build::{Build, BuildId, Status};
use crate::domain::pending::{Asked, UNSERVED, needs_reason, pending_reason, run_without};
use crate::domain::pipeline::PipelineId;
use crate::domain::pipeline::states::Waits;
use crate::domain::runner::{RunnerAtWork, RunnerId};
use crate::domain::time::Timestamp;
use crate::domain::wants::Want;
use crate::error::Result;
use crate::store::jobs;
use crate::store::{builds, managers, runner_builds, runners};
use rusqlite::Connection;
use std::collections::HashMap;
use std::collections::hash_map::Entry;

/// Why builds wait: runners are looked at once, and once for all builds that ask for the same.
pub struct Reasons {
    is_served: bool,
    now: Timestamp,
    runners: Option<Vec<RunnerAtWork>>,
    known: HashMap<(Asked, Vec<Want>), String>,
    /// Of each pipeline the jobs that have not ended, by their stage.
    open: HashMap<PipelineId, Vec<Open>>,
}

/// A job that has not ended: place of its stage, the build, its state.
type Open = (usize, BuildId, Status);

impl Reasons {
    /// As of `now`, for whom a server runs or not.
    pub fn of(is_served: bool, now: Timestamp) -> Reasons {
        Reasons { is_served, now, runners: None, known: HashMap::new(), open: HashMap::new() }
    }

    /// Why this build waits; `None` if it does not.
    pub fn of_build(&mut self, c: &Connection, build: &Build) -> Result<Option<String>> {
        match build.status {
            Status::Created => self.waits_for(c, build).map(Some),
            Status::Pending => self.of_pending(c, build).map(Some),
            Status::Manual => Ok(Some(format!("waits until somebody starts it: `baton build play {}`", build.id))),
            Status::Scheduled => Ok(jobs::time_of(c, build.id)?.map(|at| format!("starts at {at}"))),
            Status::WaitingForResource => waits_for_resource(c, build).map(Some),
            Status::Skipped => skipped_since(c, build),
            Status::Running | Status::Success | Status::Failed | Status::Canceled => Ok(None),
        }
    }

    fn of_pending(&mut self, c: &Connection, build: &Build) -> Result<String> {
        if !self.is_served {
            return Ok(UNSERVED.to_owned());
        }
        if let Some(runner) = runner_builds::runner_of(c, build.id)? {
            return Ok(format!("waits for runner {runner}, which was made for it"));
        }
        let key = (asked(c, build)?, Want::all_of(&builds::spec(c, build.id)?.asked));
        if let Some(reason) = self.known.get(&key) {
            return Ok(reason.clone());
        }
        let runners = match self.runners.take() {
            Some(runners) => runners,
            None => at_work(c)?,
        };
        let ((asked, wants), runners) = (&key, self.runners.insert(runners));
        let mut reason = pending_reason(asked, runners, self.now);
        if let Some(without) = run_without(asked, wants, runners) {
            reason = format!("{reason}; {without}");
        }
        self.known.insert(key, reason.clone());
        Ok(reason)
    }

    fn waits_for(&mut self, c: &Connection, build: &Build) -> Result<String> {
        let Some(job) = jobs::by_id(c, build.id)?.filter(|job| job.waits == Waits::Stages) else {
            return waits_for_needs(c, build);
        };
        let open = match self.open.entry(job.pipeline) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => new.insert(open_jobs(c, job.pipeline)?),
        };
        let before = open.iter().filter(|(stage, ..)| *stage < job.stage_index).map(|&(_, id, status)| (id, status));
        // What waits itself says nothing that those before it do not.
        let moving: Vec<_> = before.clone().filter(|(_, status)| *status != Status::Created).collect();
        Ok(needs_reason(&if moving.is_empty() { before.collect() } else { moving }))
    }
}

/// What a build asks of a runner.
pub fn asked(c: &Connection, build: &Build) -> Result<Asked> {
    let has_sources = builds::has_sources(c, build.id)?;
    Ok(Asked { project: build.project_id, tags: build.tags.clone(), has_sources })
}

/// What a running build does without, since its runner does not know it: words of a `.gitlab-ci.yml`.
pub fn runs_without(c: &Connection, build: &Build) -> Result<Vec<&'static str>> {
    let Some((runner, _)) = build.runner.as_ref().filter(|_| build.status == Status::Running) else {
        return Ok(Vec::new());
    };
    let wants = Want::all_of(&builds::spec(c, build.id)?.asked);
    let info = match managers::info_for(c, build.id)? {
        _ if wants.is_empty() => None,
        None => runners::by_id(c, RunnerId(*runner))?.map(|runner| runner.info),
        info => info,
    };
    Ok(info.map(|info| Want::unknown_to(&info, &wants)).unwrap_or_default())
}

fn open_jobs(c: &Connection, pipeline: PipelineId) -> Result<Vec<Open>> {
    let jobs = jobs::counting(c, pipeline)?.into_iter().filter(|job| !job.status.is_finished());
    Ok(jobs.map(|job| (job.stage_index, job.id, job.status)).collect())
}

fn waits_for_resource(c: &Connection, build: &Build) -> Result<String> {
    let group = jobs::resource_of(c, build.id)?.unwrap_or_default();
    let holder = jobs::holder(c, build.project_id, &group)?;
    let until = holder.map_or_else(String::new, |id| format!(", which build {id} has"));
    Ok(format!("waits for the resource group {group}{until}"))
}

/// Why a job does not run, as things stand now.
fn skipped_since(c: &Connection, build: &Build) -> Result<Option<String>> {
    let Some(job) = jobs::by_id(c, build.id)? else { return Ok(None) };
    if let Some(why) = jobs::about(c, build.id)?.and_then(|about| about.refused) {
        return Ok(Some(format!("does not run: {why}")));
    }
    let (status, why) = decision(c, &job)?;
    Ok((status == Status::Skipped).then(|| format!("does not run, since {why}")))
}

fn waits_for_needs(c: &Connection, build: &Build) -> Result<String> {
    let mut open = Vec::new();
    for id in &build.needs {
        let needed = builds::state(c, *id)?.filter(|needed| needed.as_need() != Status::Success);
        open.extend(needed.map(|needed| (needed.id, needed.status)));
    }
    Ok(needs_reason(&open))
}
