//! Promise: the server is never stopped. `baton serve` is two processes, and whatever becomes of the serving one,
//! the address stays, what was acknowledged stays, and somebody answers.

use crate::harness::served::*;
use crate::harness::*;
use baton::store::traces;
use nix::sys::signal::{Signal, kill, killpg};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// All of a trace, without what is held back of it from readers while the build runs.
fn stored_trace(data: &Path, build: &Claimed) -> Vec<u8> {
    let database = open_database(data);
    let row = traces::of_build(&database, build.id).unwrap();
    traces::read(&database, &row, 0, row.size).unwrap()
}

/// Appends to a trace, piece after piece, as often as it takes, until told to stop; what it should be then.
fn append_until(stop: &AtomicBool, address: SocketAddr, build: &Claimed) -> String {
    let mut sent = String::new();
    while !stop.load(Ordering::Relaxed) {
        let piece = format!("line {} of build {}\n", sent.len(), build.id);
        let after = sent.len() + piece.len();
        loop {
            match try_send(address, patch(build, sent.len(), piece.as_bytes())) {
                Some((202, _)) => break,
                // It was stored, but the answer was lost.
                Some((416, head)) => {
                    assert!(head.contains(&format!("0-{after}\r\n")), "{after} are expected: {head}");
                    break;
                }
                Some((status, head)) => panic!("{status}: {head}"),
                None => {}
            }
        }
        sent.push_str(&piece);
    }
    sent
}

#[test]
fn a_killed_server_is_replaced_and_nobody_notices() {
    let dir = tempfile::tempdir().unwrap();
    let mut served = Served::start(dir.path());
    let build = running(&served, dir.path(), "demo");
    served.send(&patch(&build, 0, b"before\n")).expect(202);
    assert_eq!(served.restarts(), 0);
    let first = served.child();
    // Until then it would be a start that fails.
    let started = Instant::now();
    wait_for("a life of more than a second", || (started.elapsed() > Duration::from_millis(1100)).then_some(()));

    served.kill_child();
    let killed_at = Instant::now();
    served.send(&patch(&build, 7, b"after\n")).expect(202);
    println!("answered {:?} after the death of the serving process", killed_at.elapsed());
    served.send(&patch(&build, 0, b"before\n")).expect(416);
    assert_ne!(served.child(), first);
    assert_eq!(served.restarts(), 1);
    served.log_has("was ended by SIGKILL; restarting now; restarts so far: 1");
    assert!(served.process.try_wait().unwrap().is_none(), "the supervisor stays");
}

#[test]
fn without_a_supervisor_there_are_no_restarts() {
    let metrics = Baton::start().send(Request::get("/-/metrics")).expect(200).text();
    assert!(metrics.contains("# TYPE baton_restarts_total counter\nbaton_restarts_total 0\n"), "{metrics}");
}

#[test]
fn twenty_deaths_under_load_lose_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let served = Served::start(dir.path());
    let builds = ["one", "two", "three"].map(|project| running(&served, dir.path(), project));
    let (stop, mut random) = (AtomicBool::new(false), random::Random::new());
    thread::scope(|scope| {
        let (stop, address) = (&stop, served.address);
        let load = builds.each_ref().map(|build| scope.spawn(move || append_until(stop, address, build)));
        for _ in 0..20 {
            served.send(&Request::get("/-/health")).expect(200);
            thread::sleep(Duration::from_millis(random.below(1500) as u64));
            served.kill_child();
        }
        stop.store(true, Ordering::Relaxed);
        for (load, build) in load.into_iter().zip(&builds) {
            let sent = load.join().unwrap();
            let stored = stored_trace(dir.path(), build);
            assert!(!sent.is_empty() && stored == sent.as_bytes(), "build {}: {} bytes", build.id, sent.len());
        }
        let sound: String =
            open_database(dir.path()).query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
        assert_eq!(sound, "ok");
    });
    assert_eq!(served.restarts(), 20);
}

#[test]
fn the_serving_process_goes_with_its_supervisor() {
    let dir = tempfile::tempdir().unwrap();
    let mut served = Served::start(dir.path());
    let child = served.child();
    served.signal(Signal::SIGKILL);
    served.end();
    wait_for("the end of the child", || is_dead(child).then_some(()));
    // The same address is free, too.
    let address = served.address.to_string();
    let again = Served::of(baton(dir.path()).args(["serve", "--listen", &address]));
    again.send(&Request::get("/-/readiness")).expect(200);
}

#[test]
fn the_first_signal_lets_requests_finish() {
    for to_all in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let mut served = Served::of(serve(dir.path()).process_group(0));
        let build = running(&served, dir.path(), "demo");
        let (mut connection, rest) = begin_long_patch(&served, &build);
        if to_all {
            // As the terminal does for Ctrl-C, and some service managers with SIGTERM.
            killpg(served.pid(), Signal::SIGINT).unwrap();
            kill(served.child(), Signal::SIGTERM).unwrap();
        } else {
            served.signal(Signal::SIGTERM);
        }
        served.log_has("stopping; requests under way are finished");
        connection.send_raw(&rest);
        connection.read("PATCH").expect(202);
        assert_eq!(served.end().code(), Some(0), "{}", served.log());
        assert!(!dir.path().join("baton.db-wal").exists(), "the write-ahead log is in the database");
        assert!(stored_trace(dir.path(), &build) == [b'x'; LONG_BYTES]);
    }
}

#[test]
fn who_comes_while_requests_under_way_are_finished_is_told_that_the_server_drains() {
    let dir = tempfile::tempdir().unwrap();
    let mut served = Served::start(dir.path());
    let build = running(&served, dir.path(), "demo");
    let (mut patch, rest) = begin_long_patch(&served, &build);
    served.signal(Signal::SIGTERM);
    served.log_has("stopping");
    // Until it has heard of it, the serving process answers as ever.
    let answer = wait_for("a word about it", || {
        let ready = try_send(served.address, Request::get("/-/readiness"));
        ready.filter(|(status, _)| *status == 503)
    });
    assert!(answer.1.contains("Connection: close"), "{answer:?}");
    let document = served.send(&Request::get("/-/readiness")).expect(503).json();
    assert_eq!((document["status"].as_str(), document["draining"].as_bool()), (Some("draining"), Some(true)));
    served.send(&Request::get("/-/health")).expect(200);
    let response = served.send(&ask("token")).expect_error(503);
    assert_eq!((response.header("Retry-After"), response.header("Connection")), (Some("1"), Some("close")));
    // In the middle of its body, too.
    let mut long = Connection::open(served.address);
    long.send_raw(b"POST /ci/api/v1/builds/1/artifacts HTTP/1.1\r\nContent-Length: 100000\r\n\r\nhalf");
    long.read("POST").expect_error(503);
    patch.send_raw(&rest);
    patch.read("PATCH").expect(202);
    assert_eq!(served.end().code(), Some(0), "{}", served.log());
    assert!(stored_trace(dir.path(), &build).len() >= LONG_BYTES);
}

#[test]
fn the_second_signal_ends_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let mut served = Served::start(dir.path());
    let build = running(&served, dir.path(), "demo");
    let (_connection, _) = begin_long_patch(&served, &build);
    let child = served.child();
    served.signal(Signal::SIGTERM);
    served.log_has("stopping");
    served.signal(Signal::SIGINT);
    assert_eq!(served.end().code(), Some(1));
    assert!(is_dead(child));
    served.log_has("second signal");
    // Who waits for requests under way says so when their time is over.
    assert!(!served.log().contains("gave up"), "{}", served.log());
}

#[test]
fn a_server_that_cannot_start_says_why_and_not_where_it_listens() {
    let dir = tempfile::tempdir().unwrap();
    let (file, strange, foreign) = (dir.path().join("file"), dir.path().join("strange"), dir.path().join("foreign"));
    std::fs::write(&file, "").unwrap();
    std::fs::create_dir(&strange).unwrap();
    std::fs::write(
        strange.join("baton.db"),
        "This is no database, but a text that is long enough to look at. ".repeat(40),
    )
    .unwrap();
    std::fs::create_dir(&foreign).unwrap();
    std::fs::write(foreign.join("thesis.txt"), "").unwrap();
    for (data, words) in [(&file, "file"), (&strange, "not an SQLite database"), (&foreign, "thesis.txt")] {
        let why = refusal(&serve(data).output().unwrap());
        assert!(why.contains(words), "{why}");
    }
}

#[test]
fn a_second_server_on_the_directory_is_refused_and_command_lines_are_not() {
    let dir = tempfile::tempdir().unwrap();
    let served = Served::start(dir.path());
    let why = refusal(&serve(dir.path()).output().unwrap());
    assert!(why.contains("another `baton serve` uses"), "{why}");
    let mut there = baton(&dir.path().join("other"));
    let why = refusal(&there.args(["serve", "--listen", &served.address.to_string()]).output().unwrap());
    assert!(why.contains("cannot listen on"), "{why}");
    for line in [&["project", "add", "demo"][..], &["build", "add", "--project", "demo", "--script", "true"]] {
        let output = baton(dir.path()).args(line).output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }
    served.send(&Request::get("/-/readiness")).expect(200);
}

#[test]
fn a_server_that_outgrows_its_memory_is_replaced_ever_more_slowly() {
    let dir = tempfile::tempdir().unwrap();
    let mut served = Served::of(serve(dir.path()).env("BATON_MEMORY_LIMIT", "1M"));
    for pause in ["in 100ms", "in 200ms", "in 400ms"] {
        served.log_has(&format!("at most 1.0 MiB); restarting {pause}"));
        // Between two deaths there is an answer.
        while try_send(served.address, Request::get("/-/health")).is_none_or(|(status, _)| status != 200) {}
    }
    served.signal(Signal::SIGTERM);
    assert_eq!(served.end().code(), Some(0), "{}", served.log());
}

#[test]
fn versions_hidden_behind_bodies_cost_neither_threads_nor_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let served = Served::start(dir.path());
    // Another version, hidden behind a body that comes after its head was looked at.
    let request = Request::post("builds/register").header("Expect", "100-continue").form(&[("token", "x")]).bytes();
    let (head, body) = request.split_at(request.len() - "token=x".len());
    let hidden = [body, b"GET / HTTP/2.0\r\n\r\n"].concat();
    for _ in 0..100 {
        let mut connection = Connection::open(served.address);
        connection.send_raw(head);
        expect_continue(&mut connection);
        connection.send_raw(&hidden);
        connection.read("POST").expect(403);
        assert_eq!(connection.read("GET").expect(505).header("Connection"), Some("close"));
    }
    served.send(&Request::get("/-/health")).expect(200);
    assert_eq!(served.restarts(), 0);
}

#[test]
fn connections_that_do_not_fit_are_cut_aloud() {
    let dir = tempfile::tempdir().unwrap();
    let served = Served::of(serve(dir.path()).args(["--max-connections", "100000000000"]));
    served.log_has("connections instead of 100000000000 fit");
}

#[test]
fn a_replaced_program_file_does_not_hinder_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let program = dir.path().join("baton");
    std::fs::copy(env!("CARGO_BIN_EXE_baton"), &program).unwrap();
    let served = Served::of(baton_at(&program, &dir.path().join("data")).args(["serve", "--listen", "127.0.0.1:0"]));
    std::fs::remove_file(&program).unwrap();
    served.kill_child();
    served.send(&Request::get("/-/health")).expect(200);
}
