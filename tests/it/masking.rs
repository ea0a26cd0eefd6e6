//! Secrets never appear in a stored trace, however the patches cut them, and lengths never change.

use crate::harness::random::Random;
use crate::harness::*;
use baton::domain::build::{NewBuild, Variable};
use baton::limits::Limits;
use serde_json::json;

const SECRETS: [&str; 3] = ["correct horse battery", "aaaaaaaaab", "geheim-äöü"];
const SHORT: &str = "hunter2";
const PUBLIC: &str = "public-knowledge";

/// A running build with all kinds of secrets; what must be masked in its trace.
fn with_secrets(baton: &Baton, ci_token: &str) -> (TestRunner, Claimed, Vec<String>) {
    let secret = |(index, value): (usize, &&str)| Variable::secret(format!("SECRET_{index}"), *value);
    let mut variables: Vec<_> = SECRETS.iter().enumerate().map(secret).collect();
    variables.push(Variable::secret("SHORT", SHORT));
    variables.push(Variable::public("PUBLIC", PUBLIC));
    let id = baton.queue(NewBuild { variables, ..new_build("demo") });
    let runner = baton.runner();
    let build = baton.claim(&runner);
    assert_eq!(build.id, id);
    let secrets = SECRETS.map(str::to_owned).into_iter().chain([build.token.clone(), ci_token.to_owned()]);
    let secrets = secrets.collect();
    (runner, build, secrets)
}

/// The simplest masking that can be thought of.
fn masked(log: &[u8], secrets: &[String]) -> Vec<u8> {
    let mut out = log.to_vec();
    for secret in secrets {
        for at in 0..log.len() {
            if log[at..].starts_with(secret.as_bytes()) {
                out[at..at + secret.len()].fill(b'x');
            }
        }
    }
    out
}

fn contains_any(trace: &[u8], secrets: &[String]) -> bool {
    secrets.iter().any(|secret| memchr::memmem::find(trace, secret.as_bytes()).is_some())
}

/// A log of whole, cut and overlapping secrets, with what must not be masked.
fn log(random: &mut Random, secrets: &[String]) -> Vec<u8> {
    let mut log = Vec::new();
    for _ in 0..30 {
        let secret = secrets[random.below(secrets.len())].clone();
        match random.below(6) {
            0 => log.extend_from_slice(&secret.as_bytes()[..random.below(secret.len())]),
            1 => log.extend_from_slice(&secret.as_bytes()[random.below(secret.len())..]),
            2 => log.extend_from_slice(
                random.pick(&[SHORT, PUBLIC, "\n", "a", "aaaaaaaaa", "ordinary words\n"]).as_bytes(),
            ),
            _ => log.extend_from_slice(secret.as_bytes()),
        }
    }
    log
}

#[test]
fn secrets_are_masked_however_they_are_cut() {
    let baton = Baton::start();
    let ci_token = baton.project("demo");
    let mut random = Random::new();
    for _ in 0..15 {
        let (_, build, secrets) = with_secrets(&baton, &ci_token);
        let log = log(&mut random, &secrets);
        let mut start = 0;
        let mut connection = Connection::open(baton.address());
        while start < log.len() {
            let most = random.pick(&[1, 3, 20, 100, 1000]);
            let end = (start + 1 + random.below(most)).min(log.len());
            let response = connection.send(&patch(&build, start, &log[start..end])).expect(202);
            assert_eq!(response.header("Range"), Some(format!("0-{end}").as_str()), "lengths never change");
            let shown = baton.shown_trace(build.id);
            // Not "contains no secret": a mask followed by all but the `x` of a token that begins with `x` spells it.
            let all = masked(&log[..end], &secrets);
            assert!(all.starts_with(&shown), "readable while it runs, after {end} bytes");
            assert!(masked(&log, &secrets).starts_with(&shown), "shown and taken back later, after {end} bytes");
            start = end;
        }
        baton.finish(&build, "success");
        assert!(baton.trace(build.id) == masked(&log, &secrets), "{}", String::from_utf8_lossy(&log));
        assert!(baton.shown_trace(build.id) == baton.trace(build.id), "all is shown in the end");
    }
}

#[test]
fn secrets_are_masked_in_whole_traces_and_in_patches_after_them() {
    let baton = Baton::start();
    let ci_token = baton.project("demo");
    let mut random = Random::new();
    for _ in 0..15 {
        let (runner, build, secrets) = with_secrets(&baton, &ci_token);
        let text = String::from_utf8_lossy(&log(&mut random, &secrets)).into_owned();
        let cut = (0..=random.below(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap();
        let put = |state: &str, trace: &str| {
            let body = json!({"token": runner.token, "state": state, "trace": trace});
            baton.send(Request::put(&format!("builds/{}.json", build.id)).json(&body)).expect(200);
        };
        put("running", &text[..cut]);
        assert_eq!(baton.show(build.id).trace_size, cut as u64);
        baton.append(&build, cut, &text[cut..]);
        assert!(!contains_any(&baton.shown_trace(build.id), &secrets));
        if random.below(2) == 0 {
            put("success", &text);
        } else {
            baton.finish(&build, "failed");
        }
        assert!(baton.trace(build.id) == masked(text.as_bytes(), &secrets), "cut at {cut} of {text}");
    }
}

/// The border of two patches may be the cancel.
#[test]
fn secrets_are_masked_that_begin_before_a_cancel_and_end_after_it() {
    let baton = Baton::start();
    let ci_token = baton.project("demo");
    let mut random = Random::new();
    for _ in 0..15 {
        let (_, build, secrets) = with_secrets(&baton, &ci_token);
        let log = log(&mut random, &secrets);
        let cut = random.below(log.len());
        baton.send(patch(&build, 0, &log[..cut])).expect(202);
        baton.cancel(build.id);
        assert_eq!(baton.shown_trace(build.id).len(), cut, "all is shown");
        baton.send(patch(&build, random.below(cut + 1), &log[cut..cut])).expect(403);
        let again = random.below(cut + 1);
        baton.send(patch(&build, again, &log[again..])).expect(403);
        assert!(baton.trace(build.id) == masked(&log, &secrets), "cut at {cut}: {}", String::from_utf8_lossy(&log));
    }
}

#[test]
fn short_secrets_and_public_values_stay_readable() {
    let baton = Baton::start();
    let ci_token = baton.project("demo");
    let (_, build, _) = with_secrets(&baton, &ci_token);
    let log = format!("{SHORT} {PUBLIC} spinach master {}", "correct horse");
    baton.append(&build, 0, &log);
    baton.finish(&build, "success");
    assert_eq!(baton.trace_text(build.id), log);
}

/// Long traces are masked and written a piece at a time.
#[test]
fn secrets_in_long_traces_are_masked_wherever_they_stand() {
    let baton = Baton::start();
    let ci_token = baton.project("demo");
    for shift in [0, 7, 21, 22] {
        let (runner, build, secrets) = with_secrets(&baton, &ci_token);
        let mut log = String::new();
        while log.len() < (5 << 20) / 2 {
            // A secret ends `shift` bytes after each 256 KiB.
            let bytes = (log.len() / (256 << 10) + 1) * (256 << 10) + shift - secrets[0].len();
            log.push_str(&"-".repeat(bytes - log.len()));
            log.push_str(&secrets[0]);
        }
        let expected = log.replace(&secrets[0], &"x".repeat(secrets[0].len()));
        let put = |state: &str, trace: &str| {
            let body = json!({"token": runner.token, "state": state, "trace": trace});
            baton.send(Request::put(&format!("builds/{}.json", build.id)).json(&body)).expect(200);
            assert!(baton.trace_text(build.id) == expected[..trace.len()], "{} bytes, {shift}", trace.len());
        };
        put("running", &log);
        put("running", &log[..100_000]);
        baton.append(&build, 100_000, &log[100_000..]);
        assert!(baton.trace_text(build.id) == expected, "after a long patch, {shift}");
        put("running", &log[..200_000]);
        put("running", &log);
        put("success", &log);
    }
}

/// What is known of a build's secrets is kept from patch to patch.
#[test]
fn a_ci_token_that_changes_while_a_build_runs_is_masked() {
    let baton = Baton::start();
    let old = baton.project("demo");
    let (_, build, _) = with_secrets(&baton, &old);
    let first = format!("{old}\n");
    baton.append(&build, 0, &first);
    let new = baton.operator().project_token("demo", true).unwrap();
    assert_ne!(new, old);
    baton.append(&build, first.len(), &format!("{new} {}", SECRETS[0]));
    baton.finish(&build, "success");
    let x = |secret: &str| "x".repeat(secret.len());
    assert_eq!(baton.trace_text(build.id), format!("{}\n{} {}", x(&old), x(&new), x(SECRETS[0])));
}

/// A canceled build's last trace is kept, and its token is as secret as before.
#[test]
fn the_last_trace_of_a_canceled_build_is_masked_too() {
    let baton = Baton::start();
    let ci_token = baton.project("demo");
    let (runner, build, secrets) = with_secrets(&baton, &ci_token);
    let log = format!("{} and {} and {}\n", secrets[0], build.token, ci_token);
    baton.append(&build, 0, &log[..10]);
    baton.cancel(build.id);
    let body = json!({"token": runner.token, "state": "failed", "trace": log});
    baton.send(Request::put(&format!("builds/{}.json", build.id)).json(&body)).expect_error(404);
    assert!(baton.trace(build.id) == masked(log.as_bytes(), &secrets));
}

/// Nothing readable is left of what was masked later, also in the file.
#[test]
fn a_secret_cut_by_patches_is_not_in_the_file_in_one_piece() {
    let baton = Baton::start();
    let ci_token = baton.project("demo");
    let (_, build, secrets) = with_secrets(&baton, &ci_token);
    let secret = secrets[0].as_bytes();
    baton.send(patch(&build, 0, &secret[..secret.len() - 1])).expect(202);
    baton.send(patch(&build, secret.len() - 1, &secret[secret.len() - 1..])).expect(202);
    baton.finish(&build, "success");
    let segments = "SELECT data FROM trace_segments";
    let database = baton.database();
    let mut statement = database.prepare(segments).unwrap();
    let rows = statement.query_map([], |row| row.get::<_, Vec<u8>>(0)).unwrap();
    for data in rows {
        assert!(!contains_any(&data.unwrap(), &secrets));
    }
    let carry: Vec<u8> = database.query_row("SELECT carry FROM traces", [], |row| row.get(0)).unwrap();
    assert!(carry.is_empty(), "nothing is held back once the build has ended");
}

#[test]
fn each_line_of_a_secret_and_the_password_of_a_repository_are_masked() {
    let baton = Baton::start();
    baton.project("demo");
    let runner = baton.runner();
    for end in ["\n", "\r\n"] {
        let secret = ["-----BEGIN KEY-----", "  first-line-of-it  ", "short", "last-line-of-it", ""].join(end);
        let url = "https://ann:pass%40word@git.test/demo.git";
        let variables = vec![Variable::secret("KEY", secret)];
        baton.queue(NewBuild { variables, repo_url: Some(url.to_owned()), ..new_build("demo") });
        let build = baton.claim(&runner);
        assert_eq!(build.json["repo_url"], url, "the runner clones with it");
        let log = format!("[first-line-of-it] last-line-of-it\nshort pass@word {url} pass%40word\n");
        baton.send(patch(&build, 0, log.as_bytes())).expect(202);
        let shown = String::from_utf8(baton.shown_trace(build.id)).unwrap();
        for readable in ["first-line", "last-line", "pass@word", "pass%40word", "ann:"] {
            assert!(!shown.contains(readable), "{readable}: {shown}");
        }
        assert!(shown.contains("short") && shown.contains("git.test/demo.git"), "{shown}");
    }
}

/// What is cut off would have shown whether it is one; nobody may read its begin.
#[test]
fn a_secret_in_which_the_log_is_cut_is_masked_as_far_as_it_is_kept() {
    let limits = Limits { trace_bytes_max: 40, ..Limits::default() };
    for kept in 1..SECRETS[0].len() {
        for whole in [false, true] {
            let baton = Baton::with_limits(limits.clone());
            baton.project("demo");
            let (_, build, _) = with_secrets(&baton, "none");
            let log = format!("{}{} and more\n", "-".repeat(40 - kept), SECRETS[0]);
            if whole {
                let report = json!({"token": build.token, "state": "success", "trace": log});
                baton.send(Request::put(&format!("builds/{}", build.id)).json(&report)).expect_error(403);
            } else {
                baton.send(patch(&build, 0, log.as_bytes())).expect_error(403);
            }
            let stored = baton.trace_text(build.id);
            let expected = format!("{}{}\nbaton: the log is cut here", "-".repeat(40 - kept), "x".repeat(kept));
            assert!(stored.starts_with(&expected), "{stored:?}");
        }
    }
}
