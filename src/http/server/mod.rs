//! Carries requests from sockets to a handler.
//!
//! Three kinds of threads share the work:
//!
//! * one **poller** accepts connections and hears those that wait (`parking.rs`), thousands, without a thread each. When
//!   bytes arrive it looks at them in the kernel's buffer (`recv` with `MSG_PEEK`), and lets a request pass
//!   only when its head is complete, bounded and free of doubt (`gate.rs`);
//! * a bounded number of **workers** each serve one such request at a time, and give the connection back. What waits for
//!   a commit (`after_commit.rs`) or for a build (`held.rs`) keeps none of them meanwhile;
//! * whoever holds the [`HttpServer`] stops it.
//!
//! What must stay true: of a connection, no byte behind the request that was judged is taken; a connection whose
//! request was not read to its end carries no further request; every wait has an end; nothing that befalls one
//! connection holds up the others.

mod after_commit;
mod connection;
mod held;
mod parking;
mod workers;

use self::connection::Connection;
use self::held::HeldRequest;
use self::parking::{Parking, TOO_LATE};
use super::budget::Budget;
use super::gate::Head;
use super::message::{Answer, Finish, Method, Note, Request};
use super::peers::Peers;
use super::record::Journal;
use super::sockets::{self, has_waiting, listen};
use super::traffic::Traffic;
use crate::error::{Error, Result};
use crate::limits::{CLOSING_BYTES_MAX, CLOSING_TIME_MAX, IDLE_TIME_GRANTED, Limits, PIPELINED_BYTES_MAX};
use crate::sync::{lock, whole};
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Registry, Token, Waker};
use nix::errno::Errno;
use std::collections::{HashMap, VecDeque};
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

/// Answers requests. Called from many threads at once.
pub type Handler = dyn Fn(&mut Request<'_>) -> Answer + Send + Sync;

/// How often deadlines are looked at.
const TICK: Duration = Duration::from_millis(100);
const TICKS_PER_SECOND: u32 = 10;
/// After so long without any request taken on, one more worker may run: those that do may hang at what does not
/// say that it waits.
const STUCK_TIME: Duration = Duration::from_millis(20);
/// After so long without that, one less may.
const UNSTUCK_TIME: Duration = Duration::from_secs(1);
/// Before accepting again after descriptors or memory ran out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Between two warnings of that.
const WARNING_PAUSE: Duration = Duration::from_secs(1);
/// Connections accepted between two looks at what arrives: a new one's request is heard before the next crowd.
const ACCEPTED_MAX: usize = 16;

/// Workers that may run at a time, however few processors there are: some may wait and not say so.
const RUNNING_MIN: usize = 4;

/// So many queued tasks are worth another worker.
const TASKS_PER_WORKER: usize = 16;

const LISTENER: Token = Token(0);
const WAKER: Token = Token(1);
const FIRST_CONNECTION: usize = 2;

/// Listens on `address`, with the time limits that every connection inherits. Port 0 takes a free one.
///
/// # Errors
/// If the address cannot be had.
pub fn bind(address: SocketAddr, limits: &Limits) -> Result<TcpListener> {
    listen(address, limits).map_err(|error| Error::invalid(format!("cannot listen on {address}: {error}")))
}

/// The same of a socket that listens already: a service manager has made it.
///
/// # Errors
/// If it is another kind of socket, or none.
pub fn adopt(descriptor: OwnedFd, limits: &Limits) -> Result<TcpListener> {
    sockets::adopt(descriptor, limits).map_err(|what| {
        let advice = "the socket unit must say ListenStream= with a port, and not Accept=yes";
        Error::invalid(format!("the service manager hands over {what}; {advice}"))
    })
}

/// A running server. Dropping it without [`HttpServer::stop`] stops it too.
pub struct HttpServer {
    shared: Arc<Shared>,
    address: SocketAddr,
    poller: Option<thread::JoinHandle<()>>,
}

/// What poller and workers share.
struct Shared {
    handler: Box<Handler>,
    limits: Limits,
    parking: Parking,
    held: Mutex<HashMap<usize, HeldRequest>>,
    work: Mutex<Work>,
    worker_ended: Condvar,
    waker: Waker,
    /// Counts what is answered,
    traffic: Arc<Traffic>,
    /// and tells of it.
    journal: Journal,
    peers: Peers,
    /// Of connections that the poller hears.
    registry: Registry,
    /// Connections that exist, wherever they are.
    open: AtomicUsize,
    stopping: AtomicBool,
    /// How often the poller went round.
    rounds: AtomicU64,
    /// Memory for what cannot stay in the kernel's buffer.
    kept: Budget,
    /// Places for long bodies of those who have not shown a token yet: others must be left for known clients.
    strangers: Budget,
}

#[derive(Default)]
struct Work {
    ready: VecDeque<Task>,
    /// How many were taken out of `ready` so far.
    taken: u64,
    threads: usize,
    /// Parked workers; the last one went idle last.
    idle: Vec<Thread>,
    /// Workers that wait in the middle of a request.
    waiting: usize,
    /// Requests that wait for an answer soon, without a worker.
    uncommitted: usize,
    /// Most workers that run at a time, apart from those,
    running_max: usize,
    /// and what that is when none of them hangs.
    running_min: usize,
}

impl Work {
    fn running(&self) -> usize {
        self.threads.saturating_sub(self.idle.len() + self.waiting)
    }

    /// Whether a request is under way.
    fn is_busy(&self) -> bool {
        self.threads > 0 || self.uncommitted > 0 || !self.ready.is_empty()
    }

    /// How many may run: more for a crowd, so that nobody stands behind all of it.
    fn may_run(&self) -> usize {
        self.running_max.max(self.ready.len() / TASKS_PER_WORKER)
    }
}

/// What the poller has seen of the workers.
struct Progress {
    /// So many tasks had been taken,
    taken: u64,
    /// and none since then, although some were queued.
    since: Instant,
    /// When the number of those that may run last changed.
    changed_at: Instant,
}

/// What a worker is called for.
enum Task {
    /// A request; with whether something has arrived behind it.
    Serve(Connection, Head, bool),
    /// Another look at a request that is held.
    Resume(HeldRequest),
    /// An answer that can be made now.
    Finish(Asked, Finish),
}

/// A request that was read to its end, and how it is to be answered.
struct Asked {
    /// Carries the request.
    connection: Connection,
    /// Whether the connection may carry another request.
    keep: bool,
    about: About,
}

/// What is known of a request that is to be answered.
struct About {
    method: Method,
    /// When it had arrived, as far as that was awaited.
    since: Instant,
    /// Bytes of its body that were read.
    bytes_in: u64,
    note: Note,
}

impl HttpServer {
    /// Answers what arrives at `listener`, which [`bind`] made, with `handler`, and counts it in `traffic`. `peers`
    /// knows for whom connections stand.
    ///
    /// # Errors
    /// If threads or descriptors cannot be had.
    pub fn start(
        listener: TcpListener,
        limits: Limits,
        traffic: Arc<Traffic>,
        peers: Peers,
        handler: Box<Handler>,
    ) -> Result<HttpServer> {
        let address = listener.local_addr()?;
        let poll = Poll::new()?;
        let waker = Waker::new(poll.registry(), WAKER)?;
        let registry = poll.registry().try_clone()?;
        poll.registry().register(&mut SourceFd(&listener.as_raw_fd()), LISTENER, Interest::READABLE)?;
        let running_min = thread::available_parallelism().map_or(RUNNING_MIN, usize::from).max(RUNNING_MIN);
        let strangers = limits.workers_max.min(limits.connections_max) / 2;
        let shared = Arc::new(Shared {
            handler,
            strangers: Budget::new("long bodies of strangers", u64::try_from(strangers).unwrap_or(u64::MAX).max(1)),
            kept: Budget::new("bytes behind requests", PIPELINED_BYTES_MAX),
            limits,
            parking: Parking::default(),
            held: Mutex::default(),
            work: Mutex::new(Work { running_min, running_max: running_min, ..Work::default() }),
            worker_ended: Condvar::new(),
            waker,
            traffic,
            journal: Journal::default(),
            peers,
            registry,
            open: AtomicUsize::new(0),
            stopping: AtomicBool::new(false),
            rounds: AtomicU64::new(0),
        });
        let mut poller = Poller {
            shared: Arc::clone(&shared),
            poll,
            listener,
            next_id: FIRST_CONNECTION,
            accept_from: Some(Instant::now()),
            warned_at: None,
        };
        let thread = thread::Builder::new().name("poller".to_owned()).spawn(move || poller.run())?;
        Ok(HttpServer { shared, address, poller: Some(thread) })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether it still hears what arrives. False after [`HttpServer::stop`], or a fault of ours.
    #[must_use]
    pub fn is_serving(&self) -> bool {
        self.poller.as_ref().is_some_and(|poller| !poller.is_finished())
    }

    /// How often the thread that hears connections went round: several times a second, as long as it lives.
    #[must_use]
    pub fn rounds(&self) -> u64 {
        self.shared.rounds.load(Ordering::Relaxed)
    }

    /// Takes no new requests, lets those under way finish, for at most [`Limits::drain_time_max`], and returns
    /// how many did not.
    pub fn stop(&mut self) -> usize {
        self.shared.stopping.store(true, Ordering::Release);
        let _ = self.shared.waker.wake();
        if let Some(poller) = self.poller.take()
            && poller.join().is_err()
        {
            log::error!("the poller had panicked");
        }
        // Waiting workers end, working ones end after their request.
        let deadline = Instant::now() + self.shared.limits.drain_time_max;
        let mut work = self.shared.work();
        work.idle.drain(..).for_each(|idle| idle.unpark());
        while work.is_busy() && Instant::now() < deadline {
            work = whole(self.shared.worker_ended.wait_timeout(work, TICK)).0;
        }
        let given_up = work.threads + work.uncommitted;
        drop(work);
        // What was parked after the poller had ended: it would keep everything alive that the handler holds.
        self.shared.parking.clear();
        given_up
    }
}

impl Drop for HttpServer {
    fn drop(&mut self) {
        if self.poller.is_some() {
            self.stop();
        }
    }
}

struct Poller {
    shared: Arc<Shared>,
    poll: Poll,
    listener: TcpListener,
    next_id: usize,
    /// From when on connections may be waiting to be accepted.
    accept_from: Option<Instant>,
    /// When it was last told that descriptors or memory ran out.
    warned_at: Option<Instant>,
}

impl Poller {
    fn run(&mut self) {
        let mut events = Events::with_capacity(1024);
        let (mut next_tick, mut ticks) = (Instant::now() + TICK, 0_u32);
        let mut progress = Progress { taken: 0, since: Instant::now(), changed_at: Instant::now() };
        while !self.shared.stopping.load(Ordering::Acquire) {
            self.shared.rounds.fetch_add(1, Ordering::Relaxed);
            let more_to_accept = self.accept_from.is_some_and(|from| from <= Instant::now());
            let backlog = self.shared.adapt(&mut progress);
            let timeout = if more_to_accept {
                ACCEPT_PAUSE / 10
            } else if backlog {
                STUCK_TIME
            } else {
                TICK
            };
            if let Err(error) = self.poll.poll(&mut events, Some(timeout))
                && error.kind() != ErrorKind::Interrupted
            {
                log::error!("cannot wait for connections: {error}");
                thread::sleep(ACCEPT_PAUSE);
            }
            for event in &events {
                match event.token() {
                    LISTENER => self.accept_from = Some(Instant::now()),
                    WAKER => {}
                    Token(id) => {
                        if event.is_read_closed() {
                            self.shared.let_go_of_held(id);
                        }
                        if let Some(task) = self.shared.parking.hear(id, event.is_read_closed()) {
                            self.shared.queue(task);
                        }
                    }
                }
            }
            self.accept();
            if Instant::now() >= next_tick {
                for remote in self.shared.parking.let_go_of_the_late(&self.shared.limits) {
                    self.shared.tell_refusal(408, TOO_LATE, remote);
                }
                self.shared.resume_the_due();
                self.shared.traffic.connections.set(self.shared.open.load(Ordering::Relaxed));
                if ticks.is_multiple_of(TICKS_PER_SECOND) {
                    self.shared.journal.tell_unlisted();
                }
                ticks = ticks.wrapping_add(1);
                next_tick = Instant::now() + TICK;
            }
        }
        self.shared.parking.clear();
        self.shared.journal.tell_unlisted();
        self.shared.resume_all();
    }

    fn accept(&mut self) {
        for _ in 0..ACCEPTED_MAX {
            if self.accept_from.is_none_or(|from| from > Instant::now()) {
                return;
            }
            if self.shared.open.load(Ordering::Acquire) >= self.shared.limits.connections_max {
                if !has_waiting(self.listener.as_fd()) {
                    // Nobody has to go for nobody; an event tells of the next one.
                    self.accept_from = None;
                    return;
                }
                if !self.shared.parking.let_go_of_one() {
                    // The next tick looks again, and whichever connection ends first wakes the poller.
                    return;
                }
            }
            match self.listener.accept() {
                Ok((stream, remote)) => self.welcome(stream, remote),
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.accept_from = None,
                Err(error) if is_shortage(&error) => {
                    // Those that wait stay in the backlog.
                    if self.warned_at.is_none_or(|at| at.elapsed() >= WARNING_PAUSE) {
                        log::warn!("cannot accept connections at the moment: {error}");
                        self.warned_at = Some(Instant::now());
                    }
                    self.accept_from = Some(Instant::now() + ACCEPT_PAUSE);
                }
                // Of one connection, which is gone.
                Err(_) => {}
            }
        }
    }

    /// Takes on a connection, and its request, if that is there already.
    fn welcome(&mut self, stream: TcpStream, remote: SocketAddr) {
        let id = self.next_id;
        self.next_id += 1;
        self.shared.open.fetch_add(1, Ordering::AcqRel);
        self.shared.parking.open(id);
        let connection = Connection::new(id, stream, remote, Arc::clone(&self.shared));
        if let Some(task) = self.shared.parking.welcome(connection) {
            self.shared.queue(task);
        }
    }
}

/// Whether accepting failed for want of something that all connections need. Any other error is of the one connection
/// that would have been accepted (accept(2)).
fn is_shortage(error: &io::Error) -> bool {
    let shortages = [Errno::EMFILE, Errno::ENFILE, Errno::ENOBUFS, Errno::ENOMEM];
    error.raw_os_error().is_some_and(|code| shortages.contains(&Errno::from_raw(code)))
}

impl Shared {
    fn work(&self) -> MutexGuard<'_, Work> {
        lock(&self.work)
    }
}
