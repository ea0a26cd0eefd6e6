//! `cache`: one or several.

use super::Reader;
use crate::domain::spec::CACHES_MAX;
use crate::gitlab_ci::yaml::{Map, Node};

const FALLBACK_KEYS_MAX: usize = 5;
const KEY_FILES_MAX: usize = 2;
const KEYS: [&str; 7] = ["key", "untracked", "paths", "when", "policy", "unprotect", "fallback_keys"];
const POLICIES: [&str; 3] = ["pull-push", "push", "pull"];
const WHEN: [&str; 3] = ["on_success", "on_failure", "always"];

/// A cache, before its key is made.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cache {
    pub(crate) key: CacheKey,
    pub(crate) paths: Vec<String>,
    pub(crate) untracked: bool,
    pub(crate) policy: Option<String>,
    pub(crate) when: Option<String>,
    pub(crate) fallback_keys: Vec<String>,
    pub(crate) unprotect: bool,
}

/// Where a cache's key comes from.
#[derive(Clone, Debug, Default)]
pub(crate) enum CacheKey {
    #[default]
    Default,
    Text(String),
    Files {
        files: Vec<String>,
        prefix: Option<String>,
    },
}

impl Reader<'_> {
    pub(super) fn caches(&mut self, at: &str, node: &Node) -> Option<Vec<Cache>> {
        let nodes = node.list().unwrap_or_else(|| std::slice::from_ref(node));
        if nodes.len() > CACHES_MAX {
            self.error(node.place, format!("{at} config no more than {CACHES_MAX} caches can be created"));
        }
        Some(nodes.iter().filter_map(|node| self.cache(at, node)).collect())
    }

    /// An empty hash is no cache.
    fn cache(&mut self, at: &str, node: &Node) -> Option<Cache> {
        let map = self.map(at, node, &KEYS)?;
        if map.0.is_empty() {
            return None;
        }
        let key = map.set("key").map(|node| self.cache_key(&format!("{at}:key"), node)).unwrap_or_default();
        let words = format!("{at}:paths config should be an array of strings");
        let paths = map.set("paths").and_then(|node| self.strings(node, &words)).unwrap_or_default();
        let words = format!("{at} fallback keys should be an array of strings");
        let fallback_keys = map.set("fallback_keys").and_then(|node| self.strings(node, &words)).unwrap_or_default();
        if fallback_keys.len() > FALLBACK_KEYS_MAX {
            let words = format!("{at} fallback keys has to many entries (maximum {FALLBACK_KEYS_MAX})");
            self.error(node.place, words);
        }
        let mut flag = |key: &str| {
            let node = map.set(key)?;
            if node.bool().is_none() {
                self.error(node.place, format!("{at}:{key} config should be a boolean value"));
            }
            node.bool()
        };
        let untracked = flag("untracked").unwrap_or_default();
        let unprotect = flag("unprotect").unwrap_or_default();
        let policy = self.policy_word(at, map);
        let when = self.choice(at, map, "when", &WHEN);
        Some(Cache { key, paths, untracked, policy, when, fallback_keys, unprotect })
    }

    fn policy_word(&mut self, at: &str, map: &Map) -> Option<String> {
        let node = map.set("policy")?;
        let text = node.text().filter(|text| POLICIES.contains(text) || text.starts_with('$'));
        if text.is_none() {
            let words = format!("{at} policy should be a variable or one of: {}", POLICIES.join(", "));
            let hint = node.text().and_then(|text| crate::gitlab_ci::messages::did_you_mean(text, POLICIES));
            self.report.error(crate::gitlab_ci::messages::Finding::new(node.place, words).hint(hint));
        }
        text.map(str::to_owned)
    }

    fn cache_key(&mut self, at: &str, node: &Node) -> CacheKey {
        if let Some(text) = node.text() {
            return CacheKey::Text(text.to_owned());
        }
        let Some(map) = node.map() else {
            self.error(node.place, format!("{at} should be a hash, a string or a symbol"));
            return CacheKey::Default;
        };
        self.check_keys(at, map, &["files", "files_commits", "prefix"]);
        let prefix = self.text(at, map, "prefix");
        let Some(node) = map.set("files").or_else(|| map.set("files_commits")) else {
            self.error(node.place, format!("{at} config missing required keys: files"));
            return CacheKey::Default;
        };
        let at = format!("{at}:files");
        let Some(files) = self.strings(node, &format!("{at} config should be an array of strings")) else {
            return CacheKey::Default;
        };
        if files.is_empty() {
            self.error(node.place, format!("{at} config requires at least 1 item"));
        }
        if files.len() > KEY_FILES_MAX {
            self.error(node.place, format!("{at} config has too many items (maximum is {KEY_FILES_MAX})"));
        }
        CacheKey::Files { files, prefix }
    }
}
