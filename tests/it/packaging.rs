//! The files for those who package Baton say what the program does.

use baton::limits::Limits;
use std::path::{Path, PathBuf};
use std::process::Command;

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn text(name: &str) -> String {
    std::fs::read_to_string(file(name)).unwrap()
}

/// The value of a setting in a unit file.
fn setting<'a>(unit: &'a str, name: &str) -> &'a str {
    let value = |line: &'a str| line.strip_prefix(name)?.strip_prefix('=');
    unit.lines().find_map(value).unwrap_or_else(|| panic!("no {name}= in {unit}"))
}

#[test]
fn the_units_fit_the_server() {
    let (service, socket, limits) =
        (text("packaging/baton.service"), text("packaging/baton.socket"), Limits::default());
    // A stop takes as long as the requests under way may, and ten seconds more for what hangs.
    let stop_s: u64 = setting(&service, "TimeoutStopSec").parse().unwrap();
    assert!(stop_s > limits.drain_time_max.as_secs() + 10);
    let descriptors: usize = setting(&service, "LimitNOFILE").parse().unwrap();
    assert!(descriptors >= 2 * limits.connections_max + 256);
    // Five seconds is the longest time that the supervisor waits between two starts.
    let watchdog_s: u64 = setting(&service, "WatchdogSec").parse().unwrap();
    assert!(watchdog_s > 3 * 5);
    let state = setting(&service, "StateDirectory");
    assert_eq!(setting(&service, "Environment"), format!("BATON_DATA=/var/lib/{state}"));
    assert!(text("packaging/baton.sysusers").contains(&format!("u {} ", setting(&service, "User"))));
    let help = Command::new(env!("CARGO_BIN_EXE_baton")).args(["serve", "--help"]).output().unwrap();
    let help: Vec<String> = String::from_utf8(help.stdout).unwrap().split_whitespace().map(str::to_owned).collect();
    assert!(help.join(" ").contains(&format!("default: {}", setting(&socket, "ListenStream"))));
}

#[test]
fn systemd_accepts_the_units_and_finds_little_to_blame() {
    let analyze = || Command::new("systemd-analyze");
    if analyze().arg("--version").output().is_err() {
        println!("skipped: no systemd-analyze here");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (service, socket) = (dir.path().join("baton.service"), dir.path().join("baton.socket"));
    // It looks for the program, too.
    let unit = text("packaging/baton.service").replace("/usr/local/bin/baton", env!("CARGO_BIN_EXE_baton"));
    std::fs::write(&service, unit).unwrap();
    std::fs::copy(file("packaging/baton.socket"), &socket).unwrap();
    let verified = analyze().args(["verify", "--man=no"]).args([&service, &socket]).output().unwrap();
    let words = String::from_utf8_lossy(&verified.stderr).into_owned();
    // It tells of other units of the machine, too.
    assert!(verified.status.success() && !words.contains("baton."), "{words}");
    let secured = analyze().args(["security", "--offline=true", "--threshold=15"]).arg(&service).output().unwrap();
    let words = String::from_utf8_lossy(&secured.stderr).into_owned();
    if words.contains("unrecognized option") {
        println!("skipped: systemd-analyze is too old for security --offline");
        return;
    }
    assert!(secured.status.success(), "{}{words}", String::from_utf8_lossy(&secured.stdout));
}
