//! A connection for clients that misbehave: whatever happens to it is a value, not a panic.

use crate::harness::http::Response;
use socket2::{Domain, SockRef, Socket, Type};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// A server that says nothing for so long fails the test.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// A whole request without a body, which is answered with `{"status":"ok"}`.
pub const HEALTH: &[u8] = b"GET /-/health HTTP/1.1\r\nHost: baton.test\r\n\r\n";

/// A connection.
pub struct Raw {
    stream: TcpStream,
    received: Vec<u8>,
    /// Answers to HEAD say how long a body would be.
    without_bodies: bool,
}

impl Raw {
    pub fn open(address: SocketAddr) -> io::Result<Raw> {
        Raw::over(TcpStream::connect(address)?)
    }

    /// A connection that takes few bytes which it does not read.
    pub fn with_small_window(address: SocketAddr) -> io::Result<Raw> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.set_recv_buffer_size(4096)?;
        socket.connect(&address.into())?;
        Raw::over(socket.into())
    }

    fn over(stream: TcpStream) -> io::Result<Raw> {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Raw { stream, received: Vec::new(), without_bodies: false })
    }

    /// Sends; false: the server has cut the connection.
    pub fn send(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).is_ok()
    }

    /// From now on, answers have no bodies.
    pub fn has_no_bodies(&mut self) {
        self.without_bodies = true;
    }

    /// From now on, waits for an answer end after `time`.
    pub fn set_patience(&mut self, time: Duration) {
        self.stream.set_read_timeout(Some(time)).unwrap();
    }

    /// From now on, the server has cut the connection, too, if it takes nothing for `time`: what a cut connection has
    /// not read, the kernel may keep without telling the sender.
    pub fn set_send_patience(&mut self, time: Duration) {
        self.stream.set_write_timeout(Some(time)).unwrap();
    }

    pub fn end_sending(&mut self) {
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// Leaves without a farewell: the server's next read or write fails.
    pub fn reset(self) {
        SockRef::from(&self.stream).set_linger(Some(Duration::ZERO)).unwrap();
    }

    /// The own end.
    pub fn local_address(&self) -> SocketAddr {
        self.stream.local_addr().unwrap()
    }

    /// The next answer; `None`: the server closed before its first byte. Interim answers are counted and skipped.
    pub fn answer(&mut self) -> io::Result<Option<Response>> {
        loop {
            match self.one_answer()? {
                Some(response) if response.status < 200 => {}
                answer => return Ok(answer),
            }
        }
    }

    /// The next answer, interim ones too.
    pub fn one_answer(&mut self) -> io::Result<Option<Response>> {
        loop {
            if let Some(end) = memchr::memmem::find(&self.received, b"\r\n\r\n") {
                let rest = self.received.split_off(end + 4);
                let head = std::mem::replace(&mut self.received, rest);
                return self.with_body(parse_head(&head)?).map(Some);
            }
            if !self.fill()? {
                return if self.received.is_empty() { Ok(None) } else { Err(ErrorKind::UnexpectedEof.into()) };
            }
        }
    }

    fn with_body(&mut self, mut response: Response) -> io::Result<Response> {
        let said = response.header("Content-Length").filter(|_| !self.without_bodies);
        let length = said.map_or(0, |length| length.parse().unwrap());
        while self.received.len() < length {
            if !self.fill()? {
                return Err(ErrorKind::UnexpectedEof.into());
            }
        }
        let rest = self.received.split_off(length);
        response.body = std::mem::replace(&mut self.received, rest);
        Ok(response)
    }

    /// Takes what has come; false: nothing will come any more.
    fn fill(&mut self) -> io::Result<bool> {
        let mut piece = [0; 16 << 10];
        let count = self.stream.read(&mut piece)?;
        self.received.extend_from_slice(&piece[..count]);
        Ok(count > 0)
    }

    /// The answer, which there must be.
    #[track_caller]
    pub fn expect_answer(&mut self) -> Response {
        self.answer().expect("an answer").expect("an answer before the connection is closed")
    }

    /// Waits up to `time` for a byte, or the end.
    pub fn has_answer(&mut self, time: Duration) -> bool {
        self.set_patience(time);
        let has_come = match self.fill() {
            Ok(_) => true,
            Err(error) => is_cut(&error),
        };
        self.set_patience(PATIENCE);
        has_come
    }

    /// Reads a byte each `pause`, or nothing, for `time`, and then all that is there; how much that was.
    pub fn read_slowly(&mut self, pause: Option<Duration>, time: Duration) -> usize {
        let (started, mut count) = (Instant::now(), 0);
        while started.elapsed() < time {
            std::thread::sleep(pause.unwrap_or(time));
            if pause.is_some() {
                count += self.stream.read(&mut [0]).unwrap_or(0);
            }
        }
        let mut piece = vec![0; 1 << 16];
        loop {
            match self.stream.read(&mut piece) {
                Ok(0) => return count,
                Ok(more) => count += more,
                Err(error) if is_cut(&error) => return count,
                Err(error) => panic!("neither more nor an end: {error}"),
            }
        }
    }

    /// Fails unless the server closes, within `time`, without another byte.
    #[track_caller]
    pub fn expect_closed_within(&mut self, time: Duration) {
        self.stream.set_read_timeout(Some(time)).unwrap();
        match self.fill() {
            Ok(false) => assert!(self.received.is_empty(), "{}", String::from_utf8_lossy(&self.received)),
            Ok(true) => panic!("more was sent: {}", String::from_utf8_lossy(&self.received)),
            Err(error) if is_cut(&error) => {}
            Err(error) => panic!("the connection is still open after {time:?}: {error}"),
        }
    }

    #[track_caller]
    pub fn expect_closed(&mut self) {
        self.expect_closed_within(PATIENCE);
    }
}

/// Whether the other side ended the connection.
pub fn is_cut(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::UnexpectedEof)
}

fn parse_head(head: &[u8]) -> io::Result<Response> {
    let wrong = || io::Error::other(format!("no answer: {:?}", String::from_utf8_lossy(head)));
    let text = std::str::from_utf8(head).map_err(|_| wrong())?;
    let mut lines = text.trim_end().split("\r\n");
    let status_line = lines.next().and_then(|line| line.strip_prefix("HTTP/1.1 ")).ok_or_else(wrong)?;
    let status = status_line.get(..3).and_then(|digits| digits.parse().ok()).ok_or_else(wrong)?;
    let header = |line: &str| line.split_once(": ").map(|(name, value)| (name.to_owned(), value.to_owned()));
    let headers = lines.map(|line| header(line).ok_or_else(wrong)).collect::<io::Result<_>>()?;
    Ok(Response { status, headers, body: vec![] })
}

/// Sends these bytes over a connection of their own; the answer, and the connection.
#[track_caller]
pub fn ask(address: SocketAddr, bytes: &[u8]) -> (Response, Raw) {
    let mut raw = Raw::open(address).unwrap();
    raw.send(bytes);
    (raw.expect_answer(), raw)
}

/// Fails unless these bytes are refused, in the shape that errors have, and the connection is closed.
#[track_caller]
pub fn expect_refused(address: SocketAddr, bytes: &[u8], status: u16) {
    let (response, mut raw) = ask(address, bytes);
    response.expect_error(status);
    raw.expect_closed();
}

/// So many connections, each of which has sent these bytes.
pub fn crowd(address: SocketAddr, count: usize, bytes: &[u8]) -> Vec<Raw> {
    let one = |_| {
        let mut raw = Raw::open(address).unwrap();
        raw.send(bytes);
        raw
    };
    (0..count).map(one).collect()
}
