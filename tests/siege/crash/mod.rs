//! Promises 1 to 4 under `kill -9`: the program is killed at random moments, again and again on one data directory,
//! while runners and an operator work with it.
//!
//! [`model`] is what they know: every fact that was acknowledged, and for each runner the one request that it got no
//! answer to. [`process`] starts and kills, [`runner`] and [`operator`] work, [`check`] compares the data with the model
//! after each restart. [`long`] kills while long logs are written and removed. [`order`] looks at the order of system calls, which decides what a loss of power leaves.

mod check;
pub mod client;
mod dice;
mod long;
mod model;
mod operator;
mod order;
mod process;
mod runner;

use crate::harness::Speech;
use check::{Depth, check};
use dice::Dice;
use model::Model;
use operator::Operator;
use process::{Death, Serving};
use runner::TestRunner;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const KILLS: usize = 110;
const RUNNERS: usize = 6;
/// Up to so long the server lives under load, in milliseconds.
const LIFE_MS: usize = 300;
/// Up to so long a server lives that is killed at its start.
const START_MS: usize = 40;
/// Every so many kills, all that was ever acknowledged is looked at, not only what changed.
const WHOLE_CHECK_EVERY: usize = 20;

/// Lets everybody work until the server dies.
fn work(model: &Model, runners: &mut [TestRunner], operator: &mut Operator, dice: &mut Dice, serving: &mut Serving) {
    let over = AtomicBool::new(false);
    let address = serving.address;
    thread::scope(|scope| {
        let over = &over;
        let mut workers = Vec::new();
        for runner in runners.iter_mut() {
            workers.push(scope.spawn(move || runner.work(model, address, over)));
        }
        workers.push(scope.spawn(move || operator.work(model, over)));
        thread::sleep(Duration::from_millis(dice.below(LIFE_MS) as u64));
        if serving.kill(dice) == Death::OfTheChild {
            // Some of their next requests wait in the backlog for the next child.
            thread::sleep(Duration::from_millis(dice.below(LIFE_MS) as u64));
        }
        over.store(true, Ordering::Relaxed);
        for worker in workers {
            worker.join().expect("a worker met a surprise");
        }
    });
}

/// Starts the server; now and then after one that is killed at its start. Returns how many were.
fn restart(data: &Path, dice: &mut Dice, serving: &mut Option<Serving>) -> usize {
    let mut kills = 0;
    if serving.as_ref().is_none_or(|serving| !serving.is_alive()) {
        while dice.one_in(6) {
            process::start_and_kill(data, Duration::from_millis(dice.below(START_MS) as u64));
            kills += 1;
        }
        *serving = Some(Serving::start(data));
    }
    serving.as_ref().expect("just started").wait_until_it_answers();
    kills
}

#[test]
fn whatever_was_acknowledged_outlives_a_hundred_kills_and_nothing_is_half_there() {
    let mut dice = Dice::new();
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let model = Model::default();
    let mut operator = Operator::new(&data, dice.fork());
    let registration_token = operator.prepare();
    let mut runners: Vec<TestRunner> =
        (0..RUNNERS).map(|n| TestRunner::new(registration_token.clone(), Speech::of(n), dice.fork())).collect();
    let (mut serving, mut kills, mut checked_whole) = (None, 0, 0);
    let began = Instant::now();
    while kills < KILLS {
        kills += restart(&data, &mut dice, &mut serving);
        let serving = serving.as_mut().expect("started");
        let depth = if kills >= checked_whole + WHOLE_CHECK_EVERY { Depth::Everything } else { Depth::WhatChanged };
        if depth == Depth::Everything {
            checked_whole = kills;
        }
        check(&data, &model, &mut runners, serving.address, depth);
        operator.hands_off_before_the_kill = dice.one_in(2);
        work(&model, &mut runners, &mut operator, &mut dice, serving);
        kills += 1;
    }
    restart(&data, &mut Dice::never(), &mut serving);
    let serving = serving.expect("started");
    check(&data, &model, &mut runners, serving.address, Depth::Everything);
    println!("{kills} kills in {:?}: {}", began.elapsed(), model.summary());
    model.expect_a_mixed_load();
}
