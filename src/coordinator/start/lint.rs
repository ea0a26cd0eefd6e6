//! What a configuration means, or what is wrong with it, without a pipeline being made.

use super::circumstances::{CONFIG_PATH, context_of};
use super::fetch::FetchedCommit;
use super::files::CommitFiles;
use super::{Coordinator, PipelineRequest};
use crate::blocking;
use crate::domain::git_names::check_ref;
use crate::domain::pipeline::{Job, Source};
use crate::error::{Error, Kind, Result};
use crate::git::mirror::Protocols;
use crate::gitlab_ci::context::Context;
use crate::gitlab_ci::lint::{Trial, errors, trials, warnings};
use crate::gitlab_ci::surroundings::Surroundings;
use crate::gitlab_ci::yaml::to_yaml;
use crate::gitlab_ci::{Outcome, compile};
use crate::store::projects::Project;
use std::collections::HashSet;

/// The default branch of a project whose repository nobody has asked.
const USUAL_BRANCH: &str = "main";
/// Whoever writes none of these words names no file of the repository.
const WORDS_OF_FILES: [&str; 2] = ["include", "exists"];

/// What is looked at.
#[derive(Clone, Debug)]
pub enum LintSubject {
    /// This text, and the repository's files where it names them.
    Content(Vec<u8>),
    /// The file of a branch or tag; `None`: of the default branch.
    Ref(Option<String>),
}

/// What somebody wants to know.
#[derive(Clone, Debug)]
pub struct LintRequest {
    /// The project's name; `None`: it is of none, and has no files.
    pub project: Option<String>,
    /// What is looked at.
    pub subject: LintSubject,
    /// Whether it is read as for a pipeline of this ref, the default branch without one, and not for whatever there may
    /// be.
    pub dry_run: Option<Option<String>>,
}

/// What is to be said of it.
#[derive(Clone, Debug, Default)]
pub struct Linted {
    /// What is wrong; none: nothing.
    pub errors: Vec<String>,
    /// What people should know.
    pub warnings: Vec<String>,
    /// All of it in one file, if it came so far.
    pub merged_yaml: Option<String>,
    /// The files that it includes.
    pub includes: Vec<String>,
    /// Its jobs, under whatever circumstances they are made, each name once.
    pub jobs: Vec<Job>,
}

impl Linted {
    fn wrong(why: String) -> Linted {
        Linted { errors: vec![why], ..Linted::default() }
    }
}

impl Coordinator {
    /// Says what a configuration means. Where it needs files of the project's repository, this fetches.
    ///
    /// # Errors
    /// [`Kind::NotFound`] for an unknown project; [`Kind::Busy`] if too many are looked at at once; [`Kind::DiskFull`].
    pub fn lint(&self, request: &LintRequest) -> Result<Linted> {
        let project = request.project.as_deref().map(|name| self.project(name)).transpose()?;
        let _seat = self.starts.take(project.as_ref().map(|project| project.id))?;
        match blocking::waiting(|| self.linted(project.as_ref(), request)) {
            Err(Error { kind: Kind::Invalid | Kind::TooLarge, message }) => Ok(Linted::wrong(message)),
            linted => linted,
        }
    }

    fn linted(&self, project: Option<&Project>, request: &LintRequest) -> Result<Linted> {
        let names_files = |content: &[u8]| {
            let content = String::from_utf8_lossy(content);
            WORDS_OF_FILES.iter().any(|word| content.contains(word))
        };
        let (wanted, content) = match &request.subject {
            LintSubject::Content(content) => (request.dry_run.clone().flatten(), Some(content)),
            LintSubject::Ref(name) => (name.clone(), None),
        };
        let needs_commit = content.is_none_or(|content| names_files(content));
        let commit = match project {
            Some(project) if needs_commit && (content.is_none() || project.repo_url.is_some()) => {
                Some(self.fetch_commit(project, wanted.as_deref(), Protocols::Web)?)
            }
            _ => None,
        };
        let files = match &commit {
            Some(commit) => CommitFiles::of(commit.mirror.contents(&commit.sha)?),
            None => CommitFiles::none(),
        };
        let of_ref = request.dry_run.clone().flatten().or(wanted);
        let context = context(project, commit.as_ref(), of_ref)?;
        let content = content.cloned().or_else(|| files.file(&context.config_path));
        files.check()?;
        let Some(content) = content else {
            return Ok(Linted::wrong("Please provide content of .gitlab-ci.yml".into()));
        };
        let tried = if request.dry_run.is_some() {
            vec![Trial { compiled: compile(&content, &context, &files), context }]
        } else {
            trials(&content, &context, &context.default_branch, &files)
        };
        files.check()?;
        Ok(report(&tried, request.dry_run.is_some(), &files))
    }
}

/// The circumstances: those of a pipeline of this ref that somebody asks for.
fn context(project: Option<&Project>, commit: Option<&FetchedCommit>, of_ref: Option<String>) -> Result<Context> {
    let name = project.map_or_else(|| "project".to_owned(), |project| project.name.clone());
    let known = project.and_then(|project| project.default_branch.clone());
    let request = PipelineRequest {
        project: name,
        ref_: of_ref.clone(),
        source: Source::Push,
        given: Vec::new(),
        inputs: Vec::new(),
        actor: "lint".to_owned(),
        protocols: Protocols::Web,
        warnings: Vec::new(),
    };
    let context = match commit {
        Some(commit) => context_of(commit, &request),
        None => Context {
            project: request.project,
            default_branch: known.unwrap_or_else(|| USUAL_BRANCH.to_owned()),
            ..Context::default()
        },
    };
    let Some(name) = of_ref else { return Ok(context) };
    if commit.is_some_and(|commit| commit.ref_name == name || name.ends_with(&format!("/{}", commit.ref_name))) {
        return Ok(context);
    }
    check_ref(&name).map_err(Error::invalid)?;
    Ok(match name.strip_prefix("refs/tags/") {
        Some(tag) => Context { tag: Some(tag.to_owned()), branch: None, ..context },
        None => {
            let branch = name.strip_prefix("refs/heads/").unwrap_or(&name).to_owned();
            Context { tag: None, branch: Some(branch), ..context }
        }
    })
}

fn report(trials: &[Trial], is_dry_run: bool, files: &CommitFiles) -> Linted {
    let mut errors: Vec<String> = errors(trials).iter().map(ToString::to_string).collect();
    let merged = trials.iter().find_map(|trial| Some((trial.compiled.merged.as_ref()?, &trial.compiled.files)));
    let (mut jobs, mut known) = (Vec::new(), HashSet::new());
    for trial in trials {
        match &trial.compiled.outcome {
            Outcome::Pipeline(pipeline) => {
                jobs.extend(pipeline.jobs.iter().filter(|job| known.insert(job.name.clone())).cloned());
            }
            Outcome::Nothing(words) if is_dry_run => errors.push(words.clone()),
            Outcome::Nothing(_) | Outcome::Refused(_) => {}
        }
    }
    let (mut includes, mut listed) = (Vec::new(), HashSet::new());
    for name in trials.iter().flat_map(|trial| trial.compiled.files.iter().skip(1)) {
        if name != CONFIG_PATH && listed.insert(name) {
            includes.push(name.clone());
        }
    }
    Linted {
        warnings: files.warnings(warnings(trials).iter().map(ToString::to_string).collect()),
        merged_yaml: merged.map(|(node, files)| to_yaml(node, files)),
        includes,
        jobs: if errors.is_empty() { jobs } else { Vec::new() },
        errors,
    }
}
