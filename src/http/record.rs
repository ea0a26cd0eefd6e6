//! What the log says of requests: a record each, whose fields the log's format arranges.
//!
//! What must stay true: a record holds patterns, numbers and our own sentences, nothing that a client sent as it came:
//! paths and queries may hold tokens. Whoever is refused cannot fill the log: of each kind of refusal, so many are
//! listed in a second, and the rest is counted. What runners do all the time without any effect is for `debug`.

use super::message::{Method, Note, STATUSES};
use super::traffic::{OTHER_ROUTE, status_index};
use crate::limits::REFUSALS_LISTED_PER_SECOND_MAX;
use crate::metrics::quotient;
use log::kv::{Error, Key, Source, Value, VisitSource};
use log::{Level, Record};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The target of these records, as `RUST_LOG` names it.
pub const TARGET: &str = "baton::requests";

/// Of a sentence that says what went wrong, so much is listed.
const CAUSE_CHARS_MAX: usize = 300;

/// A request that was answered.
pub struct Line<'a> {
    /// `None`: it was refused before that was known.
    pub method: Option<Method>,
    /// The status of the answer.
    pub status: u16,
    /// From its arrival to the end of the answer.
    pub time: Duration,
    /// What the handler knows of it.
    pub note: &'a Note,
    /// Bytes of its body that were read.
    pub bytes_in: u64,
    /// Bytes of the answer's body.
    pub bytes_out: u64,
    /// Whether the client took the answer, as far as can be told.
    pub is_taken: bool,
    /// Where it came from.
    pub remote: Option<SocketAddr>,
}

impl Line<'_> {
    fn level(&self) -> Level {
        match self.status {
            500 | 507 => Level::Error,
            500.. => Level::Warn,
            _ if self.note.is_routine => Level::Debug,
            _ => Level::Info,
        }
    }
}

impl Source for Line<'_> {
    fn visit<'kvs>(&'kvs self, to: &mut dyn VisitSource<'kvs>) -> Result<(), Error> {
        let mut field = |name: &'static str, value: Value<'kvs>| to.visit_pair(Key::from_str(name), value);
        field("method", Value::from(self.method.map_or("-", Method::as_str)))?;
        field("status", Value::from(self.status))?;
        let micros = u64::try_from(self.time.as_micros()).unwrap_or(u64::MAX);
        field("duration_ms", Value::from(quotient(micros, 1e3)))?;
        field("route", Value::from(if self.note.route.is_empty() { OTHER_ROUTE } else { self.note.route }))?;
        for (name, id) in self.note.ids.iter().flatten() {
            field(name, Value::from(*id))?;
        }
        field("bytes_in", Value::from(self.bytes_in))?;
        field("bytes_out", Value::from(self.bytes_out))?;
        if let Some(remote) = &self.remote {
            field("remote", Value::from_display(remote))?;
        }
        if let Some(cause) = self.note.cause.as_deref() {
            let end = cause.char_indices().nth(CAUSE_CHARS_MAX).map_or(cause.len(), |(index, _)| index);
            field("error", Value::from(cause.get(..end).unwrap_or_default()))?;
        }
        if !self.is_taken {
            field("aborted", Value::from(true))?;
        }
        Ok(())
    }
}

/// Writes the records of one server.
pub struct Journal {
    epoch: Instant,
    /// By status.
    allowances: Vec<Allowance>,
}

#[derive(Default)]
struct Allowance {
    second: AtomicU64,
    listed: AtomicU64,
    unlisted: AtomicU64,
}

impl Default for Journal {
    fn default() -> Journal {
        Journal { epoch: Instant::now(), allowances: STATUSES.iter().map(|_| Allowance::default()).collect() }
    }
}

impl Journal {
    /// Writes a record, unless there are too many like it.
    pub fn write(&self, line: &Line<'_>) {
        let level = line.level();
        let is_listed = log::log_enabled!(target: TARGET, level)
            && (line.status < 400 || level > Level::Info || self.may_list(line.status, self.epoch.elapsed()));
        if is_listed {
            let fields: &dyn Source = line;
            let record =
                Record::builder().target(TARGET).level(level).args(format_args!("request")).key_values(&fields).build();
            log::logger().log(&record);
        }
    }

    /// Says how many refusals were not listed since it was last called. To be called every second.
    pub fn tell_unlisted(&self) {
        for (status, count) in self.unlisted() {
            log::info!(target: "baton::http", "{count} more requests were answered {status}; they are not listed");
        }
    }

    fn unlisted(&self) -> impl Iterator<Item = (u16, u64)> + '_ {
        let counts = self.allowances.iter().map(|of| of.unlisted.swap(0, Ordering::Relaxed));
        STATUSES.iter().zip(counts).map(|((status, _), count)| (*status, count)).filter(|(_, count)| *count > 0)
    }

    /// Of threads that come in the same moment in which a second ends, some may be counted with the last one.
    fn may_list(&self, status: u16, at: Duration) -> bool {
        let Some(of) = status_index(status).and_then(|index| self.allowances.get(index)) else { return true };
        if of.second.swap(at.as_secs(), Ordering::Relaxed) != at.as_secs() {
            of.listed.store(0, Ordering::Relaxed);
        }
        let may = of.listed.fetch_add(1, Ordering::Relaxed) < REFUSALS_LISTED_PER_SECOND_MAX;
        if !may {
            of.unlisted.fetch_add(1, Ordering::Relaxed);
        }
        may
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_each_status_so_many_refusals_are_listed_in_a_second_and_the_rest_is_counted() {
        let journal = Journal::default();
        let listed = |status, ms| (0..100).filter(|_| journal.may_list(status, Duration::from_millis(ms))).count();
        assert_eq!([listed(403, 100), listed(403, 999), listed(404, 999)], [20, 0, 20]);
        assert_eq!(journal.unlisted().collect::<Vec<_>>(), [(403, 180), (404, 80)]);
        assert_eq!(journal.unlisted().count(), 0);
        assert_eq!([listed(403, 1000), listed(403, 1999)], [20, 0]);
    }

    #[test]
    fn failures_are_worse_than_refusals_and_routine_is_for_debug() {
        for (status, is_routine, level) in [
            (200, false, Level::Info),
            (200, true, Level::Debug),
            (404, true, Level::Debug),
            (404, false, Level::Info),
            (503, true, Level::Warn),
            (500, true, Level::Error),
            (507, false, Level::Error),
        ] {
            let note = Note { is_routine, ..Note::default() };
            let line = Line {
                method: None,
                status,
                time: Duration::ZERO,
                note: &note,
                bytes_in: 0,
                bytes_out: 0,
                is_taken: true,
                remote: None,
            };
            assert_eq!(line.level(), level, "{status} {is_routine}");
        }
    }
}
