//! Checkouts of all kinds, and what a snapshot makes of them.

use super::checkout::{Checkout, Found, Head, Settings, look};
use super::snapshot::{Snapshot, UNTRACKED_BYTES_MAX, Wanted, is_key};
use crate::domain::file_url::repository_url;
use crate::error::{Kind, Result};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Runs git as a person would, whose name it wants to know.
fn git(dir: &Path, words: &[&str]) -> String {
    let settings =
        ["user.name=Ann", "user.email=ann@example.org", "init.defaultBranch=main", "protocol.file.allow=always"];
    let mut command = Command::new("git");
    command.current_dir(dir).env("GIT_CONFIG_NOSYSTEM", "1");
    for setting in settings {
        command.args(["-c", setting]);
    }
    let output = command.args(words).output().unwrap();
    assert!(output.status.success(), "{words:?}: {output:?}");
    String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
}

/// A directory with a repository in it, and a place for snapshots.
struct Place {
    dir: tempfile::TempDir,
    top: PathBuf,
}

impl Place {
    /// A repository without a commit.
    fn empty() -> Place {
        let dir = tempfile::tempdir().unwrap();
        let top = dir.path().canonicalize().unwrap().join("my \"project\"");
        fs::create_dir(&top).unwrap();
        git(&top, &["init", "--quiet"]);
        Place { dir, top }
    }

    /// A repository with one commit of some files.
    fn new() -> Place {
        let place = Place::empty();
        for (name, content) in [("a", "one"), ("src/b", "two"), ("src/c", "three"), (".gitignore", "*.log\n")] {
            place.write(name, content);
        }
        place.commit("The first commit\n\nWith a body.");
        place
    }

    fn write(&self, name: impl AsRef<Path>, content: &str) {
        let path = self.top.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn commit(&self, message: &str) {
        git(&self.top, &["add", "--all"]);
        git(&self.top, &["commit", "--quiet", "--message", message]);
    }

    fn root(&self) -> PathBuf {
        self.dir.path().canonicalize().unwrap()
    }

    fn sources(&self) -> PathBuf {
        self.root().join("data/sources")
    }

    /// A snapshot of the checkout in a folder, for which this must hold: nothing of it has changed.
    fn take_in(&self, dir: &Path, wanted: &Wanted<'_>) -> Result<Snapshot> {
        let checkout = checkout(dir);
        let before = state(&checkout);
        let (head, settings) = (checkout.head().unwrap().unwrap(), checkout.settings().unwrap());
        let snapshot = Snapshot::take(&checkout, &head, &settings, &self.sources(), wanted);
        assert_eq!(state(&checkout), before, "the checkout has changed");
        snapshot
    }

    fn take(&self) -> Snapshot {
        self.take_in(&self.top, &Wanted { ref_name: "main", ..Wanted::default() }).unwrap()
    }
}

fn checkout(dir: &Path) -> Checkout {
    match look(dir).unwrap() {
        Found::Checkout(checkout) => *checkout,
        other @ (Found::Nothing | Found::NoGit) => panic!("{other:?}"),
    }
}

fn head(checkout: &Checkout) -> Head {
    checkout.head().unwrap().unwrap()
}

/// All that a snapshot must leave alone: refs, index, objects, settings, and what git says of the files.
fn state(checkout: &Checkout) -> (BTreeMap<PathBuf, Vec<u8>>, String) {
    let mut files = BTreeMap::new();
    let mut dirs = vec![checkout.git_dir.clone(), checkout.common_dir.clone()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                dirs.push(path);
            } else {
                files.insert(path.clone(), fs::read(&path).unwrap());
            }
        }
    }
    let status = if checkout.has_work_tree {
        git(&checkout.top, &["--no-optional-locks", "status", "--porcelain=v2", "--untracked-files=all"])
    } else {
        String::new()
    };
    (files, status)
}

/// What a build gets that fetches the snapshot as runners do: mode or kind, and content, of each file.
fn fetched(snapshot: &Snapshot) -> BTreeMap<String, String> {
    let dir = tempfile::tempdir().unwrap();
    git(dir.path(), &["init", "--quiet", "--object-format", if snapshot.sha.len() == 64 { "sha256" } else { "sha1" }]);
    let refspec = format!("+refs/baton/pipelines/{0}:refs/baton/pipelines/{0}", snapshot.key);
    git(dir.path(), &["fetch", "--quiet", "--depth", "20", &repository_url(snapshot.dir()), &refspec]);
    git(dir.path(), &["checkout", "--quiet", &snapshot.sha]);
    files(dir.path())
}

/// The files of a folder, without git's.
fn files(dir: &Path) -> BTreeMap<String, String> {
    let (mut files, mut dirs) = (BTreeMap::new(), vec![dir.to_owned()]);
    while let Some(folder) = dirs.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(dir).unwrap().to_string_lossy().into_owned();
            let about = fs::symlink_metadata(&path).unwrap();
            if name == ".git" {
            } else if about.is_symlink() {
                files.insert(name, format!("-> {}", fs::read_link(&path).unwrap().display()));
            } else if about.is_dir() {
                dirs.push(path);
            } else {
                let mark = if about.permissions().mode() & 0o100 == 0 { "" } else { "x:" };
                files.insert(name, format!("{mark}{}", fs::read_to_string(&path).unwrap()));
            }
        }
    }
    files
}

/// The files of the checkout, without those that are ignored.
fn present(top: &Path) -> BTreeMap<String, String> {
    files(top).into_iter().filter(|(name, _)| !name.ends_with(".log")).collect()
}

#[test]
fn a_checkout_without_changes_is_its_present_commit() {
    let place = Place::new();
    place.write("ignored.log", "x");
    let (snapshot, checkout) = (place.take(), checkout(&place.top.join("src")));
    assert_eq!((&snapshot.sha, snapshot.is_head), (&head(&checkout).sha, true));
    assert!(is_key(&snapshot.key) && snapshot.untracked.is_empty() && snapshot.warnings.is_empty());
    assert_eq!(fetched(&snapshot), present(&place.top));
    assert_eq!((checkout.top, checkout.below), (place.top.clone(), PathBuf::from("src")));
    assert_eq!(fs::metadata(snapshot.dir()).unwrap().permissions().mode() & 0o777, 0o700);
    // A file that was written again with the same content.
    place.write("a", "one");
    assert!(place.take().is_head);
}

#[test]
fn changes_of_every_kind_are_in_the_commit_and_nowhere_else() {
    let place = Place::new();
    place.write("a", "changed");
    place.write("src/b", "staged");
    git(&place.top, &["add", "src/b"]);
    place.write("src/b", "and changed again");
    fs::remove_file(place.top.join("src/c")).unwrap();
    place.write("new/deep/d", "new");
    fs::set_permissions(place.top.join("new/deep/d"), Permissions::from_mode(0o755)).unwrap();
    symlink("new/deep", place.top.join("link")).unwrap();
    place.write("intended", "to add");
    git(&place.top, &["add", "--intent-to-add", "intended"]);
    place.write("e.log", "ignored");
    let snapshot = place.take();
    assert!(!snapshot.is_head && snapshot.warnings.is_empty(), "{:?}", snapshot.warnings);
    assert_eq!(fetched(&snapshot), present(&place.top));
    assert_eq!(snapshot.untracked, ["link", "new/deep/d"]);
    assert_eq!(snapshot.changed, ["a", "intended", "link", "new/deep/d", "src/b", "src/c"]);
    // The commit says what its builds are told: author and message are those of the present one, which comes before it.
    let format = "--format=%an|%ae|%P|%B";
    let own = git(snapshot.dir(), &["log", "-1", format, &snapshot.sha]);
    let parent = git(&place.top, &["rev-parse", "HEAD"]);
    assert_eq!(own, format!("Ann|ann@example.org|{parent}|The first commit\n\nWith a body."));
    git(snapshot.dir(), &["fsck", "--strict"]);
    let leftovers = ["index", "input"].map(|name| snapshot.dir().join(name).exists());
    assert_eq!(leftovers, [false, false]);
}

#[test]
fn what_is_asked_for_decides_what_is_taken() {
    let place = Place::new();
    place.write("a", "changed");
    place.write("new", "new");
    let tracked = place.take_in(&place.top, &Wanted { tracked: true, ..Wanted::default() }).unwrap();
    assert_eq!((tracked.changed.clone(), tracked.untracked.len()), (vec!["a".to_owned()], 0));
    assert!(!fetched(&tracked).contains_key("new"));
    let committed = place.take_in(&place.top, &Wanted { committed: true, ..Wanted::default() }).unwrap();
    assert!(committed.is_head && fetched(&committed)["a"] == "one");
    let data = place.top.join("new dir");
    place.write("new dir/x", "x");
    let wanted = Wanted { leave_out: Some(&data), ..Wanted::default() };
    assert_eq!(place.take_in(&place.top, &wanted).unwrap().untracked, ["new"]);
    fs::File::create(place.top.join("large")).unwrap().set_len(UNTRACKED_BYTES_MAX + 1).unwrap();
    let error = place.take_in(&place.top, &wanted).unwrap_err();
    assert_eq!(error.kind, Kind::TooLarge);
    assert!(error.message.contains("large (10 MiB)") && error.message.contains("--large"), "{}", error.message);
    let large = place.take_in(&place.top, &Wanted { large: true, ..wanted }).unwrap();
    assert_eq!(large.untracked, ["large", "new"]);
    // What failed has left nothing, nor does what is not kept.
    drop((tracked, committed, large));
    fs::remove_file(place.top.join("large")).unwrap();
    assert_eq!(fs::read_dir(place.sources()).unwrap().count(), 0);
    let mut kept = place.take();
    kept.keep();
    drop(kept);
    assert_eq!(fs::read_dir(place.sources()).unwrap().count(), 1);
}

#[test]
fn names_of_any_letters_come_as_they_are() {
    let place = Place::new();
    for name in ["with space", "with\nline", "\"quoted\"", "größe", ":(top)x", "-option", "tab\there", "back\\slash"]
    {
        place.write(name, name);
    }
    place.write(OsStr::from_bytes(b"not \xff utf-8"), "x");
    git(&place.top, &["add", "with space"]);
    let snapshot = place.take();
    assert_eq!(snapshot.untracked.len(), 8);
    assert_eq!(fetched(&snapshot), present(&place.top));
    git(&place.top, &["add", "--all"]);
    git(&place.top, &["commit", "--quiet", "--message", "all"]);
    for entry in fs::read_dir(&place.top).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            fs::write(path, "changed").unwrap();
        }
    }
    let snapshot = place.take();
    assert_eq!(fetched(&snapshot), present(&place.top));
    let mut contents = snapshot.contents().unwrap();
    assert_eq!(contents.read("with\nline", 10).unwrap().unwrap(), b"changed");
    assert_eq!(contents.read("with\nline", 6).unwrap_err().kind, Kind::TooLarge);
    assert_eq!(contents.read("größe", 10).unwrap().unwrap(), b"changed");
    assert_eq!(contents.read("absent", 10).unwrap(), None);
}

#[test]
fn files_folders_and_links_take_each_others_places() {
    let place = Place::new();
    place.write("dir/f", "1");
    place.write("dir/g", "2");
    place.write("other/f", "3");
    place.commit("two");
    fs::remove_file(place.top.join("a")).unwrap();
    place.write("a/inside", "was a file");
    fs::remove_dir_all(place.top.join("src")).unwrap();
    place.write("src", "was a folder");
    fs::remove_dir_all(place.top.join("dir")).unwrap();
    symlink("other", place.top.join("dir")).unwrap();
    assert_eq!(fetched(&place.take()), present(&place.top));
    git(&place.top, &["update-index", "--chmod=+x", "other/f"]);
    let snapshot = place.take();
    assert!(snapshot.changed.contains(&"other/f".to_owned()));
}

#[test]
fn a_file_that_changed_right_behind_the_index_is_seen() {
    // Same size, same second: git knows it by the time of the index, which the copy must have.
    let place = Place::new();
    for round in 0..20 {
        let (one, other) = (format!("{round:04}a"), format!("{round:04}b"));
        place.write("racy", &one);
        git(&place.top, &["add", "racy"]);
        place.write("racy", &other);
        assert_eq!(fetched(&place.take())["racy"], other);
    }
}

#[test]
fn a_repository_without_a_commit_has_no_head() {
    let place = Place::empty();
    let checkout = checkout(&place.top);
    assert_eq!((checkout.head().unwrap(), checkout.branch.as_deref()), (None, Some("main")));
    let settings = checkout.settings().unwrap();
    assert_eq!(checkout.default_branch(&settings).unwrap().as_deref(), Some("main"));
    let outside = tempfile::tempdir().unwrap();
    assert!(matches!(look(outside.path()).unwrap(), Found::Nothing));
}

#[test]
fn work_trees_submodules_and_separate_folders_of_git_are_checkouts() {
    let place = Place::new();
    let root = place.root();
    let tree = root.join("tree\nwith a line");
    git(&place.top, &["worktree", "add", "--quiet", "-b", "other", tree.to_str().unwrap()]);
    fs::write(tree.join("a"), "in the tree").unwrap();
    let snapshot = place.take_in(&tree, &Wanted { ref_name: "other", ..Wanted::default() }).unwrap();
    assert_eq!(fetched(&snapshot), present(&tree));
    assert_eq!(checkout(&tree).branch.as_deref(), Some("other"));
    assert!(place.take().is_head);

    let separate = root.join("separate");
    let url = repository_url(&place.top);
    git(&root, &["clone", "--quiet", "--separate-git-dir", root.join("store").to_str().unwrap(), &url, "separate"]);
    fs::write(separate.join("new"), "new").unwrap();
    assert_eq!(fetched(&place.take_in(&separate, &Wanted::default()).unwrap()), present(&separate));

    git(&separate, &["submodule", "--quiet", "add", &url, "sub"]);
    git(&separate, &["add", "--all"]);
    git(&separate, &["commit", "--quiet", "--message", "sub"]);
    fs::write(separate.join("sub/a"), "dirty").unwrap();
    let snapshot = place.take_in(&separate, &Wanted::default()).unwrap();
    assert!(snapshot.is_head && snapshot.warnings[0].contains("submodule sub"), "{:?}", snapshot.warnings);
    // The submodule by itself: its `.git` is a file.
    assert_eq!(fetched(&place.take_in(&separate.join("sub"), &Wanted::default()).unwrap())["a"], "dirty");
    // A repository of its own is left out.
    git(&separate, &["init", "--quiet", "nested"]);
    let snapshot = place.take_in(&separate, &Wanted::default()).unwrap();
    assert!(snapshot.is_head && snapshot.warnings.iter().any(|line| line.contains("nested/ is left out")));
}

#[test]
fn bare_repositories_have_no_present_state() {
    let place = Place::new();
    let bare = place.root().join("bare.git");
    git(&place.root(), &["clone", "--quiet", "--bare", place.top.to_str().unwrap(), "bare.git"]);
    let checkout = checkout(&bare);
    assert_eq!((&checkout.top, checkout.has_work_tree), (&bare, false));
    let snapshot = place.take_in(&bare, &Wanted::default()).unwrap();
    assert!(snapshot.is_head && fetched(&snapshot)["a"] == "one");
}

#[test]
fn clones_that_lack_something_are_handed_on_as_far_as_they_go() {
    let place = Place::new();
    for round in 0..3 {
        place.write("a", &format!("round {round}"));
        place.commit("more");
    }
    let (root, url) = (place.root(), repository_url(&place.top));
    git(&root, &["clone", "--quiet", "--depth", "2", &url, "shallow"]);
    let shallow = root.join("shallow");
    fs::write(shallow.join("a"), "changed").unwrap();
    let snapshot = place.take_in(&shallow, &Wanted::default()).unwrap();
    assert!(checkout(&shallow).is_shallow && fetched(&snapshot)["a"] == "changed");
    assert_eq!(git(snapshot.dir(), &["rev-list", "--count", &snapshot.sha]), "3");

    git(&place.top, &["config", "uploadpack.allowFilter", "true"]);
    git(&root, &["clone", "--quiet", "--filter=blob:none", &url, "partial"]);
    let partial = root.join("partial");
    let snapshot = place.take_in(&partial, &Wanted::default()).unwrap();
    assert!(snapshot.is_head && fetched(&snapshot)["a"] == "round 2");
    fs::write(partial.join("a"), "changed").unwrap();
    let snapshot = place.take_in(&partial, &Wanted::default()).unwrap();
    assert_eq!(fetched(&snapshot), present(&partial));

    git(&root, &["clone", "--quiet", "--sparse", &url, "sparse"]);
    let sparse = root.join("sparse");
    assert!(!sparse.join("src").exists());
    fs::write(sparse.join("a"), "changed").unwrap();
    fs::write(sparse.join("new"), "new").unwrap();
    let files = fetched(&place.take_in(&sparse, &Wanted::default()).unwrap());
    assert_eq!((files["a"].as_str(), files["new"].as_str(), files["src/b"].as_str()), ("changed", "new", "two"));
    assert!(!checkout(&sparse).settings().unwrap().is_partial);

    git(&root, &["clone", "--quiet", "--filter=blob:none", "--sparse", &url, "both"]);
    let error = place.take_in(&root.join("both"), &Wanted::default()).unwrap_err();
    assert!(error.message.contains("partial clone"), "{}", error.message);

    git(&root, &["clone", "--quiet", "--shared", place.top.to_str().unwrap(), "borrower"]);
    let borrower = root.join("borrower");
    fs::write(borrower.join("a"), "changed").unwrap();
    assert_eq!(fetched(&place.take_in(&borrower, &Wanted::default()).unwrap()), present(&borrower));
}

#[test]
fn repositories_of_the_newer_kind_and_split_indexes_are_read() {
    let place = Place::empty();
    let newer = place.root().join("newer");
    git(&place.root(), &["init", "--quiet", "--object-format=sha256", "newer"]);
    fs::write(newer.join("a"), "one").unwrap();
    git(&newer, &["add", "."]);
    git(&newer, &["commit", "--quiet", "--message", "one"]);
    fs::write(newer.join("a"), "two").unwrap();
    let snapshot = place.take_in(&newer, &Wanted::default()).unwrap();
    assert_eq!((snapshot.sha.len(), fetched(&snapshot)), (64, present(&newer)));

    let place = Place::new();
    git(&place.top, &["config", "core.untrackedCache", "true"]);
    git(&place.top, &["update-index", "--split-index"]);
    place.write("a", "two");
    place.write("new", "new");
    assert_eq!(fetched(&place.take()), present(&place.top));
}

#[test]
fn the_users_filters_and_line_ends_hold_and_no_hook_runs() {
    let place = Place::new();
    place.write(".gitattributes", "*.big filter=shout\n*.txt text eol=crlf\n");
    place.commit("attributes");
    git(&place.top, &["config", "filter.shout.clean", "tr a-z A-Z"]);
    git(&place.top, &["config", "core.safecrlf", "true"]);
    git(&place.top, &["config", "core.fsmonitor", "touch fsmonitor-ran; false"]);
    git(&place.top, &["config", "commit.gpgSign", "true"]);
    for hook in ["post-index-change", "pre-commit", "reference-transaction"] {
        let path = place.top.join(".git/hooks").join(hook);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, "#!/bin/sh\ntouch hook-ran\n").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
    }
    place.write("x.big", "quiet");
    place.write("y.txt", "one\ntwo\n");
    let checkout = checkout(&place.top);
    let (head, settings) = (head(&checkout), checkout.settings().unwrap());
    let snapshot = Snapshot::take(&checkout, &head, &settings, &place.sources(), &Wanted::default()).unwrap();
    let mut contents = snapshot.contents().unwrap();
    assert_eq!(contents.read("x.big", 99).unwrap().unwrap(), b"QUIET");
    assert_eq!(contents.read("y.txt", 99).unwrap().unwrap(), b"one\ntwo\n");
    assert_eq!(present(&place.top).keys().filter(|name| name.ends_with("-ran")).count(), 0);
}

#[test]
fn conflicts_are_taken_as_they_stand_in_the_files() {
    let place = Place::new();
    git(&place.top, &["checkout", "--quiet", "-b", "other"]);
    place.write("a", "theirs");
    place.commit("theirs");
    git(&place.top, &["checkout", "--quiet", "main"]);
    place.write("a", "ours");
    place.commit("ours");
    let merge = Command::new("git").current_dir(&place.top).args(["merge", "--quiet", "other"]).output().unwrap();
    assert!(!merge.status.success());
    let snapshot = place.take();
    assert!(snapshot.warnings[0].contains("a has conflicts"), "{:?}", snapshot.warnings);
    assert!(fetched(&snapshot)["a"].contains("<<<<<<<"));
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let place = Place::new();
    place.write("secret", "x");
    fs::set_permissions(place.top.join("secret"), Permissions::from_mode(0)).unwrap();
    if fs::read(place.top.join("secret")).is_ok() {
        // Root reads all.
        return;
    }
    let error = place.take_in(&place.top, &Wanted::default()).unwrap_err();
    assert!(error.message.contains("secret") && error.message.contains("--committed"), "{}", error.message);
}

#[test]
fn branches_tags_and_remotes_are_known_by_their_names() {
    let place = Place::new();
    git(&place.top, &["tag", "--annotate", "v1", "--message", "The release"]);
    let clone = place.root().join("clone");
    git(&place.root(), &["clone", "--quiet", &repository_url(&place.top), "clone"]);
    let found = checkout(&clone);
    let settings = found.settings().unwrap();
    assert_eq!(settings.origin(), Some(repository_url(&place.top).as_str()));
    assert_eq!(found.default_branch(&settings).unwrap().as_deref(), Some("main"));
    assert_eq!(found.tag_at_head().unwrap().as_deref(), Some("v1"));
    assert_eq!(found.tag_message("v1").unwrap().as_deref(), Some("The release"));
    let first = head(&found);
    assert_eq!((first.title(), first.author_name.as_str(), first.parents.len()), ("The first commit", "Ann", 0));
    assert_eq!(found.upstream("main").unwrap(), Some(first.sha.clone()));
    git(&clone, &["checkout", "--quiet", "-b", "feature"]);
    fs::write(clone.join("a"), "two").unwrap();
    git(&clone, &["commit", "--quiet", "--all", "--message", "two"]);
    fs::write(clone.join("src/b"), "three").unwrap();
    let found = checkout(&clone);
    assert_eq!(found.upstream("feature").unwrap(), None);
    assert_eq!(found.merge_base("HEAD", "origin/main").unwrap(), Some(first.sha.clone()));
    assert_eq!(found.resolve("nothing").unwrap(), None);
    assert_eq!(found.resolve("--all").unwrap(), None);
    // A detached HEAD has no branch.
    git(&clone, &["checkout", "--quiet", "--detach"]);
    assert_eq!(checkout(&clone).branch, None);

    let snapshot = place.take_in(&clone, &Wanted { ref_name: "feature", ..Wanted::default() }).unwrap();
    let contents = snapshot.contents().unwrap();
    assert_eq!(contents.changed_since(&first.sha).unwrap().unwrap(), ["a", "src/b"]);
    assert_eq!(contents.changed_since(&head(&found).sha).unwrap().unwrap(), ["src/b"]);
    assert_eq!(contents.changed_since(&"0".repeat(40)).unwrap(), None);
    assert_eq!(contents.paths().collect::<Vec<_>>(), [".gitignore", "a", "src/b", "src/c"]);
    // Caches go by the commit that touched a file last, or by its content if that is not committed.
    let last = contents.last_commits(&["a".to_owned(), "src/c".to_owned(), "absent".to_owned()]).unwrap();
    let mut expected = vec![head(&found).sha, first.sha];
    expected.sort();
    assert_eq!(last, expected);
    let blob = git(&clone, &["hash-object", "src/b"]);
    assert_eq!(contents.last_commits(&["src/b".to_owned()]).unwrap(), [blob]);
}

#[test]
fn a_clone_of_a_snapshot_sees_its_branch_or_tag_and_no_other() {
    let place = Place::new();
    git(&place.top, &["branch", "secret"]);
    git(&place.top, &["tag", "--annotate", "v1", "--message", "one"]);
    let seen = |wanted: &Wanted<'_>| {
        let snapshot = place.take_in(&place.top, wanted).unwrap();
        let list = git(snapshot.dir(), &["ls-remote", &repository_url(snapshot.dir())]);
        let names = list.lines().map(|line| line.split_once('\t').unwrap().1.replace(&snapshot.key, "KEY"));
        let head = git(snapshot.dir(), &["ls-remote", "--symref", &repository_url(snapshot.dir()), "HEAD"]);
        (names.collect::<Vec<_>>().join(" "), head.starts_with("ref: refs/heads/"))
    };
    let main = Wanted { ref_name: "group/main", ..Wanted::default() };
    assert_eq!(seen(&main), ("HEAD refs/baton/pipelines/KEY refs/heads/group/main".to_owned(), true));
    let tag = Wanted { ref_name: "v1", is_tag: true, ..Wanted::default() };
    let names = "HEAD refs/baton/pipelines/KEY refs/tags/v1 refs/tags/v1^{}";
    assert_eq!(seen(&tag), (names.to_owned(), false));
    let with_tags = Wanted { ref_name: "main", with_tags: true, ..Wanted::default() };
    let names = "HEAD refs/baton/pipelines/KEY refs/heads/main refs/tags/v1 refs/tags/v1^{}";
    assert_eq!(seen(&with_tags), (names.to_owned(), true));
    assert_eq!(seen(&Wanted::default()), ("HEAD refs/baton/pipelines/KEY".to_owned(), false));
    let wrong = Wanted { ref_name: "a\nb", ..Wanted::default() };
    assert_eq!(place.take_in(&place.top, &wrong).unwrap_err().kind, Kind::Invalid);
}

#[test]
fn settings_say_who_the_user_is_and_which_repositories_there_are() {
    let place = Place::new();
    for (key, value) in [
        ("remote.upstream.url", "https://git.example/group/name.git"),
        ("remote.origin.url", "git@git.example:me/name.git"),
        ("user.name", "Ann = B"),
        ("user.email", "ann@example.org"),
    ] {
        git(&place.top, &["config", key, value]);
    }
    let settings = checkout(&place.top).settings().unwrap();
    assert_eq!(settings.origin(), Some("git@git.example:me/name.git"));
    assert_eq!(settings.remotes.len(), 2);
    assert_eq!(settings.user_name.as_deref(), Some("Ann = B"));
    assert!(!Settings::default().is_partial && !settings.is_partial);
}
