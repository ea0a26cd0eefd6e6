//! Scripts, hooks and variables.

use super::{NESTED_MAX, Reader, flattened};
use crate::domain::pipeline::AboutVariable;
use crate::domain::spec::Hooks;
use crate::gitlab_ci::messages::Finding;
use crate::gitlab_ci::variables::{FileVariable, Variables};
use crate::gitlab_ci::yaml::{Node, Yaml};

/// Characters of a variable's name.
const NAME_CHARS_MAX: usize = 255;

impl Reader<'_> {
    /// Text, or lists of text, as one list.
    pub(super) fn script(&mut self, at: &str, node: &Node) -> Option<Vec<String>> {
        let mut nodes = Vec::new();
        let is_flat = flattened(node, 1, &mut nodes).is_some();
        let wrong = nodes.iter().find(|node| node.text().is_none()).copied();
        if let (true, None) = (is_flat, wrong) {
            return Some(nodes.iter().filter_map(|node| node.text().map(str::to_owned)).collect());
        }
        let words =
            format!("{at} config should be a string or a nested array of strings up to {NESTED_MAX} levels deep");
        let is_hash = wrong.is_some_and(|node| node.map().is_some());
        let hint = is_hash.then(|| "a line with `: ` is a hash in YAML: quote the whole line".to_owned());
        let place = wrong.map_or(node.place, |node| node.place);
        self.report.error(Finding::new(place, words).hint(hint));
        None
    }

    pub(super) fn hooks(&mut self, at: &str, node: &Node) -> Option<Hooks> {
        let map = self.map(at, node, &["pre_get_sources_script", "post_get_sources_script"])?;
        let mut read =
            |key: &str| map.set(key).and_then(|node| self.script(&format!("{at}:{key}"), node)).unwrap_or_default();
        let pre_get_sources_script = read("pre_get_sources_script");
        Some(Hooks { pre_get_sources_script, post_get_sources_script: read("post_get_sources_script") })
    }

    /// Variables, and what is said of them for people. Only global ones may be described.
    pub(super) fn variables(&mut self, at: &str, node: &Node, is_global: bool) -> (Variables, Vec<AboutVariable>) {
        let mut all = Variables::new();
        let mut about = Vec::new();
        let Some(map) = node.map() else {
            self.error(node.place, format!("{at} config should be a hash"));
            return (all, about);
        };
        for (key, entry) in &map.0 {
            if key.is_empty() || key.chars().count() > NAME_CHARS_MAX || key.contains(['=', '\0']) {
                self.error(entry.place, format!("{at} config should be a hash of names and values"));
                continue;
            }
            let place = format!("{at}:{}", key.to_lowercase());
            match &entry.node.yaml {
                Yaml::Map(_) => {
                    let (value, said) = self.described(&place, key, &entry.node, is_global);
                    all.extend(value.map(|value| (key.to_string(), value)));
                    about.extend(said);
                }
                Yaml::Null => {
                    all.insert(key.to_string(), FileVariable { value: String::new(), is_raw: false });
                }
                Yaml::Text(_) | Yaml::Int(_) | Yaml::Float(_) | Yaml::Bool(_) | Yaml::List(_) | Yaml::Reference(_) => {
                    match entry.node.scalar_text() {
                        Some(value) => {
                            all.insert(key.to_string(), FileVariable { value, is_raw: false });
                        }
                        None => {
                            let words = "config variable definition must be either a string or a hash";
                            self.error(entry.node.place, format!("{place} {words}"));
                        }
                    }
                }
            }
        }
        (all, about)
    }

    /// `{value, description, options, expand}`.
    fn described(
        &mut self,
        at: &str,
        key: &str,
        node: &Node,
        is_global: bool,
    ) -> (Option<FileVariable>, Option<AboutVariable>) {
        let Some(map) = node.map() else { return (None, None) };
        let allowed: &[&str] =
            if is_global { &["value", "description", "expand", "options"] } else { &["value", "expand"] };
        let unknown: Vec<&str> = map.keys().filter(|key| !allowed.contains(key)).collect();
        if !unknown.is_empty() {
            self.error(node.place, format!("{at} config uses invalid data keys: {}", unknown.join(", ")));
            return (None, None);
        }
        let value = map.get("value").and_then(Node::scalar_text);
        let is_raw = self.bool(at, map, "expand") == Some(false);
        let description = self.text(at, map, "description");
        let options: Vec<String> =
            map.set("options").and_then(Node::list).unwrap_or_default().iter().filter_map(Node::scalar_text).collect();
        if !options.is_empty() && !value.as_ref().is_some_and(|value| options.contains(value)) {
            self.error(node.place, format!("{at} config value must be present in options"));
        }
        let about = (description.is_some() || !options.is_empty()).then(|| AboutVariable {
            key: key.to_owned(),
            description,
            options,
        });
        (value.map(|value| FileVariable { value, is_raw }), about)
    }
}
