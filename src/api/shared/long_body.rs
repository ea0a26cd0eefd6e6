//! The body of a report on a build: a whole trace may be in it, so it may be large, and the token that allows it is in it
//! too.
//!
//! What must stay true: up to the moment in which the sender has shown a token that allows the report, no more
//! is read than of any form, and no more of it is held than is reserved. Runners send the token before the trace;
//! whoever does not has the limit of forms. The trace is decoded as it arrives, so that it is in memory once. A long one
//! of a build that takes none any more is not held at all, and refused if that can be known.

use super::token::Keys;
use crate::api::Api;
use crate::domain::build::BuildId;
use crate::domain::end::Reported;
use crate::domain::token::{Shown, Token};
use crate::error::{Error, Kind, Result};
use crate::http::Request;
use crate::http::budget::Reserved;
use crate::http::params::{
    Allowance, Field, Given, Name, Params, Sink, body_error, read_params, read_query, wrong_type,
};
use crate::limits::STRANGER_BYTES_MAX;
use std::io::Read;

/// A protocol's words for reports.
pub struct ReportWords {
    /// The words for tokens.
    pub keys: Keys,
    /// The parameters beside `trace`, the token among them.
    pub fields: &'static [Field],
    /// What they say of the build's state; `None`: nothing yet.
    pub reported: fn(&Params) -> Option<Reported>,
}

/// The body of a report.
pub struct LongBody {
    /// Who reports.
    pub shown: Shown,
    /// What is said beside the trace.
    pub params: Params,
    /// The whole trace.
    pub trace: Option<Vec<u8>>,
    /// Memory for the trace, to be kept as long as that.
    pub memory: Option<Reserved>,
}

/// Reads the report, in whichever encoding.
///
/// # Errors
/// [`Kind::Invalid`], [`Kind::TooLarge`]; for long traces also [`Kind::Forbidden`] and [`Kind::NotFound`], as
/// soon as they are known, and [`Kind::Busy`] when too many are under way.
pub fn read(api: &Api, request: &mut Request<'_>, id: BuildId, words: &ReportWords) -> Result<LongBody> {
    let limits = api.coordinator.limits();
    let bytes = request.body_bytes.unwrap_or(limits.put_bytes_max);
    if bytes > limits.put_bytes_max {
        return Err(Error::new(Kind::TooLarge, format!("the body may have at most {} bytes", limits.put_bytes_max)));
    }
    let allowance = Allowance::new(limits.form_bytes_max);
    let mut arriving = Arriving {
        api,
        id,
        bytes,
        keys: words.keys,
        header: words.keys.in_header(request),
        reported: words.reported,
        params: Params::of(words.fields),
        allowance: &allowance,
        stranger: request.stranger.take(),
        is_known: false,
        memory: None,
        trace: None,
    };
    read_query(request, &mut arriving)?;
    if bytes > limits.form_bytes_max && arriving.shown().token.is_some() {
        arriving.may_hold()?;
    }
    read_params(request, &allowance, &mut arriving).map_err(|error| {
        if error.kind == Kind::TooLarge && !arriving.is_known {
            let why = format!("{}; a longer one must begin with its token", error.message);
            return Error::new(error.kind, why);
        }
        error
    })?;
    let shown = arriving.shown();
    let Arriving { params, trace, memory, .. } = arriving;
    Ok(LongBody { shown, params, trace, memory })
}

/// A report as it comes.
struct Arriving<'a> {
    api: &'a Api,
    id: BuildId,
    /// The most that the body can have.
    bytes: u64,
    keys: Keys,
    /// The token in the header.
    header: Option<Token>,
    reported: fn(&Params) -> Option<Reported>,
    params: Params,
    allowance: &'a Allowance,
    /// The sender's place among those who have shown no token.
    stranger: Option<Reserved>,
    /// Whether the sender has shown a token that allows the report.
    is_known: bool,
    memory: Option<Reserved>,
    trace: Option<Vec<u8>>,
}

impl Sink for Arriving<'_> {
    fn take(&mut self, name: Name<'_>, given: Given<'_>) -> Result<bool> {
        if name.outer != "trace" {
            return self.params.take(name, given);
        }
        // Its memory must not be held beside the next one's.
        self.trace = None;
        match given {
            Given::Text { data, lossy } if name.inner.is_none() => self.trace = self.read_trace(data, lossy)?,
            Given::Null => {}
            Given::Text { .. } | Given::Scalar(_) | Given::List | Given::Object => {
                return Err(wrong_type("trace", "a text"));
            }
        }
        Ok(false)
    }
}

impl Arriving<'_> {
    /// The token seen so far: the parameter wins over the header.
    fn shown(&self) -> Shown {
        self.keys.chosen(&self.params, self.header.as_ref())
    }

    /// The trace; `None` if nobody wants it, be it for its build or since there was none.
    fn read_trace(&mut self, data: &mut dyn Read, lossy: bool) -> Result<Option<Vec<u8>>> {
        let mut bytes = Vec::new();
        data.take(STRANGER_BYTES_MAX).read_to_end(&mut bytes).map_err(body_error)?;
        if bytes.len() as u64 == STRANGER_BYTES_MAX {
            if !self.may_hold()? {
                return Ok(None);
            }
            // At once: growing would hold it twice for a moment.
            let expected = if self.is_known { self.bytes } else { self.bytes.min(self.form_bytes_max()) };
            bytes.reserve_exact(usize::try_from(expected).unwrap_or(0).saturating_sub(bytes.len()));
            data.read_to_end(&mut bytes).map_err(body_error)?;
        }
        // A form holds any bytes; they are the trace.
        if !lossy && std::str::from_utf8(&bytes).is_err() {
            return Err(Error::invalid("trace is not UTF-8"));
        }
        Ok(Some(bytes))
    }

    /// Whether a long trace may be held. Reserves its memory, and lets as much be read as the sender may send.
    fn may_hold(&mut self) -> Result<bool> {
        if self.memory.is_some() {
            return Ok(true);
        }
        let shown = self.shown();
        if shown.token.is_none() {
            self.memory = Some(self.api.strangers.reserve(self.form_bytes_max())?);
            return Ok(true);
        }
        let reported = (self.reported)(&self.params);
        let is_wanted = self.api.coordinator.authorize_report(self.id, &shown, reported)?;
        self.is_known = true;
        self.stranger = None;
        self.allowance.raise_to(self.api.coordinator.limits().put_bytes_max);
        if is_wanted {
            self.memory = Some(self.api.bodies.reserve(self.bytes)?);
        }
        Ok(is_wanted)
    }

    fn form_bytes_max(&self) -> u64 {
        self.api.coordinator.limits().form_bytes_max
    }
}
