//! Hands the commit of a snapshot on, by `git upload-pack` as a child.
//!
//! What must stay true: the child sees our own repository's settings and nobody else's, and a request that was judged
//! (`wants`); it speaks protocol 0, which hands out nothing but what is offered; it and its own children are dead when what
//! it says is no longer read, when its time is over, and when it is silent for too long.

use super::program::{Git, Refusal, first_line, take, wait};
use super::{repository, wants};
use crate::error::{Error, Result};
use crate::limits::{OFFER_BYTES_MAX, OFFER_TIME_MAX};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use std::collections::HashSet;
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdout, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// What is kept of a child's complaints.
const COMPLAINT_BYTES_MAX: usize = 4 << 10;
/// For a child that has ended its output to end itself.
const END_TIME_MAX: Duration = Duration::from_secs(2);

/// Should this process die, a child ends by itself after so many seconds without anything to do.
const TIMEOUT: &str = "--timeout=120";

/// What the child is told beside its repository: to say each second that it lives, by which also a client's leaving is
/// noticed; one thread and little memory each.
const SETTINGS: [&str; 6] = [
    "uploadpack.keepAlive=1",
    "uploadpack.allowFilter=false",
    "uploadpack.allowAnySHA1InWant=false",
    "pack.threads=1",
    "pack.windowMemory=32m",
    "pack.deltaCacheSize=32m",
];

/// How much a child may do.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// From its start to its end.
    pub time_max: Duration,
    /// Without a word.
    pub silence_max: Duration,
    /// Bytes that it says.
    pub bytes_max: u64,
}

/// A snapshot's repository, as it is handed on.
#[derive(Debug)]
pub struct Offered {
    dir: PathBuf,
    names: HashSet<String>,
}

impl Offered {
    /// Looks at the repository in `dir`.
    ///
    /// # Errors
    /// [`crate::error::Kind::NotFound`] if it is gone, or the checkout from which it borrows.
    pub fn open(dir: &Path) -> Result<Offered> {
        let gone = |what: &str| Error::not_found(format!("the sources of this build are gone: {what}"));
        let refs = repository::refs(dir).map_err(|_| gone("their repository was removed"))?;
        if !repository::lender(dir).is_ok_and(|lender| lender.is_dir()) {
            return Err(gone("the checkout that they were taken from was moved or removed"));
        }
        Ok(Offered { dir: dir.to_owned(), names: refs.into_iter().map(|(_, name)| name).collect() })
    }

    /// What there is: the answer to `info/refs`, without the line before it.
    ///
    /// # Errors
    /// Git's.
    pub fn list(&self) -> Result<Vec<u8>> {
        let git = Git::of_own(&self.dir).within(OFFER_TIME_MAX, OFFER_BYTES_MAX);
        git.ask(&self.words(&["--advertise-refs"])).map_err(|refusal| failed(&refusal.words()))
    }

    /// Begins to answer a request.
    ///
    /// # Errors
    /// [`crate::error::Kind::Invalid`] says what is wrong with the request; git's.
    pub fn answer(&self, request: Vec<u8>, bounds: Bounds) -> Result<Answering> {
        wants::check(&request, &self.names)
            .map_err(|why| Error::invalid(format!("git's request is refused: {why}")))?;
        let mut command = Git::of_own(&self.dir).command(&self.words(&[]));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        let mut child = command.spawn().map_err(|error| failed(&Refusal::from(error).words()))?;
        let (stdin, out, err) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let until = Instant::now() + bounds.time_max;
        let mut answering =
            Answering { child, out, err, complaint: vec![], until, bounds, left: bounds.bytes_max, begin: vec![] };
        if let Some(mut stdin) = stdin {
            // It answers before it has read all. A child that has ended does not read the rest.
            let write = move || drop(stdin.write_all(&request));
            thread::Builder::new().name("git request".to_owned()).spawn(write)?;
        }
        answering.read_begin()?;
        Ok(answering)
    }

    fn words(&self, more: &[&str]) -> Vec<std::ffi::OsString> {
        let settings = SETTINGS.iter().flat_map(|setting| ["-c", setting]);
        let words = settings.chain(["upload-pack", "--strict", "--stateless-rpc", TIMEOUT]).chain(more.iter().copied());
        words.map(Into::into).chain([self.dir.clone().into()]).collect()
    }
}

fn failed(why: &str) -> Error {
    Error::internal(format!("git upload-pack: {why}"))
}

fn too_much() -> io::Error {
    io::Error::new(ErrorKind::FileTooLarge, "git says more than it may")
}

/// What git says to a request. Dropping it ends git.
#[derive(Debug)]
pub struct Answering {
    child: Child,
    out: Option<ChildStdout>,
    err: Option<ChildStderr>,
    complaint: Vec<u8>,
    until: Instant,
    bounds: Bounds,
    /// Bytes that it may still say.
    left: u64,
    /// What was read before anybody asked.
    begin: Vec<u8>,
}

impl Answering {
    /// Waits for the first bytes: where git gives up at once, nothing is promised.
    fn read_begin(&mut self) -> Result<()> {
        let mut begin = vec![0; 4096];
        let count = self.read_on(&mut begin).map_err(|error| {
            let has_given_up = error.kind() == ErrorKind::Other;
            let why = format!("git gives up on this request: {error}");
            if has_given_up { Error::invalid(why) } else { failed(&error.to_string()) }
        })?;
        begin.truncate(count);
        self.begin = begin;
        Ok(())
    }

    fn read_on(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let silent = Instant::now() + self.bounds.silence_max;
        while self.out.is_some() {
            let left = self.until.min(silent).saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(io::Error::new(ErrorKind::TimedOut, "git takes too long"));
            }
            let broken = |refusal: Refusal| io::Error::other(refusal.words());
            let (hears_out, hears_err) = wait(self.out.as_ref(), self.err.as_ref(), left).map_err(broken)?;
            if hears_err {
                let mut piece = [0; 1024];
                let count = take(&mut self.err, &mut piece).map_err(broken)?;
                let room = COMPLAINT_BYTES_MAX.saturating_sub(self.complaint.len()).min(count);
                self.complaint.extend_from_slice(piece.get(..room).unwrap_or_default());
            }
            if hears_out {
                let count = take(&mut self.out, buffer).map_err(broken)?;
                self.left = self.left.checked_sub(count as u64).ok_or_else(too_much)?;
                if count > 0 {
                    return Ok(count);
                }
            }
        }
        self.end().map(|()| 0)
    }

    /// Whether all went well, once the output has ended.
    fn end(&mut self) -> io::Result<()> {
        let until = Instant::now() + END_TIME_MAX;
        loop {
            match self.child.try_wait()? {
                Some(status) if status.success() => return Ok(()),
                Some(_) => return Err(io::Error::other(first_line(&self.complaint))),
                None if Instant::now() > until => return Err(io::Error::other("git does not end")),
                None => thread::sleep(Duration::from_millis(1)),
            }
        }
    }
}

impl Read for Answering {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if !self.begin.is_empty() {
            let count = self.begin.len().min(buffer.len());
            let begin: Vec<u8> = self.begin.drain(..count).collect();
            buffer.get_mut(..count).unwrap_or_default().copy_from_slice(&begin);
            return Ok(count);
        }
        self.read_on(buffer).inspect_err(|error| log::warn!("git upload-pack: {error}"))
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        // While it was not waited for, the group's number is its own.
        if !matches!(self.child.try_wait(), Ok(Some(_))) {
            let group = Pid::from_raw(self.child.id().cast_signed());
            let _ = killpg(group, Signal::SIGKILL);
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}
