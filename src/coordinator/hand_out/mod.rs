//! Which build a runner gets, what it is told when there is none, and how it waits.

pub(super) mod claim;
pub(super) mod contact;
pub(super) mod told;
pub(super) mod waiting;
