//! Promise: nothing is acknowledged that nobody will find. Data that is moved, removed or replaced under a server ends it,
//! aloud, and what it had acknowledged before is in the data that was there.

use crate::harness::served::{Served, baton, refusal, serve, try_send};
use crate::harness::*;
use nix::sys::signal::{Signal, kill};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

type Deed = fn(&Path);

fn copied(from: &Path, to: &Path) {
    assert!(Command::new("cp").arg("-a").args([from, to]).status().unwrap().success());
}

fn moved_and_copied(data: &Path) {
    let old = data.with_extension("old");
    fs::rename(data, &old).unwrap();
    copied(&old, data);
}

fn builds(data: &Path) -> usize {
    let output = baton(data).args(["build", "list", "--json"]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().lines().count()
}

fn add(data: &Path) {
    for line in [&["project", "add", "demo"][..], &["build", "add", "--project", "demo", "--script", "true"]] {
        assert!(baton(data).args(line).output().unwrap().status.success());
    }
}

#[test]
fn a_server_whose_data_is_moved_replaced_or_removed_says_so_and_ends() {
    let deeds: [(&str, Deed, bool); 6] = [
        ("moved, and a copy in its place", moved_and_copied, true),
        ("moved", |data| fs::rename(data, data.with_extension("old")).unwrap(), true),
        (
            "replaced by a link",
            |data| {
                moved_and_copied(data);
                fs::rename(data, data.with_extension("new")).unwrap();
                symlink(data.with_extension("new"), data).unwrap();
            },
            true,
        ),
        ("the database removed", |data| fs::remove_file(data.join("baton.db")).unwrap(), false),
        ("the lock removed", |data| fs::remove_file(data.join("serve.lock")).unwrap(), false),
        ("all removed", |data| drop(fs::remove_dir_all(data)), false),
    ];
    for (name, deed, is_old_kept) in deeds {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        fs::create_dir(&data).unwrap();
        let mut served = Served::start(&data);
        add(&data);
        deed(&data);
        assert_eq!(served.end().code(), Some(1), "{name}: {}", served.log());
        // The last line may be read after the end.
        served.log_has("while it was in use");
        assert!(!served.log().contains("restarting"), "{name}: {}", served.log());
        assert!(try_send(served.address, Request::get("/-/health")).is_none(), "{name}");
        if is_old_kept {
            assert_eq!(builds(&data.with_extension("old")), 1, "{name}");
        }
    }
}

#[test]
fn a_serving_process_that_dies_just_then_is_not_followed_by_one_on_other_data() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    fs::create_dir(&data).unwrap();
    let mut served = Served::start(&data);
    let child = served.child();
    kill(served.pid(), Signal::SIGSTOP).unwrap();
    moved_and_copied(&data);
    kill(child, Signal::SIGKILL).unwrap();
    kill(served.pid(), Signal::SIGCONT).unwrap();
    assert_eq!(served.end().code(), Some(1), "{}", served.log());
    assert!(!served.log().contains("restarting"), "{}", served.log());
}

#[test]
fn a_lock_that_was_removed_lets_no_second_server_in() {
    let dir = tempfile::tempdir().unwrap();
    let served = Served::start(dir.path());
    // Else it would notice, and end.
    kill(served.pid(), Signal::SIGSTOP).unwrap();
    fs::remove_file(dir.path().join("serve.lock")).unwrap();
    let why = refusal(&serve(dir.path()).output().unwrap());
    assert!(why.contains("another `baton serve` uses"), "{why}");
    drop(served);
}

/// Commands that only read.
const READING: [&[&str]; 7] = [
    &["status"],
    &["du"],
    &["project", "list"],
    &["runner", "list"],
    &["build", "list"],
    &["build", "show", "1"],
    &["build", "log", "1"],
];

#[test]
fn commands_that_read_make_nothing_where_there_is_nothing() {
    let dir = tempfile::tempdir().unwrap();
    for data in [dir.path().join("none/deep"), dir.path().to_owned()] {
        for line in READING.into_iter().chain([&["build", "artifacts", "1"][..]]) {
            let output = baton(&data).args(line).output().unwrap();
            let said = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(1), "{line:?}: {said}");
            assert!(said.contains("no baton.db") && said.contains(data.to_str().unwrap()), "{line:?}: {said}");
        }
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

/// Runs `baton` on `data` where all of it is mounted so that it cannot be written, if this user may do that.
fn on_a_fixed_file_system(data: &Path, line: &[&str]) -> Option<std::process::Output> {
    let script = "mount --bind \"$1\" \"$1\" && mount -o remount,bind,ro \"$1\" || exit 99; shift; exec \"$@\"";
    let mut command = Command::new("unshare");
    command.args(["-rm", "sh", "-c", script, "sh"]).arg(data).arg(env!("CARGO_BIN_EXE_baton")).arg("--data").arg(data);
    let output = command.args(line).env_remove("RUST_LOG").output().ok()?;
    let is_refused = output.status.code() == Some(99) || String::from_utf8_lossy(&output.stderr).contains("unshare:");
    (!is_refused).then_some(output)
}

#[test]
fn a_copy_on_a_read_only_file_system_is_read_by_all_that_read_and_writers_say_what_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    add(&data);
    let words = |output: &std::process::Output| String::from_utf8_lossy(&output.stderr).into_owned();
    for line in READING.into_iter().chain([&["check"][..]]) {
        let Some(output) = on_a_fixed_file_system(&data, line) else {
            return skipped("this user cannot mount");
        };
        assert!(output.status.success(), "{line:?}: {}", words(&output));
    }
    for line in [&["project", "add", "other"][..], &["build", "cancel", "1"], &["prune", "--older-than", "30d"]] {
        let output = on_a_fixed_file_system(&data, line).unwrap();
        assert_eq!(output.status.code(), Some(1), "{line:?}");
        assert!(words(&output).to_lowercase().contains("read-only"), "{line:?}: {}", words(&output));
    }
}
