//! The page in a real browser: what a person sees, does and waits for. Without a browser each test says so and passes.
//!
//! `checks` looks at pages as strict readers do (their policy, other hosts, narrow screens, axe), `site` has servers that
//! stand beside Baton or before it, `seen` fills and signs in. Pictures of all that was looked at are in `target/page/`.
// Tests stop at the first surprise, and say where.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::wildcard_enum_match_arm,
    clippy::too_many_lines,
    missing_docs
)]

mod acts;
mod checks;
#[path = "../harness/mod.rs"]
mod harness;
mod live;
mod log;
mod pages;
mod seen;
mod site;
