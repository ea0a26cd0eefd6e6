//! A coordinator that is served, and a runner for the builds of one run: what `baton run` needs beside its builds.
//!
//! ```text
//! let mut house = House::open(&coordinator, work)?;           // a server: one that runs, or one in this process
//! let runner = house.runner_for(&[asked])?;                   // Some: the builds must be added for it
//! coordinator.add_builds_for(runner, builds, now)?;
//! ...                                                         // house.check() now and then
//! house.close();
//! ```
//!
//! What must stay true: as long as the house is open, somebody serves the data directory, also when the server that was
//! there ends: then this process takes its place, at the same address where that is free. The runner of a house takes the
//! builds that were added for it and no others, and ends with it, by whatever death; what it ran and what waited for it
//! ends then, too.

use super::work::{Choice, Started, Work};
use crate::cli::show::print;
use crate::cli::{Done, Stop};
use crate::coordinator::{Coordinator, Reached, Serving, is_served, reached};
use crate::domain::pending::Asked;
use crate::domain::runner::{RunnerId, RunnerState};
use crate::domain::time::Timestamp;
use crate::error::Result;
use crate::http::server::bind;
use crate::server::Server;
use crate::sync::lock;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How often it is looked whether a server has ended that another process runs.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// A server that its service manager may start anew has so long for that.
const RESTART_TIME: Duration = Duration::from_secs(5);

/// A server that has just begun says within this where it is.
const PLACE_TIME: Duration = Duration::from_secs(5);

/// See the module.
pub struct House {
    coordinator: Arc<Coordinator>,
    work: Work,
    /// That of this process, if it has one.
    server: Arc<Mutex<Option<Server>>>,
    watch: Option<Watch>,
    runner: Option<Started>,
}

/// Looks after the server of another process.
struct Watch {
    end: Sender<()>,
    thread: JoinHandle<()>,
}

impl House {
    /// Finds the server of the data directory, or serves it. Where no runner is to be started, it does neither.
    ///
    /// # Errors
    /// If this process can serve it as little as another one does.
    pub fn open(coordinator: &Arc<Coordinator>, work: Work) -> Done<House> {
        coordinator.end_lost_runners(Timestamp::now())?;
        let (coordinator, server) = (Arc::clone(coordinator), Arc::default());
        let mut house = House { coordinator, work, server, watch: None, runner: None };
        if house.work.choice == Choice::None {
            return Ok(house);
        }
        match serve(&house.coordinator, 0)? {
            Some(server) => *lock(&house.server) = Some(server),
            None => house.watch = Some(Watch::start(&house.coordinator, &house.server)?),
        }
        Ok(house)
    }

    /// Whether this process serves the data directory.
    #[must_use]
    pub fn is_serving(&self) -> bool {
        lock(&self.server).is_some()
    }

    /// A runner of this house for builds that ask for this, started if need be. `None`: those that are there can take all
    /// of them, or one is waited for; then they are added for nobody.
    ///
    /// # Errors
    /// If no runner can be started here.
    pub fn runner_for(&mut self, all: &[Asked]) -> Done<Option<RunnerId>> {
        let is_wanted = match self.work.choice {
            Choice::None => false,
            Choice::Builtin | Choice::Installed(_) => true,
            Choice::Any => self.is_serving() || !self.can_be_taken(all)?,
        };
        if !is_wanted {
            return Ok(None);
        }
        if let Some(runner) = &self.runner {
            return Ok(Some(runner.id()));
        }
        let place = self.place()?;
        let is_first = !self.coordinator.had_own_runners();
        let started = Started::start(&self.coordinator, &self.work, &place.url)?;
        print::note(&self.words(&started, all, is_first));
        let id = started.id();
        self.runner = Some(started);
        Ok(Some(id))
    }

    /// Has the builds that the runner of this house runs end as canceled, which they are already for the server. To be
    /// called from any thread.
    #[must_use]
    pub fn canceler(&self) -> Arc<dyn Fn() + Send + Sync> {
        self.runner.as_ref().map_or_else(|| Arc::new(|| ()) as Arc<dyn Fn() + Send + Sync>, Started::canceler)
    }

    /// Whether all is well. To be called now and then while builds are waited for.
    ///
    /// # Errors
    /// If the server of this process, or the runner, has ended by itself; the sentence says why.
    pub fn check(&mut self) -> Done {
        if lock(&self.server).as_ref().is_some_and(|server| !server.is_serving()) {
            return Err(Stop::Failed(
                "the server in this process has died; the log on standard error says why".to_owned(),
            ));
        }
        self.runner.as_mut().map_or(Ok(()), Started::check)
    }

    /// Ends the runner, and then the server, if they are this process's.
    pub fn close(self) {
        drop(self);
    }

    fn can_be_taken(&self, all: &[Asked]) -> Done<bool> {
        let now = Timestamp::now();
        let runners = self.coordinator.runners_at_work()?;
        let is_taken =
            |asked: &Asked| runners.iter().any(|it| it.may_take(asked) && it.state(now) == RunnerState::Online);
        Ok(all.iter().all(is_taken))
    }

    /// Where the server is.
    fn place(&self) -> Done<Reached> {
        let until = Instant::now() + PLACE_TIME;
        loop {
            if let Some(place) = reached(self.coordinator.data()) {
                return Ok(place);
            }
            if Instant::now() >= until {
                let data = self.coordinator.data().display();
                let advice = "it may be of another version; `--runner none` waits for a runner that it knows";
                return Err(Stop::Failed(format!("the server of {data} does not say where it is: {advice}")));
            }
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// What people are told of a runner that starts by itself.
    fn words(&self, started: &Started, all: &[Asked], is_first: bool) -> String {
        let why = match (&self.work.choice, self.is_serving()) {
            (_, true) => "no server runs; this serves until its builds have ended, and runs them",
            (Choice::Any, false) => "no runner is there that could take this; it runs",
            (Choice::Builtin | Choice::Installed(_) | Choice::None, false) => "this runs",
        };
        let mut tags: Vec<&str> = all.iter().flat_map(|asked| asked.tags.as_slice()).map(String::as_str).collect();
        tags.sort_unstable();
        tags.dedup();
        let tags =
            if tags.is_empty() { String::new() } else { format!("; tags do not count here: {}", tags.join(", ")) };
        let advice = if self.work.choice == Choice::Any { " (`--runner none` waits for another)" } else { "" };
        let warning = if is_first { "; a build may do whatever this user may: run what you trust" } else { "" };
        format!("{why} on this machine as {}, in {}{advice}{tags}{warning}", started.user, started.folder.display())
    }
}

impl Drop for House {
    fn drop(&mut self) {
        if let Some(runner) = self.runner.take() {
            runner.end(&self.coordinator);
        }
        if let Some(watch) = self.watch.take() {
            watch.end();
        }
        let server = lock(&self.server).take();
        if let Some(server) = server {
            server.stop();
        }
    }
}

impl Watch {
    fn start(coordinator: &Arc<Coordinator>, server: &Arc<Mutex<Option<Server>>>) -> Done<Watch> {
        let (end, ended) = channel();
        let (coordinator, server) = (Arc::clone(coordinator), Arc::clone(server));
        let follow = move || {
            if let Some(own) = succeed(&coordinator, &ended) {
                *lock(&server) = Some(own);
            }
        };
        let thread = thread::Builder::new().name("succession".to_owned()).spawn(follow);
        Ok(Watch { end, thread: thread.map_err(crate::error::Error::from)? })
    }

    fn end(self) {
        drop(self.end);
        if self.thread.join().is_err() {
            log::error!("the thread that looks after the server had panicked");
        }
    }
}

/// Waits until no other process serves, and serves then. `None`: the house closes.
fn succeed(coordinator: &Arc<Coordinator>, ended: &Receiver<()>) -> Option<Server> {
    let data = coordinator.data();
    let mut last = reached(data);
    let mut unserved_since = None;
    loop {
        match ended.recv_timeout(LOOK_EVERY) {
            Err(RecvTimeoutError::Timeout) => {}
            Ok(()) | Err(RecvTimeoutError::Disconnected) => return None,
        }
        if is_served(data).unwrap_or(true) {
            last = reached(data).or(last);
            unserved_since = None;
            continue;
        }
        let since = *unserved_since.get_or_insert_with(Instant::now);
        let is_brief = last.as_ref().is_none_or(|place| place.is_brief);
        if !is_brief && since.elapsed() < RESTART_TIME {
            continue;
        }
        match serve(coordinator, last.as_ref().filter(|_| is_brief).map_or(0, port)) {
            Ok(Some(server)) => {
                print::note("the server has ended; this serves until its own builds have ended");
                return Some(server);
            }
            Ok(None) => {}
            Err(error) => log::warn!("nobody serves {}: {error}; tried again", data.display()),
        }
    }
}

fn port(place: &Reached) -> u16 {
    place.url.rsplit_once(':').and_then(|(_, port)| port.parse().ok()).unwrap_or(0)
}

/// Serves the data directory on this machine, at this port, or at another where somebody else has it. `None`: another
/// process serves it.
fn serve(coordinator: &Arc<Coordinator>, port: u16) -> Result<Option<Server>> {
    let Some(serving) = Serving::begin_if_unserved(coordinator.data())? else { return Ok(None) };
    let at = |port| bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)), coordinator.limits());
    let listener = at(port).or_else(|_| at(0))?;
    Server::start_briefly(listener, Arc::clone(coordinator), serving).map(Some)
}
