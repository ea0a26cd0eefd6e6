//! Promise: a clock that is set, and a server that starts anew, neither lose a live runner's build nor keep a dead one's.

use crate::harness::served::{Served, running};
use crate::harness::*;
use baton::coordinator::{Claim, Coordinator, Swept};
use baton::domain::build::{BuildId, NewBuild};
use baton::domain::time::Timestamp;
use baton::limits::Limits;
use nix::sys::signal::Signal;
use std::path::Path;
use std::time::{Duration, Instant};

const TIMEOUT_S: i64 = 100;

fn begun(data: &Path, now: Timestamp) -> (Coordinator, BuildId) {
    let limits = Limits { runner_timeout: Duration::from_secs(100), ..Limits::default() };
    let coordinator = Coordinator::open(data, limits).unwrap();
    add_project(&coordinator, "demo");
    coordinator.begin_serving(now).unwrap();
    queue(&coordinator, NewBuild { timeout_s: Some(1_000_000), ..new_build("demo") });
    let runner = coordinator.add_runner(new_runner(), None, now).unwrap();
    let claim = coordinator.claim_build(&runner.token.into(), None, now);
    let Ok(Claim::Build(assigned)) = claim.unwrap().wait() else { panic!("no build") };
    let id = assigned.build.id;
    (coordinator, id)
}

/// When a runner that has been silent from the begin is given up, in seconds that were lived, with a clock that is set by
/// so much after 50 s.
fn given_up_after(set_by_s: i64) -> i64 {
    let dir = tempfile::tempdir().unwrap();
    let (start, steady) = (Timestamp::now(), Instant::now());
    let (coordinator, _) = begun(dir.path(), start);
    for lived_s in 0..10 * TIMEOUT_S {
        let shown_s = if lived_s < 50 { lived_s } else { lived_s + set_by_s };
        let now = Timestamp(start.0 + shown_s * 1000);
        coordinator.notice_absence(now, steady + Duration::from_secs(lived_s.unsigned_abs())).unwrap();
        if coordinator.sweep(now).unwrap() != Swept::default() {
            return lived_s;
        }
    }
    panic!("never");
}

#[test]
fn a_silent_runner_is_given_up_at_the_same_time_however_the_clock_is_set() {
    let usual = given_up_after(0);
    assert!((TIMEOUT_S..TIMEOUT_S + 20).contains(&usual), "{usual}");
    for set_by_s in [-86_400, -60, -2, 2, 60, 86_400, 1_000_000] {
        let got = given_up_after(set_by_s);
        assert!((usual - 2..=usual + 2).contains(&got), "set by {set_by_s} s: after {got} s, else {usual} s");
    }
}

#[test]
fn a_clock_that_was_set_back_while_no_server_ran_keeps_no_dead_runners_build() {
    let dir = tempfile::tempdir().unwrap();
    let start = Timestamp::now();
    let (coordinator, _) = begun(dir.path(), start);
    drop(coordinator);
    let limits = Limits { runner_timeout: Duration::from_secs(100), ..Limits::default() };
    let again = Coordinator::open(dir.path(), limits).unwrap();
    let yesterday = start.minus(Duration::from_secs(86_400));
    again.begin_serving(yesterday).unwrap();
    assert_eq!(again.sweep(yesterday).unwrap(), Swept::default());
    assert_eq!(again.sweep(yesterday.plus(Duration::from_secs(120))).unwrap().runner_lost, 1);
}

#[test]
fn a_restart_forgives_only_the_time_without_a_server() {
    std::thread::scope(|scope| {
        for signal in [Signal::SIGTERM, Signal::SIGKILL] {
            scope.spawn(move || forgives_only_the_time_without_a_server(signal));
        }
    });
}

fn forgives_only_the_time_without_a_server(signal: Signal) {
    let dir = tempfile::tempdir().unwrap();
    let mut served = Served::start(dir.path());
    let build = running(&served, dir.path(), "demo");
    let seen = |data: &Path| -> i64 {
        let database = rusqlite::Connection::open(data.join("baton.db")).unwrap();
        database.query_row("SELECT seen_at FROM builds WHERE id = ?1", [build.id.0], |row| row.get(0)).unwrap()
    };
    // The runner is silent, while the server is there.
    std::thread::sleep(Duration::from_secs(4));
    let (before, ended) = (seen(dir.path()), Timestamp::now());
    served.signal(signal);
    served.end();
    let again = Served::start(dir.path());
    let (forgiven, down) = (seen(dir.path()) - before, Timestamp::now().0 - ended.0);
    assert!(forgiven <= down + 2500, "{signal}: {forgiven} ms are forgiven of {down} ms");
    drop(again);
}
