//! Requests that are answered later, and keep no thread until then.

use super::{Connection, Shared, Task, lock};
use crate::http::message::{Later, Response, Wake};
use crate::http::sockets::is_at_end;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// A request that waits for its answer.
pub(super) struct Held {
    /// Carries the request.
    pub connection: Connection,
    pub later: Box<dyn Later>,
    /// Whether the connection may carry another request.
    pub keep: bool,
    pub with_body: bool,
}

impl Shared {
    /// Whether one more may be held: half of all connections stay free for those who want an answer now.
    pub(super) fn may_hold(&self) -> bool {
        !self.stopping.load(Ordering::Acquire) && lock(&self.held).len() < self.limits.connections_max.div_ceil(2)
    }

    /// Keeps a request until it is woken, its time is over, its client leaves, or the server stops.
    pub(super) fn hold(self: &Arc<Self>, mut held: Held) {
        let (id, fd) = (held.connection.id, held.connection.fd);
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
        held.later.begin(wake);
        lock(&self.held).insert(id, held);
        // What happened before it was there has found nobody.
        if woken.load(Ordering::SeqCst) || self.stopping.load(Ordering::SeqCst) {
            self.resume(id);
        } else if is_at_end(fd) {
            self.let_go_of_held(id);
        }
    }

    /// Drops a held request whose client has left.
    pub(super) fn let_go_of_held(&self, id: usize) {
        // Never dropped under the lock: what it holds has locks of its own.
        let gone = lock(&self.held).remove(&id);
        drop(gone);
    }

    /// Gives a worker another look at a held request.
    pub(super) fn resume(self: &Arc<Self>, id: usize) {
        let held = lock(&self.held).remove(&id);
        if let Some(held) = held {
            self.queue(Task::Resume(held));
        }
    }

    /// Resumes those whose time is over.
    pub(super) fn resume_the_due(self: &Arc<Self>) {
        let now = Instant::now();
        let due = |held: &Held| held.later.until() <= now;
        let ids: Vec<usize> = lock(&self.held).iter().filter(|(_, held)| due(held)).map(|(id, _)| *id).collect();
        ids.into_iter().for_each(|id| self.resume(id));
    }

    /// Resumes all, for their last answers.
    pub(super) fn resume_all(self: &Arc<Self>) {
        let ids: Vec<usize> = lock(&self.held).keys().copied().collect();
        ids.into_iter().for_each(|id| self.resume(id));
    }

    /// Answers a held request, or holds it again. Returns the connection if it may carry another request.
    pub(super) fn answer_held(self: &Arc<Self>, mut held: Held) -> Option<Connection> {
        if is_at_end(held.connection.fd) {
            return None;
        }
        let last = held.later.until() <= Instant::now() || !self.may_hold();
        let response = guarded(|| held.later.answer(last)).unwrap_or_else(Some);
        let Some(response) = response else {
            self.hold(held);
            return None;
        };
        let Held { mut connection, keep, with_body, .. } = held;
        let request = connection.request.take()?;
        self.send(connection, request, response, with_body, keep)
    }
}

/// What `handler` returns; a 500 if it panics.
pub(super) fn guarded<T>(handler: impl FnOnce() -> T) -> Result<T, Response> {
    catch_unwind(AssertUnwindSafe(handler)).map_err(|panic| {
        let text = panic.downcast_ref::<&str>().copied();
        let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no text");
        log::error!("a handler panicked: {text}");
        Response::error(500, "")
    })
}
