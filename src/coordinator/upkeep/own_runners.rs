//! Runners that a process makes for builds of its own, as `baton run` does, and that end with it.
//!
//! What must stay true: such a runner takes the builds that are kept for it and no others, and nobody else takes those.
//! While its process lives, that holds the lock on the file of the runner's number in `runs/`; so whoever looks next
//! knows that it has died, by whatever death: then the runner goes, the build that it ran fails with `runner_lost`, and
//! those are canceled that waited for it. A file is there before the row that it is of.

use crate::coordinator::{Coordinator, runners as deeds};
use crate::domain::runner::RunnerId;
use crate::domain::time::Timestamp;
use crate::domain::token::Token;
use crate::error::{Error, Kind, Result};
use crate::store::runner_builds;
use crate::store::runners::{self, NewRunner};
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The folder in the data directory that has a file for each such runner.
const FOLDER: &str = "runs";

/// A runner of this process. It is lost when this is dropped; [`Coordinator::remove_own_runner`] ends it well.
pub struct OwnRunner {
    /// Its id.
    pub id: RunnerId,
    /// Its token.
    pub token: Token,
    file: PathBuf,
    _lock: Flock<File>,
}

impl Coordinator {
    /// Makes a runner that takes builds which are added for it, see [`Coordinator::add_builds_for`].
    ///
    /// # Errors
    /// The database's or the file system's.
    pub fn add_own_runner(&self, description: &str, now: Timestamp) -> Result<OwnRunner> {
        let folder = self.data.join(FOLDER);
        DirBuilder::new().recursive(true).mode(0o700).create(&folder).map_err(|error| Error::file(&folder, &error))?;
        let new = NewRunner { description: description.to_owned(), locked: true, ..NewRunner::default() };
        self.store.write(move |c| {
            let token = Token::new_telling()?;
            let id = runners::insert(c, &new, token.hash(), now)?;
            let file = folder.join(id.to_string());
            // The file of one whose row was never committed may be there, and be removed in this moment.
            let lock = lock(&file)?.filter(|_| file.exists());
            let lock = lock.ok_or_else(|| Error::new(Kind::Busy, format!("{} is in use", file.display())))?;
            Ok(OwnRunner { id, token, file, _lock: lock })
        })
    }

    /// Whether such a runner was ever made here.
    #[must_use]
    pub fn had_own_runners(&self) -> bool {
        self.data.join(FOLDER).exists()
    }

    /// Removes such a runner; what is kept for it and has not ended ends.
    ///
    /// # Errors
    /// The database's.
    pub fn remove_own_runner(&self, runner: OwnRunner, now: Timestamp) -> Result<()> {
        let id = runner.id;
        self.store.write(move |c| match runners::by_id(c, id)? {
            Some(found) => deeds::remove(c, found.id, now),
            None => Ok(()),
        })?;
        remove_file(&runner.file)
    }

    /// Ends the runners of processes that have died. Returns how many there were.
    ///
    /// # Errors
    /// The database's or the file system's.
    pub fn end_lost_runners(&self, now: Timestamp) -> Result<usize> {
        let folder = self.data.join(FOLDER);
        let mut all = listed(&folder)?;
        // After a backup came back there may be rows without a file.
        all.extend(self.store.read(runner_builds::runners)?.into_iter().map(|id| id.0));
        let mut lost = 0;
        for id in all.into_iter().map(RunnerId) {
            let file = folder.join(id.to_string());
            let is_there = file.exists();
            let held = if is_there { lock(&file)? } else { None };
            if is_there && held.is_none() {
                // It lives.
                continue;
            }
            let was_there = self.store.write(move |c| {
                let found = runners::by_id(c, id)?;
                // One of another kind has no file, and nothing is kept for it.
                let is_own = found.is_some_and(|found| found.locked && found.project.is_none());
                if is_own {
                    deeds::remove(c, id, now)?;
                }
                Ok(is_own)
            })?;
            if was_there {
                log::info!("runner {id} has gone, since its process has died; its builds have ended");
                lost += 1;
            }
            remove_file(&file)?;
        }
        Ok(lost)
    }
}

/// The runners that have a file.
fn listed(folder: &Path) -> Result<BTreeSet<i64>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(BTreeSet::new()),
        Err(error) => return Err(Error::file(folder, &error)),
    };
    let number = |name: OsString| name.to_str()?.parse().ok();
    Ok(entries.flatten().filter_map(|entry| number(entry.file_name())).collect())
}

/// Takes the lock on this file; `None`: somebody holds it.
fn lock(path: &Path) -> Result<Option<Flock<File>>> {
    let failed = |error: &std::io::Error| Error::file(path, error);
    let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path);
    let file = file.map_err(|error| failed(&error))?;
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(lock) => Ok(Some(lock)),
        Err((_, Errno::EWOULDBLOCK)) => Ok(None),
        Err((_, errno)) => Err(Error::internal(format!("cannot lock {}: {errno}", path.display()))),
    }
}

fn remove_file(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(Error::file(path, &error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coordinator::{Claim, Tried};
    use crate::domain::asker::Asker;
    use crate::domain::build::{BuildId, FailureReason, NewBuild, Status};
    use crate::limits::Limits;
    use std::time::Duration;
}
