//! How jobs of a pipeline move, and what state the pipeline is in.
//!
//! What must stay true: what a job becomes depends on nothing but its own `when` and on a [`Tally`] of the jobs that it
//! waits for; tallies are sums, so that whoever keeps one a stage need not look at the jobs again. The rules are
//! GitLab's (`Ci::Status::Composite` and `Ci::ProcessPipelineService`).

use super::When;
use crate::domain::spec::AllowFailure;
use crate::domain::state::Status;
use serde::{Deserialize, Serialize};

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
    fn counter(&mut self, state: Status, is_allowed: bool) -> &mut u32 {
        match state {
            Status::Created => &mut self.created,
            Status::WaitingForResource => &mut self.waiting,
            Status::Pending => &mut self.pending,
            Status::Running => &mut self.running,
            Status::Scheduled => &mut self.scheduled,
            Status::Success => &mut self.good,
            Status::Failed | Status::Canceled if is_allowed => &mut self.warned,
            Status::Failed => &mut self.bad,
            Status::Canceled => &mut self.canceled,
            Status::Skipped => &mut self.skipped,
            Status::Manual if is_allowed => &mut self.optional,
            Status::Manual => &mut self.blocking,
        }
    }

    /// Counts jobs.
    pub fn add(&mut self, state: Status, is_allowed: bool, jobs: u32) {
        let counter = self.counter(state, is_allowed);
        *counter = counter.saturating_add(jobs);
    }

    /// Counts jobs no more.
    pub fn remove(&mut self, state: Status, is_allowed: bool, jobs: u32) {
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
    /// Every state.
    pub const ALL: [PipelineState; 10] = [
        PipelineState::Created,
        PipelineState::WaitingForResource,
        PipelineState::Pending,
        PipelineState::Running,
        PipelineState::Scheduled,
        PipelineState::Manual,
        PipelineState::Success,
        PipelineState::Failed,
        PipelineState::Canceled,
        PipelineState::Skipped,
    ];

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
    pub state: Status,
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
        When::OnSuccess | When::OnFailure | When::Always => Status::Pending,
        When::Manual => Status::Manual,
        When::Delayed => Status::Scheduled,
    };
    let (state, why) = match (together, when) {
        (Together::Active, _) => (Status::Created, "jobs before it have not ended"),
        (Together::Blocked, _) => (Status::Created, "a manual job before it must be started first"),
        (Together::Success, When::OnFailure) => (Status::Skipped, "no job before it failed"),
        (Together::Success, _) => (turn, "all jobs before it went well"),
        (Together::Failed, When::OnFailure | When::Always) => (turn, "a job before it failed"),
        (Together::Failed, _) => (Status::Skipped, "a job before it failed"),
        (Together::Canceled, _) => (Status::Skipped, "a job before it was canceled"),
        (Together::Skipped, When::Always) => (turn, "the jobs before it do not run"),
        (Together::Skipped, When::OnFailure) => (Status::Skipped, "no job before it failed"),
        (Together::Skipped, _) if waits == Waits::Needs => (Status::Skipped, "a job that it needs does not run"),
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

    fn tally(jobs: &[(Status, bool)]) -> Tally {
        let mut tally = Tally::default();
        for (state, is_allowed) in jobs {
            tally.add(*state, *is_allowed, 1);
        }
        tally
    }

    #[test]
    fn a_job_without_anything_before_it_has_its_turn() {
        for waits in [Waits::Stages, Waits::Needs] {
            assert_eq!(decide(When::OnSuccess, waits, &Tally::default()).state, Status::Pending);
            assert_eq!(decide(When::Delayed, waits, &Tally::default()).state, Status::Scheduled);
            assert_eq!(decide(When::OnFailure, waits, &Tally::default()).state, Status::Skipped);
        }
    }

    #[test]
    fn a_need_that_does_not_run_skips_at_once_and_a_stage_does_not() {
        let before = tally(&[(Status::Skipped, false), (Status::Running, false)]);
        assert_eq!(decide(When::OnSuccess, Waits::Needs, &before).state, Status::Skipped);
        assert_eq!(decide(When::OnSuccess, Waits::Stages, &before).state, Status::Created);
        assert_eq!(decide(When::Always, Waits::Needs, &before).state, Status::Created);
    }

    #[test]
    fn a_canceled_job_skips_what_is_behind_it_unless_it_was_allowed_to_fail() {
        assert_eq!(decide(When::OnSuccess, Waits::Stages, &tally(&[(Status::Canceled, false)])).state, Status::Skipped);
        assert_eq!(decide(When::OnSuccess, Waits::Stages, &tally(&[(Status::Canceled, true)])).state, Status::Pending);
    }

    #[test]
    fn adding_and_removing_leaves_nothing() {
        for state in Status::ALL {
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
