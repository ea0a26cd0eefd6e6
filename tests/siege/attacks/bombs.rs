//! Bodies that would be large in memory though they are small on the wire. Nobody who sends them has a token.

use crate::harness::http::BOUNDARY;
use crate::harness::raw::Raw;
use crate::harness::victim::{Victim, raise_descriptors};
use crate::harness::{Request, Speech, upload};
use std::fs;
use std::time::{Duration, Instant};

/// What a body may have.
const MIB: usize = 1 << 20;
/// Of each kind, so many at a time; there are places for 500 in all.
const OF_EACH: usize = 30;
/// The target for a release build; a debug build's threads hold a little more.
const RESIDENT_MIB_MAX: usize = 200;

const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded";

/// Exactly a MiB that begins and ends like this.
fn filled(begin: &str, filling: &str, end: &str) -> Vec<u8> {
    let mut body = begin.as_bytes().to_vec();
    while body.len() + filling.len() + end.len() <= MIB {
        body.extend_from_slice(filling.as_bytes());
    }
    body.resize(MIB - end.len(), b' ');
    body.extend_from_slice(end.as_bytes());
    body
}

/// `filled` in which each filling has another number.
fn numbered(begin: &str, filling: impl Fn(usize) -> String, end: &str) -> Vec<u8> {
    let mut number = 0;
    let mut middle = String::new();
    while begin.len() + middle.len() + 40 + end.len() < MIB {
        middle += &filling(number);
        number += 1;
    }
    filled(begin, &middle, end)
}

/// The worst bodies: the kind, its type, and all of it.
fn bombs() -> Vec<(&'static str, String, Vec<u8>)> {
    let multipart = format!("multipart/form-data; boundary={BOUNDARY}");
    let part = format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"x\"\r\n\r\n");
    let parts_end = format!("\r\n--{BOUNDARY}--\r\n");
    let long_name =
        format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{}\"\r\n\r\n\r\n", "n".repeat(8000));
    let of = |kind, content_type: &str, body| (kind, content_type.to_owned(), body);
    vec![
        of("zeros", JSON, filled(r#"{"token":"x","a":[0"#, ",0", "]}")),
        of("80,000 keys", JSON, numbered(r#"{"token":"x""#, |n| format!(",\"{n:x}\":0"), "}")),
        of("nested lists", JSON, filled(r#"{"token":"x","a":"#, "[", "")),
        of("small objects", JSON, filled(r#"{"token":"x","a":[{}"#, ",{}", "]}")),
        of("a long text", JSON, filled(r#"{"token":"x","a":""#, "a", "\"}")),
        of("a long text that is known", JSON, filled(r#"{"token":""#, "a", "\"}")),
        of("a long key", JSON, filled(r#"{""#, "a", "\":0}")),
        of("escapes", JSON, filled(r#"{"token":"x","description":""#, "\\ud83e\\udd8a", "\"}")),
        of("a list of texts", JSON, filled(r#"{"token":"x","tag_list":["a""#, ",\"\"", "]}")),
        of("a trace without a token", JSON, filled(r#"{"trace":""#, "a", "\"}")),
        of("pairs", FORM, filled("a", "&a", "")),
        of("many names", FORM, numbered("token=x", |n| format!("&{n:x}=0"), "")),
        of("list items", FORM, filled("token=x", "&tag_list[]=a", "")),
        of("a long value", FORM, filled("token=", "%61", "")),
        of("many parts", &multipart, filled("", &format!("{part}\r\n"), &parts_end)),
        of("long names", &multipart, filled("", &long_name, &parts_end)),
        of("a long field", &multipart, filled(&part, "a", &parts_end)),
    ]
}

/// What the process that serves has had resident at most, in MiB.
fn peak_mib(pid: i32) -> usize {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("VmHWM");
    peak.trim().trim_end_matches(" kB").parse::<usize>().unwrap() / 1024
}

fn restarts(victim: &Victim) -> f64 {
    let text = Raw::open(victim.address).unwrap().ask(&Request::get("/-/metrics")).unwrap().expect(200).text();
    crate::harness::metrics::Metrics::parse(&text).value("baton_restarts_total", &[])
}

#[test]
fn bodies_that_grow_in_memory_do_not_when_strangers_send_them() {
    assert!(raise_descriptors(4096));
    let victim = Victim::start();
    let before = victim.vitals();
    let bombs = bombs();
    // What is the same in both protocols, each half of the time.
    for paths in [
        &["POST /ci/api/v1/builds/register", "POST /api/v4/jobs/request"][..],
        &["POST /ci/api/v1/runners/register", "POST /api/v4/runners", "POST /api/v4/runners/verify"],
        &["PUT /ci/api/v1/builds/1", "PUT /api/v4/jobs/1"],
        &["POST /ci/api/v1/builds/1/artifacts", "POST /api/v4/jobs/1/artifacts"],
    ] {
        // All are begun before the first is ended, so that whatever is held is held at the same time.
        let (started, mut under_way) = (Instant::now(), Vec::new());
        for (kind, content_type, body) in &bombs {
            for path in paths.iter().cycle().take(OF_EACH) {
                let head = format!(
                    "{path} HTTP/1.1\r\nHost: baton.test\r\nContent-Type: {content_type}\r\nContent-Length: {MIB}\r\n\r\n"
                );
                let mut raw = Raw::open(victim.address).unwrap();
                // It may be refused on the way.
                let _ = raw.send(head.as_bytes()) && raw.send(&body[..MIB - 1]);
                under_way.push((kind, path, raw, body[MIB - 1]));
            }
        }
        for (kind, path, mut raw, last) in under_way {
            raw.send(&[last]);
            if let Ok(Some(answer)) = raw.answer() {
                let is_refusal = (400..500).contains(&answer.status) || answer.status == 503;
                assert!(is_refusal, "{kind}, {path}: {}", answer.status);
            }
        }
        println!("{paths:?}: {:.1?}, {} MiB at most", started.elapsed(), peak_mib(before.pid));
    }
    let after = victim.vitals();
    assert_eq!((after.pid, restarts(&victim)), (before.pid, 0.0), "the server was restarted");
    assert!(peak_mib(before.pid) < RESIDENT_MIB_MAX, "{} MiB were resident", peak_mib(before.pid));
}

/// Whoever has a token may send a long log, but for a build that takes it, and only as many at a time as there is memory
/// for.
#[test]
fn long_logs_that_nobody_wants_are_refused_before_they_are_read() {
    Speech::BOTH.into_iter().for_each(refuses_long_logs_that_nobody_wants);
}

fn refuses_long_logs_that_nobody_wants(speech: Speech) {
    let victim = Victim::start();
    let (_, build) = victim.running();
    let put = |begin: String, content_type: &str, bytes: usize| {
        let head = format!(
            "PUT {} HTTP/1.1\r\nHost: baton.test\r\nContent-Type: {content_type}\r\nContent-Length: {bytes}\r\n\r\n",
            speech.path(build.id, "")
        );
        let mut raw = Raw::open(victim.address).unwrap();
        // Half a MiB of it, and no more.
        let _ = raw.send(head.as_bytes()) && raw.send(begin.as_bytes()) && raw.send(&vec![b'a'; MIB / 2]);
        raw
    };
    let token = &build.token;
    let begins = |state: &str| {
        let field = |name: &str| format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n");
        [
            (format!("{{\"token\":\"{token}\",\"state\":\"{state}\",\"trace\":\""), JSON.to_owned()),
            (format!("token={token}&state={state}&trace="), FORM.to_owned()),
            (
                format!("{}{token}\r\n{}{state}\r\n{}", field("token"), field("state"), field("trace")),
                format!("multipart/form-data; boundary={BOUNDARY}"),
            ),
        ]
    };
    crate::harness::http::send(victim.address, &upload(&build, "a.zip", b"x")).expect(201);
    let path = speech.path(build.id, "");
    let end = Request::put(&path).form(&[("token", token), ("state", "success")]);
    crate::harness::http::send(victim.address, &end).expect(200);
    // It has ended otherwise than these say.
    for (begin, content_type) in begins("failed") {
        for bytes in [MIB * 3 / 4, 100 * MIB] {
            put(begin.clone(), &content_type, bytes).expect_answer().expect_error(speech.not_here());
        }
    }
    // The answer to the report may have been lost: then it is read to its end, and not held.
    let before = victim.vitals();
    let log = vec![b'a'; 60 * MIB];
    for (begin, content_type) in begins("success").into_iter().take(2) {
        let end = if content_type == JSON { "\"}" } else { "" };
        let body = [begin.as_bytes(), &log, end.as_bytes()].concat();
        let request = Request::put(&path).body(&content_type, body);
        crate::harness::http::send(victim.address, &request).expect(200);
    }
    assert!(peak_mib(before.pid) < before.memory_mib + 50, "{} MiB after {before:?}", peak_mib(before.pid));
}

/// Each is in memory once, as it was reserved; those beyond the budget are told to come again.
#[test]
fn long_logs_at_the_same_time_are_held_within_their_budget() {
    let victim = Victim::start();
    let (runner, build) = victim.running();
    let before = victim.vitals();
    let path = format!("builds/{}", build.id);
    let whole = Request::put(&path).query("token", &runner.token).body(FORM, filled("trace=", "a", "").repeat(24));
    crate::harness::http::send(victim.address, &whole).expect(200);
    // Beside the log itself, what storing it takes.
    let peak = peak_mib(before.pid);
    println!("a log of 24 MiB: {peak} MiB at most");
    assert!(peak < before.memory_mib + 58, "{peak} MiB after {before:?}");

    let bytes = 128 * MIB;
    let head = format!(
        "PUT /ci/api/v1/{path}?token={} HTTP/1.1\r\nHost: baton.test\r\nContent-Type: {FORM}\r\nContent-Length: {bytes}\r\n\r\n\
         state=running&trace=",
        runner.token
    );
    // Six at a time are more than the budget.
    let mut all: Vec<Raw> = (0..6).map(|_| Raw::open(victim.address).unwrap()).collect();
    let piece = vec![b'a'; MIB / 4];
    for raw in &mut all {
        let _ = raw.send(head.as_bytes()) && raw.send(&piece);
    }
    let deadline = Instant::now() + Duration::from_secs(20);
    let mut refused = Vec::new();
    while refused.len() < 2 {
        assert!(Instant::now() < deadline, "all are held");
        let answered = all.iter_mut().position(|raw| raw.has_answer(Duration::from_millis(20)));
        refused.extend(answered.map(|which| all.remove(which).expect_answer().status));
    }
    assert_eq!(refused, [503, 503]);
    assert!(!all.iter_mut().any(|raw| raw.has_answer(Duration::from_millis(20))), "four are within the budget");
    assert_eq!((victim.vitals().pid, restarts(&victim)), (before.pid, 0.0), "the server was restarted");
}
