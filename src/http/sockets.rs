//! What the server does with sockets beside tiny_http: options, a look at unread bytes, refusals.
//!
//! Descriptors are numbers here, since tiny_http owns the sockets: whoever calls vouches that the connection
//! is alive.

use super::gate::{AWAITED_BYTES_MAX, Verdict, judge};
use super::message::Response;
use super::wire::{Pace, write_response};
use crate::limits::Limits;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{MsgFlags, Shutdown, SockaddrStorage, getpeername, getsockname, recv, send, shutdown};
use nix::sys::stat::{SFlag, fstat};
use socket2::{Domain, Protocol, Socket, TcpKeepalive, Type};
use std::cell::RefCell;
use std::collections::HashSet;
use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener};
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
    if inode(descriptor.as_raw_fd()).is_none() {
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

/// Sets the options that accepted sockets inherit; tiny_http offers no way to set them later.
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

/// The descriptor and inode of the socket on `port` that is not in `known`: tried at `hint` first, then
/// everywhere below the highest number that can be in use.
pub fn newest_socket(hint: RawFd, port: u16, known: &HashSet<u64>) -> Option<(RawFd, u64)> {
    let is_new = |fd: &RawFd| -> bool {
        inode(*fd).is_some_and(|inode| !known.contains(&inode)) && local_port(*fd) == Some(port)
    };
    let highest = RawFd::try_from(known.len()).unwrap_or(RawFd::MAX / 4) * 2 + hint + 1024;
    let fd = std::iter::once(hint).chain(0..highest).find(is_new)?;
    inode(fd).map(|inode| (fd, inode))
}

/// The inode behind a descriptor, if that is a socket.
pub fn inode(fd: RawFd) -> Option<u64> {
    let stat = fstat(fd).ok()?;
    let kind = SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT;
    (kind == SFlag::S_IFSOCK).then_some(stat.st_ino)
}

fn local_port(fd: RawFd) -> Option<u16> {
    let address: SockaddrStorage = getsockname(fd).ok()?;
    let v4 = address.as_sockaddr_in().map(|address| address.port());
    v4.or_else(|| address.as_sockaddr_in6().map(|address| address.port()))
}

/// Writes past tiny_http, whose writer can be had only after reading the body to its end.
pub struct RawWriter(pub RawFd);

impl Write for RawWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(send(self.0, bytes, MsgFlags::MSG_NOSIGNAL)?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What a look at a connection showed.
pub enum Peeked {
    /// Nothing has arrived.
    Nothing,
    /// The peer is gone.
    Gone,
    /// What to make of what has arrived.
    Judged(Verdict),
}

/// Looks at a connection's unread bytes without taking them.
pub fn peek(fd: RawFd, limits: &Limits) -> (usize, Peeked) {
    with_scratch(limits, |scratch| match recv(fd, scratch, MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT) {
        Ok(0) => (0, Peeked::Gone),
        Ok(count) => (count, Peeked::Judged(judge(scratch.get(..count).unwrap_or_default(), limits.head_bytes_max))),
        Err(Errno::EAGAIN | Errno::EINTR) => (0, Peeked::Nothing),
        Err(_) => (0, Peeked::Gone),
    })
}

/// Room for a head and an awaited body, and one byte more, which shows that there is more.
fn with_scratch<T>(limits: &Limits, look: impl FnOnce(&mut [u8]) -> T) -> T {
    thread_local! {
        static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    }
    SCRATCH.with_borrow_mut(|scratch| {
        scratch.resize(limits.head_bytes_max + AWAITED_BYTES_MAX + 1, 0);
        look(scratch)
    })
}

/// How much has arrived and was not taken, as far as a request that is awaited may go; `None`: the peer is gone.
pub fn unread_bytes(fd: RawFd, limits: &Limits) -> Option<usize> {
    with_scratch(limits, |scratch| recv(fd, scratch, MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT).ok())
}

/// Whether something has arrived and was not taken.
pub fn has_unread(fd: RawFd) -> bool {
    recv(fd, &mut [0; 1], MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT).is_ok_and(|count| count > 0)
}

/// Whether the peer has closed its side, and everything that it sent was taken.
pub fn is_at_end(fd: RawFd) -> bool {
    recv(fd, &mut [0; 1], MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT) == Ok(0)
}

/// Takes and drops what has arrived, and says how much that was; `None`: the peer is gone.
pub fn discard(fd: RawFd) -> Option<usize> {
    let mut sink = [0; 16 << 10];
    let mut taken = 0;
    // Bounded, so that a client that never stops sending holds nobody up; more tells of itself by an event.
    for _ in 0..64 {
        match recv(fd, &mut sink, MsgFlags::MSG_DONTWAIT) {
            Ok(0) => return None,
            Ok(count) => taken += count,
            Err(Errno::EINTR) => {}
            Err(Errno::EAGAIN) => return Some(taken),
            Err(_) => return None,
        }
    }
    Some(taken)
}

/// Whom a connection leads to, while it stands.
pub fn peer(fd: RawFd) -> Option<SocketAddr> {
    let address = getpeername::<SockaddrStorage>(fd).ok()?;
    let v4 = address.as_sockaddr_in().map(|it| SocketAddr::from((it.ip(), it.port())));
    v4.or_else(|| address.as_sockaddr_in6().map(|it| SocketAddr::from((it.ip(), it.port()))))
}

/// Answers without a thread: an error fits into the socket's buffer.
pub fn refuse(fd: RawFd, status: u16, why: &str) {
    let response = Response::error(status, why);
    let response = if status == 503 { response.with("Retry-After", "1") } else { response };
    let mut bytes = Vec::new();
    let pace = Pace::new(&Limits::default());
    if write_response(&mut bytes, response, true, false, pace).is_ok() {
        let _ = send(fd, &bytes, MsgFlags::MSG_NOSIGNAL | MsgFlags::MSG_DONTWAIT);
    }
    let _ = shutdown(fd, Shutdown::Write);
}
