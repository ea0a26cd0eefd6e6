//! The files for those who package Baton say what the program does.

use crate::harness::skipped;
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
fn the_unit_of_the_runner_fits_the_program_and_keeps_the_token_from_builds() {
    let unit = text("packaging/baton-runner.service");
    let user = setting(&unit, "User");
    let users = text("packaging/baton.sysusers");
    assert!(users.contains(&format!("u {user} ")) && user != setting(&text("packaging/baton.service"), "User"));
    // A build has 10 seconds to end, and what it has left some more.
    let stop_s: u64 = setting(&unit, "TimeoutStopSec").parse().unwrap();
    assert!(stop_s > baton::runner::Patience::default().at_stop.as_secs() + 10);
    let command = unit.replace("\\\n", " ");
    let words: Vec<&str> = setting(&command, "ExecStart").split_whitespace().collect();
    assert!(words.windows(2).any(|pair| pair == ["--token-file", "-"]), "{words:?}");
    assert!(setting(&unit, "StandardInput").starts_with("file:"));
    let known = Command::new(env!("CARGO_BIN_EXE_baton")).args(&words[1..]).arg("--help").output().unwrap();
    assert!(known.status.success(), "{known:?}");
    let cache = format!("/var/cache/{}", setting(&unit, "CacheDirectory"));
    assert_eq!(words.iter().filter(|word| word.starts_with(&cache)).count(), 2);
}

#[test]
fn systemd_accepts_the_units_and_finds_little_to_blame() {
    let analyze = || Command::new("systemd-analyze");
    if analyze().arg("--version").output().is_err() {
        return skipped("there is no systemd-analyze on this machine");
    }
    let dir = tempfile::tempdir().unwrap();
    let (service, socket) = (dir.path().join("baton.service"), dir.path().join("baton.socket"));
    // It looks for the program, too.
    let unit = text("packaging/baton.service").replace("/usr/local/bin/baton", env!("CARGO_BIN_EXE_baton"));
    std::fs::write(&service, unit).unwrap();
    std::fs::copy(file("packaging/baton.socket"), &socket).unwrap();
    let runner = dir.path().join("baton-runner.service");
    let unit = text("packaging/baton-runner.service").replace("/usr/local/bin/baton", env!("CARGO_BIN_EXE_baton"));
    std::fs::write(&runner, unit).unwrap();
    let verified = analyze().args(["verify", "--man=no"]).args([&service, &socket, &runner]).output().unwrap();
    let words = String::from_utf8_lossy(&verified.stderr).into_owned();
    // It tells of other units of the machine, too.
    assert!(verified.status.success() && !words.contains("baton.") && !words.contains("baton-runner."), "{words}");
    // Builds want more of the machine than the server.
    for (unit, threshold) in [(&service, 15), (&runner, 45)] {
        let threshold = format!("--threshold={threshold}");
        let secured = analyze().args(["security", "--offline=true", &threshold]).arg(unit).output().unwrap();
        let words = String::from_utf8_lossy(&secured.stderr).into_owned();
        if words.contains("unrecognized option") {
            return skipped("systemd-analyze is too old for security --offline");
        }
        assert!(secured.status.success(), "{}{words}", String::from_utf8_lossy(&secured.stdout));
    }
}

/// What `docker build` sees of this directory.
fn context() -> Vec<String> {
    let ignored = text(".dockerignore");
    let (all, but): (Vec<&str>, Vec<&str>) =
        ignored.lines().filter(|line| !line.starts_with('#')).partition(|line| !line.starts_with('!'));
    assert_eq!(all, ["*"]);
    but.iter().map(|name| name.trim_start_matches('!').to_owned()).collect()
}

#[test]
fn the_image_is_made_of_files_that_are_there_and_enough() {
    let dir = tempfile::tempdir().unwrap();
    for name in context() {
        let copied = Command::new("cp").arg("-r").arg(file(&name)).arg(dir.path()).status().unwrap();
        assert!(copied.success(), "{name}");
    }
    // Every file outside src/ that the program includes, and every target that the manifest names.
    let sources =
        Command::new("grep").args(["-rhoE", r#"include_(str|bytes)!\("\.\./\.\./[^"]+"\)"#]).arg(file("src")).output();
    let lines = String::from_utf8(sources.unwrap().stdout).unwrap();
    let included = lines.lines().map(|line| line.split('"').nth(1).unwrap().trim_start_matches("../"));
    let included: Vec<&str> = included.filter(|path| !path.starts_with("tests/")).collect();
    assert!(included.contains(&"schema.sql"));
    assert!(included.iter().all(|path| dir.path().join(path).exists()), "{included:?}");
    let mut cargo = Command::new(env!("CARGO"));
    let known = cargo.args(["metadata", "--no-deps", "--offline", "--format-version=1"]).current_dir(dir.path());
    let known = known.output().unwrap();
    assert!(known.status.success(), "{}", String::from_utf8_lossy(&known.stderr));
    assert!(String::from_utf8_lossy(&known.stdout).contains("\"name\":\"baton\",\"src_path\":"));
}

#[test]
fn the_image_runs_commands_that_there_are_as_nobody_in_particular() {
    let dockerfile = text("Dockerfile");
    let words = |instruction: &str| -> Vec<String> {
        let line = dockerfile.lines().find(|line| line.starts_with(instruction)).unwrap();
        serde_json::from_str(&line[line.find('[').unwrap()..]).unwrap()
    };
    let [entry, command, health] = [words("ENTRYPOINT"), words("CMD"), words("HEALTHCHECK")];
    assert_eq!((entry.as_slice(), &health[0]), ([String::from("baton")].as_slice(), &entry[0]));
    let variables = dockerfile.lines().find_map(|line| line.strip_prefix("ENV ")).unwrap();
    let variables = variables.split(' ').map(|variable| variable.split_once('=').unwrap());
    for arguments in [command.as_slice(), &health[1..]] {
        // Help is there however wrong a variable is; of a wrong option there is none.
        let mut baton = Command::new(env!("CARGO_BIN_EXE_baton"));
        let output = baton.args(arguments).arg("--help").envs(variables.clone()).output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }
    let mut baton = Command::new(env!("CARGO_BIN_EXE_baton"));
    let known = baton.args(["man", "serve"]).envs(variables.clone()).output().unwrap();
    assert!(known.status.success(), "a variable means nothing to baton: {known:?}");
    let user = dockerfile.lines().rfind(|line| line.starts_with("USER")).unwrap();
    assert!(!user.contains("root") && !user.contains(" 0"), "{user}");
    let data = variables.clone().find_map(|(name, value)| (name == "BATON_DATA").then_some(value)).unwrap();
    let listen = variables.clone().find_map(|(name, value)| (name == "BATON_LISTEN").then_some(value)).unwrap();
    assert!(dockerfile.contains(&format!("\nVOLUME {data}\n")) && dockerfile.contains(&format!(" /empty {data}\n")));
    assert!(dockerfile.contains(&format!("\nEXPOSE {}\n", listen.rsplit(':').next().unwrap())));
}
