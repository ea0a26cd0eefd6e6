//! The bytes of artifacts: files in `artifacts/` beside the database.
//!
//! What must stay true: a file reaches its final name whole and synced, before a row names it; a row is
//! gone, durably, before its file is removed. So a crash leaves at most files that no row names, and
//! [`Artifacts::sweep`] removes those at the next start. Names are made here; nothing a client sends
//! becomes part of a path.

use crate::domain::build::BuildId;
use crate::domain::token::{hex, random};
use crate::error::{Error, Kind, Result};
use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
use nix::sys::statvfs::statvfs;
use sha2::{Digest, Sha256};
use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{channel, sync_channel};
use std::thread;

/// How a file comes in.
struct Pieces {
    /// Bytes that are read from the network and written to the disk at a time.
    bytes: usize,
    /// How many pieces may wait to be written. Two more are in threads' hands.
    ahead: usize,
}

/// 256 KiB for each upload.
const USUAL: Pieces = Pieces { bytes: 64 << 10, ahead: 2 };

/// 2 MiB, while no more than [`ROOMY_MAX`] uploads are under way. Where threads wait for processors, short queues make
/// them wait for each other too (measured: a fifth of the time).
const ROOMY: Pieces = Pieces { bytes: 256 << 10, ahead: 6 };
const ROOMY_MAX: usize = 2;

/// After so many bytes the disk begins to write.
const WRITE_BACK_BYTES: u64 = 8 << 20;

/// What an error means of whoever sends a file, which is not one of our file system.
pub type Unreadable = fn(io::Error) -> Error;

/// Prefix of files that are still being received.
pub const INCOMING: &str = "incoming-";

/// The folder of artifacts.
pub struct Artifacts {
    dir: PathBuf,
    /// A clone for each file that is being received.
    receiving: Arc<()>,
}

/// The room of a file system.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    /// What is left for us.
    pub free_bytes: u64,
    /// All of it.
    pub bytes: u64,
    /// How many files there can still be; `None`: as many as there are bytes for.
    pub free_files: Option<u64>,
}

/// Where fewer files can be made, nothing new is taken on: what runs makes some until its end.
const FILES_RESERVE: u64 = 64;

impl Room {
    /// Whether there is room for something new beside `reserve_bytes`.
    ///
    /// # Errors
    /// [`Kind::DiskFull`] if not.
    pub fn check(self, reserve_bytes: u64) -> Result<()> {
        let (free, files) = (self.free_bytes, self.free_files);
        let message = if free <= reserve_bytes {
            format!("{free} bytes are free, and {reserve_bytes} are kept in reserve")
        } else if let Some(files) = files.filter(|files| *files <= FILES_RESERVE) {
            format!(
                "the file system has room for {files} more files (`df -i`), and {FILES_RESERVE} are kept in reserve"
            )
        } else {
            return Ok(());
        };
        Err(Error::new(Kind::DiskFull, message))
    }
}

/// A file that was received whole, but has no row yet. Dropping it removes it.
pub struct Received {
    dir: PathBuf,
    name: String,
    kept: bool,
    /// Bytes.
    pub size: u64,
    /// Checksum.
    pub sha256: [u8; 32],
}

impl Artifacts {
    /// Opens the folder, and makes it, for its owner only, if there is none.
    pub fn open(dir: PathBuf) -> Result<Artifacts> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&dir)?;
        Ok(Artifacts { dir, receiving: Arc::default() })
    }

    /// The folder.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Bytes that the file system has left for us.
    pub fn free_bytes(&self) -> Result<u64> {
        Ok(self.room()?.free_bytes)
    }

    /// The file system's room.
    pub fn room(&self) -> Result<Room> {
        let stat = statvfs(&self.dir).map_err(|errno| Error::from(io::Error::from(errno)))?;
        let bytes = |blocks: u64| blocks.saturating_mul(stat.fragment_size());
        Ok(Room {
            free_bytes: bytes(stat.blocks_available()),
            bytes: bytes(stat.blocks()),
            // Some file systems make room for files as they need it, and say 0 of 0.
            free_files: (stat.files() > 0).then(|| stat.files_available()),
        })
    }

    /// Whether more than `reserve_bytes` are left.
    ///
    /// # Errors
    /// [`Kind::DiskFull`] if not; the file system's.
    pub fn check_room(&self, reserve_bytes: u64) -> Result<()> {
        self.room()?.check(reserve_bytes)
    }

    /// Receives a file of a build: copies `from` until its end, leaving `reserve_bytes` of the disk free, and
    /// syncs it. The file must have less than `bytes_below` bytes, as GitLab's limit has it.
    ///
    /// # Errors
    /// [`Kind::TooLarge`], [`Kind::DiskFull`]; what `unreadable` makes of an error of `from`; the file system's. Nothing is
    /// left then.
    pub fn receive(
        &self,
        id: BuildId,
        from: &mut dyn Read,
        unreadable: Unreadable,
        bytes_below: u64,
        reserve_bytes: u64,
    ) -> Result<Received> {
        let nonce = hex(&random::<8>()?);
        let mut received = Received {
            dir: self.dir.clone(),
            name: format!("{INCOMING}{id}-{nonce}"),
            kept: false,
            size: 0,
            sha256: [0; 32],
        };
        let path = self.dir.join(&received.name);
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        let mut storing = Storing { artifacts: self, file, hash: Sha256::new(), size: 0, bytes_below, reserve_bytes };
        let receiving = Arc::clone(&self.receiving);
        let pieces = if Arc::strong_count(&receiving) <= 1 + ROOMY_MAX { ROOMY } else { USUAL };
        let mut first = vec![0; pieces.bytes];
        let filled = fill(from, &mut first).map_err(unreadable)?;
        storing.store(first.get(..filled).unwrap_or_default())?;
        if filled == pieces.bytes {
            storing.store_rest(from, unreadable, first, pieces.ahead)?;
        }
        storing.file.sync_all()?;
        received.size = storing.size;
        received.sha256 = storing.hash.finalize().into();
        Ok(received)
    }

    /// Opens a file that a row names.
    ///
    /// # Errors
    /// The file system's: a missing file is a fault of ours, not "not found".
    pub fn file(&self, name: &str) -> Result<File> {
        File::open(self.dir.join(name)).map_err(|error| Error::internal(format!("artifacts file {name}: {error}")))
    }

    /// Removes files whose row is gone. A file that cannot be removed waits for the next start.
    pub fn remove(&self, names: &[String]) {
        for name in names {
            if let Err(error) = fs::remove_file(self.dir.join(name))
                && error.kind() != io::ErrorKind::NotFound
            {
                log::warn!("cannot remove the artifacts file {name}: {error}; the next start tries again");
            }
        }
    }

    /// Removes every file that is not `named`; for the start, before anything is received. Returns how many.
    pub fn sweep(&self, named: &HashSet<String>) -> Result<usize> {
        let mut orphans = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            let name = entry?.file_name();
            match name.into_string() {
                Ok(name) if named.contains(&name) => {}
                Ok(name) if is_ours(&name) => orphans.push(name),
                other => log::warn!("artifacts/ holds {other:?}, which is not Baton's; it was left alone"),
            }
        }
        self.remove(&orphans);
        Ok(orphans.len())
    }
}

/// A file that is being written.
struct Storing<'a> {
    artifacts: &'a Artifacts,
    file: File,
    hash: Sha256,
    size: u64,
    bytes_below: u64,
    reserve_bytes: u64,
}

impl Storing<'_> {
    fn store(&mut self, bytes: &[u8]) -> Result<()> {
        let before = self.size;
        self.size += bytes.len() as u64;
        check_size(self.size, self.bytes_below)?;
        self.artifacts.check_room(self.reserve_bytes)?;
        self.file.write_all(bytes)?;
        self.hash.update(bytes);
        if self.size / WRITE_BACK_BYTES > before / WRITE_BACK_BYTES {
            start_write_back(&self.file, self.size);
        }
        Ok(())
    }

    /// Stores all that `from` delivers, in another thread: to read and look through what comes costs as much as to
    /// write it and make its checksum. The pieces are as long as this one, whose content is stored already.
    fn store_rest(
        &mut self,
        from: &mut dyn Read,
        unreadable: Unreadable,
        mut piece: Vec<u8>,
        pieces_ahead: usize,
    ) -> Result<()> {
        let piece_bytes = piece.len();
        thread::scope(|scope| {
            let (to_store, pieces) = sync_channel::<Vec<u8>>(pieces_ahead);
            let (to_fill, empty) = channel();
            let storer = thread::Builder::new().name("storer".to_owned()).spawn_scoped(scope, move || {
                pieces.into_iter().try_for_each(|piece| {
                    self.store(&piece)?;
                    // The other side may have come to its end.
                    let _ = to_fill.send(piece);
                    Ok(())
                })
            })?;
            let read = loop {
                match fill(from, &mut piece) {
                    Ok(0) => break Ok(()),
                    Ok(filled) => piece.truncate(filled),
                    Err(error) => break Err(unreadable(error)),
                }
                if to_store.send(piece).is_err() {
                    break Ok(());
                }
                piece = empty.try_recv().unwrap_or_default();
                piece.resize(piece_bytes, 0);
            };
            drop(to_store);
            let stored = storer.join().map_err(|_| Error::internal("the thread that stores a file panicked"))?;
            read.and(stored)
        })
    }
}

/// Has the kernel begin to write what a file has up to `end`, so that the last sync finds little left to do. To
/// say that these pages will not be needed is the one way to ask for that without waiting. Only an advice.
fn start_write_back(file: &File, end: u64) {
    let from = i64::try_from(end.saturating_sub(WRITE_BACK_BYTES)).unwrap_or(0);
    let length = i64::try_from(WRITE_BACK_BYTES).unwrap_or(0);
    let _ = posix_fadvise(file.as_raw_fd(), from, length, PosixFadviseAdvice::POSIX_FADV_DONTNEED);
}

/// Whether a file is smaller than the limit.
///
/// # Errors
/// [`Kind::TooLarge`] if not.
pub fn check_size(bytes: u64, bytes_below: u64) -> Result<()> {
    if bytes < bytes_below {
        return Ok(());
    }
    Err(Error::new(Kind::TooLarge, format!("artifacts must have less than {bytes_below} bytes")))
}

/// Whether Baton made this name: `42-0123456789abcdef`, maybe with the prefix of files being received.
#[must_use]
pub fn is_ours(name: &str) -> bool {
    let name = name.strip_prefix(INCOMING).unwrap_or(name);
    name.split_once('-').is_some_and(|(id, nonce)| {
        id.bytes().all(|c| c.is_ascii_digit()) && nonce.len() == 16 && nonce.bytes().all(|c| c.is_ascii_hexdigit())
    })
}

impl Received {
    /// Opens the file, to read what was received.
    pub fn open(&self) -> Result<File> {
        Ok(File::open(self.dir.join(&self.name))?)
    }

    /// Gives the file its final name, durably, and returns that name. Until [`Received::keep`] says that a
    /// row names it, dropping it still removes it.
    pub fn settle(&mut self) -> Result<String> {
        let name = self.name.strip_prefix(INCOMING).unwrap_or(&self.name).to_owned();
        fs::rename(self.dir.join(&self.name), self.dir.join(&name))?;
        self.name.clone_from(&name);
        File::open(&self.dir)?.sync_all()?;
        Ok(name)
    }

    /// The row is committed: the file stays.
    pub fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for Received {
    fn drop(&mut self) {
        if !self.kept
            && let Err(error) = fs::remove_file(self.dir.join(&self.name))
            && error.kind() != io::ErrorKind::NotFound
        {
            log::warn!("cannot remove {}: {error}; the next start tries again", self.name);
        }
    }
}

/// Reads until `piece` is full or the source ends; returns how much it got.
fn fill(from: &mut dyn Read, piece: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(room) = piece.get_mut(filled..).filter(|room| !room.is_empty()) {
        match from.read(room) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_system_without_room_for_bytes_or_for_files_is_full() {
        for (free_bytes, free_files, part) in [
            (101, None, None),
            (101, Some(65), None),
            (100, Some(65), Some("100 bytes are free")),
            (101, Some(64), Some("64 more files (`df -i`)")),
            (101, Some(0), Some("0 more files")),
        ] {
            let checked = Room { free_bytes, bytes: 1000, free_files }.check(100);
            let message = checked.err().map(|error| (error.kind, error.message));
            match (message, part) {
                (None, None) => {}
                (Some((Kind::DiskFull, message)), Some(part)) => assert!(message.contains(part), "{message}"),
                other => panic!("{other:?}"),
            }
        }
    }

    fn unreadable(error: io::Error) -> Error {
        let kind = if error.kind() == io::ErrorKind::TimedOut { Kind::TooSlow } else { Kind::Invalid };
        Error::new(kind, error.to_string())
    }

    fn names(dir: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_that_fails_on_the_way_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let artifacts = Artifacts::open(dir.path().join("artifacts")).unwrap();
        let over = artifacts.receive(BuildId(1), &mut &[0_u8; 10][..], unreadable, 10, 0).err().unwrap();
        assert_eq!(over.kind, Kind::TooLarge);
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::ErrorKind::TimedOut.into())
            }
        }
        assert_eq!(artifacts.receive(BuildId(1), &mut Broken, unreadable, 10, 0).err().unwrap().kind, Kind::TooSlow);
        let full = artifacts.receive(BuildId(1), &mut &b"x"[..], unreadable, 10, u64::MAX).err().unwrap();
        assert_eq!(full.kind, Kind::DiskFull);
        drop(artifacts.receive(BuildId(1), &mut &b"x"[..], unreadable, 10, 0).unwrap());
        assert_eq!(names(artifacts.dir()), Vec::<String>::new());
    }

    /// Delivers so many bytes, an odd number at a time, and then ends in this way.
    struct Source {
        left: usize,
        end: Option<io::ErrorKind>,
    }

    impl Read for Source {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            if self.left == 0 {
                return self.end.map_or(Ok(0), |kind| Err(kind.into()));
            }
            let count = self.left.min(out.len()).min(77_777);
            for (n, byte) in out[..count].iter_mut().enumerate() {
                *byte = ((self.left - n).wrapping_mul(0x9e37_79b9) >> 16).to_le_bytes()[0];
            }
            self.left -= count;
            Ok(count)
        }
    }

    #[test]
    fn a_file_of_any_size_is_stored_to_the_byte_with_its_checksum() {
        let dir = tempfile::tempdir().unwrap();
        let artifacts = Artifacts::open(dir.path().join("artifacts")).unwrap();
        for crowd in [0, ROOMY_MAX] {
            let _crowd = vec![Arc::clone(&artifacts.receiving); crowd];
            for pieces in [USUAL, ROOMY] {
                for size in [0, 1, pieces.bytes, 2 * pieces.bytes, 5 * pieces.bytes, 20 * pieces.bytes] {
                    for size in [size.saturating_sub(1), size, size + 1] {
                        let mut expected = Vec::new();
                        Source { left: size, end: None }.read_to_end(&mut expected).unwrap();
                        let mut source = Source { left: size, end: None };
                        let mut received = artifacts.receive(BuildId(1), &mut source, unreadable, u64::MAX, 0).unwrap();
                        assert_eq!((received.size, received.sha256), (size as u64, Sha256::digest(&expected).into()));
                        let name = received.settle().unwrap();
                        assert!(fs::read(artifacts.dir().join(name)).unwrap() == expected, "{size} bytes");
                    }
                }
            }
        }
    }

    #[test]
    fn a_long_file_that_fails_on_the_way_leaves_nothing_and_says_why() {
        let dir = tempfile::tempdir().unwrap();
        let artifacts = Artifacts::open(dir.path().join("artifacts")).unwrap();
        for size in [2 * ROOMY.bytes, 20 * ROOMY.bytes + 1] {
            let receive = |end, bytes_below| {
                let mut source = Source { left: size, end };
                artifacts.receive(BuildId(1), &mut source, unreadable, bytes_below, 0).err().unwrap().kind
            };
            assert_eq!(receive(Some(io::ErrorKind::TimedOut), u64::MAX), Kind::TooSlow);
            assert_eq!(receive(Some(io::ErrorKind::InvalidData), u64::MAX), Kind::Invalid);
            assert_eq!(receive(None, size as u64), Kind::TooLarge);
            assert_eq!(receive(None, ROOMY.bytes as u64 + 1), Kind::TooLarge);
            assert_eq!(names(artifacts.dir()), Vec::<String>::new());
        }
    }

    #[test]
    fn the_sweep_removes_what_no_row_names_and_nothing_that_is_not_ours() {
        let dir = tempfile::tempdir().unwrap();
        let artifacts = Artifacts::open(dir.path().join("artifacts")).unwrap();
        let mut kept = artifacts.receive(BuildId(1), &mut &b"abc"[..], unreadable, 4, 0).unwrap();
        assert_eq!(kept.size, 3);
        let name = kept.settle().unwrap();
        kept.keep();
        for other in ["incoming-7-0123456789abcdef", "7-0123456789abcdef", "notes.txt"] {
            fs::write(artifacts.dir().join(other), b"x").unwrap();
        }
        assert_eq!(artifacts.sweep(&HashSet::from([name.clone()])).unwrap(), 2);
        assert_eq!(names(artifacts.dir()), [name.as_str(), "notes.txt"]);
    }
}
