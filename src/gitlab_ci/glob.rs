//! Patterns of `changes`, `exists` and `include:local`: Ruby's `fnmatch` with path, dot and brace flags.
//!
//! `*` and `?` stop at a slash and take hidden files; `**/` is any number of directories, none too; `**` elsewhere is
//! `*`; `{a,b}` are alternatives, `[a-z]` and `[^a]` classes; case counts. A pattern becomes a regular expression, so
//! that no pattern takes longer than its text.

use regex::{Regex, RegexBuilder};

/// Bytes of a pattern.
const PATTERN_BYTES_MAX: usize = 4096;
/// Bytes of the compiled form.
const COMPILED_BYTES_MAX: usize = 1 << 20;
/// Levels of braces.
const BRACES_MAX: usize = 20;

/// A pattern of paths.
#[derive(Clone, Debug)]
pub struct Glob {
    /// `None`: it matches nothing.
    regex: Option<Regex>,
}

impl Glob {
    /// The pattern of a text. One that Ruby cannot read matches nothing, as there.
    #[must_use]
    pub fn new(pattern: &str) -> Glob {
        Glob { regex: compile(pattern, translate(pattern)) }
    }

    /// The pattern of `include:local`, in which `**` takes slashes too, and `**/` a directory at least.
    #[must_use]
    pub fn of_include(pattern: &str) -> Glob {
        let mut text = String::new();
        let mut rest = pattern;
        while let Some(first) = rest.chars().next() {
            let part;
            (part, rest) = if let Some(rest) = rest.strip_prefix("**") {
                (".*".to_owned(), rest)
            } else if let Some(rest) = rest.strip_prefix('*') {
                ("[^/]*".to_owned(), rest)
            } else {
                (regex::escape(first.encode_utf8(&mut [0; 4])), rest.get(first.len_utf8()..).unwrap_or_default())
            };
            text.push_str(&part);
        }
        Glob { regex: compile(pattern, Some(text)) }
    }

    /// Whether a path, relative to the root, matches.
    #[must_use]
    pub fn matches(&self, path: &str) -> bool {
        self.regex.as_ref().is_some_and(|regex| regex.is_match(path))
    }
}

fn compile(pattern: &str, translated: Option<String>) -> Option<Regex> {
    let text = translated.filter(|_| pattern.len() <= PATTERN_BYTES_MAX)?;
    let mut builder = RegexBuilder::new(&format!("^(?:{text})$"));
    builder.dot_matches_new_line(true).size_limit(COMPILED_BYTES_MAX).build().ok()
}

/// A step of the translation: what is read next, and what stands before it.
struct Translation<'a> {
    rest: &'a str,
    out: String,
    /// Whether a path's part begins here.
    is_start: bool,
}

impl Translation<'_> {
    fn take(&mut self) -> Option<char> {
        let c = self.rest.chars().next()?;
        self.rest = self.rest.get(c.len_utf8()..).unwrap_or_default();
        Some(c)
    }

    fn literal(&mut self, c: char) {
        self.out.push_str(&regex::escape(c.encode_utf8(&mut [0; 4])));
        self.is_start = c == '/';
    }

    /// `[...]` behind its bracket; `None`: it does not end.
    fn class(&mut self) -> Option<()> {
        let is_not = self.rest.starts_with(['^', '!']);
        if is_not {
            self.take();
        }
        let mut class = String::new();
        let mut is_first = true;
        loop {
            match self.take()? {
                ']' if !is_first => break,
                '\\' => class.push_str(&escaped(self.take()?)),
                '-' => class.push('-'),
                c => class.push_str(&escaped(c)),
            }
            is_first = false;
        }
        // A class never takes a slash.
        self.out.push_str(&format!("[[{}{class}]&&[^/]]", if is_not { "^" } else { "" }));
        self.is_start = false;
        Some(())
    }
}

/// A character that means itself inside of a class.
fn escaped(c: char) -> String {
    if c.is_ascii_punctuation() { format!("\\{c}") } else { c.to_string() }
}

fn translate(pattern: &str) -> Option<String> {
    let mut at = Translation { rest: pattern, out: String::new(), is_start: true };
    let mut starts = Vec::new();
    while let Some(c) = at.take() {
        match c {
            '*' if at.is_start && at.rest.starts_with("*/") => {
                at.rest = at.rest.get(2..).unwrap_or_default();
                at.out.push_str("(?:[^/]*/)*");
            }
            '*' => {
                at.rest = at.rest.trim_start_matches('*');
                at.out.push_str("[^/]*");
                at.is_start = false;
            }
            '?' => {
                at.out.push_str("[^/]");
                at.is_start = false;
            }
            '[' => at.class()?,
            '{' if at.rest.contains('}') && starts.len() < BRACES_MAX => {
                starts.push(at.is_start);
                at.out.push_str("(?:");
            }
            ',' if !starts.is_empty() => {
                at.out.push('|');
                at.is_start = starts.last().copied().unwrap_or_default();
            }
            '}' if !starts.is_empty() => {
                starts.pop();
                at.out.push(')');
                at.is_start = false;
            }
            '\\' => match at.take() {
                Some(c) => at.literal(c),
                None => at.literal('\\'),
            },
            c => at.literal(c),
        }
    }
    starts.is_empty().then_some(at.out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ruby_cannot_read_matches_nothing() {
        for pattern in ["[a", "{a,{b}"] {
            assert!(!Glob::new(pattern).matches(pattern), "{pattern}");
        }
    }

    #[test]
    fn a_class_takes_no_slash_and_may_hold_a_bracket() {
        assert!(!Glob::new("a[^b]c").matches("a/c"));
        assert!(Glob::new("a[]x]c").matches("a]c"));
        assert!(Glob::new("[!a]").matches("b"));
        assert!(Glob::new("[a\\]]").matches("]"));
        assert!(Glob::new("[&&~]").matches("&"));
    }

    #[test]
    fn an_include_takes_directories_with_two_stars() {
        let glob = Glob::of_include("ci/**.yml");
        assert!(glob.matches("ci/a.yml") && glob.matches("ci/b/a.yml") && !glob.matches("ci/a.yaml"));
        assert!(!Glob::of_include("ci/**/*.yml").matches("ci/a.yml"));
    }
}
