//! From a commit, of this process or of another, to whoever waits for one.
//!
//! The one writer calls `Changes::committed` after each commit, so that no deed can forget it. In the process that
//! listens, a server, that ends `Changes::wait`. Any other process, a command, tells the server: it sends an empty
//! datagram to `wake.sock` in the data directory.
//!
//! What must stay true: the database alone says what has changed. A datagram only has the server look, so that a lost one
//! costs `LOOK_EVERY` and one too many costs a look; a command never waits for the server, and never fails for it. Who
//! writes without telling, as the `sqlite3` shell does, is noticed by that look, too.

use crate::error::{Error, Result};
use crate::store::same_file::SameFile;
use crate::sync::{lock, whole};
use nix::sys::stat::{Mode, fchmod};
use socket2::{Domain, SockAddr, Socket, Type};
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::net::Shutdown;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime};

/// The socket in the data directory at which a server is told of commits.
pub const SOCKET: &str = "wake.sock";

/// How soon a listening server notices what nobody told it.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The same where it cannot listen. A look takes microseconds.
const LOOK_EVERY_IF_DEAF: Duration = Duration::from_millis(20);
/// Between two datagrams that are heard: a flood of them costs a thousand looks a second. What does not fit into the
/// socket's queue meanwhile is not missed, since one that is in it is heard after it.
const PAUSE: Duration = Duration::from_millis(1);
/// Bytes of a socket's address, with the zero at its end.
const ADDRESS_BYTES_MAX: usize = 108;
/// The file system's clock may be so coarse that two writes within this time look like one.
const CLOCK_STEP_MAX: Duration = Duration::from_millis(50);

/// What this process knows of the queue's generation without asking the database: that after its own last commit, or
/// at its last look at what other processes have done, whichever is newer.
pub struct Changes {
    generation: AtomicU64,
    /// Grows with each commit, also with those of others as far as they were noticed.
    moves: AtomicU64,
    /// Whether somebody waits for `moved`.
    is_move_awaited: AtomicBool,
    moving: Mutex<()>,
    moved: Condvar,
    calls: Mutex<Calls>,
    called: Condvar,
    /// Where a server listens.
    socket: PathBuf,
    /// Whether this process does.
    listens: AtomicBool,
    /// What it tells through; `None`: not needed yet.
    mouth: Mutex<Option<UnixDatagram>>,
    /// The write-ahead log, which every commit of every process writes to.
    log: PathBuf,
    /// How it was when the generation was read last; `None`: not known well enough.
    seen: Mutex<Option<LogState>>,
}

/// What ends a wait.
#[derive(Default)]
struct Calls {
    /// Somebody is to look at what has become possible.
    nudged: bool,
    /// Another process has committed something.
    told: bool,
}

impl Changes {
    /// Of the database at this path, whose queue has this generation.
    pub fn new(database: &Path, generation: u64) -> Changes {
        Changes {
            generation: AtomicU64::new(generation),
            moves: AtomicU64::new(0),
            is_move_awaited: AtomicBool::new(false),
            moving: Mutex::default(),
            moved: Condvar::new(),
            calls: Mutex::default(),
            called: Condvar::new(),
            socket: database.with_file_name(SOCKET),
            listens: AtomicBool::new(false),
            mouth: Mutex::default(),
            log: super::inspect::beside(database, "-wal"),
            seen: Mutex::default(),
        }
    }

    /// The newest known generation of the queue.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// This process has committed something, after which the queue has this generation.
    pub(super) fn committed(&self, generation: u64) {
        self.note(generation);
        self.note_move();
        if !self.listens.load(Ordering::Acquire) {
            self.tell();
        }
    }

    /// How many commits there were since this was made, at least: whatever is stored is as it was while this stays.
    #[must_use]
    pub fn moves(&self) -> u64 {
        self.moves.load(Ordering::SeqCst)
    }

    /// Waits until [`Changes::moves`] is another than `seen`, at most so long. Returns it.
    pub fn wait_for_move(&self, seen: u64, at_most: Duration) -> u64 {
        let guard = lock(&self.moving);
        self.is_move_awaited.store(true, Ordering::SeqCst);
        drop(whole(self.moved.wait_timeout_while(guard, at_most, |()| self.moves() == seen)));
        self.moves()
    }

    /// Ends what `Changes::wait_for_move` waits for.
    pub fn note_move(&self) {
        self.moves.fetch_add(1, Ordering::SeqCst);
        if self.is_move_awaited.swap(false, Ordering::SeqCst) {
            drop(lock(&self.moving));
            self.moved.notify_all();
        }
    }

    fn note(&self, generation: u64) {
        if self.generation.fetch_max(generation, Ordering::AcqRel) < generation {
            self.nudge();
        }
    }

    /// Ends what `Changes::wait` waits for.
    pub fn nudge(&self) {
        lock(&self.calls).nudged = true;
        self.called.notify_all();
    }

    /// Waits until the generation is another than `seen`, somebody nudges, or another process may have committed.
    /// Returns the newest generation, for which `read` reads the database if need be. For one thread at a time.
    pub(super) fn wait(&self, seen: u64, read: impl FnOnce() -> Result<u64>) -> Result<u64> {
        let at_most = if self.listens.load(Ordering::Acquire) { LOOK_EVERY } else { LOOK_EVERY_IF_DEAF };
        let is_quiet = |calls: &mut Calls| !calls.nudged && !calls.told && self.generation() == seen;
        let calls = lock(&self.calls);
        let waited = self.called.wait_timeout_while(calls, at_most, is_quiet);
        let (mut calls, _) = whole(waited);
        let Calls { told, .. } = std::mem::take(&mut *calls);
        drop(calls);
        if told || self.generation() == seen { self.look(read) } else { Ok(self.generation()) }
    }

    /// The generation as it is stored, whoever moved it. `read` reads it, which is not done if nothing was written.
    pub(super) fn look(&self, read: impl FnOnce() -> Result<u64>) -> Result<u64> {
        // Of before the reading: what is written meanwhile is seen by the next look.
        let log = LogState::of(&self.log);
        if log.is_some() && *lock(&self.seen) == log {
            return Ok(self.generation());
        }
        let generation = read()?;
        self.note(generation);
        self.note_move();
        *lock(&self.seen) = log.filter(|log| log.is_settled(SystemTime::now()));
        Ok(generation)
    }

    /// Tells a server that there may be something new. Without one, or with one that is told already, nothing happens.
    fn tell(&self) {
        let mut mouth = lock(&self.mouth);
        if mouth.is_none() {
            *mouth = UnixDatagram::unbound().and_then(|it| it.set_nonblocking(true).map(|()| it)).ok();
        }
        if let Some(mouth) = mouth.as_ref()
            && let Err(error) = with_address(&self.socket, |address| mouth.send_to(&[], address))
        {
            log::trace!("no server was told of a commit: {error}");
        }
    }

    /// Listens to other processes, as a server does. Only for who has the right to serve: it takes the place of a socket
    /// that a crash left behind. Where there can be no socket, `None`: then `Changes::wait` looks more often.
    pub fn listen(self: &Arc<Self>) -> Option<Ear> {
        match Ear::open(self) {
            Ok(ear) => Some(ear),
            Err(error) => {
                log::warn!(
                    "commands cannot tell of what they do, since {error}; looking each {LOOK_EVERY_IF_DEAF:?} instead"
                );
                None
            }
        }
    }
}

/// A thread that hears what other processes tell. Dropping it ends it, and removes the socket.
pub struct Ear {
    changes: Arc<Changes>,
    socket: Arc<UnixDatagram>,
    /// What the socket's path names, unless somebody puts another one there.
    place: SameFile,
    stopping: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Ear {
    fn open(changes: &Arc<Changes>) -> Result<Ear> {
        let path = &changes.socket;
        let failed = |error: io::Error| Error::file(path, &error);
        match fs::remove_file(path) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(failed(error)),
            Ok(()) | Err(_) => {}
        }
        let socket = Arc::new(with_address(path, bind).map_err(failed)?);
        let place = SameFile::of(path)?;
        let stopping = Arc::new(AtomicBool::new(false));
        let hear = {
            let (changes, socket, stopping) = (Arc::clone(changes), Arc::clone(&socket), Arc::clone(&stopping));
            move || changes.hear(&socket, &stopping)
        };
        let thread = Some(thread::Builder::new().name("wake".to_owned()).spawn(hear)?);
        changes.listens.store(true, Ordering::Release);
        // What was committed before has found nobody.
        lock(&changes.calls).told = true;
        Ok(Ear { changes: Arc::clone(changes), socket, place, stopping, thread })
    }
}

impl Changes {
    fn hear(&self, socket: &UnixDatagram, stopping: &AtomicBool) {
        loop {
            let heard = socket.recv(&mut [0; 1]);
            if stopping.load(Ordering::Acquire) {
                return;
            }
            if let Err(error) = heard
                && error.kind() != ErrorKind::Interrupted
            {
                log::warn!(
                    "cannot hear of what other processes do: {error}; looking each {LOOK_EVERY_IF_DEAF:?} instead"
                );
                return self.listens.store(false, Ordering::Release);
            }
            lock(&self.calls).told = true;
            self.called.notify_all();
            self.note_move();
            thread::sleep(PAUSE);
        }
    }
}

impl Drop for Ear {
    fn drop(&mut self) {
        self.changes.listens.store(false, Ordering::Release);
        self.stopping.store(true, Ordering::Release);
        if self.place.check().is_ok()
            && let Err(error) = fs::remove_file(&self.changes.socket)
        {
            log::debug!("{} stays: {error}", self.changes.socket.display());
        }
        let ended = self.socket.shutdown(Shutdown::Both).is_ok();
        if let Some(thread) = self.thread.take().filter(|_| ended)
            && thread.join().is_err()
        {
            log::error!("the thread that hears other processes had panicked");
        }
    }
}

/// A socket at this path, its owner's alone from the first moment.
fn bind(path: &Path) -> io::Result<UnixDatagram> {
    let socket = Socket::new(Domain::UNIX, Type::DGRAM, None)?;
    fchmod(socket.as_raw_fd(), Mode::S_IRUSR | Mode::S_IWUSR)?;
    socket.bind(&SockAddr::unix(path)?)?;
    Ok(OwnedFd::from(socket).into())
}

/// Has `use_it` use a socket's path. One that is too long for a socket's address is reached through its open directory.
fn with_address<T>(path: &Path, use_it: impl FnOnce(&Path) -> io::Result<T>) -> io::Result<T> {
    if path.as_os_str().as_bytes().len() < ADDRESS_BYTES_MAX {
        return use_it(path);
    }
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(ErrorKind::InvalidInput.into());
    };
    let folder = File::open(folder)?;
    use_it(&Path::new("/proc/self/fd").join(folder.as_raw_fd().to_string()).join(name))
}

/// What shows that nothing was written to the log, at a third of what a read of the database costs.
#[derive(Clone, Copy, PartialEq, Eq)]
struct LogState {
    modified: SystemTime,
    bytes: u64,
    inode: u64,
}

impl LogState {
    fn of(log: &Path) -> Option<LogState> {
        let metadata = fs::metadata(log).ok()?;
        Some(LogState { modified: metadata.modified().ok()?, bytes: metadata.len(), inode: metadata.ino() })
    }

    /// Whether a write since then shows.
    fn is_settled(&self, now: SystemTime) -> bool {
        now.duration_since(self.modified).is_ok_and(|age| age >= CLOCK_STEP_MAX)
    }
}

#[cfg(test)]
#[path = "changes/tests.rs"]
mod tests;
