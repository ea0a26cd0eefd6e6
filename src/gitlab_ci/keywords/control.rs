//! `parallel`, `retry`, `allow_failure`, `coverage` and `timeout`.

use super::Reader;
use super::tables::RETRY_WHEN;
use crate::domain::spec::RETRIES_MAX;
use crate::domain::spec::{AllowFailure, Retry};
use crate::gitlab_ci::expression::Pattern;
use crate::gitlab_ci::messages::{Finding, did_you_mean};
use crate::gitlab_ci::yaml::{Map, Node};
use indexmap::IndexMap;

/// Jobs that one may become.
pub(crate) const PARALLEL_MAX: usize = 200;
const MONTH_S: u64 = 30 * 24 * 60 * 60;

/// A row of a matrix: of each variable the values.
pub(crate) type MatrixRow = IndexMap<String, Vec<String>>;

/// Into what a job is multiplied.
#[derive(Clone, Debug)]
pub(crate) enum Parallel {
    Number(usize),
    Matrix(Vec<MatrixRow>),
}

/// Reads the rows of a matrix.
pub(super) fn matrix_rows(reader: &mut Reader<'_>, at: &str, node: &Node) -> Option<Vec<MatrixRow>> {
    let rows = node.list().filter(|rows| !rows.is_empty() && rows.iter().all(|row| row.map().is_some()));
    let Some(rows) = rows else {
        reader.error(node.place, format!("{at} config should be an array of hashes"));
        return None;
    };
    rows.iter().map(|row| matrix_row(reader, at, row.map()?)).collect()
}

fn matrix_row(reader: &mut Reader<'_>, at: &str, map: &Map) -> Option<MatrixRow> {
    let mut row = MatrixRow::new();
    for (key, entry) in &map.0 {
        let mut nodes = Vec::new();
        let is_flat = super::flattened(&entry.node, 1, &mut nodes).is_some();
        let values: Option<Vec<String>> = nodes.iter().map(|node| node.scalar_text()).collect();
        match values.filter(|values| is_flat && !values.is_empty() && !key.is_empty()) {
            Some(values) => {
                row.insert(key.to_string(), values);
            }
            None => {
                reader.error(entry.node.place, format!("{at}:variables config should be a hash of key value pairs"));
                return None;
            }
        }
    }
    if row.is_empty() {
        reader.error(Default::default(), format!("{at} config should be an array of hashes"));
        return None;
    }
    Some(row)
}

impl Reader<'_> {
    pub(super) fn parallel(&mut self, at: &str, node: &Node) -> Option<Parallel> {
        if let Some(number) = node.int() {
            let wrong = match usize::try_from(number) {
                Ok(number @ 1..=PARALLEL_MAX) => return Some(Parallel::Number(number)),
                Ok(0) | Err(_) if number < 1 => "greater than or equal to 1".to_owned(),
                Ok(_) | Err(_) => format!("less than or equal to {PARALLEL_MAX}"),
            };
            self.error(node.place, format!("{at} config must be {wrong}"));
            return None;
        }
        if node.map().is_none() {
            self.error(node.place, format!("{at} should be an integer or a hash"));
            return None;
        }
        let map = self.map(at, node, &["matrix"])?;
        let Some(matrix) = map.set("matrix") else {
            self.error(node.place, format!("{at} config missing required keys: matrix"));
            return None;
        };
        let at = format!("{at}:matrix");
        let rows = matrix_rows(self, &at, matrix)?;
        let product = |row: &MatrixRow| row.values().fold(1_usize, |all, values| all.saturating_mul(values.len()));
        let total = rows.iter().map(product).fold(0, usize::saturating_add);
        if total > PARALLEL_MAX {
            self.error(matrix.place, format!("{at} config generates too many jobs (maximum is {PARALLEL_MAX})"));
            return None;
        }
        Some(Parallel::Matrix(rows))
    }

    pub(super) fn retry(&mut self, at: &str, node: &Node) -> Option<Retry> {
        if node.int().is_some() {
            let max = self.retry_max(node, &format!("{at} config"))?;
            return Some(Retry { max, when: vec!["always".to_owned()], exit_codes: Vec::new() });
        }
        if node.map().is_none() {
            self.error(node.place, format!("{at} config has to be either an integer or a hash"));
            return None;
        }
        let map = self.map(at, node, &["max", "when", "exit_codes"])?;
        let max = map.set("max").map_or(Some(0), |node| self.retry_max(node, &format!("{at} max")))?;
        let words = format!("{at} when should be an array of strings or a string");
        let when = map.set("when").and_then(|node| self.string_or_strings(node, &words));
        let mut when = when.unwrap_or_default();
        if let (Some(node), Some(unknown)) =
            (map.get("when"), when.iter().find(|word| !RETRY_WHEN.contains(&word.as_str())))
        {
            let words = if node.text().is_some() {
                format!("{at} when is unknown")
            } else {
                format!("{at} when contains unknown values: {unknown}")
            };
            self.report.error(Finding::new(node.place, words).hint(did_you_mean(unknown, RETRY_WHEN)));
        }
        let exit_codes = map.set("exit_codes").and_then(|node| self.exit_codes(at, node)).unwrap_or_default();
        if when.is_empty() && exit_codes.is_empty() {
            when.push("always".to_owned());
        }
        Some(Retry { max, when, exit_codes })
    }

    fn retry_max(&mut self, node: &Node, what: &str) -> Option<u32> {
        let number = node.int();
        let max = number.and_then(|number| u32::try_from(number).ok()).filter(|max| *max <= RETRIES_MAX);
        if max.is_none() {
            let wrong = match number {
                None => "is not a number".to_owned(),
                Some(number) if number < 0 => "must be greater than or equal to 0".to_owned(),
                Some(_) => format!("must be less than or equal to {RETRIES_MAX}"),
            };
            self.error(node.place, format!("{what} {wrong}"));
        }
        max
    }

    fn exit_codes(&mut self, at: &str, node: &Node) -> Option<Vec<i64>> {
        let nodes = node.list().unwrap_or_else(|| std::slice::from_ref(node));
        let codes: Option<Vec<i64>> =
            nodes.iter().map(|node| node.int().and_then(|code| i64::try_from(code).ok())).collect();
        if codes.is_none() {
            self.error(node.place, format!("{at} exit codes should be an array of integers or an integer"));
        }
        codes
    }

    pub(super) fn allow_failure(&mut self, at: &str, node: &Node) -> Option<AllowFailure> {
        if let Some(is) = node.bool() {
            return Some(AllowFailure::Any(is));
        }
        if node.map().is_none() {
            self.error(node.place, format!("{at} allow failure should be a hash or a boolean value"));
            return None;
        }
        let at = format!("{at}:allow_failure");
        let map = self.map(&at, node, &["exit_codes"])?;
        let Some(codes) = map.set("exit_codes") else {
            self.error(node.place, format!("{at} exit codes should be an array of integers or an integer"));
            return None;
        };
        self.exit_codes(&at, codes).map(|exit_codes| AllowFailure::ExitCodes { exit_codes })
    }

    /// The pattern without its slashes.
    pub(super) fn coverage(&mut self, at: &str, node: &Node) -> Option<String> {
        let inner = node.text().and_then(|text| text.strip_prefix('/')?.strip_suffix('/'));
        let inner = inner.filter(|inner| Pattern::new(inner, "").is_ok());
        if inner.is_none() {
            self.error(node.place, format!("{at} config must be a regular expression"));
        }
        inner.map(str::to_owned)
    }

    pub(super) fn timeout(&mut self, at: &str, node: &Node) -> Option<u64> {
        let span = self.duration(node, &format!("{at} config should be a duration"))?;
        if span.seconds > MONTH_S {
            self.error(node.place, format!("{at} config should not exceed the limit"));
        }
        Some(span.seconds)
    }
}
