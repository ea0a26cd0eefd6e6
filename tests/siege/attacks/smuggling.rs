//! Requests hidden in the rest of another one. Whatever a request's body holds, and whether or not somebody reads it,
//! it is never taken for a request.

use crate::harness::Claimed;
use crate::harness::raw::{HEALTH, Raw};
use crate::harness::victim::Victim;
use std::time::Duration;

const KEPT_MIB: usize = 24;

/// Asks for something that does not exist: its answer is told apart from all others.
const MARKER: &[u8] = b"BREW /the/marker HTTP/1.1\r\nHost: baton.test\r\n\r\n";

/// Endpoints that read their body, that refuse it, and that never look at it, with tokens and without.
fn lines(build: &Claimed) -> Vec<String> {
    let token = format!("\r\nBUILD-TOKEN: {}", build.token);
    let job_token = format!("\r\nJOB-TOKEN: {}", build.token);
    let id = build.id;
    [
        ("GET /-/health", ""),
        ("POST /-/health", ""),
        ("HEAD /-/liveness", ""),
        ("POST /nowhere", ""),
        ("POST /ci/api/v1/builds/register", ""),
        ("GET /ci/api/v1/builds/register", ""),
        ("POST /ci/api/v1/runners/register", ""),
        (&format!("PATCH /ci/api/v1/builds/{id}/trace"), ""),
        (&format!("PATCH /ci/api/v1/builds/{id}/trace"), &token),
        (&format!("PATCH /ci/api/v1/builds/{id}/trace"), "\r\nContent-Range: x"),
        (&format!("PUT /ci/api/v1/builds/{id}"), "\r\nBUILD-TOKEN: wrong"),
        (&format!("POST /ci/api/v1/builds/{id}/artifacts"), ""),
        (&format!("POST /ci/api/v1/builds/{id}/artifacts"), &token),
        (&format!("POST /ci/api/v1/builds/{id}/artifacts"), "\r\nContent-Type: multipart/form-data; boundary=b"),
        (&format!("POST /ci/api/v1/builds/{id}/artifacts/authorize"), "\r\nBUILD-TOKEN: wrong"),
        (&format!("GET /ci/api/v1/builds/{id}/artifacts"), &token),
        (&format!("DELETE /ci/api/v1/builds/{id}/artifacts"), "\r\nBUILD-TOKEN: wrong"),
        ("POST /api/v4/jobs/request", ""),
        ("DELETE /api/v4/runners/managers", "\r\nRUNNER-TOKEN: wrong"),
        ("GET /api/v4/runners/router/discovery", ""),
        (&format!("PATCH /api/v4/jobs/{id}/trace"), "\r\nContent-Range: x"),
        (&format!("PATCH /api/v4/jobs/{id}/trace"), &job_token),
        (&format!("PUT /api/v4/jobs/{id}"), "\r\nJOB-TOKEN: wrong"),
        (&format!("POST /api/v4/jobs/{id}/artifacts"), &job_token),
        (&format!("GET /api/v4/jobs/{id}/artifacts"), "\r\nJOB-TOKEN: wrong"),
    ]
    .map(|(line, headers)| format!("{line} HTTP/1.1\r\nHost: baton.test{headers}"))
    .to_vec()
}

/// Ways to put a request into a body.
fn framed(hidden: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let with = |headers: &str, body: &[u8]| [b"\r\n", headers.as_bytes(), b"\r\n\r\n", body].concat();
    let padded = [hidden, &vec![b' '; 40_000 - hidden.len()]].concat();
    let length = |bytes: usize| format!("Content-Length: {bytes}");
    let chunk = [format!("{:x}\r\n", hidden.len()).as_bytes(), hidden, b"\r\n0\r\n\r\n"].concat();
    let in_size_line = [b"5;", hidden, b"\r\nhello\r\n0\r\n\r\n"].concat();
    let broken_chunk = [b"zz\r\n", hidden].concat();
    let trailer = [b"0\r\nX: ", hidden, b"\r\n"].concat();
    let continued = format!("{}\r\nExpect: 100-continue", length(hidden.len()));
    vec![
        ("a length", with(&length(hidden.len()), hidden)),
        ("a large length", with(&length(padded.len()), &padded)),
        ("a length that is not reached", with(&length(400_000), hidden)),
        ("a length beyond reason", with(&length(100_000_000_000), hidden)),
        ("an expectation", with(&continued, hidden)),
        ("an expectation and an encoding", with("Transfer-Encoding: chunked\r\nExpect: 100-continue", &chunk)),
        ("a chunk", with("Transfer-Encoding: chunked", &chunk)),
        ("a chunk's extension", with("Transfer-Encoding: chunked", &in_size_line)),
        ("a broken chunk", with("Transfer-Encoding: chunked", &broken_chunk)),
        ("a trailer", with("Transfer-Encoding: chunked", &trailer)),
        ("an unknown encoding", with("Transfer-Encoding: gzip", hidden)),
        ("a length that is none", with("Content-Length: abc", hidden)),
        ("a negative length", with("Content-Length: -5", hidden)),
        ("two lengths", with(&format!("Content-Length: 0\r\n{}", length(hidden.len())), hidden)),
        ("a length and an encoding", with(&format!("{}\r\nTransfer-Encoding: chunked", length(hidden.len())), hidden)),
        ("an encoding and no length", with("Transfer-Encoding: chunked\r\nContent-Length: 0", hidden)),
    ]
}

/// Every answer until the connection is closed or the marker's came.
fn answers(victim: &Victim, first: &[u8], is_head: bool) -> Vec<(u16, String)> {
    let mut raw = Raw::open(victim.address).unwrap();
    raw.send(first);
    raw.send(MARKER);
    raw.end_sending();
    if is_head {
        raw.has_no_bodies();
    }
    let mut answers = vec![];
    while let Ok(Some(answer)) = raw.answer() {
        answers.push((answer.status, answer.text()));
    }
    answers
}

#[test]
fn a_request_hidden_in_a_body_is_never_answered() {
    let victim = Victim::start();
    let (_, build) = victim.running();
    victim.withstands("hidden requests", KEPT_MIB, |_| {
        for line in lines(&build) {
            for (how, body) in framed(HEALTH) {
                let first = [line.as_bytes(), &body].concat();
                let answers = answers(&victim, &first, line.starts_with("HEAD"));
                // One for the request, one for the marker if the connection was kept.
                let hidden = answers.iter().skip(1).any(|(_, text)| text.contains("\"ok\""));
                assert!(!hidden && answers.len() <= 2, "{line:?}, {how}: {answers:?}");
                assert!(answers.get(1).is_none_or(|(status, _)| *status == 404), "{line:?}, {how}: {answers:?}");
            }
        }
    });
}

/// What ends a connection stands behind requests that are in order.
#[test]
fn a_request_of_another_version_behind_a_right_one_costs_no_thread() {
    let victim = Victim::start();
    let chunked = b"POST /nowhere HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    let mut large = b"POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 40000\r\n\r\n".to_vec();
    large.extend_from_slice(&[b'x'; 40_000]);
    let (most, end) = large.split_at(large.len() - 10);
    let other = b"GET / HTTP/2.0\r\nHost: x\r\n\r\n";
    victim.withstands("HTTP/2.0 behind right requests", KEPT_MIB, |_| {
        let mut all = vec![];
        for number in 0..150 {
            let mut raw = Raw::open(victim.address).unwrap();
            match number % 3 {
                0 => raw.send(&[chunked, &other[..]].concat()),
                1 => {
                    // The attack is in the pause: the head is judged before what is hidden has come.
                    raw.send(most);
                    std::thread::sleep(Duration::from_millis(20));
                    raw.send(&[end, other].concat())
                }
                _ => raw.send(HEALTH) && raw.send(other),
            };
            raw.expect_answer();
            raw.send(HEALTH);
            all.push(raw);
        }
        all
    });
}

/// A client that does not wait for answers gets all of them, or sees the connection closed and asks again.
#[test]
fn a_request_behind_a_chunked_one_is_answered_or_the_connection_closed() {
    let victim = Victim::start();
    for size in [5, 5000, 50_000] {
        let mut bytes = b"POST /nowhere HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
        bytes.extend_from_slice(format!("{size:x}\r\n{}\r\n0\r\n\r\n", "x".repeat(size)).as_bytes());
        bytes.extend_from_slice(HEALTH);
        let mut raw = Raw::open(victim.address).unwrap();
        raw.send(&bytes);
        raw.expect_answer().expect(404);
        raw.set_patience(Duration::from_secs(5));
        match raw.answer() {
            Ok(Some(answer)) => drop(answer.expect(200)),
            Ok(None) => {}
            Err(error) => assert!(crate::harness::raw::is_cut(&error), "neither, behind {size} bytes: {error}"),
        }
    }
}

#[test]
fn requests_that_are_sent_without_end_are_bounded() {
    let victim = Victim::start();
    let requests = HEALTH.repeat((8 << 20) / HEALTH.len());
    victim.withstands("8 MiB of pipelined requests, 20 times", 2 * KEPT_MIB, |_| {
        let flood = || {
            let mut raw = Raw::open(victim.address).unwrap();
            // What is not taken by then will be, when its answers are: that is the sender's problem.
            raw.set_send_patience(Duration::from_secs(3));
            let is_taken = raw.send(&requests);
            match raw.answer() {
                Ok(Some(answer)) => drop(answer.expect(200)),
                Ok(None) => assert!(!is_taken, "all was taken, and nothing answered"),
                Err(error) => assert!(crate::harness::raw::is_cut(&error) && !is_taken, "{error}"),
            }
            raw
        };
        std::thread::scope(|scope| {
            let all: Vec<_> = (0..20).map(|_| scope.spawn(flood)).collect();
            all.into_iter().map(|flood| flood.join().unwrap()).collect::<Vec<Raw>>()
        })
    });
}

/// `Expect: 100-continue`, where the body is wanted and where it is not, with a body that comes and one that does not.
#[test]
fn an_expectation_holds_nobody() {
    let victim = Victim::start();
    let (_, build) = victim.running();
    let head = |line: &str, more: &str, bytes: usize| {
        let line = format!("{line} HTTP/1.1\r\nHost: baton.test\r\nContent-Length: {bytes}\r\nExpect: 100-continue");
        format!("{line}{more}\r\n\r\n").into_bytes()
    };
    let token = format!("\r\nBUILD-TOKEN: {}\r\nContent-Range: 0-5", build.token);
    let trace = format!("PATCH /ci/api/v1/builds/{}/trace", build.id);
    victim.withstands("expectations", KEPT_MIB, |_| {
        for refused in [head("POST /nowhere", "", 5), head("POST /nowhere", "", 500_000), head("GET /-/health", "", 5)]
        {
            let mut raw = Raw::open(victim.address).unwrap();
            raw.send(&refused);
            let first = raw.one_answer().unwrap().expect("an answer");
            assert!(first.status >= 200, "a body that nobody reads is asked for: {first:?}");
            raw.expect_closed();
        }
        let waiting: Vec<Raw> = (0..100)
            .map(|_| {
                let mut raw = Raw::open(victim.address).unwrap();
                raw.send(&head("POST /ci/api/v1/builds/register", "", 5));
                assert_eq!(raw.one_answer().unwrap().expect("an answer").status, 100);
                raw
            })
            .collect();
        let mut raw = Raw::open(victim.address).unwrap();
        raw.send(&head(&trace, &token, 5));
        assert_eq!(raw.one_answer().unwrap().expect("an answer").status, 100);
        raw.send(b"hello");
        raw.expect_answer().expect(202);
        // One that does not wait.
        let mut raw = Raw::open(victim.address).unwrap();
        raw.send(&[&head("POST /ci/api/v1/builds/register", "", 5)[..], b"hello"].concat());
        raw.expect_answer().expect_error(403);
        waiting
    });
}
