//! Commits, branches and tags, as far as pipelines have told of them: Baton keeps no repository.

use super::call::Call;
use super::denial::Denial;
use super::object::commit::{commit, commit_of_pipeline};
use super::object::job::commit_status;
use super::pages::{self, Asked};
use super::route::{Answered, Content, May, route, says};
use crate::api::Handler;
use crate::coordinator::PipelineReport;
use crate::http::params::{Field, Shape, text};
use crate::http::router::Endpoint;
use crate::http::{Method, Response};
use serde_json::{Value, json};

/// The endpoints.
pub const ENDPOINTS: &[Endpoint<Handler>] = &[
    route(
        Method::Get,
        "projects/:project/repository/commits/:sha",
        May::Read,
        &[],
        show,
        says("A commit, branch or tag that a pipeline is of", 200, Content::Object("Commit")),
    ),
    route(
        Method::Get,
        "projects/:project/repository/commits/:sha/statuses",
        May::Read,
        STATUSES,
        statuses,
        says("The jobs of a commit's newest pipeline", 200, Content::List("CommitStatus")),
    ),
    route(
        Method::Post,
        "projects/:project/statuses/:sha",
        May::Write,
        &[],
        |_| Err(Denial::Refused("403 Forbidden - Baton takes no statuses of others")),
        says("Refused: nobody reports to Baton", 201, Content::Json),
    ),
    route(
        Method::Get,
        "projects/:project/repository/branches",
        May::Read,
        REFS,
        branches,
        says("Branches that pipelines are of", 200, Content::List("Branch")),
    ),
    route(
        Method::Get,
        "projects/:project/repository/branches/:branch",
        May::Read,
        &[],
        branch,
        says("A branch that pipelines are of", 200, Content::Object("Branch")),
    ),
    route(
        Method::Get,
        "projects/:project/repository/tags",
        May::Read,
        REFS,
        tags,
        says("Tags that pipelines are of", 200, Content::List("Tag")),
    ),
];

const STATUSES: &[Field] = &[
    pages::PAGE,
    pages::PER_PAGE,
    text("ref"),
    text("stage"),
    text("name"),
    Field { name: "all", shape: Shape::Flag },
];
const REFS: &[Field] = &[pages::PAGE, pages::PER_PAGE, text("search")];

/// The newest pipeline of what the path names.
fn newest(call: &Call<'_, '_>) -> Result<PipelineReport, Denial> {
    let (project, name) = (call.project()?.id, call.text()?);
    call.coordinator().newest_of_commit(project, &name)?.ok_or(Denial::Absent("404 Commit Not Found"))
}

fn show(call: &mut Call<'_, '_>) -> Answered {
    Ok(Response::json(200, &commit(&call.urls(), &newest(call)?)).as_routine().into())
}

fn statuses(call: &mut Call<'_, '_>) -> Answered {
    let pipeline = newest(call)?.pipeline;
    let params = call.params()?;
    let asked = Asked::numbered(params)?;
    let with_retried = params.flag("all") == Some(true);
    let own = (pipeline.project_id, pipeline.id);
    let (found, _) = call.coordinator().jobs_of_pipeline(own, &[], with_retried, |all| all, call.now)?;
    let is_asked_for =
        |name: &str, value: &str| params.text(name).is_none_or(|asked| asked.is_empty() || asked == value);
    let urls = call.urls();
    let fitting = found.iter().filter(|job| {
        let build = &job.report.build;
        is_asked_for("stage", &build.stage) && is_asked_for("name", &build.name) && is_asked_for("ref", &build.ref_)
    });
    let all: Vec<Value> = fitting.map(|job| commit_status(&urls, job)).collect();
    Ok(asked.answer(call, &asked.cut(all)).as_routine().into())
}

fn branch_of(call: &Call<'_, '_>, report: &PipelineReport) -> Value {
    let name = &report.pipeline.ref_;
    let is_default = call.project().is_ok_and(|project| project.default_branch.as_deref() == Some(name.as_str()));
    json!({
        "name": name,
        "commit": commit_of_pipeline(&call.urls(), report),
        "merged": false,
        "protected": is_default,
        "default": is_default,
        "developers_can_push": true,
        "developers_can_merge": true,
        "can_push": true,
        "web_url": call.urls().project(&report.pipeline.project),
    })
}

fn tag_of(call: &Call<'_, '_>, report: &PipelineReport) -> Value {
    json!({
        "name": report.pipeline.ref_,
        "message": null,
        "target": report.pipeline.sha,
        "commit": commit_of_pipeline(&call.urls(), report),
        "release": null,
        "protected": false,
        "created_at": null,
    })
}

fn refs(call: &Call<'_, '_>, is_tag: bool, object: fn(&Call<'_, '_>, &PipelineReport) -> Value) -> Answered {
    let params = call.params()?;
    let asked = Asked::numbered(params)?;
    let search = params.text("search").unwrap_or_default();
    let mut all = call.coordinator().refs_of(call.project()?.id)?;
    all.retain(|report| report.pipeline.is_tag == is_tag && report.pipeline.ref_.contains(search));
    let part = asked.cut(all).map(|report| object(call, &report));
    Ok(asked.answer(call, &part).as_routine().into())
}

fn branches(call: &mut Call<'_, '_>) -> Answered {
    refs(call, false, branch_of)
}

fn tags(call: &mut Call<'_, '_>) -> Answered {
    refs(call, true, tag_of)
}

fn branch(call: &mut Call<'_, '_>) -> Answered {
    let name = call.text()?;
    let found = call.coordinator().newest_of_commit(call.project()?.id, &name)?;
    let found = found.filter(|report| report.pipeline.ref_ == name && !report.pipeline.is_tag);
    let report = found.ok_or(Denial::Absent("404 Branch Not Found"))?;
    Ok(Response::json(200, &branch_of(call, &report)).as_routine().into())
}
