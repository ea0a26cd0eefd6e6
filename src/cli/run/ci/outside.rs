//! What a configuration may name beside itself: files of the checkout, what changed, other projects' files.
//!
//! What must stay true: files of other projects come only from folders that the user has named.

use super::context::resolve;
use super::remote::Remote;
use crate::cli::Done;
use crate::coordinator::start::files::{BYTES_MAX, CommitFiles};
use crate::error::{Error, Result};
use crate::git::checkout::{Found, look};
use crate::git::{Checkout, Contents};
use crate::gitlab_ci::surroundings::{Base, Changes, Elsewhere, Refusal, Surroundings, component_project, refusal};
use std::cell::RefCell;
use std::collections::HashMap;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

/// Where files of other projects are.
#[derive(Clone, Debug, Default)]
pub struct Named {
    /// Checkouts of projects, by the projects' paths.
    pub projects: HashMap<String, PathBuf>,
    /// A folder of GitLab's templates.
    pub templates: Option<PathBuf>,
    /// Whether files are fetched from elsewhere.
    pub remote: bool,
}

/// See the module.
pub struct Outside {
    checkout: Checkout,
    files: CommitFiles,
    base: Option<String>,
    all_changes: bool,
    changes: RefCell<HashMap<Option<String>, Changes>>,
    named: Named,
    others: RefCell<HashMap<PathBuf, Option<Checkout>>>,
    remote: Remote,
}

impl Outside {
    /// The checkout with these contents; `base` is what its pipeline is compared with.
    pub fn new(
        checkout: &Checkout,
        contents: Contents,
        base: Option<String>,
        all_changes: bool,
        named: Named,
    ) -> Outside {
        Outside {
            checkout: checkout.clone(),
            files: CommitFiles::of(contents),
            base,
            all_changes,
            changes: RefCell::default(),
            named,
            others: RefCell::default(),
            remote: Remote::default(),
        }
    }

    /// What git could not answer, if there was something: then nothing that was made of its answers counts.
    ///
    /// # Errors
    /// Just that.
    pub fn check(&self) -> Done {
        Ok(self.files.check()?)
    }

    /// The value of an answer; a failure is kept for [`Outside::check`].
    fn or_keep<T>(&self, answer: Result<Option<T>>) -> Option<T> {
        self.files.or_keep(answer)
    }

    fn changed_since(&self, base: Base<'_>) -> Result<Option<Changes>> {
        let sha = match base {
            Base::Pipeline => self.base.clone(),
            Base::Ref(name) => {
                let Some(sha) = resolve(&self.checkout, name)? else { return Ok(Some(Changes::NoSuchRef)) };
                Some(self.checkout.merge_base("HEAD", &sha)?.unwrap_or(sha))
            }
        };
        if let Some(known) = self.changes.borrow().get(&sha) {
            return Ok(Some(known.clone()));
        }
        let changes = match &sha {
            Some(sha) => {
                self.files.changed_since(sha)?.map_or(Changes::Unknown, |paths| Changes::Paths(Arc::new(paths)))
            }
            None => Changes::Unknown,
        };
        self.changes.borrow_mut().insert(sha, changes.clone());
        Ok(Some(changes))
    }

    /// A file of another project.
    fn of_project(&self, project: &str, reference: Option<&str>, path: &str) -> std::result::Result<Vec<u8>, Refusal> {
        let dir = self.dir_of(project).ok_or_else(|| refusal(Elsewhere::Project { project, reference, path }))?;
        let told = |words: String| Refusal { words, hint: None };
        let absent = || told(format!("Project `{project}` file `{path}` does not exist!"));
        let Some(reference) = reference else {
            // As the checkout is, changes included: whoever names it works on it.
            return read_below(dir, path).ok_or_else(absent);
        };
        let Some(checkout) = self.other(dir) else {
            let words = format!("{} is no git checkout, so that it has no `{reference}`", dir.display());
            return Err(told(words));
        };
        let answer = (|| {
            let Some(sha) = resolve(&checkout, reference)? else { return Ok(None) };
            Ok::<_, Error>(Some(Contents::of_commit(&checkout, &sha)?.read(path, BYTES_MAX)?))
        })();
        match self.or_keep(answer) {
            Some(content) => content.ok_or_else(absent),
            None => Err(told(format!("Project `{project}` reference `{reference}` does not exist!"))),
        }
    }

    fn dir_of(&self, project: &str) -> Option<&Path> {
        let found = self.named.projects.iter().find(|(name, _)| name.eq_ignore_ascii_case(project));
        found.map(|(_, dir)| dir.as_path())
    }

    /// The checkout at a folder, if it is one.
    fn other(&self, dir: &Path) -> Option<Checkout> {
        let mut others = self.others.borrow_mut();
        if let Some(known) = others.get(dir) {
            return known.clone();
        }
        let found = match look(dir) {
            Ok(Found::Checkout(checkout)) => Some(*checkout),
            Ok(Found::Nothing | Found::NoGit) => None,
            Err(error) => self.or_keep(Err(error)),
        };
        others.insert(dir.to_owned(), found.clone());
        found
    }

    /// A component: the template of this name in its project, at this version.
    fn component(&self, address: &str) -> std::result::Result<Vec<u8>, Refusal> {
        let project = component_project(address);
        let Some(dir) = self.dir_of(project) else { return Err(refusal(Elsewhere::Component(address))) };
        let told = |words: String| Refusal { words, hint: None };
        let Some((path, version)) = address.rsplit_once('@') else {
            return Err(told(format!("Component `{address}` has no version, as in `{address}@1.0`")));
        };
        let name = path.rsplit('/').next().unwrap_or_default();
        let Some(checkout) = self.other(dir) else {
            return Err(told(format!("{} is no git checkout, so that it has no version {version}", dir.display())));
        };
        let answer = (|| {
            let Some(sha) = version_of(&checkout, version)? else { return Ok(None) };
            let mut contents = Contents::of_commit(&checkout, &sha)?;
            let mut found = None;
            for path in [format!("templates/{name}.yml"), format!("templates/{name}/template.yml")] {
                found = found.or(contents.read(&path, BYTES_MAX)?);
            }
            Ok::<_, Error>(Some(found))
        })();
        match self.or_keep(answer) {
            Some(Some(content)) => Ok(content),
            Some(None) => Err(told(format!("Component `{address}`: {} has no template `{name}`", dir.display()))),
            None => Err(told(format!("Component `{address}`: {} has no version `{version}`", dir.display()))),
        }
    }
}

/// The commit of a version: a tag, branch or commit; `~latest` or the begin of a version: the highest tag that fits.
fn version_of(checkout: &Checkout, version: &str) -> Result<Option<String>> {
    let numbers = |text: &str| {
        let text = text.strip_prefix('v').unwrap_or(text);
        text.split('.').map(|part| part.parse().ok()).collect::<Option<Vec<u64>>>()
    };
    let wanted = if version == "~latest" { Some(Vec::new()) } else { numbers(version).filter(|parts| parts.len() < 3) };
    if version != "~latest"
        && let Some(sha) = resolve(checkout, version)?
    {
        return Ok(Some(sha));
    }
    let Some(wanted) = wanted else { return Ok(None) };
    let list =
        checkout.git().ask(&["for-each-ref", "--format=%(refname:strip=2)", "refs/tags"]).map_err(Error::from)?;
    let list = String::from_utf8_lossy(&list).into_owned();
    let fitting = list.lines().filter_map(|tag| {
        let parts = numbers(tag).filter(|parts| parts.len() == 3 && parts.starts_with(&wanted))?;
        Some((parts, tag))
    });
    match fitting.max() {
        Some((_, tag)) => resolve(checkout, &format!("refs/tags/{tag}")),
        None => Ok(None),
    }
}

/// A file below a folder, but for paths and links that lead out of it.
fn read_below(dir: &Path, path: &str) -> Option<Vec<u8>> {
    let relative = Path::new(path.trim_start_matches('/'));
    if !relative.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir)) {
        return None;
    }
    let (top, file) = (std::fs::canonicalize(dir).ok()?, std::fs::canonicalize(dir.join(relative)).ok()?);
    let size = std::fs::metadata(&file).ok().filter(std::fs::Metadata::is_file)?.len();
    if !file.starts_with(&top) || size > BYTES_MAX {
        return None;
    }
    std::fs::read(file).ok()
}

impl Surroundings for Outside {
    fn file(&self, path: &str) -> Option<Vec<u8>> {
        self.files.file(path)
    }

    fn paths(&self) -> Arc<Vec<String>> {
        self.files.paths()
    }

    fn changes(&self, base: Base<'_>) -> Changes {
        if self.all_changes {
            return Changes::Unknown;
        }
        self.or_keep(self.changed_since(base)).unwrap_or(Changes::Unknown)
    }

    fn last_commits(&self, paths: &[String]) -> Vec<String> {
        self.files.last_commits(paths)
    }

    fn elsewhere(&self, file: Elsewhere<'_>) -> std::result::Result<Vec<u8>, Refusal> {
        match file {
            Elsewhere::Project { project, reference, path } => self.of_project(project, reference, path),
            Elsewhere::Component(address) => self.component(address),
            Elsewhere::Template(name) => match &self.named.templates {
                Some(dir) => read_below(dir, name).ok_or_else(|| Refusal {
                    words: format!("Template file `{name}` does not exist in {}!", dir.display()),
                    hint: None,
                }),
                None => Err(refusal(file)),
            },
            Elsewhere::Remote { url, integrity } if self.named.remote => self.remote.fetch(url, integrity),
            Elsewhere::Remote { .. } | Elsewhere::Artifact { .. } => Err(refusal(file)),
        }
    }
}
