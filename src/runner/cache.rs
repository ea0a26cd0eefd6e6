//! Caches: files of a project that are kept on this machine from job to job.
//!
//! What must stay true: a missing or broken archive is a warning. An archive reaches its name whole. It is made anew only
//! if something that was found is newer, as users of real runners know it. Unused archives go, and so do the oldest when
//! all of them are too large.

use super::archive::level;
use super::artifacts::Chosen;
use super::directories::{UNUSED_TIME_MAX, project_path, real_folder, remove_tree};
use super::job::Cache;
use super::log::prefix;
use super::stages::Failure;
use super::work::{Done, Work};
use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// The archive.
const ARCHIVE: &str = "cache.zip";
/// An empty file whose time is that of the last use.
const USED: &str = ".used";
/// Longest key.
const KEY_BYTES_MAX: usize = 1024;
/// Folders below the folder of all caches.
const DEPTH_MAX: usize = 200;

impl Work<'_> {
    /// Whether the job has a cache at all.
    pub fn has_any_cache(&self) -> bool {
        self.job.cache.iter().any(is_one)
    }

    /// Whether a cache is to be saved.
    pub fn has_cache(&self, is_good: bool) -> bool {
        self.job.cache.iter().any(|cache| is_one(cache) && cache.when.holds(is_good))
    }

    /// Brings the caches back.
    pub fn restore_cache(&mut self) -> Done {
        let job = self.job;
        for cache in job.cache.iter().filter(|cache| is_one(cache)) {
            let Some(key) = self.key("extraction", &cache.key, true) else { continue };
            if !self.policy(cache, &key)?.0 {
                self.log.notice(&format!("Not downloading cache {key} due to policy"));
                continue;
            }
            let mut keys = vec![key];
            keys.extend(cache.fallback_keys.iter().filter_map(|key| self.key("extraction", key, false)));
            let last = self.variables.text("CACHE_FALLBACK_KEY");
            if last.trim_end_matches(['.', ' ']).ends_with("-protected") {
                self.log.yellow(&format!("CACHE_FALLBACK_KEY {last:?} not allowed to end in \"-protected\""));
            } else if !last.is_empty() {
                keys.extend(self.key("extraction", last, false));
            }
            for key in keys {
                if self.extract(&key)? {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Unpacks the archive of a key; whether there was one.
    fn extract(&self, key: &str) -> Result<bool, Failure> {
        self.log.notice(&format!("Checking cache for {key}..."));
        self.log.archiver(
            "No URL provided, cache will not be downloaded from shared cache server. Instead a local version of cache \
             will be extracted.",
        );
        let done = self.folder(key).and_then(|folder| {
            let archive = open(&folder.join(ARCHIVE))?;
            note_use(&folder)?;
            self.unpack(archive)
        });
        match done {
            Ok(()) => {
                self.log.notice("Successfully extracted cache");
                Ok(true)
            }
            Err(_) if !self.is_wanted() => Err(self.order()),
            Err(error) => {
                let is_missing = error.kind() == io::ErrorKind::NotFound;
                let text = if is_missing { "Cache file does not exist".to_owned() } else { error.to_string() };
                self.log.archiver_warning(&text);
                self.log.yellow("Failed to extract cache");
                Ok(false)
            }
        }
    }

    /// Saves the caches of a job that went well, or failed.
    pub fn archive_cache(&mut self, is_good: bool) -> Done {
        let job = self.job;
        for cache in job.cache.iter().filter(|cache| is_one(cache) && cache.when.holds(is_good)) {
            let Some(key) = self.key("archiving", &cache.key, true) else { continue };
            if !self.policy(cache, &key)?.1 {
                self.log.notice(&format!("Not uploading cache {key} due to policy"));
                continue;
            }
            self.log.notice(&format!("Creating cache {key}..."));
            match self.save(cache, &key) {
                Ok(()) => self.log.notice("Created cache"),
                Err(failure) if failure.ends_everything() => return Err(failure),
                Err(_) => self.log.yellow("Failed to create cache"),
            }
        }
        Ok(())
    }

    fn save(&mut self, cache: &Cache, key: &str) -> Done {
        let variables = self.present_variables();
        let chosen = Chosen { paths: &cache.paths, exclude: &[], untracked: cache.untracked };
        let found = self.collect(&chosen, &variables)?;
        if found.files.is_empty() {
            self.log.archiver_warning("No files to cache.");
            return Ok(());
        }
        let failed = |error: io::Error| {
            self.log.archiver_error("FATAL", &error.to_string());
            if self.is_wanted() { Failure::Exit(1) } else { self.order() }
        };
        let folder = self.folder(key).map_err(failed)?;
        let archive = folder.join(ARCHIVE);
        let made_at =
            fs::symlink_metadata(&archive).ok().filter(fs::Metadata::is_file).and_then(|it| it.modified().ok());
        let is_newer = |made_at| found.files.values().any(|file| file.modified().is_ok_and(|time| time > made_at));
        if made_at.is_some_and(|made_at| !is_newer(made_at)) {
            self.log.archiver("Primary cache does not exist remotely, uploading existing archive");
        } else {
            let level = level(variables.text("CACHE_COMPRESSION_LEVEL"));
            let (mut packed, _) = self.pack(&found, "zip", level).map_err(failed)?;
            put(&mut packed, &archive).map_err(failed)?;
        }
        note_use(&folder).map_err(failed)?;
        self.log.archiver(
            "No URL provided, cache will not be uploaded to shared cache server. Cache will be stored only locally.",
        );
        let options = &self.host.options;
        if let Err(error) = clean(&options.cache, SystemTime::now(), options.cache_bytes_max) {
            log::warn!("old caches were not removed: {error}");
        }
        Ok(())
    }

    /// The folder of a key's archive; no part of it is a link.
    fn folder(&self, key: &str) -> io::Result<PathBuf> {
        let path = project_path(&self.job.git_info.repo_url, self.job.job_info.project_id, false);
        real_folder(&self.host.options.cache, &path.join(key))
    }

    /// A key, ready to be a path; `None` if nothing is left of it. Empty ones have a usual one, if `is_first`.
    fn key(&self, deed: &str, key: &str, is_first: bool) -> Option<String> {
        let (job, git) = (&self.job.job_info, &self.job.git_info);
        let raw = match self.variables.expand(key) {
            _ if key.is_empty() && is_first => format!("{}/{}", job.name, git.reference),
            key if key.is_empty() && !is_first => return None,
            key => key,
        };
        let clean = sanitized(&raw);
        if clean.is_empty() {
            self.log.yellow(&format!("cache key {raw:?} could not be sanitized"));
            self.log.notice(&format!("Skipping cache {deed} due to empty cache key"));
            return None;
        }
        if clean != raw {
            self.log.yellow(&format!("cache key {raw:?} sanitized to {clean:?}"));
        }
        Some(clean)
    }

    /// Whether a cache is brought back, and saved.
    fn policy(&self, cache: &Cache, key: &str) -> Result<(bool, bool), Failure> {
        match self.variables.expand(&cache.policy).as_str() {
            "" | "pull-push" => Ok((true, true)),
            "pull" => Ok((true, false)),
            "push" => Ok((false, true)),
            other => Err(Failure::Configuration(format!("unknown cache policy {other} for {key}"))),
        }
    }
}

fn is_one(cache: &Cache) -> bool {
    cache.untracked || !cache.paths.is_empty()
}

/// A key as a path below an invisible root.
fn sanitized(key: &str) -> String {
    let mut text = key.to_owned();
    for (encoded, plain) in [("%2f", "/"), ("%2F", "/"), ("%2e", "."), ("%2E", "."), ("\\", "/"), ("\0", "")] {
        text = text.replace(encoded, plain);
    }
    let mut parts: Vec<&str> = Vec::new();
    for part in text.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    let text = parts.join("/");
    let text = text.trim_end();
    prefix(text, KEY_BYTES_MAX).trim_end_matches('/').to_owned()
}

/// Opens a file and nothing else.
fn open(place: &Path) -> io::Result<File> {
    let flags = nix::libc::O_NOFOLLOW | nix::libc::O_NONBLOCK;
    let file = OpenOptions::new().read(true).custom_flags(flags).open(place)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("the cache is no file")) }
}

/// Gives an archive its name, when it is whole.
fn put(packed: &mut File, place: &Path) -> io::Result<()> {
    let part = place.with_extension("part");
    remove_tree(&part)?;
    let mut to = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&part)?;
    io::copy(packed, &mut to)?;
    to.sync_data()?;
    if fs::symlink_metadata(place).is_ok_and(|found| found.is_dir()) {
        remove_tree(place)?;
    }
    fs::rename(&part, place)
}

fn note_use(folder: &Path) -> io::Result<()> {
    let flags = nix::libc::O_NOFOLLOW;
    let place = folder.join(USED);
    let file =
        OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).custom_flags(flags).open(place)?;
    file.set_modified(SystemTime::now())
}

/// Removes the archives that were not used for long, and the oldest as long as all of them have more than `bytes_max`.
pub fn clean(root: &Path, now: SystemTime, bytes_max: u64) -> io::Result<()> {
    let mut archives = BTreeSet::new();
    let mut open = vec![root.to_owned()];
    while let Some(folder) = open.pop() {
        if folder.components().count() > root.components().count() + DEPTH_MAX {
            continue;
        }
        for entry in fs::read_dir(&folder)?.flatten() {
            let Ok(kind) = entry.file_type() else { continue };
            if kind.is_dir() {
                open.push(entry.path());
            } else if kind.is_file() && entry.file_name() == ARCHIVE {
                let used = fs::symlink_metadata(folder.join(USED)).or_else(|_| entry.metadata());
                let used_at = used.and_then(|file| file.modified()).unwrap_or(now);
                archives.insert((used_at, folder.clone(), entry.metadata().map_or(0, |file| file.len())));
            }
        }
    }
    let mut bytes: u64 = archives.iter().map(|(_, _, bytes)| bytes).sum();
    for (used_at, folder, own) in archives {
        let is_old = now.duration_since(used_at).unwrap_or_default() > UNUSED_TIME_MAX;
        if !is_old && bytes <= bytes_max {
            break;
        }
        bytes = bytes.saturating_sub(own);
        remove_tree(&folder.join(ARCHIVE))?;
        remove_tree(&folder.join(USED))?;
        // Those that are empty now; one that is not holds other keys.
        for folder in folder.ancestors().take_while(|folder| *folder != root) {
            if fs::remove_dir(folder).is_err() {
                break;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_key_leads_nowhere_else() {
        for (key, clean) in [
            ("k/main", "k/main"),
            ("../../etc", "etc"),
            ("a/../../b", "b"),
            ("%2e%2e%2fx", "x"),
            ("a\\b", "a/b"),
            ("a b ", "a b"),
            ("/", ""),
            ("..", ""),
            ("a//b/./", "a/b"),
            ("ä ö/x", "ä ö/x"),
        ] {
            assert_eq!(sanitized(key), clean, "{key:?}");
        }
        assert!(sanitized(&"ä".repeat(5000)).len() <= KEY_BYTES_MAX);
    }

    fn archive(root: &Path, key: &str, bytes: u64, age: Duration) -> PathBuf {
        let folder = real_folder(root, Path::new(key)).unwrap();
        File::create(folder.join(ARCHIVE)).unwrap().set_len(bytes).unwrap();
        note_use(&folder).unwrap();
        let used = OpenOptions::new().write(true).open(folder.join(USED)).unwrap();
        used.set_modified(SystemTime::now() - age).unwrap();
        folder.join(ARCHIVE)
    }

    #[test]
    fn unused_archives_go_and_the_oldest_of_too_many() {
        let dir = tempfile::tempdir().unwrap();
        let day = Duration::from_secs(24 * 3600);
        let unused = archive(dir.path(), "p/unused", 1, day * 31);
        let old = archive(dir.path(), "p/a/old", 60, day * 2);
        let new = archive(dir.path(), "p/a/new", 60, day);
        clean(dir.path(), SystemTime::now(), 200).unwrap();
        assert!(!unused.exists() && old.exists() && new.exists());
        clean(dir.path(), SystemTime::now(), 100).unwrap();
        assert!(!old.exists() && new.exists());
        assert!(!dir.path().join("p/unused").exists() && dir.path().join("p/a").exists());
    }

    #[test]
    fn an_archive_reaches_its_name_whole_and_through_no_link() {
        let (dir, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let place = dir.path().join(ARCHIVE);
        let target = outside.path().join("target");
        for link in [place.clone(), place.with_extension("part")] {
            std::os::unix::fs::symlink(&target, link).unwrap();
        }
        assert!(open(&place).is_err());
        put(&mut tempfile::tempfile().unwrap(), &place).unwrap();
        assert!(!target.exists() && open(&place).is_ok());
    }
}
