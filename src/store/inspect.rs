//! Looks at a database that may be anybody's, in any state, and copies it.
//!
//! What must stay true: nothing here writes to the database that is looked at, migrates it, or leaves a file
//! beside it. At most SQLite refreshes `baton.db-shm`, the index of a write-ahead log that is there already.

use super::{Access, open};
use crate::domain::file_url::path_in_url;
use crate::error::{Error, Kind, Result};
use nix::unistd::{AccessFlags, access};
use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Runs `look` on a connection that cannot write, and hands out what it found. It may be run twice: then
/// somebody changed the file under the first look, which does not count.
///
/// A connection that takes part in the locking makes `baton.db-wal` and `baton.db-shm`, and cannot remove them
/// again. So a file that nobody uses is read without, and looked at again if it was touched meanwhile. That also
/// reads a stopped server's data in a directory that cannot be written.
///
/// # Errors
/// What `look` says; a file that cannot be opened.
pub fn inspect<T>(path: &Path, mut look: impl FnMut(&Connection) -> Result<T>) -> Result<T> {
    if let Some(before) = unused(path) {
        let result = open(path, Access::Still).and_then(|connection| look(&connection));
        if unused(path) == Some(before) {
            return result;
        }
    }
    let result = open(path, Access::Read).and_then(|connection| look(&connection));
    let has = |suffix| fs::exists(beside(path, suffix)).unwrap_or(true);
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let is_fixed = access(dir, AccessFlags::W_OK).is_err();
    if result.is_err() && is_fixed && has("-wal") && !has("-shm") {
        let why = "the log of a crashed server cannot be read where nothing can be written";
        return Err(Error::new(Kind::Conflict, format!("{why}: copy the data directory elsewhere, and name the copy")));
    }
    result
}

/// Whether some process may have the database open, or had when it was killed.
#[must_use]
pub fn in_use(path: &Path) -> bool {
    // The last connection removes the log. `fs::exists` fails where nothing can be seen.
    ["-wal", "-journal"].iter().any(|suffix| fs::exists(beside(path, suffix)).unwrap_or(true))
}

/// What changes whenever somebody writes to the file.
#[derive(PartialEq, Eq)]
struct Stamp([i128; 7]);

fn unused(path: &Path) -> Option<Stamp> {
    if in_use(path) {
        return None;
    }
    let file = fs::metadata(path).ok()?;
    let times = [file.mtime(), file.mtime_nsec(), file.ctime(), file.ctime_nsec()].map(i128::from);
    let [a, b, c, d] = times;
    Some(Stamp([file.dev().into(), file.ino().into(), file.size().into(), a, b, c, d]))
}

/// The name of a file that SQLite keeps beside the database.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    PathBuf::from(name)
}

/// What makes SQLite read a file as one that nobody changes.
pub(super) fn still_uri(path: &Path) -> String {
    let begin = if path.is_absolute() { "file://" } else { "file:" };
    format!("{begin}{}?immutable=1", path_in_url(path))
}

/// Copies the database of `from`, as of one moment, into the file `to`, which exists and is empty or holds an
/// earlier copy. The copy is not synced.
///
/// One step, in one snapshot: smaller steps begin anew whenever somebody commits (measured: they never finish
/// beside a busy server, while one step does 1 GB in 1.3 to 4.1 s and hinders no writer). So long the
/// write-ahead log of `from` cannot begin anew.
pub fn copy(from: &Connection, to: &Path) -> Result<()> {
    let mut copy =
        Connection::open_with_flags(to, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    // A copy that was interrupted is thrown away: it needs no journal, and one sync at the end.
    copy.execute_batch("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;")?;
    let step = Backup::new(from, &mut copy)?.step(-1)?;
    if step != StepResult::Done {
        return Err(Error::new(Kind::Busy, "the database is locked by another process"));
    }
    copy.close().map_err(|(_, error)| error.into())
}

/// A connection to a copy that is being made, which nobody else knows of.
///
/// # Errors
/// If the file cannot be opened.
pub fn open_copy(path: &Path) -> Result<Connection> {
    open(path, Access::Write)
}

/// Closes a copy: what was written is in the one file, synced, and nothing is left beside it.
pub fn close_copy(copy: Connection, path: &Path) -> Result<()> {
    copy.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    copy.close().map_err(|(_, error)| Error::from(error))?;
    if in_use(path) {
        return Err(Error::internal("the copy of the database could not be completed: its log did not go"));
    }
    Ok(fs::File::open(path)?.sync_all()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Store, queue};
    use std::os::unix::fs::PermissionsExt;

    fn names(dir: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_look_leaves_nothing_behind() {
        // A name that a URI would read otherwise.
        let dir = tempfile::Builder::new().prefix("a b%41?c#d").tempdir().unwrap();
        let path = dir.path().join("baton.db");
        drop(Store::open(&path).unwrap());
        assert_eq!(names(dir.path()), ["baton.db"]);
        let before = (fs::read(&path).unwrap(), fs::metadata(&path).unwrap().modified().unwrap());
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o500)).unwrap();
        assert_eq!(inspect(&path, queue::generation).unwrap(), 1);
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o700)).unwrap();
        assert_eq!(names(dir.path()), ["baton.db"]);
        assert_eq!((fs::read(&path).unwrap(), fs::metadata(&path).unwrap().modified().unwrap()), before);
    }

    #[test]
    fn a_look_sees_what_is_in_the_log_only_and_cannot_write() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("baton.db");
        let store = Store::open(&path).unwrap();
        store.write(|c| Ok(c.execute_batch("UPDATE queue_state SET generation = 7")?)).unwrap();
        assert_eq!(inspect(&path, queue::generation).unwrap(), 7);
        assert!(inspect(&path, |c| Ok(c.execute("UPDATE queue_state SET generation = 8", [])?)).is_err());
        // As a crash leaves it: a log without its index.
        let crashed = tempfile::tempdir().unwrap();
        for name in ["baton.db", "baton.db-wal"] {
            fs::copy(dir.path().join(name), crashed.path().join(name)).unwrap();
        }
        let log = fs::read(crashed.path().join("baton.db-wal")).unwrap();
        assert_eq!(inspect(&crashed.path().join("baton.db"), queue::generation).unwrap(), 7);
        assert_eq!(fs::read(crashed.path().join("baton.db-wal")).unwrap(), log);
    }

    #[test]
    fn a_look_at_a_file_that_changes_under_it_is_repeated() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("baton.db");
        drop(Store::open(&path).unwrap());
        let mut looks = 0;
        let seen = inspect(&path, |c| {
            looks += 1;
            let seen = queue::generation(c)?;
            if looks == 1 {
                let store = Store::open(&path)?;
                store.write(|c| Ok(c.execute_batch("UPDATE queue_state SET generation = 9")?))?;
            }
            Ok(seen)
        });
        assert_eq!((seen.unwrap(), looks), (9, 2));
    }

    #[test]
    fn a_copy_is_one_file_with_all_that_was_committed() {
        let dir = tempfile::tempdir().unwrap();
        let (path, to) = (dir.path().join("baton.db"), dir.path().join("copy"));
        let store = Store::open(&path).unwrap();
        store.write(|c| Ok(c.execute_batch("UPDATE queue_state SET generation = 7")?)).unwrap();
        fs::write(&to, b"").unwrap();
        inspect(&path, |from| copy(from, &to)).unwrap();
        let made = open_copy(&to).unwrap();
        made.execute_batch("UPDATE queue_state SET generation = generation + 1").unwrap();
        close_copy(made, &to).unwrap();
        assert_eq!(names(dir.path()), ["baton.db", "baton.db-shm", "baton.db-wal", "copy"]);
        assert_eq!(fs::read(&to).unwrap()[18..20], [2, 2], "the mode is WAL, as in a new file");
        assert_eq!(inspect(&to, queue::generation).unwrap(), 8);
    }
}
