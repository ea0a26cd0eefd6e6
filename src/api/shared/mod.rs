//! What the protocols of runners have in common.

pub mod version;
