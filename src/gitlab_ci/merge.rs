//! Hashes over hashes, as `include` and `extends` put them: deeply, with everything else replaced.

use super::messages::Finding;
use super::yaml::{Entry, Map, Node, Place, Yaml};
use std::sync::Arc;

/// How many values may still be made by repeating others. Short files must not become large configurations.
pub(crate) struct Budget(usize);

/// Values that merges, references and inputs may make.
const VALUES_MAX: usize = 3_000_000;

impl Default for Budget {
    fn default() -> Budget {
        Budget(VALUES_MAX)
    }
}

impl Budget {
    /// Takes so many values from it.
    pub(crate) fn spend(&mut self, values: usize, place: Place) -> Result<(), Finding> {
        match self.0.checked_sub(values) {
            Some(left) => {
                self.0 = left;
                Ok(())
            }
            None => Err(Finding::new(place, "The parsed YAML is too big")),
        }
    }
}

/// `over` over `base`: keys of both keep the place in the order of `base`.
pub(crate) fn merged(base: &Arc<Map>, over: &Arc<Map>, budget: &mut Budget) -> Result<Arc<Map>, Finding> {
    if over.0.is_empty() {
        return Ok(base.clone());
    }
    if base.0.is_empty() {
        return Ok(over.clone());
    }
    let place = over.0.values().next().map(|entry| entry.place).unwrap_or_default();
    budget.spend(base.0.len() + over.0.len(), place)?;
    let mut all = Map::clone(base);
    for (key, entry) in &over.0 {
        let node = match (all.get(key).map(|node| &node.yaml), &entry.node.yaml) {
            (Some(Yaml::Map(old)), Yaml::Map(new)) => {
                let (old, new) = (old.clone(), new.clone());
                Node::new(Yaml::Map(merged(&old, &new, budget)?), entry.node.place)
            }
            _ => entry.node.clone(),
        };
        all.0.insert(key.clone(), Entry { node, ..entry.clone() });
    }
    Ok(Arc::new(all))
}
