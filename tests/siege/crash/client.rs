//! Requests to a server that may die at any moment.

use crate::harness::{Request, Response};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// A server that is alive and does not answer within this fails the test.
const PATIENCE: Duration = Duration::from_secs(60);

/// What became of a request.
pub enum Outcome {
    Answered(Response),
    /// The answer's head came and the body did not: what was asked for was acknowledged, or refused.
    Cut(u16),
    /// Sent, in whole or in part, and no answer: it was done or it was not.
    Doubtful,
    /// Nobody listened.
    Unsent,
}

/// Sends a request over a connection of its own.
pub fn try_send(address: SocketAddr, request: Request) -> Outcome {
    let Ok(mut stream) = TcpStream::connect(address) else { return Outcome::Unsent };
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    // An answer may have come even if not all could be written.
    let _ = stream.write_all(&request.header("Connection", "close").bytes());
    let mut wire = Vec::new();
    let ended = stream.read_to_end(&mut wire);
    if let Err(error) = ended {
        let is_silence = matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut);
        assert!(!is_silence, "no answer for a minute: {}", String::from_utf8_lossy(&wire));
    }
    parse(&wire)
}

fn parse(wire: &[u8]) -> Outcome {
    let Some(end) = wire.windows(4).position(|window| window == b"\r\n\r\n") else { return Outcome::Doubtful };
    let head = String::from_utf8(wire[..end].to_vec()).expect("a head in ASCII");
    let body = &wire[end + 4..];
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok());
    let status: u16 = status.unwrap_or_else(|| panic!("no status line: {head}"));
    let headers = lines.map(|line| line.split_once(": ").unwrap_or_else(|| panic!("no header: {line:?}")));
    let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let mut response = Response { status, headers, body: vec![] };
    let whole = match (response.header("Content-Length"), response.header("Transfer-Encoding")) {
        (Some(length), None) => (length.parse() == Ok(body.len())).then(|| body.to_vec()),
        (None, Some(_)) => unchunked(body),
        _ => Some(body.to_vec()),
    };
    match whole {
        Some(body) => {
            response.body = body;
            Outcome::Answered(response)
        }
        None => Outcome::Cut(status),
    }
}

fn unchunked(mut wire: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = wire.windows(2).position(|window| window == b"\r\n")?;
        let size = usize::from_str_radix(std::str::from_utf8(&wire[..end]).ok()?, 16).ok()?;
        wire = wire.get(end + 2..)?;
        if size == 0 {
            return Some(body);
        }
        body.extend_from_slice(wire.get(..size)?);
        wire = wire.get(size + 2..)?;
    }
}
