//! Promise: nobody in, on disk. The data are their owner's alone, and what need only be checked is not kept. Which
//! token opens what is in `tokens`.

use crate::harness::*;
use baton::coordinator::{Coordinator, Queued};
use baton::domain::time::Timestamp;
use baton::limits::Limits;
use baton::server::{Config, Server};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;
use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

/// The program, as a user who lets everybody read and write what is not said otherwise.
fn baton(data: &Path, words: &[&str]) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", "umask 000; exec \"$@\"", "sh", env!("CARGO_BIN_EXE_baton")]).env_remove("BATON_DATA");
    command.arg("--data").arg(data).args(words);
    command
}

/// `baton serve`. Killed with the test, if it was not stopped.
struct Served {
    process: Child,
    address: SocketAddr,
}

impl Served {
    fn start(data: &Path) -> Served {
        let mut command = baton(data, &["serve", "--listen", "127.0.0.1:0"]);
        let mut process = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim_end().strip_prefix("baton listening on http://").map(str::parse);
        Served { process, address: address.unwrap_or_else(|| panic!("{line:?}")).unwrap() }
    }

    /// Lets it stop cleanly.
    fn stop(mut self) {
        kill(Pid::from_raw(self.process.id().cast_signed()), Signal::SIGTERM).unwrap();
        assert!(self.process.wait().unwrap().success());
    }

    fn send(&self, request: Request) -> Response {
        http::send(self.address, &request)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn output(data: &Path, words: &[&str]) -> Output {
    baton(data, words).output().unwrap()
}

/// What a command prints.
fn said(data: &Path, words: &[&str]) -> String {
    let output = output(data, words);
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn register(served: &Served, token: &str) -> Response {
    served.send(Request::post("runners/register").json(&json!({"token": token})))
}

/// A directory with all that is below it.
fn tree(dir: &Path) -> Vec<PathBuf> {
    let mut all = vec![dir.to_owned()];
    for entry in fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() { all.extend(tree(&entry)) } else { all.push(entry) }
    }
    all.sort();
    all
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

/// Fails unless directories are 0700 and files 0600; returns the files' names.
#[track_caller]
fn expect_private(data: &Path) -> Vec<String> {
    let mut names = Vec::new();
    for path in tree(data) {
        let expected = if path.is_dir() { 0o700 } else { 0o600 };
        assert_eq!(mode(&path), expected, "{}", path.display());
        names.push(path.file_name().unwrap().to_string_lossy().into_owned());
    }
    names
}

/// A build with artifacts and a trace, still running.
fn session(served: &Served, data: &Path) -> Claimed {
    said(data, &["project", "add", "demo"]);
    said(data, &["build", "add", "--project", "demo", "--script", "true"]);
    let runner = register(served, &said(data, &["runner", "token"])).expect(201).json();
    let build = claimed(&served.send(ask(runner["token"].as_str().unwrap())).expect(201));
    served.send(patch(&build, 0, b"log")).expect(202);
    served.send(upload(&build, "x.zip", b"content")).expect(201);
    build
}

#[test]
fn the_data_are_their_owners_alone_while_the_server_runs_and_after() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("deep/data");
    let served = Served::start(&data);
    session(&served, &data);
    let names = expect_private(&data);
    for name in ["artifacts", "baton.db", "baton.db-wal", "baton.db-shm", "serve.lock", "wake.sock"] {
        assert!(names.iter().any(|own| own == name), "{name} is there: {names:?}");
    }
    served.stop();
    let names = expect_private(&data);
    assert!(!names.iter().any(|own| own == "wake.sock"), "a stopped server leaves no socket");
    said(&data, &["build", "list"]);
    expect_private(&data);
}

#[test]
fn rights_of_others_are_taken_away_at_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let served = Served::start(&data);
    let build = session(&served, &data);
    // Whoever has the database open keeps its log there.
    let beside = Coordinator::open(&data, Limits::default()).unwrap();
    served.stop();
    let top = ["", "artifacts", "baton.db", "baton.db-wal", "baton.db-shm", "serve.lock"];
    let top: Vec<PathBuf> = top.iter().map(|name| data.join(name)).filter(|path| path.exists()).collect();
    assert_eq!(top.len(), 6);
    for path in &top {
        fs::set_permissions(path, Permissions::from_mode(if path.is_dir() { 0o777 } else { 0o666 })).unwrap();
    }
    let served = Served::start(&data);
    expect_private(&data);
    served.send(download(&build)).expect(200);
    drop(beside);
}

#[test]
fn git_passes_the_data_over_in_a_checkout() {
    let dir = tempfile::tempdir().unwrap();
    let git = |words: &[&str]| {
        let output = Command::new("git").current_dir(dir.path()).args(words).output().expect("git");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    git(&["init", "--quiet"]);
    said(&dir.path().join("baton-data"), &["project", "add", "demo"]);
    assert_eq!(git(&["status", "--porcelain", "--untracked-files=all"]), "");
}

#[test]
fn a_directory_of_other_things_is_refused_and_left_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let thesis = dir.path().join("thesis.txt");
    fs::write(&thesis, "chapter one").unwrap();
    fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
    for words in [&["serve", "--listen", "127.0.0.1:0"][..], &["project", "add", "demo"], &["build", "list"]] {
        let output = output(dir.path(), words);
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{words:?}: {error}");
        assert!(error.contains("thesis.txt"), "{words:?}: {error}");
        assert_eq!(tree(dir.path()), [dir.path(), &thesis]);
        assert_eq!(mode(dir.path()), 0o755);
    }
}

#[test]
fn a_reset_beside_the_server_ends_the_old_registration_token_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let served = Served::start(&data);
    let old = said(&data, &["runner", "token"]);
    let made_before = register(&served, &old).expect(201).json();
    let new = said(&data, &["runner", "token", "--reset"]);
    assert_ne!(old, new);
    register(&served, &old).expect_error(403);
    register(&served, &new).expect(201);
    assert_eq!(said(&data, &["runner", "token"]), new);
    // Runners that it made stay.
    served.send(ask(made_before["token"].as_str().unwrap())).expect(204);
}

#[test]
fn a_reset_beside_the_server_ends_the_old_project_token_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let served = Served::start(&data);
    let build = session(&served, &data);
    let get = |token: &str| served.send(Request::get(&format!("builds/{}/artifacts", build.id)).build_token(token));
    let old = said(&data, &["project", "token", "demo"]);
    get(&old).expect(200);
    let new = said(&data, &["project", "token", "demo", "--reset"]);
    get(&old).expect_error(403);
    register(&served, &old).expect_error(403);
    get(&new).expect(200);
    register(&served, &new).expect(201);
}

/// So many builds that pages were filled and emptied: nor do their forgotten parts hold a token. Where pages end depends
/// on how many builds there are.
#[test]
fn no_file_holds_a_runners_token_or_that_of_an_ended_build() {
    [280, 310].into_iter().for_each(expect_no_token_in_clear);
}

fn expect_no_token_in_clear(builds: usize) {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(Config { limits: Limits::default(), ..Config::local(dir.path()) }).unwrap();
    let operator = server.coordinator();
    let old_ci_token = add_project(operator, "demo");
    let old_registration_token = operator.registration_token(false).unwrap();
    let queued = || Queued { new: new_build("demo"), needs_names: vec![] };
    operator.add_builds((0..builds).map(|_| queued()).collect(), Timestamp::now()).unwrap();
    let mut tokens = Vec::new();
    let mut running = Vec::new();
    let mut connection = Connection::open(server.address());
    for index in 0..builds {
        let runner = operator.add_runner(new_runner(), None, Timestamp::now()).unwrap();
        let build = claimed(&connection.send(&ask(runner.token.reveal())).expect(201));
        connection.send(&patch(&build, 0, format!("my token is {}\n", build.token).as_bytes())).expect(202);
        tokens.push(("a runner's", runner.token.reveal().to_owned()));
        tokens.push(("an ended build's", build.token.clone()));
        running.push(build);
        // Some end soon, some late, in no order.
        if index % 3 != 0 {
            let build = running.swap_remove(index * 7 % running.len());
            end(&mut connection, &build);
        }
    }
    let stays = running.pop().expect("some run");
    running.iter().for_each(|build| end(&mut connection, build));
    operator.project_token("demo", true).unwrap();
    operator.registration_token(true).unwrap();
    // The one that must be there, else the search finds nothing at all.
    tokens.retain(|(_, token)| *token != stays.token);
    tokens.extend([("the project's old", old_ci_token), ("the old registration", old_registration_token)]);
    drop(connection);
    server.stop();
    let found: Vec<String> = tree(dir.path()).iter().flat_map(|path| found_in(path, &tokens)).collect();
    assert!(
        tree(dir.path()).iter().any(|path| !found_in(path, &[("the running build's", stays.token.clone())]).is_empty())
    );
    assert!(found.is_empty(), "{} of {} tokens are in clear: {found:?}", found.len(), tokens.len());
}

fn end(connection: &mut Connection, build: &Claimed) {
    let report = json!({"token": build.token, "state": "success"});
    connection.send(&Request::put(&format!("builds/{}", build.id)).json(&report)).expect(200);
}

fn found_in(path: &Path, tokens: &[(&str, String)]) -> Vec<String> {
    if path.is_dir() {
        return vec![];
    }
    let bytes = fs::read(path).unwrap();
    let is_in = |token: &str| memchr::memmem::find(&bytes, token.as_bytes());
    let name = path.file_name().unwrap().to_string_lossy();
    tokens.iter().filter_map(|(what, token)| Some(format!("{what} token in {name} at {}", is_in(token)?))).collect()
}
