//! What is in artifacts: the folders of an archive, one file out of it, and a report unpacked.
//!
//! What must stay true: nothing is unpacked but what is asked for, and that as it is read; a path leads nowhere but down;
//! what an archive says of itself costs a bounded time and no memory.

use super::Coordinator;
use crate::domain::archive::{ArchivePath, FolderPage, FolderWalk, ItemKind};
use crate::domain::build::{ArtifactsFile, BuildId};
use crate::domain::spec::{ArtifactFormat, ArtifactKind};
use crate::domain::time::Timestamp;
use crate::error::{Error, Kind, Result};
use crate::gzip;
use crate::limits::REPORT_BYTES_MAX;
use crate::store::artifacts::Stored;
use crate::unzip::Fault;
use crate::unzip::directory::{Directory, DirectoryEntry};
use std::fs::File;
use std::io::{BufReader, Read};

/// One file, ready to be sent.
pub struct ArchiveFile {
    /// Its name, without the path; an archive may call it anything.
    pub name: String,
    /// Bytes; `None`: nobody knows before the end.
    pub size: Option<u64>,
    /// When it was changed last, if the archive says that.
    pub modified_at: Option<Timestamp>,
    /// The artifacts that it is from.
    pub artifacts: ArtifactsFile,
    /// Its content. An error breaks it off: it is not what the archive says.
    pub read: Box<dyn Read + Send>,
}

impl Coordinator {
    /// A page of a folder of a build's archive, behind the place `after` of the page before; the archive itself is the
    /// folder `""`.
    ///
    /// # Errors
    /// [`Kind::NotFound`] for an unknown build, artifacts that are none or expired, and an unknown folder;
    /// [`Kind::Invalid`] for a path that none can have; [`Kind::Conflict`] for an archive that cannot be read.
    pub fn archive_folder(
        &self,
        id: BuildId,
        path: &str,
        after: Option<&str>,
        now: Timestamp,
    ) -> Result<(FolderPage, ArtifactsFile)> {
        let path = ArchivePath::parse(path).map_err(Error::invalid)?;
        let (stored, mut directory) = self.open_archive(id, now)?;
        let mut walk = FolderWalk::new(path.clone(), after);
        while let Some(entry) = directory.next_entry().map_err(unreadable)? {
            walk.add(ArchivePath::of_entry(&entry.name).as_ref(), kind(&entry), entry.bytes, entry.changed_at);
        }
        match walk.finish() {
            Some(page) => Ok((page, stored.file)),
            None => Err(Error::not_found(format!("the archive has no folder {:?}", path.as_str()))),
        }
    }

    /// One file of a build's archive.
    ///
    /// # Errors
    /// As [`Coordinator::archive_folder`], with [`Kind::NotFound`] for a folder and for a link, too.
    pub fn archive_file(&self, id: BuildId, path: &str, now: Timestamp) -> Result<ArchiveFile> {
        let path = ArchivePath::parse(path).map_err(Error::invalid)?;
        let (stored, mut directory) = self.open_archive(id, now)?;
        // Of two of one name the later counts, as for those who unpack the archive.
        let mut found = None;
        while let Some(entry) = directory.next_entry().map_err(unreadable)? {
            if ArchivePath::of_entry(&entry.name).is_some_and(|own| own == path) {
                found = Some(entry);
            }
        }
        let found = found.filter(|_| !path.as_str().is_empty());
        let entry = found.ok_or_else(|| Error::not_found(format!("the archive has no file {:?}", path.as_str())))?;
        let what = match kind(&entry) {
            ItemKind::File => {
                let content = directory.content(&entry).map_err(unreadable)?;
                return Ok(ArchiveFile {
                    name: path.name().to_owned(),
                    size: Some(entry.bytes),
                    modified_at: entry.changed_at,
                    artifacts: stored.file,
                    read: Box::new(content),
                });
            }
            ItemKind::Folder => "a folder",
            ItemKind::Link => "a symbolic link, which is not followed",
        };
        Err(Error::not_found(format!("{:?} of the archive is {what}", path.as_str())))
    }

    /// A build's report of a kind, unpacked: of one that is packed with gzip all members, one behind the other; of one
    /// that is not packed, as it is.
    ///
    /// # Errors
    /// As [`Coordinator::archive_file`].
    pub fn report_file(&self, id: BuildId, kind: &ArtifactKind, now: Timestamp) -> Result<ArchiveFile> {
        let (stored, file) = self.operator_opened(id, kind, now)?;
        let name = stored.file.filename.clone();
        let (name, size, read): (String, _, Box<dyn Read + Send>) = match stored.format {
            ArtifactFormat::Raw => (name, Some(stored.file.size), Box::new(file)),
            ArtifactFormat::Gzip => {
                let name = name.strip_suffix(".gz").map_or(name.clone(), str::to_owned);
                (name, None, Box::new(gzip::bounded(BufReader::new(file), REPORT_BYTES_MAX)))
            }
            ArtifactFormat::Zip | ArtifactFormat::ZipZstd | ArtifactFormat::TarZstd => {
                return Err(Error::new(Kind::Conflict, format!("the {} is an archive, not one file", kind.0)));
            }
        };
        Ok(ArchiveFile { name, size, modified_at: Some(stored.uploaded_at), artifacts: stored.file, read })
    }

    fn open_archive(&self, id: BuildId, now: Timestamp) -> Result<(Stored, Directory)> {
        let (stored, file): (Stored, File) = self.operator_opened(id, &ArtifactKind::archive(), now)?;
        if stored.format != ArtifactFormat::Zip {
            let why = format!("the archive is packed as {}, and cannot be looked into here", stored.format);
            return Err(Error::new(Kind::Conflict, format!("{why}: download it as it is")));
        }
        let directory = Directory::open(file).map_err(unreadable)?;
        Ok((stored, directory))
    }
}

fn kind(entry: &DirectoryEntry) -> ItemKind {
    match (entry.is_link(), entry.is_folder()) {
        (true, _) => ItemKind::Link,
        (false, true) => ItemKind::Folder,
        (false, false) => ItemKind::File,
    }
}

/// Why what is stored cannot be shown.
fn unreadable(fault: Fault) -> Error {
    let why = match fault {
        Fault::Refused(why) => why,
        Fault::Damaged(why) => format!("the archive is damaged: {why}"),
        Fault::Unwritable(error) => return Error::from(error),
        Fault::Unwanted => return Error::internal("nobody wanted it"),
    };
    Error::new(Kind::Conflict, why)
}
