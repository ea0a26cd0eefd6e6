//! What befalls one connection is no concern of the others, and no request is lost in between two.

use crate::harness::random::Random;
use crate::harness::raw::{HEALTH, Raw, ask, crowd};
use crate::harness::victim::Victim;
use crate::harness::{Request, Speech};
use std::time::{Duration, Instant};

const KEPT_MIB: usize = 24;

/// Refused before it is a request.
const REFUSED: [&[u8]; 3] = [
    b"GET /-/health HTTP/2.0\r\nHost: baton.test\r\n\r\n",
    b"GET /-/health HTTP/1.1\r\nHost : baton.test\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01",
];

/// Each is answered and closed where it was accepted; none of that may be taken for a want of descriptors.
#[test]
fn first_packets_that_are_refused_do_not_hold_up_accepting() {
    let victim = Victim::start();
    victim.withstands("2,000 refused first packets", KEPT_MIB, |_| {
        for round in 0..5 {
            let refused = crowd(victim.address, 400, REFUSED[round % REFUSED.len()]);
            ask(victim.address, HEALTH).0.expect(200);
            for mut raw in refused {
                assert!([400, 505].contains(&raw.expect_answer().status));
            }
        }
    });
    let log = victim.log();
    assert!(!log.contains("cannot accept"), "{log}");
    // Told as refusals are: so many of them a second, and a count of the rest.
    let told = log.lines().filter(|line| line.contains("400") || line.contains("505")).count();
    assert!(told < 1000, "{told} lines for 2,000 refusals");
}

/// Spins: sleeping takes longer than what is looked for.
fn pause(time: Duration) {
    let until = Instant::now() + time;
    while Instant::now() < until {
        std::hint::spin_loop();
    }
}

/// The moment between the look at a request and the reading of it belongs to whoever sends right then.
#[test]
fn what_comes_right_behind_a_request_is_answered_whenever_it_comes() {
    let victim = Victim::start();
    let mut random = Random::new();
    let [old, today] = Speech::BOTH.map(|speech| Request::post(speech.asking()).form(&[("token", "x")]).bytes());
    let nowhere = &b"DELETE /nowhere HTTP/1.1\r\nHost: x\r\n\r\n"[..];
    let cases = [(&old[..], 403), (&today, 403), (HEALTH, 200), (nowhere, 404)];
    victim.withstands("2,000 requests right behind others", KEPT_MIB, |_| {
        for number in 0..2000 {
            let mut raw = Raw::open(victim.address).unwrap();
            for _ in 0..3 {
                let (first, first_status) = random.pick(&cases);
                let (second, second_status) = random.pick(&cases);
                raw.send(first);
                pause(Duration::from_micros(random.next() % 60));
                raw.send(second);
                assert_eq!(raw.expect_answer().status, first_status, "pair {number}");
                assert_eq!(raw.expect_answer().status, second_status, "pair {number}");
            }
            raw.send(if number % 2 == 0 { &old } else { &today });
            pause(Duration::from_micros(random.next() % 60));
            raw.send(b"GET / HTTP/2.0\r\n\r\n");
            assert_eq!(raw.expect_answer().status, 403);
            assert_eq!(raw.expect_answer().status, 505);
            raw.expect_closed();
        }
    });
}

/// The end of a client's side may be heard of in the same moment as its last request, and is not told twice.
#[test]
fn a_connection_whose_client_ends_with_its_request_is_closed_with_the_answer() {
    let victim = Victim::start();
    let long = Speech::BOTH
        .map(|speech| Request::post(speech.asking()).header("Expect", "100-continue").form(&[("token", "x")]).bytes());
    victim.withstands("300 requests with an end", KEPT_MIB, |_| {
        for number in 0..300 {
            let mut raw = Raw::open(victim.address).unwrap();
            if number % 3 == 0 {
                // On a connection that is heard already, too.
                raw.send(HEALTH);
                raw.expect_answer().expect(200);
            }
            raw.send(if number % 5 == 0 { &long[number % 2] } else { HEALTH });
            raw.end_sending();
            raw.expect_answer();
            raw.expect_closed();
        }
    });
}

/// Trailers say nothing of use here, a target may be a whole URL, and the name of an encoding knows no case.
#[test]
fn unusual_but_right_requests_are_served_on_a_connection_that_goes_on() {
    let victim = Victim::start();
    let mut raw = Raw::open(victim.address).unwrap();
    for speech in Speech::BOTH {
        let host = "HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded";
        let post = format!("POST {} {host}", speech.asking());
        for (request, status) in [
            (format!("{post}\r\nTransfer-Encoding: chunked\r\n\r\n7\r\ntoken=x\r\n0\r\nA: b\r\nC: d\r\n\r\n"), 403),
            (format!("{post}\r\nTransfer-Encoding: Chunked\r\n\r\n7;a=\"b\"\r\ntoken=x\r\n0\r\n\r\n"), 403),
            ("GET http://x:1/-/health HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(), 200),
            ("GET /-/health HTTP/1.1\r\nHost: x\r\nA.b: c\td\r\n\r\n".to_owned(), 200),
            ("\r\nGET /-/health HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(), 200),
            (format!("{post}\r\nContent-Length: 40000\r\n\r\ntoken=x&a={}", "b".repeat(40_000 - 10)), 403),
            ("GET /-/health HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(), 200),
        ] {
            raw.send(request.as_bytes());
            assert_eq!(raw.expect_answer().status, status, "{:?}", &request[..request.len().min(200)]);
        }
    }
}
