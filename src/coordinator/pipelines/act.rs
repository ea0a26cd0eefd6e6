//! What people do with pipelines: jobs are started by hand, repeated, and canceled. How one job is repeated or started is in
//! `builds/retry.rs`.

use super::children::open_children;
use super::no_such;
use crate::coordinator::Coordinator;
use crate::coordinator::builds::cascade::{after_end, decide_all};
use crate::coordinator::builds::finish::end;
use crate::coordinator::builds::no_such as no_such_build;
use crate::coordinator::builds::retry::{repeat, restart};
use crate::coordinator::builds::turn::{hand_on, take};
use crate::domain::build::{Build, BuildId, Status, Variable, check_bytes, check_word, variables_bytes};
use crate::domain::pipeline::{PipelineId, When};
use crate::domain::reserved;
use crate::domain::time::Timestamp;
use crate::error::{Error, Kind, Result};
use crate::store::{builds, jobs, pipelines};
use rusqlite::Connection;

impl Coordinator {
    /// Starts a job that is manual, or that waits for its time.
    ///
    /// # Errors
    /// [`Kind::NotFound`]; [`Kind::Conflict`] for a build in another state.
    pub fn play_build(&self, id: BuildId, now: Timestamp) -> Result<()> {
        self.play_build_with(id, Vec::new(), now)
    }

    /// The same with variables for this job alone, which win over all others of their names. Whoever repeats it gets them,
    /// too.
    ///
    /// # Errors
    /// As [`Coordinator::play_build`]; [`Kind::Invalid`] for variables that the job cannot have.
    pub fn play_build_with(&self, id: BuildId, given: Vec<Variable>, now: Timestamp) -> Result<()> {
        check_given(&given)?;
        self.store.write(move |c| {
            let build = builds::by_id(c, id, now)?.ok_or_else(|| no_such_build(id))?;
            match (build.status, build.pipeline_id) {
                (Status::Manual | Status::Scheduled, Some(pipeline)) => {
                    give(c, id, given)?;
                    restart(c, pipeline, id, now)
                }
                (status, _) => {
                    let advice = if status.is_finished() {
                        format!("; `baton build retry {id}` repeats it")
                    } else {
                        String::new()
                    };
                    let said = format!("build {id} is {status}: only manual and scheduled ones are started{advice}");
                    Err(Error::new(Kind::Conflict, said))
                }
            }
        })
    }

    /// Gives a pipeline another name; none, if that is empty. Jobs that begin later are told of it.
    ///
    /// # Errors
    /// [`Kind::NotFound`]; [`Kind::Invalid`] for what cannot be a name.
    pub fn name_pipeline(&self, id: PipelineId, name: &str) -> Result<()> {
        let name = Some(name.to_owned()).filter(|name| !name.is_empty());
        name.as_deref().map_or(Ok(()), |name| check_word("the pipeline's name", name)).map_err(Error::invalid)?;
        self.store.write(move |c| {
            pipelines::by_id(c, id)?.ok_or_else(|| no_such(id))?;
            pipelines::set_name(c, id, name.as_deref())
        })
    }

    /// Repeats all jobs of a pipeline that failed or were canceled, and has what was skipped behind them wait again. Returns
    /// the new builds.
    ///
    /// # Errors
    /// [`Kind::NotFound`]; [`Kind::Conflict`] if there is nothing to repeat.
    pub fn retry_pipeline(&self, id: PipelineId, now: Timestamp) -> Result<Vec<BuildId>> {
        self.store.write(move |c| {
            pipelines::by_id(c, id)?.ok_or_else(|| no_such(id))?;
            let mut again = Vec::new();
            for build in builds_that_count(c, id, now)? {
                if matches!(build.status, Status::Failed | Status::Canceled) {
                    let new = repeat(c, &build, now)?;
                    again.push((new, build.when));
                }
            }
            if again.is_empty() {
                let said = format!("pipeline {id} has no job that failed or was canceled");
                return Err(Error::new(Kind::Conflict, said));
            }
            wait_again(c, id, now)?;
            // Who started them once needs not start them once more.
            for (new, when) in &again {
                let is_manual = matches!(when, When::Manual | When::Delayed);
                if let Some(build) = builds::state(c, *new)?
                    && is_manual
                    && matches!(build.status, Status::Manual | Status::Scheduled)
                {
                    take(c, *new, build.status, Status::Pending, now)?;
                }
            }
            Ok(again.into_iter().map(|(new, _)| new).collect())
        })
    }

    /// Ends all of a pipeline that has not ended, but for jobs that nobody has started. Returns how many builds there were;
    /// those that their runners end first are among them.
    ///
    /// # Errors
    /// [`Kind::NotFound`]; [`Kind::Conflict`] if nothing of it goes on.
    pub fn cancel_pipeline(&self, id: PipelineId, now: Timestamp) -> Result<usize> {
        let canceled = self.store.write(move |c| {
            pipelines::by_id(c, id)?.ok_or_else(|| no_such(id))?;
            let (mut asked, mut ended) = (0, Vec::new());
            // First those that wait: else the end of one would start another.
            let mut all = builds_that_count(c, id, now)?;
            all.sort_by_key(|build| build.status == Status::Running);
            for build in all {
                let Some(state) = builds::state(c, build.id)? else { continue };
                if state.status.is_finished() || state.status == Status::Manual {
                    continue;
                }
                if builds::ask_for_end(c, state.id, now)? {
                    asked += 1;
                    continue;
                }
                end(c, &state, Status::Canceled, None, now)?;
                ended.push(state);
            }
            for state in &ended {
                hand_on(c, state, now)?;
                after_end(c, state.id, now)?;
            }
            if asked + ended.len() == 0 {
                return Err(Error::new(Kind::Conflict, format!("nothing of pipeline {id} goes on")));
            }
            Ok(asked + ended.len())
        })?;
        while self.decide(now).unwrap_or_else(|error| {
            log::warn!("pipeline {id} is canceled; what needs its builds is skipped later: {error}");
            false
        }) {}
        let mut canceled = canceled;
        for child in self.store.read(|c| open_children(c, id))? {
            canceled += self.cancel_pipeline(child, now)?;
        }
        Ok(canceled)
    }
}

/// Refuses what no variable can be.
fn check_given(given: &[Variable]) -> Result<()> {
    reserved::check(given).map_err(Error::invalid)?;
    given.iter().try_for_each(Variable::check).map_err(Error::invalid)
}

/// Gives variables to a build that no runner has had.
fn give(c: &Connection, id: BuildId, given: Vec<Variable>) -> Result<()> {
    if given.is_empty() {
        return Ok(());
    }
    if jobs::by_id(c, id)?.is_some_and(|job| job.is_trigger) {
        return Err(Error::invalid(format!("build {id} makes a pipeline, and takes no variables")));
    }
    let mut all = builds::spec(c, id)?.variables;
    all.extend(given);
    check_bytes("variables", variables_bytes(&all)).map_err(Error::invalid)?;
    builds::set_variables(c, id, &all)
}

/// The builds of a pipeline that were not made again, in the order of stages.
fn builds_that_count(c: &Connection, id: PipelineId, now: Timestamp) -> Result<Vec<Build>> {
    let filter = builds::Filter { pipeline: Some(id), ..builds::Filter::default() };
    let mut all = builds::list(c, &filter, now)?;
    all.retain(|build| build.retried_by.is_none());
    all.sort_by_key(|build| (build.stage_index, build.id));
    Ok(all)
}

/// Has all jobs wait again that were skipped, and decides about all that wait.
fn wait_again(c: &Connection, pipeline: PipelineId, now: Timestamp) -> Result<()> {
    let mut waiting = Vec::new();
    for job in jobs::counting(c, pipeline)? {
        if job.status == Status::Skipped {
            take(c, job.id, Status::Skipped, Status::Created, now)?;
        }
        if matches!(job.status, Status::Skipped | Status::Created) {
            waiting.push(job.id);
        }
    }
    decide_all(c, &waiting, now)
}
