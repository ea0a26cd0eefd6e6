//! TLS: what holds over plain connections holds here too, and a client that misuses TLS harms nobody.

pub mod client;
mod operator;

use crate::harness::hold::{HOUR, poll, value_of, wait_until};
use crate::harness::raw::is_cut;
use crate::harness::*;
use baton::domain::build::Status;
use baton::limits::Limits;
use baton::server::Config;
use client::*;
use serde_json::json;
use std::io::{ErrorKind, Read, Write};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A server with TLS, and who trusts it.
struct Secure {
    baton: Baton,
    trust: Trust,
    pair: Pair,
    _dir: TempDir,
}

impl Secure {
    fn start() -> Secure {
        Secure::with_limits(Limits::default())
    }

    fn with_limits(limits: Limits) -> Secure {
        let (dir, data) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let pair = Pair::new(dir.path());
        let config = Config { limits, tls: Some(pair.files.clone()), ..Config::local(data.path()) };
        let baton = Baton::start_with(data, config);
        baton.project("demo");
        Secure { baton, trust: Trust::in_pair(&pair), pair, _dir: dir }
    }

    fn send(&self, request: &Request) -> Response {
        self.trust.send(self.baton.address(), request)
    }

    fn open(&self) -> Stream {
        self.trust.open(self.baton.address())
    }

    #[track_caller]
    fn is_well(&self) {
        self.send(&Request::get("/-/health")).expect(200);
    }

    fn running(&self) -> Claimed {
        self.baton.build();
        let runner = self.baton.runner();
        claimed(&self.send(&ask(&runner.token)).expect(201))
    }
}

pub fn noise(bytes: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..bytes).map(|_| next()).collect()
}

#[test]
fn a_build_lives_its_life_over_both_versions_of_tls() {
    let secure = Secure::start();
    for version in rustls::ALL_VERSIONS {
        let trust = Trust::with_versions(&secure.pair, &[version]);
        let mut connection = trust.connect(secure.baton.address());
        // All of it goes over one connection, as long as the server keeps that.
        let mut send = |request: Request| {
            connection.send_raw(&request.bytes());
            let response = connection.read(request.method());
            if response.header("Connection") == Some("close") {
                connection = trust.connect(secure.baton.address());
            }
            response
        };
        let token = secure.baton.operator().registration_token(false).unwrap();
        let runner = send(Request::post("runners/register").json(&json!({"token": token}))).expect(201).json();
        let id = secure.baton.build();
        let build = claimed(&send(ask(runner["token"].as_str().unwrap())).expect(201));
        assert_eq!(build.id, id);
        send(patch(&build, 0, b"hello ")).expect(202);
        send(patch(&build, 6, b"world\n")).expect(202);
        let archive = noise(300_000);
        send(upload(&build, "a.zip", &archive)).expect(201);
        let body = json!({"token": build.token, "state": "success"});
        send(Request::put(&format!("builds/{id}")).json(&body)).expect(200);
        assert_eq!(send(download(&build)).expect(200).body, archive);
        assert_eq!(secure.baton.trace_text(id), "hello world\n");
        assert_eq!(secure.baton.status(id), Status::Success);
    }
}

#[test]
fn long_bodies_come_and_go_to_the_byte() {
    let secure = Secure::start();
    let archive = noise(40 << 20);
    for chunk_bytes in [None, Some(100_000)] {
        let build = secure.running();
        let request = upload(&build, "a.zip", &archive);
        let request = match chunk_bytes {
            Some(bytes) => request.chunked(bytes),
            None => request,
        };
        secure.send(&request).expect(201);
        assert!(secure.send(&download(&build)).expect(200).body == archive);
    }
}

#[test]
fn plain_text_is_ended_and_harms_nobody() {
    let secure = Secure::start();
    for bytes in [&b"GET /-/health HTTP/1.1\r\nHost: x\r\n\r\n"[..], &[0; 100_000], b"\x16\x03\x01\xff\xff"] {
        let mut stream = http::connect(secure.baton.address());
        // It may be cut off in the middle.
        let _ = stream.write_all(bytes);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        assert!(answer.len() < 16 && !answer.starts_with(b"HTTP"), "{answer:?}");
        secure.is_well();
    }
}

#[test]
fn only_http_1_1_is_offered() {
    let secure = Secure::start();
    let address = secure.baton.address();
    let of = |name: &[u8]| secure.trust.with_protocol(name);
    of(b"http/1.1").send(address, &Request::get("/-/health")).expect(200);
    assert!(of(b"h2").shakes_hands(address).is_err());
}

#[test]
fn a_stranger_to_the_certificate_is_told_nothing() {
    let secure = Secure::start();
    let other = tempfile::tempdir().unwrap();
    assert!(Trust::in_pair(&Pair::new(other.path())).shakes_hands(secure.baton.address()).is_err());
    secure.is_well();
}

/// The begin of a handshake, which goes no further.
fn hello(secure: &Secure) -> Vec<u8> {
    let mut bytes = Vec::new();
    secure.open().conn.write_tls(&mut bytes).unwrap();
    bytes
}

#[test]
fn stalled_handshakes_hold_nobody_up_and_have_an_end() {
    // More of them than connections that are allowed: those who have waited longest make room.
    for connections_max in [10_000, 8] {
        let handshake_time_max = if connections_max == 8 { HOUR } else { Duration::from_secs(2) };
        let secure = Secure::with_limits(Limits { connections_max, handshake_time_max, ..Limits::default() });
        let hello = hello(&secure);
        let mut stalled: Vec<_> = (0..200)
            .map(|number| {
                let mut stream = http::connect(secure.baton.address());
                // Nothing, a part, all of the first message.
                let bytes = [0, 5, hello.len() / 2, hello.len()][number % 4];
                stream.write_all(&hello[..bytes]).unwrap();
                stream
            })
            .collect();
        for _ in 0..20 {
            secure.is_well();
        }
        if handshake_time_max < HOUR {
            for stream in &mut stalled {
                let mut all = Vec::new();
                match stream.read_to_end(&mut all) {
                    Ok(_) => {}
                    Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
                }
            }
        }
    }
}

#[test]
fn at_the_limit_of_connections_those_that_are_idle_make_room() {
    let secure = Secure::with_limits(Limits { connections_max: 8, ..Limits::default() });
    let mut idle: Vec<_> = (0..8).map(|_| secure.trust.connect(secure.baton.address())).collect();
    for connection in &mut idle {
        connection.send_raw(&Request::get("/-/health").bytes());
        connection.read("GET").expect(200);
    }
    for _ in 0..20 {
        secure.is_well();
    }
    // The one that has waited longest has gone, in order.
    assert_eq!(idle[0].reader().read(&mut [0]).unwrap(), 0);
}

#[test]
fn an_endless_handshake_is_cut() {
    let secure = Secure::with_limits(Limits { handshake_time_max: HOUR, ..Limits::default() });
    let mut stream = http::connect(secure.baton.address());
    // A first message of almost 64 KiB, in records of 4; its end never comes.
    let mut message = vec![1, 0, 0xff, 0xff];
    message.resize(60_000, 0);
    for piece in message.chunks(4096) {
        let [high, low] = u16::try_from(piece.len()).unwrap().to_be_bytes();
        // It may be cut by now.
        let _ = stream.write_all(&[&[22, 3, 1, high, low], piece].concat());
    }
    match stream.read(&mut [0]) {
        Ok(count) => assert_eq!(count, 0),
        Err(error) => assert!(is_cut(&error), "{error}"),
    }
    secure.is_well();
}

#[test]
fn a_client_that_stops_reading_is_let_go_and_its_download_is_not_ended_in_order() {
    // So long the upload before it must not stall, on a busy machine.
    let stall_time_max = Duration::from_secs(3);
    let secure = Secure::with_limits(Limits { stall_time_max, ..Limits::default() });
    let build = secure.running();
    let archive = noise(40 << 20);
    secure.send(&upload(&build, "a.zip", &archive)).expect(201);
    let mut stream = secure.open();
    say(&mut stream, &download(&build).bytes());
    assert!(stream.read(&mut [0; 1000]).unwrap() > 0);
    // Others are served meanwhile.
    let until = Instant::now() + 5 * stall_time_max;
    while Instant::now() < until {
        secure.is_well();
    }
    let (bytes, in_order) = rest(&mut stream);
    assert!(bytes.len() < archive.len() && !in_order, "{} bytes, {in_order}", bytes.len());
}

/// A form ends well wherever it is cut, so that only its framing tells that something is missing.
#[test]
fn a_body_that_is_cut_off_below_tls_is_not_taken_for_a_whole_one() {
    let secure = Secure::start();
    let (runner, id) = (secure.baton.runner(), secure.baton.build());
    let form = format!("token={}", runner.token);
    let body = format!("{form}&description=x");
    let kind = "application/x-www-form-urlencoded";
    let request = Request::post("builds/register").body(kind, body.as_bytes());
    // The first chunk is all of the form that matters.
    let chunked = request.clone().chunked(form.len());
    for request in [request.bytes(), chunked.bytes()] {
        let end = memchr::memmem::find(&request, form.as_bytes()).unwrap() + form.len();
        for end in [end, end + b"\r\n".len()] {
            let mut stream = secure.open();
            say(&mut stream, &request[..end]);
            cut(&mut stream);
            let (answer, _) = rest(&mut stream);
            assert!(!answer.starts_with(b"HTTP/1.1 2"), "{}", String::from_utf8_lossy(&answer));
        }
    }
    // An end of what it sends is none, either, as long as something is missing.
    let mut stream = secure.open();
    let bytes = chunked.bytes();
    say(&mut stream, &bytes[..bytes.len() - b"0\r\n\r\n".len()]);
    end_in_order(&mut stream);
    let (answer, _) = rest(&mut stream);
    assert!(answer.starts_with(b"HTTP/1.1 4"), "{}", String::from_utf8_lossy(&answer));
    // What was cut is dealt with before those that come later.
    secure.is_well();
    assert_eq!(secure.baton.status(id), Status::Pending);
    secure.send(&chunked).expect(201);
    assert_eq!(secure.baton.status(id), Status::Running);
}

#[test]
fn an_upload_that_is_cut_off_below_tls_leaves_nothing() {
    let secure = Secure::start();
    let build = secure.running();
    let request = upload(&build, "a.zip", &noise(500_000));
    for bytes in [request.bytes(), request.chunked(100_000).bytes()] {
        let mut stream = secure.open();
        say(&mut stream, &bytes[..300_000]);
        wait_until("it is being written", || !secure.baton.files().is_empty());
        cut(&mut stream);
        let (answer, _) = rest(&mut stream);
        assert!(!answer.starts_with(b"HTTP/1.1 2"), "{}", String::from_utf8_lossy(&answer));
        wait_until("nothing is left", || secure.baton.files().is_empty());
    }
    secure.send(&download(&build)).expect(404);
}

#[test]
fn a_client_that_has_said_all_is_answered_and_the_answer_ends_in_order() {
    let secure = Secure::start();
    let mut stream = secure.open();
    say(&mut stream, &Request::get("/-/health").header("Connection", "close").bytes());
    end_in_order(&mut stream);
    let (answer, in_order) = rest(&mut stream);
    assert!(answer.starts_with(b"HTTP/1.1 200 ") && in_order, "{}", String::from_utf8_lossy(&answer));
}

#[test]
fn a_refusal_in_the_middle_of_a_body_reaches_the_client() {
    let secure = Secure::with_limits(Limits { artifacts_bytes_max: 1 << 20, ..Limits::default() });
    let build = secure.running();
    let archive = noise(8 << 20);
    let bytes = upload(&build, "a.zip", &archive).bytes();
    let mut connection = secure.trust.connect(secure.baton.address());
    connection.send_raw(&bytes);
    connection.read("POST").expect_error(413);
}

#[test]
fn a_held_runner_gets_its_build_and_one_that_leaves_is_let_go() {
    let secure = Secure::with_limits(Limits { hold_time_max: HOUR, ..Limits::default() });
    let runner = secure.baton.runner();
    let value = value_of(&secure.send(&ask(&runner.token)).expect(204));
    let hold = || {
        let mut connection = secure.trust.connect(secure.baton.address());
        connection.send_raw(&poll(&runner.token, &value).bytes());
        wait_until("it is held", || secure.baton.operator().count_waiting() == 1);
        connection
    };
    type Leave = fn(&mut Stream);
    for leave in [cut as Leave, end_in_order, |stream| drop(stream.sock.shutdown(std::net::Shutdown::Both))] {
        let mut connection = hold();
        leave(connection.reader().get_mut());
        wait_until("it is let go", || secure.baton.operator().count_waiting() == 0);
    }
    let mut connection = hold();
    let id = secure.baton.build();
    assert_eq!(claimed(&connection.read("POST").expect(201)).id, id);
}

#[test]
fn a_server_that_stops_answers_those_that_it_holds() {
    let secure = Secure::with_limits(Limits { hold_time_max: HOUR, ..Limits::default() });
    let runner = secure.baton.runner();
    let value = value_of(&secure.send(&ask(&runner.token)).expect(204));
    let held: Vec<_> = (0..10)
        .map(|_| {
            let mut stream = secure.open();
            say(&mut stream, &poll(&runner.token, &value).bytes());
            stream
        })
        .collect();
    wait_until("all are held", || secure.baton.operator().count_waiting() == 10);
    drop(secure.baton.stop());
    for mut stream in held {
        let (answer, in_order) = rest(&mut stream);
        assert!(answer.starts_with(b"HTTP/1.1 204 ") && in_order, "{}", String::from_utf8_lossy(&answer));
    }
}
