//! `parallel`: one job of the file becomes several of the pipeline.

use super::keywords::{JobConfig, Parallel};
use super::messages::Finding;
use super::variables::{FileVariable, Variables};
use crate::domain::pipeline::Part;
use std::rc::Rc;

/// Jobs before rules leave some out.
const INSTANCES_MAX: usize = 10_000;
/// Characters of a name.
const NAME_CHARS_MAX: usize = 255;

/// A job of the pipeline, or one that rules may leave out.
#[derive(Clone, Debug)]
pub(crate) struct Instance<'a> {
    pub(crate) config: &'a JobConfig,
    /// Place of its stage in the list.
    pub(crate) stage: usize,
    pub(crate) name: Rc<str>,
    pub(crate) part: Option<Part>,
    pub(crate) matrix: Variables,
}

/// All jobs, in the order of the file.
pub(crate) fn instances<'a>(jobs: &'a [JobConfig], stages: &[usize]) -> Result<Vec<Instance<'a>>, Finding> {
    let mut all = Vec::new();
    for (config, stage) in jobs.iter().zip(stages.iter().copied()) {
        let name = config.name.as_str();
        match &config.parallel {
            None => all.push(Instance { config, stage, name: name.into(), part: None, matrix: Variables::new() }),
            Some(Parallel::Number(total)) => all.extend((1..=*total).map(|index| {
                let part = Some(Part { index, total: *total });
                let name = format!("{name} {index}/{total}").into();
                Instance { config, stage, name, part, matrix: Variables::new() }
            })),
            Some(Parallel::Matrix(rows)) => {
                let combinations: Vec<Variables> = rows.iter().flat_map(combinations).collect();
                let total = combinations.len();
                for (matrix, index) in combinations.into_iter().zip(1..) {
                    let values: Vec<&str> = matrix.values().map(|variable| variable.value.as_str()).collect();
                    let name = format!("{name}: [{}]", values.join(", "));
                    if name.chars().count() > NAME_CHARS_MAX {
                        let words =
                            format!("jobs:{} name is too long (maximum is {NAME_CHARS_MAX} characters)", config.name);
                        return Err(Finding::new(config.place, words));
                    }
                    all.push(Instance { config, stage, name: name.into(), part: Some(Part { index, total }), matrix });
                }
            }
        }
        if all.len() > INSTANCES_MAX {
            let words = format!("The number of jobs has exceeded the limit of {INSTANCES_MAX}");
            return Err(Finding::new(config.place, words));
        }
    }
    Ok(all)
}

/// The product of a row's values, the first variable slowest.
fn combinations(row: &indexmap::IndexMap<String, Vec<String>>) -> Vec<Variables> {
    let mut all = vec![Variables::new()];
    for (key, values) in row {
        all = all
            .iter()
            .flat_map(|before| {
                values.iter().map(|value| {
                    let mut one = before.clone();
                    one.insert(key.clone(), FileVariable { value: value.clone(), is_raw: false });
                    one
                })
            })
            .collect();
    }
    all
}

/// A text with `$[[ matrix.NAME ]]` replaced by the value of this part.
pub(crate) fn filled(text: &str, matrix: &Variables) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, block)) = rest.split_once("$[[") {
        let Some((inner, after)) = block.split_once("]]") else { break };
        let value = inner.trim().strip_prefix("matrix.").and_then(|name| matrix.get(name));
        out.push_str(before);
        match value {
            Some(value) => out.push_str(&value.value),
            None => out.push_str(&format!("$[[{inner}]]")),
        }
        rest = after;
    }
    out.push_str(rest);
    out
}
