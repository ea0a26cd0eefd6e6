//! The jobs of one pipeline, and the effect of what happens to one of them.
//!
//! What must stay true: a job that moves costs a look at those that need it and, if its stage has come to an end, at the
//! jobs of the next stage: never at all jobs. What is behind one job is decided in the order of stages, so that each
//! decision sees the ones before it.

use super::states::{Decision, PipelineState, Tally, Waits, decide, is_allowed};
use super::{Pipeline, When, Work};
use crate::domain::spec::AllowFailure;
use crate::domain::state::Status;
use std::collections::{BTreeSet, HashMap};

/// A job on the board. Jobs are named by their place in the list.
#[derive(Clone, Debug)]
pub struct BoardJob {
    /// Place of its stage.
    pub stage: usize,
    /// Places of the jobs that it waits for; `None`: those of all earlier stages.
    pub needs: Option<Vec<usize>>,
    /// When it runs.
    pub when: When,
    /// Whether the pipeline goes on without it.
    pub allow_failure: AllowFailure,
    /// `false`: when its turn comes it is skipped, since Baton cannot run it.
    pub can_run: bool,
    /// Its state.
    pub state: Status,
    /// With what its script ended, if it failed.
    pub exit_code: Option<i64>,
}

/// A job that moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// Its place in the list.
    pub job: usize,
    /// From where.
    pub from: Status,
    /// To where.
    pub to: Status,
    /// Why, as a part of a sentence about the job.
    pub why: &'static str,
}

/// The jobs of one pipeline.
#[derive(Clone, Debug)]
pub struct Board {
    jobs: Vec<BoardJob>,
    needed_by: Vec<Vec<usize>>,
    /// Of each stage all jobs.
    stages: Vec<Tally>,
    /// Of each stage the jobs without needs that wait.
    open: Vec<BTreeSet<usize>>,
    all: Tally,
}

impl BoardJob {
    fn is_allowed(&self) -> bool {
        is_allowed(&self.allow_failure, self.exit_code)
    }
}

impl From<&Pipeline> for Board {
    fn from(pipeline: &Pipeline) -> Board {
        let places: HashMap<&str, usize> =
            pipeline.jobs.iter().enumerate().map(|(at, job)| (job.name.as_str(), at)).collect();
        let jobs = pipeline.jobs.iter().map(|job| BoardJob {
            stage: job.stage_index,
            needs: job
                .needs
                .as_ref()
                .map(|needs| needs.iter().filter_map(|need| places.get(need.job.as_str()).copied()).collect()),
            when: job.when,
            allow_failure: job.allow_failure.clone(),
            can_run: !matches!(job.work, Work::Refused { .. }),
            state: Status::Created,
            exit_code: None,
        });
        Board::new(jobs.collect())
    }
}

impl Board {
    /// A board with these jobs, in the states that they have.
    #[must_use]
    pub fn new(jobs: Vec<BoardJob>) -> Board {
        let stages = jobs.iter().map(|job| job.stage + 1).max().unwrap_or_default();
        let mut board = Board {
            needed_by: vec![Vec::new(); jobs.len()],
            stages: vec![Tally::default(); stages],
            open: vec![BTreeSet::new(); stages],
            all: Tally::default(),
            jobs: Vec::new(),
        };
        for (at, job) in jobs.iter().enumerate() {
            for &need in job.needs.iter().flatten() {
                if let Some(list) = board.needed_by.get_mut(need) {
                    list.push(at);
                }
            }
            board.count(at, job, true);
        }
        board.jobs = jobs;
        board
    }

    /// The jobs.
    #[must_use]
    pub fn jobs(&self) -> &[BoardJob] {
        &self.jobs
    }

    /// The state of a job.
    #[must_use]
    pub fn state(&self, job: usize) -> Status {
        self.jobs.get(job).map(|job| job.state).unwrap_or_default()
    }

    /// The pipeline's state, and whether a job failed that is allowed to.
    #[must_use]
    pub fn pipeline(&self) -> (PipelineState, bool) {
        (self.all.pipeline(), self.all.has_warnings())
    }

    /// Decides all jobs that wait: what a new pipeline begins with.
    pub fn start(&mut self) -> Vec<Change> {
        let waiting = self.jobs.iter().enumerate().filter(|(_, job)| job.state == Status::Created);
        let waiting = waiting.map(|(at, job)| (job.stage, at)).collect();
        self.settle(waiting)
    }

    /// Notes the state that a job has come into, and decides what is behind it. The change itself comes first.
    pub fn set(&mut self, job: usize, state: Status, exit_code: Option<i64>) -> Vec<Change> {
        let Some(mut changes) = self.change(job, state, exit_code, "it was told so") else { return Vec::new() };
        let behind = self.behind(job);
        changes.extend(self.settle(behind));
        changes
    }

    /// Starts a job that is manual, or that has ended: it is pending, and the jobs that were skipped behind it wait
    /// again.
    pub fn restart(&mut self, job: usize) -> Vec<Change> {
        let Some(mut changes) = self.change(job, Status::Pending, None, "somebody started it") else {
            return Vec::new();
        };
        let back = self.skipped_behind(job);
        for &(_, at) in &back {
            changes.extend(self.change(at, Status::Created, None, "a job before it was started").into_iter().flatten());
        }
        let mut waiting = self.behind(job);
        waiting.extend(back);
        changes.extend(self.settle(waiting));
        changes
    }

    /// What a job that waits would become now, and why.
    #[must_use]
    pub fn decision(&self, job: usize) -> Option<Decision> {
        let job = self.jobs.get(job).filter(|job| job.state == Status::Created)?;
        let mut before = Tally::default();
        let waits = match &job.needs {
            None => {
                before = self.before(job.stage);
                Waits::Stages
            }
            Some(needs) => {
                for need in needs.iter().filter_map(|need| self.jobs.get(*need)) {
                    before.add(need.state, need.is_allowed(), 1);
                }
                Waits::Needs
            }
        };
        let decision = decide(job.when, waits, &before);
        if !job.can_run && !matches!(decision.state, Status::Created | Status::Skipped) {
            return Some(Decision { state: Status::Skipped, why: "Baton cannot run it" });
        }
        Some(decision)
    }

    /// The tally of all stages before one.
    fn before(&self, stage: usize) -> Tally {
        self.stages.iter().take(stage).fold(Tally::default(), |sum, tally| sum.plus(tally))
    }

    fn count(&mut self, at: usize, job: &BoardJob, is_there: bool) {
        let is_allowed = job.is_allowed();
        for tally in self.stages.get_mut(job.stage).into_iter().chain([&mut self.all]) {
            if is_there {
                tally.add(job.state, is_allowed, 1);
            } else {
                tally.remove(job.state, is_allowed, 1);
            }
        }
        if let Some(open) = self.open.get_mut(job.stage)
            && job.needs.is_none()
            && job.state == Status::Created
        {
            if is_there {
                open.insert(at);
            } else {
                open.remove(&at);
            }
        }
    }

    fn change(&mut self, at: usize, to: Status, exit_code: Option<i64>, why: &'static str) -> Option<Vec<Change>> {
        let old = self.jobs.get(at)?.clone();
        let new = BoardJob { state: to, exit_code, ..old.clone() };
        self.count(at, &old, false);
        self.count(at, &new, true);
        if let Some(slot) = self.jobs.get_mut(at) {
            *slot = new;
        }
        Some(vec![Change { job: at, from: old.state, to, why }])
    }

    /// The jobs that may move because one did: those that need it, and those of the stages whose turn it is.
    fn behind(&self, job: usize) -> BTreeSet<(usize, usize)> {
        let needing = self.needed_by.get(job).into_iter().flatten();
        let mut all: BTreeSet<(usize, usize)> =
            needing.filter_map(|&at| Some((self.jobs.get(at)?.stage, at))).collect();
        let stage = self.jobs.get(job).map(|job| job.stage).unwrap_or_default();
        if self.stages.get(stage).is_none_or(|tally| tally.active() > 0) || self.before(stage).active() > 0 {
            return all;
        }
        for (next, open) in self.open.iter().enumerate().skip(stage + 1) {
            all.extend(open.iter().map(|&at| (next, at)));
            if self.stages.get(next).is_some_and(|tally| tally.active() > 0) {
                break;
            }
        }
        all
    }

    /// The jobs that are skipped and stand behind one, through stages or needs.
    fn skipped_behind(&self, job: usize) -> BTreeSet<(usize, usize)> {
        let stage = self.jobs.get(job).map(|job| job.stage).unwrap_or_default();
        let is_skipped = |at: usize| self.jobs.get(at).is_some_and(|job| job.state == Status::Skipped);
        let later = self.jobs.iter().enumerate().filter(|(_, other)| other.needs.is_none() && other.stage > stage);
        let mut found: BTreeSet<(usize, usize)> =
            later.map(|(at, other)| (other.stage, at)).filter(|&(_, at)| is_skipped(at)).collect();
        let mut open: Vec<usize> = found.iter().map(|&(_, at)| at).chain([job]).collect();
        while let Some(at) = open.pop() {
            for &next in self.needed_by.get(at).into_iter().flatten() {
                let stage = self.jobs.get(next).map(|job| job.stage).unwrap_or_default();
                if is_skipped(next) && found.insert((stage, next)) {
                    open.push(next);
                }
            }
        }
        found
    }

    /// Decides jobs, the earliest stage first, and with each that moves those behind it.
    fn settle(&mut self, mut waiting: BTreeSet<(usize, usize)>) -> Vec<Change> {
        let mut changes = Vec::new();
        while let Some((_, at)) = waiting.pop_first() {
            let Some(decision) = self.decision(at).filter(|decision| decision.state != Status::Created) else {
                continue;
            };
            changes.extend(self.change(at, decision.state, None, decision.why).into_iter().flatten());
            if matches!(decision.state, Status::Skipped | Status::Manual) {
                waiting.extend(self.behind(at));
            }
        }
        changes
    }
}

#[cfg(test)]
#[expect(clippy::cast_possible_truncation, reason = "small numbers made here")]
mod tests;
