//! What a runner says of a build's state, in no protocol's words.

use super::build::{FailureReason, Status};

/// How far a build is, as its runner says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Progress {
    /// It goes on.
    Runs,
    /// It has ended.
    Ended(End),
}

/// A build's end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct End {
    /// The state, a finished one.
    pub status: Status,
    /// Why it failed, if it did.
    pub reason: Option<FailureReason>,
}

impl Progress {
    /// The end, if there is one.
    #[must_use]
    pub fn end(self) -> Option<End> {
        match self {
            Progress::Runs => None,
            Progress::Ended(end) => Some(end),
        }
    }
}
