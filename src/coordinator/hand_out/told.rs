//! What runners were told last. One that was told "nothing for you" asks again without a search, and one that got a
//! build is likely to get the next one: it is not looked for twice.
//!
//! "Nothing" holds as long as the queue's generation stands, which every event moves that may make a build
//! claimable for somebody, or changes what a runner may do.

use crate::domain::runner::{Runner, RunnerId, RunnerInfo};
use crate::domain::time::Timestamp;
use crate::domain::token::TokenHash;
use crate::sync::lock;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard};
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
pub struct ToldRunners(Mutex<HashMap<TokenHash, LastAnswer>>);

enum LastAnswer {
    Nothing {
        runner: RunnerId,
        nothing: Nothing,
        info: RunnerInfo,
        contacted_at: Option<Timestamp>,
    },
    /// A build. A hint: the commit may have failed after all.
    Build,
}

impl ToldRunners {
    /// What the holder of this token was told, unless it is time to note that it lives, or it says something new
    /// of itself.
    pub fn nothing_for(
        &self,
        token: TokenHash,
        sent: &RunnerInfo,
        step: Duration,
        now: Timestamp,
    ) -> Option<(RunnerId, Nothing)> {
        match self.all().get(&token)? {
            LastAnswer::Nothing { runner, nothing, info, contacted_at } => {
                let is_due = contacted_at.is_none_or(|at| now.since(at) >= step);
                (info.includes(sent) && !is_due).then(|| (*runner, nothing.clone()))
            }
            LastAnswer::Build => None,
        }
    }

    /// Remembers that the holder of this token was told that there is nothing, with what is stored of it.
    pub fn tell_nothing(&self, token: TokenHash, nothing: Nothing, runner: Runner) {
        let Runner { id, info, contacted_at, .. } = runner;
        self.keep(token, LastAnswer::Nothing { runner: id, nothing, info, contacted_at });
    }

    /// Whether the holder of this token was given a build.
    pub fn got_build(&self, token: TokenHash) -> bool {
        matches!(self.all().get(&token), Some(LastAnswer::Build))
    }

    /// Remembers that the holder of this token is given a build, or not.
    pub fn give_build(&self, token: TokenHash, is_given: bool) {
        if is_given {
            self.keep(token, LastAnswer::Build);
        } else {
            self.all().remove(&token);
        }
    }

    fn keep(&self, token: TokenHash, told: LastAnswer) {
        let mut all = self.all();
        if all.len() >= RUNNERS_MAX {
            all.clear();
        }
        all.insert(token, told);
    }

    fn all(&self) -> MutexGuard<'_, HashMap<TokenHash, LastAnswer>> {
        lock(&self.0)
    }
}
