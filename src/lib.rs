//! Baton: a build coordinator that speaks GitLab's Builds API.

pub mod domain;
pub mod error;
pub mod store;
