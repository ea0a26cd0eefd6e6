//! What Baton is measured against: the least that the same work costs.

pub mod files;
pub mod http;
pub mod nginx;
pub mod sqlite;

/// With this argument and the name of a floor the program is that floor's server.
pub const ARGUMENT: &str = "--floor";
