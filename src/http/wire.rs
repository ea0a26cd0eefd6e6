//! Responses that go out. This file alone knows tiny_http, whose headers cannot split a response.

use super::message::{Body, Response, reason};
use super::slow_clients::Pace;
use std::io::{self, ErrorKind, Read, Write};
use std::time::{Instant, SystemTime};

/// Bytes of a file that are read and sent at a time.
const PIECE_BYTES: usize = 256 << 10;
/// Bytes of a stream that are passed on at a time: what a pipe holds.
const STREAM_PIECE_BYTES: usize = 64 << 10;

/// Writes a response: head and a small body in one piece, files in pieces of 256 KiB. What has no length is sent in chunks; on
/// a connection that carries nothing further, which is all that clients of HTTP/1.0 have, it ends with the connection.
/// Returns how many bytes of the body were written.
///
/// # Errors
/// The connection's, or a client that reads too slowly.
pub fn write_response(
    to: &mut dyn Write,
    response: Response,
    with_body: bool,
    keep_alive: bool,
    mut pace: Pace,
) -> io::Result<u64> {
    let mut head = Vec::with_capacity(512);
    write!(head, "HTTP/1.1 {} {}\r\n", response.status, reason(response.status))?;
    write!(head, "Server: baton\r\nDate: {}\r\n", http_date())?;
    for (name, value) in &response.headers {
        // One that would begin another line, or another response, is an error there.
        let header = tiny_http::Header::from_bytes(name, value).map_err(|error| io::Error::other(error.to_string()))?;
        write!(head, "{}: {}\r\n", header.field, header.value)?;
    }
    // A 204 and a 304 have no body, and no length of one (RFC 9110, 8.6).
    match response.body.len() {
        Some(bytes) if response.status != 204 && response.status != 304 => {
            write!(head, "Content-Length: {bytes}\r\n")?;
        }
        None if keep_alive => head.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
        Some(_) | None => {}
    }
    head.extend_from_slice(if keep_alive { b"\r\n" } else { b"Connection: close\r\n\r\n" });
    let sent = match response.body {
        Body::Bytes(bytes) => {
            let length = bytes.len() as u64;
            if with_body {
                head.extend_from_slice(&bytes);
            }
            for piece in head.chunks(PIECE_BYTES) {
                send(to, piece, &mut pace)?;
            }
            length
        }
        Body::File { mut file, bytes, transfer: _transfer } => {
            send(to, &head, &mut pace)?;
            if with_body {
                copy(&mut file, bytes, to, &mut pace)?;
            }
            bytes
        }
        Body::Stream(mut stream) => {
            send(to, &head, &mut pace)?;
            if with_body { pass_on(&mut *stream.0, keep_alive, to, &mut pace)? } else { 0 }
        }
    };
    to.flush()?;
    Ok(if with_body { sent } else { 0 })
}

/// Sends all that comes, in chunks or as it is. Time in which nothing comes is not the client's.
fn pass_on(from: &mut dyn Read, in_chunks: bool, to: &mut dyn Write, pace: &mut Pace) -> io::Result<u64> {
    let mut piece = vec![0; STREAM_PIECE_BYTES];
    let mut framed = Vec::with_capacity(STREAM_PIECE_BYTES + 16);
    let mut sent = 0;
    loop {
        let begun = Instant::now();
        let count = match from.read(&mut piece) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            read => read?,
        };
        pace.waited(begun.elapsed());
        let bytes = piece.get(..count).unwrap_or_default();
        if in_chunks {
            framed.clear();
            write!(framed, "{count:x}\r\n")?;
            framed.extend_from_slice(bytes);
            framed.extend_from_slice(b"\r\n");
            send(to, &framed, pace)?;
        } else {
            send(to, bytes, pace)?;
        }
        if count == 0 {
            return Ok(sent);
        }
        sent += count as u64;
    }
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
    pace.moved(bytes.len());
    Ok(())
}

/// RFC 9110, 5.6.7.
fn http_date() -> String {
    httpdate::fmt_http_date(SystemTime::now())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::message::Stream;
    use crate::limits::Limits;

    /// Delivers these pieces, one at a time, and then maybe fails.
    struct Pieces(Vec<&'static [u8]>, bool);

    impl Read for Pieces {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            match self.0.pop() {
                Some(piece) => {
                    buffer[..piece.len()].copy_from_slice(piece);
                    Ok(piece.len())
                }
                None if self.1 => Err(ErrorKind::TimedOut.into()),
                None => Ok(0),
            }
        }
    }

    #[test]
    fn a_stream_is_chunked_or_ends_with_its_connection_and_an_error_shows() {
        let written = |keep, fails| {
            let stream = Stream(Box::new(Pieces(vec![b"0123456789abcdef!", b"ab"], fails)));
            let mut out = Vec::new();
            let response = Response::new(200, Body::Stream(stream));
            let sent = write_response(&mut out, response, true, keep, Pace::new(&Limits::default()));
            let text = String::from_utf8(out).unwrap();
            let (head, body) = text.split_once("\r\n\r\n").unwrap();
            assert_eq!(head.contains("Transfer-Encoding: chunked"), keep);
            assert!(!head.contains("Content-Length"));
            (sent.ok(), body.to_owned())
        };
        assert_eq!(written(true, false), (Some(19), "2\r\nab\r\n11\r\n0123456789abcdef!\r\n0\r\n\r\n".to_owned()));
        assert_eq!(written(true, true), (None, "2\r\nab\r\n11\r\n0123456789abcdef!\r\n".to_owned()));
        assert_eq!(written(false, false), (Some(19), "ab0123456789abcdef!".to_owned()));
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
