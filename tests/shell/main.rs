//! The built-in runner against a small server of API v4 whose every answer the tests control.
//!
//! `fake` is the server, `stand` a runner beside it; `pipeline` makes jobs of the cases in
//! `tests/golden/shell-runner-cases.yml`, which `cases` runs; then there is a file for each promise.
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

mod cases;
mod ends;
mod escapes;
mod fake;
mod pipeline;
mod plants;
mod stand;
mod transfers;
mod wire;
