//! Receives an upload: `multipart/form-data` with a part `file`, maybe one `metadata`, and fields around them.
//!
//! What must stay true: the right to upload is judged before a byte of a file is read, by the query string and the header,
//! or by fields that stand before the file. Parameters may follow the file, so that what they ask for is decided when the
//! body has ended. What is received and not kept goes.

use super::token::Keys;
use crate::api::{Api, disk_full};
use crate::artifacts::Received;
use crate::coordinator::Coordinator;
use crate::domain::build::BuildId;
use crate::domain::filename::artifacts_filename;
use crate::domain::time::Timestamp;
use crate::domain::token::Shown;
use crate::error::{Error, Kind, Result};
use crate::http::budget::Reserved;
use crate::http::multipart::{PartHead, PartLimits, boundary, for_each_part};
use crate::http::params::{
    Allowance, Field, Given, Metered, Name, Params, Sink, body_error, multipart_error, parts_error,
};
use crate::http::{Answer, Request, Response};
use serde_json::json;
use std::io::{self, Read};
use std::time::Instant;

/// What a multipart body may have around its file: more than that over the limit is refused unread.
const FORM_SLACK_BYTES: u64 = 1 << 20;

/// A protocol's words for uploads.
pub struct UploadWords {
    /// The words for tokens.
    pub keys: Keys,
    /// The parameters, the token among them.
    pub fields: &'static [Field],
}

/// An upload that was received whole.
pub struct Uploaded {
    /// Who sent it: one who may upload.
    pub shown: Shown,
    /// All parameters, wherever they stood.
    pub params: Params,
    /// The file.
    pub file: Received,
    /// What the client calls it, made safe.
    pub filename: String,
    /// The optional second file.
    pub metadata: Option<Received>,
    /// The right to a transfer, until the upload is kept.
    _transfer: Option<Reserved>,
}

/// Says whether a build may upload now, to a request whose parameters these are, `filesize` among them. Without GitLab's
/// `TempPath`: where the server keeps its files is nobody's business, and nobody writes there.
///
/// # Errors
/// As [`Coordinator::authorize_upload`]; [`Kind::Invalid`] for a size that is none.
pub fn authorize(api: &Api, id: BuildId, shown: &Shown, params: &Params, now: Timestamp) -> Result<Response> {
    let filesize = match params.text("filesize") {
        Some(text) => Some(text.trim().parse().map_err(|_| Error::invalid("filesize must be a number of bytes"))?),
        None => None,
    };
    api.coordinator.authorize_upload(id, shown, filesize, now)?;
    let body = json!({ "MaximumSize": api.coordinator.limits().artifacts_bytes_max });
    let mut response = Response::json(200, &body);
    response.headers = vec![("Content-Type", "application/vnd.gitlab-workhorse+json".to_owned())];
    Ok(response)
}

/// RFC 4918 has a word for a disk without room, which is known for uploads; elsewhere it is 503.
///
/// # Errors
/// Those of `response`, but for [`Kind::DiskFull`].
pub fn answer(response: Result<Response>) -> Result<Answer> {
    match response {
        Err(error) if error.kind == Kind::DiskFull => Ok(disk_full(507, &error).into()),
        response => Ok(response?.into()),
    }
}

/// Receives the upload of a build.
///
/// # Errors
/// As [`Coordinator::authorize_upload`]; [`Kind::Invalid`], [`Kind::TooLarge`], [`Kind::TooSlow`] for the body.
pub fn receive(
    api: &Api,
    request: &mut Request<'_>,
    id: BuildId,
    words: &UploadWords,
    now: Timestamp,
) -> Result<Uploaded> {
    let mut params = Params::of_query(request, words.fields)?;
    let limits = api.coordinator.limits();
    let authorize = |shown: &Shown, bytes| api.coordinator.authorize_upload(id, shown, bytes, now);
    let keys = words.keys;
    let header = keys.in_header(request);
    let shown = keys.chosen(&params, header.as_ref());
    if shown.token.is_some() {
        let declared = request.body_bytes.filter(|_| is_multipart(request));
        authorize(&shown, declared.filter(|bytes| *bytes > limits.artifacts_bytes_max + FORM_SLACK_BYTES))?;
        request.stranger = None;
    }
    if !is_multipart(request) {
        let params = Params::of_request(request, words.fields, limits.form_bytes_max)?;
        authorize(&keys.chosen(&params, header.as_ref()), None)?;
        return Err(Error::invalid("the upload needs a file: multipart/form-data with a part `file`"));
    }
    let content_type = request.headers.get("Content-Type").unwrap_or_default();
    let boundary = boundary(content_type).transpose().map_err(multipart_error)?.unwrap_or_default();
    let (mut transfer, mut parts) = (None, Parts::default());
    let fields = Allowance::new(limits.form_bytes_max);
    let stranger = &mut request.stranger;
    let mut each = |head: PartHead, data: &mut dyn Read| -> Result<()> {
        let bytes_below = match (head.is_file, head.name.as_str()) {
            (true, "file") => limits.artifacts_bytes_max,
            (true, "metadata") => limits.metadata_bytes_max,
            (true, _) => return Ok(()),
            (false, name) => return take_field(&mut params, name, data, &fields),
        };
        authorize(&keys.chosen(&params, header.as_ref()), None)?;
        *stranger = None;
        if transfer.is_none() {
            transfer = Some(api.transfers.reserve(1)?);
        }
        let mut data = Lively { data, coordinator: &api.coordinator, id, noted: Instant::now() };
        parts.receive(&api.coordinator, id, &head, &mut data, bytes_below)
    };
    for_each_part(&mut *request.body, &boundary, &PartLimits::default(), &mut each).map_err(parts_error)?;
    let shown = keys.chosen(&params, header.as_ref());
    authorize(&shown, None)?;
    let Some((file, filename)) = parts.file else {
        return Err(Error::invalid("the upload has no part `file` with a file"));
    };
    Ok(Uploaded { shown, params, file, filename, metadata: parts.metadata, _transfer: transfer })
}

/// Takes a field of an upload. `fields` holds for all of them together, known or not.
fn take_field(params: &mut Params, name: &str, data: &mut dyn Read, fields: &Allowance) -> Result<()> {
    let mut data = Metered { body: data, allowance: fields };
    params.take(Name::parse(name), Given::Text { data: &mut data, lossy: false })?;
    io::copy(&mut data, &mut io::sink()).map(drop).map_err(body_error)
}

fn is_multipart(request: &Request<'_>) -> bool {
    request.headers.get("Content-Type").is_some_and(|value| boundary(value).is_some())
}

/// An upload that takes longer than the runner timeout must not lose its build meanwhile.
struct Lively<'a> {
    data: &'a mut dyn Read,
    coordinator: &'a Coordinator,
    id: BuildId,
    noted: Instant,
}

impl Read for Lively<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.noted.elapsed() >= self.coordinator.limits().seen_step() {
            self.noted = Instant::now();
            self.coordinator.note_upload(self.id, Timestamp::now()).map_err(io::Error::other)?;
        }
        self.data.read(buffer)
    }
}

/// The files of an upload, as they come.
#[derive(Default)]
struct Parts {
    file: Option<(Received, String)>,
    metadata: Option<Received>,
}

impl Parts {
    fn receive(
        &mut self,
        coordinator: &Coordinator,
        id: BuildId,
        head: &PartHead,
        data: &mut dyn Read,
        bytes_below: u64,
    ) -> Result<()> {
        let received = coordinator.receive_file(id, data, body_error, bytes_below, Timestamp::now())?;
        let twice = if head.name == "file" {
            let filename = artifacts_filename(head.filename.as_deref());
            self.file.replace((received, filename)).is_some()
        } else {
            self.metadata.replace(received).is_some()
        };
        if twice { Err(Error::invalid(format!("the upload has two parts `{}`", head.name))) } else { Ok(()) }
    }
}
