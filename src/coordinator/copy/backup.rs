//! Copies a data directory while a server works on it.
//!
//! What must stay true: a directory with a `baton.db` is a whole backup, synced and verified; what was
//! interrupted has none. The database is copied first, as of one moment, then the files that the copy names.
//! A file that went meanwhile had lost its row first, so the copy's row follows the database: to the artifacts
//! that took the place, or out. A file that is missing or damaged although a row names it ends the backup: an
//! incomplete one must not take the place of an older good one.

use super::check::{Fault, find_database, open_file, read_through};
use crate::artifacts::is_ours;
use crate::domain::text::size::format_size;
use crate::error::{Error, Kind, Result};
use crate::limits::Limits;
use crate::store::artifacts::{self, Stored};
use crate::store::builds;
use crate::store::inspect::{self, inspect};
use crate::store::invariants::{drop_litestream, examine};
use nix::sys::statvfs::statvfs;
use rusqlite::Connection;
use std::cell::Cell;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Name of the database until the backup is whole.
const PART: &str = "baton.db.part";

/// Artifacts that were replaced so often while they were copied is given up.
const REPLACED_MAX: usize = 100;

/// What is in a backup.
#[derive(Debug, Default)]
pub struct Backup {
    /// Builds.
    pub builds: u64,
    /// Artifacts: archives and reports.
    pub artifacts: u64,
    /// Bytes of all artifacts.
    pub bytes: u64,
    /// Artifacts that were removed or expired while the backup ran; it is as if it had been made a
    /// moment later.
    pub removed: u64,
}

/// Copies the data directory `data` to `dir`, which is empty or does not exist and works as a data directory
/// afterwards. Only its owner may use it. Running builds in it stay so: a server that is started on it deals with
/// them as after any pause. `copied` is told, now and then, how many bytes were copied, of how many.
///
/// # Errors
/// [`Kind::Invalid`] for a `dir` that cannot be used, [`Kind::DiskFull`]; damage in `data` that would be in the
/// backup. Nothing is left in `dir` then.
pub fn backup(data: &Path, dir: &Path, copied: &dyn Fn(u64, u64)) -> Result<Backup> {
    let database = find_database(data)?;
    let size = fs::metadata(&database)?.len();
    check_place(data, dir)?;
    let mut target = Target::make(dir, copied)?;
    let logged = fs::metadata(data.join("baton.db-wal")).map_or(0, |log| log.len());
    target.check_room(data, size.saturating_add(logged))?;
    inspect(&database, |live| inspect::copy(live, &target.part()))?;
    let copy = inspect::open_copy(&target.part())?;
    check_sound(data, &copy)?;
    drop_litestream(&copy)?;
    let artifacts_bytes = artifacts::total(&copy)?.1;
    target.check_room(data, artifacts_bytes)?;
    target.total = size + artifacts_bytes;
    target.copied(size);
    let removed = copy_artifacts(data, &target, &copy)?;
    let builds = builds::count(&copy)?.iter().map(|(_, count)| count).sum();
    let (artifacts, bytes) = artifacts::total(&copy)?;
    inspect::close_copy(copy, &target.part())?;
    target.complete()?;
    Ok(Backup { builds, artifacts, bytes, removed })
}

/// Refuses a place whose content a server would take for its own, or that is not empty.
fn check_place(data: &Path, dir: &Path) -> Result<()> {
    let shown = dir.display();
    let refused = |why: String| Err(Error::invalid(format!("cannot back up to {shown}: {why}")));
    let parent = match dir.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => dir,
    };
    // A missing parent may be a disk that is not mounted; nobody wants its backups elsewhere.
    let Ok(parent) = fs::canonicalize(parent) else {
        return refused(format!("there is no directory {}; make it first", parent.display()));
    };
    let real = fs::canonicalize(dir).unwrap_or(parent);
    if real.starts_with(fs::canonicalize(data)?) {
        return refused(format!("it lies in the data directory {}; choose a place outside", data.display()));
    }
    match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => refused("it is not a directory".to_owned()),
        Err(error) => refused(error.to_string()),
        Ok(entries) => {
            let names: io::Result<Vec<_>> = entries.map(|entry| Ok(entry?.file_name())).collect();
            let names = names?;
            if names.iter().any(|name| name == PART) {
                return refused("it holds a backup that was interrupted or is under way; remove it first".to_owned());
            }
            match names.iter().find(|&name| name != "lost+found") {
                Some(name) => refused(format!("it is not empty, it holds {name:?}; choose an empty or new directory")),
                None => Ok(()),
            }
        }
    }
}

/// Refuses to copy damage.
fn check_sound(data: &Path, copy: &Connection) -> Result<()> {
    let problems = examine(copy)?;
    let Some(first) = problems.first() else { return Ok(()) };
    let more = if problems.len() > 1 { format!(" (and {} more)", problems.len() - 1) } else { String::new() };
    Err(damaged(data, &format!("{}{more}", first.what)))
}

fn damaged(data: &Path, what: &str) -> Error {
    let data = data.display();
    Error::internal(format!("no backup was made: {what}; `baton --data {data} check` names all that is wrong"))
}

/// Copies the files that the copy's rows name. Returns how many there were not any more.
fn copy_artifacts(data: &Path, target: &Target<'_>, copy: &Connection) -> Result<u64> {
    let mut removed = 0;
    let mut after = artifacts::first_place();
    loop {
        let page = artifacts::page(copy, &after)?;
        let Some(last) = page.last() else { break };
        after = last.place();
        for stored in page {
            if !copy_stored(data, target, copy, stored)? {
                removed += 1;
            }
        }
    }
    sync_dir(&target.dir.join("artifacts"))?;
    Ok(removed)
}

/// Copies a build's artifacts of one kind, or those that have taken their place. False: there are none any more.
fn copy_stored(data: &Path, target: &Target<'_>, copy: &Connection, mut stored: Stored) -> Result<bool> {
    let (id, kind) = stored.place();
    for _ in 0..REPLACED_MAX {
        let Some((name, fault)) = copy_files(data, target, &stored) else { return Ok(true) };
        if let Fault::Target(error) = fault {
            return Err(Error::from(error));
        }
        match inspect(&data.join("baton.db"), |c| artifacts::stored_of_build(c, id, &kind))? {
            Some(now) if now.file.path == stored.file.path => {
                return Err(damaged(data, &fault.problem(id, &name).what));
            }
            Some(now) => {
                target.forget(&artifacts::replace(copy, &now)?)?;
                stored = now;
            }
            None => {
                target.forget(&artifacts::remove(copy, id, &kind)?)?;
                return Ok(false);
            }
        }
    }
    Err(Error::new(Kind::Busy, format!("the artifacts of build {id} are replaced faster than they can be copied")))
}

/// Copies the file and its metadata. `Some`: the file at which it failed.
fn copy_files(data: &Path, target: &Target<'_>, stored: &Stored) -> Option<(String, Fault)> {
    let file = &stored.file;
    let expected = [Some((file.size, file.sha256)), None];
    let names = [Some(&file.path), stored.metadata_path.as_ref()];
    names.into_iter().zip(expected).find_map(|(name, expected)| {
        let name = name?;
        let fault = copy_file(data, target, name, expected).err()?;
        Some((name.clone(), fault))
    })
}

fn copy_file(
    data: &Path,
    target: &Target<'_>,
    name: &str,
    expected: Option<(u64, [u8; 32])>,
) -> std::result::Result<(), Fault> {
    let mut from = open_file(data, name)?;
    let path = target.dir.join("artifacts").join(name);
    let to = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(Fault::Target)?;
    let mut counted = Counted { to, target };
    read_through(&mut from, expected, &mut counted)?;
    counted.to.sync_all().map_err(Fault::Target)
}

/// A backup that is being made. Dropped before it is complete, it takes away all that it made.
struct Target<'a> {
    dir: PathBuf,
    /// Is told of each piece.
    report: &'a dyn Fn(u64, u64),
    /// Bytes that were copied, and that are to be copied, as far as that is known.
    done: Cell<u64>,
    total: u64,
    /// Whether the directory itself is new.
    is_new: bool,
    is_complete: bool,
}

/// A file of the copy, whose bytes are counted.
struct Counted<'a> {
    to: File,
    target: &'a Target<'a>,
}

impl Write for Counted<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.to.write(bytes)?;
        self.target.copied(count as u64);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

impl Target<'_> {
    /// Takes an empty directory, or makes one. Of two that try, one gets it.
    fn make<'a>(dir: &Path, report: &'a dyn Fn(u64, u64)) -> Result<Target<'a>> {
        let is_new = match DirBuilder::new().mode(0o700).create(dir) {
            Ok(()) => true,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => false,
            Err(error) => return Err(Error::invalid(format!("cannot back up to {}: {error}", dir.display()))),
        };
        let claim = || {
            fs::set_permissions(dir, Permissions::from_mode(0o700))?;
            OpenOptions::new().write(true).create_new(true).mode(0o600).open(dir.join(PART))
        };
        if let Err(error) = claim() {
            if is_new {
                // It may hold what another backup has begun: then it stays.
                let _ = fs::remove_dir(dir);
            }
            return Err(Error::invalid(format!("cannot back up to {}: {error}", dir.display())));
        }
        let target = Target { dir: dir.to_owned(), report, done: Cell::new(0), total: 0, is_new, is_complete: false };
        DirBuilder::new().mode(0o700).create(dir.join("artifacts"))?;
        Ok(target)
    }

    /// So many bytes more were copied.
    fn copied(&self, bytes: u64) {
        self.done.set(self.done.get() + bytes);
        (self.report)(self.done.get(), self.total);
    }

    fn part(&self) -> PathBuf {
        self.dir.join(PART)
    }

    /// Refuses to fill the disk. On the server's own disk, its reserve stays.
    fn check_room(&self, data: &Path, bytes: u64) -> Result<()> {
        let stat = statvfs(&self.dir).map_err(|errno| Error::from(io::Error::from(errno)))?;
        let free = stat.blocks_available().saturating_mul(stat.fragment_size());
        let is_shared = fs::metadata(data)?.dev() == fs::metadata(&self.dir)?.dev();
        let reserve = if is_shared { Limits::default().disk_reserve_bytes } else { 0 };
        if bytes.saturating_add(reserve) <= free {
            return Ok(());
        }
        let (needed, free, dir) = (format_size(bytes), format_size(free), self.dir.display());
        let kept =
            if reserve > 0 { format!(", of which {} stay in reserve", format_size(reserve)) } else { String::new() };
        Err(Error::new(Kind::DiskFull, format!("{needed} more are to go to {dir}, where {free} are free{kept}")))
    }

    /// Removes copies that no row names any more.
    fn forget(&self, names: &[String]) -> Result<()> {
        for name in names.iter().filter(|name| is_ours(name)) {
            match fs::remove_file(self.dir.join("artifacts").join(name)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
                _ => {}
            }
        }
        Ok(())
    }

    /// Gives the database its name, when all else is on the disk.
    fn complete(mut self) -> Result<()> {
        sync_dir(&self.dir)?;
        fs::rename(self.part(), self.dir.join("baton.db"))?;
        self.is_complete = true;
        sync_dir(&self.dir)?;
        sync_dir(&fs::canonicalize(self.dir.join(".."))?)
    }
}

impl Drop for Target<'_> {
    fn drop(&mut self) {
        if self.is_complete {
            return;
        }
        let beside = ["", "-wal", "-shm", "-journal"].map(|suffix| self.dir.join(format!("{PART}{suffix}")));
        let mut results = vec![fs::remove_dir_all(self.dir.join("artifacts"))];
        results.extend(beside.iter().map(fs::remove_file));
        if self.is_new {
            results.push(fs::remove_dir(&self.dir));
        }
        for error in results.into_iter().filter_map(io::Result::err) {
            if error.kind() != io::ErrorKind::NotFound {
                log::warn!("cannot remove the incomplete backup {}: {error}", self.dir.display());
            }
        }
    }
}

fn sync_dir(dir: &Path) -> Result<()> {
    Ok(File::open(dir)?.sync_all()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coordinator::check;
    use crate::coordinator::{Coordinator, Queued};
    use crate::domain::build::{ArtifactsFile, BuildId};
    use crate::domain::spec::{ArtifactFormat, ArtifactKind};
    use crate::domain::time::Timestamp;
    use std::time::Duration;

    const NOW: Timestamp = Timestamp(1);

    fn new_build() -> Queued {
        Queued { new: crate::store::traces::tests::new_build(), needs_names: vec![] }
    }

    /// Stores these bytes as the build's artifacts, in the place of earlier ones, whose files go.
    fn store(live: &Coordinator, id: BuildId, bytes: &[u8]) {
        store_as(live, id, "archive", bytes);
    }

    fn store_as(live: &Coordinator, id: BuildId, kind: &str, bytes: &[u8]) {
        let mut received = live.artifacts().receive(id, &mut &*bytes, Error::from, u64::MAX, 0).unwrap();
        let path = received.settle().unwrap();
        let (size, sha256) = (received.size, received.sha256);
        let file = ArtifactsFile { path, filename: "a.zip".into(), size, sha256, expire_at: None };
        let (kind, format) = (ArtifactKind(kind.to_owned()), ArtifactFormat::default());
        let stored = Stored { id, kind, format, file, metadata_path: None, uploaded_at: NOW };
        let old = live.store.write(move |c| artifacts::replace(c, &stored)).unwrap();
        received.keep();
        live.artifacts().remove(&old);
    }

    /// Three builds with artifacts, and a backup of which only the database was copied yet.
    fn begun() -> (tempfile::TempDir, Coordinator, Target<'static>, Connection) {
        let dir = tempfile::tempdir().unwrap();
        let live = Coordinator::open(&dir.path().join("live"), Limits::default()).unwrap();
        live.add_project("p", None, Duration::from_secs(60), NOW).unwrap();
        for id in live.add_builds(vec![new_build(), new_build(), new_build()], NOW).unwrap() {
            store(&live, id, b"first");
        }
        store_as(&live, BuildId(1), "junit", b"report");
        store_as(&live, BuildId(3), "junit", b"report");
        let target = Target::make(&dir.path().join("backup"), &|_, _| {}).unwrap();
        inspect(&dir.path().join("live/baton.db"), |c| inspect::copy(c, &target.part())).unwrap();
        let copy = inspect::open_copy(&target.part()).unwrap();
        (dir, live, target, copy)
    }

    #[test]
    fn what_was_replaced_or_removed_meanwhile_is_as_it_is_now() {
        let (dir, live, target, copy) = begun();
        store(&live, BuildId(2), b"second");
        let gone = live.store.write(|c| artifacts::remove_all(c, BuildId(3))).unwrap();
        live.artifacts().remove(&gone);
        assert_eq!(copy_artifacts(&dir.path().join("live"), &target, &copy).unwrap(), 2);
        assert_eq!(artifacts::total(&copy).unwrap(), (3, 17));
        inspect::close_copy(copy, &target.part()).unwrap();
        target.complete().unwrap();
        let checked = check(&dir.path().join("backup")).unwrap();
        assert_eq!((checked.builds, checked.artifacts, checked.bytes), (3, 3, 17));
        assert_eq!(checked.problems, []);
    }

    #[test]
    fn what_is_missing_though_it_is_named_ends_the_backup_and_leaves_nothing() {
        let (dir, live, target, copy) = begun();
        fs::remove_dir_all(live.artifacts().dir()).unwrap();
        let error = copy_artifacts(&dir.path().join("live"), &target, &copy).unwrap_err();
        assert!(error.message.contains("build 1") && error.message.contains("is missing"), "{error}");
        drop((copy, target));
        assert!(!dir.path().join("backup").exists());
    }

    #[test]
    fn it_says_how_far_it_is_and_at_the_end_that_all_is_copied() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("live");
        let live = Coordinator::open(&data, Limits::default()).unwrap();
        live.add_project("p", None, Duration::from_secs(60), NOW).unwrap();
        for id in live.add_builds(vec![new_build(), new_build()], NOW).unwrap() {
            store(&live, id, &[7; 3_000_000]);
        }
        let told = std::cell::RefCell::new(Vec::new());
        backup(&data, &dir.path().join("backup"), &|done, total| told.borrow_mut().push((done, total))).unwrap();
        let told = told.into_inner();
        assert!(told.len() > 3 && told.is_sorted() && told.iter().all(|(done, total)| done <= total), "{told:?}");
        let &(done, total) = told.last().unwrap();
        assert!(done == total && total > 6_000_000, "{told:?}");
    }

    #[test]
    fn two_backups_do_not_share_a_place() {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join("backup");
        let first = Target::make(&place, &|_, _| {}).unwrap();
        assert!(Target::make(&place, &|_, _| {}).is_err());
        assert!(first.part().exists() && place.join("artifacts").exists());
        drop(first);
        assert!(!place.exists());
    }
}
