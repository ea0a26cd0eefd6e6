//! `$[[ inputs.name | function ]]`: values put into a file before anything else is made of it.
//!
//! They are put into values, not into text: what somebody gives cannot become YAML. A value that is nothing but one
//! block keeps the input's type.

use super::merge::Budget;
use super::messages::{Finding, did_you_mean};
use super::variables::expand;
use super::yaml::{Entry, Map, Node, Place, Yaml, to_json};
use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

/// Functions of a block.
const FUNCTIONS_MAX: usize = 3;
/// Bytes of a text with its blocks put in.
const TEXT_BYTES_MAX: usize = 1 << 20;
/// Bytes that all blocks of a file may make.
const ALL_BYTES_MAX: usize = 16 << 20;

/// What a file is given.
pub(crate) struct Interpolation<'a> {
    pub(crate) inputs: &'a HashMap<String, Node>,
    /// Public variables for `expand_vars`.
    pub(crate) variables: &'a HashMap<&'a str, &'a str>,
    pub(crate) budget: &'a mut Budget,
    pub(crate) bytes: usize,
}

impl Interpolation<'_> {
    /// The value with all blocks put in.
    pub(crate) fn node(&mut self, node: &Node) -> Result<Node, Finding> {
        let yaml = match &node.yaml {
            Yaml::Text(text) if text.contains("$[[") => return self.text(text, node.place),
            Yaml::List(list) => Yaml::List(self.list(list)?),
            Yaml::Reference(list) => Yaml::Reference(self.list(list)?),
            Yaml::Map(map) => {
                let mut out = Map::default();
                for (key, entry) in &map.0 {
                    let value = self.node(&entry.node)?;
                    let key = self.key(key, entry.place)?;
                    out.0.insert(key, Entry { node: value, ..entry.clone() });
                }
                Yaml::Map(Arc::new(out))
            }
            Yaml::Null | Yaml::Bool(_) | Yaml::Int(_) | Yaml::Float(_) | Yaml::Text(_) => node.yaml.clone(),
        };
        Ok(Node::new(yaml, node.place))
    }

    fn list(&mut self, list: &[Node]) -> Result<Arc<Vec<Node>>, Finding> {
        self.budget.spend(list.len(), list.first().map(|node| node.place).unwrap_or_default())?;
        Ok(Arc::new(list.iter().map(|node| self.node(node)).collect::<Result<_, _>>()?))
    }

    fn key(&mut self, key: &Arc<str>, place: Place) -> Result<Arc<str>, Finding> {
        if !key.contains("$[[") {
            return Ok(key.clone());
        }
        Ok(self.text(key, place)?.scalar_text().unwrap_or_default().into())
    }

    fn text(&mut self, text: &str, place: Place) -> Result<Node, Finding> {
        let mut out = String::new();
        let mut rest = text;
        while let Some(at) = rest.find("$[[") {
            let (before, block) = rest.split_at_checked(at).unwrap_or_default();
            let Some((inner, after)) = block.get(3..).unwrap_or_default().split_once("]]") else { break };
            out.push_str(before);
            rest = after;
            let inner = inner.trim();
            if inner.is_empty() || inner.starts_with("matrix.") {
                out.push_str(block.get(..block.len() - after.len()).unwrap_or_default());
                continue;
            }
            let value = self.block(inner, place)?;
            if before.is_empty() && after.is_empty() && out.is_empty() {
                return Ok(Node::new(value.yaml, place));
            }
            let value = value.scalar_text().unwrap_or_else(|| to_json(&value).to_string());
            self.bytes += value.len();
            out.push_str(&value);
            if out.len() > TEXT_BYTES_MAX || self.bytes > ALL_BYTES_MAX {
                return Err(Finding::new(place, "The parsed YAML is too big"));
            }
        }
        out.push_str(rest);
        Ok(Node::text_at(&out, place))
    }

    /// The value of `inputs.name | function | function`.
    fn block(&self, inner: &str, place: Place) -> Result<Node, Finding> {
        let mut parts = inner.split('|').map(str::trim);
        let access = parts.next().unwrap_or_default();
        let functions: Vec<&str> = parts.collect();
        let Some(name) = access.strip_prefix("inputs.") else {
            return Err(Finding::new(place, format!("unknown interpolation provided: `{access}`")));
        };
        let Some(value) = self.inputs.get(name) else {
            let hint = did_you_mean(name, self.inputs.keys().map(String::as_str));
            return Err(Finding::new(place, format!("unknown interpolation key: `{name}`")).hint(hint));
        };
        if functions.len() > FUNCTIONS_MAX {
            return Err(Finding::new(place, "too many functions in interpolation block"));
        }
        let mut value = value.clone();
        for function in functions {
            let Yaml::Text(text) = &value.yaml else {
                let words = format!("invalid input type: {function} can only be used with string inputs");
                return Err(Finding::new(place, words));
            };
            let made = self.function(function, text).ok_or_else(|| {
                let words = format!(
                    "no function matching `{function}`: check that the function name, arguments, and types are correct"
                );
                Finding::new(place, words)
            })?;
            value = Node::text_at(&made, place);
        }
        Ok(value)
    }

    fn function(&self, function: &str, text: &str) -> Option<String> {
        match function {
            "expand_vars" => Some(expand(text, |name| self.variables.get(name).copied())),
            "posix_escape" => Some(posix_escape(text).into_owned()),
            _ => {
                let arguments = function.strip_prefix("truncate(")?.strip_suffix(')')?;
                let (offset, length) = arguments.split_once(',')?;
                let (offset, length): (usize, usize) = (offset.trim().parse().ok()?, length.trim().parse().ok()?);
                Some(text.chars().skip(offset).take(length).collect())
            }
        }
    }
}

/// The text as one word of a shell.
fn posix_escape(text: &str) -> Cow<'_, str> {
    if text.is_empty() {
        return "''".into();
    }
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-.,:+/@\n".contains(c);
    let mut out = String::new();
    for c in text.chars() {
        if c == '\n' {
            out.push_str("'\n'");
            continue;
        }
        if !is_plain(c) {
            out.push('\\');
        }
        out.push(c);
    }
    out.into()
}
