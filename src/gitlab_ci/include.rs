//! `include`: files into files, depth first.
//!
//! What must stay true: included files are merged in the order of the list, and the including file over them; paths are
//! from the root of the checkout, or of the project that a file came from, and never lead out of it; at most 150 files
//! are included, which also ends a loop; a file is read and parsed once.

use super::context::Context;
use super::glob::Glob;
use super::merge::{Budget, merged};
use super::messages::{Finding, Report, did_you_mean};
use super::rules::{Conditions, Tester};
use super::surroundings::{Elsewhere, Surroundings, component_project};
use super::variables::Scope;
use super::yaml::{Documents, FILE_BYTES_MAX, Map, Node, Place, Yaml, load};
use super::{inputs, interpolate::Interpolation, keywords};
use std::borrow::Cow;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

/// Included files of a configuration.
const INCLUDES_MAX: usize = 150;
/// Bytes of all files of a configuration.
const BYTES_MAX: usize = 32 << 20;
const KEYS: [&str; 13] = [
    "local",
    "file",
    "remote",
    "project",
    "ref",
    "template",
    "component",
    "artifact",
    "job",
    "inputs",
    "rules",
    "integrity",
    "cache",
];

/// Where a file came from, and with it what its own local includes are relative to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Origin {
    Checkout,
    Project {
        project: String,
        reference: Option<String>,
    },
    /// A file without a project around it.
    Alone,
}

/// A file that is to be included.
struct Wanted<'a> {
    origin: Origin,
    /// As it is named in messages.
    name: String,
    source: WantedSource,
    inputs: Option<&'a Node>,
    place: Place,
}

enum WantedSource {
    Local(String),
    Project { project: String, reference: Option<String>, path: String },
    Component(String),
    Remote { url: String, integrity: Option<String> },
    Template(String),
    Artifact { job: String, path: String },
}

/// What reading a configuration needs and gathers.
pub(crate) struct Files<'a, 'c> {
    pub(crate) context: &'a Context,
    pub(crate) outside: &'a dyn Surroundings,
    pub(crate) tester: &'a Tester<'a>,
    pub(crate) report: &'a mut Report,
    pub(crate) budget: &'a mut Budget,
    /// Their names, by number.
    pub(crate) names: Vec<String>,
    /// Their texts, by number.
    pub(crate) texts: Vec<Cow<'c, [u8]>>,
    pub(crate) parsed: HashMap<String, Rc<Documents>>,
    pub(crate) public: HashMap<&'a str, &'a str>,
    pub(crate) included: usize,
    pub(crate) bytes: usize,
}

impl<'a, 'c> Files<'a, 'c> {
    /// The first file, with all that it includes.
    pub(crate) fn root(&mut self, content: &'c [u8]) -> Result<Map, Vec<Finding>> {
        let name = self.context.config_path.clone();
        let place = Place { file: 0, line: 1, column: 1 };
        let documents = self.parse(&name, Cow::Borrowed(content)).map_err(|finding| vec![finding])?;
        let Some(first) = documents.documents.first() else {
            return Err(vec![Finding::new(place, "Please provide content of .gitlab-ci.yml")]);
        };
        let given = inputs::of_text(first, &self.context.inputs, place);
        let map = self.document(&documents, &given, place)?;
        let map = map.ok_or_else(|| vec![Finding::new(place, "Invalid configuration format")])?;
        let whole = self.whole(&map, &Origin::Checkout, &[name])?;
        Ok(Map::clone(&whole))
    }

    fn parse(&mut self, name: &str, content: Cow<'c, [u8]>) -> Result<Rc<Documents>, Finding> {
        let file = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
        let start = Place { file, line: 1, column: 1 };
        let loaded = self.loaded(&content, start);
        self.names.push(name.to_owned());
        self.texts.push(content);
        loaded
    }

    fn loaded(&mut self, content: &[u8], start: Place) -> Result<Rc<Documents>, Finding> {
        self.bytes = self.bytes.saturating_add(content.len());
        if content.len() > FILE_BYTES_MAX || self.bytes > BYTES_MAX {
            return Err(Finding::new(start, "The parsed YAML is too big"));
        }
        let text = std::str::from_utf8(content).map_err(|_| Finding::new(start, "Invalid UTF-8"))?;
        let documents = load(text, start.file).map_err(|error| Finding::new(error.place, error.words))?;
        self.budget.spend(documents.nodes, start)?;
        for (key, first, last) in &documents.twice {
            let words = format!("the key {key} is written twice: line {} counts, not line {}", last.line, first.line);
            self.report.warn(Finding::new(*last, words));
        }
        Ok(Rc::new(documents))
    }

    /// The mapping of a file, with its inputs put in.
    fn document(&mut self, documents: &Documents, given: &Map, place: Place) -> Result<Option<Arc<Map>>, Vec<Finding>> {
        let has_spec = |node: &Node| node.map().is_some_and(|map| map.get("spec").is_some());
        let content = match documents.documents.as_slice() {
            [header, content] if has_spec(header) => {
                let values = inputs::values(header, given, place)?;
                let (inputs, budget) = (&values, &mut *self.budget);
                let mut interpolation = Interpolation { inputs, variables: &self.public, budget, bytes: 0 };
                interpolation.node(content).map_err(|finding| vec![finding])?
            }
            [content, ..] => {
                if !given.0.is_empty() {
                    let words = "Given inputs not defined in the `spec` section of the included configuration file";
                    return Err(vec![Finding::new(place, words)]);
                }
                content.clone()
            }
            [] => return Ok(None),
        };
        Ok(if let Yaml::Map(map) = content.yaml { Some(map) } else { None })
    }

    /// A file's mapping over all that it includes.
    fn whole(&mut self, map: &Arc<Map>, origin: &Origin, chain: &[String]) -> Result<Arc<Map>, Vec<Finding>> {
        let Some(entry) = map.0.get("include") else {
            return Ok(map.clone());
        };
        let one = |finding: Finding| vec![finding];
        let mut all = Arc::<Map>::default();
        let nodes = match &entry.node.yaml {
            Yaml::List(list) => list.as_slice(),
            Yaml::Null => &[],
            Yaml::Text(_) | Yaml::Map(_) | Yaml::Bool(_) | Yaml::Int(_) | Yaml::Float(_) | Yaml::Reference(_) => {
                std::slice::from_ref(&entry.node)
            }
        };
        for node in nodes {
            for wanted in self.wanted(node, origin).map_err(one)? {
                let file = self.included(&wanted, chain)?;
                all = merged(&all, &file, self.budget).map_err(one)?;
            }
        }
        let mut own = Map::clone(map);
        own.0.shift_remove("include");
        merged(&all, &Arc::new(own), self.budget).map_err(one)
    }

    fn included(&mut self, wanted: &Wanted<'_>, chain: &[String]) -> Result<Arc<Map>, Vec<Finding>> {
        let wrong = |words: String| vec![Finding::new(wanted.place, words)];
        self.included += 1;
        if self.included > INCLUDES_MAX {
            let last: Vec<&str> = chain.iter().rev().take(3).rev().map(String::as_str).collect();
            let hint =
                (chain.len() > 1).then(|| format!("included by one another: {} -> {}", last.join(" -> "), wanted.name));
            let words = format!("Maximum of {INCLUDES_MAX} nested includes are allowed!");
            return Err(vec![Finding::new(wanted.place, words).hint(hint)]);
        }
        let documents = self.content(wanted)?;
        let is_empty = documents.documents.iter().all(Node::is_null);
        if is_empty {
            return Err(wrong(format!("{} file `{}` is empty!", wanted.source.kind(), wanted.name)));
        }
        let empty = Map::default();
        let given = wanted.inputs.and_then(Node::map).unwrap_or(&empty);
        let map = self.document(&documents, given, wanted.place)?;
        let map =
            map.ok_or_else(|| wrong(format!("Included file `{}` does not have valid YAML syntax!", wanted.name)))?;
        let mut chain = chain.to_vec();
        chain.push(wanted.name.clone());
        self.whole(&map, &wanted.origin, &chain)
    }

    fn content(&mut self, wanted: &Wanted<'_>) -> Result<Rc<Documents>, Vec<Finding>> {
        let key = format!("{:?} {}", wanted.origin, wanted.name);
        if let Some(documents) = self.parsed.get(&key) {
            return Ok(documents.clone());
        }
        let elsewhere = match &wanted.source {
            WantedSource::Local(path) => {
                let content = self.outside.file(path).ok_or_else(|| {
                    let words = format!("Local file `{}` does not exist!", wanted.name);
                    let paths = self.outside.paths();
                    let near =
                        did_you_mean(&wanted.name, paths.iter().map(String::as_str).filter(|path| is_yaml(path)));
                    vec![Finding::new(wanted.place, words).hint(near)]
                })?;
                Ok(content)
            }
            WantedSource::Project { project, reference, path } => {
                self.outside.elsewhere(Elsewhere::Project { project, reference: reference.as_deref(), path })
            }
            WantedSource::Component(name) => self.outside.elsewhere(Elsewhere::Component(name)),
            WantedSource::Remote { url, integrity } => {
                self.outside.elsewhere(Elsewhere::Remote { url, integrity: integrity.as_deref() })
            }
            WantedSource::Template(name) => self.outside.elsewhere(Elsewhere::Template(name)),
            WantedSource::Artifact { job, path } => self.outside.elsewhere(Elsewhere::Artifact { job, path }),
        };
        let content =
            elsewhere.map_err(|refusal| vec![Finding::new(wanted.place, refusal.words).hint(refusal.hint)])?;
        let documents = self.parse(&wanted.name, Cow::Owned(content)).map_err(|finding| vec![finding])?;
        self.parsed.insert(key, documents.clone());
        Ok(documents)
    }

    /// The files that an entry of `include` means; none if its rules say so.
    fn wanted<'n>(&mut self, node: &'n Node, origin: &Origin) -> Result<Vec<Wanted<'n>>, Finding> {
        let place = node.place;
        if let Some(text) = node.text() {
            let text = self.expand(text);
            return if text.starts_with("http://") || text.starts_with("https://") {
                self.remote(&text, None, place).map(|wanted| vec![wanted])
            } else {
                self.local(&text, origin, None, place)
            };
        }
        let Some(map) = node.map() else {
            return Err(Finding::new(place, "include config should be an array of hashes or strings"));
        };
        if let Some((unknown, entry)) = map.0.iter().find(|(key, _)| !KEYS.contains(&&***key)) {
            let words = format!("include config contains unknown keys: {unknown}");
            return Err(Finding::new(entry.place, words).hint(did_you_mean(unknown, KEYS)));
        }
        if let Some(rules) = map.set("rules")
            && !self.holds(rules)?
        {
            return Ok(Vec::new());
        }
        let inputs = map.set("inputs");
        if let Some(inputs) = inputs.filter(|inputs| inputs.map().is_none()) {
            return Err(Finding::new(inputs.place, "include:inputs config should be a hash"));
        }
        let text = |key: &str| map.set(key).and_then(Node::text).map(|text| self.expand(text));
        if let Some(path) = text("local") {
            self.local(&path, origin, inputs, place)
        } else if let Some(project) = text("project") {
            self.project(&project, text("ref"), map, inputs, place)
        } else if let Some(url) = text("remote") {
            let wanted = self.remote(&url, text("integrity"), place)?;
            Ok(vec![Wanted { inputs, ..wanted }])
        } else if let Some(name) = text("component") {
            Ok(vec![component(name, inputs, place)])
        } else if let Some(name) = text("template") {
            let source = WantedSource::Template(name.clone());
            Ok(vec![Wanted { origin: Origin::Alone, name, source, inputs, place }])
        } else if let (Some(path), Some(job)) = (text("artifact"), text("job")) {
            let name = format!("{job}:{path}");
            let source = WantedSource::Artifact { job, path };
            Ok(vec![Wanted { origin: Origin::Checkout, name, source, inputs, place }])
        } else {
            Err(Finding::new(place, "Each include must contain one of: local, project, remote, template, component"))
        }
    }

    fn scope(&self) -> Scope<'_> {
        Scope { given: &self.tester.given, file: Vec::new(), predefined: vec![&self.tester.predefined] }
    }

    fn expand(&self, text: &str) -> String {
        self.scope().expand(text)
    }

    /// Whether `include:rules` let a file in.
    fn holds(&mut self, node: &Node) -> Result<bool, Finding> {
        let mut reader = keywords::Reader::new(self.report, self.tester);
        let rules = reader.include_rules(node);
        if !self.report.is_good() {
            return Ok(false);
        }
        for rule in &rules {
            let conditions: &Conditions = &rule.conditions;
            if self.tester.holds(conditions, &self.scope(), "include")? {
                return Ok(!rule.is_never());
            }
        }
        Ok(false)
    }

    fn local<'n>(
        &self,
        path: &str,
        origin: &Origin,
        inputs: Option<&'n Node>,
        place: Place,
    ) -> Result<Vec<Wanted<'n>>, Finding> {
        let name = path.trim_start_matches('/').to_owned();
        if name.contains('*') && *origin == Origin::Checkout {
            let glob = Glob::of_include(&name);
            let paths = self.outside.paths();
            let found = paths.iter().filter(|path| is_yaml(path) && glob.matches(path)).take(INCLUDES_MAX + 1);
            return Ok(found
                .map(|path| {
                    let (name, source) = (path.clone(), WantedSource::Local(path.clone()));
                    Wanted { origin: Origin::Checkout, name, source, inputs, place }
                })
                .collect());
        }
        check_path(&name, place)?;
        let source = match origin {
            Origin::Checkout => WantedSource::Local(name.clone()),
            Origin::Project { project, reference } => {
                WantedSource::Project { project: project.clone(), reference: reference.clone(), path: name.clone() }
            }
            Origin::Alone => {
                return Err(Finding::new(
                    place,
                    format!("Local file `{name}` cannot be included by a file without a project"),
                ));
            }
        };
        Ok(vec![Wanted { origin: origin.clone(), name, source, inputs, place }])
    }

    fn remote<'n>(&self, url: &str, integrity: Option<String>, place: Place) -> Result<Wanted<'n>, Finding> {
        if !url.starts_with("https://") {
            return Err(Finding::new(place, format!("Remote file `{url}` does not have a valid address!"))
                .hint(Some("Baton fetches by https only".to_owned())));
        }
        let source = WantedSource::Remote { url: url.to_owned(), integrity };
        Ok(Wanted { origin: Origin::Alone, name: url.to_owned(), source, inputs: None, place })
    }

    fn project<'n>(
        &self,
        project: &str,
        reference: Option<String>,
        map: &'n Map,
        inputs: Option<&'n Node>,
        place: Place,
    ) -> Result<Vec<Wanted<'n>>, Finding> {
        let Some(file) = map.set("file") else {
            return Err(Finding::new(place, format!("Project `{project}` needs a `file`")));
        };
        let files = file.list().unwrap_or_else(|| std::slice::from_ref(file));
        let mut all = Vec::new();
        for file in files {
            let Some(text) = file.text() else {
                return Err(Finding::new(file.place, "include:file config should be a string or an array of strings"));
            };
            let path = self.expand(text).trim_start_matches('/').to_owned();
            check_path(&path, file.place)?;
            let origin = Origin::Project { project: project.to_owned(), reference: reference.clone() };
            let name = path.clone();
            let source = WantedSource::Project { project: project.to_owned(), reference: reference.clone(), path };
            all.push(Wanted { origin, name, source, inputs, place });
        }
        Ok(all)
    }
}

impl WantedSource {
    fn kind(&self) -> &'static str {
        match self {
            WantedSource::Local(_) => "Local",
            WantedSource::Project { .. } => "Project",
            WantedSource::Component(_) => "Component",
            WantedSource::Remote { .. } => "Remote",
            WantedSource::Template(_) => "Template",
            WantedSource::Artifact { .. } => "Artifact",
        }
    }
}

fn component(name: String, inputs: Option<&Node>, place: Place) -> Wanted<'_> {
    let project = component_project(&name).to_owned();
    let reference = name.split_once('@').map(|(_, version)| version.to_owned());
    let source = WantedSource::Component(name.clone());
    Wanted { origin: Origin::Project { project, reference }, name, source, inputs, place }
}

fn is_yaml(path: &str) -> bool {
    [".yml", ".yaml"].iter().any(|ending| path.ends_with(ending))
}

/// A path that stays below its root, and has the ending of YAML.
fn check_path(path: &str, place: Place) -> Result<(), Finding> {
    if !is_yaml(path) {
        return Err(Finding::new(place, format!("Included file `{path}` does not have YAML extension!")));
    }
    if path.contains('\0') || path.split('/').any(|part| part == "..") {
        return Err(Finding::new(place, format!("Local file `{path}` does not exist!")));
    }
    Ok(())
}
