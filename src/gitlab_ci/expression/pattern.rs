//! Patterns: RE2's syntax, put into that of the `regex` crate.
//!
//! What differs is translated: `\d`, `\w`, `\s` and `\b` are ASCII, `\Q...\E` is literal, `\C` is a character, a brace
//! that counts nothing is itself. Both search in time that is linear in the text.

use regex::{Regex, RegexBuilder};

/// Bytes of a pattern.
const TEXT_BYTES_MAX: usize = 16 << 10;
/// Bytes of the compiled form.
const COMPILED_BYTES_MAX: usize = 256 << 10;
/// Levels of groups.
const DEPTH_MAX: u32 = 100;

/// A pattern that is searched for.
#[derive(Clone, Debug)]
pub struct Pattern {
    text: String,
    regex: Regex,
}

/// Why a text is no pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PatternError(pub String);

impl Pattern {
    /// The pattern of the text between slashes, with flags of `i`, `s`, `m` and `U`.
    ///
    /// # Errors
    ///
    /// Text outside of RE2's syntax, or too big.
    pub fn new(text: &str, flags: &str) -> Result<Pattern, PatternError> {
        if text.len() > TEXT_BYTES_MAX {
            return Err(PatternError("a pattern that is too long".to_owned()));
        }
        let regex = RegexBuilder::new(&translate(text))
            .case_insensitive(flags.contains('i'))
            .dot_matches_new_line(flags.contains('s'))
            .multi_line(flags.contains('m'))
            .swap_greed(flags.contains('U'))
            .size_limit(COMPILED_BYTES_MAX)
            .nest_limit(DEPTH_MAX)
            .build()
            .map_err(|error| PatternError(format!("an invalid pattern: {}", last_line(&error.to_string()))))?;
        Ok(Pattern { text: format!("/{text}/{flags}"), regex })
    }

    /// The pattern of `/text/flags`; `None`: the text does not look like one.
    #[must_use]
    pub fn of_delimited(text: &str) -> Option<Result<Pattern, PatternError>> {
        let (inner, flags) = text.strip_prefix('/')?.rsplit_once('/')?;
        if !flags.chars().all(|flag| "ismU".contains(flag)) {
            return None;
        }
        Some(Pattern::new(&inner.replace("\\/", "/"), flags))
    }

    /// Whether it is found in a text.
    #[must_use]
    pub fn is_match(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }

    /// What it finds last in a text: if it has groups, what the last of them has found that has found something.
    #[must_use]
    pub fn last_in<'a>(&self, text: &'a str) -> Option<&'a str> {
        let found = self.regex.captures_iter(text).last()?;
        let groups = found.iter().skip(1).flatten().last();
        if found.len() > 1 { groups.map(|group| group.as_str()) } else { found.get(0).map(|whole| whole.as_str()) }
    }

    /// With slashes and flags.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// The sentence of an error that draws the pattern first.
fn last_line(text: &str) -> String {
    let line = text.lines().last().unwrap_or_default();
    line.trim_start_matches("error: ").chars().take(200).collect()
}

fn translate(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    let mut rest = text;
    let mut is_in_class = false;
    while let Some(c) = rest.chars().next() {
        let after = rest.get(c.len_utf8()..).unwrap_or_default();
        rest = match c {
            '\\' => escape(after, is_in_class, &mut out),
            '[' if !is_in_class => {
                is_in_class = true;
                out.push('[');
                open_class(after, &mut out)
            }
            '[' if after.starts_with(':') => {
                let end = after.find(":]").map_or(0, |end| end + 2);
                out.push_str(if end == 0 { "\\[" } else { "[" });
                out.push_str(after.get(..end).unwrap_or_default());
                after.get(end..).unwrap_or_default()
            }
            '[' | '&' | '~' if is_in_class => {
                out.push('\\');
                out.push(c);
                after
            }
            ']' => {
                is_in_class = false;
                out.push(']');
                after
            }
            '{' if !is_in_class && !is_count(after) => {
                out.push_str("\\{");
                after
            }
            c => {
                out.push(c);
                after
            }
        };
    }
    out
}

/// The `^` and the `]` that a class may begin with.
fn open_class<'a>(text: &'a str, out: &mut String) -> &'a str {
    let mut rest = text;
    if let Some(after) = rest.strip_prefix('^') {
        out.push('^');
        rest = after;
    }
    if let Some(after) = rest.strip_prefix(']') {
        out.push_str("\\]");
        rest = after;
    }
    rest
}

/// Whether the text behind a brace is `2}`, `2,}` or `2,3}`.
fn is_count(text: &str) -> bool {
    let Some((inner, _)) = text.split_once('}') else { return false };
    let (least, most) = inner.split_once(',').unwrap_or((inner, ""));
    !least.is_empty() && least.bytes().chain(most.bytes()).all(|byte| byte.is_ascii_digit())
}

/// What stands behind a backslash.
fn escape<'a>(text: &'a str, is_in_class: bool, out: &mut String) -> &'a str {
    let Some(c) = text.chars().next() else {
        out.push('\\');
        return text;
    };
    let after = text.get(c.len_utf8()..).unwrap_or_default();
    let class = match c {
        'd' => "0-9",
        'w' => "0-9A-Za-z_",
        's' => "\\t\\n\\x0C\\r ",
        'D' => "^0-9",
        'W' => "^0-9A-Za-z_",
        'S' => "^\\t\\n\\x0C\\r ",
        _ => "",
    };
    if !class.is_empty() {
        let is_bare = is_in_class && !class.starts_with('^');
        out.push_str(&if is_bare { class.to_owned() } else { format!("[{class}]") });
        return after;
    }
    match c {
        'Q' if !is_in_class => {
            let (literal, after) = after.split_once("\\E").unwrap_or((after, ""));
            out.push_str(&regex::escape(literal));
            return after;
        }
        'p' | 'P' if let Some((name, after)) = after.strip_prefix('{').and_then(|name| name.split_once('}')) => {
            // `\p{^L}` is `\P{L}`.
            let (is_not, name) = name.strip_prefix('^').map_or((false, name), |name| (true, name));
            let letter = if is_not == (c == 'P') { 'p' } else { 'P' };
            out.push_str(&format!("\\{letter}{{{name}}}"));
            return after;
        }
        'E' => {}
        'C' if !is_in_class => out.push_str("(?s:.)"),
        'b' if !is_in_class => out.push_str("(?-u:\\b)"),
        '<' | '>' => out.push(c),
        c => {
            out.push('\\');
            out.push(c);
        }
    }
    after
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(pattern: &str, text: &str) -> bool {
        Pattern::new(pattern, "").unwrap().is_match(text)
    }

    #[test]
    fn what_re2_reads_otherwise_is_translated() {
        assert!(found(r"^[\d\]]+$", "1]2") && !found(r"^[^\D]+$", "a"));
        assert!(found(r"a\Q.*\Eb", "a.*b") && !found(r"a\Q.*\Eb", "axxb"));
        assert!(found("a{x}", "a{x}") && found("^a{2}$", "aa") && found("^{", "{"));
        assert!(found("[[:alpha:]&&x]", "&") && found("^[[a]$", "["));
        assert!(found(r"\<a\>", "<a>") && found(r"^\C$", "é") && found(r"\bé", "xé"));
        assert!(!found(r"\s", "\u{a0}") && !found(r"\w", "é"));
    }

    /// The classes of RE2: general categories and scripts, beside those of ASCII.
    #[test]
    fn classes_of_unicode_are_those_that_re2_has() {
        assert!(found(r"^\pL+$", "zażółć") && found(r"^\p{Lu}$", "Ż") && !found(r"^\PL$", "ż"));
        assert!(found(r"^\p{Greek}+$", "αβγ") && !found(r"^\p{Greek}+$", "abc") && found(r"^[^\p{Lu}_]$", "ж"));
        assert!(found(r"^\p{^L}$", "1") && !found(r"^\p{^L}$", "l") && found(r"^\P{^L}[\p{^L}]$", "l1"));
        assert!(Pattern::new(r"\p{Nothing}", "").is_err());
        assert!(found("(?i)^ÄÖ$", "äö") && found(r"^[[:word:]]+$", "a_1") && found(r"^[\w.-]+$", "v1.2-rc_3"));
    }

    #[test]
    fn what_is_too_big_or_no_pattern_is_refused() {
        for pattern in ["a{1000}{1000}", "(", "(?!a)", r"(a)\1", "*", "\\"] {
            assert!(Pattern::new(pattern, "").is_err(), "{pattern}");
        }
        assert!(Pattern::new(&"(".repeat(10_000), "").is_err());
        assert!(Pattern::new(&"a".repeat(20_000), "").is_err());
    }
}
