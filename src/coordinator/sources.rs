//! Sources that Baton itself hands to builds: the repositories of snapshots below `sources/`, which build may have which, and
//! how they go.

use super::Coordinator;
use crate::domain::build::BuildId;
use crate::domain::file_url::path_in_url;
use crate::domain::time::Timestamp;
use crate::domain::token::Token;
use crate::error::{Error, Kind, Result};
use crate::git::snapshot::is_key;
use crate::store::{builds, pipelines};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Repositories without a row that are younger than this may be about to get one.
const UNNAMED_TIME_MIN: Duration = Duration::from_secs(3600);

/// What a build may fetch.
#[derive(Debug, PartialEq, Eq)]
pub struct Source {
    /// The build.
    pub build: BuildId,
    /// The repository.
    pub dir: PathBuf,
}

impl Coordinator {
    /// The folder of snapshots' repositories: by a path that holds in any directory, since git is called in others.
    #[must_use]
    pub fn sources_dir(&self) -> PathBuf {
        let dir = self.data().join("sources");
        std::path::absolute(&dir).unwrap_or(dir)
    }

    /// What the holder of this token may fetch from this project, which is written as in a URL: the sources of a build while
    /// it runs. That is a sign of its life.
    ///
    /// # Errors
    /// [`Kind::Forbidden`] for a token that is no running build's; [`Kind::NotFound`] for another project, and for a build
    /// whose sources are elsewhere.
    pub fn source_for(&self, token: Option<&Token>, project: &str, now: Timestamp) -> Result<Source> {
        let forbidden = || Error::new(Kind::Forbidden, "this is the token of no running build");
        let hash = token.ok_or_else(forbidden)?.hash();
        let (build, source) = self.store.read(|c| {
            let id = builds::running_by_token(c, hash)?.ok_or_else(forbidden)?;
            let build = builds::state(c, id)?.filter(|build| build.erased_at.is_none()).ok_or_else(forbidden)?;
            Ok((build, pipelines::of_build(c, id)?))
        })?;
        self.note_life(&build, now)?;
        let nothing = || Error::not_found("this build has no sources here");
        let source = source.filter(|source| path_in_url(Path::new(&source.project)) == project).ok_or_else(nothing)?;
        let key = source.sources_key.filter(|key| is_key(key)).ok_or_else(nothing)?;
        Ok(Source { build: build.id, dir: self.sources_dir().join(key) })
    }

    /// Removes a snapshot's repository. One that is gone is no error.
    ///
    /// # Errors
    /// The file system's; [`Kind::Invalid`] for what is no key.
    pub fn remove_sources(&self, key: &str) -> Result<()> {
        if !is_key(key) {
            return Err(Error::invalid("this is no key of sources"));
        }
        let dir = self.sources_dir().join(key);
        match fs::remove_dir_all(&dir) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(Error::file(&dir, &error)),
            _ => Ok(()),
        }
    }

    /// Removes the repositories that no row names any more; how many that were.
    pub fn sweep_sources(&self) -> Result<usize> {
        let dir = self.sources_dir();
        let entries = match fs::read_dir(&dir) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(0),
            entries => entries.map_err(|error| Error::file(&dir, &error))?,
        };
        let mut old = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|error| Error::file(&dir, &error))?;
            let age = entry
                .metadata()
                .and_then(|about| about.modified())
                .ok()
                .and_then(|at| SystemTime::now().duration_since(at).ok());
            if age.is_some_and(|age| age >= UNNAMED_TIME_MIN) {
                old.extend(entry.file_name().into_string().ok().filter(|name| is_key(name)));
            }
        }
        let mut removed = 0;
        for key in old {
            if !self.store.read(|c| pipelines::has_sources_key(c, &key))? {
                self.remove_sources(&key)?;
                removed += 1;
            }
        }
        Ok(removed)
    }
}
