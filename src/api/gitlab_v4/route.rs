//! A line of the tables: who may, what it takes, what answers, and what the description says of it.

use super::call::Call;
use super::denial::Denial;
use super::terms::Terms;
use crate::api::{Api, Handler, refuse_encoded};
use crate::domain::time::Timestamp;
use crate::http::params::Field;
use crate::http::router::{Endpoint, Places};
use crate::http::{Answer, Method, Request};

pub use super::terms::May;

/// What an endpoint answers, or why it does not.
pub type Answered = Result<Answer, Denial>;

/// An endpoint of the API for programs.
#[derive(Clone, Copy)]
pub struct Route {
    /// Who may, and with which parameters.
    pub terms: Terms,
    /// What answers.
    pub answer: fn(&mut Call<'_, '_>) -> Answered,
    /// What the description says.
    pub says: Says,
}

/// Answers a request for an endpoint of this room.
pub fn answer(
    api: &Api,
    route: Route,
    pattern: &'static str,
    (request, places): (&mut Request<'_>, &Places<'_>),
    now: Timestamp,
) -> Answer {
    if let Some(refusal) = refuse_encoded(request) {
        return refusal.into();
    }
    let call = Call::admitted(api, route.terms, pattern, (request, places), now);
    call.and_then(|mut call| (route.answer)(&mut call)).unwrap_or_else(|denial| denial.response().into())
}

/// What the description says of an endpoint.
#[derive(Clone, Copy)]
pub struct Says {
    /// What it does, in a few words.
    pub summary: &'static str,
    /// The status of success.
    pub status: u16,
    /// What it then answers.
    pub content: Content,
}

/// What an answer holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Content {
    /// An object of this name.
    Object(&'static str),
    /// A page of a list of objects of this name.
    List(&'static str),
    /// A JSON object without further description.
    Json,
    /// Text.
    Text,
    /// A file.
    File,
    /// Nothing.
    Nothing,
}

/// A line of a table.
pub const fn route(
    method: Method,
    pattern: &'static str,
    may: May,
    fields: &'static [Field],
    answer: fn(&mut Call<'_, '_>) -> Answered,
    says: Says,
) -> Endpoint<Handler> {
    let terms = Terms { may, fields, room_bytes: 0 };
    Endpoint { method, pattern, answer: Handler::Program(Route { terms, answer, says }) }
}

/// The same line for parameters of so many bytes more.
pub const fn with_room(line: Endpoint<Handler>, room_bytes: u64) -> Endpoint<Handler> {
    match line.answer {
        Handler::Program(route) => {
            let terms = Terms { room_bytes, ..route.terms };
            Endpoint { answer: Handler::Program(Route { terms, ..route }), ..line }
        }
        Handler::Own(_) => line,
    }
}

/// What the description says: what it does, and what it answers with this status.
pub const fn says(summary: &'static str, status: u16, content: Content) -> Says {
    Says { summary, status, content }
}
