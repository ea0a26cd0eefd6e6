//! What runners that ask for work get, counted.

use crate::coordinator::Claim;
use crate::error::{Error, Kind, Result};
use crate::metrics::Counter;

/// How often each kind of answer was given to runners that asked for work.
#[derive(Default)]
pub struct Claims([Counter; Outcome::ALL.len()]);

/// A kind of answer.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// A build.
    Build,
    /// Nothing, at once.
    Nothing,
    /// Nothing, after it was held.
    Held,
    /// Nothing, since the runner is paused.
    Paused,
    /// None, since its token is no runner's.
    Forbidden,
    /// None, since it was malformed.
    Invalid,
    /// None, since the server could not.
    Failed,
    /// None: the client has left while it was held.
    Left,
}

impl Outcome {
    /// Every kind.
    pub const ALL: [Outcome; 8] = [
        Outcome::Build,
        Outcome::Nothing,
        Outcome::Held,
        Outcome::Paused,
        Outcome::Forbidden,
        Outcome::Invalid,
        Outcome::Failed,
        Outcome::Left,
    ];

    /// Its word in the metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::Build => "build",
            Outcome::Nothing => "nothing",
            Outcome::Held => "held",
            Outcome::Paused => "paused",
            Outcome::Forbidden => "forbidden",
            Outcome::Invalid => "invalid",
            Outcome::Failed => "failed",
            Outcome::Left => "left",
        }
    }

    /// What a runner got; `was_held`: not at once.
    pub fn of(result: &Result<Claim>, was_held: bool) -> Outcome {
        match result {
            Ok(Claim::Build(_)) => Outcome::Build,
            Ok(Claim::Nothing(..)) if was_held => Outcome::Held,
            Ok(Claim::Nothing(..)) => Outcome::Nothing,
            Ok(Claim::Paused(_)) => Outcome::Paused,
            Err(error) => Outcome::of_error(error),
        }
    }

    /// What a runner got that got an error.
    pub fn of_error(error: &Error) -> Outcome {
        match error.kind {
            Kind::Forbidden => Outcome::Forbidden,
            Kind::Invalid | Kind::NotFound | Kind::Conflict | Kind::TooLarge | Kind::TooSlow => Outcome::Invalid,
            Kind::Busy | Kind::DiskFull | Kind::Internal | Kind::Damaged => Outcome::Failed,
        }
    }
}

impl Claims {
    /// One more got this.
    pub fn count(&self, outcome: Outcome) {
        if let Some(count) = self.0.get(outcome as usize) {
            count.increment();
        }
    }

    /// Every kind with its number.
    pub fn counts(&self) -> impl Iterator<Item = (Outcome, u64)> + '_ {
        Outcome::ALL.into_iter().zip(self.0.iter().map(Counter::get))
    }
}
