//! Who serves a data directory: one process at most, and it holds the lock on `serve.lock` while it does. Two would
//! each sweep the other's uploads, and collect the logs that the other one writes.

use crate::error::{Error, Kind, Result};
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

/// A server that was just killed may hold its lock until its last thread has gone; and a command may hold it for a
/// moment.
const PATIENCE: Duration = Duration::from_secs(1);

/// The right to serve a data directory, or to do what only a server may. Dropping it gives it up.
pub struct Serving {
    _lock: Flock<File>,
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
                let advice = "stop it, or choose another directory with --data";
                let message = format!("another `baton serve` uses {}; {advice}", data.display());
                return Err(Error::new(Kind::Conflict, message));
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// The same without patience, for a command that holds it for much less than a server's patience. `None`:
    /// another process serves.
    ///
    /// # Errors
    /// The file system's.
    pub fn begin_if_unserved(data: &Path) -> Result<Option<Serving>> {
        let path = data.join("serve.lock");
        let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path)?;
        Ok(lock(file, FlockArg::LockExclusiveNonblock, data)?.map(|lock| Serving { _lock: lock }))
    }
}

/// Whether some process serves this data directory. Makes no file.
///
/// # Errors
/// The file system's.
pub fn is_served(data: &Path) -> Result<bool> {
    match File::open(data.join("serve.lock")) {
        // Given up at once: a server that begins in this very moment is patient.
        Ok(file) => Ok(lock(file, FlockArg::LockSharedNonblock, data)?.is_none()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error.into()),
    }
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

    #[test]
    fn one_serves_at_a_time_and_who_asks_takes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        assert!(!is_served(dir.path()).unwrap());
        assert!(!dir.path().join("serve.lock").exists());
        let first = Serving::begin(dir.path()).unwrap();
        assert!(is_served(dir.path()).unwrap());
        assert!(Serving::begin_if_unserved(dir.path()).unwrap().is_none());
        assert_eq!(Serving::begin(dir.path()).err().unwrap().kind, Kind::Conflict);
        drop(first);
        assert!(!is_served(dir.path()).unwrap());
        assert!(Serving::begin_if_unserved(dir.path()).unwrap().is_some());
    }
}
