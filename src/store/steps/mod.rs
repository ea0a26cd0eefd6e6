//! The steps from each version of the schema to the next. `schema.sql` is what a new file gets at once.
//!
//! What must stay true: a released step never changes. Steps run in one transaction, without foreign keys.

mod specs;

use crate::error::Result;
use rusqlite::Connection;

/// What leads from one version to the next.
pub enum Step {
    /// Statements.
    Sql(&'static str),
    /// Statements, and then what no statement can say.
    And(&'static str, fn(&Connection) -> Result<()>),
}

/// Those that lead from version N to N + 1, from 1 on.
pub const STEPS: &[Step] = &[
    Step::Sql(include_str!("2.sql")),
    Step::Sql(include_str!("3.sql")),
    Step::Sql(include_str!("4.sql")),
    Step::And(include_str!("5.sql"), specs::rewrite),
    Step::Sql(include_str!("runner_managers.sql")),
    Step::Sql(include_str!("several_artifacts.sql")),
    Step::Sql(include_str!("cancel.sql")),
    Step::Sql(include_str!("pipelines.sql")),
    Step::Sql(include_str!("runner_builds.sql")),
    Step::Sql(include_str!("trace_crc32.sql")),
    Step::Sql(include_str!("people.sql")),
    Step::Sql(include_str!("refusals.sql")),
];

/// The version that this program writes: one more than there are steps.
#[expect(clippy::cast_possible_truncation, reason = "there are a few dozen")]
pub const VERSION: i32 = STEPS.len() as i32 + 1;

impl Step {
    /// Takes the step.
    pub fn take(&self, c: &Connection) -> Result<()> {
        let (Step::Sql(sql) | Step::And(sql, _)) = self;
        c.execute_batch(sql)?;
        match self {
            Step::Sql(_) => Ok(()),
            Step::And(_, rest) => rest(c),
        }
    }
}
