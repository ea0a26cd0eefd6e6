//! A checkout that is only values.

use baton::gitlab_ci::surroundings::{Base, Changes, Surroundings};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The files of a checkout, and what the push changed.
#[derive(Clone, Default)]
pub struct Checkout {
    pub files: BTreeMap<String, String>,
    pub changed: Option<Vec<String>>,
}

impl Surroundings for Checkout {
    fn file(&self, path: &str) -> Option<Vec<u8>> {
        self.files.get(path).map(|text| text.clone().into_bytes())
    }

    fn paths(&self) -> Arc<Vec<String>> {
        Arc::new(self.files.keys().cloned().collect())
    }

    fn changes(&self, _base: Base<'_>) -> Changes {
        match &self.changed {
            Some(paths) => Changes::Paths(Arc::new(paths.clone())),
            None => Changes::Unknown,
        }
    }

    fn last_commits(&self, paths: &[String]) -> Vec<String> {
        paths.iter().filter(|path| self.files.contains_key(*path)).map(|_| "c0ffee".to_owned()).collect()
    }
}
