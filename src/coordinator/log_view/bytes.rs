//! The bytes of a log, as they are stored or as text.

use super::Shown;
use crate::coordinator::Coordinator;
use crate::domain::build::{BuildId, Status};
use crate::domain::log_plain::PlainLog;
use crate::error::{Error, Result};
use std::io::{self, Read};
use std::sync::Arc;

/// Bytes that are read at a time.
const READ_BYTES: u64 = 256 << 10;

/// A log, as far as it may be shown now.
pub struct LogBytes {
    coordinator: Arc<Coordinator>,
    id: BuildId,
    shown: Shown,
}

impl Coordinator {
    /// The bytes of a build's log.
    ///
    /// # Errors
    /// [`crate::error::Kind::NotFound`] for an unknown build.
    pub fn log_bytes(self: &Arc<Self>, id: BuildId) -> Result<LogBytes> {
        Ok(LogBytes { coordinator: Arc::clone(self), id, shown: self.shown_log(id)? })
    }
}

impl LogBytes {
    /// How many there are.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.shown.bytes
    }

    /// Which of all logs it is; 0: none is stored.
    #[must_use]
    pub fn number(&self) -> i64 {
        self.shown.number
    }

    /// The state of its build.
    #[must_use]
    pub fn status(&self) -> Status {
        self.shown.status
    }

    /// Those from `from` to before `to`, as they are stored. It breaks off if another log takes this one's place.
    #[must_use]
    pub fn read(self, from: u64, to: u64) -> impl Read + Send + use<> {
        Source { end: to.min(self.shown.bytes), log: self, at: from, piece: io::Cursor::default(), plain: None }
    }

    /// All of it as text, without escapes, times and marks of sections.
    #[must_use]
    pub fn read_plain(self) -> impl Read + Send + use<> {
        let plain = Some(PlainLog::default());
        Source { end: self.shown.bytes, log: self, at: 0, piece: io::Cursor::default(), plain }
    }
}

struct Source {
    log: LogBytes,
    at: u64,
    end: u64,
    piece: io::Cursor<Vec<u8>>,
    plain: Option<PlainLog>,
}

impl Source {
    /// The next bytes to give; none at the end.
    fn next_piece(&mut self) -> Result<Vec<u8>> {
        while self.at < self.end {
            let bytes_max = READ_BYTES.min(self.end - self.at);
            let LogBytes { coordinator, id, shown } = &self.log;
            let bytes = coordinator.read_shown(*id, *shown, self.at, bytes_max)?;
            if bytes.is_empty() {
                return Err(Error::internal("a log is shorter than it was"));
            }
            self.at += bytes.len() as u64;
            let piece = self.plain.as_mut().map_or_else(|| bytes.clone(), |plain| plain.push(&bytes));
            if !piece.is_empty() {
                return Ok(piece);
            }
        }
        Ok(self.plain.take().map(|mut plain| plain.finish()).unwrap_or_default())
    }
}

impl Read for Source {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.piece.position() >= self.piece.get_ref().len() as u64 && !out.is_empty() {
            self.piece = io::Cursor::new(self.next_piece().map_err(io::Error::other)?);
        }
        self.piece.read(out)
    }
}
