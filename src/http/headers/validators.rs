//! Headers that say which version of a file a client has (RFC 9110, 13.1).

use crate::http::message::Request;

/// Whether the client has the version with this tag: then 304 is enough.
#[must_use]
pub fn is_known(request: &Request<'_>, etag: &str) -> bool {
    let known = request.headers.get("If-None-Match").unwrap_or_default();
    known.split(',').any(|tag| tag.trim().trim_start_matches("W/") == etag || tag.trim() == "*")
}
