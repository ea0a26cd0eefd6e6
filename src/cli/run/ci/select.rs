//! Which jobs of a pipeline run: all, or those that people name with what they need.

use crate::cli::{Done, Stop};
use crate::domain::pipeline::{Job, Pipeline, When, Work};
use crate::domain::text::did_you_mean::nearest;
use crate::gitlab_ci::glob::Glob;
use std::collections::HashSet;

/// What the command line says of the jobs.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Names: of a job, of an entry of the file that makes several, or a pattern.
    pub jobs: Vec<String>,
    /// Stages whose jobs are taken.
    pub stages: Vec<String>,
    /// Whether what they need stays out.
    pub no_needs: bool,
    /// Manual jobs that start by themselves.
    pub manual: Vec<String>,
    /// Whether all of them do.
    pub manual_all: bool,
    /// Whether delayed jobs start at once.
    pub no_delay: bool,
    /// Longest run of a job, in seconds.
    pub timeout_s: Option<u64>,
}

impl Selection {
    /// Whether some jobs only are taken.
    fn is_part(&self) -> bool {
        !self.jobs.is_empty() || !self.stages.is_empty()
    }

    /// Makes the pipeline that runs.
    ///
    /// # Errors
    /// A name that no job has.
    pub fn apply(&self, pipeline: &mut Pipeline) -> Done {
        for name in &self.manual {
            for at in found(pipeline, name)? {
                start(pipeline, at);
            }
        }
        for at in 0..pipeline.jobs.len() {
            let when = pipeline.jobs.get(at).map(|job| job.when);
            if (when == Some(When::Manual) && self.manual_all) || (when == Some(When::Delayed) && self.no_delay) {
                start(pipeline, at);
            }
        }
        if let Some(timeout_s) = self.timeout_s {
            for job in &mut pipeline.jobs {
                job.timeout_s = Some(job.timeout_s.map_or(timeout_s, |own| own.min(timeout_s)));
            }
        }
        if self.is_part() { self.keep(pipeline) } else { Ok(()) }
    }

    fn keep(&self, pipeline: &mut Pipeline) -> Done {
        let mut kept: HashSet<usize> = HashSet::new();
        for name in &self.jobs {
            kept.extend(found(pipeline, name)?);
        }
        for stage in &self.stages {
            let of_stage: Vec<usize> = places(pipeline, |job| job.stage == *stage);
            if of_stage.is_empty() {
                return Err(Stop::Failed(unknown("stage", stage, pipeline.stages.iter().map(String::as_str))));
            }
            kept.extend(of_stage);
        }
        for &at in &kept {
            start(pipeline, at);
        }
        if !self.no_needs {
            let mut open: Vec<usize> = kept.iter().copied().collect();
            while let Some(at) = open.pop() {
                open.extend(needed(pipeline, at).into_iter().filter(|needed| kept.insert(*needed)));
            }
        }
        let names: HashSet<String> =
            kept.iter().filter_map(|at| pipeline.jobs.get(*at)).map(|job| job.name.clone()).collect();
        let mut at = 0;
        pipeline.jobs.retain(|_| {
            at += 1;
            kept.contains(&(at - 1))
        });
        for job in &mut pipeline.jobs {
            if let Some(needs) = &mut job.needs {
                needs.retain(|need| names.contains(&need.job));
            }
            if let Work::Build(spec) = &mut job.work
                && let Some(dependencies) = &mut spec.dependencies
            {
                dependencies.retain(|name| names.contains(name));
            }
        }
        Ok(())
    }
}

/// The jobs that one waits for; of earlier stages, those that run by themselves.
fn needed(pipeline: &Pipeline, at: usize) -> Vec<usize> {
    let Some(job) = pipeline.jobs.get(at) else { return Vec::new() };
    let names: HashSet<&str> = pipeline.waits_for(job).iter().map(|other| other.name.as_str()).collect();
    let is_named = job.needs.is_some();
    places(pipeline, |other| names.contains(other.name.as_str()) && (is_named || other.when != When::Manual))
}

/// Has a job run by itself when its turn comes.
fn start(pipeline: &mut Pipeline, at: usize) {
    if let Some(job) = pipeline.jobs.get_mut(at)
        && matches!(job.when, When::Manual | When::Delayed)
    {
        (job.when, job.start_in) = (When::OnSuccess, None);
    }
}

fn places(pipeline: &Pipeline, is: impl Fn(&Job) -> bool) -> Vec<usize> {
    pipeline.jobs.iter().enumerate().filter(|(_, job)| is(job)).map(|(at, _)| at).collect()
}

/// The jobs of this name.
fn found(pipeline: &Pipeline, name: &str) -> Done<Vec<usize>> {
    let exact = places(pipeline, |job| job.name == name);
    if !exact.is_empty() {
        return Ok(exact);
    }
    let mut all = places(pipeline, |job| job.group == name);
    if all.is_empty() && name.contains(['*', '?', '[', '{']) {
        let pattern = Glob::new(name);
        all = places(pipeline, |job| pattern.matches(&job.name));
    }
    if all.is_empty() {
        return Err(Stop::Failed(unknown("job", name, pipeline.jobs.iter().map(|job| job.name.as_str()))));
    }
    Ok(all)
}

fn unknown<'a>(what: &str, name: &str, names: impl IntoIterator<Item = &'a str>) -> String {
    let hint = match nearest(name, names) {
        Some(near) => format!("did you mean {near:?}?"),
        None => "`baton run --list` shows what there is; a command stands behind `--`".to_owned(),
    };
    format!("the pipeline has no {what} {name:?}; {hint}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::pipeline::Need;

    fn job(name: &str, stage_index: usize, needs: Option<&[&str]>) -> Job {
        let need = |job: &&str| Need { job: (*job).to_owned(), artifacts: true, optional: false };
        Job {
            name: name.to_owned(),
            group: name.split_once(": [").map_or(name, |(group, _)| group).to_owned(),
            stage_index,
            stage: ["build", "test", "deploy"][stage_index].to_owned(),
            needs: needs.map(|needs| needs.iter().map(need).collect()),
            when: if name.starts_with("manual") { When::Manual } else { When::OnSuccess },
            ..Job::default()
        }
    }

    fn pipeline() -> Pipeline {
        let jobs = vec![
            job("compile", 0, None),
            job("manual-docs", 0, None),
            job("unit: [a]", 1, None),
            job("unit: [b]", 1, None),
            job("lint", 1, Some(&[])),
            job("manual-deploy", 2, Some(&["unit: [a]"])),
        ];
        Pipeline { jobs, stages: ["build", "test", "deploy"].map(str::to_owned).into(), ..Pipeline::default() }
    }

    fn names(selection: &Selection) -> Vec<String> {
        let mut pipeline = pipeline();
        selection.apply(&mut pipeline).unwrap();
        pipeline.jobs.into_iter().map(|job| job.name).collect()
    }

    #[test]
    fn named_jobs_come_with_what_they_need() {
        let of = |jobs: &[&str], no_needs| Selection {
            jobs: jobs.iter().map(|&job| job.to_owned()).collect(),
            no_needs,
            ..Selection::default()
        };
        assert_eq!(names(&of(&["lint"], false)), ["lint"]);
        assert_eq!(names(&of(&["unit"], false)), ["compile", "unit: [a]", "unit: [b]"]);
        assert_eq!(names(&of(&["unit: [b]"], false)), ["compile", "unit: [b]"]);
        assert_eq!(names(&of(&["manual-deploy"], false)), ["compile", "unit: [a]", "manual-deploy"]);
        assert_eq!(names(&of(&["manual-deploy"], true)), ["manual-deploy"]);
        assert_eq!(names(&of(&["manual*"], true)), ["manual-docs", "manual-deploy"]);
        let stage = Selection { stages: vec!["test".to_owned()], ..Selection::default() };
        assert_eq!(names(&stage), ["compile", "unit: [a]", "unit: [b]", "lint"]);
        let error = of(&["lnt"], false).apply(&mut pipeline()).unwrap_err().to_string();
        assert!(error.contains("no job \"lnt\"; did you mean \"lint\"?"), "{error}");
    }

    #[test]
    fn manual_jobs_start_by_themselves_when_they_are_named() {
        let mut all = pipeline();
        Selection { manual: vec!["manual-docs".to_owned()], ..Selection::default() }.apply(&mut all).unwrap();
        let manual = |pipeline: &Pipeline| pipeline.jobs.iter().filter(|job| job.when == When::Manual).count();
        assert_eq!((manual(&all), all.jobs.len()), (1, 6));
        Selection { manual_all: true, ..Selection::default() }.apply(&mut all).unwrap();
        assert_eq!(manual(&all), 0);
    }
}
