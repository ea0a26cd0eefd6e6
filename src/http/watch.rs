//! Watches requests that are being served, for the two faults of tiny_http that cannot be kept out.
//!
//! * A request line of the wrong version that slips past the gate, hidden behind another request, blocks its
//!   thread inside tiny_http for good. It is counted as lost; whoever runs the server may start it anew.
//! * A chunk-size line without end makes one read of a body go on without delivering anything, while it takes
//!   from the socket what the client sends. Such a connection is cut.

use super::sockets::{has_unread, is_at_end};
use nix::sys::socket::{Shutdown, shutdown};
use std::collections::HashMap;
use std::io::{self, Read};
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// tiny_http takes a request that lies complete in the buffer in microseconds.
const TAKING_TIME_MAX: Duration = Duration::from_secs(5);
/// A read that has gone on for so long is looked at.
const READING_TIME_MAX: Duration = Duration::from_millis(300);
/// So many looks in a row must find it taking bytes without delivering any.
const FRUITLESS_LOOKS_MAX: u32 = 3;
/// A read that gets nothing ends by the socket's own time limit; one that goes on for this longer gets
/// something, byte by byte, and delivers nothing.
const READING_SLACK: Duration = Duration::from_secs(1);

/// The requests that are being served.
pub struct Watches {
    epoch: Instant,
    all: Mutex<HashMap<usize, Arc<Watch>>>,
}

/// One request that is being served.
pub struct Watch {
    epoch: Instant,
    fd: RawFd,
    /// Milliseconds since `epoch` at which tiny_http was asked for the request; 0: it has given it.
    taking_since: AtomicU64,
    /// The same for the read that is going on; 0: none is.
    reading_since: AtomicU64,
    fruitless_looks: AtomicU32,
}

/// Ends a watch; while it lives, so does the connection.
pub struct Watching<'a> {
    watches: &'a Watches,
    id: usize,
    /// The watch.
    pub watch: Arc<Watch>,
}

impl Default for Watches {
    fn default() -> Watches {
        Watches { epoch: Instant::now(), all: Mutex::default() }
    }
}

impl Watches {
    /// Watches the connection `id`, from before tiny_http is asked for its request.
    pub fn start(&self, id: usize, fd: RawFd) -> Watching<'_> {
        let watch = Arc::new(Watch {
            epoch: self.epoch,
            fd,
            taking_since: AtomicU64::new(0),
            reading_since: AtomicU64::new(0),
            fruitless_looks: AtomicU32::new(0),
        });
        watch.mark(&watch.taking_since);
        self.lock().insert(id, Arc::clone(&watch));
        Watching { watches: self, id, watch }
    }

    /// Cuts connections whose reads deliver nothing. To be called every fraction of a second.
    /// `stall_time_max` is the socket's own time limit for a read.
    pub fn look(&self, stall_time_max: Duration) {
        for watch in self.lock().values() {
            let reading = watch.age(&watch.reading_since);
            let looks = if reading > READING_TIME_MAX && has_unread(watch.fd) {
                watch.fruitless_looks.fetch_add(1, Ordering::Relaxed) + 1
            } else {
                watch.fruitless_looks.store(0, Ordering::Relaxed);
                0
            };
            if looks >= FRUITLESS_LOOKS_MAX || reading > stall_time_max + READING_SLACK {
                let _ = shutdown(watch.fd, Shutdown::Both);
            }
        }
    }

    /// Threads that tiny_http has swallowed.
    pub fn lost(&self) -> usize {
        self.lock().values().filter(|watch| watch.age(&watch.taking_since) > TAKING_TIME_MAX).count()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<usize, Arc<Watch>>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Watching<'_> {
    fn drop(&mut self) {
        self.watches.lock().remove(&self.id);
    }
}

impl Watch {
    /// tiny_http has given the request.
    pub fn taken(&self) {
        self.taking_since.store(0, Ordering::Relaxed);
    }

    /// Reads, under watch.
    ///
    /// # Errors
    /// The reader's.
    pub fn read(&self, from: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
        self.mark(&self.reading_since);
        let result = from.read(buffer);
        self.reading_since.store(0, Ordering::Relaxed);
        result
    }

    /// Whether the client has closed its side, and everything that it sent was taken.
    pub fn peer_has_closed(&self) -> bool {
        is_at_end(self.fd)
    }

    fn mark(&self, since: &AtomicU64) {
        let ms = u64::try_from(self.epoch.elapsed().as_millis()).unwrap_or(u64::MAX);
        since.store(ms.max(1), Ordering::Relaxed);
    }

    fn age(&self, since: &AtomicU64) -> Duration {
        match since.load(Ordering::Relaxed) {
            0 => Duration::ZERO,
            ms => self.epoch.elapsed().saturating_sub(Duration::from_millis(ms)),
        }
    }
}
