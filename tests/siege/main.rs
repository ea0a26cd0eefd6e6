//! The tests that attack, kill, fill or take long: what Baton promises when all goes wrong.
//!
//! `it` has the tests that one runs all day. Tests here that compare times run alone: see `harness::turn`.
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

mod attacks;
mod backup;
mod big;
mod bytes;
mod clients;
mod clock;
mod crash;
mod crate_client;
mod docs;
mod full_disk;
mod hold;
mod life;
mod misdirected;
mod moved;
mod package;
mod proxy;
mod race;
mod supervisor;
mod systemd;
mod tls;

#[path = "../harness/mod.rs"]
mod harness;
