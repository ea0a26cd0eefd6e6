//! The built-in runner: takes jobs from a server by API v4, and runs them with a shell on this machine.
//!
//! It is a client like any other: it knows the server's address and a token, and none of the server's deeds or data. Its
//! measure is gitlab-runner 19.3 with the shell executor; what is meant to differ is said where it does.
//!
//! | file | answers |
//! | --- | --- |
//! | [`serve`], `one` | which jobs run now; one job from its claim to its end |
//! | `work`, `stages`, `shell` | which stage comes next; what a failure comes to; how a shell ends |
//! | `keeper`, `process`, `frames`, `leftovers`, `other` | the processes of a job, or of another runner, and that none of them is left |
//! | `script`, `sources`, `variables`, `environment` | what a shell is given |
//! | `log`, `mask`, `report`, `client`, `trust`, `job`, `orders` | what the server is told, and what it tells |
//! | `directories` | where jobs work |
//! | `artifacts`, `cache`, `collect`, `globs`, `archive`, `unpack` | files that outlive a job |
//!
//! # What must stay true
//!
//! * A job is a program of the repository that runs with all rights of the user: nothing of this protects the user from
//!   it. But it changes nothing of the runner's: it sees no token but its own, no data directory, no job of another
//!   folder; whatever it leaves in its own folder does not run in the next job by itself.
//! * When the runner ends, by whatever death, the processes of its running jobs end.
//! * The server decides: a job ends when the server says so, and as the server was told.
//! * Everything is bounded: the log, archives, how long anything takes to end, how often it is tried.

mod archive;
mod artifacts;
mod cache;
mod client;
mod collect;
mod directories;
mod environment;
mod frames;
mod globs;
mod job;
mod keeper;
mod leftovers;
mod log;
mod mask;
mod one;
mod orders;
mod other;
mod process;
mod report;
mod script;
mod shell;
mod sources;
mod stages;
mod trust;
mod unpack;
mod variables;
mod work;

pub use directories::usual_places;
pub use keeper::{COMMAND as KEEPER_COMMAND, keep};
pub use orders::{Ending, Stop};
pub use other::Other;
pub use process::Program;
pub use script::Shell;
pub use shell::Patience;
pub use trust::of_system as trusted_by_system;

use crate::domain::token::{Token, hex};
use crate::error::{Error, Kind, Result};
use client::{Asked, Client, Identity};
use nix::sys::statvfs::statvfs;
use process::Kept;
use sha2::{Digest, Sha256};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

/// How often it is looked whether the runner is to end.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Between two questions for work that were not held.
const QUESTION_EVERY: Duration = Duration::from_secs(3);
/// An answer that took longer was held: the next question need not wait.
const HELD_TIME: Duration = Duration::from_secs(2);
/// So often in a row the server may refuse the token.
const REFUSALS_MAX: u32 = 3;
/// How often old checkouts are looked for.
const CLEAN_EVERY: Duration = Duration::from_secs(24 * 3600);

/// How a runner works.
pub struct Options {
    /// The server's address.
    pub url: String,
    /// The runner's token.
    pub token: Token,
    /// What the runner is called, in logs.
    pub name: String,
    /// Jobs at a time.
    pub concurrent: usize,
    /// Where jobs work; below no checkout, and in no data directory.
    pub builds: PathBuf,
    /// Where caches are kept; the same.
    pub cache: PathBuf,
    /// Most bytes of all caches; those that were used last stay.
    pub cache_bytes_max: u64,
    /// The shell that runs scripts; see [`available_shell`].
    pub shell: Shell,
    /// This process's environment; of it, jobs see what [`Options::pass_env`] names, and what is usual.
    pub environment: Vec<(OsString, OsString)>,
    /// See there.
    pub pass_env: Vec<String>,
    /// Ends after so many jobs.
    pub jobs_max: Option<u64>,
    /// Bytes of a job's log.
    pub log_bytes_max: u64,
    /// Bytes of an archive, packed and unpacked.
    pub archive_bytes_max: u64,
    /// With less room than that, no job is taken.
    pub reserve_bytes: u64,
    /// Between two pieces of a log; as the server says, if it is not said here.
    pub log_interval: Option<Duration>,
    /// Whether what is left of a job ends with the runner. Else it lives on.
    pub ends_leftovers: bool,
    /// How long a job's processes have to end.
    pub patience: Patience,
    /// Ends when the server has not answered for so long, and no job runs; `None`: never.
    pub gone_time_max: Option<Duration>,
    /// Asked for the server's address when that does not answer: it may have moved. `None`: it does not.
    pub place: Option<Arc<dyn Fn() -> Option<String> + Send + Sync>>,
    /// How this program is started as the keeper of a job.
    pub keeper: Program,
}

impl Options {
    /// The usual ones.
    ///
    /// # Errors
    /// If the system does not tell where this program is.
    pub fn new(url: &str, token: Token, builds: &Path, cache: &Path) -> Result<Options> {
        let limits = crate::limits::Limits::default();
        let cores = thread::available_parallelism().map_or(1, usize::from);
        Ok(Options {
            url: url.to_owned(),
            token,
            name: "built-in".to_owned(),
            concurrent: cores.min(4),
            builds: builds.to_owned(),
            cache: cache.to_owned(),
            cache_bytes_max: 10 << 30,
            shell: available_shell().unwrap_or_default(),
            environment: std::env::vars_os().collect(),
            pass_env: Vec::new(),
            jobs_max: None,
            log_bytes_max: limits.trace_bytes_max,
            archive_bytes_max: 16 << 30,
            reserve_bytes: limits.disk_reserve_bytes,
            log_interval: None,
            ends_leftovers: false,
            patience: Patience::default(),
            gone_time_max: Some(Duration::from_secs(60)),
            place: None,
            keeper: Program::own().map_err(Error::from)?,
        })
    }
}

/// Bash, or `sh` where there is none. `None` where there is neither.
#[must_use]
pub fn available_shell() -> Option<Shell> {
    let folders: Vec<PathBuf> = std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).collect();
    let is_there = |shell: &Shell| folders.iter().any(|folder| folder.join(shell.program()).is_file());
    [Shell::Bash, Shell::Sh].into_iter().find(is_there)
}

/// What all jobs of a runner have in common.
pub(crate) struct Host {
    options: Options,
    client: Arc<Client>,
    stop: Stop,
    /// What of this process's environment a job sees.
    environment: Vec<(OsString, OsString)>,
}

/// What the loop waits for.
enum Event {
    /// What came of a question, and how long that took.
    Asked(Asked, Duration),
    /// A job has ended, which had this number among the running ones.
    Ended(usize, Option<Kept>),
}

/// Takes jobs and runs them, until `stop` says so. Returns how many there were.
///
/// # Errors
/// If nothing can be begun here; if the server refuses the token, or is gone.
pub fn serve(options: Options, stop: &Stop) -> Result<u64> {
    if options.concurrent == 0 {
        return Err(Error::new(Kind::Invalid, "a runner runs at least one job at a time"));
    }
    for folder in [&options.builds, &options.cache] {
        if !folder.is_absolute() {
            return Err(Error::new(Kind::Invalid, format!("{} is no absolute path", folder.display())));
        }
        directories::real_folder(folder, Path::new("")).map_err(|error| {
            Error::new(Kind::Internal, format!("the folder {} cannot be made: {error}", folder.display()))
        })?;
    }
    let identity = Identity { shell: options.shell.program(), system_id: system_id(&options.builds) };
    let client = Client::new(&options.url, options.token.clone(), &identity)?;
    let client = Arc::new(client.moving_to(options.place.clone()));
    let environment = environment::passed(options.environment.iter().cloned(), &options.pass_env);
    stop.watch(&client);
    let host = Arc::new(Host { options, client, stop: stop.clone(), environment });
    let (sender, events) = channel();
    Loop {
        slots: vec![false; host.options.concurrent],
        host,
        sender,
        is_asking: false,
        last_update: None,
        ask_at: Instant::now(),
        clean_at: Instant::now(),
        heard_at: Instant::now(),
        failures: 0,
        refusals: 0,
        jobs: 0,
        kept: Vec::new(),
        has_told_of_images: false,
    }
    .run(&events)
}

/// The state of a runner.
struct Loop {
    host: Arc<Host>,
    sender: Sender<Event>,
    /// By the number that a job knows itself by: whether it runs.
    slots: Vec<bool>,
    is_asking: bool,
    last_update: Option<String>,
    ask_at: Instant,
    clean_at: Instant,
    /// When the server answered last.
    heard_at: Instant,
    failures: u32,
    refusals: u32,
    jobs: u64,
    /// Keepers of jobs that have ended, of which something is left.
    kept: Vec<Kept>,
    has_told_of_images: bool,
}

impl Loop {
    fn run(mut self, events: &Receiver<Event>) -> Result<u64> {
        loop {
            let is_full = self.host.options.jobs_max.is_some_and(|max| self.jobs >= max);
            let is_ending = is_full || self.host.stop.ending() > Ending::No;
            if is_ending && self.running() == 0 && !(self.is_asking && self.host.stop.ending() < Ending::Interrupt) {
                return Ok(self.jobs);
            }
            self.give_up()?;
            if !is_ending {
                self.ask();
                self.clean();
            }
            self.kept.retain_mut(|kept| !kept.is_over());
            match events.recv_timeout(LOOK_EVERY) {
                Ok(Event::Asked(asked, time)) => self.take(asked, time),
                Ok(Event::Ended(number, kept)) => {
                    if let Some(slot) = self.slots.get_mut(number) {
                        *slot = false;
                    }
                    self.kept.extend(kept);
                    self.ask_at = Instant::now();
                }
                // The sender is ours.
                Err(_) => {}
            }
        }
    }

    fn running(&self) -> usize {
        self.slots.iter().filter(|is_running| **is_running).count()
    }

    /// Ends the runner when it cannot be of use any more.
    fn give_up(&self) -> Result<()> {
        if self.running() > 0 {
            return Ok(());
        }
        if self.refusals >= REFUSALS_MAX {
            return Err(Error::new(Kind::Forbidden, "the server does not know this runner's token"));
        }
        let is_gone = self.host.options.gone_time_max.is_some_and(|max| self.heard_at.elapsed() > max);
        if is_gone && self.failures > 0 {
            return Err(Error::new(Kind::Internal, "the server does not answer any more"));
        }
        Ok(())
    }

    /// Asks for a job, if one could run.
    fn ask(&mut self) {
        let is_last = self.host.options.jobs_max.is_some_and(|max| self.jobs + 1 > max);
        if self.is_asking || is_last || self.running() == self.slots.len() || Instant::now() < self.ask_at {
            return;
        }
        if !self.has_room() {
            self.ask_at = Instant::now() + QUESTION_EVERY;
            return;
        }
        let (host, sender, last_update) = (Arc::clone(&self.host), self.sender.clone(), self.last_update.clone());
        let asked = thread::Builder::new().name("ask".to_owned()).spawn(move || {
            let asked_at = Instant::now();
            let asked = host.client.ask(last_update.as_deref());
            if let Err(lost) = sender.send(Event::Asked(asked, asked_at.elapsed()))
                && let Event::Asked(asked, _) = lost.0
            {
                // The runner has ended meanwhile.
                one::refuse(&host, asked, "runner_interrupted");
            }
        });
        match asked {
            Ok(_) => self.is_asking = true,
            Err(error) => {
                ::log::warn!("no thread to ask for work: {error}");
                self.ask_at = Instant::now() + QUESTION_EVERY;
            }
        }
    }

    fn has_room(&self) -> bool {
        let options = &self.host.options;
        // A file system that does not tell has room.
        let has_room = statvfs(&options.builds)
            .map_or(true, |stat| stat.blocks_available().saturating_mul(stat.fragment_size()) >= options.reserve_bytes);
        if !has_room {
            ::log::warn!("no job is taken: {} has too little room", options.builds.display());
        }
        has_room
    }

    /// Does what an answer asks for.
    fn take(&mut self, asked: Asked, time: Duration) {
        self.is_asking = false;
        if !matches!(asked, Asked::Trouble(_)) {
            (self.failures, self.heard_at) = (0, Instant::now());
        }
        self.refusals = if matches!(asked, Asked::Refused) { self.refusals + 1 } else { 0 };
        match asked {
            Asked::Job(job) if self.host.stop.ending() >= Ending::Interrupt => {
                one::refuse(&self.host, Asked::Job(job), "runner_interrupted");
            }
            Asked::Job(job) => self.start(job),
            Asked::Unreadable(id, token, why) => {
                ::log::error!(job = id; "{why}");
                one::refuse(&self.host, Asked::Unreadable(id, token, why), "runner_system_failure");
            }
            Asked::Nothing(last_update) => {
                let was_held = time > HELD_TIME || last_update != self.last_update && last_update.is_some();
                self.last_update = last_update;
                let pause = if was_held { Duration::ZERO } else { QUESTION_EVERY };
                self.ask_at = Instant::now() + pause;
            }
            Asked::Refused => self.ask_at = Instant::now() + QUESTION_EVERY,
            Asked::Trouble(why) => {
                if self.host.stop.ending() == Ending::No {
                    ::log::warn!("{why}");
                }
                self.failures += 1;
                self.ask_at = Instant::now() + report::pause(self.failures);
            }
        }
    }

    fn start(&mut self, job: Box<job::Job>) {
        self.jobs += 1;
        self.tell_of_images(&job);
        self.ask_at = Instant::now();
        let number = self.slots.iter().position(|is_running| !is_running).unwrap_or(0);
        let (host, sender) = (Arc::clone(&self.host), self.sender.clone());
        let (id, token) = (job.id, job.token.clone());
        let started = thread::Builder::new().name(format!("job {id}")).spawn(move || {
            let kept = one::run(&host, &job, number);
            // The loop is there until the last job has ended.
            let _ = sender.send(Event::Ended(number, kept));
        });
        match started {
            Ok(_) => {
                if let Some(slot) = self.slots.get_mut(number) {
                    *slot = true;
                }
            }
            Err(error) => {
                let asked = Asked::Unreadable(id, token, error.to_string());
                one::refuse(&self.host, asked, "runner_system_failure");
            }
        }
    }

    /// Tells, once, that a shell has no containers; outside of the log, as the job itself may not care.
    fn tell_of_images(&mut self, job: &job::Job) {
        let all = std::iter::once(&job.image).chain(&job.services).map(|image| image.name.as_str());
        let names: Vec<&str> = all.filter(|name| !name.is_empty()).collect();
        if self.has_told_of_images || names.is_empty() {
            return;
        }
        self.has_told_of_images = true;
        let (name, images) = (&job.job_info.name, names.join(", "));
        ::log::warn!("image and services are not used by the shell runner: {name} ({images})");
    }

    /// Removes what was not used for long.
    fn clean(&mut self) {
        if Instant::now() < self.clean_at {
            return;
        }
        self.clean_at = Instant::now() + CLEAN_EVERY;
        let host = Arc::clone(&self.host);
        let clean = move || {
            let (options, now) = (&host.options, SystemTime::now());
            if let Err(error) = directories::clean(&options.builds, now) {
                ::log::warn!("old checkouts were not removed: {error}");
            }
            if let Err(error) = cache::clean(&options.cache, now, options.cache_bytes_max) {
                ::log::warn!("old caches were not removed: {error}");
            }
        };
        if let Err(error) = thread::Builder::new().name("clean".to_owned()).spawn(clean) {
            ::log::warn!("old checkouts were not removed: {error}");
        }
    }
}

/// What distinguishes this machine and folder from others with the same token.
fn system_id(builds: &Path) -> String {
    let machine = std::fs::read("/etc/machine-id").unwrap_or_default();
    let all = [machine.as_slice(), builds.as_os_str().as_encoded_bytes()].concat();
    let digest = hex(&Sha256::digest(all));
    format!("s_{}", digest.get(..12).unwrap_or(&digest))
}
