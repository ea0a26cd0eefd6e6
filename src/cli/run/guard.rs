//! What of a folder an archive must not write: the user's repositories, and whatever git or a shell reads or runs by
//! itself.
//!
//! What must stay true: a name is judged before anything of that name is written, by the name itself, by what lies on
//! the disk on the way to it, and by what the rest of the archive would make of the folder. Git says where else it has
//! its hooks, settings and programs; where it is not installed, names and folders are judged alone.

use crate::cli::{Done, Stop};
use crate::domain::autorun::{Repository, is_read_at_home, is_same_name, read_by_itself};
use crate::git::checkout::path;
use crate::git::program::Git;
use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

/// Names that tell a repository, see [`Repository`].
const TELLING: [&str; 4] = ["HEAD", "objects", "refs", "commondir"];

/// Ends of the names of git's settings that say which program to run, or which file to read.
const PROGRAMS: [&str; 14] = [
    "fsmonitor",
    "editor",
    "pager",
    "sshcommand",
    "askpass",
    "external",
    "textconv",
    "command",
    "cmd",
    "clean",
    "smudge",
    "process",
    "driver",
    "helper",
];

/// Judges the names of an archive that is to go to a folder.
pub struct Guard {
    dir: PathBuf,
    /// Set if the folder is the user's home, or above it.
    home: Option<PathBuf>,
    /// What the archive would make of each folder below.
    planned: HashMap<PathBuf, Repository>,
    /// Whether each folder that was looked at is a repository, or would become one.
    folders: HashMap<PathBuf, bool>,
    /// What else git reads and runs.
    own: Vec<PathBuf>,
}

impl Guard {
    /// Looks at the folder `dir`, which is there or not, and to which files of these names are to go.
    ///
    /// # Errors
    /// If the folder is git's own.
    pub fn new<'a>(dir: &Path, names: impl Iterator<Item = &'a Path>) -> Done<Guard> {
        let dir = real(dir);
        check_place(&dir)?;
        let mut planned = HashMap::<PathBuf, Repository>::new();
        for part in names.flat_map(Path::ancestors) {
            if let (Some(folder), Some(name)) = (part.parent(), part.file_name()) {
                planned.entry(folder.to_owned()).or_default().add(name.as_bytes());
            }
        }
        let home = std::env::home_dir().map(|home| real(&home)).filter(|home| home.starts_with(&dir));
        let own = own_files(&dir);
        Ok(Guard { dir, home, planned, folders: HashMap::new(), own })
    }

    /// The first parts of `path` that must not be written; `None` if it may.
    pub fn kept(&mut self, path: &Path, is_folder: bool) -> Option<PathBuf> {
        if let Some(kept) = read_by_itself(path) {
            return Some(kept.to_owned());
        }
        // The topmost, which comes last.
        let mut repository = None;
        for folder in path.ancestors() {
            if self.is_repository(folder) {
                repository = Some(if folder.as_os_str().is_empty() { path } else { folder });
            }
        }
        let full = self.dir.join(path);
        let is_own =
            |own: &PathBuf| begins_with(&full, own) || (!is_folder && full != self.dir && begins_with(own, &full));
        let is_at_home = self.home.as_ref().and_then(|home| full.strip_prefix(home).ok()).is_some_and(is_read_at_home);
        match repository {
            Some(folder) => Some(folder.to_owned()),
            None => (is_at_home || self.own.iter().any(is_own)).then(|| path.to_owned()),
        }
    }

    /// Whether a link at `path` to `target`, which stays within the folder, leads to what must not be written.
    pub fn leads_to_kept(&mut self, target: &Path, path: &Path) -> bool {
        let target = clean(&path.parent().unwrap_or(Path::new("")).join(target));
        self.kept(&target, true).is_some()
    }

    fn is_repository(&mut self, folder: &Path) -> bool {
        if let Some(&is_one) = self.folders.get(folder) {
            return is_one;
        }
        let place = self.dir.join(folder);
        let mut found = self.planned.get(folder).copied().unwrap_or_default();
        add_what_is_there(&mut found, &place);
        // A submodule, or another repository: it has settings of its own.
        if !folder.as_os_str().is_empty() && is_there(&place.join(".git")) {
            self.own.extend(own_files(&place));
        }
        self.folders.insert(folder.to_owned(), found.is_whole());
        found.is_whole()
    }
}

/// Checks that files may go to `dir` at all.
///
/// # Errors
/// If it is a folder of git's own, or below one.
pub fn check_place(dir: &Path) -> Done {
    let dir = real(dir);
    let is_git = |place: &Path| {
        let mut found = Repository::default();
        add_what_is_there(&mut found, place);
        found.is_whole()
    };
    if read_by_itself(&dir).is_none() && !dir.ancestors().any(is_git) {
        return Ok(());
    }
    let place = dir.display();
    Err(Stop::Failed(format!("{place} is git's own: a build's files do not go there; choose another folder")))
}

fn add_what_is_there(found: &mut Repository, folder: &Path) {
    TELLING.iter().filter(|name| is_there(&folder.join(name))).for_each(|name| found.add(name.as_bytes()));
}

fn is_there(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}

/// Files and folders, besides `.git`, that git reads or runs by itself when it is called in `dir`.
fn own_files(dir: &Path) -> Vec<PathBuf> {
    let dir = dir.ancestors().find(|dir| dir.is_dir()).unwrap_or(dir);
    let Some(top) = answer(dir, &["rev-parse", "--show-toplevel"]).map(|top| path(&top)) else { return Vec::new() };
    let mut own = Vec::new();
    let places = ["--git-dir", "--git-common-dir"].map(|what| answer(&top, &["rev-parse", what]));
    let hooks = answer(&top, &["rev-parse", "--git-path", "hooks"]);
    own.extend(places.into_iter().chain([hooks]).flatten().map(|place| top.join(path(&place))));
    let settings = answer(&top, &["config", "--list", "--show-origin", "--null"]).unwrap_or_default();
    let parts: Vec<&[u8]> = settings.split(|&byte| byte == 0).collect();
    for pair in parts.chunks_exact(2) {
        let &[origin, setting] = pair else { continue };
        if let Some(file) = origin.strip_prefix(b"file:") {
            own.push(top.join(path(file)));
        }
        own.extend(programs(setting).map(|file| top.join(path(&file))).filter(|file| !begins_with(dir, file)));
    }
    let mut all: Vec<PathBuf> = own.iter().map(|place| real(place)).collect();
    all.extend(own.iter().map(|place| clean(place)));
    all.sort();
    all.dedup();
    all
}

/// What git says in `dir`, if it says anything.
fn answer(dir: &Path, words: &[&str]) -> Option<Vec<u8>> {
    Git::of_user(dir).ask_maybe(words).ok().flatten()
}

/// The files that a setting, its name and value on two lines, has git run. What has no slash is looked for on `PATH`.
fn programs(setting: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let line = setting.iter().position(|&byte| byte == b'\n').unwrap_or(setting.len());
    let (name, value) = setting.split_at(line);
    let name = String::from_utf8_lossy(name).to_lowercase();
    let last = name.rsplit('.').next().unwrap_or_default();
    let is_run = PROGRAMS.contains(&last) || ["alias.", "pager.", "gpg."].iter().any(|begin| name.starts_with(begin));
    let divides = |byte: &u8| byte.is_ascii_whitespace() || b"'\"!;&|()<>=".contains(byte);
    let words: Vec<Vec<u8>> = value.split(divides).map(<[u8]>::to_vec).collect();
    words.into_iter().filter(move |word| is_run && word.contains(&b'/'))
}

/// Where a path leads, through the links of what is there of it.
fn real(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    for there in path.ancestors() {
        if let (Ok(real), Ok(rest)) = (fs::canonicalize(there), path.strip_prefix(there)) {
            return clean(&real.join(rest));
        }
    }
    clean(&path)
}

/// The path without `.` and `..`, as if there were no links.
fn clean(path: &Path) -> PathBuf {
    let mut clean = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => _ = clean.pop(),
            Component::CurDir => {}
            Component::Normal(_) | Component::RootDir | Component::Prefix(_) => clean.push(part),
        }
    }
    clean
}

/// Whether `path` is `begin` or lies below it, on whichever file system.
fn begins_with(path: &Path, begin: &Path) -> bool {
    let bytes = |part: Component<'_>| OsStr::as_bytes(part.as_os_str()).to_vec();
    let (mut path, mut begin) = (path.components(), begin.components());
    begin.all(|wanted| path.next().is_some_and(|part| is_same_name(&bytes(part), &bytes(wanted))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    fn git(dir: &Path, words: &[&str]) {
        let settings = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "protocol.file.allow=always"];
        let output = Command::new("git").current_dir(dir).args(settings).args(words).output().unwrap();
        assert!(output.status.success(), "{words:?}: {output:?}");
    }

    #[track_caller]
    fn check(dir: &Path, names: &[&str], expected: &[&str]) {
        let mut guard = Guard::new(dir, names.iter().map(Path::new)).unwrap();
        let kept: Vec<PathBuf> = names.iter().filter_map(|name| guard.kept(Path::new(name), false)).collect();
        assert_eq!(kept, expected.iter().map(PathBuf::from).collect::<Vec<_>>());
    }

    #[test]
    fn what_would_become_a_repository_is_left_out_also_in_two_goes() {
        let dir = tempfile::tempdir().unwrap();
        check(dir.path(), &["a/HEAD", "a/objects/x", "a/refs/y", "a/z", "b/HEAD"], &["a", "a", "a", "a"]);
        check(dir.path(), &["w/head", "w/CommonDir", "x"], &["w", "w"]);
        check(dir.path(), &["HEAD", "objects/x", "refs/x"], &["HEAD", "objects/x", "refs/x"]);
        fs::create_dir_all(dir.path().join("a/objects")).unwrap();
        fs::create_dir_all(dir.path().join("a/refs")).unwrap();
        check(dir.path(), &["a/b/c", "a/HEAD", "HEAD"], &["a", "a"]);
    }

    #[test]
    fn nothing_goes_to_a_folder_of_gits_own() {
        let dir = tempfile::tempdir().unwrap();
        git(dir.path(), &["init", "--quiet", "--bare", "bare"]);
        git(dir.path(), &["init", "--quiet", "--separate-git-dir", "elsewhere", "top"]);
        for place in ["bare", "bare/new/deep", "bare/hooks", "elsewhere/info", "top/.git/x", "new/.GIT"] {
            assert!(check_place(&dir.path().join(place)).is_err(), "{place}");
        }
        for place in ["", "top", "top/new/deep"] {
            assert!(check_place(&dir.path().join(place)).is_ok(), "{place}");
        }
        check(
            dir.path(),
            &["bare/config", "elsewhere/hooks/x", "top/.git", "top/a"],
            &["bare", "elsewhere", "top/.git"],
        );
    }

    #[test]
    fn hooks_settings_and_programs_that_git_has_in_the_work_tree_are_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let top = dir.path().join("top");
        git(dir.path(), &["init", "--quiet", "top"]);
        fs::write(top.join("shared.conf"), "[alias]\n\tx = !./tools/x \"$@\"\n").unwrap();
        git(&top, &["config", "core.hooksPath", ".husky/_"]);
        git(&top, &["config", "include.path", "../shared.conf"]);
        git(&top, &["config", "filter.f.clean", "sh tools/clean.sh %f"]);
        git(&top, &["config", "core.editor", "vi"]);
        let names =
            [".husky/_/pre-commit", ".HUSKY", "shared.conf", "tools/x", "tools/clean.sh", "tools/y", "vi", "a/b"];
        check(&top, &names, &[".husky/_/pre-commit", ".HUSKY", "shared.conf", "tools/x", "tools/clean.sh"]);
        fs::create_dir(top.join("tools")).unwrap();
        check(&top.join("tools"), &["x", "y", "clean.sh"], &["x", "clean.sh"]);
        check(dir.path(), &["top/shared.conf", "top/y"], &["top/shared.conf"]);
    }

    #[test]
    fn submodules_and_further_work_trees_keep_their_own() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().canonicalize().unwrap();
        git(&dir, &["init", "--quiet", "top"]);
        let top = dir.join("top");
        git(&top, &["commit", "--quiet", "--allow-empty", "--message", "one"]);
        git(&dir, &["clone", "--quiet", "top", "other"]);
        git(&top, &["submodule", "--quiet", "add", dir.join("other").to_str().unwrap(), "sub"]);
        git(&top.join("sub"), &["config", "core.hooksPath", "hooks"]);
        git(&top, &["worktree", "add", "--quiet", "../tree"]);
        check(&top, &["sub/.git", "sub/hooks/x", "sub/a", "hooks/x"], &["sub/.git", "sub/hooks/x"]);
        check(&dir, &["tree/.git", "tree/a", "top/.git/worktrees/tree/HEAD"], &["tree/.git", "top/.git"]);
    }

    #[test]
    fn links_to_what_is_kept_are_known() {
        let dir = tempfile::tempdir().unwrap();
        let mut guard = Guard::new(dir.path(), std::iter::empty()).unwrap();
        for (target, path, leads) in
            [(".git", "a", true), ("../.git/hooks", "a/b", true), (".git~", "a", false), ("b/GIT~1/x", "a", true)]
        {
            assert_eq!(guard.leads_to_kept(Path::new(target), Path::new(path)), leads, "{path} -> {target}");
        }
    }
}
