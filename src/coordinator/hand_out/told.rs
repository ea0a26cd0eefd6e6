//! What runners were told last. One that was told "nothing for you" asks again without a search, and one that got a
//! build is likely to get the next one: it is not looked for twice.
//!
//! "Nothing" holds as long as the queue's generation stands, which every event moves that may make a build
//! claimable for somebody, or changes what a runner may do.

use crate::domain::asker::{Asker, SystemId};
use crate::domain::runner::{RunnerId, RunnerInfo};
use crate::domain::time::Timestamp;
use crate::domain::token::TokenHash;
use crate::limits::ASKERS_MAX;
use crate::sync::lock;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

/// Whom an answer is remembered for: a runner, or one manager of it, since each is noted as living by itself.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Whom {
    token: TokenHash,
    system_id: Option<SystemId>,
}

impl Whom {
    /// The holder of the token of this hash.
    pub fn of(token: TokenHash, asker: &Asker) -> Whom {
        Whom { token, system_id: asker.system_id.clone() }
    }
}

/// What is stored of one who asks: of its manager, if it names one, else of the runner.
#[derive(Clone, Default)]
pub struct Known {
    /// What it said of itself.
    pub info: RunnerInfo,
    /// When it last asked, to the minute.
    pub contacted_at: Option<Timestamp>,
}

impl Known {
    /// Whether it is time to note that it lives: once a step, and when it says something new of itself.
    pub fn is_contact_due(&self, sent: &RunnerInfo, step: Duration, now: Timestamp) -> bool {
        !self.info.includes(sent) || self.contacted_at.is_none_or(|at| now.since(at) >= step)
    }
}

/// "There is nothing for you."
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Nothing {
    /// The queue's generation for which that was found.
    pub generation: u64,
    /// The same for the runner, opaque; see [`crate::store::queue::QueueKey`].
    pub last_update: String,
}

/// What is remembered.
#[derive(Default)]
pub struct ToldRunners(Mutex<HashMap<Whom, LastAnswer>>);

enum LastAnswer {
    Nothing {
        runner: RunnerId,
        nothing: Nothing,
        known: Known,
    },
    /// A build. A hint: the commit may have failed after all.
    Build,
}

impl ToldRunners {
    /// What this asker was told, unless it is time to note that it lives, or it says something new of itself.
    pub fn nothing_for(
        &self,
        whom: &Whom,
        sent: &RunnerInfo,
        step: Duration,
        now: Timestamp,
    ) -> Option<(RunnerId, Nothing)> {
        match self.all().get(whom)? {
            LastAnswer::Nothing { runner, nothing, known } => {
                (!known.is_contact_due(sent, step, now)).then(|| (*runner, nothing.clone()))
            }
            LastAnswer::Build => None,
        }
    }

    /// Remembers that this asker was told that there is nothing, with what is stored of it.
    pub fn tell_nothing(&self, whom: &Whom, nothing: Nothing, runner: RunnerId, known: Known) {
        self.keep(whom, LastAnswer::Nothing { runner, nothing, known });
    }

    /// Whether this asker was given a build.
    pub fn got_build(&self, whom: &Whom) -> bool {
        matches!(self.all().get(whom), Some(LastAnswer::Build))
    }

    /// Remembers that this asker is given a build, or not.
    pub fn give_build(&self, whom: &Whom, is_given: bool) {
        if is_given {
            self.keep(whom, LastAnswer::Build);
        } else {
            self.all().remove(whom);
        }
    }

    fn keep(&self, whom: &Whom, told: LastAnswer) {
        let mut all = self.all();
        if all.len() >= ASKERS_MAX {
            all.clear();
        }
        all.insert(whom.clone(), told);
    }

    fn all(&self) -> MutexGuard<'_, HashMap<Whom, LastAnswer>> {
        lock(&self.0)
    }
}
