//! Unpacks artifacts: a zip archive that a build has made, and that may be made to do harm.
//!
//! What must stay true: nothing outside the folder is made, changed or followed to. Whatever lies in the way of a file
//! is replaced, be it a link, but a link in the place of a folder is not gone through. Links are made last, so that none
//! of the archive is gone through either, and only those that lead to within. What git or a shell would read or run by
//! itself is left as it is, see [`super::guard`]. What is unpacked has the size that the archive says beforehand, and
//! there is room for it. Times and permissions are those of the archive, without setuid and its like; folders get theirs
//! last, and of folders that were there before the permissions stay.

use super::guard::Guard;
use crate::cli::show::progress::Progress;
use crate::cli::{Done, Stop};
use crate::domain::text::size::format_size;
use crate::domain::token::{hex, random};
use nix::fcntl::OFlag;
use nix::sys::stat::{UtimensatFlags, utimensat};
use nix::sys::statvfs::statvfs;
use nix::sys::time::TimeSpec;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::fmt::Display;
use std::fs::{self, DirBuilder, File, FileTimes, OpenOptions, Permissions};
use std::io::{self, BufReader, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use zip::extra_fields::ExtraField;
use zip::{DateTime, ZipArchive};

/// Most bytes of all files.
const BYTES_MAX: u64 = 16 << 30;

/// Most files and folders.
const ENTRIES_MAX: usize = 200_000;

/// Longest target of a link.
const TARGET_BYTES_MAX: u64 = 4096;

/// Bytes that are copied at a time.
const PIECE_BYTES: usize = 256 << 10;

/// What was unpacked.
#[derive(Debug, Default)]
pub struct Unpacked {
    /// Files and links, as they are named below the folder.
    pub files: Vec<PathBuf>,
    /// Bytes of all files.
    pub bytes: u64,
    /// Links that lead elsewhere, which were not made.
    pub left_out: Vec<PathBuf>,
    /// What git or a shell would read or run by itself, which was left as it was.
    pub kept: BTreeSet<PathBuf>,
}

/// One entry of an archive, of which the name is known to be harmless.
struct Entry {
    /// Its place in the archive.
    index: usize,
    path: PathBuf,
    size: u64,
    kind: Kind,
    /// Permissions, if the archive says them.
    mode: Option<u32>,
    time: Option<SystemTime>,
}

/// The folders that are made, and what becomes of them.
#[derive(Default)]
struct Folders {
    /// Permissions and times that the archive says, the folder itself not among them.
    said: HashMap<PathBuf, (Option<u32>, Option<SystemTime>)>,
    /// Those that were not there before.
    made: HashSet<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    File,
    Folder,
    Link,
}

/// Unpacks `archive` into the folder `dir`, which is made if there is none, over what is there. Names that begin with
/// `below` are without it. Goes on until `stop` is set.
///
/// # Errors
/// Before anything was written: for what is no archive, could do harm, or has no room. Afterwards: damage, the file
/// system's.
pub fn unpack(archive: File, dir: &Path, below: &Path, stop: &AtomicBool) -> Done<Unpacked> {
    let mut archive = ZipArchive::new(BufReader::with_capacity(PIECE_BYTES, archive)).map_err(damaged)?;
    let mut entries = entries(&mut archive, below)?;
    let mut guard = Guard::new(dir, entries.iter().map(|entry| entry.path.as_path()))?;
    let mut unpacked = Unpacked::default();
    entries.retain(|entry| match guard.kept(&entry.path, entry.kind == Kind::Folder) {
        Some(kept) => {
            unpacked.kept.insert(kept);
            false
        }
        None => true,
    });
    unpacked.bytes = entries.iter().fold(0_u64, |sum, entry| sum.saturating_add(entry.size));
    fs::create_dir_all(dir).map_err(|error| failed(dir, &error))?;
    check_room(dir, unpacked.bytes)?;
    let mut progress = Progress::new("unpacking", unpacked.bytes);
    let mut folders = Folders::of(&entries);
    let mut links = Vec::new();
    for entry in entries {
        match entry.kind {
            Kind::Folder => folders.make(dir, &entry.path)?,
            Kind::File => {
                folders.make(dir, parent(&entry.path))?;
                let mut from = archive.by_index(entry.index).map_err(damaged)?;
                write_file(&mut from, &entry, &dir.join(&entry.path), stop, &mut progress)?;
                unpacked.files.push(entry.path);
            }
            Kind::Link => {
                let mut target = Vec::new();
                let from = archive.by_index(entry.index).map_err(damaged)?;
                from.take(TARGET_BYTES_MAX).read_to_end(&mut target).map_err(damaged)?;
                links.push((PathBuf::from(OsStr::from_bytes(&target)), entry));
            }
        }
    }
    for (target, entry) in links {
        if !leads_inside(&target, &entry.path) {
            unpacked.left_out.push(entry.path);
        } else if guard.leads_to_kept(&target, &entry.path) {
            unpacked.kept.insert(entry.path);
        } else {
            folders.make(dir, parent(&entry.path))?;
            make_link(&target, &dir.join(&entry.path), entry.time)?;
            unpacked.files.push(entry.path);
        }
    }
    folders.finish(dir)?;
    Ok(unpacked)
}

fn parent(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new(""))
}

/// What is in the archive, all of it harmless.
fn entries(archive: &mut ZipArchive<BufReader<File>>, below: &Path) -> Done<Vec<Entry>> {
    if archive.len() > ENTRIES_MAX {
        return Err(refused(&format!("it has {} files, at most {ENTRIES_MAX} are unpacked", archive.len())));
    }
    let mut entries = Vec::with_capacity(archive.len());
    let mut left = BYTES_MAX;
    for index in 0..archive.len() {
        let entry = archive.by_index_raw(index).map_err(damaged)?;
        let name = Path::new(OsStr::from_bytes(entry.name_raw()));
        let is_inside = name.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
        if !is_inside || entry.name_raw().contains(&0) {
            return Err(refused(&format!("{name:?} would lie outside of the folder")));
        }
        let path: PathBuf = name.components().filter(|part| matches!(part, Component::Normal(_))).collect();
        let kind = match (entry.is_symlink(), entry.is_dir() || path.as_os_str().is_empty()) {
            (true, _) => Kind::Link,
            (false, true) => Kind::Folder,
            (false, false) => Kind::File,
        };
        let size = if kind == Kind::File { entry.size() } else { 0 };
        left = left.checked_sub(size).ok_or_else(|| {
            refused(&format!("its files are larger than {}, which are unpacked at most", format_size(BYTES_MAX)))
        })?;
        let said = entry
            .extra_data_fields()
            .find_map(|field| if let ExtraField::ExtendedTimestamp(times) = field { times.mod_time() } else { None });
        let seconds = said.map(|seconds| UNIX_EPOCH + Duration::from_secs(u64::from(seconds)));
        let time = seconds.or_else(|| entry.last_modified().and_then(as_utc));
        let path = path.strip_prefix(below).map(Path::to_owned).unwrap_or(path);
        entries.push(Entry { index, path, size, kind, mode: entry.unix_mode().map(|mode| mode & 0o777), time });
    }
    Ok(entries)
}

/// The time that archives have when they do not say a time zone: runners write UTC.
fn as_utc(time: DateTime) -> Option<SystemTime> {
    let (year, month, day) = (time.year(), time.month(), time.day());
    let (hour, minute, second) = (time.hour(), time.minute(), time.second());
    humantime::parse_rfc3339(&format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")).ok()
}

fn check_room(dir: &Path, bytes: u64) -> Done {
    let stat = statvfs(dir).map_err(|errno| failed(dir, &io::Error::from(errno)))?;
    let free = stat.blocks_available().saturating_mul(stat.fragment_size());
    if bytes <= free {
        return Ok(());
    }
    Err(refused(&format!(
        "{} are to go to {}, where {} are free",
        format_size(bytes),
        dir.display(),
        format_size(free)
    )))
}

impl Folders {
    fn of(entries: &[Entry]) -> Folders {
        let folders = entries.iter().filter(|entry| entry.kind == Kind::Folder && !entry.path.as_os_str().is_empty());
        let said = folders.map(|entry| (entry.path.clone(), (entry.mode, entry.time))).collect();
        Folders { said, made: HashSet::new() }
    }

    /// Makes the folders from `dir` down to `path`, and goes through no link.
    fn make(&mut self, dir: &Path, path: &Path) -> Done {
        let mut below = PathBuf::new();
        for part in path.components() {
            below.push(part);
            let place = dir.join(&below);
            match fs::symlink_metadata(&place) {
                Ok(found) if found.is_dir() => {}
                Ok(_) => return Err(failed(&place, &io::Error::from(io::ErrorKind::NotADirectory))),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    // As long as there is something to put into it, it can be written.
                    let mode = self.said.get(&below).and_then(|&(mode, _)| mode).map_or(0o777, |mode| mode | 0o700);
                    DirBuilder::new().mode(mode).create(&place).map_err(|error| failed(&place, &error))?;
                    self.made.insert(below.clone());
                }
                Err(error) => return Err(failed(&place, &error)),
            }
        }
        Ok(())
    }

    /// Gives them their times, and those that are new their permissions: the deepest first, since a folder that may not
    /// be entered hides those below.
    fn finish(self, dir: &Path) -> Done {
        let mut said: Vec<_> = self.said.into_iter().collect();
        said.sort_by_key(|(path, _)| std::cmp::Reverse(path.components().count()));
        for (path, (mode, time)) in said {
            let place = dir.join(&path);
            let flags = (OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW).bits();
            match OpenOptions::new().read(true).custom_flags(flags).open(&place) {
                Ok(folder) => {
                    set(&folder, mode.filter(|_| self.made.contains(&path)), time)
                        .map_err(|error| failed(&place, &error))?;
                }
                // One that was there, and that its owner does not let himself read.
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
                Err(error) => return Err(failed(&place, &error)),
            }
        }
        Ok(())
    }
}

/// Sets permissions and time, where they are said.
fn set(file: &File, mode: Option<u32>, time: Option<SystemTime>) -> io::Result<()> {
    if let Some(time) = time {
        match file.set_times(FileTimes::new().set_modified(time)) {
            // Somebody else's folder.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied && mode.is_none() => {}
            result => result?,
        }
    }
    mode.map_or(Ok(()), |mode| file.set_permissions(Permissions::from_mode(mode)))
}

fn make_link(target: &Path, place: &Path, time: Option<SystemTime>) -> Done {
    let part = part(place)?;
    symlink(target, &part).map_err(|error| failed(place, &error))?;
    if let Some(time) = time.and_then(|time| time.duration_since(UNIX_EPOCH).ok()) {
        let time = TimeSpec::from(time);
        // Not every file system has times of links.
        let _ = utimensat(None, &part, &time, &time, UtimensatFlags::NoFollowSymlink);
    }
    put(&part, place).map_err(|error| failed(place, &error))
}

/// Writes a file under another name and gives it its own when it is whole.
fn write_file(from: &mut dyn Read, entry: &Entry, place: &Path, stop: &AtomicBool, progress: &mut Progress) -> Done {
    let part = part(place)?;
    let mut write = || {
        let mode = entry.mode.unwrap_or(0o666);
        let mut to = OpenOptions::new().write(true).create_new(true).mode(mode).open(&part);
        let to = to.as_mut().map_err(|error| failed(place, error))?;
        copy(from, entry.size, to, place, stop, progress)?;
        set(to, entry.mode, entry.time).map_err(|error| failed(place, &error))?;
        put(&part, place).map_err(|error| failed(place, &error))
    };
    let result = write();
    if result.is_err() {
        // It may not be there at all.
        let _ = fs::remove_file(&part);
    }
    result
}

fn copy(
    from: &mut dyn Read,
    size: u64,
    to: &mut File,
    place: &Path,
    stop: &AtomicBool,
    progress: &mut Progress,
) -> Done {
    let mut piece = vec![0; PIECE_BYTES];
    let mut left = size;
    loop {
        if stop.load(Ordering::Relaxed) {
            return Err(Stop::Failed("stopped by a signal; not all of the artifacts are unpacked".to_owned()));
        }
        // Its end is looked for, too: then the checksum is compared.
        let count = match from.read(&mut piece) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            read => read.map_err(|error| damaged(format!("{}: {error}", place.display())))?,
        };
        let bytes = piece.get(..count).unwrap_or_default();
        left = left
            .checked_sub(count as u64)
            .ok_or_else(|| refused(&format!("{} is larger than it says", place.display())))?;
        if bytes.is_empty() {
            return Ok(());
        }
        to.write_all(bytes).map_err(|error| failed(place, &error))?;
        progress.add(count as u64);
    }
}

/// A name beside `place` that nothing has.
fn part(place: &Path) -> Done<PathBuf> {
    let mut name = OsString::from(".");
    name.push(hex(&random::<8>().map_err(crate::error::Error::from)?));
    name.push(".part");
    Ok(place.with_file_name(name))
}

/// Gives what is whole its name, in the place of what has it.
fn put(part: &Path, place: &Path) -> io::Result<()> {
    fs::rename(part, place).inspect_err(|_| {
        // It is of no use.
        let _ = fs::remove_file(part);
    })
}

/// Whether a link at `path` to `target` stays within the folder: up no further than its top, and then down only, since
/// what is up from a link's target is not known here.
fn leads_inside(target: &Path, path: &Path) -> bool {
    let mut up = path.components().count().saturating_sub(1);
    let mut is_going_down = false;
    for part in target.components() {
        match part {
            Component::ParentDir if is_going_down || up == 0 => return false,
            Component::ParentDir => up -= 1,
            Component::Normal(_) => is_going_down = true,
            Component::CurDir => {}
            Component::RootDir | Component::Prefix(_) => return false,
        }
    }
    !target.as_os_str().is_empty()
}

fn refused(why: &str) -> Stop {
    Stop::Failed(format!("the artifacts are not unpacked: {why}; `baton build artifacts` saves them as they are"))
}

fn damaged(error: impl Display) -> Stop {
    refused(&format!("the archive cannot be read: {error}"))
}

fn failed(path: &Path, error: &io::Error) -> Stop {
    Stop::Failed(format!("cannot write {}: {error}", path.display()))
}

#[cfg(test)]
mod tests;
