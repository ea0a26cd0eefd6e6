//! `baton backup` and `baton check`: copies that are whole, and damage that is named.

use crate::harness::command::{baton, done, refused, text};
use crate::harness::*;
use baton::coordinator::check;
use baton::domain::build::Status;
use baton::limits::Limits;
use baton::{Config, Server};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tempfile::TempDir;

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// Three ended builds with a log of three segments and artifacts with metadata, one that runs, and one that waits.
fn busy_server() -> Baton {
    let server = Baton::with_project();
    for n in 0..3_u8 {
        let (_, build) = server.running();
        server.append(&build, 0, &"line of a log\n".repeat(3_000));
        let data = vec![n; 100_000];
        let metadata = Part { name: "metadata", filename: Some("metadata.gz"), data: b"metadata" };
        let upload = Request::post(&format!("builds/{}/artifacts", build.id)).build_token(&build.token);
        server.send(upload.multipart(&[Part::file("a.zip", &data), metadata])).expect(201);
        server.finish(&build, "success");
    }
    let (_, running) = server.running();
    server.append(&running, 0, "so far\n");
    server.build_needing(&[running.id]);
    server
}

/// The data directory of a server that has stopped: a backup of a busy one.
fn stopped_data() -> (TempDir, PathBuf) {
    let server = busy_server();
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    done(&baton(server.data(), &["backup", data.to_str().unwrap()]));
    (dir, data)
}

#[test]
fn a_backup_says_what_it_holds_and_is_its_owners_alone() {
    let server = busy_server();
    let dir = tempfile::tempdir().unwrap();
    for (name, exists) in [("new", false), ("empty", true)] {
        let to = dir.path().join(name);
        if exists {
            fs::create_dir(&to).unwrap();
        }
        let said = done(&baton(server.data(), &["backup", to.to_str().unwrap()]));
        assert_eq!(said, format!("backed up 5 builds and 3 artifacts (293.0 KiB) to {}\n", to.display()));
        assert_eq!(names(&to), ["artifacts", "baton.db"]);
        assert_eq!(names(&to.join("artifacts")).len(), 6);
        for path in [to.clone(), to.join("artifacts")] {
            assert_eq!(mode(&path), 0o700, "{}", path.display());
            for file in fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()).filter(|file| file.is_file()) {
                assert_eq!(mode(&file), 0o600, "{}", file.display());
            }
        }
        assert_eq!(
            done(&baton(&to, &["check"])),
            "checked 5 builds, 3 artifacts (293.0 KiB): all is well\n",
            "without a server"
        );
        assert_eq!(names(&to), ["artifacts", "baton.db"], "a check leaves nothing");
    }
    let to = dir.path().join("json");
    let json: Value =
        serde_json::from_str(&done(&baton(server.data(), &["backup", "--json", to.to_str().unwrap()]))).unwrap();
    let expected = serde_json::json!({"builds": 5, "artifacts": 3, "bytes": 300_000, "dir": to.to_str().unwrap()});
    assert_eq!(json, expected);
    let again = dir.path().join("again");
    done(&baton(&to, &["backup", again.to_str().unwrap()]));
    assert_eq!(names(&to), ["artifacts", "baton.db"], "a backup leaves nothing in what it copies");
    let json: Value = serde_json::from_str(&done(&baton(&again, &["check", "--json"]))).unwrap();
    let expected = serde_json::json!({"ok": true, "builds": 5, "artifacts": 3, "bytes": 300_000, "problems": []});
    assert_eq!(json, expected);
}

#[test]
fn builds_go_on_in_a_restored_backup() {
    let server = Baton::with_project();
    let (runner, build) = server.running();
    server.append(&build, 0, "before\n");
    let dir = tempfile::tempdir().unwrap();
    let to = dir.path().join("backup");
    done(&baton(server.data(), &["backup", to.to_str().unwrap()]));
    server.finish(&build, "success");
    drop(server);
    let restored = Server::start(Config::local(&to)).unwrap();
    http::send(restored.address(), &patch(&build, 7, b"after\n")).expect(202);
    http::send(restored.address(), &ask(&runner.token)).expect(204);
    let (trace, status) = restored.coordinator().read_trace(build.id, 0, 100).unwrap();
    assert_eq!((text(&trace).as_str(), status), ("before\nafter\n", Status::Running));
}

#[test]
fn unfit_places_are_refused_and_left_as_they_are() {
    let server = Baton::with_project();
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    fs::create_dir(at("full")).unwrap();
    fs::write(at("full/notes"), "mine").unwrap();
    fs::create_dir(at("begun")).unwrap();
    fs::write(at("begun/baton.db.part"), "").unwrap();
    fs::write(at("file"), "mine").unwrap();
    std::os::unix::fs::symlink(server.data(), at("link")).unwrap();
    for (place, says) in [
        (at("full"), "it holds \"notes\"; choose an empty or new directory"),
        (at("begun"), "interrupted or is under way"),
        (at("file"), "it is not a directory"),
        (at("no/where"), "there is no directory"),
        (server.data().join("backup"), "it lies in the data directory"),
        (server.data().join("artifacts"), "it lies in the data directory"),
        (server.data().to_owned(), "it lies in the data directory"),
        (at("link/artifacts"), "it lies in the data directory"),
    ] {
        let reason = refused(&baton(server.data(), &["backup", place.to_str().unwrap()]));
        assert!(reason.contains(says), "{reason}");
    }
    assert_eq!(names(dir.path()), ["begun", "file", "full", "link"]);
    assert_eq!((names(&at("full")), names(&at("begun"))), (vec!["notes".into()], vec!["baton.db.part".into()]));
    for command in [&["backup", "x"][..], &["check"]] {
        let reason = refused(&baton(&at("nothing"), command));
        assert!(reason.contains("has no baton.db"), "{reason}");
    }
    assert!(!at("nothing").exists(), "what is only looked at is not made");
    expect_well(server.data());
}

#[test]
fn damaged_data_is_not_backed_up_and_the_place_stays_free() {
    let flip = |path: &Path| {
        let file = fs::OpenOptions::new().write(true).open(path).unwrap();
        file.write_at(b"!", 50_000).unwrap();
    };
    let (_dir, data) = stopped_data();
    let to = data.with_file_name("backup");
    let archive: String =
        open_database(&data).query_row("SELECT path FROM artifacts WHERE build_id = 2", [], |row| row.get(0)).unwrap();
    let path = data.join("artifacts").join(&archive);
    let whole = fs::read(&path).unwrap();
    type Damage<'a> = (&'a dyn Fn(), &'a str);
    let damages: [Damage<'_>; 3] = [
        (&|| flip(&path), "its checksum is not that of the upload"),
        (&|| fs::write(&path, &whole[..99_999]).unwrap(), "it has 99999 bytes"),
        (&|| fs::remove_file(&path).unwrap(), "is missing"),
    ];
    for (damage, says) in damages {
        damage();
        let reason = refused(&baton(&data, &["backup", to.to_str().unwrap()]));
        for part in ["no backup was made", "of build 2", archive.as_str(), says, " check`"] {
            assert!(reason.contains(part), "{part}: {reason}");
        }
        assert!(!to.exists());
        fs::write(&path, &whole).unwrap();
    }
    done(&baton(&data, &["backup", to.to_str().unwrap()]));
    // A place that was there stays, and is empty again.
    let there = data.with_file_name("there");
    fs::create_dir(&there).unwrap();
    open_database(&data).execute("DELETE FROM trace_segments WHERE (id >> 20) = 1 AND (id & 1) = 1", []).unwrap();
    let reason = refused(&baton(&data, &["backup", there.to_str().unwrap()]));
    assert!(reason.contains("the log of build 1 lacks a part"), "{reason}");
    assert_eq!(names(&there), Vec::<String>::new());
}

/// Each damage, how it is named, and how often.
#[test]
fn a_check_names_each_damage_in_one_line() {
    type Damage = fn(&Path);
    fn run(data: &Path, sql: &str) {
        let database = open_database(data);
        database.execute_batch("PRAGMA foreign_keys = OFF; PRAGMA ignore_check_constraints = ON").unwrap();
        database.execute_batch(sql).unwrap();
    }
    fn artifact(data: &Path) -> PathBuf {
        let path: String = open_database(data)
            .query_row("SELECT path FROM artifacts WHERE build_id = 2", [], |row| row.get(0))
            .unwrap();
        data.join("artifacts").join(path)
    }
    let damages: [(&str, &str, Damage); 25] = [
        ("artifacts_damaged", "of build 2", |data| {
            let file = fs::OpenOptions::new().write(true).open(artifact(data)).unwrap();
            file.write_at(b"!", 77).unwrap();
        }),
        ("artifacts_damaged", "of build 2", |data| fs::write(artifact(data), "short").unwrap()),
        ("artifacts_damaged", "it is not a file", |data| {
            fs::remove_file(artifact(data)).unwrap();
            fs::create_dir(artifact(data)).unwrap();
        }),
        ("artifacts_damaged", "a name that Baton does not give", |data| {
            run(data, "UPDATE artifacts SET metadata_path = '../../../etc/passwd' WHERE build_id = 1");
            // Its old metadata are an orphan now.
            let known: Vec<String> = open_database(data)
                .prepare("SELECT path FROM artifacts UNION SELECT metadata_path FROM artifacts")
                .unwrap()
                .query_map([], |row| row.get(0))
                .unwrap()
                .map(|row| row.unwrap())
                .collect();
            for name in names(&data.join("artifacts")).into_iter().filter(|name| !known.contains(name)) {
                fs::remove_file(data.join("artifacts").join(name)).unwrap();
            }
        }),
        ("artifacts_missing", "of build 2", |data| fs::remove_file(artifact(data)).unwrap()),
        ("orphan", "named by no build", |data| {
            fs::write(data.join("artifacts/9-0123456789abcdef"), "left").unwrap();
        }),
        ("orphan", "named by no build", |data| {
            fs::write(data.join("artifacts/incoming-9-0123456789abcdef"), "left").unwrap();
        }),
        ("orphan", "\"artifacts/a\\nb\" is not Baton's", |data| {
            fs::write(data.join("artifacts/a\nb"), "strange").unwrap();
        }),
        ("trace", "the log of build 2 lacks a part", |data| {
            run(data, "DELETE FROM trace_segments WHERE (id >> 20) = 2 AND (id & 3) = 1");
        }),
        ("trace", "the log of build 4 lacks a part", |data| {
            run(data, "DELETE FROM trace_segments WHERE (id >> 20) = 4")
        }),
        ("trace", "the log of build 3 lacks a part", |data| {
            run(data, "UPDATE trace_segments SET data = substr(data, 1, 9) WHERE (id >> 20) = 3 AND (id & 3) = 2");
        }),
        ("trace", "the log numbered 77 has 1 parts that no build names", |data| {
            run(data, "INSERT INTO trace_segments (id, data) VALUES (77 << 20, x'00')");
        }),
        ("trace", "the log numbered 1 has 1 parts", |data| {
            run(data, "INSERT INTO trace_segments (id, data) VALUES ((1 << 20) + 3, x'00')");
        }),
        ("trace", "the log of build 1 is marked as removed", |data| {
            run(data, "INSERT INTO detached_traces (number) VALUES (1)");
        }),
        ("trace", "the log of build 1 is 20000 bytes long", |data| {
            run(data, "UPDATE trace_segments SET data = zeroblob(20000) WHERE id = 1 << 20");
        }),
        ("counter", "the counter of builds is behind: 5", |data| {
            run(data, "UPDATE sqlite_sequence SET seq = 2 WHERE name = 'builds'");
        }),
        ("counter", "the counter of logs is behind: 4", |data| run(data, "UPDATE trace_numbers SET next = 4")),
        ("settings", "the table settings has 0 rows", |data| run(data, "DELETE FROM settings")),
        ("schema", "the trigger build_added_to_queue is missing", |data| {
            run(data, "DROP TRIGGER build_added_to_queue")
        }),
        ("schema", "the table mine is not Baton's", |data| run(data, "CREATE TABLE mine (x)")),
        ("build", "the specification or variables of build 3", |data| {
            run(data, "UPDATE build_specs SET spec = '{' WHERE build_id = 3");
        }),
        ("build", "build 3 is in a state, or failed for a reason, that Baton does not know", |data| {
            run(data, "UPDATE builds SET status = 'asleep' WHERE id = 3");
        }),
        ("build", "which does not go with its end", |data| {
            run(data, "UPDATE builds SET finished_at = NULL WHERE id = 3");
        }),
        ("build", "build 5 waits", |data| run(data, "DELETE FROM build_needs")),
        ("reference", "a row of builds names a row of projects", |data| {
            run(data, "UPDATE builds SET project_id = 99 WHERE id = 5");
        }),
    ];
    let (_dir, data) = stopped_data();
    expect_well(&data);
    for (kind, says, damage) in damages {
        let (_dir, data) = copy_of(&data);
        damage(&data);
        let before = snapshot(&data);
        let output = baton(&data, &["check"]);
        refused(&output);
        let said = text(&output.stdout);
        assert!(said.contains(says) && said.contains("; "), "{says}: {said}");
        assert_eq!(said.lines().count(), 1, "{says}: {said}");
        let json: Value = serde_json::from_slice(&baton(&data, &["check", "--json"]).stdout).unwrap();
        assert_eq!((json["ok"].as_bool(), json["problems"][0]["kind"].as_str()), (Some(false), Some(kind)), "{says}");
        assert!(snapshot(&data) == before, "{says}: a check changes nothing");
    }
}

/// A copy of a stopped server's data, to be damaged.
fn copy_of(data: &Path) -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let to = dir.path().join("data");
    fs::create_dir_all(to.join("artifacts")).unwrap();
    for name in names(data).iter().filter(|name| name.starts_with("baton.db")) {
        fs::copy(data.join(name), to.join(name)).unwrap();
    }
    for name in names(&data.join("artifacts")) {
        fs::copy(data.join("artifacts").join(&name), to.join("artifacts").join(&name)).unwrap();
    }
    (dir, to)
}

/// The database's files, with their bytes.
fn snapshot(data: &Path) -> Vec<(String, Vec<u8>)> {
    let files = names(data).into_iter().filter(|name| data.join(name).is_file());
    files.map(|name| (name.clone(), fs::read(data.join(name)).unwrap())).collect()
}

#[test]
fn a_damaged_database_is_reported_and_left_as_it_is() {
    const PAGE: usize = 4096;
    type Damage = fn(&mut Vec<u8>);
    let damages: [(&str, Damage); 6] = [
        ("not an SQLite database", |bytes| *bytes = b"Dear diary,\n".repeat(1_000)),
        ("not an SQLite database", |bytes| bytes[..100].fill(0x5a)),
        ("database", |bytes| bytes[PAGE..3 * PAGE].fill(0x5a)),
        ("database", |bytes| bytes.truncate(bytes.len() / 2)),
        ("database", |bytes| bytes.truncate(PAGE)),
        ("the database is empty", Vec::clear),
    ];
    let (_dir, data) = stopped_data();
    for (says, damage) in damages {
        let (_dir, data) = copy_of(&data);
        let mut bytes = fs::read(data.join("baton.db")).unwrap();
        damage(&mut bytes);
        fs::write(data.join("baton.db"), &bytes).unwrap();
        let output = baton(&data, &["check"]);
        refused(&output);
        let said = text(&output.stdout);
        assert!(said.contains(says), "{says}: {said}");
        assert!(!said.contains("orphan") && !said.contains("named by no build"), "rows may be lost: {said}");
        assert!(fs::read(data.join("baton.db")).unwrap() == bytes);
        assert_eq!(names(&data), ["artifacts", "baton.db"]);
        let to = data.with_file_name("backup");
        refused(&baton(&data, &["backup", to.to_str().unwrap()]));
        assert!(!to.exists());
    }
    // Files of others, and of newer programs.
    for (sql, says) in [
        ("PRAGMA application_id = 7", "belongs to another program"),
        ("PRAGMA user_version = 1000", "written by a newer baton"),
    ] {
        let (_dir, data) = copy_of(&data);
        open_database(&data).execute_batch(sql).unwrap();
        let output = baton(&data, &["check"]);
        refused(&output);
        assert!(text(&output.stdout).contains(says), "{}", text(&output.stdout));
    }
}

/// Whatever is overwritten, the answer is an answer. Much of what can be hit (free room, the text of a log) no
/// check can know.
#[test]
fn a_check_of_random_damage_ends_well_or_with_problems() {
    let mut random = random::Random::new();
    let (_dir, data) = stopped_data();
    let whole = fs::read(data.join("baton.db")).unwrap();
    let mut found = 0;
    for _ in 0..60 {
        let mut bytes = whole.clone();
        for _ in 0..=random.below(3) {
            let count = random.pick(&[1, 16, 512, 4096]);
            let at = random.below(bytes.len() - count);
            let noise = random.bytes(count);
            bytes[at..at + count].copy_from_slice(&noise);
        }
        let (_dir, data) = copy_of(&data);
        fs::write(data.join("baton.db"), &bytes).unwrap();
        found += usize::from(!check(&data).unwrap().problems.is_empty());
        assert!(fs::read(data.join("baton.db")).unwrap() == bytes);
    }
    assert!(found > 20, "{found} of 60");
}

/// As `kill -9` leaves it: what was committed is in the log only, and its index may be missing.
#[test]
fn a_check_after_a_crash_sees_the_log_and_leaves_it_alone() {
    let server = busy_server();
    let (_dir, data) = copy_of(server.data());
    fs::remove_file(data.join("baton.db-shm")).unwrap();
    let log = fs::read(data.join("baton.db-wal")).unwrap();
    assert_eq!(expect_well(&data).builds, 5);
    assert!(fs::read(data.join("baton.db-wal")).unwrap() == log);
    let to = data.with_file_name("backup");
    done(&baton(&data, &["backup", to.to_str().unwrap()]));
    assert_eq!(expect_well(&to).builds, 5);
}

#[test]
fn an_upload_under_way_is_no_orphan() {
    let server = Baton::with_limits(Limits::default());
    server.project("demo");
    let (_, build) = server.running();
    let wire = upload(&build, "a.zip", &vec![7; 2_000_000]).bytes();
    let mut connection = Connection::open(server.address());
    connection.send_raw(&wire[..1_900_000]);
    let deadline = Instant::now() + Duration::from_secs(120);
    while server.files().is_empty() && Instant::now() < deadline {
        std::thread::yield_now();
    }
    assert_eq!(server.files().len(), 1);
    done(&baton(server.data(), &["check"]));
    connection.send_raw(&wire[1_900_000..]);
    connection.read("POST").expect(201);
    done(&baton(server.data(), &["check"]));
}

/// Litestream keeps two tables in the database that it replicates.
#[test]
fn litestreams_tables_are_no_problem_and_not_in_a_backup() {
    let server = busy_server();
    server
        .database()
        .execute_batch(
            "CREATE TABLE IF NOT EXISTS _litestream_seq (id INTEGER PRIMARY KEY, seq INTEGER);
             CREATE TABLE IF NOT EXISTS _litestream_lock (id INTEGER);
             INSERT INTO _litestream_seq (id, seq) VALUES (1, 1);",
        )
        .unwrap();
    assert!(done(&baton(server.data(), &["check"])).contains("all is well"));
    let dir = tempfile::tempdir().unwrap();
    let to = dir.path().join("backup");
    done(&baton(server.data(), &["backup", to.to_str().unwrap()]));
    assert_eq!(expect_well(&to).builds, 5);
    let tables = |data: &Path| -> i64 {
        let sql = "SELECT count(*) FROM sqlite_schema WHERE name LIKE '\\_litestream%' ESCAPE '\\'";
        open_database(data).query_row(sql, [], |row| row.get(0)).unwrap()
    };
    assert_eq!((tables(server.data()), tables(&to)), (2, 0));
    // Others' tables still are one.
    server.database().execute_batch("CREATE TABLE _litestream_other (id INTEGER)").unwrap();
    let checked = baton(server.data(), &["check"]);
    assert!(!checked.status.success() && text(&checked.stdout).contains("_litestream_other"), "{checked:?}");
}
