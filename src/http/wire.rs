//! Bodies that come in, bounded in time and size, and responses that go out.

use super::gate::Framing;
use super::message::{Body, Response, reason};
use crate::limits::Limits;
use std::io::{self, ErrorKind, Read, Write};
use std::time::{Duration, Instant, SystemTime};

/// Bytes of a file that are read and sent at a time.
const PIECE_BYTES: usize = 256 << 10;

/// How long a transfer may take: it must always move, and after a grace at no less than a rate.
///
/// A single read or write that makes no progress fails by itself, by the socket's own timeouts.
pub struct Pace {
    started: Instant,
    grace: Duration,
    bytes_per_second_min: u64,
    stall_time_max: Duration,
    bytes: u64,
}

impl Pace {
    /// A transfer that begins now.
    #[must_use]
    pub fn new(limits: &Limits) -> Pace {
        Pace {
            started: Instant::now(),
            grace: limits.transfer_grace,
            bytes_per_second_min: limits.transfer_bytes_per_second_min,
            stall_time_max: limits.stall_time_max,
            bytes: 0,
        }
    }

    fn check(&self) -> io::Result<()> {
        let earned = Duration::from_secs(self.bytes / self.bytes_per_second_min.max(1));
        if self.started.elapsed() > self.grace + earned {
            return Err(io::Error::new(ErrorKind::TimedOut, "the transfer is too slow"));
        }
        Ok(())
    }
}

/// A request's body.
pub struct Incoming<R> {
    reader: R,
    pace: Pace,
    /// Bytes that are still to come of a body with a length.
    left: Option<u64>,
    finished: bool,
    failed: bool,
}

impl<R: Read> Incoming<R> {
    /// The body that `reader` delivers.
    pub fn new(reader: R, framing: Framing, pace: Pace) -> Incoming<R> {
        let left = match framing {
            Framing::Length(bytes) => Some(bytes),
            Framing::Chunked => None,
        };
        Incoming { reader, pace, left, finished: left == Some(0), failed: false }
    }

    /// Whether the whole body was read, so that the connection stands at the next request.
    pub fn is_finished(&self) -> bool {
        self.finished
    }

    /// Bytes that were read so far.
    pub fn bytes_read(&self) -> u64 {
        self.pace.bytes
    }

    /// Reads and drops the rest, if it is at most `bytes_max` long. Returns whether that was all.
    pub fn skip_rest(&mut self, bytes_max: u64) -> bool {
        if !self.finished && !self.failed && self.left.is_none_or(|left| left <= bytes_max) {
            let rest = io::copy(&mut self.by_ref().take(bytes_max), &mut io::sink());
            if rest.is_ok() && !self.finished {
                // At the end of a body of just this length: one more read says so.
                self.failed = !matches!(self.read(&mut [0]), Ok(0));
            }
        }
        self.finished
    }
}

impl<R: Read> Read for Incoming<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.finished || buffer.is_empty() {
            return Ok(0);
        }
        let started = Instant::now();
        let result = self.pace.check().and_then(|()| self.reader.read(buffer));
        match result {
            Ok(0) => match self.left {
                Some(left) => {
                    self.failed = true;
                    Err(io::Error::new(ErrorKind::UnexpectedEof, format!("{left} bytes are missing")))
                }
                None => {
                    self.finished = true;
                    Ok(0)
                }
            },
            Ok(count) => {
                self.pace.bytes += count as u64;
                if let Some(left) = &mut self.left {
                    *left = left.saturating_sub(count as u64);
                    self.finished = *left == 0;
                }
                Ok(count)
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => Err(error),
            Err(error) => {
                self.failed = true;
                // What a socket's timeout looks like; the decoder of chunks hides it.
                let timed_out = error.kind() == ErrorKind::WouldBlock || started.elapsed() >= self.pace.stall_time_max;
                Err(if timed_out { io::Error::new(ErrorKind::TimedOut, "nothing arrived") } else { error })
            }
        }
    }
}

/// Writes a response: head and a small body in one piece, files in pieces of 256 KiB.
///
/// # Errors
/// The connection's, or a client that reads too slowly.
pub fn write_response(
    to: &mut dyn Write,
    response: Response,
    with_body: bool,
    keep_alive: bool,
    mut pace: Pace,
) -> io::Result<()> {
    let mut head = Vec::with_capacity(512);
    write!(head, "HTTP/1.1 {} {}\r\n", response.status, reason(response.status))?;
    write!(head, "Server: baton\r\nDate: {}\r\n", http_date())?;
    for (name, value) in &response.headers {
        write!(head, "{name}: {value}\r\n")?;
    }
    // A 204 and a 304 have no body, and no length of one (RFC 9110, 8.6).
    if response.status != 204 && response.status != 304 {
        write!(head, "Content-Length: {}\r\n", response.body.len())?;
    }
    head.extend_from_slice(if keep_alive { b"\r\n" } else { b"Connection: close\r\n\r\n" });
    match response.body {
        Body::Bytes(bytes) => {
            if with_body {
                head.extend_from_slice(&bytes);
            }
            for piece in head.chunks(PIECE_BYTES) {
                send(to, piece, &mut pace)?;
            }
        }
        Body::File { mut file, bytes, transfer: _transfer } => {
            send(to, &head, &mut pace)?;
            if with_body {
                copy(&mut file, bytes, to, &mut pace)?;
            }
        }
    }
    to.flush()
}

fn copy(from: &mut dyn Read, bytes: u64, to: &mut dyn Write, pace: &mut Pace) -> io::Result<()> {
    let mut left = bytes;
    let mut piece = vec![0; PIECE_BYTES.min(usize::try_from(bytes).unwrap_or(PIECE_BYTES))];
    while left > 0 {
        let room = piece.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let count = from.read(piece.get_mut(..room).unwrap_or_default())?;
        if count == 0 {
            // The length is promised already: the client must see that something is missing.
            return Err(io::Error::new(ErrorKind::UnexpectedEof, "the file is shorter than its row says"));
        }
        send(to, piece.get(..count).unwrap_or_default(), pace)?;
        left -= count as u64;
    }
    Ok(())
}

fn send(to: &mut dyn Write, bytes: &[u8], pace: &mut Pace) -> io::Result<()> {
    pace.check()?;
    to.write_all(bytes)?;
    pace.bytes += bytes.len() as u64;
    Ok(())
}

/// RFC 9110, 5.6.7.
fn http_date() -> String {
    httpdate::fmt_http_date(SystemTime::now())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(grace: Duration) -> Limits {
        Limits { transfer_grace: grace, ..Limits::default() }
    }

    #[test]
    fn a_body_that_ends_early_is_an_error_and_a_chunked_one_ends_with_its_reader() {
        let mut short = Incoming::new(&b"abc"[..], Framing::Length(5), Pace::new(&Limits::default()));
        assert_eq!(io::copy(&mut short, &mut io::sink()).unwrap_err().kind(), ErrorKind::UnexpectedEof);
        assert!(!short.is_finished() && !short.skip_rest(100));
        let mut chunked = Incoming::new(&b"abc"[..], Framing::Chunked, Pace::new(&Limits::default()));
        assert!(!chunked.is_finished());
        assert!(chunked.skip_rest(3));
    }

    #[test]
    fn only_a_small_rest_is_skipped() {
        let mut body = Incoming::new(&b"abcdef"[..], Framing::Length(6), Pace::new(&Limits::default()));
        assert!(!body.skip_rest(5));
        assert!(body.skip_rest(6));
    }

    #[test]
    fn a_body_slower_than_the_rate_fails() {
        let mut slow = Incoming::new(io::repeat(0), Framing::Chunked, Pace::new(&limits(Duration::ZERO)));
        std::thread::sleep(Duration::from_millis(2));
        assert_eq!(slow.read(&mut [0; 4]).unwrap_err().kind(), ErrorKind::TimedOut);
    }

    #[test]
    fn a_response_is_written_whole_and_its_headers_cannot_be_split() {
        let response = Response::error(404, "").with("X-Test", "a\r\nEvil: b");
        let mut out = Vec::new();
        write_response(&mut out, response, true, false, Pace::new(&Limits::default())).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(text.starts_with("HTTP/1.1 404 Not Found\r\nServer: baton\r\nDate: "), "{text}");
        assert!(text.contains("\r\nX-Test: aEvil: b\r\n"), "{text}");
        assert!(
            text.ends_with("Content-Length: 27\r\nConnection: close\r\n\r\n{\"message\":\"404 Not Found\"}"),
            "{text}"
        );
    }
}
