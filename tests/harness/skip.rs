//! Tests that cannot be run here: they pass, and nobody may take them for shown.

use std::fs::OpenOptions;
use std::io::Write;
use std::panic::Location;
use std::thread;

/// Names the file that gets a line for each test that was skipped, for whoever runs them all and counts.
const VARIABLE: &str = "BATON_TEST_SKIPPED";

/// Says that the test that calls is skipped, and why.
#[track_caller]
pub fn skipped(why: &str) {
    let place = Location::caller().to_string();
    // A thread of the test harness has the test's name; the main one has not.
    let test = thread::current().name().filter(|name| *name != "main").map_or(place, ToOwned::to_owned);
    let line = format!("{test}: {}\n", why.split_whitespace().collect::<Vec<_>>().join(" "));
    eprint!("SKIPPED {line}");
    if let Some(file) = std::env::var_os(VARIABLE) {
        let file = OpenOptions::new().create(true).append(true).open(file);
        file.and_then(|mut file| file.write_all(line.as_bytes())).expect("the file of skipped tests takes a line");
    }
}
