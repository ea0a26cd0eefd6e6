//! Artifacts: the right to upload, the upload, the download, the removal.

use super::Coordinator;
use super::auth::{Purpose, build_for};
use super::hand_out::claim::{Assigned, assigned};
use super::signs_of_life::{is_due, touch};
use super::uploaded_reports::read_dotenv;
use crate::artifacts::{Received, Unreadable, check_size};
use crate::domain::build::{ArtifactsFile, BuildId, Status};
use crate::domain::spec::{ArtifactFormat, ArtifactKind};
use crate::domain::text::duration::parse_keeping;
use crate::domain::time::Timestamp;
use crate::domain::token::Shown;
use crate::error::{Error, Kind, Result};
use crate::limits::UPLOAD_KINDS_MAX;
use crate::store::artifacts::{self, Files, Stored};
use crate::store::builds::{self, BuildState};
use crate::store::dotenv;
use rusqlite::Connection;
use std::fs::File;
use std::io::Read;
use std::time::Duration;

/// What was received of an upload.
pub struct Upload {
    /// The archive, or which report.
    pub kind: ArtifactKind,
    /// How the client says that it is packed; `None`: as usual.
    pub format: Option<ArtifactFormat>,
    /// The file.
    pub file: Received,
    /// What the client calls it, made safe.
    pub filename: String,
    /// The optional second file.
    pub metadata: Option<Received>,
    /// How long to keep it, in the client's words; `None`: as the build's options say, else as the server does.
    pub expire_in: Option<String>,
}

/// Artifacts, ready to be sent.
pub struct Download {
    /// What they are.
    pub artifacts: ArtifactsFile,
    /// Their bytes.
    pub file: File,
}

impl Coordinator {
    /// Says whether this build may upload artifacts now, `filesize` bytes if the client says so.
    ///
    /// # Errors
    /// [`Kind::NotFound`], [`Kind::Forbidden`], [`Kind::TooLarge`], [`Kind::DiskFull`].
    pub fn authorize_upload(&self, id: BuildId, shown: &Shown, filesize: Option<u64>, now: Timestamp) -> Result<()> {
        let build = self.store.read(|c| running_build(c, id, shown))?;
        self.note_life(&build, now)?;
        if let Some(bytes) = filesize {
            let fits = check_size(bytes, self.limits().artifacts_bytes_max);
            self.note_too_large(id, fits, now)?;
        }
        self.check_room()
    }

    /// Receives a file of an upload that was authorized; it must have less than `bytes_below` bytes.
    ///
    /// # Errors
    /// As [`crate::artifacts::Artifacts::receive`].
    pub fn receive_file(
        &self,
        id: BuildId,
        data: &mut dyn Read,
        unreadable: Unreadable,
        bytes_below: u64,
        now: Timestamp,
    ) -> Result<Received> {
        let reserve = self.limits().disk_reserve_bytes;
        let received = self.artifacts.receive(id, data, unreadable, bytes_below, reserve);
        self.note_too_large(id, received, now)
    }

    /// Has a build whose artifacts are refused for their size fail for that reason, if it fails.
    fn note_too_large<T>(&self, id: BuildId, result: Result<T>, now: Timestamp) -> Result<T> {
        if result.as_ref().is_err_and(|error| error.kind == Kind::TooLarge) {
            self.store.write(move |c| builds::note_refused_artifacts(c, id, Some(now)))?;
        }
        result
    }

    /// Notes that a running build's runner lives. Any authenticated call for the build says so.
    pub fn note_life(&self, build: &BuildState, now: Timestamp) -> Result<()> {
        let (build, step) = (build.clone(), self.limits().seen_step());
        if is_due(&build, step, now) {
            self.store.write(move |c| builds::touch(c, build.id, now))?;
        }
        Ok(())
    }

    /// The same in the middle of an upload that was authorized when it began.
    pub fn note_upload(&self, id: BuildId, now: Timestamp) -> Result<()> {
        match self.store.read(|c| builds::state(c, id))? {
            Some(build) => self.note_life(&build, now),
            None => Ok(()),
        }
    }

    /// Makes a received upload the build's artifacts of its kind, in the place of earlier ones, in one step.
    /// The same bytes once more leave the earlier ones in place: an answer was lost.
    ///
    /// # Errors
    /// [`Kind::NotFound`], [`Kind::Forbidden`]; [`Kind::Invalid`] for an `expire_in` that is no duration, a format that is
    /// not the kind's, a dotenv report that is none, and one kind too many. Nothing is left of the upload then, and
    /// earlier artifacts stay.
    pub fn put_artifacts(&self, id: BuildId, shown: Shown, mut upload: Upload, now: Timestamp) -> Result<Assigned> {
        let format = upload.kind.packed(upload.format).map_err(Error::invalid)?;
        let variables = if upload.kind.is_dotenv() { Some(read_dotenv(&upload.file)?) } else { None };
        let path = upload.file.settle()?;
        let metadata_path = upload.metadata.as_mut().map(Received::settle).transpose()?;
        let (size, sha256) = (upload.file.size, upload.file.sha256);
        let file = ArtifactsFile { path, filename: upload.filename, size, sha256, expire_at: None };
        let mut new = Stored { id, kind: upload.kind, format, file, metadata_path, uploaded_at: now };
        let (expire_in, step, keep) = (upload.expire_in, self.limits().seen_step(), self.limits().keep_artifacts);
        let (answer, old) = self.store.write(move |c| {
            let build = running_build(c, id, &shown)?;
            new.file.expire_at = expire_at(c, &new, expire_in.as_deref(), keep, now)?;
            if let Some(variables) = &variables {
                dotenv::replace(c, id, variables)?;
            }
            let old = place(c, &new)?;
            if new.kind == ArtifactKind::archive() {
                builds::note_refused_artifacts(c, id, None)?;
            }
            touch(c, &build, step, now)?;
            let own = builds::token(c, id)?;
            Ok((assigned(c, id, own, now)?, old))
        })?;
        let Some(old) = old else { return Ok(answer) };
        upload.file.keep();
        if let Some(metadata) = upload.metadata {
            metadata.keep();
        }
        self.artifacts.remove(&old);
        Ok(answer)
    }

    /// A build's archive, for whoever may read it, whatever the build's state.
    ///
    /// # Errors
    /// [`Kind::NotFound`] for an unknown build and for artifacts that are none or expired;
    /// [`Kind::Forbidden`].
    pub fn get_artifacts(&self, id: BuildId, shown: &Shown, now: Timestamp) -> Result<Download> {
        let build = self.store.read(|c| build_for(c, id, shown, Purpose::ReadArtifacts))?;
        self.note_life(&build, now)?;
        let check = |c: &Connection| build_for(c, id, shown, Purpose::ReadArtifacts).map(drop);
        let (stored, file) = self.open_artifacts(id, &ArtifactKind::archive(), now, check)?;
        Ok(Download { artifacts: stored.file, file })
    }

    /// A build's artifacts of a kind, for the operator.
    ///
    /// # Errors
    /// [`Kind::NotFound`] says whether the build or its artifacts are missing.
    pub fn operator_artifacts(&self, id: BuildId, kind: &ArtifactKind, now: Timestamp) -> Result<Download> {
        let (stored, file) = self.operator_opened(id, kind, now)?;
        Ok(Download { artifacts: stored.file, file })
    }

    /// The same with all that is stored of them.
    ///
    /// # Errors
    /// As [`Coordinator::operator_artifacts`].
    pub(super) fn operator_opened(&self, id: BuildId, kind: &ArtifactKind, now: Timestamp) -> Result<(Stored, File)> {
        self.open_artifacts(id, kind, now, |c| {
            builds::state(c, id)?.map(drop).ok_or_else(|| super::builds::no_such(id))
        })
    }

    fn open_artifacts(
        &self,
        id: BuildId,
        kind: &ArtifactKind,
        now: Timestamp,
        check: impl Fn(&Connection) -> Result<()>,
    ) -> Result<(Stored, File)> {
        // Between the row and the file, a new upload may replace both: then the row is read again.
        let mut tries = 3;
        loop {
            let stored = self.store.read(|c| {
                check(c)?;
                artifacts::of_build(c, id, kind, now)?.ok_or_else(|| none_of(kind, id))
            })?;
            match self.artifacts.file(&stored.file.path) {
                Ok(file) => return Ok((stored, file)),
                Err(error) if tries == 0 => return Err(error),
                Err(_) => tries -= 1,
            }
        }
    }

    /// Removes all that a build has uploaded, whatever its state; there need not be any.
    ///
    /// # Errors
    /// [`Kind::NotFound`], [`Kind::Forbidden`].
    pub fn delete_artifacts(&self, id: BuildId, shown: Shown, now: Timestamp) -> Result<()> {
        let step = self.limits().seen_step();
        let files = self.store.write(move |c| {
            let build = build_for(c, id, &shown, Purpose::Change)?;
            touch(c, &build, step, now)?;
            artifacts::remove_all(c, id)
        })?;
        self.artifacts.remove(&files);
        Ok(())
    }
}

impl Coordinator {
    /// Keeps all that a build has uploaded until somebody removes it.
    ///
    /// # Errors
    /// [`Kind::NotFound`] for an unknown build, and for one without artifacts.
    pub fn keep_artifacts(&self, id: BuildId, now: Timestamp) -> Result<()> {
        self.store.write(move |c| {
            builds::state(c, id)?.ok_or_else(|| super::builds::no_such(id))?;
            let all = artifacts::all_of_build(c, id, now)?;
            if all.is_empty() {
                return Err(none_of(&ArtifactKind::archive(), id));
            }
            all.iter().try_for_each(|stored| artifacts::set_expiry(c, id, &stored.kind, None))
        })
    }

    /// Removes all that a build has uploaded, for the operator; there need not be any.
    ///
    /// # Errors
    /// [`Kind::NotFound`] for an unknown build.
    pub fn remove_artifacts(&self, id: BuildId) -> Result<()> {
        let files = self.store.write(move |c| {
            builds::state(c, id)?.ok_or_else(|| super::builds::no_such(id))?;
            artifacts::remove_all(c, id)
        })?;
        self.artifacts.remove(&files);
        Ok(())
    }
}

fn none_of(kind: &ArtifactKind, id: BuildId) -> Error {
    let of_kind = if *kind == ArtifactKind::archive() { String::new() } else { format!(" of the kind {}", kind.0) };
    Error::not_found(format!("build {id} has no artifacts{of_kind}, or they have expired"))
}

/// Puts artifacts in the place of earlier ones, whose files are returned. `None`: the earlier ones are the same and stay.
fn place(c: &Connection, new: &Stored) -> Result<Option<Files>> {
    match artifacts::stored_of_build(c, new.id, &new.kind)? {
        Some(old) if is_same(&old, new) => {
            artifacts::set_expiry(c, new.id, &new.kind, new.file.expire_at)?;
            Ok(None)
        }
        None if artifacts::count_kinds(c, new.id)? >= UPLOAD_KINDS_MAX => Err(Error::invalid(format!(
            "the build has artifacts of {UPLOAD_KINDS_MAX} kinds, which are all that it may have"
        ))),
        _ => artifacts::replace(c, new).map(Some),
    }
}

/// Whether the one says all that the other says.
fn is_same(old: &Stored, new: &Stored) -> bool {
    let what = |stored: &Stored| (stored.format, stored.file.size, stored.file.sha256, stored.file.filename.clone());
    what(old) == what(new) && old.metadata_path.is_none() && new.metadata_path.is_none()
}

fn running_build(c: &Connection, id: BuildId, shown: &Shown) -> Result<BuildState> {
    let build = build_for(c, id, shown, Purpose::Change)?;
    if build.status == Status::Running { Ok(build) } else { Err(Error::new(Kind::Forbidden, "Build is not running!")) }
}

/// When artifacts expire: as the upload says, else as the build's specification says of their kind (runners before 1.3 do
/// not repeat that), else after `keep`. Who says something empty or zero has said "never".
fn expire_at(
    c: &Connection,
    new: &Stored,
    given: Option<&str>,
    keep: Option<Duration>,
    now: Timestamp,
) -> Result<Option<Timestamp>> {
    let spec = builds::spec(c, new.id)?;
    let asked = spec.asked.artifacts.iter().find(|asked| asked.kind == new.kind);
    let own = asked.and_then(|asked| asked.expire_in.as_deref());
    let keep = match given.or(own) {
        Some(text) => parse_keeping(text).map_err(|error| Error::invalid(format!("expire_in: {error}")))?,
        None => keep,
    };
    Ok(keep.map(|keep| now.plus(keep)))
}
