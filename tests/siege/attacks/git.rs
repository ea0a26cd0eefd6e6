//! Git over HTTP under attack: a program in git's place that hangs, floods or crawls shows what becomes of it.

use crate::harness::raw::{Raw, is_cut};
use crate::harness::served::{Served, is_dead, operator, serve, wait_for};
use crate::harness::sources::*;
use crate::harness::*;
use baton::domain::time::Timestamp;
use baton::git::Snapshot;
use baton::limits::Limits;
use nix::unistd::Pid;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::thread;
use std::time::Duration;
use tempfile::TempDir;

/// `baton serve` with a program in git's place, and builds of `demo` that run on a snapshot.
struct Stand {
    served: Served,
    dir: TempDir,
    snapshot: Snapshot,
    builds: Vec<Claimed>,
}

impl Stand {
    /// `script`: what runs in the place of `git upload-pack`, in a shell that has noted its process and its child `sleep`.
    fn new(script: &str, builds: usize) -> Stand {
        let dir = tempfile::tempdir().unwrap();
        let (data, bin) = (dir.path().join("data"), dir.path().join("bin"));
        fs::create_dir(&bin).unwrap();
        let program = bin.join("git");
        let log = dir.path().join("processes");
        let text = format!("#!/bin/sh\nlog='{}'\necho $$ >>\"$log\"\n{script}\n", log.display());
        fs::write(&program, text).unwrap();
        fs::set_permissions(&program, Permissions::from_mode(0o755)).unwrap();
        let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
        let served = Served::of(serve(&data).env("PATH", path));
        let operator = operator(&data);
        add_project(&operator, "demo");
        let top = dir.path().join("checkout");
        fs::rename(checkout_with_changes().keep(), &top).unwrap();
        let snapshot = snapshot(&data, &top, "main");
        let runner = operator.add_runner(new_runner(), None, Timestamp::now()).unwrap();
        queue_with_sources(&operator, "demo", &snapshot, builds);
        let claim = |_| claimed(&served.send(&ask(runner.token.reveal())).expect(201));
        let builds = (0..builds).map(claim).collect();
        Stand { served, dir, snapshot, builds }
    }

    /// Processes that were begun.
    fn processes(&self) -> Vec<Pid> {
        let text = fs::read_to_string(self.dir.path().join("processes")).unwrap_or_default();
        text.lines().filter_map(|line| line.parse().ok()).map(Pid::from_raw).collect()
    }

    fn wait_for_processes(&self, count: usize) -> Vec<Pid> {
        wait_for("processes of git", || Some(self.processes()).filter(|all| all.len() >= count))
    }

    fn pack(&self, build: usize) -> Request {
        pack_request("demo", &self.builds[build].token, wants(&self.snapshot.sha))
    }

    fn begin(&self, build: usize) -> Raw {
        let mut raw = Raw::open(self.served.address).unwrap();
        raw.send(&self.pack(build).bytes());
        raw
    }
}

/// A git that says something, and then something each second, with a child of its own that does nothing.
const LIVELY: &str = "sleep 1000 & echo $! >>\"$log\"; echo 0005x; while :; do sleep 0.2; echo 0005x; done";

#[test]
fn a_client_that_leaves_takes_git_and_its_children_with_it() {
    let stand = Stand::new(LIVELY, 1);
    for leaves_loudly in [true, false] {
        let before = stand.processes().len();
        let raw = stand.begin(0);
        let processes = stand.wait_for_processes(before + 2);
        assert!(processes[before..].iter().all(|pid| !is_dead(*pid)));
        if leaves_loudly {
            raw.reset()
        } else {
            drop(raw)
        }
        for pid in &processes[before..] {
            wait_for("the end of git", || is_dead(*pid).then_some(()));
        }
    }
}

#[test]
fn a_git_that_hangs_or_says_nothing_is_ended() {
    let dir = tempfile::tempdir().unwrap();
    let limits = Limits { stall_time_max: Duration::from_millis(300), ..Limits::default() };
    let snapshot_of = |baton: &Baton| {
        let top = dir.path().join("checkout");
        fs::rename(checkout_with_changes().keep(), &top).unwrap();
        snapshot(baton.data(), &top, "main")
    };
    let baton = Baton::with_limits(limits);
    baton.project("demo");
    let snapshot = snapshot_of(&baton);
    queue_with_sources(baton.operator(), "demo", &snapshot, 1);
    let build = baton.claim(&baton.runner());
    // In place of the commit there is a pipe that nobody writes to: git waits for it for ever.
    let object = snapshot.dir().join("objects").join(&snapshot.sha[..2]).join(&snapshot.sha[2..]);
    fs::remove_file(&object).unwrap();
    nix::unistd::mkfifo(&object, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let answer = baton.send(pack_request("demo", &build.token, wants(&snapshot.sha)));
    assert_eq!(answer.status, 500, "{}", answer.text());
}

#[test]
fn so_many_run_at_a_time_and_no_build_takes_all_places() {
    let stand = Stand::new(LIVELY, 6);
    // One build asks for many times its share.
    let greedy: Vec<Raw> = (0..12).map(|_| stand.begin(0)).collect();
    stand.wait_for_processes(2 * 4);
    // Others have their turn beside it, until all places are taken.
    let others: Vec<Raw> =
        (1..6).flat_map(|build| (0..4).map(move |_| build)).map(|build| stand.begin(build)).collect();
    stand.wait_for_processes(2 * 16);
    thread::sleep(Duration::from_millis(500));
    let alive = || stand.processes().into_iter().filter(|pid| !is_dead(*pid)).count();
    assert_eq!((stand.processes().len(), alive()), (32, 32), "one more process than there are places");
    // The server answers others meanwhile.
    stand.served.send(&Request::get("/-/health")).expect(200);
    // Who leaves makes room for those who wait.
    drop(greedy);
    stand.wait_for_processes(2 * 20);
    drop(others);
    wait_for("the end of all", || (alive() == 0).then_some(()));
}

#[test]
fn a_client_that_reads_nothing_keeps_no_git_for_ever() {
    let dir = tempfile::tempdir().unwrap();
    let limits = Limits { stall_time_max: Duration::from_secs(3), ..Limits::default() };
    let baton = Baton::with_limits(limits);
    baton.project("demo");
    let top = dir.path().join("checkout");
    fs::rename(checkout_with_changes().keep(), &top).unwrap();
    fs::write(top.join("noise"), random::Random::new().bytes(8 << 20)).unwrap();
    let snapshot = snapshot(baton.data(), &top, "main");
    queue_with_sources(baton.operator(), "demo", &snapshot, 1);
    let build = baton.claim(&baton.runner());
    let mut raw = Raw::with_small_window(baton.address()).unwrap();
    raw.send(&pack_request("demo", &build.token, wants(&snapshot.sha)).bytes());
    let read = raw.read_slowly(None, Duration::from_secs(8));
    assert!(read < 8 << 20, "all was sent to a client that did not read");
    baton.send(pack_request("demo", &build.token, wants(&snapshot.sha))).expect(200);
}

#[test]
fn what_git_sends_has_an_end_in_bytes_and_in_time() {
    let dir = tempfile::tempdir().unwrap();
    let top = dir.path().join("checkout");
    fs::rename(checkout_with_changes().keep(), &top).unwrap();
    fs::write(top.join("noise"), random::Random::new().bytes(2 << 20)).unwrap();
    let answer = |limits: Limits| {
        let baton = Baton::with_limits(limits);
        baton.project("demo");
        let snapshot = snapshot(baton.data(), &top, "main");
        queue_with_sources(baton.operator(), "demo", &snapshot, 1);
        let build = baton.claim(&baton.runner());
        let mut connection = Connection::open(baton.address());
        connection.send_raw(&pack_request("demo", &build.token, wants(&snapshot.sha)).bytes());
        let head = connection.read_head();
        let mut rest = Vec::new();
        if head.status == 200 {
            let _ = std::io::Read::read_to_end(connection.reader(), &mut rest);
        }
        baton.send(list_request("demo", &build.token)).expect(200);
        (head.status, rest)
    };
    let (status, rest) = answer(Limits { git_response_bytes_max: 100_000, ..Limits::default() });
    assert_eq!(status, 200);
    assert!(rest.len() < 150_000 && !rest.ends_with(b"0\r\n\r\n"), "{} bytes", rest.len());
    assert_eq!(answer(Limits { git_response_bytes_max: 1, ..Limits::default() }).0, 500);
    assert_eq!(answer(Limits { git_time_max: Duration::ZERO, ..Limits::default() }).0, 500);
}

#[test]
fn an_answer_that_breaks_off_does_not_look_whole() {
    let stand = Stand::new("echo 0005x; sleep 0.2; echo fatal: broken >&2; exit 1", 1);
    let mut connection = Connection::open(stand.served.address);
    connection.send_raw(&stand.pack(0).bytes());
    let head = connection.read_head();
    assert_eq!((head.status, head.header("Transfer-Encoding")), (200, Some("chunked")));
    let mut rest = Vec::new();
    let ended = std::io::Read::read_to_end(connection.reader(), &mut rest);
    assert!(ended.is_ok() || ended.is_err_and(|error| is_cut(&error)));
    assert!(!rest.ends_with(b"0\r\n\r\n"), "{:?}", String::from_utf8_lossy(&rest));
    stand.served.log_has("git upload-pack: broken");
    let token = &stand.builds[0].token;
    assert!(!stand.served.log().contains(token.as_str()) && !stand.served.log().contains(&basic(token)));
    // One that fails at once promises nothing.
    let failing = Stand::new("echo fatal: no >&2; exit 1", 1);
    let refused = failing.served.send(&failing.pack(0)).expect(400);
    assert!(refused.text().contains("git gives up on this request: no"), "{}", refused.text());
}
