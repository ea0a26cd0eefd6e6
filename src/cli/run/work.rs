//! The runner that `baton run` starts: which one, and how it is kept.
//!
//! What must stay true: its token is nobody's but its own, is in no list of processes, and is void when it has ended. It
//! works in no checkout and in no data directory.

use super::installed::{Installed, Telling};
use crate::cli::runner::start::{hide_memory, host_name, place_of, places};
use crate::cli::show::print;
use crate::cli::{Done, Stop};
use crate::coordinator::{Coordinator, OwnRunner, reached};
use crate::domain::runner::RunnerId;
use crate::domain::time::Timestamp;
use crate::domain::token::Token;
use crate::error::Error;
use crate::runner::{self, Ending, Options, Shell, available_shell};
use nix::unistd::{User, getuid};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Between two pieces of a log, which somebody waits for.
const LOG_INTERVAL: Duration = Duration::from_millis(250);

/// Which runner is to run the builds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Choice {
    /// One that is there, or else the built-in one.
    Any,
    /// The built-in one.
    Builtin,
    /// A `gitlab-runner`, by its name or its path.
    Installed(PathBuf),
    /// One that is there or comes.
    None,
}

/// For argh: which runner.
pub fn choice(text: &str) -> Result<Choice, String> {
    match text {
        "builtin" => Ok(Choice::Builtin),
        "none" => Ok(Choice::None),
        "gitlab-runner" => Ok(Choice::Installed(PathBuf::from(text))),
        path if path.contains('/') => Ok(Choice::Installed(PathBuf::from(path))),
        _ => Err("it must be builtin, gitlab-runner, none, or the path of a gitlab-runner, with a slash".to_owned()),
    }
}

/// How builds are run on this machine.
pub struct Work {
    /// By which runner.
    pub choice: Choice,
    /// How many at a time; `None`: as many as there are processors, at most 4.
    pub concurrent: Option<usize>,
    /// The shell; `None`: bash where it is installed.
    pub shell: Option<Shell>,
    /// Where they work; `None`: below the user's cache folder.
    pub builds_dir: Option<PathBuf>,
    /// Variables of this process's environment that they get.
    pub pass_env: Vec<String>,
}

/// A runner that was started.
pub struct Started {
    own: OwnRunner,
    hands: Hands,
    /// As whom builds run.
    pub user: String,
    /// In which folder.
    pub folder: PathBuf,
}

/// What does the work.
enum Hands {
    /// The built-in runner, in this process.
    Builtin(runner::Stop, Option<JoinHandle<crate::error::Result<u64>>>),
    /// A `gitlab-runner`.
    Installed(Box<Installed>),
}

impl Started {
    /// Starts the runner that is wanted, for the server at this URL.
    pub fn start(coordinator: &Arc<Coordinator>, work: &Work, url: &str) -> Done<Started> {
        let Some(shell) = work.shell.or_else(available_shell) else {
            return Err(Stop::Failed("neither bash nor sh is in PATH, so that nothing can run here".to_owned()));
        };
        hide_memory()?;
        let own = coordinator.add_own_runner(&format!("{}, for a run", host_name()), Timestamp::now())?;
        let started = match &work.choice {
            Choice::Installed(program) => start_installed(coordinator, program, work, url, &own.token, shell),
            Choice::Any | Choice::Builtin | Choice::None => start_builtin(coordinator, work, url, &own.token, shell),
        };
        match started {
            Ok((hands, folder)) => Ok(Started { own, hands, user: user(), folder }),
            Err(stop) => {
                remove(coordinator, own);
                Err(stop)
            }
        }
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> RunnerId {
        self.own.id
    }

    /// Cancels what it runs; a `gitlab-runner` hears of that from the server.
    #[must_use]
    pub fn canceler(&self) -> Arc<dyn Fn() + Send + Sync> {
        match &self.hands {
            Hands::Builtin(stop, _) => {
                let stop = stop.clone();
                Arc::new(move || stop.cancel_jobs())
            }
            Hands::Installed(_) => Arc::new(|| ()),
        }
    }

    /// Whether it still runs.
    ///
    /// # Errors
    /// Why it does not.
    pub fn check(&mut self) -> Done {
        let why = match &mut self.hands {
            Hands::Builtin(_, thread) => match thread.take_if(|thread| thread.is_finished()).map(JoinHandle::join) {
                None => return Ok(()),
                Some(Ok(Ok(_))) => "it was told to".to_owned(),
                Some(Ok(Err(error))) => error.to_string(),
                Some(Err(_)) => "it had panicked".to_owned(),
            },
            Hands::Installed(installed) => match installed.why_over() {
                None => return Ok(()),
                Some(why) => why,
            },
        };
        Err(Stop::Failed(format!("the runner of this run has ended: {why}")))
    }

    /// Ends it, and what is left of its builds.
    pub fn end(self, coordinator: &Coordinator) {
        match self.hands {
            Hands::Builtin(stop, thread) => {
                stop.tell(Ending::Interrupt);
                match thread.map(JoinHandle::join) {
                    None | Some(Ok(Ok(_))) => {}
                    Some(Ok(Err(error))) => log::warn!("the runner ended: {error}"),
                    Some(Err(_)) => log::error!("the runner had panicked"),
                }
            }
            Hands::Installed(installed) => drop(installed),
        }
        remove(coordinator, self.own);
    }
}

fn start_builtin(
    coordinator: &Coordinator,
    work: &Work,
    url: &str,
    token: &Token,
    shell: Shell,
) -> Done<(Hands, PathBuf)> {
    let (builds, cache) = places(&place_of(coordinator), work.builds_dir.as_deref(), None)?;
    let mut options = Options::new(url, token.clone(), &builds, &cache)?;
    options.name = host_name();
    options.concurrent = work.concurrent.unwrap_or(options.concurrent);
    options.shell = shell;
    options.pass_env.clone_from(&work.pass_env);
    options.log_interval = Some(LOG_INTERVAL);
    options.ends_leftovers = true;
    // It is the house that ends it.
    options.gone_time_max = None;
    let data = coordinator.data().to_owned();
    options.place = Some(Arc::new(move || reached(&data).map(|place| place.url)));
    let stop = runner::Stop::default();
    let told = stop.clone();
    let thread = thread::Builder::new().name("runner".to_owned()).spawn(move || runner::serve(options, &told));
    Ok((Hands::Builtin(stop, Some(thread.map_err(Error::from)?)), builds))
}

fn start_installed(
    coordinator: &Coordinator,
    program: &Path,
    work: &Work,
    url: &str,
    token: &Token,
    shell: Shell,
) -> Done<(Hands, PathBuf)> {
    // Not where the built-in one works: each has its own order there.
    let (place, cache) = places(&format!("{} gitlab-runner", place_of(coordinator)), None, None)?;
    let builds = work.builds_dir.as_ref().map(std::path::absolute).transpose().map_err(Error::from)?;
    let telling = Telling {
        url,
        token,
        name: &host_name(),
        concurrent: work.concurrent.unwrap_or(1),
        shell: shell.program(),
        place: &place,
        builds: builds.as_deref(),
        cache: &cache,
        pass_env: &work.pass_env,
    };
    let installed = Installed::start(program, &telling)?;
    Ok((Hands::Installed(Box::new(installed)), builds.unwrap_or(place)))
}

fn remove(coordinator: &Coordinator, own: OwnRunner) {
    if let Err(error) = coordinator.remove_own_runner(own, Timestamp::now()) {
        print::note(&format!("the runner of this run is not removed: {error}; the next command does it"));
    }
}

/// As whom this process runs.
fn user() -> String {
    let uid = getuid();
    User::from_uid(uid).ok().flatten().map_or_else(|| format!("user {uid}"), |user| user.name)
}
