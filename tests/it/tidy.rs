//! Rules of the tests themselves.

use std::path::{Path, PathBuf};

/// The sources below a folder, with their lines.
fn sources(folder: &Path) -> Vec<(PathBuf, String)> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") && !path.ends_with("tidy.rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            all.push((path, text));
        }
    }
    all
}

/// Places in `src` and `tests` where a line is `wrong`.
#[track_caller]
fn expect_none(wrong: impl Fn(&Path, &str) -> bool, why: &str) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (path, text) in ["src", "tests"].iter().flat_map(|folder| sources(&root.join(folder))) {
        for (line, number) in text.lines().zip(1..) {
            assert!(!wrong(&path, line), "{}:{number}: {why}: {line}", path.display());
        }
    }
}

/// A machine may be busy with anything. What must come at some time is waited for, with a deadline of its own; how soon
/// it comes is compared with the same elsewhere at the same time, or is a figure of `cargo bench`.
#[test]
fn no_test_asserts_that_little_time_has_passed() {
    let is_short = |_: &Path, line: &str| {
        let judged = line.split_once("assert!(").and_then(|(_, rest)| rest.split_once("elapsed()"));
        judged.is_some_and(|(_, rest)| rest.trim_start().starts_with('<'))
    };
    expect_none(is_short, "this fails on a busy machine");
}

/// Those who run all tests count them.
#[test]
fn every_test_that_is_skipped_says_so_by_the_one_way_there_is() {
    let prints = |path: &Path, line: &str| {
        let line = line.to_lowercase();
        !path.ends_with("harness/skip.rs") && line.contains("print") && line.contains("\"skipped")
    };
    expect_none(prints, "`harness::skipped` says it");
}
