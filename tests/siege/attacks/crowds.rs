//! Many connections at once.

use crate::harness::http::send;
use crate::harness::raw::{HEALTH, Raw, ask, crowd};
use crate::harness::victim::{Victim, raise_descriptors};
use crate::harness::{Baton, Claimed, Part, Request, Speech, download, upload};
use baton::domain::build::BuildId;
use baton::limits::Limits;
use std::net::SocketAddr;
use std::time::Duration;

/// What an allocator may keep of a crowd's buffers and stacks, in MiB.
const KEPT_MIB: usize = 48;
/// The same of as many transfers as there may be, of 256 KiB each.
const KEPT_OF_TRANSFERS_MIB: usize = 128;

const HALF_A_HEAD: &[u8] = b"POST /ci/api/v1/builds/register.json HTTP/1.1\r\nHost: baton.test\r\nX-Half: ";

/// The begin of a request whose body does not come: one that fits the kernel's buffer, a large one, a chunked one; in
/// either protocol.
fn stalled(which: usize) -> Vec<u8> {
    let framing = match which % 3 {
        0 => "Content-Length: 100\r\n\r\n{\"tok",
        1 => "Content-Length: 1000000\r\n\r\n{\"tok",
        _ => "Transfer-Encoding: chunked\r\n\r\n100\r\n{\"tok",
    };
    let lines = ["POST /ci/api/v1/builds/register.json HTTP/1.1", "POST /api/v4/jobs/request HTTP/1.1"];
    let line = lines[which / 3 % 2];
    format!("{line}\r\nHost: baton.test\r\nContent-Type: application/json\r\n{framing}").into_bytes()
}

fn stalled_crowd(address: SocketAddr) -> Vec<Raw> {
    (0..500).flat_map(|which| crowd(address, 1, &stalled(which))).collect()
}

/// A running build whose artifacts are too large for the buffers of a connection.
fn with_large_artifacts(victim: &Victim) -> Claimed {
    let (_, build) = victim.running();
    send(victim.address, &upload(&build, "large.bin", &vec![0; 16 << 20])).expect(201);
    build
}

fn unread_downloads(address: SocketAddr, build: &Claimed) -> Vec<Raw> {
    let request = download(build).bytes();
    let one = |_| {
        let mut raw = Raw::with_small_window(address).unwrap();
        assert!(raw.send(&request));
        raw
    };
    (0..500).map(one).collect()
}

#[test]
fn five_hundred_half_heads_are_not_felt() {
    assert!(raise_descriptors(4096));
    let victim = Victim::start();
    victim.withstands("500 half heads", KEPT_MIB, |_| crowd(victim.address, 500, HALF_A_HEAD));
}

#[test]
fn five_hundred_stalled_bodies_are_not_felt() {
    assert!(raise_descriptors(4096));
    let victim = Victim::start();
    victim.withstands("500 stalled bodies", KEPT_MIB, |_| stalled_crowd(victim.address));
}

#[test]
fn five_hundred_unread_downloads_are_not_felt() {
    assert!(raise_descriptors(4096));
    let victim = Victim::start();
    let build = with_large_artifacts(&victim);
    victim.withstands("500 unread downloads", KEPT_OF_TRANSFERS_MIB, |_| unread_downloads(victim.address, &build));
}

#[test]
fn fifteen_hundred_attackers_of_three_kinds_are_not_felt() {
    assert!(raise_descriptors(4096));
    let victim = Victim::start();
    let build = with_large_artifacts(&victim);
    victim.withstands("500 of each kind", KEPT_OF_TRANSFERS_MIB, |_| {
        (
            crowd(victim.address, 500, HALF_A_HEAD),
            stalled_crowd(victim.address),
            unread_downloads(victim.address, &build),
        )
    });
}

/// More than there are workers; none of them has a token.
#[test]
fn more_stalled_uploads_than_workers_do_not_keep_others_out() {
    assert!(raise_descriptors(4096));
    let victim = Victim::start();
    let of = |speech: Speech| {
        let path = speech.path(BuildId(1), "artifacts");
        format!(
            "POST {path} HTTP/1.1\r\nHost: baton.test\r\nContent-Length: 100000\r\n\
             Content-Type: multipart/form-data; boundary=b\r\n\r\n--b"
        )
    };
    victim.withstands("1,500 stalled uploads", KEPT_MIB, |_| {
        Speech::BOTH.map(|speech| crowd(victim.address, 750, of(speech).as_bytes()))
    });
}

/// What strangers send may not use up what those with a token need.
#[test]
fn stalled_uploads_of_strangers_leave_room_for_transfers() {
    assert!(raise_descriptors(4096));
    let victim = Victim::start();
    let (_, build) = victim.running();
    let line = |speech: Speech| format!("POST {} HTTP/1.1\r\nHost: baton.test", speech.path(build.id, "artifacts"));
    let form = "Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 100000\r\n\r\n--b";
    victim.withstands("400 stalled uploads of strangers", KEPT_MIB, |_| {
        let begin = |speech| format!("{}\r\n{form}", line(speech));
        let strangers = Speech::BOTH.map(|speech| crowd(victim.address, 200, begin(speech).as_bytes()));
        // They have all been looked at when one that came later was answered.
        ask(victim.address, HEALTH).0.expect(200);
        for speech in Speech::BOTH {
            send(victim.address, &speech.upload(&build, &[Part::file("a.zip", b"content")])).expect(201);
            send(victim.address, &speech.download(&build)).expect(200);
        }
        strangers
    });
}

#[test]
fn five_thousand_idle_connections_are_not_felt() {
    if !raise_descriptors(12_000) {
        return;
    }
    let victim = Victim::start();
    let idle = |_| {
        let (response, raw) = ask(victim.address, HEALTH);
        response.expect(200);
        raw
    };
    victim.withstands("5,000 idle connections", 2 * KEPT_MIB, |_| (0..5000).map(idle).collect::<Vec<Raw>>());
}

#[test]
fn idle_connections_beyond_the_limit_make_room() {
    let victim = Victim::with(&["--max-connections", "50"], &[], "");
    victim.withstands("200 connections of at most 50", KEPT_MIB, |healthy| {
        let mut attackers = crowd(victim.address, 100, b"");
        attackers.extend(crowd(victim.address, 100, HALF_A_HEAD));
        healthy.work(20);
        let held = victim.vitals().descriptors;
        assert!(held < 50 * 2 + 100, "{held} descriptors");
        attackers
    });
}

/// All that wait are in the middle of something: the limit must not shut everybody out for long.
/// As many as are allowed: nobody waits for whom one of them would have to go.
#[test]
fn at_the_limit_nobody_goes_for_nobody() {
    let baton = Baton::with_limits(Limits { connections_max: 3, ..Limits::default() });
    let mut silent: Vec<Raw> = (0..3).map(|_| Raw::open(baton.address()).unwrap()).collect();
    for raw in &mut silent {
        assert!(!raw.has_answer(Duration::from_millis(100)));
    }
    for raw in &mut silent {
        raw.send(HEALTH);
        raw.expect_answer().expect(200);
    }
}

#[test]
fn stalled_connections_beyond_the_limit_make_room() {
    let victim = Victim::with(&["--max-connections", "50"], &[], "");
    victim.withstands("200 stalled bodies at 50 connections", KEPT_MIB, |_| crowd(victim.address, 200, &stalled(1)));
}

/// As many idle connections as there are descriptors, and more. Others must still be let in, at the cost of those; and
/// the log must not fill the disk with it.
#[test]
fn idle_connections_beyond_the_descriptors_make_room() {
    let victim = Victim::with(&[], &[], "ulimit -n 400");
    victim.withstands("300 connections at 400 descriptors", KEPT_MIB, |_| crowd(victim.address, 300, b""));
    expect_short_log(&victim);
}

#[test]
fn half_heads_beyond_the_descriptors_make_room() {
    let victim = Victim::with(&[], &[], "ulimit -n 400");
    victim.withstands("300 half heads at 400 descriptors", KEPT_MIB, |_| crowd(victim.address, 300, HALF_A_HEAD));
    expect_short_log(&victim);
}

fn expect_short_log(victim: &Victim) {
    let lines = victim.log().lines().count();
    assert!(lines < 100, "{lines} lines were logged");
}

/// The kernel's queue holds those who cannot be let in; they are served when descriptors are free again.
#[test]
fn descriptors_that_are_free_again_are_used() {
    let victim = Victim::with(&[], &[], "ulimit -n 64");
    let before = victim.vitals();
    for _ in 0..3 {
        let attackers = crowd(victim.address, 200, HALF_A_HEAD);
        drop(attackers);
        let served = Raw::open(victim.address).unwrap().ask(&Request::get("/-/health")).map(|answer| answer.status);
        assert_eq!(served.ok(), Some(200));
    }
    victim.expect_calm(before, KEPT_MIB);
}

/// As many as a pool of threads cannot serve one by one while each is kept open.
#[test]
fn bursts_of_four_hundred_connections_are_all_answered() {
    assert!(raise_descriptors(4096));
    let victim = Victim::start();
    victim.withstands("bursts of 400", KEPT_MIB, |_| {
        for burst in 0..5 {
            let mut all = crowd(victim.address, 400, b"");
            assert!(all.iter_mut().all(|raw| raw.send(HEALTH)));
            for (number, raw) in all.iter_mut().enumerate() {
                let answer = raw.answer().unwrap_or_else(|error| panic!("{burst}, {number}: {error}"));
                answer.expect("an answer").expect(200);
            }
        }
    });
}
