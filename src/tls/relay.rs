//! The thread that accepts clients of TLS and carries their bytes.
//!
//! What must stay true: no client holds up another, whatever it does or leaves undone; every wait has an end; at the
//! limit of connections those that have owed their handshake longest make room, and those that have shaken hands are
//! the HTTP server's to judge.

use super::link::{Link, Over, PIECE_BYTES, Times};
use super::{Certificate, Files};
use crate::error::Result;
use crate::http::peers::Peers;
use crate::http::sockets::has_waiting;
use crate::limits::{Limits, TLS_CLOSING_TIME_MAX, TLS_WAITING_MAX};
use crate::sync::lock;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token, Waker};
use std::collections::{HashMap, HashSet};
use std::io::ErrorKind;
use std::net::{self, SocketAddr};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// How often deadlines are looked at.
const TICK: Duration = Duration::from_millis(100);
/// Before accepting again after descriptors or memory ran out, or at the limit of connections.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Clients accepted between two looks at those that are there.
const ACCEPTED_MAX: usize = 16;
const BOTH: Interest = Interest::READABLE.add(Interest::WRITABLE);

const LISTENER: Token = Token(0);
const WAKER: Token = Token(1);
/// Then there are two tokens for each link, the even one for its outer side.
const FIRST_LINK: usize = 1;

/// A running relay. Dropping it ends it.
pub struct Relay {
    shared: Arc<Shared>,
    files: Files,
    address: SocketAddr,
    thread: Option<thread::JoinHandle<()>>,
}

struct Shared {
    certificate: Mutex<Certificate>,
    waker: Waker,
    /// Whether no further clients are accepted,
    refuses: AtomicBool,
    /// and whether it ends when the HTTP server has said its last word to those that are there.
    ends: AtomicBool,
}

impl Relay {
    /// Carries clients that arrive at `listener` to the HTTP server at `server`, as the holder of what `files` hold,
    /// and tells `peers` who they are.
    ///
    /// # Errors
    /// If those cannot be used, or threads or descriptors cannot be had.
    pub fn start(
        listener: net::TcpListener,
        server: SocketAddr,
        files: Files,
        limits: &Limits,
        peers: Peers,
    ) -> Result<Relay> {
        let address = listener.local_addr()?;
        let certificate = Mutex::new(files.load()?);
        let poll = Poll::new()?;
        let waker = Waker::new(poll.registry(), WAKER)?;
        let mut listener = TcpListener::from_std(listener);
        poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
        let (refuses, ends) = (AtomicBool::new(false), AtomicBool::new(false));
        let shared = Arc::new(Shared { certificate, waker, refuses, ends });
        let mut carrier = Carrier {
            shared: Arc::clone(&shared),
            poll,
            listener,
            server,
            peers,
            links: HashMap::new(),
            links_max: limits.connections_max.saturating_add(TLS_WAITING_MAX),
            times: Times {
                handshake: limits.handshake_time_max,
                stall: limits.stall_time_max,
                closing: TLS_CLOSING_TIME_MAX,
            },
            next_id: FIRST_LINK,
            accept_from: Some(Instant::now()),
            unfinished: HashSet::new(),
            piece: vec![0; PIECE_BYTES],
        };
        let thread = thread::Builder::new().name("tls".to_owned()).spawn(move || carrier.run())?;
        Ok(Relay { shared, files, address, thread: Some(thread) })
    }

    /// Where clients arrive.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether it still carries anything.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }

    /// Reads certificate and key anew, for those who come from now on.
    ///
    /// # Errors
    /// If they cannot be used; then what was there stays.
    pub fn reload(&self) -> Result<()> {
        let certificate = self.files.load()?;
        *lock(&self.shared.certificate) = certificate;
        Ok(())
    }

    /// Accepts no further clients; those in the kernel's backlog are for whoever listens next.
    pub fn refuse(&self) {
        self.shared.refuses.store(true, Ordering::Release);
        let _ = self.shared.waker.wake();
    }

    /// Brings what the HTTP server, which has stopped, has said to its clients, and ends.
    pub fn finish(&mut self) {
        self.shared.ends.store(true, Ordering::Release);
        self.refuse();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            log::error!("the thread for TLS had panicked");
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.finish();
    }
}

struct Carrier {
    shared: Arc<Shared>,
    poll: Poll,
    listener: TcpListener,
    server: SocketAddr,
    /// Hears for whom the connections to it stand.
    peers: Peers,
    links: HashMap<usize, Link>,
    links_max: usize,
    times: Times,
    next_id: usize,
    /// From when on clients may be waiting to be accepted.
    accept_from: Option<Instant>,
    /// Links that had more to carry when their turn was over.
    unfinished: HashSet<usize>,
    /// What is on its way from the server to a client.
    piece: Vec<u8>,
}

impl Carrier {
    fn run(&mut self) {
        let mut events = Events::with_capacity(1024);
        let mut next_tick = Instant::now() + TICK;
        let mut ends_by = None;
        loop {
            let more_to_accept = self.accept_from.is_some_and(|from| from <= Instant::now());
            let timeout = if !self.unfinished.is_empty() {
                Duration::ZERO
            } else if more_to_accept {
                ACCEPT_PAUSE / 10
            } else {
                TICK
            };
            if let Err(error) = self.poll.poll(&mut events, Some(timeout))
                && error.kind() != ErrorKind::Interrupted
            {
                log::error!("cannot wait for clients of TLS: {error}");
                thread::sleep(ACCEPT_PAUSE);
            }
            let now = Instant::now();
            for event in &events {
                match event.token() {
                    LISTENER => self.accept_from = Some(now),
                    WAKER => {}
                    Token(token) => {
                        let id = token / 2;
                        if let Some(link) = self.links.get_mut(&id) {
                            link.hear(event, token % 2 == 1);
                            self.unfinished.insert(id);
                        }
                    }
                }
            }
            for id in std::mem::take(&mut self.unfinished) {
                self.carry(id, now);
            }
            if !self.shared.refuses.load(Ordering::Acquire) {
                self.accept(now);
            }
            if now >= next_tick {
                self.links.retain(|_, link| !link.is_late(now, &self.times));
                next_tick = now + TICK;
            }
            if self.shared.ends.load(Ordering::Acquire) {
                let by = *ends_by.get_or_insert(now + TLS_CLOSING_TIME_MAX);
                if now >= by || !self.links.values().any(Link::is_in_use) {
                    return;
                }
            }
        }
    }

    /// Gives a link its turn.
    fn carry(&mut self, id: usize, now: Instant) {
        let Some(link) = self.links.get_mut(&id) else { return };
        let carried = link.carry(now, &mut self.piece).and_then(|has_more| {
            if link.wants_server() {
                let mut stream = TcpStream::connect(self.server).map_err(|error| {
                    log::warn!("cannot reach the HTTP server: {error}");
                    Over
                })?;
                let _ = stream.set_nodelay(true);
                let registered = self.poll.registry().register(&mut stream, Token(2 * id + 1), BOTH);
                registered.map_err(|_| Over)?;
                let clients = link.outer().peer_addr().ok();
                let stand_in =
                    stream.local_addr().ok().zip(clients).map(|(from, client)| self.peers.stand_in(from, client));
                link.connect(stream, stand_in);
            }
            Ok(has_more)
        });
        match carried {
            Ok(true) => {
                self.unfinished.insert(id);
            }
            Ok(false) => {}
            Err(Over) => {
                self.links.remove(&id);
            }
        }
    }

    fn accept(&mut self, now: Instant) {
        for _ in 0..ACCEPTED_MAX {
            if self.accept_from.is_none_or(|from| from > now) || !self.has_room() {
                return;
            }
            match self.listener.accept() {
                Ok((stream, _)) => self.begin(stream, now),
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.accept_from = None,
                Err(error) if matches!(error.kind(), ErrorKind::ConnectionAborted | ErrorKind::Interrupted) => {}
                Err(error) => {
                    log::warn!("cannot accept connections at the moment: {error}");
                    self.accept_from = Some(now + ACCEPT_PAUSE);
                }
            }
        }
    }

    /// Whether one more fits, for which the one that has owed its handshake longest may have to go.
    fn has_room(&mut self) -> bool {
        if self.links.len() < self.links_max {
            return true;
        }
        if !has_waiting(self.listener.as_fd()) {
            // Nobody has to go for nobody; an event tells of the next one.
            self.accept_from = None;
            return false;
        }
        let owing = self.links.iter().filter_map(|(id, link)| Some((link.handshaking_since()?, *id)));
        let Some((_, longest)) = owing.min() else { return false };
        self.links.remove(&longest);
        true
    }

    fn begin(&mut self, stream: TcpStream, now: Instant) {
        let certificate = lock(&self.shared.certificate).clone();
        let id = self.next_id;
        let begun = Link::new(stream, &certificate, now).and_then(|mut link| {
            self.poll.registry().register(link.outer(), Token(2 * id), BOTH)?;
            Ok(link)
        });
        match begun {
            Ok(link) => {
                self.next_id += 1;
                self.links.insert(id, link);
            }
            Err(error) => log::warn!("cannot begin with a client of TLS: {error}"),
        }
    }
}
