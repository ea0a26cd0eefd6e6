//! A data directory for a while: for test suites, which want a server of their own and nothing left of it.

use crate::domain::token::{hex, random};
use crate::error::{Error, Result};
use std::fs::{self, DirBuilder};
use std::io::{self, ErrorKind};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// How often a removal is tried, during which threads that still end may make files.
const TRIES_MAX: u32 = 10;

/// A new directory that only its owner can look into. It goes with this value.
#[derive(Debug)]
pub struct Ephemeral(PathBuf);

impl Ephemeral {
    /// Makes one below `$TMPDIR`, or `/tmp`.
    ///
    /// # Errors
    /// If there is no room for it.
    pub fn new() -> Result<Ephemeral> {
        Ephemeral::below(&std::env::temp_dir())
    }

    /// Makes one below `parent`.
    ///
    /// # Errors
    /// If there is no room for it.
    pub fn below(parent: &Path) -> Result<Ephemeral> {
        let number = random::<8>().map_err(Error::internal)?;
        let path = parent.join(format!("baton-{}", hex(&number)));
        let failed = |error| {
            Error::invalid(format!("cannot make {}: {error}; TMPDIR or an option names another place", path.display()))
        };
        // Fails if there is something of this name, and so does not step into a trap.
        DirBuilder::new().mode(0o700).create(&path).map_err(failed)?;
        let path = fs::canonicalize(&path).map_err(failed)?;
        Ok(Ephemeral(path))
    }

    /// Where it is, from the root.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Ephemeral {
    fn drop(&mut self) {
        if let Err(error) = remove(&self.0) {
            log::warn!("cannot remove {}: {error}", self.0.display());
        }
    }
}

/// Removes a directory that was made as [`Ephemeral`], for a process that does not hold the value.
///
/// # Errors
/// If something of it is left.
pub fn remove(path: &Path) -> io::Result<()> {
    let mut result = Ok(());
    for _ in 0..TRIES_MAX {
        result = match fs::remove_dir_all(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            result => result,
        };
        if result.is_ok() {
            break;
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn it_is_the_owners_alone_and_goes_with_all_that_is_in_it() {
        let parent = tempfile::tempdir().unwrap();
        let (one, other) = (Ephemeral::below(parent.path()).unwrap(), Ephemeral::below(parent.path()).unwrap());
        assert_ne!(one.path(), other.path());
        assert_eq!(fs::metadata(one.path()).unwrap().permissions().mode() & 0o7777, 0o700);
        fs::create_dir(one.path().join("artifacts")).unwrap();
        fs::write(one.path().join("artifacts/file"), "").unwrap();
        let path = one.path().to_owned();
        drop(one);
        assert!(!path.exists() && other.path().exists());
        // Somebody else was faster.
        remove(other.path()).unwrap();
        remove(other.path()).unwrap();
    }

    #[test]
    fn a_parent_that_is_not_there_is_named() {
        let error = Ephemeral::below(Path::new("/none/there")).unwrap_err();
        assert!(error.message.contains("/none/there/baton-") && error.message.contains("TMPDIR"), "{error}");
    }
}
