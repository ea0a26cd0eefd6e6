//! That a runner lives, and which of its managers.
//!
//! What must stay true: what one manager says of itself is never taken for another one's. Contact is written at most once
//! a step, and when somebody says something new.

use super::told::Known;
use crate::domain::asker::Asker;
use crate::domain::runner::Runner;
use crate::domain::time::Timestamp;
use crate::error::Result;
use crate::store::{managers, runners};
use rusqlite::Connection;
use std::time::Duration;

/// What is stored of one who asks.
pub fn known(c: &Connection, runner: &Runner, asker: &Asker) -> Result<Known> {
    Ok(find(c, runner, asker)?.0)
}

/// Notes that the asker lives, if it is time. Returns the runner as the asker describes it, and the row of its manager.
pub fn note(
    c: &Connection,
    runner: Runner,
    asker: &Asker,
    step: Duration,
    now: Timestamp,
) -> Result<(Runner, Option<i64>)> {
    let (known, mut manager) = find(c, &runner, asker)?;
    let is_due = known.is_contact_due(&asker.info, step, now);
    let mut info = known.info;
    info.update(&asker.info);
    let registered = runner.info.clone();
    let runner = runner.speaking(info);
    if is_due {
        // A manager that has said nothing yet is no reason to forget what the runner said when it registered.
        let of_runner = if runner.info.is_empty() { &registered } else { &runner.info };
        let address = asker.address.map(|address| address.to_string());
        runners::touch(c, runner.id, of_runner, address.as_deref(), now)?;
        if let Some(system_id) = &asker.system_id {
            manager = Some(managers::touch(c, runner.id, system_id, &runner.info, address.as_deref(), now)?);
        }
    }
    Ok((runner, manager))
}

/// What is stored of one who asks, and the row of its manager.
fn find(c: &Connection, runner: &Runner, asker: &Asker) -> Result<(Known, Option<i64>)> {
    let Some(system_id) = &asker.system_id else {
        return Ok((Known { info: runner.info.clone(), contacted_at: runner.contacted_at }, None));
    };
    Ok(match managers::of_system(c, runner.id, system_id)? {
        Some(manager) => (Known { info: manager.info, contacted_at: Some(manager.contacted_at) }, Some(manager.id)),
        None => (Known::default(), None),
    })
}
