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

use crate::coordinator::Coordinator;
use crate::domain::text::size::format_size;
use crate::ephemeral;
use crate::error::{Error, Result};
use crate::limits::Limits;
use crate::process::drain::Farewells;
use crate::process::systemd::{self, Manager};
use crate::server::{Config, Server};
use crate::store::place::Place;
use crate::sync::lock;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, getppid};
use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, Weak};
use std::thread;
use std::time::{Duration, Instant};

/// How often the child's memory is looked at.
const MEMORY_LOOK_EVERY: Duration = Duration::from_millis(250);
/// How often the child says that it lives.
const ALIVE_EVERY: Duration = Duration::from_millis(500);
/// A child that was told to stop and shows no life for so long is ended.
const SILENCE_AT_STOP_MAX: Duration = Duration::from_secs(5);
/// More than that between two looks is no time that the supervisor has lived.
const LIVED_PER_LOOK_MAX: Duration = Duration::from_secs(1);
/// How often it is looked whether the data is in its place.
const PLACES_LOOK_EVERY: Duration = Duration::from_secs(1);
/// A child that dies sooner after it was ready has died at its start.
const START_TIME: Duration = Duration::from_secs(1);
/// Between the deaths of two children at their start, doubling from one to the other.
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// What a child that stops may take beyond [`Limits::drain_time_max`], to close its database.
const STOP_GRACE: Duration = Duration::from_secs(10);
/// What the child's threads may take to let go of the database.
const CLOSING_TIME_MAX: Duration = Duration::from_secs(1);
/// What `--data` is to this program.
const DATA_VARIABLE: &str = "BATON_DATA";
/// The child's word for: I serve.
const READY: &str = "ready";
/// The child's word for: I live.
const ALIVE: &str = "alive";
/// Where a child is told how many have died before it; absent without a supervisor.
pub const RESTARTS_VARIABLE: &str = "BATON_RESTARTS";

// ---------------------------------------------------------------------------------------- the supervisor

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
    places: Vec<Place>,
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

/// A child process. Dropping it ends it.
struct Serving {
    process: Child,
    ready_at: Option<Instant>,
    /// Why it ends, if that is known before it has ended.
    why: Option<String>,
    /// Whether a hang-up waits until it is ready: before, the signal would end it.
    is_hung_up: bool,
    /// When it is killed for not having stopped; `None` while it was not told to stop.
    stopped_by: Option<Instant>,
    /// For how long it has shown no life, of the time that the supervisor has lived.
    silence: Duration,
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
            self.places = paths.iter().map(|path| Place::of(path)).collect::<Result<_>>()?;
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
        self.places.iter().try_for_each(Place::check)
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
        let mut arguments = std::env::args_os();
        let name = arguments.next().unwrap_or_else(|| "baton".into());
        let mut command = Command::new(program()?);
        systemd::VARIABLES.iter().for_each(|name| {
            command.env_remove(name);
        });
        command.envs(self.data.as_ref().map(|data| (DATA_VARIABLE, data)));
        let process = command
            .arg0(name)
            .args(arguments)
            .env(RESTARTS_VARIABLE, self.restarts.to_string())
            .stdin(OwnedFd::from(self.listener.try_clone()?))
            .stdout(Stdio::piped())
            .spawn()?;
        let silence = Duration::ZERO;
        let mut child = Serving { process, ready_at: None, why: None, is_hung_up: false, stopped_by: None, silence };
        let words = child.process.stdout.take().ok_or_else(|| Error::internal("the child has no pipe"))?;
        let sender = self.sender.clone();
        thread::Builder::new().name("child".to_owned()).spawn(move || listen_to(words, &sender))?;
        Ok(child)
    }
}

/// Hands a child's words on, to its end.
fn listen_to(words: ChildStdout, sender: &Sender<Event>) {
    for line in BufReader::new(words).lines().map_while(io::Result::ok) {
        let event = match line.as_str() {
            READY => Event::Ready,
            ALIVE => Event::Alive,
            _ => Event::Ends(line),
        };
        // Nobody listens any more: the supervisor is about to end.
        let _ = sender.send(event);
    }
    let _ = sender.send(Event::Dead);
}

impl Serving {
    /// Tells it to finish what is under way, within so long.
    fn stop(&mut self, within: Duration) {
        self.stopped_by = Some(Instant::now() + within);
        // Not reaped yet, so that the id is still its own.
        if let Err(error) = kill(pid(&self.process), Signal::SIGTERM) {
            log::warn!("cannot tell the serving process to stop: {error}");
        }
    }

    /// Tells it to read anew what it has read at its start.
    fn hang_up(&mut self) {
        self.is_hung_up = self.ready_at.is_none();
        if !self.is_hung_up
            && let Err(error) = kill(pid(&self.process), Signal::SIGHUP)
        {
            log::warn!("cannot pass a hang-up on to the serving process: {error}");
        }
    }

    /// Ends it if it has outgrown its memory or its time, or shows no life.
    fn look(&mut self, limits: &Limits) {
        let (is_stopping, usual) = (self.stopped_by.is_some(), limits.silence_max);
        let silence_max = if is_stopping { usual.min(SILENCE_AT_STOP_MAX) } else { usual };
        if self.silence > silence_max && self.why.is_none() {
            self.end(format!("it has shown no life for {} s", silence_max.as_secs()));
        }
        if self.stopped_by.is_some_and(|by| by < Instant::now()) {
            self.end("it did not stop in time".to_owned());
        }
        if self.ready_at.is_some()
            && let Some(bytes) = resident_bytes(self.process.id())
            && bytes > limits.memory_bytes_max
        {
            let (bytes, most) = (format_size(bytes), format_size(limits.memory_bytes_max));
            self.end(format!("it had outgrown its memory ({bytes}, at most {most})"));
        }
    }

    fn end(&mut self, why: String) {
        self.why = Some(why);
        if let Err(error) = self.process.kill() {
            log::warn!("cannot end the serving process: {error}");
        }
    }

    fn died_at_start(&self) -> bool {
        self.ready_at.is_none_or(|at| at.elapsed() < START_TIME)
    }

    fn died(&self, status: ExitStatus) -> String {
        format!("the serving process {} {}", self.process.id(), cause(status))
    }

    fn obituary(&self, status: ExitStatus) -> String {
        let why = self.why.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
        self.died(status) + &why
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // Both do nothing when it has ended and was waited for.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn pid(process: &Child) -> Pid {
    Pid::from_raw(process.id().cast_signed())
}

/// How a process has ended, in words.
fn cause(status: ExitStatus) -> String {
    let name = |number| Signal::try_from(number).map_or_else(|_| format!("signal {number}"), |it| it.to_string());
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exited with status {code}"),
        (None, Some(number)) => format!("was ended by {}", name(number)),
        (None, None) => "ended".to_owned(),
    }
}

/// How long to wait before the next start.
fn next_pause(last: Duration, died_at_start: bool) -> Duration {
    if died_at_start { (last * 2).clamp(PAUSE_MIN, PAUSE_MAX) } else { Duration::ZERO }
}

/// This very program, even if its file has been replaced or removed since, where the system can tell.
fn program() -> Result<PathBuf> {
    let own = Path::new("/proc/self/exe");
    Ok(if own.exists() { own.to_owned() } else { std::env::current_exe()? })
}

/// The memory that a process holds, where the system tells.
fn resident_bytes(process: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

// --------------------------------------------------------------------------------------------- the child

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

    #[test]
    fn a_death_is_told_in_words() {
        for (raw, words) in [(9, "was ended by SIGKILL"), (1 << 8, "exited with status 1"), (0, "exited with status 0")]
        {
            assert_eq!(cause(ExitStatus::from_raw(raw)), words);
        }
    }

    #[test]
    fn the_memory_of_a_process_is_known_on_linux() {
        let own = resident_bytes(std::process::id());
        assert_eq!(own.is_some(), cfg!(target_os = "linux"));
        assert!(own.is_none_or(|bytes| bytes > 100_000));
    }
}
