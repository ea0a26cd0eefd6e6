//! A runner asks for a build, and there is none: most of what a coordinator hears.

use super::CLIENTS;
use crate::Scale;
use crate::client::Client;
use crate::data::{Data, last_update};
use crate::floors::http;
use crate::load::{self, Script, Tally};
use crate::procs::{Served, serve_has};
use crate::report::{Row, Target, Unit, alternate};
use crate::wire::{Api, Connections, Head, poll};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// Asks the same again and again, and is told that there is nothing.
pub(super) struct Poller(Vec<u8>);

impl Script for Poller {
    fn ask(&mut self, out: &mut Vec<u8>) -> bool {
        out.extend_from_slice(&self.0);
        true
    }

    fn hear(&mut self, head: &Head, _: &[u8]) {
        assert_eq!(head.status, 204);
    }
}

/// A client each for these runners.
fn pollers(runners: &[String], last_updates: Option<&[String]>, connections: Connections) -> Vec<Poller> {
    pollers_by(Api::V1, runners, last_updates, connections)
}

/// The same in this protocol.
pub(super) fn pollers_by(
    api: Api,
    runners: &[String],
    last_updates: Option<&[String]>,
    connections: Connections,
) -> Vec<Poller> {
    let known = |index: usize| last_updates.map(|all| all[index].as_str());
    runners.iter().enumerate().map(|(index, token)| Poller(api.poll(token, known(index), connections))).collect()
}

/// A server without builds and its runners. Polls with a current `last_update` are answered at once.
pub(super) fn idle_server(data: &Data) -> (Served, Vec<String>) {
    let runners = data.runners(CLIENTS);
    let options: &[&str] = if serve_has("--hold") { &["--hold", "0"] } else { &[] };
    (Served::baton(data.path(), options), runners)
}

pub(super) fn last_updates(address: SocketAddr, runners: &[String]) -> Vec<String> {
    runners.iter().map(|token| last_update(address, token)).collect()
}

/// Polls with all connections kept; the floor is Baton's own loop with an empty handler.
pub fn keep_alive(scale: &Scale) -> Vec<Row> {
    let data = Data::new();
    let (baton, runners) = idle_server(&data);
    let (floor, bare) = (http::start(http::OWN_LOOP), http::start(http::BARE));
    let current = last_updates(baton.address, &runners);
    let mut searching = pollers(&runners, None, Connections::Kept);
    let mut knowing = pollers(&runners, Some(&current), Connections::Kept);
    let tally = Tally::default();
    let load = |address, scripts: &mut [Poller]| load::run(address, scripts, Connections::Kept, Some(scale.round));
    let mut floor_scripts = pollers(&runners, None, Connections::Kept);
    let mut bare_scripts = pollers(&runners, None, Connections::Kept);
    let [search, known, floor, bare] = alternate(
        scale.short_rounds,
        [
            &mut || tally.rate(&load(baton.address, &mut searching)),
            &mut || tally.rate(&load(baton.address, &mut knowing)),
            &mut || load(floor.address, &mut floor_scripts).rate(),
            &mut || load(bare.address, &mut bare_scripts).rate(),
        ],
    );
    let row = |work, samples, floor, target| Row::compared(work, Unit::PerSecond, samples, floor, target);
    vec![
        row("empty poll, 64 keep-alive clients", &search, &floor, Target::AtLeast(0.75)).note(tally.note()),
        row("the same with a current `last_update`", &known, &floor, Target::AtLeast(0.75)),
        row("for information: the same, floor a bare tiny_http thread per connection", &search, &bare, Target::None),
    ]
}

/// Polls with a connection each.
pub fn connection_per_request(scale: &Scale) -> Vec<Row> {
    let data = Data::new();
    let (baton, runners) = idle_server(&data);
    let (floor, bare) = (http::start(http::OWN_LOOP), http::start(http::BARE));
    let tally = Tally::default();
    let load = |address| {
        let mut scripts = pollers(&runners, None, Connections::Fresh);
        load::run(address, &mut scripts, Connections::Fresh, Some(scale.round))
    };
    let [polls, floor, bare] = alternate(
        scale.short_rounds,
        [&mut || tally.rate(&load(baton.address)), &mut || load(floor.address).rate(), &mut || {
            load(bare.address).rate()
        }],
    );
    let row = |work, floor, target| Row::compared(work, Unit::PerSecond, &polls, floor, target);
    vec![
        row("empty poll, a connection per request", &floor, Target::AtLeast(0.85)).note(tally.note()),
        row("for information: the same, floor a bare tiny_http thread per connection", &bare, Target::None),
    ]
}

/// Counts, with `strace`, the system calls on the database's files during polls with a current `last_update`. A
/// look at the database cannot do without: each begins with a lock.
pub fn database_accesses(_: &Scale) -> Vec<Row> {
    const POLLS: usize = 1000;
    let work = "system calls on the database, a poll with a current `last_update`";
    if Command::new("strace").arg("-V").output().is_err() {
        return vec![Row::skipped(work, "strace is not installed")];
    }
    let data = Data::new();
    let (baton, runners) = idle_server(&data);
    let known = last_update(baton.address, &runners[0]);
    let request = poll(&runners[0], Some(&known), Connections::Kept);
    let mut client = Client::new(baton.address);
    let calls = traced_calls(&baton, &data.database(), || {
        for _ in 0..POLLS {
            client.ask(&request).expect(204);
        }
    });
    // The one thread that watches for builds queued by other processes looks a few times a second.
    let row = Row::alone(work, Unit::Count("calls"), calls as f64 / POLLS as f64, Target::Below(0.5));
    vec![row.note(format!("{calls} calls during {POLLS} polls; those of the watch for other processes count, too"))]
}

/// System calls on a database's files by a server's processes while `work` runs.
fn traced_calls(server: &Served, database: &Path, work: impl FnOnce()) -> usize {
    let dir = tempfile::tempdir().unwrap();
    let trace = dir.path().join("trace");
    let mut strace = Command::new("strace");
    strace.args(["-f", "-e", "signal=none", "-o"]).arg(&trace);
    for suffix in ["", "-wal", "-shm"] {
        strace.arg("-P").arg(format!("{}{suffix}", database.display()));
    }
    for process in server.tree() {
        strace.args(["-p", &process.to_string()]);
    }
    let mut strace = strace.stderr(Stdio::null()).spawn().unwrap();
    // It attaches to every thread of both processes.
    std::thread::sleep(Duration::from_secs(1));
    work();
    kill(Pid::from_raw(strace.id().cast_signed()), Signal::SIGINT).unwrap();
    strace.wait().unwrap();
    // A call that was interrupted by another thread's has a second line, which says that it is resumed.
    let lines = std::fs::read_to_string(&trace).unwrap();
    lines.lines().filter(|line| line.contains('(') && !line.contains("resumed>")).count()
}
