//! A call: who it is by, on which project, with which parameters.
//!
//! What must stay true: before a token is known, the parameters cost no more than those of any stranger. What is wrong
//! with them is said last, when all else is right. A token in the query is never repeated.

use super::denial::Denial;
use super::received::{KeptBody, Received};
use super::terms::{May, Terms};
use super::urls::{Urls, decoded};
use crate::api::Api;
use crate::coordinator::Coordinator;
use crate::domain::access_token::Caller;
use crate::domain::build::{BuildId, ProjectId};
use crate::domain::pipeline::PipelineId;
use crate::domain::runner::RunnerId;
use crate::domain::time::Timestamp;
use crate::error::Result;
use crate::http::Request;
use crate::http::params::Params;
use crate::http::router::Places;
use crate::store::projects::Project;

/// A call that may be answered.
pub struct Call<'c, 'r> {
    /// The protocols, and what their requests share.
    pub api: &'c Api,
    /// The request.
    pub request: &'c mut Request<'r>,
    /// When it came.
    pub now: Timestamp,
    places: &'c Places<'c>,
    /// `None` only where anybody may.
    caller: Option<Caller>,
    project: Option<Project>,
    received: Received,
}

impl<'c, 'r> Call<'c, 'r> {
    /// The call, if its caller may do this to its project.
    ///
    /// # Errors
    /// Why not.
    pub fn admitted(
        api: &'c Api,
        terms: Terms,
        pattern: &'static str,
        (request, places): (&'c mut Request<'r>, &'c Places<'c>),
        now: Timestamp,
    ) -> std::result::Result<Call<'c, 'r>, Denial> {
        let received = Received::of(api, request, terms, now)?;
        let caller = received.caller(api, request, now)?;
        // Whoever has shown a token is a stranger no more.
        if caller.is_some() {
            request.stranger = None;
        }
        match (&caller, terms.may) {
            (_, May::Anybody | May::Trigger)
            | (Some(Caller::Program(_)), May::Read | May::ReadOrJob | May::Write)
            | (Some(Caller::Job { .. }), May::ReadOrJob | May::Job) => {}
            (Some(Caller::Program(_)), May::Job) => return Err(Denial::Absent("404 Job Not Found")),
            (None | Some(Caller::Job { .. }), _) => {
                api.bad_tokens.note(request.peer);
                return Err(Denial::Unauthorized);
            }
        }
        if let Some(Caller::Program(token)) = &caller {
            request.note.set_id("access_token", token.id.0);
        }
        let project = match places.texts.first().filter(|_| pattern.contains(":project")) {
            Some(segment) => {
                let found = find_project(&api.coordinator, segment)?;
                let seen = |project: &Project| caller.as_ref().is_none_or(|caller| caller.sees(project.id));
                Some(found.filter(seen).ok_or(Denial::NoProject)?)
            }
            None => None,
        };
        if terms.may == May::Write && !caller.as_ref().is_some_and(Caller::may_change) {
            return Err(Denial::Scope("api"));
        }
        Ok(Call { api, request, now, places, caller, project, received })
    }

    /// Who calls.
    ///
    /// # Errors
    /// [`Denial::Unauthorized`] where anybody may call, and did.
    pub fn caller(&self) -> std::result::Result<&Caller, Denial> {
        self.caller.as_ref().ok_or(Denial::Unauthorized)
    }

    /// The project in the path.
    ///
    /// # Errors
    /// [`Denial::NoProject`] for a pattern without one.
    pub fn project(&self) -> std::result::Result<&Project, Denial> {
        self.project.as_ref().ok_or(Denial::NoProject)
    }

    /// The only project that the caller may see; `None`: all.
    pub fn kept_to(&self) -> Option<ProjectId> {
        self.caller.as_ref().and_then(Caller::project)
    }

    /// The parameters.
    ///
    /// # Errors
    /// [`Denial::Parameter`] for one of the wrong kind.
    pub fn params(&self) -> std::result::Result<&Params, Denial> {
        match &self.received.wrong {
            Some(error) => Err(Denial::Parameter(error.message.clone())),
            None => Ok(&self.received.params),
        }
    }

    /// The body as it came.
    pub fn body(&self) -> &KeptBody {
        &self.received.body
    }

    /// The number in the path.
    ///
    /// # Errors
    /// [`Denial::NoThing`] for a pattern without one.
    pub fn number(&self) -> std::result::Result<i64, Denial> {
        self.places.numbers.first().copied().ok_or(Denial::NoThing)
    }

    /// The same as a job's.
    ///
    /// # Errors
    /// As [`Call::number`].
    pub fn job(&self) -> std::result::Result<BuildId, Denial> {
        self.number().map(BuildId)
    }

    /// The same as a pipeline's.
    ///
    /// # Errors
    /// As [`Call::number`].
    pub fn pipeline(&self) -> std::result::Result<PipelineId, Denial> {
        self.number().map(PipelineId)
    }

    /// The same as a runner's.
    ///
    /// # Errors
    /// As [`Call::number`].
    pub fn runner(&self) -> std::result::Result<RunnerId, Denial> {
        self.number().map(RunnerId)
    }

    /// The last text in the path behind the project, as it was sent.
    ///
    /// # Errors
    /// [`Denial::NoThing`] for a pattern without one.
    pub fn raw_text(&self) -> std::result::Result<&'c str, Denial> {
        let own = usize::from(self.project.is_some());
        self.places.texts.get(own..).and_then(|texts| texts.last()).copied().ok_or(Denial::NoThing)
    }

    /// The same, with what its percent signs stand for.
    ///
    /// # Errors
    /// As [`Call::raw_text`]; [`Denial::NoThing`] for what is no text.
    pub fn text(&self) -> std::result::Result<String, Denial> {
        decoded(self.raw_text()?).ok_or(Denial::NoThing)
    }

    /// The URLs that the client can follow.
    pub fn urls(&self) -> Urls {
        Urls::below(self.api.reached.by(self.request).as_ref())
    }

    /// The deeds.
    pub fn coordinator(&self) -> &'c Coordinator {
        &self.api.coordinator
    }
}

/// The project that a segment names: digits are a number always.
fn find_project(coordinator: &Coordinator, segment: &str) -> Result<Option<Project>> {
    let Some(name) = decoded(segment) else { return Ok(None) };
    if name.bytes().all(|c| c.is_ascii_digit()) {
        return match name.parse() {
            Ok(id) => coordinator.project_by_id(ProjectId(id)),
            Err(_) => Ok(None),
        };
    }
    coordinator.project_by_name(&name)
}
