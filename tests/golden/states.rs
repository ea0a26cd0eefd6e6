//! Cases of pipelines that run: how jobs end is given, and what becomes of the others is asked.

use crate::cases::Case;
use crate::kinds::same;
use crate::pipelines;
use baton::domain::again::Failure;
use baton::domain::build::FailureReason;
use baton::domain::pipeline::board::Board;
use baton::domain::pipeline::{Job, Pipeline, Work};
use baton::domain::state::Status;
use baton::gitlab_ci::Outcome;
use baton::gitlab_ci::yaml::{Map, Node, to_json};
use serde_json::{Value, json};
use std::collections::BTreeMap;

pub fn check(case: &Case) -> Result<(), String> {
    let pipeline = match pipelines::compiled(case).outcome {
        Outcome::Pipeline(pipeline) => *pipeline,
        other => return Err(format!("{other:?}")),
    };
    let mut run = Run { board: Board::from(&pipeline), pipeline, attempts: BTreeMap::new(), case };
    run.board.start();
    while run.step()? {}
    let states = run.pipeline.jobs.iter().enumerate();
    let states: Value = states.map(|(at, job)| (job.name.clone(), json!(run.board.state(at).as_str()))).collect();
    same(states, to_json(case.get("is").unwrap()))?;
    let (state, has_warnings) = run.board.pipeline();
    same(state.as_str(), case.text("pipeline"))?;
    if let Some(warnings) = case.get("warnings").and_then(Node::bool) {
        same(has_warnings, warnings)?;
    }
    for (name, entry) in case.get("attempts").and_then(Node::map).into_iter().flat_map(|map| &map.0) {
        same(run.attempts.get(&**name).map(|count| i128::from(*count)), entry.node.int())?;
    }
    Ok(())
}

struct Run<'a> {
    board: Board,
    pipeline: Pipeline,
    attempts: BTreeMap<String, u32>,
    case: &'a Case,
}

impl Run<'_> {
    /// Moves one job; whether there was one to move.
    fn step(&mut self) -> Result<bool, String> {
        let plays = self.case.get("play").and_then(Node::list).unwrap_or_default();
        for (at, job) in self.pipeline.jobs.iter().enumerate() {
            match self.board.state(at) {
                Status::Manual if plays.iter().any(|name| name.text() == Some(&job.name)) => {
                    self.board.restart(at);
                    return Ok(true);
                }
                Status::Pending => {
                    let attempts = self.attempts.entry(job.name.clone()).or_default();
                    *attempts += 1;
                    let attempts = *attempts;
                    let exit_code = self.result(job, attempts)?;
                    let state = if exit_code == 0 { Status::Success } else { Status::Failed };
                    let reason = FailureReason::ScriptFailure;
                    let failure = Failure { reason, text: None, exit_code: Some(exit_code) };
                    let retry = if let Work::Build(spec) = &job.work { spec.retry.as_ref() } else { None };
                    let is_again = retry.is_some_and(|retry| retry.is_due(&failure, attempts - 1));
                    if state == Status::Success || !is_again {
                        self.board.set(at, state, Some(exit_code));
                    }
                    return Ok(true);
                }
                _ => {}
            }
        }
        Ok(false)
    }

    /// The exit code of an attempt.
    fn result(&self, job: &Job, attempt: u32) -> Result<i64, String> {
        let empty = Map::default();
        let results = self.case.get("results").and_then(Node::map).unwrap_or(&empty);
        let node = results.get(&job.name).ok_or_else(|| format!("{} runs", job.name))?;
        let list = node.list().unwrap_or_else(|| std::slice::from_ref(node));
        let word = list.get(attempt as usize - 1).and_then(Node::text);
        let word = word.ok_or_else(|| format!("{} runs {attempt} times", job.name))?;
        Ok(match word {
            "success" => 0,
            "failed" => 1,
            word => word.strip_prefix("failed:").unwrap().parse().unwrap(),
        })
    }
}
