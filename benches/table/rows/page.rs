//! The page: what a look costs, and what readers cost the runners that they wait beside.

use super::holds::claim_when_there_is;
use crate::Scale;
use crate::client::{Client, connect};
use crate::data::{Data, PROJECT, last_update};
use crate::procs::{Served, baton};
use crate::report::{Row, Samples, Target, Unit, alternate, median_latency};
use crate::wire::{Api, Connections, poll};
use baton::coordinator::NewPipeline;
use baton::domain::pipeline::{Job, Pipeline, Work};
use baton::domain::spec::BuildSpec;
use baton::domain::time::Timestamp;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

/// Readers that wait at once: as many as a server holds.
const READERS: usize = 256;

fn pipeline(at: usize) -> NewPipeline {
    let job = |name: &str, stage: usize| Job {
        name: name.to_owned(),
        group: name.to_owned(),
        stage: format!("stage {stage}"),
        stage_index: stage,
        work: Work::Build(Box::new(BuildSpec::of_script("true"))),
        ..Job::default()
    };
    NewPipeline {
        project: PROJECT.to_owned(),
        ref_: format!("branch-{}", at % 7),
        title: Some(format!("Commit {at}")),
        pipeline: Pipeline {
            jobs: vec![job("lint", 0), job("build", 1), job("test", 2)],
            stages: (0..3).map(|stage| format!("stage {stage}")).collect(),
            ..Pipeline::default()
        },
        ..NewPipeline::default()
    }
}

/// `GET` of a page by a reader: everybody may read.
fn look(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept-Encoding: gzip\r\n\r\n").into_bytes()
}

/// Data with so many pipelines, of which all but the newest `live` were canceled.
fn data(pipelines: usize, live: usize) -> Data {
    let data = Data::new();
    let operator = data.operator();
    for at in 0..pipelines {
        let added = operator.add_pipeline(pipeline(at), Timestamp::now()).unwrap();
        if at + live < pipelines {
            operator.cancel_pipeline(added.id, Timestamp::now()).unwrap();
        }
    }
    data
}

/// The overview of many pipelines beside that of few; its first visit in bytes.
pub fn overview(scale: &Scale) -> Vec<Row> {
    let many = if scale.builds >= 10_000 { 10_000 } else { 500 };
    let (large, small) = (data(many, 5), data(50, 5));
    let servers = [&large, &small].map(|data| Served::baton(data.path(), &["--page", "public"]));
    let mut clients = [&servers[0], &servers[1]].map(|server| Client::new(server.address));
    let page = look("/");
    let bytes = clients[0].ask(&page).expect(200).body.len();
    let [first, second] = &mut clients;
    let calls = scale.calls;
    let [large, small] = alternate(
        scale.short_rounds,
        [&mut || median_latency(calls, || drop(first.ask(&page).expect(200))), &mut || {
            median_latency(calls, || drop(second.ask(&page).expect(200)))
        }],
    );
    vec![
        Row::alone(
            &format!("overview of {many} pipelines, whole, packed"),
            Unit::Time,
            large.clone(),
            Target::Below(0.005),
        )
        .note(format!("{bytes} bytes")),
        Row::compared(
            &format!("overview of {many} pipelines, floor of 50"),
            Unit::Time,
            &large,
            &small,
            Target::AtMost(1.2),
        ),
    ]
}

/// Readers of the overview that wait for a change.
fn readers(address: SocketAddr) -> Vec<TcpStream> {
    let mut client = Client::new(address);
    let page = client.ask(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").expect(200).body;
    let page = String::from_utf8(page).unwrap();
    let token = page.split("data-live=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let request = format!("GET /?part=1&hold=25&v={token} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
    let one = |_| {
        let mut stream = connect(address);
        stream.write_all(request.as_bytes()).unwrap();
        stream
    };
    (0..READERS).map(one).collect()
}

/// What readers cost beside held runners: memory, and what a runner waits for its build.
pub fn readers_beside_runners(scale: &Scale) -> Vec<Row> {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, most, most).unwrap();
    let count = scale.held_polls.min(1000);
    let data = data(50, 0);
    let runners = data.runners(count + 1);
    let server = Served::baton(data.path(), &["--page", "public"]);
    let address = server.address;
    // Those that wait are never chosen: the one that is measured has waited for longest.
    let wake = |with_readers: bool| {
        let mut times = Samples::default();
        for turn in 0..scale.rounds as u64 * 4 {
            let known = last_update(address, &runners[0]);
            let token = runners[0].clone();
            let waiter = thread::spawn(move || claim_when_there_is(Api::V4, address, &token, &known));
            thread::sleep(Duration::from_millis(60 + turn * 37 % 60));
            let held: Vec<TcpStream> = runners[1..]
                .iter()
                .map(|token| {
                    let mut stream = connect(address);
                    let known = last_update(address, token);
                    stream.write_all(&poll(token, Some(&known), Connections::Kept)).unwrap();
                    stream
                })
                .take(if turn == 0 { count } else { 20 })
                .collect();
            let readers = if with_readers { readers(address) } else { Vec::new() };
            thread::sleep(Duration::from_millis(200));
            let mut add = baton(data.path());
            add.args(["build", "add", "--project", PROJECT, "--script", "true"]).stdout(Stdio::null());
            assert!(add.status().unwrap().success());
            let ended = Instant::now();
            let (at, build, token) = waiter.join().unwrap();
            times.0.push(at.saturating_duration_since(ended).as_secs_f64());
            Client::new(address).ask(&Api::V4.finish(build, &token)).expect(200);
            drop((held, readers));
        }
        times
    };
    let (without, with) = (wake(false), wake(true));
    let held: Vec<TcpStream> = runners
        .iter()
        .map(|token| {
            let mut stream = connect(address);
            let known = last_update(address, token);
            stream.write_all(&poll(token, Some(&known), Connections::Kept)).unwrap();
            stream
        })
        .collect();
    let readers = readers(address);
    thread::sleep(Duration::from_secs(2));
    let memory = server.memory();
    drop((held, readers));
    vec![
        Row::alone(
            &format!("{READERS} readers and {count} held runners, resident memory"),
            Unit::Bytes,
            memory,
            Target::Below(96e6),
        ),
        Row::compared(
            &format!("end of `baton build add` to the held runner's build beside {READERS} readers, floor without"),
            Unit::Time,
            &with,
            &without,
            Target::None,
        ),
    ]
}
