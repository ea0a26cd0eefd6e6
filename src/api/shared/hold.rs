//! A runner asks for work. One that says it knows that there is none is held until there is some, as GitLab's front end
//! does it, but answered with the build itself.
//!
//! What must stay true: each request is counted once. A build whose runner left before it took the answer goes back
//! into the queue.

use super::to_runner;
use crate::api::health::claim_metrics::{Claims, Outcome};
use crate::api::{Api, answer_to, error_response};
use crate::coordinator::{Assigned, Claim, Coordinator, Deed, Nothing, Waiting};
use crate::domain::asker::Asker;
use crate::domain::build::BuildId;
use crate::domain::runner::RunnerId;
use crate::domain::time::Timestamp;
use crate::domain::token::Token;
use crate::domain::wants::Want;
use crate::error::Result;
use crate::http::{Answer, Held, Response, Wake};
use std::sync::Arc;
use std::time::Instant;

/// What a runner says when it asks for work.
pub struct Ask {
    /// Who asks.
    pub asker: Asker,
    /// What it knows, in the words of its last answer.
    pub last_update: Option<String>,
}

/// What a runner gets, for its protocol to put into words.
pub enum Got<'a> {
    /// This build.
    Build(&'a Assigned),
    /// Nothing. The runner is to repeat this word when it asks again.
    Nothing(&'a str),
    /// Nothing, since it is paused.
    Paused,
}

/// Answers a request for work; `words` puts into the protocol's words what the runner gets.
pub fn claim_build<W>(api: &Api, ask: Result<Ask>, words: W, now: Timestamp) -> Answer
where
    W: Fn(&Got<'_>) -> Response + Send + 'static,
{
    let (coordinator, claims) = (Arc::clone(&api.coordinator), Arc::clone(&api.claims));
    let asked = ask.and_then(|ask| {
        let deed = ask.claim(&coordinator, ask.last_update.as_deref(), now)?;
        Ok((Poll { ask, words, coordinator: Arc::clone(&coordinator), claims: Arc::clone(&claims) }, deed))
    });
    match asked {
        Ok((poll, deed)) => answer_to(deed, |claim| Ok(poll.hold_or_answer(claim))),
        Err(error) => {
            claims.count(Outcome::of_error(&error));
            error_response(&error).into()
        }
    }
}

impl Ask {
    fn claim(&self, coordinator: &Coordinator, last_update: Option<&str>, now: Timestamp) -> Result<Deed<Claim>> {
        coordinator.claim_build(&self.asker, last_update, now)
    }
}

/// A request for work, with all that it takes to answer it.
struct Poll<W> {
    ask: Ask,
    words: W,
    coordinator: Arc<Coordinator>,
    claims: Arc<Claims>,
}

impl<W: Fn(&Got<'_>) -> Response + Send + 'static> Poll<W> {
    /// Holds a runner that knows that there is nothing.
    fn hold_or_answer(self, claim: Result<Claim>) -> Answer {
        let hold_time_max = self.coordinator.limits().hold_time_max;
        if let Ok(Claim::Nothing(runner, nothing)) = &claim
            && !hold_time_max.is_zero()
            && self.ask.last_update.as_ref() == Some(&nothing.last_update)
        {
            return Answer::Held(Box::new(HeldPoll {
                until: Instant::now() + hold_time_max,
                runner: *runner,
                nothing: nothing.clone(),
                waiting: None,
                poll: self,
                is_answered: false,
            }));
        }
        self.claims.count(Outcome::of(&claim, false));
        self.response(claim).into()
    }

    /// Whoever gets nothing asks again in a moment, all the time.
    fn response(&self, claim: Result<Claim>) -> Response {
        match claim {
            Ok(Claim::Build(assigned)) => {
                say_without(&assigned);
                let response = (self.words)(&Got::Build(&assigned)).with_id("build", assigned.build.id.0);
                let response = to_runner(response, assigned.runner.as_ref().map(|runner| runner.id));
                let (coordinator, id, token) = (Arc::clone(&self.coordinator), assigned.build.id, assigned.token);
                response.if_untaken(move || give_back(&coordinator, id, &token))
            }
            Ok(Claim::Nothing(runner, nothing)) => {
                to_runner((self.words)(&Got::Nothing(&nothing.last_update)).as_routine(), Some(runner))
            }
            Ok(Claim::Paused(runner)) => to_runner((self.words)(&Got::Paused).as_routine(), Some(runner)),
            Err(error) => error_response(&error),
        }
    }
}

/// Says what a build runs without, since its runner does not know it.
fn say_without(assigned: &Assigned) {
    let Some(runner) = &assigned.runner else { return };
    let unknown = Want::unknown_to(&runner.info, &Want::all_of(&assigned.spec.asked));
    if !unknown.is_empty() {
        let (id, runner) = (assigned.build.id, runner.id);
        log::info!("build {id} runs without what runner {runner} does not know: {}", unknown.join(", "));
    }
}

/// Puts a build back into the queue whose runner has left before it could hear of it.
fn give_back(coordinator: &Coordinator, id: BuildId, token: &Token) {
    match coordinator.give_back(id, token) {
        Ok(true) => log::info!("build {id} waits again: its runner left before it took the answer"),
        Ok(false) => {}
        Err(error) => log::error!("build {id}, whose runner left before it took the answer, stays with it: {error}"),
    }
}

/// A runner that waits for a build.
struct HeldPoll<W> {
    until: Instant,
    poll: Poll<W>,
    runner: RunnerId,
    /// What it knows.
    nothing: Nothing,
    waiting: Option<Waiting>,
    is_answered: bool,
}

impl<W> Drop for HeldPoll<W> {
    fn drop(&mut self) {
        if !self.is_answered {
            self.poll.claims.count(Outcome::Left);
        }
    }
}

impl<W: Fn(&Got<'_>) -> Response + Send + 'static> Held for HeldPoll<W> {
    fn begin(&mut self, wake: Wake) {
        let (runner, generation) = (self.runner, self.nothing.generation);
        self.waiting = Some(self.poll.coordinator.wait_for_build(runner, generation, move || wake.wake()));
    }

    fn answer(&mut self, last: bool) -> Option<Response> {
        let claim = self.poll.ask.claim(&self.poll.coordinator, None, Timestamp::now()).and_then(Deed::wait);
        // Only now: whoever leaves has the others looked at, and the build is to be gone by then.
        self.waiting = None;
        match claim {
            Ok(Claim::Nothing(_, nothing)) if !last => {
                self.nothing = nothing;
                None
            }
            claim => {
                self.is_answered = true;
                self.poll.claims.count(Outcome::of(&claim, true));
                Some(self.poll.response(claim))
            }
        }
    }

    fn until(&self) -> Instant {
        self.until
    }
}
