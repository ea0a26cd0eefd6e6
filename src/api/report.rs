//! The body of a `PUT builds/:id`: a whole trace may be in it, so it may be large, and the token that allows
//! it is in it too.
//!
//! What must stay true: up to the moment in which the sender has shown a token that allows the report, no more
//! is read than of any form. Runners send the token before the trace; whoever does not has the limit of forms.

use super::Api;
use super::ci_v1::token;
use crate::domain::build::BuildId;
use crate::domain::token::Token;
use crate::error::{Error, Kind, Result};
use crate::http::Request;
use crate::http::budget::Reserved;
use crate::http::multipart::{PartLimits, boundary, for_each_part};
use crate::http::params::{Params, multipart_error, parts_error, read_error, read_field};
use serde::de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, Visitor};
use std::cell::Cell;
use std::fmt;
use std::io::{self, BufReader, Read};

/// What a runner reports of a build.
#[derive(Default)]
pub struct Report {
    /// Who reports.
    pub token: Option<Token>,
    /// The state, in the runner's word.
    pub state: Option<String>,
    /// The whole trace.
    pub trace: Option<String>,
    /// Memory for the trace, given back with the report.
    _memory: Option<Reserved>,
}

/// Bytes of a body that are read at a time.
const PIECE_BYTES: usize = 64 << 10;

/// Reads the report, in whichever encoding.
///
/// # Errors
/// [`Kind::Invalid`], [`Kind::TooLarge`]; for large ones also [`Kind::Forbidden`] and [`Kind::NotFound`], as
/// soon as they are known, and [`Kind::Busy`] when too many are under way.
pub fn read_report(api: &Api, request: &mut Request<'_>, id: BuildId) -> Result<Report> {
    let limits = api.coordinator.limits();
    let is_small = request.body_bytes.is_some_and(|bytes| bytes <= limits.form_bytes_max);
    let content_type = request.headers.get("Content-Type").unwrap_or_default().to_owned();
    let query = Params::of_query(request);
    let bytes = request.body_bytes.unwrap_or(limits.put_bytes_max).min(limits.put_bytes_max);
    let (token_before, stranger) = (token(&query, request), request.stranger.take());
    let mut gate = Gate { api, id, bytes, token: token_before, stranger, memory: None, allowed: false };
    if gate.token.is_some() && !is_small {
        gate.open(None)?;
    }
    if let Some(boundary) = boundary(&content_type).filter(|_| !is_small) {
        return read_multipart(request, &boundary.map_err(multipart_error)?, query, gate);
    }
    if content_type.to_ascii_lowercase().starts_with("application/json") && !is_small {
        return read_json(request, query, gate);
    }
    let bytes_max = if gate.allowed { limits.put_bytes_max } else { limits.form_bytes_max };
    let mut params = Params::of_request(request, bytes_max)?;
    Ok(Report {
        token: token(&params, request),
        state: params.text("state"),
        trace: params.take_text("trace"),
        _memory: gate.memory,
    })
}

/// Lets large reports pass for those who may send them.
struct Gate<'a> {
    api: &'a Api,
    id: BuildId,
    /// The most that the body can have.
    bytes: u64,
    /// The token seen so far.
    token: Option<Token>,
    /// The sender's place among those who have shown none.
    stranger: Option<Reserved>,
    memory: Option<Reserved>,
    allowed: bool,
}

impl Gate<'_> {
    /// To be called before a trace is read; `field` is the token in the body, if it came already.
    fn open(&mut self, field: Option<&str>) -> Result<()> {
        if let Some(text) = field {
            self.token = Token::received(text);
        }
        if self.token.is_none() {
            return Ok(());
        }
        self.api.coordinator.authorize_report(self.id, self.token.clone())?;
        if self.memory.is_none() {
            self.memory = Some(self.api.bodies.reserve(self.bytes)?);
        }
        self.stranger = None;
        self.allowed = true;
        Ok(())
    }
}

fn read_multipart(request: &mut Request<'_>, boundary: &str, mut params: Params, mut gate: Gate<'_>) -> Result<Report> {
    let limits = gate.api.coordinator.limits();
    let mut trace = None;
    for_each_part(&mut *request.body, boundary, &PartLimits::default(), |head, data| {
        if head.is_file {
            return Ok(());
        }
        if head.name == "trace" {
            gate.open(params.text("token").as_deref())?;
            let bytes_max = if gate.allowed { limits.put_bytes_max } else { limits.form_bytes_max };
            trace = Some(read_field(data, bytes_max)?);
        } else {
            params.insert(head.name, read_field(data, limits.form_bytes_max)?);
        }
        Ok(())
    })
    .map_err(parts_error)?;
    Ok(Report { token: token(&params, request), state: params.text("state"), trace, _memory: gate.memory })
}

fn read_json(request: &mut Request<'_>, query: Params, mut gate: Gate<'_>) -> Result<Report> {
    let limits = gate.api.coordinator.limits();
    let left = Cell::new(if gate.allowed { limits.put_bytes_max } else { limits.form_bytes_max });
    let over = Cell::new(false);
    let mut fields =
        Fields { gate: &mut gate, left: &left, state: None, trace: None, field_token: None, refused: None };
    let body = Metered { body: &mut *request.body, left: &left, over: &over, broken: None };
    let mut reader = BufReader::with_capacity(PIECE_BYTES, body);
    let mut json = serde_json::Deserializer::from_reader(&mut reader);
    let parsed = Seed(&mut fields).deserialize(&mut json).and_then(|()| json.end());
    let (state, trace, refused) = (fields.state.take(), fields.trace.take(), fields.refused.take());
    let field_token = fields.field_token.take();
    if let Some(refusal) = refused {
        return Err(refusal);
    }
    if over.get() {
        return Err(Error::new(Kind::TooLarge, "the body is too long; a long one must begin with its token"));
    }
    if let Some(error) = reader.into_inner().broken {
        return Err(read_error(error));
    }
    parsed.map_err(|error| {
        Error::invalid(format!("the body is not a report in JSON: line {}, column {}", error.line(), error.column()))
    })?;
    let token = match field_token {
        Some(text) => Token::received(&text),
        None => token(&query, request),
    };
    Ok(Report { token, state: state.or_else(|| query.text("state")), trace, _memory: gate.memory })
}

/// Counts what is read, and stops at the limit that holds at the moment.
struct Metered<'a> {
    body: &'a mut dyn Read,
    left: &'a Cell<u64>,
    over: &'a Cell<bool>,
    broken: Option<io::Error>,
}

impl Read for Metered<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.body.read(buffer) {
            Ok(count) if count as u64 > self.left.get() => {
                self.over.set(true);
                Err(io::ErrorKind::FileTooLarge.into())
            }
            Ok(count) => {
                self.left.set(self.left.get() - count as u64);
                Ok(count)
            }
            Err(error) => {
                let kind = error.kind();
                self.broken = Some(error);
                Err(kind.into())
            }
        }
    }
}

/// The fields of a report, as they come.
struct Fields<'a, 'b> {
    gate: &'a mut Gate<'b>,
    left: &'a Cell<u64>,
    field_token: Option<String>,
    state: Option<String>,
    trace: Option<String>,
    refused: Option<Error>,
}

struct Seed<'a, 'b, 'c>(&'a mut Fields<'b, 'c>);

impl<'de> DeserializeSeed<'de> for Seed<'_, '_, '_> {
    type Value = ();
    fn deserialize<D: serde::Deserializer<'de>>(self, from: D) -> std::result::Result<(), D::Error> {
        from.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_, '_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<(), A::Error> {
        let fields = self.0;
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "token" => fields.field_token = map.next_value()?,
                "state" => fields.state = map.next_value()?,
                "trace" => {
                    let was_allowed = fields.gate.allowed;
                    if let Err(refusal) = fields.gate.open(fields.field_token.as_deref()) {
                        fields.refused = Some(refusal);
                        return Err(A::Error::custom("refused"));
                    }
                    if fields.gate.allowed && !was_allowed {
                        let limits = fields.gate.api.coordinator.limits();
                        fields.left.set(fields.left.get() + limits.put_bytes_max - limits.form_bytes_max);
                    }
                    fields.trace = map.next_value()?;
                }
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }
}
