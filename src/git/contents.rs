//! What a commit holds: files, and what changed since another commit. Of a snapshot, or of any commit of a checkout.

use super::checkout::text;
use super::program::{Git, Refusal};
use crate::error::{Error, Kind, Result};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

/// The mode of a submodule, which is no file.
const SUBMODULE: &str = "160000";

/// A commit that is read.
pub struct Contents {
    git: Git,
    sha: String,
    /// The commit whose history counts.
    head: String,
    /// Files that differ from that one.
    changed: Vec<String>,
    /// Whether the commits before it are here.
    has_history: bool,
    /// The names of the contents of all files.
    files: BTreeMap<String, String>,
    reader: Option<Reader>,
}

/// A git that hands out one content after the other.
struct Reader {
    child: Child,
    ask: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Drop for Reader {
    fn drop(&mut self) {
        // It ends by itself, but may be in the middle of a long content.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Contents {
    /// A commit, whose history counts from `head` on, from which these files differ.
    ///
    /// # Errors
    /// Git's.
    pub(super) fn of(git: Git, sha: &str, head: &str, changed: Vec<String>) -> Result<Contents> {
        let mut files = BTreeMap::new();
        for entry in git.ask(&["ls-tree", "-r", "-z", "--full-tree", sha])?.split(|&byte| byte == 0) {
            let entry = text(entry);
            let Some((about, name)) = entry.split_once('\t') else { continue };
            let mut about = about.split(' ');
            let (mode, content) = (about.next(), about.nth(1).unwrap_or_default());
            if mode != Some(SUBMODULE) {
                files.insert(name.to_owned(), content.to_owned());
            }
        }
        Ok(Contents {
            git,
            sha: sha.to_owned(),
            head: head.to_owned(),
            changed,
            has_history: true,
            files,
            reader: None,
        })
    }

    /// A commit of a snapshot's repository, by itself.
    ///
    /// # Errors
    /// Git's.
    pub fn of_repository(dir: &Path, sha: &str) -> Result<Contents> {
        Contents::of(Git::of_own(dir), sha, sha, vec![])
    }

    /// A commit without those before it.
    ///
    /// # Errors
    /// Git's.
    pub(super) fn of_lone(git: Git, sha: &str) -> Result<Contents> {
        Ok(Contents { has_history: false, ..Contents::of(git, sha, sha, vec![])? })
    }

    /// Any commit of a checkout.
    ///
    /// # Errors
    /// Git's.
    pub fn of_commit(checkout: &super::Checkout, sha: &str) -> Result<Contents> {
        Contents::of(checkout.git(), sha, sha, vec![])
    }

    /// The paths of all files from the top, in their order. Letters that are not UTF-8 are replaced.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.files.keys().map(String::as_str)
    }

    /// The content of a file; `None`: there is none.
    ///
    /// # Errors
    /// [`Kind::TooLarge`] for one of more than `bytes_max`; git's.
    pub fn read(&mut self, path: &str, bytes_max: u64) -> Result<Option<Vec<u8>>> {
        let Some(name) = self.files.get(path) else { return Ok(None) };
        if self.reader.is_none() {
            self.reader = Some(Reader::start(&self.git)?);
        }
        let answer = self.reader.as_mut().map(|reader| reader.read(name, bytes_max));
        match answer.transpose() {
            Ok(Some(Content::Whole(content))) => Ok(Some(content)),
            Ok(Some(Content::Longer(bytes))) => {
                // It stands at the begin of what is not read.
                self.reader = None;
                Err(Error::new(Kind::TooLarge, format!("{path} has {bytes} bytes; at most {bytes_max} are read")))
            }
            Ok(None) => Ok(None),
            Err(error) => {
                self.reader = None;
                Err(Error::invalid(format!("git cannot read {path}: {error}")))
            }
        }
    }

    /// Files that differ from those of another commit, in their order; `None`: there is no such commit.
    ///
    /// # Errors
    /// Git's.
    pub fn changed_since(&self, base: &str) -> Result<Option<Vec<String>>> {
        if base == self.head && self.changed.is_empty() {
            return Ok(Some(vec![]));
        }
        let words = ["diff-tree", "-r", "-z", "--no-renames", "--no-commit-id", "--name-only", base, &self.sha];
        if base.starts_with('-') {
            return Ok(None);
        }
        match self.git.ask(&words) {
            Ok(list) => Ok(Some(list.split(|&byte| byte == 0).filter(|name| !name.is_empty()).map(text).collect())),
            Err(Refusal::Said(_)) => Ok(None),
            Err(refusal) => Err(refusal.into()),
        }
    }

    /// Of these files the commits that touched them last, each once, in order; of one that is changed and not committed its
    /// content's name, and without the commits before it of each. Files that do not exist have none.
    ///
    /// # Errors
    /// Git's.
    pub fn last_commits(&self, paths: &[String]) -> Result<Vec<String>> {
        let mut names = Vec::new();
        let git = self.git.clone().with("GIT_LITERAL_PATHSPECS", "1");
        for path in paths {
            let Some(content) = self.files.get(path) else { continue };
            if !self.has_history || self.changed.iter().any(|changed| changed == path) {
                names.push(content.clone());
                continue;
            }
            let words = ["log", "-1", "--no-show-signature", "--format=%H", &self.head, "--", path];
            let answer = git.ask(&words)?;
            names.extend(text(&answer).lines().next().map(ToOwned::to_owned));
        }
        names.sort();
        names.dedup();
        Ok(names)
    }
}

/// What a reader has of a content.
enum Content {
    /// All.
    Whole(Vec<u8>),
    /// It has so many bytes, which are too many.
    Longer(u64),
}

impl Reader {
    fn start(git: &Git) -> Result<Reader> {
        let mut command = git.command(&["cat-file", "--batch"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn()?;
        match (child.stdin.take(), child.stdout.take()) {
            (Some(ask), Some(answers)) => Ok(Reader { child, ask, answers: BufReader::new(answers) }),
            _ => Err(Error::internal("a child has no pipes")),
        }
    }

    fn read(&mut self, name: &str, bytes_max: u64) -> std::io::Result<Content> {
        self.ask.write_all(format!("{name}\n").as_bytes())?;
        let mut line = String::new();
        (&mut self.answers).take(200).read_line(&mut line)?;
        let bytes = line.split_whitespace().nth(2).and_then(|bytes| bytes.parse::<u64>().ok());
        let bytes = bytes.ok_or_else(|| std::io::Error::other("its content is missing"))?;
        if bytes > bytes_max {
            return Ok(Content::Longer(bytes));
        }
        let mut content = Vec::new();
        (&mut self.answers).take(bytes + 1).read_to_end(&mut content)?;
        if content.pop() != Some(b'\n') || content.len() as u64 != bytes {
            return Err(std::io::Error::other("its content is cut off"));
        }
        Ok(Content::Whole(content))
    }
}
