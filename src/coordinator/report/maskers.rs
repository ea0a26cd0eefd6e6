//! The maskers of running builds, kept from patch to patch: to read a build's secrets and to ready them for the
//! search costs more than all else that a patch does inside the one writer.
//!
//! What must stay true: what is kept is what would be read. The variables of a build that a runner has had never change, and
//! ids are never used twice; the two tokens are compared each time. What is kept is bounded, and holds no secret of a build that
//! ended more than a sweep ago.

use crate::domain::build::BuildId;
use crate::domain::masking::Masker;
use crate::error::Result;
use crate::limits::{MASKER_SECRETS_BYTES_MAX, MASKERS_MAX};
use crate::store::builds::{self, Tokens};
use crate::sync::lock;
use rusqlite::Connection;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard};

/// See the module.
#[derive(Default)]
pub struct Maskers(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    builds: HashMap<BuildId, One>,
    secret_bytes: usize,
}

struct One {
    tokens: Tokens,
    masker: Arc<Masker>,
    secret_bytes: usize,
}

impl Maskers {
    /// What masks this build's trace.
    pub fn of_build(&self, c: &Connection, id: BuildId) -> Result<Arc<Masker>> {
        let tokens = builds::tokens(c, id)?;
        if let Some(one) = self.kept().builds.get(&id).filter(|one| one.tokens == tokens) {
            return Ok(Arc::clone(&one.masker));
        }
        let secrets: Vec<String> = tokens.all().chain(builds::secret_values(c, id)?).collect();
        let secret_bytes = secrets.iter().map(String::len).sum();
        let masker = Arc::new(Masker::new(secrets));
        self.kept().keep(id, One { tokens, masker: Arc::clone(&masker), secret_bytes });
        Ok(masker)
    }

    /// Forgets all but those of these builds.
    pub fn retain(&self, running: &HashSet<BuildId>) {
        let mut kept = self.kept();
        kept.builds.retain(|id, _| running.contains(id));
        kept.secret_bytes = kept.builds.values().map(|one| one.secret_bytes).sum();
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        lock(&self.0)
    }
}

impl Kept {
    fn keep(&mut self, id: BuildId, one: One) {
        let replaced = self.builds.remove(&id).map_or(0, |old| old.secret_bytes);
        self.secret_bytes -= replaced;
        if one.secret_bytes > MASKER_SECRETS_BYTES_MAX {
            return;
        }
        if self.builds.len() >= MASKERS_MAX || self.secret_bytes + one.secret_bytes > MASKER_SECRETS_BYTES_MAX {
            *self = Kept::default();
        }
        self.secret_bytes += one.secret_bytes;
        self.builds.insert(id, one);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(secret_bytes: usize) -> One {
        One { tokens: Tokens::default(), masker: Arc::new(Masker::new([""; 0])), secret_bytes }
    }

    #[test]
    fn what_is_kept_is_bounded_in_number_and_bytes() {
        let mut kept = Kept::default();
        for (id, bytes) in (0..100_000).map(|id| id % 10_000).zip((0..3000).cycle()) {
            kept.keep(BuildId(id), one(bytes));
            let sum: usize = kept.builds.values().map(|one| one.secret_bytes).sum();
            assert_eq!(kept.secret_bytes, sum);
            assert!(sum <= MASKER_SECRETS_BYTES_MAX && kept.builds.len() <= MASKERS_MAX);
        }
        kept.keep(BuildId(1), one(MASKER_SECRETS_BYTES_MAX + 1));
        assert!(!kept.builds.contains_key(&BuildId(1)), "one that is too large is read each time");
        let maskers = Maskers(Mutex::new(kept));
        maskers.retain(&HashSet::from([BuildId(9_999)]));
        let kept = maskers.kept();
        assert_eq!((kept.builds.len(), kept.secret_bytes), (1, kept.builds[&BuildId(9_999)].secret_bytes));
    }
}
