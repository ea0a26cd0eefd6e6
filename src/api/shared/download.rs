//! Sends a file, with the ranges and validators of RFC 9110.

use crate::api::Api;
use crate::coordinator::Download;
use crate::domain::token::hex;
use crate::error::Result;
use crate::http::headers::disposition::content_disposition;
use crate::http::headers::range::{ByteRange, resolve};
use crate::http::{Body, Method, Request, Response};
use std::io::{Seek, SeekFrom};

/// The response to a request for what was found; HEAD is told what GET would be, but for ranges.
///
/// # Errors
/// [`crate::error::Kind::Busy`] while there are too many transfers; the file system's.
pub fn send(api: &Api, request: &Request<'_>, mut found: Download) -> Result<Response> {
    let etag = format!("\"{}\"", hex(&found.artifacts.sha256));
    let size = found.artifacts.size;
    let known = request.headers.get("If-None-Match").unwrap_or_default();
    if known.split(',').any(|tag| tag.trim().trim_start_matches("W/") == etag || tag.trim() == "*") {
        return Ok(Response::empty(304).with("ETag", etag));
    }
    let is_unchanged = request.headers.get("If-Range").is_none_or(|tag| tag == etag);
    let range = request.headers.get("Range").filter(|_| is_unchanged && request.method == Method::Get);
    let (status, start, bytes) = match resolve(range, size) {
        ByteRange::Whole => (200, 0, size),
        ByteRange::Part { start, end } => (206, start, end - start + 1),
        ByteRange::Unsatisfiable => {
            return Ok(Response::error(416, "").with("Content-Range", format!("bytes */{size}")));
        }
    };
    found.file.seek(SeekFrom::Start(start))?;
    let transfer = api.transfers.reserve(1)?;
    let response = Response::new(status, Body::File { file: found.file, bytes, transfer })
        .with("Content-Type", "application/octet-stream")
        .with("Content-Disposition", content_disposition(&found.artifacts.filename))
        .with("Content-Transfer-Encoding", "binary")
        .with("Accept-Ranges", "bytes")
        .with("ETag", etag);
    Ok(if status == 206 {
        response.with("Content-Range", format!("bytes {start}-{}/{size}", start + bytes - 1))
    } else {
        response
    })
}
