//! How things stand, for the operator.

use super::health::Counts;
use crate::coordinator::builds::reasons::Reasons;
use crate::coordinator::upkeep::serving::{self, is_served};
use crate::coordinator::{BuildReport, Coordinator};
use crate::domain::build::Build;
use crate::domain::time::Timestamp;
use crate::error::Result;
use crate::store::{builds, settings};

/// How things stand. To look costs the same, however many builds there are; those that run and runners cost a little.
pub struct Standing {
    /// Whether a server runs on this data directory.
    pub is_served: bool,
    /// When one last said so, to a second, or half a minute where power was lost; `None`: none has run.
    pub alive_at: Option<Timestamp>,
    /// What there is.
    pub counts: Counts,
    /// The build that has been ready to be handed out for longest, and since when.
    pub oldest_pending: Option<(BuildReport, Timestamp)>,
    /// What runs.
    pub running: Running,
}

/// Builds that run.
pub struct Running {
    /// How many.
    pub builds: usize,
    /// The one that runs for longest, and since when.
    pub longest: Option<(Build, Timestamp)>,
}

impl Coordinator {
    /// How things stand.
    pub fn standing(&self, now: Timestamp) -> Result<Standing> {
        let is_served = is_served(&self.data)?;
        let counts = self.counts(now)?;
        let mut reasons = Reasons::of(is_served, now);
        self.store.read(|c| {
            let alive_at = settings::alive_at(c)?.max(serving::alive_at(&self.data));
            // Looked for anew: it may have been handed out since the counts.
            let oldest_pending = match builds::longest_pending(c)? {
                Some((id, since)) => builds::by_id(c, id, now)?.map(|build| (build, since)),
                None => None,
            };
            let oldest_pending = match oldest_pending {
                Some((build, since)) => Some((BuildReport::of(c, build, &mut reasons, now)?, since)),
                None => None,
            };
            let all = builds::running(c)?;
            let longest = match all.iter().min_by_key(|build| (build.started_at, build.id)) {
                Some(first) => builds::by_id(c, first.id, now)?.map(|build| (build, first.started_at)),
                None => None,
            };
            let running = Running { builds: all.len(), longest };
            Ok(Standing { is_served, alive_at, counts, oldest_pending, running })
        })
    }
}
