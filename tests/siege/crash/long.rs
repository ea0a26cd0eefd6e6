//! Long logs are written and removed a little at a time: the program is killed in between.

use super::client::{Outcome, try_send};
use super::dice::Dice;
use super::process::{Serving, wait_for};
use crate::harness::*;
use baton::coordinator::Coordinator;
use baton::domain::build::BuildId;
use baton::domain::time::Timestamp;
use baton::limits::Limits;
use baton::store::traces;
use serde_json::json;
use std::path::Path;
use std::thread;

const KILLS: usize = 6;
/// A segment has 16 KiB.
const LOG_BYTES: usize = 8 << 20;
const SEGMENTS: usize = LOG_BYTES >> 14;

/// Segments of logs that no build has.
fn detached(data: &Path) -> usize {
    let sql = "SELECT count(*) FROM detached_traces d JOIN trace_segments s ON s.id >> 20 = d.number";
    open_database(data).query_row(sql, [], |row| row.get(0)).unwrap()
}

fn is_collected(data: &Path) -> bool {
    let sql = "SELECT count(*) FROM detached_traces";
    open_database(data).query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap() == 0
}

fn stored(data: &Path, id: BuildId) -> Vec<u8> {
    let database = open_database(data);
    traces::read(&database, &traces::of_build(&database, id).unwrap(), 0, u64::MAX).unwrap()
}

fn log(of: usize) -> String {
    let line = format!("a line of log {of}\n");
    line.repeat(LOG_BYTES / line.len())
}

fn is_acknowledged(outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Answered(response) => response.status == 200,
        Outcome::Cut(status) => *status == 200,
        Outcome::Doubtful | Outcome::Unsent => false,
    }
}

#[test]
fn a_kill_while_a_long_log_is_written_or_removed_leaves_whole_logs_and_nothing_else() {
    let mut dice = Dice::new();
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let operator = || Coordinator::open(&data, Limits::default()).unwrap();
    add_project(&operator(), "demo");
    let runner = operator().add_runner(new_runner(), None, Timestamp::now()).unwrap();
    let (mut build, mut known) = (None, String::new());
    let mut met = 0;
    for life in 0..KILLS {
        let mut serving = Serving::start(&data);
        let address = serving.address;
        wait_for("what is left over to go", || is_collected(&data));
        let of = match build.take() {
            None => {
                queue(&operator(), new_build("demo"));
                known = String::new();
                claimed(&http::send(address, &Speech::of(life).ask(runner.token.reveal())).expect(201))
            }
            Some(build) => build,
        };
        let id = of.id;
        let next = log(life);
        let speech = if dice.one_in(2) { Speech::Old } else { Speech::Today };
        let put = speech.report(&of, json!({"state": "running", "trace": next}));
        let enough = dice.below(SEGMENTS);
        let outcome = if known.is_empty() || dice.one_in(2) {
            let report = thread::spawn(move || try_send(address, put));
            wait_for("a part of the log", || detached(&data) >= enough || report.is_finished());
            met += usize::from(!report.is_finished());
            serving.kill(&mut dice);
            report.join().unwrap()
        } else {
            // The one before is removed.
            let outcome = try_send(address, put);
            wait_for("a part of the removal", || detached(&data) <= enough);
            met += usize::from(detached(&data) > 0);
            serving.kill(&mut dice);
            outcome
        };
        drop(serving);
        expect_well(&data);
        let found = stored(&data, id);
        let is_next = found == next.as_bytes();
        assert!(is_next || found == known.as_bytes(), "life {life}: {} bytes of neither log", found.len());
        assert!(is_next || !is_acknowledged(&outcome), "life {life}: what was acknowledged is lost");
        if is_next {
            known = next;
        }
        if dice.one_in(3) {
            operator().cancel_build(id, Timestamp::now()).unwrap();
            operator().erase_build(id, Timestamp::now()).unwrap();
            expect_well(&data);
        } else {
            build = Some(of);
        }
    }
    let serving = Serving::start(&data);
    wait_for("what is left over to go", || is_collected(&data));
    drop(serving);
    expect_well(&data);
    println!("{met} of {KILLS} kills met a log half written or half removed");
    assert!(met > 0);
}
