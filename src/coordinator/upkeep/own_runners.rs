//! Runners that a process makes for builds of its own, as `baton run` does, and that end with it.
//!
//! What must stay true: such a runner takes the builds that are kept for it and no others, and nobody else takes those.
//! While its process lives, that holds the lock on the file of the runner's number in `runs/`; so whoever looks next
//! knows that it has died, by whatever death: then the runner goes, the build that it ran fails with `runner_lost`, and
//! those are canceled that waited for it. A file is there before the row that it is of.

use crate::coordinator::{Coordinator, runners as deeds};
use crate::domain::runner::RunnerId;
use crate::domain::time::Timestamp;
use crate::domain::token::{Token, hex, random};
use crate::error::{Error, Result};
use crate::store::runner_builds;
use crate::store::runners::{self, NewRunner};
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The folder in the data directory that has a file for each such runner.
const FOLDER: &str = "runs";

/// A runner of this process. It is lost when this is dropped; [`Coordinator::remove_own_runner`] ends it well.
pub struct OwnRunner {
    /// Its id.
    pub id: RunnerId,
    /// Its token.
    pub token: Token,
    file: PathBuf,
    _lock: Flock<File>,
}

impl Coordinator {
    /// Makes a runner that takes builds which are added for it, see [`Coordinator::add_builds_for`].
    pub fn add_own_runner(&self, description: &str, now: Timestamp) -> Result<OwnRunner> {
        let folder = self.data.join(FOLDER);
        DirBuilder::new().recursive(true).mode(0o700).create(&folder).map_err(|error| Error::file(&folder, &error))?;
        let new = NewRunner { description: description.to_owned(), locked: true, ..NewRunner::default() };
        self.store.write(move |c| {
            let token = Token::new_telling()?;
            let id = runners::insert(c, &new, token.hash(), now)?;
            let file = folder.join(id.to_string());
            Ok(OwnRunner { id, token, _lock: locked(&folder, &file)?, file })
        })
    }

    /// Whether such a runner was ever made here.
    #[must_use]
    pub fn had_own_runners(&self) -> bool {
        self.data.join(FOLDER).exists()
    }

    /// Removes such a runner; what is kept for it and has not ended ends.
    pub fn remove_own_runner(&self, runner: OwnRunner, now: Timestamp) -> Result<()> {
        let id = runner.id;
        self.store.write(move |c| match runners::by_id(c, id)? {
            Some(found) => deeds::remove(c, found.id, now),
            None => Ok(()),
        })?;
        remove_file(&runner.file)
    }

    /// Ends the runners of processes that have died. Returns how many there were.
    pub fn end_lost_runners(&self, now: Timestamp) -> Result<usize> {
        let folder = self.data.join(FOLDER);
        let mut all = listed(&folder)?;
        // After a backup came back there may be rows without a file.
        all.extend(self.store.read(runner_builds::runners)?.into_iter().map(|id| id.0));
        let mut lost = 0;
        for id in all.into_iter().map(RunnerId) {
            let file = folder.join(id.to_string());
            let is_there = file.exists();
            let held = if is_there { lock(&file)? } else { None };
            if is_there && held.is_none() {
                // It lives.
                continue;
            }
            let was_there = self.store.write(move |c| {
                let found = runners::by_id(c, id)?;
                // One of another kind has no file, and nothing is kept for it.
                let is_own = found.is_some_and(|found| found.locked && found.project.is_none());
                if is_own {
                    deeds::remove(c, id, now)?;
                }
                Ok(is_own)
            })?;
            if was_there {
                log::info!("runner {id} has gone, since its process has died; its builds have ended");
                lost += 1;
            }
            if held.is_none_or(|held| is_at(&held, &file)) {
                remove_file(&file)?;
            }
        }
        Ok(lost)
    }
}

/// The runners that have a file.
fn listed(folder: &Path) -> Result<BTreeSet<i64>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(BTreeSet::new()),
        Err(error) => return Err(Error::file(folder, &error)),
    };
    let number = |name: OsString| name.to_str()?.parse().ok();
    Ok(entries.flatten().filter_map(|entry| number(entry.file_name())).collect())
}

/// A new file, whose lock is held from the moment on at which others can see it.
fn locked(folder: &Path, file: &Path) -> Result<Flock<File>> {
    let new = folder.join(format!("new-{}", hex(&random::<8>().map_err(Error::internal)?)));
    let lock = lock(&new)?.ok_or_else(|| Error::internal(format!("{} is in use", new.display())))?;
    fs::rename(&new, file).map_err(|error| Error::file(file, &error))?;
    Ok(lock)
}

/// Takes the lock on this file; `None`: somebody holds it.
fn lock(path: &Path) -> Result<Option<Flock<File>>> {
    let failed = |error: &std::io::Error| Error::file(path, error);
    let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path);
    let file = file.map_err(|error| failed(&error))?;
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(lock) => Ok(Some(lock)),
        Err((_, Errno::EWOULDBLOCK)) => Ok(None),
        Err((_, errno)) => Err(Error::internal(format!("cannot lock {}: {errno}", path.display()))),
    }
}

/// Whether this is the file of that name: one of the same number may have come in its place.
fn is_at(file: &File, path: &Path) -> bool {
    let of = |found: std::io::Result<fs::Metadata>| found.ok().map(|found| (found.dev(), found.ino()));
    of(file.metadata()) == of(fs::metadata(path))
}

fn remove_file(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(Error::file(path, &error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coordinator::Claim;
    use crate::domain::build::{BuildId, FailureReason, NewBuild, Status};
    use crate::domain::tags::Tags;
    use crate::limits::Limits;
    use std::time::Duration;

    const NOW: Timestamp = Timestamp(1_700_000_000_000);

    fn coordinator(dir: &tempfile::TempDir) -> Coordinator {
        let coordinator = Coordinator::open(dir.path(), Limits::default()).unwrap();
        coordinator.add_project("p", None, Duration::from_secs(60), NOW).unwrap();
        coordinator
    }

    fn tagged(tags: &str) -> NewBuild {
        NewBuild { tags: Tags::from_list(tags).unwrap(), ..NewBuild::new("p", "true") }
    }

    fn claim(coordinator: &Coordinator, token: &Token) -> Option<BuildId> {
        match coordinator.claim_build(&token.clone().into(), None, NOW).unwrap().wait().unwrap() {
            Claim::Build(assigned) => Some(assigned.build.id),
            Claim::Nothing(..) | Claim::Paused(_) => None,
        }
    }

    fn state(coordinator: &Coordinator, id: BuildId) -> (Status, Option<FailureReason>) {
        let build = coordinator.show_build(id, NOW).unwrap().build;
        (build.status, build.failure_reason)
    }

    #[test]
    fn it_takes_what_was_added_for_it_whatever_the_tags_and_nobody_else_does() {
        let dir = tempfile::tempdir().unwrap();
        let coordinator = coordinator(&dir);
        let other = coordinator.add_runner(NewRunner::default(), None, NOW).unwrap();
        let [first, second] = [(); 2].map(|()| coordinator.add_own_runner("a run", NOW).unwrap());
        let add = |runner: Option<&OwnRunner>, tags: &str| {
            coordinator.add_builds_for(runner.map(|it| it.id), vec![tagged(tags).into()], NOW).unwrap()[0]
        };
        // So that each was told that there is nothing.
        assert!([&first.token, &second.token, &other.token].iter().all(|token| claim(&coordinator, token).is_none()));
        let (of_first, of_second, of_all) = (add(Some(&first), "docker"), add(Some(&second), ""), add(None, ""));
        assert_eq!(claim(&coordinator, &other.token), Some(of_all));
        assert_eq!(claim(&coordinator, &other.token), None);
        assert_eq!(claim(&coordinator, &first.token), Some(of_first));
        assert_eq!(claim(&coordinator, &first.token), None);
        assert_eq!(claim(&coordinator, &second.token), Some(of_second));
        let waits = coordinator.add_builds_for(Some(first.id), vec![tagged("x").into()], NOW).unwrap()[0];
        coordinator.remove_own_runner(first, NOW).unwrap();
        assert_eq!(state(&coordinator, of_first), (Status::Failed, Some(FailureReason::RunnerLost)));
        assert_eq!(state(&coordinator, waits), (Status::Canceled, None));
        assert_eq!(state(&coordinator, of_second).0, Status::Running);
    }

    #[test]
    fn whoever_looks_ends_those_whose_process_has_died_and_no_others() {
        let dir = tempfile::tempdir().unwrap();
        let coordinator = coordinator(&dir);
        let [dead, alive] = [(); 2].map(|()| coordinator.add_own_runner("a run", NOW).unwrap());
        let mut again = tagged("");
        again.spec.retry = serde_json::from_str(r#"{"max": 2}"#).unwrap();
        let queued = vec![again.into(), tagged("").into()];
        let of_dead = coordinator.add_builds_for(Some(dead.id), queued, NOW).unwrap();
        let of_alive = coordinator.add_builds_for(Some(alive.id), vec![tagged("").into()], NOW).unwrap()[0];
        assert_eq!(claim(&coordinator, &dead.token), Some(of_dead[0]));
        assert_eq!(coordinator.end_lost_runners(NOW).unwrap(), 0);
        let elsewhere = Coordinator::open(dir.path(), Limits::default()).unwrap();
        assert_eq!(elsewhere.end_lost_runners(NOW).unwrap(), 0);
        let token = dead.token.clone();
        drop(dead);
        assert_eq!(elsewhere.end_lost_runners(NOW).unwrap(), 1);
        assert_eq!(elsewhere.end_lost_runners(NOW).unwrap(), 0);
        assert_eq!(state(&coordinator, of_dead[0]), (Status::Failed, Some(FailureReason::RunnerLost)));
        assert_eq!(state(&coordinator, of_dead[1]), (Status::Canceled, None));
        let open = coordinator.list_builds(None, Some(Status::Pending), None, NOW).unwrap();
        assert_eq!(open.iter().map(|report| report.build.id).collect::<Vec<_>>(), [of_alive], "no repetition waits");
        assert!(!coordinator.is_runners(&token).unwrap() && coordinator.is_runners(&alive.token).unwrap());
        // As when a backup comes back.
        fs::remove_dir_all(dir.path().join(FOLDER)).unwrap();
        assert_eq!(coordinator.end_lost_runners(NOW).unwrap(), 1);
        assert_eq!(state(&coordinator, of_alive), (Status::Canceled, None));
        assert_eq!(coordinator.list_runners().unwrap().len(), 0);
    }

    /// A server looks for lost ones while others begin.
    #[test]
    fn who_looks_while_one_is_made_neither_hinders_nor_ends_it() {
        let dir = tempfile::tempdir().unwrap();
        let coordinator = coordinator(&dir);
        let looks = || Coordinator::open(dir.path(), Limits::default()).unwrap();
        let is_over = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            let lost = scope.spawn(|| {
                let mut lost = 0;
                let elsewhere = looks();
                while !is_over.load(std::sync::atomic::Ordering::Acquire) {
                    lost += elsewhere.end_lost_runners(NOW).unwrap();
                }
                lost
            });
            for _ in 0..200 {
                let own = coordinator.add_own_runner("a run", NOW).unwrap();
                assert!(coordinator.is_runners(&own.token).unwrap());
                coordinator.remove_own_runner(own, NOW).unwrap();
            }
            is_over.store(true, std::sync::atomic::Ordering::Release);
            assert_eq!(lost.join().unwrap(), 0);
        });
        assert_eq!(fs::read_dir(dir.path().join(FOLDER)).unwrap().count(), 0);
    }

    #[test]
    fn why_its_builds_wait_is_said_of_it_alone() {
        let dir = tempfile::tempdir().unwrap();
        let coordinator = coordinator(&dir);
        let _serving = crate::coordinator::Serving::begin(dir.path()).unwrap();
        let own = coordinator.add_own_runner("a run", NOW).unwrap();
        let id = coordinator.add_builds_for(Some(own.id), vec![tagged("docker").into()], NOW).unwrap()[0];
        let reason = coordinator.show_build(id, NOW).unwrap().pending_reason.unwrap();
        assert_eq!(reason, format!("waits for runner {}, which was made for it", own.id));
        // Nor is it counted among those that nobody takes, and no other runner is named as one that could take it.
        let runner = coordinator.add_runner(NewRunner::default(), None, NOW).unwrap().id;
        let stuck = |coordinator: &Coordinator| {
            let on_overview = coordinator.overview(None, NOW).unwrap().stuck_count;
            let stuck = coordinator.view_runners(NOW).unwrap().stuck;
            assert_eq!(on_overview, stuck.len());
            stuck.iter().map(|report| report.build.id).collect::<Vec<_>>()
        };
        assert_eq!(stuck(&coordinator), []);
        let takers = coordinator.view_job(id, NOW).unwrap().takers;
        assert_eq!(takers.iter().map(|it| it.runner.id).collect::<Vec<_>>(), [own.id]);
        // Of others it is, while all that could take it are paused.
        let other = coordinator.add_builds(vec![tagged("").into()], NOW).unwrap()[0];
        assert_eq!(stuck(&coordinator), []);
        coordinator.pause_runner(runner, true).unwrap();
        assert_eq!(stuck(&coordinator), [other]);
    }
}
