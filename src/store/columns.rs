//! Columns as values: how each type of the domain stands in a column, and which columns a row is read from.
//!
//! A new column stands in `schema.sql` and in a step of [`super::steps`], which brings it into files that are there; then in
//! the list of each row that has it, beside the field, and in the list of values that the row is made of.
//!
//! What must stay true: a column that is read into a field is named once, beside that field, so that nobody counts columns;
//! a word that no version of Baton has written is an error, and never a default.

use crate::domain::access_token::{AccessScope, AccessTokenId};
use crate::domain::act::Act;
use crate::domain::build::{BuildId, FailureReason, ProjectId, Status};
use crate::domain::pipeline::{PipelineId, Source, When};
use crate::domain::runner::RunnerId;
use crate::domain::spec::ArtifactFormat;
use crate::domain::time::Timestamp;
use crate::domain::token::TokenHash;
use crate::domain::trigger_token::TriggerTokenId;
use crate::error::Result;
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, ValueRef};
use rusqlite::{Connection, Row};

/// Makes of one list of fields, each with its column, the begin of the statement that selects them and the function that
/// reads a row of it. `by` names what reads a field that is no plain column.
macro_rules! columns {
    ($select:ident, $read:ident: $Type:ident { $($field:ident: $sql:literal $(by $how:path)?,)+ } $from:literal) => {
        const $select: &str = concat!("SELECT ", columns!(@list $($sql),+), " ", $from);

        fn $read(row: &rusqlite::Row<'_>) -> rusqlite::Result<$Type> {
            let mut columns = $crate::store::columns::Columns::of(row);
            Ok($Type { $($field: columns!(@read columns $($how)?),)+ })
        }
    };
    (@list $first:literal $(, $more:literal)*) => { concat!($first $(, ", ", $more)*) };
    (@read $columns:ident) => { $columns.next()? };
    (@read $columns:ident $how:path) => { $how(&mut $columns)? };
}
pub(super) use columns;

/// The columns of a row, from the first to the last.
pub struct Columns<'r> {
    row: &'r Row<'r>,
    next: usize,
}

impl<'r> Columns<'r> {
    /// Those of this row.
    pub fn of(row: &'r Row<'r>) -> Columns<'r> {
        Columns { row, next: 0 }
    }

    /// The next one.
    pub fn next<T: FromSql>(&mut self) -> rusqlite::Result<T> {
        self.next += 1;
        self.row.get(self.next - 1)
    }
}

/// What `read` reads of the next `count` columns; `None` where the first of them is NULL, as of a row that is not joined.
pub fn joined<T>(
    columns: &mut Columns<'_>,
    count: usize,
    read: impl FnOnce(&mut Columns<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<Option<T>> {
    let first = columns.next;
    let is_there = columns.row.get_ref(first)? != ValueRef::Null;
    let value = is_there.then(|| read(columns)).transpose()?;
    columns.next = first + count;
    Ok(value)
}

/// A project that is joined or not: its id and its name.
pub fn project_named(columns: &mut Columns<'_>) -> rusqlite::Result<Option<(ProjectId, String)>> {
    joined(columns, 2, |columns| Ok((columns.next()?, columns.next()?)))
}

/// A column that holds JSON of ours.
pub fn json<T: serde::de::DeserializeOwned>(columns: &mut Columns<'_>) -> rusqlite::Result<T> {
    columns.next += 1;
    super::from_json(columns.row, columns.next - 1)
}

/// A column's name, and what stands in it.
pub type Value<'a> = (&'static str, &'a dyn ToSql);

/// Adds a row of these values to a table. Returns its id.
pub fn add_row(c: &Connection, table: &'static str, row: &[Value<'_>]) -> Result<i64> {
    let (names, values): (Vec<&str>, Vec<&dyn ToSql>) = row.iter().copied().unzip();
    let places = vec!["?"; names.len()].join(", ");
    c.prepare_cached(&format!("INSERT INTO {table} ({}) VALUES ({places})", names.join(", ")))?
        .execute(values.as_slice())?;
    Ok(c.last_insert_rowid())
}

macro_rules! numbers {
    ($($Type:ident),+) => {$(
        impl FromSql for $Type {
            fn column_result(value: ValueRef<'_>) -> FromSqlResult<$Type> {
                FromSql::column_result(value).map($Type)
            }
        }

        impl ToSql for $Type {
            fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
                self.0.to_sql()
            }
        }
    )+};
}
numbers!(AccessTokenId, BuildId, PipelineId, ProjectId, RunnerId, Timestamp, TokenHash, TriggerTokenId);

macro_rules! words {
    ($($Type:ident),+) => {$(
        impl FromSql for $Type {
            fn column_result(value: ValueRef<'_>) -> FromSqlResult<$Type> {
                let word = value.as_str()?;
                $Type::parse(word).ok_or_else(|| FromSqlError::Other(format!("unknown word {word:?}").into()))
            }
        }

        impl ToSql for $Type {
            fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
                Ok(self.as_str().into())
            }
        }
    )+};
}
words!(AccessScope, Act, ArtifactFormat, FailureReason, Source, Status, When);
