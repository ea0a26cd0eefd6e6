//! What must be true of a database, beyond what SQLite enforces.
//!
//! Each rule is one statement, and so sees one snapshot: beside a running server none of them can find a change
//! half done. No rule holds a snapshot for the sake of another. What is found names builds and tables, never
//! what is stored in them.

use super::migrations::{check_current, new_schema_names, schema_names};
use super::traces::{SEGMENT_BITS, SEGMENT_BYTES};
use crate::domain::build::{FailureReason, Status};
use crate::domain::spec::ArtifactFormat;
use crate::error::{Error, Kind, Result};
use rusqlite::{Connection, Statement, ToSql};

/// Something that is wrong with stored data.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Problem {
    /// What it concerns, in a word, for machines.
    pub kind: &'static str,
    /// What is wrong, in one line.
    pub what: String,
    /// What to do about it, in one line.
    pub advice: String,
}

impl Problem {
    /// A problem of `kind`.
    pub fn new(kind: &'static str, what: impl Into<String>, advice: impl Into<String>) -> Problem {
        Problem { kind, what: what.into(), advice: advice.into() }
    }

    /// A database that cannot be read, or an error that says so. Other errors (a lock, a full disk) say nothing
    /// about the database and are handed back.
    ///
    /// # Errors
    /// `error`, if it says nothing about the database.
    pub fn unreadable(error: Error) -> Result<Problem> {
        match error.kind {
            Kind::Internal | Kind::Damaged => Ok(Problem::new("database", error.message, RESTORE)),
            Kind::Invalid => {
                let advice = "see that --data names the right directory; if it does, restore the latest backup";
                Ok(Problem::new("database", error.message, advice))
            }
            Kind::Forbidden
            | Kind::NotFound
            | Kind::Conflict
            | Kind::TooLarge
            | Kind::TooSlow
            | Kind::Busy
            | Kind::DiskFull => Err(error),
        }
    }
}

/// Most findings that are named of one rule: a damaged file can break it a million times.
const FINDINGS_MAX: usize = 100;

const RESTORE: &str = "stop the server, put the data directory aside and restore the latest backup";
const RETRY: &str =
    "erase the build when it has ended (`baton build erase`) and run it once more (`baton build retry`)";

const MISCOUNTED: &str =
    "nothing is lost, but the metrics are wrong, and Baton does not do that: see what else has written to the file";

/// Tables that Litestream makes for itself in the databases that it replicates.
const LITESTREAM: [&str; 2] = ["_litestream_seq", "_litestream_lock"];

/// Takes Litestream's tables out of a copy: where it does not look after the file, nobody needs them.
pub fn drop_litestream(c: &Connection) -> Result<()> {
    LITESTREAM.iter().try_for_each(|table| Ok(c.execute_batch(&format!("DROP TABLE IF EXISTS {table}"))?))
}

struct Rule {
    kind: &'static str,
    advice: &'static str,
    /// Selects one line of text for each finding. `:bytes` and `:bits` describe trace segments; `:statuses`, `:ends` and
    /// `:reasons` are the words of all states, of those that end a build, and of the reasons for failures;
    /// `:formats` those for how artifacts are packed.
    sql: &'static str,
}

const RULES: [Rule; 19] = [
    Rule {
        kind: "reference",
        advice: RESTORE,
        sql: "SELECT 'a row of ' || \"table\" || ' names a row of ' || parent || ' that is not there'
              FROM pragma_foreign_key_check",
    },
    Rule {
        kind: "settings",
        advice: RESTORE,
        sql: "SELECT 'the table ' || name || ' has ' || count || ' rows instead of one' FROM
                  (SELECT 'settings' AS name, count(*) AS count FROM settings
                   UNION ALL SELECT 'queue_state', count(*) FROM queue_state
                   UNION ALL SELECT 'trace_numbers', count(*) FROM trace_numbers
                   UNION ALL SELECT 'stored_bytes', count(*) FROM stored_bytes)
              WHERE count <> 1",
    },
    // A number that is used twice would give a build another one's token, log or artifacts.
    Rule {
        kind: "counter",
        advice: RESTORE,
        sql: "SELECT 'the counter of ' || t.name || ' is behind: ' || t.last || ' is in use' FROM
                  (SELECT 'builds' AS name, max(id) AS last FROM builds
                   UNION ALL SELECT 'pipelines', max(id) FROM pipelines
                   UNION ALL SELECT 'projects', max(id) FROM projects
                   UNION ALL SELECT 'runners', max(id) FROM runners) t
              WHERE t.last > coalesce((SELECT max(seq) FROM sqlite_sequence s WHERE s.name = t.name), 0)
              UNION ALL
              SELECT 'the counter of logs is behind: ' || max(number) || ' is in use' FROM
                  (SELECT number FROM traces UNION ALL SELECT number FROM detached_traces)
              HAVING max(number) >= (SELECT max(next) FROM trace_numbers)",
    },
    Rule {
        kind: "trace",
        advice: RETRY,
        sql: "SELECT 'the log of build ' || build_id || ' lacks a part of its ' || size || ' bytes'
              FROM (SELECT build_id, size, (number << :bits) AS first, (size + :bytes - 1) / :bytes AS count
                    FROM traces)
              WHERE size < 0 OR count <>
                  (SELECT count(*) FROM trace_segments s WHERE s.id >= first AND s.id < first + count
                   AND length(s.data) >= min(:bytes, size - (s.id - first) * :bytes))",
    },
    Rule {
        kind: "trace",
        advice: "nothing is lost, but room is wasted, and Baton does not do that: see what else has written to the file",
        sql: "SELECT 'the log numbered ' || (s.id >> :bits) || ' has ' || count(*) || ' parts that no build names'
              FROM trace_segments s
              WHERE NOT EXISTS (SELECT 1 FROM traces t WHERE t.number = (s.id >> :bits)
                                AND (s.id & ((1 << :bits) - 1)) < (t.size + :bytes - 1) / :bytes)
                AND NOT EXISTS (SELECT 1 FROM detached_traces d WHERE d.number = (s.id >> :bits))
              GROUP BY s.id >> :bits",
    },
    Rule {
        kind: "trace",
        advice: RETRY,
        sql: "SELECT 'a part of the log of build ' || t.build_id || ' is ' || length(s.data) || ' bytes long'
              FROM trace_segments s JOIN traces t ON t.number = (s.id >> :bits) WHERE length(s.data) > :bytes",
    },
    // Its parts would be taken away under it.
    Rule {
        kind: "trace",
        advice: RESTORE,
        sql: "SELECT 'the log of build ' || build_id || ' is marked as removed'
              FROM traces JOIN detached_traces USING (number)",
    },
    Rule {
        kind: "build",
        advice: RESTORE,
        sql: "SELECT 'build ' || id || ' has no specification' FROM builds
              WHERE NOT EXISTS (SELECT 1 FROM build_specs WHERE build_id = id)",
    },
    Rule {
        kind: "build",
        advice: RESTORE,
        sql: "SELECT 'the specification or variables of build ' || build_id || ' are damaged' FROM build_specs
              WHERE CASE WHEN json_valid(spec) THEN json_type(spec) ELSE '' END <> 'object'
                 OR CASE WHEN json_valid(variables) THEN json_type(variables) ELSE '' END <> 'array'",
    },
    Rule {
        kind: "build",
        advice: RESTORE,
        sql: "SELECT 'build ' || id || ' is in a state, or failed for a reason, that Baton does not know' FROM builds
              WHERE status NOT IN (SELECT value FROM json_each(:statuses))
                 OR failure_reason NOT IN (SELECT value FROM json_each(:reasons))
              UNION ALL
              SELECT 'builds are counted in a state or for a reason that Baton does not know' FROM build_counts
              WHERE stored = 0 AND (status NOT IN (SELECT value FROM json_each(:statuses))
                 OR failure_reason NOT IN (SELECT '' UNION ALL SELECT value FROM json_each(:reasons)))",
    },
    Rule {
        kind: "build",
        advice: RESTORE,
        sql: "SELECT 'build ' || id || ' is ' || status || ', which does not go with its ' || what FROM
                  (SELECT id, status, 'reason' AS what FROM builds
                   WHERE (status = 'failed') <> (failure_reason IS NOT NULL)
                   UNION ALL SELECT id, status, 'token' FROM builds
                   WHERE iif(token IS NULL, status = 'running' AND runner_id IS NOT NULL, status NOT IN ('running', 'canceled'))
                   UNION ALL SELECT id, status, 'end' FROM builds
                   WHERE (status IN (SELECT value FROM json_each(:ends))) <> (finished_at IS NOT NULL))
              WHERE status IN (SELECT value FROM json_each(:statuses))",
    },
    Rule {
        kind: "artifacts",
        advice: RESTORE,
        sql: "SELECT 'artifacts of build ' || build_id || ' have no kind or format that Baton gives' FROM artifacts
              WHERE format NOT IN (SELECT value FROM json_each(:formats)) OR kind = '' OR kind GLOB '*[^A-Za-z0-9_-]*'
              UNION ALL
              SELECT 'the variables that build ' || build_id || ' hands on are damaged' FROM build_dotenv
              WHERE CASE WHEN json_valid(variables) THEN json_type(variables) ELSE '' END <> 'array'",
    },
    Rule {
        kind: "runner",
        advice: RESTORE,
        sql: "SELECT 'what runner ' || id || ' said of itself is damaged' FROM runners
              WHERE CASE WHEN json_valid(info) THEN json_type(info) ELSE '' END <> 'object'
              UNION ALL
              SELECT 'what the manager numbered ' || id || ' said of itself is damaged' FROM runner_managers
              WHERE CASE WHEN json_valid(info) THEN json_type(info) ELSE '' END <> 'object'
              UNION ALL
              SELECT 'the set of tags numbered ' || id || ' is damaged' FROM tag_sets
              WHERE CASE WHEN json_valid(tags) THEN json_type(tags) ELSE '' END <> 'array'",
    },
    Rule {
        kind: "build",
        advice: "it would wait for ever: cancel it (`baton build cancel`) and queue it again (`baton build retry`)",
        sql: "SELECT 'build ' || id || ' waits, but the builds that it needs have all ended' FROM builds b
              WHERE status = 'created' AND stage_index IS NULL AND NOT EXISTS
                  (SELECT 1 FROM build_needs n JOIN builds needed ON needed.id = n.needs_id
                   WHERE n.build_id = b.id AND needed.status NOT IN (SELECT value FROM json_each(:ends)))
              UNION ALL
              SELECT 'build ' || id || ' waits, but nothing of its pipeline goes on' FROM builds b
              WHERE status = 'created' AND stage_index IS NOT NULL AND NOT EXISTS
                  (SELECT 1 FROM builds beside WHERE beside.pipeline_id = b.pipeline_id AND beside.id <> b.id
                   AND beside.retried_by IS NULL AND beside.status NOT IN (SELECT value FROM json_each(:ends)))",
    },
    Rule {
        kind: "pipeline",
        advice: RESTORE,
        sql: "SELECT 'pipeline ' || id || ' has no builds' FROM pipelines p
              WHERE refusal IS NULL AND NOT EXISTS (SELECT 1 FROM builds WHERE pipeline_id = p.id)
              UNION ALL
              SELECT 'pipeline ' || id || ' has builds, although its configuration was refused' FROM pipelines p
              WHERE refusal IS NOT NULL AND EXISTS (SELECT 1 FROM builds WHERE pipeline_id = p.id)
              UNION ALL
              SELECT 'what pipeline ' || id || ' was made of is damaged' FROM pipelines
              WHERE CASE WHEN json_valid(stages) THEN json_type(stages) ELSE '' END <> 'array'
                 OR CASE WHEN json_valid(left_out) THEN json_type(left_out) ELSE '' END <> 'array'
                 OR CASE WHEN json_valid(warnings) THEN json_type(warnings) ELSE '' END <> 'array'
                 OR CASE WHEN json_valid(coalesce(refusal, '[]')) THEN json_type(coalesce(refusal, '[]')) ELSE '' END <> 'array'
              UNION ALL
              SELECT 'build ' || id || ' is a job in no stage of a pipeline, or runs by a word that Baton does not know'
              FROM builds
              WHERE (stage_index IS NOT NULL AND pipeline_id IS NULL) OR stage_index < 0
                 OR plays NOT IN ('on_success', 'on_failure', 'always', 'manual', 'delayed')",
    },
    Rule {
        kind: "statistics",
        advice: MISCOUNTED,
        sql: "SELECT coalesce(builds, 0) || ' jobs of pipeline ' || pipeline_id || ' are counted as ' || status ||
                  ' in stage ' || stage_index || ', and ' || coalesce(there, 0) || iif(there = 1, ' is', ' are') || ' there'
              FROM (SELECT pipeline_id, stage_index, status, failure_allowed AS is_allowed, count(*) AS there
                    FROM builds WHERE stage_index IS NOT NULL AND retried_by IS NULL GROUP BY 1, 2, 3, 4)
              FULL JOIN stage_counts USING (pipeline_id, stage_index, status, is_allowed)
              WHERE coalesce(builds, 0) <> coalesce(there, 0)",
    },
    Rule {
        kind: "statistics",
        advice: MISCOUNTED,
        sql: "SELECT coalesce(pipelines, 0) || ' pipelines of project ' || project_id || ' are counted, and ' ||
                  coalesce(there, 0) || iif(there = 1, ' is', ' are') || ' there'
              FROM (SELECT project_id, count(*) AS there FROM pipelines GROUP BY 1)
              FULL JOIN pipeline_counts USING (project_id)
              WHERE coalesce(pipelines, 0) <> coalesce(there, 0)",
    },
    Rule {
        kind: "statistics",
        advice: MISCOUNTED,
        sql: "SELECT coalesce(stored, 0) || ' builds are counted as ' || status ||
                  iif(failure_reason = '', '', ', ' || failure_reason) || ', and ' ||
                  coalesce(there, 0) || iif(there = 1, ' is', ' are') || ' there'
              FROM (SELECT status, coalesce(failure_reason, '') AS failure_reason, count(*) AS there
                    FROM builds GROUP BY 1, 2)
              FULL JOIN build_counts USING (status, failure_reason)
              WHERE coalesce(stored, 0) <> coalesce(there, 0)",
    },
    Rule {
        kind: "statistics",
        advice: MISCOUNTED,
        sql: "SELECT 'the bytes of all ' || what || ' are counted as ' || counted || ', and are ' || there FROM
                  (SELECT 'logs' AS what, traces AS counted, (SELECT coalesce(sum(size), 0) FROM traces) AS there
                   FROM stored_bytes
                   UNION ALL
                   SELECT 'artifacts', artifacts, (SELECT coalesce(sum(size), 0) FROM artifacts) FROM stored_bytes)
              WHERE counted <> there",
    },
];

/// All that is wrong with the database, at most a hundred findings of a kind. Reads all of it, and writes nothing.
///
/// # Errors
/// Those that say nothing about the database: a lock, the memory. Damage is not an error here.
pub fn examine(c: &Connection) -> Result<Vec<Problem>> {
    let mut problems = Vec::new();
    match examine_into(c, &mut problems) {
        Ok(()) => {}
        Err(error) => {
            let problem = Problem::unreadable(error)?;
            // Said already, in the same or in more words.
            if problems.iter().all(|known: &Problem| known.kind != problem.kind) {
                problems.push(problem);
            }
        }
    }
    Ok(problems)
}

fn examine_into(c: &Connection, problems: &mut Vec<Problem>) -> Result<()> {
    check_current(c)?;
    c.execute_batch("PRAGMA cell_size_check = ON")?;
    let mut statement = c.prepare(&format!("PRAGMA integrity_check({FINDINGS_MAX})"))?;
    for line in lines(&mut statement, &[])? {
        if line != "ok" {
            problems.push(Problem::new("database", format!("the database is damaged: {line}"), RESTORE));
        }
    }
    let (found, expected) = (schema_names(c)?, new_schema_names()?);
    for name in expected.difference(&found) {
        problems.push(Problem::new("schema", format!("the {name} is missing"), RESTORE));
    }
    let is_litestreams = |name: &&String| LITESTREAM.iter().any(|table| name.strip_prefix("table ") == Some(table));
    for name in found.difference(&expected).filter(|name| !is_litestreams(name)) {
        let advice = "remove it if you made it; Baton did not";
        problems.push(Problem::new("schema", format!("the {name} is not Baton's"), advice));
    }
    let bits = i64::from(SEGMENT_BITS);
    let bytes = i64::try_from(SEGMENT_BYTES).unwrap_or(i64::MAX);
    let statuses = words(Status::ALL.into_iter().map(Status::as_str))?;
    let ends = words(Status::ALL.into_iter().filter(|status| status.is_finished()).map(Status::as_str))?;
    let reasons = words(FailureReason::ALL.into_iter().map(FailureReason::as_str))?;
    let formats = words(ArtifactFormat::ALL.into_iter().map(ArtifactFormat::as_str))?;
    let parameters: [(&str, &dyn ToSql); 6] = [
        (":bits", &bits),
        (":bytes", &bytes),
        (":statuses", &statuses),
        (":ends", &ends),
        (":reasons", &reasons),
        (":formats", &formats),
    ];
    for rule in RULES {
        let mut statement = c.prepare(rule.sql)?;
        let found = lines(&mut statement, &parameters)?;
        problems.extend(found.into_iter().map(|what| Problem::new(rule.kind, what, rule.advice)));
    }
    Ok(())
}

/// A JSON array of them.
fn words(words: impl Iterator<Item = &'static str>) -> Result<String> {
    Ok(serde_json::to_string(&words.collect::<Vec<_>>())?)
}

/// The first column of the first rows, each in one line. Parameters that the statement does not have are left out.
fn lines(statement: &mut Statement<'_>, parameters: &[(&str, &dyn ToSql)]) -> Result<Vec<String>> {
    for (name, value) in parameters {
        if let Some(index) = statement.parameter_index(name)? {
            statement.raw_bind_parameter(index, value)?;
        }
    }
    let mut rows = statement.raw_query();
    let mut lines = Vec::new();
    while let Some(row) = rows.next()? {
        let line: String = row.get(0)?;
        lines.push(line.replace(char::is_control, " "));
        if lines.len() >= FINDINGS_MAX {
            break;
        }
    }
    Ok(lines)
}
