//! Jobs with `trigger`: each makes a pipeline of its own when its turn comes, its child.
//!
//! What must stay true: such a job is scheduled when its turn has come, and no runner ever gets it. Its child is compiled
//! outside of any transaction, from the commit of its parent; the child's rows and what becomes of the job are one commit.
//! A job that depends on its child runs until that has ended, and ends as it did.

use super::add::add_or_refuse;
use super::{NewPipeline, no_such};
use crate::coordinator::Coordinator;
use crate::coordinator::builds::finish::{finish, settle};
use crate::coordinator::start::files::{BYTES_MAX, CommitFiles};
use crate::domain::build::{BuildId, FailureReason, Status, Variable};
use crate::domain::pipeline::about::About;
use crate::domain::pipeline::{PipelineId, Source, Trigger};
use crate::domain::spec::ArtifactKind;
use crate::domain::time::Timestamp;
use crate::error::{Error, Kind, Result};
use crate::git::Contents;
use crate::gitlab_ci::context::{Context, Given};
use crate::gitlab_ci::surroundings::{Base, Changes, Elsewhere, Refusal, Surroundings};
use crate::gitlab_ci::{Compiled, compile_made};
use crate::store::builds::{self, BuildState};
use crate::store::pipelines::{self, Pipeline};
use crate::store::{jobs, runner_builds};
use rusqlite::Connection;
use std::io::Read;
use std::sync::Arc;
use zip::ZipArchive;

/// Pipelines above each other: GitLab allows a child of a child.
const DEPTH_MAX: usize = 3;
/// Jobs with `trigger` that one run makes pipelines for.
const MADE_PER_RUN_MAX: usize = 20;

impl Coordinator {
    /// Makes the pipelines of jobs with `trigger` whose turn has come, and ends those that waited for theirs. To be called
    /// each second. Returns how many were made.
    ///
    /// # Errors
    /// The database's.
    pub fn make_children(&self, now: Timestamp) -> Result<usize> {
        let (due, waiting) =
            self.store.read(|c| Ok((jobs::due(c, true, now, MADE_PER_RUN_MAX)?, jobs::running_triggers(c)?)))?;
        for id in &due {
            self.make_child(*id, now)?;
        }
        if !waiting.is_empty() {
            self.store.write(move |c| waiting.iter().try_for_each(|id| settle(c, *id, now)))?;
        }
        Ok(due.len())
    }

    /// The pipelines that builds of this one have made.
    ///
    /// # Errors
    /// The database's.
    pub fn children_of_pipeline(&self, id: PipelineId) -> Result<Vec<PipelineId>> {
        self.store.read(|c| pipelines::children_of_pipeline(c, id))
    }

    fn make_child(&self, id: BuildId, now: Timestamp) -> Result<()> {
        let made = match self.compiled(id) {
            Ok(made) => made,
            // Its turn comes again with the next look.
            Err(error) if matches!(error.kind, Kind::Busy | Kind::DiskFull) => {
                log::debug!("the pipeline of build {id} is made later: {error}");
                return Ok(());
            }
            Err(error) => Err(error.message),
        };
        self.store.write(move |c| {
            let Some(build) = builds::state(c, id)?.filter(|build| build.status == Status::Scheduled) else {
                return Ok(());
            };
            let added = match made {
                Ok((new, depends)) => add_or_refuse(c, new, now)?.map(|added| (added, depends)).map_err(first),
                Err(why) => Err(why),
            };
            match added {
                Ok((added, depends)) => {
                    for child in &added.builds {
                        runner_builds::repeat(c, id, *child)?;
                    }
                    jobs::begin_trigger(c, id, now)?;
                    let build = BuildState { status: Status::Running, ..build };
                    if depends { settle(c, id, now) } else { finish(c, &build, Status::Success, None, now) }
                }
                Err(why) => {
                    jobs::begin_trigger(c, id, now)?;
                    let build = BuildState { status: Status::Running, ..build };
                    builds::set_failure(c, id, Some(&short(&why)), None)?;
                    finish(c, &build, Status::Failed, Some(FailureReason::RunnerFailure), now)
                }
            }
        })
    }

    /// The child that a job makes, and whether the job waits for it; or why there is none.
    fn compiled(&self, id: BuildId) -> Result<std::result::Result<(NewPipeline, bool), String>> {
        let (parent, about, variables, depth) = self.store.read(|c| {
            let parent = pipelines::of_build(c, id)?.ok_or_else(|| Error::internal("a job without a pipeline"))?;
            let about = jobs::about(c, id)?.unwrap_or_default();
            Ok((parent.clone(), about, builds::spec(c, id)?.variables, depth(c, &parent)?))
        })?;
        let About { trigger: Some(trigger), .. } = about else { return Ok(Err("it has no trigger".to_owned())) };
        if depth >= DEPTH_MAX {
            return Ok(Err(format!(
                "a child of a child makes no further pipeline: at most {DEPTH_MAX} above each other"
            )));
        }
        let Some(context) = parent.context.as_ref().and_then(|text| serde_json::from_str::<Context>(text).ok()) else {
            return Ok(Err("nothing is known of the circumstances of its pipeline".to_owned()));
        };
        let Some(sha) = &parent.sha else {
            return Ok(Err("the commit of its pipeline is not known".to_owned()));
        };
        let context = context_of_child(context, &trigger, variables);
        // Nobody removes the commit while it is read.
        let mirror;
        let contents = match &parent.sources_key {
            Some(key) => Contents::of_repository(&self.sources_dir().join(key), sha)?,
            None => {
                mirror = self.commit_again(&parent.project, sha)?;
                mirror.contents(sha)?
            }
        };
        let files = CommitFiles::of(contents);
        let inside = Inside { coordinator: self, parent: parent.id, files, base: parent.before_sha.clone() };
        let compiled = compile_made(trigger.configuration().as_bytes(), &context, &inside);
        inside.files.check()?;
        Ok(child(&parent, id, &context, compiled).map(|new| (new, trigger.depends)))
    }
}

/// How many pipelines are above each other down to this one.
fn depth(c: &Connection, pipeline: &Pipeline) -> Result<usize> {
    let (mut depth, mut parent) = (1, pipeline.parent);
    while let Some(id) = parent
        && depth <= DEPTH_MAX
    {
        parent = pipelines::of_build(c, id)?.and_then(|pipeline| pipeline.parent);
        depth += 1;
    }
    Ok(depth)
}

fn context_of_child(parent: Context, trigger: &Trigger, variables: Vec<Variable>) -> Context {
    let mut given = Vec::new();
    if trigger.forward_file_variables {
        let of_file = variables.into_iter().filter(|variable| variable.yields);
        given.extend(of_file.map(|variable| {
            let Variable { key, value, public, file, expand, .. } = variable;
            Given { key, value, public, file, raw: !expand }
        }));
    }
    if trigger.forward_given_variables {
        given.extend(parent.given);
    }
    Context { source: Source::ParentPipeline, given, inputs: Vec::new(), ..parent }
}

fn child(
    parent: &Pipeline,
    id: BuildId,
    context: &Context,
    compiled: Compiled,
) -> std::result::Result<NewPipeline, String> {
    let made = NewPipeline::of(context, compiled)?;
    Ok(NewPipeline {
        project: parent.project.clone(),
        sha: parent.sha.clone(),
        before_sha: parent.before_sha.clone(),
        sources_key: parent.sources_key.clone(),
        title: parent.title.clone(),
        actor: parent.actor.clone(),
        parent: Some(id),
        ..made
    })
}

/// The first of these sentences: the page of the refused pipeline has all.
fn first(sentences: Vec<String>) -> String {
    sentences.into_iter().next().unwrap_or_else(|| "it is not valid".to_owned())
}

/// As much of a sentence as a row keeps.
fn short(why: &str) -> String {
    const CHARS_MAX: usize = 500;
    why.chars().filter(|letter| !letter.is_control()).take(CHARS_MAX).collect()
}

/// The pipelines that a build of this pipeline has made, and that go on.
pub fn open_children(c: &Connection, id: PipelineId) -> Result<Vec<PipelineId>> {
    pipelines::by_id(c, id)?.ok_or_else(|| no_such(id))?;
    let mut open = Vec::new();
    for child in pipelines::children_of_pipeline(c, id)? {
        if !pipelines::standing(c, child)?.state().is_at_rest() {
            open.push(child);
        }
    }
    Ok(open)
}

/// The commit of a pipeline, and what its jobs have made.
struct Inside<'a> {
    coordinator: &'a Coordinator,
    parent: PipelineId,
    files: CommitFiles,
    base: Option<String>,
}

impl Inside<'_> {
    /// A file of the archive of a job of the parent.
    fn made(&self, job: &str, path: &str) -> Option<Vec<u8>> {
        let parent = self.parent;
        let id = self.coordinator.store.read(|c| jobs::named(c, parent, job)).ok().flatten()?;
        let download = self.coordinator.operator_artifacts(id, &ArtifactKind::archive(), Timestamp::now()).ok()?;
        let mut archive = ZipArchive::new(download.file).ok()?;
        let file = archive.by_name(path).ok().filter(|file| file.is_file())?;
        let mut content = Vec::new();
        file.take(BYTES_MAX).read_to_end(&mut content).ok()?;
        Some(content)
    }
}

impl Surroundings for Inside<'_> {
    fn file(&self, path: &str) -> Option<Vec<u8>> {
        self.files.file(path)
    }

    fn paths(&self) -> Arc<Vec<String>> {
        self.files.paths()
    }

    fn changes(&self, base: Base<'_>) -> Changes {
        match (base, &self.base) {
            (Base::Pipeline, Some(base)) => {
                let changed = self.files.changed_since(base).ok().flatten();
                changed.map_or(Changes::Unknown, |paths| Changes::Paths(Arc::new(paths)))
            }
            (Base::Pipeline, None) => Changes::Unknown,
            // Only the commit itself is here.
            (Base::Ref(_), _) => Changes::NoSuchRef,
        }
    }

    fn last_commits(&self, paths: &[String]) -> Vec<String> {
        self.files.last_commits(paths)
    }

    fn elsewhere(&self, file: Elsewhere<'_>) -> std::result::Result<Vec<u8>, Refusal> {
        match file {
            Elsewhere::Artifact { job, path } => self
                .made(job, path)
                .ok_or_else(|| Refusal { words: format!("The artifacts of `{job}` have no `{path}`"), hint: None }),
            Elsewhere::Project { .. } | Elsewhere::Component(_) | Elsewhere::Remote { .. } | Elsewhere::Template(_) => {
                self.files.elsewhere(file)
            }
        }
    }
}
