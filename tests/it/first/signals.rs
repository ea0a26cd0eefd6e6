//! Promise: a `baton run` that was told to end leaves nothing behind, however often and whenever it is told.

use super::baton;
use crate::harness::random::Random;
use baton::coordinator::Coordinator;
use baton::domain::build::Status;
use baton::domain::time::Timestamp;
use baton::limits::Limits;
use nix::pty::openpty;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

/// Tries, each with signals of its own.
const TRIES: usize = 40;

/// Whether programs started here hear of a terminal that is closed; under `nohup` they do not.
fn hears_hangup() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap_or("0");
    u64::from_str_radix(mask.trim(), 16).unwrap() & 1 == 0
}

#[test]
fn whatever_signals_come_and_when_no_build_is_left() {
    let mut signals = vec![Signal::SIGINT, Signal::SIGTERM, Signal::SIGQUIT];
    signals.extend(hears_hangup().then_some(Signal::SIGHUP));
    let mut random = Random::new();
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let operator = Coordinator::open(&data, Limits::default()).unwrap();
    operator.add_project("p", None, Duration::from_secs(60), Timestamp::now()).unwrap();
    for number in 0..TRIES {
        let runner = ["none", "builtin"][number % 2];
        let mut command = baton(&data, &["run", "--runner", runner, "--", "sleep", "1000"]);
        command.current_dir(dir.path()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let terminal = openpty(None, None).unwrap();
        let is_on_terminal = random.below(2) == 0;
        if is_on_terminal {
            let stdio = || Stdio::from(terminal.slave.try_clone().unwrap());
            command.stdout(stdio()).stderr(stdio());
        }
        let mut process = command.spawn().unwrap();
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let pid = Pid::from_raw(process.id().cast_signed());
        thread::sleep(Duration::from_micros(random.below(80_000) as u64));
        let mut told = Vec::new();
        for _ in 0..=random.below(4) {
            let signal = random.pick(&signals);
            // It may have ended.
            let _ = kill(pid, signal);
            told.push(signal);
            thread::sleep(Duration::from_micros(random.below(3_000) as u64));
        }
        drop(terminal);
        process.wait().unwrap();
        for report in operator.list_builds(None, None, None, Timestamp::now()).unwrap() {
            let (id, status) = (report.build.id, report.build.status);
            assert_eq!(status, Status::Canceled, "{id}, try {number}: {told:?}, on a terminal: {is_on_terminal}");
        }
    }
}
