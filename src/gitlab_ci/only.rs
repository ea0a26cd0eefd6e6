//! `only` and `except`: who is in the pipeline when a job has no rules.

use super::context::Context;
use super::keywords::{JobConfig, Policy, RefPattern};
use super::messages::Finding;
use super::rules::Tester;
use super::variables::Scope;
use super::yaml::Place;
use crate::domain::pipeline::Source;

/// Why a job is left out, and where that is written; `None`: it is not.
pub(crate) fn excluded(
    job: &JobConfig,
    has_workflow_rules: bool,
    context: &Context,
    tester: &Tester<'_>,
    scope: &Scope<'_>,
) -> Result<Option<(String, Place)>, Finding> {
    let refs = job.only.as_ref().and_then(|only| only.refs.as_ref());
    if refs.is_none() && !has_workflow_rules && context.is_merge_request() {
        let why = "without rules it is only in pipelines of branches and tags".to_owned();
        return Ok(Some((why, job.place)));
    }
    if let Some(only) = &job.only {
        for (key, holds) in answers(only, context, tester, scope, &job.name)? {
            if !holds {
                return Ok(Some((format!("only:{key} does not hold"), only.place)));
            }
        }
    }
    if let Some(except) = &job.except {
        for (key, holds) in answers(except, context, tester, scope, &job.name)? {
            if holds {
                return Ok(Some((format!("except:{key} holds"), except.place)));
            }
        }
    }
    Ok(None)
}

/// Of each key that is given, whether it holds: one entry of it is enough.
fn answers(
    policy: &Policy,
    context: &Context,
    tester: &Tester<'_>,
    scope: &Scope<'_>,
    job: &str,
) -> Result<Vec<(&'static str, bool)>, Finding> {
    let mut all = Vec::new();
    if let Some(refs) = &policy.refs {
        all.push(("refs", refs.iter().any(|pattern| is_ref(pattern, context))));
    }
    if let Some(variables) = &policy.variables {
        all.push(("variables", variables.iter().any(|variable| tester.is_true(variable, scope, policy.place))));
    }
    if let Some(changes) = &policy.changes {
        all.push(("changes", tester.changed(changes, scope, policy.place, job)?));
    }
    if policy.has_kubernetes {
        all.push(("kubernetes", false));
    }
    Ok(all)
}

fn is_ref(pattern: &RefPattern, context: &Context) -> bool {
    if pattern.project.as_ref().is_some_and(|project| *project != context.project) {
        return false;
    }
    let word = pattern.word.as_str();
    let is_tag = context.tag.is_some();
    let is_branch = !is_tag && !context.is_merge_request();
    if (is_tag && word == "tags") || (is_branch && word == "branches") || is_source(word, context.source) {
        return true;
    }
    // GitLab compares the names of refs in pipelines of branches and tags only.
    if context.is_merge_request() {
        return false;
    }
    match &pattern.pattern {
        Some(pattern) => pattern.is_match(context.ref_name()),
        None => word == context.ref_name(),
    }
}

/// The source by its word, or in the plural.
fn is_source(word: &str, source: Source) -> bool {
    let source = source.as_str().trim_end_matches("_event");
    let plural = if source.ends_with("sh") { "es" } else { "s" };
    word == source || word.strip_suffix(plural) == Some(source)
}
