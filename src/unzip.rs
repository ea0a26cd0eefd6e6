//! Zip archives that somebody may have made to do harm, as artifacts and caches are: what is in one, and how a file of it
//! is written.
//!
//! What must stay true: a name that leads out of the folder, more files or bytes than are asked for are refused before
//! anything is written, and a file that is larger than it says while it is. Permissions come without setuid and its like.
//! What is written gets its name when it is whole. Where that may be, and where a link may lead, is the caller's to say.
//! `directory`: what is in an archive for those who only look, and one file of it.

pub mod directory;

use crate::domain::text::size::format_size;
use crate::domain::token::{hex, random};
use nix::sys::stat::{UtimensatFlags, utimensat};
use nix::sys::time::TimeSpec;
use std::ffi::OsStr;
use std::fmt::Display;
use std::fs::{self, File, FileTimes, OpenOptions, Permissions};
use std::io::{self, BufReader, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use zip::extra_fields::ExtraField;
use zip::{DateTime, ZipArchive};

/// Longest target of a link.
const TARGET_BYTES_MAX: u64 = 4096;

/// Bytes that are copied at a time.
const PIECE_BYTES: usize = 256 << 10;

/// Why something of an archive was not unpacked.
#[derive(Debug)]
pub enum Fault {
    /// It could do harm, or is too much.
    Refused(String),
    /// It cannot be read.
    Damaged(String),
    /// The file system does not take it.
    Unwritable(io::Error),
    /// Nobody wants it any more.
    Unwanted,
}

/// What an entry is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A file.
    File,
    /// A folder; the one of an empty path is that which is unpacked into.
    Folder,
    /// A symbolic link.
    Link,
}

/// One entry, whose name leads nowhere but down.
pub struct Entry {
    /// Its place in the archive.
    index: usize,
    /// Where it belongs below the folder.
    pub path: PathBuf,
    /// Bytes; 0 but for files.
    pub size: u64,
    /// What it is.
    pub kind: Kind,
    /// Permissions, if the archive says them.
    pub mode: Option<u32>,
    /// When it was changed last, if the archive says that.
    pub time: Option<SystemTime>,
}

/// An archive that is open.
pub struct Archive(ZipArchive<BufReader<File>>);

impl Archive {
    /// Opens one.
    ///
    /// # Errors
    /// [`Fault::Damaged`] if it is none.
    pub fn open(file: File) -> Result<Archive, Fault> {
        Ok(Archive(ZipArchive::new(BufReader::with_capacity(PIECE_BYTES, file)).map_err(damaged)?))
    }

    /// All that is in it.
    ///
    /// # Errors
    /// [`Fault::Refused`] for a name that leads out of the folder, and for more entries or bytes of files than that.
    pub fn entries(&mut self, entries_max: usize, bytes_max: u64) -> Result<Vec<Entry>, Fault> {
        let count = self.0.len();
        if count > entries_max {
            return Err(Fault::Refused(format!("it has {count} files, at most {entries_max} are unpacked")));
        }
        let mut entries = Vec::with_capacity(count);
        let mut left = bytes_max;
        for index in 0..count {
            let entry = self.0.by_index_raw(index).map_err(damaged)?;
            let name = Path::new(OsStr::from_bytes(entry.name_raw()));
            let is_inside = name.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
            if !is_inside || entry.name_raw().contains(&0) {
                return Err(Fault::Refused(format!("{name:?} would lie outside of the folder")));
            }
            let path: PathBuf = name.components().filter(|part| matches!(part, Component::Normal(_))).collect();
            let kind = match (entry.is_symlink(), entry.is_dir() || path.as_os_str().is_empty()) {
                (true, _) => Kind::Link,
                (false, true) => Kind::Folder,
                (false, false) => Kind::File,
            };
            let size = if kind == Kind::File { entry.size() } else { 0 };
            left = left.checked_sub(size).ok_or_else(|| {
                let most = format_size(bytes_max);
                Fault::Refused(format!("its files are larger than {most}, which are unpacked at most"))
            })?;
            let said = entry.extra_data_fields().find_map(|field| {
                if let ExtraField::ExtendedTimestamp(times) = field { times.mod_time() } else { None }
            });
            let seconds = said.map(|seconds| UNIX_EPOCH + Duration::from_secs(u64::from(seconds)));
            let time = seconds.or_else(|| entry.last_modified().and_then(as_utc));
            entries.push(Entry { index, path, size, kind, mode: entry.unix_mode().map(|mode| mode & 0o777), time });
        }
        Ok(entries)
    }

    /// Where a link leads; never to more than the longest path.
    ///
    /// # Errors
    /// [`Fault::Damaged`].
    pub fn target(&mut self, link: &Entry) -> Result<PathBuf, Fault> {
        let mut target = Vec::new();
        let from = self.0.by_index(link.index).map_err(damaged)?;
        from.take(TARGET_BYTES_MAX).read_to_end(&mut target).map_err(damaged)?;
        Ok(PathBuf::from(OsStr::from_bytes(&target)))
    }

    /// Writes a file beside `place`. If the archive says no permissions, they are `mode`, or else as those of new files
    /// are here. `goes_on` hears of the bytes as they are written, and says whether the file is still wanted.
    ///
    /// # Errors
    /// Each [`Fault`].
    pub fn write<'a>(
        &mut self,
        file: &Entry,
        place: &'a Path,
        mode: Option<u32>,
        goes_on: &mut dyn FnMut(u64) -> bool,
    ) -> Result<Part<'a>, Fault> {
        let mut from = self.0.by_index(file.index).map_err(damaged)?;
        let part = Part::beside(place).map_err(Fault::Unwritable)?;
        let mode = file.mode.or(mode);
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(mode.unwrap_or(0o666));
        let mut to = options.open(&part.path).map_err(Fault::Unwritable)?;
        copy(&mut from, file, &mut to, goes_on)?;
        set(&to, mode, file.time).map_err(Fault::Unwritable)?;
        Ok(part)
    }
}

fn damaged(error: impl Display) -> Fault {
    Fault::Damaged(error.to_string())
}

/// The time that archives have when they do not say a time zone: runners write UTC.
fn as_utc(time: DateTime) -> Option<SystemTime> {
    let (year, month, day) = (time.year(), time.month(), time.day());
    let (hour, minute, second) = (time.hour(), time.minute(), time.second());
    humantime::parse_rfc3339(&format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")).ok()
}

fn copy(from: &mut dyn Read, file: &Entry, to: &mut File, goes_on: &mut dyn FnMut(u64) -> bool) -> Result<(), Fault> {
    let mut piece = vec![0; PIECE_BYTES];
    let (mut left, mut written) = (file.size, 0);
    loop {
        if !goes_on(written) {
            return Err(Fault::Unwanted);
        }
        // Its end is looked for, too: then the checksum is compared.
        let count = match from.read(&mut piece) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => 0,
            Ok(0) => return Ok(()),
            read => read.map_err(|error| damaged(format!("{}: {error}", file.path.display())))?,
        };
        written = count as u64;
        left = left
            .checked_sub(written)
            .ok_or_else(|| Fault::Refused(format!("{} is larger than it says", file.path.display())))?;
        to.write_all(piece.get(..count).unwrap_or_default()).map_err(Fault::Unwritable)?;
    }
}

/// What was written, and has not got its name yet. Dropped, it goes.
pub struct Part<'a> {
    path: PathBuf,
    place: &'a Path,
    is_put: bool,
}

impl<'a> Part<'a> {
    /// A name beside `place` that nothing has.
    fn beside(place: &'a Path) -> io::Result<Part<'a>> {
        let name = random::<8>().map_err(|error| io::Error::other(error.to_string()))?;
        let path = place.with_file_name(format!(".{}.part", hex(&name)));
        Ok(Part { path, place, is_put: false })
    }

    /// Makes a link to `target`.
    pub fn link(target: &Path, place: &'a Path, time: Option<SystemTime>) -> io::Result<Part<'a>> {
        let part = Part::beside(place)?;
        symlink(target, &part.path)?;
        if let Some(time) = time.and_then(|time| time.duration_since(UNIX_EPOCH).ok()) {
            let time = TimeSpec::from(time);
            // Not every file system has times of links.
            let _ = utimensat(None, &part.path, &time, &time, UtimensatFlags::NoFollowSymlink);
        }
        Ok(part)
    }

    /// Gives it its name, in the place of what has it.
    pub fn put(mut self) -> io::Result<()> {
        fs::rename(&self.path, self.place)?;
        self.is_put = true;
        Ok(())
    }
}

impl Drop for Part<'_> {
    fn drop(&mut self) {
        if !self.is_put {
            // It may not be there at all.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Sets permissions and time, where they are said.
pub fn set(file: &File, mode: Option<u32>, time: Option<SystemTime>) -> io::Result<()> {
    if let Some(time) = time {
        match file.set_times(FileTimes::new().set_modified(time)) {
            // Somebody else's folder.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied && mode.is_none() => {}
            result => result?,
        }
    }
    mode.map_or(Ok(()), |mode| file.set_permissions(Permissions::from_mode(mode)))
}
