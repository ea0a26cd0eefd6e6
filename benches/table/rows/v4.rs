//! Today's protocol of runners beside the old one: the same deeds in other words, so that one is the other's floor.

use super::artifacts::{Archive, artifacts_request, server_with_builds, upload};
use super::builds::finish_builds;
use super::logs::{write, writers_of};
use super::polls::{idle_server, last_updates, pollers_by};
use super::{CLIENTS, artifacts};
use crate::Scale;
use crate::client::{Framing, ask_once, receive_large};
use crate::data::{Data, Running, claim_each_by};
use crate::floors::files;
use crate::load::{self, Tally};
use crate::procs::Served;
use crate::report::{Row, Samples, Target, Unit, alternate};
use crate::wire::{Api, Connections};
use std::time::Instant;

/// How near it should come to the old one.
const NEAR: Target = Target::AtLeast(0.9);

fn row(work: &str, unit: Unit, today: &Samples, old: &Samples) -> Row {
    Row::compared(&format!("API v4, {work}, floor the same of v1"), unit, today, old, NEAR)
}

/// Polls with all connections kept. Those of v4 say what the runner can, which makes them four times as long.
pub fn empty_poll(scale: &Scale) -> Vec<Row> {
    let data = Data::new();
    let (server, runners) = idle_server(&data);
    let current = last_updates(server.address, &runners);
    let tally = Tally::default();
    let scripts = |api, known| pollers_by(api, &runners, known, Connections::Kept);
    let (mut today, mut old) = (scripts(Api::V4, None), scripts(Api::V1, None));
    let (mut knowing_today, mut knowing_old) = (scripts(Api::V4, Some(&current)), scripts(Api::V1, Some(&current)));
    let load = |scripts: &mut _| load::run(server.address, scripts, Connections::Kept, Some(scale.round));
    let [today, old, knowing_today, knowing_old] = alternate(
        scale.short_rounds,
        [
            &mut || tally.rate(&load(&mut today)),
            &mut || load(&mut old).rate(),
            &mut || load(&mut knowing_today).rate(),
            &mut || load(&mut knowing_old).rate(),
        ],
    );
    vec![
        row("empty poll, 64 keep-alive clients", Unit::PerSecond, &today, &old).note(tally.note()),
        row("empty poll with a current `last_update`", Unit::PerSecond, &knowing_today, &knowing_old),
    ]
}

/// Trivial builds, claimed and finished by 64 runners; each round has a data directory of its own.
pub fn claim_and_finish(scale: &Scale) -> Vec<Row> {
    let warm_up = scale.builds / 4 / CLIENTS * CLIENTS;
    let rate = |api| {
        let data = Data::new();
        data.queue(warm_up + scale.builds);
        let runners = data.runners(CLIENTS);
        let server = Served::baton(data.path(), &[]);
        finish_builds(api, server.address, &runners, warm_up / CLIENTS);
        let (finished, rate) = finish_builds(api, server.address, &runners, usize::MAX);
        assert_eq!(finished.iter().sum::<usize>(), scale.builds);
        rate
    };
    let [today, old] = alternate(scale.rounds, [&mut || rate(Api::V4), &mut || rate(Api::V1)]);
    vec![row("claim and finish, 64 clients, builds", Unit::PerSecond, &today, &old)]
}

/// Appends of 4 KiB, 64 clients of each protocol on as many builds of one server, in turn.
pub fn patches(scale: &Scale) -> Vec<Row> {
    let data = Data::new();
    data.queue(2 * CLIENTS);
    let runners = data.runners(CLIENTS);
    let server = Served::baton(data.path(), &["--max-trace-size", "100G"]);
    let mut today = writers_of(claim_each_by(Api::V4, server.address, &runners));
    let mut old = writers_of(claim_each_by(Api::V1, server.address, &runners));
    let tally = Tally::default();
    let [today, old] = alternate(
        scale.short_rounds,
        [&mut || tally.rate(&write(server.address, &mut today, scale.round)), &mut || {
            write(server.address, &mut old, scale.round).rate()
        }],
    );
    let work = "trace patch of 4 KiB, 64 clients on 64 builds";
    vec![row(work, Unit::PerSecond, &today, &old).note(tally.note())]
}

/// The same file up and down in both protocols. What a round has brought up is removed before the next.
pub fn transfers(scale: &Scale) -> Vec<Row> {
    let archive = Archive::new(scale.artifact_bytes);
    let (_data, server, builds) = server_with_builds(1);
    let by = |api| Running { api, ..builds[0].clone() };
    let (today, old) = (by(Api::V4), by(Api::V1));
    let up = |build: &Running| {
        files::settle();
        let started = Instant::now();
        upload(server.address, build, &archive.path, Framing::Chunked, |_| {});
        let rate = archive.rate(started.elapsed());
        // The old protocol alone has a word for it.
        ask_once(server.address, &artifacts_request("DELETE", &old)).expect(200);
        rate
    };
    let [up_today, up_old] = alternate(scale.rounds, [&mut || up(&today), &mut || up(&old)]);
    upload(server.address, &today, &archive.path, Framing::Chunked, |_| {});
    artifacts::check_download(&server, &today, &archive);
    let down = |build: &Running| {
        let started = Instant::now();
        let received = receive_large(server.address, &artifacts_request("GET", build), |_| {});
        assert_eq!(received, archive.bytes);
        archive.rate(started.elapsed())
    };
    let [down_today, down_old] = alternate(scale.rounds, [&mut || down(&today), &mut || down(&old)]);
    let size = Unit::Bytes.show(archive.bytes as f64);
    vec![
        row(&format!("artifact upload of {size}, chunked"), Unit::Throughput, &up_today, &up_old),
        row(&format!("artifact download of {size}"), Unit::Throughput, &down_today, &down_old),
    ]
}
