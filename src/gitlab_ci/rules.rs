//! Which rule decides: the first whose `if`, `changes` and `exists` all hold.
//!
//! What must stay true: `if` sees values as they are written, `changes` and `exists` expand them; each pattern is
//! compared with the files of the checkout once, however many jobs ask.

use super::context::Context;
use super::expression::{Expression, Pattern};
use super::glob::Glob;
use super::messages::Finding;
use super::surroundings::{Base, Changes, Surroundings};
use super::variables::Scope;
use super::yaml::Place;
use indexmap::IndexMap;
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

/// Different expressions of a configuration.
const EXPRESSIONS_MAX: usize = 5_000;
/// Different patterns of paths.
const GLOBS_MAX: usize = 5_000;

/// What must hold for a rule.
#[derive(Clone, Debug, Default)]
pub(crate) struct Conditions {
    pub(crate) place: Place,
    pub(crate) expression: Option<Rc<Expression>>,
    pub(crate) changes: Option<ChangedPaths>,
    pub(crate) exists: Option<Vec<String>>,
}

/// `changes`, with or without `compare_to`.
#[derive(Clone, Debug)]
pub(crate) struct ChangedPaths {
    pub(crate) paths: Vec<String>,
    pub(crate) compare_to: Option<String>,
}

impl Conditions {
    /// Whether it always holds.
    pub(crate) fn is_empty(&self) -> bool {
        self.expression.is_none() && self.changes.is_none() && self.exists.is_none()
    }
}

/// Answers conditions, and keeps the answers.
pub(crate) struct Tester<'a> {
    outside: &'a dyn Surroundings,
    /// Variables that people gave.
    pub(crate) given: HashMap<&'a str, &'a str>,
    /// Variables that do not depend on the job.
    pub(crate) predefined: IndexMap<String, String>,
    expressions: RefCell<HashMap<String, Result<Rc<Expression>, String>>>,
    changes: RefCell<HashMap<Option<String>, Changes>>,
    globs: RefCell<HashMap<(Option<String>, String), bool>>,
    warnings: RefCell<Vec<Finding>>,
}

impl<'a> Tester<'a> {
    pub(crate) fn new(context: &'a Context, outside: &'a dyn Surroundings) -> Tester<'a> {
        let given = context.given.iter().map(|given| (given.key.as_str(), given.value.as_str())).collect();
        let predefined = context.pipeline_variables().into_iter().collect();
        Tester {
            outside,
            given,
            predefined,
            expressions: RefCell::default(),
            changes: RefCell::default(),
            globs: RefCell::default(),
            warnings: RefCell::default(),
        }
    }

    /// The expression of a text, read once.
    pub(crate) fn expression(&self, text: &str) -> Result<Rc<Expression>, String> {
        let mut known = self.expressions.borrow_mut();
        if let Some(known) = known.get(text) {
            return known.clone();
        }
        if known.len() >= EXPRESSIONS_MAX {
            return Err(format!("more than {EXPRESSIONS_MAX} different expressions"));
        }
        let read = Expression::parse(text).map(Rc::new);
        known.insert(text.to_owned(), read.clone());
        read
    }

    /// What was noticed while conditions were looked at.
    pub(crate) fn take_warnings(&self) -> Vec<Finding> {
        self.warnings.take()
    }

    /// Whether all conditions hold for a job.
    pub(crate) fn holds(&self, conditions: &Conditions, scope: &Scope<'_>, job: &str) -> Result<bool, Finding> {
        let place = conditions.place;
        if let Some(expression) = &conditions.expression
            && !self.is_true(expression, scope, place)
        {
            return Ok(false);
        }
        if let Some(changes) = &conditions.changes
            && !self.changed(changes, scope, place, job)?
        {
            return Ok(false);
        }
        let exists = conditions.exists.as_ref();
        Ok(exists.is_none_or(|paths| paths.iter().any(|path| self.exists(&scope.expand(path), place))))
    }

    /// Whether an expression holds.
    pub(crate) fn is_true(&self, expression: &Expression, scope: &Scope<'_>, place: Place) -> bool {
        for name in expression.pattern_variables() {
            if scope.get(name).is_some_and(|value| Pattern::of_delimited(value).is_none()) {
                let words =
                    format!("the value of ${name} is no pattern between slashes, so the left side is searched in it");
                self.warnings.borrow_mut().push(Finding::new(place, words));
            }
        }
        expression.holds(&|name| scope.get(name))
    }

    /// Whether any of the patterns matches a changed path.
    pub(crate) fn changed(
        &self,
        changes: &ChangedPaths,
        scope: &Scope<'_>,
        place: Place,
        job: &str,
    ) -> Result<bool, Finding> {
        let base = changes.compare_to.as_ref().map(|base| scope.expand(base));
        let mut known = self.changes.borrow_mut();
        let changed = known.entry(base.clone()).or_insert_with(|| match &base {
            Some(reference) => self.outside.changes(Base::Ref(reference)),
            None => self.outside.changes(Base::Pipeline),
        });
        let changed = match changed {
            Changes::Unknown => return Ok(true),
            Changes::NoSuchRef => {
                let words = format!("Failed to parse rule for {job}: rules:changes:compare_to is not a valid ref");
                return Err(Finding::new(place, words));
            }
            Changes::Paths(paths) => paths.clone(),
        };
        let key = Some(base.unwrap_or_default());
        Ok(changes.paths.iter().any(|path| self.any(&key, &scope.expand(path), &changed, place)))
    }

    fn exists(&self, pattern: &str, place: Place) -> bool {
        self.any(&None, pattern, &self.outside.paths(), place)
    }

    fn any(&self, key: &Option<String>, pattern: &str, paths: &[String], place: Place) -> bool {
        let key = (key.clone(), pattern.to_owned());
        if let Some(known) = self.globs.borrow().get(&key) {
            return *known;
        }
        if pattern.starts_with('/') || pattern.starts_with("./") {
            let words =
                format!("the pattern {pattern} matches nothing: paths are relative to the root, without / or ./");
            self.warnings.borrow_mut().push(Finding::new(place, words));
        }
        if self.globs.borrow().len() >= GLOBS_MAX {
            return false;
        }
        let glob = Glob::new(pattern);
        let found = paths.iter().any(|path| glob.matches(path));
        self.globs.borrow_mut().insert(key, found);
        found
    }
}
