//! What a runner gets of a checkout when it fetches the present commit, and what it does not.

use super::checkout::{Checkout, path};
use super::program::Git;
use crate::domain::file_url::{path_in_url, repository_url};
use crate::error::Result;
use std::path::Path;

/// What is not part of a build of the commit.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Uncommitted {
    /// Files that git knows and that are not as in the commit.
    pub changed: u64,
    /// Files and folders that git does not know, without those that it is to ignore.
    pub unknown: u64,
}

impl Uncommitted {
    /// The same in words, if there is anything.
    #[must_use]
    pub fn in_words(&self) -> Option<String> {
        let files = |count: u64, kind: &str| match count {
            0 => None,
            1 => Some(format!("1 {kind} file")),
            _ => Some(format!("{count} {kind} files")),
        };
        let parts: Vec<String> =
            [files(self.changed, "changed"), files(self.unknown, "new")].into_iter().flatten().collect();
        (!parts.is_empty()).then(|| parts.join(" and "))
    }
}

impl Checkout {
    /// Where a runner on this machine fetches the commit from.
    #[must_use]
    pub fn url(&self) -> String {
        repository_url(&self.top)
    }

    /// Whether this URL, or path, is that of this checkout.
    #[must_use]
    pub fn is_at(&self, url: &str) -> bool {
        let place = url.trim_end_matches('/').trim_end_matches("/.git");
        let bare = ["file://localhost", "file://"].iter().find_map(|begin| place.strip_prefix(begin));
        Path::new(place) == self.top || bare == Some(&path_in_url(&self.top))
    }

    /// What is not part of a build of the commit. `data` is the data directory, which nobody wants to commit.
    ///
    /// # Errors
    /// Git's.
    pub fn uncommitted(&self, data: &Path) -> Result<Uncommitted> {
        let mut found = Uncommitted::default();
        if !self.has_work_tree {
            return Ok(found);
        }
        let data = std::fs::canonicalize(data).unwrap_or_else(|_| data.to_owned());
        let list = self.git().ask(&["status", "--porcelain", "-z", "--no-renames"])?;
        for entry in list.split(|&byte| byte == 0).filter(|entry| !entry.is_empty()) {
            match entry.strip_prefix(b"?? ") {
                Some(name) if self.top.join(path(name)) == data => {}
                Some(_) => found.unknown += 1,
                None => found.changed += 1,
            }
        }
        Ok(found)
    }

    /// Whether a branch or a tag of the repository has the present commit: others only a clone finds, not a fetch.
    ///
    /// # Errors
    /// Git's.
    pub fn is_kept(&self) -> Result<bool> {
        self.is_on(&["refs/heads", "refs/tags"])
    }

    /// Whether the commit is on a branch of a remote repository, as far as this one knows.
    ///
    /// # Errors
    /// Git's.
    pub fn is_pushed(&self) -> Result<bool> {
        self.is_on(&["refs/remotes"])
    }

    /// Whether one of these kinds of refs has the present commit.
    fn is_on(&self, kinds: &[&str]) -> Result<bool> {
        let words = [&["for-each-ref", "--count=1", "--contains", "HEAD"], kinds].concat();
        Ok(!self.git().ask(&words)?.is_empty())
    }

    /// Whether the commit has the folder that was looked at.
    ///
    /// # Errors
    /// Git's.
    pub fn has_folder(&self) -> Result<bool> {
        if self.below.as_os_str().is_empty() {
            return Ok(true);
        }
        match self.below.to_str() {
            Some(name) => {
                let kind = self.git().ask_maybe(&["cat-file", "-t", &format!("HEAD:{name}")])?;
                Ok(kind.is_some_and(|kind| kind == b"tree"))
            }
            // Only as a path of the file system; what has a file in the commit is a folder of it.
            None => Ok(!Git::of_checkout(&self.top.join(&self.below)).ask(&["ls-tree", "HEAD", "."])?.is_empty()),
        }
    }

    /// Whether objects of the present commit or of those before it are missing, as in a partial clone: git does not hand
    /// such a repository on.
    ///
    /// # Errors
    /// Git's.
    pub fn lacks_objects(&self) -> Result<bool> {
        if !self.settings()?.is_partial {
            return Ok(false);
        }
        let list = self.git().ask(&["rev-list", "--objects", "--missing=print", "HEAD"])?;
        Ok(list.split(|&byte| byte == b'\n').any(|line| line.starts_with(b"?")))
    }

    /// Whether the commit has submodules.
    ///
    /// # Errors
    /// Git's.
    pub fn has_submodules(&self) -> Result<bool> {
        Ok(self.git().ask_maybe(&["cat-file", "-e", "HEAD:.gitmodules"])?.is_some())
    }
}
