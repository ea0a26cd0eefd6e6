//! Keeps a server up: a small process that holds the listening socket, and a child of it that serves.
//!
//! ```text
//! supervisor   binds the socket, starts the child, passes signals on, looks at the child's memory
//!   |  standard input: the listening socket   standard output: a pipe on which the child speaks
//! child        the same program with the same arguments; it serves
//! ```
//!
//! A fault that nobody foresaw may kill the process, hang it, or make it take memory. Then the process is given up, not
//! the service: the next one takes over the same socket, on which connections wait meanwhile, and everything
//! acknowledged is in the database.
//!
//! What must stay true: the supervisor does little enough never to fail itself, and keeps no state but the count
//! of restarts; there is one child at a time, and it does not outlive the supervisor; a child that was ready
//! once is always followed by another, unless the supervisor was told to stop.
//!
//! The child speaks in lines: `alive`, again and again, `ready`, once, and, if it ends by its own decision, why. It says
//! `alive` only after it went round the loop that hears connections, and after the database could be read. One that does
//! not for [`Limits::silence_max`] is replaced, and a service manager hears of no other life. Only time that the
//! supervisor itself has lived counts: not that in which the machine slept.
//!
//! Data that is moved or replaced under the child ends both: what the child would acknowledge, nobody would find.

mod child;
mod life;

pub use life::{is_child, serve};

use crate::error::{Error, Result};
use crate::limits::Limits;
use crate::process::drain::Farewells;
use crate::process::systemd::Manager;
use crate::store::same_file::SameFile;
use child::Serving;
use nix::sys::signal::Signal;
use nix::unistd::{Pid, getppid};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

/// How often the child's memory is looked at.
const MEMORY_LOOK_EVERY: Duration = Duration::from_millis(250);
/// More than that between two looks is no time that the supervisor has lived.
const LIVED_PER_LOOK_MAX: Duration = Duration::from_secs(1);
/// How often it is looked whether the data is in its place.
const PLACES_LOOK_EVERY: Duration = Duration::from_secs(1);
/// Between the deaths of two children at their start, doubling from one to the other.
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// What a child that stops may take beyond [`Limits::drain_time_max`], to close its database.
const STOP_GRACE: Duration = Duration::from_secs(10);
/// The child's word for: I serve.
const READY: &str = "ready";
/// The child's word for: I live.
const ALIVE: &str = "alive";
/// Where a child is told how many have died before it; absent without a supervisor.
pub const RESTARTS_VARIABLE: &str = "BATON_RESTARTS";

/// The process that holds the socket.
pub struct Supervisor {
    listener: TcpListener,
    limits: Limits,
    sender: Sender<Event>,
    events: Receiver<Event>,
    restarts: u64,
    pause: Duration,
    manager: Manager,
    /// The data directory, if that is not one that children know by themselves.
    data: Option<PathBuf>,
    /// The data directory whose place is watched,
    watched: Option<PathBuf>,
    /// and what was there when the first child served.
    places: Vec<SameFile>,
    places_looked_at: Instant,
    /// The process that started this one, if it is to end with that.
    parent: Option<Pid>,
    farewells: Option<Farewells>,
}

/// What the supervisor waits for. All of a child's events come before those of the next one.
enum Event {
    Signal(Signal),
    /// The child serves.
    Ready,
    /// The child lives.
    Alive,
    /// The child ends, for this reason.
    Ends(String),
    /// The child has closed its end of the pipe: it is dead.
    Dead,
}

impl Supervisor {
    /// A supervisor for children that serve on `listener`, which [`crate::http::server::bind`] made.
    #[must_use]
    pub fn new(listener: TcpListener, limits: Limits) -> Supervisor {
        let (sender, events) = channel();
        let manager = Manager::from_environment();
        let (restarts, pause) = (0, Duration::ZERO);
        Supervisor {
            listener,
            limits,
            sender,
            events,
            restarts,
            pause,
            manager,
            data: None,
            watched: None,
            places: Vec::new(),
            places_looked_at: Instant::now(),
            parent: None,
            farewells: None,
        }
    }

    /// Lets children serve `data`, and ends with the process that started this one: nobody else knows of the data.
    #[must_use]
    pub fn for_a_while(self, data: &Path) -> Supervisor {
        Supervisor { data: Some(data.to_owned()), parent: Some(getppid()), ..self }
    }

    /// Ends when `data` is not what it was any more when the first child served.
    #[must_use]
    pub fn watching(self, data: &Path) -> Supervisor {
        Supervisor { watched: Some(data.to_owned()), ..self }
    }

    /// Has those answered who come while the last child stops. Not where somebody else holds the socket, too: then
    /// they had better wait for the next server.
    #[must_use]
    pub fn with_farewells(self, farewells: Farewells) -> Supervisor {
        Supervisor { farewells: Some(farewells), ..self }
    }

    /// Takes the signals that tell it to stop: at the first, requests under way are finished; at the second,
    /// they are not.
    pub fn signals(&self) -> impl FnMut(Signal) + Send + 'static {
        let sender = self.sender.clone();
        // Nobody listens any more: the supervisor is about to end.
        move |signal| drop(sender.send(Event::Signal(signal)))
    }

    /// Serves until a signal comes: starts children of this very program with this process's own arguments,
    /// which must lead to [`serve`]. Calls `ready` once, when the first child serves.
    ///
    /// # Errors
    /// If the first child does not come to serve; `ready`'s own; if the child had to be killed at the end.
    pub fn run<E: From<Error>>(
        mut self,
        ready: impl FnOnce(SocketAddr) -> std::result::Result<(), E>,
    ) -> std::result::Result<(), E> {
        let mut ready = Some(ready);
        let mut child = self.start().map_err(|error| Error::internal(format!("cannot start serving: {error}")))?;
        let mut looked_at = Instant::now();
        loop {
            child.silence += looked_at.elapsed().min(LIVED_PER_LOOK_MAX);
            looked_at = Instant::now();
            self.look_at_places(&mut child)?;
            match self.events.recv_timeout(MEMORY_LOOK_EVERY) {
                Ok(Event::Alive) => {
                    child.silence = Duration::ZERO;
                    self.manager.alive();
                }
                Ok(Event::Ready) => {
                    self.note_places()?;
                    child.ready_at = Some(Instant::now());
                    if child.is_hung_up {
                        child.hang_up();
                    }
                    let address = self.listener.local_addr().map_err(Error::from)?;
                    if let Some(ready) = ready.take() {
                        ready(address)?;
                    }
                    self.manager.ready(&format!("listening on {address}; restarts so far: {}", self.restarts));
                }
                Ok(Event::Ends(why)) => child.why = Some(why),
                Ok(Event::Signal(Signal::SIGHUP)) => child.hang_up(),
                Ok(Event::Signal(_)) if child.stopped_by.is_some() => {
                    return Err(Error::internal("ended at once by a second signal; requests under way were cut").into());
                }
                Ok(Event::Signal(signal)) => {
                    self.stop(&mut child, signal.as_str());
                }
                Ok(Event::Dead) => {
                    let status = child.process.wait().map_err(Error::from)?;
                    if child.stopped_by.is_some() && status.success() {
                        return Ok(());
                    }
                    let is_over = child.stopped_by.is_some() || ready.is_some();
                    if is_over {
                        return Err(Error::internal(child.why.take().unwrap_or_else(|| child.died(status))).into());
                    }
                    // Another child would serve what is there now.
                    self.check_places()?;
                    match self.restart(child.obituary(status), child.died_at_start()) {
                        Some(next) => child = next,
                        None => return Ok(()),
                    }
                }
                Err(RecvTimeoutError::Timeout) => {
                    child.look(&self.limits);
                    if child.stopped_by.is_none() && self.parent.is_some_and(|parent| parent != getppid()) {
                        self.stop(&mut child, "the process that started this one has ended");
                    }
                }
                // Cannot be: we hold a sender.
                Err(RecvTimeoutError::Disconnected) => return Err(Error::internal("no events any more").into()),
            }
        }
    }

    /// Keeps in mind what the first child serves.
    fn note_places(&mut self) -> Result<()> {
        if let (Some(data), true) = (&self.watched, self.places.is_empty()) {
            let paths = [data.clone(), data.join("baton.db"), data.join("serve.lock")];
            self.places = paths.iter().map(|path| SameFile::of(path)).collect::<Result<_>>()?;
        }
        Ok(())
    }

    /// Ends the child when the data is not in its place any more.
    ///
    /// # Errors
    /// Then; the sentence says what has happened, and what to do.
    fn look_at_places(&mut self, child: &mut Serving) -> Result<()> {
        if self.places_looked_at.elapsed() < PLACES_LOOK_EVERY {
            return Ok(());
        }
        self.places_looked_at = Instant::now();
        self.check_places().inspect_err(|error| child.end(error.message.clone()))
    }

    fn check_places(&self) -> Result<()> {
        self.places.iter().try_for_each(SameFile::check)
    }

    fn stop(&self, child: &mut Serving, why: &str) {
        log::info!("{why}: stopping; requests under way are finished");
        self.manager.stopping("finishing the requests under way");
        child.stop(self.limits.drain_time_max + STOP_GRACE);
        if let Some(farewells) = &self.farewells
            && let Err(error) = self.listener.try_clone().and_then(|listener| farewells.begin(listener, &self.limits))
        {
            log::warn!("those who come now are not answered: {error}");
        }
    }

    /// Starts the next child, after a pause if the last one died at its start. `None`: a signal came.
    fn restart(&mut self, mut why: String, mut at_start: bool) -> Option<Serving> {
        loop {
            self.pause = next_pause(self.pause, at_start);
            self.restarts += 1;
            let when = if self.pause.is_zero() { "now".to_owned() } else { format!("in {:?}", self.pause) };
            log::warn!("{why}; restarting {when}; restarts so far: {}", self.restarts);
            self.manager.status(&format!("{why}; restarting {when}"));
            if let Some(signal) = self.stop_within(self.pause) {
                log::info!("{signal}: stopping");
                return None;
            }
            match self.start() {
                Ok(child) => return Some(child),
                Err(error) => (why, at_start) = (format!("cannot start the serving process: {error}"), true),
            }
        }
    }

    /// Waits so long for a signal to stop. A hang-up is none, and the next child reads everything anew.
    fn stop_within(&self, pause: Duration) -> Option<Signal> {
        let until = Instant::now() + pause;
        loop {
            match self.events.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(Event::Signal(Signal::SIGHUP)) => {}
                Ok(Event::Signal(signal)) => return Some(signal),
                // The last word of the child that is dead.
                Ok(Event::Alive) => {}
                Ok(Event::Ready | Event::Ends(_) | Event::Dead) | Err(_) => return None,
            }
        }
    }

    fn start(&self) -> Result<Serving> {
        Serving::start(&self.listener, self.restarts, self.data.as_deref(), self.sender.clone())
    }
}

/// How long to wait before the next start.
fn next_pause(last: Duration, died_at_start: bool) -> Duration {
    if died_at_start { (last * 2).clamp(PAUSE_MIN, PAUSE_MAX) } else { Duration::ZERO }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_doubles_with_each_death_at_the_start_and_a_life_ends_it() {
        let pauses: Vec<u128> = std::iter::successors(Some(Duration::ZERO), |last| Some(next_pause(*last, true)))
            .take(9)
            .map(|pause| pause.as_millis())
            .collect();
        assert_eq!(pauses, [0, 100, 200, 400, 800, 1600, 3200, 5000, 5000]);
        assert_eq!(next_pause(PAUSE_MAX, false), Duration::ZERO);
    }
}
