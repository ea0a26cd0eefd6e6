//! A patch: what a runner appends to a build's log.

use super::piece::{PIECE_BYTES_MAX, Patched, Piece};
use crate::coordinator::auth::{Purpose, build_for};
use crate::coordinator::{Coordinator, Deed};
use crate::domain::build::{BuildId, Status};
use crate::domain::time::Timestamp;
use crate::domain::token::Shown;
use crate::error::Result;

impl Coordinator {
    /// Appends `data` to a running build's trace. `start` is where its sender believes the trace to end, or what is wrong
    /// with what it says of that. Long data is stored like several short patches.
    ///
    /// # Errors
    /// [`crate::error::Kind::NotFound`], [`crate::error::Kind::Forbidden`]. Whoever passes those lives, whatever becomes of the patch.
    pub fn append_trace(
        &self,
        id: BuildId,
        shown: Shown,
        mut start: Result<u64>,
        mut data: Vec<u8>,
        now: Timestamp,
    ) -> Result<Deed<Patched>> {
        loop {
            let rest = data.split_off(data.len().min(PIECE_BYTES_MAX));
            let piece = Piece { start, data };
            let deed = self.append_piece(id, shown.clone(), piece, self.check_room(), now);
            if rest.is_empty() {
                return Ok(deed);
            }
            match deed.wait()? {
                Patched::Stored { size, .. } => (start, data) = (Ok(size), rest),
                refused @ (Patched::Elsewhere { .. } | Patched::NotRunning { .. } | Patched::Refused(_)) => {
                    return Ok(Deed::done(Ok(refused)));
                }
            }
        }
    }

    /// Says whether the holder of what is shown may append to this build's trace, before a long body is read, and whether
    /// it would be taken.
    ///
    /// # Errors
    /// As [`Coordinator::append_trace`].
    pub fn authorize_patch(&self, id: BuildId, shown: &Shown) -> Result<bool> {
        self.store.read(|c| {
            let build = build_for(c, id, shown, Purpose::Change)?;
            Ok(build.status == Status::Running || build.has_last_words())
        })
    }
}
