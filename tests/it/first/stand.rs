//! Promise: `baton run` is as a local command in the folder where one stands, and leaves what is the user's alone.

use super::baton;
use super::run::{archive, claim, git, repository, run, served};
use crate::harness::*;
use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

#[test]
fn a_build_runs_in_the_folder_where_one_stands_and_its_files_come_back_there() {
    let (server, runner) = served();
    let (_dir, top) = repository();
    let folder = top.join("-a b");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("here"), "x").unwrap();
    git(&top, &["add", "."]);
    git(&top, &["commit", "--quiet", "--message", "two"]);
    let running = run(&server, &folder, &["--artifacts", "out/", "--output", ".", "--", "cat", "here"]);
    let build = claim(&server, &runner);
    let commands = build.json["commands"].as_str().unwrap();
    let output = Command::new("sh").current_dir(&top).args(["-ec", commands]).output().unwrap();
    assert!(output.stdout.ends_with(b"x"), "{commands}: {output:?}");
    assert_eq!(build.json["options"]["artifacts"]["paths"][0], "-a b/out/");
    server.send(upload(&build, "a.zip", &archive(&[("-a b/out/c", b"y")]))).expect(201);
    server.finish(&build, "success");
    let (status, shown) = running.end();
    assert!(status.success(), "{shown}");
    assert_eq!(fs::read(folder.join("out/c")).unwrap(), b"y");
}

#[test]
fn a_folder_that_the_commit_does_not_have_is_told_before_anything_is_queued() {
    let (server, _) = served();
    let (_dir, top) = repository();
    fs::create_dir(top.join("new")).unwrap();
    let (status, shown) = run(&server, &top.join("new"), &["--", "make"]).end();
    assert!(!status.success() && shown.contains("no folder new"), "{shown}");
    assert!(!shown.contains("is queued"), "{shown}");
}

#[test]
fn a_build_cannot_change_the_repository_and_what_was_left_out_is_told() {
    let (server, runner) = served();
    let (_dir, top) = repository();
    let before = git(&top, &["rev-parse", "HEAD"]);
    let config = fs::read(top.join(".git/config")).unwrap();
    for (files, is_all_left_out) in [
        (
            &[
                ("a", &b"built"[..]),
                (".git/HEAD", b"evil"),
                (".git/config", b"evil"),
                (".GIT/hooks/pre-commit", b"evil"),
            ][..],
            false,
        ),
        (&[(".git/hooks/post-checkout", b"evil")], true),
    ] {
        let running = run(&server, &top, &["--artifacts", ".", "--output", ".", "--", "make"]);
        let build = claim(&server, &runner);
        server.send(upload(&build, "a.zip", &archive(files))).expect(201);
        server.finish(&build, "success");
        let (status, shown) = running.end();
        assert!(status.success() && shown.contains("left out: .") && !shown.contains("are empty"), "{shown}");
        assert_eq!(shown.contains("unpacked into"), !is_all_left_out, "{shown}");
        assert_eq!(git(&top, &["rev-parse", "HEAD"]), before);
    }
    assert_eq!(fs::read(top.join("a")).unwrap(), b"built");
    assert_eq!(fs::read(top.join(".git/config")).unwrap(), config);
    assert!(!top.join(".GIT").exists() && !top.join(".git/hooks/post-checkout").exists());
}

#[test]
fn a_partial_clone_is_no_source_and_that_is_told_before_anything_is_queued() {
    let (server, runner) = served();
    let (dir, top) = repository();
    git(&top, &["rm", "--quiet", "a"]);
    git(&top, &["commit", "--quiet", "--allow-empty", "--message", "two"]);
    git(&top, &["config", "uploadpack.allowFilter", "true"]);
    let url = format!("file://{}", top.display());
    git(dir.path(), &["clone", "--quiet", "--filter=blob:none", &url, "part"]);
    let (status, shown) = run(&server, &dir.path().join("part"), &["--", "make"]).end();
    assert!(!status.success() && shown.contains("partial clone") && !shown.contains("is queued"), "{shown}");
    let running = run(&server, &top, &["--", "make"]);
    server.finish(&claim(&server, &runner), "success");
    assert!(running.end().0.success());
}

#[test]
fn that_standard_input_does_not_reach_the_command_is_told_when_it_is_a_pipe() {
    let (server, runner) = served();
    let dir = tempfile::tempdir().unwrap();
    for (words, input, is_told) in [
        (&["run", "--", "cat"][..], Stdio::piped(), true),
        (&["run", "--", "cat"], Stdio::null(), false),
        (&["run", "--secret-file", "S=-", "--", "cat"], Stdio::piped(), false),
    ] {
        let mut command = baton(server.data(), words);
        command.current_dir(dir.path()).stdin(input).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = command.spawn().unwrap();
        if let Some(mut input) = process.stdin.take() {
            input.write_all(b"0123456789").unwrap();
        }
        server.finish(&claim(&server, &runner), "success");
        let output = process.wait_with_output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(error.contains("standard input does not reach"), is_told, "{error}");
    }
}
