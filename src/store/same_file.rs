//! Whether a path still leads to what was opened there: data is moved, removed and replaced under running processes.
//!
//! What must stay true: nothing is acknowledged that was written to a file which its path does not name any more.

use crate::error::{Error, Result};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A path, and what it named when it was looked at first.
#[derive(Clone, Debug)]
pub struct SameFile {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl SameFile {
    /// What `path` names now.
    ///
    /// # Errors
    /// If it names nothing that can be seen.
    pub fn of(path: &Path) -> Result<SameFile> {
        let found = fs::metadata(path).map_err(|error| unseen(path, &error))?;
        Ok(SameFile { path: path.to_owned(), device: found.dev(), inode: found.ino() })
    }

    /// Whether the path still names the same.
    ///
    /// # Errors
    /// If not: the sentence says what has happened, and what to do. A file system that gives no answer is no reason.
    pub fn check(&self) -> Result<()> {
        let what = match fs::metadata(&self.path) {
            Ok(found) if (found.dev(), found.ino()) == (self.device, self.inode) => return Ok(()),
            Ok(_) => "was replaced by another",
            Err(error) if matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) => {
                "was moved or removed"
            }
            Err(_) => return Ok(()),
        };
        Err(Error::internal(format!(
            "{} {what} while it was in use, so that nothing more is stored; what was acknowledged before is in the one \
             that was there: stop Baton before data is moved, put the right data in place, and start `baton serve` anew",
            self.path.display()
        )))
    }
}

fn unseen(path: &Path, error: &std::io::Error) -> Error {
    Error::internal(format!("cannot look at {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Store;
    use std::os::unix::fs::symlink;

    #[test]
    fn nothing_is_acknowledged_once_the_path_names_another_file_or_none() {
        let write =
            |store: &Store| store.write(|c| Ok(c.execute_batch("UPDATE queue_state SET generation = generation + 1")?));
        type Deed = fn(&Path);
        let deeds: [(&str, Deed); 4] = [
            ("removed", |data| fs::remove_file(data.join("baton.db")).unwrap()),
            ("all removed", |data| fs::remove_dir_all(data).unwrap()),
            ("replaced", |data| {
                fs::copy(data.join("baton.db"), data.join("copy")).unwrap();
                fs::rename(data.join("copy"), data.join("baton.db")).unwrap();
            }),
            ("replaced by a link", |data| {
                let old = data.with_extension("old");
                fs::rename(data, &old).unwrap();
                fs::create_dir(data.with_extension("new")).unwrap();
                fs::copy(old.join("baton.db"), data.with_extension("new").join("baton.db")).unwrap();
                symlink(data.with_extension("new"), data).unwrap();
            }),
        ];
        for (name, deed) in deeds {
            let dir = tempfile::tempdir().unwrap();
            let data = dir.path().join("data");
            fs::create_dir(&data).unwrap();
            let store = Store::open(&data.join("baton.db")).unwrap();
            write(&store).unwrap();
            deed(&data);
            let error = write(&store).expect_err(name);
            assert!(error.message.contains("baton.db was "), "{name}: {}", error.message);
        }
    }

    #[test]
    fn a_file_that_is_written_and_a_folder_that_was_moved_back_are_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let (data, aside) = (dir.path().join("data"), dir.path().join("aside"));
        fs::create_dir(&data).unwrap();
        let place = SameFile::of(&data).unwrap();
        fs::write(data.join("file"), b"x").unwrap();
        place.check().unwrap();
        fs::rename(&data, &aside).unwrap();
        assert!(place.check().is_err());
        fs::rename(&aside, &data).unwrap();
        place.check().unwrap();
    }
}
