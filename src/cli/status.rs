//! `baton status`: how things stand, at a glance.

use super::Done;
use super::show::print::{self, RunnerOfBuild};
use crate::coordinator::{Coordinator, Standing};
use crate::domain::build::{Build, BuildId, Status as State};
use crate::domain::text::duration::format_duration;
use crate::domain::text::size::format_size;
use crate::domain::time::Timestamp;
use argh::{ArgsInfo, FromArgs};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::Path;

/// Say how things stand: the server, the queue, what runs, the runners, the disk.
#[derive(FromArgs, ArgsInfo)]
#[argh(
    subcommand,
    name = "status",
    example = "{command_name}\n{command_name} --json",
    note = "\
        The oldest pending build is the one that has been ready for longest, be it since it was queued or since the\n\
        last build that it needs has ended. `baton runner list` and `baton build list` show all, `baton du` what\n\
        takes the room, `baton check` whether the data is whole.",
    error_code(0, "It could be told, whatever it is.")
)]
pub struct Status {
    /// print JSON: data, server (running, alive_at), queue (pending, created, oldest), running (builds, longest),
    /// runners (online, stale, paused, never_seen), disk (database_bytes, wal_bytes, artifact_bytes, free_bytes)
    #[argh(switch)]
    json: bool,
}

#[derive(Serialize)]
struct Document<'a> {
    data: String,
    server: Server,
    queue: Queue<'a>,
    running: Running<'a>,
    runners: BTreeMap<&'static str, u64>,
    disk: Disk,
}

#[derive(Serialize)]
struct Server {
    running: bool,
    alive_at: Option<String>,
}

#[derive(Serialize)]
struct Queue<'a> {
    pending: u64,
    created: u64,
    oldest: Option<Since<'a>>,
}

#[derive(Serialize)]
struct Running<'a> {
    builds: usize,
    longest: Option<Since<'a>>,
}

/// A build that is in its state for some time.
#[derive(Serialize)]
struct Since<'a> {
    id: BuildId,
    project: &'a str,
    name: &'a str,
    since: String,
    /// Seconds.
    age: u64,
    pending_reason: Option<&'a str>,
    runner: Option<RunnerOfBuild<'a>>,
}

#[derive(Serialize)]
struct Disk {
    database_bytes: u64,
    wal_bytes: u64,
    artifact_bytes: u64,
    free_bytes: u64,
}

impl<'a> Since<'a> {
    fn new(build: &'a Build, since: Timestamp, now: Timestamp) -> Since<'a> {
        Since {
            id: build.id,
            project: &build.project,
            name: &build.name,
            since: since.to_string(),
            age: now.since(since).as_secs(),
            pending_reason: None,
            runner: RunnerOfBuild::new(build),
        }
    }
}

impl Status {
    /// Does what the command line says, of the data directory `data`.
    pub fn run(self, coordinator: &Coordinator, data: &Path) -> Done {
        let now = Timestamp::now();
        let standing = coordinator.standing(now)?;
        if self.json { print::json(&document(&standing, data, now)) } else { print::out(&lines(&standing, data, now)) }
    }
}

fn document<'a>(standing: &'a Standing, data: &Path, now: Timestamp) -> Document<'a> {
    let (counts, statistics) = (&standing.counts, &standing.counts.statistics);
    let oldest = standing.oldest_pending.as_ref().map(|(report, since)| Since {
        pending_reason: report.pending_reason.as_deref(),
        ..Since::new(&report.build, *since, now)
    });
    let longest = standing.running.longest.as_ref().map(|(build, since)| Since::new(build, *since, now));
    Document {
        data: data.display().to_string(),
        server: Server { running: standing.is_served, alive_at: standing.alive_at.map(|at| at.to_string()) },
        queue: Queue { pending: statistics.stored(State::Pending), created: statistics.stored(State::Created), oldest },
        running: Running { builds: standing.running.builds, longest },
        runners: counts.runners.iter().map(|(state, count)| (state.as_str(), *count)).collect(),
        disk: Disk {
            database_bytes: counts.database_bytes,
            wal_bytes: counts.log_bytes,
            artifact_bytes: statistics.artifact_bytes,
            free_bytes: counts.room.free_bytes,
        },
    }
}

fn lines(standing: &Standing, data: &Path, now: Timestamp) -> String {
    let (counts, statistics) = (&standing.counts, &standing.counts.statistics);
    let ago = |at: Timestamp| format_duration(now.since(at));
    let server = match (standing.is_served, standing.alive_at) {
        (true, _) => "runs".to_owned(),
        (false, Some(at)) => format!("does not run; the last one was alive {} ago", ago(at)),
        (false, None) => "does not run, and never has; `baton serve` starts it".to_owned(),
    };
    let (pending, created) = (statistics.stored(State::Pending), statistics.stored(State::Created));
    let mut queue = print::count(pending, "build");
    if created > 0 {
        let wait = if created == 1 { "waits" } else { "wait" };
        queue += &format!(", and {} that {wait} for others", print::count(created, "build"));
    }
    let oldest = standing.oldest_pending.as_ref().map(|(report, since)| {
        let reason = report.pending_reason.as_deref().unwrap_or_default();
        format!("build {} ({}), for {}: {reason}", report.build.id, report.build.name, ago(*since))
    });
    let longest = standing.running.longest.as_ref().map(|(build, since)| {
        let runner = build.runner.as_ref().map_or_else(String::new, |(id, name)| format!(" on runner {id} ({name})"));
        format!("build {} ({}), for {}{runner}", build.id, build.name, ago(*since))
    });
    let runners: Vec<String> =
        counts.runners.iter().map(|(state, count)| format!("{count} {}", state.as_str().replace('_', " "))).collect();
    let disk = format!(
        "database {}, write-ahead log {}, artifacts {}; {} free",
        format_size(counts.database_bytes),
        format_size(counts.log_bytes),
        format_size(statistics.artifact_bytes),
        format_size(counts.room.free_bytes)
    );
    let rows = [
        ("data", Some(data.display().to_string())),
        ("server", Some(server)),
        ("queue", Some(queue)),
        ("oldest", oldest),
        ("running", Some(print::count(standing.running.builds as u64, "build"))),
        ("longest", longest),
        ("runners", Some(runners.join(", "))),
        ("disk", Some(disk)),
    ];
    let rows: Vec<[String; 2]> = rows.into_iter().filter_map(|(name, value)| Some([name.to_owned(), value?])).collect();
    print::aligned(&rows)
}
