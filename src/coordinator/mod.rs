//! The deeds: one function each, whoever asks for it, be it HTTP, the command line or the timer.
//!
//! What must stay true: a deed that answers `Ok` is durable; it decides inside one transaction, on what that
//! transaction reads; absent rows become errors here and nowhere below.

mod access_tokens;
mod archive;
mod artifacts;
mod auth;
mod builds;
mod copy;
mod deed;
mod disk_room;
mod hand_out;
mod log_view;
mod look;
mod pipelines;
mod project_by_name;
mod project_variables;
mod projects;
mod registration_tokens;
mod report;
mod runners;
mod sessions;
mod signs_of_life;
mod sources;
pub mod start;
mod triggers;
mod upkeep;
mod uploaded_reports;
mod view;
mod watchers;

pub use crate::store::invariants::Problem;
pub use access_tokens::NewAccessToken;
pub use archive::ArchiveFile;
pub use artifacts::{Download, Upload};
pub use builds::{BuildReport, Cancel, Queued};
pub use copy::backup::{Backup, backup};
pub use copy::check::{Checked, check};
pub use deed::{Deed, Tried};
pub use hand_out::claim::{Assigned, Claim, Dependency};
pub use hand_out::told::Nothing;
pub use hand_out::waiting::Waiting;
pub use log_view::{LogBegin, LogBytes, LogFacts, LogPart, LogStand, OrSoon, Soon};
pub use look::disk_use::{DiskUse, Taken};
pub use look::health::{Counts, Disk, Readiness};
pub use look::jobs::{JobReport, JobsFound};
pub use look::pipelines::{PipelineOrder, PipelinesFound, PipelinesPage};
pub use look::status::{Running, Standing};
pub use pipelines::{Added, NewPipeline, PipelineMark, PipelineReport};
pub use project_variables::Presence;
pub use projects::{ProjectChange, RemovedProject};
pub use report::end::{Report, Told, Updated};
pub use report::piece::Patched;
pub use report::read::NumberedPiece;
pub use runners::{Registration, RunnerChange};
pub use sessions::{LINK_TIME, SESSION_TIME, Session};
pub use sources::Source;
pub use start::{LintRequest, LintSubject, Linted, PipelineRequest, StartOutcome};
pub use triggers::TriggeredBy;
pub use upkeep::lost_builds::Swept;
pub use upkeep::own_runners::OwnRunner;
pub use upkeep::retention::Removal;
pub use upkeep::serving::{Reached, Serving, is_served, reached};
pub use view::job::JobView;
pub use view::overview::{Overview, RunningJob};
pub use view::pipeline::{Child, PipelineView};
pub use view::pipelines::{HISTORY, History, PipelineLine, PipelinePage, PipelinesOf};
pub use view::runners::{RunnerLine, RunnersView};
pub use view::search::Hits;
pub use watchers::Watching;

use crate::artifacts::Artifacts;
use crate::domain::build::ProjectId;
use crate::error::{Error, Result};
use crate::limits::Limits;
use crate::seats::Seats;
use crate::store::Store;
use crate::store::changes::SOCKET;
use crate::store::queue::QueueKey;
use nix::errno::Errno;
use nix::unistd::{AccessFlags, access};
use std::fs::{self, OpenOptions};
use std::io::ErrorKind;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// A data directory, opened: what every deed works on. All methods may be called from any thread.
pub struct Coordinator {
    data: PathBuf,
    store: Arc<Store>,
    artifacts: Artifacts,
    queue_key: QueueKey,
    profiles: Arc<hand_out::claim::Profiles>,
    told: Arc<hand_out::told::ToldRunners>,
    waiting: hand_out::waiting::WaitingRoom,
    maskers: Arc<report::maskers::Maskers>,
    spared: report::whole::SparedNumbers,
    health: look::health::Health,
    walk: upkeep::retention::Walk,
    cascade: builds::cascade::Walk,
    looked: upkeep::lost_builds::Looked,
    watchers: Arc<watchers::Watchers>,
    log_indices: log_view::LogIndices,
    starts: Seats<Option<ProjectId>>,
    /// Whether calls of git that ask others are to end.
    is_stopping: Arc<AtomicBool>,
    limits: Limits,
}

impl Coordinator {
    /// Opens the data directory `data`; makes it, for its owner only, if there is none.
    ///
    /// # Errors
    /// If it cannot be made or read, or holds something that is not Baton's.
    pub fn open(data: &Path, limits: Limits) -> Result<Coordinator> {
        let is_new = make_private(data)?;
        let store = Store::open(&data.join("baton.db"))?;
        let coordinator = Coordinator::of(data, store, limits)?;
        if is_new {
            // Else a loss of power could take the new names, and with them what was acknowledged.
            let parent = data.parent().filter(|parent| !parent.as_os_str().is_empty());
            for folder in [data, parent.unwrap_or(Path::new("."))] {
                fs::File::open(folder)?.sync_all()?;
            }
        }
        Ok(coordinator)
    }

    /// Opens a data directory for a command that only reads: makes none, and changes nothing where nothing can be written.
    ///
    /// # Errors
    /// [`crate::error::Kind::NotFound`] if there is nothing; as [`Coordinator::open`].
    pub fn open_to_read(data: &Path, limits: Limits) -> Result<Coordinator> {
        let database = data.join("baton.db");
        match fs::metadata(&database) {
            Ok(_) => {}
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                if data.is_dir() {
                    refuse_other_things(data)?;
                }
                let advice = "`baton serve` makes one; --data names another";
                return Err(Error::not_found(format!(
                    "there is no data of Baton in it, since it has no baton.db: {advice}"
                )));
            }
            Err(error) => return Err(Error::file(&database, &error)),
        }
        if access(data, AccessFlags::W_OK).is_ok() {
            return Coordinator::open(data, limits);
        }
        Coordinator::of(data, Store::open_fixed(&database)?, limits)
    }

    fn of(data: &Path, store: Store, limits: Limits) -> Result<Coordinator> {
        let queue_key = store.read(QueueKey::load)?;
        let artifacts = Artifacts::open(data.join("artifacts"))?;
        Ok(Coordinator {
            data: data.to_owned(),
            artifacts,
            queue_key,
            profiles: Arc::default(),
            maskers: Arc::default(),
            told: Arc::default(),
            waiting: hand_out::waiting::WaitingRoom::default(),
            spared: report::whole::SparedNumbers::default(),
            health: look::health::Health::default(),
            walk: upkeep::retention::Walk::default(),
            cascade: builds::cascade::Walk::default(),
            looked: upkeep::lost_builds::Looked::default(),
            watchers: Arc::default(),
            log_indices: log_view::LogIndices::default(),
            starts: Seats::new("commits are fetched", limits.starts_max, limits.starts_per_project_max),
            is_stopping: Arc::default(),
            store: Arc::new(store),
            limits,
        })
    }

    /// The limits that this was opened with.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The data directory, as it was named when it was opened.
    #[must_use]
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// The folder of artifacts.
    #[must_use]
    pub fn artifacts(&self) -> &Artifacts {
        &self.artifacts
    }
}

/// Refuses a folder that holds something, and no data of ours.
fn refuse_other_things(data: &Path) -> Result<()> {
    let entries = fs::read_dir(data).map_err(|error| Error::file(data, &error))?;
    let Some(other) = entries.flatten().find(|entry| entry.file_name() != "lost+found") else { return Ok(()) };
    let (data, other) = (data.display(), other.file_name());
    Err(Error::invalid(format!("{data} has no baton.db, but holds {other:?}; choose an empty or new directory")))
}

/// Makes the data directory and an empty database file if there are none, and takes from others what rights
/// they have on them: both hold tokens. Says whether something is new in the directory.
fn make_private(data: &Path) -> Result<bool> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(data).map_err(|error| Error::file(data, &error))?;
    if access(data, AccessFlags::W_OK) == Err(Errno::EROFS) {
        return Err(Error::file(data, &Errno::EROFS.into()));
    }
    let database = data.join("baton.db");
    let is_new = !database.exists() || !data.join("artifacts").exists();
    if !database.exists() {
        // Else `--data .` would take a folder of other things from everybody else.
        refuse_other_things(data)?;
    }
    // Only if there is none: closing a file that SQLite has open elsewhere in this process would end its locks.
    let create = |path: &Path| OpenOptions::new().create_new(true).write(true).mode(0o600).open(path);
    match create(&database) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => return Err(Error::file(&database, &error)),
        // In a checkout, `git add .` would take the tokens along. Nobody needs this file elsewhere.
        Ok(_) => drop(create(&data.join(".gitignore")).and_then(|mut file| file.write_all(b"*\n"))),
        Err(_) => {}
    }
    let beside = ["baton.db-wal", "baton.db-shm", "artifacts", "serve.lock", SOCKET].map(|name| data.join(name));
    for path in [data.to_owned(), database].iter().chain(&beside) {
        let Ok(metadata) = fs::metadata(path) else { continue };
        let wide = metadata.permissions().mode() & 0o077;
        if wide != 0 {
            let own = metadata.permissions().mode() & 0o700;
            fs::set_permissions(path, fs::Permissions::from_mode(own)).map_err(|error| {
                let advice = format!("others may use {} ({wide:03o}), which holds secrets", path.display());
                Error::invalid(format!("{advice}; taking that right away failed: {error}"))
            })?;
            log::warn!("took the rights of others ({wide:03o}) on {} away", path.display());
        }
    }
    Ok(is_new)
}
