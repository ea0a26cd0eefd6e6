//! The keeper of a job: a small process that starts the job's shells, and of which all of the job's processes descend.
//!
//! ```text
//! runner   writes what is to be done to the keeper's standard input, and reads what happens from its standard output
//!   |
//! keeper   the same program; a session of its own, so that a job has no terminal
//!   |
//! shells   one after the other, each in a group of its own
//! ```
//!
//! What must stay true: when the runner dies, by whatever death, nothing of the job is left some seconds later, also not
//! what has left its group or its session; the pipe's end is the sign. The keeper holds no secret but the script that it
//! passes on, and no other process can look into it. A job can stop or kill its keeper, as it can any process of its
//! user; then the runner ends what is left of the session.

use super::frames::{self, End, Frame, Start};
use super::leftovers::{descendants, holder_of};
use crate::sync::lock;
use nix::errno::Errno;
use nix::sys::signal::{SigSet, Signal, kill, killpg};
use nix::sys::stat::fstat;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, setsid};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// The word by which the program is a keeper.
pub const COMMAND: &str = "internal-keeper";

/// What a shell's processes get to end by themselves when the runner has died.
const END_TIME: Duration = Duration::from_secs(2);
/// For how long those that do not end are killed, again and again.
const KILL_TIME: Duration = Duration::from_secs(2);
/// For how long output may be held after its shell has ended, before that is told.
const HELD_TIME: Duration = Duration::from_secs(5);
/// How often it is looked whether something of an ended job lives.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Bytes that are passed on at a time.
const PIECE_BYTES: usize = 32 << 10;

/// What a keeper waits for.
enum Event {
    Asked(Frame),
    /// The runner is dead, or hears nothing any more.
    Gone,
    /// A shell has ended.
    Exited(u32, End),
    /// An output of a shell has ended.
    PipeEnded(u32),
}

struct Keeper {
    events: Sender<Event>,
    to_runner: Arc<Mutex<File>>,
    current: Option<Shell>,
}

/// The shell that runs, or whose output is not at its end.
struct Shell {
    number: u32,
    group: Pid,
    ended_at: Option<Instant>,
    /// Inode numbers of its two outputs, and how many of those have not ended.
    pipes: [u64; 2],
    open: u8,
    is_told: bool,
}

/// Keeps a job until its runner says that it has ended, or has ended itself.
#[must_use]
pub fn keep() -> ExitCode {
    match set_up().and_then(|(from, to)| Keeper::run(from, to)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// The pipes to the runner, and a process that stands alone.
fn set_up() -> io::Result<(File, File)> {
    // Fails only for the head of a group, which a child is not.
    setsid()?;
    #[cfg(target_os = "linux")]
    {
        nix::sys::prctl::set_child_subreaper(true)?;
        nix::sys::prctl::set_dumpable(false)?;
    }
    // A job may send these to its parent: they are taken, and nothing is done.
    let signals = taken_signals();
    signals.thread_set_mask()?;
    thread::Builder::new().name("signals".to_owned()).spawn(move || while signals.wait().is_ok() {})?;
    let from = File::from(io::stdin().as_fd().try_clone_to_owned()?);
    let to = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    Ok((from, to))
}

fn taken_signals() -> SigSet {
    [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGQUIT].into_iter().collect()
}

/// Starts a process that has no signal blocked, since it would hand that on.
fn unblocked<T>(start: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    SigSet::empty().thread_set_mask()?;
    let started = start();
    taken_signals().thread_set_mask()?;
    started
}

impl Keeper {
    fn run(mut from: File, to: File) -> io::Result<()> {
        let (sender, events) = channel();
        let asked = sender.clone();
        thread::Builder::new().name("asked".to_owned()).spawn(move || {
            while let Ok(frame) = frames::read(&mut from) {
                if asked.send(Event::Asked(frame)).is_err() {
                    return;
                }
            }
            // The receiver is gone only when all is over.
            let _ = asked.send(Event::Gone);
        })?;
        let keeper = Keeper { events: sender, to_runner: Arc::new(Mutex::new(to)), current: None };
        keeper.serve(&events);
        Ok(())
    }

    fn serve(mut self, events: &Receiver<Event>) {
        loop {
            match events.recv_timeout(LOOK_EVERY) {
                Ok(Event::Asked(frame)) => match frame.kind {
                    frames::START => self.start(&frame),
                    frames::ASK => self.signal(Signal::SIGTERM),
                    frames::KILL => self.signal(Signal::SIGKILL),
                    frames::KILL_ALL => end_all(Duration::ZERO),
                    frames::STAY => return stay(events),
                    frames::LEAVE => return,
                    _ => {}
                },
                Ok(Event::Gone) | Err(RecvTimeoutError::Disconnected) => return end_all(END_TIME),
                Ok(Event::Exited(number, end)) => self.exited(number, end),
                Ok(Event::PipeEnded(number)) => {
                    if let Some(shell) = self.current.as_mut().filter(|shell| shell.number == number) {
                        shell.open = shell.open.saturating_sub(1);
                    }
                }
                Err(RecvTimeoutError::Timeout) => self.look_who_holds(),
            }
        }
    }

    fn tell(&self, kind: u8, shell: u32, payload: &[u8]) {
        let mut to = lock(&self.to_runner);
        if frames::write(&mut *to, kind, shell, payload).is_err() {
            // The events' receiver is this thread.
            let _ = self.events.send(Event::Gone);
        }
    }

    fn start(&mut self, frame: &Frame) {
        let started = serde_json::from_slice::<Start>(&frame.payload)
            .map_err(io::Error::other)
            .and_then(|start| self.start_shell(frame.shell, start));
        match started {
            Ok(shell) => self.current = Some(shell),
            Err(error) => self.tell(frames::FAILED, frame.shell, error.to_string().as_bytes()),
        }
    }

    fn start_shell(&self, number: u32, start: Start) -> io::Result<Shell> {
        let mut command = Command::new(&start.program);
        command.args(&start.arguments).current_dir(&start.folder).process_group(0);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = unblocked(|| command.spawn())?;
        let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(mut stdin), Some(stdout), Some(stderr)) = (stdin, stdout, stderr) else {
            return Err(io::Error::other("the shell has no pipes"));
        };
        let group = Pid::from_raw(i32::try_from(child.id()).map_err(io::Error::other)?);
        let inode = |fd| fstat(fd).map(|stat| stat.st_ino);
        let pipes = [inode(stdout.as_raw_fd())?, inode(stderr.as_raw_fd())?];
        thread::spawn(move || {
            // A shell that reads no further needs no more.
            let _ = stdin.write_all(start.script.as_bytes());
        });
        self.pass_on(frames::OUT, number, stdout);
        self.pass_on(frames::ERR, number, stderr);
        let events = self.events.clone();
        thread::spawn(move || {
            let end = wait_for(group);
            // The receiver is gone only when all is over.
            let _ = events.send(Event::Exited(number, end));
        });
        Ok(Shell { number, group, ended_at: None, pipes, open: 2, is_told: false })
    }

    /// Passes an output on to the runner.
    fn pass_on(&self, kind: u8, number: u32, mut from: impl Read + Send + 'static) {
        let (to, events) = (Arc::clone(&self.to_runner), self.events.clone());
        thread::spawn(move || {
            let tell = |kind, payload: &[u8]| {
                let mut to = lock(&to);
                frames::write(&mut *to, kind, number, payload)
            };
            let mut piece = vec![0; PIECE_BYTES];
            loop {
                let told = match from.read(&mut piece) {
                    Ok(0) => break,
                    Ok(bytes) => tell(kind, piece.get(..bytes).unwrap_or_default()),
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    Err(_) => break,
                };
                if told.is_err() {
                    // The receiver is gone only when all is over.
                    let _ = events.send(Event::Gone);
                    return;
                }
            }
            let event = if tell(frames::PIPE_END, &[]).is_ok() { Event::PipeEnded(number) } else { Event::Gone };
            // As above.
            let _ = events.send(event);
        });
    }

    fn exited(&mut self, number: u32, end: End) {
        if let Some(shell) = self.current.as_mut().filter(|shell| shell.number == number) {
            shell.ended_at = Some(Instant::now());
        }
        self.tell(frames::EXIT, number, &serde_json::to_vec(&end).unwrap_or_default());
    }

    fn signal(&self, signal: Signal) {
        if let Some(shell) = &self.current {
            // It may be gone already.
            let _ = killpg(shell.group, signal);
        }
    }

    /// Tells, once, who holds the output of a shell that has ended.
    fn look_who_holds(&mut self) {
        let Some(shell) = self.current.as_mut() else { return };
        let is_held = shell.open > 0 && shell.ended_at.is_some_and(|at| at.elapsed() > HELD_TIME);
        if shell.is_told || !is_held {
            return;
        }
        shell.is_told = true;
        let pids = descendants(Pid::this());
        let (number, holder) = (shell.number, shell.pipes.iter().find_map(|&pipe| holder_of(&pids, pipe)));
        if let Some((pid, name)) = holder {
            self.tell(frames::HELD, number, format!("{pid} ({name})").as_bytes());
        }
    }
}

/// Stays as long as something of the job lives; ends that when the runner says so, or dies.
fn stay(events: &Receiver<Event>) {
    loop {
        reap();
        if descendants(Pid::this()).is_empty() {
            return;
        }
        match events.recv_timeout(LOOK_EVERY) {
            Ok(Event::Asked(frame)) if frame.kind == frames::LEAVE => return,
            Ok(Event::Asked(frame)) if frame.kind == frames::KILL_ALL => end_all(Duration::ZERO),
            Ok(Event::Gone) | Err(RecvTimeoutError::Disconnected) => return end_all(END_TIME),
            Ok(Event::Asked(_) | Event::Exited(..) | Event::PipeEnded(_)) | Err(RecvTimeoutError::Timeout) => {}
        }
    }
}

/// Waits for a shell; whatever else ends meanwhile is taken note of, since the keeper is its parent now.
fn wait_for(shell: Pid) -> End {
    loop {
        match waitpid(None, None) {
            Ok(WaitStatus::Exited(pid, status)) if pid == shell => return End::Status(status),
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid == shell => return End::Signal(signal as i32),
            Ok(_) | Err(Errno::EINTR) => {}
            // Somebody else has taken note of it; cannot be.
            Err(_) => return End::Status(1),
        }
    }
}

/// Takes note of all that have ended.
fn reap() {
    let is_alive = |status: &nix::Result<WaitStatus>| matches!(status, Ok(WaitStatus::StillAlive) | Err(_));
    while !is_alive(&waitpid(None, Some(WaitPidFlag::WNOHANG))) {}
}

/// Ends everything that descends from this process: asks, waits for `grace`, and kills until nothing is left.
fn end_all(grace: Duration) {
    let all = || {
        reap();
        descendants(Pid::this())
    };
    let each = |signal| {
        for pid in all() {
            // It may be gone already.
            let _ = kill(pid, signal);
        }
    };
    if !grace.is_zero() {
        each(Signal::SIGTERM);
        // A stopped one would not hear of it.
        each(Signal::SIGCONT);
    }
    let asked_at = Instant::now();
    while asked_at.elapsed() < grace && !all().is_empty() {
        thread::sleep(Duration::from_millis(20));
    }
    let killed_at = Instant::now();
    while killed_at.elapsed() < KILL_TIME && !all().is_empty() {
        // Those that fork as fast as they are killed.
        each(Signal::SIGSTOP);
        each(Signal::SIGKILL);
        thread::sleep(Duration::from_millis(5));
    }
}
