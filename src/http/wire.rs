//! Responses that go out. This file alone knows tiny_http, whose headers cannot split a response.

use super::message::{Body, Response, reason};
use super::pace::Pace;
use std::io::{self, ErrorKind, Read, Write};
use std::time::SystemTime;

/// Bytes of a file that are read and sent at a time.
const PIECE_BYTES: usize = 256 << 10;

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
        // One that would begin another line, or another response, is an error there.
        let header = tiny_http::Header::from_bytes(name, value).map_err(|error| io::Error::other(error.to_string()))?;
        write!(head, "{}: {}\r\n", header.field, header.value)?;
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
    use crate::limits::Limits;

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
