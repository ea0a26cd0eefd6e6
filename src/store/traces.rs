//! Traces: bytes addressed by offset, in segments.
//!
//! An append writes what it appends, whatever the log's length: the last segment is a fixed blob that is
//! filled in place, full ones are inserted whole. The size changes in the same transaction, and reads stop
//! at it. A replaced trace is written under a new number, so that a reader in between sees the old one or
//! the new one, never a mixture.
//!
//! A removal costs the same, whatever the log's length: it takes the row away, whereupon a trigger puts the
//! number among the detached ones. Their segments are removed by [`collect`], a few at a time. The other way
//! round, a long trace is written under a detached number, a part at a time, and then attached: readers see
//! all of it or nothing, and what a crash leaves of it is collected.

pub mod room;

use crate::domain::build::BuildId;
use crate::domain::time::Timestamp;
use crate::error::{Error, Kind, Result};
use rusqlite::{Connection, MAIN_DB, OptionalExtension, named_params};
use std::collections::BTreeSet;

/// Bytes in a segment (measured: 16 to 64 KiB write least and stay flat to 100 MB).
pub(super) const SEGMENT_BYTES: u64 = 16 << 10;

/// Segments of one trace: the low 20 bits of their ids, 16 GiB.
pub(super) const SEGMENT_BITS: u32 = 20;

/// Where a build's trace is.
#[derive(Clone, PartialEq, Eq)]
pub struct TraceRow {
    number: i64,
    /// Stored bytes.
    pub size: u64,
    /// What the masking must remember of the end; see `crate::domain::masking`.
    pub carry: Vec<u8>,
    /// CRC-32 of what was received; `None`: it was begun before that was kept.
    pub crc32: Option<u32>,
}

/// What is remembered of a trace beside its bytes, for whoever continues it.
#[derive(Clone, Copy)]
pub struct Tail<'a> {
    /// As [`TraceRow::carry`].
    pub carry: &'a [u8],
    /// As [`TraceRow::crc32`].
    pub crc32: Option<u32>,
}

impl Tail<'_> {
    /// Of a trace of which nothing is remembered.
    pub const NONE: Tail<'static> = Tail { carry: b"", crc32: None };
}

/// An empty trace.
impl Default for TraceRow {
    fn default() -> TraceRow {
        TraceRow { number: 0, size: 0, carry: Vec::new(), crc32: Some(0) }
    }
}

impl TraceRow {
    /// Which of all traces this is: one that takes another's place has another number.
    #[must_use]
    pub fn number(&self) -> i64 {
        self.number
    }

    /// Whether this is what `earlier` may have grown to.
    #[must_use]
    pub fn continues(&self, earlier: &TraceRow) -> bool {
        self.number == earlier.number && self.size >= earlier.size
    }
}

/// The build's trace; an empty one if nothing was stored yet.
pub fn of_build(c: &Connection, id: BuildId) -> Result<TraceRow> {
    let row = c
        .prepare_cached("SELECT number, size, carry, crc32 FROM traces WHERE build_id = ?1")?
        .query_row([id.0], |row| {
            Ok(TraceRow { number: row.get(0)?, size: row.get(1)?, carry: row.get(2)?, crc32: row.get(3)? })
        })
        .optional()?;
    Ok(row.unwrap_or_default())
}

/// Makes the trace longer: writes `data` at `offset`, which lies inside the trace or at its end.
///
/// # Errors
/// The database's; a trace beyond 16 GiB.
pub fn write(c: &Connection, id: BuildId, trace: &TraceRow, offset: u64, data: &[u8], tail: Tail<'_>) -> Result<()> {
    let end = offset + data.len() as u64;
    if trace.number == 0 {
        let number = next_number(c)?;
        insert(c, id, number, end, tail)?;
        return write_segments(c, number, 0, offset, data);
    }
    let size = end.max(trace.size);
    c.prepare_cached("UPDATE traces SET size = :size, carry = :carry, crc32 = :crc32 WHERE build_id = :id")?
        .execute(named_params! {":size": size, ":carry": tail.carry, ":crc32": tail.crc32, ":id": id.0})?;
    write_segments(c, trace.number, trace.size, offset, data)
}

/// Puts `data` in the place of the whole trace.
///
/// # Errors
/// The database's; a trace beyond 16 GiB.
pub fn replace(c: &Connection, id: BuildId, data: &[u8], tail: Tail<'_>) -> Result<()> {
    remove(c, id)?;
    write(c, id, &TraceRow::default(), 0, data, tail)
}

/// Removes the trace; its segments are left to [`collect`].
pub fn remove(c: &Connection, id: BuildId) -> Result<()> {
    c.prepare_cached("DELETE FROM traces WHERE build_id = ?1")?.execute([id.0])?;
    Ok(())
}

/// A new number that no build has. It is collected unless it is spared, or attached.
pub fn new_detached(c: &Connection) -> Result<i64> {
    let number = next_number(c)?;
    c.prepare_cached("INSERT INTO detached_traces (number) VALUES (?1)")?.execute([number])?;
    Ok(number)
}

/// Writes `data` at `offset` of a detached trace of `size` bytes; `offset` lies inside the trace or at its end.
///
/// # Errors
/// The database's; a trace beyond 16 GiB.
pub fn write_detached(c: &Connection, number: i64, size: u64, offset: u64, data: &[u8]) -> Result<()> {
    write_segments(c, number, size, offset, data)
}

/// Makes a detached trace, of which `size` bytes were written, the build's, in the place of the one that it has.
///
/// # Errors
/// The database's; [`Kind::Busy`] if the trace was not spared.
pub fn attach(c: &Connection, id: BuildId, number: i64, size: u64, tail: Tail<'_>) -> Result<()> {
    remove(c, id)?;
    let taken = c.prepare_cached("DELETE FROM detached_traces WHERE number = ?1")?.execute([number])?;
    // The collector begins with the first segment, and ends with the number.
    let is_whole: bool = c
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM trace_segments WHERE id = ?1)")?
        .query_row([segment_id(number, 0)?], |row| row.get(0))?;
    if taken == 0 || !is_whole {
        return Err(Error::new(Kind::Busy, "another process collects traces that this one writes"));
    }
    insert(c, id, number, size, tail)
}

/// Whether [`collect`] has something to do.
pub fn is_any_detached(c: &Connection, spared: &BTreeSet<i64>) -> Result<bool> {
    Ok(!detached(c, spared, 1)?.is_empty())
}

/// Removes up to `steps_max` segments and numbers of detached traces that are not `spared`. Returns how many
/// segments.
pub fn collect(c: &Connection, spared: &BTreeSet<i64>, steps_max: usize) -> Result<usize> {
    let (mut left, mut removed) = (steps_max, 0);
    for number in detached(c, spared, steps_max)? {
        let segments = c
            .prepare_cached(
                "DELETE FROM trace_segments WHERE id IN
                     (SELECT id FROM trace_segments WHERE id >= :first AND id < :end ORDER BY id LIMIT :left)",
            )?
            .execute(named_params! {
                ":first": number << SEGMENT_BITS, ":end": (number + 1) << SEGMENT_BITS, ":left": left,
            })?;
        removed += segments;
        left -= segments;
        if left == 0 {
            break;
        }
        c.prepare_cached("DELETE FROM detached_traces WHERE number = ?1")?.execute([number])?;
        left -= 1;
    }
    Ok(removed)
}

/// Gives back the unused end of the last segment and forgets the carry, when the build has ended.
pub fn finish(c: &Connection, id: BuildId) -> Result<()> {
    c.prepare_cached("UPDATE traces SET carry = x'' WHERE build_id = ?1 AND carry <> x''")?.execute([id.0])?;
    trim(c, id)
}

/// Gives back the unused end of the last segment of a trace that may still grow: its build was canceled under its runner.
pub fn trim(c: &Connection, id: BuildId) -> Result<()> {
    let trace = of_build(c, id)?;
    let used = trace.size % SEGMENT_BYTES;
    if used > 0 {
        c.prepare_cached(
            "UPDATE trace_segments SET data = substr(data, 1, :used) WHERE id = :id AND length(data) > :used",
        )?
        .execute(named_params! {":used": used, ":id": segment_id(trace.number, trace.size / SEGMENT_BYTES)?})?;
    }
    Ok(())
}

/// Forgets the carries of builds that were canceled before `before`, and whose tokens are not forgotten yet.
pub fn forget_carries(c: &Connection, before: Timestamp) -> Result<()> {
    c.prepare_cached(
        "UPDATE traces SET carry = x'' WHERE carry <> x'' AND build_id IN
             (SELECT id FROM builds WHERE status = 'canceled' AND token IS NOT NULL AND finished_at < ?1)",
    )?
    .execute([before.0])?;
    Ok(())
}

/// Up to `bytes_max` bytes from `offset` on; fewer at the trace's end.
///
/// # Errors
/// The database's; a trace with a hole, which only damage can make.
pub fn read(c: &Connection, trace: &TraceRow, offset: u64, bytes_max: u64) -> Result<Vec<u8>> {
    read_into(c, trace, offset, bytes_max, Vec::new())
}

/// The same in memory that was used before, in the place of what it holds.
///
/// # Errors
/// As [`read`].
pub fn read_into(c: &Connection, trace: &TraceRow, offset: u64, bytes_max: u64, mut data: Vec<u8>) -> Result<Vec<u8>> {
    let end = trace.size.min(offset.saturating_add(bytes_max));
    data.clear();
    data.reserve_exact(index(end.saturating_sub(offset)).unwrap_or(0));
    let mut at = offset;
    let mut statement = c.prepare_cached("SELECT data FROM trace_segments WHERE id = ?1")?;
    while at < end {
        let (start, until) = (at % SEGMENT_BYTES, (at % SEGMENT_BYTES + end - at).min(SEGMENT_BYTES));
        let mut rows = statement.query([segment_id(trace.number, at / SEGMENT_BYTES)?])?;
        let row = rows.next()?;
        let segment = row.map(|row| row.get_ref(0)).transpose()?.and_then(|value| value.as_blob().ok());
        let part = segment.and_then(|bytes| bytes.get(index(start)?..index(until)?));
        data.extend_from_slice(part.ok_or_else(|| Error::internal("a trace lacks a segment"))?);
        at += until - start;
    }
    Ok(data)
}

/// The first detached numbers that are not `spared`.
fn detached(c: &Connection, spared: &BTreeSet<i64>, count_max: usize) -> Result<Vec<i64>> {
    let mut numbers: Vec<i64> = c
        .prepare_cached("SELECT number FROM detached_traces ORDER BY number LIMIT ?1")?
        .query_map([count_max + spared.len()], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    numbers.retain(|number| !spared.contains(number));
    numbers.truncate(count_max);
    Ok(numbers)
}

fn insert(c: &Connection, id: BuildId, number: i64, size: u64, tail: Tail<'_>) -> Result<()> {
    c.prepare_cached(
        "INSERT INTO traces (build_id, number, size, carry, crc32) VALUES (:id, :number, :size, :carry, :crc32)",
    )?
    .execute(named_params! {
        ":id": id.0, ":number": number, ":size": size, ":carry": tail.carry, ":crc32": tail.crc32,
    })?;
    Ok(())
}

fn write_segments(c: &Connection, number: i64, size: u64, offset: u64, data: &[u8]) -> Result<()> {
    let (mut at, mut rest) = (offset, data);
    while !rest.is_empty() {
        let id = segment_id(number, at / SEGMENT_BYTES)?;
        let start = at % SEGMENT_BYTES;
        let room = index(SEGMENT_BYTES - start).unwrap_or(usize::MAX);
        let (part, after) = rest.split_at(room.min(rest.len()));
        let is_stored = at - start < size;
        if start == 0 && part.len() as u64 == SEGMENT_BYTES && !is_stored {
            c.prepare_cached("INSERT INTO trace_segments (id, data) VALUES (:id, :data)")?
                .execute(named_params! {":id": id, ":data": part})?;
        } else {
            if !is_stored {
                c.prepare_cached("INSERT INTO trace_segments (id, data) VALUES (:id, zeroblob(:bytes))")?
                    .execute(named_params! {":id": id, ":bytes": SEGMENT_BYTES})?;
            }
            let mut blob = c.blob_open(MAIN_DB, "trace_segments", "data", id, false)?;
            if blob.len() as u64 != SEGMENT_BYTES {
                // Cut by `finish`: a canceled build's runner still sends its last words.
                c.prepare_cached(
                    "UPDATE trace_segments SET data = CAST(data || zeroblob(:more) AS BLOB) WHERE id = :id",
                )?
                .execute(named_params! {":more": SEGMENT_BYTES - blob.len() as u64, ":id": id})?;
                blob.reopen(id)?;
            }
            blob.write_at(part, index(start).unwrap_or(usize::MAX))?;
            blob.close()?;
        }
        at += part.len() as u64;
        rest = after;
    }
    Ok(())
}

fn next_number(c: &Connection) -> Result<i64> {
    Ok(c.prepare_cached("UPDATE trace_numbers SET next = next + 1 RETURNING next - 1")?
        .query_row([], |row| row.get(0))?)
}

fn segment_id(number: i64, segment: u64) -> Result<i64> {
    match i64::try_from(segment) {
        Ok(segment) if segment < 1 << SEGMENT_BITS => Ok((number << SEGMENT_BITS) | segment),
        _ => Err(Error::internal("a trace passes 16 GiB")),
    }
}

fn index(bytes: u64) -> Option<usize> {
    usize::try_from(bytes).ok()
}

#[cfg(test)]
#[expect(clippy::cast_possible_truncation, reason = "small numbers made here")]
pub(crate) mod tests {
    use super::*;
    use crate::domain::build::{NewBuild, ProjectId, Status};
    use crate::domain::time::Timestamp;
    use crate::domain::token::Token;
    use crate::store::{Store, builds, invariants, projects};

    fn store_with_build() -> (tempfile::TempDir, Store, BuildId) {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("baton.db")).unwrap();
        let id = store
            .write(|c| {
                projects::insert(c, "p", None, &Token::new_secret()?, 60, Timestamp(1))?;
                insert_build(c)
            })
            .unwrap();
        (dir, store, id)
    }

    /// The build that tests want, of project `p`.
    pub fn new_build() -> NewBuild {
        NewBuild::new("p", "true")
    }

    fn insert_build(c: &Connection) -> Result<BuildId> {
        builds::insert(c, &new_build(), None, ProjectId(1), 60, Status::Pending, Timestamp(1))
    }

    #[test]
    fn appends_and_overwrites_of_any_size_equal_a_plain_vector() {
        let seed = std::env::var("BATON_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(0x9e37_79b9_u64);
        let mut random = seed;
        let mut next = move |below: u64| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random % below
        };
        let (_dir, store, id) = store_with_build();
        let mut model: Vec<u8> = Vec::new();
        for step in 0..200_u64 {
            let len = [1, 100, 16_383, 16_384, 16_385, 40_000][next(6) as usize];
            let back = next(20).min(model.len() as u64);
            let data: Vec<u8> = (0..len).map(|n| (step * 31 + n) as u8).collect();
            let offset = model.len() as u64 - back;
            model.truncate(offset as usize);
            model.extend_from_slice(&data);
            store.write(move |c| write(c, id, &of_build(c, id)?, offset, &data, Tail::NONE)).unwrap();
        }
        let model_end = model.len() as u64;
        let check = |what: &str, model: &[u8]| {
            let (row, bytes) = store
                .read(|c| {
                    let row = of_build(c, id)?;
                    let all = read(c, &row, 0, u64::MAX)?;
                    Ok((row, all))
                })
                .unwrap();
            assert_eq!(row.size, model.len() as u64, "{what}, seed {seed}");
            assert!(bytes == model, "{what}, seed {seed}");
            let part = store.read(|c| read(c, &row, 16_000, 1000)).unwrap();
            assert_eq!(part, model[16_000..17_000], "{what}, seed {seed}");
        };
        check("while running", &model);
        store.write(move |c| finish(c, id)).unwrap();
        check("when finished", &model);
        model.extend_from_slice(&[7; 20_000]);
        store.write(move |c| write(c, id, &of_build(c, id)?, model_end, &[7; 20_000], Tail::NONE)).unwrap();
        check("when grown after the end", &model);
    }

    const NONE: BTreeSet<i64> = BTreeSet::new();

    fn count(store: &Store, what: &str) -> usize {
        store.read(|c| Ok(c.query_row(&format!("SELECT count(*) FROM {what}"), [], |row| row.get(0))?)).unwrap()
    }

    fn expect_sound(store: &Store) {
        assert_eq!(store.read(invariants::examine).unwrap(), []);
    }

    fn all(store: &Store, id: BuildId) -> Vec<u8> {
        store.read(|c| read(c, &of_build(c, id)?, 0, u64::MAX)).unwrap()
    }

    #[test]
    fn a_replaced_trace_leaves_nothing_of_the_old_one_but_what_is_collected() {
        let (_dir, store, id) = store_with_build();
        store.write(move |c| replace(c, id, &[b'a'; 100_000], Tail::NONE)).unwrap();
        store.write(move |c| replace(c, id, b"new", Tail::NONE)).unwrap();
        assert_eq!((all(&store, id).as_slice(), count(&store, "trace_segments")), (b"new".as_slice(), 8));
        store.write(|c| collect(c, &NONE, 100)).unwrap();
        assert_eq!((all(&store, id).as_slice(), count(&store, "trace_segments")), (b"new".as_slice(), 1));
        store.write(move |c| remove(c, id)).unwrap();
        store.write(|c| collect(c, &NONE, 100)).unwrap();
        assert_eq!((count(&store, "trace_segments"), count(&store, "detached_traces")), (0, 0));
    }

    #[test]
    fn what_is_removed_goes_a_few_segments_at_a_time_and_nothing_else_does() {
        let (_dir, store, id) = store_with_build();
        let other = store.write(insert_build).unwrap();
        store.write(move |c| replace(c, other, &[b'o'; 50_000], Tail::NONE)).unwrap();
        for _ in 0..5 {
            store.write(move |c| replace(c, id, &[b'a'; 100_000], Tail::NONE)).unwrap();
        }
        store.write(move |c| remove(c, id)).unwrap();
        expect_sound(&store);
        let (mut segments, mut slices) = (count(&store, "trace_segments"), 0);
        assert_eq!((segments, count(&store, "detached_traces")), (4 + 5 * 7, 5));
        while store.read(|c| is_any_detached(c, &NONE)).unwrap() {
            let removed = store.write(|c| collect(c, &NONE, 3)).unwrap();
            let left = count(&store, "trace_segments");
            assert!(removed <= 3 && left + removed == segments);
            (segments, slices) = (left, slices + 1);
            expect_sound(&store);
        }
        assert_eq!((segments, slices), (4, (5 * 7 + 5_usize).div_ceil(3)), "a number costs as much as a segment");
        assert_eq!(all(&store, other), [b'o'; 50_000]);
        assert_eq!(store.write(|c| collect(c, &NONE, 3)).unwrap(), 0);
    }

    #[test]
    fn the_trace_of_a_build_that_goes_is_collected_too() {
        let (_dir, store, id) = store_with_build();
        store.write(move |c| replace(c, id, &[b'a'; 100_000], Tail::NONE)).unwrap();
        store.write(move |c| Ok(c.execute("DELETE FROM builds WHERE id = ?1", [id.0])?)).unwrap();
        assert_eq!((count(&store, "traces"), count(&store, "detached_traces")), (0, 1));
        expect_sound(&store);
        store.write(|c| collect(c, &NONE, 100)).unwrap();
        assert_eq!(count(&store, "trace_segments"), 0);
    }
}
