//! Which sources a build of `baton run` has: the present commit of the checkout that it is called in, if it is called in
//! one.

use super::checkout::{self, Found, Head};
use super::{Done, Stop, print};
use crate::domain::build::{NewBuild, Variable};
use std::path::Path;

/// What runners from 1.7 know by: fetch nothing.
const STRATEGY: &str = "GIT_STRATEGY";

/// What has runners from 1.10 fetch submodules.
const SUBMODULE_STRATEGY: &str = "GIT_SUBMODULE_STRATEGY";

/// Characters of a commit that people read.
const SHA_SHOWN: usize = 8;

/// Has the build run without sources, also if its project has a repository.
pub fn none(new: &mut NewBuild) -> String {
    new.variables.insert(0, Variable::public(STRATEGY, "none"));
    "without sources".to_owned()
}

/// Gives the build the present commit: from the project's repository, or, if it has none, from this very checkout.
/// `data` is the data directory. Says in words which sources it is, and on standard error what is not part of them.
///
/// # Errors
/// What git finds wrong with the checkout.
pub fn present_commit(new: &mut NewBuild, repo_url: Option<&str>, data: &Path) -> Done<String> {
    let here = std::env::current_dir()
        .map_err(|error| Stop::Failed(format!("the current directory cannot be used: {error}")))?;
    let remark = match checkout::look(&here)? {
        Found::Head(head) => return commit(new, head, repo_url, data),
        Found::NoGit => Some("`git` is not installed, so that the commit of this checkout is not known"),
        Found::NoCommit => Some("this checkout has no commit yet"),
        Found::Nothing => None,
    };
    remark.into_iter().for_each(print::note);
    Ok(if repo_url.is_some() { "HEAD of the project's repository" } else { "without sources" }.to_owned())
}

fn commit(new: &mut NewBuild, head: Head, repo_url: Option<&str>, data: &Path) -> Done<String> {
    warn(new, &head, repo_url, data)?;
    let commit = format!("commit {} of {}", head.sha.get(..SHA_SHOWN).unwrap_or_default(), head.ref_);
    let words = if repo_url.is_some() {
        format!("{commit}, from the project's repository")
    } else {
        new.repo_url = Some(head.url());
        new.allow_git_fetch = head.is_kept;
        format!("{commit}, from this checkout, which only runners of this machine and user can fetch")
    };
    (new.sha, new.ref_, new.is_tag) = (Some(head.sha), head.ref_, head.is_tag);
    Ok(words)
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
