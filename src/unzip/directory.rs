//! The directory of a zip archive, an entry at a time, and one file out of it.
//!
//! What must stay true: memory and reads do not grow with what an archive says of itself, and time grows with its entries
//! only as far as [`ENTRIES_MAX`]. (The zip crate keeps every entry in memory, and looks for a second directory through
//! the whole file.) A file comes with exactly the bytes and the checksum that the directory says, or breaks off.

use super::{Fault, damaged};
use crate::domain::text::size::format_size;
use crate::domain::time::Timestamp;
use flate2::bufread::DeflateDecoder;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

/// Most entries of a directory that is walked.
pub const ENTRIES_MAX: u64 = 500_000;

/// Bytes of a directory that is walked.
const DIRECTORY_BYTES_MAX: u64 = 128 << 20;

/// A file that unpacks to so many bytes may be any number of times as large as it is packed.
const ANY_RATIO_BYTES_MAX: u64 = 64 << 20;

/// How many times as large a larger one may be.
const RATIO_MAX: u64 = 250;

/// Bytes that are read at a time.
const BUFFER_BYTES: usize = 64 << 10;

const END_BYTES: usize = 22;
const LOCATOR_BYTES: u64 = 20;
const END_64_BYTES: usize = 56;
const ENTRY_BYTES: usize = 46;
const LOCAL_BYTES: usize = 30;

/// What the extra field of sizes beyond 4 GiB, and that of a time in UTC, begin with.
const ZIP64: u16 = 1;
const EXTENDED_TIME: u16 = 0x5455;

/// The directory of an open archive.
pub struct Directory {
    file: Arc<File>,
    from: BufReader<Stretch>,
    /// Entries that were not read yet.
    left: u64,
    /// Bytes before the archive, which its places do not count.
    base: u64,
}

/// What a directory says of an entry.
#[derive(Clone, Debug)]
pub struct DirectoryEntry {
    /// Its path, as it stands there.
    pub name: Vec<u8>,
    /// Bytes, unpacked.
    pub bytes: u64,
    /// When it was changed last.
    pub changed_at: Option<Timestamp>,
    packed_bytes: u64,
    crc32: u32,
    flags: u16,
    method: u16,
    /// Permissions and kind, as on Unix; 0: not said.
    mode: u32,
    header_at: u64,
}

impl DirectoryEntry {
    /// Whether it is a folder.
    #[must_use]
    pub fn is_folder(&self) -> bool {
        self.name.ends_with(b"/") || self.mode & 0o170_000 == 0o040_000
    }

    /// Whether it is a symbolic link.
    #[must_use]
    pub fn is_link(&self) -> bool {
        self.mode & 0o170_000 == 0o120_000
    }
}

impl Directory {
    /// Opens an archive's directory.
    ///
    /// # Errors
    /// [`Fault::Damaged`] if it is none; [`Fault::Refused`] if it is too large.
    pub fn open(file: File) -> Result<Directory, Fault> {
        let end = End::find(&file)?;
        if end.entries > ENTRIES_MAX || end.bytes > DIRECTORY_BYTES_MAX {
            let most = format_size(DIRECTORY_BYTES_MAX);
            return Err(Fault::Refused(format!(
                "it has {} entries in a directory of {}, of which at most {ENTRIES_MAX} in {most} are looked through",
                end.entries,
                format_size(end.bytes)
            )));
        }
        let start = end.at.checked_sub(end.bytes).ok_or_else(|| damaged("its directory is larger than itself"))?;
        let base = start.checked_sub(end.start).ok_or_else(|| damaged("its directory is not where it says"))?;
        let file = Arc::new(file);
        let from = Stretch::new(&file, start, end.bytes);
        Ok(Directory { file, from, left: end.entries, base })
    }

    /// The next entry.
    ///
    /// # Errors
    /// [`Fault::Damaged`].
    pub fn next_entry(&mut self) -> Result<Option<DirectoryEntry>, Fault> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        let head: [u8; ENTRY_BYTES] = self.bytes()?;
        if head.get(..4) != Some(b"PK\x01\x02") {
            return Err(damaged("its directory breaks off"));
        }
        let name = self.text(u16_at(&head, 28))?;
        let extra = self.text(u16_at(&head, 30))?;
        self.text(u16_at(&head, 32))?;
        // Only Unix (3) and macOS (19) write permissions there.
        let mode = if matches!(head.get(5), Some(3 | 19)) { u32_at(&head, 38) >> 16 } else { 0 };
        let mut entry = DirectoryEntry {
            name,
            bytes: u64::from(u32_at(&head, 24)),
            changed_at: dos_time(u16_at(&head, 14), u16_at(&head, 12)),
            packed_bytes: u64::from(u32_at(&head, 20)),
            crc32: u32_at(&head, 16),
            flags: u16_at(&head, 8),
            method: u16_at(&head, 10),
            mode,
            header_at: u64::from(u32_at(&head, 42)),
        };
        entry.take_extra(&extra);
        Ok(Some(entry))
    }

    /// The content of an entry, which may be read until its end.
    ///
    /// # Errors
    /// [`Fault::Damaged`]; [`Fault::Refused`] for what is encrypted, packed in a way that is not known, or could be made
    /// to fill disks.
    pub fn content(&self, entry: &DirectoryEntry) -> Result<Content, Fault> {
        if entry.flags & 1 != 0 {
            return Err(Fault::Refused("the file is encrypted".to_owned()));
        }
        if entry.bytes > ANY_RATIO_BYTES_MAX && entry.bytes / RATIO_MAX > entry.packed_bytes {
            return Err(Fault::Refused(format!(
                "the file is more than {RATIO_MAX} times as large as in the archive, and is not unpacked here"
            )));
        }
        let at = self.base.checked_add(entry.header_at).ok_or_else(|| damaged("a file is not where it says"))?;
        let head: [u8; LOCAL_BYTES] = exactly(&self.file, at)?;
        if head.get(..4) != Some(b"PK\x03\x04") {
            return Err(damaged("a file is not where the directory says"));
        }
        let skipped = LOCAL_BYTES as u64 + u64::from(u16_at(&head, 26)) + u64::from(u16_at(&head, 28));
        let packed = Stretch::new(&self.file, at.saturating_add(skipped), entry.packed_bytes);
        let from: Box<dyn Read + Send> = match entry.method {
            0 => Box::new(packed),
            8 => Box::new(DeflateDecoder::new(packed)),
            method => {
                return Err(Fault::Refused(format!(
                    "the file is compressed by method {method}, which is not known here"
                )));
            }
        };
        Ok(Content { from, left: entry.bytes, hash: crc32fast::Hasher::new(), crc32: entry.crc32, is_checked: false })
    }

    fn bytes<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let mut bytes = [0; N];
        self.from.read_exact(&mut bytes).map_err(damaged)?;
        Ok(bytes)
    }

    fn text(&mut self, bytes: u16) -> Result<Vec<u8>, Fault> {
        let mut text = vec![0; usize::from(bytes)];
        self.from.read_exact(&mut text).map_err(damaged)?;
        Ok(text)
    }
}

impl DirectoryEntry {
    /// What did not fit into the fields before.
    fn take_extra(&mut self, mut extra: &[u8]) {
        while let Some((head, rest)) = extra.split_at_checked(4) {
            let Some((field, rest)) = rest.split_at_checked(usize::from(u16_at(head, 2))) else { return };
            match u16_at(head, 0) {
                ZIP64 => {
                    let mut values = field.chunks_exact(8).map(|value| u64_at(value, 0));
                    for own in [&mut self.bytes, &mut self.packed_bytes, &mut self.header_at] {
                        if *own == u64::from(u32::MAX) {
                            *own = values.next().unwrap_or(*own);
                        }
                    }
                }
                EXTENDED_TIME if field.first().is_some_and(|said| said & 1 != 0) && field.len() >= 5 => {
                    let seconds = i32::from_le_bytes(u32_at(field, 1).to_le_bytes());
                    self.changed_at = Some(Timestamp(i64::from(seconds) * 1000));
                }
                _ => {}
            }
            extra = rest;
        }
    }
}

/// A part of the archive. Others may read it at the same time: it has a place of its own.
struct Stretch {
    file: Arc<File>,
    at: u64,
    left: u64,
}

impl Stretch {
    fn new(file: &Arc<File>, at: u64, bytes: u64) -> BufReader<Stretch> {
        BufReader::with_capacity(BUFFER_BYTES, Stretch { file: Arc::clone(file), at, left: bytes })
    }
}

impl Read for Stretch {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let room = usize::try_from(self.left).unwrap_or(usize::MAX).min(out.len());
        let count = self.file.read_at(out.get_mut(..room).unwrap_or_default(), self.at)?;
        self.at = self.at.saturating_add(count as u64);
        self.left -= count as u64;
        Ok(count)
    }
}

/// A file's content, as it is unpacked.
pub struct Content {
    from: Box<dyn Read + Send>,
    /// Bytes that must still come.
    left: u64,
    hash: crc32fast::Hasher,
    crc32: u32,
    is_checked: bool,
}

impl Read for Content {
    /// The last bytes are given only when they are known to be the right ones.
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() {
            return Ok(0);
        }
        let room = usize::try_from(self.left).unwrap_or(usize::MAX).min(out.len());
        let count = self.from.read(out.get_mut(..room).unwrap_or_default())?;
        self.hash.update(out.get(..count).unwrap_or_default());
        self.left -= count as u64;
        if self.left == 0 && !self.is_checked {
            if self.from.read(&mut [0])? > 0 {
                return Err(wrong("the file is larger than the archive says"));
            }
            if self.hash.clone().finalize() != self.crc32 {
                return Err(wrong("the file's checksum is wrong"));
            }
            self.is_checked = true;
        }
        if count == 0 && self.left > 0 {
            return Err(wrong("the file is shorter than the archive says"));
        }
        Ok(count)
    }
}

fn wrong(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// The end of an archive, which says where its directory is.
struct End {
    /// Where the directory ends.
    at: u64,
    entries: u64,
    bytes: u64,
    /// Where it says that the directory begins.
    start: u64,
}

impl End {
    fn find(file: &File) -> Result<End, Fault> {
        let size = file.metadata().map_err(damaged)?.len();
        // A comment of at most 64 KiB follows it.
        let tail_at = size.saturating_sub((END_BYTES + usize::from(u16::MAX)) as u64);
        let mut tail = vec![0; usize::try_from(size - tail_at).unwrap_or(0)];
        file.read_exact_at(&mut tail, tail_at).map_err(damaged)?;
        let is_end = |at: &usize| {
            let end = tail.get(*at..).unwrap_or_default();
            end.len() >= END_BYTES && END_BYTES + usize::from(u16_at(end, 20)) <= end.len()
        };
        let place = memchr::memmem::rfind_iter(&tail, b"PK\x05\x06").find(is_end);
        let place = place.ok_or_else(|| damaged("it is no zip archive, or its end is missing"))?;
        let (at, tail) = (tail_at + place as u64, tail.get(place..).unwrap_or_default());
        let end = End {
            at,
            entries: u64::from(u16_at(tail, 10)),
            bytes: u64::from(u32_at(tail, 12)),
            start: u64::from(u32_at(tail, 16)),
        };
        let is_full =
            end.entries == u64::from(u16::MAX) || end.bytes == u64::from(u32::MAX) || end.start == u64::from(u32::MAX);
        let large = if is_full { End::find_64(file, at)? } else { None };
        Ok(large.unwrap_or(end))
    }

    /// The one of large archives, which stands before the other.
    fn find_64(file: &File, end_at: u64) -> Result<Option<End>, Fault> {
        let Some(locator_at) = end_at.checked_sub(LOCATOR_BYTES) else { return Ok(None) };
        let locator: [u8; 20] = exactly(file, locator_at)?;
        if locator.get(..4) != Some(b"PK\x06\x07") {
            return Ok(None);
        }
        // Behind what stands before the archive it is somewhere else, but right before its locator.
        let places = [u64_at(&locator, 8), locator_at.saturating_sub(END_64_BYTES as u64)];
        for at in places.into_iter().filter(|at| *at < locator_at) {
            let end: [u8; END_64_BYTES] = exactly(file, at)?;
            if end.get(..4) == Some(b"PK\x06\x06") {
                let (entries, bytes, start) = (u64_at(&end, 32), u64_at(&end, 40), u64_at(&end, 48));
                return Ok(Some(End { at, entries, bytes, start }));
            }
        }
        Err(damaged("the end of its large directory is missing"))
    }
}

fn exactly<const N: usize>(file: &File, at: u64) -> Result<[u8; N], Fault> {
    let mut bytes = [0; N];
    file.read_exact_at(&mut bytes, at).map_err(damaged)?;
    Ok(bytes)
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    bytes.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |value| u16::from_le_bytes(*value))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |value| u32::from_le_bytes(*value))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |value| u64::from_le_bytes(*value))
}

/// A time without a time zone, which runners write in UTC.
fn dos_time(date: u16, time: u16) -> Option<Timestamp> {
    let date = zip::DateTime::try_from_msdos(date, time).ok()?;
    let since = super::as_utc(date)?.duration_since(std::time::UNIX_EPOCH).ok()?;
    Some(Timestamp(i64::try_from(since.as_millis()).ok()?))
}

#[cfg(test)]
mod tests;
