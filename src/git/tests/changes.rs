//! Changes of all kinds.

use super::*;

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
    fs::set_permissions(place.top.join("secret"), Permissions::from_mode(0o000)).unwrap();
    if fs::read(place.top.join("secret")).is_ok() {
        // Root reads all.
        return;
    }
    let error = place.take_in(&place.top, &Wanted::default()).unwrap_err();
    assert!(error.message.contains("secret") && error.message.contains("--committed"), "{}", error.message);
}
