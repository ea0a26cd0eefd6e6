use super::*;
use std::fs::Permissions;
use std::io::{Cursor, Seek, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use zip::write::SimpleFileOptions;
use zip::{DateTime, ZipWriter};

type Archive = ZipWriter<Cursor<Vec<u8>>>;

fn archive(fill: impl FnOnce(&mut Archive)) -> Vec<u8> {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    fill(&mut archive);
    archive.finish().unwrap().into_inner()
}

fn add(archive: &mut Archive, name: &str, mode: u32, bytes: &[u8]) {
    archive.start_file(name, SimpleFileOptions::default().unix_permissions(mode)).unwrap();
    archive.write_all(bytes).unwrap();
}

fn unpacked(bytes: &[u8], dir: &Path) -> Done<Unpacked> {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file.rewind().unwrap();
    unpack(file, dir, Path::new(""), &AtomicBool::new(false))
}

fn refusal(bytes: &[u8], dir: &Path) -> String {
    match unpacked(bytes, dir) {
        Err(Stop::Failed(message)) => message,
        other => panic!("{other:?}"),
    }
}

/// All that is below a folder, folders with a slash.
fn tree(dir: &Path) -> Vec<String> {
    let mut names = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if fs::symlink_metadata(&path).unwrap().is_dir() {
            names.extend(tree(&path).iter().map(|below| format!("{name}/{below}")));
            names.push(name + "/");
        } else {
            names.push(name);
        }
    }
    names.sort();
    names
}

#[test]
fn files_come_back_as_they_were_over_what_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let big = b"0123456789".repeat(100_000);
    let bytes = archive(|to| {
        to.add_directory("empty/", SimpleFileOptions::default()).unwrap();
        add(to, "bin/größe", 0o6755, &big);
        add(to, "./a", 0o600, b"new");
        to.add_symlink("bin/link", "../a", SimpleFileOptions::default()).unwrap();
    });
    fs::write(dir.path().join("a"), "what was there before").unwrap();
    let done = unpacked(&bytes, dir.path()).unwrap();
    assert_eq!((done.files.len(), done.bytes, done.left_out.len()), (3, big.len() as u64 + 3, 0));
    assert_eq!(tree(dir.path()), ["a", "bin/", "bin/größe", "bin/link", "empty/"]);
    assert_eq!(fs::read(dir.path().join("bin/größe")).unwrap(), big);
    assert_eq!(fs::read(dir.path().join("bin/link")).unwrap(), b"new");
    let mode = |name: &str| fs::metadata(dir.path().join(name)).unwrap().permissions().mode() & 0o7777;
    assert_eq!((mode("bin/größe") & 0o7700, mode("a")), (0o700, 0o600));
}

#[test]
fn what_git_or_a_shell_would_read_is_left_as_it_is_and_the_rest_is_unpacked() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join(".git")).unwrap();
    fs::write(dir.path().join(".git/config"), "mine").unwrap();
    let bytes = archive(|to| {
        for name in [".git/config", ".git/hooks/x", ".GIT/config", "sub/.git", "git~1/x", "bare/HEAD", "bare/refs/x"] {
            add(to, name, 0o755, b"evil");
        }
        add(to, "bare/objects/x", 0o644, b"evil");
        add(to, "a", 0o644, b"good");
        to.add_symlink("l", ".git/hooks", SimpleFileOptions::default()).unwrap();
        to.add_symlink("m/.git", "a", SimpleFileOptions::default()).unwrap();
    });
    let done = unpacked(&bytes, dir.path()).unwrap();
    assert_eq!((done.files, done.bytes), (vec![PathBuf::from("a")], 4));
    let kept = [".GIT", ".git", "bare", "git~1", "l", "m/.git", "sub/.git"];
    assert_eq!(done.kept.into_iter().collect::<Vec<_>>(), kept.map(PathBuf::from));
    assert_eq!(tree(dir.path()), [".git/", ".git/config", "a"]);
    assert_eq!(fs::read(dir.path().join(".git/config")).unwrap(), b"mine");
}

#[test]
fn times_and_modes_are_those_of_the_archive_also_of_folders() {
    let dir = tempfile::tempdir().unwrap();
    let then = DateTime::from_date_and_time(2001, 1, 1, 12, 30, 2).unwrap();
    let options = |mode| SimpleFileOptions::default().unix_permissions(mode).last_modified_time(then);
    let bytes = archive(|to| {
        for (name, mode) in [("new/", 0o700), ("shut/", 0o500), ("there/", 0o700)] {
            to.add_directory(name, options(mode)).unwrap();
        }
        for (name, mode) in [("new/deep/a", 0o640), ("shut/b", 0o4755), ("there/c", 0o666), ("implied/d", 0o400)] {
            to.start_file(name, options(mode)).unwrap();
            to.write_all(b"x").unwrap();
        }
        to.add_symlink("new/l", "deep", options(0o777)).unwrap();
    });
    fs::create_dir(dir.path().join("there")).unwrap();
    fs::set_permissions(dir.path().join("there"), Permissions::from_mode(0o755)).unwrap();
    unpacked(&bytes, dir.path()).unwrap();
    let seconds = humantime::parse_rfc3339("2001-01-01T12:30:02Z").unwrap();
    for (name, mode) in [
        ("new", 0o700),
        ("new/deep/a", 0o640),
        ("shut", 0o500),
        ("shut/b", 0o755),
        ("there", 0o755),
        ("there/c", 0o666),
        ("implied/d", 0o400),
        ("new/l", 0o777),
    ] {
        let found = fs::symlink_metadata(dir.path().join(name)).unwrap();
        assert_eq!((found.permissions().mode() & 0o7777, found.modified().unwrap()), (mode, seconds), "{name}");
    }
    fs::set_permissions(dir.path().join("shut"), Permissions::from_mode(0o700)).unwrap();
}

#[test]
fn names_are_those_below_the_folder_that_one_stands_in() {
    let dir = tempfile::tempdir().unwrap();
    let mut file = tempfile::tempfile().unwrap();
    let bytes = archive(|to| ["docs/out/a", "docs", "b"].iter().for_each(|name| add(to, name, 0o644, b"x")));
    file.write_all(&bytes).unwrap();
    file.rewind().unwrap();
    let done = unpack(file, dir.path(), Path::new("docs/out"), &AtomicBool::new(false)).unwrap();
    assert_eq!(done.files, ["a", "docs", "b"].map(PathBuf::from));
}

#[test]
fn a_name_that_leads_out_has_all_refused_before_anything_is_written() {
    for name in ["../out", "/out", "a/../../out", "a/..", "a\0b"] {
        let dir = tempfile::tempdir().unwrap();
        let inside = dir.path().join("inside");
        let bytes = archive(|to| {
            add(to, "harmless", 0o644, b"x");
            add(to, name, 0o644, b"x");
        });
        let message = refusal(&bytes, &inside);
        assert!(message.contains("outside"), "{name}: {message}");
        assert_eq!(tree(dir.path()), Vec::<String>::new(), "{name}");
    }
}

#[test]
fn no_link_is_gone_through_and_those_that_lead_out_are_not_made() {
    let dir = tempfile::tempdir().unwrap();
    let (inside, outside) = (dir.path().join("inside"), dir.path().join("outside"));
    fs::create_dir_all(&inside).unwrap();
    fs::create_dir(&outside).unwrap();
    // The archive's own link, then a file behind it.
    let bytes = archive(|to| {
        to.add_symlink("l", outside.to_str().unwrap(), SimpleFileOptions::default()).unwrap();
        to.add_symlink("m", "../outside", SimpleFileOptions::default()).unwrap();
        add(to, "l/a", 0o644, b"x");
    });
    let done = unpacked(&bytes, &inside).unwrap();
    assert_eq!(done.left_out, [Path::new("l"), Path::new("m")]);
    assert_eq!(tree(&inside), ["l/", "l/a"]);
    // Links that are there: one in the place of a folder, one in that of a file.
    symlink(&outside, inside.join("there")).unwrap();
    let message = refusal(&archive(|to| add(to, "there/a", 0o644, b"x")), &inside);
    assert!(message.contains("there"), "{message}");
    fs::write(outside.join("a"), "kept").unwrap();
    symlink(outside.join("a"), inside.join("file")).unwrap();
    unpacked(&archive(|to| add(to, "file", 0o644, b"new")), &inside).unwrap();
    assert_eq!(fs::read(inside.join("file")).unwrap(), b"new");
    assert_eq!(fs::read(outside.join("a")).unwrap(), b"kept");
    assert_eq!(tree(&outside), ["a"]);
}

#[test]
fn links_may_go_up_to_the_top_and_then_only_down() {
    for (target, path, is_inside) in [
        ("b", "a", true),
        ("../b", "x/a", true),
        (".././b/c", "x/a", true),
        ("..", "x/y/a", true),
        ("..", "a", false),
        ("../../b", "x/a", false),
        ("b/../c", "x/a", false),
        ("/b", "a", false),
        ("", "a", false),
    ] {
        assert_eq!(leads_inside(Path::new(target), Path::new(path)), is_inside, "{path} -> {target}");
    }
}

#[test]
fn what_is_too_large_damaged_or_no_archive_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    assert!(refusal(b"no archive", dir.path()).contains("cannot be read"));
    let mut bytes = archive(|to| add(to, "a", 0o644, &[7; 5000]));
    // The size that the directory at the end says, of 5000 bytes and of what is too much.
    let place = memchr::memmem::rfind(&bytes, &5000_u32.to_le_bytes()).unwrap();
    bytes[place..place + 4].copy_from_slice(&10_u32.to_le_bytes());
    let message = refusal(&bytes, dir.path());
    assert!(message.contains("cannot be read: a: ") && message.contains("larger than"), "{message}");
    assert_eq!(tree(dir.path()), Vec::<String>::new());
    let many = archive(|to| (0..5).for_each(|n| add(to, &n.to_string(), 0o644, b"01234567890")));
    let mut bytes = many.clone();
    let first = memchr::memmem::find(&many, b"PK\x01\x02").unwrap();
    for place in memchr::memmem::find_iter(&many, b"PK\x01\x02") {
        bytes[place + 24..place + 28].copy_from_slice(&(u32::MAX - 1).to_le_bytes());
    }
    assert!(refusal(&bytes, dir.path()).contains("16.0 GiB"), "{first}");
    // A checksum that is not that of the bytes.
    let mut bytes = many;
    bytes[first + 16] ^= 1;
    assert!(refusal(&bytes, dir.path()).contains("cannot be read"));
    assert_eq!(tree(dir.path()), Vec::<String>::new());
}

#[test]
fn a_signal_stops_it_and_leaves_no_half_of_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&archive(|to| add(to, "a", 0o644, b"x"))).unwrap();
    assert!(unpack(file, dir.path(), Path::new(""), &AtomicBool::new(true)).is_err());
    assert_eq!(tree(dir.path()), Vec::<String>::new());
}
