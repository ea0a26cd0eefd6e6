//! `environment`.

use super::Reader;
use crate::gitlab_ci::yaml::{Node, Place};

const KEYS: [&str; 8] = ["name", "url", "action", "on_stop", "auto_stop_in", "kubernetes", "deployment_tier", "flux"];
const ACTIONS: [&str; 5] = ["start", "stop", "prepare", "verify", "access"];
const TIERS: [&str; 5] = ["production", "staging", "testing", "development", "other"];

/// Where a job deploys to, not yet expanded.
#[derive(Clone, Debug, Default)]
pub(crate) struct EnvironmentEntry {
    pub(crate) place: Place,
    pub(crate) name: String,
    pub(crate) url: Option<String>,
    pub(crate) action: Option<String>,
    pub(crate) tier: Option<String>,
    pub(crate) on_stop: Option<String>,
}

impl Reader<'_> {
    pub(super) fn environment(&mut self, at: &str, node: &Node) -> Option<EnvironmentEntry> {
        let place = node.place;
        if let Some(name) = node.text() {
            if name.is_empty() {
                self.error(place, format!("{at} name can't be blank"));
            }
            return Some(EnvironmentEntry { place, name: name.to_owned(), ..EnvironmentEntry::default() });
        }
        if node.map().is_none() {
            self.error(place, format!("{at} config should be a hash or a string"));
            return None;
        }
        let map = self.map(at, node, &KEYS)?;
        let name = self.text(at, map, "name").filter(|name| !name.is_empty());
        if name.is_none() && map.set("name").is_none_or(|node| node.text() == Some("")) {
            self.error(place, format!("{at} name can't be blank"));
        }
        let action = map.set("action");
        if let Some(node) = action.filter(|node| !node.text().is_some_and(|word| ACTIONS.contains(&word))) {
            self.error(node.place, format!("{at} action should be start, stop, prepare, verify, or access"));
        }
        let tier = map.set("deployment_tier");
        if let Some(node) = tier.filter(|node| !node.text().is_some_and(|word| TIERS.contains(&word))) {
            self.error(node.place, format!("{at} deployment tier must be one of {}", TIERS.join(", ")));
        }
        let words = format!("{at} auto stop in should be a duration");
        if let Some(node) = map.set("auto_stop_in")
            && self.keeping(node, &words).is_some()
        {
            self.without_effect("environment:auto_stop_in", node.place, "Baton keeps no environments");
        }
        if let Some(node) = map.set("kubernetes") {
            self.without_effect("environment:kubernetes", node.place, "Baton knows no clusters");
        }
        Some(EnvironmentEntry {
            place,
            name: name?,
            url: self.text(at, map, "url"),
            action: action.and_then(Node::text).map(str::to_owned),
            tier: tier.and_then(Node::text).map(str::to_owned),
            on_stop: self.text(at, map, "on_stop"),
        })
    }
}
