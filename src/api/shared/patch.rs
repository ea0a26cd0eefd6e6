//! A runner appends a piece to a log; the header `Content-Range` says where it goes.
//!
//! What must stay true: the body is never read as parameters, whatever its type says. A long one is read only if its
//! sender has shown a token for a build that runs, and within the memory for bodies.

use crate::api::{Api, answer_to};
use crate::coordinator::Patched;
use crate::domain::build::BuildId;
use crate::domain::time::Timestamp;
use crate::domain::token::Shown;
use crate::error::{Error, Result};
use crate::http::headers::content_range::ContentRange;
use crate::http::params::read_body;
use crate::http::{Answer, Request, Response};
use crate::limits::STRANGER_BYTES_MAX;

/// A protocol's words for pieces.
pub struct PatchWords {
    /// Whether the end that the sender names must fit the body. It has had two meanings.
    pub checks_end: bool,
    /// What is answered to what became of the piece.
    pub response: fn(Patched) -> Result<Response>,
}

/// Appends the body.
///
/// # Errors
/// [`crate::error::Kind::NotFound`], [`crate::error::Kind::Forbidden`] for the build, then for the request.
pub fn append_trace(
    api: &Api,
    request: &mut Request<'_>,
    (id, shown): (BuildId, Shown),
    words: &PatchWords,
    now: Timestamp,
) -> Result<Answer> {
    // A number that does not fit the database is at no trace's end.
    let range = request.headers.get("Content-Range").map(ContentRange::parse);
    if range == Some(None) {
        // Who may not know is told nothing, also of this.
        api.coordinator.append_trace(id, shown, Err(missing()), Vec::new(), now)?.wait()?;
        return Err(Error::invalid("Content-Range must be START-END"));
    }
    let limits = api.coordinator.limits();
    let (mut memory, mut runs) = (None, true);
    if request.body_bytes.is_none_or(|bytes| bytes > STRANGER_BYTES_MAX) {
        runs = api.coordinator.authorize_patch(id, &shown)?;
        request.stranger = None;
        let bytes = request.body_bytes.unwrap_or(limits.trace_patch_bytes_max);
        memory = Some(api.bodies.reserve(bytes.min(limits.trace_patch_bytes_max))?);
    }
    // What cannot be appended to is not worth the reading: the deed says why.
    let data = if runs { read_body(request, limits.trace_patch_bytes_max)? } else { Vec::new() };
    let start = start(range.flatten(), words.checks_end.then_some(data.len() as u64));
    let response = words.response;
    let deed = api.coordinator.append_trace(id, shown, start, data, now)?;
    Ok(answer_to(deed, move |patched| {
        drop(memory);
        Ok(response(patched?)?.into())
    }))
}

fn missing() -> Error {
    Error::invalid("Missing header Content-Range")
}

/// Where a piece begins, if the range is there and fits a body of so many bytes.
fn start(range: Option<ContentRange>, bytes: Option<u64>) -> Result<u64> {
    let range = range.ok_or_else(missing)?;
    let Some(bytes) = bytes.filter(|bytes| !range.agrees_with(*bytes)) else { return Ok(range.start) };
    let (start, end) = (range.start, range.end);
    Err(Error::invalid(format!("Content-Range {start}-{end} does not fit a body of {bytes} bytes")))
}
