//! Held polls: a runner that knows the queue's state waits for the next build instead of asking again.

use crate::Scale;
use crate::client::{Client, connect};
use crate::data::{Data, PROJECT, last_update};
use crate::procs::{Served, baton, serve_has};
use crate::report::{Row, Samples, Target, Unit};
use crate::wire::{self, Api, Connections, field, poll};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

const NO_HOLD: &str = "this baton answers polls at once";

/// From the start of `baton build add` in another process to the answer that hands the build to a held poll.
pub fn wake(scale: &Scale) -> Vec<Row> {
    let work = "from `baton build add` to a held poll that has the build";
    if !serve_has("--hold") {
        return vec![Row::skipped(work, NO_HOLD)];
    }
    let data = Data::new();
    let runners = data.runners(1);
    let server = Served::baton(data.path(), &[]);
    let mut client = Client::new(server.address);
    let (mut latencies, mut commands) = (Samples::default(), Samples::default());
    for turn in 0..scale.rounds as u64 * 5 {
        let known = last_update(server.address, &runners[0]);
        let (waiter, token) = (server.address, runners[0].clone());
        let waiter = thread::spawn(move || claim_when_there_is(Api::V1, waiter, &token, &known));
        // The moment must not keep step with anything that the server does periodically.
        thread::sleep(Duration::from_millis(100 + turn * 37 % 100));
        assert!(!waiter.is_finished(), "the poll is not held");
        let started = Instant::now();
        let mut add = add_build(&data).spawn().unwrap();
        assert!(add.wait().unwrap().success());
        commands.0.push(started.elapsed().as_secs_f64());
        let (claimed_at, build, build_token) = waiter.join().unwrap();
        latencies.0.push(claimed_at.saturating_duration_since(started).as_secs_f64());
        client.ask(&wire::finish(build, &build_token)).expect(200);
    }
    let command = Unit::Time.show(commands.median());
    vec![
        Row::alone(work, Unit::Time, latencies, Target::Below(0.05))
            .note(format!("`baton build add` itself takes {command} of it, from its start to its exit")),
    ]
}

fn add_build(data: &Data) -> Command {
    let mut command = baton(data.path());
    command.args(["build", "add", "--project", PROJECT, "--script", "true"]).stdout(Stdio::null());
    command
}

/// Polls with what is known of the queue until there is a build: when it came, its id and token.
pub fn claim_when_there_is(api: Api, address: SocketAddr, runner: &str, known: &str) -> (Instant, i64, String) {
    let mut client = Client::new(address);
    loop {
        let answer = client.ask(&api.poll(runner, Some(known), Connections::Kept));
        if answer.status == 201 {
            let id = field(&answer.body, "id").parse().unwrap();
            return (Instant::now(), id, field(&answer.body, "token").to_owned());
        }
        answer.expect(204);
    }
}

/// What a held runner of today waits for its build beyond the end of `baton build add`: nothing, if it has it before. Beside
/// it what a claim takes that finds a build waiting, which nobody can be quicker than.
pub fn wake_beyond(scale: &Scale) -> Vec<Row> {
    let work = "from the end of `baton build add` to the held runner's build, API v4";
    if !serve_has("--hold") {
        return vec![Row::skipped(work, NO_HOLD)];
    }
    let data = Data::new();
    let runners = data.runners(1);
    let server = Served::baton(data.path(), &[]);
    let (address, mut client) = (server.address, Client::new(server.address));
    let (mut beyond, mut since_start, mut commands, mut claims) =
        (Samples::default(), Samples::default(), Samples::default(), Samples::default());
    for turn in 0..scale.rounds as u64 * 5 {
        let known = last_update(address, &runners[0]);
        let token = runners[0].clone();
        let waiter = thread::spawn(move || claim_when_there_is(Api::V4, address, &token, &known));
        // The moment must not keep step with anything that the server does periodically.
        thread::sleep(Duration::from_millis(100 + turn * 37 % 100));
        assert!(!waiter.is_finished(), "the poll is not held");
        let started = Instant::now();
        assert!(add_build(&data).status().unwrap().success());
        let ended = Instant::now();
        let (claimed_at, build, build_token) = waiter.join().unwrap();
        beyond.0.push(claimed_at.saturating_duration_since(ended).as_secs_f64());
        since_start.0.push(claimed_at.saturating_duration_since(started).as_secs_f64());
        commands.0.push((ended - started).as_secs_f64());
        client.ask(&Api::V4.finish(build, &build_token)).expect(200);
        assert!(add_build(&data).status().unwrap().success());
        let asked = Instant::now();
        let answer = client.ask(&Api::V4.poll(&runners[0], None, Connections::Kept)).expect(201);
        claims.0.push(asked.elapsed().as_secs_f64());
        let id = field(&answer.body, "id").parse().unwrap();
        client.ask(&Api::V4.finish(id, field(&answer.body, "token"))).expect(200);
    }
    let [since_start, command, claim] = [&since_start, &commands, &claims].map(|it| Unit::Time.show(it.median()));
    vec![Row::alone(work, Unit::Time, beyond, Target::Below(0.005)).note(format!(
        "from the command's start it is {since_start}; the command itself takes {command}, a claim that finds a build waiting \
         {claim}"
    ))]
}

/// What many held polls cost while nothing happens: processor time and memory.
pub fn crowd(scale: &Scale) -> Vec<Row> {
    let count = scale.held_polls;
    let work = |what: &str| format!("{count} held polls, {what}");
    if !serve_has("--hold") {
        return vec![Row::skipped(&work("processor time and memory"), NO_HOLD)];
    }
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, most, most).unwrap();
    let data = Data::new();
    let runners = data.runners(count);
    let server = Served::baton(data.path(), &[]);
    let known: Vec<String> = runners.iter().map(|token| last_update(server.address, token)).collect();
    let hold = |(token, known): (&String, &String)| {
        let mut stream = connect(server.address);
        stream.write_all(&poll(token, Some(known), Connections::Kept)).unwrap();
        stream
    };
    let held: Vec<TcpStream> = runners.iter().zip(&known).map(hold).collect();
    thread::sleep(Duration::from_secs(2));
    let (before, started) = (server.processor_time(), Instant::now());
    thread::sleep(scale.tail);
    let used = (server.processor_time() - before).as_secs_f64() / started.elapsed().as_secs_f64();
    let memory = server.memory();
    for mut stream in held {
        stream.set_nonblocking(true).unwrap();
        let answer = stream.read(&mut [0; 1]).map_err(|error| error.kind());
        assert_eq!(answer, Err(ErrorKind::WouldBlock), "a poll is not held any more");
    }
    let unit = Unit::Count("processor seconds a second");
    vec![
        Row::alone(&work("processor time"), unit, used, Target::Below(0.02)),
        Row::alone(&work("resident memory"), Unit::Bytes, memory, Target::Below(64e6)),
    ]
}
