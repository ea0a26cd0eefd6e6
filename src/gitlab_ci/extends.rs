//! `extends`: jobs that take over what others say.
//!
//! What must stay true: each job is made once, however many extend it; no chain is longer than ten; a circle is an
//! error and no loop.

use super::merge::{Budget, merged};
use super::messages::{Finding, did_you_mean};
use super::yaml::{Entry, Map, Node, Place, Yaml};
use std::collections::HashMap;
use std::sync::Arc;

/// Jobs between the first and the last of a chain.
const ANCESTORS_MAX: usize = 10;

enum State {
    /// It is being made: who comes back here has gone in a circle.
    Open,
    /// Made, with the length of its longest chain.
    Made(Arc<Map>, usize),
}

struct Extending<'a> {
    config: &'a Map,
    states: HashMap<Arc<str>, State>,
    budget: &'a mut Budget,
}

/// The configuration with each `extends` replaced by what it names.
pub(crate) fn extended(config: &Map, budget: &mut Budget) -> Result<Map, Finding> {
    let mut extending = Extending { config, states: HashMap::new(), budget };
    let mut out = Map::default();
    for (key, entry) in &config.0 {
        let mut entry = entry.clone();
        if entry.node.map().is_some_and(|map| map.get("extends").is_some()) {
            let (made, _) = extending.made(key, 0)?;
            entry.node = Node::new(Yaml::Map(made), entry.node.place);
        }
        out.0.insert(key.clone(), entry);
    }
    Ok(out)
}

impl Extending<'_> {
    fn made(&mut self, key: &Arc<str>, depth: usize) -> Result<(Arc<Map>, usize), Finding> {
        let Some(entry) = self.config.0.get(key) else {
            return Ok((Arc::default(), 0));
        };
        let Yaml::Map(own) = &entry.node.yaml else {
            return Ok((Arc::default(), 0));
        };
        let Some(extends) = own.0.get("extends") else {
            return Ok((own.clone(), 0));
        };
        match self.states.get(key) {
            Some(State::Made(made, height)) => return Ok((made.clone(), *height)),
            Some(State::Open) => {
                return Err(Finding::new(extends.place, format!("{key}: circular dependency detected in `extends`")));
            }
            None => {}
        }
        let too_deep = || Finding::new(extends.place, format!("{key}: nesting too deep in `extends`"));
        if depth > ANCESTORS_MAX {
            return Err(too_deep());
        }
        self.states.insert(key.clone(), State::Open);
        let mut all = Arc::<Map>::default();
        let mut height = 0;
        for base in self.bases(key, extends)? {
            let (made, above) = self.made(&base, depth + 1)?;
            height = height.max(above + 1);
            let weight = made.0.values().map(|entry| 1 + entry.node.weight()).sum();
            self.budget.spend(weight, extends.place)?;
            all = merged(&all, &made, self.budget)?;
        }
        if height > ANCESTORS_MAX {
            return Err(too_deep());
        }
        let made = merged(&all, own, self.budget)?;
        self.states.insert(key.clone(), State::Made(made.clone(), height));
        Ok((made, height))
    }

    /// The names behind `extends`, each of a hash that exists.
    fn bases(&self, key: &str, extends: &Entry) -> Result<Vec<Arc<str>>, Finding> {
        let nodes = match &extends.node.yaml {
            Yaml::List(list) => list.as_slice(),
            Yaml::Null => &[],
            Yaml::Text(_) | Yaml::Bool(_) | Yaml::Int(_) | Yaml::Float(_) | Yaml::Map(_) | Yaml::Reference(_) => {
                std::slice::from_ref(&extends.node)
            }
        };
        let mut names = Vec::new();
        for node in nodes {
            let Yaml::Text(name) = &node.yaml else {
                let words = format!("jobs:{key}:extends config should be an array of strings or a string");
                return Err(Finding::new(node.place, words));
            };
            self.check(key, name, node.place)?;
            names.push(name.clone());
        }
        Ok(names)
    }

    fn check(&self, key: &str, name: &str, place: Place) -> Result<(), Finding> {
        match self.config.get(name) {
            None => {
                let hint = did_you_mean(name, self.config.keys());
                Err(Finding::new(place, format!("{key}: unknown keys in `extends` ({name})")).hint(hint))
            }
            Some(base) if base.map().is_none() => {
                Err(Finding::new(place, format!("{key}: invalid base hashes in `extends` ({name})")))
            }
            Some(_) => Ok(()),
        }
    }
}
