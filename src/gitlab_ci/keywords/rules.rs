//! `rules` of jobs, of `workflow` and of `include`.

use super::tables::{INCLUDE_RULE, RULE, WORKFLOW_RULE};
use super::{NeedEntry, Reader, flattened, spaced};
use crate::domain::pipeline::{Span, When};
use crate::gitlab_ci::messages::Finding;
use crate::gitlab_ci::rules::{ChangedPaths, Conditions};
use crate::gitlab_ci::variables::Variables;
use crate::gitlab_ci::yaml::{Map, Node};

/// Patterns of a `changes` or `exists`.
const GLOBS_MAX: usize = 50;

/// A rule, with what it says of the job.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rule {
    pub(crate) conditions: Conditions,
    pub(crate) when: Option<RuleWhen>,
    pub(crate) start_in: Option<Span>,
    pub(crate) allow_failure: Option<bool>,
    pub(crate) variables: Variables,
    pub(crate) needs: Option<Vec<NeedEntry>>,
    pub(crate) interruptible: Option<bool>,
}

/// `when` of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RuleWhen {
    Never,
    Is(When),
}

impl Rule {
    pub(crate) fn is_never(&self) -> bool {
        self.when == Some(RuleWhen::Never)
    }
}

/// Whose rules they are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Of {
    Job,
    Workflow,
    Include,
}

impl Of {
    fn keys(self) -> &'static [&'static str] {
        match self {
            Of::Job => &RULE,
            Of::Workflow => &WORKFLOW_RULE,
            Of::Include => &INCLUDE_RULE,
        }
    }

    fn takes(self, when: When) -> bool {
        match self {
            Of::Job => true,
            Of::Workflow => when == When::Always,
            Of::Include => matches!(when, When::Always | When::OnSuccess),
        }
    }
}

impl Reader<'_> {
    pub(crate) fn include_rules(&mut self, node: &Node) -> Vec<Rule> {
        self.rules_of("include", node, Of::Include)
    }

    pub(super) fn workflow_rules(&mut self, node: &Node) -> Vec<Rule> {
        self.rules_of("workflow", node, Of::Workflow)
    }

    pub(super) fn job_rules(&mut self, at: &str, node: &Node) -> Vec<Rule> {
        let rules = self.rules_of(at, node, Of::Job);
        if rules.is_empty() && node.list().is_some_and(<[Node]>::is_empty) {
            self.error(node.place, format!("{at}:rules config can't be blank"));
        }
        rules
    }

    fn rules_of(&mut self, at: &str, node: &Node, of: Of) -> Vec<Rule> {
        let mut nodes = Vec::new();
        let is_list = node.list().is_some() && flattened(node, 1, &mut nodes).is_some();
        if !is_list || nodes.iter().any(|node| node.map().is_none()) {
            let wrong = nodes.iter().find(|node| is_list && node.map().is_none()).map_or(node.place, |node| node.place);
            self.error(wrong, format!("{at} rules should be an array containing hashes and arrays of hashes"));
            return Vec::new();
        }
        let at = format!("{at}:rules:rule");
        nodes.iter().filter_map(|node| Some(self.rule(&at, node.map()?, node, of))).collect()
    }

    fn rule(&mut self, at: &str, map: &Map, node: &Node, of: Of) -> Rule {
        self.check_keys(at, map, of.keys());
        if map.0.is_empty() {
            self.error(node.place, format!("{at} config can't be blank"));
        }
        let expression = map.set("if").and_then(|node| self.condition(&format!("{at} if"), node));
        let changes = map.set("changes").and_then(|node| self.changes(&format!("{at}:changes"), node));
        let exists = map.set("exists").and_then(|node| self.exists(&format!("{at}:exists"), node));
        let conditions = Conditions { place: node.place, expression, changes, exists };
        let when = self.rule_when(at, map, of);
        let start_in = self.start_in(at, map, when == Some(RuleWhen::Is(When::Delayed)));
        let variables = map.set("variables").map(|node| self.variables(&format!("{at}:variables"), node, false).0);
        let needs = map.set("needs").and_then(|node| self.needs(&format!("{at}:needs"), node)).map(|needs| needs.0);
        if let Some(node) = map.set("auto_cancel") {
            self.without_effect("auto_cancel", node.place, "Baton ends no pipeline for a newer one");
        }
        Rule {
            conditions,
            when,
            start_in,
            allow_failure: self.bool(at, map, "allow_failure"),
            variables: variables.unwrap_or_default(),
            needs,
            interruptible: self.bool(at, map, "interruptible"),
        }
    }

    fn rule_when(&mut self, at: &str, map: &Map, of: Of) -> Option<RuleWhen> {
        let node = map.set("when")?;
        match node.text().map(|text| (text, When::parse(text))) {
            Some(("never", _)) => Some(RuleWhen::Never),
            Some((_, Some(when))) if of.takes(when) => Some(RuleWhen::Is(when)),
            found => {
                let word = found.map_or_else(|| node.scalar_text().unwrap_or_default(), |(text, _)| text.to_owned());
                let known = When::ALL.iter().filter(|when| of.takes(**when)).map(|when| when.as_str()).chain(["never"]);
                let hint = crate::gitlab_ci::messages::did_you_mean(&word, known);
                let words = format!("{at} when unknown value: {word}");
                self.report.error(Finding::new(node.place, words).hint(hint));
                None
            }
        }
    }

    /// `start_in` beside `when: delayed`, at most a week.
    pub(super) fn start_in(&mut self, at: &str, map: &Map, is_delayed: bool) -> Option<Span> {
        const WEEK_S: u64 = 7 * 24 * 60 * 60;
        match (map.set("start_in"), is_delayed) {
            (None, false) => None,
            (None, true) => {
                let place = map.get("when").map(|node| node.place).unwrap_or_default();
                self.error(place, format!("{at} start in should be a duration"));
                None
            }
            (Some(node), false) => {
                self.error(node.place, format!("{at} start in must be blank"));
                None
            }
            (Some(node), true) => {
                let span = self.duration(node, &format!("{at} start in should be a duration"))?;
                if span.seconds > WEEK_S {
                    self.error(node.place, format!("{at} start in should not exceed the limit"));
                }
                Some(span)
            }
        }
    }

    /// The expression of a text; `what` names it in the message.
    pub(super) fn condition(
        &mut self,
        what: &str,
        node: &Node,
    ) -> Option<std::rc::Rc<crate::gitlab_ci::expression::Expression>> {
        let Some(text) = node.text() else {
            self.error(node.place, format!("{what} invalid expression syntax"));
            return None;
        };
        match self.tester.expression(text) {
            Ok(expression) => Some(expression),
            Err(why) => {
                let words = format!("{what} invalid expression syntax");
                self.report.error(Finding::new(node.place, words).hint(Some(why)));
                None
            }
        }
    }

    pub(super) fn changes(&mut self, at: &str, node: &Node) -> Option<ChangedPaths> {
        let Some(map) = node.map() else {
            return Some(ChangedPaths { paths: self.globs(at, node)?, compare_to: None });
        };
        self.check_keys(at, map, &["paths", "compare_to"]);
        let compare_to = self.text(at, map, "compare_to");
        let Some(paths) = map.set("paths") else {
            self.error(node.place, format!("{at} config missing required keys: paths"));
            return None;
        };
        Some(ChangedPaths { paths: self.globs(at, paths)?, compare_to })
    }

    fn exists(&mut self, at: &str, node: &Node) -> Option<Vec<String>> {
        let Some(map) = node.map() else { return self.globs(at, node) };
        self.check_keys(at, map, &["paths", "project", "ref"]);
        for key in ["project", "ref"] {
            if let Some(node) = map.set(key) {
                self.error(node.place, format!("{at} {} of another project cannot be looked at", spaced(key)));
            }
        }
        let Some(paths) = map.set("paths") else {
            self.error(node.place, format!("{at} config missing required keys: paths"));
            return None;
        };
        self.globs(at, paths)
    }

    fn globs(&mut self, at: &str, node: &Node) -> Option<Vec<String>> {
        let mut nodes = Vec::new();
        flattened(node, 1, &mut nodes)?;
        let paths: Option<Vec<String>> = nodes.iter().map(|node| node.text().map(str::to_owned)).collect();
        let Some(paths) = paths.filter(|_| node.list().is_some()) else {
            self.error(node.place, format!("{at} config should be an array of strings"));
            return None;
        };
        if paths.len() > GLOBS_MAX {
            self.error(node.place, format!("{at} config has too many entries (maximum {GLOBS_MAX})"));
        }
        Some(paths)
    }
}
