//! Where jobs work: a folder for each project and slot, with a lock, below one that only this user can read.
//!
//! ```text
//! BUILDS/local/SLOT/PATH       the checkout      BUILDS/local/SLOT/PATH.tmp    what is only for one job
//! BUILDS/.locks/...            a file for each slot, locked while a job is in it
//! BUILDS/.logs                 where nameless files lie while jobs run
//! ```
//!
//! What must stay true: two jobs, of whichever processes, are never in one folder. A job may have put links, hooks and
//! settings anywhere below `BUILDS`: no link is gone through when a folder is made ready, removed or cleaned, and of a
//! checkout that is kept, nothing runs by itself. Folders lie below no checkout and in no data directory; that is for
//! whoever chooses `BUILDS`.

use crate::domain::token::hex;
use nix::fcntl::{Flock, FlockArg};
use sha2::{Digest, Sha256};
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Slots of one project.
const SLOTS_MAX: u32 = 1000;
/// What was not used for so long is removed.
pub const UNUSED_TIME_MAX: Duration = Duration::from_secs(30 * 24 * 3600);
/// What the folder is called that real runners name after their token: a token that changes with every run would make a
/// new checkout each time.
const SHORT: &str = "local";

/// A place for one job at a time.
pub struct Slot {
    /// Which of the project's slots it is.
    pub number: u32,
    /// The checkout.
    pub project: PathBuf,
    /// What is only for one job.
    pub temporary: PathBuf,
    /// Held as long as the job is in it.
    _lock: Flock<File>,
}

/// Where builds and caches of a data directory with this name lie, unless it is said otherwise: below
/// `$XDG_CACHE_HOME/baton`. `None` if the user has no home.
#[must_use]
pub fn usual_places(data_id: &str) -> Option<(PathBuf, PathBuf)> {
    let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let cache = absolute("XDG_CACHE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".cache")))?;
    let own = cache.join("baton").join(data_id);
    Some((own.join("builds"), own.join("cache")))
}

/// Takes the lowest slot of a project that is free.
///
/// # Errors
/// The file system's; if no slot is free.
pub fn take(builds: &Path, path: &Path) -> io::Result<Slot> {
    let locks = real_folder(builds, Path::new(".locks"))?;
    let name = hex(Sha256::digest(path.as_os_str().as_encoded_bytes()).get(..8).unwrap_or_default());
    for number in 0..SLOTS_MAX {
        let place = locks.join(format!("{number}-{name}"));
        let Some(mut lock) = lock(&place)? else { continue };
        let relative = Path::new(SHORT).join(number.to_string()).join(path);
        // What it is for, for whoever cleans up; and when it was used.
        lock.set_len(0)?;
        lock.write_all(relative.as_os_str().as_encoded_bytes())?;
        lock.set_modified(SystemTime::now())?;
        let project = builds.join(&relative);
        let temporary = super::variables::temporary_folder(&project);
        return Ok(Slot { number, project, temporary, _lock: lock });
    }
    Err(io::Error::other(format!("{SLOTS_MAX} jobs of this project run at the same time")))
}

/// Locks a file, which is made if there is none. `None` if somebody else has it.
fn lock(place: &Path) -> io::Result<Option<Flock<File>>> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600).custom_flags(nix::libc::O_NOFOLLOW);
    let file = options.open(place)?;
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(lock) => Ok(Some(lock)),
        Err((_, nix::errno::Errno::EWOULDBLOCK)) => Ok(None),
        Err((_, errno)) => Err(errno.into()),
    }
}

/// The folder of a project's checkout below its slot, as real runners name it: the path of the repository's URL. A
/// repository that has no host has none that would differ from all others, and goes by its project's number.
#[must_use]
pub fn project_path(repo_url: &str, project_id: i64, is_empty: bool) -> PathBuf {
    let by_number = || PathBuf::from(format!("project-{project_id}"));
    let after_scheme = repo_url.split_once("://");
    let rest = match after_scheme {
        Some(("file", _)) => None,
        Some((_, rest)) => rest.split_once('/').filter(|(host, _)| !host.is_empty()).map(|(_, path)| path),
        // As in git@HOST:PATH.
        None => repo_url.split_once(':').filter(|(host, _)| !host.contains('/')).map(|(_, path)| path),
    };
    let path = rest.unwrap_or("").split(['?', '#']).next().unwrap_or("");
    let path = path.trim_end_matches('/');
    let path = path.strip_suffix(".git").unwrap_or(path);
    let parts =
        path.split('/').filter(|part| !part.is_empty() && *part != "." && *part != ".." && !part.contains('\0'));
    let mut found: PathBuf = parts.collect();
    if found.as_os_str().is_empty() {
        found = by_number();
    }
    if found.extension().is_some_and(|extension| extension == "tmp") {
        // That of another project's one.
        found.as_mut_os_string().push("_");
    }
    if is_empty {
        found.as_mut_os_string().push("-empty");
    }
    found
}

/// Makes the folder `below` in `root`, each part of it a folder of its own and no link: what is in the way goes. Returns
/// where it is.
pub fn real_folder(root: &Path, below: &Path) -> io::Result<PathBuf> {
    DirBuilder::new().recursive(true).mode(0o700).create(root)?;
    let mut place = root.to_owned();
    for part in below.components() {
        let Component::Normal(part) = part else {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the folder would lie outside"));
        };
        place.push(part);
        match fs::symlink_metadata(&place) {
            Ok(found) if found.is_dir() => continue,
            Ok(_) => fs::remove_file(&place)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        match DirBuilder::new().mode(0o700).create(&place) {
            // Another thread or runner has just made it.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && is_real_folder(&place) => {}
            made => made?,
        }
    }
    Ok(place)
}

fn is_real_folder(place: &Path) -> bool {
    fs::symlink_metadata(place).is_ok_and(|found| found.is_dir())
}

/// Removes a file, a link or a folder with all that is in it, also what its owner may not write; goes through no link.
///
/// # Errors
/// The file system's. What is not there is no error.
pub fn remove_tree(place: &Path) -> io::Result<()> {
    let remove = || match fs::symlink_metadata(place) {
        Ok(found) if found.is_dir() => fs::remove_dir_all(place),
        Ok(_) => fs::remove_file(place),
        Err(error) => Err(error),
    };
    let result = match remove() {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            open_folders(place);
            remove()
        }
        result => result,
    };
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

/// Lets the owner into all folders below `place`.
fn open_folders(place: &Path) {
    let mut open = vec![place.to_owned()];
    while let Some(folder) = open.pop() {
        if !fs::symlink_metadata(&folder).is_ok_and(|found| found.is_dir()) {
            continue;
        }
        // What does not let itself be changed shows when it is to be removed.
        let _ = fs::set_permissions(&folder, Permissions::from_mode(0o700));
        let entries = fs::read_dir(&folder).into_iter().flatten().flatten();
        open.extend(
            entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|entry| entry.path()),
        );
    }
}

impl Slot {
    /// Makes the folders ready for a job: that of the checkout is there, and of the one before nothing is in the other.
    pub fn prepare(&self, builds: &Path) -> io::Result<()> {
        let outside = |_| io::Error::new(io::ErrorKind::InvalidInput, "the folder lies outside");
        real_folder(builds, self.project.strip_prefix(builds).map_err(outside)?)?;
        remove_tree(&self.temporary)?;
        real_folder(builds, self.temporary.strip_prefix(builds).map_err(outside)?)?;
        Ok(())
    }

    /// Removes the checkout, and makes an empty folder in its place.
    pub fn empty(&self) -> io::Result<()> {
        remove_tree(&self.project)?;
        DirBuilder::new().mode(0o700).create(&self.project)
    }

    /// Takes away whatever a job has left in a checkout that git would run or follow by itself. A checkout that leads
    /// elsewhere is removed. Returns whether there is one that was used before.
    pub fn clear_git(&self) -> io::Result<bool> {
        let git = self.project.join(".git");
        if fs::symlink_metadata(&git).is_err() {
            return Ok(false);
        }
        if !is_sound(&git) {
            self.empty()?;
            return Ok(false);
        }
        for name in
            ["config", "config.worktree", "hooks", "info", "index.lock", "shallow.lock", "HEAD.lock", "config.lock"]
        {
            remove_tree(&git.join(name))?;
        }
        remove_below(&git.join("refs"), &|name, is_folder| !is_folder && name.ends_with(".lock"))?;
        let runs = |name: &str, is_folder: bool| match name {
            "hooks" | "info" => is_folder,
            "config" | "config.worktree" | "index.lock" | "shallow.lock" | "HEAD.lock" | "config.lock" => !is_folder,
            _ => false,
        };
        remove_below(&git.join("modules"), &runs)?;
        Ok(true)
    }

    /// Writes a file for one job, which nobody else can read.
    pub fn write(&self, name: &str, content: &str) -> io::Result<()> {
        let place = self.temporary.join(name);
        // A job may have removed the folder, or put something in the place.
        if !fs::symlink_metadata(&self.temporary).is_ok_and(|found| found.is_dir()) {
            remove_tree(&self.temporary)?;
            DirBuilder::new().mode(0o700).create(&self.temporary)?;
        }
        remove_tree(&place)?;
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&place)?;
        file.write_all(content.as_bytes())
    }

    /// Removes all that is only for one job, but its folder.
    pub fn clear_temporary(&self) -> io::Result<()> {
        remove_tree(&self.temporary)?;
        DirBuilder::new().mode(0o700).create(&self.temporary)
    }
}

/// Whether a git folder is one, and leads nowhere else.
fn is_sound(git: &Path) -> bool {
    let is_folder = fs::symlink_metadata(git).is_ok_and(|found| found.is_dir());
    let leads_elsewhere = |entry: &fs::DirEntry| {
        let is_link = entry.file_type().is_ok_and(|kind| kind.is_symlink());
        is_link || entry.file_name() == "commondir" || entry.file_name() == "gitdir"
    };
    let entries = fs::read_dir(git).into_iter().flatten().flatten();
    let mut inside = entries.chain(fs::read_dir(git.join("objects")).into_iter().flatten().flatten());
    is_folder && !inside.any(|entry| leads_elsewhere(&entry)) && !git.join("objects/info/alternates").exists()
}

/// Removes what `is_one` says (by its name, and whether it is a folder), anywhere below `folder`; goes through no link.
fn remove_below(folder: &Path, is_one: &dyn Fn(&str, bool) -> bool) -> io::Result<()> {
    let mut open = vec![folder.to_owned()];
    while let Some(folder) = open.pop() {
        if !fs::symlink_metadata(&folder).is_ok_and(|found| found.is_dir()) {
            continue;
        }
        for entry in fs::read_dir(&folder)?.flatten() {
            let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
            if is_one(&entry.file_name().to_string_lossy(), is_folder) {
                remove_tree(&entry.path())?;
            } else if is_folder {
                open.push(entry.path());
            }
        }
    }
    Ok(())
}

/// Removes the checkouts that no job has used for [`UNUSED_TIME_MAX`]; those with a job in them stay.
pub fn clean(builds: &Path, now: SystemTime) -> io::Result<()> {
    let locks = real_folder(builds, Path::new(".locks"))?;
    for entry in fs::read_dir(&locks)?.flatten() {
        let used_at = entry.metadata().and_then(|file| file.modified()).unwrap_or(now);
        if now.duration_since(used_at).unwrap_or_default() < UNUSED_TIME_MAX {
            continue;
        }
        let Some(mut lock) = lock(&entry.path())? else { continue };
        let mut path = String::new();
        (&mut *lock).take(1 << 16).read_to_string(&mut path)?;
        let path = PathBuf::from(path);
        let is_inside = path.starts_with(SHORT) && path.components().all(|part| matches!(part, Component::Normal(_)));
        if is_inside && path.components().count() > 2 {
            let project = builds.join(path);
            // On the way to it there may be a link by now.
            let is_real =
                project.canonicalize().is_ok_and(|real| builds.canonicalize().is_ok_and(|b| real.starts_with(b)));
            if is_real {
                remove_tree(&project)?;
                remove_tree(&super::variables::temporary_folder(&project))?;
            }
        }
        fs::remove_file(entry.path())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn several_may_make_the_same_folder_at_once() {
        let dir = tempfile::tempdir().unwrap();
        for round in 0..100 {
            let root = dir.path().join(round.to_string());
            std::thread::scope(|scope| {
                let made: Vec<_> =
                    (0..4).map(|_| scope.spawn(|| real_folder(&root, Path::new("a/b/c")).unwrap())).collect();
                made.into_iter().for_each(|made| assert_eq!(made.join().unwrap(), root.join("a/b/c")));
            });
        }
    }

    #[test]
    fn the_folder_is_named_after_the_path_of_the_repository() {
        for (url, path) in [
            ("http://gitlab-ci-token:T@127.0.0.1:80/git/demo.git", "git/demo"),
            ("https://h/a/b/", "a/b"),
            ("git@h:a/b.git", "a/b"),
            ("file:///home/x/y.git", "project-7"),
            ("file://localhost/home/x", "project-7"),
            ("/home/x/y", "project-7"),
            ("https://h", "project-7"),
            ("https://h/../../etc/./x", "etc/x"),
            ("https://h/a.tmp", "a.tmp_"),
            ("https://h/a.git?x=/..", "a"),
        ] {
            assert_eq!(project_path(url, 7, false), Path::new(path), "{url}");
        }
        assert_eq!(project_path("https://h/a", 7, true), Path::new("a-empty"));
    }

    #[test]
    fn two_jobs_at_a_time_take_two_slots_and_the_lowest_is_taken_first() {
        let dir = tempfile::tempdir().unwrap();
        let first = take(dir.path(), Path::new("a")).unwrap();
        let second = take(dir.path(), Path::new("a")).unwrap();
        let other = take(dir.path(), Path::new("b")).unwrap();
        assert_eq!((first.number, second.number, other.number), (0, 1, 0));
        assert_eq!(second.project, dir.path().join("local/1/a"));
        drop(first);
        assert_eq!(take(dir.path(), Path::new("a")).unwrap().number, 0);
    }

    #[test]
    fn a_link_in_the_way_is_replaced_and_not_gone_through() {
        let (dir, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::write(outside.path().join("kept"), "x").unwrap();
        let slot = take(dir.path(), Path::new("a/b")).unwrap();
        for link in ["local", "local/0/a", "local/0/a/b", "local/0/a/b.tmp"] {
            let place = dir.path().join(link);
            remove_tree(&place).unwrap();
            fs::create_dir_all(place.parent().unwrap()).unwrap();
            symlink(outside.path(), &place).unwrap();
            slot.prepare(dir.path()).unwrap();
            slot.empty().unwrap();
            assert!(slot.project.canonicalize().unwrap().starts_with(dir.path().canonicalize().unwrap()), "{link}");
            assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 1);
        }
    }

    #[test]
    fn what_its_owner_may_not_write_is_removed_too() {
        let dir = tempfile::tempdir().unwrap();
        let tree = dir.path().join("tree");
        fs::create_dir_all(tree.join("a/b")).unwrap();
        fs::write(tree.join("a/b/c"), "x").unwrap();
        for folder in ["a/b", "a", ""] {
            fs::set_permissions(tree.join(folder), Permissions::from_mode(0o500)).unwrap();
        }
        remove_tree(&tree).unwrap();
        assert!(!tree.exists());
        remove_tree(&tree).unwrap();
    }

    fn checkout(dir: &Path) -> Slot {
        let slot = take(dir, Path::new("a")).unwrap();
        slot.prepare(dir).unwrap();
        for folder in ["objects/info", "refs/heads", "hooks", "modules/x/hooks"] {
            fs::create_dir_all(slot.project.join(".git").join(folder)).unwrap();
        }
        fs::write(slot.project.join("file"), "x").unwrap();
        slot
    }

    #[test]
    fn of_a_kept_checkout_nothing_runs_by_itself() {
        let dir = tempfile::tempdir().unwrap();
        let slot = checkout(dir.path());
        let git = slot.project.join(".git");
        let planted = ["config", "hooks/post-checkout", "refs/heads/x.lock", "index.lock", "modules/x/config"];
        for file in planted {
            fs::write(git.join(file), "x").unwrap();
        }
        fs::write(git.join("refs/heads/x"), "x").unwrap();
        assert!(slot.clear_git().unwrap());
        for file in planted {
            assert!(!git.join(file).exists(), "{file}");
        }
        assert!(!git.join("modules/x/hooks").exists() && git.join("refs/heads/x").exists());
        assert!(slot.project.join("file").exists());
    }

    #[test]
    fn a_checkout_that_leads_elsewhere_is_removed() {
        for plant in ["commondir", "refs", ".git", "objects/info/alternates", "gitfile"] {
            let (dir, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
            let slot = checkout(dir.path());
            let git = slot.project.join(".git");
            fs::create_dir(outside.path().join("hooks")).unwrap();
            match plant {
                "commondir" => fs::write(git.join(plant), outside.path().to_str().unwrap()).unwrap(),
                "objects/info/alternates" => fs::write(git.join(plant), "/").unwrap(),
                ".git" => {
                    remove_tree(&git).unwrap();
                    symlink(outside.path(), &git).unwrap();
                }
                "gitfile" => {
                    remove_tree(&git).unwrap();
                    fs::write(&git, "gitdir: /").unwrap();
                }
                _ => {
                    remove_tree(&git.join(plant)).unwrap();
                    symlink(outside.path(), git.join(plant)).unwrap();
                }
            }
            assert!(!slot.clear_git().unwrap(), "{plant}");
            assert_eq!(fs::read_dir(&slot.project).unwrap().count(), 0, "{plant}");
            assert!(outside.path().join("hooks").exists());
        }
    }

    #[test]
    fn files_for_one_job_are_private_and_go_through_no_link() {
        let (dir, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let slot = take(dir.path(), Path::new("a")).unwrap();
        slot.prepare(dir.path()).unwrap();
        let target = outside.path().join("target");
        symlink(&target, slot.temporary.join("CONF")).unwrap();
        slot.write("CONF", "secret").unwrap();
        assert!(!target.exists());
        let mode = fs::metadata(slot.temporary.join("CONF")).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600);
        remove_tree(&slot.temporary).unwrap();
        symlink(outside.path(), &slot.temporary).unwrap();
        slot.write("CONF", "secret").unwrap();
        slot.clear_temporary().unwrap();
        assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
    }

    #[test]
    fn checkouts_that_nobody_uses_go_and_those_in_use_stay() {
        let dir = tempfile::tempdir().unwrap();
        let old = checkout(dir.path());
        let later = SystemTime::now() + UNUSED_TIME_MAX + Duration::from_secs(60);
        clean(dir.path(), later).unwrap();
        assert!(old.project.exists());
        let project = old.project.clone();
        drop(old);
        clean(dir.path(), SystemTime::now()).unwrap();
        assert!(project.exists());
        clean(dir.path(), later).unwrap();
        assert!(!project.exists());
    }
}
