//! Runs the `git` program.
//!
//! What must stay true: no variable of git's environment is inherited, since a hook or an alias of git that calls this has
//! them point elsewhere; no hook and no file system monitor runs; no child outlives its time, and none's output is kept
//! beyond a bound.

use crate::error::{Error, Kind};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What is kept of a child's complaints.
const COMPLAINT_BYTES_MAX: usize = 16 << 10;
/// Bytes that are read at a time.
const PIECE_BYTES: usize = 64 << 10;
/// Between two looks at a child that has closed its output and lives on.
const LOOK_PAUSE: Duration = Duration::from_millis(1);
/// Between two questions of whether a child may go on.
const LEASH_PAUSE: Duration = Duration::from_millis(200);

/// Of every call but the user's own: nothing runs but git, and what it writes has the form that is read here.
const SETTINGS: [&str; 6] = [
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.splitIndex=false",
    "core.safecrlf=false",
    "core.quotePath=false",
    "i18n.commitEncoding=UTF-8",
];

/// How long a call may take, and how much it may say.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// From its start to its end.
    pub time_max: Duration,
    /// Bytes of its output.
    pub bytes_max: usize,
}

impl Default for Bounds {
    fn default() -> Bounds {
        Bounds { time_max: Duration::from_secs(300), bytes_max: 256 << 20 }
    }
}

/// Why git did not answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The program is not there.
    Absent,
    /// What it said of it: one line, without `fatal:`.
    Said(String),
    /// It took longer than it may.
    TooSlow(Duration),
    /// It said more than it may.
    TooLong(usize),
    /// It fetched more bytes than it may.
    TooBig(u64),
    /// The server stops.
    Stopped,
}

impl Refusal {
    /// In words, as the end of a sentence.
    #[must_use]
    pub fn words(&self) -> String {
        match self {
            Refusal::Absent => "the program `git` is not installed".to_owned(),
            Refusal::Said(line) => line.clone(),
            Refusal::TooSlow(time) => format!("git took longer than {} seconds", time.as_secs()),
            Refusal::TooLong(bytes) => format!("git said more than {bytes} bytes"),
            Refusal::TooBig(bytes) => format!("the repository is too big: more than {} MiB of one commit", bytes >> 20),
            Refusal::Stopped => "the server stops".to_owned(),
        }
    }
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Refusal {
        if error.kind() == io::ErrorKind::NotFound { Refusal::Absent } else { Refusal::Said(error.to_string()) }
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Error {
        let kind = match refusal {
            Refusal::TooLong(_) | Refusal::TooBig(_) => Kind::TooLarge,
            Refusal::Stopped => Kind::Busy,
            Refusal::Absent | Refusal::Said(_) | Refusal::TooSlow(_) => Kind::Invalid,
        };
        Error::new(kind, format!("git cannot look at this checkout: {}", refusal.words()))
    }
}

/// Whose settings count.
#[derive(Clone, Debug)]
enum Place {
    /// The folder of a checkout of the user's, with the user's own settings: filters (LFS), ignored files, names.
    Checkout(PathBuf),
    /// A folder of the user's, as the user's own call of git would find it.
    User(PathBuf),
    /// A repository of our own, and nobody else's settings.
    Own(PathBuf),
}

/// Says, some times a second, whether git may go on.
#[derive(Clone)]
pub struct Leash(Arc<dyn Fn() -> Result<(), Refusal> + Send + Sync>);

impl Leash {
    /// Git goes on as long as `may_go_on` says so.
    pub fn new(may_go_on: impl Fn() -> Result<(), Refusal> + Send + Sync + 'static) -> Leash {
        Leash(Arc::new(may_go_on))
    }
}

impl fmt::Debug for Leash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Leash")
    }
}

/// Git at a place.
#[derive(Clone, Debug)]
pub struct Git {
    place: Place,
    variables: Vec<(&'static str, OsString)>,
    bounds: Bounds,
    leash: Option<Leash>,
}

impl Git {
    /// In a folder of a checkout, with the settings of the user who calls this.
    #[must_use]
    pub fn of_checkout(dir: &Path) -> Git {
        Git { place: Place::Checkout(dir.to_owned()), variables: vec![], bounds: Bounds::default(), leash: None }
    }

    /// In any folder, as if the user called it there: to learn what git reads and runs then.
    #[must_use]
    pub fn of_user(dir: &Path) -> Git {
        Git { place: Place::User(dir.to_owned()), variables: vec![], bounds: Bounds::default(), leash: None }
    }

    /// In a repository that Baton made, with its settings only.
    #[must_use]
    pub fn of_own(dir: &Path) -> Git {
        Git { place: Place::Own(dir.to_owned()), variables: vec![], bounds: Bounds::default(), leash: None }
    }

    /// The same with one more variable in its environment.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<OsString>) -> Git {
        self.variables.push((name, value.into()));
        self
    }

    /// The same within these bounds of time and bytes.
    #[must_use]
    pub fn within(mut self, time_max: Duration, bytes_max: usize) -> Git {
        self.bounds = Bounds { time_max, bytes_max };
        self
    }

    /// The same on a leash. Git is then a group of processes, all of which end with it: a fetch has helpers.
    #[must_use]
    pub fn on_leash(mut self, leash: Leash) -> Git {
        self.leash = Some(leash);
        self
    }

    /// A call with these words, which is not started yet. It has no input.
    pub fn command<W: AsRef<OsStr>>(&self, words: &[W]) -> Command {
        let mut command = Command::new("git");
        match &self.place {
            Place::Checkout(dir) => {
                forget(&mut command);
                command.arg("-C").arg(dir);
            }
            Place::User(dir) => {
                command.arg("-C").arg(dir);
            }
            Place::Own(dir) => {
                // Owned by whom the data belongs to, who need not be the one that reads it.
                isolate(&mut command);
                command.arg("-c").arg("safe.directory=*").env("GIT_DIR", dir).current_dir(dir);
            }
        }
        let settings = if matches!(self.place, Place::User(_)) { &[][..] } else { &SETTINGS };
        for setting in settings {
            command.arg("-c").arg(setting);
        }
        command.arg("--no-pager").args(words).stdin(Stdio::null());
        // To be understood; not to hinder a git that does something; and nobody is there to be asked.
        command.env("LC_ALL", "C").env("GIT_OPTIONAL_LOCKS", "0").env("GIT_TERMINAL_PROMPT", "0");
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    /// What git says.
    ///
    /// # Errors
    /// See [`Refusal`].
    pub fn ask<W: AsRef<OsStr>>(&self, words: &[W]) -> Result<Vec<u8>, Refusal> {
        self.hear(self.command(words))
    }

    /// What git says when it reads `input`.
    ///
    /// # Errors
    /// See [`Refusal`].
    pub fn ask_with<W: AsRef<OsStr>>(&self, words: &[W], input: File) -> Result<Vec<u8>, Refusal> {
        let mut command = self.command(words);
        command.stdin(input);
        self.hear(command)
    }

    /// What git says, without the line's end; `None` if it says no.
    ///
    /// # Errors
    /// See [`Refusal`], without [`Refusal::Said`].
    pub fn ask_maybe<W: AsRef<OsStr>>(&self, words: &[W]) -> Result<Option<Vec<u8>>, Refusal> {
        match self.ask(words) {
            Ok(mut answer) => {
                answer.pop_if(|byte| *byte == b'\n');
                Ok(Some(answer))
            }
            Err(Refusal::Said(_)) => Ok(None),
            Err(refusal) => Err(refusal),
        }
    }

    fn hear(&self, mut command: Command) -> Result<Vec<u8>, Refusal> {
        if self.leash.is_some() {
            command.process_group(0);
        }
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let mut child = Running { child, is_group: self.leash.is_some() };
        let until = Instant::now() + self.bounds.time_max;
        let (said, complaint) = self.read(&mut child.child, until)?;
        let status = loop {
            if let Some(status) = child.child.try_wait()? {
                break status;
            }
            if Instant::now() >= until {
                return Err(Refusal::TooSlow(self.bounds.time_max));
            }
            std::thread::sleep(LOOK_PAUSE);
        };
        if status.success() { Ok(said) } else { Err(Refusal::Said(first_line(&complaint))) }
    }

    /// Both outputs of a child, until both have ended.
    fn read(&self, child: &mut Child, until: Instant) -> Result<(Vec<u8>, Vec<u8>), Refusal> {
        let (mut out, mut err) = (child.stdout.take(), child.stderr.take());
        let (mut said, mut complaint) = (Vec::new(), Vec::new());
        let mut piece = vec![0; PIECE_BYTES];
        while out.is_some() || err.is_some() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Refusal::TooSlow(self.bounds.time_max));
            }
            let pause = if self.leash.is_some() { left.min(LEASH_PAUSE) } else { left };
            let (hears_out, hears_err) = wait(out.as_ref(), err.as_ref(), pause)?;
            if let Some(Leash(may_go_on)) = &self.leash {
                may_go_on()?;
            }
            if hears_out {
                let count = take(&mut out, &mut piece)?;
                said.extend_from_slice(piece.get(..count).unwrap_or_default());
                if said.len() > self.bounds.bytes_max {
                    return Err(Refusal::TooLong(self.bounds.bytes_max));
                }
            }
            if hears_err {
                let count = take(&mut err, &mut piece)?;
                let room = COMPLAINT_BYTES_MAX.saturating_sub(complaint.len()).min(count);
                complaint.extend_from_slice(piece.get(..room).unwrap_or_default());
            }
        }
        Ok((said, complaint))
    }
}

/// Waits until there is something to read, or an end, of one of the two.
pub(super) fn wait(out: Option<&impl AsFd>, err: Option<&impl AsFd>, most: Duration) -> Result<(bool, bool), Refusal> {
    let mut ends = Vec::with_capacity(2);
    ends.extend(out.map(|out| PollFd::new(out.as_fd(), PollFlags::POLLIN)));
    ends.extend(err.map(|err| PollFd::new(err.as_fd(), PollFlags::POLLIN)));
    let most = PollTimeout::try_from(most).unwrap_or(PollTimeout::MAX);
    match poll(&mut ends, most) {
        Ok(_) | Err(nix::errno::Errno::EINTR) => {}
        Err(error) => return Err(Refusal::Said(error.desc().to_owned())),
    }
    let mut hears = ends.iter().map(|end| end.any().unwrap_or(false));
    Ok((out.is_some() && hears.next() == Some(true), err.is_some() && hears.next() == Some(true)))
}

/// Reads a piece; forgets the pipe at its end.
pub(super) fn take(pipe: &mut Option<impl Read>, piece: &mut [u8]) -> Result<usize, Refusal> {
    let Some(from) = pipe else { return Ok(0) };
    match from.read(piece) {
        Ok(0) => *pipe = None,
        Ok(count) => return Ok(count),
        Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
        Err(error) => return Err(Refusal::Said(error.to_string())),
    }
    Ok(0)
}

/// A child that does not outlive this.
struct Running {
    child: Child,
    /// Whether its own children are to go with it.
    is_group: bool,
}

impl Drop for Running {
    fn drop(&mut self) {
        if !matches!(self.child.try_wait(), Ok(Some(_))) {
            if self.is_group {
                // While it was not waited for, the group's number is its own.
                let _ = killpg(Pid::from_raw(self.child.id().cast_signed()), Signal::SIGKILL);
            }
            // It may have ended just now.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// Takes what git reads of its environment away, but for where the user's settings are.
fn forget(command: &mut Command) {
    const KEPT: [&str; 3] = ["GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM"];
    for (name, _) in std::env::vars_os() {
        let is_gits = name.as_encoded_bytes().starts_with(b"GIT_");
        if is_gits && !KEPT.iter().any(|kept| name == *kept) {
            command.env_remove(name);
        }
    }
}

/// Takes all away but where programs are, and has git find nobody's settings.
fn isolate(command: &mut Command) {
    command.env_clear();
    for name in ["PATH", "TMPDIR"] {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command.env("HOME", "/nonexistent").env("XDG_CONFIG_HOME", "/nonexistent");
    command.env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_ATTR_NOSYSTEM", "1");
    // Nothing is fetched, in whatever way, unless that is said.
    command.env("GIT_ALLOW_PROTOCOL", "").env("GIT_NO_LAZY_FETCH", "1");
}

/// The line that says most of a complaint.
pub fn first_line(complaint: &[u8]) -> String {
    let text = String::from_utf8_lossy(complaint);
    let is_telling = |line: &&str| line.starts_with("fatal: ") || line.starts_with("error: ");
    let line = text.lines().find(is_telling).or_else(|| text.lines().next()).unwrap_or_default();
    let line = line.trim_start_matches("fatal: ").trim_start_matches("error: ");
    if line.is_empty() { "git gave up without a word".to_owned() } else { line.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn git() -> Git {
        Git::of_checkout(Path::new("/"))
    }

    /// A shell in git's place: an alias that the command line defines.
    fn shell(git: &Git, script: &str) -> Result<Vec<u8>, Refusal> {
        git.ask(&["-c", &format!("alias.x=!{script}"), "x"])
    }

    #[test]
    fn a_call_ends_with_its_time_and_its_output_with_its_bound() {
        let bounds = Bounds { time_max: Duration::from_millis(300), bytes_max: 1 << 20 };
        let git = Git { bounds, ..git() };
        for script in ["sleep 100", "exec >&- 2>&-; sleep 100", "while echo y; do sleep 0.01; done"] {
            assert_eq!(shell(&git, script), Err(Refusal::TooSlow(bounds.time_max)), "{script}");
        }
        let git = Git { bounds: Bounds { bytes_max: 1000, ..Bounds::default() }, ..git };
        assert_eq!(shell(&git, "yes"), Err(Refusal::TooLong(1000)));
        // Complaints without end hinder nobody.
        assert_eq!(shell(&git, "head -c 1000000 /dev/zero >&2; echo fine").unwrap(), b"fine\n");
    }

    #[test]
    fn what_git_says_of_a_failure_is_one_line() {
        assert_eq!(shell(&git(), "echo warning: a >&2; echo fatal: b >&2; exit 1"), Err(Refusal::Said("b".to_owned())));
        assert_eq!(shell(&git(), "exit 1"), Err(Refusal::Said("git gave up without a word".to_owned())));
        assert_eq!(git().ask_maybe(&["rev-parse", "--verify", "--quiet", "x"]), Ok(None));
    }

    #[test]
    fn a_repository_of_our_own_knows_nobodys_settings() {
        let dir = tempfile::tempdir().unwrap();
        let git = Git::of_own(dir.path());
        git.ask(&["init", "--quiet", "--bare"]).unwrap();
        let list = git.ask(&["config", "--list", "--show-scope"]).unwrap();
        let list = String::from_utf8(list).unwrap();
        assert!(!list.contains("system\t") && !list.contains("global\t"), "{list}");
        let environment = shell(&git, "env").unwrap();
        let environment = String::from_utf8(environment).unwrap();
        assert!(!environment.contains("CARGO"), "{environment}");
    }
}
