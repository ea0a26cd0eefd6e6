//! Requests that are answered later, and keep no thread until then.

use super::connection::Connection;
use super::{Asked, Shared, Task};
use crate::http::message::{Held, Response, Wake};
use crate::http::sockets::Peeked;
use crate::sync::lock;
use mio::event::Event;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use std::any::Any;
use std::io;
use std::net::TcpStream;
use std::os::fd::AsRawFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// A request that waits for its answer.
pub(super) struct HeldRequest {
    pub asked: Asked,
    pub answer: Box<dyn Held>,
}

impl Shared {
    /// Whether one more may be held: runners may take half of all connections, and readers have places beside those.
    pub(super) fn may_hold(&self) -> bool {
        let most = self.limits.connections_max / 2 + self.limits.readers_max();
        !self.stopping.load(Ordering::Acquire) && lock(&self.held).len() < most
    }

    /// Keeps a request until it is woken, its time is over, its client leaves, or the server stops.
    pub(super) fn hold(self: &Arc<Self>, mut held: HeldRequest) {
        let id = held.asked.connection.id;
        let woken = Arc::new(AtomicBool::new(false));
        let wake = {
            let (shared, woken) = (Arc::downgrade(self), Arc::clone(&woken));
            Wake::new(move || {
                woken.store(true, Ordering::SeqCst);
                if let Some(shared) = shared.upgrade() {
                    shared.resume(id);
                }
            })
        };
        held.answer.begin(wake);
        lock(&self.held).insert(id, held);
        // What happened before it was there has found nobody.
        if woken.load(Ordering::SeqCst) || self.stopping.load(Ordering::SeqCst) {
            self.resume(id);
        } else {
            let mut all = lock(&self.held);
            // Asked under the lock, while the connection is known to be alive.
            let has_left = all.get(&id).is_some_and(|held| self.has_left(&held.asked.connection));
            let gone = has_left.then(|| all.remove(&id));
            drop(all);
            drop(gone);
        }
    }

    /// Drops a held request whose client has left.
    pub(super) fn let_go_of_held(&self, id: usize) {
        // Never dropped under the lock: what it holds has locks of its own.
        let gone = lock(&self.held).remove(&id);
        drop(gone);
    }

    /// Whether a client has closed its side. It may have done so in the middle of a request, before its connection
    /// was held and the poller's word of it meant something.
    fn has_left(&self, connection: &Connection) -> bool {
        match connection.peek().1 {
            Peeked::Nothing => false,
            Peeked::Closed | Peeked::Broken => true,
            Peeked::Judged(_) => is_closed_behind_unread(&connection.stream).unwrap_or(false),
        }
    }

    /// Gives a worker another look at a held request.
    pub(super) fn resume(self: &Arc<Self>, id: usize) {
        let held = lock(&self.held).remove(&id);
        if let Some(held) = held {
            self.queue(Task::Resume(held));
        }
    }

    /// Resumes those whose time is over, and drops those whose clients have left without the poller's knowledge: it
    /// may not know of connections that carry one request only.
    pub(super) fn resume_the_due(self: &Arc<Self>) {
        let now = Instant::now();
        let has_left = |held: &HeldRequest| !held.asked.keep && self.has_left(&held.asked.connection);
        let gone: Vec<_> = lock(&self.held).extract_if(|_, held| has_left(held)).collect();
        drop(gone);
        let due = |held: &HeldRequest| held.answer.until() <= now;
        let ids: Vec<usize> = lock(&self.held).iter().filter(|(_, held)| due(held)).map(|(id, _)| *id).collect();
        ids.into_iter().for_each(|id| self.resume(id));
    }

    /// Resumes all, for their last answers.
    pub(super) fn resume_all(self: &Arc<Self>) {
        let ids: Vec<usize> = lock(&self.held).keys().copied().collect();
        ids.into_iter().for_each(|id| self.resume(id));
    }

    /// Answers a held request, or holds it again. Returns the connection if it may carry another request.
    pub(super) fn answer_held(self: &Arc<Self>, mut held: HeldRequest) -> Option<Connection> {
        if self.has_left(&held.asked.connection) {
            return None;
        }
        let last = held.answer.until() <= Instant::now() || !self.may_hold();
        let response = guarded(|| held.answer.answer(last)).unwrap_or_else(|| Some(broken()));
        let Some(response) = response else {
            self.hold(held);
            return None;
        };
        self.send(held.asked, response)
    }
}

/// Whether the client has closed its side behind bytes that lie unread: only then does its end not show in them.
fn is_closed_behind_unread(stream: &TcpStream) -> io::Result<bool> {
    let mut poll = Poll::new()?;
    poll.registry().register(&mut SourceFd(&stream.as_raw_fd()), Token(0), Interest::READABLE)?;
    let mut events = Events::with_capacity(1);
    poll.poll(&mut events, Some(Duration::ZERO))?;
    Ok(events.iter().any(Event::is_read_closed))
}

/// What `handler` returns; `None` if it panics.
pub(super) fn guarded<T>(handler: impl FnOnce() -> T) -> Option<T> {
    let panicked = |panic: Box<dyn Any + Send>| {
        let text = panic.downcast_ref::<&str>().copied();
        let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no text");
        log::error!("a handler panicked: {text}");
    };
    catch_unwind(AssertUnwindSafe(handler)).map_err(panicked).ok()
}

/// What is answered for a handler that panicked.
pub(super) fn broken() -> Response {
    Response::error(500, "").because("a handler panicked")
}
