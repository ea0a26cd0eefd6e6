//! Reads the files of cases.

use baton::gitlab_ci::yaml::{Map, Node, load};
use std::path::Path;

/// A case.
pub struct Case {
    pub name: String,
    pub file: String,
    pub is_uncertain: bool,
    pub node: Node,
}

impl Case {
    /// A key of it, if it is there; null counts as there.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.map().get(key)
    }

    pub fn map(&self) -> &Map {
        self.node.map().expect("a case is a mapping")
    }

    pub fn text(&self, key: &str) -> &str {
        self.get(key).and_then(Node::text).unwrap_or_else(|| panic!("{}: {key} is a text", self.name))
    }

    pub fn kind(&self) -> &str {
        self.get("kind").and_then(Node::text).unwrap_or("pipeline")
    }
}

/// All cases, in the order of files and of writing.
pub fn all() -> Vec<Case> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/gitlab-ci-cases");
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let mut all = Vec::new();
    for path in paths.iter().filter(|path| path.extension().is_some_and(|ending| ending == "yml")) {
        let text = std::fs::read_to_string(path).unwrap();
        let documents = load(&text, 0).unwrap_or_else(|error| panic!("{}: {error:?}", path.display()));
        for node in documents.documents[0].list().expect("a file is a list of cases") {
            let map = node.map().expect("a case is a mapping");
            all.push(Case {
                name: map.get("name").and_then(Node::text).expect("a case has a name").to_owned(),
                file: path.file_name().unwrap().to_string_lossy().into_owned(),
                is_uncertain: map.get("uncertain").and_then(Node::bool) == Some(true),
                node: node.clone(),
            });
        }
    }
    all
}
