//! What `git status --porcelain=v2 -z` says of a checkout.

use super::checkout::{path, text};
use crate::error::{Error, Result};
use std::path::Path;

/// What differs from the present commit.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// Whether the index has something that the commit has not.
    pub is_staged: bool,
    /// Files that git knows, and that are not as in the index.
    pub modified: Vec<Vec<u8>>,
    /// Files that git knows, and that are gone.
    pub removed: Vec<Vec<u8>>,
    /// Files that git does not know.
    pub untracked: Vec<Vec<u8>>,
    /// Files that are in the index as they are in the folder.
    pub staged: Vec<Vec<u8>>,
    /// What the user should know.
    pub warnings: Vec<String>,
}

impl Status {
    /// Reads git's list.
    ///
    /// # Errors
    /// If it has another form.
    pub fn parse(list: &[u8]) -> Result<Status> {
        let mut status = Status::default();
        for entry in list.split(|&byte| byte == 0).filter(|entry| !entry.is_empty()) {
            let fields = match entry.first() {
                Some(b'1') => 9,
                Some(b'u') => 11,
                Some(b'?') => 2,
                _ => 0,
            };
            let parts: Vec<&[u8]> = entry.splitn(fields, |&byte| byte == b' ').collect();
            match parts.as_slice() {
                [b"?", name] => status.unknown(name),
                [b"1", [staged, present], kind, _, _, to, .., name] => {
                    status.is_staged |= *staged != b'.';
                    status.known(name, *present, kind.starts_with(b"S") || (*to == b"160000" && *present != b'.'));
                }
                [b"u", _, kind, .., name] => {
                    status.warnings.push(format!("{} has conflicts that are not resolved", text(name)));
                    status.is_staged = true;
                    status.known(name, b'M', kind.starts_with(b"S"));
                }
                _ => return Err(Error::internal("git status has another form than that of version 2")),
            }
        }
        Ok(status)
    }

    fn unknown(&mut self, name: &[u8]) {
        if name.ends_with(b"/") {
            let why = "it is a repository of its own, and not a submodule of this one";
            self.warnings.push(format!("{} is left out: {why}", text(name)));
        } else {
            self.untracked.push(name.to_owned());
        }
    }

    fn known(&mut self, name: &[u8], present: u8, is_submodule: bool) {
        let list = match (is_submodule, present) {
            (_, b'.') => &mut self.staged,
            (true, _) => {
                let what = "what has changed in it is not taken in";
                self.warnings.push(format!("submodule {} is at its recorded commit: {what}", text(name)));
                return;
            }
            (false, b'D') => &mut self.removed,
            (false, _) => &mut self.modified,
        };
        list.push(name.to_owned());
    }

    /// Forgets all that lies in a folder of the checkout.
    pub fn leave_out(&mut self, below: &Path) {
        self.untracked.retain(|name| !path(name).starts_with(below));
    }

    /// Whether the present state is that of the commit.
    pub fn is_clean(&self) -> bool {
        !self.is_staged && self.paths().next().is_none()
    }

    /// Files whose present state is not in the index. Those that are gone come first: another one's folder may have their
    /// name.
    pub fn paths(&self) -> impl Iterator<Item = &[u8]> {
        [&self.removed, &self.modified, &self.untracked].into_iter().flatten().map(Vec::as_slice)
    }

    /// All files that differ from the commit, in order.
    pub fn changed(&self) -> Vec<String> {
        let mut all: Vec<String> = self.paths().chain(self.staged.iter().map(Vec::as_slice)).map(text).collect();
        all.sort();
        all.dedup();
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_entry_is_read_to_the_end_of_its_name() {
        let list =
            b"1 .M N... 100644 100644 100644 1 2 a b\nc\x001 A. N... 0 1 1 1 2 new\x001 .D N... 1 1 0 1 2 gone\0\
            u UU N... 1 1 1 1 1 2 3 both\0? un known\0? nested/\x001 .M SCMU 160000 160000 160000 1 2 sub\0";
        let status = Status::parse(list).unwrap();
        assert!(status.is_staged && !status.is_clean());
        assert_eq!(status.changed(), ["a b\nc", "both", "gone", "new", "un known"]);
        assert_eq!(status.paths().next(), Some(&b"gone"[..]));
        assert_eq!(status.warnings.len(), 3, "{:?}", status.warnings);
        let only = Status::parse(b"1 .M S.M. 160000 160000 160000 1 2 sub\0? nested/\0").unwrap();
        assert!(only.is_clean());
        for wrong in [&b"2 R. N... 1 1 1 1 2 R100 a\0b\0"[..], b"! ignored\0", b"1 .M\0", b"what\0"] {
            assert!(Status::parse(wrong).is_err(), "{wrong:?}");
        }
    }
}
