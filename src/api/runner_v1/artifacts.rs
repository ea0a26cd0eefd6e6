//! A build's artifacts (`docs/http.md`, Artifacts).

use super::payload::Job;
use super::{KEYS, TOKEN, TOKEN_ONLY, params, shown};
use crate::api::Api;
use crate::api::shared::upload::{self, UploadWords};
use crate::api::shared::{download, to_runner};
use crate::coordinator::Upload;
use crate::domain::build::BuildId;
use crate::domain::spec::ArtifactKind;
use crate::domain::time::Timestamp;
use crate::error::Result;
use crate::http::params::{Field, text};
use crate::http::{Request, Response};
use serde_json::Value;

const AUTHORIZE_FIELDS: &[Field] = &[TOKEN, text("filesize")];
const UPLOAD: UploadWords = UploadWords { keys: KEYS, fields: &[TOKEN, text("expire_in")] };

/// Answers `POST builds/:id/artifacts/authorize`.
///
/// # Errors
/// As [`crate::coordinator::Coordinator::authorize_upload`]; those of the parameters.
pub fn authorize(api: &Api, request: &mut Request<'_>, id: BuildId, now: Timestamp) -> Result<Response> {
    let params = params(api, request, AUTHORIZE_FIELDS)?;
    upload::authorize(api, id, &shown(&params, request), &params, now)
}

/// Answers `POST builds/:id/artifacts`.
///
/// # Errors
/// As [`upload::receive`] and [`crate::coordinator::Coordinator::put_artifacts`].
pub fn upload(api: &Api, request: &mut Request<'_>, id: BuildId, now: Timestamp) -> Result<Response> {
    let sent = upload::receive(api, request, id, &UPLOAD, now)?;
    let upload = Upload {
        kind: ArtifactKind::archive(),
        format: None,
        expire_in: sent.params.text("expire_in").map(ToOwned::to_owned),
        file: sent.file,
        filename: sent.filename,
        metadata: sent.metadata,
    };
    let assigned = api.coordinator.put_artifacts(id, sent.shown, upload, now)?;
    let job = Job::of(&assigned, api.reached.by(request).as_ref());
    Ok(to_runner(Response::json(201, &job), assigned.runner.as_ref().map(|runner| runner.id)))
}

/// Answers `GET builds/:id/artifacts`.
///
/// # Errors
/// As [`crate::coordinator::Coordinator::get_artifacts`] and [`download::send`].
pub fn download(api: &Api, request: &mut Request<'_>, id: BuildId, now: Timestamp) -> Result<Response> {
    let params = params(api, request, TOKEN_ONLY)?;
    let found = api.coordinator.get_artifacts(id, &shown(&params, request), now)?;
    download::send(api, request, found)
}

/// Answers `DELETE builds/:id/artifacts`.
///
/// # Errors
/// As [`crate::coordinator::Coordinator::delete_artifacts`].
pub fn delete(api: &Api, request: &mut Request<'_>, id: BuildId, now: Timestamp) -> Result<Response> {
    let params = params(api, request, TOKEN_ONLY)?;
    api.coordinator.delete_artifacts(id, shown(&params, request), now)?;
    Ok(Response::json(200, &Value::Bool(true)))
}
