//! A configuration under the usual circumstances: what is wrong under one of them is wrong.

use super::context::Context;
use super::messages::Message;
use super::surroundings::Surroundings;
use super::{Compiled, Outcome, compile};
use crate::domain::pipeline::Source;

/// What a configuration comes to under some circumstances.
#[derive(Debug)]
pub struct Trial {
    /// The circumstances.
    pub context: Context,
    /// What comes of it.
    pub compiled: Compiled,
}

impl Trial {
    /// What is wrong.
    #[must_use]
    pub fn errors(&self) -> &[Message] {
        match &self.compiled.outcome {
            Outcome::Refused(messages) => messages,
            Outcome::Pipeline(_) | Outcome::Nothing(_) => &[],
        }
    }
}

/// Compiles for `own`, for a push of its branch and of a tag, and for a merge request into `target`.
#[must_use]
pub fn trials(content: &[u8], own: &Context, target: &str, outside: &dyn Surroundings) -> Vec<Trial> {
    let branch = own.branch.clone().or_else(|| Some(own.default_branch.clone()));
    let of_branch = |source| Context { source, branch: branch.clone(), tag: None, target: None, ..own.clone() };
    let merge_request = Context { target: Some(target.to_owned()), ..of_branch(Source::MergeRequestEvent) };
    let tag =
        Context { tag: own.tag.clone().or_else(|| Some("v1.0.0".to_owned())), branch: None, ..of_branch(Source::Push) };
    let all = [own.clone(), of_branch(Source::Push), tag, merge_request];
    all.into_iter().map(|context| Trial { compiled: compile(content, &context, outside), context }).collect()
}

/// All that is wrong in some trial, each once.
#[must_use]
pub fn errors(trials: &[Trial]) -> Vec<Message> {
    each_once(trials.iter().flat_map(Trial::errors))
}

/// All that people should know of some trial, each once.
#[must_use]
pub fn warnings(trials: &[Trial]) -> Vec<Message> {
    each_once(trials.iter().flat_map(|trial| &trial.compiled.warnings))
}

fn each_once<'a>(messages: impl Iterator<Item = &'a Message>) -> Vec<Message> {
    let mut known: Vec<Message> = Vec::new();
    for message in messages {
        if !known.contains(message) {
            known.push(message.clone());
        }
    }
    known
}
