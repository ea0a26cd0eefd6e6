//! What the logs and reports of a pipeline's jobs say beside how they ended: coverage, and where they have deployed to.

use crate::coordinator::Coordinator;
use crate::coordinator::builds::no_such;
use crate::domain::build::{BuildId, Variable};
use crate::error::Result;
use crate::gitlab_ci::expression::Pattern;
use crate::gitlab_ci::variables::expand;
use crate::store::{builds, dotenv};

/// So much of a log's end is searched for its coverage.
const COVERAGE_BYTES: u64 = 1 << 20;
/// Longest number that is taken for one.
const NUMBER_BYTES_MAX: usize = 32;

impl Coordinator {
    /// The number in the last line of a build's log, or of the last 1 MiB of it, in which `pattern` is found: the first
    /// number of the last match or, if the pattern has groups, of what the last group has found. `None`: no line has
    /// one, or `pattern` is none.
    ///
    /// # Errors
    /// The database's.
    pub fn coverage(&self, id: BuildId, pattern: &str) -> Result<Option<String>> {
        let Ok(pattern) = Pattern::new(pattern, "") else { return Ok(None) };
        let (log, _) = self.read_trace_end(id, COVERAGE_BYTES)?;
        Ok(coverage_in(&String::from_utf8_lossy(&log), &pattern))
    }

    /// The URL of a build's environment, with the values of its variables and those of its dotenv report put in; secret
    /// ones stay references.
    ///
    /// # Errors
    /// [`crate::error::Kind::NotFound`] for an unknown build.
    pub fn environment_url(&self, id: BuildId, url: &str) -> Result<String> {
        self.store.read(|c| {
            let build = builds::state(c, id)?.ok_or_else(|| no_such(id))?;
            let pipeline = crate::store::pipelines::of_build(c, id)?.map(|pipeline| pipeline.id.to_string());
            let mut known = builds::spec(c, id)?.variables;
            // The later of two with the same name wins.
            known.reverse();
            known.sort_by_key(|variable| variable.yields);
            let handed_on = dotenv::of_build(c, id)?.into_iter().map(|(key, value)| Variable::public(key, value));
            let first_yielding = known.partition_point(|variable| !variable.yields);
            known.splice(first_yielding..first_yielding, handed_on);
            known.push(Variable::public("CI_JOB_ID", build.id.to_string()));
            known.extend(pipeline.map(|id| Variable::public("CI_PIPELINE_ID", id)));
            let value = |name: &str| {
                let found = known.iter().find(|variable| variable.key == name);
                found.filter(|variable| variable.public && !variable.file).map(|variable| variable.value.as_str())
            };
            Ok(expand(url, value))
        })
    }
}

fn coverage_in(log: &str, pattern: &Pattern) -> Option<String> {
    log.lines().rev().find_map(|line| first_number(pattern.last_in(line)?))
}

/// The first number of a text, such as `87` or `87.5`.
fn first_number(text: &str) -> Option<String> {
    let from = text.find(|c: char| c.is_ascii_digit())?;
    let rest = text.get(from..)?;
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let whole = digits(rest);
    let part = rest.get(whole..).and_then(|rest| rest.strip_prefix('.')).map_or(0, digits);
    let length = if part > 0 { whole + 1 + part } else { whole };
    rest.get(..length).filter(|number| number.len() <= NUMBER_BYTES_MAX).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_the_last_line_that_has_one_is_the_coverage() {
        for (pattern, log, expected) in [
            (r"^TOTAL.+?(\d+\%)$", "TOTAL 5 10%\nTOTAL 120 4 87%\nbye\n", Some("87")),
            (r"Coverage: \d+\.\d+", "Coverage: 12.25 of 100\r\n", Some("12.25")),
            (r"coverage", "coverage 50\n", None),
            (r"\d+", "one 1 two 2 three\nnone", Some("2")),
            (r"(\d+) of (\d+)", "3 of 4, 5 of 6", Some("6")),
            (r"lines: .*", "lines: .. 1.\n", Some("1")),
            (r"lines: .*", "lines: none\nlines: 7 %\nlines: none\n", Some("7")),
            (r"[0-9]+", "", None),
        ] {
            let pattern = Pattern::new(pattern, "").unwrap();
            assert_eq!(coverage_in(log, &pattern).as_deref(), expected, "{pattern:?} {log:?}");
        }
        assert_eq!(first_number(&"9".repeat(33)), None);
    }
}
