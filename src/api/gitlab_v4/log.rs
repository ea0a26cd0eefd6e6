//! A job's log: its bytes, as far as they may be shown, with ranges.
//!
//! What must stay true: a long log is not held in memory, and one that another has taken the place of is cut off.

use super::call::Call;
use super::route::Answered;
use crate::coordinator::Coordinator;
use crate::domain::build::BuildId;
use crate::error::Error;
use crate::http::budget::Reserved;
use crate::http::headers::range::{ByteRange, resolve};
use crate::http::{Body, Method, Response, Stream};
use std::io::{self, Read};
use std::sync::Arc;

/// Bytes of a log that are held at a time. A log that is shorter is sent as it is.
const PIECE_BYTES: u64 = 256 << 10;

/// Answers a log. A job that has not begun has an empty one: clients give up on an error.
pub fn trace(call: &mut Call<'_, '_>) -> Answered {
    let id = call.job()?;
    call.coordinator().is_job_of(call.project()?.id, id)?;
    let shown = call.coordinator().shown_trace(id)?;
    let range = call.request.headers.get("Range").filter(|_| call.request.method == Method::Get);
    let (status, from, bytes) = match resolve(range, shown.bytes) {
        ByteRange::Whole => (200, 0, shown.bytes),
        ByteRange::Part { start, end } => (206, start, end - start + 1),
        ByteRange::Unsatisfiable => {
            let response = Response::error(416, "").with("Content-Range", format!("bytes */{}", shown.bytes));
            return Ok(response.into());
        }
    };
    let mut log = LogReader {
        coordinator: Arc::clone(&call.api.coordinator),
        id,
        number: shown.number,
        next: from,
        end: from + bytes,
        piece: io::Cursor::new(Vec::new()),
        _transfer: None,
    };
    let body = if bytes <= PIECE_BYTES {
        let mut all = Vec::new();
        log.read_to_end(&mut all).map_err(Error::from)?;
        Body::Bytes(all)
    } else {
        log._transfer = Some(call.api.transfers.reserve(1)?);
        Body::Stream(Stream(Box::new(log)))
    };
    let response = Response::new(status, body)
        .with("Content-Type", "text/plain")
        .with("Content-Disposition", format!("infile; filename=\"{id}.log\""))
        .with("X-Content-Type-Options", "nosniff")
        .with("Accept-Ranges", "bytes")
        .as_routine();
    let total = shown.bytes;
    Ok(match status {
        206 => response.with("Content-Range", format!("bytes {from}-{}/{total}", from + bytes - 1)).into(),
        _ => response.into(),
    })
}

/// The bytes of one trace.
struct LogReader {
    coordinator: Arc<Coordinator>,
    id: BuildId,
    number: i64,
    next: u64,
    end: u64,
    piece: io::Cursor<Vec<u8>>,
    /// The right to a transfer, kept until it ends.
    _transfer: Option<Reserved>,
}

impl Read for LogReader {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let read = self.piece.read(to)?;
        if read > 0 || self.next >= self.end || to.is_empty() {
            return Ok(read);
        }
        let bytes_max = PIECE_BYTES.min(self.end - self.next);
        let piece = self.coordinator.read_numbered_trace(self.id, self.next, bytes_max).map_err(io::Error::other)?;
        if piece.number != self.number || piece.bytes.is_empty() {
            return Err(io::Error::other("another log has taken the place of this one"));
        }
        self.next += piece.bytes.len() as u64;
        self.piece = io::Cursor::new(piece.bytes);
        self.piece.read(to)
    }
}
