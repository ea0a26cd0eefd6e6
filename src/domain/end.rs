//! What a runner says of a build's state, in no protocol's words.

use super::build::{FailureReason, Status};
use super::log_sum::LogSum;

/// How far a build is, as its runner says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Reported {
    /// It goes on.
    Runs,
    /// It has ended.
    Ended(End),
}

/// A build's end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct End {
    /// The state, a finished one.
    pub status: Status,
    /// Why it failed, if it did.
    pub reason: Option<FailureReason>,
    /// The runner's own word for the reason, where that is none of ours.
    pub text: Option<String>,
    /// How the script ended, if the runner says so.
    pub exit_code: Option<i64>,
    /// What the runner says that it sent as the log.
    pub log: Option<LogSum>,
}

impl End {
    /// A good one.
    #[must_use]
    pub fn success() -> End {
        End { status: Status::Success, reason: None, text: None, exit_code: None, log: None }
    }

    /// A bad one, for this reason.
    #[must_use]
    pub fn failed(reason: FailureReason) -> End {
        End { status: Status::Failed, reason: Some(reason), text: None, exit_code: None, log: None }
    }
}

impl Reported {
    /// The end, if there is one.
    #[must_use]
    pub fn end(self) -> Option<End> {
        match self {
            Reported::Runs => None,
            Reported::Ended(end) => Some(end),
        }
    }
}
