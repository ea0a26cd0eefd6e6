//! The benchmark table: what Baton does in a second, beside the least that the same work costs on the same
//! machine, its floor. `cargo bench` runs all of it, `cargo bench -- FILTER` the rows whose name contains FILTER,
//! `cargo bench -- --quick` a short form that shows whether everything works. `docs/performance.md` explains the rows.
//!
//! | module | is |
//! | --- | --- |
//! | `rows` | the rows, one file a subject: set up, measure, compare |
//! | `floors` | what Baton is measured against: servers, SQLite loops, file copies, nginx |
//! | `report` | samples, targets, and the table |
//! | `load` | the generator: many connections in one thread |
//! | `client` | one blocking connection, for latencies and large bodies |
//! | `wire` | requests as bytes, and the little of HTTP that answers need |
//! | `procs` | servers as processes: their address, memory and time |
//! | `data` | data directories with runners, builds and logs in them |
//!
//! What must stay true: Baton is the program as it is shipped, in processes of its own; Baton and its floor are
//! measured in alternation in the same run, by the same client, on the same disk; both are warm.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::too_many_lines,
    missing_docs
)]

mod client;
mod data;
mod floors;
mod load;
mod procs;
mod report;
mod rows;
mod wire;

use mimalloc::MiMalloc;
use report::{Row, print_table};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// The shipped program's, so that a floor that is a server does not lose for its allocator.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// How long and how large: the full table or the quick one.
pub struct Scale {
    /// Measurements of each side, in alternation, of what takes seconds.
    pub rounds: usize,
    /// The same of what takes less: many short rounds see the same weather.
    pub short_rounds: usize,
    /// How long a short round takes, where time is what is given.
    pub round: Duration,
    /// Calls in a short round of latencies.
    pub calls: usize,
    /// Builds that are claimed and finished in a round.
    pub builds: usize,
    /// How long 64 clients write while the tail of their latencies is looked at.
    pub tail: Duration,
    /// Bytes of a long log.
    pub log_bytes: u64,
    /// Builds that wait in a long queue.
    pub many_builds: u64,
    /// Bytes of a large artifact.
    pub artifact_bytes: u64,
    /// Bytes of each of 64 uploads at once.
    pub small_artifact_bytes: u64,
    /// Polls that are held at once.
    pub held_polls: usize,
}

const FULL: Scale = Scale {
    rounds: 5,
    short_rounds: 15,
    round: Duration::from_millis(400),
    calls: 200,
    builds: 10_000,
    tail: Duration::from_secs(10),
    log_bytes: 100 << 20,
    many_builds: 1_000_000,
    artifact_bytes: 1 << 30,
    small_artifact_bytes: 64 << 20,
    held_polls: 1000,
};

const QUICK: Scale = Scale {
    rounds: 3,
    short_rounds: 5,
    round: Duration::from_millis(200),
    calls: 100,
    builds: 2000,
    tail: Duration::from_secs(1),
    log_bytes: 20 << 20,
    many_builds: 50_000,
    artifact_bytes: 64 << 20,
    small_artifact_bytes: 8 << 20,
    held_polls: 200,
};

const USAGE: &str = "cargo bench [-- [--quick] [FILTER]...]: measures the rows whose name contains a FILTER:";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [first, floor] = arguments.as_slice()
        && first == floors::ARGUMENT
    {
        floors::http::serve(floor);
        return ExitCode::SUCCESS;
    }
    if !arguments.iter().any(|argument| argument == "--bench") {
        println!("the benchmark table is run by `cargo bench`");
        return ExitCode::SUCCESS;
    }
    let options: Vec<&str> = arguments.iter().map(String::as_str).filter(|it| *it != "--bench").collect();
    let quick = options.contains(&"--quick");
    let filters: Vec<&str> = options.iter().copied().filter(|it| *it != "--quick").collect();
    if let Some(option) = filters.iter().find(|it| it.starts_with('-')) {
        println!("{USAGE}");
        rows::ALL.iter().for_each(|(name, _)| println!("  {name}"));
        return ExitCode::from(if *option == "--help" { 0 } else { 2 });
    }
    run(if quick { &QUICK } else { &FULL }, &filters)
}

/// Exits with 0 whatever the numbers are, with 1 if something could not be measured.
fn run(scale: &Scale, filters: &[&str]) -> ExitCode {
    let chosen = |name: &str| filters.is_empty() || filters.iter().any(|filter| name.contains(filter));
    let (mut table, mut failed) = (Vec::new(), false);
    for (name, measure) in rows::ALL.iter().filter(|(name, _)| chosen(name)) {
        let started = Instant::now();
        eprintln!("{name} ...");
        let rows = catch_unwind(AssertUnwindSafe(|| measure(scale)));
        let rows = rows.unwrap_or_else(|_| {
            failed = true;
            vec![Row::failed(name)]
        });
        rows.iter().for_each(Row::tell);
        eprintln!("{name}: {:.0} s", started.elapsed().as_secs_f64());
        table.extend(rows);
    }
    print_table(&table, floors::files::sync_latency());
    ExitCode::from(u8::from(failed))
}
