//! A job, before defaults and rules are applied to it.

use super::tables::{BRIDGE, JOB};
use super::{Artifacts, Cache, EnvironmentEntry, NeedEntry, Parallel, Policy, Reader, Rule, TriggerEntry, below};
use crate::domain::pipeline::{Span, When};
use crate::domain::spec::{AllowFailure, Hooks, Image, Retry, Service};
use crate::gitlab_ci::messages::Finding;
use crate::gitlab_ci::variables::Variables;
use crate::gitlab_ci::yaml::{Map, Node, Place, to_json};
use serde_json::Value;

/// Tags of a job.
const TAGS_MAX: usize = 50;

/// What `default` may say too.
#[derive(Clone, Debug, Default)]
pub(crate) struct Common {
    pub(crate) image: Option<Image>,
    pub(crate) services: Option<Vec<Service>>,
    pub(crate) before_script: Option<Vec<String>>,
    pub(crate) after_script: Option<Vec<String>>,
    pub(crate) artifacts: Option<Artifacts>,
    pub(crate) cache: Option<Vec<Cache>>,
    pub(crate) hooks: Option<Hooks>,
    pub(crate) retry: Option<Retry>,
    pub(crate) tags: Option<Vec<String>>,
    pub(crate) interruptible: Option<bool>,
    pub(crate) timeout_s: Option<u64>,
    /// Names of the variables that tokens would be given in.
    pub(crate) id_tokens: Option<Vec<String>>,
}

/// What a job takes from others.
#[derive(Clone, Debug)]
pub(crate) enum Inherit {
    All,
    None,
    Some(Vec<String>),
}

impl Inherit {
    pub(crate) fn has(&self, name: &str) -> bool {
        match self {
            Inherit::All => true,
            Inherit::None => false,
            Inherit::Some(names) => names.iter().any(|known| known == name),
        }
    }
}

/// A job as the file has it.
#[derive(Clone, Debug)]
pub(crate) struct JobConfig {
    pub(crate) name: String,
    pub(crate) place: Place,
    pub(crate) script: Vec<String>,
    pub(crate) run: Option<Value>,
    pub(crate) common: Common,
    pub(crate) stage: Option<(String, Place)>,
    pub(crate) when: Option<When>,
    pub(crate) start_in: Option<Span>,
    pub(crate) allow_failure: Option<AllowFailure>,
    pub(crate) variables: Variables,
    pub(crate) needs: Option<Vec<NeedEntry>>,
    pub(crate) dependencies: Option<Vec<(String, Place)>>,
    pub(crate) rules: Option<Vec<Rule>>,
    pub(crate) only: Option<Policy>,
    pub(crate) except: Option<Policy>,
    pub(crate) parallel: Option<Parallel>,
    pub(crate) environment: Option<EnvironmentEntry>,
    pub(crate) resource_group: Option<String>,
    pub(crate) coverage: Option<String>,
    pub(crate) inherit_default: Inherit,
    pub(crate) inherit_variables: Inherit,
    pub(crate) trigger: Option<TriggerEntry>,
    pub(crate) secrets: Vec<String>,
    pub(crate) manual_confirmation: Option<String>,
    /// Why it cannot run here.
    pub(crate) refused: Option<String>,
}

impl Reader<'_> {
    /// Keywords that `default` takes too; `at` is empty for the old global forms.
    pub(super) fn common(&mut self, at: &str, map: &Map) -> Common {
        let mut common = Common::default();
        for (key, entry) in map.0.iter().filter(|(_, entry)| !entry.node.is_null()) {
            let (node, at) = (&entry.node, below(at, key));
            match &**key {
                "image" => common.image = self.image(&at, node),
                "services" => common.services = self.services(&at, node),
                "before_script" => common.before_script = self.script(&at, node),
                "after_script" => common.after_script = self.script(&at, node),
                "artifacts" => common.artifacts = self.artifacts(&at, node),
                "cache" => common.cache = self.caches(&at, node),
                "hooks" => common.hooks = self.hooks(&at, node),
                "retry" => common.retry = self.retry(&at, node),
                "tags" => common.tags = self.tags(&at, node),
                "timeout" => common.timeout_s = self.timeout(&at, node),
                "id_tokens" => {
                    common.id_tokens = self.map_of_any(&at, node).map(|map| map.keys().map(str::to_owned).collect());
                }
                "interruptible" => {
                    common.interruptible = node.bool();
                    if node.bool().is_none() {
                        self.error(node.place, format!("{at} config should be a boolean value"));
                    }
                }
                "identity" => self.without_effect("identity", node.place, "Baton gives no identities of clouds"),
                _ => {}
            }
        }
        common
    }

    fn map_of_any<'n>(&mut self, at: &str, node: &'n Node) -> Option<&'n Map> {
        if node.map().is_none() {
            self.error(node.place, format!("{at} config should be a hash"));
        }
        node.map()
    }

    fn tags(&mut self, at: &str, node: &Node) -> Option<Vec<String>> {
        let tags = self.strings(node, &format!("{at} config should be an array of strings"))?;
        if tags.len() > TAGS_MAX {
            self.error(node.place, format!("{at} config must be less than the limit of {TAGS_MAX} tags"));
        }
        Some(tags)
    }

    /// A job; `None`: it is none, which is told.
    pub(super) fn job(&mut self, name: &str, node: &Node, place: Place) -> Option<JobConfig> {
        let map = node.map().filter(|map| ["script", "run", "trigger"].iter().any(|key| map.get(key).is_some()));
        let Some(map) = map else {
            let words = format!("jobs {name} config should implement the script:, run:, or trigger: keyword");
            self.error(place, words);
            if let Some(map) = node.map() {
                self.check_keys(&format!("jobs:{name}"), map, &JOB);
            }
            return None;
        };
        let at = format!("jobs:{name}");
        self.check_job(&at, map);
        let script = self.job_script(&at, map, place);
        let mut common = self.common(&at, map);
        if map.set("trigger").is_some() {
            common = Common { interruptible: common.interruptible, ..Common::default() };
        }
        let when = self.choice(&at, map, "when", &When::ALL.map(When::as_str)).and_then(|word| When::parse(&word));
        let has_rules = map.set("rules").is_some();
        let start_in = if has_rules { None } else { self.start_in(&at, map, when == Some(When::Delayed)) };
        let needs = map.set("needs").and_then(|node| self.needs(&format!("{at}:needs"), node));
        let (needs, refused) = needs.map_or((None, None), |(needs, refused)| (Some(needs), refused));
        let (inherit_default, inherit_variables) = self.inherit(&at, map);
        let entry = |key: &str| map.set(key).map(|node| (node, format!("{at}:{key}")));
        Some(JobConfig {
            name: name.to_owned(),
            place,
            script,
            run: map.set("run").map(to_json),
            common,
            stage: self.stage(&at, map),
            when,
            start_in,
            allow_failure: map.set("allow_failure").and_then(|node| self.allow_failure(&at, node)),
            variables: entry("variables").map(|(node, at)| self.variables(&at, node, false).0).unwrap_or_default(),
            needs,
            dependencies: self.dependencies(&at, map),
            rules: map.set("rules").map(|node| self.job_rules(&at, node)),
            only: entry("only").and_then(|(node, at)| self.policy(&at, node)),
            except: entry("except").and_then(|(node, at)| self.policy(&at, node)),
            parallel: entry("parallel").and_then(|(node, at)| self.parallel(&at, node)),
            environment: entry("environment").and_then(|(node, at)| self.environment(&at, node)),
            resource_group: self.text(&at, map, "resource_group"),
            coverage: entry("coverage").and_then(|(node, at)| self.coverage(&at, node)),
            inherit_default,
            inherit_variables,
            trigger: entry("trigger").and_then(|(node, at)| self.trigger(&at, node)),
            secrets: map
                .set("secrets")
                .and_then(Node::map)
                .into_iter()
                .flat_map(Map::keys)
                .map(str::to_owned)
                .collect(),
            manual_confirmation: self.text(&at, map, "manual_confirmation"),
            refused,
        })
    }

    /// Unknown keys, keys that exclude each other, and keys without effect.
    fn check_job(&mut self, at: &str, map: &Map) {
        let is_set = |key: &&&str| map.set(key).is_some();
        let place_of = |key: &str| map.0.get(key).map(|entry| entry.place).unwrap_or_default();
        let together: Vec<&str> = ["script", "run", "trigger"].iter().filter(is_set).copied().collect();
        let is_bridge = map.set("trigger").is_some();
        if let [first, _, ..] = together.as_slice() {
            let words = format!("{at} config these keys cannot be used together: {}", together.join(", "));
            self.error(place_of(first), words);
        } else {
            self.check_keys(at, map, if is_bridge { &BRIDGE } else { &JOB });
        }
        let beside: Vec<&str> = ["only", "except", "start_in"].iter().filter(is_set).copied().collect();
        if let (true, Some(first)) = (map.set("rules").is_some(), beside.first()) {
            let words = format!("{at} config key may not be used with `rules`: {}", beside.join(", "));
            self.error(place_of(first), words);
        }
        for (key, why) in [
            ("release", "the script runs, and nothing is published"),
            ("pages", "the script runs, and nothing is published"),
            ("publish", "the script runs, and nothing is published"),
            ("dast_configuration", "it is GitLab's own"),
        ] {
            if map.set(key).is_some() {
                self.without_effect(key, place_of(key), why);
            }
        }
    }

    fn job_script(&mut self, at: &str, map: &Map, place: Place) -> Vec<String> {
        let Some(node) = map.get("script") else { return Vec::new() };
        let is_blank = node.is_null() || node.text() == Some("") || node.list().is_some_and(<[Node]>::is_empty);
        if is_blank {
            self.error(place, format!("{at} script can't be blank"));
            return Vec::new();
        }
        self.script(&format!("{at}:script"), node).unwrap_or_default()
    }

    fn stage(&mut self, at: &str, map: &Map) -> Option<(String, Place)> {
        let node = map.set("stage")?;
        if node.text().is_none() {
            self.error(node.place, format!("{at}:stage config should be a string"));
        }
        node.text().map(|text| (text.to_owned(), node.place))
    }

    fn dependencies(&mut self, at: &str, map: &Map) -> Option<Vec<(String, Place)>> {
        let node = map.set("dependencies")?;
        let names = self.strings(node, &format!("{at} dependencies should be an array of strings"))?;
        let places = node.list().unwrap_or_default().iter().map(|node| node.place);
        Some(names.into_iter().zip(places).collect())
    }

    fn inherit(&mut self, at: &str, map: &Map) -> (Inherit, Inherit) {
        let at = format!("{at}:inherit");
        let map = map.set("inherit").and_then(|node| self.map(&at, node, &["default", "variables"]));
        let Some(map) = map else { return (Inherit::All, Inherit::All) };
        let default = self.inherited(&format!("{at}:default"), map.set("default"), Some(&super::tables::DEFAULT));
        (default, self.inherited(&format!("{at}:variables"), map.set("variables"), None))
    }

    fn inherited(&mut self, at: &str, node: Option<&Node>, known: Option<&[&str]>) -> Inherit {
        let Some(node) = node else { return Inherit::All };
        if let Some(is) = node.bool() {
            return if is { Inherit::All } else { Inherit::None };
        }
        let Some(names) = self.strings(node, &format!("{at} config should be a boolean or an array of strings")) else {
            return Inherit::All;
        };
        let unknown = known.and_then(|known| Some((known, names.iter().find(|name| !known.contains(&name.as_str()))?)));
        if let Some((known, name)) = unknown {
            let hint = crate::gitlab_ci::messages::did_you_mean(name, known.iter().copied());
            let words = format!("{at} config contains unknown values: {name}");
            self.report.error(Finding::new(node.place, words).hint(hint));
        }
        Inherit::Some(names)
    }
}
