//! Finds the files of artifacts and caches in a job's folder.
//!
//! What must stay true: of every match the whole tree below is taken, and no link in it is followed; what is found is
//! counted as real runners count. A job has made the tree: it may be deep, wide, and change under our eyes.

use super::globs::{Pattern, Unusable};
use std::collections::{BTreeMap, HashMap};
use std::fs::{self, Metadata};
use std::path::{Path, PathBuf};

/// Most files, folders and links of one archive.
const ENTRIES_MAX: usize = 1_000_000;
/// Most looks at a file: one may be matched several times.
const LOOKS_MAX: usize = 20_000_000;
/// Folders in each other.
const DEPTH_MAX: usize = 500;

/// A line of the log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Line {
    /// A plain one.
    Info(String),
    /// A warning.
    Warning(String),
}

/// What is chosen.
pub struct Choice<'a> {
    /// Globs of what is taken, already expanded.
    pub paths: &'a [String],
    /// Globs of what is left out, already expanded.
    pub exclude: &'a [String],
    /// What git does not track, if that was asked for: paths, or why they are not known.
    pub untracked: Option<Result<Vec<PathBuf>, String>>,
}

/// What was found.
#[derive(Default)]
pub struct Found {
    /// By their paths below the project's folder.
    pub files: BTreeMap<PathBuf, Metadata>,
    /// What to say of it.
    pub lines: Vec<Line>,
    /// By pattern: how much it has left out.
    excluded: HashMap<usize, u64>,
    looks: usize,
}

/// Why a search was given up.
#[derive(Debug)]
pub enum Given {
    /// There is too much.
    TooMuch,
    /// Nobody wants it any more.
    Unwanted,
}

/// A search in a job's folder.
pub struct Search<'a> {
    /// The folder, an absolute path.
    pub project: &'a Path,
    /// Asked again and again.
    pub is_wanted: &'a dyn Fn() -> bool,
}

impl Search<'_> {
    /// Finds what is chosen.
    ///
    /// # Errors
    /// If there is too much, or nobody wants it any more.
    pub fn find(&self, choice: &Choice<'_>) -> Result<Found, Given> {
        let mut found = Found::default();
        let exclude: Vec<(usize, Pattern)> = choice
            .exclude
            .iter()
            .enumerate()
            .filter_map(|(number, text)| Some((number, Pattern::read(text, self.project).ok()?)))
            .collect();
        for text in choice.paths {
            self.find_path(text, &exclude, &mut found)?;
        }
        match &choice.untracked {
            None => {}
            Some(Err(why)) => found.lines.push(Line::Warning(format!("untracked: {why}"))),
            Some(Ok(paths)) => {
                let mut count = 0;
                for path in paths {
                    count += u64::from(self.look(path, &exclude, &mut found)?);
                }
                found.lines.push(match count {
                    0 => Line::Warning("untracked: no files".to_owned()),
                    _ => Line::Info(format!("untracked: found {count} files")),
                });
            }
        }
        for (number, text) in choice.exclude.iter().enumerate() {
            if let Some(count) = found.excluded.get(&number) {
                found.lines.push(Line::Info(format!("{text}: excluded {count} files")));
            }
        }
        Ok(found)
    }

    fn find_path(&self, text: &str, exclude: &[(usize, Pattern)], found: &mut Found) -> Result<(), Given> {
        if text.is_empty() {
            found.lines.push(Line::Warning("No matching files. Path is empty.".to_owned()));
            return Ok(());
        }
        let pattern = match Pattern::read(text, self.project) {
            Ok(pattern) => pattern,
            Err(Unusable::Outside) => {
                let why = format!("processPath: artifact path is not a subpath of project directory: {text}");
                found.lines.push(Line::Warning(why));
                return Ok(());
            }
            Err(Unusable::Syntax) => {
                found.lines.push(Line::Warning(format!("{text}: syntax error in pattern")));
                return Ok(());
            }
        };
        let mut count = 0;
        if pattern.is_path() {
            // A link that leads nowhere is not found by its name.
            if self.project.join(&pattern.base).exists() {
                count += self.take_tree(&pattern.base, exclude, found)?;
            }
        } else {
            count += self.walk(&pattern, exclude, found)?;
        }
        found.lines.push(if count == 0 {
            Line::Warning(format!(
                "{text}: no matching files. Ensure that the artifact path is relative to the working directory ({})",
                self.project.display()
            ))
        } else {
            Line::Info(format!("{text}: found {count} matching artifact files and directories"))
        });
        Ok(())
    }

    /// Takes the trees of all matches.
    fn walk(&self, pattern: &Pattern, exclude: &[(usize, Pattern)], found: &mut Found) -> Result<u64, Given> {
        let mut count = 0;
        // A folder whose name is said may be a link; those that are matched are not gone through.
        let mut open = if self.project.join(&pattern.base).is_dir() { vec![pattern.base.clone()] } else { Vec::new() };
        if !open.is_empty() && pattern.matches(&pattern.base) {
            count += self.take_tree(&pattern.base, exclude, found)?;
        }
        while let Some(folder) = open.pop() {
            for (path, is_folder) in self.entries(&folder)? {
                if pattern.matches(&path) {
                    count += self.take_tree(&path, exclude, found)?;
                }
                if is_folder && pattern.goes_below(&path) {
                    open.push(path);
                }
            }
        }
        Ok(count)
    }

    /// Takes a path and all below it; returns how many there are.
    fn take_tree(&self, top: &Path, exclude: &[(usize, Pattern)], found: &mut Found) -> Result<u64, Given> {
        let mut count = 0;
        let mut open = vec![top.to_owned()];
        while let Some(path) = open.pop() {
            count += u64::from(self.look(&path, exclude, found)?);
            let is_folder = fs::symlink_metadata(self.project.join(&path)).is_ok_and(|file| file.is_dir());
            if is_folder {
                open.extend(self.entries(&path)?.into_iter().map(|(path, _)| path));
            }
        }
        Ok(count)
    }

    /// Takes one, if it is there and not left out.
    fn look(&self, path: &Path, exclude: &[(usize, Pattern)], found: &mut Found) -> Result<bool, Given> {
        found.looks += 1;
        if found.looks > LOOKS_MAX || found.files.len() >= ENTRIES_MAX {
            return Err(Given::TooMuch);
        }
        if let Some((number, _)) = exclude.iter().find(|(_, pattern)| pattern.matches(path)) {
            *found.excluded.entry(*number).or_default() += 1;
            return Ok(false);
        }
        if found.files.contains_key(path) {
            return Ok(true);
        }
        match fs::symlink_metadata(self.project.join(path)) {
            Ok(file) => {
                if found.files.is_empty() || !has_git(found) {
                    warn_of_git(path, found);
                }
                found.files.insert(path.to_owned(), file);
                Ok(true)
            }
            // It is gone meanwhile.
            Err(_) => Ok(false),
        }
    }

    /// What is in a folder, and which of it are folders.
    fn entries(&self, folder: &Path) -> Result<Vec<(PathBuf, bool)>, Given> {
        if !(self.is_wanted)() {
            return Err(Given::Unwanted);
        }
        if folder.components().count() > DEPTH_MAX {
            return Err(Given::TooMuch);
        }
        let entries = fs::read_dir(self.project.join(folder)).into_iter().flatten().flatten();
        let entry = |entry: fs::DirEntry| {
            let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
            (folder.join(entry.file_name()), is_folder)
        };
        Ok(entries.map(entry).collect())
    }
}

fn has_git(found: &Found) -> bool {
    found.lines.iter().any(|line| matches!(line, Line::Warning(text) if text.starts_with("Part of .git")))
}

/// Git's own files among the artifacts are seldom meant.
fn warn_of_git(path: &Path, found: &mut Found) {
    if path.starts_with(".git") {
        found.lines.push(Line::Warning("Part of .git directory is on the list of files to archive".to_owned()));
        found.lines.push(Line::Warning("This may introduce unexpected problems".to_owned()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runner::globs::name_of;
    use std::os::unix::fs::symlink;

    /// The names of what was found, as they stand in an archive.
    fn names(found: &Found) -> Vec<&str> {
        found.files.keys().filter_map(|path| name_of(path)).collect()
    }

    fn project() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for file in
            ["out/a.txt", "out/A.TXT", "out/deep/b.txt", "out/deep/er/c.log", ".hid/x.txt", "we[i]rd.txt", "a b.txt"]
        {
            let place = dir.path().join(file);
            fs::create_dir_all(place.parent().unwrap()).unwrap();
            fs::write(place, "x").unwrap();
        }
        dir
    }

    fn find(dir: &Path, paths: &[&str], exclude: &[&str]) -> Found {
        let own = |list: &[&str]| list.iter().map(|&text| text.to_owned()).collect::<Vec<_>>();
        let (paths, exclude) = (own(paths), own(exclude));
        let choice = Choice { paths: &paths, exclude: &exclude, untracked: None };
        Search { project: dir, is_wanted: &|| true }.find(&choice).unwrap()
    }

    #[test]
    fn of_each_match_the_whole_tree_is_taken() {
        let dir = project();
        for (paths, exclude, expected) in [
            (&["**/*.txt"][..], &[][..], &[".hid/x.txt", "a b.txt", "out/a.txt", "out/deep/b.txt", "we[i]rd.txt"][..]),
            (&["out/*.txt", "out/**.log"], &[], &["out/a.txt"]),
            (&["out/{a,deep/b}.txt", "out/[^a].txt"], &[], &["out/a.txt", "out/deep/b.txt"]),
            (&["out/**"], &["out/*"], &["out", "out/deep/b.txt", "out/deep/er", "out/deep/er/c.log"]),
            (&["out"], &["out/deep/**"], &["out", "out/A.TXT", "out/a.txt"]),
            (&["./out//deep/"], &[], &["out/deep", "out/deep/b.txt", "out/deep/er", "out/deep/er/c.log"]),
            (&["we\\[i\\]rd.txt", "a b.txt"], &[], &["a b.txt", "we[i]rd.txt"]),
            (&["out/[", "nope/*", "../x", "/etc/hostname", ""], &[], &[]),
        ] {
            let found = find(dir.path(), paths, exclude);
            assert_eq!(names(&found), expected, "{paths:?}");
        }
    }

    #[test]
    fn what_is_found_is_counted_and_what_is_not_is_told() {
        let dir = project();
        let found = find(dir.path(), &["out/", "out/[", "nope/*", "../x", ""], &["out/deep/**"]);
        let lines: Vec<String> = found
            .lines
            .iter()
            .map(|line| match line {
                Line::Info(text) | Line::Warning(text) => text.clone(),
            })
            .collect();
        assert_eq!(lines[0], "out/: found 3 matching artifact files and directories");
        assert_eq!(lines[1], "out/[: syntax error in pattern");
        assert!(lines[2].starts_with("nope/*: no matching files. Ensure"), "{lines:?}");
        assert!(lines[3].ends_with("not a subpath of project directory: ../x"), "{lines:?}");
        assert_eq!(lines[4], "No matching files. Path is empty.");
        assert_eq!(lines[5], "out/deep/**: excluded 4 files");
    }

    #[test]
    fn links_are_taken_and_not_followed_but_where_they_are_named() {
        let dir = project();
        symlink("out", dir.path().join("link")).unwrap();
        symlink("gone", dir.path().join("broken")).unwrap();
        symlink("..", dir.path().join("out/up")).unwrap();
        assert_eq!(names(&find(dir.path(), &["link"], &[])), ["link"]);
        assert_eq!(names(&find(dir.path(), &["link/a.*"], &[])), ["link/a.txt"]);
        assert_eq!(names(&find(dir.path(), &["broken"], &[])), Vec::<&str>::new());
        assert_eq!(names(&find(dir.path(), &["brok*"], &[])), ["broken"]);
        assert!(!names(&find(dir.path(), &["**"], &[])).iter().any(|name| name.starts_with("link/")));
    }

    #[test]
    fn git_among_them_is_warned_of_once() {
        let dir = project();
        fs::create_dir(dir.path().join(".git")).unwrap();
        fs::write(dir.path().join(".git/config"), "").unwrap();
        let found = find(dir.path(), &["*"], &[]);
        assert!(names(&found).contains(&".git/config"));
        let warnings = found.lines.iter().filter(|line| matches!(line, Line::Warning(text) if text.contains(".git")));
        assert_eq!(warnings.count(), 1);
    }

    #[test]
    fn nobody_waits_for_a_search_that_is_not_wanted() {
        let dir = project();
        let paths = ["**".to_owned()];
        let choice = Choice { paths: &paths, exclude: &[], untracked: None };
        let search = Search { project: dir.path(), is_wanted: &|| false };
        assert!(matches!(search.find(&choice), Err(Given::Unwanted)));
    }
}
