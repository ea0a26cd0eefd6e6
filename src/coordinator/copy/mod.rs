//! A copy of the data, and whether it is whole.

pub(super) mod backup;
pub(super) mod check;
