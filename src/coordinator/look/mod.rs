//! How things stand, for people and for those who watch.

pub(super) mod disk_use;
pub(super) mod health;
pub(super) mod jobs;
pub(super) mod pipelines;
pub(super) mod status;
