//! Checkouts, and what a snapshot makes of them. `kinds`: of all kinds of repositories; `changes`: of all that may have
//! changed; `reach`: what runners get without one.

mod changes;
mod kinds;
mod reach;

use super::checkout::{Checkout, Found, Head, Settings, look};
use super::snapshot::{Snapshot, UNTRACKED_BYTES_MAX, Wanted, is_key};
use crate::domain::file_url::repository_url;
use crate::error::{Kind, Result};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Runs git as a person would, whose name it wants to know.
fn git(dir: &Path, words: &[&str]) -> String {
    let settings =
        ["user.name=Ann", "user.email=ann@example.org", "init.defaultBranch=main", "protocol.file.allow=always"];
    let mut command = Command::new("git");
    command.current_dir(dir).env("GIT_CONFIG_NOSYSTEM", "1");
    for setting in settings {
        command.args(["-c", setting]);
    }
    let output = command.args(words).output().unwrap();
    assert!(output.status.success(), "{words:?}: {output:?}");
    String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
}

/// A directory with a repository in it, and a place for snapshots.
struct Place {
    dir: tempfile::TempDir,
    top: PathBuf,
}

impl Place {
    /// A repository without a commit.
    fn empty() -> Place {
        let dir = tempfile::tempdir().unwrap();
        let top = dir.path().canonicalize().unwrap().join("my \"project\"");
        fs::create_dir(&top).unwrap();
        git(&top, &["init", "--quiet"]);
        Place { dir, top }
    }

    /// A repository with one commit of some files.
    fn new() -> Place {
        let place = Place::empty();
        for (name, content) in [("a", "one"), ("src/b", "two"), ("src/c", "three"), (".gitignore", "*.log\n")] {
            place.write(name, content);
        }
        place.commit("The first commit\n\nWith a body.");
        place
    }

    fn write(&self, name: impl AsRef<Path>, content: &str) {
        let path = self.top.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn commit(&self, message: &str) {
        git(&self.top, &["add", "--all"]);
        git(&self.top, &["commit", "--quiet", "--message", message]);
    }

    fn root(&self) -> PathBuf {
        self.dir.path().canonicalize().unwrap()
    }

    fn sources(&self) -> PathBuf {
        self.root().join("data/sources")
    }

    /// A snapshot of the checkout in a folder, for which this must hold: nothing of it has changed.
    fn take_in(&self, dir: &Path, wanted: &Wanted<'_>) -> Result<Snapshot> {
        let checkout = checkout(dir);
        let before = state(&checkout);
        let (head, settings) = (checkout.head().unwrap().unwrap(), checkout.settings().unwrap());
        let snapshot = Snapshot::take(&checkout, &head, &settings, &self.sources(), wanted);
        assert_eq!(state(&checkout), before, "the checkout has changed");
        snapshot
    }

    fn take(&self) -> Snapshot {
        self.take_in(&self.top, &Wanted { ref_name: "main", ..Wanted::default() }).unwrap()
    }
}

fn checkout(dir: &Path) -> Checkout {
    match look(dir).unwrap() {
        Found::Checkout(checkout) => *checkout,
        other @ (Found::Nothing | Found::NoGit) => panic!("{other:?}"),
    }
}

fn head(checkout: &Checkout) -> Head {
    checkout.head().unwrap().unwrap()
}

/// All that a snapshot must leave alone: refs, index, objects, settings, and what git says of the files.
fn state(checkout: &Checkout) -> (BTreeMap<PathBuf, Vec<u8>>, String) {
    let mut files = BTreeMap::new();
    let mut dirs = vec![checkout.git_dir.clone(), checkout.common_dir.clone()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                dirs.push(path);
            } else {
                files.insert(path.clone(), fs::read(&path).unwrap());
            }
        }
    }
    let status = if checkout.has_work_tree {
        git(&checkout.top, &["--no-optional-locks", "status", "--porcelain=v2", "--untracked-files=all"])
    } else {
        String::new()
    };
    (files, status)
}

/// What a build gets that fetches the snapshot as runners do: mode or kind, and content, of each file.
fn fetched(snapshot: &Snapshot) -> BTreeMap<String, String> {
    let dir = tempfile::tempdir().unwrap();
    git(dir.path(), &["init", "--quiet", "--object-format", if snapshot.sha.len() == 64 { "sha256" } else { "sha1" }]);
    let refspec = format!("+refs/baton/pipelines/{0}:refs/baton/pipelines/{0}", snapshot.key);
    git(dir.path(), &["fetch", "--quiet", "--depth", "20", &repository_url(snapshot.dir()), &refspec]);
    git(dir.path(), &["checkout", "--quiet", &snapshot.sha]);
    files(dir.path())
}

/// The files of a folder, without git's.
fn files(dir: &Path) -> BTreeMap<String, String> {
    let (mut files, mut dirs) = (BTreeMap::new(), vec![dir.to_owned()]);
    while let Some(folder) = dirs.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(dir).unwrap().to_string_lossy().into_owned();
            let about = fs::symlink_metadata(&path).unwrap();
            if name == ".git" {
            } else if about.is_symlink() {
                files.insert(name, format!("-> {}", fs::read_link(&path).unwrap().display()));
            } else if about.is_dir() {
                dirs.push(path);
            } else {
                let mark = if about.permissions().mode() & 0o100 == 0 { "" } else { "x:" };
                files.insert(name, format!("{mark}{}", fs::read_to_string(&path).unwrap()));
            }
        }
    }
    files
}

/// The files of the checkout, without those that are ignored.
fn present(top: &Path) -> BTreeMap<String, String> {
    files(top).into_iter().filter(|(name, _)| !name.ends_with(".log")).collect()
}
