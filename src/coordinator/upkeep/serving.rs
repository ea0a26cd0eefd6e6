//! Who serves a data directory: one process at most, and it holds the lock on `serve.lock` while it does. Two would
//! each sweep the other's uploads, and collect the logs that the other one writes. The directory itself is locked, too,
//! so that the right is not lost with a name: whoever removes or replaces `serve.lock` lets no second server in.
//!
//! `serve.lock` says when the server was last alive, each second: without a sync, so that it costs the disk nothing. It
//! outlives the process, but not a loss of power; then the database says so to half a minute. Its second line says where
//! the server is reached; it counts only while somebody holds the lock.

use super::lost_builds::deadline;
use crate::coordinator::Coordinator;
use crate::domain::time::Timestamp;
use crate::error::{Error, Kind, Result};
use crate::store::{artifacts, builds, settings, silence};
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use rusqlite::Connection;
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

/// The file in the data directory whose lock is the right to serve.
const LOCK: &str = "serve.lock";

/// A server that was just killed may hold its lock until its last thread has gone; and a command may hold it for a
/// moment.
const PATIENCE: Duration = Duration::from_secs(1);

/// Bytes of the first line of `serve.lock`.
const ALIVE_BYTES: u64 = 21;

/// Most bytes of `serve.lock`: a URL has at most 1024.
const LOCK_BYTES_MAX: u64 = 2048;

/// Behind the URL of a server that ends with the command that it serves for.
const BRIEFLY: &str = " briefly";

/// Where a server is reached.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reached {
    /// Its URL, without a slash at the end.
    pub url: String,
    /// Whether it is a command's own, with which it ends.
    pub is_brief: bool,
}

/// The right to serve a data directory, or to do what only a server may. Dropping it gives it up.
pub struct Serving {
    lock: Flock<File>,
    /// `None`: the file system has no locks on directories.
    _folder: Option<Flock<File>>,
}

impl Serving {
    /// Takes the right, as a server does that will keep it.
    ///
    /// # Errors
    /// [`Kind::Conflict`] if another process serves.
    pub fn begin(data: &Path) -> Result<Serving> {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(serving) = Serving::begin_if_unserved(data)? {
                return Ok(serving);
            }
            if Instant::now() >= until {
                let (who, advice) = match reached(data) {
                    Some(place) if place.is_brief => {
                        ("a `baton run`, which serves by itself until it has ended,", "wait")
                    }
                    Some(_) | None => ("another `baton serve`", "stop it"),
                };
                let message =
                    format!("{who} uses {}; {advice}, or choose another directory with --data", data.display());
                return Err(Error::new(Kind::Conflict, message));
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// The same without patience, for a command that holds it for much less than a server's patience. `None`:
    /// another process serves.
    pub fn begin_if_unserved(data: &Path) -> Result<Option<Serving>> {
        let folder = match lock_folder(data, FlockArg::LockExclusiveNonblock)? {
            Folder::Taken => return Ok(None),
            Folder::Lockless => None,
            Folder::Ours(lock) => Some(lock),
        };
        let path = data.join(LOCK);
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&path)
            .map_err(|error| Error::file(&path, &error))?;
        let Some(lock) = lock(file, FlockArg::LockExclusiveNonblock, data)? else { return Ok(None) };
        let serving = Serving { lock, _folder: folder };
        serving.forget_place()?;
        Ok(Some(serving))
    }

    /// Says where the server is reached, to commands that look for it with [`reached`].
    pub fn say_where(&self, place: &Reached) -> Result<()> {
        let text = format!("{}{}\n", place.url, if place.is_brief { BRIEFLY } else { "" });
        Ok(self.lock.write_all_at(text.as_bytes(), ALIVE_BYTES)?)
    }

    fn forget_place(&self) -> Result<()> {
        if self.lock.metadata()?.len() > ALIVE_BYTES {
            self.lock.set_len(ALIVE_BYTES)?;
        }
        Ok(())
    }

    /// Says that it serves, so that the next server knows until when. To be called each second.
    pub fn say_alive(&self, now: Timestamp) -> Result<()> {
        Ok(self.lock.write_all_at(format!("{:020}\n", now.0).as_bytes(), 0)?)
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        if let Err(error) = self.forget_place() {
            log::debug!("{LOCK} still says where the server was: {error}");
        }
    }
}

impl Coordinator {
    /// Readies the data for serving: removes files that a crash left behind, and forgives runners the time in
    /// which no server ran. Only before anything is received. Returns how many files it removed.
    pub fn begin_serving(&self, now: Timestamp) -> Result<usize> {
        let orphans = self.artifacts.sweep(&self.store.read(artifacts::all_files)?)?;
        let grace = self.limits().timeout_grace;
        let said = alive_at(&self.data);
        self.store.write(move |c| {
            forgive_absence(c, said, grace, now)?;
            settings::set_alive_at(c, now)
        })?;
        Ok(orphans)
    }

    /// Says that a server serves. To be called every half minute, and when it ends.
    pub fn say_alive(&self, now: Timestamp) -> Result<()> {
        self.store.write(move |c| settings::set_alive_at(c, now))
    }
}

/// The time in which no server lived counts neither as silence nor against deadlines. `said` is when the last one said
/// so beside the database. A clock that was set back meanwhile takes the times with it.
fn forgive_absence(c: &Connection, said: Option<Timestamp>, grace: Duration, now: Timestamp) -> Result<()> {
    let Some(from) = settings::alive_at(c)?.max(said) else { return Ok(()) };
    let absence_ms = now.0.saturating_sub(from.0);
    if absence_ms < 0 {
        return silence::move_times(c, absence_ms, now, now, grace);
    }
    silence::forgive_silence(c, absence_ms)?;
    for build in builds::running(c)? {
        let deadline = deadline(&build, grace);
        if from <= deadline && deadline <= now {
            silence::put_off(c, build.id, now.plus(grace))?;
        }
    }
    Ok(())
}

/// When whoever served this data directory last said that it does, if that is known.
#[must_use]
pub fn alive_at(data: &Path) -> Option<Timestamp> {
    lock_text(data)?.lines().next()?.trim().parse().ok().map(Timestamp)
}

/// Where the server of this data directory is reached, if it has said so. That there is one is [`is_served`]'s to say.
#[must_use]
pub fn reached(data: &Path) -> Option<Reached> {
    let text = lock_text(data)?;
    // A line that is not at its end is still being written.
    let line = text.get(usize::try_from(ALIVE_BYTES).ok()?..)?.strip_suffix('\n')?;
    let (url, is_brief) = line.strip_suffix(BRIEFLY).map_or((line, false), |url| (url, true));
    (!url.is_empty()).then(|| Reached { url: url.to_owned(), is_brief })
}

fn lock_text(data: &Path) -> Option<String> {
    let mut text = String::new();
    File::open(data.join(LOCK)).ok()?.take(LOCK_BYTES_MAX).read_to_string(&mut text).ok()?;
    Some(text)
}

/// Whether some process serves this data directory. Makes no file.
pub fn is_served(data: &Path) -> Result<bool> {
    if matches!(lock_folder(data, FlockArg::LockSharedNonblock)?, Folder::Taken) {
        return Ok(true);
    }
    match File::open(data.join(LOCK)) {
        // Given up at once: a server that begins in this very moment is patient.
        Ok(file) => Ok(lock(file, FlockArg::LockSharedNonblock, data)?.is_none()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// What came of an attempt to lock a directory.
enum Folder {
    Ours(Flock<File>),
    Taken,
    Lockless,
}

fn lock_folder(data: &Path, how: FlockArg) -> Result<Folder> {
    let folder = match File::open(data) {
        Ok(folder) => folder,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Folder::Lockless),
        Err(error) => return Err(Error::file(data, &error)),
    };
    Ok(match Flock::lock(folder, how) {
        Ok(lock) => Folder::Ours(lock),
        Err((_, Errno::EWOULDBLOCK)) => Folder::Taken,
        Err(_) => Folder::Lockless,
    })
}

fn lock(file: File, how: FlockArg, data: &Path) -> Result<Option<Flock<File>>> {
    match Flock::lock(file, how) {
        Ok(lock) => Ok(Some(lock)),
        Err((_, Errno::EWOULDBLOCK)) => Ok(None),
        Err((_, errno)) => Err(Error::internal(format!("cannot lock {}: {errno}", data.display()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn when_a_server_was_last_alive_outlives_it_and_what_is_no_time_says_nothing() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(alive_at(dir.path()), None);
        let serving = Serving::begin(dir.path()).unwrap();
        assert_eq!(alive_at(dir.path()), None);
        for now in [1_700_000_000_000, 5, 1_800_000_000_000] {
            serving.say_alive(Timestamp(now)).unwrap();
            assert_eq!(alive_at(dir.path()), Some(Timestamp(now)));
        }
        drop(serving);
        assert_eq!(alive_at(dir.path()), Some(Timestamp(1_800_000_000_000)));
        fs::write(dir.path().join(LOCK), "torn").unwrap();
        assert_eq!(alive_at(dir.path()), None);
    }

    #[test]
    fn where_a_server_is_goes_with_it_and_the_time_of_its_life_stays() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(reached(dir.path()), None);
        for is_brief in [false, true] {
            let serving = Serving::begin(dir.path()).unwrap();
            assert_eq!(reached(dir.path()), None, "what an earlier one said is gone");
            serving.say_alive(Timestamp(5)).unwrap();
            let place = Reached { url: "http://127.0.0.1:8080".to_owned(), is_brief };
            serving.say_where(&place).unwrap();
            serving.say_alive(Timestamp(7)).unwrap();
            assert_eq!((reached(dir.path()), alive_at(dir.path())), (Some(place), Some(Timestamp(7))));
            if is_brief {
                // As after a death.
                std::mem::forget(serving);
            }
        }
        assert_eq!(alive_at(dir.path()), Some(Timestamp(7)));
    }

    #[test]
    fn one_serves_at_a_time_and_who_asks_takes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        assert!(!is_served(dir.path()).unwrap());
        assert!(!dir.path().join("serve.lock").exists());
        let first = Serving::begin(dir.path()).unwrap();
        assert!(is_served(dir.path()).unwrap());
        assert!(Serving::begin_if_unserved(dir.path()).unwrap().is_none());
        assert_eq!(Serving::begin(dir.path()).err().unwrap().kind, Kind::Conflict);
        fs::remove_file(dir.path().join(LOCK)).unwrap();
        assert!(is_served(dir.path()).unwrap(), "the right does not go with a name");
        assert!(Serving::begin_if_unserved(dir.path()).unwrap().is_none());
        drop(first);
        assert!(!is_served(dir.path()).unwrap());
        assert!(Serving::begin_if_unserved(dir.path()).unwrap().is_some());
    }
}
