//! The deeds: one function each, whoever asks for it, be it HTTP, the command line or the timer.
//!
//! What must stay true: a deed that answers `Ok` is durable; it decides inside one transaction, on what that
//! transaction reads; absent rows become errors here and nowhere below.

mod artifacts;
mod auth;
mod builds;
mod claim;
mod health;
mod projects;
mod runners;
mod trace;

pub use artifacts::{Download, Upload};
pub use builds::{BuildReport, Queued};
pub use claim::{Assigned, Claim, Dependency};
pub use runners::Registration;
pub use trace::{Patched, Updated};

use crate::artifacts::Artifacts;
use crate::error::Result;
use crate::limits::Limits;
use crate::store::Store;
use crate::store::queue::QueueKey;
use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::Arc;

/// A data directory, opened: what every deed works on. All methods may be called from any thread.
pub struct Coordinator {
    store: Store,
    artifacts: Artifacts,
    queue_key: QueueKey,
    profiles: Arc<claim::Profiles>,
    limits: Limits,
}

impl Coordinator {
    /// Opens the data directory `data`; makes it, for its owner only, if there is none.
    ///
    /// # Errors
    /// If it cannot be made or read, or holds something that is not Baton's.
    pub fn open(data: &Path, limits: Limits) -> Result<Coordinator> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(data)?;
        let store = Store::open(&data.join("baton.db"))?;
        let queue_key = store.read(QueueKey::load)?;
        Ok(Coordinator {
            artifacts: Artifacts::open(data.join("artifacts"))?,
            queue_key,
            profiles: Arc::default(),
            store,
            limits,
        })
    }

    /// The limits that this was opened with.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The folder of artifacts.
    #[must_use]
    pub fn artifacts(&self) -> &Artifacts {
        &self.artifacts
    }

    /// Removes files that a crash left behind. Only for a server's start, before anything is received.
    ///
    /// # Errors
    /// The database's or the file system's.
    pub fn clean_up(&self) -> Result<usize> {
        let named = self.store.read(crate::store::artifacts::all_files)?;
        self.artifacts.sweep(&named)
    }
}
