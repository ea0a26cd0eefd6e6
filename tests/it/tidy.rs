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

/// Whether `src` or a part of the tests has this module, or, with its last word, a function of a module.
fn is_there(path: &str) -> bool {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let file_of = |half: &str, words: &[&str]| {
        let folder = words.iter().fold(root.join(half), |folder, word| folder.join(word));
        [folder.with_extension("rs"), folder.join("mod.rs")].into_iter().find(|file| file.is_file())
    };
    let words: Vec<&str> = path.trim_end_matches("::").split("::").collect();
    let (name, module) = words.split_last().expect("a word");
    ["tests/it", "tests/siege", "tests/browser", "src"].iter().any(|half| {
        let has_function = |file: PathBuf| std::fs::read_to_string(file).unwrap().contains(&format!("fn {name}("));
        file_of(half, &words).is_some() || file_of(half, module).is_some_and(has_function)
    })
}

#[test]
fn the_tests_that_show_the_promises_are_there() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reliability.md");
    let text = std::fs::read_to_string(page).unwrap();
    let is_path = |word: &&str| {
        word.contains("::") && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "_:".contains(c))
    };
    let named: Vec<&str> = text.split('`').skip(1).step_by(2).filter(is_path).collect();
    assert!(named.len() > 40, "{named:?}");
    let missing: Vec<&str> = named.into_iter().filter(|path| !is_there(path)).collect();
    assert_eq!(missing, Vec::<&str>::new(), "docs/reliability.md names tests that are not there");
}
