//! Pipelines that are made without a checkout: of the newest commit of a branch or a tag of a project's own repository.
//!
//! What must stay true: nothing is fetched but from the project's own URL, whoever asks for what. So many are made at a time,
//! and so many of one project: who comes beyond that is told to come again, and keeps nothing. Commit and configuration are
//! read and compiled outside of any transaction; the rows are one commit, and are made only if the project still has that
//! URL.
//!
//! `fetch` has the commit, `files` reads it, `circumstances` says under which conditions its configuration is read, `lint`
//! says what one means.

pub mod circumstances;
mod fetch;
pub mod files;
mod lint;

pub use lint::{LintRequest, LintSubject, Linted};

use self::circumstances::{CONFIG_PATH, context_of};
use self::files::CommitFiles;
use super::pipelines::add::add_or_refuse;
use super::project_variables;
use super::projects::named;
use super::{Added, Coordinator, NewPipeline};
use crate::blocking;
use crate::domain::pipeline::{Pipeline, Source};
use crate::domain::reserved;
use crate::domain::time::Timestamp;
use crate::error::{Error, Kind, Result};
use crate::git::mirror::Protocols;
use crate::gitlab_ci::context::{Context, Given};
use crate::gitlab_ci::surroundings::Surroundings;
use crate::gitlab_ci::{Compiled, Outcome, compile};
use crate::store::projects::{self, Project};

/// What somebody wants a pipeline of.
#[derive(Clone, Debug)]
pub struct PipelineRequest {
    /// The project's name.
    pub project: String,
    /// Branch or tag, maybe with its full name; `None`: the default branch.
    pub ref_: Option<String>,
    /// Why there is one.
    pub source: Source,
    /// Variables that are given, the weakest first.
    pub given: Vec<Given>,
    /// Values of the file's own inputs, as text.
    pub inputs: Vec<(String, String)>,
    /// Who asks, in words.
    pub actor: String,
    /// How the repository may be reached.
    pub protocols: Protocols,
    /// What people are to be told of how it was asked for.
    pub warnings: Vec<String>,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StartOutcome {
    /// There is a pipeline.
    Pipeline(Added),
    /// Rules let nothing through; GitLab's sentence about it.
    Nothing(String),
    /// There is nothing that could run: sentences that say why. Where nobody may read them, a pipeline keeps them that has
    /// failed ([`Source::keeps_refusals`]); else nothing has changed.
    Refused(Vec<String>),
}

impl Coordinator {
    /// Makes a pipeline of the newest commit of a branch or tag of the project's repository. This fetches, and may take as
    /// long as [`crate::limits::Limits::fetch_time_max`].
    ///
    /// # Errors
    /// [`Kind::NotFound`] for an unknown project; [`Kind::Busy`] if too many are made at once; [`Kind::DiskFull`].
    pub fn start_pipeline(&self, request: &PipelineRequest, now: Timestamp) -> Result<StartOutcome> {
        let project = self.project(&request.project)?;
        if let Err(why) = reserved::check_names(request.given.iter().map(|given| given.key.as_str())) {
            return Ok(StartOutcome::Refused(vec![why]));
        }
        let _seat = self.starts.take(Some(project.id))?;
        let made = blocking::waiting(|| self.compiled_of(&project, request));
        let (new, default_branch) = match made {
            Ok(Made::Pipeline(made)) => *made,
            Ok(Made::None(outcome)) => return Ok(outcome),
            Err(error) => return refused(error),
        };
        let sentences = new.refusal.iter().map(ToString::to_string).collect::<Vec<_>>();
        if !sentences.is_empty() && !request.source.keeps_refusals() {
            return Ok(StartOutcome::Refused(sentences));
        }
        let (repo_url, id) = (project.repo_url, project.id);
        let added = self.store.write(move |c| {
            let present = named(c, &new.project)?;
            if (present.id, &present.repo_url) != (id, &repo_url) {
                return Err(Error::invalid("the project got another repository URL meanwhile; try again"));
            }
            if default_branch.is_some() && default_branch != present.default_branch {
                projects::set_default_branch(c, id, default_branch.as_deref())?;
            }
            add_or_refuse(c, new, now)
        });
        match added {
            Ok(Ok(added)) => Ok(StartOutcome::Pipeline(added)),
            Ok(Err(sentences)) => Ok(StartOutcome::Refused(sentences)),
            Err(error) => refused(error),
        }
    }

    fn compiled_of(&self, project: &Project, request: &PipelineRequest) -> Result<Made> {
        let commit = self.fetch_commit(project, request.ref_.as_deref(), request.protocols)?;
        let about = (commit.ref_name.as_str(), commit.is_tag);
        let default_branch = commit.default_branch.as_deref();
        let own = self.store.read(|c| project_variables::of_builds(c, project, default_branch, about))?;
        let given = own.into_iter().map(Given::from).chain(request.given.iter().cloned()).collect();
        let context = context_of(&commit, &PipelineRequest { given, ..request.clone() });
        let files = CommitFiles::of(commit.mirror.contents(&commit.sha)?);
        let content = files.file(&context.config_path);
        files.check()?;
        let Some(content) = content else {
            let why = format!("Missing CI config file: {} has no {CONFIG_PATH}", commit.ref_name);
            return Err(Error::invalid(why));
        };
        let compiled = compile(&content, &context, &files);
        files.check()?;
        let made = match NewPipeline::of(&context, compiled) {
            Ok(made) => made,
            Err(words) => return Ok(Made::None(StartOutcome::Nothing(words))),
        };
        let default_branch = commit.default_branch.clone();
        let new = NewPipeline {
            project: project.name.clone(),
            sha: Some(commit.sha.clone()),
            warnings: files.warnings([request.warnings.clone(), made.warnings].concat()),
            title: Some(commit.head.title().to_owned()).filter(|title| !title.is_empty()),
            actor: Some(request.actor.clone()),
            ..made
        };
        Ok(Made::Pipeline(Box::new((new, default_branch))))
    }
}

/// What was compiled.
enum Made {
    /// A pipeline, and the default branch as the repository says.
    Pipeline(Box<(NewPipeline, Option<String>)>),
    /// None.
    None(StartOutcome),
}

/// What is wrong with what was asked for is an outcome; all else is an error.
fn refused(error: Error) -> Result<StartOutcome> {
    match error.kind {
        Kind::Invalid | Kind::TooLarge => Ok(StartOutcome::Refused(vec![error.message])),
        Kind::Forbidden
        | Kind::NotFound
        | Kind::Conflict
        | Kind::TooSlow
        | Kind::Busy
        | Kind::DiskFull
        | Kind::Damaged
        | Kind::Internal => Err(error),
    }
}

impl NewPipeline {
    /// What a configuration has come to under these circumstances, without what is known of its commit.
    ///
    /// # Errors
    /// GitLab's sentence, if rules let nothing through.
    pub fn of(context: &Context, mut compiled: Compiled) -> std::result::Result<NewPipeline, String> {
        match std::mem::replace(&mut compiled.outcome, Outcome::Refused(Vec::new())) {
            Outcome::Pipeline(pipeline) => Ok(NewPipeline::compiled(context, *pipeline, &compiled)),
            Outcome::Nothing(words) => Err(words),
            Outcome::Refused(messages) => {
                let none = Pipeline { source: context.source, ..Pipeline::default() };
                Ok(NewPipeline::compiled(context, none, &compiled).refused(messages))
            }
        }
    }

    /// The same of one that has come to this pipeline.
    #[must_use]
    pub fn compiled(context: &Context, pipeline: Pipeline, compiled: &Compiled) -> NewPipeline {
        NewPipeline {
            pipeline,
            ref_: context.ref_name().to_owned(),
            is_tag: context.tag.is_some(),
            left_out: serde_json::to_value(&compiled.left_out).unwrap_or_default(),
            warnings: compiled.warnings.iter().map(ToString::to_string).collect(),
            given: context.given.iter().map(|given| given.key.clone()).collect(),
            context: Some(context.clone()),
            ..NewPipeline::default()
        }
    }
}
