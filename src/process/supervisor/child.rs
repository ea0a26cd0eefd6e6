//! One serving process, as the supervisor sees it: how it is started, listened to, looked at and ended.
//!
//! What must stay true: a child is reaped by [`Serving`] only, so that its process id is its own while it is signalled.

use super::{ALIVE, Event, READY, RESTARTS_VARIABLE};
use crate::domain::text::size::format_size;
use crate::error::{Error, Result};
use crate::limits::Limits;
use crate::process::systemd;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::io::{self, BufRead, BufReader};
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::Sender;
use std::thread;
use std::time::{Duration, Instant};

/// A child that was told to stop and shows no life for so long is ended.
const SILENCE_AT_STOP_MAX: Duration = Duration::from_secs(5);
/// A child that dies sooner after it was ready has died at its start.
const START_TIME: Duration = Duration::from_secs(1);
/// What `--data` is to this program.
const DATA_VARIABLE: &str = "BATON_DATA";

/// A child process. Dropping it ends it.
pub struct Serving {
    pub process: Child,
    pub ready_at: Option<Instant>,
    /// Why it ends, if that is known before it has ended.
    pub why: Option<String>,
    /// Whether a hang-up waits until it is ready: before, the signal would end it.
    pub is_hung_up: bool,
    /// When it is killed for not having stopped; `None` while it was not told to stop.
    pub stopped_by: Option<Instant>,
    /// For how long it has shown no life, of the time that the supervisor has lived.
    pub silence: Duration,
}

impl Serving {
    /// Starts this very program with this process's own arguments; it serves on `listener`, and sends its words to
    /// `sender`. `data`: the data directory, if that is not one that it knows by itself.
    pub fn start(listener: &TcpListener, restarts: u64, data: Option<&Path>, sender: Sender<Event>) -> Result<Serving> {
        let mut arguments = std::env::args_os();
        let name = arguments.next().unwrap_or_else(|| "baton".into());
        let mut command = Command::new(program()?);
        systemd::VARIABLES.iter().for_each(|name| {
            command.env_remove(name);
        });
        command.envs(data.map(|data| (DATA_VARIABLE, data)));
        let process = command
            .arg0(name)
            .args(arguments)
            .env(RESTARTS_VARIABLE, restarts.to_string())
            .stdin(OwnedFd::from(listener.try_clone()?))
            .stdout(Stdio::piped())
            .spawn()?;
        let silence = Duration::ZERO;
        let mut child = Serving { process, ready_at: None, why: None, is_hung_up: false, stopped_by: None, silence };
        let words = child.process.stdout.take().ok_or_else(|| Error::internal("the child has no pipe"))?;
        thread::Builder::new().name("child".to_owned()).spawn(move || listen_to(words, &sender))?;
        Ok(child)
    }

    /// Tells it to finish what is under way, within so long.
    pub fn stop(&mut self, within: Duration) {
        self.stopped_by = Some(Instant::now() + within);
        // Not reaped yet, so that the id is still its own.
        if let Err(error) = kill(pid(&self.process), Signal::SIGTERM) {
            log::warn!("cannot tell the serving process to stop: {error}");
        }
    }

    /// Tells it to read anew what it has read at its start.
    pub fn hang_up(&mut self) {
        self.is_hung_up = self.ready_at.is_none();
        if !self.is_hung_up
            && let Err(error) = kill(pid(&self.process), Signal::SIGHUP)
        {
            log::warn!("cannot pass a hang-up on to the serving process: {error}");
        }
    }

    /// Ends it if it has outgrown its memory or its time, or shows no life.
    pub fn look(&mut self, limits: &Limits) {
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

    pub fn end(&mut self, why: String) {
        self.why = Some(why);
        if let Err(error) = self.process.kill() {
            log::warn!("cannot end the serving process: {error}");
        }
    }

    pub fn died_at_start(&self) -> bool {
        self.ready_at.is_none_or(|at| at.elapsed() < START_TIME)
    }

    pub fn died(&self, status: ExitStatus) -> String {
        format!("the serving process {} {}", self.process.id(), cause(status))
    }

    pub fn obituary(&self, status: ExitStatus) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;

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
