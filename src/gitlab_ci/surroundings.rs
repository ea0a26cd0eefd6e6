//! What the meaning of a configuration depends on outside of it: files, changes, other projects.
//!
//! What must stay true: this is the only way out of the module, so that the same answers give the same pipeline.

use std::sync::Arc;

/// What a `changes` is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Base<'a> {
    /// What the pipeline itself is compared with.
    Pipeline,
    /// The merge base with this ref: `compare_to`.
    Ref(&'a str),
}

/// Which paths changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Changes {
    /// There is nothing to compare with: each `changes` holds.
    Unknown,
    /// These paths, relative to the root of the checkout.
    Paths(Arc<Vec<String>>),
    /// The ref of `compare_to` does not exist.
    NoSuchRef,
}

/// A file from elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Elsewhere<'a> {
    /// `include:project`.
    Project {
        /// As in `group/name`.
        project: &'a str,
        /// Branch, tag or commit; `None`: the default branch.
        reference: Option<&'a str>,
        /// Path in it, without a leading slash.
        path: &'a str,
    },
    /// `include:component`, as in `host/group/project/name@version`.
    Component(&'a str),
    /// `include:remote`.
    Remote {
        /// With `https`.
        url: &'a str,
        /// As in `sha256-BASE64`.
        integrity: Option<&'a str>,
    },
    /// `include:template`.
    Template(&'a str),
    /// A file that a job made: only the configuration of a child pipeline names one.
    Artifact {
        /// The job's name.
        job: &'a str,
        /// Path in its artifacts.
        path: &'a str,
    },
}

/// Why a file from elsewhere is not had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// One sentence.
    pub words: String,
    /// What makes it work.
    pub hint: Option<String>,
}

/// The checkout and what else a configuration may name.
pub trait Surroundings {
    /// Content of a file of the checkout; `None`: there is none.
    fn file(&self, path: &str) -> Option<Vec<u8>>;

    /// Paths of all files of the snapshot, relative to its root, in their order.
    fn paths(&self) -> Arc<Vec<String>>;

    /// What changed since a base.
    fn changes(&self, base: Base<'_>) -> Changes;

    /// For the key of a cache: the commits that touched these files last, each once; of a file that is changed and not
    /// committed its content's id; files that do not exist have none.
    fn last_commits(&self, paths: &[String]) -> Vec<String>;

    /// Content of a file from elsewhere.
    ///
    /// # Errors
    ///
    /// Says what would be needed. By default nothing is had from elsewhere.
    fn elsewhere(&self, file: Elsewhere<'_>) -> Result<Vec<u8>, Refusal> {
        Err(refusal(file))
    }
}

/// What is said of a file from elsewhere for which there is no source.
#[must_use]
pub fn refusal(file: Elsewhere<'_>) -> Refusal {
    match file {
        Elsewhere::Project { project, path, .. } => Refusal {
            words: format!("Project `{project}` is not at hand, so its file `{path}` cannot be included"),
            hint: Some(format!("give a checkout of it with --include-project {project}=DIR")),
        },
        Elsewhere::Component(name) => Refusal {
            words: format!("Component `{name}` is not at hand"),
            hint: Some(format!(
                "give a checkout of its project with --include-project {}=DIR",
                component_project(name)
            )),
        },
        Elsewhere::Remote { url, .. } => Refusal {
            words: format!("Remote file `{url}` is not fetched"),
            hint: Some("allow it with --allow-remote".to_owned()),
        },
        Elsewhere::Template(name) => Refusal {
            words: format!("Template `{name}` is one of GitLab's own, which Baton does not have"),
            hint: Some("give a checkout of them with --include-templates DIR".to_owned()),
        },
        Elsewhere::Artifact { job, path } => Refusal {
            words: format!("The artifacts of `{job}` have no `{path}`"),
            hint: Some("only a job with `trigger` can include what another job made".to_owned()),
        },
    }
}

/// The project's part of a component's address: `host/group/project/name@version` without host, name and version.
#[must_use]
pub fn component_project(address: &str) -> &str {
    let path = address.split_once('@').map_or(address, |(path, _)| path);
    let path = path.split_once('/').map_or(path, |(_, path)| path);
    path.rsplit_once('/').map_or(path, |(project, _)| project)
}
