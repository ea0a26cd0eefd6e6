//! Variables: layers that hide each other, and expansion as GitLab does it before a runner does.
//!
//! What must stay true: names that do not exist are left for the runner; a value is expanded before it is put into
//! another one; and what comes out is bounded, whatever refers to what.

use crate::domain::pipeline::JobVariable;
use indexmap::IndexMap;
use std::collections::HashMap;

/// Bytes of all variables of a job once they are expanded.
pub const EXPANDED_BYTES_MAX: usize = 2 << 20;

/// A value that a file gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FileVariable {
    pub(crate) value: String,
    pub(crate) is_raw: bool,
}

/// Variables of one place of a file, in the order of writing.
pub(crate) type Variables = IndexMap<String, FileVariable>;

/// Variables of several places, of which the first hides the others.
pub(crate) struct Scope<'a> {
    pub(crate) given: &'a HashMap<&'a str, &'a str>,
    pub(crate) file: Vec<&'a Variables>,
    pub(crate) predefined: Vec<&'a IndexMap<String, String>>,
}

impl<'a> Scope<'a> {
    /// The value as it is written.
    pub(crate) fn get(&self, name: &str) -> Option<&'a str> {
        if let Some(value) = self.given.get(name) {
            return Some(value);
        }
        let file = self.file.iter().find_map(|layer| layer.get(name)).map(|variable| variable.value.as_str());
        file.or_else(|| self.predefined.iter().find_map(|layer| layer.get(name)).map(String::as_str))
    }

    /// A text with the variables that exist put in, once.
    pub(crate) fn expand(&self, text: &str) -> String {
        expand(text, |name| self.get(name))
    }
}

/// A part of a text: what stays, or a reference.
struct Reference<'a> {
    before: &'a str,
    whole: &'a str,
    name: &'a str,
    after: &'a str,
}

fn name_length(text: &str) -> usize {
    if text.starts_with(|c: char| c.is_ascii_digit()) {
        return 0;
    }
    text.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_').count()
}

/// The first reference of a text: `$A`, `${A}` or `%A%`. `$$` and `%%` are none.
fn next_reference(text: &str) -> Option<Reference<'_>> {
    let mut from = 0;
    loop {
        let at = from + text.get(from..)?.find(['$', '%'])?;
        let rest = text.get(at + 1..)?;
        let (skip, name) = if text.get(at..)?.starts_with('$') {
            if rest.starts_with('$') {
                from = at + 2;
                continue;
            }
            match rest.strip_prefix('{') {
                Some(inner) => {
                    let length = name_length(inner);
                    let is_closed = inner.get(length..).is_some_and(|rest| rest.starts_with('}'));
                    if is_closed { (length + 3, inner.get(..length)?) } else { (1, "") }
                }
                None => (name_length(rest) + 1, rest.get(..name_length(rest))?),
            }
        } else {
            let length = name_length(rest);
            let is_closed = rest.get(length..).is_some_and(|rest| rest.starts_with('%'));
            if is_closed { (length + 2, rest.get(..length)?) } else { (1, "") }
        };
        if name.is_empty() {
            from = at + skip;
            continue;
        }
        let (before, whole, after) = (text.get(..at)?, text.get(at..at + skip)?, text.get(at + skip..)?);
        return Some(Reference { before, whole, name, after });
    }
}

/// Puts the values of names that exist into a text, once; other names are left as they are.
pub fn expand<'a>(text: &str, value: impl Fn(&str) -> Option<&'a str>) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(reference) = next_reference(rest) {
        out.push_str(reference.before);
        out.push_str(value(reference.name).unwrap_or(reference.whole));
        rest = reference.after;
    }
    out.push_str(rest);
    out
}

/// The names that a text refers to.
fn names(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(reference) = next_reference(rest) {
        found.push(reference.name);
        rest = reference.after;
    }
    found
}

/// Expands all variables of a job by each other.
///
/// They come sorted by name. A value that refers to its own name is left as it is; files and raw values are left, and
/// files stay references in others. What a secret value was put into is secret too.
///
/// # Errors
///
/// A circle of references, and values that become too big.
pub fn expand_all(variables: &mut [JobVariable]) -> Result<(), String> {
    let index: HashMap<&str, usize> =
        variables.iter().enumerate().map(|(at, variable)| (variable.key.as_str(), at)).collect();
    let needs: Vec<Vec<usize>> = variables.iter().enumerate().map(|(at, one)| needs_of(one, at, &index)).collect();
    let order = sorted(&needs).map_err(|circle| {
        let keys: Vec<&str> =
            circle.iter().filter_map(|&at| variables.get(at)).map(|variable| variable.key.as_str()).collect();
        format!("circular variable reference detected: {keys:?}")
    })?;
    let mut bytes: usize = variables.iter().map(|variable| variable.value.len()).sum();
    for at in order {
        if needs.get(at).is_none_or(Vec::is_empty) {
            continue;
        }
        let Some(variable) = variables.get(at) else { continue };
        let key = variable.key.as_str();
        let mut grown = 0;
        let mut has_secret = false;
        let mut rest = variable.value.as_str();
        while let Some(reference) = next_reference(rest) {
            let found = find(variables, reference.name);
            grown += found.map_or(0, |found| found.value.len());
            has_secret |= found.is_some_and(|found| !found.public);
            rest = reference.after;
        }
        bytes = bytes.saturating_add(grown);
        if bytes > EXPANDED_BYTES_MAX {
            return Err(format!("the variables are too big once they are expanded: {key}"));
        }
        let value = expand(&variable.value, |name| {
            find(variables, name).filter(|found| found.key != key && !found.file).map(|found| found.value.as_str())
        });
        if let Some(variable) = variables.get_mut(at) {
            variable.value = value;
            variable.public &= !has_secret;
        }
    }
    Ok(())
}

fn find<'a>(variables: &'a [JobVariable], name: &str) -> Option<&'a JobVariable> {
    variables.binary_search_by(|variable| variable.key.as_str().cmp(name)).ok().and_then(|at| variables.get(at))
}

fn needs_of(variable: &JobVariable, at: usize, index: &HashMap<&str, usize>) -> Vec<usize> {
    if variable.raw || variable.file {
        return Vec::new();
    }
    let needed = names(&variable.value).into_iter().filter_map(|name| index.get(name).copied());
    needed.filter(|&needed| needed != at).collect()
}

/// An order in which each comes behind what it needs, or a circle.
pub(crate) fn sorted(needs: &[Vec<usize>]) -> Result<Vec<usize>, Vec<usize>> {
    let mut open: Vec<usize> = needs.iter().map(Vec::len).collect();
    let mut needed_by: Vec<Vec<usize>> = vec![Vec::new(); needs.len()];
    for (at, needs) in needs.iter().enumerate() {
        for &need in needs {
            if let Some(list) = needed_by.get_mut(need) {
                list.push(at);
            }
        }
    }
    let mut order: Vec<usize> = (0..needs.len()).filter(|&at| open.get(at) == Some(&0)).collect();
    let mut done = 0;
    while let Some(&at) = order.get(done) {
        done += 1;
        for &behind in needed_by.get(at).into_iter().flatten() {
            if let Some(count) = open.get_mut(behind) {
                *count -= 1;
                if *count == 0 {
                    order.push(behind);
                }
            }
        }
    }
    if order.len() == needs.len() { Ok(order) } else { Err(circle(needs, &open)) }
}

/// Of those that are left open, one circle: each needs the next, the last the first.
fn circle(needs: &[Vec<usize>], open: &[usize]) -> Vec<usize> {
    let is_open = |at: &&usize| open.get(**at).is_some_and(|&count| count > 0);
    let mut path: Vec<usize> = open.iter().position(|&count| count > 0).into_iter().collect();
    let mut place: HashMap<usize, usize> = path.iter().map(|&at| (at, 0)).collect();
    while let Some(next) = path.last().and_then(|&at| needs.get(at)?.iter().find(is_open)) {
        if let Some(&start) = place.get(next) {
            return path.split_off(start);
        }
        place.insert(*next, path.len());
        path.push(*next);
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(pairs: &[(&str, &str)]) -> Vec<JobVariable> {
        let mut all: Vec<JobVariable> = pairs.iter().map(|(key, value)| JobVariable::public(*key, *value)).collect();
        all.sort_by(|one, two| one.key.cmp(&two.key));
        all
    }

    #[test]
    fn a_value_is_expanded_before_it_is_put_into_another() {
        let mut all = variables(&[("A", "$B/a"), ("B", "${C}b"), ("C", "c$C"), ("D", "$$A %B% %%B% $NOPE")]);
        expand_all(&mut all).unwrap();
        let values: Vec<&str> = all.iter().map(|one| one.value.as_str()).collect();
        assert_eq!(values, ["c$Cb/a", "c$Cb", "c$C", "$$A c$Cb %%B% $NOPE"]);
    }

    #[test]
    fn values_that_double_each_time_are_refused_and_not_built() {
        let mut all: Vec<JobVariable> =
            (100..200).map(|at| JobVariable::public(format!("V{at}"), format!("$V{0}$V{0}", at + 1))).collect();
        all.push(JobVariable::public("V200", "xxxxxxxx"));
        assert!(expand_all(&mut all).unwrap_err().contains("too big"));
    }

    #[test]
    fn a_chain_of_many_thousand_is_followed() {
        let mut all: Vec<JobVariable> =
            (10_000..30_000).map(|at| JobVariable::public(format!("V{at}"), format!("$V{}", at + 1))).collect();
        all.push(JobVariable::public("V30000", "x"));
        expand_all(&mut all).unwrap();
        assert!(all.iter().all(|one| one.value == "x"));
    }

    #[test]
    fn a_circle_names_who_is_in_it() {
        let mut all = variables(&[("A", "$B"), ("B", "$C"), ("C", "$B")]);
        assert_eq!(expand_all(&mut all).unwrap_err(), "circular variable reference detected: [\"B\", \"C\"]");
    }
}
