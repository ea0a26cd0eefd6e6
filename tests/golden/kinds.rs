//! One check a kind of case.

use crate::cases::Case;
use crate::{pipelines, states};
use baton::domain::text::duration::parse_duration;
use baton::gitlab_ci::expression::Expression;
use baton::gitlab_ci::glob::Glob;
use baton::gitlab_ci::variables::expand;
use baton::gitlab_ci::yaml::{self, Node, to_json};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Whether a case holds, else what came instead.
pub fn check(case: &Case) -> Result<(), String> {
    match case.kind() {
        "pipeline" => pipelines::check(case),
        "expression" => expression(case),
        "glob" => glob(case),
        "yaml" => yaml(case),
        "duration" => duration(case),
        "expand" => expansion(case),
        "states" => states::check(case),
        kind => panic!("{}: there is no kind {kind}", case.name),
    }
}

/// Equal, or both shown.
pub fn same<T: PartialEq + std::fmt::Debug>(is: T, expected: T) -> Result<(), String> {
    if is == expected { Ok(()) } else { Err(format!("is {is:?}, expected {expected:?}")) }
}

fn texts(case: &Case, key: &str) -> BTreeMap<String, String> {
    let map = case.get(key).and_then(Node::map).expect("a mapping");
    map.0.iter().map(|(key, entry)| (key.to_string(), entry.node.scalar_text().unwrap())).collect()
}

fn expression(case: &Case) -> Result<(), String> {
    let vars = texts(case, "vars");
    let expected = to_json(case.get("is").unwrap());
    let is = match Expression::parse(case.text("expr")) {
        Ok(expression) => json!(expression.holds(&|name| vars.get(name).map(String::as_str))),
        Err(_) => json!("error"),
    };
    same(is, expected)
}

fn glob(case: &Case) -> Result<(), String> {
    same(Glob::new(case.text("glob")).matches(case.text("path")), case.get("is").unwrap().bool().unwrap())
}

fn expansion(case: &Case) -> Result<(), String> {
    let vars = texts(case, "vars");
    let is = expand(case.text("text"), |name| vars.get(name).map(String::as_str));
    same(is.as_str(), case.text("is"))
}

fn duration(case: &Case) -> Result<(), String> {
    let is = match parse_duration(case.text("text")) {
        Ok(length) => json!(length.as_secs()),
        Err(_) => json!("error"),
    };
    same(is, to_json(case.get("seconds").unwrap()))
}

fn yaml(case: &Case) -> Result<(), String> {
    match (yaml::load(case.text("yaml"), 0), case.get("error").and_then(Node::text)) {
        (Ok(documents), None) => {
            let is = documents.documents.first().map_or(Value::Null, to_json);
            same(is, to_json(case.get("is").unwrap()))?;
            match case.get("warning").and_then(Node::text) {
                Some(key) if !documents.twice.iter().any(|(twice, _, _)| twice == key) => Err("no warning".to_owned()),
                _ => Ok(()),
            }
        }
        (Ok(documents), Some(error)) => Err(format!("no error {error}, but {:?}", documents.documents)),
        (Err(error), None) => Err(format!("{error:?}")),
        (Err(error), Some(expected)) => match case.get("line").and_then(Node::int) {
            Some(line) => {
                same(i128::from(error.place.line), line).map_err(|why| format!("{}: line {why}", error.words))
            }
            None if error.words.contains(expected) => Ok(()),
            None => Err(format!("{} does not say {expected}", error.words)),
        },
    }
}
