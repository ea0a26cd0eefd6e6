//! What a `.gitlab-ci.yml` means, case by case.
//!
//! The cases stand in `gitlab-ci-cases/`, whose README has their schema; what they expect is GitLab's. No server, no
//! files, no clock: the module is asked, and its answers compared.

// Tests stop at the first surprise, and say where.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::wildcard_enum_match_arm
)]

mod beyond;
mod cases;
mod checkout;
mod configuration;
mod fields;
mod hostile;
mod kinds;
mod large;
mod pipelines;
#[path = "../harness/random.rs"]
#[expect(dead_code, reason = "other tests use the rest")]
mod random;
mod states;

/// Cases that differ from GitLab on purpose, each with its reason.
const DIFFERENCES: [(&str, &str); 0] = [];

/// All cases hold; those that could not be checked against GitLab may differ, and are named.
#[test]
fn configurations_mean_what_they_mean_to_gitlab() {
    let cases = cases::all();
    let mut wrong = Vec::new();
    let mut uncertain = Vec::new();
    let mut passed = 0;
    for case in &cases {
        let Err(why) = kinds::check(case) else {
            passed += 1;
            continue;
        };
        let known = DIFFERENCES.iter().find(|(name, _)| *name == case.name);
        match known {
            Some((_, reason)) => println!("differs on purpose: {}: {reason}", case.name),
            None if case.is_uncertain => uncertain.push(format!("{}: {why}", case.name)),
            None => wrong.push(format!("{} ({}): {why}", case.name, case.file)),
        }
    }
    println!("{passed} of {} cases hold", cases.len());
    for case in &uncertain {
        println!("uncertain, and different: {case}");
    }
    assert!(wrong.is_empty(), "{} cases are wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert!(cases.len() >= 503, "only {} cases were found", cases.len());
}
