//! The files of one commit, for the meaning of a configuration in it.

use crate::error::{Error, Result};
use crate::git::Contents;
use crate::gitlab_ci::surroundings::{Base, Changes, Elsewhere, Refusal, Surroundings, refusal};
use crate::gitlab_ci::yaml::FILE_BYTES_MAX;
use std::cell::{Cell, RefCell};
use std::sync::Arc;

/// Bytes of a file that is read: one more than a configuration may have, so that it is refused as too big.
pub const BYTES_MAX: u64 = FILE_BYTES_MAX as u64 + 1;

/// A commit, of which nothing is known but what it holds.
pub struct CommitFiles {
    contents: RefCell<Option<Contents>>,
    paths: Arc<Vec<String>>,
    failed: RefCell<Option<Error>>,
    is_history_missed: Cell<bool>,
}

impl CommitFiles {
    /// The files of this commit.
    pub fn of(contents: Contents) -> CommitFiles {
        CommitFiles {
            paths: Arc::new(contents.paths().map(ToOwned::to_owned).collect()),
            contents: RefCell::new(Some(contents)),
            ..CommitFiles::none()
        }
    }

    /// No files.
    pub fn none() -> CommitFiles {
        CommitFiles {
            contents: RefCell::default(),
            paths: Arc::default(),
            failed: RefCell::default(),
            is_history_missed: Cell::default(),
        }
    }

    /// What git could not answer, if there was something: then nothing that was made of its answers counts.
    ///
    /// # Errors
    /// Just that.
    pub fn check(&self) -> Result<()> {
        self.failed.borrow_mut().take().map_or(Ok(()), Err)
    }

    /// The value of an answer; a failure is kept for [`CommitFiles::check`].
    pub fn or_keep<T>(&self, answer: Result<Option<T>>) -> Option<T> {
        answer.unwrap_or_else(|error| {
            self.failed.borrow_mut().get_or_insert(error);
            None
        })
    }

    /// Paths that differ from those of another commit; `None`: it is not here.
    ///
    /// # Errors
    /// Git's.
    pub fn changed_since(&self, base: &str) -> Result<Option<Vec<String>>> {
        self.contents.borrow().as_ref().map_or(Ok(None), |contents| contents.changed_since(base))
    }

    /// These warnings, and one more if something was asked that only the history knows.
    pub fn warnings(&self, mut warnings: Vec<String>) -> Vec<String> {
        if self.is_history_missed.get() {
            warnings.push("`changes` with `compare_to` holds: only the commit itself was fetched".to_owned());
        }
        warnings
    }
}

impl Surroundings for CommitFiles {
    fn file(&self, path: &str) -> Option<Vec<u8>> {
        self.or_keep(self.contents.borrow_mut().as_mut()?.read(path, BYTES_MAX))
    }

    fn paths(&self) -> Arc<Vec<String>> {
        Arc::clone(&self.paths)
    }

    fn changes(&self, base: Base<'_>) -> Changes {
        if matches!(base, Base::Ref(_)) {
            self.is_history_missed.set(true);
        }
        Changes::Unknown
    }

    fn last_commits(&self, paths: &[String]) -> Vec<String> {
        let contents = self.contents.borrow();
        let names = contents.as_ref().map(|contents| contents.last_commits(paths)).transpose();
        self.or_keep(names).unwrap_or_default()
    }

    /// Nothing: a server reads no files of other projects, and gives no advice that only a command line can take.
    fn elsewhere(&self, file: Elsewhere<'_>) -> std::result::Result<Vec<u8>, Refusal> {
        Err(Refusal { hint: None, ..refusal(file) })
    }
}
