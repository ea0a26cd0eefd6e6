//! What the installation as a whole knows.

use crate::error::Result;
use rusqlite::{Connection, named_params};

/// The registration token, readable.
///
/// # Errors
/// The database's.
pub fn registration_token(c: &Connection) -> Result<String> {
    Ok(c.query_row("SELECT registration_token FROM settings", [], |row| row.get(0))?)
}

/// Replaces the registration token.
///
/// # Errors
/// The database's.
pub fn set_registration_token(c: &Connection, token: &str) -> Result<()> {
    c.execute("UPDATE settings SET registration_token = :token", named_params! {":token": token})?;
    Ok(())
}
