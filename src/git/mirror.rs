//! A bare repository of our own that holds commits of somebody else's, each without the commits before it: what pipelines
//! are made of that the server starts by itself.
//!
//! What must stay true: it is a cache, and may be removed at any time. Git speaks the protocols alone that the caller names,
//! follows no redirect, asks nobody, and takes no setting, hook or helper from anywhere; no word from outside becomes one of
//! its options; a password is in its environment only. Time and bytes are bounded, and a fetch that goes beyond them leaves
//! nothing. Nothing is ever checked out. Whoever has opened it is alone with it, in all processes.

use super::checkout::{Head, tag_message, text};
use super::contents::Contents;
use super::program::{Git, Leash, Refusal};
use crate::domain::git_names::{check_ref, check_sha};
use crate::domain::repo_url::parted;
use crate::error::{Error, Kind, Result};
use crate::limits::{FILES_LIST_BYTES_MAX, MIRROR_LOOK_TIME_MAX, MIRROR_PACKS_MAX, REFS_LIST_BYTES_MAX};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Of every call that asks somebody else.
const SETTINGS: [&str; 15] = [
    "http.followRedirects=false",
    "http.lowSpeedLimit=1000",
    "http.lowSpeedTime=20",
    "credential.helper=",
    "core.askPass=",
    "fetch.fsckObjects=true",
    // Packs are kept as they come: few files, whose bytes are quickly counted.
    "fetch.unpackLimit=1",
    "fetch.writeCommitGraph=false",
    "fetch.recurseSubmodules=false",
    // Contents that are bigger are not held in memory.
    "core.bigFileThreshold=2m",
    "core.logAllRefUpdates=false",
    "pack.threads=1",
    "gc.auto=0",
    "maintenance.auto=false",
    "protocol.version=2",
];
/// What of our own environment it gets: how to reach others.
const PROXIES: [&str; 8] =
    ["http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY", "GIT_SSL_CAINFO"];
/// The namespace of what was fetched.
const REFS: &str = "refs/baton/commits/";
/// Between two tries to be alone with it.
const LOCK_PAUSE: Duration = Duration::from_millis(10);
/// Folders in each other whose bytes are counted.
const FOLDERS_DEEP_MAX: usize = 8;
/// Characters of what git says that are told.
const SAID_CHARS_MAX: usize = 300;

/// Which protocols git may speak.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Protocols {
    /// `http` and `https`.
    Web,
    /// Those, and paths of this machine: for one who sits at it.
    WebAndFiles,
}

/// Where commits come from.
#[derive(Clone)]
pub struct Upstream {
    /// Without credentials.
    url: String,
    /// `user:password`.
    credentials: Option<String>,
    protocols: Protocols,
}

impl Upstream {
    /// The repository at this URL.
    ///
    /// # Errors
    /// [`Kind::Invalid`] for a protocol that may not be spoken; the sentence does not show the URL.
    pub fn of(url: &str, protocols: Protocols) -> Result<Upstream> {
        let scheme = url.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
        let what = match scheme.as_deref() {
            Some("http" | "https") => None,
            Some("file") if protocols == Protocols::WebAndFiles => None,
            None if url.starts_with('/') && protocols == Protocols::WebAndFiles => None,
            Some("file") => Some("a file".to_owned()),
            None => Some("a path".to_owned()),
            Some(other) => Some(format!("`{other}`")),
        };
        if let Some(what) = what {
            let why = "Baton fetches by http and https only, and `baton pipeline run` by a path too";
            return Err(Error::invalid(format!("the project's repository URL is {what}; {why}")));
        }
        let (url, credentials) = parted(url);
        Ok(Upstream { url, credentials, protocols })
    }

    /// What is a setting for this host only, so that no other one is shown the password.
    fn header(&self) -> Option<(String, String)> {
        let credentials = self.credentials.as_ref()?;
        let (scheme, rest) = self.url.split_once("://")?;
        let host = rest.split(['/', '?', '#']).next()?;
        let value = format!("Authorization: Basic {}", STANDARD.encode(credentials));
        Some((format!("http.{scheme}://{host}/.extraHeader"), value))
    }
}

/// What a repository has, as far as it was asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tips {
    /// What `HEAD` points to.
    pub default_branch: Option<String>,
    /// Full names, `HEAD` among them, and what they point to: a commit, or a tag with a message.
    pub tips: Vec<(String, String)>,
}

impl Tips {
    fn parse(list: &str) -> Tips {
        let mut tips = Tips::default();
        for (one, name) in list.lines().filter_map(|line| line.split_once('\t')) {
            if let Some(target) = one.strip_prefix("ref: ") {
                let branch = target.strip_prefix("refs/heads/").filter(|branch| check_ref(branch).is_ok());
                if name == "HEAD" {
                    tips.default_branch = branch.map(ToOwned::to_owned);
                }
            } else if matches!(one.len(), 40 | 64) && check_sha("a tip", one).is_ok() {
                tips.tips.push((name.to_owned(), one.to_owned()));
            }
        }
        tips
    }

    /// What this full name points to.
    #[must_use]
    pub fn at(&self, name: &str) -> Option<&str> {
        self.tips.iter().find(|(own, _)| own == name).map(|(_, sha)| sha.as_str())
    }
}

/// How long a call that asks somebody else may take, and what it may leave.
#[derive(Clone, Debug)]
pub struct FetchBounds {
    /// From its start to its end.
    pub time_max: Duration,
    /// Bytes of the whole repository of our own.
    pub bytes_max: u64,
    /// It ends when this becomes true.
    pub is_stopping: Arc<AtomicBool>,
}

/// See the module. Dropping it lets others have it.
pub struct Mirror {
    dir: PathBuf,
    _lock: File,
}

impl Mirror {
    /// The one of this name below a folder, as soon as nobody else has it.
    ///
    /// # Errors
    /// [`Kind::Busy`] if somebody has it for so long; the file system's.
    pub fn open(folder: &Path, name: &str, wait_max: Duration) -> Result<Mirror> {
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(|error| Error::file(folder, &error))?;
        let path = folder.join(format!("{name}.lock"));
        let mut options = OpenOptions::new();
        let lock = options.create(true).truncate(false).write(true).mode(0o600).open(&path);
        let lock = lock.map_err(|error| Error::file(&path, &error))?;
        let until = Instant::now() + wait_max;
        loop {
            match lock.try_lock() {
                Ok(()) => return Ok(Mirror { dir: folder.join(format!("{name}.git")), _lock: lock }),
                Err(TryLockError::WouldBlock) if Instant::now() < until => std::thread::sleep(LOCK_PAUSE),
                Err(TryLockError::WouldBlock) => {
                    return Err(Error::new(Kind::Busy, "somebody else fetches from this project's repository"));
                }
                Err(TryLockError::Error(error)) => return Err(Error::file(&path, &error)),
            }
        }
    }

    /// Asks which commits the repository has at `HEAD` and at these full names.
    ///
    /// # Errors
    /// See [`Refusal`].
    pub fn tips(
        &self,
        upstream: &Upstream,
        names: &[String],
        bounds: &FetchBounds,
    ) -> std::result::Result<Tips, Refusal> {
        self.make()?;
        let mut words = vec!["ls-remote", "--symref", "--quiet", "--", &upstream.url, "HEAD"];
        words.extend(names.iter().map(String::as_str));
        let list = self.asking(upstream, bounds, REFS_LIST_BYTES_MAX).ask(&with_settings(&words))?;
        Ok(Tips::parse(&text(&list)))
    }

    /// Fetches what has this name, a commit or a tag, unless it is here. Returns the commit.
    ///
    /// # Errors
    /// See [`Refusal`].
    pub fn fetch(&self, upstream: &Upstream, sha: &str, bounds: &FetchBounds) -> std::result::Result<String, Refusal> {
        if let Some(commit) = self.commit(sha)? {
            return Ok(commit);
        }
        if self.is_full(bounds) {
            self.clear();
        }
        self.make()?;
        let refspec = format!("+{sha}:{REFS}{sha}");
        let words = [
            "fetch",
            "--quiet",
            "--depth=1",
            "--no-tags",
            "--no-write-fetch-head",
            "--no-recurse-submodules",
            "--",
            &upstream.url,
            &refspec,
        ];
        let fetched = self.asking(upstream, bounds, REFS_LIST_BYTES_MAX).ask(&with_settings(&words));
        if let Err(refusal) = fetched {
            if !matches!(refusal, Refusal::Said(_)) {
                // Git was ended in the middle.
                self.clear();
            }
            return Err(refusal);
        }
        if bytes_below(&self.dir, FOLDERS_DEEP_MAX) > bounds.bytes_max {
            // It was quicker than anybody looked.
            self.clear();
            return Err(Refusal::TooBig(bounds.bytes_max));
        }
        let commit = self.commit(sha)?.ok_or_else(|| Refusal::Said("what was fetched is no commit".to_owned()))?;
        if commit != sha {
            // Whoever knows the commit of a tag finds it, too.
            self.looking(REFS_LIST_BYTES_MAX).ask(&["update-ref", &format!("{REFS}{commit}"), &commit])?;
        }
        Ok(commit)
    }

    /// The message of a tag that was fetched by this name, if it has one.
    ///
    /// # Errors
    /// Git's.
    pub fn tag_message(&self, sha: &str) -> Result<Option<String>> {
        tag_message(&self.looking(REFS_LIST_BYTES_MAX), &format!("{REFS}{sha}")).map_err(|refusal| said(&refusal))
    }

    /// The commit of this name, or that of the tag of this name, if it is here.
    ///
    /// # Errors
    /// See [`Refusal`], without [`Refusal::Said`].
    pub fn commit(&self, sha: &str) -> std::result::Result<Option<String>, Refusal> {
        if !self.dir.join("HEAD").is_file() {
            return Ok(None);
        }
        let name = format!("{REFS}{sha}^{{commit}}");
        let found = self.looking(REFS_LIST_BYTES_MAX).ask_maybe(&["rev-parse", "--verify", "--quiet", &name])?;
        Ok(found.map(|sha| text(&sha)))
    }

    /// What a commit says of itself.
    ///
    /// # Errors
    /// Git's.
    pub fn head(&self, commit: &str) -> Result<Head> {
        let head = Head::read(&self.looking(REFS_LIST_BYTES_MAX), commit).map_err(|refusal| said(&refusal))?;
        head.ok_or_else(|| Error::invalid("git does not say what the commit is"))
    }

    /// What a commit holds.
    ///
    /// # Errors
    /// Git's.
    pub fn contents(&self, commit: &str) -> Result<Contents> {
        Contents::of_lone(self.looking(FILES_LIST_BYTES_MAX), commit)
    }

    /// Makes the repository, if there is none.
    fn make(&self) -> std::result::Result<(), Refusal> {
        if self.dir.join("HEAD").is_file() && self.dir.join("config").is_file() {
            return Ok(());
        }
        self.clear();
        DirBuilder::new().recursive(true).mode(0o700).create(&self.dir)?;
        Git::of_own(&self.dir).ask(&["init", "--quiet", "--bare", "--template="]).map(drop)
    }

    /// Removes the repository. What is left of one that cannot be removed is in nobody's way.
    fn clear(&self) {
        if let Err(error) = fs::remove_dir_all(&self.dir)
            && error.kind() != ErrorKind::NotFound
        {
            log::warn!("cannot remove {}: {error}", self.dir.display());
        }
    }

    fn is_full(&self, bounds: &FetchBounds) -> bool {
        let packs = fs::read_dir(self.dir.join("objects/pack")).map_or(0, Iterator::count);
        // A pack has an index, and a reverse one, beside it.
        packs / 2 > MIRROR_PACKS_MAX || bytes_below(&self.dir, FOLDERS_DEEP_MAX) > bounds.bytes_max / 2
    }

    /// Git that looks at what is here.
    fn looking(&self, bytes_max: usize) -> Git {
        Git::of_own(&self.dir).within(MIRROR_LOOK_TIME_MAX, bytes_max)
    }

    /// Git that asks somebody else.
    fn asking(&self, upstream: &Upstream, bounds: &FetchBounds, said_bytes_max: usize) -> Git {
        let (dir, bytes_max, is_stopping) = (self.dir.clone(), bounds.bytes_max, Arc::clone(&bounds.is_stopping));
        let leash = Leash::new(move || match (is_stopping.load(Ordering::Relaxed), &dir) {
            (true, _) => Err(Refusal::Stopped),
            (false, dir) if bytes_below(dir, FOLDERS_DEEP_MAX) > bytes_max => Err(Refusal::TooBig(bytes_max)),
            (false, _) => Ok(()),
        });
        let protocols = match upstream.protocols {
            Protocols::Web => "http:https",
            Protocols::WebAndFiles => "http:https:file",
        };
        let mut git = Git::of_own(&self.dir).within(bounds.time_max, said_bytes_max).on_leash(leash);
        git = git.with("GIT_ALLOW_PROTOCOL", protocols).with("GIT_ASKPASS", "/bin/false");
        for name in PROXIES {
            if let Some(value) = std::env::var_os(name) {
                git = git.with(name, value);
            }
        }
        if let Some(file) = std::env::var_os("SSL_CERT_FILE") {
            git = git.with("GIT_SSL_CAINFO", file);
        }
        if let Some((key, value)) = upstream.header() {
            git = git.with("GIT_CONFIG_COUNT", "1").with("GIT_CONFIG_KEY_0", key).with("GIT_CONFIG_VALUE_0", value);
        }
        git
    }
}

fn with_settings<'a>(words: &[&'a str]) -> Vec<&'a str> {
    SETTINGS.iter().flat_map(|setting| ["-c", setting]).chain(words.iter().copied()).collect()
}

/// What git says, for people: one line without control characters.
#[must_use]
pub fn said(refusal: &Refusal) -> Error {
    let line: String = refusal.words().chars().filter(|letter| !letter.is_control()).take(SAID_CHARS_MAX).collect();
    Error::new(Error::from(refusal.clone()).kind, format!("git: {line}"))
}

/// Bytes of the files below a folder, as far as they can be counted.
fn bytes_below(dir: &Path, deep_max: usize) -> u64 {
    let Ok(entries) = fs::read_dir(dir) else { return 0 };
    let mut bytes = 0_u64;
    for entry in entries.flatten() {
        let Ok(about) = entry.metadata() else { continue };
        let more = if about.is_dir() && deep_max > 0 { bytes_below(&entry.path(), deep_max - 1) } else { about.len() };
        bytes = bytes.saturating_add(more);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(url: &str, protocols: Protocols) -> Option<String> {
        Upstream::of(url, protocols).err().map(|error| error.message)
    }

    #[test]
    fn only_the_web_is_asked_and_paths_by_one_who_sits_there() {
        for url in ["http://h/a.git", "https://h/a.git", "HTTPS://h/a.git"] {
            assert_eq!(refused(url, Protocols::Web), None, "{url}");
        }
        for (url, what) in [("file:///srv/a", "a file"), ("/srv/a.git", "a path")] {
            assert!(refused(url, Protocols::Web).is_some_and(|why| why.contains(what)), "{url}");
            assert_eq!(refused(url, Protocols::WebAndFiles), None, "{url}");
        }
        for url in ["ssh://git:hunter2@h/a", "git://h/a", "ext::sh -c true", "--upload-pack=x", "h:a", "ext::x://h/a"] {
            let why = refused(url, Protocols::WebAndFiles);
            assert!(why.is_some_and(|why| !why.contains("hunter2")), "{url}");
        }
    }

    #[test]
    fn a_password_is_for_its_own_host_and_in_no_argument() {
        let upstream = Upstream::of("https://ann:s3%40cret@host:8443/a.git", Protocols::Web).unwrap();
        assert_eq!(upstream.url, "https://host:8443/a.git");
        let (key, value) = upstream.header().unwrap();
        assert_eq!(key, "http.https://host:8443/.extraHeader");
        assert_eq!(value, format!("Authorization: Basic {}", STANDARD.encode("ann:s3@cret")));
    }

    #[test]
    fn of_what_is_listed_only_names_and_ids_count() {
        let sha = "1".repeat(40);
        let list = format!(
            "ref: refs/heads/ma..in\tHEAD\nref: refs/heads/main\tHEAD\n{sha}\tHEAD\n{sha}\trefs/heads/main\n\
             --output=x\trefs/heads/evil\n{sha}x\trefs/heads/long\nnothing"
        );
        let tips = Tips::parse(&list);
        assert_eq!(tips.default_branch.as_deref(), Some("main"));
        assert_eq!((tips.at("HEAD"), tips.at("refs/heads/main")), (Some(sha.as_str()), Some(sha.as_str())));
        assert_eq!(tips.tips.len(), 2);
        assert_eq!(Tips::parse("ref: refs/heads/-x\tHEAD").default_branch, None);
    }
}
