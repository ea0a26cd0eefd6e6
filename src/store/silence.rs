//! What silence and deadlines of running builds are counted from.

use crate::domain::build::BuildId;
use crate::domain::time::Timestamp;
use crate::error::Result;
use rusqlite::{Connection, named_params};
use std::time::Duration;

/// Puts off when a running build is given up.
pub fn put_off(c: &Connection, id: BuildId, deadline: Timestamp) -> Result<()> {
    c.execute("UPDATE builds SET deadline_at = ?1 WHERE id = ?2 AND status = 'running'", [deadline.0, id.0])?;
    Ok(())
}

/// Forgives the runners of all running builds a time in which no server ran.
pub fn forgive_silence(c: &Connection, silence_ms: i64) -> Result<()> {
    c.execute(
        "UPDATE builds SET seen_at = seen_at + ?1, unheard_until = unheard_until + ?1 WHERE status = 'running'",
        [silence_ms],
    )?;
    Ok(())
}

/// Moves with the clock what silence and deadlines of running builds are counted from. What was noted in the time
/// `since` to `now` may have been noted by the new clock already, and is left, as far as that can be.
pub fn move_times(c: &Connection, by_ms: i64, since: Timestamp, now: Timestamp, grace: Duration) -> Result<()> {
    c.execute(
        "UPDATE builds SET
             seen_at = CASE WHEN coalesce(seen_at, started_at) BETWEEN :since AND :now THEN seen_at
                 ELSE min(coalesce(seen_at, started_at) + :by, :now) END,
             unheard_until = CASE WHEN started_at BETWEEN :since AND :now THEN unheard_until
                 ELSE unheard_until + :by END,
             deadline_at = CASE WHEN deadline_at IS NULL AND started_at BETWEEN :since AND :now THEN NULL
                 ELSE coalesce(deadline_at, started_at + coalesce(run_timeout_s, timeout_s) * 1000 + :grace) + :by END
         WHERE status = 'running'",
        named_params! {
            ":by": by_ms, ":since": since.0, ":now": now.0, ":grace": Timestamp(0).plus(grace).0,
        },
    )?;
    Ok(())
}
