//! What triggers count as builds change (`schema.sql`): reading it costs the same, however many builds there are.

use crate::domain::build::{FailureReason, Status};
use crate::error::Result;
use crate::metrics::{Distribution, quotient};
use rusqlite::Connection;

/// Everything that is counted.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Builds by state and reason; combinations that never were are left out.
    pub builds: Vec<BuildCount>,
    /// From when builds could be handed out to when they were.
    pub waits: Times,
    /// From then to their end.
    pub runs: Times,
    /// Bytes of all traces.
    pub trace_bytes: u64,
    /// Bytes of all artifacts, without the metadata beside them.
    pub artifact_bytes: u64,
}

/// How many builds are or were in a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BuildCount {
    /// The state.
    pub status: Status,
    /// How it failed, if it did.
    pub reason: Option<FailureReason>,
    /// Builds in this state.
    pub stored: u64,
    /// Builds that ever came to it, also those that were pruned since.
    pub total: u64,
}

/// How long something took: a histogram.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Times {
    /// The longest time of each bucket in milliseconds, rising, and how many took longer than the bucket before it
    /// allows, and no longer than this one.
    pub buckets: Vec<(u64, u64)>,
    /// All times together, in milliseconds.
    pub total_ms: u64,
}

impl From<&Times> for Distribution {
    /// In seconds.
    fn from(times: &Times) -> Distribution {
        let bound = |ms| if ms >= ENDLESS_MS { f64::INFINITY } else { quotient(ms, 1e3) };
        let ranges = times.buckets.iter().map(|(ms, count)| (bound(*ms), *count)).collect();
        Distribution { ranges, sum: quotient(times.total_ms, 1e3) }
    }
}

/// The bound of the last bucket: the largest number that SQLite has.
const ENDLESS_MS: u64 = i64::MAX as u64;

impl Statistics {
    /// Builds in this state.
    #[must_use]
    pub fn stored(&self, status: Status) -> u64 {
        self.builds.iter().filter(|count| count.status == status).map(|count| count.stored).sum()
    }

    /// Builds that ever came to this state in this way.
    #[must_use]
    pub fn total(&self, status: Status, reason: Option<FailureReason>) -> u64 {
        self.builds.iter().find(|count| (count.status, count.reason) == (status, reason)).map_or(0, |count| count.total)
    }
}

/// What is counted at present.
pub fn load(c: &Connection) -> Result<Statistics> {
    let (trace_bytes, artifact_bytes) = c
        .prepare_cached("SELECT traces, artifacts FROM stored_bytes")?
        .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(Statistics { builds: builds(c)?, waits: times(c, "wait")?, runs: times(c, "run")?, trace_bytes, artifact_bytes })
}

fn builds(c: &Connection) -> Result<Vec<BuildCount>> {
    let mut statement =
        c.prepare_cached("SELECT status, nullif(failure_reason, ''), stored, total FROM build_counts")?;
    let rows = statement.query_map([], |row| {
        Ok(BuildCount { status: row.get(0)?, reason: row.get(1)?, stored: row.get(2)?, total: row.get(3)? })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

fn times(c: &Connection, what: &str) -> Result<Times> {
    let mut statement =
        c.prepare_cached("SELECT up_to_ms, builds, total_ms FROM build_times WHERE what = ?1 ORDER BY up_to_ms")?;
    let mut rows = statement.query([what])?;
    let mut times = Times::default();
    while let Some(row) = rows.next()? {
        times.buckets.push((row.get(0)?, row.get(1)?));
        times.total_ms += row.get::<_, u64>(2)?;
    }
    Ok(times)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::build::{BuildId, ProjectId};
    use crate::domain::runner::RunnerId;
    use crate::domain::time::Timestamp;
    use crate::domain::token::Token;
    use crate::store::traces::tests::new_build;
    use crate::store::{Store, builds, invariants, projects, runners, traces};
    use rusqlite::StatementStatus;

    fn store() -> (tempfile::TempDir, Store) {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("baton.db")).unwrap();
        let begin = |c: &Connection| {
            projects::insert(c, "p", None, &Token::new_secret()?, 60, Timestamp(1))?;
            let new = runners::NewRunner::default();
            runners::insert(c, &new, Token::new_secret()?.hash(), Timestamp(1)).map(drop)
        };
        store.write(begin).unwrap();
        (dir, store)
    }

    fn add(c: &Connection, needs: &[BuildId], status: Status, ms: i64) -> Result<BuildId> {
        let new = crate::domain::build::NewBuild { needs: needs.to_vec(), ..new_build() };
        builds::insert(c, &new, None, ProjectId(1), 60, status, Timestamp(ms))
    }

    fn start(c: &Connection, id: BuildId, ms: i64) -> Result<()> {
        let token = Token::new_secret()?;
        let taker = builds::Taker::of(RunnerId(1));
        assert!(builds::start(c, id, &taker, &token, Timestamp(ms))?);
        Ok(())
    }

    /// Those that are not empty: bound and count.
    fn filled(times: &Times) -> Vec<(u64, u64)> {
        times.buckets.iter().copied().filter(|(_, count)| *count > 0).collect()
    }

    #[test]
    fn counts_follow_a_build_through_its_life_and_totals_stay_when_it_is_removed() {
        use FailureReason::ScriptFailure;
        use Status::{Canceled, Created, Failed, Pending, Running, Skipped, Success};
        let (_dir, store) = store();
        let life = |c: &Connection| {
            let first = add(c, &[], Pending, 1000)?;
            let second = add(c, &[first], Created, 1000)?;
            let third = add(c, &[], Pending, 1000)?;
            let fourth = add(c, &[third], Created, 1000)?;
            add(c, &[], Skipped, 1000)?;
            start(c, first, 1100)?;
            start(c, third, 1101)?;
            builds::change_status(c, first, Running, Success, None, Timestamp(61_100))?;
            builds::change_status(c, second, Created, Pending, None, Timestamp(61_100))?;
            // A minute after it was made, but a second after what it needs had ended.
            start(c, second, 62_100)?;
            builds::change_status(c, third, Running, Failed, Some(ScriptFailure), Timestamp(1000))?;
            builds::change_status(c, fourth, Created, Canceled, None, Timestamp(2000))?;
            Ok((first, third))
        };
        let (first, third) = store.write(life).unwrap();
        let now = store.read(load).unwrap();
        let stored = Status::ALL.map(|status| now.stored(status));
        assert_eq!(stored, [0, 0, 0, 1, 0, 0, 1, 1, 1, 1]);
        assert_eq!(filled(&now.waits), [(100, 1), (500, 1), (1000, 1)]);
        assert_eq!(now.waits.total_ms, 100 + 101 + 1000);
        // A clock that went back makes no negative time.
        assert_eq!((filled(&now.runs), now.runs.total_ms), (vec![(100, 1), (60_000, 1)], 60_000));
        let remove = move |c: &Connection| {
            c.execute("DELETE FROM build_needs", [])?;
            Ok(c.execute("DELETE FROM builds WHERE id IN (?1, ?2)", [first.0, third.0])?)
        };
        assert_eq!(store.write(remove).unwrap(), 2);
        let after = store.read(load).unwrap();
        assert_eq!(Status::ALL.map(|status| after.stored(status)), [0, 0, 0, 1, 0, 0, 0, 0, 1, 1]);
        assert_eq!((after.total(Success, None), after.total(Failed, Some(ScriptFailure))), (1, 1));
        assert_eq!((after.total(Failed, None), after.total(Canceled, None), after.total(Skipped, None)), (0, 1, 1));
        assert_eq!(after.total(Running, None), 3);
        assert_eq!((after.waits, after.runs), (now.waits, now.runs));
        assert_eq!(store.read(invariants::examine).unwrap(), []);
    }

    #[test]
    fn bytes_follow_appends_replacements_uploads_and_removals() {
        let (_dir, store) = store();
        let bytes = || {
            let now = store.read(load).unwrap();
            (now.trace_bytes, now.artifact_bytes)
        };
        let (one, two) = (BuildId(1), BuildId(2));
        let append = |id: BuildId, data: &'static [u8]| {
            let append = move |c: &Connection| {
                let trace = traces::of_build(c, id)?;
                traces::write(c, id, &trace, trace.size, data, traces::Tail::NONE)
            };
            store.write(append).unwrap();
        };
        let upload = move |kind: &str, size: u64, path: &'static str| {
            let file = crate::domain::build::ArtifactsFile {
                path: path.to_owned(),
                filename: "a.zip".to_owned(),
                size,
                sha256: [0; 32],
                expire_at: None,
            };
            let stored = crate::store::artifacts::Stored {
                id: two,
                kind: crate::domain::spec::ArtifactKind(kind.to_owned()),
                format: crate::domain::spec::ArtifactFormat::default(),
                file,
                metadata_path: None,
                uploaded_at: Timestamp(1),
            };
            move |c: &Connection| crate::store::artifacts::replace(c, &stored).map(drop)
        };
        store.write(|c| [1, 2].into_iter().try_for_each(|_| add(c, &[], Status::Pending, 1).map(drop))).unwrap();
        append(one, b"hello");
        append(one, b", world");
        append(two, b"!");
        store.write(upload("archive", 10, "a")).unwrap();
        store.write(upload("archive", 7, "b")).unwrap();
        store.write(upload("junit", 2, "c")).unwrap();
        assert_eq!(bytes(), (13, 9));
        store.write(move |c| traces::replace(c, one, b"bye", traces::Tail::NONE)).unwrap();
        assert_eq!(bytes(), (4, 9));
        store.write(|c| Ok(c.execute("DELETE FROM builds WHERE id = 2", [])?)).unwrap();
        assert_eq!(bytes(), (3, 0));
        assert_eq!(store.read(invariants::examine).unwrap(), []);
    }

    #[test]
    fn a_count_that_is_wrong_is_found() {
        for (damage, says) in [
            ("UPDATE build_counts SET stored = 7", "7 builds are counted as pending, and 1 is there"),
            ("DELETE FROM build_counts", "0 builds are counted as pending, and 1 is there"),
            ("UPDATE stored_bytes SET traces = -1", "the bytes of all logs are counted as -1, and are 0"),
            ("UPDATE stored_bytes SET artifacts = 5", "the bytes of all artifacts are counted as 5, and are 0"),
            ("DELETE FROM stored_bytes", "the table stored_bytes has 0 rows"),
        ] {
            let (_dir, store) = store();
            store.write(|c| add(c, &[], Status::Pending, 1)).unwrap();
            assert_eq!(store.read(invariants::examine).unwrap(), []);
            store.write(move |c| Ok(c.execute(damage, [])?)).unwrap();
            let problems = store.read(invariants::examine).unwrap();
            assert!(matches!(problems.as_slice(), [problem] if problem.what.starts_with(says)), "{problems:?}");
        }
    }

    /// Steps of SQLite's machine that this statement takes.
    fn steps(c: &Connection, sql: &str) -> i32 {
        let mut statement = c.prepare(sql).unwrap();
        let mut rows = statement.raw_query();
        while rows.next().unwrap().is_some() {}
        drop(rows);
        statement.get_status(StatementStatus::VmStep)
    }

    #[test]
    fn what_is_watched_costs_the_same_for_a_hundred_builds_and_a_hundred_thousand() {
        let (_dir, store) = store();
        let fill = |count: i64| {
            store
                .write(move |c| {
                    c.execute_batch("INSERT OR IGNORE INTO tag_sets (tags) VALUES ('[\"a\"]')")?;
                    Ok(c.execute(
                        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1)
                         INSERT INTO builds (project_id, status, tag_set_id, timeout_s, created_at, finished_at)
                         SELECT 1, iif(i % 2, 'pending', 'success'), 1 + i / 2 % 2, 60, i, iif(i % 2, NULL, i) FROM n",
                        [count],
                    )?)
                })
                .unwrap();
            store.read(|c| Ok(steps(c, builds::LONGEST_PENDING))).unwrap()
        };
        let (few, many) = (fill(100), fill(100_000));
        assert_eq!(few, many);
        let now = store.read(load).unwrap();
        assert_eq!((now.stored(Status::Pending), now.stored(Status::Success)), (50_050, 50_050));
        for table in ["build_counts", "build_times", "stored_bytes"] {
            let rows: i64 = store
                .read(|c| Ok(c.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0))?))
                .unwrap();
            assert!(rows <= 36, "{table} has {rows} rows");
        }
        assert_eq!(store.read(builds::longest_pending).unwrap().unwrap().1, Timestamp(1));
    }
}
