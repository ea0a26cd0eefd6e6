//! What the server does with sockets that the standard library does not: options, a look at unread bytes, refusals.

use super::gate::{Verdict, judge};
use super::message::Response;
use super::slow_clients::Pace;
use super::wire::write_response;
use crate::limits::{BODY_AWAITED_BYTES_MAX, Limits};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{MsgFlags, recv, send};
use nix::sys::stat::{SFlag, fstat};
use socket2::{Domain, Protocol, Socket, TcpKeepalive, Type};
use std::cell::RefCell;
use std::io::{self, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::time::Duration;

/// Connections that the kernel holds for us.
const BACKLOG: i32 = 1024;

/// What the kernel counts keep-alive times in.
const SECOND: Duration = Duration::from_secs(1);

/// A new listener whose options every accepted socket inherits.
pub fn listen(address: SocketAddr, limits: &Limits) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    prepare(&socket, limits)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// The same of a socket that somebody else has made. `Err` says what else it is.
pub fn adopt(descriptor: OwnedFd, limits: &Limits) -> Result<TcpListener, String> {
    if !is_socket(descriptor.as_raw_fd()) {
        return Err("no socket at all".to_owned());
    }
    let socket = Socket::from(descriptor);
    let failed = |error: io::Error| format!("a socket that cannot be used: {error}");
    let domain = socket.local_addr().map_err(failed)?.domain();
    if domain != Domain::IPV4 && domain != Domain::IPV6 {
        return Err("no TCP socket, but a local one".to_owned());
    }
    if socket.r#type().map_err(failed)? != Type::STREAM {
        return Err("no TCP socket, but one for datagrams".to_owned());
    }
    if !socket.is_listener().map_err(failed)? {
        return Err("a TCP socket that does not listen, but is one connection".to_owned());
    }
    prepare(&socket, limits).map_err(failed)?;
    Ok(socket.into())
}

/// Sets the options that accepted sockets inherit: one time for all, and no system call for each.
fn prepare(socket: &Socket, limits: &Limits) -> io::Result<()> {
    let stall = limits.stall_time_max;
    socket.set_read_timeout(Some(stall))?;
    socket.set_write_timeout(Some(stall))?;
    // Else each kept-alive response of more than one write waits 40 ms for an acknowledgement.
    socket.set_tcp_nodelay(true)?;
    // Peers that vanished without a word are noticed.
    let (time, interval) = (stall.max(SECOND), (stall / 3).max(SECOND));
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(time).with_interval(interval).with_retries(3))?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(stall))?;
    socket.set_nonblocking(true)
}

/// Whether a connection waits to be accepted.
pub fn has_waiting(listener: BorrowedFd<'_>) -> bool {
    let mut listener = [PollFd::new(listener, PollFlags::POLLIN)];
    poll(&mut listener, PollTimeout::ZERO).is_ok_and(|count| count > 0)
}

fn is_socket(fd: RawFd) -> bool {
    fstat(fd).is_ok_and(|stat| SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT == SFlag::S_IFSOCK)
}

/// What a look at a connection showed.
pub enum Peeked {
    /// Nothing has arrived, but for what was kept.
    Nothing,
    /// The peer has closed its side, and everything that it sent was taken.
    Closed,
    /// The connection is broken.
    Broken,
    /// What to make of what has arrived.
    Judged(Verdict),
}

/// Looks at a connection's unread bytes without taking them: at those that were `kept`, and those behind them that lie in
/// the kernel's buffer. Returns how many there are, as far as an awaited request may go.
pub fn peek(kept: &[u8], stream: &TcpStream, limits: &Limits) -> (usize, Peeked) {
    thread_local! {
        static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    }
    SCRATCH.with_borrow_mut(|scratch| {
        // Room for a head and an awaited body, and one byte more, which shows that there is more. What lies there from
        // other looks is written over, and not cleared each time.
        scratch.resize((limits.head_bytes_max + BODY_AWAITED_BYTES_MAX).max(kept.len()) + 1, 0);
        let (begin, room) = scratch.split_at_mut(kept.len());
        begin.copy_from_slice(kept);
        match recv(stream.as_raw_fd(), room, MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT) {
            Ok(0) => (kept.len(), Peeked::Closed),
            Ok(count) => {
                let unread = scratch.get(..kept.len() + count).unwrap_or_default();
                (unread.len(), Peeked::Judged(judge(unread, limits.head_bytes_max)))
            }
            Err(Errno::EAGAIN | Errno::EINTR) => (kept.len(), Peeked::Nothing),
            Err(_) => (kept.len(), Peeked::Broken),
        }
    })
}

/// Whether something has arrived and was not taken.
pub fn has_unread(stream: &TcpStream) -> bool {
    recv(stream.as_raw_fd(), &mut [0; 1], MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT).is_ok_and(|count| count > 0)
}

/// Whether the connection is broken, which says nothing of a peer that has closed its side in order.
pub fn is_broken(stream: &TcpStream) -> bool {
    let look = recv(stream.as_raw_fd(), &mut [0; 1], MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT);
    look.is_err_and(|errno| !matches!(errno, Errno::EAGAIN | Errno::EINTR))
}

/// Takes and drops what has arrived, and says how much that was; `None`: the peer is gone.
pub fn discard(stream: &TcpStream) -> Option<usize> {
    let mut sink = [0; 16 << 10];
    let mut taken = 0;
    // Bounded, so that a client that never stops sending holds nobody up; more tells of itself by an event.
    for _ in 0..64 {
        match recv(stream.as_raw_fd(), &mut sink, MsgFlags::MSG_DONTWAIT) {
            Ok(0) => return None,
            Ok(count) => taken += count,
            Err(Errno::EINTR) => {}
            Err(Errno::EAGAIN) => return Some(taken),
            Err(_) => return None,
        }
    }
    Some(taken)
}

/// A connection that is written to without waiting. What does not fit into the socket's buffer at once is an error.
pub struct AtOnce<'a>(pub &'a TcpStream);

impl Write for AtOnce<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(send(self.0.as_raw_fd(), bytes, MsgFlags::MSG_NOSIGNAL | MsgFlags::MSG_DONTWAIT)?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Answers without a thread: an error fits into the socket's buffer.
pub fn refuse(stream: &TcpStream, status: u16, why: &str) {
    let response = Response::error(status, why);
    let response = if status == 503 { response.with("Retry-After", "1") } else { response };
    let mut bytes = Vec::new();
    let pace = Pace::new(&Limits::default());
    if write_response(&mut bytes, response, true, false, pace).is_ok() {
        let _ = send(stream.as_raw_fd(), &bytes, MsgFlags::MSG_NOSIGNAL | MsgFlags::MSG_DONTWAIT);
    }
    let _ = stream.shutdown(Shutdown::Write);
}
