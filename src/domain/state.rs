//! States of builds: which may follow which, and why builds fail.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A build's state, by GitLab's words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Waits for other builds.
    #[default]
    Created,
    /// Waits until no other build of its resource group runs.
    WaitingForResource,
    /// Waits for a runner.
    Pending,
    /// Handed to a runner.
    Running,
    /// Waits for its time.
    Scheduled,
    /// Waits for somebody to start it.
    Manual,
    /// Ended well.
    Success,
    /// Ended badly; a [`FailureReason`] says how.
    Failed,
    /// Ended by somebody.
    Canceled,
    /// Does not run, as things stand. Only a build of a pipeline may wait again: when one before it is started by hand.
    Skipped,
}

impl Status {
    /// Every state, in the order in which a build may pass through them.
    pub const ALL: [Status; 10] = [
        Status::Created,
        Status::WaitingForResource,
        Status::Pending,
        Status::Running,
        Status::Scheduled,
        Status::Manual,
        Status::Success,
        Status::Failed,
        Status::Canceled,
        Status::Skipped,
    ];

    /// The word for this state on the wire, in the database and in logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Status::Created => "created",
            Status::WaitingForResource => "waiting_for_resource",
            Status::Pending => "pending",
            Status::Running => "running",
            Status::Scheduled => "scheduled",
            Status::Manual => "manual",
            Status::Success => "success",
            Status::Failed => "failed",
            Status::Canceled => "canceled",
            Status::Skipped => "skipped",
        }
    }

    /// The state of this word, if there is one.
    #[must_use]
    pub fn parse(word: &str) -> Option<Status> {
        Status::ALL.into_iter().find(|status| status.as_str() == word)
    }

    /// Whether the build has ended, or does not run.
    #[must_use]
    pub fn is_finished(self) -> bool {
        match self {
            Status::Created
            | Status::WaitingForResource
            | Status::Pending
            | Status::Running
            | Status::Scheduled
            | Status::Manual => false,
            Status::Success | Status::Failed | Status::Canceled | Status::Skipped => true,
        }
    }

    /// Whether a build in this state may change to `next`.
    #[must_use]
    pub fn may_become(self, next: Status) -> bool {
        match self {
            Status::Created => !matches!(next, Status::Created | Status::Running | Status::Success | Status::Failed),
            // One that makes a pipeline is scheduled when somebody starts it, or when it has what it shares.
            Status::Manual => {
                matches!(next, Status::WaitingForResource | Status::Pending | Status::Scheduled | Status::Canceled)
            }
            Status::Scheduled => matches!(next, Status::WaitingForResource | Status::Pending | Status::Canceled),
            Status::WaitingForResource => matches!(next, Status::Pending | Status::Scheduled | Status::Canceled),
            Status::Pending => matches!(next, Status::Running | Status::Canceled),
            Status::Running => matches!(next, Status::Success | Status::Failed | Status::Canceled),
            Status::Skipped => next == Status::Created,
            Status::Success | Status::Failed | Status::Canceled => false,
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Why a build failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureReason {
    /// The runner said so.
    ScriptFailure,
    /// The runner showed no life for too long, or was removed.
    RunnerLost,
    /// The build ran longer than its timeout.
    TimedOut,
    /// The trace passed the limit of the server.
    TraceTooLarge,
    /// Artifacts that were uploaded passed the limit of the server.
    ArtifactsTooLarge,
    /// The runner named a reason that is none of these.
    RunnerFailure,
    /// It could not be handed out, since what is stored of it is damaged.
    SchedulerFailure,
}

impl FailureReason {
    /// Every reason.
    pub const ALL: [FailureReason; 7] = [
        FailureReason::ScriptFailure,
        FailureReason::RunnerLost,
        FailureReason::TimedOut,
        FailureReason::TraceTooLarge,
        FailureReason::ArtifactsTooLarge,
        FailureReason::RunnerFailure,
        FailureReason::SchedulerFailure,
    ];

    /// The word for this reason in the database and in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            FailureReason::ScriptFailure => "script_failure",
            FailureReason::RunnerLost => "runner_lost",
            FailureReason::TimedOut => "timed_out",
            FailureReason::TraceTooLarge => "trace_too_large",
            FailureReason::ArtifactsTooLarge => "artifacts_too_large",
            FailureReason::RunnerFailure => "runner_failure",
            FailureReason::SchedulerFailure => "scheduler_failure",
        }
    }

    /// The reason of this word, if there is one.
    #[must_use]
    pub fn parse(word: &str) -> Option<FailureReason> {
        FailureReason::ALL.into_iter().find(|reason| reason.as_str() == word)
    }
}

/// What becomes of a `created` build, given the states of the builds that it needs.
///
/// `None`: it goes on waiting.
#[must_use]
pub fn after_needs(needs: impl IntoIterator<Item = Status>) -> Option<Status> {
    let mut all_succeeded = true;
    for status in needs {
        match status {
            Status::Success => {}
            Status::Failed | Status::Canceled | Status::Skipped => return Some(Status::Skipped),
            Status::Created
            | Status::WaitingForResource
            | Status::Pending
            | Status::Running
            | Status::Scheduled
            | Status::Manual => all_succeeded = false,
        }
    }
    all_succeeded.then_some(Status::Pending)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finished_states_never_change_and_only_pending_builds_start() {
        for from in Status::ALL {
            for to in Status::ALL {
                let comes_back = (from, to) == (Status::Skipped, Status::Created);
                assert!(!(from.is_finished() && from.may_become(to)) || comes_back, "{from} -> {to}");
                assert_eq!(
                    to == Status::Running && from.may_become(to),
                    from == Status::Pending && to == Status::Running
                );
            }
            assert_eq!(Status::parse(from.as_str()), Some(from));
        }
        assert_eq!(Status::parse("canceling"), None);
    }

    #[test]
    fn a_build_waits_until_its_needs_succeed_and_is_skipped_when_one_cannot() {
        use Status::{Canceled, Failed, Pending, Running, Skipped, Success};
        for (needs, becomes) in [
            (vec![], Some(Pending)),
            (vec![Success, Success], Some(Pending)),
            (vec![Success, Running], None),
            (vec![Status::Created], None),
            (vec![Running, Failed], Some(Skipped)),
            (vec![Canceled, Success], Some(Skipped)),
            (vec![Skipped], Some(Skipped)),
        ] {
            assert_eq!(after_needs(needs.clone()), becomes, "{needs:?}");
        }
    }
}
