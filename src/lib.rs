//! Baton is a build coordinator in one binary and one SQLite file. It speaks GitLab's Builds API, so that
//! unmodified GitLab Runners fetch builds from it, stream their logs to it, and store artifacts in it.
//!
//! # Layout, from the edges inwards
//!
//! | module | is |
//! | --- | --- |
//! | [`cli`] | the command line: one file a noun; parses and prints, nothing else |
//! | [`supervisor`] | keeps a serving process up: holds the socket, starts another process when one dies |
//! | [`farewell`] | answers those who come while the serving process stops |
//! | [`systemd`] | what a service manager hands over and is told: a socket, the state of the service |
//! | [`server`] | the library's front door: a coordinator that listens |
//! | [`ephemeral`] | a data directory for a while |
//! | [`background`] | the table of periodic deeds |
//! | [`tls`] | TLS before the HTTP server; it alone knows rustls |
//! | [`http`] | requests and responses as values, and the server that carries them; `http/wire.rs` alone knows tiny_http |
//! | [`api`] | one file per protocol: translates between requests and deeds |
//! | [`coordinator`] | the deeds: claim, report, finish, upload, cancel, ...; one function each, whoever asks |
//! | [`domain`] | types and pure rules: no HTTP, no SQL, no clock, no files |
//! | [`store`] | the database: connections, the one writer, migrations, statements by noun |
//! | [`artifacts`] | the bytes of artifacts on disk |
//! | [`metrics`] | counters and histograms without locks, and the text that they are read as |
//! | `crew` | lets a pool of threads know when one of them only waits |
//! | `descriptors` | open files that are known by their numbers alone |
//! | [`limits`] | a limit on everything, in one place |
//! | [`error`] | what can go wrong, as a kind and a sentence |
//!
//! Beside `src/`: `schema.sql` is the commented data model, `tests/it/` speaks to whole servers,
//! `docs/reliability.md` says which test shows which promise; `examples/` has test suites that use a server of their own,
//! `packaging/` what a service manager needs.
//!
//! # What must stay true
//!
//! * Arrows point down this table only. A second protocol is one more file in `api/`, with no change below it.
//! * A 2xx answer is on disk first: every write returns after a durable commit, every file is synced before a
//!   row names it.
//! * A deed decides inside one transaction, on what that transaction reads. Absent is `None` until a deed makes
//!   it an error; a database error is never "not found" and never "forbidden", on which old runners give up.
//! * Nothing a client sends is unbounded, in size or in time, and nothing of it is read that was not judged before.
//! * No token and no secret variable reaches a log, an error message or `Debug`.

pub mod api;
pub mod artifacts;
pub mod background;
pub mod cli;
pub mod coordinator;
mod crew;
mod descriptors;
pub mod domain;
pub mod ephemeral;
pub mod error;
pub mod farewell;
pub mod http;
pub mod limits;
pub mod metrics;
pub mod server;
pub mod store;
pub mod supervisor;
pub mod systemd;
pub mod tls;

pub use server::{Config, Server};
