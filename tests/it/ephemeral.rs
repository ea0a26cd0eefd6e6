//! For test suites: a server with data for a while, which says in JSON where it is.

use crate::harness::served::{Served, begin_long_patch, running, wait_for};
use crate::harness::*;
use baton::limits::Limits;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

/// `baton serve --ephemeral`, in a directory for temporary files of its own.
fn ephemeral(temporary: &TempDir) -> Command {
    of_shell(temporary, "exec \"$@\"")
}

/// The same, as the arguments of a line of shell.
fn of_shell(temporary: &TempDir, line: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", line, "sh", env!("CARGO_BIN_EXE_baton"), "serve", "--ephemeral"]);
    command.env("TMPDIR", temporary.path()).env_remove("RUST_LOG").stderr(Stdio::null());
    command
}

/// What is in the directory for temporary files.
fn left(temporary: &TempDir) -> Vec<PathBuf> {
    std::fs::read_dir(temporary.path()).unwrap().map(|entry| entry.unwrap().path()).collect()
}

fn wait_until_nothing_is_left(temporary: &TempDir) {
    wait_for("the removal of everything", || left(temporary).is_empty().then_some(()));
}

/// A server that has said in JSON where it is. Killed with the test.
struct Told {
    process: Child,
    line: Value,
}

impl Told {
    fn of(command: &mut Command) -> Told {
        let mut process = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        Told { process, line: serde_json::from_str(&line).expect("a line of JSON") }
    }

    fn text(&self, key: &str) -> &str {
        self.line[key].as_str().unwrap()
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(self.line["pid"].as_i64().unwrap() as i32)
    }

    /// Whether all that it has said is so.
    fn check(&self) {
        let address = self.text("url").strip_prefix("http://").unwrap().parse().unwrap();
        let body = json!({"token": self.text("registration_token")});
        http::send(address, &Request::post("runners/register").json(&body)).expect(201);
        assert!(Path::new(self.text("data")).join("baton.db").exists());
        assert_eq!(object(self.line.clone()).len(), 4);
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn temporary_data_is_the_owners_alone_and_goes_with_the_signal_that_ends_the_server() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let temporary = tempfile::tempdir().unwrap();
        let mut served = Served::of(&mut ephemeral(&temporary));
        let data = left(&temporary);
        assert_eq!(data.len(), 1);
        assert_eq!(std::fs::metadata(&data[0]).unwrap().permissions().mode() & 0o7777, 0o700);
        // Another process on the same data, as after a crash.
        let build = running(&served, &data[0], "demo");
        served.kill_child();
        served.send(&patch(&build, 0, b"still there\n")).expect(202);
        assert_eq!(left(&temporary), data);
        served.signal(signal);
        assert_eq!(served.end().code(), Some(0), "{}", served.log());
        assert_eq!(left(&temporary), Vec::<PathBuf>::new());
    }
}

#[test]
fn temporary_data_goes_with_the_second_signal_too() {
    let temporary = tempfile::tempdir().unwrap();
    let mut served = Served::of(&mut ephemeral(&temporary));
    let build = running(&served, &left(&temporary)[0], "demo");
    let (_connection, _) = begin_long_patch(&served, &build);
    served.signal(Signal::SIGTERM);
    served.log_has("stopping");
    served.signal(Signal::SIGTERM);
    assert_eq!(served.end().code(), Some(1));
    assert_eq!(left(&temporary), Vec::<PathBuf>::new());
}

#[test]
fn temporary_data_goes_when_the_server_is_killed() {
    let temporary = tempfile::tempdir().unwrap();
    let mut served = Served::of(&mut ephemeral(&temporary));
    served.signal(Signal::SIGKILL);
    served.end();
    wait_until_nothing_is_left(&temporary);
}

#[test]
fn an_ephemeral_server_ends_with_the_process_that_started_it() {
    let temporary = tempfile::tempdir().unwrap();
    // The shell waits for the server, which is its child.
    let mut told = Told::of(of_shell(&temporary, "\"$@\" & wait").arg("--json"));
    told.check();
    assert_ne!(told.pid().as_raw(), told.process.id().cast_signed());
    told.process.kill().unwrap();
    told.process.wait().unwrap();
    wait_until_nothing_is_left(&temporary);
    wait_for("the end of the server", || kill(told.pid(), None).is_err().then_some(()));
}

#[test]
fn temporary_data_is_no_data_that_was_named() {
    let temporary = tempfile::tempdir().unwrap();
    let output = ephemeral(&temporary).args(["--data", "d"]).stderr(Stdio::piped()).output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert!(error.contains("--data does not go with --ephemeral"), "{error}");
    // A variable that is there for other commands does no harm, and its directory is not touched.
    let data = temporary.path().join("data");
    let told = Told::of(ephemeral(&temporary).arg("--json").env("BATON_DATA", &data));
    told.check();
    assert!(!data.exists());
}

#[test]
fn the_first_line_can_be_json() {
    let temporary = tempfile::tempdir().unwrap();
    let mut told = Told::of(ephemeral(&temporary).arg("--json"));
    told.check();
    assert_eq!(told.pid().as_raw(), told.process.id().cast_signed());
    kill(told.pid(), Signal::SIGTERM).unwrap();
    let mut rest = String::new();
    told.process.stdout.take().unwrap().read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "");
    assert!(told.process.wait().unwrap().success());
}

#[test]
fn a_descriptor_gets_one_line_and_is_closed() {
    let temporary = tempfile::tempdir().unwrap();
    let mut command = of_shell(&temporary, "exec 3>&1 >\"$TMPDIR/answer\"; exec \"$@\" --ready-fd 3");
    let mut process = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    // Ends, since no process of the server holds the other end any more.
    process.stdout.take().unwrap().read_to_string(&mut line).unwrap();
    assert_eq!(line.lines().count(), 1, "{line}");
    let told = Told { process, line: serde_json::from_str(&line).unwrap() };
    told.check();
    let answer = format!("baton listening on {}\n", told.text("url"));
    wait_for("the usual first line", || {
        (std::fs::read_to_string(temporary.path().join("answer")).unwrap() == answer).then_some(())
    });
}

#[test]
fn a_server_on_data_that_stays_tells_too_also_by_its_variables() {
    let temporary = tempfile::tempdir().unwrap();
    let data = temporary.path().join("data");
    let line = "shift 3; exec 4>&1 >/dev/null; BATON_READY_FD=4 BATON_LISTEN=127.0.0.1:0 exec \"$0\" \"$@\"";
    let mut command = Command::new("sh");
    command.args(["-c", line, env!("CARGO_BIN_EXE_baton"), "", "", "", "serve", "--data"]).arg(&data);
    let told = Told::of(command.env_remove("RUST_LOG").stderr(Stdio::null()));
    told.check();
    assert_eq!(Path::new(told.text("data")), std::fs::canonicalize(&data).unwrap());
}

#[test]
fn a_descriptor_that_cannot_be_written_is_wrong_usage() {
    for (line, words) in [
        ("exec \"$@\" --ready-fd 9 9>&-", "--ready-fd 9: Bad file descriptor"),
        ("exec \"$@\" --ready-fd 3 3</dev/null", "open for reading only"),
        ("exec \"$@\" --ready-fd 1", "--json"),
        ("exec \"$@\" --ready-fd ready.json", "a descriptor's number"),
    ] {
        let temporary = tempfile::tempdir().unwrap();
        let output = of_shell(&temporary, line).stderr(Stdio::piped()).output().unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{error}");
        assert!(error.contains(words) && error.lines().count() == 1, "{error}");
        assert_eq!(left(&temporary), Vec::<PathBuf>::new());
    }
}

#[test]
fn the_librarys_ephemeral_server_leaves_nothing() {
    let server = baton::Server::ephemeral(Limits::default()).unwrap();
    let data = server.data().to_owned();
    assert!(data.join("baton.db").exists());
    http::send(server.address(), &Request::get("/-/readiness")).expect(200);
    server.stop();
    assert!(!data.exists());
}
