//! The grammar of paths that artifacts and caches are chosen by.
//!
//! What must stay true: it is that of gitlab-runner 13.0 to 19.3. `/` separates; `*` and `?` match a leading dot; `**` is
//! any number of components when it is one, and like `*` beside other characters; what ends in `/**` matches what stands
//! before it, too.

use globset::{GlobBuilder, GlobMatcher};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

/// Longest pattern: matching takes time with its length.
const PATTERN_BYTES_MAX: usize = 4096;

/// A pattern, relative to the project's folder.
pub struct Pattern {
    /// What it begins with, where there is nothing to match yet: a path.
    pub base: PathBuf,
    /// How it goes on; `None`: it is the path itself.
    glob: Option<Glob>,
}

struct Glob {
    whole: GlobMatcher,
    /// Of one that ends in `/**`: without that.
    short: Option<GlobMatcher>,
    /// Whether the project's folder itself is a match.
    takes_all: bool,
    /// Components that a match has at most, if that can be told.
    depth: Option<usize>,
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
            return Ok(Pattern { base, glob: None });
        }
        let rest: Vec<&str> = rest.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
        let mut pattern = escaped(&base.to_string_lossy());
        if !pattern.is_empty() {
            pattern.push('/');
        }
        pattern.push_str(&rest.join("/"));
        let short = pattern.strip_suffix("/**").map(matcher).transpose()?;
        let is_bounded = !pattern.contains("**") && !pattern.contains('{');
        let depth = is_bounded.then(|| base.components().count() + rest.len());
        let takes_all = pattern.split('/').all(|part| part == "**");
        Ok(Pattern { base, glob: Some(Glob { whole: matcher(&pattern)?, short, takes_all, depth }) })
    }

    /// Whether it is a path and nothing else.
    #[must_use]
    pub fn is_path(&self) -> bool {
        self.glob.is_none()
    }

    /// Whether it matches a path, relative to the project's folder.
    #[must_use]
    pub fn matches(&self, path: &Path) -> bool {
        match &self.glob {
            None => path == self.base,
            Some(glob) if path.as_os_str().is_empty() => glob.takes_all,
            Some(glob) => glob.whole.is_match(path) || glob.short.as_ref().is_some_and(|short| short.is_match(path)),
        }
    }

    /// Whether something below a folder could match.
    #[must_use]
    pub fn goes_below(&self, folder: &Path) -> bool {
        let depth = self.glob.as_ref().and_then(|glob| glob.depth);
        depth.is_none_or(|depth| folder.components().count() < depth)
    }
}

fn matcher(pattern: &str) -> Result<GlobMatcher, Unusable> {
    let glob = GlobBuilder::new(pattern).literal_separator(true).backslash_escape(true).empty_alternates(true).build();
    glob.map(|glob| glob.compile_matcher()).map_err(|_| Unusable::Syntax)
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

/// With backslashes before what would mean something.
fn escaped(text: &str) -> String {
    text.chars().flat_map(|c| ("*?[]{}\\".contains(c).then_some('\\')).into_iter().chain([c])).collect()
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
            ("[^a]", &["b", "A"], &["a", "/"]),
            ("[!a-c]x", &["dx"], &["ax", "bx"]),
            ("we\\[i\\]rd.t?t", &["we[i]rd.txt"], &["weird.txt"]),
            ("out/*/", &["out/a"], &["out/a/b"]),
            ("out/**/", &["out", "out/a/b"], &[]),
            ("./out//*", &["out/a"], &[]),
            ("/b/p/out/*", &["out/a"], &["b/p/out/a"]),
            ("a/../out/*", &["out/a"], &["a/out/a"]),
            ("OUT/*", &[], &["out/a"]),
            ("a b/*", &["a b/c"], &[]),
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
        for text in ["out/[", "{a,b", "[z-a]", &"*".repeat(5000)] {
            assert_eq!(Pattern::read(text, Path::new(PROJECT)).err(), Some(Unusable::Syntax), "{text}");
        }
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
