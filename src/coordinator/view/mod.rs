//! What pages show: read in one transaction, as plain values.
//!
//! What must stay true: a look costs the same, however much is stored. Lists are pages of at most [`PAGE`] rows; what is
//! looked for beside them is looked for in so many of the newest.

pub mod job;
pub mod overview;
pub mod pipeline;
pub mod pipelines;
pub mod runners;
pub mod search;

use super::Coordinator;
use crate::domain::act::{Act, Acted};
use crate::domain::build::BuildId;
use crate::domain::time::Timestamp;
use crate::domain::token::hex;
use crate::error::Result;
use crate::store::{acts, builds, projects};
use sha2::{Digest, Sha256};

/// Rows of a list on one page.
pub const PAGE: usize = 50;

impl Coordinator {
    /// Notes who did something to builds. Those that have gone meanwhile are passed over.
    ///
    /// # Errors
    /// The database's.
    pub fn note_acts(&self, ids: &[BuildId], act: Act, actor: &str, now: Timestamp) -> Result<()> {
        let (ids, actor) = (ids.to_vec(), actor.to_owned());
        for id in &ids {
            log::info!("build {id} was {} by {actor:?}", act.done());
        }
        self.store.write(move |c| {
            for id in ids {
                if builds::state(c, id)?.is_some() {
                    acts::insert(c, id, act, &actor, now)?;
                }
            }
            Ok(())
        })
    }

    /// What lets whoever has it see the badges of a project, and nothing else; `None`: there is no such project.
    ///
    /// # Errors
    /// The database's.
    pub fn badge_key(&self, project: &str) -> Result<Option<String>> {
        let found = self.store.read(|c| projects::by_name(c, project))?;
        Ok(found.map(|project| {
            let digest: [u8; 32] = Sha256::digest(format!("badge of {}", project.ci_token)).into();
            hex(digest.get(..12).unwrap_or_default())
        }))
    }

    /// What was done to a build, and by whom, the oldest first.
    ///
    /// # Errors
    /// The database's.
    pub fn acts_of(&self, id: BuildId) -> Result<Vec<Acted>> {
        self.store.read(|c| acts::of_build(c, id))
    }
}
