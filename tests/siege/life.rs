//! Promise: a serving process that hangs is replaced, and who watches the service hears of no life that is not there.

use crate::harness::served::{Served, serve, try_send, wait_for};
use crate::harness::*;
use crate::systemd::notifying;
use nix::sys::signal::{Signal, kill};
use std::path::Path;
use std::time::Duration;

/// A server that replaces a silent process after a time that a test can wait for.
fn impatient(data: &Path) -> std::process::Command {
    let mut command = serve(data);
    command.env("BATON_SILENCE_LIMIT", "3");
    command
}

fn answers(served: &Served) {
    wait_for("an answer", || try_send(served.address, Request::get("/-/health")).filter(|(status, _)| *status == 200));
}

#[test]
fn a_serving_process_that_hangs_is_replaced_and_requests_are_answered_again() {
    let dir = tempfile::tempdir().unwrap();
    let served = Served::of(&mut impatient(dir.path()));
    for _ in 0..2 {
        let hung = served.child();
        kill(hung, Signal::SIGSTOP).unwrap();
        wait_for("another child", || crate::harness::served::child_of(served.pid()).filter(|child| *child != hung));
        answers(&served);
    }
    served.log_has("it has shown no life for 3 s; restarting");
}

#[test]
fn a_database_that_another_process_has_locked_is_no_reason_to_replace_anybody() {
    let dir = tempfile::tempdir().unwrap();
    let served = Served::of(&mut impatient(dir.path()));
    let child = served.child();
    let other = rusqlite::Connection::open(dir.path().join("baton.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    std::thread::sleep(Duration::from_secs(5));
    assert_eq!(served.child(), child, "{}", served.log());
    assert!(!served.log().contains("no life"), "{}", served.log());
}

#[test]
fn the_watchdog_does_not_hear_of_a_process_that_hangs_and_hears_of_the_next_one() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = impatient(&dir.path().join("data"));
    let ear = notifying(&mut command, dir.path());
    let served = Served::of(command.env("WATCHDOG_USEC", "300000"));
    ear.hears("WATCHDOG=1");
    let hung = served.child();
    kill(hung, Signal::SIGSTOP).unwrap();
    // What was on its way.
    std::thread::sleep(Duration::from_secs(1));
    ear.forget();
    std::thread::sleep(Duration::from_secs(1));
    if crate::harness::served::child_of(served.pid()) == Some(hung) {
        assert!(!ear.has_heard("WATCHDOG=1"), "it is told that a process lives that hangs");
    }
    wait_for("another child", || crate::harness::served::child_of(served.pid()).filter(|child| *child != hung));
    ear.hears("WATCHDOG=1");
}

#[test]
fn a_process_that_hangs_is_not_waited_for_at_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let mut served = Served::start(dir.path());
    kill(served.child(), Signal::SIGSTOP).unwrap();
    served.signal(Signal::SIGTERM);
    assert_eq!(served.end().code(), Some(1));
    // And not for the time that requests under way have.
    served.log_has("it has shown no life for 5 s");
}
