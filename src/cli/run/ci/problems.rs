//! What is wrong with a configuration, for the people who wrote it: GitLab's words, the place, and the lines around it.

use super::{FILE, Reading};
use crate::cli::show::cells::clean;
use crate::cli::show::print;
use crate::cli::{Done, Stop};
use crate::domain::pipeline::Source;
use crate::gitlab_ci::Outcome;
use crate::gitlab_ci::context::Context;
use crate::gitlab_ci::messages::Message;
use crate::gitlab_ci::surroundings::Surroundings;
use serde::Serialize;
use std::fmt::Write;

/// Lines before and behind the one that is meant.
const LINES_AROUND: u32 = 1;
/// Characters of such a line.
const LINE_CHARS_MAX: usize = 200;

/// What there is to be said of a file that is read all the same.
pub fn warnings(warnings: &[Message]) {
    for warning in warnings {
        print::note(&format!("warning: {warning}"));
    }
}

/// Says what is wrong with a file, and gives the end of the command that has read it.
pub fn refused(messages: &[Message], outside: &dyn Surroundings) -> Stop {
    for message in messages {
        print::lines(&format!("{message}{}", around(message, outside)));
    }
    let file = messages.first().map_or(FILE, |message| message.file.as_str());
    Stop::Failed(format!("{} in {file}; nothing was queued", print::count(messages.len() as u64, "error")))
}

/// The lines around the place, where the file is one of the checkout.
fn around(message: &Message, outside: &dyn Surroundings) -> String {
    let content = outside.file(&message.file).and_then(|bytes| String::from_utf8(bytes).ok());
    let Some(content) = content else { return String::new() };
    let (first, last) = (message.line.saturating_sub(LINES_AROUND).max(1), message.line.saturating_add(LINES_AROUND));
    let mut text = String::new();
    for (number, line) in (1..=last).zip(content.lines()) {
        if number >= first {
            let mark = if number == message.line { '>' } else { ' ' };
            let shown: String = clean(line).chars().take(LINE_CHARS_MAX).collect();
            let _ = write!(text, "\n  {mark} {number:>4} | {shown}");
        }
    }
    text
}

/// What `--lint` says.
#[derive(Serialize)]
struct Verdict<'a> {
    valid: bool,
    errors: &'a [Message],
    warnings: &'a [Message],
    /// Under which circumstances there are how many jobs.
    pipelines: Vec<Made>,
}

#[derive(Serialize)]
struct Made {
    source: &'static str,
    of: String,
    jobs: usize,
}

/// Reads the file under the usual circumstances: a push, a tag, a merge request.
///
/// # Errors
/// A file that is wrong under one of them.
pub fn lint(reading: &Reading, json: bool) -> Done {
    let own = &reading.context;
    let branch = own.branch.clone().or_else(|| Some(own.default_branch.clone()));
    let of_branch = |source| Context { source, branch: branch.clone(), tag: None, target: None, ..own.clone() };
    let merge_request = Context { target: Some(reading.what.target.clone()), ..of_branch(Source::MergeRequestEvent) };
    let tag =
        Context { tag: own.tag.clone().or_else(|| Some("v1.0.0".to_owned())), branch: None, ..of_branch(Source::Push) };
    let (mut errors, mut warnings, mut pipelines) = (Vec::new(), Vec::new(), Vec::new());
    for context in [own.clone(), of_branch(Source::Push), tag, merge_request] {
        let compiled = reading.compile(&context)?;
        keep_new(&mut warnings, compiled.warnings);
        let jobs = match compiled.outcome {
            Outcome::Pipeline(pipeline) => pipeline.jobs.len(),
            Outcome::Nothing(_) => 0,
            Outcome::Refused(messages) => {
                keep_new(&mut errors, messages);
                continue;
            }
        };
        let kind = if context.tag.is_some() { "tag" } else { "branch" };
        let made = Made { source: context.source.as_str(), of: format!("{kind} {}", context.ref_name()), jobs };
        if !pipelines.iter().any(|other: &Made| other.source == made.source && other.of == made.of) {
            pipelines.push(made);
        }
    }
    if json {
        print::json(&Verdict { valid: errors.is_empty(), errors: &errors, warnings: &warnings, pipelines })?;
        return if errors.is_empty() { Ok(()) } else { Err(Stop::Failed(format!("{} is not valid", own.config_path))) };
    }
    self::warnings(&warnings);
    if !errors.is_empty() {
        return Err(refused(&errors, &reading.outside));
    }
    let made = pipelines
        .iter()
        .map(|made| format!("  {}: {} ({})\n", made.of, print::count(made.jobs as u64, "job"), made.source));
    print::out(&format!("{} is valid\n{}", own.config_path, made.collect::<String>()))
}

fn keep_new(known: &mut Vec<Message>, more: Vec<Message>) {
    for message in more {
        if !known.contains(&message) {
            known.push(message);
        }
    }
}
