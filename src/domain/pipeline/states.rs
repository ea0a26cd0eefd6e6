//! How jobs of a pipeline move, and what state the pipeline is in.
//!
//! What must stay true: what a job becomes depends on nothing but its own `when` and on a [`Tally`] of the jobs that it
//! waits for; tallies are sums, so that whoever keeps one a stage need not look at the jobs again. The rules are
//! GitLab's (`Ci::Status::Composite` and `Ci::ProcessPipelineService`).

use super::When;
use crate::domain::spec::AllowFailure;
use serde::{Deserialize, Serialize};

/// A job's state, by GitLab's words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// Waits for others.
    #[default]
    Created,
    /// Waits until no other job of its resource group runs.
    WaitingForResource,
    /// Waits for a runner.
    Pending,
    /// A runner has it.
    Running,
    /// Waits for its time.
    Scheduled,
    /// Waits for somebody to start it.
    Manual,
    /// Ended well.
    Success,
    /// Ended badly.
    Failed,
    /// Ended by somebody.
    Canceled,
    /// Does not run, as things stand.
    Skipped,
}

impl JobState {
    /// All, in the order in which a job may pass through them.
    pub const ALL: [JobState; 10] = [
        JobState::Created,
        JobState::WaitingForResource,
        JobState::Pending,
        JobState::Running,
        JobState::Scheduled,
        JobState::Manual,
        JobState::Success,
        JobState::Failed,
        JobState::Canceled,
        JobState::Skipped,
    ];

    /// GitLab's word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            JobState::Created => "created",
            JobState::WaitingForResource => "waiting_for_resource",
            JobState::Pending => "pending",
            JobState::Running => "running",
            JobState::Scheduled => "scheduled",
            JobState::Manual => "manual",
            JobState::Success => "success",
            JobState::Failed => "failed",
            JobState::Canceled => "canceled",
            JobState::Skipped => "skipped",
        }
    }

    /// The state of this word, if there is one.
    #[must_use]
    pub fn parse(word: &str) -> Option<JobState> {
        JobState::ALL.into_iter().find(|state| state.as_str() == word)
    }
}

/// How many jobs stand how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Wait for others.
    pub created: u32,
    /// Wait for a resource.
    pub waiting: u32,
    /// Wait for a runner.
    pub pending: u32,
    /// Run.
    pub running: u32,
    /// Wait for their time.
    pub scheduled: u32,
    /// Ended well.
    pub good: u32,
    /// Failed or were canceled, and are allowed to.
    pub warned: u32,
    /// Failed.
    pub bad: u32,
    /// Were canceled.
    pub canceled: u32,
    /// Do not run.
    pub skipped: u32,
    /// Manual, and nothing waits for them.
    pub optional: u32,
    /// Manual, and what comes behind waits for them.
    pub blocking: u32,
}

impl Tally {
    /// The counter of jobs in a state; `is_allowed` says whether the pipeline goes on without them.
    fn counter(&mut self, state: JobState, is_allowed: bool) -> &mut u32 {
        match state {
            JobState::Created => &mut self.created,
            JobState::WaitingForResource => &mut self.waiting,
            JobState::Pending => &mut self.pending,
            JobState::Running => &mut self.running,
            JobState::Scheduled => &mut self.scheduled,
            JobState::Success => &mut self.good,
            JobState::Failed | JobState::Canceled if is_allowed => &mut self.warned,
            JobState::Failed => &mut self.bad,
            JobState::Canceled => &mut self.canceled,
            JobState::Skipped => &mut self.skipped,
            JobState::Manual if is_allowed => &mut self.optional,
            JobState::Manual => &mut self.blocking,
        }
    }

    /// Counts jobs.
    pub fn add(&mut self, state: JobState, is_allowed: bool, jobs: u32) {
        let counter = self.counter(state, is_allowed);
        *counter = counter.saturating_add(jobs);
    }

    /// Counts jobs no more.
    pub fn remove(&mut self, state: JobState, is_allowed: bool, jobs: u32) {
        let counter = self.counter(state, is_allowed);
        *counter = counter.saturating_sub(jobs);
    }

    /// The sum of two.
    #[must_use]
    pub fn plus(&self, other: &Tally) -> Tally {
        Tally {
            created: self.created + other.created,
            waiting: self.waiting + other.waiting,
            pending: self.pending + other.pending,
            running: self.running + other.running,
            scheduled: self.scheduled + other.scheduled,
            good: self.good + other.good,
            warned: self.warned + other.warned,
            bad: self.bad + other.bad,
            canceled: self.canceled + other.canceled,
            skipped: self.skipped + other.skipped,
            optional: self.optional + other.optional,
            blocking: self.blocking + other.blocking,
        }
    }

    /// Jobs that may still end in any way, without anybody starting them.
    #[must_use]
    pub fn active(&self) -> u32 {
        self.created + self.waiting + self.pending + self.running + self.scheduled
    }

    fn ran(&self) -> u32 {
        self.good + self.warned + self.bad + self.canceled
    }

    /// What these jobs are together for one that waits for them.
    #[must_use]
    pub fn together(&self, waits: Waits) -> Together {
        if waits == Waits::Needs && self.skipped + self.optional > 0 {
            return Together::Skipped;
        }
        if self.active() > 0 {
            Together::Active
        } else if self.blocking > 0 {
            Together::Blocked
        } else if self.ran() == 0 && self.skipped + self.optional > 0 {
            Together::Skipped
        } else if self.bad > 0 {
            Together::Failed
        } else if self.canceled > 0 {
            Together::Canceled
        } else {
            Together::Success
        }
    }

    /// The state of the pipeline whose jobs these are.
    #[must_use]
    pub fn pipeline(&self) -> PipelineState {
        if self.running > 0 || (self.pending > 0 && self.ran() > 0) {
            PipelineState::Running
        } else if self.pending > 0 {
            PipelineState::Pending
        } else if self.waiting > 0 {
            PipelineState::WaitingForResource
        } else if self.scheduled > 0 {
            PipelineState::Scheduled
        } else if self.blocking > 0 {
            PipelineState::Manual
        } else if self.created > 0 {
            if self.ran() > 0 { PipelineState::Running } else { PipelineState::Created }
        } else if self.bad > 0 {
            PipelineState::Failed
        } else if self.canceled > 0 {
            PipelineState::Canceled
        } else if self.ran() > 0 {
            PipelineState::Success
        } else {
            PipelineState::Skipped
        }
    }

    /// Whether a job failed that is allowed to.
    #[must_use]
    pub fn has_warnings(&self) -> bool {
        self.warned > 0
    }
}

/// Whom a job waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waits {
    /// All jobs of earlier stages.
    Stages,
    /// Those that it names.
    Needs,
}

/// What several jobs are together for one that waits for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Together {
    /// Some may still end in any way.
    Active,
    /// Somebody must start one of them first.
    Blocked,
    /// All went well, or may go badly.
    Success,
    /// Some failed.
    Failed,
    /// Some were canceled, none failed.
    Canceled,
    /// None ran; of needs: one does not run.
    Skipped,
}

/// A pipeline's state, by GitLab's words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PipelineState {
    /// Nothing has begun.
    #[default]
    Created,
    /// Waits until another pipeline lets go of a resource.
    WaitingForResource,
    /// Waits for a runner.
    Pending,
    /// Something runs.
    Running,
    /// Waits for a time.
    Scheduled,
    /// Blocked: somebody must start a job.
    Manual,
    /// All went well, maybe with warnings.
    Success,
    /// Something failed.
    Failed,
    /// Something was canceled.
    Canceled,
    /// Nothing ran.
    Skipped,
}

impl PipelineState {
    /// GitLab's word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            PipelineState::Created => "created",
            PipelineState::WaitingForResource => "waiting_for_resource",
            PipelineState::Pending => "pending",
            PipelineState::Running => "running",
            PipelineState::Scheduled => "scheduled",
            PipelineState::Manual => "manual",
            PipelineState::Success => "success",
            PipelineState::Failed => "failed",
            PipelineState::Canceled => "canceled",
            PipelineState::Skipped => "skipped",
        }
    }

    /// Whether nothing moves any more unless somebody starts or retries a job.
    #[must_use]
    pub fn is_at_rest(self) -> bool {
        match self {
            PipelineState::Created
            | PipelineState::WaitingForResource
            | PipelineState::Pending
            | PipelineState::Running
            | PipelineState::Scheduled => false,
            PipelineState::Manual
            | PipelineState::Success
            | PipelineState::Failed
            | PipelineState::Canceled
            | PipelineState::Skipped => true,
        }
    }
}

/// What becomes of a job that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Its next state; `Created`: it goes on waiting.
    pub state: JobState,
    /// Why, as a part of a sentence about the job.
    pub why: &'static str,
}

/// What becomes of a job that waits for the jobs of a tally.
#[must_use]
pub fn decide(when: When, waits: Waits, before: &Tally) -> Decision {
    let together = before.together(waits);
    // A job that runs in any case still comes behind those that it waits for.
    let together = if when == When::Always && before.active() > 0 { Together::Active } else { together };
    let turn = match when {
        When::OnSuccess | When::OnFailure | When::Always => JobState::Pending,
        When::Manual => JobState::Manual,
        When::Delayed => JobState::Scheduled,
    };
    let (state, why) = match (together, when) {
        (Together::Active, _) => (JobState::Created, "jobs before it have not ended"),
        (Together::Blocked, _) => (JobState::Created, "a manual job before it must be started first"),
        (Together::Success, When::OnFailure) => (JobState::Skipped, "no job before it failed"),
        (Together::Success, _) => (turn, "all jobs before it went well"),
        (Together::Failed, When::OnFailure | When::Always) => (turn, "a job before it failed"),
        (Together::Failed, _) => (JobState::Skipped, "a job before it failed"),
        (Together::Canceled, _) => (JobState::Skipped, "a job before it was canceled"),
        (Together::Skipped, When::Always) => (turn, "the jobs before it do not run"),
        (Together::Skipped, When::OnFailure) => (JobState::Skipped, "no job before it failed"),
        (Together::Skipped, _) if waits == Waits::Needs => (JobState::Skipped, "a job that it needs does not run"),
        (Together::Skipped, _) => (turn, "no job before it runs"),
    };
    Decision { state, why }
}

/// Whether a pipeline goes on without a job: without one that failed with this exit code, or without one that nobody
/// started.
#[must_use]
pub fn is_allowed(allow_failure: &AllowFailure, exit_code: Option<i64>) -> bool {
    match allow_failure {
        AllowFailure::Any(is) => *is,
        AllowFailure::ExitCodes { exit_codes } => exit_code.is_some_and(|code| exit_codes.contains(&code)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(jobs: &[(JobState, bool)]) -> Tally {
        let mut tally = Tally::default();
        for (state, is_allowed) in jobs {
            tally.add(*state, *is_allowed, 1);
        }
        tally
    }

    #[test]
    fn a_job_without_anything_before_it_has_its_turn() {
        for waits in [Waits::Stages, Waits::Needs] {
            assert_eq!(decide(When::OnSuccess, waits, &Tally::default()).state, JobState::Pending);
            assert_eq!(decide(When::Delayed, waits, &Tally::default()).state, JobState::Scheduled);
            assert_eq!(decide(When::OnFailure, waits, &Tally::default()).state, JobState::Skipped);
        }
    }

    #[test]
    fn a_need_that_does_not_run_skips_at_once_and_a_stage_does_not() {
        let before = tally(&[(JobState::Skipped, false), (JobState::Running, false)]);
        assert_eq!(decide(When::OnSuccess, Waits::Needs, &before).state, JobState::Skipped);
        assert_eq!(decide(When::OnSuccess, Waits::Stages, &before).state, JobState::Created);
        assert_eq!(decide(When::Always, Waits::Needs, &before).state, JobState::Created);
    }

    #[test]
    fn a_canceled_job_skips_what_is_behind_it_unless_it_was_allowed_to_fail() {
        assert_eq!(
            decide(When::OnSuccess, Waits::Stages, &tally(&[(JobState::Canceled, false)])).state,
            JobState::Skipped
        );
        assert_eq!(
            decide(When::OnSuccess, Waits::Stages, &tally(&[(JobState::Canceled, true)])).state,
            JobState::Pending
        );
    }

    #[test]
    fn words_are_read_back() {
        for state in JobState::ALL {
            assert_eq!(JobState::parse(state.as_str()), Some(state));
            assert_eq!(serde_json::to_value(state).unwrap(), state.as_str());
        }
    }

    #[test]
    fn adding_and_removing_leaves_nothing() {
        for state in JobState::ALL {
            for is_allowed in [false, true] {
                let mut tally = Tally::default();
                tally.add(state, is_allowed, 3);
                assert_ne!(tally, Tally::default());
                tally.remove(state, is_allowed, 3);
                assert_eq!(tally, Tally::default());
            }
        }
    }
}
