//! Unpacks an archive of artifacts or of a cache over a checkout. Another job has made it, and may have made it to do
//! harm.
//!
//! What must stay true: nothing outside the folder is made, changed or followed to: a link in the place of a folder is
//! replaced by one, and links are made last. Any target of a link is kept, as real runners do, since nothing is written
//! through it. What of git's own folder git would run or follow by itself is left out. What is unpacked has the size that
//! the archive says beforehand. Permissions are those of the archive, without setuid and its like.

use super::directories::remove_tree;
use crate::unzip::{Archive, Entry, Fault, Kind, Part, set};
use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Most files and folders.
const ENTRIES_MAX: usize = 1_000_000;
/// How an archive is unpacked.
pub struct Unpacking<'a> {
    /// Where to.
    pub folder: &'a Path,
    /// Most bytes of all files.
    pub bytes_max: u64,
    /// Asked again and again.
    pub is_wanted: &'a dyn Fn() -> bool,
}

impl Unpacking<'_> {
    /// Unpacks `archive`. Returns what was left out.
    ///
    /// # Errors
    /// Before anything was written: for what is no archive, could do harm, or is too much. Afterwards: damage, the file
    /// system's, or when nobody wants it any more.
    pub fn unpack(&self, archive: File) -> io::Result<Vec<PathBuf>> {
        let mut archive = Archive::open(archive).map_err(|fault| error_of(fault, self.folder))?;
        let entries = archive.entries(ENTRIES_MAX, self.bytes_max);
        let (mut entries, mut left_out) = (entries.map_err(|fault| error_of(fault, self.folder))?, Vec::new());
        entries.retain(|entry| {
            let is_kept = !runs_by_itself(&entry.path);
            if !is_kept {
                left_out.push(entry.path.clone());
            }
            is_kept
        });
        let mut folders: HashMap<PathBuf, (Option<u32>, Option<SystemTime>)> = HashMap::new();
        let mut links = Vec::new();
        for entry in entries {
            match entry.kind {
                Kind::Folder => {
                    self.make_folder(&entry.path)?;
                    folders.insert(entry.path, (entry.mode, entry.time));
                }
                Kind::File => {
                    self.make_folder(parent(&entry.path))?;
                    self.write(&mut archive, &entry)?;
                }
                Kind::Link => {
                    let target = archive.target(&entry).map_err(|fault| error_of(fault, self.folder))?;
                    links.push((target, entry));
                }
            }
        }
        for (target, entry) in links {
            self.make_folder(parent(&entry.path))?;
            self.link(&target, &entry)?;
        }
        self.finish(folders)?;
        Ok(left_out)
    }

    /// Makes a folder and those above it, and goes through no link.
    fn make_folder(&self, path: &Path) -> io::Result<()> {
        let mut place = self.folder.to_owned();
        for part in path.components() {
            place.push(part);
            match fs::symlink_metadata(&place) {
                Ok(found) if found.is_dir() => continue,
                Ok(_) => fs::remove_file(&place)?,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(at(&place, &error)),
            }
            DirBuilder::new().mode(0o777).create(&place).map_err(|error| at(&place, &error))?;
        }
        Ok(())
    }

    fn write(&self, archive: &mut Archive, entry: &Entry) -> io::Result<()> {
        let place = self.folder.join(&entry.path);
        let part = archive.write(entry, &place, Some(0o644), &mut |_| (self.is_wanted)());
        part.and_then(|part| put(part, &place).map_err(Fault::Unwritable)).map_err(|fault| error_of(fault, &place))
    }

    fn link(&self, target: &Path, entry: &Entry) -> io::Result<()> {
        let place = self.folder.join(&entry.path);
        Part::link(target, &place, entry.time).and_then(|part| put(part, &place)).map_err(|error| at(&place, &error))
    }

    /// Gives the folders their permissions and times, the deepest first.
    fn finish(&self, folders: HashMap<PathBuf, (Option<u32>, Option<SystemTime>)>) -> io::Result<()> {
        let mut folders: Vec<_> = folders.into_iter().collect();
        folders.sort_by_key(|(path, _)| std::cmp::Reverse(path.components().count()));
        for (path, (mode, time)) in folders.into_iter().filter(|(path, _)| !path.as_os_str().is_empty()) {
            let place = self.folder.join(path);
            let flags = nix::libc::O_DIRECTORY | nix::libc::O_NOFOLLOW;
            match OpenOptions::new().read(true).custom_flags(flags).open(&place) {
                Ok(folder) => set(&folder, mode, time).map_err(|error| at(&place, &error))?,
                // A link has taken its place, or one that may not be read.
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
                Err(error) if error.raw_os_error() == Some(nix::libc::ELOOP) => {}
                Err(error) if error.kind() == io::ErrorKind::NotADirectory => {}
                Err(error) => return Err(at(&place, &error)),
            }
        }
        Ok(())
    }
}

/// Whether git would run it, or follow it elsewhere.
fn runs_by_itself(path: &Path) -> bool {
    let mut parts = path.components().map(|part| part.as_os_str());
    if parts.next() != Some(OsStr::new(".git")) {
        return false;
    }
    let rest: Vec<&OsStr> = parts.collect();
    let last = rest.last().and_then(|last| last.to_str()).unwrap_or("");
    let is_followed = ["config", "config.worktree", "commondir", "gitdir", "alternates", "attributes"].contains(&last);
    rest.is_empty() || is_followed || rest.iter().any(|part| *part == "hooks")
}

fn parent(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new(""))
}

/// Gives what was written its name; a folder in the way goes.
fn put(part: Part<'_>, place: &Path) -> io::Result<()> {
    if fs::symlink_metadata(place).is_ok_and(|found| found.is_dir()) {
        remove_tree(place)?;
    }
    part.put()
}

fn error_of(fault: Fault, place: &Path) -> io::Error {
    let refused = |why: &str| io::Error::new(io::ErrorKind::InvalidData, format!("the archive is not unpacked: {why}"));
    match fault {
        Fault::Refused(why) => refused(&why),
        Fault::Damaged(why) => refused(&format!("it cannot be read: {why}")),
        Fault::Unwritable(error) => at(place, &error),
        Fault::Unwanted => io::ErrorKind::Interrupted.into(),
    }
}

fn at(place: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", place.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::Permissions;
    use std::io::{Seek, SeekFrom, Write};
    use std::os::unix::fs::{PermissionsExt, symlink};
    use zip::ZipWriter;
    use zip::write::SimpleFileOptions;

    type Zip = ZipWriter<File>;

    fn unpack(dir: &Path, fill: impl FnOnce(&mut Zip)) -> io::Result<Vec<PathBuf>> {
        let mut zip = ZipWriter::new(tempfile::tempfile().unwrap());
        fill(&mut zip);
        let mut file = zip.finish().unwrap();
        file.seek(SeekFrom::Start(0)).unwrap();
        Unpacking { folder: dir, bytes_max: 1 << 20, is_wanted: &|| true }.unpack(file)
    }

    fn add(zip: &mut Zip, name: &str, mode: u32, text: &str) {
        zip.start_file(name, SimpleFileOptions::default().unix_permissions(mode)).unwrap();
        zip.write_all(text.as_bytes()).unwrap();
    }

    fn link(zip: &mut Zip, name: &str, target: &str) {
        zip.add_symlink(name, target, SimpleFileOptions::default()).unwrap();
    }

    #[test]
    fn files_come_back_over_what_is_there_with_their_modes() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("a"), "old").unwrap();
        fs::write(dir.path().join("kept"), "old").unwrap();
        fs::create_dir(dir.path().join("was-folder")).unwrap();
        fs::write(dir.path().join("was-file"), "old").unwrap();
        unpack(dir.path(), |zip| {
            add(zip, "a", 0o500, "new");
            add(zip, "was-folder", 0o644, "new");
            add(zip, "was-file/x", 0o644, "new");
            zip.add_directory("shut/", SimpleFileOptions::default().unix_permissions(0o500)).unwrap();
            add(zip, "shut/in", 0o644, "new");
            link(zip, "link", "/anywhere");
        })
        .unwrap();
        for (name, text) in
            [("a", "new"), ("kept", "old"), ("was-folder", "new"), ("was-file/x", "new"), ("shut/in", "new")]
        {
            assert_eq!(fs::read_to_string(dir.path().join(name)).unwrap(), text, "{name}");
        }
        let mode = |name| fs::metadata(dir.path().join(name)).unwrap().permissions().mode() & 0o7777;
        assert_eq!((mode("a"), mode("shut")), (0o500, 0o500));
        assert_eq!(fs::read_link(dir.path().join("link")).unwrap(), Path::new("/anywhere"));
    }

    #[test]
    fn nothing_outside_is_touched() {
        for attack in 0..6 {
            let (dir, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
            let target = outside.path().to_str().unwrap().to_owned();
            fs::write(outside.path().join("f"), "kept").unwrap();
            fs::set_permissions(outside.path(), Permissions::from_mode(0o711)).unwrap();
            if attack == 3 {
                symlink(&target, dir.path().join("out")).unwrap();
            }
            let done = unpack(dir.path(), |zip| match attack {
                0 => add(zip, "../f", 0o644, "bad"),
                1 => add(zip, &format!("{target}/f"), 0o644, "bad"),
                2 => {
                    link(zip, "out", &target);
                    add(zip, "out/f", 0o644, "bad");
                }
                3 => add(zip, "out/f", 0o644, "bad"),
                4 => {
                    zip.add_directory("out/", SimpleFileOptions::default().unix_permissions(0o777)).unwrap();
                    link(zip, "out", &target);
                }
                _ => add(zip, "a/../../f", 0o644, "bad"),
            });
            assert_eq!(done.is_err(), [0, 1, 5].contains(&attack), "{attack}: {done:?}");
            assert_eq!(fs::read_to_string(outside.path().join("f")).unwrap(), "kept", "{attack}");
            assert_eq!(fs::metadata(outside.path()).unwrap().permissions().mode() & 0o777, 0o711, "{attack}");
            assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 1, "{attack}");
        }
    }

    #[test]
    fn what_git_runs_by_itself_is_left_out() {
        let dir = tempfile::tempdir().unwrap();
        let names =
            [".git/config", ".git/hooks/post-checkout", ".git/modules/a/config", ".git/commondir", ".git/lfs/x"];
        let left_out = unpack(dir.path(), |zip| names.iter().for_each(|name| add(zip, name, 0o755, "x"))).unwrap();
        assert_eq!(left_out, names[..4].iter().map(PathBuf::from).collect::<Vec<_>>());
        assert!(dir.path().join(".git/lfs/x").exists() && !dir.path().join(".git/config").exists());
        let left_out = unpack(dir.path(), |zip| link(zip, ".git", "/")).unwrap();
        assert_eq!(left_out, [PathBuf::from(".git")]);
    }

    #[test]
    fn too_much_is_refused_before_anything_is_written() {
        let dir = tempfile::tempdir().unwrap();
        let text = "x".repeat(600 << 10);
        let done = unpack(dir.path(), |zip| ["a", "b"].iter().for_each(|name| add(zip, name, 0o644, &text)));
        assert!(done.is_err() && fs::read_dir(dir.path()).unwrap().count() == 0);
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"no archive").unwrap();
        assert!(Unpacking { folder: dir.path(), bytes_max: 1, is_wanted: &|| true }.unpack(file).is_err());
    }
}
