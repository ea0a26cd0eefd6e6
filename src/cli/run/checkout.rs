//! The git checkout that a command is called in, as far as a build of its present commit needs it. The `git` program
//! is asked, since it alone knows all kinds of repositories; nothing is changed.

use crate::cli::{Done, Stop};
use crate::domain::file_url::{path_in_url, repository_url};
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The settings of a partial clone.
const PROMISES: &str = r"^(extensions\.partialclone|remote\..*\.promisor)$";

/// What there is to be built.
#[derive(Debug, PartialEq, Eq)]
pub enum Found {
    /// This is no checkout.
    Nothing,
    /// This is one, but the program `git` is not there to ask.
    NoGit,
    /// A repository without a commit.
    NoCommit,
    /// A commit.
    Head(Head),
}

/// The present commit of a checkout.
#[derive(Debug, PartialEq, Eq)]
pub struct Head {
    /// The top folder, or the repository itself if it has no work tree.
    top: PathBuf,
    /// The way from there to the folder that was looked at.
    pub below: PathBuf,
    /// The commit.
    pub sha: String,
    /// The branch; without one the tag; without that HEAD.
    pub ref_: String,
    /// Whether that is a tag.
    pub is_tag: bool,
    /// Whether a branch or a tag of the repository has the commit: others only a clone finds, not a fetch.
    pub is_kept: bool,
    has_work_tree: bool,
}

/// What is not part of a build of the commit.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Uncommitted {
    /// Files that git knows and that are not as in the commit.
    pub changed: u64,
    /// Files and folders that git does not know, without those that it is to ignore.
    pub unknown: u64,
}

/// Looks at the checkout that `dir` lies in.
///
/// # Errors
/// What git finds wrong with it.
pub fn look(dir: &Path) -> Done<Found> {
    let place = match git(dir, &["rev-parse", "--is-inside-work-tree", "--absolute-git-dir"]) {
        Err(Refusal::Absent) if dir.ancestors().any(|dir| dir.join(".git").exists()) => return Ok(Found::NoGit),
        Err(Refusal::Absent) => return Ok(Found::Nothing),
        Err(Refusal::Said(error)) if error.contains("not a git repository") => return Ok(Found::Nothing),
        answer => answer?,
    };
    let mut parts = place.splitn(2, |&byte| byte == b'\n');
    let has_work_tree = parts.next() == Some(b"true");
    let top = if has_work_tree {
        path(&git(dir, &["rev-parse", "--show-toplevel"])?)
    } else {
        path(parts.next().unwrap_or_default())
    };
    let mut below = PathBuf::new();
    if has_work_tree {
        // Without the slash at its end.
        below.extend(path(&git(dir, &["rev-parse", "--show-prefix"])?).components());
    }
    let Ok(sha) = git(dir, &["rev-parse", "--verify", "--quiet", "HEAD^{commit}"]) else {
        return Ok(Found::NoCommit);
    };
    let branch = git(dir, &["symbolic-ref", "--quiet", "HEAD"]).ok().map(text);
    let branch = branch.and_then(|name| Some(name.strip_prefix("refs/heads/")?.to_owned()));
    let tag = match branch {
        Some(_) => None,
        None => git(dir, &["describe", "--tags", "--exact-match", "HEAD"]).ok().map(text),
    };
    let is_tag = tag.is_some();
    let is_kept = branch.is_some() || is_tag || is_on(dir, &["refs/heads", "refs/tags"])?;
    let ref_ = branch.or(tag).unwrap_or_else(|| "HEAD".to_owned());
    Ok(Found::Head(Head { top, below, sha: text(sha), ref_, is_tag, is_kept, has_work_tree }))
}

impl Head {
    /// Where a runner on this machine fetches the commit from.
    pub fn url(&self) -> String {
        repository_url(&self.top)
    }

    /// Whether this URL, or path, is that of this checkout.
    pub fn is_at(&self, url: &str) -> bool {
        let place = url.trim_end_matches('/').trim_end_matches("/.git");
        let bare = ["file://localhost", "file://"].iter().find_map(|begin| place.strip_prefix(begin));
        Path::new(place) == self.top || bare == Some(&path_in_url(&self.top))
    }

    /// What is not part of a build of the commit. `data` is the data directory, which nobody wants to commit.
    ///
    /// # Errors
    /// Git's.
    pub fn uncommitted(&self, data: &Path) -> Done<Uncommitted> {
        let mut found = Uncommitted::default();
        if !self.has_work_tree {
            return Ok(found);
        }
        let data = std::fs::canonicalize(data).unwrap_or_else(|_| data.to_owned());
        let list = git(&self.top, &["status", "--porcelain", "-z", "--no-renames"])?;
        for entry in list.split(|&byte| byte == 0).filter(|entry| !entry.is_empty()) {
            match entry.strip_prefix(b"?? ") {
                Some(name) if self.top.join(path(name)) == data => {}
                Some(_) => found.unknown += 1,
                None => found.changed += 1,
            }
        }
        Ok(found)
    }

    /// Whether the commit is on a branch of a remote repository, as far as this one knows.
    ///
    /// # Errors
    /// Git's.
    pub fn is_pushed(&self) -> Done<bool> {
        is_on(&self.top, &["refs/remotes"])
    }

    /// Whether the commit has the folder that was looked at.
    ///
    /// # Errors
    /// Git's.
    pub fn has_folder(&self) -> Done<bool> {
        if self.below.as_os_str().is_empty() {
            return Ok(true);
        }
        match self.below.to_str() {
            Some(name) => {
                let kind = git(&self.top, &["cat-file", "-t", &format!("HEAD:{name}")]);
                Ok(kind.is_ok_and(|kind| kind == b"tree"))
            }
            // Only as a path of the file system; what has a file in the commit is a folder of it.
            None => Ok(!git(&self.top.join(&self.below), &["ls-tree", "HEAD", "."])?.is_empty()),
        }
    }

    /// Whether objects of the present commit or of those before it are missing, as in a partial clone: git does not hand
    /// such a repository on.
    ///
    /// # Errors
    /// Git's.
    pub fn is_partial(&self) -> Done<bool> {
        let settings = git(&self.top, &["config", "--name-only", "--get-regexp", PROMISES]).unwrap_or_default();
        if settings.is_empty() {
            return Ok(false);
        }
        let list = git(&self.top, &["rev-list", "--objects", "--missing=print", "HEAD"])?;
        Ok(list.split(|&byte| byte == b'\n').any(|line| line.starts_with(b"?")))
    }

    /// Whether the commit has submodules.
    pub fn has_submodules(&self) -> bool {
        git(&self.top, &["cat-file", "-e", "HEAD:.gitmodules"]).is_ok()
    }
}

impl Uncommitted {
    /// The same in words, if there is anything.
    pub fn in_words(&self) -> Option<String> {
        let files = |count: u64, kind: &str| match count {
            0 => None,
            1 => Some(format!("1 {kind} file")),
            _ => Some(format!("{count} {kind} files")),
        };
        let parts: Vec<String> =
            [files(self.changed, "changed"), files(self.unknown, "new")].into_iter().flatten().collect();
        (!parts.is_empty()).then(|| parts.join(" and "))
    }
}

/// Whether one of these kinds of refs has the present commit.
fn is_on(dir: &Path, kinds: &[&str]) -> Done<bool> {
    Ok(!git(dir, &[&["for-each-ref", "--count=1", "--contains", "HEAD"], kinds].concat())?.is_empty())
}

/// Why git did not answer.
enum Refusal {
    /// It is not there.
    Absent,
    /// What it said of it.
    Said(String),
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Stop {
        let why = match refusal {
            Refusal::Absent => "it has gone".to_owned(),
            Refusal::Said(error) => error,
        };
        Stop::Failed(format!("git cannot look at this checkout: {why}; `--no-sources` runs without its sources"))
    }
}

/// What git says in `dir`, if it says anything.
pub fn answer(dir: &Path, words: &[&str]) -> Option<Vec<u8>> {
    git(dir, words).ok()
}

/// What git says in `dir`, without the line's end.
fn git(dir: &Path, words: &[&str]) -> Result<Vec<u8>, Refusal> {
    let mut command = Command::new("git");
    command.arg("-C").arg(dir).args(words).stdin(Stdio::null());
    // To be understood, and not to hinder a git that does something.
    command.env("LC_ALL", "C").env("GIT_OPTIONAL_LOCKS", "0");
    let output = match command.output() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(Refusal::Absent),
        output => output.map_err(|error| Refusal::Said(error.to_string()))?,
    };
    if !output.status.success() {
        let error = String::from_utf8_lossy(&output.stderr);
        let line = error.lines().next().unwrap_or_default();
        return Err(Refusal::Said(line.trim_start_matches("fatal: ").to_owned()));
    }
    let mut answer = output.stdout;
    answer.pop_if(|byte| *byte == b'\n');
    Ok(answer)
}

/// A path of these bytes.
pub fn path(bytes: &[u8]) -> PathBuf {
    PathBuf::from(OsStr::from_bytes(bytes))
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// Runs git as a person would, whose name it wants to know.
    fn git_in(dir: &Path, words: &[&str]) {
        let settings = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "init.defaultBranch=main"];
        let output = Command::new("git").current_dir(dir).args(settings).args(words).output().unwrap();
        assert!(output.status.success(), "{words:?}: {output:?}");
    }

    /// A repository with one commit.
    fn repository() -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let top = dir.path().canonicalize().unwrap().join("my project");
        fs::create_dir(&top).unwrap();
        git_in(&top, &["init", "--quiet"]);
        fs::create_dir(top.join("src")).unwrap();
        fs::write(top.join("src/a"), "one").unwrap();
        git_in(&top, &["add", "."]);
        git_in(&top, &["commit", "--quiet", "--message", "one"]);
        (dir, top)
    }

    fn head(dir: &Path) -> Head {
        match look(dir).unwrap() {
            Found::Head(head) => head,
            other @ (Found::Nothing | Found::NoGit | Found::NoCommit) => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_present_commit_is_that_of_the_branch_from_wherever_one_looks() {
        let (_dir, top) = repository();
        let found = head(&top.join("src"));
        assert_eq!((found.sha.len(), found.ref_.as_str(), found.is_tag, found.is_kept), (40, "main", false, true));
        assert!(
            found.url().starts_with("file://localhost/") && found.url().ends_with("/my%20project"),
            "{}",
            found.url()
        );
        assert!(!found.is_pushed().unwrap() && !found.has_submodules());
        let path = top.to_str().unwrap();
        let own = [path.to_owned(), format!("{path}/"), found.url(), found.url().replace("localhost", "") + "/.git"];
        assert!(own.iter().all(|url| found.is_at(url)), "{own:?}");
        assert!(!found.is_at("https://git.example/my%20project") && !found.is_at(&format!("{path}/src")));
    }

    #[test]
    fn a_detached_head_is_its_tag_or_head_and_only_a_clone_finds_what_no_ref_has() {
        let (_dir, top) = repository();
        git_in(&top, &["checkout", "--quiet", "--detach"]);
        let found = head(&top);
        assert_eq!((found.ref_.as_str(), found.is_tag, found.is_kept), ("HEAD", false, true));
        git_in(&top, &["commit", "--quiet", "--allow-empty", "--message", "two"]);
        let found = head(&top);
        assert_eq!((found.ref_.as_str(), found.is_tag, found.is_kept), ("HEAD", false, false));
        git_in(&top, &["tag", "v1.0"]);
        let found = head(&top);
        assert_eq!((found.ref_.as_str(), found.is_tag, found.is_kept), ("v1.0", true, true));
    }

    #[test]
    fn what_is_not_committed_is_counted_without_the_data_directory() {
        let (_dir, top) = repository();
        let data = top.join("baton-data");
        fs::create_dir(&data).unwrap();
        fs::write(data.join("baton.db"), "x").unwrap();
        assert_eq!(head(&top).uncommitted(&data).unwrap().in_words(), None);
        fs::write(top.join("src/a"), "two").unwrap();
        fs::write(top.join("src/größe b"), "new").unwrap();
        fs::write(top.join("c"), "new").unwrap();
        let found = head(&top).uncommitted(&data).unwrap();
        assert_eq!(found, Uncommitted { changed: 1, unknown: 2 });
        assert_eq!(found.in_words().unwrap(), "1 changed file and 2 new files");
    }

    #[test]
    fn a_commit_is_pushed_when_a_branch_of_a_remote_has_it() {
        let (dir, top) = repository();
        let clone = dir.path().canonicalize().unwrap().join("clone");
        git_in(&top, &["clone", "--quiet", ".", clone.to_str().unwrap()]);
        assert!(head(&clone).is_pushed().unwrap());
        fs::write(clone.join(".gitmodules"), "").unwrap();
        git_in(&clone, &["add", "."]);
        git_in(&clone, &["commit", "--quiet", "--message", "two"]);
        assert!(!head(&clone).is_pushed().unwrap() && head(&clone).has_submodules());
    }

    #[test]
    fn the_folder_in_which_one_stands_is_in_the_commit_or_not() {
        let (_dir, top) = repository();
        for name in [OsStr::new("in"), OsStr::from_bytes(b"in \xff")] {
            fs::create_dir_all(top.join(name).join("deep")).unwrap();
            assert!(!head(&top.join(name)).has_folder().unwrap(), "{name:?}");
            fs::write(top.join(name).join("a"), "x").unwrap();
        }
        git_in(&top, &["add", "."]);
        git_in(&top, &["commit", "--quiet", "--message", "two"]);
        for name in [OsStr::new(""), OsStr::new("src"), OsStr::new("in"), OsStr::from_bytes(b"in \xff")] {
            let found = head(&top.join(name));
            assert!(found.has_folder().unwrap() && found.below == Path::new(name), "{found:?}");
            if name.to_str() != Some("") {
                fs::create_dir_all(top.join(name).join("deep")).unwrap();
                assert!(!head(&top.join(name).join("deep")).has_folder().unwrap());
            }
        }
    }

    #[test]
    fn a_partial_clone_is_known_until_it_is_complete() {
        let (dir, top) = repository();
        fs::write(top.join("src/a"), "two").unwrap();
        git_in(&top, &["commit", "--quiet", "--all", "--message", "two"]);
        git_in(&top, &["config", "uploadpack.allowFilter", "true"]);
        let clone = dir.path().canonicalize().unwrap().join("clone");
        let url = repository_url(&top);
        git_in(&top, &["clone", "--quiet", "--filter=blob:none", &url, clone.to_str().unwrap()]);
        assert!(head(&clone).is_partial().unwrap() && !head(&top).is_partial().unwrap());
        git_in(&clone, &["fetch", "--quiet", "--refetch", "--no-filter"]);
        assert!(!head(&clone).is_partial().unwrap());
    }

    #[test]
    fn work_trees_and_bare_repositories_are_checkouts_too() {
        let (dir, top) = repository();
        let dir = dir.path().canonicalize().unwrap();
        git_in(&top, &["worktree", "add", "--quiet", "-b", "other", dir.join("tree").to_str().unwrap()]);
        let found = head(&dir.join("tree"));
        assert_eq!((found.ref_.as_str(), found.top.as_path()), ("other", dir.join("tree").as_path()));
        git_in(&top, &["clone", "--quiet", "--bare", ".", dir.join("bare.git").to_str().unwrap()]);
        let found = head(&dir.join("bare.git"));
        assert_eq!((found.ref_.as_str(), found.top.as_path()), ("main", dir.join("bare.git").as_path()));
        assert_eq!(found.uncommitted(&dir).unwrap().in_words(), None);
    }

    #[test]
    fn where_there_is_nothing_to_build_that_is_no_error() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(look(dir.path()).unwrap(), Found::Nothing);
        git_in(dir.path(), &["init", "--quiet"]);
        assert_eq!(look(dir.path()).unwrap(), Found::NoCommit);
        fs::write(dir.path().join(".git/HEAD"), "ref: refs/heads/x\n").unwrap();
        fs::write(dir.path().join(".git/config"), "[core\n").unwrap();
        match look(dir.path()) {
            Err(Stop::Failed(message)) => assert!(message.contains("--no-sources"), "{message}"),
            other => panic!("{other:?}"),
        }
    }
}
