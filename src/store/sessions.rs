//! Who reads the page: rows of `sessions` and `login_keys`.

use super::columns::columns;
use crate::domain::time::Timestamp;
use crate::domain::token::TokenHash;
use crate::error::Result;
use rusqlite::{Connection, OptionalExtension, named_params};

/// A browser that was let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Its id.
    pub id: i64,
    /// Whom the link was made for.
    pub name: String,
    /// When it was let in.
    pub created_at: Timestamp,
    /// Last request, to the minute.
    pub used_at: Timestamp,
}

columns! {
    SELECT, session: Session { id: "id", name: "name", created_at: "created_at", used_at: "used_at", } "FROM sessions"
}

/// Adds one.
pub fn insert(c: &Connection, name: &str, hash: TokenHash, now: Timestamp) -> Result<()> {
    c.prepare_cached("INSERT INTO sessions (name, token_hash, created_at, used_at) VALUES (:name, :hash, :now, :now)")?
        .execute(named_params! {":name": name, ":hash": hash.0, ":now": now.0})?;
    Ok(())
}

/// The one of this token that was used after `since`.
pub fn by_token(c: &Connection, hash: TokenHash, since: Timestamp) -> Result<Option<Session>> {
    let mut statement = c.prepare_cached(&format!("{SELECT} WHERE token_hash = ?1 AND used_at > ?2"))?;
    Ok(statement.query_row((hash.0, since.0), session).optional()?)
}

/// All that were used after `since`, those first that were used last.
pub fn all(c: &Connection, since: Timestamp) -> Result<Vec<Session>> {
    let mut statement = c.prepare_cached(&format!("{SELECT} WHERE used_at > ?1 ORDER BY used_at DESC, id DESC"))?;
    let rows = statement.query_map([since.0], session)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Notes that one was used.
pub fn touch(c: &Connection, id: i64, now: Timestamp) -> Result<()> {
    c.prepare_cached("UPDATE sessions SET used_at = ?2 WHERE id = ?1")?.execute((id, now.0))?;
    Ok(())
}

/// Ends the session of this id.
pub fn remove(c: &Connection, id: i64) -> Result<()> {
    c.prepare_cached("DELETE FROM sessions WHERE id = ?1")?.execute([id])?;
    Ok(())
}

/// Ends all sessions of a name, or of everybody, with the links that were not used yet. Returns how many sessions.
pub fn remove_of(c: &Connection, name: Option<&str>) -> Result<usize> {
    c.prepare_cached("DELETE FROM login_keys WHERE ?1 IS NULL OR name = ?1")?.execute([name])?;
    Ok(c.prepare_cached("DELETE FROM sessions WHERE ?1 IS NULL OR name = ?1")?.execute([name])?)
}

/// Removes what was used last before `since`, and links that ended before `now`.
pub fn remove_old(c: &Connection, since: Timestamp, now: Timestamp) -> Result<()> {
    c.prepare_cached("DELETE FROM sessions WHERE used_at <= ?1")?.execute([since.0])?;
    c.prepare_cached("DELETE FROM login_keys WHERE expire_at <= ?1")?.execute([now.0])?;
    Ok(())
}

/// Adds a link's key.
pub fn insert_key(c: &Connection, hash: TokenHash, name: &str, expire_at: Timestamp) -> Result<()> {
    c.prepare_cached("INSERT INTO login_keys (key_hash, name, expire_at) VALUES (?1, ?2, ?3)")?.execute((
        hash.0,
        name,
        expire_at.0,
    ))?;
    Ok(())
}

/// How many keys there are.
pub fn count_keys(c: &Connection) -> Result<usize> {
    Ok(c.query_row("SELECT count(*) FROM login_keys", [], |row| row.get(0))?)
}

/// Whom a key lets in.
pub fn name_of_key(c: &Connection, hash: TokenHash, now: Timestamp) -> Result<Option<String>> {
    let mut statement = c.prepare_cached("SELECT name FROM login_keys WHERE key_hash = ?1 AND expire_at > ?2")?;
    Ok(statement.query_row((hash.0, now.0), |row| row.get(0)).optional()?)
}

/// Uses a key up.
pub fn remove_key(c: &Connection, hash: TokenHash) -> Result<()> {
    c.prepare_cached("DELETE FROM login_keys WHERE key_hash = ?1")?.execute([hash.0])?;
    Ok(())
}
