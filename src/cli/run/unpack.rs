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
use crate::unzip::{Archive, Entry, Fault, Kind, Part, set};
use nix::fcntl::OFlag;
use nix::sys::statvfs::statvfs;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

/// Most bytes of all files.
const BYTES_MAX: u64 = 16 << 30;

/// Most files and folders.
const ENTRIES_MAX: usize = 200_000;

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

/// The folders that are made, and what becomes of them.
#[derive(Default)]
struct Folders {
    /// Permissions and times that the archive says, the folder itself not among them.
    said: HashMap<PathBuf, (Option<u32>, Option<SystemTime>)>,
    /// Those that were not there before.
    made: HashSet<PathBuf>,
}

/// Unpacks `archive` into the folder `dir`, which is made if there is none, over what is there. Names that begin with
/// `below` are without it. Goes on until `stop` is set.
///
/// # Errors
/// Before anything was written: for what is no archive, could do harm, or has no room. Afterwards: damage, the file
/// system's.
pub fn unpack(archive: File, dir: &Path, below: &Path, stop: &AtomicBool) -> Done<Unpacked> {
    let wrong = |fault| stopped_by(fault, dir);
    let mut archive = Archive::open(archive).map_err(wrong)?;
    let mut entries = archive.entries(ENTRIES_MAX, BYTES_MAX).map_err(wrong)?;
    for entry in &mut entries {
        if let Ok(path) = entry.path.strip_prefix(below) {
            entry.path = path.to_owned();
        }
    }
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
                let place = dir.join(&entry.path);
                let mut goes_on = |bytes| {
                    progress.add(bytes);
                    !stop.load(Ordering::Relaxed)
                };
                let part = archive.write(&entry, &place, None, &mut goes_on);
                part.and_then(|part| part.put().map_err(Fault::Unwritable))
                    .map_err(|fault| stopped_by(fault, &place))?;
                unpacked.files.push(entry.path);
            }
            Kind::Link => {
                links.push((archive.target(&entry).map_err(wrong)?, entry));
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
            let place = dir.join(&entry.path);
            Part::link(&target, &place, entry.time).and_then(Part::put).map_err(|error| failed(&place, &error))?;
            unpacked.files.push(entry.path);
        }
    }
    folders.finish(dir)?;
    Ok(unpacked)
}

fn parent(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new(""))
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

fn stopped_by(fault: Fault, place: &Path) -> Stop {
    match fault {
        Fault::Refused(why) => refused(&why),
        Fault::Damaged(why) => refused(&format!("the archive cannot be read: {why}")),
        Fault::Unwritable(error) => failed(place, &error),
        Fault::Unwanted => Stop::Failed("stopped by a signal; not all of the artifacts are unpacked".to_owned()),
    }
}

fn failed(path: &Path, error: &io::Error) -> Stop {
    Stop::Failed(format!("cannot write {}: {error}", path.display()))
}

#[cfg(test)]
mod tests;
