//! Parameters as they are read: of a query string, and of a body in whichever encoding.

use super::allowance::{Allowance, Metered, body_error};
use super::{Given, Name, Sink, form, json};
use crate::error::{Error, Kind, Result};
use crate::http::message::{Headers, Request};
use crate::http::multipart::{self, MultipartError, PartLimits, PartsError};
use std::io::{BufRead, BufReader, Read};

/// Bytes of a body that are read at a time.
const PIECE_BYTES: u64 = 32 << 10;

/// Hands the query string's and the body's parameters to `sink`, as [`super::Params::of_request`] takes them.
///
/// # Errors
/// As [`super::Params::of_request`]; what the sink says.
pub fn read_all(request: &mut Request<'_>, bytes_max: u64, sink: &mut dyn Sink) -> Result<()> {
    let allowance = Allowance::new(bytes_max);
    allowance.admit(request.body_bytes)?;
    read_query(request, sink)?;
    read_params(request, &allowance, sink)
}

/// Whether a request says that its body is JSON.
#[must_use]
pub fn is_json(request: &Request<'_>) -> bool {
    is_json_type(&media_type(&request.headers))
}

fn media_type(headers: &Headers) -> String {
    let content_type = headers.get("Content-Type").unwrap_or_default();
    content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

fn is_json_type(media_type: &str) -> bool {
    media_type == "application/json" || media_type.ends_with("+json")
}

/// Hands the query string's parameters to `sink`.
///
/// # Errors
/// [`Kind::TooLarge`] for too many; what the sink says.
pub fn read_query(request: &Request<'_>, sink: &mut dyn Sink) -> Result<()> {
    form::read(&mut request.query.as_bytes(), sink)
}

/// Hands the body's parameters to `sink`, in whichever encoding. Files in a multipart body are passed over.
///
/// # Errors
/// [`Kind::Invalid`] for a body that its type does not fit, [`Kind::TooLarge`] beyond the allowance and for too many
/// parameters; what the reader and the sink say.
pub fn read_params(request: &mut Request<'_>, allowance: &Allowance, sink: &mut dyn Sink) -> Result<()> {
    read_declared(&request.headers, &mut *request.body, request.body_bytes, allowance, sink)
}

/// The same of a body that these headers declare, with this many bytes, if they say so.
///
/// # Errors
/// As [`read_params`].
pub fn read_declared(
    headers: &Headers,
    body: &mut dyn Read,
    body_bytes: Option<u64>,
    allowance: &Allowance,
    sink: &mut dyn Sink,
) -> Result<()> {
    if body_bytes == Some(0) {
        return Ok(());
    }
    let content_type = headers.get("Content-Type").unwrap_or_default();
    let mut body = Metered { body, allowance };
    if let Some(boundary) = multipart::boundary(content_type) {
        return read_multipart(&mut body, &boundary.map_err(multipart_error)?, sink);
    }
    let piece_bytes = body_bytes.unwrap_or(PIECE_BYTES).min(PIECE_BYTES);
    let mut body = BufReader::with_capacity(usize::try_from(piece_bytes).unwrap_or(0), body);
    let media_type = media_type(headers);
    let begins_object = |body: &mut BufReader<_>| body.fill_buf().map(|held| held.first() == Some(&b'{'));
    if is_json_type(&media_type) || (media_type.is_empty() && begins_object(&mut body).map_err(body_error)?) {
        json::read(&mut body, sink)
    } else {
        form::read(&mut body, sink)
    }
}

fn read_multipart(body: &mut dyn Read, boundary: &str, sink: &mut dyn Sink) -> Result<()> {
    multipart::for_each_part(body, boundary, &PartLimits::default(), |head, data| {
        if !head.is_file {
            sink.take(Name::parse(&head.name), Given::Text { data, lossy: false })?;
        }
        Ok(())
    })
    .map_err(parts_error)
}

/// A multipart body's fault as ours.
pub fn multipart_error(error: MultipartError) -> Error {
    match error {
        MultipartError::Io(error) => body_error(error),
        MultipartError::OverLimit(_) => Error::new(Kind::TooLarge, error.to_string()),
        MultipartError::Boundary(_) | MultipartError::Malformed(_) | MultipartError::Truncated => {
            Error::invalid(error.to_string())
        }
    }
}

/// Whatever ended [`multipart::for_each_part`], as ours.
pub fn parts_error(error: PartsError<Error>) -> Error {
    match error {
        PartsError::Each(error) => error,
        PartsError::Body(error) => multipart_error(error),
    }
}
