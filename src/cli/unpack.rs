//! Unpacks artifacts: a zip archive that a build has made, and that may be made to do harm.
//!
//! What must stay true: nothing outside the folder is made, changed or followed to. Whatever lies in the way of a file
//! is replaced, be it a link, but a link in the place of a folder is not gone through. Links are made last, so that none
//! of the archive is gone through either, and only those that lead to within. What is unpacked has the size that the
//! archive says beforehand, and there is room for it.

use super::progress::Progress;
use super::{Done, Stop};
use crate::domain::size::format_size;
use crate::domain::token::{hex, random};
use nix::sys::statvfs::statvfs;
use std::ffi::{OsStr, OsString};
use std::fmt::Display;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{OpenOptionsExt, symlink};
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use zip::ZipArchive;

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
}

/// One entry of an archive, of which the name is known to be harmless.
struct Entry {
    path: PathBuf,
    size: u64,
    kind: Kind,
    /// Permissions.
    mode: u32,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    File,
    Folder,
    Link,
}

/// Unpacks `archive` into the folder `dir`, which is made if there is none, over what is there. Goes on until `stop` is
/// set.
///
/// # Errors
/// Before anything was written: for what is no archive, could do harm, or has no room. Afterwards: damage, the file
/// system's.
pub fn unpack(archive: File, dir: &Path, stop: &AtomicBool) -> Done<Unpacked> {
    let mut archive = ZipArchive::new(BufReader::with_capacity(PIECE_BYTES, archive)).map_err(damaged)?;
    let entries = entries(&mut archive)?;
    let bytes = entries.iter().fold(0_u64, |sum, entry| sum.saturating_add(entry.size));
    fs::create_dir_all(dir).map_err(|error| failed(dir, &error))?;
    check_room(dir, bytes)?;
    let mut progress = Progress::new("unpacking", bytes);
    let mut unpacked = Unpacked { bytes, ..Unpacked::default() };
    let mut links = Vec::new();
    for (index, entry) in entries.into_iter().enumerate() {
        let parent = entry.path.parent().unwrap_or(Path::new(""));
        match entry.kind {
            Kind::Folder => make_folders(dir, &entry.path)?,
            Kind::File => {
                make_folders(dir, parent)?;
                let mut from = archive.by_index(index).map_err(damaged)?;
                write_file(&mut from, &entry, &dir.join(&entry.path), stop, &mut progress)?;
                unpacked.files.push(entry.path);
            }
            Kind::Link => {
                let mut target = Vec::new();
                let from = archive.by_index(index).map_err(damaged)?;
                from.take(TARGET_BYTES_MAX).read_to_end(&mut target).map_err(damaged)?;
                links.push((PathBuf::from(OsStr::from_bytes(&target)), entry.path));
            }
        }
    }
    for (target, path) in links {
        if leads_inside(&target, &path) {
            make_folders(dir, path.parent().unwrap_or(Path::new("")))?;
            let place = dir.join(&path);
            let part = part(&place)?;
            symlink(&target, &part).and_then(|()| put(&part, &place)).map_err(|error| failed(&place, &error))?;
            unpacked.files.push(path);
        } else {
            unpacked.left_out.push(path);
        }
    }
    Ok(unpacked)
}

/// What is in the archive, all of it harmless.
fn entries(archive: &mut ZipArchive<BufReader<File>>) -> Done<Vec<Entry>> {
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
        entries.push(Entry { path, size, kind, mode: entry.unix_mode().unwrap_or(0o644) & 0o777 });
    }
    Ok(entries)
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

/// Makes the folders from `dir` down to `path`, and goes through no link.
fn make_folders(dir: &Path, path: &Path) -> Done {
    let mut place = dir.to_owned();
    for part in path.components() {
        place.push(part);
        match fs::symlink_metadata(&place) {
            Ok(found) if found.is_dir() => {}
            Ok(_) => return Err(failed(&place, &io::Error::from(io::ErrorKind::NotADirectory))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                fs::create_dir(&place).map_err(|error| failed(&place, &error))?;
            }
            Err(error) => return Err(failed(&place, &error)),
        }
    }
    Ok(())
}

/// Writes a file under another name and gives it its own when it is whole.
fn write_file(from: &mut dyn Read, entry: &Entry, place: &Path, stop: &AtomicBool, progress: &mut Progress) -> Done {
    let part = part(place)?;
    let mut write = || {
        let mut to = OpenOptions::new().write(true).create_new(true).mode(entry.mode).open(&part);
        let to = to.as_mut().map_err(|error| failed(place, error))?;
        copy(from, entry.size, to, place, stop, progress)?;
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
            read => read.map_err(damaged)?,
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
mod tests {
    use super::*;
    use std::io::{Cursor, Seek};
    use std::os::unix::fs::PermissionsExt;
    use zip::ZipWriter;
    use zip::write::SimpleFileOptions;

    type Archive = ZipWriter<Cursor<Vec<u8>>>;

    fn archive(fill: impl FnOnce(&mut Archive)) -> Vec<u8> {
        let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
        fill(&mut archive);
        archive.finish().unwrap().into_inner()
    }

    fn add(archive: &mut Archive, name: &str, mode: u32, bytes: &[u8]) {
        archive.start_file(name, SimpleFileOptions::default().unix_permissions(mode)).unwrap();
        archive.write_all(bytes).unwrap();
    }

    fn unpacked(bytes: &[u8], dir: &Path) -> Done<Unpacked> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file.rewind().unwrap();
        unpack(file, dir, &AtomicBool::new(false))
    }

    fn refusal(bytes: &[u8], dir: &Path) -> String {
        match unpacked(bytes, dir) {
            Err(Stop::Failed(message)) => message,
            other => panic!("{other:?}"),
        }
    }

    /// All that is below a folder, folders with a slash.
    fn tree(dir: &Path) -> Vec<String> {
        let mut names = Vec::new();
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            if fs::symlink_metadata(&path).unwrap().is_dir() {
                names.extend(tree(&path).iter().map(|below| format!("{name}/{below}")));
                names.push(name + "/");
            } else {
                names.push(name);
            }
        }
        names.sort();
        names
    }

    #[test]
    fn files_come_back_as_they_were_over_what_is_there() {
        let dir = tempfile::tempdir().unwrap();
        let big = b"0123456789".repeat(100_000);
        let bytes = archive(|to| {
            to.add_directory("empty/", SimpleFileOptions::default()).unwrap();
            add(to, "bin/größe", 0o6755, &big);
            add(to, "./a", 0o600, b"new");
            to.add_symlink("bin/link", "../a", SimpleFileOptions::default()).unwrap();
        });
        fs::write(dir.path().join("a"), "what was there before").unwrap();
        let done = unpacked(&bytes, dir.path()).unwrap();
        assert_eq!((done.files.len(), done.bytes, done.left_out.len()), (3, big.len() as u64 + 3, 0));
        assert_eq!(tree(dir.path()), ["a", "bin/", "bin/größe", "bin/link", "empty/"]);
        assert_eq!(fs::read(dir.path().join("bin/größe")).unwrap(), big);
        assert_eq!(fs::read(dir.path().join("bin/link")).unwrap(), b"new");
        let mode = |name: &str| fs::metadata(dir.path().join(name)).unwrap().permissions().mode() & 0o7777;
        assert_eq!((mode("bin/größe") & 0o7700, mode("a")), (0o700, 0o600));
    }

    #[test]
    fn a_name_that_leads_out_has_all_refused_before_anything_is_written() {
        for name in ["../out", "/out", "a/../../out", "a/..", "a\0b"] {
            let dir = tempfile::tempdir().unwrap();
            let inside = dir.path().join("inside");
            let bytes = archive(|to| {
                add(to, "harmless", 0o644, b"x");
                add(to, name, 0o644, b"x");
            });
            let message = refusal(&bytes, &inside);
            assert!(message.contains("outside"), "{name}: {message}");
            assert_eq!(tree(dir.path()), Vec::<String>::new(), "{name}");
        }
    }

    #[test]
    fn no_link_is_gone_through_and_those_that_lead_out_are_not_made() {
        let dir = tempfile::tempdir().unwrap();
        let (inside, outside) = (dir.path().join("inside"), dir.path().join("outside"));
        fs::create_dir_all(&inside).unwrap();
        fs::create_dir(&outside).unwrap();
        // The archive's own link, then a file behind it.
        let bytes = archive(|to| {
            to.add_symlink("l", outside.to_str().unwrap(), SimpleFileOptions::default()).unwrap();
            to.add_symlink("m", "../outside", SimpleFileOptions::default()).unwrap();
            add(to, "l/a", 0o644, b"x");
        });
        let done = unpacked(&bytes, &inside).unwrap();
        assert_eq!(done.left_out, [Path::new("l"), Path::new("m")]);
        assert_eq!(tree(&inside), ["l/", "l/a"]);
        // Links that are there: one in the place of a folder, one in that of a file.
        symlink(&outside, inside.join("there")).unwrap();
        let message = refusal(&archive(|to| add(to, "there/a", 0o644, b"x")), &inside);
        assert!(message.contains("there"), "{message}");
        fs::write(outside.join("a"), "kept").unwrap();
        symlink(outside.join("a"), inside.join("file")).unwrap();
        unpacked(&archive(|to| add(to, "file", 0o644, b"new")), &inside).unwrap();
        assert_eq!(fs::read(inside.join("file")).unwrap(), b"new");
        assert_eq!(fs::read(outside.join("a")).unwrap(), b"kept");
        assert_eq!(tree(&outside), ["a"]);
    }

    #[test]
    fn links_may_go_up_to_the_top_and_then_only_down() {
        for (target, path, is_inside) in [
            ("b", "a", true),
            ("../b", "x/a", true),
            (".././b/c", "x/a", true),
            ("..", "x/y/a", true),
            ("..", "a", false),
            ("../../b", "x/a", false),
            ("b/../c", "x/a", false),
            ("/b", "a", false),
            ("", "a", false),
        ] {
            assert_eq!(leads_inside(Path::new(target), Path::new(path)), is_inside, "{path} -> {target}");
        }
    }

    #[test]
    fn what_is_too_large_damaged_or_no_archive_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        assert!(refusal(b"no archive", dir.path()).contains("cannot be read"));
        let mut bytes = archive(|to| add(to, "a", 0o644, &[7; 5000]));
        // The size that the directory at the end says, of 5000 bytes and of what is too much.
        let place = memchr::memmem::rfind(&bytes, &5000_u32.to_le_bytes()).unwrap();
        bytes[place..place + 4].copy_from_slice(&10_u32.to_le_bytes());
        let message = refusal(&bytes, dir.path());
        assert!(message.contains("larger than it says"), "{message}");
        assert_eq!(tree(dir.path()), Vec::<String>::new());
        let many = archive(|to| (0..5).for_each(|n| add(to, &n.to_string(), 0o644, b"01234567890")));
        let mut bytes = many.clone();
        let first = memchr::memmem::find(&many, b"PK\x01\x02").unwrap();
        for place in memchr::memmem::find_iter(&many, b"PK\x01\x02") {
            bytes[place + 24..place + 28].copy_from_slice(&(u32::MAX - 1).to_le_bytes());
        }
        assert!(refusal(&bytes, dir.path()).contains("16.0 GiB"), "{first}");
        // A checksum that is not that of the bytes.
        let mut bytes = many;
        bytes[first + 16] ^= 1;
        assert!(refusal(&bytes, dir.path()).contains("cannot be read"));
        assert_eq!(tree(dir.path()), Vec::<String>::new());
    }

    #[test]
    fn a_signal_stops_it_and_leaves_no_half_of_a_file() {
        let dir = tempfile::tempdir().unwrap();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&archive(|to| add(to, "a", 0o644, b"x"))).unwrap();
        assert!(unpack(file, dir.path(), &AtomicBool::new(true)).is_err());
        assert_eq!(tree(dir.path()), Vec::<String>::new());
    }
}
