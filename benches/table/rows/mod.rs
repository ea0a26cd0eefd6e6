//! The rows of the table, one file a subject.

mod artifacts;
mod builds;
mod footprint;
mod holds;
mod log_views;
mod logs;
mod page;
mod pipelines;
mod polls;
mod programs;
mod queue;
mod run;
mod v4;

use crate::Scale;
use crate::report::Row;

type Measure = fn(&Scale) -> Vec<Row>;

/// Name and measurement, in the order of the table. Some share a set-up and make several rows.
pub const ALL: &[(&str, Measure)] = &[
    ("empty poll, keep-alive", polls::keep_alive),
    ("empty poll, connection per request", polls::connection_per_request),
    ("empty poll, database accesses", polls::database_accesses),
    ("claim and finish", builds::claim_and_finish),
    ("trace patch, 1 client", logs::one_client),
    ("trace patch, 64 clients", logs::many_clients),
    ("trace patch, tail", logs::tail),
    ("trace patch, long log", logs::long_log),
    ("long queue: claim, empty poll, start", queue::long_queue),
    ("artifact upload", artifacts::upload_large),
    ("artifact download", artifacts::download_large),
    ("log download", logs::download),
    ("log view", log_views::looks),
    ("held poll, wake", holds::wake),
    ("held polls, cost", holds::crowd),
    ("run", run::command),
    ("memory, idle", footprint::idle_memory),
    ("memory, uploads", artifacts::uploads_memory),
    ("release binary", footprint::binary_size),
    ("v4: empty poll", v4::empty_poll),
    ("v4: claim and finish", v4::claim_and_finish),
    ("v4: trace patch, 64 clients", v4::patches),
    ("v4: artifacts, up and down", v4::transfers),
    ("v4: held poll, wake beyond the command", holds::wake_beyond),
    ("programs: lists", programs::lists),
    ("programs: beside runners", programs::beside_runners),
    ("pipeline: compile", pipelines::compile),
    ("pipeline: queue", pipelines::queue),
    ("pipeline: finish a job", pipelines::finish),
    ("pipeline: run and list in a checkout", pipelines::checkout),
    ("page: overview", page::overview),
    ("page: readers beside runners", page::readers_beside_runners),
];

/// Clients, wherever there are many.
pub const CLIENTS: usize = 64;
