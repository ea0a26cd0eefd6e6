//! `trigger`: jobs that make another pipeline.

use super::Reader;
use crate::domain::pipeline::{ChildSource, Trigger};
use crate::gitlab_ci::yaml::{Map, Node, to_json};
use serde_json::{Map as Json, Value};

const KEYS: [&str; 6] = ["project", "branch", "include", "strategy", "forward", "inputs"];
const STRATEGIES: [&str; 2] = ["depend", "mirror"];
const INCLUDE_KEYS: [&str; 10] =
    ["local", "artifact", "job", "file", "project", "ref", "template", "component", "inputs", "remote"];
const FILES_MAX: usize = 3;

/// What a trigger job makes.
#[derive(Clone, Debug)]
pub(crate) enum TriggerEntry {
    Child(Box<Trigger>),
    /// A pipeline of another project, which is not Baton's.
    Project(String),
}

impl Reader<'_> {
    pub(super) fn trigger(&mut self, at: &str, node: &Node) -> Option<TriggerEntry> {
        if let Some(project) = node.text() {
            return Some(TriggerEntry::Project(project.to_owned()));
        }
        if node.map().is_none() {
            self.error(node.place, format!("{at} has to be either a string or a hash"));
            return None;
        }
        let map = self.map(at, node, &KEYS)?;
        let strategy = self.choice(at, map, "strategy", &STRATEGIES);
        let (file, given) = self.forward(at, map);
        if let Some(project) = self.text(at, map, "project") {
            return Some(TriggerEntry::Project(project));
        }
        let Some(include) = map.set("include") else {
            self.error(node.place, format!("{at} config should contain either `project` or `include`"));
            return None;
        };
        let inputs = self.inputs(at, map);
        let nodes = include.list().unwrap_or_else(|| std::slice::from_ref(include));
        if nodes.len() > FILES_MAX {
            self.error(include.place, format!("{at}:include config is too long (maximum is {FILES_MAX})"));
        }
        let at = format!("{at}:include");
        let include = nodes.iter().filter_map(|node| self.child_source(&at, node, &inputs)).collect();
        Some(TriggerEntry::Child(Box::new(Trigger {
            include,
            depends: strategy.is_some(),
            forward_file_variables: file,
            forward_given_variables: given,
        })))
    }

    fn inputs(&mut self, at: &str, map: &Map) -> Json<String, Value> {
        let Some(node) = map.set("inputs") else { return Json::new() };
        if let Value::Object(inputs) = to_json(node) {
            return inputs;
        }
        self.error(node.place, format!("{at}:inputs config should be a hash"));
        Json::new()
    }

    /// Whether variables of the file, and given ones, are passed on.
    fn forward(&mut self, at: &str, map: &Map) -> (bool, bool) {
        let at = format!("{at}:forward");
        let forward =
            map.set("forward").and_then(|node| self.map(&at, node, &["yaml_variables", "pipeline_variables"]));
        let Some(map) = forward else { return (true, false) };
        let file = self.bool(&at, map, "yaml_variables").unwrap_or(true);
        (file, self.bool(&at, map, "pipeline_variables").unwrap_or_default())
    }

    fn child_source(&mut self, at: &str, node: &Node, outer: &Json<String, Value>) -> Option<ChildSource> {
        if let Some(path) = node.text() {
            let path = path.trim_start_matches('/').to_owned();
            return Some(ChildSource::Local { path, inputs: outer.clone() });
        }
        if node.map().is_none() {
            self.error(node.place, format!("{at} config should be a hash or a string"));
            return None;
        }
        let map = self.map(at, node, &INCLUDE_KEYS)?;
        let mut inputs = outer.clone();
        inputs.extend(self.inputs(at, map));
        if let Some(path) = self.text(at, map, "artifact") {
            let Some(job) = self.text(at, map, "job") else {
                self.error(node.place, format!("{at} config must specify the job where to fetch the artifact from"));
                return None;
            };
            return Some(ChildSource::Artifact { path, job, inputs });
        }
        match self.text(at, map, "local") {
            Some(path) => Some(ChildSource::Local { path: path.trim_start_matches('/').to_owned(), inputs }),
            None => Some(ChildSource::Other(to_json(node))),
        }
    }
}
