//! A runner asks for work (protocol 1.1). One that says it knows that there is none is answered when there is
//! some, as GitLab's front end does it (protocol 2, long polling), but with the build itself.

use super::payload::Job;
use super::user_agent::understands_no_content;
use super::{INFO, TOKEN, to_runner, token_of};
use crate::api::health::claim_metrics::{Claims, Outcome};
use crate::api::{Api, answer_to, error_response};
use crate::coordinator::{Claim, Coordinator, Deed, Nothing, Waiting};
use crate::domain::build::BuildId;
use crate::domain::runner::{RunnerId, RunnerInfo};
use crate::domain::time::Timestamp;
use crate::domain::token::Token;
use crate::error::Result;
use crate::http::params::{Field, Params, text};
use crate::http::{Answer, Later, Request, Response, Wake};
use std::sync::Arc;
use std::time::Instant;

const FIELDS: &[Field] = &[TOKEN, text("last_update"), INFO];

/// Answers `POST builds/register`.
pub fn register_build(api: &Api, request: &mut Request<'_>, now: Timestamp) -> Answer {
    let (coordinator, claims) = (Arc::clone(&api.coordinator), Arc::clone(&api.claims));
    match ask(api, request, now) {
        Ok((poll, deed)) => answer_to(deed, move |claim| Ok(answer(poll, claim, &coordinator, claims))),
        Err(error) => {
            claims.count(Outcome::of_error(&error));
            error_response(&error).into()
        }
    }
}

fn ask(api: &Api, request: &mut Request<'_>, now: Timestamp) -> Result<(Poll, Deed<Claim>)> {
    let params = Params::of_request(request, FIELDS, api.coordinator.limits().form_bytes_max)?;
    let poll = Poll {
        token: token_of(&params, request),
        info: info(&params),
        last_update: params.text("last_update").map(ToOwned::to_owned),
        understands_no_content: understands_no_content(request.headers.get("User-Agent")),
    };
    let deed = poll.ask(&api.coordinator, poll.last_update.as_deref(), now)?;
    Ok((poll, deed))
}

/// Holds a runner that knows that there is nothing.
fn answer(poll: Poll, claim: Result<Claim>, coordinator: &Arc<Coordinator>, claims: Arc<Claims>) -> Answer {
    let hold_time_max = coordinator.limits().hold_time_max;
    if let Ok(Claim::Nothing(runner, nothing)) = &claim
        && !hold_time_max.is_zero()
        && poll.last_update.as_ref() == Some(&nothing.last_update)
    {
        return Answer::Later(Box::new(HeldPoll {
            until: Instant::now() + hold_time_max,
            coordinator: Arc::clone(coordinator),
            runner: *runner,
            nothing: nothing.clone(),
            waiting: None,
            poll,
            claims,
            is_answered: false,
        }));
    }
    claims.count(Outcome::of(&claim, false));
    poll.response(claim, coordinator).into()
}

/// What a runner says when it asks for work.
struct Poll {
    token: Option<Token>,
    info: RunnerInfo,
    /// What it knows, in the words of its last answer.
    last_update: Option<String>,
    understands_no_content: bool,
}

impl Poll {
    fn ask(&self, coordinator: &Coordinator, last_update: Option<&str>, now: Timestamp) -> Result<Deed<Claim>> {
        coordinator.claim_build(self.token.as_ref(), &self.info, last_update, now)
    }

    /// Whoever gets nothing asks again in a moment, all the time.
    fn response(&self, claim: Result<Claim>, coordinator: &Arc<Coordinator>) -> Response {
        match claim {
            Ok(Claim::Build(assigned)) => {
                let response = Response::json(201, &Job::of(&assigned)).with_id("build", assigned.build.id.0);
                let response = to_runner(response, assigned.runner.as_ref().map(|runner| runner.id));
                let (coordinator, id, token) = (Arc::clone(coordinator), assigned.build.id, assigned.token);
                response.if_untaken(move || give_back(&coordinator, id, &token))
            }
            Ok(Claim::Nothing(runner, nothing)) => {
                let response =
                    if self.understands_no_content { Response::empty(204) } else { Response::error(404, "") };
                to_runner(response.with("X-GitLab-Last-Update", nothing.last_update).as_routine(), Some(runner))
            }
            Ok(Claim::Paused(runner)) => to_runner(Response::error(404, "").as_routine(), Some(runner)),
            Err(error) => error_response(&error),
        }
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
struct HeldPoll {
    until: Instant,
    coordinator: Arc<Coordinator>,
    poll: Poll,
    runner: RunnerId,
    /// What it knows.
    nothing: Nothing,
    waiting: Option<Waiting>,
    claims: Arc<Claims>,
    is_answered: bool,
}

impl Drop for HeldPoll {
    fn drop(&mut self) {
        if !self.is_answered {
            self.claims.count(Outcome::Left);
        }
    }
}

impl Later for HeldPoll {
    fn begin(&mut self, wake: Wake) {
        let (runner, generation) = (self.runner, self.nothing.generation);
        self.waiting = Some(self.coordinator.wait_for_build(runner, generation, move || wake.wake()));
    }

    fn answer(&mut self, last: bool) -> Option<Response> {
        let claim = self.poll.ask(&self.coordinator, None, Timestamp::now()).and_then(Deed::wait);
        // Only now: whoever leaves has the others looked at, and the build is to be gone by then.
        self.waiting = None;
        match claim {
            Ok(Claim::Nothing(_, nothing)) if !last => {
                self.nothing = nothing;
                None
            }
            claim => {
                self.is_answered = true;
                self.claims.count(Outcome::of(&claim, true));
                Some(self.poll.response(claim, &self.coordinator))
            }
        }
    }

    fn until(&self) -> Instant {
        self.until
    }
}

/// What the runner says of itself.
pub fn info(params: &Params) -> RunnerInfo {
    let mut info = RunnerInfo::default();
    params.members(INFO.name).for_each(|(field, value)| info.set(field, value));
    info
}
