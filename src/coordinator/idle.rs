//! Runners that were told "nothing for you", so that asking again costs no search.
//!
//! What was said holds as long as the queue's generation stands, which every event moves that may make a build
//! claimable for somebody, or changes what a runner may do.

use crate::domain::runner::{Runner, RunnerId, RunnerInfo};
use crate::domain::time::Timestamp;
use crate::domain::token::TokenHash;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Most runners remembered; then all are forgotten, which costs each of them one search.
const RUNNERS_MAX: usize = 16_384;

/// "There is nothing for you."
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Nothing {
    /// The queue's generation for which that was found.
    pub generation: u64,
    /// The same for the runner, opaque; see [`crate::store::queue::QueueKey`].
    pub last_update: String,
}

/// What is remembered, by the hash of the runner's token.
#[derive(Default)]
pub struct Idle(Mutex<HashMap<TokenHash, Told>>);

struct Told {
    runner: RunnerId,
    nothing: Nothing,
    info: RunnerInfo,
    contacted_at: Option<Timestamp>,
}

impl Idle {
    /// What the holder of this token was told, unless it is time to note that it lives, or it says something new
    /// of itself.
    pub fn told(
        &self,
        token: TokenHash,
        info: &RunnerInfo,
        step: Duration,
        now: Timestamp,
    ) -> Option<(RunnerId, Nothing)> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let told = all.get(&token)?;
        let is_due = told.contacted_at.is_none_or(|at| now.since(at) >= step);
        (told.info.includes(info) && !is_due).then(|| (told.runner, told.nothing.clone()))
    }

    /// Remembers what the holder of this token was told, with what is stored of it.
    pub fn tell(&self, token: TokenHash, nothing: Nothing, runner: Runner) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= RUNNERS_MAX {
            all.clear();
        }
        let Runner { id, info, contacted_at, .. } = runner;
        all.insert(token, Told { runner: id, nothing, info, contacted_at });
    }
}
