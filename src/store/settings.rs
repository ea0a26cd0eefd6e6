//! What the installation as a whole knows.

use crate::domain::time::Timestamp;
use crate::error::Result;
use rusqlite::{Connection, named_params};

/// The registration token, readable.
pub fn registration_token(c: &Connection) -> Result<String> {
    Ok(c.query_row("SELECT registration_token FROM settings", [], |row| row.get(0))?)
}

/// When a server last said that it serves.
pub fn alive_at(c: &Connection) -> Result<Option<Timestamp>> {
    Ok(c.query_row("SELECT alive_at FROM settings", [], |row| row.get::<_, Option<i64>>(0))?.map(Timestamp))
}

/// Says that a server serves.
pub fn set_alive_at(c: &Connection, now: Timestamp) -> Result<()> {
    c.prepare_cached("UPDATE settings SET alive_at = :now")?.execute(named_params! {":now": now.0})?;
    Ok(())
}

/// Replaces the registration token.
pub fn set_registration_token(c: &Connection, token: &str) -> Result<()> {
    c.execute("UPDATE settings SET registration_token = :token", named_params! {":token": token})?;
    Ok(())
}
