//! What a configuration means, or what is wrong with it. The answer is 200 in either case.

use super::call::Call;
use super::denial::Denial;
use super::object::linted::{linted, linted_of_old};
use super::route::{Answered, Content, May, route, says, with_room};
use crate::api::Handler;
use crate::coordinator::{LintRequest, LintSubject};
use crate::gitlab_ci::yaml::FILE_BYTES_MAX;
use crate::http::params::{Field, Params, Shape, text};
use crate::http::router::Endpoint;
use crate::http::{Method, Response};

/// The endpoints.
pub const ENDPOINTS: &[Endpoint<Handler>] = &[
    with_room(
        route(
            Method::Post,
            "projects/:project/ci/lint",
            May::Write,
            CONTENT,
            of_content,
            says("Says what a configuration would mean in a project", 200, Content::Object("Linted")),
        ),
        FILE_BYTES_MAX as u64,
    ),
    route(
        Method::Get,
        "projects/:project/ci/lint",
        May::Read,
        OF_REF,
        of_ref,
        says("Says what the configuration of a branch or tag means", 200, Content::Object("Linted")),
    ),
    with_room(
        route(
            Method::Post,
            "ci/lint",
            May::Write,
            &[text("content"), INCLUDE_JOBS],
            of_none,
            says("Says what a configuration means that is of no project", 200, Content::Object("LintedOfOld")),
        ),
        FILE_BYTES_MAX as u64,
    ),
];

const DRY_RUN: Field = Field { name: "dry_run", shape: Shape::Flag };
const INCLUDE_JOBS: Field = Field { name: "include_jobs", shape: Shape::Flag };
const CONTENT: &[Field] = &[text("content"), text("ref"), DRY_RUN, INCLUDE_JOBS];
const OF_REF: &[Field] = &[text("content_ref"), text("sha"), text("ref"), text("dry_run_ref"), DRY_RUN, INCLUDE_JOBS];

fn content(params: &Params) -> Result<LintSubject, Denial> {
    let content = params.text("content").ok_or_else(|| Denial::missing("content"))?;
    Ok(LintSubject::Content(content.as_bytes().to_vec()))
}

/// A text that is not empty.
fn given(params: &Params, names: &[&str]) -> Option<String> {
    names.iter().find_map(|name| params.text(name).filter(|text| !text.is_empty())).map(str::to_owned)
}

fn says_jobs(params: &Params) -> bool {
    params.flag(INCLUDE_JOBS.name) == Some(true)
}

fn of_content(call: &mut Call<'_, '_>) -> Answered {
    let params = call.params()?;
    let dry_run = (params.flag(DRY_RUN.name) == Some(true)).then(|| given(params, &["ref"]));
    let request = LintRequest { project: Some(call.project()?.name.clone()), subject: content(params)?, dry_run };
    let said = call.coordinator().lint(&request)?;
    Ok(Response::json(200, &linted(&said, says_jobs(params))).into())
}

fn of_ref(call: &mut Call<'_, '_>) -> Answered {
    let params = call.params()?;
    let wanted = given(params, &["content_ref", "sha"]);
    let of_run = given(params, &["dry_run_ref", "ref"]).or_else(|| wanted.clone());
    let dry_run = (params.flag(DRY_RUN.name) == Some(true)).then_some(of_run);
    let subject = LintSubject::Ref(wanted);
    let request = LintRequest { project: Some(call.project()?.name.clone()), subject, dry_run };
    let said = call.coordinator().lint(&request)?;
    Ok(Response::json(200, &linted(&said, says_jobs(params))).into())
}

fn of_none(call: &mut Call<'_, '_>) -> Answered {
    let params = call.params()?;
    let request = LintRequest { project: None, subject: content(params)?, dry_run: None };
    let said = call.coordinator().lint(&request)?;
    Ok(Response::json(200, &linted_of_old(&said, says_jobs(params))).into())
}
