//! The whole: `stages`, `variables`, `default`, `workflow`, and all visible jobs.

use super::tables::{DEFAULT, GLOBAL, GLOBAL_DEFAULTS};
use super::{Common, JobConfig, NESTED_MAX, Reader, Rule, flattened};
use crate::domain::pipeline::AboutVariable;
use crate::gitlab_ci::messages::Finding;
use crate::gitlab_ci::variables::Variables;
use crate::gitlab_ci::yaml::{Map, Node, Place};

/// Characters of a job's name.
const NAME_CHARS_MAX: usize = 255;

/// Visible jobs of a file, before rules leave some out.
const JOBS_MAX: usize = 10_000;

/// A configuration whose shape is right.
#[derive(Debug, Default)]
pub(crate) struct Global {
    pub(crate) stages: Vec<String>,
    pub(crate) variables: Variables,
    pub(crate) about_variables: Vec<AboutVariable>,
    pub(crate) default: Common,
    pub(crate) workflow: Workflow,
    pub(crate) jobs: Vec<JobConfig>,
}

/// `workflow`.
#[derive(Debug, Default)]
pub(crate) struct Workflow {
    pub(crate) name: Option<String>,
    /// `None`: there are none, so that each pipeline is let through.
    pub(crate) rules: Option<Vec<Rule>>,
}

impl Reader<'_> {
    pub(crate) fn global(&mut self, config: &Map) -> Global {
        let stages = config.set("stages").and_then(|node| self.stages(node));
        let default = self.default(config);
        let variables = config.set("variables").map(|node| self.variables("variables", node, true));
        let (variables, about_variables) = variables.unwrap_or_default();
        let workflow = config.set("workflow").map(|node| self.workflow(node)).unwrap_or_default();
        let jobs = self.jobs(config);
        Global { stages: with_ends(stages), variables, about_variables, default, workflow, jobs }
    }

    fn stages(&mut self, node: &Node) -> Option<Vec<String>> {
        let mut nodes = Vec::new();
        let is_flat = node.list().is_some() && flattened(node, 1, &mut nodes).is_some();
        let texts: Option<Vec<String>> = nodes.iter().map(|node| node.text().map(str::to_owned)).collect();
        let texts = texts.filter(|_| is_flat);
        if texts.is_none() {
            let words = "stages config should be an array of strings or a nested array of strings up to";
            self.error(node.place, format!("{words} {NESTED_MAX} levels deep"));
        }
        texts
    }

    fn default(&mut self, config: &Map) -> Common {
        let mut old = Map::default();
        for key in GLOBAL_DEFAULTS {
            if let Some(entry) = config.0.get(key) {
                old.0.insert(key.into(), entry.clone());
            }
        }
        let global = self.common("", &old);
        let Some(node) = config.set("default") else { return global };
        let Some(map) = self.map("default", node, &DEFAULT) else { return global };
        for key in GLOBAL_DEFAULTS.iter().filter(|key| map.set(key).is_some() && old.set(key).is_some()) {
            let place = old.0.get(*key).map(|entry| entry.place).unwrap_or_default();
            self.error(place, format!("{key} is defined in top-level and `default:` entry"));
        }
        let mut default = self.common("default", map);
        if let Some(node) = map.set("timeout") {
            self.without_effect("default:timeout", node.place, "GitLab takes a timeout from the job alone");
            default.timeout_s = None;
        }
        Common {
            image: default.image.or(global.image),
            services: default.services.or(global.services),
            before_script: default.before_script.or(global.before_script),
            after_script: default.after_script.or(global.after_script),
            cache: default.cache.or(global.cache),
            ..default
        }
    }

    fn workflow(&mut self, node: &Node) -> Workflow {
        let Some(map) = self.map("workflow", node, &["rules", "name", "auto_cancel"]) else {
            return Workflow::default();
        };
        if let Some(node) = map.set("auto_cancel") {
            self.without_effect("auto_cancel", node.place, "Baton ends no pipeline for a newer one");
        }
        let name = self.text("workflow", map, "name");
        Workflow { name, rules: map.set("rules").map(|node| self.workflow_rules(node)) }
    }

    fn jobs(&mut self, config: &Map) -> Vec<JobConfig> {
        let visible = config.0.iter().filter(|(key, _)| !GLOBAL.contains(&&***key) && !key.starts_with('.'));
        let mut jobs = Vec::new();
        let mut count = 0;
        for (key, entry) in visible {
            count += 1;
            if count > JOBS_MAX {
                self.error(entry.place, format!("The number of jobs has exceeded the limit of {JOBS_MAX}"));
            }
            if self.report.is_full() || count > JOBS_MAX {
                break;
            }
            if self.check_name(key, entry.is_text, entry.place) {
                jobs.extend(self.job(key, &entry.node, entry.place));
            }
        }
        if count == 0 {
            let place =
                config.0.values().next().map(|entry| entry.place).unwrap_or(Place { file: 0, line: 1, column: 1 });
            self.report.error(Finding::new(place, "jobs config should contain at least one visible job"));
        }
        jobs
    }

    fn check_name(&mut self, name: &str, is_text: bool, place: Place) -> bool {
        let words = if !is_text {
            format!("jobs:{name} name should be a symbol")
        } else if name.trim().is_empty() {
            "jobs:job name can't be blank".to_owned()
        } else if name.chars().count() > NAME_CHARS_MAX {
            let start: String = name.chars().take(40).collect();
            format!("jobs:{start}... name is too long (maximum is {NAME_CHARS_MAX} characters)")
        } else {
            return true;
        };
        self.error(place, words);
        false
    }
}

/// `.pre` first and `.post` last, wherever they are written.
fn with_ends(stages: Option<Vec<String>>) -> Vec<String> {
    let stages = stages.unwrap_or_else(|| ["build", "test", "deploy"].map(str::to_owned).to_vec());
    let mut all = vec![".pre".to_owned()];
    let mut seen: std::collections::HashSet<String> = [".pre", ".post"].map(str::to_owned).into();
    all.extend(stages.into_iter().filter(|stage| seen.insert(stage.clone())));
    all.push(".post".to_owned());
    all
}
