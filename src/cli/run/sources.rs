//! Which sources a build of `baton run` has: the present commit of the checkout that it is called in, if it is called in
//! one.

use crate::cli::show::print;
use crate::cli::{Done, Stop};
use crate::domain::build::{NewBuild, Variable};
use crate::domain::folder_in_checkout::go_to;
use crate::error::Error;
use crate::git::checkout::{Checkout, Found, look};
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
    let remark = match look(&here).map_err(refused)? {
        Found::Checkout(checkout) => match checkout.resolve("HEAD").map_err(refused)? {
            Some(sha) => return commit(new, &checkout, sha, repo_url, data),
            None => Some("this checkout has no commit yet"),
        },
        Found::NoGit => Some("`git` is not installed, so that the commit of this checkout is not known"),
        Found::Nothing => None,
    };
    remark.into_iter().for_each(print::note);
    Ok(Sources::at_top(if repo_url.is_some() { "HEAD of the project's repository" } else { "without sources" }))
}

/// What git finds wrong is no reason to run nothing.
fn refused(error: Error) -> Stop {
    Stop::Failed(format!("{}; `--no-sources` runs without its sources", error.message))
}

fn commit(new: &mut NewBuild, checkout: &Checkout, sha: String, repo_url: Option<&str>, data: &Path) -> Done<Sources> {
    check(checkout, repo_url)?;
    warn(new, checkout, &sha, repo_url, data)?;
    if !checkout.below.as_os_str().is_empty() {
        new.spec.script.insert(0, go_to(&checkout.below));
    }
    let tag = if checkout.branch.is_some() { None } else { checkout.tag_at_head().map_err(refused)? };
    new.is_tag = tag.is_some();
    new.ref_ = checkout.branch.clone().or(tag).unwrap_or_else(|| "HEAD".to_owned());
    let commit = format!("commit {} of {}", sha.get(..SHA_SHOWN).unwrap_or_default(), new.ref_);
    let words = if repo_url.is_some() {
        format!("{commit}, from the project's repository")
    } else {
        new.repo_url = Some(checkout.url());
        new.allow_git_fetch = checkout.branch.is_some() || new.is_tag || checkout.is_kept().map_err(refused)?;
        format!("{commit}, from this checkout, which only runners of this machine and user can fetch")
    };
    new.sha = Some(sha);
    Ok(Sources { words, below: checkout.below.clone() })
}

/// Refuses what no runner could build.
fn check(checkout: &Checkout, repo_url: Option<&str>) -> Done {
    if !checkout.has_folder().map_err(refused)? {
        let folder = checkout.below.display();
        return Err(Stop::Failed(format!(
            "the present commit has no folder {folder}, where the command would run; commit it, or call this from another \
             folder; `--no-sources` runs without sources"
        )));
    }
    if repo_url.is_none() && checkout.lacks_objects().map_err(refused)? {
        return Err(Stop::Failed(
            "this checkout is a partial clone: it lacks objects, and git hands it on to no runner; `git fetch --refetch \
             --no-filter` brings them, `--repo-url URL` names a repository that has them"
                .to_owned(),
        ));
    }
    Ok(())
}

/// Says what of the checkout will not be in the build.
fn warn(new: &NewBuild, checkout: &Checkout, sha: &str, repo_url: Option<&str>, data: &Path) -> Done {
    if let Some(files) = checkout.uncommitted(data).map_err(refused)?.in_words() {
        print::note(&format!("not part of the build, since not committed: {files}"));
    }
    if let Some(url) = repo_url
        && !checkout.is_at(url)
        && !checkout.is_pushed().map_err(refused)?
    {
        let sha = sha.get(..SHA_SHOWN).unwrap_or_default();
        print::note(&format!(
            "commit {sha} is on no branch of a remote repository that git knows of: push it, or the runner will not find \
             it in the project's repository"
        ));
    }
    if checkout.has_submodules().map_err(refused)?
        && !new.variables.iter().any(|variable| variable.key == SUBMODULE_STRATEGY)
    {
        print::note(&format!(
            "submodules are fetched with `--variable {SUBMODULE_STRATEGY}=normal`, by runners from 1.10"
        ));
    }
    Ok(())
}
