//! Baton is a build coordinator in one binary and one SQLite file. It speaks GitLab's Builds API, so that
//! unmodified GitLab Runners fetch builds from it, stream their logs to it, and store artifacts in it.
//!
//! # Layout, from the edges inwards
//!
//! | module | is |
//! | --- | --- |
//! | [`cli`] | the command line: one file or folder a noun; parses and prints, nothing else. `words/`: what people type; `show/`: what they read |
//! | [`process`] | the processes of `serve`: the supervisor, what answers while it drains, service managers |
//! | [`runner`] | the built-in runner: takes jobs from a server by API v4 and runs them with a shell; it knows no deed and no store |
//! | [`server`] | the library's front door: a coordinator that listens |
//! | [`ephemeral`] | a data directory for a while |
//! | [`background`] | the table of periodic deeds |
//! | [`tls`] | TLS before the HTTP server; it and `runner/trust.rs` alone know rustls |
//! | [`api`] | one room a protocol: translates between requests and deeds. `runner_v1/`: runners 1.x; `runner_v4/`: runners 9.0 to 19.3; `gitlab_v4/`: programs, as they speak with GitLab; `git/`: how builds fetch snapshots; `health/`: who watches; `shared/`: all that protocols of runners have in common but their words |
//! | [`web`] | the page: what people see in a browser; it knows the deeds and no other room |
//! | [`http`] | requests and responses as values, and the server that carries them; `headers/`: what the values of headers mean; `http/wire.rs` alone knows tiny_http |
//! | [`coordinator`] | the deeds, one function each, whoever asks. `hand_out/`: which build a runner gets; `report/`: what it says of it (patches, whole logs, ends); `builds/`, `pipelines/`: what operators do; `look/`: how things stand; `view/`, `log_view/`: what pages show; `copy/`: backup and check; `upkeep/`: what happens by itself |
//! | [`gitlab_ci`] | what a `.gitlab-ci.yml` means: from files to a pipeline, as a value; it knows [`domain`] alone |
//! | [`domain`] | types and pure rules: no SQL, no clock, no files. `text/`: what people write; `keywords/`: what GitLab's keywords mean |
//! | [`store`] | the database: connections, the one writer, migrations, statements by noun |
//! | [`artifacts`] | the bytes of artifacts on disk |
//! | [`git`] | the `git` program: what a checkout holds, a commit of its present state, and how a runner fetches that |
//! | [`metrics`] | counters and histograms without locks, and the text that they are read as |
//! | `blocking` | lets a pool of threads know when one of them only waits |
//! | `gzip`, `unzip` | what runners pack with gzip, and archives of artifacts and caches, unpacked within bounds, or looked into |
//! | `seats` | what there is only so much of, and less for one owner: processes of git, configurations at a time |
//! | `sync` | locks that outlive a panic |
//! | [`limits`] | a limit on everything, in one place |
//! | [`error`] | what can go wrong, as a kind and a sentence |
//!
//! Beside `src/`: `schema.sql` is the commented data model. `tests/it/` speaks to whole servers in under a minute,
//! `tests/siege/` attacks, kills and fills them; `tests/browser/` looks at the page with a real browser;
//! `tests/harness/` starts them for all three;
//! `tests/golden/` asks what configurations mean. `docs/reliability.md` says which test shows which promise; `examples/` has test suites that use a server of their own,
//! `packaging/` what a service manager needs.
//!
//! # What must stay true
//!
//! * Arrows point down this table only. A second protocol is one more room in `api/`, with no change below it.
//! * A 2xx answer is on disk first: every write returns after a durable commit, every file is synced before a
//!   row names it.
//! * A deed decides inside one transaction, on what that transaction reads. Absent is `None` until a deed makes
//!   it an error; a database error is never "not found" and never "forbidden", on which old runners give up.
//! * Nothing a client sends is unbounded, in size or in time, and nothing of it is read that was not judged before.
//! * No token and no secret variable reaches a log, an error message or `Debug`.

pub mod api;
pub mod artifacts;
pub mod background;
mod blocking;
pub mod cli;
pub mod coordinator;
pub mod domain;
pub mod ephemeral;
pub mod error;
pub mod git;
pub mod gitlab_ci;
mod gzip;
pub mod http;
pub mod limits;
pub mod metrics;
pub mod process;
pub mod runner;
mod seats;
pub mod server;
pub mod store;
mod sync;
pub mod tls;
mod unzip;
pub mod web;

pub use server::{Config, Server};
