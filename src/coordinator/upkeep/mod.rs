//! What a server does by itself, now and then.

pub(super) mod lost_builds;
pub(super) mod own_runners;
pub(super) mod reclaim;
pub(super) mod retention;
pub(super) mod serving;
