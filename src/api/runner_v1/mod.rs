//! GitLab's Builds API, version 1, as GitLab 8.0 to 9.5 spoke it with runners 1.x.
//!
//! Statuses and headers matter more than bodies: runners 1.x read bodies of the two 201 of `register` only.
//! What is absent on purpose: Workhorse's side of uploads (`file.path` parameters would let a client name a
//! file of the server), and triggers.

mod claim;
mod payload;
mod report;
mod user_agent;

use self::claim::{info, register_build};
use self::payload::Job;
use self::report::read_report;
use super::{Api, Handler, answer, answer_to, disk_full, look_up, on, refuse_encoded};
use crate::coordinator::{Coordinator, Patched, Report, Updated, Upload};
use crate::domain::build::BuildId;
use crate::domain::filename::artifacts_filename;
use crate::domain::runner::{RunnerId, RunnerInfo};
use crate::domain::tags::Tags;
use crate::domain::time::Timestamp;
use crate::domain::token::{Token, hex};
use crate::error::{Error, Kind, Result};
use crate::http::headers::content_range::ContentRange;
use crate::http::headers::disposition::content_disposition;
use crate::http::headers::range::{ByteRange, resolve};
use crate::http::multipart::{PartHead, PartLimits, boundary, for_each_part};
use crate::http::params::{
    Allowance, Field, Given, KEPT_BYTES_MAX, Metered, Name, Params, Shape, Sink, body_error, multipart_error,
    parts_error, read_body, text,
};
use crate::http::router::{Endpoint, Found, find};
use crate::http::{Answer, Body, Method, Request, Response};
use crate::store::runners::NewRunner;
use serde_json::{Value, json};
use std::borrow::Cow;
use std::io::{self, Read, Seek, SeekFrom};
use std::sync::Arc;
use std::time::Instant;

/// The token, which every endpoint takes.
pub const TOKEN: Field = text("token");
/// What a runner says of itself.
pub const INFO: Field = Field { name: "info", shape: Shape::Object(&RunnerInfo::FIELDS) };
const TOKEN_ONLY: &[Field] = &[TOKEN];
const AUTHORIZE_FIELDS: &[Field] = &[TOKEN, text("filesize")];
const UPLOAD_FIELDS: &[Field] = &[TOKEN, text("expire_in")];
const RUNNER_FIELDS: &[Field] = &[
    TOKEN,
    text("description"),
    Field { name: "tag_list", shape: Shape::Words },
    Field { name: "run_untagged", shape: Shape::Flag },
    Field { name: "locked", shape: Shape::Flag },
    INFO,
];

/// The endpoints, below either prefix.
pub const ENDPOINTS: [Endpoint<Handler>; 9] = [
    on(Method::Post, "builds/register", |api, request, _, now| Ok(register_build(api, request, now))),
    on(Method::Put, "builds/:id", |api, request, ids, now| update_build(api, request, build(ids)?, now)),
    on(Method::Patch, "builds/:id/trace.txt", |api, request, ids, now| append_trace(api, request, build(ids)?, now)),
    on(Method::Get, "builds/:id/artifacts", |api, request, ids, now| {
        Ok(download(api, request, build(ids)?, now)?.into())
    }),
    on(Method::Post, "builds/:id/artifacts", |api, request, ids, now| {
        match upload(api, request, build(ids)?, now) {
            // RFC 4918's word for a disk without room; everywhere else 503, which old runners bear.
            Err(error) if error.kind == Kind::DiskFull => Ok(disk_full(507, &error).into()),
            answer => Ok(answer?.into()),
        }
    }),
    on(Method::Delete, "builds/:id/artifacts", |api, request, ids, now| {
        Ok(delete_artifacts(api, request, build(ids)?, now)?.into())
    }),
    on(Method::Post, "builds/:id/artifacts/authorize", |api, request, ids, now| {
        Ok(authorize(api, request, build(ids)?, now)?.into())
    }),
    on(Method::Post, "runners/register", |api, request, _, now| Ok(register_runner(api, request, now)?.into())),
    on(Method::Delete, "runners/delete", |api, request, _, now| Ok(delete_runner(api, request, now)?.into())),
];

/// The build that the path names.
fn build(ids: &[i64]) -> Result<BuildId> {
    ids.first().map(|id| BuildId(*id)).ok_or_else(|| Error::not_found(""))
}

/// A path below the prefix as the table has it: any may end in `.json`, and that of a trace may lack its `.txt`. Ids may
/// be negative: runners verify themselves with -1.
fn as_in_table(path: &str) -> Cow<'_, str> {
    let path = path.strip_suffix(".json").unwrap_or(path);
    if path.ends_with("/trace") { format!("{path}.txt").into() } else { path.into() }
}

/// Whether there is an endpoint at the path of these segments below the prefix.
pub fn is_endpoint(segments: &[&str]) -> bool {
    !matches!(find(&ENDPOINTS, Method::Other, &as_in_table(&segments.join("/"))), Found::Nothing)
}

/// Whether a path ends in one of an endpoint. Only as many segments are looked at as an endpoint can have: a stranger's
/// path may have thousands.
pub fn ends_in_endpoint(segments: &[&str]) -> bool {
    let most = ENDPOINTS.iter().map(|endpoint| endpoint.pattern.split('/').count()).max().unwrap_or(0);
    let begin = segments.len().saturating_sub(most);
    (begin..segments.len()).any(|from| is_endpoint(segments.get(from..).unwrap_or_default()))
}

/// Answers a request to a path below the prefix.
pub fn handle(api: &Api, request: &mut Request<'_>, path: &str) -> Answer {
    let found = look_up(&ENDPOINTS, request, &as_in_table(path));
    if let Found::Endpoint(_, ids) | Found::OtherMethods(_, _, ids) = &found {
        ids.iter().for_each(|id| request.note.set_id("build", *id));
    }
    match (found, refuse_encoded(request)) {
        (Found::Nothing, _) => api.elsewhere.answer(request).into(),
        (_, Some(refusal)) => refusal.into(),
        (found, None) => answer(api, request, found),
    }
}

/// The token: the parameter wins over the header (protocol 7).
pub fn token(params: &Params, header: Option<&Token>) -> Option<Token> {
    match params.text("token") {
        Some(text) => Token::received(text),
        None => header.cloned(),
    }
}

/// The token of a request whose parameters these are.
pub fn token_of(params: &Params, request: &Request<'_>) -> Option<Token> {
    token(params, request.headers.get("BUILD-TOKEN").and_then(Token::received).as_ref())
}

/// Protocol 1.2.
fn update_build(api: &Api, request: &mut Request<'_>, id: BuildId, now: Timestamp) -> Result<Answer> {
    let mut sent = read_report(api, request, id)?;
    let (token, trace) = (sent.token.take(), sent.trace.take());
    let report = Report { id, token, state: sent.state.take(), trace, now };
    let coordinator = Arc::clone(&api.coordinator);
    Ok(answer_to(coordinator.try_update(&report)?, move |updated| {
        // Lives as long as the report: its memory is reserved.
        let _sent = sent;
        let updated = match updated? {
            Some(updated) => updated,
            None => coordinator.update_build(&report)?,
        };
        Ok(match updated {
            Updated::Accepted(runner) => to_runner(Response::json(200, &Value::Bool(true)), runner),
            Updated::Gone(runner) => to_runner(Response::error(404, ""), runner),
            Updated::Refused(error) => return Err(error),
            Updated::TraceTooLarge => refused("the trace is too large"),
        }
        .into())
    }))
}

/// Protocol 1.3. The body is never read as parameters, whatever its type says.
fn append_trace(api: &Api, request: &mut Request<'_>, id: BuildId, now: Timestamp) -> Result<Answer> {
    let token = token_of(&Params::of_query(request, TOKEN_ONLY)?, request);
    // A number that does not fit the database is at no trace's end.
    let range = request.headers.get("Content-Range").map(ContentRange::parse);
    if range == Some(None) {
        // Who may not know is told nothing, also of this.
        api.coordinator.append_trace(id, token, None, Vec::new(), now)?.wait()?;
        return Err(Error::invalid("Content-Range must be START-END"));
    }
    let limits = api.coordinator.limits();
    let (mut memory, mut runs) = (None, true);
    if request.body_bytes.is_none_or(|bytes| bytes > KEPT_BYTES_MAX) {
        runs = api.coordinator.authorize_patch(id, token.as_ref())?;
        request.stranger = None;
        let bytes = request.body_bytes.unwrap_or(limits.trace_patch_bytes_max);
        memory = Some(api.bodies.reserve(bytes.min(limits.trace_patch_bytes_max))?);
    }
    // What cannot be appended to is not worth the reading: the deed says why.
    let data = if runs { read_body(request, limits.trace_patch_bytes_max)? } else { Vec::new() };
    let deed = api.coordinator.append_trace(id, token, range.flatten(), data, now)?;
    Ok(answer_to(deed, move |patched| {
        drop(memory);
        Ok(patch_response(patched?)?.into())
    }))
}

fn patch_response(patched: Patched) -> Result<Response> {
    Ok(match patched {
        Patched::Stored { status, size, runner } => {
            let response = Response::new(202, Body::Bytes(format!("0-{size}").into_bytes()))
                .with("Content-Type", "text/plain")
                .with("Build-Status", status.as_str())
                .with("Range", format!("0-{size}"));
            to_runner(response, runner)
        }
        // The header must be there and have a `-`: without it runners crash (protocol 4.3).
        Patched::Elsewhere { size } => Response::error(416, "").with("Range", format!("0-{size}")),
        Patched::Refused(error) => return Err(error),
        Patched::NotRunning { status, runner } => {
            to_runner(refused("Build is not running!").with("Build-Status", status.as_str()), runner)
        }
    })
}

/// For a reason that the holder of a valid token may know.
fn refused(why: &str) -> Response {
    Response::error(403, why).because(why)
}

/// The response, noted as this runner's.
pub fn to_runner(response: Response, runner: Option<RunnerId>) -> Response {
    match runner {
        Some(id) => response.with_id("runner", id.0),
        None => response,
    }
}

/// Protocol 1.4.
fn authorize(api: &Api, request: &mut Request<'_>, id: BuildId, now: Timestamp) -> Result<Response> {
    let params = Params::of_request(request, AUTHORIZE_FIELDS, api.coordinator.limits().form_bytes_max)?;
    let filesize = match params.text("filesize") {
        Some(text) => Some(text.trim().parse().map_err(|_| Error::invalid("filesize must be a number of bytes"))?),
        None => None,
    };
    api.coordinator.authorize_upload(id, token_of(&params, request).as_ref(), filesize, now)?;
    // Without GitLab's `TempPath`: where the server keeps its files is nobody's business, and nobody writes there.
    let body = json!({ "MaximumSize": api.coordinator.limits().artifacts_bytes_max });
    let mut response = Response::json(200, &body);
    response.headers = vec![("Content-Type", "application/vnd.gitlab-workhorse+json".to_owned())];
    Ok(response)
}

/// Protocol 1.5. The right to upload is judged before a byte of a file is read: by the query string and the
/// header, or by fields that stand before the file.
fn upload(api: &Api, request: &mut Request<'_>, id: BuildId, now: Timestamp) -> Result<Response> {
    let mut params = Params::of_query(request, UPLOAD_FIELDS)?;
    let limits = api.coordinator.limits();
    if let Some(token) = token_of(&params, request) {
        let declared = request.body_bytes.filter(|_| is_multipart(request));
        let oversized = declared.filter(|bytes| *bytes > limits.artifacts_bytes_max + FORM_SLACK_BYTES);
        api.coordinator.authorize_upload(id, Some(&token), oversized, now)?;
        request.stranger = None;
    }
    if !is_multipart(request) {
        let params = Params::of_request(request, UPLOAD_FIELDS, limits.form_bytes_max)?;
        api.coordinator.authorize_upload(id, token_of(&params, request).as_ref(), None, now)?;
        return Err(Error::invalid("the upload needs a file: multipart/form-data with a part `file`"));
    }
    let content_type = request.headers.get("Content-Type").unwrap_or_default();
    let boundary = boundary(content_type).transpose().map_err(multipart_error)?.unwrap_or_default();
    let header_token = request.headers.get("BUILD-TOKEN").and_then(Token::received);
    let mut transfer = None;
    let mut received = Parts::default();
    let fields = Allowance::new(limits.form_bytes_max);
    let stranger = &mut request.stranger;
    let mut each = |head: PartHead, data: &mut dyn Read| -> Result<()> {
        let bytes_below = match (head.is_file, head.name.as_str()) {
            (true, "file") => limits.artifacts_bytes_max,
            (true, "metadata") => limits.metadata_bytes_max,
            (true, _) => return Ok(()),
            (false, name) => return take_field(&mut params, name, data, &fields),
        };
        api.coordinator.authorize_upload(id, token(&params, header_token.as_ref()).as_ref(), None, now)?;
        *stranger = None;
        if transfer.is_none() {
            transfer = Some(api.transfers.reserve(1)?);
        }
        let mut data = Lively { data, coordinator: &api.coordinator, id, noted: Instant::now() };
        received.receive(&api.coordinator, id, &head, &mut data, bytes_below)
    };
    for_each_part(&mut *request.body, &boundary, &PartLimits::default(), &mut each).map_err(parts_error)?;
    let token = token(&params, header_token.as_ref());
    api.coordinator.authorize_upload(id, token.as_ref(), None, now)?;
    let Some((file, filename)) = received.file else {
        return Err(Error::invalid("the upload has no part `file` with a file"));
    };
    let upload = Upload {
        file,
        filename,
        metadata: received.metadata,
        expire_in: params.text("expire_in").map(ToOwned::to_owned),
    };
    let assigned = api.coordinator.put_artifacts(id, token, upload, now)?;
    Ok(to_runner(Response::json(201, &Job::of(&assigned)), assigned.runner.as_ref().map(|runner| runner.id)))
}

/// Takes a field of an upload. `fields` holds for all of them together, known or not.
fn take_field(params: &mut Params, name: &str, data: &mut dyn Read, fields: &Allowance) -> Result<()> {
    let mut data = Metered { body: data, allowance: fields };
    params.take(Name::parse(name), Given::Text { data: &mut data, lossy: false })?;
    io::copy(&mut data, &mut io::sink()).map(drop).map_err(body_error)
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

/// What a multipart body may have around its file: more than that over the limit is refused unread.
const FORM_SLACK_BYTES: u64 = 1 << 20;

fn is_multipart(request: &Request<'_>) -> bool {
    request.headers.get("Content-Type").is_some_and(|value| boundary(value).is_some())
}

/// The files of an upload, as they come.
#[derive(Default)]
struct Parts {
    file: Option<(crate::artifacts::Received, String)>,
    metadata: Option<crate::artifacts::Received>,
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
        let reserve = coordinator.limits().disk_reserve_bytes;
        let received = coordinator.artifacts().receive(id, data, body_error, bytes_below, reserve)?;
        let twice = if head.name == "file" {
            let filename = artifacts_filename(head.filename.as_deref());
            self.file.replace((received, filename)).is_some()
        } else {
            self.metadata.replace(received).is_some()
        };
        if twice { Err(Error::invalid(format!("the upload has two parts `{}`", head.name))) } else { Ok(()) }
    }
}

/// Protocol 1.6, with ranges and validators of RFC 9110.
fn download(api: &Api, request: &mut Request<'_>, id: BuildId, now: Timestamp) -> Result<Response> {
    let params = Params::of_request(request, TOKEN_ONLY, api.coordinator.limits().form_bytes_max)?;
    let mut found = api.coordinator.get_artifacts(id, token_of(&params, request).as_ref(), now)?;
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

/// Protocol 1.7.
fn delete_artifacts(api: &Api, request: &mut Request<'_>, id: BuildId, now: Timestamp) -> Result<Response> {
    let params = Params::of_request(request, TOKEN_ONLY, api.coordinator.limits().form_bytes_max)?;
    api.coordinator.delete_artifacts(id, token_of(&params, request), now)?;
    Ok(Response::json(200, &Value::Bool(true)))
}

/// Protocol 1.8.
fn register_runner(api: &Api, request: &mut Request<'_>, now: Timestamp) -> Result<Response> {
    let params = Params::of_request(request, RUNNER_FIELDS, api.coordinator.limits().form_bytes_max)?;
    let Some(token) = token_of(&params, request) else {
        return Err(Error::invalid("\"token\" is missing"));
    };
    let tags = match params.list("tag_list") {
        Some(words) => Tags::new(words),
        None => Tags::from_list(params.text("tag_list").unwrap_or_default()),
    }
    .map_err(Error::invalid)?;
    let new = NewRunner {
        description: params.text("description").unwrap_or_default().to_owned(),
        tags,
        run_untagged: params.flag("run_untagged").unwrap_or(true),
        locked: params.flag("locked").unwrap_or(false),
        project: None,
        info: info(&params),
    };
    let made = api.coordinator.register_runner(Some(token), new, now)?;
    let response = Response::json(201, &json!({ "id": made.id, "token": made.token.reveal() }));
    Ok(to_runner(response, Some(made.id)))
}

/// Protocol 1.8. The client needs exactly 200.
fn delete_runner(api: &Api, request: &mut Request<'_>, now: Timestamp) -> Result<Response> {
    let params = Params::of_request(request, TOKEN_ONLY, api.coordinator.limits().form_bytes_max)?;
    let Some(token) = token_of(&params, request) else {
        return Err(Error::invalid("\"token\" is missing"));
    };
    let id = api.coordinator.unregister_runner(Some(&token), now)?;
    Ok(to_runner(Response::json(200, &json!({ "id": id })), Some(id)))
}
