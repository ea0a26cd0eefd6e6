//! Looks at a data directory, whole: the database, and every file it names.
//!
//! What must stay true: nothing is written. Beside a running server nothing is reported that the server is just
//! doing: a file is judged by what the database says after the file was looked at.

use crate::artifacts::{INCOMING, is_ours};
use crate::domain::build::BuildId;
use crate::domain::text::size::format_size;
use crate::error::{Error, Result};
use crate::store::artifacts::{self, Stored};
use crate::store::builds;
use crate::store::inspect::{in_use, inspect};
use crate::store::invariants::{Problem, examine};
use nix::unistd::{AccessFlags, access};
use sha2::{Digest, Sha256};
use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, SystemTime};

/// Bytes that are read at a time.
const PIECE_BYTES: usize = 256 << 10;

/// A file gets its name before a row names it, and loses its row before it goes. For so long a server may be at
/// it: a commit waits up to ten seconds for a lock.
const SETTLING_TIME_MAX: Duration = Duration::from_secs(15);

/// For so long a server may be removing files whose rows are gone.
const REMOVAL_TIME: Duration = Duration::from_secs(2);

/// Between two looks at files that may be about to change.
const POLL: Duration = Duration::from_millis(200);

const AGAIN: &str =
    "restore it from a backup, or erase the build (`baton build erase`) and run it once more (`baton build retry`)";

/// What a check found.
#[derive(Debug, Default)]
pub struct Checked {
    /// Builds in the database.
    pub builds: u64,
    /// Builds that have artifacts.
    pub artifacts: u64,
    /// Bytes of all artifacts.
    pub bytes: u64,
    /// What is wrong; empty if all is well.
    pub problems: Vec<Problem>,
}

/// Verifies the database and every artifact of the data directory `data`, whether or not a server runs on it.
///
/// # Errors
/// If there is nothing to check, or something other than damage hinders it. Damage is in the result.
pub fn check(data: &Path) -> Result<Checked> {
    let database = find_database(data)?;
    let mut checked = Checked::default();
    match inspect(&database, examine) {
        Ok(problems) => checked.problems = problems,
        // It could not even be opened.
        Err(error) => checked.problems.push(Problem::unreadable(error)?),
    }
    let is_sound = checked.problems.is_empty();
    if let Err(error) = check_files(data, &database, &mut checked) {
        let problem = Problem::unreadable(error)?;
        if is_sound {
            checked.problems.push(problem);
        }
    } else if checked.problems.iter().all(|problem| problem.kind != "database") {
        // Of a damaged database, rows may be lost that named these files.
        orphans(data, &database, &mut checked.problems)?;
    }
    Ok(checked)
}

/// The database of a data directory, if it is there and may be read.
///
/// # Errors
/// If not. What is in the file does not matter.
pub fn find_database(data: &Path) -> Result<PathBuf> {
    let path = data.join("baton.db");
    let shown = data.display();
    match fs::metadata(&path) {
        Ok(found) if !found.is_file() => Err(Error::invalid(format!("{shown}: baton.db is not a file"))),
        // Not by opening it: closing it again would drop the locks that this process holds on it.
        Ok(_) => match access(&path, AccessFlags::R_OK) {
            Ok(()) => Ok(path),
            Err(errno) => Err(Error::invalid(format!("{shown}: baton.db cannot be read: {}", errno.desc()))),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(Error::not_found(format!("{shown} has no baton.db; --data says which directory is meant")))
        }
        Err(error) => Err(Error::invalid(format!("{shown}: baton.db cannot be read: {error}"))),
    }
}

fn check_files(data: &Path, database: &Path, checked: &mut Checked) -> Result<()> {
    checked.builds = inspect(database, |c| Ok(builds::count(c)?.iter().map(|(_, count)| count).sum()))?;
    (checked.artifacts, checked.bytes) = inspect(database, artifacts::total)?;
    let mut after = artifacts::first_place();
    loop {
        let page = inspect(database, |c| artifacts::page(c, &after))?;
        let Some(last) = page.last() else { return Ok(()) };
        after = last.place();
        for stored in &page {
            let found = faults(data, stored);
            // Whoever replaced or removed them did so before the file went.
            if !found.is_empty() && inspect(database, |c| is_same(c, stored))? {
                checked.problems.extend(found);
            }
        }
    }
}

/// Whether the row still says the same.
fn is_same(c: &rusqlite::Connection, stored: &Stored) -> Result<bool> {
    Ok(artifacts::stored_of_build(c, stored.id, &stored.kind)?.is_some_and(|now| now.file.path == stored.file.path))
}

/// What is wrong with the files of this row.
fn faults(data: &Path, stored: &Stored) -> Vec<Problem> {
    let file = &stored.file;
    let read = |name, expected| read_through(&mut open_file(data, name)?, expected, &mut io::sink());
    let archive = read(&file.path, Some((file.size, file.sha256)));
    let metadata = stored.metadata_path.iter().map(|name| (name, read(name, None)));
    let results = [(&file.path, archive)].into_iter().chain(metadata);
    results.filter_map(|(name, result)| Some(result.err()?.problem(stored.id, name))).collect()
}

/// Why a file could not be read as it was stored.
pub enum Fault {
    /// It is not there.
    Missing,
    /// It is not what the row says; the words say how.
    Damaged(String),
    /// What it was being copied to fails.
    Target(io::Error),
}

impl Fault {
    /// The problem that this is, of a build's file of this name.
    pub fn problem(&self, id: BuildId, name: &str) -> Problem {
        let place = format!("the artifacts of build {id}: {:?}", format!("artifacts/{name}"));
        match self {
            Fault::Missing => Problem::new("artifacts_missing", format!("{place} is missing"), AGAIN),
            Fault::Damaged(how) => Problem::new("artifacts_damaged", format!("{place} is damaged: {how}"), AGAIN),
            Fault::Target(error) => Problem::new(
                "artifacts_damaged",
                format!("{place} cannot be copied: {error}"),
                "make room and try again",
            ),
        }
    }
}

/// Opens a file below `artifacts/`.
///
/// # Errors
/// What is wrong with it.
pub fn open_file(data: &Path, name: &str) -> std::result::Result<File, Fault> {
    if !is_ours(name) {
        return Err(Fault::Damaged("it has a name that Baton does not give".to_owned()));
    }
    let path = data.join("artifacts").join(name);
    match fs::symlink_metadata(&path) {
        Ok(found) if found.is_file() => File::open(path).map_err(|error| unreadable(&error)),
        Ok(_) => Err(Fault::Damaged("it is not a file".to_owned())),
        Err(error) => Err(unreadable(&error)),
    }
}

/// Reads a file to its end, copies it to `to`, and compares it with the size and the SHA-256 of the upload, if
/// they are known.
///
/// # Errors
/// What is wrong with it.
pub fn read_through(
    file: &mut File,
    expected: Option<(u64, [u8; 32])>,
    to: &mut dyn Write,
) -> std::result::Result<(), Fault> {
    let mut hash = Sha256::new();
    let mut size = 0;
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        let count = match file.read(&mut piece) {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(unreadable(&error)),
        };
        let bytes = piece.get(..count).unwrap_or_default();
        if bytes.is_empty() {
            break;
        }
        hash.update(bytes);
        size += bytes.len() as u64;
        to.write_all(bytes).map_err(Fault::Target)?;
    }
    match expected {
        Some((expected, _)) if expected != size => {
            let (is, was) = (format_size(size), format_size(expected));
            Err(Fault::Damaged(format!("it has {size} bytes ({is}), the upload had {expected} ({was})")))
        }
        Some((_, sha256)) if sha256 != <[u8; 32]>::from(hash.finalize()) => {
            Err(Fault::Damaged("its checksum is not that of the upload".to_owned()))
        }
        _ => Ok(()),
    }
}

fn unreadable(error: &io::Error) -> Fault {
    if error.kind() == io::ErrorKind::NotFound {
        return Fault::Missing;
    }
    Fault::Damaged(format!("it cannot be read: {error}"))
}

/// Finds the files below `artifacts/` that no row names.
fn orphans(data: &Path, database: &Path, problems: &mut Vec<Problem>) -> Result<()> {
    let dir = data.join("artifacts");
    // Before the files are listed: what comes after that is newer than the list.
    let mut is_served = in_use(database);
    let listed = match list(&dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        listed => listed?,
    };
    let named = inspect(database, artifacts::all_files)?;
    is_served |= in_use(database);
    let (ours, strange): (Vec<_>, Vec<_>) =
        listed.into_iter().filter(|name| !named.contains(name)).partition(|name| is_ours(name));
    for name in strange {
        let what = format!("{:?} is not Baton's", format!("artifacts/{name}"));
        problems.push(Problem::new("orphan", what, "move it elsewhere; no backup has it"));
    }
    let mut left: Vec<String> = ours.into_iter().filter(|name| !(is_served && name.starts_with(INCOMING))).collect();
    let patience = if is_served { patience(&dir, &left) } else { Duration::ZERO };
    still_orphans(&dir, database, &mut left, patience)?;
    left.sort();
    for name in left {
        let what = format!("{:?} is named by no build", format!("artifacts/{name}"));
        problems.push(Problem::new("orphan", what, "nothing is lost; the next start of `baton serve` removes it"));
    }
    Ok(())
}

/// Names in a folder. One that is not UTF-8 is shown as well as it can be.
fn list(dir: &Path) -> io::Result<Vec<String>> {
    let names = fs::read_dir(dir)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    let names: io::Result<Vec<String>> = names.collect();
    // What a file system of its own has.
    names.map(|names| names.into_iter().filter(|name| name != "lost+found").collect())
}

/// For how long a server may still be about to name or to remove one of these files.
fn patience(dir: &Path, files: &[String]) -> Duration {
    let age = |name: &String| {
        let changed = changed_at(&dir.join(name)).unwrap_or(SystemTime::UNIX_EPOCH);
        changed.elapsed().unwrap_or(Duration::ZERO)
    };
    let youngest = files.iter().map(age).min().unwrap_or(SETTLING_TIME_MAX);
    SETTLING_TIME_MAX.saturating_sub(youngest).max(REMOVAL_TIME)
}

/// Keeps the files that, at the end of `patience`, are there and have no row.
fn still_orphans(dir: &Path, database: &Path, files: &mut Vec<String>, patience: Duration) -> Result<()> {
    let mut left = patience;
    loop {
        files.retain(|name| dir.join(name).exists());
        if files.is_empty() {
            return Ok(());
        }
        let named = inspect(database, |c| {
            let named = files.iter().filter_map(|name| match artifacts::is_named(c, name) {
                Ok(is_named) => is_named.then(|| Ok(name.clone())),
                Err(error) => Some(Err(error)),
            });
            named.collect::<Result<HashSet<String>>>()
        })?;
        files.retain(|name| !named.contains(name));
        if left.is_zero() {
            return Ok(());
        }
        thread::sleep(POLL);
        left = left.saturating_sub(POLL);
    }
}

/// When a file was last written or renamed.
fn changed_at(path: &Path) -> io::Result<SystemTime> {
    use std::os::unix::fs::MetadataExt;
    let seconds = fs::metadata(path)?.ctime();
    Ok(SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).unwrap_or(0)))
}
