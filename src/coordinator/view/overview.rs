//! What goes on, in one look.

use super::PAGE;
use super::job::usual_time;
use super::pipelines::{History, PipelineLine, PipelinesOf, history, page};
use super::runners::{finds_nobody, waiting_count};
use crate::artifacts::Room;
use crate::coordinator::builds::reasons::Reasons;
use crate::coordinator::runners::at_work;
use crate::coordinator::upkeep::serving::is_served;
use crate::coordinator::{BuildReport, Coordinator, projects};
use crate::domain::build::{Build, BuildId, ProjectId, Status};
use crate::domain::runner::RunnerAtWork;
use crate::domain::time::Timestamp;
use crate::error::Result;
use crate::store::traces::TraceRow;
use crate::store::{builds, job_rows, statistics, traces};
use rusqlite::Connection;
use std::time::Duration;

/// Branches whose histories are shown.
const BRANCHES_MAX: usize = 5;
/// Pipelines on the page.
const PIPELINES_MAX: usize = 20;
/// Running jobs of which it is said how long they usually take.
const USUAL_MAX: usize = 20;
/// How much of a log's end its last line is looked for in, in bytes.
const TAIL_BYTES: u64 = 2 << 10;

/// What goes on.
pub struct Overview {
    /// Jobs that run, the longest first.
    pub running: Vec<RunningJob>,
    /// How many run.
    pub running_count: u64,
    /// Jobs that wait for something that may come, and why, the longest first.
    pub waiting: Vec<BuildReport>,
    /// How many wait.
    pub waiting_count: u64,
    /// Of those that are shown: how many no runner could take.
    pub stuck_count: usize,
    /// Jobs that wait until somebody starts them.
    pub manual: Vec<BuildReport>,
    /// How many do.
    pub manual_count: u64,
    /// The newest pipelines.
    pub pipelines: Vec<PipelineLine>,
    /// Runners, oldest first.
    pub runners: Vec<RunnerAtWork>,
    /// Branches that had a pipeline of late.
    pub histories: Vec<History>,
    /// The room on the disk.
    pub room: Room,
    /// Bytes of all data.
    pub data_bytes: u64,
    /// Whether the disk is filled up to the reserve.
    pub is_disk_low: bool,
    /// What shows the badges of the project to those who are not signed in.
    pub badge_key: Option<String>,
    /// Whether any build was ever queued.
    pub has_builds: bool,
}

/// A job that runs.
pub struct RunningJob {
    /// The job.
    pub build: Build,
    /// How long it usually takes.
    pub usually: Option<Duration>,
    /// The end of its log, from the begin of a line on.
    pub tail: Vec<u8>,
}

impl Coordinator {
    /// What goes on, in `project` or everywhere.
    ///
    /// # Errors
    /// [`crate::error::Kind::NotFound`] for an unknown project.
    pub fn overview(&self, project: Option<&str>, now: Timestamp) -> Result<Overview> {
        let mut reasons = Reasons::of(is_served(&self.data)?, now);
        let (database_bytes, log_bytes) = self.store.file_bytes()?;
        let room = self.artifacts.room()?;
        let badge_key = project.map(|name| self.badge_key(name)).transpose()?.flatten();
        self.store.read(|c| {
            let project = project.map(|name| projects::named(c, name)).transpose()?.map(|project| project.id);
            let runners = at_work(c)?;
            let counts = statistics::load(c)?;
            let running = running(c, project, now)?;
            let waiting = builds::waiting(c, project, PAGE)?;
            let manual = builds::manual(c, project, PAGE)?;
            let mut report = |ids: Vec<BuildId>| BuildReport::of_ids(c, &ids, &mut reasons, now);
            let (waiting, manual) = (report(waiting)?, report(manual)?);
            let newest = page(c, project, &PipelinesOf::default(), PIPELINES_MAX)?.lines;
            let histories = histories(c, project)?;
            let mut stuck_count = 0;
            for report in &waiting {
                stuck_count += usize::from(finds_nobody(c, &report.build, &runners)?);
            }
            let count = |found: usize, everywhere: u64| match project {
                Some(_) => found as u64,
                None => everywhere,
            };
            Ok(Overview {
                running_count: count(running.len(), counts.stored(Status::Running)),
                waiting_count: count(waiting.len(), waiting_count(&counts)),
                manual_count: count(manual.len(), counts.stored(Status::Manual)),
                stuck_count,
                pipelines: newest,
                has_builds: counts.builds.iter().any(|count| count.total > 0),
                data_bytes: database_bytes + log_bytes + counts.artifact_bytes,
                is_disk_low: room.check(self.limits.disk_reserve_bytes).is_err(),
                badge_key,
                running,
                waiting,
                manual,
                runners,
                histories,
                room,
            })
        })
    }
}

/// The end of a log, without the line that it would begin in.
fn whole_lines(c: &Connection, trace: &TraceRow) -> Result<Vec<u8>> {
    let from = trace.size.saturating_sub(TAIL_BYTES);
    let mut tail = traces::read(c, trace, from, TAIL_BYTES)?;
    let cut = tail.iter().position(|byte| *byte == b'\n').filter(|end| from > 0 && end + 1 < tail.len());
    if let Some(end) = cut {
        tail.drain(..=end);
    }
    Ok(tail)
}

fn running(c: &Connection, project: Option<ProjectId>, now: Timestamp) -> Result<Vec<RunningJob>> {
    let mut all = builds::running(c)?;
    all.sort_by_key(|build| (build.started_at, build.id));
    let mut shown = Vec::new();
    for running in all {
        let Some(build) = builds::by_id(c, running.id, now)? else { continue };
        if project.is_some_and(|project| project != build.project_id) {
            continue;
        }
        let earlier = if shown.len() < USUAL_MAX { job_rows::same_before(c, &build)? } else { Vec::new() };
        let trace = crate::coordinator::report::read::shown_trace(c, build.id, build.status)?;
        let tail = whole_lines(c, &trace)?;
        shown.push(RunningJob { build, usually: usual_time(&earlier), tail });
        if shown.len() == PAGE {
            break;
        }
    }
    Ok(shown)
}

/// The histories of the branches that had the newest pipelines.
fn histories(c: &Connection, project: Option<ProjectId>) -> Result<Vec<History>> {
    let branches = crate::store::pipelines::newest_refs(c, project, BRANCHES_MAX)?;
    branches.into_iter().map(|(id, project, ref_)| history(c, id, &project, &ref_)).collect()
}
