//! Bodies that come in, bounded in time and size.
//!
//! What must stay true: not a byte behind the body is taken from the connection, so that the next request lies
//! whole in the kernel's buffer, where the gate looks at it; a body that is cut off never ends like a whole one;
//! no line of the chunked framing makes memory grow.

use super::gate::Framing;
use super::slow_clients::Pace;
use crate::limits::{CHUNK_LINE_BYTES_MAX, Limits, TRAILERS_BYTES_MAX};
use httparse::Status;
use std::io::{self, ErrorKind, Read};
use std::mem;
use std::net::TcpStream;

/// Bytes of a line that are looked at at a time; most lines are shorter.
const GLANCE_BYTES: usize = 64;
/// What is answered when a client waits for a word before it sends the body.
const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// What bodies are read from: a connection, which can also be looked at without taking anything.
pub trait Source: Read {
    /// Waits for bytes, and copies what has arrived without taking it. 0: there will be no more.
    fn peek(&mut self, into: &mut [u8]) -> io::Result<usize>;

    /// Sends a few bytes to whoever sends the body.
    fn say(&mut self, bytes: &[u8]) -> io::Result<()>;
}

impl<S: Source + ?Sized> Source for &mut S {
    fn peek(&mut self, into: &mut [u8]) -> io::Result<usize> {
        (**self).peek(into)
    }

    fn say(&mut self, bytes: &[u8]) -> io::Result<()> {
        (**self).say(bytes)
    }
}

/// A body that was taken from its connection already.
impl Source for &[u8] {
    fn peek(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let mut unread = *self;
        unread.read(into)
    }

    fn say(&mut self, _: &[u8]) -> io::Result<()> {
        Ok(())
    }
}

impl Source for &TcpStream {
    fn peek(&mut self, into: &mut [u8]) -> io::Result<usize> {
        TcpStream::peek(self, into)
    }

    fn say(&mut self, bytes: &[u8]) -> io::Result<()> {
        io::Write::write_all(self, bytes)
    }
}

/// A request's body.
pub struct Incoming<S> {
    source: Paced<S>,
    rest: Rest,
    /// Whether the client waits for [`CONTINUE`].
    is_awaited: bool,
    bytes_read: u64,
    failed: bool,
}

/// What of a body is still to come.
enum Rest {
    /// So many bytes.
    Bytes(u64),
    /// A line with a chunk's size; `behind_data`: and before it the end of the last chunk's data.
    Size { behind_data: bool },
    /// So many bytes of a chunk.
    Chunk(u64),
    /// Nothing.
    None,
}

impl<S: Source> Incoming<S> {
    /// The body that `source` stands at. `expects_continue`: the client waits to be asked for it.
    pub fn new(source: S, framing: Framing, expects_continue: bool, limits: &Limits) -> Incoming<S> {
        let rest = match framing {
            Framing::Length(0) => Rest::None,
            Framing::Length(bytes) => Rest::Bytes(bytes),
            Framing::Chunked => Rest::Size { behind_data: false },
        };
        let source = Paced { source, pace: Pace::new(limits) };
        Incoming { source, rest, is_awaited: expects_continue, bytes_read: 0, failed: false }
    }

    /// Whether the whole body was read, so that the connection stands at the next request.
    pub fn is_finished(&self) -> bool {
        matches!(self.rest, Rest::None) && !self.failed
    }

    /// Bytes of the body that were read so far, without those that frame it.
    pub fn bytes_read(&self) -> u64 {
        self.bytes_read
    }

    /// Reads and drops the rest, if it has a length of at most `bytes_max`. Returns whether that was all.
    pub fn skip_rest(&mut self, bytes_max: u64) -> bool {
        if matches!(self.rest, Rest::Bytes(left) if left <= bytes_max) && !self.failed {
            let _ = io::copy(self, &mut io::sink());
        }
        self.is_finished()
    }

    fn read_on(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if mem::take(&mut self.is_awaited) {
            self.source.source.say(CONTINUE)?;
        }
        loop {
            match self.rest {
                Rest::None => return Ok(0),
                Rest::Bytes(left) => {
                    let count = self.source.read_some(buffer, left)?;
                    let left = left - count as u64;
                    self.rest = if left == 0 { Rest::None } else { Rest::Bytes(left) };
                    return Ok(count);
                }
                Rest::Chunk(left) => {
                    let count = self.source.read_some(buffer, left)?;
                    let left = left - count as u64;
                    self.rest = if left == 0 { Rest::Size { behind_data: true } } else { Rest::Chunk(left) };
                    return Ok(count);
                }
                Rest::Size { behind_data } => self.rest = self.source.next_chunk(behind_data)?,
            }
        }
    }
}

impl<S: Source> Read for Incoming<S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() || self.is_finished() {
            return Ok(0);
        }
        if self.failed {
            return Err(io::Error::new(ErrorKind::UnexpectedEof, "the body had failed before"));
        }
        match self.read_on(buffer) {
            Ok(count) => {
                self.bytes_read += count as u64;
                Ok(count)
            }
            Err(error) => {
                self.failed = true;
                // What a socket's timeout looks like.
                let is_late = error.kind() == ErrorKind::WouldBlock;
                Err(if is_late { io::Error::new(ErrorKind::TimedOut, "nothing arrived") } else { error })
            }
        }
    }
}

/// A source that is read at a pace.
struct Paced<S> {
    source: S,
    pace: Pace,
}

impl<S: Source> Paced<S> {
    /// Reads at least one and at most `most` bytes.
    fn read_some(&mut self, buffer: &mut [u8], most: u64) -> io::Result<usize> {
        let room = buffer.len().min(usize::try_from(most).unwrap_or(usize::MAX));
        let count = self.paced(|source| source.read(buffer.get_mut(..room).unwrap_or_default()))?;
        self.pace.moved(count);
        if count == 0 { Err(cut_off()) } else { Ok(count) }
    }

    fn paced<T>(&mut self, mut read: impl FnMut(&mut S) -> io::Result<T>) -> io::Result<T> {
        loop {
            self.pace.check()?;
            match read(&mut self.source) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }

    /// Reads what stands before a chunk's data: its size, or, with the last one, the trailers, which say nothing
    /// that is of use here.
    fn next_chunk(&mut self, behind_data: bool) -> io::Result<Rest> {
        let mut line = Vec::new();
        if behind_data {
            self.line(&mut line)?;
            if line != b"\r\n" {
                return Err(malformed("a chunk is longer than its size says"));
            }
        }
        self.line(&mut line)?;
        // httparse takes a line without any digit for a size of zero.
        let has_digit = line.first().is_some_and(u8::is_ascii_hexdigit);
        let size = match httparse::parse_chunk_size(&line) {
            Ok(Status::Complete((bytes, size))) if has_digit && bytes == line.len() => size,
            Ok(_) | Err(_) => return Err(malformed("a chunk's size is no hexadecimal number")),
        };
        if size > 0 {
            return Ok(Rest::Chunk(size));
        }
        let mut left = TRAILERS_BYTES_MAX;
        loop {
            self.line(&mut line)?;
            if line == b"\r\n" {
                return Ok(Rest::None);
            }
            left = left.checked_sub(line.len()).ok_or_else(|| malformed("the trailers are too long"))?;
        }
    }

    /// Takes one line, its end included, and nothing behind it.
    fn line(&mut self, line: &mut Vec<u8>) -> io::Result<()> {
        line.clear();
        let mut glance = [0; GLANCE_BYTES];
        loop {
            let seen = self.paced(|source| source.peek(&mut glance))?;
            let arrived = glance.get(..seen).unwrap_or_default();
            let end = memchr::memchr(b'\n', arrived);
            let count = end.map_or(seen, |index| index + 1);
            let taken = self.read_some(glance.get_mut(..count).unwrap_or_default(), u64::MAX)?;
            line.extend_from_slice(glance.get(..taken).unwrap_or_default());
            if memchr::memchr(b'\r', line).is_some_and(|index| line.get(index + 1).is_some_and(|next| *next != b'\n')) {
                return Err(malformed("a line has a CR that does not end it"));
            }
            if line.ends_with(b"\n") {
                return if line.ends_with(b"\r\n") { Ok(()) } else { Err(malformed("a line ends without CR")) };
            }
            if line.len() >= CHUNK_LINE_BYTES_MAX {
                return Err(malformed("a line of the chunked framing is too long"));
            }
        }
    }
}

fn malformed(why: &'static str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, why)
}

fn cut_off() -> io::Error {
    io::Error::new(ErrorKind::UnexpectedEof, "the body is cut off")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::time::Duration;

    /// Bytes that arrive in pieces of a size.
    struct Pieces<'a> {
        bytes: &'a [u8],
        size: usize,
        said: Vec<u8>,
    }

    impl Pieces<'_> {
        fn new(bytes: &[u8], size: usize) -> Pieces<'_> {
            Pieces { bytes, size, said: vec![] }
        }
    }

    impl Read for Pieces<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let count = self.bytes.len().min(self.size).min(buffer.len());
            let (now, later) = self.bytes.split_at(count);
            buffer[..count].copy_from_slice(now);
            self.bytes = later;
            Ok(count)
        }
    }

    impl Source for Pieces<'_> {
        fn peek(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let count = self.bytes.len().min(self.size).min(into.len());
            into[..count].copy_from_slice(&self.bytes[..count]);
            Ok(count)
        }

        fn say(&mut self, bytes: &[u8]) -> io::Result<()> {
            self.said.write_all(bytes)
        }
    }

    fn read(pieces: &mut Pieces<'_>, framing: Framing) -> (io::Result<Vec<u8>>, bool) {
        let mut body = Incoming::new(pieces, framing, false, &Limits::default());
        let mut all = vec![];
        let result = body.read_to_end(&mut all).map(|_| all);
        (result, body.is_finished())
    }

    #[test]
    fn a_body_ends_where_its_length_says_and_is_never_whole_before() {
        for size in [1, 2, 100] {
            let mut pieces = Pieces::new(b"abcdeGET /", size);
            let (result, is_finished) = read(&mut pieces, Framing::Length(5));
            assert_eq!((result.unwrap().as_slice(), is_finished), (&b"abcde"[..], true));
            assert_eq!(pieces.bytes, b"GET /", "taken in pieces of {size}");
            let (result, is_finished) = read(&mut Pieces::new(b"abc", size), Framing::Length(5));
            assert_eq!((result.unwrap_err().kind(), is_finished), (ErrorKind::UnexpectedEof, false));
        }
    }

    #[test]
    fn a_chunked_body_ends_with_its_last_line_and_what_follows_is_left() {
        let long = format!("{:x}\r\n{}\r\n0\r\n\r\n", 5000, "y".repeat(5000));
        for (bytes, expected) in [
            ("0\r\n\r\n", String::new()),
            ("5\r\nhello\r\n0\r\n\r\n", "hello".to_owned()),
            ("005 \r\nhello\r\n1;a=b\r\n!\r\n0;x\r\nA: b\r\nC: d\r\n\r\n", "hello!".to_owned()),
            (long.as_str(), "y".repeat(5000)),
        ] {
            for size in [1, 2, 3, 7, 64, 10_000] {
                let all = format!("{bytes}GET / HTTP/1.1\r\n");
                let mut pieces = Pieces::new(all.as_bytes(), size);
                let (result, is_finished) = read(&mut pieces, Framing::Chunked);
                assert_eq!(String::from_utf8(result.unwrap()).unwrap(), expected, "{bytes:?} in pieces of {size}");
                assert!(is_finished);
                assert_eq!(pieces.bytes, b"GET / HTTP/1.1\r\n", "{bytes:?} in pieces of {size}");
                // Cut off anywhere, it is not whole.
                for end in 0..bytes.len() {
                    let (result, is_finished) =
                        read(&mut Pieces::new(&bytes.as_bytes()[..end], size), Framing::Chunked);
                    assert!(result.is_err() && !is_finished, "{:?} passes for whole", &bytes[..end]);
                    if end > 200 {
                        break;
                    }
                }
            }
        }
    }

    #[test]
    fn malformed_chunks_are_errors_and_no_line_grows() {
        let long = "0".repeat(CHUNK_LINE_BYTES_MAX + GLANCE_BYTES);
        let trailers = format!("0\r\n{}\r\n", "A: b\r\n".repeat(TRAILERS_BYTES_MAX / 6 + 1));
        for bytes in [
            "x\r\nhello\r\n0\r\n\r\n",
            "\r\nhello\r\n0\r\n\r\n",
            " \r\n\r\n",
            ";a\r\n\r\n",
            "-5\r\nhello\r\n0\r\n\r\n",
            "0x5\r\nhello\r\n0\r\n\r\n",
            "5\rhello",
            "5\nhello\r\n0\r\n\r\n",
            "5\r\nhelloworld\r\n0\r\n\r\n",
            "5\r\nhello0\r\n\r\n",
            "5\r\nhello\n0\r\n\r\n",
            "1ffffffffffffffff\r\nhello\r\n0\r\n\r\n",
            "5\u{e9}\r\nhello\r\n0\r\n\r\n",
            "0\r\nA: b\n\r\n",
            long.as_str(),
            trailers.as_str(),
        ] {
            for size in [1, 10_000] {
                let (result, is_finished) = read(&mut Pieces::new(bytes.as_bytes(), size), Framing::Chunked);
                let kind = result.map_err(|error| error.kind());
                assert_eq!(kind.unwrap_err(), ErrorKind::InvalidData, "{:?}", &bytes[..bytes.len().min(40)]);
                assert!(!is_finished);
            }
        }
    }

    #[test]
    fn only_a_small_rest_of_a_known_length_is_skipped() {
        let mut pieces = Pieces::new(b"abcdef", 2);
        let mut body = Incoming::new(&mut pieces, Framing::Length(6), false, &Limits::default());
        assert!(!body.skip_rest(5));
        assert!(body.skip_rest(6));
        let mut pieces = Pieces::new(b"0\r\n\r\n", 2);
        assert!(!Incoming::new(&mut pieces, Framing::Chunked, false, &Limits::default()).skip_rest(100));
    }

    #[test]
    fn a_client_that_waits_to_be_asked_is_asked_when_somebody_reads() {
        let mut pieces = Pieces::new(b"abc", 3);
        let mut body = Incoming::new(&mut pieces, Framing::Length(3), true, &Limits::default());
        assert_eq!(body.read(&mut [0; 2]).unwrap(), 2);
        assert_eq!(body.read(&mut [0; 2]).unwrap(), 1);
        assert_eq!(pieces.said, CONTINUE);
        let mut unread = Pieces::new(b"abc", 3);
        let _ = Incoming::new(&mut unread, Framing::Length(3), true, &Limits::default());
        assert!(unread.said.is_empty());
    }

    #[test]
    fn a_body_slower_than_the_rate_fails_also_in_the_middle_of_a_line() {
        let limits = Limits { transfer_grace: Duration::ZERO, ..Limits::default() };
        for framing in [Framing::Length(5), Framing::Chunked] {
            let mut pieces = Pieces::new(b"00000000000005\r\nhello\r\n0\r\n\r\n", 1);
            let mut body = Incoming::new(&mut pieces, framing, false, &limits);
            std::thread::sleep(Duration::from_millis(2));
            assert_eq!(body.read(&mut [0; 4]).unwrap_err().kind(), ErrorKind::TimedOut);
            assert!(body.read(&mut [0; 4]).is_err(), "an error is for good");
        }
    }
}
