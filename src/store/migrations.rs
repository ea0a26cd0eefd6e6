//! Brings a database file to the present schema, step by step, in one transaction.
//!
//! What must stay true: a file that is not ours, or is newer than this program, is not touched; a released
//! step never changes; a file brought up from version 1 equals a new one.

use crate::domain::time::Timestamp;
use crate::domain::token::{Token, random};
use crate::error::{Error, Result};
use crate::store::steps::{STEPS, Step, VERSION};
use rusqlite::{Connection, TransactionBehavior, named_params};
use std::collections::BTreeSet;

/// "Batn": says in the file's head, also to `file(1)`, whose it is.
const APPLICATION_ID: i32 = 0x4261_746e;

/// Makes the schema in an empty file, or brings an older one up to date.
///
/// # Errors
/// If the file belongs to another program, is newer, or is damaged.
pub fn migrate(connection: &mut Connection) -> Result<()> {
    migrate_by(connection, STEPS, VERSION)
}

/// Whether the file has the present schema.
///
/// # Errors
/// If it is not ours, or from a newer version.
pub fn is_present(connection: &Connection) -> Result<bool> {
    Ok(check_ours(connection, VERSION)? == Some(VERSION))
}

fn migrate_by(connection: &mut Connection, steps: &[Step], newest: i32) -> Result<()> {
    let version = check_ours(connection, newest)?;
    if version == Some(newest) {
        return Ok(());
    }
    if version.is_none() {
        // These take effect only while the file is empty, and not inside a transaction.
        connection.execute_batch("PRAGMA page_size = 4096; PRAGMA auto_vacuum = INCREMENTAL;")?;
        connection.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))?;
    }
    // A step may make a table anew that others name. Inside a transaction this could not be said.
    connection.execute_batch("PRAGMA foreign_keys = OFF")?;
    let made = make(connection, steps, newest);
    connection.execute_batch("PRAGMA foreign_keys = ON")?;
    made
}

fn make(connection: &mut Connection, steps: &[Step], newest: i32) -> Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // Again, now under the lock: two processes may have found the file empty.
    match check_ours(&transaction, newest)? {
        None => {
            transaction.execute_batch(include_str!("../../schema.sql"))?;
            transaction.execute(
                "INSERT INTO settings (id, registration_token, queue_key, created_at) VALUES (1, :token, :key, :now)",
                named_params! {
                    ":token": Token::new_secret()?.reveal(),
                    ":key": random::<16>()?,
                    ":now": Timestamp::now().0,
                },
            )?;
            transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        }
        Some(from) => {
            for step in steps.iter().skip(usize::try_from(from - 1).unwrap_or(0)) {
                step.take(&transaction)?;
            }
        }
    }
    transaction.pragma_update(None, "user_version", newest)?;
    transaction.commit()?;
    Ok(())
}

/// Says whether the file has the present schema's version, and touches nothing.
///
/// # Errors
/// If the file is empty, belongs to another program, is of another version, or is damaged.
pub fn check_current(connection: &Connection) -> Result<()> {
    match check_ours(connection, VERSION)? {
        Some(VERSION) => Ok(()),
        Some(version) => Err(Error::invalid(format!(
            "the database has version {version}, this program works on {VERSION}; any other command, as `baton build list`, brings it up to date"
        ))),
        None => Err(Error::invalid("the database is empty: no baton has ever used it, or its content is lost")),
    }
}

/// Type and name of all that the schema of this file has, as in `table builds`.
pub fn schema_names(connection: &Connection) -> Result<BTreeSet<String>> {
    let mut statement = connection
        .prepare("SELECT type || ' ' || name FROM sqlite_schema WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\'")?;
    let rows = statement.query_map([], |row| row.get(0))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// What [`schema_names`] says of a new file.
pub fn new_schema_names() -> Result<BTreeSet<String>> {
    let connection = Connection::open_in_memory()?;
    connection.execute_batch(include_str!("../../schema.sql"))?;
    schema_names(&connection)
}

/// The version of a file of ours, `None` for an empty file.
fn check_ours(connection: &Connection, newest: i32) -> Result<Option<i32>> {
    let pragma = |name: &str| -> Result<i32> { Ok(connection.pragma_query_value(None, name, |row| row.get(0))?) };
    let (application_id, version) = (pragma("application_id")?, pragma("user_version")?);
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    match (application_id, tables) {
        (0, 0) => Ok(None),
        (APPLICATION_ID, _) if version > newest => Err(Error::invalid(format!(
            "the database has version {version}, this program knows {newest}: it was written by a newer baton; use that one"
        ))),
        (APPLICATION_ID, _) if version >= 1 => Ok(Some(version)),
        _ => Err(Error::invalid("the database belongs to another program; it was left as it is")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::build::{BuildId, FailureReason, ProjectId, Status};
    use crate::domain::runner::RunnerId;
    use crate::store::{artifacts, builds, queue, statistics, traces};

    /// A file as version 1 made it.
    fn version_1(path: &std::path::Path) -> Connection {
        let old = crate::store::open(path, crate::store::Access::Write).unwrap();
        old.execute_batch("PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL;").unwrap();
        old.execute_batch(include_str!("../../tests/fixtures/schema-1.sql")).unwrap();
        old.pragma_update(None, "application_id", APPLICATION_ID).unwrap();
        old.pragma_update(None, "user_version", 1).unwrap();
        old
    }

    /// Every statement that the schema consists of.
    fn schema(c: &Connection) -> Vec<String> {
        let mut statement = c.prepare("SELECT coalesce(sql, name) FROM sqlite_schema ORDER BY name").unwrap();
        statement.query_map([], |row| row.get(0)).unwrap().map(|row| without_comments(row.unwrap())).collect()
    }

    fn without_comments(sql: String) -> String {
        let code = sql.lines().map(|line| line.split("--").next().unwrap_or_default());
        let words = code.flat_map(str::split_whitespace).collect::<Vec<_>>().join(" ");
        // Where SQLite adds a column it writes no line.
        words.replace(" )", ")").replace(" ,", ",")
    }

    fn version(c: &Connection) -> i32 {
        c.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap()
    }

    #[test]
    fn a_new_file_gets_the_schema_and_a_second_opening_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("baton.db");
        let mut first = crate::store::open(&path, crate::store::Access::Write).unwrap();
        migrate(&mut first).unwrap();
        let before = schema(&first);
        assert!(before.iter().any(|sql| sql.contains("CREATE TABLE builds")));
        migrate(&mut first).unwrap();
        assert_eq!(schema(&first), before);
        assert_eq!(version(&first), VERSION);
    }

    #[test]
    fn a_file_of_version_1_is_brought_up_to_what_a_new_one_is_and_keeps_its_content() {
        let dir = tempfile::tempdir().unwrap();
        let new = new_database(&dir);
        let path = dir.path().join("baton.db");
        let mut old = version_1(&path);
        assert_ne!(schema(&old), schema(&new));
        old.execute_batch(
            "INSERT INTO settings (id, registration_token, queue_key, created_at) VALUES (1, 't', zeroblob(16), 1);
             INSERT INTO projects (name, ci_token, ci_token_hash, timeout_s, created_at)
             VALUES ('p', 'c', zeroblob(32), 60, 1);
             INSERT INTO tag_sets (tags) VALUES ('[]');
             INSERT INTO builds (project_id, status, tag_set_id, timeout_s, created_at, finished_at)
             VALUES (1, 'success', 1, 60, 1, 2);
             INSERT INTO build_specs (build_id, name, stage, ref, is_tag, commands, allow_git_fetch, options, variables)
             VALUES (1, 'n', 's', 'r', 0, 'true', 1, '{}', '[]');
             INSERT INTO traces (build_id, number, size) VALUES (1, 1, 3);
             INSERT INTO trace_segments (id, data) VALUES (1 << 20, CAST('log' AS BLOB));
             UPDATE trace_numbers SET next = 2;",
        )
        .unwrap();
        migrate(&mut old).unwrap();
        assert_eq!((version(&old), schema(&old)), (VERSION, schema(&new)));
        drop(old);
        let store = crate::store::Store::open(&path).unwrap();
        let id = crate::domain::build::BuildId(1);
        let read = |c: &Connection| traces::read(c, &traces::of_build(c, id)?, 0, 99);
        assert_eq!(store.read(read).unwrap(), b"log");
        assert_eq!(store.read(crate::store::invariants::examine).unwrap(), []);
        store.write(move |c| traces::remove(c, id)).unwrap();
        assert_eq!(store.read(crate::store::invariants::examine).unwrap(), []);
    }

    #[test]
    fn what_a_file_of_version_2_holds_is_counted_when_it_is_brought_up() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("baton.db");
        let mut old = version_1(&path);
        migrate_by(&mut old, &STEPS[..1], 2).unwrap();
        old.execute_batch(
            "INSERT INTO settings (id, registration_token, queue_key, created_at) VALUES (1, 't', zeroblob(16), 1);
             INSERT INTO projects (name, ci_token, ci_token_hash, timeout_s, created_at)
             VALUES ('p', 'c', zeroblob(32), 60, 1);
             INSERT INTO tag_sets (tags) VALUES ('[]');
             INSERT INTO builds (project_id, status, failure_reason, tag_set_id, timeout_s, created_at, finished_at)
             VALUES (1, 'success', NULL, 1, 60, 1, 2), (1, 'failed', 'timed_out', 1, 60, 1, 2),
                 (1, 'failed', 'runner_lost', 1, 60, 1, 2), (1, 'failed', 'runner_lost', 1, 60, 1, 2),
                 (1, 'pending', NULL, 1, 60, 1, NULL);
             INSERT INTO build_specs (build_id, name, stage, ref, is_tag, commands, allow_git_fetch, options, variables)
             SELECT id, 'n', 's', 'r', 0, 'true', 1, '{}', '[]' FROM builds;
             INSERT INTO traces (build_id, number, size) VALUES (1, 1, 3), (2, 2, 4);
             INSERT INTO trace_segments (id, data)
             VALUES (1 << 20, CAST('log' AS BLOB)), (2 << 20, CAST('logs' AS BLOB));
             INSERT INTO artifacts (build_id, path, filename, size, sha256, uploaded_at)
             VALUES (1, 'a', 'a.zip', 7, zeroblob(32), 1);
             UPDATE trace_numbers SET next = 3;",
        )
        .unwrap();
        migrate(&mut old).unwrap();
        assert_eq!(version(&old), VERSION);
        let now = statistics::load(&old).unwrap();
        assert_eq!((now.stored(Status::Pending), now.stored(Status::Failed), now.stored(Status::Running)), (1, 3, 0));
        assert_eq!(now.total(Status::Failed, Some(FailureReason::RunnerLost)), 2);
        assert_eq!((now.trace_bytes, now.artifact_bytes), (7, 7));
        assert_eq!(now.runs, statistics::load(&new_database(&dir)).unwrap().runs);
        assert_eq!(crate::store::invariants::examine(&old).unwrap(), []);
    }

    /// What a server of that version had in its database.
    const OF_VERSION_4: &str = "
        INSERT INTO settings (id, registration_token, queue_key, created_at) VALUES (1, 't', zeroblob(16), 1);
        INSERT INTO projects (name, ci_token, ci_token_hash, timeout_s, created_at)
        VALUES ('p', 'c', zeroblob(32), 60, 1);
        INSERT INTO tag_sets (tags) VALUES ('[]');
        INSERT INTO runners (description, tag_set_id, run_untagged, created_at) VALUES ('r', 1, 1, 1);
        INSERT INTO builds (project_id, status, failure_reason, tag_set_id, runner_id, token, token_hash, timeout_s,
            created_at, started_at, finished_at, seen_at)
        VALUES (1, 'success', NULL, 1, 1, NULL, zeroblob(32), 60, 1, 2, 3, 3),
            (1, 'failed', 'timed_out', 1, 1, NULL, zeroblob(32), 60, 1, 2, 3, 3),
            (1, 'running', NULL, 1, 1, 'token', zeroblob(32), 60, 1, 2, NULL, 3),
            (1, 'pending', NULL, 1, NULL, NULL, NULL, 60, 1, NULL, NULL, NULL),
            (1, 'created', NULL, 1, NULL, NULL, NULL, 60, 1, NULL, NULL, NULL),
            (1, 'success', NULL, 1, NULL, NULL, NULL, 60, 1, NULL, 3, NULL);
        INSERT INTO build_specs (build_id, name, stage, ref, is_tag, commands, allow_git_fetch, options, variables)
        SELECT id, 'n', 's', 'r', 0, 'make' || char(10) || 'test', 1, '{}', '[]' FROM builds;
        UPDATE build_specs SET options = '{\"image\": \"ruby\", \"services\": [\"db\"], \"cache\": {\"untracked\": false},
            \"artifacts\": {\"paths\": [\"o\"], \"exclude\": 5}, \"environment\": 1}' WHERE build_id = 4;
        INSERT INTO build_needs (build_id, needs_id) VALUES (5, 4), (4, 1);
        INSERT INTO traces (build_id, number, size) VALUES (1, 1, 3);
        INSERT INTO trace_segments (id, data) VALUES (1 << 20, CAST('log' AS BLOB));
        INSERT INTO artifacts (build_id, path, filename, size, sha256, uploaded_at)
        VALUES (1, 'a', 'a.zip', 7, zeroblob(32), 1);
        UPDATE trace_numbers SET next = 2;
        DELETE FROM builds WHERE id = 6;";

    #[test]
    fn a_file_of_each_version_keeps_its_builds_and_all_that_names_them() {
        // Later versions have other columns; files go through them on their way.
        for from in 1..=4 {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("baton.db");
            let mut old = version_1(&path);
            migrate_by(&mut old, &STEPS[..from as usize - 1], from).unwrap();
            old.execute_batch(OF_VERSION_4).unwrap();
            let generation = queue::generation(&old).unwrap();
            migrate(&mut old).unwrap();
            assert_eq!((version(&old), schema(&old)), (VERSION, schema(&new_database(&dir))), "from {from}");
            let keys: i64 = old.pragma_query_value(None, "foreign_keys", |row| row.get(0)).unwrap();
            assert_eq!((keys, queue::generation(&old).unwrap()), (1, generation), "from {from}");
            drop(old);
            expect_content(&crate::store::Store::open(&path).unwrap());
        }
    }

    fn expect_content(store: &crate::store::Store) {
        assert_eq!(store.read(crate::store::invariants::examine).unwrap(), []);
        let counts = store.read(statistics::load).unwrap();
        for (status, count) in [(Status::Success, 1), (Status::Failed, 1), (Status::Running, 1), (Status::Pending, 1)] {
            assert_eq!(counts.stored(status), count, "{status}");
        }
        assert_eq!(counts.total(Status::Failed, Some(FailureReason::TimedOut)), 1);
        let now = Timestamp(9);
        let first = store.read(|c| builds::by_id(c, BuildId(1), now)).unwrap().unwrap();
        assert_eq!((first.trace_size, first.artifacts.unwrap().size), (3, 7));
        let stored = store.read(|c| artifacts::all_of_build(c, BuildId(1), now)).unwrap();
        assert_eq!((stored[0].kind.0.as_str(), stored[0].format.as_str(), stored.len()), ("archive", "zip", 1));
        assert_eq!(store.read(|c| builds::token(c, BuildId(3))).unwrap().reveal(), "token");
        let fourth = store.read(|c| builds::spec(c, BuildId(4))).unwrap();
        assert_eq!(fourth.asked.script, ["make\ntest"]);
        assert_eq!((fourth.asked.image.unwrap().name.as_str(), fourth.asked.services.len()), ("ruby", 1));
        let kept = serde_json::json!({
            "environment": 1, "cache": {"untracked": false}, "artifacts": {"paths": ["o"], "exclude": 5},
        });
        assert_eq!(serde_json::Value::Object(fourth.asked.other), kept);
        assert_eq!(store.read(|c| builds::needs_with_artifacts(c, BuildId(5))).unwrap(), [BuildId(4)]);
        let next = store.write(move |c| {
            let new = crate::store::traces::tests::new_build();
            let id = builds::insert(c, &new, None, ProjectId(1), 60, Status::Pending, now)?;
            let taker = builds::Taker::of(RunnerId(1));
            assert!(builds::start(c, BuildId(4), &taker, &Token::new_secret()?, now)?);
            Ok(id)
        });
        assert_eq!(next.unwrap(), BuildId(7), "the id of a build that was pruned is not used again");
        let counts = store.read(statistics::load).unwrap();
        assert_eq!((counts.stored(Status::Pending), counts.stored(Status::Running)), (1, 2));
        assert_eq!(counts.waits.buckets.iter().map(|(_, count)| count).sum::<u64>(), 1, "its trigger is there");
        assert_eq!(store.read(crate::store::invariants::examine).unwrap(), []);
    }

    fn new_database(dir: &tempfile::TempDir) -> Connection {
        let mut new = crate::store::open(&dir.path().join("new.db"), crate::store::Access::Write).unwrap();
        migrate(&mut new).unwrap();
        new
    }

    #[test]
    fn steps_are_taken_all_or_none_and_end_at_the_newest_version() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("baton.db");
        drop(version_1(&path));
        let open = || crate::store::open(&path, crate::store::Access::Write).unwrap();
        let before = std::fs::read(&path).unwrap();
        let add = "ALTER TABLE trace_numbers ADD COLUMN motto TEXT";
        let mut connection = open();
        migrate_by(&mut connection, &[Step::Sql(add), Step::Sql("UPDATE trace_numbers SET mottto = 'x'")], 3)
            .unwrap_err();
        assert_eq!(version(&connection), 1);
        drop(connection);
        assert!(std::fs::read(&path).unwrap() == before, "a step that fails undoes those before it");
        let mut connection = open();
        migrate_by(&mut connection, &[Step::Sql(add), Step::Sql("UPDATE trace_numbers SET motto = 'x'")], 3).unwrap();
        let motto: String = connection.query_row("SELECT motto FROM trace_numbers", [], |row| row.get(0)).unwrap();
        assert_eq!((version(&connection), motto.as_str()), (3, "x"));
        let again = [Step::Sql(add), Step::Sql("x"), Step::Sql("UPDATE trace_numbers SET motto = 'y'")];
        migrate_by(&mut connection, &again, 4).unwrap();
        assert_eq!(version(&connection), 4, "steps that were taken before are not taken again");
        connection.pragma_update(None, "user_version", VERSION + 1).unwrap();
        assert!(migrate(&mut connection).unwrap_err().message.contains("newer baton"));
    }

    #[test]
    fn files_of_others_and_of_newer_versions_are_refused_and_left_alone() {
        for (id, version, says) in
            [(0, 0, "another program"), (7, 1, "another program"), (APPLICATION_ID, VERSION + 1, "newer baton")]
        {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("baton.db");
            {
                let other = Connection::open(&path).unwrap();
                other.execute_batch("CREATE TABLE t (x); INSERT INTO t VALUES (1);").unwrap();
                other.pragma_update(None, "application_id", id).unwrap();
                other.pragma_update(None, "user_version", version).unwrap();
            }
            let before = std::fs::read(&path).unwrap();
            let error = crate::store::Store::open(&path).err().expect("refused");
            assert!(error.message.contains(says), "{error}");
            assert_eq!(std::fs::read(&path).unwrap(), before);
        }
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("baton.db");
        std::fs::write(&path, vec![b'x'; 5000]).unwrap();
        assert!(crate::store::Store::open(&path).err().expect("refused").message.contains("not an SQLite database"));
        assert_eq!(std::fs::read(&path).unwrap(), vec![b'x'; 5000]);
    }
}
