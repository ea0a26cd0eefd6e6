//! The commit of a project's ref, fetched into the project's mirror.
//!
//! What must stay true: the URL is the project's own, and nothing that somebody asks for becomes part of it.

use super::Coordinator;
use crate::domain::git_names::check_ref;
use crate::error::{Error, Result};
use crate::git::mirror::{FetchBounds, Protocols, Tips, Upstream, said};
use crate::git::program::Refusal;
use crate::git::{Head, Mirror};
use crate::store::projects::Project;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::{fs, mem};

/// What GitLab says of a ref that is not there.
const NOT_FOUND: &str = "Reference not found";
/// How git begins to say that a commit is gone.
const GONE: &str = "not our ref";

/// A commit that is here, and the mirror that holds it: nobody else changes that meanwhile.
pub struct FetchedCommit {
    /// Where it is.
    pub mirror: Mirror,
    /// All digits.
    pub sha: String,
    /// What it says of itself.
    pub head: Head,
    /// Branch or tag.
    pub ref_name: String,
    /// Whether that is a tag.
    pub is_tag: bool,
    /// The message of a tag that has one.
    pub tag_message: Option<String>,
    /// The repository's default branch, if it has one.
    pub default_branch: Option<String>,
}

/// A ref that is there.
struct Chosen {
    name: String,
    is_tag: bool,
    sha: String,
}

impl Coordinator {
    /// The folder of mirrors.
    fn mirrors_dir(&self) -> PathBuf {
        let dir = self.data().join("git");
        std::path::absolute(&dir).unwrap_or(dir)
    }

    /// Has all calls of git end that ask others.
    pub fn end_fetches(&self) {
        self.is_stopping.store(true, Ordering::Relaxed);
    }

    fn fetch_bounds(&self) -> Result<FetchBounds> {
        self.check_room()?;
        let room = self.free_disk_bytes()?.saturating_sub(self.limits.disk_reserve_bytes);
        Ok(FetchBounds {
            time_max: self.limits.fetch_time_max,
            bytes_max: self.limits.mirror_bytes_max.min(room),
            is_stopping: Arc::clone(&self.is_stopping),
        })
    }

    fn mirror(&self, project: &Project) -> Result<Mirror> {
        Mirror::open(&self.mirrors_dir(), &project.id.0.to_string(), self.limits.fetch_time_max)
    }

    /// Fetches the newest commit of a branch or tag, of the default branch without one.
    pub(super) fn fetch_commit(
        &self,
        project: &Project,
        wanted: Option<&str>,
        protocols: Protocols,
    ) -> Result<FetchedCommit> {
        let upstream = upstream(project, protocols)?;
        let names = names(wanted)?;
        let bounds = self.fetch_bounds()?;
        let mirror = self.mirror(project)?;
        let mut is_again = false;
        loop {
            let tips = mirror.tips(&upstream, &names, &bounds).map_err(|refusal| said(&refusal))?;
            let Chosen { name: ref_name, is_tag, sha } = chosen(&tips, wanted, &names)?;
            let commit = match mirror.fetch(&upstream, &sha, &bounds) {
                Ok(commit) => commit,
                // It has moved between the two questions.
                Err(Refusal::Said(line)) if line.contains(GONE) && !mem::replace(&mut is_again, true) => continue,
                Err(refusal) => return Err(said(&refusal)),
            };
            let tag_message = if is_tag { mirror.tag_message(&sha)? } else { None };
            let (head, default_branch) = (mirror.head(&commit)?, tips.default_branch);
            return Ok(FetchedCommit { mirror, sha: commit, head, ref_name, is_tag, tag_message, default_branch });
        }
    }

    /// The mirror with a commit that was fetched once, and is fetched anew if it is gone.
    ///
    /// # Errors
    /// What git says.
    pub fn commit_again(&self, project: &str, sha: &str) -> Result<Mirror> {
        let project = self.project(project)?;
        let mirror = self.mirror(&project)?;
        if mirror.commit(sha).map_err(|refusal| said(&refusal))?.is_none() {
            let upstream = upstream(&project, Protocols::Web)?;
            mirror.fetch(&upstream, sha, &self.fetch_bounds()?).map_err(|refusal| said(&refusal))?;
        }
        Ok(mirror)
    }

    /// Removes the mirrors of projects that are gone.
    ///
    /// # Errors
    /// The database's, the file system's.
    pub fn sweep_mirrors(&self) -> Result<()> {
        let dir = self.mirrors_dir();
        let entries = match fs::read_dir(&dir) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            entries => entries.map_err(|error| Error::file(&dir, &error))?,
        };
        let known = self.list_projects()?;
        for entry in entries.flatten() {
            let (path, name) = (entry.path(), entry.file_name());
            let id = name.to_str().and_then(|name| name.split_once('.')?.0.parse::<i64>().ok());
            if id.is_none_or(|id| known.iter().any(|project| project.id.0 == id)) {
                continue;
            }
            let removed = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
            removed.map_err(|error| Error::file(&path, &error))?;
        }
        Ok(())
    }
}

fn upstream(project: &Project, protocols: Protocols) -> Result<Upstream> {
    let Some(url) = &project.repo_url else {
        let advice = format!("`baton project set {} --repo-url URL` gives it one", project.name);
        return Err(Error::invalid(format!("the project has no repository URL; {advice}")));
    };
    Upstream::of(url, protocols)
}

/// The full names that may be meant.
fn names(wanted: Option<&str>) -> Result<Vec<String>> {
    let Some(wanted) = wanted else { return Ok(Vec::new()) };
    check_ref(wanted).map_err(|_| Error::invalid(NOT_FOUND))?;
    if ["refs/heads/", "refs/tags/"].iter().any(|begin| wanted.starts_with(begin)) {
        return Ok(vec![wanted.to_owned()]);
    }
    Ok(vec![format!("refs/heads/{wanted}"), format!("refs/tags/{wanted}")])
}

/// Which ref is meant.
fn chosen(tips: &Tips, wanted: Option<&str>, names: &[String]) -> Result<Chosen> {
    let Some(wanted) = wanted else {
        return match (&tips.default_branch, tips.at("HEAD")) {
            (Some(name), Some(sha)) => Ok(Chosen { name: name.clone(), is_tag: false, sha: sha.to_owned() }),
            _ => Err(Error::invalid(format!("{NOT_FOUND}: the repository has no default branch; name one"))),
        };
    };
    let mut there = names.iter().filter_map(|name| Some((name, tips.at(name)?)));
    match (there.next(), there.next()) {
        (Some((name, sha)), None) => {
            let is_tag = name.starts_with("refs/tags/");
            let begin = if is_tag { "refs/tags/" } else { "refs/heads/" };
            let name = name.strip_prefix(begin).unwrap_or(name).to_owned();
            Ok(Chosen { name, is_tag, sha: sha.to_owned() })
        }
        (Some(_), Some(_)) => {
            let advice = format!("refs/heads/{wanted} is the one, refs/tags/{wanted} the other");
            Err(Error::invalid(format!("Ref is ambiguous: there is a branch and a tag of this name; {advice}")))
        }
        (None, _) => Err(Error::invalid(NOT_FOUND)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choice(wanted: Option<&str>) -> std::result::Result<(String, bool), String> {
        let sha = |digit: &str| digit.repeat(40);
        let at = |name: &str, digit: &str| (name.to_owned(), sha(digit));
        let tips = Tips {
            default_branch: Some("main".to_owned()),
            tips: vec![
                at("HEAD", "1"),
                at("refs/heads/main", "1"),
                at("refs/heads/both", "2"),
                at("refs/tags/both", "3"),
                at("refs/tags/v1", "4"),
                at("refs/x/refs/heads/odd", "5"),
            ],
        };
        let names = names(wanted).map_err(|error| error.message)?;
        chosen(&tips, wanted, &names).map(|found| (found.name, found.is_tag)).map_err(|error| error.message)
    }

    #[test]
    fn a_ref_is_a_branch_or_a_tag_that_is_there_and_no_other() {
        let is = |name: &str, is_tag| Ok((name.to_owned(), is_tag));
        assert_eq!(choice(None), is("main", false));
        assert_eq!(choice(Some("main")), is("main", false));
        assert_eq!(choice(Some("refs/heads/main")), is("main", false));
        assert_eq!(choice(Some("v1")), is("v1", true));
        assert_eq!(choice(Some("refs/tags/both")), is("both", true));
        assert!(choice(Some("both")).unwrap_err().starts_with("Ref is ambiguous"));
        for wrong in ["odd", "HEAD", "", "--upload-pack=x", "-x", "a b", "ma*", "refs/x/refs/heads/odd", "main:main"] {
            assert_eq!(choice(Some(wrong)), Err(NOT_FOUND.to_owned()), "{wrong:?}");
        }
    }
}
