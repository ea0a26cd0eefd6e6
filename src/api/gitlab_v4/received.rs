//! What came as parameters, and whose token is among them or in the headers.
//!
//! What must stay true: what is held of one who has shown no token is bounded as for any stranger, and a body that is passed
//! on is held once more within the same bound. A long configuration is held only of one who has shown a good token before it,
//! and only while there is memory for it.

use super::terms::{May, Terms};
use crate::api::Api;
use crate::domain::access_token::Caller;
use crate::domain::time::Timestamp;
use crate::domain::token::Token;
use crate::error::{Error, Kind, Result};
use crate::http::Request;
use crate::http::budget::Reserved;
use crate::http::params::{Allowance, Field, Given, Name, Params, Sink, is_json, read_declared, read_query, text};
use crate::limits::STRANGER_BYTES_MAX;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use std::io::{self, Read};

/// Tokens as parameters.
const TOKENS: &[Field] = &[text(PRIVATE), text(JOB)];
const PRIVATE: &str = "private_token";
const JOB: &str = "job_token";

/// Names of parameters that no link and no variable may repeat.
pub const SECRET_NAMES: [&str; 3] = [PRIVATE, JOB, "token"];

/// A body that holds so much more than a parameter that some of its letters are written as two.
const ESCAPED: u64 = 2;

/// What came as parameters: of the query and of the body, which wins.
pub struct Received {
    /// Those that the endpoint takes.
    pub params: Params,
    tokens: Params,
    /// What is wrong with the first one that is of the wrong kind, or with the body.
    pub wrong: Option<Error>,
    /// The body as it came.
    pub body: KeptBody,
    /// For parameters that are longer than a stranger's.
    _memory: Option<Reserved>,
}

impl Received {
    /// Reads what came with a request for this endpoint.
    ///
    /// # Errors
    /// [`Kind::TooLarge`]; [`Kind::Busy`] for a long body while there are many; what the reader says.
    pub fn of(api: &Api, request: &mut Request<'_>, terms: Terms, now: Timestamp) -> Result<Received> {
        let mut received = Received {
            params: Params::of(terms.fields),
            tokens: Params::of(TOKENS),
            wrong: None,
            body: KeptBody::No,
            _memory: None,
        };
        let read = read_query(request, &mut received);
        received.settle(read)?;
        let mut bytes_max = api.coordinator.limits().form_bytes_max;
        if terms.room_bytes > 0 && received.caller(api, request, now)?.is_some() {
            received._memory = Some(api.bodies.reserve(terms.room_bytes)?);
            received.params.make_room(terms.room_bytes);
            bytes_max += ESCAPED * terms.room_bytes;
        }
        let allowance = Allowance::new(bytes_max);
        allowance.admit(request.body_bytes)?;
        let is_kept = terms.may == May::Trigger && is_json(request) && request.body_bytes != Some(0);
        let kept = if is_kept { KeptBody::Whole(Vec::new()) } else { KeptBody::No };
        let mut tee = Tee { from: &mut *request.body, kept };
        let read = read_declared(&request.headers, &mut tee, request.body_bytes, &allowance, &mut received);
        received.body = tee.kept;
        received.settle(read)?;
        Ok(received)
    }

    /// What is wrong with parameters is said when all else is right.
    fn settle(&mut self, read: Result<()>) -> Result<()> {
        match read {
            Err(error) if error.kind == Kind::Invalid => {
                self.wrong.get_or_insert(error);
                Ok(())
            }
            other => other,
        }
    }

    /// Who has shown a token that is good in its place.
    ///
    /// # Errors
    /// The database's.
    pub fn caller(&self, api: &Api, request: &Request<'_>, now: Timestamp) -> Result<Option<Caller>> {
        match self.presented(request) {
            Some((token, holder)) => Ok(api.coordinator.caller(&token, now)?.filter(|caller| holder.takes(caller))),
            None => Ok(None),
        }
    }

    /// The first token in the order in which GitLab looks for one, and whose it may be there.
    fn presented(&self, request: &Request<'_>) -> Option<(Token, Holder)> {
        let header = |name| request.headers.get(name).map(str::trim).filter(|value| !value.is_empty());
        let given = |name| self.tokens.text(name).filter(|value| !value.is_empty());
        let authorization = header("Authorization").and_then(|value| value.split_once(' '));
        let of_scheme = |scheme: &str| {
            authorization.filter(|(own, _)| own.eq_ignore_ascii_case(scheme)).map(|(_, value)| value.trim())
        };
        let places = [
            (given(PRIVATE), Holder::Programs),
            (header("PRIVATE-TOKEN"), Holder::Programs),
            (of_scheme("Bearer"), Holder::Either),
            (given(JOB), Holder::Jobs),
            (header("JOB-TOKEN"), Holder::Jobs),
        ];
        let first = places.into_iter().find_map(|(text, kept)| Some((text?.to_owned(), kept)));
        let password = || of_scheme("Basic").and_then(password_of_job).map(|text| (text, Holder::Jobs));
        first.or_else(password).and_then(|(text, kept)| Some((Token::received(&text)?, kept)))
    }
}

/// A body as it came, where it is to be passed on.
#[derive(Default)]
pub enum KeptBody {
    /// There is none, or it is no JSON.
    #[default]
    No,
    /// All of it.
    Whole(Vec<u8>),
    /// It is longer than what is held of a stranger.
    TooLong,
}

/// A reader that keeps what is read.
struct Tee<'a> {
    from: &'a mut dyn Read,
    kept: KeptBody,
}

impl Read for Tee<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.from.read(buffer)?;
        if let KeptBody::Whole(kept) = &mut self.kept {
            kept.extend_from_slice(buffer.get(..count).unwrap_or_default());
            if kept.len() as u64 > STRANGER_BYTES_MAX {
                self.kept = KeptBody::TooLong;
            }
        }
        Ok(count)
    }
}

/// Whose tokens count in a place.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Holder {
    Programs,
    Jobs,
    Either,
}

impl Holder {
    fn takes(self, caller: &Caller) -> bool {
        match caller {
            Caller::Program(_) => self != Holder::Jobs,
            Caller::Job { .. } => self != Holder::Programs,
        }
    }
}

/// The password of `gitlab-ci-token`, as which git and scripts show a job's token.
fn password_of_job(value: &str) -> Option<String> {
    let login = String::from_utf8(BASE64_STANDARD.decode(value).ok()?).ok()?;
    login.strip_prefix("gitlab-ci-token:").map(str::to_owned)
}

impl Sink for Received {
    fn take(&mut self, name: Name<'_>, given: Given<'_>) -> Result<bool> {
        let is_token = TOKENS.iter().any(|field| field.name == name.outer);
        let taken = if is_token { self.tokens.take(name, given) } else { self.params.take(name, given) };
        match taken {
            // It is said when all else is right.
            Err(error) if error.kind == Kind::Invalid => {
                self.wrong.get_or_insert(error);
                Ok(false)
            }
            taken => taken,
        }
    }
}
