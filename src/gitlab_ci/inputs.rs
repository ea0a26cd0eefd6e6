//! `spec:inputs`: what a file may be given, and whether it was.

use super::expression::Pattern;
use super::messages::{Finding, did_you_mean};
use super::yaml::{Map, Node, Place, Yaml};
use std::collections::HashMap;
use std::sync::Arc;

const TYPES: [&str; 4] = ["array", "boolean", "number", "string"];
const SPEC_KEYS: [&str; 6] = ["default", "description", "options", "regex", "type", "rules"];

/// Whether a value is of a type.
fn is_of_type(node: &Node, kind: &str) -> bool {
    match &node.yaml {
        Yaml::Text(_) => kind == "string",
        Yaml::Int(_) | Yaml::Float(_) => kind == "number",
        Yaml::Bool(_) => kind == "boolean",
        Yaml::List(_) => kind == "array",
        Yaml::Null | Yaml::Map(_) | Yaml::Reference(_) => false,
    }
}

/// The values of a file's inputs: given ones, else defaults.
pub(crate) fn values(header: &Node, given: &Map, place: Place) -> Result<HashMap<String, Node>, Vec<Finding>> {
    let wrong = |node: &Node, words: &str| Err(vec![Finding::new(node.place, words)]);
    let Some(spec) = header.map().and_then(|map| map.get("spec")) else {
        return wrong(header, "header config should contain spec");
    };
    let empty = Map::default();
    let spec_map = match &spec.yaml {
        Yaml::Map(map) => map,
        Yaml::Null => &empty,
        Yaml::Bool(_) | Yaml::Int(_) | Yaml::Float(_) | Yaml::Text(_) | Yaml::List(_) | Yaml::Reference(_) => {
            return wrong(spec, "header:spec config should be a hash");
        }
    };
    if let Some(unknown) = spec_map.0.keys().find(|key| !matches!(&***key, "inputs" | "component")) {
        return wrong(spec, &format!("header:spec config contains unknown keys: {unknown}"));
    }
    let inputs = match spec_map.set("inputs").map(|node| (node, node.map())) {
        Some((_, Some(inputs))) => inputs,
        Some((node, None)) => return wrong(node, "header:spec:inputs config should be a hash"),
        None => &empty,
    };
    let mut errors = Vec::new();
    let unknown: Vec<&str> = given.keys().filter(|key| inputs.get(key).is_none()).collect();
    if let Some(first) = unknown.first() {
        let hint = did_you_mean(first, inputs.keys());
        errors.push(Finding::new(place, format!("unknown input arguments: {}", unknown.join(", "))).hint(hint));
    }
    let mut all = HashMap::new();
    for (name, entry) in &inputs.0 {
        match value(name, &entry.node, entry.place, given.set(name), place) {
            Ok(value) => {
                all.insert(name.to_string(), value);
            }
            Err(finding) => errors.push(finding),
        }
    }
    if errors.is_empty() { Ok(all) } else { Err(errors) }
}

fn value(name: &str, spec: &Node, at: Place, given: Option<&Node>, place: Place) -> Result<Node, Finding> {
    let empty = Map::default();
    let map = match (spec.map(), spec.is_null()) {
        (Some(map), _) => map,
        (None, true) => &empty,
        (None, false) => return Err(Finding::new(at, format!("header:spec:inputs:{name} config should be a hash"))),
    };
    let unknown: Vec<&str> = map.keys().filter(|key| !SPEC_KEYS.contains(key)).collect();
    if let Some(first) = unknown.first() {
        let words = format!("header:spec:inputs:{name} config contains unknown keys: {}", unknown.join(", "));
        return Err(Finding::new(at, words).hint(did_you_mean(first, SPEC_KEYS)));
    }
    let kind = map.set("type").map_or(Some("string"), Node::text).filter(|kind| TYPES.contains(kind));
    let Some(kind) = kind else {
        let types = TYPES.join(", ");
        return Err(Finding::new(at, format!("unknown input specification for `{name}` (valid types: {types})")));
    };
    let wrong = |place: Place, words: String| Err(Finding::new(place, format!("`{name}` input: {words}")));
    let default = map.get("default");
    let (value, word, from) = match (given, default) {
        (Some(given), _) => (given, "provided", given.place),
        (None, Some(default)) => (default, "default", default.place),
        (None, None) => return wrong(place, "required value has not been provided".to_owned()),
    };
    if value.is_null() && given.is_none() {
        return Ok(value.clone());
    }
    if !is_of_type(value, kind) {
        return wrong(from, format!("{word} value is not {} {kind}", if kind == "array" { "an" } else { "a" }));
    }
    if let Some(options) = map.set("options").and_then(Node::list)
        && !options.iter().any(|option| option.same(value))
    {
        let shown = value.scalar_text().unwrap_or_default();
        let words = format!("`{shown}` cannot be used because it is not in the list of allowed options");
        let shown: Vec<String> = options.iter().filter_map(Node::scalar_text).collect();
        let hint = Some(format!("one of: {}", shown.join(", ")));
        return Err(Finding::new(from, format!("`{name}` input: {words}")).hint(hint));
    }
    check_regex(name, map, value, word, from)?;
    Ok(value.clone())
}

fn check_regex(name: &str, map: &Map, value: &Node, word: &str, place: Place) -> Result<(), Finding> {
    let Some(regex) = map.set("regex").and_then(Node::text) else { return Ok(()) };
    let Ok(pattern) = Pattern::new(regex, "") else {
        return Err(Finding::new(place, format!("`{name}` input: invalid regular expression")));
    };
    if value.text().is_some_and(|text| pattern.is_match(text)) {
        return Ok(());
    }
    Err(Finding::new(place, format!("`{name}` input: {word} value does not match required RegEx pattern")))
}

/// Values that people gave as text, with the types that a file asks for.
pub(crate) fn of_text(header: &Node, given: &[(String, String)], place: Place) -> Map {
    let inputs = header.map().and_then(|map| map.get("spec")?.map()?.get("inputs")?.map());
    let mut out = Map::default();
    for (name, text) in given {
        let kind = inputs.and_then(|inputs| inputs.get(name)?.map()?.get("type")?.text()).unwrap_or("string");
        let read = if kind == "string" { None } else { super::yaml::load(text, place.file).ok() };
        let read = read.and_then(|documents| documents.documents.into_iter().next());
        let node = Node::new(read.map_or_else(|| Yaml::Text(text.as_str().into()), |node| node.yaml), place);
        let entry = super::yaml::Entry { place, is_text: true, is_own: true, node };
        out.0.insert(Arc::from(name.as_str()), entry);
    }
    out
}
