//! Runners append to logs, 4 KiB at a time.

use super::CLIENTS;
use crate::Scale;
use crate::client::{Client, ask_once};
use crate::data::{Data, PATCH_BYTES, Running, claim_each, log_text};
use crate::floors::sqlite::{builds, logs as floors};
use crate::load::{self, Load, Script, Tally};
use crate::procs::{Served, baton};
use crate::report::{Row, Samples, Target, Unit, alternate, median_latency};
use crate::wire::{Connections, Head, finish};
use std::net::SocketAddr;
use std::process::Stdio;
use std::time::{Duration, Instant};

/// A runner that appends to its build's log as fast as it is let.
pub(super) struct Writer {
    build: Running,
    data: Vec<u8>,
}

impl Script for Writer {
    fn ask(&mut self, out: &mut Vec<u8>) -> bool {
        *out = self.build.patch(&self.data);
        true
    }

    fn hear(&mut self, head: &Head, _: &[u8]) {
        assert_eq!(head.status, 202);
    }
}

/// A server with so many running builds, and those that write their logs. The logs may grow without bound.
fn server_with_writers(data: &Data, count: usize) -> (Served, Vec<Writer>) {
    data.queue(count);
    let runners = data.runners(count);
    let server = Served::baton(data.path(), &["--max-trace-size", "100G"]);
    let writers = writers_of(claim_each(server.address, &runners));
    (server, writers)
}

/// Writers of these builds' logs.
pub(super) fn writers_of(builds: Vec<Running>) -> Vec<Writer> {
    let data = log_text(PATCH_BYTES);
    builds.into_iter().map(|build| Writer { build, data: data.clone() }).collect()
}

pub(super) fn write(address: SocketAddr, writers: &mut [Writer], time: Duration) -> Load {
    load::run(address, writers, Connections::Kept, Some(time))
}

/// Bytes of the patches that make a log long.
const LARGE_PATCH_BYTES: usize = 1 << 20;

/// Makes a build's log so long.
fn lengthen(address: SocketAddr, build: &mut Running, bytes: u64) {
    let (text, mut client) = (log_text(LARGE_PATCH_BYTES), Client::new(address));
    while (build.size as u64) < bytes {
        client.ask(&build.patch(&text)).expect(202);
    }
}

/// The latency of one client's patches; the floor is a commit of the same bytes. Both have written enough before for
/// their write-ahead logs to be overwritten from now on, as they are most of the time: growing ones cost twice as much.
pub fn one_client(scale: &Scale) -> Vec<Row> {
    const WARM_UP_BYTES: u64 = 32 << 20;
    let data = Data::new();
    let (server, mut writers) = server_with_writers(&data, 1);
    let Writer { build, data: text } = &mut writers[0];
    lengthen(server.address, build, WARM_UP_BYTES);
    let floor_dir = tempfile::tempdir().unwrap();
    let connection = floors::patches(&floor_dir.path().join("floor.db"));
    for _ in 0..WARM_UP_BYTES / LARGE_PATCH_BYTES as u64 {
        floors::patch(&connection, &log_text(LARGE_PATCH_BYTES));
    }
    let mut client = Client::new(server.address);
    let mut floor = || median_latency(scale.calls, || floors::patch(&connection, text));
    let mut baton = || median_latency(scale.calls, || drop(client.ask(&build.patch(text)).expect(202)));
    let [baton, floor] = alternate(scale.short_rounds, [&mut baton, &mut floor]);
    vec![Row::compared("trace patch of 4 KiB, 1 client", Unit::Time, &baton, &floor, Target::AtMost(1.5))]
}

/// The rate of 64 clients on 64 builds; the floor is commits of 64 patches, and what one client
/// reaches. Behind the bytes stands more: whose they are, what must be masked; the last row counts that in.
pub fn many_clients(scale: &Scale) -> Vec<Row> {
    let data = Data::new();
    let (server, mut writers) = server_with_writers(&data, CLIENTS + 1);
    let mut one = writers.split_off(CLIENTS);
    let text = one[0].data.clone();
    let floor_dir = tempfile::tempdir().unwrap();
    let connection = floors::patches(&floor_dir.path().join("floor.db"));
    let (_floor_data, mut logs) = statements_floor();
    let tally = Tally::default();
    let mut baton = || tally.rate(&write(server.address, &mut writers, scale.round));
    let mut floor = || floors::patches_per_second(&connection, &text, scale.round);
    let mut statements = || logs.patches_per_second(&text, scale.round);
    let mut single = || write(server.address, &mut one, scale.round).rate();
    let [baton, floor, statements, single] =
        alternate(scale.short_rounds, [&mut baton, &mut floor, &mut statements, &mut single]);
    let row = |work, floor, target| Row::compared(work, Unit::PerSecond, &baton, floor, target);
    vec![
        row("trace patch of 4 KiB, 64 clients on 64 builds", &floor, Target::AtLeast(0.7)).note(tally.note()),
        row("the same, floor the rate of 1 client", &single, Target::AtLeast(5.0)),
        row("for information: the same, floor all statements of a patch in a loop", &statements, Target::None),
    ]
}

/// As many running builds as there are clients, without a server.
fn statements_floor() -> (Data, floors::Logs) {
    let data = Data::new();
    data.queue(CLIENTS);
    let runners = builds::hashes(&data.runners(CLIENTS));
    let running = builds::Builds::open(&data.database()).claim(CLIENTS, &runners);
    let logs = floors::Logs::new(&data.database(), running);
    (data, logs)
}

/// How long single patches take while 64 clients write for seconds: checkpoints must not stall them.
pub fn tail(scale: &Scale) -> Vec<Row> {
    let data = Data::new();
    let (server, mut writers) = server_with_writers(&data, CLIENTS);
    write(server.address, &mut writers, scale.round);
    let load = write(server.address, &mut writers, scale.tail);
    let latencies = Samples(load.latencies.iter().map(Duration::as_secs_f64).collect());
    let quantile = |name: &str, part| {
        let work = format!("trace patch among 64 clients, {name}");
        Row::alone(&work, Unit::Time, latencies.quantile(part), Target::None)
    };
    let patches = load.latencies.len();
    vec![
        quantile("p50", 0.5).note(format!("{patches} patches in {:?}", scale.tail)),
        quantile("p99", 0.99),
        quantile("p99.9", 0.999),
        quantile("longest", 1.0),
    ]
}

/// Patches at the end of a long log; the floor is patches at the begin of one.
pub fn long_log(scale: &Scale) -> Vec<Row> {
    let data = Data::new();
    let (server, mut writers) = server_with_writers(&data, 2);
    let text = writers[0].data.clone();
    let (mut short, mut long) = (writers.remove(0).build, writers.remove(0).build);
    lengthen(server.address, &mut long, scale.log_bytes);
    let patches = |build: &mut Running| {
        let mut client = Client::new(server.address);
        median_latency(scale.calls, || drop(client.ask(&build.patch(&text)).expect(202)))
    };
    let [long, short] = alternate(scale.short_rounds, [&mut || patches(&mut long), &mut || patches(&mut short)]);
    let size = Unit::Bytes.show(scale.log_bytes as f64);
    let work = format!("trace patch at {size} of log, floor the first patches of a log");
    vec![Row::compared(&work, Unit::Time, &long, &short, Target::AtMost(1.2))]
}

/// `baton build log` of a long log; the floor is the same bytes from SQLite in a loop. The start of the program
/// counts.
pub fn download(scale: &Scale) -> Vec<Row> {
    let data = Data::new();
    let (server, mut writers) = server_with_writers(&data, 1);
    let build = &mut writers[0].build;
    lengthen(server.address, build, scale.log_bytes);
    ask_once(server.address, &finish(build.id, &build.token)).expect(200);
    drop(server);
    let (id, size) = (build.id.to_string(), build.size);
    let whole = baton(data.path()).args(["build", "log", &id]).output().unwrap();
    assert!(whole.stdout.chunks(LARGE_PATCH_BYTES).all(|piece| piece == log_text(LARGE_PATCH_BYTES)));
    assert_eq!(whole.stdout.len(), size);
    let floor_dir = tempfile::tempdir().unwrap();
    let floor = floor_dir.path().join("floor.db");
    floors::store_log(&floors::patches(&floor), &whole.stdout);
    let rate = |work: &dyn Fn()| {
        let started = Instant::now();
        work();
        size as f64 / started.elapsed().as_secs_f64()
    };
    let print = || {
        let status = baton(data.path()).args(["build", "log", &id]).stdout(Stdio::null()).status().unwrap();
        assert!(status.success());
    };
    let [baton, floor] =
        alternate(scale.rounds, [&mut || rate(&print), &mut || rate(&|| assert_eq!(floors::read_log(&floor), size))]);
    let work = format!("log download of {}, `baton build log`", Unit::Bytes.show(size as f64));
    vec![Row::compared(&work, Unit::Throughput, &baton, &floor, Target::AtLeast(0.8))]
}
