//! Clients that are slow without end. The server runs inside the test, with limits short enough to see their ends;
//! what the process holds is not judged here.

use crate::harness::healthy::{Healthy, working_runner};
use crate::harness::raw::{HEALTH, Raw};
use crate::harness::{Baton, Speech, download, patch, upload};
use baton::limits::Limits;
use std::thread;
use std::time::{Duration, Instant};

/// Seconds here are half minutes there. The kernel counts them whole, and a third of the stall must not be none.
fn impatient() -> Limits {
    Limits {
        head_time_max: Duration::from_secs(2),
        idle_time_max: Duration::from_secs(3),
        stall_time_max: Duration::from_secs(3),
        transfer_grace: Duration::from_secs(2),
        transfer_bytes_per_second_min: 1024,
        ..Limits::default()
    }
}

/// What may come on top of a limit, on a machine that is busy: what goes on for longer has no end.
const SLACK: Duration = Duration::from_secs(90);

fn with_healthy(attack: &str, run: impl FnOnce(&Baton)) {
    with_healthy_at(impatient(), attack, run);
}

fn with_healthy_at(limits: Limits, attack: &str, run: impl FnOnce(&Baton)) {
    let baton = Baton::with_limits(limits);
    let healthy = Healthy::beside(baton.operator(), baton.address());
    healthy.work(5);
    run(&baton);
    healthy.work(5);
    healthy.rest(attack);
}

/// Sends `bytes` one by one, each half second, until the server has answered or cut; the status, if any.
fn trickle(raw: &mut Raw, bytes: &[u8]) -> (Option<u16>, Duration) {
    let (started, deadline) = (Instant::now(), Instant::now() + Duration::from_secs(2) + SLACK);
    for byte in bytes.iter().cycle() {
        assert!(Instant::now() < deadline, "a trickle goes on and on");
        if !raw.send(&[*byte]) || raw.has_answer(Duration::from_millis(500)) {
            break;
        }
    }
    (raw.answer().ok().flatten().map(|answer| answer.status), started.elapsed())
}

#[test]
fn a_head_of_one_byte_each_half_second_is_cut() {
    with_healthy("trickled heads", |baton| {
        let trickles: Vec<_> = (0..10)
            .map(|_| {
                let mut raw = Raw::open(baton.address()).unwrap();
                thread::spawn(move || {
                    trickle(&mut raw, b"GET / HTTP/1.1\r\nX-Slow: and so on and so on and so on and so on")
                })
            })
            .collect();
        for thread in trickles {
            let (status, time) = thread.join().unwrap();
            assert_eq!(status, Some(408), "after {time:?}");
        }
    });
}

/// Bodies that are awaited in the kernel's buffer, and those that a worker reads.
#[test]
fn a_body_of_one_byte_each_half_second_is_cut() {
    with_healthy("trickled bodies", |baton| {
        let framings = ["Content-Length: 5000", "Content-Length: 100000", "Transfer-Encoding: chunked"];
        let paths = ["/ci/api/v1/builds/register", "/api/v4/jobs/request"];
        let trickles = paths.map(|path| {
            framings.map(|framing| {
                let mut raw = Raw::open(baton.address()).unwrap();
                raw.send(format!("POST {path} HTTP/1.1\r\nHost: baton.test\r\n{framing}\r\n\r\n").as_bytes());
                let piece: &[u8] = if framing.contains("chunked") { b"1\r\na\r\n" } else { b"a" };
                (framing, thread::spawn(move || trickle(&mut raw, piece)))
            })
        });
        for (framing, thread) in trickles.into_iter().flatten() {
            let (status, time) = thread.join().unwrap();
            assert_eq!(status, Some(408), "{framing}, after {time:?}");
        }
    });
}

/// So slowly that the server has always read everything, and steadily enough that nothing is stalled: a line has an end all
/// the same.
#[test]
fn slow_chunk_lines_without_end_are_cut() {
    with_healthy("slow chunk lines without end", |baton| {
        let lines = Speech::BOTH.map(|speech| {
            let mut raw = Raw::open(baton.address()).unwrap();
            let head = format!("POST {} HTTP/1.1\r\nHost: baton.test", speech.asking());
            raw.send(format!("{head}\r\nTransfer-Encoding: chunked\r\n\r\n").as_bytes());
            thread::spawn(move || {
                let deadline = Instant::now() + impatient().stall_time_max + SLACK;
                while raw.send(&[b'0'; 64]) {
                    assert!(Instant::now() < deadline, "a chunk's size goes on and on");
                    thread::sleep(Duration::from_millis(5));
                }
            })
        });
        lines.into_iter().for_each(|line| line.join().unwrap());
    });
}

/// Told 408 where a request has begun; closed in silence where none has.
#[test]
fn connections_on_which_nothing_happens_are_let_go() {
    with_healthy("silent connections", |baton| {
        let line = "POST /ci/api/v1/builds/register HTTP/1.1\r\nHost: baton.test\r\n";
        let begins = [
            String::new(),
            "POST /ci".to_owned(),
            line.to_owned(),
            format!("{line}Content-Length: 100\r\n\r\n{{"),
            format!("{line}Content-Length: 100000\r\n\r\n{{"),
            format!("{line}Transfer-Encoding: chunked\r\n\r\n"),
            format!("{line}Transfer-Encoding: chunked\r\n\r\n100\r\n{{"),
            format!("{line}Transfer-Encoding: chunked\r\n\r\n1\r\n{{\r\n0\r\n"),
        ];
        let open = |begin: &String| {
            let mut raw = Raw::open(baton.address()).unwrap();
            raw.send(begin.as_bytes());
            raw
        };
        let deadline = Instant::now() + Duration::from_secs(3) + SLACK;
        let silent: Vec<Raw> = begins.iter().map(open).collect();
        for (mut raw, begin) in silent.into_iter().zip(&begins) {
            if begin.is_empty() {
                raw.expect_closed_within(Duration::from_secs(3) + SLACK);
            } else {
                raw.expect_answer().expect_error(408);
                raw.expect_closed();
            }
            assert!(Instant::now() < deadline, "{begin:?}");
        }
    });
}

#[test]
fn a_kept_connection_is_closed_when_it_is_not_used() {
    let baton = Baton::with_limits(impatient());
    let mut raw = Raw::open(baton.address()).unwrap();
    raw.send(HEALTH);
    raw.expect_answer().expect(200);
    raw.expect_closed_within(Duration::from_secs(3) + SLACK);
}

/// A reader that takes nothing, and one that takes a byte now and then.
#[test]
fn a_download_that_nobody_reads_is_given_up() {
    with_healthy("unread downloads", |baton| {
        let (_, build) = working_runner(baton.operator(), baton.address(), "demo");
        baton.send(upload(&build, "large.bin", &vec![7; 16 << 20])).expect(201);
        let readers = [None, Some(Duration::from_millis(300))].map(|pause| {
            let mut raw = Raw::with_small_window(baton.address()).unwrap();
            raw.send(&download(&build).bytes());
            thread::spawn(move || raw.read_slowly(pause, impatient().stall_time_max * 4))
        });
        for reader in readers {
            let read = reader.join().unwrap();
            assert!(read < 16 << 20, "{read} bytes");
        }
    });
}

/// As slow as allowed is not too slow. Only its pace counts here: between two pieces the machine may be busy elsewhere.
#[test]
fn a_steady_sender_is_served_however_long_it_takes() {
    let limits = Limits { stall_time_max: SLACK, transfer_bytes_per_second_min: 256, ..impatient() };
    with_healthy_at(limits, "a slow but steady sender", |baton| {
        let (_, build) = working_runner(baton.operator(), baton.address(), "demo");
        let data = vec![b'x'; 40_000];
        let mut raw = Raw::open(baton.address()).unwrap();
        for piece in patch(&build, 0, &data).bytes().chunks(2500) {
            assert!(raw.send(piece), "cut off");
            thread::sleep(Duration::from_millis(250));
        }
        raw.expect_answer().expect(202);
        assert_eq!(baton.trace(build.id), data);
    });
}

/// The largest body that the kernel's buffer must hold, in the smallest segments there are.
#[test]
fn an_awaited_body_in_segments_of_one_byte_arrives() {
    let baton = Baton::start();
    let (_, build) = working_runner(baton.operator(), baton.address(), "demo");
    let data = vec![b'x'; 32 << 10];
    let mut raw = Raw::open(baton.address()).unwrap();
    for byte in patch(&build, 0, &data).bytes() {
        assert!(raw.send(&[byte]), "cut off");
    }
    raw.expect_answer().expect(202);
}
