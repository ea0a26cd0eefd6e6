//! A word in a whole log.

use super::OrSoon;
use super::ahead::Ahead;
use crate::coordinator::Coordinator;
use crate::domain::build::BuildId;
use crate::domain::log_search::{LogFound, Needle, search};
use crate::error::Result;

impl Coordinator {
    /// The lines of a build's log, from `from` on, in which `needle` is, as far as one answer goes. One search of a log goes
    /// on at a time.
    ///
    /// # Errors
    /// As [`Coordinator::log_part`].
    pub fn search_log(&self, id: BuildId, needle: &Needle, from: u64) -> Result<OrSoon<LogFound>> {
        let found = self.view_log(id, |view| {
            let soon = self.log_indices.soon();
            let Some(_turn) = self.log_indices.begin_search(id) else { return Ok(OrSoon::Soon(soon)) };
            // Whoever follows the log is not to wait for this.
            let index = view.index().clone();
            std::thread::scope(|scope| {
                let mut ahead = Ahead::new(scope, view);
                search(&index, needle, from, |offset, bytes| ahead.read(offset, bytes)).map(OrSoon::There)
            })
        })?;
        Ok(match found {
            OrSoon::There(found) => found,
            OrSoon::Soon(soon) => OrSoon::Soon(soon),
        })
    }
}
