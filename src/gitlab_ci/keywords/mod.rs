//! The shape of a configuration: which keys stand where, and which values they take.
//!
//! What must stay true: each reader tells what is wrong and goes on, so that all errors of the shape are told at once;
//! an unknown key is an error that names the nearest known one; the words are GitLab's.

mod artifacts;
mod cache;
mod containers;
mod control;
mod environment;
mod global;
mod job;
mod needs;
mod policy;
mod rules;
mod script;
mod tables;
mod trigger;

pub(crate) use artifacts::Artifacts;
pub(crate) use cache::{Cache, CacheKey};
pub(crate) use control::{MatrixRow, Parallel};
pub(crate) use environment::EnvironmentEntry;
pub(crate) use global::Global;
pub(crate) use job::{Common, JobConfig};
pub(crate) use needs::NeedEntry;
pub(crate) use policy::{Policy, RefPattern};
pub(crate) use rules::{Rule, RuleWhen};
pub(crate) use trigger::TriggerEntry;

use super::messages::{Finding, Report, did_you_mean};
use super::rules::Tester;
use super::yaml::{Map, Node, Place};
use crate::domain::pipeline::Span;
use crate::domain::text::duration::{parse_duration, parse_keeping};

/// Levels of lists in lists.
const NESTED_MAX: usize = 10;
/// Entries of a list that is flattened.
const FLAT_MAX: usize = 50_000;

/// Reads parts of a configuration.
pub(crate) struct Reader<'a> {
    pub(crate) report: &'a mut Report,
    pub(crate) tester: &'a Tester<'a>,
}

/// The place in the tree of keys, as messages name it: `jobs:unit:cache`.
fn below(at: &str, key: &str) -> String {
    if at.is_empty() { key.to_owned() } else { format!("{at}:{key}") }
}

impl<'a> Reader<'a> {
    pub(crate) fn new(report: &'a mut Report, tester: &'a Tester<'a>) -> Reader<'a> {
        Reader { report, tester }
    }

    fn error(&mut self, place: Place, words: String) {
        self.report.error(Finding::new(place, words));
    }

    /// Tells of keys that are not among the known ones.
    fn check_keys(&mut self, at: &str, map: &Map, known: &[&str]) {
        let unknown: Vec<_> = map.0.iter().filter(|(key, _)| !known.contains(&&***key)).collect();
        if let Some((first, entry)) = unknown.first() {
            let keys: Vec<&str> = unknown.iter().map(|(key, _)| &***key).take(20).collect();
            let words = format!("{at} config contains unknown keys: {}", keys.join(", "));
            self.report.error(Finding::new(entry.place, words).hint(did_you_mean(first, known.iter().copied())));
        }
    }

    /// The mapping, or what else it should have been.
    fn map<'n>(&mut self, at: &str, node: &'n Node, known: &[&str]) -> Option<&'n Map> {
        let Some(map) = node.map() else {
            self.error(node.place, format!("{at} config should be a hash"));
            return None;
        };
        self.check_keys(at, map, known);
        Some(map)
    }

    /// A list of text, else the words.
    fn strings(&mut self, node: &Node, words: &str) -> Option<Vec<String>> {
        let texts = node.list().map(|list| list.iter().map(|node| node.text().map(str::to_owned)).collect());
        let texts: Option<Option<Vec<String>>> = texts;
        if let Some(Some(texts)) = texts {
            return Some(texts);
        }
        let wrong = node.list().and_then(|list| list.iter().find(|node| node.text().is_none())).unwrap_or(node);
        self.error(wrong.place, words.to_owned());
        None
    }

    /// Text or a list of text as a list, else the words.
    fn string_or_strings(&mut self, node: &Node, words: &str) -> Option<Vec<String>> {
        match node.text() {
            Some(text) => Some(vec![text.to_owned()]),
            None => self.strings(node, words),
        }
    }

    /// The text of a key, if it is set.
    fn text(&mut self, at: &str, map: &Map, key: &str) -> Option<String> {
        let node = map.set(key)?;
        if node.text().is_none() {
            self.error(node.place, format!("{at} {} should be a string", spaced(key)));
        }
        node.text().map(str::to_owned)
    }

    /// The boolean of a key, if it is set.
    fn bool(&mut self, at: &str, map: &Map, key: &str) -> Option<bool> {
        let node = map.set(key)?;
        if node.bool().is_none() {
            self.error(node.place, format!("{at} {} should be a boolean value", spaced(key)));
        }
        node.bool()
    }

    /// The text of a key that has a few words to choose from.
    fn choice(&mut self, at: &str, map: &Map, key: &str, words: &[&str]) -> Option<String> {
        let node = map.set(key)?;
        let text = node.text().filter(|text| words.contains(text));
        if text.is_none() {
            let hint = node.text().and_then(|text| did_you_mean(text, words.iter().copied()));
            let words = format!("{at} {} should be one of: {}", spaced(key), words.join(", "));
            self.report.error(Finding::new(node.place, words).hint(hint));
        }
        text.map(str::to_owned)
    }

    /// The length of time of a value, else the words in which it is none.
    fn duration(&mut self, node: &Node, words: &str) -> Option<Span> {
        let (text, length) = self.length(node, words, parse_duration)?;
        Some(Span { text, seconds: length.as_secs() })
    }

    /// A length of time for which something is kept, as it is written.
    fn keeping(&mut self, node: &Node, words: &str) -> Option<String> {
        self.length(node, words, parse_keeping).map(|(text, _)| text)
    }

    /// A length of time as it is written, and what it means; else `words` are told.
    fn length<T, E: ToString>(
        &mut self,
        node: &Node,
        words: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<(String, T)> {
        match node.text().map(|text| (text, parse(text))) {
            Some((text, Ok(length))) => Some((text.to_owned(), length)),
            Some((_, Err(error))) => {
                self.report.error(Finding::new(node.place, words).hint(Some(error.to_string())));
                None
            }
            None => {
                self.error(node.place, words.to_owned());
                None
            }
        }
    }

    /// Warns once that a keyword has no effect.
    fn without_effect(&mut self, keyword: &str, place: Place, why: &str) {
        let words = format!("{keyword} has no effect: {why}");
        self.report.warn_once(keyword, Finding::new(place, words));
    }
}

/// A key as GitLab writes it in sentences.
fn spaced(key: &str) -> String {
    key.replace('_', " ")
}

/// Lists in lists as one list; `None`: they are nested too deep, or too long.
fn flattened<'n>(node: &'n Node, depth: usize, out: &mut Vec<&'n Node>) -> Option<()> {
    let Some(list) = node.list() else {
        out.push(node);
        return (out.len() <= FLAT_MAX).then_some(());
    };
    if depth > NESTED_MAX {
        return None;
    }
    list.iter().try_for_each(|node| flattened(node, depth + 1, out))
}
