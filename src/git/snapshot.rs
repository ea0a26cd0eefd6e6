//! The present state of a checkout as a commit that nothing of the user's sees.
//!
//! What must stay true: the checkout, its index, its refs and its objects stay as they are. The commit, and what it has beyond
//! the repository's own objects, is in a repository of our own below the data directory, named by a key that nobody
//! guesses. A checkout without changes is its present commit itself.
//!
//! Calls of git: one without changes, four with them (`status`, `update-index`, `write-tree`, `commit-tree`), and one more
//! for removed files behind a symbolic link, for a tag, and for a partial clone.
//!
//! Not synced to the disk on purpose: after a power loss, builds that wait may find their commit damaged, and fail.

use super::checkout::{Checkout, Head, Settings, path, text};
use super::contents::Contents;
use super::program::{Git, Refusal};
use super::repository::{self, Borrowed};
use super::status::Status;
use crate::domain::token::{hex, random};
use crate::error::{Error, Kind, Result};
use std::fs::{self, File, FileTimes};
use std::io::Write;
use std::path::{Path, PathBuf};

/// Larger files that git does not know are only taken if that is asked for, in bytes.
pub const UNTRACKED_BYTES_MAX: u64 = 10 << 20;
/// Names that a refusal lists.
const NAMED_MAX: usize = 5;
/// The namespace of the refs that builds fetch.
pub const REFS: &str = "refs/baton/pipelines/";

/// What is wanted of a checkout.
#[derive(Clone, Debug, Default)]
pub struct Wanted<'a> {
    /// Only what is committed.
    pub committed: bool,
    /// Only files that git knows.
    pub tracked: bool,
    /// Files of any size.
    pub large: bool,
    /// The branch or tag that the pipeline runs for; empty: none.
    pub ref_name: &'a str,
    /// Whether that is a tag.
    pub is_tag: bool,
    /// Whether builds can also fetch the tags of the history: for those that fetch all of it.
    pub with_tags: bool,
    /// Further refs that builds can fetch: full name and commit.
    pub others: &'a [(String, String)],
    /// A folder that is left out wherever it lies: the data directory.
    pub leave_out: Option<&'a Path>,
}

/// A commit of the present state.
#[derive(Debug)]
pub struct Snapshot {
    /// 32 hexadecimal digits.
    pub key: String,
    /// The commit, all digits.
    pub sha: String,
    /// Whether that is the present commit of the checkout.
    pub is_head: bool,
    /// Files that were taken in though git does not know them, in order.
    pub untracked: Vec<String>,
    /// Files that differ from the present commit, those included, in order.
    pub changed: Vec<String>,
    /// What the user should know: a sentence each.
    pub warnings: Vec<String>,
    repository: Kept,
    head: String,
}

/// The repository, which goes again unless it is kept.
#[derive(Debug)]
struct Kept {
    dir: PathBuf,
    is_kept: bool,
}

impl Drop for Kept {
    fn drop(&mut self) {
        if !self.is_kept
            && let Err(error) = fs::remove_dir_all(&self.dir)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            log::warn!("cannot remove {}: {error}; the server tries again", self.dir.display());
        }
    }
}

impl Snapshot {
    /// Makes one, in a new folder of `sources`. Dropping it removes that again, unless it is kept.
    ///
    /// # Errors
    /// What git finds wrong; a checkout without a commit; large files.
    pub fn take(
        checkout: &Checkout,
        head: &Head,
        settings: &Settings,
        sources: &Path,
        wanted: &Wanted<'_>,
    ) -> Result<Snapshot> {
        let key = new_key()?;
        let repository = Kept { dir: sources.join(&key), is_kept: false };
        let objects = checkout.common_dir.join("objects");
        let borrowed = Borrowed { objects: &objects, is_sha256: checkout.is_sha256 };
        repository::create(&repository.dir, &borrowed)?;
        let maker = Maker { checkout, head, settings, wanted, dir: &repository.dir };
        let status = maker.status()?;
        let commit = if status.is_clean() { None } else { maker.commit(&status)? };
        let sha = commit.unwrap_or_else(|| head.sha.clone());
        repository::point(&repository.dir, &sha, &maker.refs(&key, &sha)?)?;
        maker.cut_history(&sha)?;
        let is_head = sha == head.sha;
        let changed = if is_head { vec![] } else { status.changed() };
        let Status { untracked, warnings, .. } = status;
        let untracked = untracked.iter().map(|name| text(name)).collect();
        Ok(Snapshot { key, sha, is_head, untracked, changed, warnings, repository, head: head.sha.clone() })
    }

    /// Its repository.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.repository.dir
    }

    /// A row names it: it stays.
    pub fn keep(&mut self) {
        self.repository.is_kept = true;
    }

    /// What the commit holds.
    ///
    /// # Errors
    /// Git's.
    pub fn contents(&self) -> Result<Contents> {
        Contents::of(Git::of_own(self.dir()), &self.sha, &self.head, self.changed.clone())
    }
}

/// 128 bits that nobody guesses.
fn new_key() -> Result<String> {
    Ok(hex(&random::<16>()?))
}

/// Whether this is the name of a snapshot's folder.
#[must_use]
pub fn is_key(name: &str) -> bool {
    name.len() == 32 && name.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

/// What makes a commit.
struct Maker<'a> {
    checkout: &'a Checkout,
    head: &'a Head,
    settings: &'a Settings,
    wanted: &'a Wanted<'a>,
    dir: &'a Path,
}

impl Maker<'_> {
    /// What differs from the present commit.
    fn status(&self) -> Result<Status> {
        if self.wanted.committed || !self.checkout.has_work_tree {
            return Ok(Status::default());
        }
        let untracked = if self.wanted.tracked { "--untracked-files=no" } else { "--untracked-files=all" };
        let list = self.checkout.git().ask(&["status", "--porcelain=v2", "-z", "--no-renames", untracked])?;
        let mut status = Status::parse(&list)?;
        if let Some(out) = self.wanted.leave_out {
            let out = fs::canonicalize(out).unwrap_or_else(|_| out.to_owned());
            if let Ok(below) = out.strip_prefix(&self.checkout.top) {
                status.leave_out(below);
            }
        }
        if !self.wanted.large {
            self.check_sizes(&status.untracked)?;
        }
        Ok(status)
    }

    fn check_sizes(&self, untracked: &[Vec<u8>]) -> Result<()> {
        let size = |name: &Vec<u8>| fs::symlink_metadata(self.checkout.top.join(path(name))).map(|file| file.len());
        let large = untracked.iter().filter_map(|name| {
            let size = size(name).ok().filter(|size| *size > UNTRACKED_BYTES_MAX)?;
            Some(format!("{} ({} MiB)", text(name), size >> 20))
        });
        let mut large: Vec<String> = large.collect();
        if large.is_empty() {
            return Ok(());
        }
        let more = large.len().saturating_sub(NAMED_MAX);
        large.truncate(NAMED_MAX);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let what = format!("new files of more than {} MiB: {}{more}", UNTRACKED_BYTES_MAX >> 20, large.join(", "));
        let advice = "have git ignore them, or leave new files out with --tracked, or take them with --large";
        Err(Error::new(Kind::TooLarge, format!("{what}; {advice}")))
    }

    /// A commit of what is there; `None`: it comes to the same as the present one.
    fn commit(&self, status: &Status) -> Result<Option<String>> {
        let index = self.dir.join("index");
        self.copy_index(&index)?;
        let git = self.checkout.git().with("GIT_INDEX_FILE", &index);
        let git = git.with("GIT_OBJECT_DIRECTORY", self.dir.join("objects")).with("GIT_LITERAL_PATHSPECS", "1");
        let hidden = self.behind_links(&status.removed);
        if !hidden.is_empty() {
            let list = self.list(&hidden)?;
            git.ask_with(&["update-index", "--force-remove", "-z", "--stdin"], list).map_err(not_taken)?;
        }
        let list: Vec<&[u8]> = status.paths().filter(|name| !hidden.contains(name)).collect();
        if !list.is_empty() {
            let words = ["update-index", "--add", "--remove", "--replace", "-z", "--stdin"];
            git.ask_with(&words, self.list(&list)?).map_err(not_taken)?;
        }
        let words: &[&str] = if self.settings.is_partial { &["write-tree", "--missing-ok"] } else { &["write-tree"] };
        let tree = text(git.ask(words).map_err(not_taken)?.trim_ascii_end());
        let _ = fs::remove_file(&index);
        if tree == self.head.tree {
            return Ok(None);
        }
        let sha = self.signed(git).ask_with(&["commit-tree", "-p", &self.head.sha, &tree], self.message()?);
        Ok(Some(text(sha.map_err(not_taken)?.trim_ascii_end())))
    }

    /// Copies the index with its time, by which git knows which files it must look into.
    fn copy_index(&self, to: &Path) -> Result<()> {
        let from = self.checkout.git_dir.join("index");
        let time = match fs::metadata(&from) {
            // Nothing was ever checked out.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            found => found.and_then(|file| file.modified()).map_err(|error| Error::file(&from, &error))?,
        };
        fs::copy(&from, to).map_err(|error| Error::file(&from, &error))?;
        let copy = File::options().write(true).open(to).map_err(|error| Error::file(to, &error))?;
        copy.set_times(FileTimes::new().set_modified(time)).map_err(|error| Error::file(to, &error))
    }

    /// Of files that are gone, those whose folder is a symbolic link now.
    fn behind_links<'n>(&self, removed: &'n [Vec<u8>]) -> Vec<&'n [u8]> {
        let is_link = |dir: &Path| {
            let dir = self.checkout.top.join(dir);
            fs::symlink_metadata(dir).is_ok_and(|file| file.file_type().is_symlink())
        };
        let is_hidden =
            |name: &&Vec<u8>| path(name).ancestors().skip(1).any(|dir| dir != Path::new("") && is_link(dir));
        removed.iter().filter(is_hidden).map(Vec::as_slice).collect()
    }

    /// A file with these names, for git to read.
    fn list(&self, names: &[&[u8]]) -> Result<File> {
        let mut all = names.join(&0);
        all.push(0);
        self.input(&all)
    }

    /// The commit has the author and the message of the present one, as the variables of its builds say.
    fn message(&self) -> Result<File> {
        self.input(self.head.message.as_bytes())
    }

    fn input(&self, content: &[u8]) -> Result<File> {
        let at = self.dir.join("input");
        let written = File::create(&at).and_then(|mut file| file.write_all(content)).and_then(|()| File::open(&at));
        let _ = fs::remove_file(&at);
        written.map_err(|error| Error::file(&at, &error))
    }

    fn signed(&self, git: Git) -> Git {
        let or_unknown = |text: &str| {
            let is_name = text.chars().any(|c| c.is_alphanumeric());
            if is_name { text.to_owned() } else { "unknown".to_owned() }
        };
        let (name, email) = (or_unknown(&self.head.author_name), or_unknown(&self.head.author_email));
        let git = git.with("GIT_AUTHOR_NAME", &name).with("GIT_AUTHOR_EMAIL", &email);
        git.with("GIT_COMMITTER_NAME", &name).with("GIT_COMMITTER_EMAIL", &email)
    }

    /// The history of a shallow clone ends where it ends there; that of a partial clone ends with the commit itself, since
    /// nobody knows what is missing before it.
    fn cut_history(&self, sha: &str) -> Result<()> {
        if self.settings.is_partial {
            repository::cut(self.dir, format!("{sha}\n").as_bytes())?;
            let git = Git::of_own(self.dir);
            let words = ["rev-list", "--objects", "--missing=print", "--max-count=1", sha];
            let list = git.ask(&words)?;
            if list.split(|&byte| byte == b'\n').any(|line| line.starts_with(b"?")) {
                let why = "this is a partial clone, and objects of the present commit are missing";
                return Err(Error::invalid(format!("{why}; fetch them with: git fetch --refetch --no-filter")));
            }
        } else if self.checkout.is_shallow {
            let file = self.checkout.common_dir.join("shallow");
            let commits = fs::read(&file).map_err(|error| Error::file(&file, &error))?;
            repository::cut(self.dir, &commits)?;
        }
        Ok(())
    }

    /// The refs that builds see. Runners 1.x clone the branch or the tag; the newer ones fetch the one that is named by the
    /// key.
    fn refs(&self, key: &str, sha: &str) -> Result<Vec<(String, String)>> {
        let mut refs = Vec::new();
        let name = self.wanted.ref_name;
        let named = match (name.is_empty() || name == "HEAD", self.wanted.is_tag) {
            (true, _) => None,
            (false, true) => Some(format!("refs/tags/{name}")),
            (false, false) => Some(format!("refs/heads/{name}")),
        };
        if let Some(named) = named {
            let at = if self.wanted.is_tag { self.tag(&named, sha)? } else { None };
            refs.push((named, at.unwrap_or_else(|| sha.to_owned())));
        }
        refs.push((format!("{REFS}{key}"), sha.to_owned()));
        refs.extend(self.wanted.others.iter().cloned());
        if self.wanted.with_tags {
            let words = ["for-each-ref", "--format=%(objectname) %(refname)", "--merged=HEAD", "refs/tags"];
            let list = text(&self.checkout.git().ask(&words)?);
            let pair = |line: &str| line.split_once(' ').map(|(sha, name)| (name.to_owned(), sha.to_owned()));
            refs.extend(list.lines().filter_map(pair));
        }
        Ok(refs)
    }

    /// The tag itself, which may have a message, if it is one of this commit.
    fn tag(&self, name: &str, sha: &str) -> Result<Option<String>> {
        let peeled = format!("{name}^{{commit}}");
        let answer = self.checkout.git().ask_maybe(&["rev-parse", name, &peeled])?.unwrap_or_default();
        let answer = text(&answer);
        Ok(answer.split_once('\n').filter(|(_, commit)| *commit == sha).map(|(tag, _)| tag.to_owned()))
    }
}

fn not_taken(refusal: Refusal) -> Error {
    let advice = "have git ignore the file, or run what is committed with --committed";
    Error::invalid(format!("the present state cannot be taken: {}; {advice}", refusal.words()))
}
