//! What is in an archive of artifacts, as folders.
//!
//! What must stay true: a path leads nowhere but down, the one that is asked for and the one that an archive has. Names
//! that do not are left out, and counted. A page costs the same memory, however much is in the archive.

use super::time::Timestamp;
use std::collections::BTreeMap;

/// Bytes of a path, as file systems have it.
pub const PATH_BYTES_MAX: usize = 4096;

/// What a page of a folder has at most.
pub const ITEMS_MAX: usize = 1000;

/// Where something is in an archive; the archive itself is at the empty one. Bytes that are no UTF-8 are replaced.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ArchivePath(String);

impl ArchivePath {
    /// The path that somebody asks for.
    ///
    /// # Errors
    /// Says why there can be no such path.
    pub fn parse(text: &str) -> Result<ArchivePath, String> {
        ArchivePath::below(text).ok_or_else(|| {
            format!(
                "a path in an archive begins with no /, has no .. and no NUL byte, and at most {PATH_BYTES_MAX} bytes"
            )
        })
    }

    /// The path that an archive has, unless it leads out of it.
    #[must_use]
    pub fn of_entry(name: &[u8]) -> Option<ArchivePath> {
        if name.len() > PATH_BYTES_MAX { None } else { ArchivePath::below(&String::from_utf8_lossy(name)) }
    }

    fn below(text: &str) -> Option<ArchivePath> {
        if text.len() > PATH_BYTES_MAX || text.starts_with('/') || text.contains('\0') {
            return None;
        }
        let parts: Vec<&str> = text.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
        if parts.contains(&"..") { None } else { Some(ArchivePath(parts.join("/"))) }
    }

    /// In words; empty for the archive itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its last name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or_default()
    }

    /// What follows `folder`, if this is below it.
    fn behind(&self, folder: &ArchivePath) -> Option<&str> {
        if folder.0.is_empty() {
            return Some(&self.0).filter(|rest| !rest.is_empty()).map(String::as_str);
        }
        self.0.strip_prefix(&folder.0)?.strip_prefix('/')
    }
}

/// What something in an archive is. Folders come first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum ItemKind {
    /// A folder, whether the archive names it or only what is in it.
    Folder,
    /// A file.
    File,
    /// A symbolic link, which nobody follows.
    Link,
}

/// Something in a folder.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Item {
    /// Its name, without a slash.
    pub name: String,
    /// What it is.
    pub kind: ItemKind,
    /// Bytes, unpacked; 0 but for files.
    pub bytes: u64,
    /// When it was changed last, if the archive says that.
    pub changed_at: Option<Timestamp>,
}

impl Item {
    /// Its place among the others, as a page after it is asked for: folders have a slash behind their names.
    #[must_use]
    pub fn place(&self) -> String {
        if self.kind == ItemKind::Folder { format!("{}/", self.name) } else { self.name.clone() }
    }
}

/// A page of a folder, and what is known of the whole archive.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FolderPage {
    /// Which folder.
    pub path: ArchivePath,
    /// What is in it, folders first, by name.
    pub items: Vec<Item>,
    /// Behind which place the next page begins; `None`: there is none.
    pub next: Option<String>,
    /// Files in the whole archive.
    pub files: u64,
    /// Bytes of them, unpacked.
    pub bytes: u64,
    /// Entries of the archive that are not shown, since their names lead out of it or are too long.
    pub hidden: u64,
}

type Place = (bool, String);

/// Collects a page of a folder from the entries of an archive, in whatever order they come.
pub struct FolderWalk {
    folder: ArchivePath,
    after: Option<Place>,
    found: BTreeMap<Place, Item>,
    is_there: bool,
    files: u64,
    bytes: u64,
    hidden: u64,
}

impl FolderWalk {
    /// For the page of `folder` behind the place `after`, as [`Item::place`] has it.
    #[must_use]
    pub fn new(folder: ArchivePath, after: Option<&str>) -> FolderWalk {
        let after = after.map(|place| match place.strip_suffix('/') {
            Some(name) => (false, name.to_owned()),
            None => (true, place.to_owned()),
        });
        let is_there = folder.0.is_empty();
        FolderWalk { folder, after, found: BTreeMap::new(), is_there, files: 0, bytes: 0, hidden: 0 }
    }

    /// Takes an entry; `None`: its path leads out of the archive. Of two of one name the later counts.
    pub fn add(&mut self, path: Option<&ArchivePath>, kind: ItemKind, bytes: u64, changed_at: Option<Timestamp>) {
        let Some(path) = path else {
            self.hidden += 1;
            return;
        };
        if kind == ItemKind::File {
            self.files += 1;
            self.bytes = self.bytes.saturating_add(bytes);
        }
        if *path == self.folder && kind == ItemKind::Folder {
            self.is_there = true;
        }
        let Some(rest) = path.behind(&self.folder) else { return };
        self.is_there = true;
        let item = match rest.split_once('/') {
            // The archive may name it or not; its own time is only said where it does.
            Some((name, _)) => Item { name: name.to_owned(), kind: ItemKind::Folder, bytes: 0, changed_at: None },
            None => Item { name: rest.to_owned(), kind, bytes, changed_at },
        };
        let place = (item.kind != ItemKind::Folder, item.name.clone());
        if self.after.as_ref().is_some_and(|after| place <= *after) {
            return;
        }
        let is_known = item.kind == ItemKind::Folder && item.changed_at.is_none() && self.found.contains_key(&place);
        if !is_known {
            self.found.insert(place, item);
        }
        if self.found.len() > ITEMS_MAX + 1 {
            self.found.pop_last();
        }
    }

    /// The page; `None`: there is no such folder.
    #[must_use]
    pub fn finish(self) -> Option<FolderPage> {
        let is_more = self.found.len() > ITEMS_MAX;
        let items: Vec<Item> = self.found.into_values().take(ITEMS_MAX).collect();
        let next = items.last().filter(|_| is_more).map(Item::place);
        let (files, bytes, hidden) = (self.files, self.bytes, self.hidden);
        self.is_there.then_some(FolderPage { path: self.folder, items, next, files, bytes, hidden })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_leads_nowhere_but_down() {
        for (text, path) in [
            ("", ""),
            (".", ""),
            ("a", "a"),
            ("a/b c/ä", "a/b c/ä"),
            ("./a//b/./c/", "a/b/c"),
            ("a/..b", "a/..b"),
            ("a\\..\\b", "a\\..\\b"),
            ("C:/x", "C:/x"),
        ] {
            assert_eq!(ArchivePath::parse(text).unwrap().as_str(), path, "{text:?}");
            assert_eq!(ArchivePath::of_entry(text.as_bytes()).unwrap().as_str(), path, "{text:?}");
        }
        for text in ["/", "/etc/passwd", "..", "a/..", "../a", "a/../../b", "a\0", &"a/".repeat(2049)] {
            assert!(ArchivePath::parse(text).unwrap_err().contains("no .."), "{text:?}");
            assert_eq!(ArchivePath::of_entry(text.as_bytes()), None, "{text:?}");
        }
        assert_eq!(ArchivePath::of_entry(b"a/\xff").unwrap().as_str(), "a/\u{fffd}");
        assert_eq!(ArchivePath::parse("a/b.txt").unwrap().name(), "b.txt");
    }

    fn page(names: &[&str], folder: &str, after: Option<&str>) -> Option<FolderPage> {
        let mut walk = FolderWalk::new(ArchivePath::parse(folder).unwrap(), after);
        for name in names {
            let kind = if name.ends_with('/') { ItemKind::Folder } else { ItemKind::File };
            walk.add(ArchivePath::of_entry(name.as_bytes()).as_ref(), kind, name.len() as u64, Some(Timestamp(7)));
        }
        walk.finish()
    }

    fn places(page: &FolderPage) -> Vec<String> {
        page.items.iter().map(Item::place).collect()
    }

    #[test]
    fn a_folder_has_what_is_directly_in_it_folders_first() {
        let names = ["b", "a/x", "a/y/z", "c/", "../out", "/abs", "./d", "aa", "a/"];
        let root = page(&names, "", None).unwrap();
        assert_eq!(places(&root), ["a/", "c/", "aa", "b", "d"]);
        assert_eq!((root.files, root.hidden, root.next.clone()), (5, 2, None));
        assert_eq!(root.items[0].changed_at, Some(Timestamp(7)), "the archive names it itself");
        let below = page(&names, "a", None).unwrap();
        assert_eq!(places(&below), ["y/", "x"]);
        assert_eq!((below.items[0].changed_at, below.items[1].bytes), (None, 3));
        assert_eq!(places(&page(&names, "c/", None).unwrap()), Vec::<String>::new());
        for none in ["b", "a/x", "nothing", "a/yy"] {
            assert_eq!(page(&names, none, None), None, "{none}");
        }
        assert_eq!(places(&page(&[], "", None).unwrap()), Vec::<String>::new());
    }

    #[test]
    fn a_large_folder_comes_in_pages_in_order() {
        let mut names: Vec<String> = (0..1500).map(|n| format!("dir{n:04}/file")).collect();
        names.extend((0..1000).map(|n| format!("file{n:04}")));
        let mut order: Vec<&str> = names.iter().map(String::as_str).collect();
        order.reverse();
        let (mut all, mut after) = (Vec::new(), None);
        for size in [1000, 1000, 500] {
            let page = page(&order, "", after.as_deref()).unwrap();
            assert_eq!((page.items.len(), page.files), (size, 2500));
            all.extend(places(&page));
            after = page.next;
        }
        assert_eq!(after, None);
        assert!(all.iter().zip(&names).all(|(place, name)| name.starts_with(place.as_str())));
    }
}
