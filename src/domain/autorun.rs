//! Which files programs read or run by themselves, so that whoever may write them may run what he likes.
//!
//! What must stay true: each name is judged as the file systems would that fold names, wherever this runs: a checkout
//! may lie on one of them, or be copied to one. The rules for `.git` are git's own (`verify_path`, `is_hfs_dotgit`,
//! `is_ntfs_dotgit`).

use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path};

/// Names that git, or what a shell calls in each folder, looks for in any folder.
const ANYWHERE: [&str; 5] = [".git", ".gitmodules", ".gitattributes", ".gitconfig", ".envrc"];

/// How NTFS shortens those of them that have more letters than it takes: the first six, or two and four of a hash.
const SHORTENED: [(&str, &str); 5] =
    [("git~", ""), ("gitmod~", "gi7eba"), ("gitatt~", "gi7d29"), ("gitcon~", ""), ("envrc~", "")];

/// Code points that HFS+ passes over in names.
const PASSED_OVER: [std::ops::RangeInclusive<char>; 4] =
    ['\u{200c}'..='\u{200f}', '\u{202a}'..='\u{202e}', '\u{206a}'..='\u{206f}', '\u{feff}'..='\u{feff}'];

/// What a folder has that git takes for a repository, when somebody stands in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Repository {
    has_head: bool,
    has_objects: bool,
    has_refs: bool,
    has_common: bool,
}

impl Repository {
    /// Takes one more name of the folder into account.
    pub fn add(&mut self, name: &[u8]) {
        match folded(name).as_str() {
            "head" => self.has_head = true,
            "objects" => self.has_objects = true,
            "refs" => self.has_refs = true,
            "commondir" => self.has_common = true,
            _ => {}
        }
    }

    /// Whether git would take the folder for a repository, with settings and hooks of its own.
    #[must_use]
    pub fn is_whole(self) -> bool {
        self.has_head && (self.has_common || (self.has_objects && self.has_refs))
    }
}

/// The first parts of `path`, up to one that git or a shell reads or runs by itself in whichever folder it stands.
/// `None`: there is no such part.
#[must_use]
pub fn read_by_itself(path: &Path) -> Option<&Path> {
    path.ancestors().filter(|above| above.file_name().is_some_and(|name| is_read_anywhere(name.as_bytes()))).last()
}

/// Whether `path`, below somebody's home folder, is one that programs read or run by themselves: all that is hidden
/// directly in there is (settings, keys, what shells begin with).
#[must_use]
pub fn is_read_at_home(path: &Path) -> bool {
    match path.components().next() {
        Some(Component::Normal(first)) => folded(first.as_bytes()).starts_with('.'),
        _ => false,
    }
}

/// Whether these are names of the same file on some file system.
#[must_use]
pub fn is_same_name(one: &[u8], other: &[u8]) -> bool {
    one == other || folded(one) == folded(other)
}

/// Whether one part of a path is such a name. A backslash divides it, as on Windows.
fn is_read_anywhere(part: &[u8]) -> bool {
    part.split(|&byte| byte == b'\\').any(|name| {
        let name = folded(name);
        ANYWHERE.contains(&name.as_str()) || is_shortened(&name)
    })
}

/// Whether this folded name is what NTFS may make of one that is too long for it.
fn is_shortened(name: &str) -> bool {
    let Some((begin, number)) = name.split_once('~') else { return false };
    let is_number = !number.is_empty() && number.bytes().all(|c| c.is_ascii_digit());
    let is_of = |(first, hashed): (&str, &str)| {
        let is_hashed = !hashed.is_empty() && begin.len() >= 2 && hashed.starts_with(begin);
        name.strip_prefix(first).is_some_and(|rest| rest == number) || is_hashed
    };
    is_number && SHORTENED.into_iter().any(is_of)
}

/// A name as those file systems compare it: without what they pass over, up to a stream's colon, without blanks and dots
/// at its end, in small letters.
fn folded(name: &[u8]) -> String {
    let text = String::from_utf8_lossy(name);
    let seen: String = text
        .chars()
        .filter(|c| !PASSED_OVER.iter().any(|range| range.contains(c)))
        .flat_map(char::to_lowercase)
        .collect();
    let file = seen.split(':').next().unwrap_or_default();
    file.trim_end_matches([' ', '.']).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_git_and_shells_read_by_themselves_is_known_however_it_is_spelt() {
        for name in [
            ".git",
            ".GIT",
            ".gIt",
            ".git.",
            ".git ",
            ".git. . ",
            ".git...",
            ".g\u{200c}it",
            "\u{feff}.git",
            ".git\u{206f}",
            ".git::$INDEX_ALLOCATION",
            ".git:x",
            "git~1",
            "GIT~1",
            "git~12",
            "GIT~1.",
            ".git\\config",
            "a\\.git\\config",
            ".gitmodules",
            ".GitModules",
            ".gitmodules ",
            "gitmod~1",
            "GITMOD~4",
            "gi7eba~1",
            "GI7EB~10",
            ".gitattributes",
            "gitatt~1",
            "gi7d29~9",
            ".gitconfig",
            "gitcon~1",
            ".envrc",
            "envrc~1",
            ".g\u{202e}itmodules::$DATA",
        ] {
            for path in [name.to_owned(), format!("{name}/hooks/x"), format!("a/b/{name}"), format!("a/{name}/b")] {
                assert!(read_by_itself(Path::new(&path)).is_some(), "{path:?}");
            }
        }
        for name in [
            "git",
            ".github",
            ".gitlab-ci.yml",
            ".gitignore",
            ".gitkeep",
            "a.git",
            ".gi",
            ".git-x",
            "git~",
            "git~x",
            "git~1x",
            "gitmodules",
            "x~1",
            ".git_",
            "..git",
            ".",
            "envrc",
            "gi~",
            "backup~1",
            "größe",
            ".env",
        ] {
            for path in [name.to_owned(), format!("a/{name}/b")] {
                assert_eq!(read_by_itself(Path::new(&path)), None, "{path:?}");
            }
        }
    }

    #[test]
    fn the_topmost_of_such_names_is_told() {
        let first = |path| read_by_itself(Path::new(path)).map(|path| path.to_str().unwrap());
        assert_eq!(first("a/.git/modules/b/.git/c"), Some("a/.git"));
        assert_eq!(first("a/.envrc"), Some("a/.envrc"));
    }

    #[test]
    fn a_folder_is_a_repository_by_the_names_in_it() {
        for (names, is_whole) in [
            (&["HEAD", "objects", "refs", "config"][..], true),
            (&["head.", "OBJECTS", "refs "], true),
            (&["HEAD", "commondir"], true),
            (&["HEAD", "objects"], false),
            (&["objects", "refs", "config"], false),
            (&["HEAD"], false),
            (&[], false),
        ] {
            let mut repository = Repository::default();
            names.iter().for_each(|name| repository.add(name.as_bytes()));
            assert_eq!(repository.is_whole(), is_whole, "{names:?}");
        }
    }

    #[test]
    fn what_is_hidden_directly_at_home_is_read_by_programs() {
        for (path, is_read) in [
            (".bashrc", true),
            (".ssh/authorized_keys", true),
            (".config/a", true),
            ("a/.bashrc", false),
            ("bin", false),
        ] {
            assert_eq!(is_read_at_home(Path::new(path)), is_read, "{path}");
        }
    }
}
