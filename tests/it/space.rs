//! What is removed goes a little at a time, and its room is given back.

use crate::harness::*;
use std::time::{Duration, Instant};

/// Waits for what the server does by itself.
#[track_caller]
fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn count(baton: &Baton, table: &str) -> i64 {
    baton.database().query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
}

#[test]
fn a_server_collects_what_is_left_of_an_erased_log() {
    let baton = Baton::with_project();
    let (_, build) = baton.running();
    baton.append(&build, 0, &"a line of the log\n".repeat(100_000));
    baton.finish(&build, "success");
    assert!(count(&baton, "trace_segments") > 100);
    baton.erase(build.id);
    wait_until("nobody collects", || count(&baton, "trace_segments") + count(&baton, "detached_traces") == 0);
}

#[test]
fn a_server_gives_the_room_of_an_erased_log_back_to_the_file_system() {
    let baton = Baton::with_project();
    let (_, build) = baton.running();
    baton.append(&build, 0, &"a line of the log\n".repeat((30 << 20) / 18));
    baton.finish(&build, "success");
    baton.erase(build.id);
    let (_, other) = baton.running();
    baton.append(&other, 0, "before\n");
    let bytes = |name: &str| std::fs::metadata(baton.data().join(name)).unwrap().len();
    assert!(bytes("baton.db") + bytes("baton.db-wal") > 30 << 20);
    wait_until("the file stays long", || bytes("baton.db") < 10 << 20 && count(&baton, "detached_traces") == 0);
    assert!(bytes("baton.db-wal") <= 64 << 20);
    baton.append(&other, 7, "after\n");
    assert_eq!(baton.trace_text(other.id), "before\nafter\n");
    assert!(baton::coordinator::check(baton.data()).unwrap().problems.is_empty());
}
