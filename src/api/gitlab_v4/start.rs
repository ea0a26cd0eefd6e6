//! Starting pipelines of what a project's repository has: by an access token, or by one that can do nothing else.
//!
//! What must stay true: whoever shows no token that starts pipelines of a project does not learn whether there is such a
//! project. A pipeline's own notice never starts another one: two servers would call each other for ever.

use super::call::Call;
use super::denial::Denial;
use super::given::{LIST, listed};
use super::object::pipeline::pipeline;
use super::received::{KeptBody, SECRET_NAMES};
use super::route::{Answered, Content, May, route, says};
use crate::api::Handler;
use crate::coordinator::{PipelineRequest, StartOutcome, TriggeredBy};
use crate::domain::pipeline::Source;
use crate::domain::token::Token;
use crate::git::mirror::Protocols;
use crate::gitlab_ci::context::Given;
use crate::http::params::{Field, Params, Shape, text};
use crate::http::router::Endpoint;
use crate::http::{Method, Response};
use crate::limits::STRANGER_BYTES_MAX;
use serde_json::{Map, Value, json};

/// The endpoints.
pub const ENDPOINTS: &[Endpoint<Handler>] = &[
    route(
        Method::Post,
        "projects/:project/pipeline",
        May::Write,
        START,
        start,
        says("Starts a pipeline of a branch or tag", 201, Content::Object("Pipeline")),
    ),
    route(
        Method::Post,
        "projects/:project/trigger/pipeline",
        May::Trigger,
        TRIGGER,
        trigger,
        says("Starts a pipeline by a trigger token or a job's", 201, Content::Object("Pipeline")),
    ),
    route(
        Method::Post,
        "projects/:project/ref/:ref/trigger/pipeline",
        May::Trigger,
        TRIGGER,
        trigger_of_path,
        says("Starts a pipeline of this branch or tag by a trigger token or a job's", 201, Content::Object("Pipeline")),
    ),
];

const INPUTS: Field = Field { name: "inputs", shape: Shape::Map { with_scalars: true } };
const VARIABLES: Field = Field { name: "variables", shape: LIST };
const START: &[Field] = &[text("ref"), VARIABLES, INPUTS];
const TRIGGER: &[Field] =
    &[text("token"), text("ref"), Field { name: "variables", shape: Shape::Map { with_scalars: false } }, INPUTS];

/// The header with which GitLab and we say what a notice is of.
const EVENT: &str = "X-Gitlab-Event";

/// GitLab's name of the file with what a trigger was told.
const PAYLOAD: &str = "TRIGGER_PAYLOAD";

fn reference(params: &Params) -> Result<String, Denial> {
    params.text("ref").filter(|name| !name.is_empty()).map(str::to_owned).ok_or_else(|| Denial::missing("ref"))
}

/// Answers `POST projects/:project/pipeline`.
fn start(call: &mut Call<'_, '_>) -> Answered {
    let (params, actor) = (call.params()?, call.caller()?.actor());
    let request = PipelineRequest {
        project: call.project()?.name.clone(),
        ref_: Some(reference(params)?),
        source: Source::Api,
        given: listed(params, VARIABLES)?,
        inputs: params.pairs(INPUTS.name).to_vec(),
        actor,
        protocols: Protocols::Web,
        warnings: Vec::new(),
    };
    begun(call, &request)
}

/// Answers `POST projects/:project/trigger/pipeline`.
fn trigger(call: &mut Call<'_, '_>) -> Answered {
    let by = triggered_by(call)?;
    let name = reference(call.params()?)?;
    begin_for(call, &by, name)
}

/// Answers the same with the ref in the path.
fn trigger_of_path(call: &mut Call<'_, '_>) -> Answered {
    let by = triggered_by(call)?;
    let name = call.text()?;
    begin_for(call, &by, name)
}

/// Whose token it is, if it starts pipelines of this project.
fn triggered_by(call: &mut Call<'_, '_>) -> Result<TriggeredBy, Denial> {
    if call.request.headers.get(EVENT) == Some("Pipeline Hook") {
        return Err(Denial::Refused("403 Forbidden - the notice of a pipeline starts none"));
    }
    let (project, now) = (call.project()?.id, call.now);
    let token = call.params()?.text("token").and_then(Token::received).ok_or_else(|| Denial::missing("token"))?;
    let Some(by) = call.coordinator().triggered_by(project, &token, now)? else {
        call.api.bad_tokens.note(call.request.peer);
        let was_good = call.coordinator().was_jobs_token(project, &token)?;
        return Err(if was_good { Denial::Unauthorized } else { Denial::NoProject });
    };
    // Whoever has shown a token is a stranger no more.
    call.request.stranger = None;
    if let TriggeredBy::Token(own) = &by {
        call.request.note.set_id("trigger", own.id.0);
    }
    Ok(by)
}

/// All that came but tokens, as JSON: scripts of GitLab's users read it. Of a body that is no JSON, what is known of it.
fn payload(call: &Call<'_, '_>, ref_name: &str) -> Result<Option<Given>, Denial> {
    let not_json = || Denial::Parameter("the body is not JSON".to_owned());
    let params = call.params()?;
    let pairs = |name| params.pairs(name).iter().map(|(key, value)| (key.clone(), json!(value))).collect::<Map<_, _>>();
    let mut all = match call.body() {
        KeptBody::Whole(body) if !body.trim_ascii().is_empty() => {
            serde_json::from_slice::<Map<_, _>>(body).map_err(|_| not_json())?
        }
        KeptBody::TooLong => return Ok(None),
        KeptBody::Whole(_) | KeptBody::No => Map::from_iter([
            ("variables".to_owned(), Value::Object(pairs("variables"))),
            ("inputs".to_owned(), Value::Object(pairs(INPUTS.name))),
        ]),
    };
    all.retain(|name, _| !SECRET_NAMES.contains(&name.as_str()));
    all.entry("ref").or_insert_with(|| json!(ref_name));
    let text = Value::Object(all).to_string();
    let is_short = text.len() as u64 <= STRANGER_BYTES_MAX;
    Ok(is_short.then(|| Given { file: true, raw: true, ..Given::public(PAYLOAD, text) }))
}

fn begin_for(call: &mut Call<'_, '_>, by: &TriggeredBy, ref_name: String) -> Answered {
    let params = call.params()?;
    let mut given: Vec<Given> =
        params.pairs("variables").iter().map(|(key, value)| Given::public(key, value)).collect();
    let payload = payload(call, &ref_name)?;
    let warnings = match &payload {
        Some(_) => Vec::new(),
        None => vec![format!("there is no {PAYLOAD}: the body has more than {STRANGER_BYTES_MAX} bytes")],
    };
    given.extend(payload);
    let request = PipelineRequest {
        project: call.project()?.name.clone(),
        ref_: Some(ref_name),
        source: if matches!(by, TriggeredBy::Job(_)) { Source::Pipeline } else { Source::Trigger },
        given,
        inputs: params.pairs(INPUTS.name).to_vec(),
        actor: by.actor(),
        protocols: Protocols::Web,
        warnings,
    };
    begun(call, &request)
}

fn begun(call: &mut Call<'_, '_>, request: &PipelineRequest) -> Answered {
    match call.coordinator().start_pipeline(request, call.now)? {
        StartOutcome::Pipeline(added) => {
            let report = call.coordinator().pipeline_of(call.project()?.id, added.id)?;
            call.request.note.set_id("pipeline", added.id.0);
            Ok(Response::json(201, &pipeline(&call.urls(), &report, call.now)).into())
        }
        StartOutcome::Nothing(words) => Err(Denial::Base(vec![words])),
        StartOutcome::Refused(sentences) => Err(Denial::Base(sentences)),
    }
}
