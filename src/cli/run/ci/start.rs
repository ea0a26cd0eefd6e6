//! A pipeline of the present state: queued, followed to its end, its artifacts unpacked.

use super::{Reading, Terms, find};
use crate::cli::run::house::House;
use crate::cli::run::interrupt::{Interrupt, Queued};
use crate::cli::run::live;
use crate::cli::run::work::Work;
use crate::cli::run::{TIMEOUT, bring};
use crate::cli::show::print;
use crate::cli::{Done, Stop};
use crate::coordinator::{Added, Coordinator, NewPipeline};
use crate::domain::pending::Asked;
use crate::domain::pipeline::{Pipeline, PipelineId, Work as JobWork};
use crate::domain::spec::ArtifactKind;
use crate::domain::tags::Tags;
use crate::domain::time::Timestamp;
use crate::error::{Error, Kind};
use crate::gitlab_ci::Compiled;
use crate::store::projects::Project;
use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// How a run is followed, and what comes of it.
#[derive(Debug, Default)]
pub struct Live {
    /// Whether logs are printed as they come, without colours.
    pub plain: bool,
    /// Whether the pipeline is printed as JSON when it has ended, and nothing else.
    pub json: bool,
    /// Whether the first failure cancels it.
    pub fail_fast: bool,
    /// Whether jobs go to any runner whose tags no runner has.
    pub any_runner: bool,
    /// The project; `None`: that of the checkout, which is made if there is none.
    pub project: Option<String>,
    /// Where artifacts are unpacked, a folder a job.
    pub output: Option<PathBuf>,
}

/// Runs the pipeline of the checkout in which this is called.
///
/// # Errors
/// What is wrong with the checkout or its file; a pipeline that does not end well.
pub fn run(
    interrupt: &Interrupt,
    open: impl FnOnce() -> Done<Coordinator>,
    work: Work,
    terms: &Terms,
    live: Live,
) -> Done {
    let place = find(&terms.file)?;
    let coordinator = Arc::new(open()?);
    let data = fs::canonicalize(coordinator.data()).map_err(|error| Error::file(coordinator.data(), &error))?;
    let mut reading = Reading::of(place, terms, &coordinator.sources_dir(), Some(&data))?;
    let (mut pipeline, compiled) = reading.pipeline()?;
    terms.selection.apply(&mut pipeline)?;
    reading.tell();
    let project = project(&coordinator, live.project.as_deref(), &reading)?;
    let mut house = House::open(&coordinator, work)?;
    let runner = house.runner_for(&asked(&project, &pipeline)?)?;
    if live.any_runner && runner.is_none() {
        let runners = coordinator.runners_at_work()?;
        for job in &mut pipeline.jobs {
            let asked = one(&project, &job.tags)?;
            if !runners.iter().any(|it| it.may_take(&asked)) {
                job.tags.clear();
            }
        }
    }
    let new = NewPipeline { runner, ..new_pipeline(&reading, project.name, pipeline, &compiled) };
    let mut added = Added { id: PipelineId(0), builds: Vec::new() };
    interrupt.queue(&coordinator, house.canceler(), || {
        added = coordinator.add_pipeline(new, Timestamp::now())?;
        Ok(Queued::Pipeline(added.id))
    })?;
    reading.snapshot.keep();
    let id = added.id;
    let sha = reading.snapshot.sha.get(..8).unwrap_or_default();
    let changes = if reading.snapshot.is_head { "" } else { " with what is not committed" };
    let (jobs, ref_name) = (print::count(added.builds.len() as u64, "job"), reading.context.ref_name());
    print::note(&format!("pipeline {id} is queued: {jobs}, commit {sha} of {ref_name}{changes}"));
    let is_interrupted = &|| interrupt.is_asked();
    let options = live::Options { plain: live.plain, json: live.json, fail_fast: live.fail_fast, is_interrupted };
    let mut follow = |id| live::follow(&coordinator, id, &options, &mut || house.check());
    let mut ended = follow(id).inspect_err(|_| interrupt.wait_for_effect());
    // Pipelines that its jobs have made go on, maybe.
    let mut children = coordinator.children_of_pipeline(id)?;
    while let (Ok(_), Some(child)) = (&ended, children.pop()) {
        children.extend(coordinator.children_of_pipeline(child)?);
        let of_child = follow(child).inspect_err(|_| interrupt.wait_for_effect());
        ended = of_child.and(ended);
    }
    let ended = ended?;
    let stop = interrupt.after_build();
    let brought = live.output.map_or(Ok(()), |dir| bring_all(&coordinator, id, &dir, stop));
    house.close();
    brought?;
    match ended.code {
        0 => Ok(()),
        // It was said in the display.
        code => Err(Stop::Ended { code, message: String::new() }),
    }
}

/// What one job asks of a runner.
fn one(project: &Project, tags: &[String]) -> Done<Asked> {
    let tags = Tags::new(tags).map_err(Stop::Failed)?;
    Ok(Asked { project: project.id, tags, has_sources: true })
}

/// What all jobs ask of runners, each once.
fn asked(project: &Project, pipeline: &Pipeline) -> Done<Vec<Asked>> {
    let mut all = HashSet::new();
    for job in pipeline.jobs.iter().filter(|job| matches!(job.work, JobWork::Build(_))) {
        all.insert(one(project, &job.tags)?);
    }
    Ok(all.into_iter().collect())
}

/// The project of this name; without one that of the checkout, which is made if need be.
fn project(coordinator: &Coordinator, name: Option<&str>, reading: &Reading) -> Done<Project> {
    if let Some(name) = name {
        return Ok(coordinator.project(name)?);
    }
    let name = &reading.context.project;
    match coordinator.project(name) {
        Err(error) if error.kind == Kind::NotFound => {
            Ok(coordinator.add_project(name, None, TIMEOUT, Timestamp::now())?)
        }
        found => Ok(found?),
    }
}

fn new_pipeline(reading: &Reading, project: String, pipeline: Pipeline, compiled: &Compiled) -> NewPipeline {
    NewPipeline {
        project,
        sha: Some(reading.snapshot.sha.clone()),
        before_sha: reading.base.clone(),
        sources_key: Some(reading.snapshot.key.clone()),
        title: Some(reading.place.head.title().to_owned()).filter(|title| !title.is_empty()),
        actor: Some("command line".to_owned()),
        ..NewPipeline::compiled(&reading.context, pipeline, compiled)
    }
}

/// Unpacks the archives of all jobs, a folder a job.
fn bring_all(coordinator: &Coordinator, id: PipelineId, dir: &Path, stop: &AtomicBool) -> Done {
    let mut taken = HashSet::new();
    for (report, _) in coordinator.show_pipeline(id, Timestamp::now())?.builds {
        let build = &report.build;
        let has_archive = report.artifacts.iter().any(|stored| stored.kind == ArtifactKind::archive());
        if build.retried_by.is_some() || !has_archive {
            continue;
        }
        let mut name = folder_name(&build.name);
        if !taken.insert(name.clone()) {
            name = format!("{name}-{}", build.id);
        }
        bring(coordinator, build.id, &dir.join(name), Path::new(""), stop)?;
    }
    if taken.is_empty() {
        print::note(&format!("no job has artifacts, nothing goes to {}", dir.display()));
    }
    Ok(())
}

/// A job's name as that of a folder.
fn folder_name(job: &str) -> String {
    let plain = |letter: char| if letter == '/' || letter.is_control() { '-' } else { letter };
    let name: String = job.trim_start_matches('.').chars().map(plain).collect();
    if name.is_empty() { "job".to_owned() } else { name }
}
