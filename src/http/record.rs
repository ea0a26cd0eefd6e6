//! What the log says of requests.

/// The target of records about requests, as `RUST_LOG` names it.
pub const TARGET: &str = "baton::requests";
