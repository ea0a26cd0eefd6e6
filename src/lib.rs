//! Baton: a build coordinator that speaks GitLab's Builds API.

pub mod domain;
