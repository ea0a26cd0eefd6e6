//! The serving process's own side: it serves on the supervisor's socket, and says again and again that it lives.
//!
//! What must stay true: it says that it lives only after connections were heard and the database was read, and it ends
//! when the supervisor does.

use super::{ALIVE, READY, RESTARTS_VARIABLE};
use crate::coordinator::Coordinator;
use crate::ephemeral;
use crate::error::{Error, Result};
use crate::server::{Config, Server};
use crate::sync::lock;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;
use std::io::{self, Write};
use std::net::TcpListener;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, Weak};
use std::thread;
use std::time::{Duration, Instant};

/// How often the child says that it lives.
const ALIVE_EVERY: Duration = Duration::from_millis(500);
/// What the child's threads may take to let go of the database.
const CLOSING_TIME_MAX: Duration = Duration::from_secs(1);

/// How many children have died before this one.
fn restarts() -> u64 {
    std::env::var(RESTARTS_VARIABLE).ok().and_then(|count| count.parse().ok()).unwrap_or(0)
}

/// Whether this process is a supervisor's child.
#[must_use]
pub fn is_child() -> bool {
    std::env::var_os(RESTARTS_VARIABLE).is_some()
}

/// The child's life: serves `config` on the supervisor's socket until `stop` comes. Ends the process if it
/// cannot, after telling the supervisor why, and when the supervisor is gone, which is then not there to remove data
/// that was for a while.
pub fn serve(config: Config, is_for_a_while: bool, stop: &Receiver<Signal>) {
    name_process();
    let removed = is_for_a_while.then(|| config.data.clone());
    let life = Arc::new(Life::default());
    let started = end_with_supervisor(removed)
        .and_then(|()| show_life(Arc::clone(&life)))
        .and_then(|()| Server::start_on(inherited_listener()?, Config { restarts: restarts(), ..config }));
    let server = started.unwrap_or_else(|error| give_up(&error.message));
    life.serves(&server);
    if say(READY).is_err() {
        give_up("the supervisor does not listen");
    }
    loop {
        life.rounds.store(server.rounds(), Ordering::Release);
        match stop.recv_timeout(ALIVE_EVERY / 2) {
            Ok(Signal::SIGHUP) => reload(&server),
            Ok(_) => return stop_and_close(server),
            Err(RecvTimeoutError::Timeout) => {
                if !server.is_serving() {
                    give_up("it did not hear connections any more");
                }
            }
            Err(RecvTimeoutError::Disconnected) => give_up("the watch for signals has ended"),
        }
    }
}

/// What a child knows of its own life.
#[derive(Default)]
struct Life {
    /// Grows while connections are heard.
    rounds: AtomicU64,
    /// What it serves; `None`: it is about to.
    served: Mutex<Option<Weak<Coordinator>>>,
}

impl Life {
    fn serves(&self, server: &Server) {
        let served = Arc::downgrade(server.coordinator());
        *lock(&self.served) = Some(served);
    }

    /// Whether it lives, by what has happened since it had seen so many rounds.
    fn is_shown(&self, seen: &mut u64) -> bool {
        let served = lock(&self.served).clone();
        // It starts, or has all but ended: then it does not hear connections.
        let Some(coordinator) = served.and_then(|served| served.upgrade()) else { return true };
        let before = std::mem::replace(seen, self.rounds.load(Ordering::Acquire));
        if let Err(error) = coordinator.check_reading() {
            log::error!("the database cannot be read: {error}");
            return false;
        }
        coordinator.is_draining() || *seen != before
    }
}

/// From now on the supervisor hears again and again that this process lives, as far as it does.
fn show_life(life: Arc<Life>) -> Result<()> {
    thread::Builder::new().name("life".to_owned()).spawn(move || {
        let mut seen = 0;
        loop {
            // If the supervisor is gone, another thread notices.
            if life.is_shown(&mut seen) && say(ALIVE).is_err() {
                return;
            }
            thread::sleep(ALIVE_EVERY);
        }
    })?;
    Ok(())
}

/// Reads the certificate anew, if there is one.
fn reload(server: &Server) {
    match server.reload_certificate() {
        Ok(true) => log::info!("SIGHUP: the certificate was read anew; it is for those who connect from now on"),
        Ok(false) => log::info!("SIGHUP: nothing to do, since there is no certificate (--tls-cert)"),
        Err(error) => log::error!("SIGHUP: the certificate in use stays: {error}"),
    }
}

/// Finishes what is under way, and closes the database, which brings its write-ahead log in.
fn stop_and_close(server: Server) {
    let coordinator = Arc::clone(server.coordinator());
    server.stop();
    // A thread that has finished its request may not have let go of the database yet; whoever does so last closes
    // it, and must not be cut short by the end of the process.
    let deadline = Instant::now() + CLOSING_TIME_MAX;
    while Arc::strong_count(&coordinator) > 1 && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(1));
    }
}

/// Ends the process at once: to close the server would be to wait for threads that are lost.
fn give_up(why: &str) -> ! {
    // If the supervisor is gone, there is nobody to tell.
    let _ = say(why);
    std::process::exit(1)
}

/// A line for the supervisor.
fn say(line: &str) -> io::Result<()> {
    let line: String = line.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{line}")?;
    stdout.flush()
}

/// The socket that the supervisor gave as standard input.
fn inherited_listener() -> Result<TcpListener> {
    let listener = TcpListener::from(io::stdin().as_fd().try_clone_to_owned()?);
    match listener.local_addr() {
        Ok(_) => Ok(listener),
        Err(error) => {
            let why = format!("{RESTARTS_VARIABLE} is for the supervisor only, but standard input is no socket");
            Err(Error::invalid(format!("{why}: {error}")))
        }
    }
}

/// From now on this process ends when the supervisor does, however that ends: the system then closes the other
/// end of the pipe.
fn end_with_supervisor(removed: Option<PathBuf>) -> Result<()> {
    thread::Builder::new().name("supervisor".to_owned()).spawn(move || {
        let stdout = io::stdout();
        // Asks for no event: a pipe that nobody reads tells of itself.
        while let Err(Errno::EINTR | Errno::EAGAIN) | Ok(0) =
            poll(&mut [PollFd::new(stdout.as_fd(), PollFlags::empty())], PollTimeout::NONE)
        {}
        log::error!("the supervisor is gone: ending, too");
        if let Some(Err(error)) = removed.map(|data| ephemeral::remove(&data)) {
            log::warn!("cannot remove all of the temporary data: {error}");
        }
        std::process::exit(1)
    })?;
    Ok(())
}

/// `ps` and `top` show the name of the program's file, which is `exe` here.
fn name_process() {
    #[cfg(target_os = "linux")]
    if let Err(error) = nix::sys::prctl::set_name(c"baton") {
        log::debug!("cannot set the name of the process: {error}");
    }
}
