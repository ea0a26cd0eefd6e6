//! The processes of `baton serve`, and whoever started them.

pub(crate) mod descriptors;
pub mod drain;
pub mod supervisor;
pub mod systemd;
