//! Baton: a build coordinator that speaks GitLab's Builds API.

pub mod api;
pub mod artifacts;
pub mod coordinator;
pub mod domain;
pub mod error;
pub mod http;
pub mod limits;
pub mod server;
pub mod store;

pub use server::{Config, Server};
