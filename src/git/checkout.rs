//! A checkout of the user's: which commit, which branch, what it is called elsewhere. Nothing is changed.

use super::program::{Git, Refusal};
use crate::error::{Error, Result};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// The settings that are read, and no others.
const SETTINGS: &str = r"^(remote\..*\.(url|promisor)|branch\..*\.(remote|merge)|init\.defaultbranch|user\.(name|email)|extensions\.partialclone)$";

/// What there is in a folder.
#[derive(Debug)]
pub enum Found {
    /// No checkout.
    Nothing,
    /// One, but the program `git` is not there to ask.
    NoGit,
    /// One.
    Checkout(Box<Checkout>),
}

/// A checkout, or a bare repository.
#[derive(Clone, Debug)]
pub struct Checkout {
    /// The top folder, or the repository itself if it has no work tree.
    pub top: PathBuf,
    /// The way from there to the folder that was looked at.
    pub below: PathBuf,
    /// Git's own folder for this work tree.
    pub git_dir: PathBuf,
    /// Git's own folder for all work trees of the repository.
    pub common_dir: PathBuf,
    /// Whether there are files beside the repository.
    pub has_work_tree: bool,
    /// Whether the history is cut off.
    pub is_shallow: bool,
    /// Whether commits have names of 64 digits.
    pub is_sha256: bool,
    /// The branch that is checked out, also before its first commit.
    pub branch: Option<String>,
}

/// The present commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Its name, all digits.
    pub sha: String,
    /// The name of its tree.
    pub tree: String,
    /// The names of those before it.
    pub parents: Vec<String>,
    /// The author's name.
    pub author_name: String,
    /// The author's address.
    pub author_email: String,
    /// When it was made, as in `2026-08-01T12:00:00+02:00`.
    pub committed_at: String,
    /// The whole message.
    pub message: String,
}

/// What git was told about the repository and its user.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// The remote repositories: name and URL, in their order.
    pub remotes: Vec<(String, String)>,
    /// `init.defaultBranch`.
    pub default_branch: Option<String>,
    /// `user.name`.
    pub user_name: Option<String>,
    /// `user.email`.
    pub user_email: Option<String>,
    /// Whether objects may be missing, which a remote repository has.
    pub is_partial: bool,
}

impl Settings {
    /// The URL of `origin`, else of the first remote repository.
    #[must_use]
    pub fn origin(&self) -> Option<&str> {
        let origin = self.remotes.iter().find(|(name, _)| name == "origin");
        origin.or(self.remotes.first()).map(|(_, url)| url.as_str())
    }
}

impl Head {
    /// The first line of the message.
    #[must_use]
    pub fn title(&self) -> &str {
        self.message.lines().next().unwrap_or_default()
    }
}

/// Looks at what `dir` lies in.
///
/// # Errors
/// What git finds wrong with it.
pub fn look(dir: &Path) -> Result<Found> {
    const ASKED: [&str; 7] = [
        "--is-inside-work-tree",
        "--is-shallow-repository",
        "--show-object-format",
        "--absolute-git-dir",
        "--git-common-dir",
        "--show-prefix",
        "--show-toplevel",
    ];
    let git = Git::of_checkout(dir);
    let mut words = vec!["rev-parse"];
    words.extend(ASKED);
    words.extend(["--symbolic-full-name", "HEAD"]);
    let answer = match git.ask(&words) {
        Err(Refusal::Absent) if dir.ancestors().any(|dir| dir.join(".git").exists()) => return Ok(Found::NoGit),
        Err(Refusal::Absent) => return Ok(Found::Nothing),
        Err(Refusal::Said(why)) if why.contains("not a git repository") => return Ok(Found::Nothing),
        Err(Refusal::Said(why)) if why.contains("dubious ownership") => return Err(not_trusted(&why)),
        // It has no commit, or no work tree.
        Err(Refusal::Said(_)) => vec![],
        answer => answer?,
    };
    let lines: Vec<&[u8]> = answer.strip_suffix(b"\n").unwrap_or(&answer).split(|byte| *byte == b'\n').collect();
    let checkout = match lines.as_slice() {
        [tree, shallow, format, git_dir, common, prefix, top, head] => {
            Checkout::of(dir, [tree, shallow, format, git_dir, common, prefix, top], Some(head))
        }
        // Something is missing, or a path has a line's end in it.
        _ => one_by_one(dir, &git, ASKED)?,
    };
    Ok(Found::Checkout(Box::new(checkout)))
}

/// The same, a question at a time.
fn one_by_one(dir: &Path, git: &Git, asked: [&str; 7]) -> Result<Checkout> {
    let mut answers: [Vec<u8>; 7] = Default::default();
    for (answer, word) in answers.iter_mut().zip(asked) {
        let may_fail = matches!(word, "--show-toplevel" | "--show-prefix");
        *answer = match git.ask_maybe(&["rev-parse", word])? {
            Some(answer) => answer,
            None if may_fail => vec![],
            None => git.ask(&["rev-parse", word])?,
        };
    }
    let head = git.ask_maybe(&["symbolic-ref", "--quiet", "HEAD"])?;
    Ok(Checkout::of(dir, answers.each_ref().map(Vec::as_slice), head.as_deref()))
}

/// Git looks at nothing that belongs to somebody else.
fn not_trusted(why: &str) -> Error {
    let place = why.split('\'').nth(1).unwrap_or("DIR");
    let advice = format!("if you trust it: git config --global --add safe.directory {place}");
    Error::invalid(format!("git does not look at this checkout, which belongs to another user; {advice}"))
}

impl Checkout {
    fn of(dir: &Path, answers: [&[u8]; 7], head: Option<&[u8]>) -> Checkout {
        let [tree, shallow, format, git_dir, common, prefix, top] = answers;
        let has_work_tree = tree == b"true";
        let (git_dir, mut below) = (path(git_dir), PathBuf::new());
        if has_work_tree {
            // Without the slash at its end.
            below.extend(path(prefix).components());
        }
        let common_dir = dir.join(path(common));
        let branch = head.and_then(|name| name.strip_prefix(b"refs/heads/")).map(text);
        Checkout {
            top: if has_work_tree { path(top) } else { git_dir.clone() },
            below,
            common_dir: std::fs::canonicalize(&common_dir).unwrap_or(common_dir),
            git_dir,
            has_work_tree,
            is_shallow: shallow == b"true",
            is_sha256: format == b"sha256",
            branch,
        }
    }

    /// Git, called in the top folder.
    #[must_use]
    pub fn git(&self) -> Git {
        Git::of_checkout(&self.top)
    }

    /// The present commit; `None`: there is none yet.
    ///
    /// # Errors
    /// Git's.
    pub fn head(&self) -> Result<Option<Head>> {
        match Head::read(&self.git(), "HEAD") {
            Ok(head) => Ok(head),
            Err(refusal) => match self.resolve("HEAD")? {
                Some(_) => Err(refusal.into()),
                None => Ok(None),
            },
        }
    }

    /// Remote repositories, and who the user is.
    ///
    /// # Errors
    /// Git's.
    pub fn settings(&self) -> Result<Settings> {
        let list = self.git().ask_maybe(&["config", "-z", "--get-regexp", SETTINGS])?.unwrap_or_default();
        let mut settings = Settings::default();
        for entry in list.split(|byte| *byte == 0) {
            let entry = text(entry);
            let Some((key, value)) = entry.split_once('\n') else { continue };
            let value = value.to_owned();
            match key {
                "init.defaultbranch" => settings.default_branch = Some(value),
                "user.name" => settings.user_name = Some(value),
                "user.email" => settings.user_email = Some(value),
                "extensions.partialclone" => settings.is_partial = true,
                key if key.ends_with(".promisor") => settings.is_partial |= value == "true",
                key => {
                    let name = key.strip_prefix("remote.").and_then(|key| key.strip_suffix(".url"));
                    settings.remotes.extend(name.map(|name| (name.to_owned(), value)));
                }
            }
        }
        Ok(settings)
    }

    /// The commit that a name stands for, all digits; `None`: none.
    ///
    /// # Errors
    /// Git's.
    pub fn resolve(&self, name: &str) -> Result<Option<String>> {
        if name.starts_with('-') {
            return Ok(None);
        }
        let name = format!("{name}^{{commit}}");
        Ok(self.git().ask_maybe(&["rev-parse", "--verify", "--quiet", &name])?.map(|sha| text(&sha)))
    }

    /// The commit that the branch's upstream has, which is what a push would be compared with.
    ///
    /// # Errors
    /// Git's.
    pub fn upstream(&self, branch: &str) -> Result<Option<String>> {
        self.resolve(&format!("{branch}@{{upstream}}"))
    }

    /// The tag of the present commit: the newest one with a message, else any.
    ///
    /// # Errors
    /// Git's.
    pub fn tag_at_head(&self) -> Result<Option<String>> {
        let tag = self.git().ask_maybe(&["describe", "--tags", "--exact-match", "HEAD"])?;
        Ok(tag.map(|tag| text(&tag)))
    }

    /// The message of a tag that has one.
    ///
    /// # Errors
    /// Git's.
    pub fn tag_message(&self, tag: &str) -> Result<Option<String>> {
        Ok(tag_message(&self.git(), &format!("refs/tags/{tag}"))?)
    }

    /// The default branch: that of `origin`, else `init.defaultBranch`, `main` or `master` if there is one, else the only
    /// branch.
    ///
    /// # Errors
    /// Git's.
    pub fn default_branch(&self, settings: &Settings) -> Result<Option<String>> {
        let words = ["for-each-ref", "--format=%(refname) %(symref)", "refs/remotes/origin/HEAD", "refs/heads"];
        let list = text(&self.git().ask(&words)?);
        let mut branches = Vec::new();
        for (name, target) in list.lines().filter_map(|line| line.split_once(' ')) {
            if let Some(branch) = target.strip_prefix("refs/remotes/origin/") {
                return Ok(Some(branch.to_owned()));
            }
            branches.extend(name.strip_prefix("refs/heads/"));
        }
        let usual = [settings.default_branch.as_deref().unwrap_or("main"), "main", "master"];
        let named = usual.into_iter().find(|name| branches.contains(name));
        let only = if let [only] = branches.as_slice() { Some(*only) } else { None };
        // Before the first commit there is no branch but the present one.
        let present = if branches.is_empty() { self.branch.as_deref() } else { None };
        Ok(named.or(only).or(present).map(ToOwned::to_owned))
    }

    /// The newest commit that both have before them, or are.
    ///
    /// # Errors
    /// Git's.
    pub fn merge_base(&self, one: &str, other: &str) -> Result<Option<String>> {
        if [one, other].iter().any(|name| name.starts_with('-')) {
            return Ok(None);
        }
        Ok(self.git().ask_maybe(&["merge-base", one, other])?.map(|sha| text(&sha)))
    }
}

impl Head {
    /// The commit of this name.
    pub(super) fn read(git: &Git, name: &str) -> std::result::Result<Option<Head>, Refusal> {
        let format = "--format=%H%x00%T%x00%P%x00%an%x00%ae%x00%cI%x00%B";
        let words = ["log", "-1", "--no-show-signature", "--no-color", "--encoding=UTF-8", format, name, "--"];
        git.ask(&words).map(|answer| Head::of(&answer))
    }

    fn of(answer: &[u8]) -> Option<Head> {
        let answer = text(answer);
        let mut fields = answer.splitn(7, '\0').map(ToOwned::to_owned);
        let (sha, tree) = (fields.next()?, fields.next()?);
        let parents = fields.next()?.split_whitespace().map(ToOwned::to_owned).collect();
        let (author_name, author_email, committed_at) = (fields.next()?, fields.next()?, fields.next()?);
        let message = fields.next()?.trim_end_matches('\n').to_owned();
        Some(Head { sha, tree, parents, author_name, author_email, committed_at, message })
    }
}

/// The message of the tag at this full name, if it has one.
pub(super) fn tag_message(git: &Git, name: &str) -> std::result::Result<Option<String>, Refusal> {
    let format = "--format=%(objecttype) %(contents)";
    let answer = git.ask(&["for-each-ref", "--count=1", format, name])?;
    Ok(text(&answer).strip_prefix("tag ").map(|message| message.trim_end().to_owned()))
}

/// A path of these bytes.
#[must_use]
pub fn path(bytes: &[u8]) -> PathBuf {
    PathBuf::from(OsStr::from_bytes(bytes))
}

/// A text of these bytes.
pub(super) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
