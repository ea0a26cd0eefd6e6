//! Builds from the queue to their end.

use super::CLIENTS;
use crate::Scale;
use crate::data::Data;
use crate::floors::sqlite::builds as floors;
use crate::load::{self, Script};
use crate::procs::Served;
use crate::report::{Row, Target, Unit, alternate};
use crate::wire::{Api, Connections, Head, field};
use std::cell::Cell;
use std::net::SocketAddr;
use std::time::Instant;

/// A runner whose builds take no time: claims one, says that it succeeded, claims the next.
struct Runner {
    api: Api,
    poll: Vec<u8>,
    /// The report of the build that it has.
    report: Option<Vec<u8>>,
    finished: usize,
    /// Builds that it wants; it stops earlier when the queue is empty.
    quota: usize,
}

impl Script for Runner {
    fn ask(&mut self, out: &mut Vec<u8>) -> bool {
        out.extend_from_slice(self.report.as_ref().unwrap_or(&self.poll));
        self.finished < self.quota
    }

    fn hear(&mut self, head: &Head, body: &[u8]) {
        if self.report.take().is_some() {
            assert_eq!(head.status, 200);
            self.finished += 1;
        } else if head.status == 204 {
            self.quota = self.finished;
        } else {
            assert_eq!(head.status, 201);
            self.report = Some(self.api.finish(field(body, "id").parse().unwrap(), field(body, "token")));
        }
    }
}

/// Lets each runner finish `quota` builds, or all there are: how many each has finished, and how many a second they
/// did together.
pub(super) fn finish_builds(api: Api, address: SocketAddr, runners: &[String], quota: usize) -> (Vec<usize>, f64) {
    let runner = |token: &String| {
        let poll = api.poll(token, None, Connections::Kept);
        Runner { api, poll, report: None, finished: 0, quota }
    };
    let mut scripts: Vec<Runner> = runners.iter().map(runner).collect();
    let elapsed = load::run(address, &mut scripts, Connections::Kept, None).elapsed;
    let finished: Vec<usize> = scripts.iter().map(|runner| runner.finished).collect();
    let rate = finished.iter().sum::<usize>() as f64 / elapsed.as_secs_f64();
    (finished, rate)
}

/// Trivial builds, claimed and finished by 64 runners; the floor is the same statements in a loop, 64 jobs a commit.
/// Each round has a data directory of its own, with all builds queued before; the first of them warm both sides up.
pub fn claim_and_finish(scale: &Scale) -> Vec<Row> {
    let warm_up = scale.builds / 4 / CLIENTS * CLIENTS;
    let least = Cell::new(0);
    let queued = || {
        let data = Data::new();
        data.queue(warm_up + scale.builds);
        let runners = data.runners(CLIENTS);
        (data, runners)
    };
    let mut baton = || {
        let (data, runners) = queued();
        let server = Served::baton(data.path(), &[]);
        finish_builds(Api::V1, server.address, &runners, warm_up / CLIENTS);
        let (finished, rate) = finish_builds(Api::V1, server.address, &runners, usize::MAX);
        assert_eq!(finished.iter().sum::<usize>(), scale.builds);
        least.set(finished.into_iter().min().unwrap_or(0));
        assert!(least.get() * 5 >= scale.builds / CLIENTS, "a client starves: it got {} builds", least.get());
        rate
    };
    let mut floor = || {
        let (data, runners) = queued();
        let (floor, runners) = (floors::Builds::open(&data.database()), floors::hashes(&runners));
        floor.claim_and_finish(warm_up, &runners);
        let started = Instant::now();
        floor.claim_and_finish(scale.builds, &runners);
        let rate = scale.builds as f64 / started.elapsed().as_secs_f64();
        assert_eq!(floor.succeeded() as usize, warm_up + scale.builds);
        rate
    };
    let [baton, floor] = alternate(scale.rounds, [&mut baton, &mut floor]);
    let work = "claim and finish, 64 clients, builds";
    let row = Row::compared(work, Unit::PerSecond, &baton, &floor, Target::AtLeast(0.7));
    vec![row.note(format!("in the last round, the client with the fewest builds had {}", least.get()))]
}
