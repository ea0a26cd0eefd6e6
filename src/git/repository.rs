//! A repository of our own for one snapshot, written without a call of git: it has a few objects and refs of its own, and
//! borrows all else from the checkout.

use super::checkout::path;
use crate::error::{Error, Result};
use std::fs::{self, DirBuilder};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// The file with the path of the folder that objects are borrowed from, as it is.
const LENDER: &str = "lender";

/// What a repository begins with.
pub struct Borrowed<'a> {
    /// The folder of objects that it borrows.
    pub objects: &'a Path,
    /// Whether commits have names of 64 digits.
    pub is_sha256: bool,
}

/// Makes the folder, for its owner only, and those above it.
///
/// # Errors
/// The file system's.
pub fn create(dir: &Path, borrowed: &Borrowed<'_>) -> Result<()> {
    for folder in [dir.to_owned(), dir.join("objects/info"), dir.join("objects/pack"), dir.join("refs")] {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&folder);
        made.map_err(|error| Error::file(&folder, &error))?;
    }
    let version = if borrowed.is_sha256 { "1\n[extensions]\n\tobjectFormat = sha256" } else { "0" };
    write(dir, "config", format!("[core]\n\tbare = true\n\trepositoryFormatVersion = {version}\n").as_bytes())?;
    write(dir, LENDER, borrowed.objects.as_os_str().as_bytes())?;
    write(dir, "objects/info/alternates", &quoted(borrowed.objects))
}

/// Says which refs there are: full name and commit, or tag. HEAD is the first one if that is a branch, else `sha`.
///
/// # Errors
/// The file system's; a name that could be taken for something else.
pub fn point(dir: &Path, sha: &str, refs: &[(String, String)]) -> Result<()> {
    let mut refs = refs.to_vec();
    for (name, sha) in &refs {
        crate::domain::git_names::check_ref(name).map_err(Error::invalid)?;
        crate::domain::git_names::check_sha("the commit", sha).map_err(Error::invalid)?;
    }
    let branch = refs.first().filter(|(name, _)| name.starts_with("refs/heads/"));
    let head = branch.map_or_else(|| format!("{sha}\n"), |(name, _)| format!("ref: {name}\n"));
    write(dir, "HEAD", head.as_bytes())?;
    refs.sort();
    refs.dedup_by(|one, other| one.0 == other.0);
    let lines: String = refs.iter().map(|(name, sha)| format!("{sha} {name}\n")).collect();
    write(dir, "packed-refs", format!("# pack-refs with: sorted \n{lines}").as_bytes())
}

/// Cuts the history off behind these commits: lines of names.
///
/// # Errors
/// The file system's.
pub fn cut(dir: &Path, commits: &[u8]) -> Result<()> {
    write(dir, "shallow", commits)
}

/// The refs that [`point`] wrote: full name and commit, or tag.
///
/// # Errors
/// The file system's.
pub fn refs(dir: &Path) -> Result<Vec<(String, String)>> {
    let path = dir.join("packed-refs");
    let lines = fs::read_to_string(&path).map_err(|error| Error::file(&path, &error))?;
    let pair = |line: &str| line.split_once(' ').map(|(sha, name)| (name.to_owned(), sha.to_owned()));
    Ok(lines.lines().filter(|line| !line.starts_with('#')).filter_map(pair).collect())
}

/// The folder of objects that the repository borrows.
///
/// # Errors
/// The file system's.
pub fn lender(dir: &Path) -> Result<PathBuf> {
    let at = dir.join(LENDER);
    fs::read(&at).map(|bytes| path(&bytes)).map_err(|error| Error::file(&at, &error))
}

fn write(dir: &Path, name: &str, content: &[u8]) -> Result<()> {
    let path = dir.join(name);
    fs::write(&path, content).map_err(|error| Error::file(&path, &error))
}

/// A path as a line of `objects/info/alternates`, whatever letters it has.
fn quoted(path: &Path) -> Vec<u8> {
    let mut line = vec![b'"'];
    for &byte in path.as_os_str().as_bytes() {
        match byte {
            b'"' | b'\\' => line.extend([b'\\', byte]),
            b'\n' => line.extend(b"\\n"),
            _ => line.push(byte),
        }
    }
    line.extend(b"\"\n");
    line
}
