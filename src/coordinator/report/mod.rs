//! What runners report of the builds that they have: pieces of a log, whole logs, ends.

pub(super) mod append;
pub(super) mod end;
pub(super) mod maskers;
pub(super) mod piece;
pub(super) mod read;
pub(super) mod replaced;
pub(super) mod whole;
