//! What is wrong with a configuration, for the people who wrote it: GitLab's words, the place, and the lines around it.

use super::{FILE, Reading};
use crate::cli::show::around::around;
use crate::cli::show::print;
use crate::cli::{Done, Stop};
use crate::gitlab_ci::Outcome;
use crate::gitlab_ci::lint::{self, Trial, trials};
use crate::gitlab_ci::messages::Message;
use serde::Serialize;

/// Lines before and behind the one that is meant.
const LINES_AROUND: u32 = 1;

/// What there is to be said of a file that is read all the same.
pub fn warnings(warnings: &[Message]) {
    for warning in warnings {
        print::note(&format!("warning: {warning}"));
    }
}

/// Says what is wrong with a file, and gives the end of the command that has read it.
pub fn refused(messages: &[Message]) -> Stop {
    for message in messages {
        print::lines(&format!("{message}{}", around(message, LINES_AROUND)));
    }
    let file = messages.first().map_or(FILE, |message| message.file.as_str());
    Stop::Failed(format!("{} in {file}; nothing was queued", print::count(messages.len() as u64, "error")))
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
    let trials = trials(&reading.content, own, &reading.what.target, &reading.outside);
    reading.outside.check()?;
    let (errors, warnings) = (lint::errors(&trials), lint::warnings(&trials));
    let mut pipelines = Vec::new();
    for Trial { context, compiled } in &trials {
        let jobs = match &compiled.outcome {
            Outcome::Pipeline(pipeline) => pipeline.jobs.len(),
            Outcome::Nothing(_) => 0,
            Outcome::Refused(_) => continue,
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
        return Err(refused(&errors));
    }
    let made = pipelines
        .iter()
        .map(|made| format!("  {}: {} ({})\n", made.of, print::count(made.jobs as u64, "job"), made.source));
    print::out(&format!("{} is valid\n{}", own.config_path, made.collect::<String>()))
}
