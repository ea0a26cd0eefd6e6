//! Bytes as they are: logs, archives, and single files of archives.
//!
//! What must stay true: nothing of it is run or shown as a page of this server: a log is text in a sandbox, a file of a
//! build is for the disk. What is sent is bounded in number, and breaks off rather than being another than was said.

use super::turn::in_turn;
use super::{Visit, Web, job};
use crate::coordinator::{ArchiveFile, LogBegin, OrSoon};
use crate::domain::build::BuildId;
use crate::domain::token::hex;
use crate::error::{Error, Result};
use crate::http::headers::disposition::content_disposition;
use crate::http::headers::range::{Slice, unsatisfiable};
use crate::http::headers::validators::is_known;
use crate::http::router::Places;
use crate::http::{Answer, Body, Response};
use percent_encoding::percent_decode_str;
use std::io::{Read, Seek, SeekFrom};

/// Parts up to this many bytes are sent with their length.
const WHOLE_BYTES_MAX: u64 = 1 << 20;

/// What a browser may do with it: nothing.
const POLICY: &str = "default-src 'none'; sandbox";

fn headers(response: Response, kind: &str) -> Response {
    response
        .with("Content-Type", kind)
        .with("X-Content-Type-Options", "nosniff")
        .with("Content-Security-Policy", POLICY)
        .with("Referrer-Policy", "same-origin")
        .with("Vary", "Cookie")
}

/// What is read from there, of so many bytes, if that is known.
fn body(web: &Web, from: impl Read + Send + 'static, bytes: Option<u64>) -> Result<Body> {
    Body::read(Box::new(from), bytes, WHOLE_BYTES_MAX, || web.transfers.reserve(1))
}

fn text(response: Response) -> Response {
    headers(response, "text/plain; charset=utf-8").with("Content-Disposition", "inline")
}

/// The bytes of one line of a log.
fn one_line(web: &Web, id: BuildId, line: u64) -> Result<OrSoon<Response>> {
    let part = match web.coordinator.log_part(id, LogBegin::Lines(line, line), 1, "")? {
        OrSoon::There(part) => part,
        OrSoon::Soon(soon) => return Ok(OrSoon::Soon(soon)),
    };
    let log = web.coordinator.log_bytes(id)?;
    if part.stand.number != log.number() {
        return Err(Error::not_found("another log has taken the place of that one"));
    }
    let (from, to) = (part.piece.offset, part.piece.next.offset);
    Ok(OrSoon::There(text(Response::new(200, body(web, log.read(from, to), to.checked_sub(from))?))))
}

/// `GET /PROJECT/-/jobs/:id/raw`: the bytes of the log; with `plain=1` its text; with `line=N` that line alone.
pub fn log(visit: &mut Visit<'_, '_>) -> Result<Answer> {
    let (web, asked, (id, _)) = (visit.web, visit.asked, job::own(visit)?);
    let line = asked.parameter("line").map(|line| line.parse().map_err(|_| Error::invalid("line is a number")));
    if let Some(line) = line.transpose()? {
        return in_turn(web, asked, move |web, _, _| one_line(web, id, line));
    }
    let log = web.coordinator.log_bytes(id)?;
    let (size, is_plain) = (log.size(), asked.parameter("plain").is_some());
    let etag = format!("\"{}-{size}{}\"", log.number(), if is_plain { "-plain" } else { "" });
    if is_known(visit.request, &etag) {
        return Ok(text(Response::empty(304)).with("ETag", etag).into());
    }
    if is_plain {
        let body = body(web, log.read_plain(), None)?;
        return Ok(text(Response::new(200, body)).with("ETag", etag).into());
    }
    let slice = match Slice::asked(visit.request, Some(&etag), size) {
        Ok(slice) => slice,
        Err(size) => return Ok(unsatisfiable(size).into()),
    };
    let body = body(web, log.read(slice.start, slice.start + slice.bytes), Some(slice.bytes))?;
    let response = text(Response::new(slice.status(), body)).with("Cache-Control", "private, no-cache");
    Ok(slice.told(response.with("ETag", etag)).into())
}

/// The path in an archive that an address names.
pub fn path(places: &Places<'_>) -> Result<String> {
    let sent = places.texts.first().copied().unwrap_or_default();
    let path = percent_decode_str(sent).decode_utf8();
    path.map(std::borrow::Cow::into_owned).map_err(|_| Error::invalid("the path is no UTF-8"))
}

/// The kind of a picture, by its name; others are bytes. SVG is a picture where a page asks for one, and never a page.
pub fn picture(name: &str) -> Option<&'static str> {
    let ending = name.rsplit_once('.')?.1.to_ascii_lowercase();
    let kinds =
        [("png", "png"), ("jpg", "jpeg"), ("jpeg", "jpeg"), ("gif", "gif"), ("webp", "webp"), ("svg", "svg+xml")];
    let known = kinds.iter().find(|(own, _)| *own == ending)?.1;
    Some(match known {
        "png" => "image/png",
        "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "webp" => "image/webp",
        _ => "image/svg+xml",
    })
}

/// `GET /PROJECT/-/jobs/:id/artifacts/raw/*path`: one file out of the archive, for the disk.
pub fn file(visit: &mut Visit<'_, '_>) -> Result<Answer> {
    let (web, (id, _)) = (visit.web, job::own(visit)?);
    let ArchiveFile { name, size, artifacts, read, .. } =
        web.coordinator.archive_file(id, &path(visit.places)?, visit.now)?;
    let etag = format!("\"{}\"", hex(&artifacts.sha256));
    let kind = picture(&name).unwrap_or("application/octet-stream");
    let response =
        if is_known(visit.request, &etag) { Response::empty(304) } else { Response::new(200, body(web, read, size)?) };
    let response = headers(response, kind).with("Content-Disposition", content_disposition(&name));
    Ok(response.with("ETag", etag).with("Cache-Control", "private, no-cache").into())
}

/// `GET /PROJECT/-/jobs/:id/artifacts/download`: the archive.
pub fn archive(visit: &mut Visit<'_, '_>) -> Result<Answer> {
    let (web, (id, _)) = (visit.web, job::own(visit)?);
    let kind = crate::domain::spec::ArtifactKind::archive();
    let mut found = web.coordinator.operator_artifacts(id, &kind, visit.now)?;
    let (size, etag) = (found.artifacts.size, format!("\"{}\"", hex(&found.artifacts.sha256)));
    let name = content_disposition(&found.artifacts.filename);
    let whole = |response: Response| {
        let response = headers(response, "application/octet-stream").with("Content-Disposition", name.clone());
        response.with("ETag", etag.clone()).with("Cache-Control", "private, no-cache")
    };
    if is_known(visit.request, &etag) {
        return Ok(whole(Response::empty(304)).with("Accept-Ranges", "bytes").into());
    }
    let slice = match Slice::asked(visit.request, Some(&etag), size) {
        Ok(slice) => slice,
        Err(size) => return Ok(unsatisfiable(size).into()),
    };
    found.file.seek(SeekFrom::Start(slice.start))?;
    let body = Body::File { file: found.file, bytes: slice.bytes, transfer: web.transfers.reserve(1)? };
    Ok(slice.told(whole(Response::new(slice.status(), body))).into())
}
