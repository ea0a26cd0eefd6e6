//! To version 5: commands and options become one specification.

use crate::domain::options::read_stored;
use crate::domain::spec::BuildSpec;
use crate::error::Result;
use rusqlite::{Connection, params};
use serde_json::{Map, Value};

/// Fills the new `build_specs` from the old one. Options that are damaged, which `baton check` then has to tell of, stay
/// as they are.
pub fn rewrite(c: &Connection) -> Result<()> {
    let mut old = c.prepare("SELECT build_id, commands, options FROM build_specs_4")?;
    let mut new = c.prepare(
        "INSERT INTO build_specs (build_id, name, stage, ref, sha, before_sha, is_tag, repo_url, allow_git_fetch, spec,
             variables)
         SELECT build_id, name, stage, ref, sha, before_sha, is_tag, repo_url, allow_git_fetch, ?2, variables
         FROM build_specs_4 WHERE build_id = ?1",
    )?;
    let mut rows = old.query([])?;
    while let Some(row) = rows.next()? {
        let (id, commands, options): (i64, String, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let spec = match serde_json::from_str::<Map<String, Value>>(&options) {
            Ok(options) => serde_json::to_string(&BuildSpec { script: vec![commands], ..read_stored(options) })?,
            Err(_) => options,
        };
        new.execute(params![id, spec])?;
    }
    drop(rows);
    drop((old, new));
    Ok(c.execute_batch("DROP TABLE build_specs_4")?)
}
