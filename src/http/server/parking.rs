//! Connections that wait for something, without a thread: for a request, for its rest, for a client to go.
//!
//! What must stay true: a connection is in one place at a time, here or with whoever took it; no connection is
//! read from on the hot path, and none is dropped, under the lock; an event that finds its connection away is not
//! lost.

use super::connection::Connection;
use super::{ACCEPTED_MAX, CLOSING_BYTES_MAX, CLOSING_TIME_MAX, IDLE_TIME_GRANTED, Task};
use crate::http::gate::Verdict;
use crate::http::sockets::{Peeked, has_unread, refuse};
use crate::limits::Limits;
use crate::sync::lock;
use std::collections::HashMap;
use std::mem;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Why a request is refused with 408.
pub(super) const TOO_LATE: &str = "the request did not arrive in time";

/// The place of every open connection, by its id.
#[derive(Default)]
pub(super) struct Parking(Mutex<HashMap<usize, Place>>);

#[derive(Default)]
struct Place {
    /// `None`: somebody has taken it.
    parked: Option<Parked>,
    /// Whether something happened while it was away.
    missed: bool,
    /// Whether the client will send no more. It is told only once, maybe together with its last request.
    closed: bool,
}

/// A connection that waits.
pub(super) struct Parked {
    connection: Connection,
    waits: Waits,
    since: Instant,
    /// Unread bytes at the last look; of a closing one, those that were dropped.
    unread: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Waits {
    /// For the first byte of a request.
    Idle,
    /// For the rest of a head or of a small body.
    Request,
    /// For the client to fetch a refusal and go.
    Closing,
}

/// What a look has shown.
enum Shown {
    Complete(Task),
    Waits(Parked),
    Over,
}

impl Parking {
    /// A connection opens; it is away.
    pub fn open(&self, id: usize) {
        lock(&self.0).insert(id, Place::default());
    }

    /// A connection has closed.
    pub fn close(&self, id: usize) {
        let place = lock(&self.0).remove(&id);
        drop(place);
    }

    /// Looks at a new connection, and parks it unless its request is there already: usually it is.
    pub fn welcome(&self, connection: Connection) -> Option<Task> {
        match Parked::new(connection, Waits::Idle).look(false) {
            Shown::Complete(Task::Serve(mut connection, head, followed)) => {
                // The only request of a connection: nothing more of it need be heard.
                if head.keep_alive && connection.begin_to_be_heard().is_err() {
                    return None;
                }
                Some(Task::Serve(connection, head, followed))
            }
            Shown::Complete(task) => Some(task),
            Shown::Waits(mut parked) => match parked.connection.begin_to_be_heard() {
                Ok(()) => self.settle(parked),
                Err(_) => None,
            },
            Shown::Over => None,
        }
    }

    /// Parks a connection. If something arrived while it was away, and that is a complete request, it comes back.
    pub fn park(&self, connection: Connection, waits: Waits) -> Option<Task> {
        self.settle(Parked::new(connection, waits))
    }

    /// Something happened on a connection. Takes it out if a request is complete; refuses and closes as the gate
    /// says.
    pub fn hear(&self, id: usize, closed: bool) -> Option<Task> {
        let parked = {
            let mut all = lock(&self.0);
            let place = all.get_mut(&id)?;
            place.closed |= closed;
            let Some(parked) = place.parked.take() else {
                place.missed = true;
                return None;
            };
            parked
        };
        match parked.look(closed) {
            Shown::Complete(task) => Some(task),
            Shown::Waits(parked) => self.settle(parked),
            Shown::Over => None,
        }
    }

    fn settle(&self, mut parked: Parked) -> Option<Task> {
        let id = parked.connection.id;
        loop {
            let closed = {
                let mut all = lock(&self.0);
                let place = all.get_mut(&id)?;
                if !mem::take(&mut place.missed) && !place.closed {
                    place.parked = Some(parked);
                    return None;
                }
                place.closed
            };
            match parked.look(closed) {
                Shown::Complete(task) => return Some(task),
                Shown::Waits(still) => parked = still,
                Shown::Over => return None,
            }
        }
    }

    /// Something lies behind the request of a connection that is away: it is looked at when the connection is back.
    pub fn is_followed(&self, id: usize) {
        if let Some(place) = lock(&self.0).get_mut(&id) {
            place.missed = true;
        }
    }

    /// At the limit of connections, the one that has waited longest makes room: of those that never carried a
    /// request, or else of those that have been idle for a while. False: there is none.
    pub fn let_go_of_one(&self) -> bool {
        let gone = {
            let mut all = lock(&self.0);
            // A request that lies unread in the kernel will be heard in a moment: the next one is tried then.
            (0..ACCEPTED_MAX).find_map(|_| {
                let first = here(&mut all)
                    .filter(|(_, parked)| !parked.connection.served || parked.since.elapsed() >= IDLE_TIME_GRANTED)
                    .min_by_key(|(_, parked)| (parked.connection.served, parked.since));
                match first {
                    Some((_, parked)) if parked.waits == Waits::Idle && has_unread(&parked.connection.stream) => {
                        (parked.waits, parked.since) = (Waits::Request, Instant::now());
                        None
                    }
                    Some((id, _)) => Some(take(&mut all, id)),
                    None => Some(None),
                }
            })
        };
        matches!(gone, Some(Some(_)))
    }

    /// Closes connections whose time is over. Returns whose requests were late: telling of it may take time.
    pub fn let_go_of_the_late(&self, limits: &Limits) -> Vec<SocketAddr> {
        let (mut gone, mut late) = (Vec::new(), Vec::new());
        let mut all = lock(&self.0);
        for (id, parked) in here(&mut all) {
            let waited = parked.since.elapsed();
            match parked.waits {
                Waits::Idle if waited >= limits.idle_time_max => gone.push(id),
                Waits::Closing if waited >= CLOSING_TIME_MAX => gone.push(id),
                Waits::Request => {
                    let earned = parked.unread as u64 / limits.transfer_bytes_per_second_min.max(1);
                    if waited >= limits.head_time_max + Duration::from_secs(earned) {
                        refuse(&parked.connection.stream, 408, TOO_LATE);
                        late.push(parked.connection.remote);
                        parked.begin_to_close();
                    }
                }
                Waits::Idle | Waits::Closing => {}
            }
        }
        let gone: Vec<Parked> = gone.into_iter().filter_map(|id| take(&mut all, id)).collect();
        drop(all);
        drop(gone);
        late
    }

    /// Closes all.
    pub fn clear(&self) {
        let mut all = lock(&self.0);
        let gone: Vec<Parked> = all.values_mut().filter_map(|place| place.parked.take()).collect();
        drop(all);
        drop(gone);
    }
}

/// Those that are parked.
fn here(all: &mut HashMap<usize, Place>) -> impl Iterator<Item = (usize, &mut Parked)> {
    all.iter_mut().filter_map(|(id, place)| place.parked.as_mut().map(|parked| (*id, parked)))
}

fn take(all: &mut HashMap<usize, Place>, id: usize) -> Option<Parked> {
    all.get_mut(&id).and_then(|place| place.parked.take())
}

impl Parked {
    fn new(connection: Connection, waits: Waits) -> Parked {
        Parked { connection, waits, since: Instant::now(), unread: 0 }
    }

    /// From now on it waits for the client to fetch its refusal and go.
    fn begin_to_close(&mut self) {
        (self.waits, self.since, self.unread) = (Waits::Closing, Instant::now(), 0);
    }

    /// Looks at what has arrived. `closed` says that the client will send no more.
    fn look(mut self, closed: bool) -> Shown {
        if self.waits == Waits::Closing {
            let taken = self.connection.discard();
            self.unread += taken.unwrap_or(0);
            return if taken.is_none() || self.unread > CLOSING_BYTES_MAX { Shown::Over } else { Shown::Waits(self) };
        }
        let (unread, verdict) = self.connection.peek();
        match verdict {
            Peeked::Nothing if !closed => Shown::Waits(self),
            Peeked::Nothing | Peeked::Closed | Peeked::Broken => Shown::Over,
            Peeked::Judged(Verdict::Incomplete) if closed => Shown::Over,
            Peeked::Judged(Verdict::Incomplete) => {
                if self.waits == Waits::Idle {
                    (self.waits, self.since) = (Waits::Request, Instant::now());
                }
                self.unread = unread;
                if self.connection.is_behind && !self.connection.keep(unread) {
                    return self.refuse(503, "too many requests behind others");
                }
                Shown::Waits(self)
            }
            Peeked::Judged(Verdict::Ready(head)) => {
                let followed = head.is_followed_by_more(unread);
                self.connection.heard_at = Instant::now();
                Shown::Complete(Task::Serve(self.connection, head, followed))
            }
            Peeked::Judged(Verdict::Refused(status, why)) => self.refuse(status, why),
        }
    }

    /// Answers what is no request, and waits for the client to go.
    fn refuse(mut self, status: u16, why: &str) -> Shown {
        self.connection.refuse(status, why);
        self.begin_to_close();
        if self.connection.discard().is_none() { Shown::Over } else { Shown::Waits(self) }
    }
}
