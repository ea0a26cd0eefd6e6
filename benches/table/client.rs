//! One blocking connection, for latencies and for what comes before the measuring.

use crate::wire::{header, parse_head};
use std::fs::File;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

/// An answer, whole.
pub struct Answer {
    pub status: u16,
    /// Whether the connection ends with it.
    pub closes: bool,
    pub head: Vec<u8>,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        header(&self.head, name)
    }

    #[track_caller]
    pub fn expect(self, status: u16) -> Answer {
        let body = String::from_utf8_lossy(&self.body);
        assert_eq!(self.status, status, "{body}");
        self
    }
}

/// A connection, kept for further requests until the server ends it.
pub struct Client {
    address: SocketAddr,
    stream: Option<TcpStream>,
}

impl Client {
    pub fn new(address: SocketAddr) -> Client {
        Client { address, stream: None }
    }

    /// Sends a request and waits for its answer.
    pub fn ask(&mut self, request: &[u8]) -> Answer {
        let stream = self.stream.get_or_insert_with(|| connect(self.address));
        stream.write_all(request).unwrap();
        let answer = read_answer(stream);
        if answer.closes {
            self.stream = None;
        }
        answer
    }
}

fn read_answer(stream: &mut TcpStream) -> Answer {
    let (mut piece, mut input) = ([0; 16 << 10], Vec::new());
    loop {
        let count = stream.read(&mut piece).unwrap();
        assert!(count > 0, "the server hung up instead of answering");
        input.extend_from_slice(&piece[..count]);
        if let Some(head) = parse_head(&input)
            && input.len() as u64 >= head.len as u64 + head.body_bytes
        {
            let body = input.split_off(head.len);
            return Answer { status: head.status, closes: head.closes, head: input, body };
        }
    }
}

pub fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(120))).unwrap();
    stream
}

/// One request over a connection of its own.
pub fn ask_once(address: SocketAddr, request: &[u8]) -> Answer {
    Client::new(address).ask(request)
}

/// Bytes of a large body that are read or written at a time.
const PIECE_BYTES: usize = 256 << 10;

/// How the end of a body is told.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    Length,
    Chunked,
}

/// A large body: a file, and what stands before and behind it.
pub struct Body<'a> {
    pub before: &'a [u8],
    pub file: &'a Path,
    pub after: &'a [u8],
}

/// Sends a request with a large body over a connection of its own; `make_head` is given the header that says how long
/// the body is. Between the pieces `pause` is called with the bytes of the file that were sent.
pub fn send_large(
    address: SocketAddr,
    framing: Framing,
    make_head: impl FnOnce((&str, &str)) -> Vec<u8>,
    body: &Body<'_>,
    mut pause: impl FnMut(u64),
) -> Answer {
    let mut file = File::open(body.file).unwrap();
    let bytes = file.metadata().unwrap().len() + (body.before.len() + body.after.len()) as u64;
    let mut stream = connect(address);
    stream
        .write_all(&match framing {
            Framing::Length => make_head(("Content-Length", &bytes.to_string())),
            Framing::Chunked => make_head(("Transfer-Encoding", "chunked")),
        })
        .unwrap();
    let mut send = |piece: &[u8]| match framing {
        Framing::Length => stream.write_all(piece).unwrap(),
        Framing::Chunked => {
            stream.write_all(format!("{:x}\r\n", piece.len()).as_bytes()).unwrap();
            stream.write_all(piece).unwrap();
            stream.write_all(b"\r\n").unwrap();
        }
    };
    send(body.before);
    let (mut piece, mut sent) = (vec![0; PIECE_BYTES], 0);
    loop {
        let count = file.read(&mut piece).unwrap();
        if count == 0 {
            break;
        }
        send(&piece[..count]);
        sent += count as u64;
        pause(sent);
    }
    send(body.after);
    if framing == Framing::Chunked {
        stream.write_all(b"0\r\n\r\n").unwrap();
    }
    read_answer(&mut stream)
}

/// Asks for a large body over a connection of its own and hands its pieces to `take`; the body's length.
pub fn receive_large(address: SocketAddr, request: &[u8], mut take: impl FnMut(&[u8])) -> u64 {
    let mut stream = connect(address);
    stream.write_all(request).unwrap();
    let (mut piece, mut input) = (vec![0; PIECE_BYTES], Vec::new());
    let head = loop {
        let count = stream.read(&mut piece).unwrap();
        assert!(count > 0, "the server hung up instead of answering");
        input.extend_from_slice(&piece[..count]);
        if let Some(head) = parse_head(&input) {
            break head;
        }
    };
    assert_eq!(head.status, 200);
    let begun = input.split_off(head.len);
    take(&begun);
    let mut received = begun.len() as u64;
    while received < head.body_bytes {
        let count = stream.read(&mut piece).unwrap();
        assert!(count > 0, "the body is cut off after {received} bytes");
        take(&piece[..count]);
        received += count as u64;
    }
    received
}
