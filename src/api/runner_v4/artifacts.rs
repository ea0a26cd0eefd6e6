//! A job's artifacts.

use super::{KEYS, TOKEN, TOKEN_ONLY, params, shown};
use crate::api::Api;
use crate::api::shared::upload::{self, UploadWords};
use crate::api::shared::{download, to_runner};
use crate::coordinator::Upload;
use crate::domain::build::BuildId;
use crate::domain::spec::{ArtifactFormat, ArtifactKind};
use crate::domain::time::Timestamp;
use crate::error::{Error, Kind, Result};
use crate::http::params::{Field, Params, text};
use crate::http::{Answer, Request, Response};
use serde_json::json;

const AUTHORIZE_FIELDS: &[Field] = &[TOKEN, text("filesize")];
const UPLOAD: UploadWords =
    UploadWords { keys: KEYS, fields: &[TOKEN, text("expire_in"), text("artifact_type"), text("artifact_format")] };

/// Answers `POST jobs/:id/artifacts/authorize`, which no runner asks.
///
/// # Errors
/// As [`crate::coordinator::Coordinator::authorize_upload`]; those of the parameters.
pub fn authorize(api: &Api, request: &mut Request<'_>, id: BuildId, now: Timestamp) -> Result<Response> {
    let params = params(api, request, AUTHORIZE_FIELDS)?;
    upload::authorize(api, id, &shown(&params, request), &params, now)
}

/// A fault of ours is 503 here: runners from 12.9 try such an upload twice as often.
///
/// # Errors
/// As [`upload::answer`].
pub fn answer_upload(response: Result<Response>) -> Result<Answer> {
    match response {
        Err(error) if matches!(error.kind, Kind::Internal | Kind::Damaged) => {
            Ok(Response::error(503, "the upload could not be stored").because(&error.message).into())
        }
        response => upload::answer(response),
    }
}

/// Answers `POST jobs/:id/artifacts`.
///
/// # Errors
/// As [`upload::receive`] and [`crate::coordinator::Coordinator::put_artifacts`].
pub fn upload(api: &Api, request: &mut Request<'_>, id: BuildId, now: Timestamp) -> Result<Response> {
    let sent = upload::receive(api, request, id, &UPLOAD, now)?;
    let upload = Upload {
        kind: kind(&sent.params)?,
        format: format(&sent.params)?,
        expire_in: sent.params.text("expire_in").map(ToOwned::to_owned),
        file: sent.file,
        filename: sent.filename,
        metadata: sent.metadata,
    };
    let assigned = api.coordinator.put_artifacts(id, sent.shown, upload, now)?;
    let runner = assigned.runner.as_ref().map(|runner| runner.id);
    Ok(to_runner(Response::json(201, &json!({ "id": id })), runner))
}

/// What is uploaded. Who says nothing means the archive.
fn kind(params: &Params) -> Result<ArtifactKind> {
    let said = params.text("artifact_type").filter(|text| !text.is_empty());
    said.map_or_else(|| Ok(ArtifactKind::archive()), |text| ArtifactKind::parse(text).map_err(Error::invalid))
}

/// How it is packed, if that is said.
fn format(params: &Params) -> Result<Option<ArtifactFormat>> {
    let Some(text) = params.text("artifact_format").filter(|text| !text.is_empty()) else { return Ok(None) };
    let format = ArtifactFormat::parse(text);
    format.map(Some).ok_or_else(|| Error::invalid("artifact_format must be zip, gzip or raw"))
}

/// Answers `GET jobs/:id/artifacts`: the archive's bytes.
///
/// # Errors
/// As [`crate::coordinator::Coordinator::get_artifacts`] and [`download::send`].
pub fn download(api: &Api, request: &mut Request<'_>, id: BuildId, now: Timestamp) -> Result<Response> {
    let params = params(api, request, TOKEN_ONLY)?;
    let found = api.coordinator.get_artifacts(id, &shown(&params, request), now)?;
    download::send(api, request, found)
}
