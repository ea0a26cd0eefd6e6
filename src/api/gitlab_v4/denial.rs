//! Why a call is refused, and the one table from that to statuses and words.
//!
//! What must stay true: a full or busy server is 503 or 507, never 401, 403 or 404. No answer repeats a token.

use crate::error::{Error, Kind};
use crate::http::Response;
use serde_json::json;

/// Why a call is refused.
#[derive(Debug)]
pub enum Denial {
    /// No token, or none that opens this for its kind of holder.
    Unauthorized,
    /// The token does not open this; it would have to be of this scope.
    Scope(&'static str),
    /// There is no such project, or it is not the caller's.
    NoProject,
    /// There is no such thing in it.
    NoThing,
    /// The same, in words.
    Absent(&'static str),
    /// It is there, and its state or its owner forbids it.
    Refused(&'static str),
    /// The framework's word for a parameter: it is missing, or of the wrong kind.
    Parameter(String),
    /// What a deed has to say against a parameter.
    Value {
        /// Which; `base`: several together.
        field: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// What a deed has to say against all of it, in several sentences.
    Base(Vec<String>),
    /// This sentence with this status.
    Status(u16, String),
    /// A deed's refusal.
    Deed(Error),
}

impl From<Error> for Denial {
    fn from(error: Error) -> Denial {
        Denial::Deed(error)
    }
}

impl Denial {
    /// A parameter that must be there.
    pub fn missing(name: &str) -> Denial {
        Denial::Parameter(format!("{name} is missing"))
    }

    /// A parameter whose value is none of those that it may have.
    pub fn invalid(name: &str) -> Denial {
        Denial::Parameter(format!("{name} does not have a valid value"))
    }

    /// The answer.
    pub fn response(self) -> Response {
        let message = |status: u16, text: &str| Response::json(status, &json!({ "message": text }));
        match self {
            Denial::Unauthorized => message(401, "401 Unauthorized").with("WWW-Authenticate", "Bearer"),
            Denial::Scope(scope) => {
                let description = "The request requires higher privileges than provided by the access token.";
                let body = json!({"error": "insufficient_scope", "error_description": description, "scope": scope});
                Response::json(403, &body).because("the token's scope is too small")
            }
            Denial::NoProject => message(404, "404 Project Not Found"),
            Denial::NoThing => message(404, "404 Not found"),
            Denial::Absent(words) => message(404, words),
            Denial::Refused(words) => message(403, words).because(words),
            Denial::Parameter(why) => Response::json(400, &json!({ "error": why })).because(&why),
            Denial::Value { field, why } => {
                let (body, cause) = (json!({ "message": { field: [why] } }), format!("{field}: {why}"));
                Response::json(400, &body).because(&cause)
            }
            Denial::Base(sentences) => {
                let cause = sentences.first().cloned().unwrap_or_default();
                Response::json(400, &json!({ "message": { "base": sentences } })).because(&cause)
            }
            Denial::Status(status, words) => message(status, &words).because(&words),
            Denial::Deed(error) => of_deed(error),
        }
    }
}

/// What a deed's refusal is. What went wrong inside goes to the log, never to the client.
fn of_deed(error: Error) -> Response {
    match error.kind {
        Kind::NotFound => Denial::NoThing.response().because(&error.message),
        Kind::Invalid => Denial::Value { field: "base", why: error.message }.response(),
        Kind::Forbidden
        | Kind::Conflict
        | Kind::TooLarge
        | Kind::TooSlow
        | Kind::Busy
        | Kind::DiskFull
        | Kind::Internal
        | Kind::Damaged => crate::api::error_response(&error),
    }
}
