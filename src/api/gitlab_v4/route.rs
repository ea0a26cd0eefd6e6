//! A line of the tables: who may, what it takes, what answers, and what the description says of it.

use super::call::Call;
use super::denial::Denial;
use crate::api::Handler;
use crate::http::params::Field;
use crate::http::router::Endpoint;
use crate::http::{Answer, Method};

/// What an endpoint answers, or why it does not.
pub type Answered = Result<Answer, Denial>;

/// An endpoint of the API for programs.
#[derive(Clone, Copy)]
pub struct Route {
    /// Who may.
    pub may: May,
    /// The parameters, beside those for tokens.
    pub fields: &'static [Field],
    /// What answers.
    pub answer: fn(&mut Call<'_, '_>) -> Answered,
    /// What the description says.
    pub says: Says,
    /// Bytes of parameters more than those of any stranger, for whoever has shown a good token before the body.
    pub room_bytes: u64,
}

/// Who may call an endpoint.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum May {
    /// Any access token.
    Read,
    /// Any access token, and the token of a job that runs.
    ReadOrJob,
    /// Access tokens that open all.
    Write,
    /// A job that runs.
    Job,
    /// Whoever shows a token that starts pipelines of the project, which the endpoint looks at itself.
    Trigger,
    /// Anybody.
    Anybody,
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
    Endpoint { method, pattern, answer: Handler::Program(Route { may, fields, answer, says, room_bytes: 0 }) }
}

/// The same line for parameters of so many bytes more.
pub const fn with_room(line: Endpoint<Handler>, room_bytes: u64) -> Endpoint<Handler> {
    match line.answer {
        Handler::Program(route) => Endpoint { answer: Handler::Program(Route { room_bytes, ..route }), ..line },
        Handler::Own(_) => line,
    }
}

/// What the description says: what it does, and what it answers with this status.
pub const fn says(summary: &'static str, status: u16, content: Content) -> Says {
    Says { summary, status, content }
}
