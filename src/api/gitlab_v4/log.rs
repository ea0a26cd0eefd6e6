//! A job's log: its bytes, as far as they may be shown, with ranges.
//!
//! What must stay true: a long log is not held in memory, and one that another has taken the place of is cut off.

use super::call::Call;
use super::route::Answered;
use crate::http::headers::range::{Slice, unsatisfiable};
use crate::http::{Body, Response};

/// A log of at most so many bytes is sent as it is.
const WHOLE_BYTES_MAX: u64 = 256 << 10;

/// Answers a log. A job that has not begun has an empty one: clients give up on an error.
pub fn trace(call: &mut Call<'_, '_>) -> Answered {
    let id = call.job()?;
    call.coordinator().is_job_of(call.project()?.id, id)?;
    let log = call.api.coordinator.log_bytes(id)?;
    let slice = match Slice::asked(call.request, None, log.size()) {
        Ok(slice) => slice,
        Err(size) => return Ok(unsatisfiable(size).into()),
    };
    let read = Box::new(log.read(slice.start, slice.start + slice.bytes));
    let body = Body::read(read, Some(slice.bytes), WHOLE_BYTES_MAX, || call.api.transfers.reserve(1))?;
    let response = Response::new(slice.status(), body)
        .with("Content-Type", "text/plain")
        .with("Content-Disposition", format!("infile; filename=\"{id}.log\""))
        .with("X-Content-Type-Options", "nosniff")
        .as_routine();
    Ok(slice.told(response).into())
}
