//! Checkouts, their snapshots, and builds that have one as their sources.

use super::*;
use baton::coordinator::NewPipeline;
use baton::domain::pipeline::{Job, Pipeline, Work};
use baton::git::snapshot::Wanted;
use baton::git::{Found, Snapshot, checkout};
use std::fs;
use std::process::Command;

/// Runs git as a person would, whose name it wants to know; what it prints.
#[track_caller]
pub fn git(dir: &Path, words: &[&str]) -> String {
    let (is_done, text) = try_git(dir, words);
    assert!(is_done, "git {words:?}: {text}");
    text
}

/// Runs git; whether it did what it was asked, and what it printed.
pub fn try_git(dir: &Path, words: &[&str]) -> (bool, String) {
    let mut command = Command::new("git");
    for setting in
        ["user.name=Ann", "user.email=ann@example.org", "init.defaultBranch=main", "core.hooksPath=/dev/null"]
    {
        command.args(["-c", setting]);
    }
    command.env("GIT_TERMINAL_PROMPT", "0").env("GIT_CONFIG_NOSYSTEM", "1").current_dir(dir);
    let output = command.args(words).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).trim_end().to_owned())
}

/// A checkout with two commits on `main`, one more on `secret`, and a change that is not committed.
pub fn checkout_with_changes() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let top = dir.path();
    git(top, &["init", "--quiet"]);
    for (file, content) in [("a", "one"), ("b", "two")] {
        fs::write(top.join(file), content).unwrap();
        git(top, &["add", "--all"]);
        git(top, &["commit", "--quiet", "--message", file]);
    }
    git(top, &["checkout", "--quiet", "-b", "secret"]);
    fs::write(top.join("plan"), "nobody is to see this").unwrap();
    git(top, &["add", "--all"]);
    git(top, &["commit", "--quiet", "--message", "secret"]);
    git(top, &["checkout", "--quiet", "main"]);
    fs::write(top.join("a"), "changed").unwrap();
    dir
}

/// A snapshot of a checkout, in a data directory.
pub fn snapshot(data: &Path, top: &Path, ref_name: &str) -> Snapshot {
    let Found::Checkout(checkout) = checkout::look(top).unwrap() else { panic!("no checkout") };
    let (head, settings) = (checkout.head().unwrap().unwrap(), checkout.settings().unwrap());
    let wanted = Wanted { ref_name, ..Wanted::default() };
    let mut snapshot = Snapshot::take(&checkout, &head, &settings, &data.join("sources"), &wanted).unwrap();
    snapshot.keep();
    snapshot
}

/// Queues a pipeline of so many builds of this project whose sources are a snapshot.
pub fn queue_with_sources(operator: &Coordinator, project: &str, snapshot: &Snapshot, builds: usize) {
    let spec = BuildSpec { script: vec!["cat a".to_owned()], ..BuildSpec::default() };
    let job = |number| Job {
        name: format!("job {number}"),
        stage: "test".to_owned(),
        work: Work::Build(Box::new(spec.clone())),
        ..Job::default()
    };
    let jobs = (0..builds).map(job).collect();
    let new = NewPipeline {
        project: project.to_owned(),
        pipeline: Pipeline { jobs, stages: vec!["test".to_owned()], ..Pipeline::default() },
        ref_: "main".to_owned(),
        sha: Some(snapshot.sha.clone()),
        sources_key: Some(snapshot.key.clone()),
        ..NewPipeline::default()
    };
    operator.add_pipeline(new, Timestamp::now()).unwrap();
}

/// The header by which git shows a token.
pub fn basic(token: &str) -> String {
    use base64::Engine;
    format!("Basic {}", base64::prelude::BASE64_STANDARD.encode(format!("gitlab-ci-token:{token}")))
}

/// Lines as git frames them; an empty one is a flush.
pub fn lines(lines: &[&str]) -> Vec<u8> {
    let line = |line: &&str| if line.is_empty() { "0000".to_owned() } else { format!("{:04x}{line}", line.len() + 4) };
    lines.iter().map(line).collect::<String>().into_bytes()
}

/// What git asks for when it clones.
pub fn wants(sha: &str) -> Vec<u8> {
    lines(&[&format!("want {sha} side-band-64k ofs-delta agent=git/2\n"), "", "done\n"])
}

/// The request for the list.
pub fn list_request(project: &str, token: &str) -> Request {
    let path = format!("/git/{project}.git/info/refs?service=git-upload-pack");
    Request::get(&path).header("Authorization", &basic(token))
}

/// The request for a pack.
pub fn pack_request(project: &str, token: &str, body: impl Into<Vec<u8>>) -> Request {
    let request = Request::post(&format!("/git/{project}.git/git-upload-pack"));
    request.header("Authorization", &basic(token)).body("application/x-git-upload-pack-request", body)
}
