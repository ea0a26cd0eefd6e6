//! Whole traces, as a `PUT` brings them: made ready outside the one writer, so that the transaction that takes one is
//! short, however long the trace.
//!
//! What must stay true: what is stored already is not written again (runners repeat the whole log with their last
//! report), and stays what it was if the repetition differs by replacement characters only. What must be written and is long is written a piece at a time: a continuation like the patches
//! that it could have come in, anything else under a detached number, so that readers see all of it or nothing. Whoever
//! takes a trace decides anew whether it may be; what was made ready and is not taken goes.

use super::piece::{Continuation, Ending, PIECE_BYTES_MAX, Patched, Piece};
use super::replaced::{align, whole_letters};
use crate::coordinator::Coordinator;
use crate::coordinator::auth::build_for_put;
use crate::domain::build::{BuildId, Status};
use crate::domain::masking::{Carry, Masker};
use crate::domain::time::Timestamp;
use crate::domain::token::Shown;
use crate::error::Result;
use crate::store::traces::{self, Tail, TraceRow};
use crate::sync::lock;
use rusqlite::Connection;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

/// A trace that can be taken in a short transaction.
pub enum Ready {
    /// It was not the sender's to report when it was looked at, or there was no room.
    Nothing,
    /// It begins with what is stored.
    Longer {
        /// What was stored.
        stored: TraceRow,
        /// What follows.
        rest: Continuation,
    },
    /// It is another one, and short.
    Short(Continuation),
    /// It is another one, and written.
    Written {
        /// Its number.
        number: Spared,
        /// Its end.
        end: Ending,
    },
}

impl Ready {
    /// Makes it the build's trace. False: what was found before does not hold any more.
    pub fn take(self, c: &Connection, id: BuildId) -> Result<bool> {
        match self {
            Ready::Nothing => return Ok(false),
            Ready::Longer { stored, rest } => {
                if traces::of_build(c, id)? != stored {
                    return Ok(false);
                }
                if rest.end() != stored.size || rest.carry.to_bytes() != stored.carry {
                    rest.write(c, id, &stored)?;
                }
            }
            Ready::Short(whole) => {
                let carry = whole.carry.to_bytes();
                traces::replace(c, id, &whole.bytes, Tail { carry: &carry, crc32: whole.crc32 })?;
            }
            Ready::Written { number, end } => {
                let carry = end.carry.to_bytes();
                traces::attach(c, id, number.number, end.size, Tail { carry: &carry, crc32: end.crc32 })?;
            }
        }
        Ok(true)
    }
}

impl Coordinator {
    /// Makes a report's whole trace ready to be taken. `has_room`: also for a running build.
    ///
    /// # Errors
    /// As [`Coordinator::update_build`].
    pub(in crate::coordinator) fn ready(
        &self,
        id: BuildId,
        shown: &Shown,
        data: &[u8],
        has_room: bool,
        now: Timestamp,
    ) -> Result<Ready> {
        let found = self.store.read(|c| {
            let build = build_for_put(c, id, shown)?;
            let is_taken = if build.status == Status::Running { has_room } else { build.has_last_words() };
            if !is_taken {
                return Ok(None);
            }
            Ok(Some((build.status, self.maskers.of_build(c, id)?, traces::of_build(c, id)?)))
        })?;
        let Some((status, masker, stored)) = found else { return Ok(Ready::Nothing) };
        let Some(Common { carry, bytes }) = self.common(id, &stored, data, &masker)? else {
            return self.written(data, &masker);
        };
        let rest = data.get(bytes..).unwrap_or_default();
        if rest.len() > PIECE_BYTES_MAX {
            // The carry of a running build is stored, so that patches can go on from there.
            if status != Status::Running || stored.size == 0 || stored.carry != carry.to_bytes() {
                return self.written(data, &masker);
            }
            return self.continued(id, shown, &stored, rest, &masker, now);
        }
        let end = Ending { carry, size: stored.size, crc32: stored.crc32 };
        let rest = Continuation::new(&masker, &end, rest.to_vec());
        Ok(Ready::Longer { stored, rest })
    }

    /// If `data` begins with what is stored, but for what its sender could not say in UTF-8: where that ends.
    fn common(&self, id: BuildId, stored: &TraceRow, data: &[u8], masker: &Masker) -> Result<Option<Common>> {
        let mut end = Ending { crc32: None, ..Ending::start() };
        // Masked bytes that a longer trace may mask further, and what is stored in their place.
        let (mut open, mut expected) = (Vec::new(), Vec::new());
        let (mut at, mut bytes) = (0, 0);
        while at < stored.size {
            let known = self.store.read(|c| {
                // Who replaced it meanwhile may have collected it, too.
                if traces::of_build(c, id)? != *stored {
                    return Ok(Vec::new());
                }
                traces::read(c, stored, at, PIECE_BYTES_MAX as u64)
            })?;
            if known.is_empty() {
                return Ok(None);
            }
            let is_last = at + known.len() as u64 == stored.size;
            let known = if is_last { known.as_slice() } else { whole_letters(&known) };
            let Some(aligned) = align(data.get(bytes..).unwrap_or_default(), known) else { return Ok(None) };
            at += known.len() as u64;
            bytes += aligned.taken;
            expected.extend_from_slice(known);
            end.size = open.len() as u64;
            let next = Continuation::new(masker, &end, aligned.bytes);
            open.truncate(usize::try_from(next.offset).unwrap_or(usize::MAX));
            open.extend(next.bytes);
            end.carry = next.carry;
            let done = if is_last { open.len() } else { open.len() - end.carry.len() };
            if !open.drain(..done).eq(expected.drain(..done)) {
                return Ok(None);
            }
        }
        Ok(Some(Common { carry: end.carry, bytes }))
    }

    /// Continues what is stored with `rest`, all but the last piece, as patches do.
    fn continued(
        &self,
        id: BuildId,
        shown: &Shown,
        stored: &TraceRow,
        mut rest: &[u8],
        masker: &Masker,
        now: Timestamp,
    ) -> Result<Ready> {
        let mut size = stored.size;
        while rest.len() > PIECE_BYTES_MAX {
            let (piece, follow) = rest.split_at(PIECE_BYTES_MAX);
            let piece = Piece { start: Ok(size), data: piece.to_vec() };
            match self.append_piece(id, shown.clone(), piece, Ok(()), now).wait()? {
                Patched::Stored { size: longer, .. } => (size, rest) = (longer, follow),
                Patched::Elsewhere { .. } | Patched::NotRunning { .. } | Patched::Refused(_) => {
                    return Ok(Ready::Nothing);
                }
            }
        }
        let longer = self.store.read(|c| traces::of_build(c, id))?;
        if !longer.continues(stored) || longer.size != size {
            return Ok(Ready::Nothing);
        }
        let rest = Continuation::new(masker, &Ending::of(&longer)?, rest.to_vec());
        Ok(Ready::Longer { stored: longer, rest })
    }

    /// Writes a trace that takes another's place: if it is long, now.
    fn written(&self, data: &[u8], masker: &Masker) -> Result<Ready> {
        if data.len() <= PIECE_BYTES_MAX {
            return Ok(Ready::Short(Continuation::new(masker, &Ending::start(), data.to_vec())));
        }
        let spared = self.spared.clone();
        let number = self.store.write(move |c| Ok(spared.add(traces::new_detached(c)?)))?;
        let mut end = Ending::start();
        for piece in data.chunks(PIECE_BYTES_MAX) {
            let next = Continuation::new(masker, &end, piece.to_vec());
            let (number, size) = (number.number, end.size);
            end = self.store.write(move |c| {
                traces::write_detached(c, number, size, next.offset, &next.bytes)?;
                Ok(Ending { size: next.end(), carry: next.carry, crc32: next.crc32 })
            })?;
        }
        Ok(Ready::Written { number, end })
    }
}

/// Where a report's trace goes beyond what is stored.
struct Common {
    /// What must be carried on from there.
    carry: Carry,
    /// Bytes of the report that repeat what is stored.
    bytes: usize,
}

/// Numbers of detached traces that are being written, and so not to be collected.
#[derive(Clone, Default)]
pub struct SparedNumbers(Arc<Mutex<BTreeSet<i64>>>);

/// One of them. Dropped, it may be collected.
pub struct Spared {
    number: i64,
    all: SparedNumbers,
}

impl SparedNumbers {
    /// To be called in the transaction that makes the number.
    fn add(&self, number: i64) -> Spared {
        self.change(|all| all.insert(number));
        Spared { number, all: self.clone() }
    }

    /// All of them, at this moment.
    pub fn all(&self) -> BTreeSet<i64> {
        self.change(|all| all.clone())
    }

    fn change<T>(&self, change: impl FnOnce(&mut BTreeSet<i64>) -> T) -> T {
        change(&mut lock(&self.0))
    }
}

impl Drop for Spared {
    fn drop(&mut self) {
        self.all.change(|all| all.remove(&self.number));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coordinator::check;
    use crate::coordinator::{Claim, Queued, Report, Updated};
    use crate::domain::build::{NewBuild, Variable};
    use crate::domain::end::End;
    use crate::domain::token::Token;
    use crate::error::Kind;
    use crate::limits::Limits;
    use crate::store::runners::NewRunner;
    use crate::store::traces::tests::new_build;
    use std::time::Duration;

    const SECRET: &str = "correct horse battery";

    /// A build that a runner has, in a directory that nobody serves.
    struct Running {
        dir: tempfile::TempDir,
        coordinator: Arc<Coordinator>,
        id: BuildId,
        token: Token,
    }

    impl Running {
        fn new() -> Running {
            let dir = tempfile::tempdir().unwrap();
            let now = Timestamp::now();
            let coordinator = Arc::new(Coordinator::open(dir.path(), Limits::default()).unwrap());
            coordinator.add_project("p", None, Duration::from_secs(60), now).unwrap();
            let new = NewBuild { variables: vec![Variable::secret("S", SECRET)], ..new_build() };
            coordinator.add_builds(vec![Queued { new, needs_names: vec![] }], now).unwrap();
            let runner = NewRunner { description: "r".into(), ..NewRunner::default() };
            let runner = coordinator.add_runner(runner, None, now).unwrap();
            let claim = coordinator.claim_build(&runner.token.clone().into(), None, now).unwrap().wait().unwrap();
            let Claim::Build(assigned) = claim else { panic!("no build") };
            Running { dir, coordinator, id: assigned.build.id, token: assigned.token }
        }

        fn put(&self, state: &str, trace: &[u8]) {
            let updated = self.try_put(state, trace);
            assert!(matches!(updated, Ok(Updated::Accepted(_))), "{updated:?}");
        }

        fn try_put(&self, state: &str, trace: &[u8]) -> Result<Updated> {
            let shown = self.token.clone().into();
            let end = (state == "success").then_some(End::success());
            let report = Report { id: self.id, shown, end, trace: Some(trace.to_vec()), now: Timestamp::now() };
            self.coordinator.update_build(report)?.wait()
        }

        fn ready(&self, trace: &[u8]) -> Ready {
            self.coordinator.ready(self.id, &self.token.clone().into(), trace, true, Timestamp::now()).unwrap()
        }

        fn take(&self, ready: Ready) -> bool {
            let id = self.id;
            self.coordinator.store.write(move |c| ready.take(c, id)).unwrap()
        }

        fn stored(&self) -> Vec<u8> {
            let id = self.id;
            let read = |c: &Connection| traces::read(c, &traces::of_build(c, id)?, 0, u64::MAX);
            self.coordinator.store.read(read).unwrap()
        }

        fn number(&self) -> i64 {
            self.count("SELECT number FROM traces")
        }

        fn segments(&self) -> i64 {
            self.count("SELECT count(*) FROM trace_segments")
        }

        fn count(&self, sql: &str) -> i64 {
            self.coordinator.store.read(|c| Ok(c.query_row(sql, [], |row| row.get(0))?)).unwrap()
        }

        /// What moves with everything that is written.
        fn version(&self) -> i64 {
            self.count("PRAGMA data_version")
        }

        #[track_caller]
        fn expect_well(&self) {
            assert_eq!(check(self.dir.path()).unwrap().problems, []);
        }
    }

    /// A log of lines that none other has.
    fn log(of: &str, bytes: usize) -> Vec<u8> {
        let mut log = Vec::new();
        for line in 0.. {
            if log.len() >= bytes {
                break;
            }
            log.extend_from_slice(format!("line {line} of {of}\n").as_bytes());
        }
        log.truncate(bytes);
        log
    }

    const LONG: usize = 3 * PIECE_BYTES_MAX + 12_345;

    #[test]
    fn a_long_trace_is_seen_whole_or_not_at_all_and_what_is_not_taken_goes() {
        let running = Running::new();
        running.put("running", b"as it was\n");
        let segments = running.segments();
        for is_taken in [false, true] {
            let trace = log("the other log", LONG);
            let ready = running.ready(&trace);
            assert!(matches!(ready, Ready::Written { .. }));
            assert_eq!(running.stored(), b"as it was\n");
            running.expect_well();
            let written = running.segments();
            assert!(written > segments + 100);
            running.coordinator.reclaim().unwrap();
            assert_eq!(running.segments(), written, "nobody takes away what is being written");
            if is_taken {
                assert!(running.take(ready));
                assert!(running.stored() == trace, "it is another trace");
            } else {
                drop(ready);
                assert_eq!(running.stored(), b"as it was\n");
            }
            running.expect_well();
            running.coordinator.reclaim().unwrap();
            assert_eq!(running.segments() == segments, !is_taken);
            running.expect_well();
        }
        assert_eq!(running.segments(), i64::try_from(LONG.div_ceil(16 << 10)).unwrap());
    }

    #[test]
    fn a_trace_that_repeats_what_is_stored_writes_nothing() {
        let running = Running::new();
        for trace in [log("short", 1000), [log("secret", LONG), SECRET.into(), b"\ncorrect".to_vec()].concat()] {
            running.put("running", &trace);
            running.coordinator.reclaim().unwrap();
            let before = running.version();
            running.put("running", &trace);
            running.put("running", &trace);
            assert_eq!(running.version(), before);
        }
    }

    #[test]
    fn a_trace_that_goes_on_is_continued_and_not_written_anew() {
        let running = Running::new();
        let trace = [log("short", 70_000), log("long", LONG), b"correct horse".to_vec()].concat();
        running.put("running", &trace[..70_000]);
        let number = running.number();
        for end in [70_001, 100_000, LONG, LONG + 1] {
            running.put("running", &trace[..end]);
            assert!(running.stored() == trace[..end], "up to {end}");
        }
        running.put("running", &trace);
        assert_eq!(running.number(), number);
        // The end was the begin of a secret.
        running.put("success", &[trace.as_slice(), b" battery."].concat());
        let masked = [&trace[..trace.len() - 13], "x".repeat(SECRET.len()).as_bytes(), b"."].concat();
        assert!(running.stored() == masked, "the secret is not masked");
        assert_eq!(running.number(), number);
        running.expect_well();
    }

    #[test]
    fn a_trace_that_is_replaced_after_it_was_looked_at_is_looked_at_again() {
        let running = Running::new();
        running.put("running", b"as it was\n");
        let ready = running.ready(b"as it was\nand more\n");
        assert!(matches!(ready, Ready::Longer { .. }));
        running.put("running", b"another one that is longer\n");
        assert!(!running.take(ready));
        assert_eq!(running.stored(), b"another one that is longer\n");
    }

    #[test]
    fn what_another_collector_has_begun_to_take_away_is_not_taken() {
        let running = Running::new();
        running.put("running", b"as it was\n");
        let ready = running.ready(&log("the other log", LONG));
        running.coordinator.store.write(|c| traces::collect(c, &BTreeSet::new(), 1)).unwrap();
        let id = running.id;
        let error = running.coordinator.store.write(move |c| ready.take(c, id)).unwrap_err();
        assert_eq!(error.kind, Kind::Busy);
        assert_eq!(running.stored(), b"as it was\n");
        running.coordinator.reclaim().unwrap();
        running.expect_well();
        assert_eq!(running.segments(), 1);
    }

    #[test]
    fn readers_beside_writers_of_whole_traces_see_one_of_them() {
        let running = &Running::new();
        let logs: Vec<Vec<u8>> = (1..=3).map(|n| log(&format!("log {n}"), n * 900_000)).collect();
        running.put("running", &logs[0]);
        std::thread::scope(|scope| {
            let write = |log| {
                for _ in 0..6 {
                    match running.try_put("running", log) {
                        Ok(Updated::Accepted(_)) => {}
                        // It met the others too often.
                        Err(error) if error.kind == Kind::Busy => {}
                        other => panic!("{other:?}"),
                    }
                }
            };
            let writers: Vec<_> = logs.iter().map(|log| scope.spawn(move || write(log))).collect();
            let mut seen = BTreeSet::new();
            while !writers.iter().all(std::thread::ScopedJoinHandle::is_finished) {
                let stored = running.stored();
                seen.insert(logs.iter().position(|log| *log == stored).expect("one of them"));
                running.coordinator.reclaim().unwrap();
            }
            assert!(seen.len() > 1);
        });
        running.coordinator.reclaim().unwrap();
        running.expect_well();
    }
}
