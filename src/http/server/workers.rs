//! The workers: threads that each serve one request at a time, and end when they are too many.

use super::after_commit::at_once;
use super::connection::Connection;
use super::held::{broken, guarded};
use super::parking::Waits;
use super::{About, Asked, Progress, STUCK_TIME, Shared, Task, UNSTUCK_TIME};
use crate::blocking::{self, Crew};
use crate::http::body::{Incoming, Source};
use crate::http::gate::{Framing, Head};
use crate::http::message::{Answer, Method, Note, Request, Response, Untaken};
use crate::http::record::Line;
use crate::http::slow_clients::Pace;
use crate::http::sockets::{AtOnce, is_broken};
use crate::http::wire::write_response;
use crate::limits::BODY_AWAITED_BYTES_MAX;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};
use std::{mem, thread};

/// A worker without work ends after this.
const WORKER_IDLE_MAX: Duration = Duration::from_secs(2);
/// A response up to this length fits into the socket's buffer, unless the client has not taken earlier ones: then nobody
/// waits for it to do so.
const SENT_AT_ONCE_BYTES_MAX: u64 = 16 << 10;
/// A worker's stack. Touched pages count, not this.
const WORKER_STACK_BYTES: usize = 1 << 20;

impl Shared {
    /// Queues a task. A request beyond reason is refused; one that was taken on already is not.
    pub(super) fn queue(self: &Arc<Self>, task: Task) {
        let mut work = self.work();
        match task {
            Task::Serve(connection, ..) if work.ready.len() + work.uncommitted >= self.limits.workers_max => {
                drop(work);
                connection.refuse(503, "every worker is busy");
                self.parking.park(connection, Waits::Closing);
            }
            task @ (Task::Serve(..) | Task::Resume(_) | Task::Finish(..)) => {
                work.ready.push_back(task);
                drop(work);
                self.call_worker();
            }
        }
    }

    /// Lets one more worker run when nothing queued has been taken for a while, and later one less again. Returns
    /// whether something is queued.
    pub(super) fn adapt(self: &Arc<Self>, progress: &mut Progress) -> bool {
        let now = Instant::now();
        let mut work = self.work();
        let has_more = !work.ready.is_empty();
        if !has_more || work.taken != progress.taken {
            (progress.taken, progress.since) = (work.taken, now);
        }
        if now - progress.since >= STUCK_TIME {
            work.running_max = work.running().max(work.running_max) + 1;
            (progress.since, progress.changed_at) = (now, now);
        } else if now - progress.changed_at >= UNSTUCK_TIME && work.running_max > work.running_min {
            work.running_max -= 1;
            progress.changed_at = now;
        }
        drop(work);
        if has_more {
            self.call_worker();
        }
        has_more
    }

    /// Calls one worker for what is queued, unless enough of them run: the one that went idle last, so that those
    /// too many stay idle and end, or a new one.
    pub(super) fn call_worker(self: &Arc<Self>) {
        let mut work = self.work();
        if work.ready.is_empty() || work.running() >= work.may_run() {
            return;
        }
        if let Some(idle) = work.idle.pop() {
            drop(work);
            idle.unpark();
            return;
        }
        if work.threads >= self.limits.workers_max {
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
        blocking::join(Arc::new(Workers(Arc::downgrade(&self))));
        while let Some(task) = self.next_work() {
            let connection = match task {
                Task::Serve(connection, head, followed) if head.is_awaited() => self.serve(connection, head, followed),
                // What comes in waits for its client more than it works.
                Task::Serve(connection, head, followed) => blocking::waiting(|| self.serve(connection, head, followed)),
                Task::Resume(held) => self.answer_held(held),
                Task::Finish(asked, finish) => self.finish(asked, finish),
            };
            // The next request, if it is there already; its turn comes after the others'.
            let next = connection.and_then(|connection| self.parking.park(connection, Waits::Idle));
            if let Some(task) = next {
                self.work().ready.push_back(task);
            }
        }
        self.worker_ended.notify_all();
    }

    fn next_work(&self) -> Option<Task> {
        let until = Instant::now() + WORKER_IDLE_MAX;
        let own = thread::current();
        let mut work = self.work();
        loop {
            work.idle.retain(|idle| idle.id() != own.id());
            if work.running() <= work.may_run()
                && let Some(task) = work.ready.pop_front()
            {
                work.taken += 1;
                return Some(task);
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
    fn serve(self: &Arc<Self>, mut connection: Connection, mut head: Head, followed: bool) -> Option<Connection> {
        let is_awaited = head.is_awaited();
        if is_awaited && followed {
            self.parking.is_followed(connection.id);
        }
        if !is_awaited {
            connection.end_being_heard();
        }
        connection.is_behind = followed || !is_awaited;
        // What was judged is taken, and nothing behind it.
        let taken = connection.take(if is_awaited { head.bytes_with_body() } else { head.bytes }).ok()?;
        let (mut arrived, mut coming) = (taken.get(head.bytes..).unwrap_or_default(), &connection.stream);
        let source: &mut dyn Source = if is_awaited { &mut arrived } else { &mut coming };
        let mut body = Incoming::new(source, head.framing, head.expects_continue, &self.limits);
        let (answer, note) = self.respond(&mut head, &mut body, connection.remote);
        // An awaited body has arrived; the rest of any other one could keep this thread waiting.
        let finished = body.is_finished() || (is_awaited && body.skip_rest(BODY_AWAITED_BYTES_MAX as u64));
        let bytes_in = body.bytes_read();
        let about = About { method: head.method, since: connection.heard_at, bytes_in, note };
        if finished {
            let asked = Asked { connection, keep: head.keep_alive, about };
            // A thread that has waited for the body is there for the answer, too.
            return if is_awaited { self.answer(asked, answer) } else { self.send(asked, at_once(answer)) };
        }
        let is_taken = self.write(&connection, &mut &connection.stream, at_once(answer), about, false);
        if is_taken && connection.stream.shutdown(Shutdown::Write).is_ok() {
            // Closing now could take the answer from a client that is still sending.
            if connection.begin_to_be_heard().is_ok() {
                self.parking.park(connection, Waits::Closing);
            }
        }
        None
    }

    /// Answers a request whose body was read; returns the connection if it may carry another.
    pub(super) fn send(&self, asked: Asked, response: Response) -> Option<Connection> {
        let Asked { mut connection, keep, about } = asked;
        let keep = keep && !self.stopping.load(Ordering::Acquire);
        let is_taken = if response.body.len().is_none_or(|bytes| bytes > SENT_AT_ONCE_BYTES_MAX) {
            blocking::waiting(|| self.write(&connection, &mut &connection.stream, response, about, keep))
        } else {
            self.write(&connection, &mut AtOnce(&connection.stream), response, about, keep)
        };
        connection.served = true;
        let may_carry_more = is_taken && keep && connection.begin_to_be_heard().is_ok();
        may_carry_more.then_some(connection)
    }

    /// Writes an answer, and then the record of it. Returns whether the client took it, as far as can be told.
    fn write(
        &self,
        connection: &Connection,
        to: &mut dyn Write,
        mut response: Response,
        about: About,
        keep: bool,
    ) -> bool {
        let note = about.note.and(mem::take(&mut response.note));
        let (status, length) = (response.status, response.body.len());
        let with_body = about.method != Method::Head;
        let untaken = response.untaken.take();
        // Asked only where it matters: a look at the socket before, and one after, when a client that has left has
        // said so.
        let is_lost = || untaken.is_some() && is_broken(&connection.stream);
        let written =
            if is_lost() { None } else { write_response(to, response, with_body, keep, Pace::new(&self.limits)).ok() };
        let is_taken = written.is_some() && !is_lost();
        if let Some(Untaken(undo)) = untaken.filter(|_| !is_taken)
            && guarded(undo).is_none()
        {
            log::error!("what a client did not take was not undone");
        }
        let time = about.since.elapsed();
        self.traffic.count(note.route, about.method, status, time);
        self.journal.write(&Line {
            method: Some(about.method),
            status,
            time,
            note: &note,
            bytes_in: about.bytes_in,
            bytes_out: if with_body { length.or(written).unwrap_or(0) } else { 0 },
            is_taken,
            remote: Some(self.peers.client(connection.remote)),
        });
        is_taken
    }

    /// Counts and tells what was refused.
    pub(super) fn tell_refusal(&self, status: u16, why: &str, remote: SocketAddr) {
        self.traffic.count_refusal(status);
        self.journal.write(&Line {
            method: None,
            status,
            time: Duration::ZERO,
            note: &Note { cause: Some(why.to_owned()), ..Note::default() },
            bytes_in: 0,
            bytes_out: 0,
            is_taken: true,
            remote: Some(self.peers.client(remote)),
        });
    }

    fn respond(&self, head: &mut Head, body: &mut dyn Read, remote: SocketAddr) -> (Answer, Note) {
        let stranger = if head.is_awaited() { Ok(None) } else { self.strangers.reserve(1).map(Some) };
        let Ok(stranger) = stranger else {
            let why = "too many long bodies at once";
            let response = Response::error(503, why).with("Retry-After", "1").because(why);
            return (response.into(), Note::default());
        };
        let (path, query) = head.target.split_once('?').unwrap_or((&head.target, ""));
        let mut request = Request {
            method: head.method,
            path: path.to_owned(),
            query: query.to_owned(),
            headers: mem::take(&mut head.headers),
            body,
            peer: Some(self.peers.client(remote).ip().to_canonical()),
            stranger,
            body_bytes: match head.framing {
                Framing::Length(bytes) => Some(bytes),
                Framing::Chunked => None,
            },
            note: Note::default(),
        };
        let answer = guarded(|| (self.handler)(&mut request)).unwrap_or_else(|| broken().into());
        (answer, request.note)
    }
}

/// The workers as a crew: whoever waits lets another run.
struct Workers(Weak<Shared>);

impl Crew for Workers {
    fn begins_to_wait(&self) {
        if let Some(shared) = self.0.upgrade() {
            let mut work = shared.work();
            work.waiting += 1;
            let has_more = !work.ready.is_empty();
            drop(work);
            if has_more {
                shared.call_worker();
            }
        }
    }

    fn goes_on(&self) {
        if let Some(shared) = self.0.upgrade() {
            shared.work().waiting -= 1;
        }
    }
}
