//! A pipeline is made of what a configuration means: all of its jobs in one transaction.

use super::refusal;
use crate::coordinator::Coordinator;
use crate::coordinator::project_by_name::named;
use crate::domain::build::{BuildId, NewBuild, Status, Variable};
use crate::domain::pipeline::about::About;
use crate::domain::pipeline::board::Board;
use crate::domain::pipeline::{Job, JobVariable, Pipeline, PipelineId, When, Work};
use crate::domain::runner::RunnerId;
use crate::domain::spec::{AllowFailure, BuildSpec};
use crate::domain::tags::Tags;
use crate::domain::time::Timestamp;
use crate::error::{Error, Kind, Result};
use crate::gitlab_ci::context::Context;
use crate::gitlab_ci::messages::Message;
use crate::limits::PIPELINE_JOBS_MAX;
use crate::store::jobs::{NewJob, Place, holder};
use crate::store::pipelines::{self, NewRow};
use crate::store::projects::Project;
use crate::store::{builds, runner_builds};
use rusqlite::Connection;
use serde_json::Value;
use std::collections::{HashMap, HashSet};
use std::time::Duration;

/// What a pipeline is made of.
#[derive(Clone, Debug, Default)]
pub struct NewPipeline {
    /// The project's name.
    pub project: String,
    /// What the configuration means.
    pub pipeline: Pipeline,
    /// Branch or tag.
    pub ref_: String,
    /// Whether that is a tag.
    pub is_tag: bool,
    /// The commit; `None`: what `ref_` points to when a runner fetches it.
    pub sha: Option<String>,
    /// The commit before.
    pub before_sha: Option<String>,
    /// Where runners fetch from, in place of the project's repository.
    pub repo_url: Option<String>,
    /// The repository below `sources/` that holds the commit.
    pub sources_key: Option<String>,
    /// What rules have left out, as a JSON array of objects.
    pub left_out: Value,
    /// What people were told when the configuration was read.
    pub warnings: Vec<String>,
    /// The first line of the commit's message.
    pub title: Option<String>,
    /// Who starts it, in words.
    pub actor: Option<String>,
    /// Names of the variables that people gave: what a needed job hands on does not hide those.
    pub given: HashSet<String>,
    /// The circumstances under which it was compiled, which are those of its children.
    pub context: Option<Context>,
    /// The build that makes this pipeline as its child.
    pub parent: Option<BuildId>,
    /// The runner that was made for it: nobody else takes its jobs.
    pub runner: Option<RunnerId>,
    /// What is wrong with the configuration: then it gets no jobs.
    pub refusal: Vec<Message>,
}

/// A pipeline that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Added {
    /// Its id.
    pub id: PipelineId,
    /// Its jobs, in the order of [`Pipeline::jobs`].
    pub builds: Vec<BuildId>,
}

impl Coordinator {
    /// Queues a pipeline: all of its jobs or, on an error, none.
    ///
    /// # Errors
    /// [`crate::error::Kind::NotFound`] for an unknown project; [`crate::error::Kind::Invalid`] says what is wrong with which
    /// job.
    pub fn add_pipeline(&self, new: NewPipeline, now: Timestamp) -> Result<Added> {
        self.store.write(move |c| add(c, &new, now))
    }
}

/// Adds a pipeline with its jobs, or says what is wrong with it. One whose configuration is refused, also for what only its
/// jobs show, is kept where nobody may read the answer: [`crate::domain::pipeline::Source::keeps_refusals`].
///
/// # Errors
/// [`crate::error::Kind::NotFound`] for an unknown project.
pub fn add_or_refuse(
    c: &Connection,
    mut new: NewPipeline,
    now: Timestamp,
) -> Result<std::result::Result<Added, Vec<String>>> {
    if new.refusal.is_empty() {
        match add(c, &new, now) {
            Err(error) if error.kind == Kind::Invalid => new = new.refused(vec![Message::of_whole(error.message)]),
            added => return added.map(Ok),
        }
    }
    if new.pipeline.source.keeps_refusals() {
        add(c, &new, now)?;
    }
    Ok(Err(new.refusal.iter().map(ToString::to_string).collect()))
}

impl NewPipeline {
    /// The same without jobs, since its configuration is refused for this.
    #[must_use]
    pub fn refused(self, refusal: Vec<Message>) -> NewPipeline {
        let pipeline = Pipeline { source: self.pipeline.source, ..Pipeline::default() };
        NewPipeline { pipeline, refusal, ..self }
    }
}

/// Adds a pipeline with its jobs, each in the state that it begins with. What is wrong with a job is known before anything is
/// added.
pub fn add(c: &Connection, new: &NewPipeline, now: Timestamp) -> Result<Added> {
    let jobs = &new.pipeline.jobs;
    let builds = checked_builds(new)?;
    let project = named(c, &new.project)?;
    let makes_children = jobs.iter().any(|job| matches!(job.work, Work::Trigger(_)));
    let refusal = refusal::stored(&new.refusal)?;
    // One that was refused needs no commit, makes no children, and has left out nothing.
    let is_taken = refusal.is_none();
    let is_kept = |context: &&Context| is_taken && (makes_children || !context.given.is_empty());
    let context = new.context.as_ref().filter(is_kept).map(serde_json::to_string).transpose()?;
    let row = NewRow {
        ref_: &new.ref_,
        is_tag: new.is_tag,
        sha: new.sha.as_deref(),
        before_sha: new.before_sha.as_deref(),
        source: new.pipeline.source,
        name: new.pipeline.name.as_deref(),
        stages: &new.pipeline.stages,
        left_out: if is_taken { new.left_out.clone() } else { Value::Null },
        warnings: &new.warnings,
        title: new.title.as_deref(),
        actor: new.actor.as_deref(),
        sources_key: new.sources_key.as_deref().filter(|_| is_taken),
        context: context.as_deref(),
        parent: new.parent,
        refusal: refusal.as_deref(),
    };
    let id = pipelines::insert(c, project.id, &row, now)?;
    let mut board = Board::from(&new.pipeline);
    board.start();
    let mut added = Added { id, builds: Vec::with_capacity(jobs.len()) };
    let mut places = HashMap::with_capacity(jobs.len());
    for (at, (job, build)) in jobs.iter().zip(&builds).enumerate() {
        let build = add_job(c, build, &project, id, (job, board.state(at)), now).map_err(|error| of(job, error))?;
        places.insert(job.name.as_str(), build);
        if let Some(runner) = new.runner {
            runner_builds::give(c, runner, build)?;
        }
        added.builds.push(build);
    }
    for (job, build) in jobs.iter().zip(&added.builds) {
        for need in job.needs.iter().flatten() {
            if let Some(needed) = places.get(need.job.as_str()) {
                builds::add_need(c, *build, *needed, need.artifacts)?;
            }
        }
    }
    Ok(added)
}

/// What is asked of the runners that get the jobs, or what is wrong with the pipeline, or with which job of it.
fn checked_builds(new: &NewPipeline) -> Result<Vec<NewBuild>> {
    let jobs = &new.pipeline.jobs;
    if jobs.is_empty() && new.refusal.is_empty() {
        return Err(Error::invalid("the pipeline has no jobs"));
    }
    if jobs.len() > PIPELINE_JOBS_MAX {
        return Err(Error::invalid(format!(
            "the pipeline has {} jobs; at most {PIPELINE_JOBS_MAX} are allowed",
            jobs.len()
        )));
    }
    let checked = |job: &Job| build(new, job).and_then(|build| build.check().map(|()| build));
    jobs.iter().map(|job| checked(job).map_err(|why| of(job, Error::invalid(why)))).collect()
}

/// An error, and which job it is about.
fn of(job: &Job, error: Error) -> Error {
    Error::new(error.kind, format!("job {}: {}", job.name, error.message))
}

fn add_job(
    c: &Connection,
    build: &NewBuild,
    project: &Project,
    id: PipelineId,
    (job, state): (&Job, Status),
    now: Timestamp,
) -> Result<BuildId> {
    let about = About::from(job);
    let shares = job.resource_group.as_deref();
    let status = match (state, shares) {
        (Status::Pending, _) if matches!(job.work, Work::Trigger(_)) => Status::Scheduled,
        (Status::Pending, Some(group)) if holder(c, project.id, group)?.is_some() => Status::WaitingForResource,
        (state, _) => state,
    };
    let start_in_s = job.start_in.as_ref().filter(|_| job.when == When::Delayed).map(|span| span.seconds);
    let at = Some(now.plus(Duration::from_secs(start_in_s.unwrap_or_default())));
    let place = NewJob {
        stage_index: job.stage_index,
        waits_for_stages: job.needs.is_none(),
        when: job.when,
        start_in_s,
        scheduled_at: at.filter(|_| status == Status::Scheduled),
        resource_group: shares,
        failure_allowed: job.allow_failure == AllowFailure::Any(true),
        about: &about,
    };
    let place = Place { pipeline: id, job: Some(place) };
    builds::insert(c, build, Some(place), project.id, build.timeout_s.unwrap_or(project.timeout_s), status, now)
}

/// What is asked of the runner that gets the job.
fn build(pipeline: &NewPipeline, job: &Job) -> std::result::Result<NewBuild, String> {
    let spec = match &job.work {
        Work::Build(spec) => BuildSpec::clone(spec),
        // No runner ever gets it.
        Work::Trigger(_) | Work::Refused { .. } => {
            BuildSpec { allow_failure: job.allow_failure.clone(), ..BuildSpec::of_script("true") }
        }
    };
    let of_file: HashSet<&str> = job.file_variables.iter().map(|variable| variable.key.as_str()).collect();
    let variable = |variable: &JobVariable| Variable {
        key: variable.key.clone(),
        value: variable.value.clone(),
        public: variable.public,
        file: variable.file,
        expand: !variable.raw && !variable.file,
        yields: of_file.contains(variable.key.as_str()) && !pipeline.given.contains(&variable.key),
    };
    Ok(NewBuild {
        name: job.name.clone(),
        stage: job.stage.clone(),
        ref_: pipeline.ref_.clone(),
        sha: pipeline.sha.clone(),
        before_sha: pipeline.before_sha.clone(),
        is_tag: pipeline.is_tag,
        repo_url: pipeline.repo_url.clone(),
        spec,
        variables: job.variables.iter().map(variable).collect(),
        tags: Tags::new(&job.tags)?,
        timeout_s: job.timeout_s.and_then(|seconds| i64::try_from(seconds).ok()),
        ..NewBuild::new(&pipeline.project, "")
    })
}
