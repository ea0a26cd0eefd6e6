//! What runners get of a checkout's present commit.

use super::*;
use crate::git::reach::Uncommitted;

#[test]
fn a_checkout_has_one_url_from_wherever_one_looks() {
    let place = Place::new();
    let found = checkout(&place.top.join("src"));
    assert_eq!((found.branch.as_deref(), found.below.as_path()), (Some("main"), Path::new("src")));
    let url = found.url();
    assert!(url.starts_with("file://localhost/") && url.ends_with("/my%20%22project%22"), "{url}");
    assert!(!found.is_pushed().unwrap() && !found.has_submodules().unwrap());
    let path = place.top.to_str().unwrap();
    let own = [path.to_owned(), format!("{path}/"), url.clone(), url.replace("localhost", "") + "/.git"];
    assert!(own.iter().all(|url| found.is_at(url)), "{own:?}");
    assert!(!found.is_at("https://git.example/my%20project") && !found.is_at(&format!("{path}/src")));
}

#[test]
fn only_a_clone_finds_a_commit_that_no_ref_has() {
    let place = Place::new();
    git(&place.top, &["checkout", "--quiet", "--detach"]);
    assert!(checkout(&place.top).is_kept().unwrap());
    git(&place.top, &["commit", "--quiet", "--allow-empty", "--message", "two"]);
    let found = checkout(&place.top);
    assert_eq!((found.is_kept().unwrap(), &found.branch, found.tag_at_head().unwrap()), (false, &None, None));
    git(&place.top, &["tag", "v1.0"]);
    let found = checkout(&place.top);
    assert_eq!((found.is_kept().unwrap(), found.tag_at_head().unwrap().as_deref()), (true, Some("v1.0")));
}

#[test]
fn what_is_not_committed_is_counted_without_the_data_directory() {
    let place = Place::new();
    let data = place.top.join("baton-data");
    place.write("baton-data/baton.db", "x");
    assert_eq!(checkout(&place.top).uncommitted(&data).unwrap().in_words(), None);
    place.write("a", "two");
    place.write("src/größe b", "new");
    place.write("d", "new");
    let found = checkout(&place.top).uncommitted(&data).unwrap();
    assert_eq!(found, Uncommitted { changed: 1, unknown: 2 });
    assert_eq!(found.in_words().unwrap(), "1 changed file and 2 new files");
    let bare = place.root().join("bare.git");
    git(&place.top, &["clone", "--quiet", "--bare", ".", bare.to_str().unwrap()]);
    assert_eq!(checkout(&bare).uncommitted(&data).unwrap().in_words(), None);
}

#[test]
fn a_commit_is_pushed_when_a_branch_of_a_remote_has_it() {
    let place = Place::new();
    let clone = place.root().join("clone");
    git(&place.top, &["clone", "--quiet", ".", clone.to_str().unwrap()]);
    assert!(checkout(&clone).is_pushed().unwrap());
    fs::write(clone.join(".gitmodules"), "").unwrap();
    git(&clone, &["add", "."]);
    git(&clone, &["commit", "--quiet", "--message", "two"]);
    let found = checkout(&clone);
    assert!(!found.is_pushed().unwrap() && found.has_submodules().unwrap());
}

#[test]
fn the_folder_in_which_one_stands_is_in_the_commit_or_not() {
    let place = Place::new();
    for name in [OsStr::new("in"), OsStr::from_bytes(b"in \xff")] {
        fs::create_dir_all(place.top.join(name).join("deep")).unwrap();
        assert!(!checkout(&place.top.join(name)).has_folder().unwrap(), "{name:?}");
        fs::write(place.top.join(name).join("a"), "x").unwrap();
    }
    place.commit("two");
    for name in [OsStr::new(""), OsStr::new("src"), OsStr::new("in"), OsStr::from_bytes(b"in \xff")] {
        let found = checkout(&place.top.join(name));
        assert!(found.has_folder().unwrap() && found.below == Path::new(name), "{found:?}");
        if name.to_str() != Some("") {
            fs::create_dir_all(place.top.join(name).join("deep")).unwrap();
            assert!(!checkout(&place.top.join(name).join("deep")).has_folder().unwrap());
        }
    }
}

#[test]
fn a_partial_clone_lacks_objects_until_it_is_complete() {
    let place = Place::new();
    place.write("a", "two");
    place.commit("two");
    git(&place.top, &["config", "uploadpack.allowFilter", "true"]);
    let clone = place.root().join("clone");
    let url = repository_url(&place.top);
    git(&place.top, &["clone", "--quiet", "--filter=blob:none", &url, clone.to_str().unwrap()]);
    assert!(checkout(&clone).lacks_objects().unwrap() && !checkout(&place.top).lacks_objects().unwrap());
    git(&clone, &["fetch", "--quiet", "--refetch", "--no-filter"]);
    assert!(!checkout(&clone).lacks_objects().unwrap());
}
