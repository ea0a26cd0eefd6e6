//! `baton run`: a build as if it were a local command, of the checkout that one stands in.

use super::baton;
use crate::harness::terminal::{Running, Terminal};
use crate::harness::*;
use baton::domain::build::{BuildId, Status};
use baton::domain::time::Timestamp;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

/// Runs git as a person would, whose name it wants to know; what it says.
pub(super) fn git(dir: &Path, words: &[&str]) -> String {
    let settings = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "init.defaultBranch=main"];
    let output = Command::new("git").current_dir(dir).args(settings).args(words).output().unwrap();
    assert!(output.status.success(), "{words:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// A folder outside of any checkout, and in it a repository with a commit.
pub(super) fn repository() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let top = dir.path().canonicalize().unwrap().join("project");
    fs::create_dir(&top).unwrap();
    git(&top, &["init", "--quiet"]);
    fs::write(top.join("a"), "one").unwrap();
    git(&top, &["add", "."]);
    git(&top, &["commit", "--quiet", "--message", "one"]);
    (dir, top)
}

/// A server, and a runner that takes everything.
pub(super) fn served() -> (Baton, TestRunner) {
    let server = Baton::start();
    let runner = server.runner();
    (server, runner)
}

/// `baton run` that waits for a runner, in this folder, on a terminal.
pub(super) fn run(server: &Baton, dir: &Path, words: &[&str]) -> Running {
    Terminal::new(24, 80).run(baton(server.data(), &[&["run", "--runner", "none"], words].concat()).current_dir(dir))
}

/// Waits for a build to be there, and takes it.
#[track_caller]
pub(super) fn claim(server: &Baton, runner: &TestRunner) -> Claimed {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let answer = server.ask(runner);
        if answer.status == 201 {
            return claimed(&answer);
        }
        assert!(Instant::now() < deadline, "no build comes");
        thread::sleep(Duration::from_millis(5));
    }
}

#[track_caller]
fn wait_for_status(server: &Baton, id: BuildId, status: Status) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while server.status(id) != status {
        assert!(Instant::now() < deadline, "{}", server.status(id));
        thread::sleep(Duration::from_millis(5));
    }
}

fn variable<'a>(build: &'a Claimed, key: &str) -> Option<&'a str> {
    let variables = build.json["variables"].as_array().unwrap();
    variables.iter().rev().find(|variable| variable["key"] == key)?["value"].as_str()
}

pub(super) fn archive(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in files {
        archive.start_file(*name, SimpleFileOptions::default()).unwrap();
        archive.write_all(bytes).unwrap();
    }
    archive.finish().unwrap().into_inner()
}

#[test]
fn in_a_checkout_the_present_commit_is_built_and_the_log_has_its_colours() {
    let (server, runner) = served();
    let (_dir, top) = repository();
    fs::write(top.join("new"), "x").unwrap();
    let running = run(&server, &top, &["--", "make", "it's"]);
    let build = claim(&server, &runner);
    let url = format!("file://localhost{}", top.display());
    assert_eq!((build.json["repo_url"].as_str(), build.json["ref"].as_str()), (Some(url.as_str()), Some("main")));
    assert_eq!(build.json["sha"].as_str().unwrap(), git(&top, &["rev-parse", "HEAD"]));
    assert_eq!(build.json["commands"].as_str().unwrap(), "make 'it'\\''s'");
    assert_eq!(variable(&build, "GIT_STRATEGY"), None);
    // What a runner does with it.
    git(top.parent().unwrap(), &["clone", "--quiet", &url, "clone"]);
    server.append(&build, 0, "\x1b[32;1m$ make\x1b[0;m\n");
    running.wait_for("\x1b[32;1m$ make\x1b[0;m");
    server.finish(&build, "success");
    let (status, shown) = running.end();
    assert!(status.success(), "{shown}");
    assert!(shown.contains("not committed: 1 new file"), "{shown}");
    assert!(shown.contains("of main, from this checkout"), "{shown}");
}

#[test]
fn a_projects_repository_is_where_the_commit_comes_from_and_one_that_is_not_there_is_told() {
    let (server, runner) = served();
    let (dir, top) = repository();
    server
        .operator()
        .add_project("p", Some("https://git.example/p.git"), Duration::from_secs(9), Timestamp::now())
        .unwrap();
    let clone = dir.path().join("clone");
    git(&top, &["clone", "--quiet", ".", clone.to_str().unwrap()]);
    for is_pushed in [true, false] {
        if !is_pushed {
            git(&clone, &["commit", "--quiet", "--allow-empty", "--message", "two"]);
        }
        let running = run(&server, &clone, &["--", "make"]);
        let build = claim(&server, &runner);
        assert_eq!(build.json["repo_url"].as_str(), Some("https://git.example/p.git"));
        assert_eq!(build.json["sha"].as_str().unwrap(), git(&clone, &["rev-parse", "HEAD"]));
        server.finish(&build, "success");
        let (_, shown) = running.end();
        assert_eq!(shown.contains("push it"), !is_pushed, "{shown}");
    }
}

#[test]
fn outside_a_checkout_and_where_they_are_not_wanted_there_are_no_sources() {
    let (server, runner) = served();
    let (dir, top) = repository();
    let empty = dir.path().join("empty");
    git(dir.path(), &["init", "--quiet", "empty"]);
    for (place, words) in
        [(dir.path(), &["--", "true"][..]), (&top, &["--no-sources", "--", "true"]), (&empty, &["--", "true"])]
    {
        let running = run(&server, place, words);
        let build = claim(&server, &runner);
        assert_eq!(variable(&build, "GIT_STRATEGY"), Some("none"), "{}", place.display());
        server.finish(&build, "success");
        let (status, shown) = running.end();
        assert!(status.success() && shown.contains("without sources"), "{shown}");
        assert_eq!(shown.contains("no commit yet"), place == empty, "{shown}");
    }
}

#[test]
fn where_git_is_not_installed_a_checkout_has_no_sources_and_that_is_told_once() {
    let (server, runner) = served();
    let (dir, top) = repository();
    let nowhere = dir.path().join("nowhere");
    for (place, is_told) in [(top.as_path(), true), (dir.path(), false)] {
        let mut command = baton(server.data(), &["run", "--runner", "none", "--", "true"]);
        let running = Terminal::new(24, 80).run(command.current_dir(place).env("PATH", &nowhere));
        let build = claim(&server, &runner);
        assert_eq!(variable(&build, "GIT_STRATEGY"), Some("none"));
        server.finish(&build, "success");
        let (status, shown) = running.end();
        assert!(status.success() && shown.contains("without sources"), "{shown}");
        assert_eq!(shown.matches("`git` is not installed").count(), usize::from(is_told), "{shown}");
    }
}

#[test]
fn what_the_command_line_says_of_the_sources_is_what_the_runner_gets() {
    let (server, runner) = served();
    let (_dir, top) = repository();
    let running =
        run(&server, &top, &["--repo-url", "https://git.example/x.git", "--ref", "v1", "--plain", "--", "true"]);
    let build = claim(&server, &runner);
    assert_eq!(
        (build.json["repo_url"].as_str(), build.json["ref"].as_str()),
        (Some("https://git.example/x.git"), Some("v1"))
    );
    server.append(&build, 0, "\x1b[32;1mgreen\x1b[0;m\n");
    server.finish(&build, "success");
    let (_, shown) = running.end();
    assert!(shown.contains("green\r\n") && !shown.contains('\x1b'), "{shown:?}");
}

#[test]
fn artifacts_are_brought_back_whether_the_build_succeeds_or_fails() {
    let (server, runner) = served();
    let dir = tempfile::tempdir().unwrap();
    for (state, code) in [("success", 0), ("failed", 1)] {
        let words = ["--artifacts", "report/", "--output", state, "--", "make"];
        let running = run(&server, dir.path(), &words);
        let build = claim(&server, &runner);
        assert_eq!(build.json["options"]["artifacts"]["when"], "always");
        let files = [("report/a.txt", &b"all"[..]), ("report/b", b"is well")];
        server.send(upload(&build, "artifacts.zip", &archive(&files))).expect(201);
        server.finish(&build, state);
        let (status, shown) = running.end();
        assert_eq!(status.code(), Some(code), "{shown}");
        assert!(shown.contains(&format!("2 files, 10 B, unpacked into {state}: report/a.txt, report/b")), "{shown}");
        assert_eq!(fs::read(dir.path().join(state).join("report/b")).unwrap(), b"is well");
    }
}

#[test]
fn an_archive_that_leads_out_is_told_and_the_result_is_not_success() {
    let (server, runner) = served();
    let dir = tempfile::tempdir().unwrap();
    let running = run(&server, dir.path(), &["--artifacts", "x", "--output", "out/deep", "--", "make"]);
    let build = claim(&server, &runner);
    server.send(upload(&build, "a.zip", &archive(&[("../../x", b"x")]))).expect(201);
    server.finish(&build, "success");
    let (status, shown) = running.end();
    assert_eq!(status.code(), Some(1));
    assert!(shown.contains("outside of the folder"), "{shown}");
    assert!(!dir.path().join("x").exists() && !dir.path().join("out").exists());
}

#[test]
fn a_signal_cancels_the_build_and_says_so() {
    let (server, runner) = served();
    let dir = tempfile::tempdir().unwrap();
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGQUIT] {
        let running = run(&server, dir.path(), &["--", "sleep", "1000"]);
        let build = claim(&server, &runner);
        server.append(&build, 0, "begun\n");
        running.wait_for("begun");
        running.signal(signal);
        let (status, shown) = running.end();
        assert_eq!(status.code(), Some(1), "{shown}");
        assert_eq!(server.status(build.id), Status::Canceled);
        assert!(shown.contains("ended as canceled"), "{shown}");
    }
}

/// As with a pager that nobody moves on: whoever waits for it is still to be stopped.
#[test]
fn a_signal_cancels_the_build_while_nobody_reads_the_log_and_a_second_one_ends_all() {
    let (server, runner) = served();
    let dir = tempfile::tempdir().unwrap();
    let mut command = baton(server.data(), &["run", "--runner", "none", "--", "make"]);
    command.current_dir(dir.path()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut process = command.spawn().unwrap();
    let build = claim(&server, &runner);
    server.append(&build, 0, &"a line that fills the pipe\n".repeat(20_000));
    let pid = Pid::from_raw(process.id().cast_signed());
    kill(pid, Signal::SIGINT).unwrap();
    wait_for_status(&server, build.id, Status::Canceled);
    assert_eq!(process.try_wait().unwrap(), None, "it waits for the pipe");
    thread::sleep(Duration::from_millis(1200));
    kill(pid, Signal::SIGINT).unwrap();
    assert_eq!(process.wait().unwrap().code(), Some(1));
}

#[test]
fn who_waits_for_a_runner_is_told_what_to_do() {
    let unserved = tempfile::tempdir().unwrap();
    let data = unserved.path().join("data");
    let words = ["run", "--runner", "none", "--", "true"];
    let alone = Terminal::new(24, 80).run(baton(&data, &words).current_dir(unserved.path()));
    let server = Baton::start();
    let without_runner = run(&server, unserved.path(), &["--", "true"]);
    let shown = alone.wait_for("still waits: no server runs");
    let place = data.canonicalize().unwrap();
    assert!(shown.contains(" serve` starts one") && shown.contains(&place.display().to_string()), "{shown}");
    let shown = without_runner.wait_for("still waits: no runner is registered");
    assert!(shown.contains("baton runner"), "{shown}");
}

#[test]
fn options_that_do_not_go_together_are_wrong_usage() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("file"), "x").unwrap();
    for (words, part) in [
        (&["--output", "out", "--", "true"][..], "--artifacts"),
        (&["--no-sources", "--ref", "x", "--", "true"], "--no-sources"),
        (&["--artifacts", "x", "--output", "file", "--", "true"], "not a directory"),
    ] {
        let data = dir.path().join("data");
        let output = baton(&data, &[&["run"], words].concat()).current_dir(dir.path()).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(2) && error.contains(part) && !data.exists(), "{error}");
    }
}
