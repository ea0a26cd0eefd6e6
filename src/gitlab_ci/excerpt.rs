//! The lines of a file around a place, for the people who wrote it.
//!
//! What must stay true: no secret is in them, nor a part of one that a cut or the end of a line has left; but for tabs they
//! have no character that would do more than stand there; and what they cost is bounded, whatever the file is.

use crate::domain::secret;
use crate::domain::text::foreign::is_dangerous;
use serde::{Deserialize, Serialize};

/// Lines before the one that is meant, and behind it.
const LINES_AROUND: u32 = 3;
/// Characters of a line.
const LINE_CHARS_MAX: usize = 200;
/// What stands for a secret.
pub(super) const MASKED: &str = "[MASKED]";
/// What stands for a character that would do more than stand there.
const HARMLESS: char = '\u{fffd}';

/// A line of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// From 1.
    pub number: u32,
    /// Its begin.
    pub text: String,
}

/// All forms in which secrets can be read, those of several lines line by line.
pub(super) fn forms(secrets: &[&str]) -> Vec<String> {
    let whole = secrets.iter().filter(|secret| !secret.is_empty()).map(|secret| (*secret).to_owned());
    let mut all: Vec<String> = whole.chain(secrets.iter().flat_map(|secret| secret::forms(secret))).collect();
    all.retain(|form| !form.contains('\n'));
    all.sort_unstable();
    all.dedup();
    all
}

/// The lines around the one of this number.
pub(super) fn around(content: &[u8], number: u32, forms: &[String]) -> Vec<Line> {
    let (first, last) = (number.saturating_sub(LINES_AROUND).max(1), number.saturating_add(LINES_AROUND));
    let numbered = (1..=last).zip(lines(content)).filter(|(number, _)| *number >= first);
    numbered.map(|(number, line)| Line { number, text: shown(&String::from_utf8_lossy(line), forms) }).collect()
}

/// The lines of a text as YAML counts them: a carriage return by itself ends one, too.
fn lines(content: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = content;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let end = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r')).unwrap_or(rest.len());
        let (line, behind) = rest.split_at(end);
        rest = behind.strip_prefix(b"\r\n").or_else(|| behind.get(1..)).unwrap_or_default();
        Some(line)
    })
}

/// The begin of a line. A secret that begins in it is masked as a whole, wherever it ends.
fn shown(line: &str, forms: &[String]) -> String {
    let cut = byte_of(line, LINE_CHARS_MAX);
    let mut secrets: Vec<(usize, usize)> = Vec::new();
    for form in forms {
        // What begins behind the cut is not shown.
        let reach = (cut + form.len()).min(line.len());
        let reach = (reach..=line.len()).find(|at| line.is_char_boundary(*at)).unwrap_or(line.len());
        let looked_at = line.get(..reach).unwrap_or(line);
        secrets.extend(looked_at.match_indices(form.as_str()).map(|(at, found)| (at, at + found.len())));
    }
    secrets.sort_unstable();
    let (mut text, mut at) = (String::new(), 0);
    for (from, to) in secrets.into_iter().filter(|(from, _)| *from < cut) {
        if from >= at {
            text.push_str(line.get(at..from).unwrap_or_default());
            text.push_str(MASKED);
        }
        at = at.max(to);
    }
    text.push_str(line.get(at..cut).unwrap_or_default());
    if cut < line.len() {
        text.push_str("...");
    }
    text.chars().map(|c| if is_dangerous(c) && c != '\t' { HARMLESS } else { c }).collect()
}

/// Where the character of this number begins, or the text ends.
fn byte_of(text: &str, number: usize) -> usize {
    text.char_indices().nth(number).map_or(text.len(), |(at, _)| at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(content: &str, number: u32, secrets: &[&str]) -> Vec<(u32, String)> {
        let lines = around(content.as_bytes(), number, &forms(secrets));
        lines.into_iter().map(|line| (line.number, line.text)).collect()
    }

    fn numbers(content: &str, number: u32) -> Vec<u32> {
        of(content, number, &[]).into_iter().map(|(number, _)| number).collect()
    }

    #[test]
    fn three_lines_before_and_behind_are_shown_as_far_as_there_are_any() {
        let nine = "1\n2\n3\n4\n5\n6\n7\n8\n9\n";
        assert_eq!(numbers(nine, 1), [1, 2, 3, 4]);
        assert_eq!(numbers(nine, 5), [2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(numbers(nine, 9), [6, 7, 8, 9]);
        assert_eq!(numbers(nine, 10), [7, 8, 9]);
        assert_eq!(numbers("only", 1), [1]);
        for nothing in [numbers("", 1), numbers(nine, 0), numbers(nine, u32::MAX)] {
            assert!(nothing.len() <= 3, "{nothing:?}");
        }
        assert_eq!(of(nine, 5, &[])[3], (5, "5".to_owned()));
    }

    #[test]
    fn lines_end_as_yaml_ends_them() {
        for end in ["\n", "\r\n", "\r"] {
            let text = ["a:", "  b", "", "c"].join(end);
            let expected = [(1, "a:"), (2, "  b"), (3, ""), (4, "c")].map(|(number, text)| (number, text.to_owned()));
            assert_eq!(of(&text, 2, &[]), expected, "{end:?}");
        }
    }

    #[test]
    fn a_long_line_is_cut_between_characters() {
        let exact = "é".repeat(LINE_CHARS_MAX);
        assert_eq!(of(&exact, 1, &[])[0].1, exact);
        assert_eq!(of(&(exact.clone() + "é"), 1, &[])[0].1, exact.clone() + "...");
        let long = "日".repeat(500_000);
        assert_eq!(of(&long, 1, &[])[0].1.chars().count(), LINE_CHARS_MAX + 3);
    }

    #[test]
    fn what_would_do_more_than_stand_there_does_not() {
        let text = of("a\u{1b}[31m\tb\u{202e}c\0\u{85}\u{2028}d", 1, &[])[0].1.clone();
        assert_eq!(text, "a\u{fffd}[31m\tb\u{fffd}c\u{fffd}\u{fffd}\u{fffd}d");
        assert_eq!(around(b"a: \xff\n", 1, &[])[0].text, "a: \u{fffd}");
    }

    #[test]
    fn a_secret_is_masked_also_line_by_line_and_across_the_cut() {
        assert_eq!(of("k: hunter22x, hunter22", 1, &["hunter22"])[0].1, "k: [MASKED]x, [MASKED]");
        assert_eq!(of("k: abc", 1, &["abc"])[0].1, "k: [MASKED]", "a short one is masked in messages, too");
        let key = "-----BEGIN KEY-----\nc2VjcmV0LW9m\n-----END KEY-----\n";
        let lines = of(&format!("a: |\n  {}", key.replace('\n', "\n  ")), 3, &[key]);
        assert!(lines.iter().all(|(_, text)| !text.contains("c2Vj") && !text.contains("KEY")), "{lines:?}");
        // One that begins before the cut is masked as a whole, and what stands behind it does not come in its place.
        let before = "x".repeat(LINE_CHARS_MAX - 4);
        let line = format!("{before}hunter22hunter33");
        assert_eq!(of(&line, 1, &["hunter22", "hunter33"])[0].1, format!("{before}[MASKED]..."));
        let often = format!("{}{before}", "hunter22 ".repeat(4));
        assert!(!of(&often, 1, &["hunter22"])[0].1.contains("hunt"));
        assert_eq!(of("abcdef", 1, &["abcd", "cdef"])[0].1, "[MASKED]", "also where two lie over each other");
    }
}
