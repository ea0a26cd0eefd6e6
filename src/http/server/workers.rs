//! The workers: threads that each serve one request at a time, and end when they are too many.

use super::{Connection, Shared, Waits};
use crate::http::gate::{AWAITED_BYTES_MAX, Framing, Head};
use crate::http::message::{Method, Request, Response};
use crate::http::sockets::{RawWriter, refuse, unread_bytes};
use crate::http::watch::Watch;
use crate::http::wire::{Incoming, Pace, write_response};
use nix::sys::socket::{Shutdown, shutdown};
use std::any::Any;
use std::io::{self, ErrorKind, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

/// A worker without work ends after this.
const WORKER_IDLE_MAX: Duration = Duration::from_secs(5);
/// A worker's stack. Touched pages count, not this.
const WORKER_STACK_BYTES: usize = 1 << 20;

impl Shared {
    pub(super) fn queue(self: &Arc<Self>, ready: (Connection, Head, bool)) {
        let mut work = self.work();
        if work.ready.len() >= self.limits.workers_max {
            drop(work);
            refuse(ready.0.fd, 503, "every worker is busy");
            self.park(ready.0, Waits::Closing);
            return;
        }
        work.ready.push_back(ready);
        drop(work);
        self.call_worker();
    }

    /// Calls one worker for what is queued: the one that went idle last, so that those too many stay idle and
    /// end, or a new one.
    pub(super) fn call_worker(self: &Arc<Self>) {
        let mut work = self.work();
        if let Some(idle) = work.idle.pop() {
            idle.unpark();
            return;
        }
        if work.ready.is_empty() || work.threads >= self.limits.workers_max {
            return;
        }
        work.threads += 1;
        drop(work);
        let shared = Arc::clone(self);
        let spawned = thread::Builder::new()
            .name("worker".to_owned())
            .stack_size(WORKER_STACK_BYTES)
            .spawn(move || shared.serve_all());
        if let Err(error) = spawned {
            self.work().threads -= 1;
            log::warn!("cannot start a thread: {error}; the request waits for another one");
        }
    }

    /// A worker's life.
    fn serve_all(self: Arc<Self>) {
        while let Some(ready) = self.next_work() {
            let mut next = Some(ready);
            while let Some((connection, head, followed)) = next {
                next = self.serve(connection, &head, followed).and_then(|connection| {
                    let id = connection.id;
                    self.park(connection, Waits::Idle);
                    // What arrived before it was parked has told nobody of itself.
                    self.look(id, false)
                });
            }
        }
        self.worker_ended.notify_all();
    }

    fn next_work(&self) -> Option<(Connection, Head, bool)> {
        let until = Instant::now() + WORKER_IDLE_MAX;
        let own = thread::current();
        let mut work = self.work();
        loop {
            work.idle.retain(|idle| idle.id() != own.id());
            if let Some(ready) = work.ready.pop_front() {
                return Some(ready);
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || self.stopping.load(Ordering::Acquire) {
                work.threads -= 1;
                return None;
            }
            work.idle.push(own.clone());
            drop(work);
            thread::park_timeout(left);
            work = self.work();
        }
    }

    /// Serves one request; returns the connection if it may carry another.
    fn serve(&self, mut connection: Connection, head: &Head, followed: bool) -> Option<Connection> {
        // tiny_http reads ahead: what comes in behind this request now would be hidden from the gate.
        let followed = followed
            || unread_bytes(connection.fd, &self.limits).is_some_and(|unread| head.is_followed_by_more(unread));
        // Declared after the connection, so that it ends before it.
        let watching = self.watches.start(connection.id, connection.fd);
        let mut request = connection.requests.as_mut()?.next()??;
        watching.watch.taken();
        let reader = LazyBody { request: &mut request, watch: &watching.watch, framing: head.framing };
        let mut body = Incoming::new(reader, head.framing, Pace::new(&self.limits));
        let response = self.respond(head, &mut body);
        // An awaited body has arrived; the rest of any other one could keep this thread waiting.
        let finished = body.is_finished() || (head.is_awaited() && body.skip_rest(AWAITED_BYTES_MAX as u64));
        // Behind a body that was not awaited whole, something may lie in tiny_http's buffer, hidden from the gate.
        let one_more = head.keep_alive && !followed && head.is_awaited();
        let keep = finished && one_more && !self.stopping.load(Ordering::Acquire);
        let with_body = head.method != Method::Head;
        let pace = Pace::new(&self.limits);
        if finished {
            let written = write_response(&mut request.into_writer(), response, with_body, keep, pace);
            drop(watching);
            connection.served = true;
            return (written.is_ok() && keep).then_some(connection);
        }
        let written = write_response(&mut RawWriter(connection.fd), response, with_body, false, pace);
        connection.unread_request = Some(request);
        drop(watching);
        if written.is_ok() && shutdown(connection.fd, Shutdown::Write).is_ok() {
            // Closing now could take the answer from a client that is still sending.
            self.park(connection, Waits::Closing);
        }
        None
    }

    fn respond(&self, head: &Head, body: &mut dyn Read) -> Response {
        let stranger = if head.is_awaited() { Ok(None) } else { self.strangers.reserve(1).map(Some) };
        let Ok(stranger) = stranger else {
            return Response::error(503, "too many long bodies at once").with("Retry-After", "1");
        };
        let (path, query) = head.target.split_once('?').unwrap_or((&head.target, ""));
        let mut request = Request {
            method: head.method,
            path: path.to_owned(),
            query: query.to_owned(),
            headers: head.headers.clone(),
            body,
            stranger,
            body_bytes: match head.framing {
                Framing::Length(bytes) => Some(bytes),
                Framing::Chunked => None,
            },
        };
        catch_unwind(AssertUnwindSafe(|| (self.handler)(&mut request))).unwrap_or_else(|panic| {
            log::error!("a handler panicked: {}", panic_text(panic.as_ref()));
            Response::error(500, "")
        })
    }
}

/// The request's body. tiny_http sends `100 Continue` when the reader is asked for, so that is put off until
/// the handler reads.
struct LazyBody<'a> {
    request: &'a mut tiny_http::Request,
    watch: &'a Watch,
    framing: Framing,
}

impl Read for LazyBody<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.watch.read(self.request.as_reader(), buffer)?;
        // tiny_http's decoder ends a chunked body that is cut off like a whole one. Then the client has closed
        // its side, which no client does that waits for an answer.
        if count == 0 && self.framing == Framing::Chunked && self.watch.peer_has_closed() {
            return Err(io::Error::new(ErrorKind::UnexpectedEof, "the chunked body is cut off"));
        }
        Ok(count)
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no text")
}
