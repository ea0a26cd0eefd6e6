//! People look at a long log: its end, its middle, a word in it.

use crate::Scale;
use crate::client::{Client, ask_once};
use crate::data::{Data, claim_each};
use crate::procs::Served;
use crate::report::{Row, Target, Unit, alternate, median_latency};
use crate::wire::finish;
use baton::coordinator::{Coordinator, LogBegin, OrSoon};
use baton::domain::build::BuildId;
use baton::domain::log_search::Needle;
use std::time::Instant;

/// Bytes of a patch.
const PATCH_BYTES: usize = 1 << 20;

/// What is read at a time.
const READ_BYTES: u64 = 1 << 20;

/// A log as runners of today write it: times, colours, some 100 bytes a line.
fn timed_text(bytes: usize) -> Vec<u8> {
    let mut text = Vec::with_capacity(bytes + 200);
    for line in 0_usize.. {
        let (minute, second) = (line / 60_000 % 60, line / 1000 % 60);
        let words = format!("test store::traces::is_told_the_wanted_offset_{line} ... \x1b[32mok\x1b[0m");
        text.extend(format!("2026-11-28T07:{minute:02}:{second:02}.123456Z 01O {words}\n").bytes());
        if text.len() >= bytes {
            break;
        }
    }
    text
}

/// A finished build with a log of so many bytes, at least.
fn long_log(data: &Data, bytes: u64) -> BuildId {
    data.queue(1);
    let runners = data.runners(1);
    let server = Served::baton(data.path(), &["--max-trace-size", "100G"]);
    let mut build = claim_each(server.address, &runners).remove(0);
    let (text, mut client) = (timed_text(PATCH_BYTES), Client::new(server.address));
    while (build.size as u64) < bytes {
        client.ask(&build.patch(&text)).expect(202);
    }
    ask_once(server.address, &finish(build.id, &build.token)).expect(200);
    BuildId(build.id)
}

fn seconds(work: impl FnOnce()) -> f64 {
    let started = Instant::now();
    work();
    started.elapsed().as_secs_f64()
}

/// Reads a log from `offset` on, up to `end`.
fn read(operator: &Coordinator, id: BuildId, mut offset: u64, end: u64) {
    let mut piece = Vec::new();
    while offset < end {
        (piece, _) = operator.read_trace_into(id, offset, READ_BYTES.min(end - offset), piece).unwrap();
        if std::hint::black_box(&piece).is_empty() {
            return;
        }
        offset += piece.len() as u64;
    }
}

/// A part of a log, and how many bytes of the log that is.
fn look(operator: &Coordinator, id: BuildId, begin: LogBegin) -> (u64, u64, u64) {
    match operator.log_part(id, begin, 500, "/demo/-/jobs/1/raw").unwrap() {
        OrSoon::There(part) => {
            assert!(std::hint::black_box(&part.piece.html).len() > 10_000);
            (part.piece.offset, part.piece.next.offset, part.stand.lines)
        }
        OrSoon::Soon(_) => panic!("nobody else looks"),
    }
}

/// The first look at the end of a long log, whose index is made for it; then its end and its middle, and a word that is
/// nowhere in it. The floor is to read the same bytes from the same store.
pub fn looks(scale: &Scale) -> Vec<Row> {
    let data = Data::new();
    let id = long_log(&data, scale.log_bytes);
    let mut cold = || {
        let operator = data.operator();
        seconds(|| {
            look(&operator, id, LogBegin::Tail);
        })
    };
    let mut all = || {
        let operator = data.operator();
        seconds(|| read(&operator, id, 0, u64::MAX))
    };
    let [first, floor] = alternate(scale.rounds, [&mut cold, &mut all]);
    let size = Unit::Bytes.show(scale.log_bytes as f64);
    let mut rows = vec![Row::compared(
        &format!("first look at a log of {size}, its last 500 lines"),
        Unit::Time,
        &first,
        &floor,
        Target::AtMost(6.0),
    )];
    let operator = data.operator();
    let (_, _, lines) = look(&operator, id, LogBegin::Tail);
    for (what, begin) in
        [("its last 500 lines", LogBegin::Tail), ("500 lines of the middle", LogBegin::Line(lines / 2))]
    {
        let (from, to, _) = look(&operator, id, begin);
        let mut shown = || {
            median_latency(scale.calls, || {
                look(&operator, id, begin);
            })
        };
        let mut bytes = || median_latency(scale.calls, || read(&operator, id, from, to));
        let [shown, bytes] = alternate(scale.short_rounds, [&mut shown, &mut bytes]);
        let work = format!("a look at {what} again");
        rows.push(Row::compared(&work, Unit::Time, &shown, &bytes, Target::AtMost(20.0)));
    }
    let needle = Needle::parse("nowhere-to-be-found").unwrap();
    let mut search = || {
        seconds(|| match operator.search_log(id, &needle, 1).unwrap() {
            OrSoon::There(found) => assert!(found.hits.is_empty()),
            OrSoon::Soon(_) => panic!("nobody else looks"),
        })
    };
    let mut warm = || seconds(|| read(&operator, id, 0, u64::MAX));
    let [found, floor] = alternate(scale.rounds, [&mut search, &mut warm]);
    let work = format!("a word that is nowhere in {size} of log");
    rows.push(Row::compared(&work, Unit::Time, &found, &floor, Target::AtMost(6.0)));
    rows
}
