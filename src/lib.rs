//! Baton: a build coordinator that speaks GitLab's Builds API.

pub mod artifacts;
pub mod coordinator;
pub mod domain;
pub mod error;
pub mod limits;
pub mod store;
