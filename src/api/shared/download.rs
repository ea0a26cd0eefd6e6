//! Sends a file, with the ranges and validators of RFC 9110.

use crate::api::Api;
use crate::coordinator::Download;
use crate::domain::token::hex;
use crate::error::Result;
use crate::http::headers::disposition::content_disposition;
use crate::http::headers::range::{Slice, unsatisfiable};
use crate::http::headers::validators::is_known;
use crate::http::{Body, Request, Response};
use std::io::{Seek, SeekFrom};

/// The response to a request for what was found; HEAD is told what GET would be, but for ranges.
///
/// # Errors
/// [`crate::error::Kind::Busy`] while there are too many transfers; the file system's.
pub fn send(api: &Api, request: &Request<'_>, mut found: Download) -> Result<Response> {
    let etag = format!("\"{}\"", hex(&found.artifacts.sha256));
    let size = found.artifacts.size;
    if is_known(request, &etag) {
        return Ok(Response::empty(304).with("ETag", etag));
    }
    let slice = match Slice::asked(request, Some(&etag), size) {
        Ok(slice) => slice,
        Err(size) => return Ok(unsatisfiable(size)),
    };
    found.file.seek(SeekFrom::Start(slice.start))?;
    let transfer = api.transfers.reserve(1)?;
    let body = Body::File { file: found.file, bytes: slice.bytes, transfer };
    let response = Response::new(slice.status(), body)
        .with("Content-Type", "application/octet-stream")
        .with("Content-Disposition", content_disposition(&found.artifacts.filename))
        .with("Content-Transfer-Encoding", "binary")
        .with("ETag", etag);
    Ok(slice.told(response))
}
