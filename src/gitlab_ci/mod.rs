//! What a `.gitlab-ci.yml` means: from files to a pipeline, as GitLab reads them.
//!
//! [`compile`] is all of it. In order: YAML to values ([`yaml`]), inputs, `include`, `extends`, `!reference`, the shape
//! (`keywords`), checks between jobs, rules, and the pipeline.
//!
//! What must stay true:
//!
//! * No store, no HTTP, no clock, no git: what is outside comes through [`surroundings::Surroundings`].
//! * The measure is GitLab: what it refuses is refused in its words, with the place and a hint.
//! * A configuration is hostile text: sizes, depths, repetitions and expansions are bounded before anything is built,
//!   and no text of it takes longer than linear time to search.

mod assemble;
pub mod context;
pub mod excerpt;
pub mod expression;
mod extends;
pub mod glob;
mod include;
mod inputs;
mod interpolate;
mod keywords;
pub mod lint;
mod matrix;
mod merge;
pub mod messages;
mod needs;
mod only;
mod reference;
mod rules;
pub mod surroundings;
pub mod variables;
mod work;
pub mod yaml;

use crate::domain::pipeline::Pipeline;
use assemble::{Assembled, Assembly, Out};
use context::Context;
use include::Files;
use merge::Budget;
use messages::{Finding, Message, Report, Teller};
use rules::Tester;
use serde::Serialize;
use std::borrow::Cow;
use std::collections::HashMap;
use surroundings::Surroundings;
use yaml::{Map, Node, Place, Yaml};

/// What came of a configuration.
#[derive(Debug)]
pub struct Compiled {
    /// The pipeline, or why there is none.
    pub outcome: Outcome,
    /// What people should know, and what does not stop the pipeline.
    pub warnings: Vec<Message>,
    /// Jobs that are not in the pipeline, and why.
    pub left_out: Vec<LeftOut>,
    /// The files that it was made of, the first one first.
    pub files: Vec<String>,
    /// The configuration with all that it includes, extends and refers to, if it came so far.
    pub merged: Option<Node>,
}

/// The pipeline, or why there is none.
#[derive(Debug)]
pub enum Outcome {
    /// There is one.
    Pipeline(Box<Pipeline>),
    /// Rules let nothing through; GitLab's sentence about it.
    Nothing(String),
    /// The configuration is wrong.
    Refused(Vec<Message>),
}

/// A job that is not in the pipeline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LeftOut {
    /// Its name.
    pub name: String,
    /// Name of its stage.
    pub stage: String,
    /// What decided it.
    pub why: String,
    /// Where that is written.
    pub file: String,
    /// From 1.
    pub line: u32,
}

/// Makes a pipeline of the configuration in `content`, the text of [`Context::config_path`].
#[must_use]
pub fn compile(content: &[u8], context: &Context, outside: &dyn Surroundings) -> Compiled {
    compiled(content, context, outside, true)
}

/// The same of a text that stands in no file, such as the one that a job's `trigger` means: what is wrong with it has no place.
#[must_use]
pub fn compile_made(content: &[u8], context: &Context, outside: &dyn Surroundings) -> Compiled {
    compiled(content, context, outside, false)
}

fn compiled(content: &[u8], context: &Context, outside: &dyn Surroundings, is_file: bool) -> Compiled {
    let tester = Tester::new(context, outside);
    let mut report = Report::default();
    let mut budget = Budget::default();
    let public = tester.predefined.iter().map(|(key, value)| (key.as_str(), value.as_str()));
    let given =
        context.given.iter().filter(|given| given.public).map(|given| (given.key.as_str(), given.value.as_str()));
    let mut files = Files {
        context,
        outside,
        tester: &tester,
        report: &mut report,
        budget: &mut budget,
        names: Vec::new(),
        texts: Vec::new(),
        parsed: HashMap::new(),
        public: public.chain(given).collect(),
        included: 0,
        bytes: 0,
    };
    let root = files.root(content);
    let (mut names, texts) = (std::mem::take(&mut files.names), std::mem::take(&mut files.texts));
    drop(files);
    if let Some(name) = names.first_mut().filter(|_| !is_file) {
        name.clear();
    }
    let merged = root.and_then(|root| merged(&root, &mut budget).map_err(|finding| vec![finding]));
    let (assembled, out, merged) = match merged {
        Ok(config) => {
            let (assembled, out) = assembled(&config, context, outside, &tester, &mut report);
            let node = Node::new(Yaml::Map(std::sync::Arc::new(config)), Place { file: 0, line: 1, column: 1 });
            (assembled, out, Some(node))
        }
        Err(findings) => (Err(findings), Vec::new(), None),
    };
    for warning in tester.take_warnings() {
        report.warn_once(&format!("{:?} {}", warning.place, warning.words), warning.clone());
    }
    told(assembled, out, report, context, (names, &texts), merged)
}

/// With everything that the file repeats put in.
fn merged(root: &Map, budget: &mut Budget) -> Result<Map, Finding> {
    let extended = extends::extended(root, budget)?;
    reference::resolved(extended, budget)
}

type Parts = (Result<Assembled, Vec<Finding>>, Vec<Out>);

fn assembled(
    config: &Map,
    context: &Context,
    outside: &dyn Surroundings,
    tester: &Tester<'_>,
    report: &mut Report,
) -> Parts {
    let global = keywords::Reader::new(report, tester).global(config);
    if !report.is_good() {
        return (Err(std::mem::take(&mut report.errors)), Vec::new());
    }
    let mut assembly = Assembly { global: &global, context, outside, tester, report, out: Vec::new() };
    let assembled = assembly.assemble().map_err(|finding| vec![finding]);
    let out = assembly.out;
    (assembled, out)
}

/// Names for places, and no secret in any sentence.
fn told(
    assembled: Result<Assembled, Vec<Finding>>,
    out: Vec<Out>,
    mut report: Report,
    context: &Context,
    (files, texts): (Vec<String>, &[Cow<'_, [u8]>]),
    merged: Option<Node>,
) -> Compiled {
    let secrets = context.given.iter().filter(|given| !given.public).map(|given| given.value.as_str()).collect();
    let teller = Teller { files: &files, secrets };
    let warnings = std::mem::take(&mut report.warnings).into_iter().map(|finding| teller.tell(finding)).collect();
    let left_out = out
        .into_iter()
        .map(|out| {
            let message = teller.tell(Finding::new(out.place, out.why));
            let Message { file, line, words: why, .. } = message;
            LeftOut { name: out.name, stage: out.stage, why, file, line }
        })
        .collect();
    let outcome = match assembled {
        Ok(Assembled::Pipeline(pipeline)) => Outcome::Pipeline(pipeline),
        Ok(Assembled::Nothing(words)) => Outcome::Nothing(words.to_owned()),
        Err(mut findings) => {
            findings.extend(std::mem::take(&mut report.errors));
            findings.truncate(messages::ERRORS_MAX);
            let forms = excerpt::forms(&teller.secrets);
            Outcome::Refused(findings.into_iter().map(|finding| teller.tell_all(finding, texts, &forms)).collect())
        }
    };
    Compiled { outcome, warnings, left_out, files, merged }
}
