//! The tests that speak to a whole server, over sockets, as runners and operators do: those that one runs all day, under
//! a minute. What attacks, kills, fills or takes long is in `siege`.
//!
//! `harness` starts servers and speaks HTTP; then there is a file for each endpoint (`register`, `update`, `trace`,
//! `artifacts`, `runners`) and one for each promise. Numbers in comments ("row 12") are those of the behaviours
//! that GitLab's own tests assert, section 9 of the protocol's reference. The rows that do not apply to Baton:
//!
//! | rows | why |
//! | --- | --- |
//! | 14 | claims are atomic: nobody loses a race, so there is no 409; `race` in `siege` shows it |
//! | 15 | there is no registry, so `credentials` never has an entry (16: the key is there) |
//! | 20 | projects have no switch for shared runners |
//! | 21 | there are no triggers; its secret variable is in `variables` |
//! | 34 | only builds that have ended can be erased, and a PUT on those is 404 |
//! | 36, 38, 40, 42 | there is no `updated_at` that a user could see |
//! | 44 | a deleted project's builds are gone: its runners are told 403 or 404, see `changes` |
//! | 53, 59, 71, 72 | no Workhorse stands in front of Baton; a path in a field is never opened, see `artifacts` |
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

mod archive;
mod artifacts;
mod backup;
mod changes;
mod ci;
mod curl;
mod encodings;
mod ephemeral;
mod examples;
mod first;
mod fixtures;
mod git;
mod gitlab_v4;
#[path = "../harness/mod.rs"]
mod harness;
mod hold;
mod last_update;
mod logs;
mod masking;
mod needs;
mod packaging;
mod page;
mod parameters;
mod pipelines;
mod recovery;
mod register;
mod retention;
mod runners;
mod scripts;
mod secrets;
mod settings;
mod space;
mod start;
mod tidy;
mod tokens;
mod trace;
mod trace_model;
mod update;
mod v4_artifacts;
mod v4_fixtures;
mod v4_jobs;
mod v4_payload;
mod v4_runners;
mod v4_tokens;
mod variables;
mod watch;
mod why;
