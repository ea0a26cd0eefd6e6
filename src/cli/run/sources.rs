//! Which sources a build of `baton run` has: the present commit of the checkout that it is called in, if it is called in
//! one.

use super::checkout::{self, Found, Head};
use crate::cli::show::print;
use crate::cli::{Done, Stop};
use crate::domain::build::{NewBuild, Variable};
use crate::domain::stand::go_to;
use std::path::{Path, PathBuf};

/// What runners from 1.7 know by: fetch nothing.
const STRATEGY: &str = "GIT_STRATEGY";

/// What has runners from 1.10 fetch submodules.
const SUBMODULE_STRATEGY: &str = "GIT_SUBMODULE_STRATEGY";

/// Characters of a commit that people read.
const SHA_SHOWN: usize = 8;

/// Where a build's sources come from, in words, and where in them it runs.
pub struct Sources {
    /// For people.
    pub words: String,
    /// The folder in which the build runs, from the top of the checkout.
    pub below: PathBuf,
}

impl Sources {
    fn at_top(words: &str) -> Sources {
        Sources { words: words.to_owned(), below: PathBuf::new() }
    }
}

/// Has the build run without sources, also if its project has a repository.
pub fn none(new: &mut NewBuild) -> Sources {
    new.variables.insert(0, Variable::public(STRATEGY, "none"));
    Sources::at_top("without sources")
}

/// Gives the build the present commit: from the project's repository, or, if it has none, from this very checkout; and
/// has it run in the folder of the checkout in which this is called. `data` is the data directory. Says which sources it
/// is, and on standard error what is not part of them.
///
/// # Errors
/// What git finds wrong with the checkout; a folder that the commit does not have; a partial clone.
pub fn present_commit(new: &mut NewBuild, repo_url: Option<&str>, data: &Path) -> Done<Sources> {
    let here = std::env::current_dir()
        .map_err(|error| Stop::Failed(format!("the current directory cannot be used: {error}")))?;
    let remark = match checkout::look(&here)? {
        Found::Head(head) => return commit(new, head, repo_url, data),
        Found::NoGit => Some("`git` is not installed, so that the commit of this checkout is not known"),
        Found::NoCommit => Some("this checkout has no commit yet"),
        Found::Nothing => None,
    };
    remark.into_iter().for_each(print::note);
    Ok(Sources::at_top(if repo_url.is_some() { "HEAD of the project's repository" } else { "without sources" }))
}

fn commit(new: &mut NewBuild, head: Head, repo_url: Option<&str>, data: &Path) -> Done<Sources> {
    check(&head, repo_url)?;
    warn(new, &head, repo_url, data)?;
    if !head.below.as_os_str().is_empty() {
        new.spec.script.insert(0, go_to(&head.below));
    }
    let commit = format!("commit {} of {}", head.sha.get(..SHA_SHOWN).unwrap_or_default(), head.ref_);
    let words = if repo_url.is_some() {
        format!("{commit}, from the project's repository")
    } else {
        new.repo_url = Some(head.url());
        new.allow_git_fetch = head.is_kept;
        format!("{commit}, from this checkout, which only runners of this machine and user can fetch")
    };
    (new.sha, new.ref_, new.is_tag) = (Some(head.sha), head.ref_, head.is_tag);
    Ok(Sources { words, below: head.below })
}

/// Refuses what no runner could build.
fn check(head: &Head, repo_url: Option<&str>) -> Done {
    if !head.has_folder()? {
        let folder = head.below.display();
        return Err(Stop::Failed(format!(
            "the present commit has no folder {folder}, where the command would run; commit it, or call this from another \
             folder; `--no-sources` runs without sources"
        )));
    }
    if repo_url.is_none() && head.is_partial()? {
        return Err(Stop::Failed(
            "this checkout is a partial clone: it lacks objects, and git hands it on to no runner; `git fetch --refetch \
             --no-filter` brings them, `--repo-url URL` names a repository that has them"
                .to_owned(),
        ));
    }
    Ok(())
}

/// Says what of the checkout will not be in the build.
fn warn(new: &NewBuild, head: &Head, repo_url: Option<&str>, data: &Path) -> Done {
    if let Some(files) = head.uncommitted(data)?.in_words() {
        print::note(&format!("not part of the build, since not committed: {files}"));
    }
    if let Some(url) = repo_url
        && !head.is_at(url)
        && !head.is_pushed()?
    {
        let sha = head.sha.get(..SHA_SHOWN).unwrap_or_default();
        print::note(&format!(
            "commit {sha} is on no branch of a remote repository that git knows of: push it, or the runner will not find \
             it in the project's repository"
        ));
    }
    if head.has_submodules() && !new.variables.iter().any(|variable| variable.key == SUBMODULE_STRATEGY) {
        print::note(&format!(
            "submodules are fetched with `--variable {SUBMODULE_STRATEGY}=normal`, by runners from 1.10"
        ));
    }
    Ok(())
}
