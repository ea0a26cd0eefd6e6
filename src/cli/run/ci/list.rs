//! What a configuration means, shown: its jobs, those that rules leave out, or all of it written out.

use super::{How, Reading, Terms};
use crate::cli::Done;
use crate::cli::show::cells::clean;
use crate::cli::show::print;
use crate::domain::pipeline::{AboutVariable, Environment, Job, Need, Pipeline, Work};
use crate::domain::spec::AllowFailure;
use crate::gitlab_ci::messages::Message;
use crate::gitlab_ci::yaml::to_yaml;
use crate::gitlab_ci::{Compiled, LeftOut};
use serde::Serialize;
use std::collections::BTreeMap;

/// Needs that a row names.
const NEEDS_SHOWN: usize = 4;

/// What `--list --json` prints.
#[derive(Serialize)]
struct Document<'a> {
    source: &'static str,
    #[serde(rename = "ref")]
    ref_: &'a str,
    tag: bool,
    sha: &'a str,
    compared_with: Option<&'a str>,
    name: Option<&'a str>,
    stages: &'a [String],
    jobs: Vec<ListedJob<'a>>,
    left_out: &'a [LeftOut],
    warnings: &'a [Message],
    variables: &'a [AboutVariable],
    untracked: &'a [String],
}

#[derive(Serialize)]
struct ListedJob<'a> {
    name: &'a str,
    stage: &'a str,
    when: &'static str,
    start_in_seconds: Option<u64>,
    allow_failure: &'a AllowFailure,
    needs: Option<&'a [Need]>,
    tags: &'a [String],
    environment: Option<&'a Environment>,
    resource_group: Option<&'a str>,
    timeout_seconds: Option<u64>,
    /// Null for those that nobody may see.
    variables: BTreeMap<&'a str, Option<&'a str>>,
    /// Why it does not run here.
    refused: Option<&'a str>,
}

impl<'a> From<&'a Job> for ListedJob<'a> {
    fn from(job: &'a Job) -> ListedJob<'a> {
        let shown = |variable: &'a crate::domain::pipeline::JobVariable| {
            (variable.key.as_str(), variable.public.then_some(variable.value.as_str()))
        };
        ListedJob {
            name: &job.name,
            stage: &job.stage,
            when: job.when.as_str(),
            start_in_seconds: job.start_in.as_ref().map(|span| span.seconds),
            allow_failure: &job.allow_failure,
            needs: job.needs.as_deref(),
            tags: &job.tags,
            environment: job.environment.as_ref(),
            resource_group: job.resource_group.as_deref(),
            timeout_seconds: job.timeout_s,
            variables: job.variables.iter().map(shown).collect(),
            refused: if let Work::Refused { why } = &job.work { Some(why) } else { None },
        }
    }
}

/// Prints the jobs, those that are left out, and why.
///
/// # Errors
/// As [`Reading::pipeline`].
pub fn list(reading: &Reading, terms: &Terms, how: How) -> Done {
    let (mut pipeline, compiled) = reading.pipeline()?;
    terms.selection.apply(&mut pipeline)?;
    match how {
        How::Json => return print::json(&document(reading, &pipeline, &compiled)),
        How::Names => {
            let names = pipeline.jobs.iter().map(|job| clean(&job.name) + "\n");
            return print::out(&names.collect::<String>());
        }
        How::Text => {}
    }
    let rows = pipeline.jobs.iter().map(row).collect();
    let header = ["JOB", "STAGE", "WHEN", "MAY FAIL", "NEEDS", "TAGS"];
    print::table(header, rows, "no jobs")?;
    print::out(&rest(reading, &compiled.left_out))
}

fn document<'a>(reading: &'a Reading, pipeline: &'a Pipeline, compiled: &'a Compiled) -> Document<'a> {
    Document {
        source: pipeline.source.as_str(),
        ref_: reading.context.ref_name(),
        tag: reading.context.tag.is_some(),
        sha: &reading.snapshot.sha,
        compared_with: reading.base.as_deref(),
        name: pipeline.name.as_deref(),
        stages: &pipeline.stages,
        jobs: pipeline.jobs.iter().map(ListedJob::from).collect(),
        left_out: &compiled.left_out,
        warnings: &compiled.warnings,
        variables: &pipeline.about_variables,
        untracked: &reading.snapshot.untracked,
    }
}

fn row(job: &Job) -> [String; 6] {
    let needs = match &job.needs {
        None => print::dash(),
        Some(needs) if needs.is_empty() => "nothing".to_owned(),
        Some(needs) => {
            let named: Vec<&str> = needs.iter().take(NEEDS_SHOWN).map(|need| need.job.as_str()).collect();
            let more = needs.len().saturating_sub(NEEDS_SHOWN);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            format!("{}{more}", named.join(", "))
        }
    };
    let may_fail = match &job.allow_failure {
        AllowFailure::Any(false) => print::dash(),
        AllowFailure::Any(true) => "yes".to_owned(),
        AllowFailure::ExitCodes { exit_codes } => {
            format!("with {}", exit_codes.iter().map(i64::to_string).collect::<Vec<_>>().join(", "))
        }
    };
    let when = match (&job.work, &job.start_in) {
        (Work::Refused { .. }, _) => "never here".to_owned(),
        (Work::Build(_) | Work::Trigger(_), Some(span)) => format!("delayed, {}", span.text),
        (Work::Build(_) | Work::Trigger(_), None) => job.when.as_str().to_owned(),
    };
    [clean(&job.name), clean(&job.stage), when, may_fail, clean(&needs), print::or_dash(&clean(&job.tags.join(", ")))]
}

fn rest(reading: &Reading, left_out: &[LeftOut]) -> String {
    let mut text = String::new();
    for LeftOut { name, stage, why, file, line } in left_out {
        text.push_str(&format!("left out: {name} ({stage}): {why} ({file}:{line})\n"));
    }
    text.push_str(&match &reading.base {
        Some(sha) => format!("`changes` are those since {}\n", sha.get(..8).unwrap_or(sha)),
        None => "there is nothing to compare with: each `changes` holds\n".to_owned(),
    });
    text.lines().map(|line| clean(line) + "\n").collect()
}

/// Prints the configuration with all that it includes, extends and refers to.
///
/// # Errors
/// A file that is wrong.
pub fn expand(reading: &Reading) -> Done {
    let compiled = reading.compile(&reading.context)?;
    super::problems::warnings(&compiled.warnings);
    match (&compiled.merged, &compiled.outcome) {
        (Some(merged), _) => print::out(&to_yaml(merged, &compiled.files)),
        (None, crate::gitlab_ci::Outcome::Refused(messages)) => Err(super::problems::refused(messages)),
        (None, _) => Ok(()),
    }
}
