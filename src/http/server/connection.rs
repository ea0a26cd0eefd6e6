//! An accepted connection: where its bytes are, and whether it is heard.

use super::Shared;
use crate::http::budget::Reserved;
use crate::http::sockets::{Peeked, discard, peek, refuse};
use mio::unix::SourceFd;
use mio::{Interest, Token};
use std::io::{self, Read};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

/// A connection.
pub(super) struct Connection {
    pub id: usize,
    pub stream: TcpStream,
    /// Where it comes from.
    pub remote: SocketAddr,
    /// Whether it has carried a request to its end.
    pub served: bool,
    /// When the last request had arrived.
    pub heard_at: Instant,
    /// Whether something that was sent together with an earlier request may lie in the kernel's buffer.
    pub is_behind: bool,
    /// The begin of a request, taken out of the kernel's buffer.
    kept: Vec<u8>,
    /// Memory for that.
    kept_room: Option<Reserved>,
    /// Whether the poller hears it.
    is_heard: bool,
    pub shared: Arc<Shared>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.shared.parking.close(self.id);
        if self.shared.open.fetch_sub(1, Ordering::AcqRel) == self.shared.limits.connections_max {
            let _ = self.shared.waker.wake();
        }
    }
}

impl Connection {
    pub fn new(id: usize, stream: TcpStream, remote: SocketAddr, shared: Arc<Shared>) -> Connection {
        Connection {
            id,
            stream,
            remote,
            served: false,
            heard_at: Instant::now(),
            is_behind: false,
            kept: Vec::new(),
            kept_room: None,
            is_heard: false,
            shared,
        }
    }

    /// From now on the poller hears of it. Edge-triggered: it also hears of bytes that are there already. Closing ends
    /// that.
    pub fn begin_to_be_heard(&mut self) -> io::Result<()> {
        if !self.is_heard {
            let registry = &self.shared.registry;
            registry.register(&mut SourceFd(&self.stream.as_raw_fd()), Token(self.id), Interest::READABLE)?;
            self.is_heard = true;
        }
        Ok(())
    }

    /// The poller would wake up for each packet of a long body, and need not.
    pub fn end_being_heard(&mut self) {
        if self.is_heard {
            self.is_heard = self.shared.registry.deregister(&mut SourceFd(&self.stream.as_raw_fd())).is_err();
        }
    }

    /// Looks at the unread bytes.
    pub fn peek(&self) -> (usize, Peeked) {
        peek(&self.kept, &self.stream, &self.shared.limits)
    }

    /// Takes bytes that have arrived.
    pub fn take(&mut self, bytes: usize) -> io::Result<Vec<u8>> {
        let mut taken = std::mem::take(&mut self.kept);
        self.kept_room = None;
        let begin = taken.len();
        taken.resize(bytes.max(begin), 0);
        (&self.stream).read_exact(taken.get_mut(begin..).unwrap_or_default())?;
        Ok(taken)
    }

    /// Takes the begin of a request out of the kernel's buffer, of which it may keep much more from use than it has
    /// bytes, for as long as the rest of what came in with it is there: so much that the client could not send on.
    /// `bytes`: of it that are unread. False: there is no room for more.
    pub fn keep(&mut self, bytes: usize) -> bool {
        let Ok(room) = self.shared.kept.reserve(bytes as u64) else { return false };
        let kept = self.take(bytes);
        self.is_behind = false;
        self.kept = kept.unwrap_or_default();
        self.kept_room = Some(room);
        self.kept.len() == bytes
    }

    /// Takes and drops what has arrived, and says how much that was; `None`: the client is gone.
    pub fn discard(&mut self) -> Option<usize> {
        (self.kept, self.kept_room) = (Vec::new(), None);
        discard(&self.stream)
    }

    /// Answers what never becomes a request, and says so.
    pub fn refuse(&self, status: u16, why: &str) {
        refuse(&self.stream, status, why);
        self.shared.tell_refusal(status, why, self.remote);
    }
}
