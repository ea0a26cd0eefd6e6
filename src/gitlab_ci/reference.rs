//! `!reference [.job, key]`: values that stand elsewhere in the configuration.
//!
//! What must stay true: a reference sees what `extends` made; each path is followed once and then shared; a circle is an
//! error; what references make is counted, so that a chain of them cannot double without end.

use super::merge::Budget;
use super::messages::{Finding, did_you_mean};
use super::yaml::{DEPTH_MAX, Entry, Map, Node, Place, Yaml};
use std::collections::HashMap;
use std::sync::Arc;

/// References that a reference may lead through.
const CHAIN_MAX: usize = 10;

enum State {
    Open,
    Known(Node, usize),
}

struct Resolver<'a> {
    config: &'a Map,
    states: HashMap<Vec<String>, State>,
    chain: usize,
    budget: &'a mut Budget,
}

/// The configuration without references.
pub(crate) fn resolved(config: Map, budget: &mut Budget) -> Result<Map, Finding> {
    let mut out = Map::default();
    let mut resolver = Resolver { config: &config, states: HashMap::new(), chain: 0, budget };
    for (key, entry) in &config.0 {
        let (node, _) = resolver.node(&entry.node, 1)?;
        out.0.insert(key.clone(), Entry { node, ..entry.clone() });
    }
    Ok(out)
}

fn has_reference(node: &Node) -> bool {
    match &node.yaml {
        Yaml::Reference(_) => true,
        Yaml::List(list) => list.iter().any(has_reference),
        Yaml::Map(map) => map.0.values().any(|entry| has_reference(&entry.node)),
        Yaml::Null | Yaml::Bool(_) | Yaml::Int(_) | Yaml::Float(_) | Yaml::Text(_) => false,
    }
}

impl Resolver<'_> {
    /// The value without references, and how many values that is.
    fn node(&mut self, node: &Node, depth: usize) -> Result<(Node, usize), Finding> {
        if depth > DEPTH_MAX {
            return Err(Finding::new(node.place, "The parsed YAML is too big"));
        }
        if !has_reference(node) {
            return Ok((node.clone(), node.weight()));
        }
        match &node.yaml {
            Yaml::Reference(steps) => self.target(steps, node.place),
            Yaml::List(list) => {
                let mut out = Vec::with_capacity(list.len());
                let mut sum = 1;
                for entry in list.iter() {
                    let (entry, weight) = self.node(entry, depth + 1)?;
                    sum += weight;
                    out.push(entry);
                }
                Ok((Node::new(Yaml::List(Arc::new(out)), node.place), sum))
            }
            Yaml::Map(map) => {
                let mut out = Map::default();
                let mut sum = 1;
                for (key, entry) in &map.0 {
                    let (value, weight) = self.node(&entry.node, depth + 1)?;
                    sum += weight;
                    out.0.insert(key.clone(), Entry { node: value, ..entry.clone() });
                }
                Ok((Node::new(Yaml::Map(Arc::new(out)), node.place), sum))
            }
            Yaml::Null | Yaml::Bool(_) | Yaml::Int(_) | Yaml::Float(_) | Yaml::Text(_) => Ok((node.clone(), 1)),
        }
    }

    fn target(&mut self, steps: &[Node], place: Place) -> Result<(Node, usize), Finding> {
        let path: Vec<String> = steps.iter().filter_map(|step| step.text().map(str::to_owned)).collect();
        if path.is_empty() || path.len() != steps.len() {
            return Err(Finding::new(place, format!("!reference {path:?} is not valid")));
        }
        match self.states.get(&path) {
            Some(State::Open) => {
                return Err(Finding::new(place, format!("!reference {path:?} is part of a circular chain")));
            }
            Some(State::Known(node, weight)) => {
                self.budget.spend(*weight, place)?;
                return Ok((node.clone(), *weight));
            }
            None => {}
        }
        if self.chain >= CHAIN_MAX {
            let words = format!("!reference {path:?} could not be found: more than {CHAIN_MAX} references lead to it");
            return Err(Finding::new(place, words));
        }
        self.states.insert(path.clone(), State::Open);
        self.chain += 1;
        let found = self.dig(&path, place)?;
        let (node, weight) = self.node(&found, 1)?;
        self.chain -= 1;
        self.budget.spend(weight, place)?;
        self.states.insert(path, State::Known(node.clone(), weight));
        Ok((node, weight))
    }

    /// Follows the steps; what they lead through may be references too.
    fn dig(&mut self, path: &[String], place: Place) -> Result<Node, Finding> {
        let absent = |known: &Map, step: &str| {
            let hint = did_you_mean(step, known.keys());
            Finding::new(place, format!("!reference {path:?} could not be found")).hint(hint)
        };
        let mut steps = path.iter();
        let mut at = match steps.next() {
            Some(first) => self.config.get(first).cloned().ok_or_else(|| absent(self.config, first))?,
            None => return Err(absent(self.config, "")),
        };
        for step in steps {
            if let Yaml::Reference(inner) = &at.yaml {
                let inner = inner.clone();
                at = self.target(&inner, at.place)?.0;
            }
            let empty = Map::default();
            let map = at.map().unwrap_or(&empty);
            at = map.get(step).cloned().ok_or_else(|| absent(map, step))?;
        }
        if at.is_null() { Err(absent(&Map::default(), "")) } else { Ok(at) }
    }
}
