//! A runner asks for work (protocol 1.1). One that says it knows that there is none is answered when there is
//! some, as GitLab's front end does it (protocol 2, long polling), but with the build itself.

use super::job::job_json;
use super::{Api, answer_to, error_response};
use crate::coordinator::{Claim, Coordinator, Deed, Nothing, Waiting};
use crate::domain::runner::{RunnerId, RunnerInfo};
use crate::domain::time::Timestamp;
use crate::domain::token::Token;
use crate::domain::user_agent::understands_no_content;
use crate::error::Result;
use crate::http::params::Params;
use crate::http::{Answer, Later, Request, Response, Wake};
use std::sync::Arc;
use std::time::Instant;

/// Answers `POST builds/register`.
///
/// # Errors
/// As [`Coordinator::claim_build`]; bad parameters.
pub fn register_build(api: &Api, request: &mut Request<'_>, now: Timestamp) -> Result<Answer> {
    let limits = api.coordinator.limits();
    let params = Params::of_request(request, limits.form_bytes_max)?;
    let last_update = params.text("last_update");
    let poll = Poll {
        token: super::ci_v1::token(&params, request),
        info: info(&params),
        understands_no_content: understands_no_content(request.headers.get("User-Agent")),
    };
    let deed = poll.ask(&api.coordinator, last_update.as_deref(), now)?;
    let coordinator = Arc::clone(&api.coordinator);
    Ok(answer_to(deed, move |claim| Ok(answer(poll, claim?, last_update.as_deref(), &coordinator))))
}

/// Holds a runner that knows that there is nothing.
fn answer(poll: Poll, claim: Claim, last_update: Option<&str>, coordinator: &Arc<Coordinator>) -> Answer {
    let hold_time_max = coordinator.limits().hold_time_max;
    if let Claim::Nothing(runner, nothing) = &claim
        && !hold_time_max.is_zero()
        && last_update == Some(nothing.last_update.as_str())
    {
        return Answer::Later(Box::new(HeldPoll {
            until: Instant::now() + hold_time_max,
            coordinator: Arc::clone(coordinator),
            runner: *runner,
            nothing: nothing.clone(),
            waiting: None,
            poll,
        }));
    }
    poll.response(claim).into()
}

/// What a runner says when it asks for work.
struct Poll {
    token: Option<Token>,
    info: RunnerInfo,
    understands_no_content: bool,
}

impl Poll {
    fn ask(&self, coordinator: &Coordinator, last_update: Option<&str>, now: Timestamp) -> Result<Deed<Claim>> {
        coordinator.claim_build(self.token.as_ref(), &self.info, last_update, now)
    }

    fn response(&self, claim: Claim) -> Response {
        match claim {
            Claim::Build(assigned) => Response::json(201, &job_json(&assigned)),
            Claim::Nothing(_, nothing) => {
                let response =
                    if self.understands_no_content { Response::empty(204) } else { Response::error(404, "") };
                response.with("X-GitLab-Last-Update", nothing.last_update)
            }
            Claim::Paused => Response::error(404, ""),
        }
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
            Ok(claim) => Some(self.poll.response(claim)),
            Err(error) => Some(error_response(&error)),
        }
    }

    fn until(&self) -> Instant {
        self.until
    }
}

/// What the runner says of itself.
pub fn info(params: &Params) -> RunnerInfo {
    let mut info = RunnerInfo::default();
    for field in RunnerInfo::FIELDS {
        if let Some(value) = params.get("info").and_then(|sent| sent.get(field)?.as_str()) {
            info.set(field, value);
        }
    }
    info
}
