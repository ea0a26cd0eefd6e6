//! Chunked bodies that no honest client sends.

use crate::harness::http::{BOUNDARY, part_head};
use crate::harness::raw::{PATIENCE, Raw, ask, expect_refused};
use crate::harness::victim::Victim;
use crate::harness::{Claimed, Part, Speech};
use baton::domain::build::Status;
use baton::domain::time::Timestamp;
use std::time::{Duration, Instant};

/// What endless bodies may make the server hold, in MiB. It is bounded by what arrives until they are noticed.
const HELD_MIB: usize = 256;

/// The same of forty of them: half of what the supervisor bears. How much arrives before they are noticed depends on the
/// machine, not on their number.
const HELD_TOGETHER_MIB: usize = 512;

fn chunked(line: &str) -> Vec<u8> {
    format!("{line} HTTP/1.1\r\nHost: baton.test\r\nTransfer-Encoding: chunked\r\n\r\n").into_bytes()
}

/// The begin of a request for a build.
fn ask_with(speech: Speech, body: &[u8]) -> Vec<u8> {
    [&chunked(&format!("POST {}", speech.asking())), body].concat()
}

/// Sends `piece` every `pause` until the server cuts the connection or `time` is over; returns the most memory that
/// the server had.
fn stream(victim: &Victim, begin: &[u8], piece: &[u8], pause: Duration, time: Duration) -> (bool, usize) {
    let mut raw = Raw::open(victim.address).unwrap();
    raw.set_send_patience(Duration::from_secs(2));
    raw.send(begin);
    let (started, mut most) = (Instant::now(), 0);
    while started.elapsed() < time {
        if !raw.send(piece) {
            return (true, most);
        }
        most = most.max(victim.vitals().memory_mib);
        std::thread::sleep(pause);
    }
    (false, most)
}

#[test]
fn chunk_lines_without_end_are_cut() {
    let victim = Victim::start();
    victim.withstands("chunk lines without end", HELD_MIB, |_| {
        let before = victim.vitals().memory_mib;
        let piece = vec![b'0'; 1 << 16];
        for (number, begin) in [&b""[..], b"5;", b"5;a=", b"5\r\nhello\r\n"].into_iter().enumerate() {
            let time = PATIENCE;
            let (cut, most) = stream(&victim, &ask_with(Speech::of(number), begin), &piece, Duration::ZERO, time);
            let begin = String::from_utf8_lossy(begin);
            println!("{begin:?}: at most {} MiB more", most.saturating_sub(before));
            assert!(cut, "{begin:?} goes on after {time:?}");
            assert!(most < before + HELD_MIB, "{begin:?} took {most} MiB, {before} before");
        }
    });
}

/// What one may make the server hold, many may make it hold together: less than its supervisor bears.
#[test]
fn many_chunk_lines_without_end_are_cut() {
    let victim = Victim::start();
    victim.withstands("40 chunk lines without end", HELD_MIB, |_| {
        let before = victim.vitals().memory_mib;
        let (piece, time) = (vec![b'0'; 1 << 16], PATIENCE);
        let one = |number| stream(&victim, &ask_with(Speech::of(number), b""), &piece, Duration::ZERO, time);
        let (cut, most) = std::thread::scope(|scope| {
            let one = &one;
            let all: Vec<_> = (0..40).map(|number| scope.spawn(move || one(number))).collect();
            let ends = all.into_iter().map(|thread| thread.join().unwrap());
            ends.fold((true, 0), |(cut, most), (this_cut, this_most)| (cut && this_cut, most.max(this_most)))
        });
        println!("at most {} MiB more", most.saturating_sub(before));
        assert!(cut, "one goes on after {time:?}");
        assert!(most < before + HELD_TOGETHER_MIB, "they took {most} MiB, {before} before");
    });
}

#[test]
fn trailers_without_end_are_cut() {
    let victim = Victim::start();
    victim.withstands("trailers without end", HELD_MIB, |_| {
        let before = victim.vitals().memory_mib;
        let (cut, most) = stream(
            &victim,
            &ask_with(Speech::Today, b"0\r\n"),
            &b"X-Trailer: yes\r\n".repeat(1000),
            Duration::ZERO,
            Duration::from_secs(20),
        );
        assert!(cut && most < before + HELD_MIB, "{cut}, {most} MiB, {before} before");
    });
}

#[test]
fn malformed_chunks_are_refused() {
    let victim = Victim::start();
    victim.withstands("malformed chunks", HELD_MIB, |_| {
        for body in [
            &b"x\r\nhello\r\n0\r\n\r\n"[..],
            b"\r\nhello\r\n0\r\n\r\n",
            b"-5\r\nhello\r\n0\r\n\r\n",
            b"0x5\r\nhello\r\n0\r\n\r\n",
            b"5\rhello",
            b"5\r\nhelloworld\r\n0\r\n\r\n",
            b"5\r\nhello0\r\n\r\n",
            b"5\r\nhello\n0\r\n\r\n",
            b"1ffffffffffffffff\r\nhello\r\n0\r\n\r\n",
            b"fffffffffffffffffffffffffffffffff\r\nhello",
            b"5\xff\r\nhello\r\n0\r\n\r\n",
            b"5\r\nhello\r\n0\r\nX: y\rz",
        ] {
            Speech::BOTH.into_iter().for_each(|speech| expect_refused(victim.address, &ask_with(speech, body), 400));
        }
    });
}

/// Sizes near the end of the number range reach no arithmetic.
#[test]
fn a_chunk_of_any_declared_size_is_bounded() {
    let victim = Victim::start();
    for (number, size) in
        ["ffffffffffffffff", "7fffffffffffffff", "fffffffffffffffe", "10000000000"].into_iter().enumerate()
    {
        let mut raw = Raw::open(victim.address).unwrap();
        raw.send(&ask_with(Speech::of(number), format!("{size}\r\n").as_bytes()));
        let piece = [b' '; 1 << 16];
        while raw.send(&piece) {}
        let before = victim.vitals();
        assert!(before.memory_mib < 128, "{before:?}");
    }
    ask(victim.address, crate::harness::raw::HEALTH).0.expect(200);
}

/// A form ends well wherever it is cut, so only the framing tells that something is missing.
#[test]
fn a_form_cut_off_inside_a_chunk_changes_nothing() {
    let victim = Victim::start();
    let (_, build) = victim.running();
    Speech::BOTH.into_iter().for_each(|speech| changes_nothing_if_cut_off(&victim, &build, speech));
}

fn changes_nothing_if_cut_off(victim: &Victim, build: &Claimed, speech: Speech) {
    let form = format!("token={}&state=success&trace=the+whole", build.token);
    let head = chunked(&format!("PUT {}", speech.path(build.id, "")));
    for (size, data) in
        [(form.len() + 100, form.as_str()), (form.len() + 1, &form), (form.len() - 5, &form[..form.len() - 6])]
    {
        let mut raw = Raw::open(victim.address).unwrap();
        raw.send(&[&head, format!("{size:x}\r\n{data}").as_bytes()].concat());
        raw.end_sending();
        // Whatever it answers, if anything.
        let _ = raw.answer();
        expect_running(victim, build);
    }
    // Between two chunks.
    let mut raw = Raw::open(victim.address).unwrap();
    raw.send(&[&head, format!("{:x}\r\n{form}\r\n", form.len()).as_bytes()].concat());
    raw.end_sending();
    let _ = raw.answer();
    expect_running(victim, build);
}

#[track_caller]
fn expect_running(victim: &Victim, build: &Claimed) {
    let shown = victim.operator.show_build(build.id, Timestamp::now()).unwrap().build;
    assert_eq!(shown.status, Status::Running);
}

/// With a length and without one, cut off anywhere, by a client that hangs up and by one that waits for an answer.
#[test]
fn an_upload_that_is_cut_off_is_not_stored() {
    let victim = Victim::start();
    let (_, build) = victim.running();
    let heads = Speech::BOTH.map(|speech| {
        let line = format!("POST {} HTTP/1.1\r\nHost: baton.test", speech.path(build.id, "artifacts"));
        let token = format!("{}: {}", speech.header(), build.token);
        format!("{line}\r\n{token}\r\nContent-Type: multipart/form-data; boundary={BOUNDARY}")
    });
    let mut part = part_head(&Part::file("cut.zip", b"")).into_bytes();
    part.extend_from_slice(&vec![b'x'; 100_000]);
    victim.withstands("uploads that are cut off", HELD_MIB, |_| {
        for round in 0..24 {
            let head = &heads[round / 4 % 2];
            let begin = match round % 2 {
                0 => format!("{head}\r\nContent-Length: {}\r\n\r\n", part.len() + 100),
                _ => format!("{head}\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n", part.len() + 100),
            };
            let sent = part.len() - round * 4000;
            let mut raw = Raw::open(victim.address).unwrap();
            raw.send(&[begin.as_bytes(), &part[..sent]].concat());
            if round % 4 < 2 {
                raw.end_sending();
                let status = raw.answer().ok().flatten().map(|answer| answer.status);
                assert!(status.is_none_or(|status| status == 400), "{status:?}");
            }
        }
        for speech in Speech::BOTH {
            ask(victim.address, &speech.download(&build).bytes()).0.expect_error(404);
        }
    });
    expect_no_files(&victim);
}

fn expect_no_files(victim: &Victim) {
    let deadline = Instant::now() + PATIENCE;
    let count = || std::fs::read_dir(victim.data().join("artifacts")).unwrap().count();
    while count() > 0 {
        assert!(Instant::now() < deadline, "{} files are left", count());
        std::thread::sleep(Duration::from_millis(20));
    }
}
