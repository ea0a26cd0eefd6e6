//! Heads that no honest client sends.

use crate::harness::Speech;
use crate::harness::raw::{HEALTH, PATIENCE, Raw, ask, expect_refused};
use crate::harness::victim::Victim;
use std::time::{Duration, Instant};

/// What an allocator may keep, in MiB.
const KEPT_MIB: usize = 24;

fn head(rest: &str) -> Vec<u8> {
    format!("GET /-/health HTTP/1.1\r\nHost: baton.test\r\n{rest}\r\n\r\n").into_bytes()
}

#[test]
fn a_thousand_requests_of_another_version_cost_nothing() {
    let victim = Victim::start();
    victim.withstands("1,000 times HTTP/2.0", KEPT_MIB, |_| {
        for number in 0..1000 {
            let version = ["2.0", "3.0", "1.2", "9.9"][number % 4];
            let request = format!("GET / HTTP/{version}\r\nHost: baton.test\r\n\r\n");
            ask(victim.address, request.as_bytes()).0.expect_error(505);
        }
        for preface in ["PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "GET /\r\n\r\n", "GET / HTTP/11\r\n\r\n"] {
            let (answer, mut raw) = ask(victim.address, preface.as_bytes());
            assert!([400, 505].contains(&answer.status), "{preface:?} {answer:?}");
            raw.expect_closed();
        }
    });
}

/// The rules of RFC 9112, 6.3, and none of the ways around them.
#[test]
fn lengths_and_encodings_that_leave_a_doubt_are_refused() {
    let victim = Victim::start();
    let cases = [
        ("Content-Length: abc", 400),
        ("Content-Length: -5", 400),
        ("Content-Length: +5", 400),
        ("Content-Length: 0x10", 400),
        ("Content-Length: 5 5", 400),
        ("Content-Length: 5, 5", 400),
        ("Content-Length: 5;", 400),
        ("Content-Length:", 400),
        ("Content-Length: 5\r\nContent-Length: 5", 400),
        ("Content-Length: 5\r\ncontent-length: 50", 400),
        ("Content-Length: 5\r\nTransfer-Encoding: chunked", 400),
        ("Transfer-Encoding: chunked\r\nContent-Length: 5", 400),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", 400),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", 400),
        ("Transfer-Encoding: chunked, gzip", 400),
        ("Transfer-Encoding: gzip, chunked", 400),
        ("Transfer-Encoding: gzip", 400),
        ("Transfer-Encoding: identity", 400),
        ("Transfer-Encoding: xchunked", 400),
        ("Transfer-Encoding: \"chunked\"", 400),
        ("Transfer-Encoding:", 400),
        ("Transfer-Encoding : chunked", 400),
        ("Transfer-Encoding: chunked\r\n ,gzip", 400),
        ("Content-Length: 1000000000000000000000000000000", 413),
        ("Content-Length: 18446744073709551616", 413),
    ];
    victim.withstands("25 contradictory lengths, 10 times", KEPT_MIB, |_| {
        // An odd number of cases, so that each comes in either protocol.
        for (number, (headers, status)) in cases.iter().cycle().take(250).enumerate() {
            let line = format!("POST {} HTTP/1.1\r\nHost: baton.test", Speech::of(number).asking());
            expect_refused(victim.address, format!("{line}\r\n{headers}\r\n\r\n").as_bytes(), *status);
        }
    });
}

/// Nobody can send so much, and nobody prepares for it: not on an endpoint that reads, not on one that does not.
#[test]
fn declared_lengths_beyond_reason_cost_nothing() {
    let victim = Victim::start();
    let (_, build) = victim.running();
    victim.withstands("huge lengths", KEPT_MIB, |_| {
        for length in ["100000000000", "9223372036854775807", "18446744073709551615"] {
            let with = |line: &str, headers: &str| {
                let head = format!("{line} HTTP/1.1\r\nHost: baton.test\r\nContent-Length: {length}\r\n{headers}\r\n");
                ask(victim.address, head.as_bytes())
            };
            let expect = |line: &str, headers: &str, status| {
                let (answer, mut raw) = with(line, headers);
                assert_eq!(answer.status, status, "{line} of {length} bytes: {}", answer.text());
                raw.expect_closed();
            };
            expect("GET /-/health", "", 200);
            expect("POST /nowhere", "", 404);
            for speech in Speech::BOTH {
                let token = format!("{}: {}\r\n", speech.header(), build.token);
                let form = format!("{token}Content-Type: multipart/form-data; boundary=b\r\n");
                let upload = format!("POST {}", speech.path(build.id, "artifacts"));
                expect(&format!("POST {}", speech.asking()), "", 413);
                expect(&format!("PUT {}", speech.path(build.id, "")), &token, 413);
                expect(&format!("PATCH {}", speech.path(build.id, "trace")), &token, 413);
                expect(&upload, &token, 413);
                expect(&upload, &form, 413);
            }
        }
    });
}

/// Characters that let one header become two, or one request become two, somewhere.
#[test]
fn heads_with_characters_out_of_place_are_refused() {
    let victim = Victim::start();
    let request = |text: &str| format!("{text} HTTP/1.1\r\nHost: baton.test\r\n\r\n").into_bytes();
    let mut cases: Vec<Vec<u8>> =
        ["X: a\rb", "X: a\r\rb", "X: a\0b", "X: a\u{1}b", "X\0: a", "X : a", "X: a\r\n b", ": a", "X"]
            .map(head)
            .to_vec();
    cases.extend([
        head("X: a\nY: b"),
        head("X: a\n"),
        head("\n"),
        b"GET /-/health HTTP/1.1\nHost: baton.test\n\n".to_vec(),
    ]);
    cases.extend(
        ["GET /\0", "GET /a b", "GET  /", "GET\t/", "G\0T /", "GET x", "GET x://y/", "GET *", "\u{7f} /"].map(request),
    );
    cases.push(b"GET / HTTP/1.1\r\nX: \xff\xfe\r\n\r\n".to_vec());
    victim.withstands("characters out of place, 5 times", KEPT_MIB, |_| {
        for bytes in cases.iter().cycle().take(cases.len() * 5) {
            let (answer, mut raw) = ask(victim.address, bytes);
            // What stands after a blank in a target is taken for the version.
            assert!([400, 505].contains(&answer.status), "{:?}: {}", String::from_utf8_lossy(bytes), answer.status);
            assert!(
                answer.header("Content-Type") == Some("application/json"),
                "{:?} is answered by {answer:?}",
                String::from_utf8_lossy(bytes)
            );
            raw.expect_closed();
        }
    });
}

/// What the gate lets pass must be served.
#[test]
fn unusual_but_right_heads_are_served_or_refused_as_everything_is() {
    let victim = Victim::start();
    let cases = [
        head("X.Dotted: a"),
        head("X-Tab: a\tb"),
        head("!#$%&'*+-.^_`|~9: a"),
        head("X-Umlaut: \u{e4}"),
        head("X-Empty:"),
        [b"\r\n", HEALTH].concat(),
        "GET /-/health?\u{e4} HTTP/1.1\r\nHost: baton.test\r\n\r\n".as_bytes().to_vec(),
    ];
    for bytes in cases {
        let (answer, _) = ask(victim.address, &bytes);
        let shown = String::from_utf8_lossy(&bytes);
        assert!([200, 400].contains(&answer.status), "{shown:?} {answer:?}");
        assert_eq!(answer.header("Content-Type"), Some("application/json"), "{shown:?} is answered by {answer:?}");
    }
}

/// A lone LF as a head's last byte: whoever waits for CR LF waits for ever.
#[test]
fn heads_that_end_with_a_lone_line_feed_hold_nobody() {
    let victim = Victim::start();
    victim.withstands("1,500 heads that end with LF", KEPT_MIB, |_| {
        crate::harness::raw::crowd(victim.address, 1500, b"GET /-/health HTTP/1.1\r\nHost: baton.test\r\n\n")
    });
}

/// Sends `piece` until the server cuts the connection; returns how much that was. `None`: it goes on without end.
fn flood(raw: &mut Raw, piece: &[u8]) -> Option<usize> {
    let (started, mut sent) = (Instant::now(), 0);
    while raw.send(piece) {
        sent += piece.len();
        if started.elapsed() > PATIENCE {
            return None;
        }
    }
    Some(sent)
}

/// What comes after the refusal is read and dropped for a while, so that the refusal arrives: gigabytes, if the client
/// is quick. None of them may be held.
#[test]
fn heads_without_end_are_cut() {
    let victim = Victim::start();
    let begin = b"GET / HTTP/1.1\r\nHost: baton.test\r\n";
    victim.withstands("heads without end", KEPT_MIB, |healthy| {
        let before = victim.vitals().memory_mib;
        let (line, lines) = (vec![b'a'; 1 << 16], b"X-Many: yes\r\n".repeat(5000));
        for (begin, piece) in [(&b"GET /"[..], &line), (b"", &line), (begin, &line), (begin, &lines)] {
            let mut raw = Raw::open(victim.address).unwrap();
            raw.send(begin);
            let started = Instant::now();
            let sent = flood(&mut raw, piece).expect("an end");
            println!("cut after {} MiB, {:.1?}", sent >> 20, started.elapsed());
            assert!(victim.vitals().memory_mib < before + KEPT_MIB, "{:?}", victim.vitals());
            healthy.work(5);
        }
    });
}

#[test]
fn heads_over_the_limit_are_told_so() {
    let victim = Victim::start();
    let long = "a".repeat(20 << 10);
    expect_refused(victim.address, format!("GET /{long} HTTP/1.1\r\nHost: baton.test\r\n\r\n").as_bytes(), 414);
    expect_refused(victim.address, &head(&format!("X-Long: {long}")), 431);
    expect_refused(victim.address, &head(&"X: y\r\n".repeat(100)), 431);
    expect_refused(victim.address, &head(&format!("{long}: x")), 431);
}

/// What a browser says to an address that it takes for HTTPS.
#[test]
fn other_protocols_are_refused() {
    let victim = Victim::start();
    let hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\x00\x01\x02\x03\x04\x05\x06\x07";
    victim.withstands("other protocols", KEPT_MIB, |_| {
        for bytes in
            [&hello[..], &hello[..7], b"SSH-2.0-OpenSSH_9.6\r\n", b"\0\0\0\x17", b"EHLO x\r\n", b"*1\r\n$4\r\nPING\r\n"]
        {
            for _ in 0..50 {
                expect_refused(victim.address, bytes, 400);
            }
        }
    });
}

/// What is made of a path grows with its bytes, whatever stands in it: compared with a path of as many bytes.
#[test]
fn a_path_of_thousands_of_segments_costs_no_more_than_a_long_one() {
    let victim = Victim::start();
    let fastest = |path: &str| {
        let request = format!("POST {path} HTTP/1.1\r\nHost: baton.test\r\nContent-Length: 0\r\n\r\n");
        let once = |_| {
            let began = Instant::now();
            ask(victim.address, request.as_bytes()).0.expect_error(404);
            began.elapsed()
        };
        (0..5).map(once).min().unwrap()
    };
    let (one, many) = (fastest(&format!("/{}", "a".repeat(15_999))), fastest(&"/a".repeat(8000)));
    println!("one segment {one:?}, 8,000 segments {many:?}");
    assert!(many < one * 200 + Duration::from_millis(100), "{many:?}, where one segment takes {one:?}");
}
