//! What a runner says of a build's state, in no protocol's words.

use super::build::{FailureReason, Status};

/// How far a build is, as its runner says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reported {
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
