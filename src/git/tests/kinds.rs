//! Repositories of all kinds.

use super::*;

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
fn what_git_finds_wrong_is_told_and_is_not_taken_for_nothing() {
    let place = Place::empty();
    place.write(".git/config", "[core\n");
    let error = look(&place.top).unwrap_err();
    assert!(error.message.starts_with("git cannot look at this checkout: "), "{error}");
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
