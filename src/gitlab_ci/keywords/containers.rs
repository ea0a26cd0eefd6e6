//! `image` and `services`.

use super::Reader;
use crate::domain::spec::{Image, Service};
use crate::gitlab_ci::yaml::{Map, Node, to_json};

const IMAGE_KEYS: [&str; 6] = ["name", "entrypoint", "pull_policy", "docker", "kubernetes", "ports"];
const SERVICE_KEYS: [&str; 9] =
    ["name", "alias", "command", "entrypoint", "variables", "pull_policy", "docker", "kubernetes", "ports"];
const PULL_POLICIES: [&str; 3] = ["always", "never", "if-not-present"];

impl Reader<'_> {
    pub(super) fn image(&mut self, at: &str, node: &Node) -> Option<Image> {
        self.container(at, node, &IMAGE_KEYS).map(|(image, _)| image)
    }

    pub(super) fn services(&mut self, at: &str, node: &Node) -> Option<Vec<Service>> {
        let Some(list) = node.list() else {
            self.error(node.place, format!("{at} config should be a array"));
            return None;
        };
        let at = format!("{at}:service");
        Some(list.iter().filter_map(|node| self.service(&at, node)).collect())
    }

    fn service(&mut self, at: &str, node: &Node) -> Option<Service> {
        let (image, map) = self.container(at, node, &SERVICE_KEYS)?;
        let Some(map) = map else { return Some(Service { image, ..Service::default() }) };
        let command = map.set("command").and_then(|node| {
            self.string_or_strings(node, &format!("{at} command should be a string or an array of strings"))
        });
        let variables = map.set("variables").map(|node| self.variables(&format!("{at}:variables"), node, false).0);
        let variables = variables.unwrap_or_default().into_iter().map(|(key, value)| (key, value.value)).collect();
        Some(Service { image, alias: self.text(at, map, "alias"), command, variables })
    }

    fn container<'n>(&mut self, at: &str, node: &'n Node, keys: &[&str]) -> Option<(Image, Option<&'n Map>)> {
        if let Some(name) = node.text() {
            return Some((Image { name: name.to_owned(), ..Image::default() }, None));
        }
        let Some(map) = node.map() else {
            self.error(node.place, format!("{at} config should be a hash or a string"));
            return None;
        };
        self.check_keys(at, map, keys);
        let Some(name) = map.set("name") else {
            self.error(node.place, format!("{at} config missing required keys: name"));
            return None;
        };
        let Some(name) = name.text() else {
            self.error(name.place, format!("{at} name should be a string"));
            return None;
        };
        let entrypoint = map
            .set("entrypoint")
            .and_then(|node| self.string_or_strings(node, &format!("{at} entrypoint should be an array of strings")));
        let words = format!("{at}:pull_policy config should be an array of strings or a string");
        let pull_policy = map.set("pull_policy").and_then(|node| self.string_or_strings(node, &words));
        let pull_policy = pull_policy.unwrap_or_default();
        if let Some(node) = map.get("pull_policy")
            && pull_policy.iter().any(|policy| !PULL_POLICIES.contains(&policy.as_str()))
        {
            let known = PULL_POLICIES.join(", ");
            self.error(node.place, format!("{at}:pull_policy config should contain only: {known}"));
        }
        let options = ["docker", "kubernetes"].into_iter();
        let options = options.filter_map(|key| Some((key.to_owned(), to_json(map.set(key)?))));
        let image = Image { name: name.to_owned(), entrypoint, pull_policy, executor_opts: options.collect() };
        Some((image, Some(map)))
    }
}
