//! A JUnit report in short: how many tests there were, and which failed.
//!
//! What must stay true: a report is hostile. It is read an event at a time, no entity expands, nothing is followed, and of
//! what it says only so much is kept as people read. What counts are the test cases that are there, not the sums that the
//! report claims.

use quick_xml::escape::unescape;
use quick_xml::events::{BytesStart, Event};
use quick_xml::reader::Reader;
use serde::Serialize;
use std::io::BufRead;

/// Names of failed tests that are kept.
const NAMES_MAX: usize = 10;
/// Longest name that is kept, in characters.
const NAME_CHARS_MAX: usize = 200;

/// A report in short.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// All test cases.
    pub tests: u64,
    /// Those whose check failed.
    pub failures: u64,
    /// Those that broke.
    pub errors: u64,
    /// Those that were not run.
    pub skipped: u64,
    /// The first of those that failed or broke, as `class: name`.
    pub failed: Vec<String>,
    /// Whether that is all of it: it was neither too long nor malformed somewhere.
    pub is_whole: bool,
}

/// What became of a test case.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    Passed,
    Skipped,
    Failed,
    Broken,
}

/// A test case that is being read.
struct Case {
    name: String,
    outcome: Outcome,
}

impl Summary {
    /// Adds what one file says, as far as it can be read. False: it is malformed somewhere.
    pub fn add(&mut self, file: impl BufRead) -> bool {
        let mut reader = Reader::from_reader(file);
        reader.config_mut().check_end_names = false;
        let mut event = Vec::new();
        let mut case = None;
        loop {
            event.clear();
            match reader.read_event_into(&mut event) {
                Ok(Event::Eof) => break,
                Ok(Event::Start(start)) if is(&start, "testcase") => {
                    self.count(case.replace(Case::of(&start)));
                }
                Ok(Event::Empty(start)) if is(&start, "testcase") => self.count(Some(Case::of(&start))),
                Ok(Event::Start(start) | Event::Empty(start)) => {
                    if let (Some(case), Some(outcome)) = (&mut case, outcome(&start)) {
                        case.outcome = case.outcome.max(outcome);
                    }
                }
                Ok(Event::End(end)) if end.local_name().as_ref() == "testcase" => self.count(case.take()),
                Ok(
                    Event::End(_)
                    | Event::Text(_)
                    | Event::CData(_)
                    | Event::Comment(_)
                    | Event::Decl(_)
                    | Event::PI(_)
                    | Event::DocType(_)
                    | Event::GeneralRef(_),
                ) => {}
                Err(_) => {
                    self.count(case);
                    return false;
                }
            }
        }
        self.count(case);
        true
    }

    fn count(&mut self, case: Option<Case>) {
        let Some(Case { name, outcome }) = case else { return };
        self.tests += 1;
        match outcome {
            Outcome::Passed => return,
            Outcome::Skipped => {
                self.skipped += 1;
                return;
            }
            Outcome::Failed => self.failures += 1,
            Outcome::Broken => self.errors += 1,
        }
        if self.failed.len() < NAMES_MAX {
            self.failed.push(name);
        }
    }
}

fn is(start: &BytesStart<'_>, name: &str) -> bool {
    start.local_name().as_ref() == name
}

/// What an element inside a test case says of it.
fn outcome(start: &BytesStart<'_>) -> Option<Outcome> {
    match start.local_name().as_ref() {
        "skipped" => Some(Outcome::Skipped),
        "failure" => Some(Outcome::Failed),
        "error" => Some(Outcome::Broken),
        _ => None,
    }
}

impl Case {
    fn of(start: &BytesStart<'_>) -> Case {
        let (mut class, mut name) = (String::new(), String::new());
        // Without the check for equal names, which takes the square of their number.
        for attribute in start.attributes().with_checks(false).flatten() {
            match attribute.key.local_name().as_ref() {
                "classname" => class = short(&attribute.value),
                "name" => name = short(&attribute.value),
                _ => {}
            }
        }
        let name = if class.is_empty() { name } else { format!("{class}: {name}") };
        Case { name: cut(&name), outcome: Outcome::Passed }
    }
}

/// A value as people read it.
fn short(value: &str) -> String {
    // An entity takes several letters; one that is cut shows as it is.
    let begin: String = value.chars().take(NAME_CHARS_MAX * 8).collect();
    let plain = unescape(&begin).map_or_else(|_| begin.clone(), |plain| plain.into_owned());
    cut(&plain.replace(char::is_control, " "))
}

fn cut(text: &str) -> String {
    text.chars().take(NAME_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Summary {
        let mut summary = Summary::default();
        summary.is_whole = summary.add(text.as_bytes());
        summary
    }

    fn counts(summary: &Summary) -> [u64; 4] {
        [summary.tests, summary.failures, summary.errors, summary.skipped]
    }

    #[test]
    fn the_test_cases_that_are_there_count_and_the_failed_are_named() {
        let summary = of(r#"<?xml version="1.0" encoding="UTF-8"?>
            <!-- <testcase name="none"/> -->
            <testsuites tests="99" failures="99">
              <testsuite name="a">
                <testcase classname="c.A" name="passes" time="0.1"/>
                <testcase classname="c.A" name="fails"><failure message="m">text &lt; <![CDATA[<testcase/>]]></failure></testcase>
                <testcase name="breaks &amp; burns"><error/><system-out>out</system-out></testcase>
                <testsuite><testcase classname="c" name="waits"><skipped/></testcase></testsuite>
                <j:testcase xmlns:j="x" name="both"><failure/><error/></j:testcase>
                <testcase name="passes"><system-out>failure</system-out></testcase>
              </testsuite>
              <failure/>
            </testsuites>"#);
        assert_eq!(counts(&summary), [6, 1, 2, 1]);
        assert_eq!(summary.failed, ["c.A: fails", "breaks & burns", "both"]);
        assert!(summary.is_whole);
    }

    #[test]
    fn names_are_few_and_short_and_have_nothing_that_moves_a_cursor() {
        let case = |name: &str| format!("<testcase name=\"{name}\"><failure/></testcase>");
        let many: String = (0..50).map(|n| case(&format!("t{n}"))).collect();
        let summary = of(&many);
        assert_eq!((summary.failures, summary.failed.len()), (50, NAMES_MAX));
        let long = of(&case(&"ä".repeat(10_000)));
        assert_eq!(long.failed[0].chars().count(), NAME_CHARS_MAX);
        assert_eq!(of(&case("a&#27;[2J&#10;b\tc&unknown;")).failed, ["a&#27;[2J&#10;b c&unknown;"]);
        assert_eq!(of(&case("a&#27;[2J&#10;b\tc")).failed, ["a [2J b c"]);
    }

    #[test]
    fn a_malformed_report_counts_as_far_as_it_goes() {
        for text in
            ["<testcase name='a'/><testcase name='b'><failure", "<testcase name='a'/><", "<testcase name='a'/>&"]
        {
            let summary = of(text);
            assert!(summary.tests >= 1, "{text}");
        }
        for text in ["", "no xml", "\0\0", "<a></b>", "</testcase>"] {
            assert_eq!(counts(&of(text)), [0; 4], "{text:?}");
        }
    }

    #[test]
    fn entities_do_not_expand_and_nothing_is_fetched() {
        let lol: String = (1..20).map(|n| format!("<!ENTITY l{n} \"&l{};&l{};\">", n - 1, n - 1)).collect();
        let text = format!(
            "<!DOCTYPE x [<!ENTITY l0 \"lol\">{lol}<!ENTITY f SYSTEM \"file:///etc/passwd\">]>
             <testcase name=\"&l19;&f;\"><failure>&l19;</failure></testcase>"
        );
        assert_eq!(of(&text).failed, ["&l19;&f;"]);
    }

    #[test]
    fn many_attributes_and_much_depth_cost_no_more_than_their_length() {
        let attributes: String = (0..50_000).map(|n| format!(" a{n}='x'")).collect();
        assert_eq!(of(&format!("<testcase{attributes} name='n'><error/></testcase>")).failed, ["n"]);
        assert_eq!(of(&format!("{}<testcase name='n'/>", "<a>".repeat(200_000))).tests, 1);
    }
}
