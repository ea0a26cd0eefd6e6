//! Artifacts: what a job uploads, and what it gets of other jobs.
//!
//! What must stay true: an upload that fails fails a good job; nothing to upload does not. The archive of a dependency is
//! unpacked whole before the next is asked for.

use super::archive::{Packing, level, rewound};
use super::client::Upload;
use super::collect::{Choice, Found, Given, Line, Search};
use super::globs::path_of;
use super::job::{Artifact, Dependency};
use super::log::{Log, Stream, nameless};
use super::script::Script;
use super::stages::Failure;
use super::unpack::Unpacking;
use super::variables::Variables;
use super::work::{Done, Work};
use std::cell::RefCell;
use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

/// Uploads and downloads are tried so often, and at 503 so often.
const TRIES_MAX: u32 = 3;
const BUSY_TRIES_MAX: u32 = 6;
/// Between two tries.
const PAUSE: Duration = Duration::from_secs(1);
/// What git may say of untracked files.
const LIST_BYTES_MAX: usize = 64 << 20;
/// Around that: a login shell may say other things.
const MARK: &[u8] = b"\0\0";
/// For how long git may look for them.
const LIST_TIME_MAX: Duration = Duration::from_secs(600);

/// What is chosen for an archive.
pub struct Chosen<'a> {
    /// Globs, not expanded.
    pub paths: &'a [String],
    /// See there.
    pub exclude: &'a [String],
    /// Whether what git does not track is chosen.
    pub untracked: bool,
}

impl Work<'_> {
    /// Whether a dependency has an archive.
    pub fn has_downloads(&self) -> bool {
        self.job.dependencies.iter().any(|other| !other.artifacts_file.filename.is_empty())
    }

    /// Whether something is to be uploaded.
    pub fn has_artifacts(&self, is_good: bool) -> bool {
        self.job.artifacts.iter().any(|artifact| is_to_upload(artifact, is_good))
    }

    /// Whether the job goes on.
    pub fn is_wanted(&self) -> bool {
        self.watch.cause(false).is_none()
    }

    /// Why it does not.
    pub fn order(&self) -> Failure {
        self.watch.cause(true).unwrap_or(Failure::Aborted)
    }

    /// Gets the archives of the dependencies.
    pub fn download_artifacts(&mut self) -> Done {
        let job = self.job;
        for other in job.dependencies.iter().filter(|other| !other.artifacts_file.filename.is_empty()) {
            self.log.notice(&format!("Downloading artifacts for {} ({})...", other.name, other.id));
            self.download(other)?;
        }
        Ok(())
    }

    fn download(&self, other: &Dependency) -> Done {
        let options = &self.host.options;
        let fatal = |text: &str| {
            self.log.archiver_error("FATAL", text);
            Failure::Exit(1)
        };
        for number in 1.. {
            let mut file = nameless(&options.builds.join(".logs")).map_err(|error| fatal(&error.to_string()))?;
            let is_wanted = || self.is_wanted();
            let (id, max) = (other.id, options.archive_bytes_max);
            let why = match self.host.client.download(id, &other.token, &mut file, max, &is_wanted) {
                Ok(200) => {
                    self.log.archiver("Downloading artifacts from coordinator... ok");
                    return self.unpack(file).map_err(|error| fatal(&error.to_string()));
                }
                Ok(404) => return Err(fatal("file does not exist")),
                Ok(401 | 403) => return Err(fatal("permission denied")),
                Ok(status) => format!("invalid response: {status}"),
                Err(error) => error.to_string(),
            };
            if !self.is_wanted() {
                return Err(self.order());
            }
            self.log.archiver_error("ERROR", &format!("Downloading artifacts from coordinator... error: {why}"));
            if number >= TRIES_MAX {
                return Err(fatal(&why));
            }
            self.log.archiver_warning("Retrying...");
            self.pause()?;
        }
        Ok(())
    }

    /// Unpacks an archive over the checkout.
    pub fn unpack(&self, mut archive: File) -> io::Result<()> {
        if rewound(&mut archive)? == 0 {
            return Ok(());
        }
        let mut first = [0; 2];
        archive.read_exact(&mut first)?;
        rewound(&mut archive)?;
        if first == [0x1f, 0x8b] {
            // A report's: there is nothing to unpack.
            return Ok(());
        }
        let is_wanted = || self.is_wanted();
        let bytes_max = self.host.options.archive_bytes_max;
        let folder = self.slot.project.as_path();
        for path in (Unpacking { folder, bytes_max, is_wanted: &is_wanted }).unpack(archive)? {
            self.log.archiver_warning(&format!("File ignored: {}", path.display()));
        }
        Ok(())
    }

    fn pause(&self) -> Done {
        let until = Instant::now() + PAUSE;
        while Instant::now() < until {
            if !self.is_wanted() {
                return Err(self.order());
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Uploads what a job that went well, or failed, is to upload.
    pub fn upload_artifacts(&mut self, is_good: bool) -> Done {
        let job = self.job;
        for artifact in job.artifacts.iter().filter(|artifact| is_to_upload(artifact, is_good)) {
            self.log.notice("Uploading artifacts...");
            self.upload(artifact)?;
        }
        Ok(())
    }

    fn upload(&mut self, artifact: &Artifact) -> Done {
        let variables = self.present_variables();
        let chosen = Chosen { paths: &artifact.paths, exclude: &artifact.exclude, untracked: artifact.untracked };
        let found = self.collect(&chosen, &variables)?;
        if found.files.is_empty() {
            self.log.archiver_error("ERROR", "No files to upload");
            return Ok(());
        }
        let format = if artifact.artifact_format.is_empty() { "zip" } else { &artifact.artifact_format };
        let kind = if artifact.artifact_type.is_empty() { "archive" } else { &artifact.artifact_type };
        let level = level(variables.text("ARTIFACT_COMPRESSION_LEVEL"));
        let (mut file, bytes) = self.pack(&found, format, level).map_err(|error| {
            self.log.archiver_error("FATAL", &error.to_string());
            if self.is_wanted() { Failure::Exit(1) } else { self.order() }
        })?;
        let filename = filename(&artifact.name, format, &variables);
        let upload = Upload { filename: &filename, kind, format, expire_in: &artifact.expire_in };
        self.send(&upload, &mut file, bytes)
    }

    /// Finds what is chosen, and tells of it.
    pub fn collect(&mut self, chosen: &Chosen<'_>, variables: &Variables) -> Result<Found, Failure> {
        let log = self.log;
        let expanded = |list: &[String]| -> Vec<String> {
            let expand = |text: &String| match variables.expand_path(text) {
                Ok(text) => text,
                Err(why) => {
                    log.archiver_warning(&format!("invalid path {text:?}: {why}"));
                    text.clone()
                }
            };
            list.iter().map(expand).collect()
        };
        let (paths, exclude) = (expanded(chosen.paths), expanded(chosen.exclude));
        let untracked = if chosen.untracked { Some(self.untracked()?) } else { None };
        let is_wanted = || self.is_wanted();
        let search = Search { project: &self.slot.project, is_wanted: &is_wanted };
        let found = match search.find(&Choice { paths: &paths, exclude: &exclude, untracked }) {
            Ok(found) => found,
            Err(Given::Unwanted) => return Err(self.order()),
            Err(Given::TooMuch) => {
                self.log.archiver_error("FATAL", "too many files");
                return Err(Failure::Exit(1));
            }
        };
        tell(self.log, &found.lines);
        Ok(found)
    }

    /// What git does not track. Git runs among the job's processes: the checkout's settings are the job's.
    fn untracked(&mut self) -> Result<Result<Vec<PathBuf>, String>, Failure> {
        let mut script = Script::default();
        script.enter(&self.slot.project);
        script.line("printf '\\000\\000'");
        script.command(&["git", "-c", "core.fsmonitor=false", "ls-files", "-o", "-z"]);
        script.line("printf '\\000\\000'");
        let listed = RefCell::new(Vec::new());
        let log = self.log;
        let take = |stream: Stream, bytes: &[u8]| match stream {
            Stream::Out => {
                let mut listed = listed.borrow_mut();
                let room = LIST_BYTES_MAX.saturating_sub(listed.len()).min(bytes.len());
                listed.extend_from_slice(bytes.get(..room).unwrap_or_default());
            }
            Stream::Err | Stream::Runner => log.write(stream, bytes),
        };
        let done = self.shell_to(script.text(), Some(LIST_TIME_MAX), false, &take);
        match done {
            Err(failure) if failure.ends_everything() => return Err(failure),
            Err(failure) => return Ok(Err(failure.text())),
            Ok(()) => {}
        }
        let listed = listed.into_inner();
        let begin = memchr::memmem::find(&listed, MARK).map(|place| place + MARK.len());
        let list = begin.and_then(|begin| listed.get(begin..)).unwrap_or_default();
        let Some(end) = memchr::memmem::find(list, MARK) else { return Ok(Err("the list is too long".to_owned())) };
        let names = list.get(..end).unwrap_or_default().split(|&byte| byte == 0);
        Ok(Ok(names.filter(|name| !name.is_empty()).map(|name| path_of(name).to_owned()).collect()))
    }

    /// Packs what was found into a file without a name.
    pub fn pack(&self, found: &Found, format: &str, level: u32) -> io::Result<(File, u64)> {
        let options = &self.host.options;
        let mut file = nameless(&options.builds.join(".logs"))?;
        let is_wanted = || self.is_wanted();
        let (project, bytes_max) = (self.slot.project.as_path(), options.archive_bytes_max);
        let packing = Packing { project, files: &found.files, bytes_max, level, is_wanted: &is_wanted };
        match format {
            "zip" => {
                for name in packing.zip(&mut file)? {
                    self.log.archiver_warning(&format!("File ignored: {name}"));
                }
            }
            "gzip" => packing.gzip(&mut file)?,
            "raw" => packing.raw(&mut file)?,
            other => return Err(io::Error::other(format!("unsupported archive format: {other}"))),
        }
        let bytes = rewound(&mut file)?;
        Ok((file, bytes))
    }

    fn send(&self, upload: &Upload<'_>, file: &mut File, bytes: u64) -> Done {
        let what = format!("Uploading artifacts as {:?} to coordinator...", upload.kind);
        for number in 1.. {
            let from = Wanted { file, work: self };
            let sent = self.host.client.upload(self.job.id, &self.job.token, upload, from, bytes);
            if !self.is_wanted() {
                return Err(self.order());
            }
            let (status, why) = match sent {
                Ok(answer) => {
                    self.watch.wishes.note(answer.wish);
                    (answer.status, words(answer.status))
                }
                Err(error) => (0, error.to_string()),
            };
            if status == 201 {
                self.log.archiver(&format!("{what} {why}"));
                return Ok(());
            }
            self.log.archiver_warning(&format!("{what} {why}"));
            let tries = if status == 503 { BUSY_TRIES_MAX } else { TRIES_MAX };
            if matches!(status, 403 | 413) || number >= tries {
                self.log.archiver_error("FATAL", &why);
                return Err(Failure::Exit(1));
            }
            self.log.archiver_warning("Retrying...");
            self.pause()?;
            rewound(file).map_err(|error| Failure::System(error.to_string()))?;
        }
        Ok(())
    }
}

/// A file that is read as long as its job goes on.
struct Wanted<'a> {
    file: &'a mut File,
    work: &'a Work<'a>,
}

impl Read for Wanted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if !self.work.is_wanted() {
            return Err(io::ErrorKind::Interrupted.into());
        }
        self.file.read(buffer)
    }
}

fn is_to_upload(artifact: &Artifact, is_good: bool) -> bool {
    artifact.when.holds(is_good) && (artifact.untracked || !artifact.paths.is_empty())
}

/// Writes lines of the archiver.
fn tell(log: &Log, lines: &[Line]) {
    for line in lines {
        match line {
            Line::Info(text) => log.archiver(text),
            Line::Warning(text) => log.archiver_warning(text),
        }
    }
}

/// A status with its words, as Go has them.
fn words(status: u16) -> String {
    let words = match status {
        201 => "Created",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        413 => "Request Entity Too Large",
        500 => "Internal Server Error",
        503 => "Service Unavailable",
        507 => "Insufficient Storage",
        _ => "",
    };
    format!("{status} {words}").trim_end().to_owned()
}

/// What an upload is called.
fn filename(name: &str, format: &str, variables: &Variables) -> String {
    let expanded = variables.expand_path(name).unwrap_or_else(|_| name.to_owned());
    let last = expanded.rsplit('/').find(|part| !part.is_empty()).unwrap_or("");
    let stem = match (name, last) {
        ("", _) => "artifacts",
        (_, "") => "default",
        (_, last) => last,
    };
    let extension = match format {
        "gzip" => ".gz",
        "raw" => "",
        _ => ".zip",
    };
    format!("{stem}{extension}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upload_is_called_by_the_last_part_of_its_name() {
        let mut variables = Variables::default();
        variables.set("REF", "feature/x");
        for (name, format, expected) in [
            ("", "zip", "artifacts.zip"),
            ("a/x y", "zip", "x y.zip"),
            ("$REF", "zip", "x.zip"),
            ("$NOTHING", "zip", "default.zip"),
            ("junit.xml", "gzip", "junit.xml.gz"),
            ("tfplan.json", "raw", "tfplan.json"),
            ("`id`", "raw", "`id`"),
        ] {
            assert_eq!(filename(name, format, &variables), expected, "{name}");
        }
    }
}
