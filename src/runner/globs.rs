//! The grammar of paths that artifacts and caches are chosen by.
//!
//! What must stay true: it is that of gitlab-runner 13.0 to 19.3. `/` separates; `*` and `?` match a leading dot; `**` is
//! any number of components when it is one, and like `*` beside other characters; braces hold alternatives, with `/` in
//! them or not. A character is one, however many bytes it takes. No pattern takes more time than its length times that of
//! the path, for each of its alternatives, which are counted.
//!
//! The crates that know globs differ from it: in what `?` is beyond ASCII, in `**` beside other characters, in braces.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

/// Longest pattern.
const PATTERN_BYTES_MAX: usize = 4096;
/// Most alternatives of all braces of a pattern together.
const ALTERNATIVES_MAX: usize = 1000;

/// A pattern, relative to the project's folder.
pub struct Pattern {
    /// What it begins with, where there is nothing to match yet: a path.
    pub base: PathBuf,
    /// Its alternatives; empty: it is the path itself.
    globs: Vec<Vec<Part>>,
    /// Components that a match has at most, if that can be told.
    depth: Option<usize>,
}

/// What matches one component of a path, or several.
enum Part {
    /// Any number of them.
    Any,
    /// One, sign by sign.
    Name(Vec<Sign>),
}

enum Sign {
    Is(char),
    One,
    Any,
    /// Whether it is none of these, and these.
    Class(bool, Vec<(char, char)>),
}

/// Why a text is no pattern of files of the project.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Unusable {
    /// It leads elsewhere.
    Outside,
    /// Its syntax is wrong.
    Syntax,
}

impl Pattern {
    /// Reads a pattern of files in `project`, which is an absolute path.
    ///
    /// # Errors
    /// If it leads elsewhere, or is none.
    pub fn read(text: &str, project: &Path) -> Result<Pattern, Unusable> {
        if text.len() > PATTERN_BYTES_MAX {
            return Err(Unusable::Syntax);
        }
        let (base, rest) = split(text);
        let base = cleaned(&project.join(unescaped(base)));
        let base = base.strip_prefix(project).map_err(|_| Unusable::Outside)?.to_owned();
        if rest.is_empty() {
            return Ok(Pattern { base, globs: Vec::new(), depth: None });
        }
        let mut alternatives = Vec::new();
        spread(rest.to_owned(), &mut alternatives)?;
        let before = || base.components().map(|part| part.as_os_str().to_string_lossy());
        let mut globs = Vec::new();
        for alternative in &alternatives {
            let mut parts: Vec<Part> = before().map(|name| Part::Name(name.chars().map(Sign::Is).collect())).collect();
            for part in alternative.split('/').filter(|part| !part.is_empty() && *part != ".") {
                parts.push(if part == "**" { Part::Any } else { Part::Name(signs(part)?) });
            }
            globs.push(parts);
        }
        let is_bounded = !globs.iter().flatten().any(|part| matches!(part, Part::Any));
        let depth = globs.iter().map(Vec::len).max().filter(|_| is_bounded);
        Ok(Pattern { base, globs, depth })
    }

    /// Whether it is a path and nothing else.
    #[must_use]
    pub fn is_path(&self) -> bool {
        self.globs.is_empty()
    }

    /// Whether it matches a path, relative to the project's folder.
    #[must_use]
    pub fn matches(&self, path: &Path) -> bool {
        if self.is_path() {
            return path == self.base;
        }
        let names: Vec<Vec<char>> =
            path.components().map(|part| part.as_os_str().to_string_lossy().chars().collect()).collect();
        self.globs.iter().any(|parts| match_parts(parts, &names))
    }

    /// Whether something below a folder could match.
    #[must_use]
    pub fn goes_below(&self, folder: &Path) -> bool {
        self.depth.is_none_or(|depth| folder.components().count() < depth)
    }
}

/// Whether components of a path match, looked at from the last: `reach` says from which on the rest matches.
fn match_parts(parts: &[Part], names: &[Vec<char>]) -> bool {
    let mut reach = vec![false; names.len()];
    reach.push(true);
    for part in parts.iter().rev() {
        let mut next = Vec::with_capacity(reach.len());
        match part {
            Part::Any => {
                let mut is_reached = false;
                for from in reach.iter().rev() {
                    is_reached |= from;
                    next.push(is_reached);
                }
                next.reverse();
            }
            Part::Name(signs) => {
                let behind = reach.iter().skip(1);
                next.extend(names.iter().zip(behind).map(|(name, behind)| *behind && match_name(signs, name)));
                next.push(false);
            }
        }
        reach = next;
    }
    reach.first() == Some(&true)
}

/// Whether one component matches: from each `*`, only the last one is gone back to.
fn match_name(signs: &[Sign], name: &[char]) -> bool {
    let (mut sign, mut place) = (0, 0);
    let mut back: Option<(usize, usize)> = None;
    while place < name.len() || sign < signs.len() {
        match (signs.get(sign), name.get(place)) {
            (Some(Sign::Any), _) => {
                back = Some((sign, place));
                sign += 1;
                continue;
            }
            (Some(one), Some(&c)) if one.is(c) => {
                (sign, place) = (sign + 1, place + 1);
                continue;
            }
            _ => {}
        }
        match back {
            Some((star, from)) if from < name.len() => {
                back = Some((star, from + 1));
                (sign, place) = (star + 1, from + 1);
            }
            _ => return false,
        }
    }
    true
}

impl Sign {
    fn is(&self, c: char) -> bool {
        match self {
            Sign::Is(own) => *own == c,
            Sign::One | Sign::Any => true,
            Sign::Class(is_none, ranges) => *is_none != ranges.iter().any(|(from, to)| (*from..=*to).contains(&c)),
        }
    }
}

/// Reads one component.
fn signs(text: &str) -> Result<Vec<Sign>, Unusable> {
    let mut signs = Vec::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        signs.push(match c {
            '\\' => Sign::Is(chars.next().ok_or(Unusable::Syntax)?),
            '?' => Sign::One,
            '*' if matches!(signs.last(), Some(Sign::Any)) => continue,
            '*' => Sign::Any,
            '[' => {
                let is_none = chars.next_if(|c| "!^".contains(*c)).is_some();
                let mut ranges = Vec::new();
                loop {
                    let mut one = || match chars.next() {
                        Some('\\') => chars.next().map(|c| (c, true)).ok_or(Unusable::Syntax),
                        Some(c) => Ok((c, false)),
                        None => Err(Unusable::Syntax),
                    };
                    let (from, is_escaped) = one()?;
                    if from == ']' && !is_escaped {
                        break;
                    }
                    let to = if chars.next_if_eq(&'-').is_some() { class_end(&mut chars)? } else { from };
                    if from > to {
                        return Err(Unusable::Syntax);
                    }
                    ranges.push((from, to));
                }
                if ranges.is_empty() {
                    return Err(Unusable::Syntax);
                }
                Sign::Class(is_none, ranges)
            }
            c => Sign::Is(c),
        });
    }
    Ok(signs)
}

/// The end of a range.
fn class_end(chars: &mut impl Iterator<Item = char>) -> Result<char, Unusable> {
    match chars.next() {
        Some('\\') => chars.next(),
        Some(']') | None => None,
        other => other,
    }
    .ok_or(Unusable::Syntax)
}

/// Writes out the alternatives of all braces.
fn spread(text: String, to: &mut Vec<String>) -> Result<(), Unusable> {
    let mut open = vec![text];
    while let Some(text) = open.pop() {
        match braces(&text)? {
            None => to.push(text),
            Some((before, inside, after)) => {
                open.extend(inside.iter().rev().map(|inside| format!("{before}{inside}{after}")));
            }
        }
        if to.len() + open.len() > ALTERNATIVES_MAX {
            return Err(Unusable::Syntax);
        }
    }
    Ok(())
}

/// What stands before the first braces, in them, and behind.
type Braces<'a> = (&'a str, Vec<&'a str>, &'a str);

fn braces(text: &str) -> Result<Option<Braces<'_>>, Unusable> {
    let (mut depth, mut is_escaped, mut is_class) = (0_usize, false, false);
    let (mut start, mut from) = (0, 0);
    let mut inside = Vec::new();
    for (place, c) in text.char_indices() {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            ']' => is_class = false,
            _ if is_class => {}
            '[' => is_class = true,
            '{' => {
                if depth == 0 {
                    (start, from) = (place, place + 1);
                }
                depth += 1;
            }
            ',' | '}' if depth == 1 => {
                inside.extend(text.get(from..place));
                from = place + 1;
                if c == '}' {
                    return Ok(text.get(..start).zip(text.get(from..)).map(|(before, after)| (before, inside, after)));
                }
            }
            '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    if depth > 0 { Err(Unusable::Syntax) } else { Ok(None) }
}

/// A path in two: whole components without anything to match, and the rest.
fn split(text: &str) -> (&str, &str) {
    let mut is_escaped = false;
    let mut cut = 0;
    for (place, c) in text.char_indices() {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            '/' => cut = place + 1,
            '*' | '?' | '[' | '{' => return text.split_at(cut),
            _ => {}
        }
    }
    (text, "")
}

/// Without the backslashes before what would mean something.
fn unescaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        out.push(if c == '\\' { chars.next().unwrap_or('\\') } else { c });
    }
    out
}

/// The same path without `.`, `..` and doubled `/`, as far as names tell.
fn cleaned(path: &Path) -> PathBuf {
    let mut clean = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                clean.pop();
            }
            Component::Normal(_) | Component::RootDir | Component::Prefix(_) => clean.push(part),
        }
    }
    clean
}

/// A path as it stands in an archive and in the log; `None` if it is no text.
#[must_use]
pub fn name_of(path: &Path) -> Option<&str> {
    if path.as_os_str().is_empty() { Some(".") } else { path.to_str() }
}

/// A path of bytes, as git tells it.
#[must_use]
pub fn path_of(bytes: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROJECT: &str = "/b/p";

    fn matches(pattern: &str, path: &str) -> bool {
        Pattern::read(pattern, Path::new(PROJECT)).unwrap().matches(Path::new(path))
    }

    #[test]
    fn the_grammar_is_that_of_real_runners() {
        for (pattern, yes, no) in [
            ("*", &["a", ".hid", ".git"][..], &["a/b", ""][..]),
            ("?.txt", &["a.txt", "é.txt"], &["ab.txt", "/.txt"]),
            ("**/*.txt", &["a.txt", ".hid/x.txt", "a/b/c.txt"], &["a.log"]),
            ("out/**", &["out", "out/a", "out/a/b"], &["outer", "o"]),
            ("**", &["a", "a/b", ""], &[]),
            ("out/**.txt", &["out/a.txt"], &["out/a/b.txt"]),
            ("***", &["a"], &["a/b"]),
            ("out/{a,deep/b}.txt", &["out/a.txt", "out/deep/b.txt"], &["out/b.txt"]),
            ("{a,{b,c}}", &["a", "b", "c"], &["d"]),
            ("[^a]", &["b", "A"], &["a", "bc"]),
            ("[!a-c]x", &["dx"], &["ax", "bx"]),
            ("we\\[i\\]rd.t?t", &["we[i]rd.txt"], &["weird.txt"]),
            ("out/*/", &["out/a"], &["out/a/b"]),
            ("out/**/", &["out", "out/a/b"], &[]),
            ("./out//*", &["out/a"], &[]),
            ("/b/p/out/*", &["out/a"], &["b/p/out/a"]),
            ("a/../out/*", &["out/a"], &["a/out/a"]),
            ("OUT/*", &[], &["out/a"]),
            ("a b/*", &["a b/c"], &[]),
            ("a*b*c", &["abc", "aXbbYc"], &["acb", "ab"]),
            ("**/a/**/b", &["a/b", "x/a/y/z/b"], &["a", "b/a"]),
            ("{,x}*[{,]", &["a{", "xa,"], &["a"]),
        ] {
            for path in yes {
                assert!(matches(pattern, path), "{pattern:?} should match {path:?}");
            }
            for path in no {
                assert!(!matches(pattern, path), "{pattern:?} should not match {path:?}");
            }
        }
    }

    #[test]
    fn a_pattern_without_signs_is_a_path() {
        for (text, base) in
            [("out/", "out"), ("./a//b/../c", "a/c"), (".", ""), ("/b/p", ""), ("we\\[i\\]rd", "we[i]rd")]
        {
            let pattern = Pattern::read(text, Path::new(PROJECT)).unwrap();
            assert!(pattern.is_path() && pattern.base == Path::new(base), "{text}: {:?}", pattern.base);
        }
    }

    #[test]
    fn what_leads_elsewhere_or_is_no_pattern_is_refused() {
        for text in ["..", "../x", "/etc/hostname", "a/../../x", "/b/px", "/etc/*", "../*"] {
            assert_eq!(Pattern::read(text, Path::new(PROJECT)).err(), Some(Unusable::Outside), "{text}");
        }
        for text in ["out/[", "{a,b", "[z-a]", "[]", &"*".repeat(5000)] {
            assert_eq!(Pattern::read(text, Path::new(PROJECT)).err(), Some(Unusable::Syntax), "{text}");
        }
    }

    #[test]
    fn no_pattern_is_slow_or_large() {
        let stars = format!("{}b", "*a".repeat(500));
        assert!(!matches(&stars, &"a".repeat(4000)) && !matches(&"**/a/".repeat(500), &"b/".repeat(2000)));
        assert!(matches(&format!("{}*", "{a,b}".repeat(9)), "abababababab"));
        let many = format!("{}*", "{a,b}".repeat(30));
        assert_eq!(Pattern::read(&many, Path::new(PROJECT)).err(), Some(Unusable::Syntax));
    }

    #[test]
    fn a_walk_goes_no_deeper_than_a_match_can_be() {
        let goes = |pattern: &str, folder: &str| {
            Pattern::read(pattern, Path::new(PROJECT)).unwrap().goes_below(Path::new(folder))
        };
        assert!(goes("*.txt", "") && !goes("*.txt", "a"));
        assert!(goes("a/*/c", "a/b") && !goes("a/*/c", "a/b/c"));
        assert!(goes("**/x", "a/b/c/d") && goes("{a,b/c/d}*", "b/c"));
    }
}
