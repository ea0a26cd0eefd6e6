//! `only` and `except`.

use super::Reader;
use crate::gitlab_ci::expression::{Expression, Pattern};
use crate::gitlab_ci::rules::ChangedPaths;
use crate::gitlab_ci::yaml::{Node, Place};
use std::rc::Rc;

/// What `only` or `except` asks for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Policy {
    pub(crate) place: Place,
    pub(crate) refs: Option<Vec<RefPattern>>,
    pub(crate) variables: Option<Vec<Rc<Expression>>>,
    pub(crate) changes: Option<ChangedPaths>,
    pub(crate) has_kubernetes: bool,
}

/// An entry of `refs`.
#[derive(Clone, Debug)]
pub(crate) struct RefPattern {
    pub(crate) word: String,
    /// If it is written as one.
    pub(crate) pattern: Option<Pattern>,
    /// Only in this project.
    pub(crate) project: Option<String>,
}

impl Reader<'_> {
    pub(super) fn policy(&mut self, at: &str, node: &Node) -> Option<Policy> {
        if node.list().is_some() {
            return Some(Policy { place: node.place, refs: self.refs(at, node), ..Policy::default() });
        }
        let Some(map) = node.map() else {
            self.error(node.place, format!("{at} has to be either an array of conditions or a hash"));
            return None;
        };
        self.check_keys(at, map, &["refs", "variables", "changes", "kubernetes"]);
        let refs = map.set("refs").and_then(|node| self.refs(&format!("{at}:refs"), node));
        let mut variables = None;
        if let Some(node) = map.set("variables") {
            match node.list() {
                Some(list) => {
                    let what = format!("{at} variables");
                    variables = Some(list.iter().filter_map(|node| self.condition(&what, node)).collect());
                }
                None => self.error(node.place, format!("{at} variables should be an array of strings")),
            }
        }
        let changes = map.set("changes").and_then(|node| self.changes(&format!("{at}:changes"), node));
        let has_kubernetes = map.set("kubernetes").is_some();
        Some(Policy { place: node.place, refs, variables, changes, has_kubernetes })
    }

    fn refs(&mut self, at: &str, node: &Node) -> Option<Vec<RefPattern>> {
        let refs = node
            .list()
            .and_then(|list| list.iter().map(|node| ref_pattern(node.text()?)).collect::<Option<Vec<RefPattern>>>());
        if refs.is_none() {
            let words = format!("{at} config should be an array of strings or regular expressions using re2 syntax");
            self.error(node.place, words);
        }
        refs
    }
}

/// `None`: it looks like a pattern, and is none.
fn ref_pattern(text: &str) -> Option<RefPattern> {
    let (word, project) = match text.split_once('@') {
        Some((word, project)) => (word, Some(project.to_owned())),
        None => (text, None),
    };
    let pattern = if word.starts_with('/') { Pattern::of_delimited(word).transpose().ok()? } else { None };
    Some(RefPattern { word: word.to_owned(), pattern, project })
}
