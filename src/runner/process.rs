//! The runner's side of a keeper: starts it, tells it what to do, and hears what happens.
//!
//! What must stay true: a keeper's environment is exactly what a job may see; what a job prints is never kept in memory
//! beyond some pieces; a keeper that is gone, or does not answer, leaves nothing alive of its session.

use super::frames::{self, End, Start};
use super::leftovers::of_session;
use super::log::Stream;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

/// Pieces of output that wait for the log.
const PIECES_MAX: usize = 16;
/// What a keeper gets to end what is left of its job.
const END_TIME: Duration = Duration::from_secs(6);

/// The program that is a keeper when it is started with these arguments.
#[derive(Clone, Debug)]
pub struct Program {
    /// Where it is.
    pub path: PathBuf,
    /// What makes it a keeper.
    pub arguments: Vec<OsString>,
}

impl Program {
    /// This very program, also if its file was replaced meanwhile.
    ///
    /// # Errors
    /// If the system does not tell where it is.
    pub fn own() -> io::Result<Program> {
        let own = Path::new("/proc/self/exe");
        let path = if own.exists() { own.to_owned() } else { std::env::current_exe()? };
        Ok(Program { path, arguments: vec![super::keeper::COMMAND.into()] })
    }
}

/// A job's keeper. Dropping it ends everything of the job.
pub struct Keeper {
    process: Child,
    control: Option<ChildStdin>,
    /// With the number of the shell that it is about.
    said: Receiver<(u32, Said)>,
    shell: u32,
}

/// What a keeper says of the shell that runs.
#[derive(Debug)]
pub enum Said {
    /// It prints.
    Printed(Stream, Vec<u8>),
    /// One of its two outputs has ended.
    PipeEnded,
    /// It has ended.
    Ended(End),
    /// It cannot be started.
    Failed(String),
    /// It has ended, and this process holds its output.
    Held(String),
    /// The keeper is gone.
    Lost,
}

impl Keeper {
    /// Starts a keeper whose environment is `environment` and nothing else.
    ///
    /// # Errors
    /// If the program cannot be started.
    pub fn start(program: &Program, environment: &[(OsString, OsString)], folder: &Path) -> io::Result<Keeper> {
        let mut process = Command::new(&program.path)
            .args(&program.arguments)
            .env_clear()
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let (control, from) = (process.stdin.take(), process.stdout.take());
        let (sender, said) = sync_channel(PIECES_MAX);
        if let Some(from) = from {
            thread::Builder::new().name("job output".to_owned()).spawn(move || listen(from, &sender))?;
        }
        Ok(Keeper { process, control, said, shell: 0 })
    }

    /// Starts a shell.
    ///
    /// # Errors
    /// If the keeper is gone, or the script too long.
    pub fn begin(&mut self, start: &Start) -> io::Result<()> {
        self.shell += 1;
        let payload = serde_json::to_vec(start).map_err(io::Error::other)?;
        self.send(frames::START, &payload)
    }

    /// Asks the shell's processes to end.
    pub fn ask(&mut self) {
        // A keeper that is gone says so by itself.
        let _ = self.send(frames::ASK, &[]);
    }

    /// Kills the shell's group.
    pub fn kill(&mut self) {
        // As above.
        let _ = self.send(frames::KILL, &[]);
    }

    /// Kills all that descends from the job.
    pub fn kill_all(&mut self) {
        // As above.
        let _ = self.send(frames::KILL_ALL, &[]);
    }

    fn send(&mut self, kind: u8, payload: &[u8]) -> io::Result<()> {
        let control = self.control.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
        frames::write(control, kind, self.shell, payload)
    }

    /// What the keeper says next of the shell that runs; `None` if that takes longer than `time`.
    #[must_use]
    pub fn next(&self, time: Duration) -> Option<Said> {
        let until = Instant::now() + time;
        loop {
            match self.said.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok((_, Said::Lost)) | Err(RecvTimeoutError::Disconnected) => return Some(Said::Lost),
                Ok((shell, said)) if shell == self.shell => return Some(said),
                // An earlier shell's, whose output somebody still holds.
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout) => return None,
            }
        }
    }

    /// The job has ended: the keeper stays as long as something of it lives, which ends with the value that is returned.
    #[must_use]
    pub fn stay(mut self) -> Kept {
        // As above.
        let _ = self.send(frames::STAY, &[]);
        Kept(self)
    }

    /// The job has ended, and what is left of it lives on.
    pub fn leave(mut self) {
        // As above.
        let _ = self.send(frames::LEAVE, &[]);
        self.control = None;
        self.wait(END_TIME);
    }

    /// Kills the keeper, which does not answer any more, and what is left of its session.
    pub fn destroy(mut self) {
        self.kill_session();
    }

    fn kill_session(&mut self) {
        // Its number is its own until it is waited for below.
        let _ = self.process.kill();
        let session = i32::try_from(self.process.id()).map(Pid::from_raw);
        for _ in 0..100 {
            let left = session.map(of_session).unwrap_or_default();
            for pid in &left {
                // It may be gone already.
                let _ = kill(*pid, Signal::SIGKILL);
            }
            if left.is_empty() {
                break;
            }
            thread::sleep(Duration::from_millis(10));
        }
        // It was killed.
        let _ = self.process.wait();
    }

    /// Waits for the keeper's end; whether it has come.
    fn wait(&mut self, time: Duration) -> bool {
        let until = Instant::now() + time;
        loop {
            // What it still says is not heard any more, but must not hold it up.
            while self.said.try_recv().is_ok() {}
            match self.process.try_wait() {
                Ok(None) if Instant::now() < until => thread::sleep(Duration::from_millis(5)),
                Ok(None) => return false,
                Ok(Some(_)) | Err(_) => return true,
            }
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.control = None;
        let has_ended = self.wait(END_TIME);
        if !has_ended || self.process.try_wait().is_ok_and(|status| status.is_some_and(|status| !status.success())) {
            self.kill_session();
        }
    }
}

/// The keeper of a job that has ended. Dropping it ends what is left of the job.
pub struct Kept(Keeper);

impl Kept {
    /// Whether nothing is left of the job.
    #[must_use]
    pub fn is_over(&mut self) -> bool {
        while self.0.said.try_recv().is_ok() {}
        self.0.process.try_wait().is_ok_and(|status| status.is_some())
    }
}

/// Reads what a keeper says until it is gone.
fn listen(mut from: ChildStdout, to: &SyncSender<(u32, Said)>) {
    while let Ok(frame) = frames::read(&mut from) {
        let text = |payload: &[u8]| String::from_utf8_lossy(payload).into_owned();
        let said = match frame.kind {
            frames::OUT => Said::Printed(Stream::Out, frame.payload),
            frames::ERR => Said::Printed(Stream::Err, frame.payload),
            frames::PIPE_END => Said::PipeEnded,
            frames::EXIT => Said::Ended(serde_json::from_slice(&frame.payload).unwrap_or(End::Status(1))),
            frames::FAILED => Said::Failed(text(&frame.payload)),
            frames::HELD => Said::Held(text(&frame.payload)),
            _ => continue,
        };
        if to.send((frame.shell, said)).is_err() {
            return;
        }
    }
    // Nobody may listen any more.
    let _ = to.send((0, Said::Lost));
}
