//! Pipelines: list, show, cancel, retry, remove.

use super::call::Call;
use super::denial::Denial;
use super::jobs::{SCOPE, note, states};
use super::object::job::job;
use super::object::pipeline::{pipeline, short_pipeline};
use super::object::put;
use super::pages::{self, Asked, Part};
use super::route::{Answered, Content, May, route, says};
use crate::api::Handler;
use crate::coordinator::{PipelineOrder, PipelinesPage};
use crate::domain::act::Act;
use crate::domain::junit::Summary;
use crate::domain::pipeline::PipelineId;
use crate::domain::pipeline::states::PipelineState;
use crate::domain::time::Timestamp;
use crate::error::{Error, Kind};
use crate::gitlab_ci::context::Given;
use crate::http::params::{Field, Params, Shape, text};
use crate::http::router::Endpoint;
use crate::http::{Method, Response};
use crate::store::job_rows::JobRow;
use crate::store::lists::PipelinesAsked;
use serde_json::{Value, json};

/// The endpoints. `latest` is no number.
pub const ENDPOINTS: &[Endpoint<Handler>] = &[
    route(
        Method::Get,
        "projects/:project/pipelines",
        May::Read,
        LIST,
        list,
        says("Pipelines", 200, Content::List("ShortPipeline")),
    ),
    route(
        Method::Get,
        "projects/:project/pipelines/latest",
        May::Read,
        &[text("ref")],
        latest,
        says("The newest pipeline of a branch or tag", 200, Content::Object("Pipeline")),
    ),
    route(
        Method::Get,
        "projects/:project/pipelines/:id",
        May::Read,
        &[],
        show,
        says("A pipeline", 200, Content::Object("Pipeline")),
    ),
    route(
        Method::Delete,
        "projects/:project/pipelines/:id",
        May::Write,
        &[],
        remove,
        says("Removes a pipeline with its jobs, logs and artifacts", 204, Content::Nothing),
    ),
    route(
        Method::Get,
        "projects/:project/pipelines/:id/jobs",
        May::ReadOrJob,
        JOBS,
        jobs,
        says("The jobs of a pipeline, newest first", 200, Content::List("Job")),
    ),
    route(
        Method::Get,
        "projects/:project/pipelines/:id/bridges",
        May::Read,
        JOBS,
        bridges,
        says("Jobs that make pipelines: they are among the jobs", 200, Content::List("Nothing")),
    ),
    route(
        Method::Get,
        "projects/:project/pipelines/:id/variables",
        May::Write,
        &[],
        variables,
        says("The variables that were given for a pipeline", 200, Content::List("PipelineVariable")),
    ),
    route(
        Method::Post,
        "projects/:project/pipelines/:id/cancel",
        May::Write,
        &[],
        cancel,
        says("Cancels what goes on of a pipeline", 200, Content::Object("Pipeline")),
    ),
    route(
        Method::Post,
        "projects/:project/pipelines/:id/retry",
        May::Write,
        &[],
        retry,
        says("Repeats what failed or was canceled", 201, Content::Object("Pipeline")),
    ),
    route(
        Method::Put,
        "projects/:project/pipelines/:id/metadata",
        May::Write,
        &[text("name")],
        name,
        says("Gives a pipeline another name", 200, Content::Object("Pipeline")),
    ),
    route(
        Method::Get,
        "projects/:project/pipelines/:id/test_report_summary",
        May::Read,
        &[],
        |call| test_report(call, true),
        says("How many tests there were", 200, Content::Json),
    ),
    route(
        Method::Get,
        "projects/:project/pipelines/:id/test_report",
        May::Read,
        &[],
        |call| test_report(call, false),
        says("How many tests there were, and the names of the first that failed", 200, Content::Json),
    ),
];

const LIST: &[Field] = &[
    pages::PAGE,
    pages::PER_PAGE,
    pages::PAGINATION,
    pages::ORDER_BY,
    pages::SORT,
    text("scope"),
    text("status"),
    text("ref"),
    text("sha"),
    text("source"),
    text("name"),
    text("username"),
    text("updated_after"),
    text("updated_before"),
    text("created_after"),
    text("created_before"),
    Field { name: "yaml_errors", shape: Shape::Flag },
];
const JOBS: &[Field] =
    &[SCOPE, pages::PAGE, pages::PER_PAGE, pages::PAGINATION, Field { name: "include_retried", shape: Shape::Flag }];

/// GitLab's words for states in which no pipeline of Baton ever is.
const OTHER_WORDS: [&str; 3] = ["preparing", "waiting_for_callback", "canceling"];

/// A text that is not empty.
fn given<'p>(params: &'p Params, name: &str) -> Option<&'p str> {
    params.text(name).filter(|text| !text.is_empty())
}

fn time(params: &Params, name: &'static str) -> Result<Option<Timestamp>, Denial> {
    let read = |text: &str| Timestamp::parse(text).ok_or_else(|| Denial::Parameter(format!("{name} is invalid")));
    given(params, name).map(read).transpose()
}

/// The page that the parameters ask for; `None`: it is empty, whatever there is.
fn page(params: &Params, asked: &Asked) -> Result<Option<PipelinesPage>, Denial> {
    let mut page = PipelinesPage {
        rows: PipelinesAsked {
            ref_: given(params, "ref").map(str::to_owned),
            sha: given(params, "sha").map(str::to_owned),
            source: given(params, "source").map(str::to_owned),
            name: given(params, "name").map(str::to_owned),
            actor: given(params, "username").filter(|word| *word != "operator").map(str::to_owned),
            is_tag: None,
            created_after: time(params, "created_after")?,
            created_before: time(params, "created_before")?,
            is_refused: params.flag("yaml_errors"),
        },
        updated_after: time(params, "updated_after")?,
        updated_before: time(params, "updated_before")?,
        is_ascending: pages::is_ascending(params)?.unwrap_or(false),
        skip: asked.skipped(),
        limit: usize::try_from(asked.entries).unwrap_or(usize::MAX),
        ..PipelinesPage::default()
    };
    page.order = match given(params, pages::ORDER_BY.name).unwrap_or("id") {
        "id" | "user_id" => PipelineOrder::Id,
        "ref" => PipelineOrder::Ref,
        "status" => PipelineOrder::State,
        "updated_at" => PipelineOrder::UpdatedAt,
        _ => return Err(Denial::invalid(pages::ORDER_BY.name)),
    };
    match given(params, "scope") {
        None => {}
        Some("running") => page.states = vec![PipelineState::Running],
        Some("pending") => page.states = vec![PipelineState::Pending],
        Some("finished") => page.states = ENDED.to_vec(),
        Some("branches") => page.rows.is_tag = Some(false),
        Some("tags") => page.rows.is_tag = Some(true),
        Some(_) => return Err(Denial::invalid("scope")),
    }
    let mut is_empty = false;
    match given(params, "status") {
        None => {}
        Some(word) => match PipelineState::ALL.into_iter().find(|state| state.as_str() == word) {
            Some(state) => {
                is_empty |= !page.states.is_empty() && !page.states.contains(&state);
                page.states = vec![state];
            }
            None if OTHER_WORDS.contains(&word) => is_empty = true,
            None => return Err(Denial::invalid("status")),
        },
    }
    Ok((!is_empty).then_some(page))
}

const ENDED: [PipelineState; 3] = [PipelineState::Success, PipelineState::Failed, PipelineState::Canceled];

fn list(call: &mut Call<'_, '_>) -> Answered {
    let (project, params) = (call.project()?.id, call.params()?);
    let asked = Asked::numbered(params)?;
    let Some(page) = page(params, &asked)? else {
        return Ok(asked.answer(call, &asked.cut(Vec::new())).as_routine().into());
    };
    let found = call.coordinator().pipelines_page(project, &page)?;
    let urls = call.urls();
    let items = found.pipelines.iter().map(|report| short_pipeline(&urls, report)).collect();
    let part = Part { items, has_more: found.has_more, total: found.total, next: None };
    Ok(asked.answer(call, &part).as_routine().into())
}

fn latest(call: &mut Call<'_, '_>) -> Answered {
    let project = call.project()?;
    let ref_ = given(call.params()?, "ref").or(project.default_branch.as_deref());
    let asked = PipelinesAsked { ref_: ref_.map(str::to_owned), ..PipelinesAsked::default() };
    let newest = call.coordinator().newest_pipeline(project.id, &asked)?.ok_or(Denial::NoThing)?;
    Ok(Response::json(200, &pipeline(&call.urls(), &newest, call.now)).as_routine().into())
}

/// The answer that a pipeline is.
fn answer(call: &Call<'_, '_>, status: u16, id: PipelineId) -> Answered {
    let report = call.coordinator().pipeline_of(call.project()?.id, id)?;
    Ok(Response::json(status, &pipeline(&call.urls(), &report, call.now)).into())
}

fn show(call: &mut Call<'_, '_>) -> Answered {
    answer(call, 200, call.pipeline()?)
}

fn jobs(call: &mut Call<'_, '_>) -> Answered {
    let (project, id) = (call.project()?.id, call.pipeline()?);
    call.coordinator().is_pipeline_of(project, id)?;
    let params = call.params()?;
    let (asked, states) = (Asked::numbered(params)?, states(params)?);
    let Some(states) = states else {
        return Ok(asked.answer(call, &asked.cut(Vec::new())).as_routine().into());
    };
    let with_retried = params.flag("include_retried") == Some(true);
    let cut = |all: Vec<_>| asked.cut(all).items;
    let (found, count) = call.coordinator().jobs_of_pipeline((project, id), &states, with_retried, cut, call.now)?;
    let urls = call.urls();
    let has_more = asked.skipped().saturating_add(found.len() as u64) < count as u64 && !found.is_empty();
    let items = found.iter().map(|report| job(&urls, report, call.now)).collect();
    // Without it glab 1.22 asks for the same page for ever.
    let total = Some(count as u64);
    Ok(asked.answer(call, &Part { items, has_more, total, next: None }).as_routine().into())
}

fn bridges(call: &mut Call<'_, '_>) -> Answered {
    call.coordinator().is_pipeline_of(call.project()?.id, call.pipeline()?)?;
    let asked = Asked::numbered(call.params()?)?;
    Ok(asked.answer(call, &asked.cut(Vec::<Value>::new())).as_routine().into())
}

/// Answers with values, which may be secrets: for tokens that open all.
fn variables(call: &mut Call<'_, '_>) -> Answered {
    let given = call.coordinator().variables_given(call.project()?.id, call.pipeline()?)?;
    let variable = |it: &Given| {
        let kind = if it.file { "file" } else { "env_var" };
        json!({"key": it.key, "value": it.value, "variable_type": kind, "raw": it.raw})
    };
    Ok(Response::json(200, &given.iter().map(variable).collect::<Vec<_>>()).into())
}

fn cancel(call: &mut Call<'_, '_>) -> Answered {
    let id = call.pipeline()?;
    call.coordinator().is_pipeline_of(call.project()?.id, id)?;
    let open = |row: &&JobRow| !row.status.is_finished() && row.retried_by.is_none();
    let ids: Vec<_> = call.coordinator().pipeline_rows(id)?.iter().filter(open).map(|row| row.id).collect();
    match call.coordinator().cancel_pipeline(id, call.now) {
        // Nothing of it goes on.
        Err(error) if error.kind == Kind::Conflict => {}
        other => {
            other?;
            note(call, &ids, Act::Cancel)?;
        }
    }
    answer(call, 200, id)
}

fn retry(call: &mut Call<'_, '_>) -> Answered {
    let id = call.pipeline()?;
    call.coordinator().is_pipeline_of(call.project()?.id, id)?;
    match call.coordinator().retry_pipeline(id, call.now) {
        // There is nothing to repeat.
        Err(error) if error.kind == Kind::Conflict => {}
        new => note(call, &new?, Act::Retry)?,
    }
    answer(call, 201, id)
}

fn name(call: &mut Call<'_, '_>) -> Answered {
    let id = call.pipeline()?;
    call.coordinator().is_pipeline_of(call.project()?.id, id)?;
    let name = call.params()?.text("name").ok_or_else(|| Denial::missing("name"))?;
    match call.coordinator().name_pipeline(id, name) {
        Err(Error { kind: Kind::Invalid, message }) => Err(Denial::Value { field: "name", why: message }),
        named => {
            named?;
            answer(call, 200, id)
        }
    }
}

fn remove(call: &mut Call<'_, '_>) -> Answered {
    let id = call.pipeline()?;
    call.coordinator().is_pipeline_of(call.project()?.id, id)?;
    call.coordinator().remove_pipeline(id, call.now)?;
    Ok(Response::empty(204).into())
}

/// Answers what the JUnit reports of a pipeline's jobs say, zeros without any.
fn test_report(call: &mut Call<'_, '_>, is_summary: bool) -> Answered {
    let (project, id) = (call.project()?.id, call.pipeline()?);
    call.coordinator().is_pipeline_of(project, id)?;
    let suites = call.coordinator().junit_of_pipeline(id, call.now)?;
    let sum = |of: fn(&Summary) -> u64| suites.iter().map(|(_, _, it)| of(it)).sum::<u64>();
    let good = |it: &Summary| it.tests.saturating_sub(it.failures + it.errors + it.skipped);
    let suite = |(name, build, it): &(String, _, Summary)| {
        let mut suite = json!({
            "name": name,
            "total_time": 0.0,
            "total_count": it.tests,
            "success_count": good(it),
            "failed_count": it.failures,
            "skipped_count": it.skipped,
            "error_count": it.errors,
            "suite_error": (!it.is_whole).then_some("the report is malformed, or too long"),
        });
        if is_summary {
            put(&mut suite, "build_ids", json!([build]));
        } else {
            put(&mut suite, "test_cases", it.failed.iter().map(|name| test_case(name)).collect());
        }
        suite
    };
    let counts = [
        ("count", sum(|it| it.tests)),
        ("success", suites.iter().map(|(_, _, it)| good(it)).sum::<u64>()),
        ("failed", sum(|it| it.failures)),
        ("skipped", sum(|it| it.skipped)),
        ("error", sum(|it| it.errors)),
    ];
    let suites: Vec<Value> = suites.iter().map(suite).collect();
    let mut report = json!({"test_suites": suites});
    if is_summary {
        let mut total: Value = counts.iter().map(|(name, count)| ((*name).to_owned(), json!(count))).collect();
        put(&mut total, "time", json!(0.0));
        put(&mut total, "suite_error", Value::Null);
        put(&mut report, "total", total);
    } else {
        put(&mut report, "total_time", json!(0.0));
        for (name, count) in counts {
            let field = if name == "count" { "total_count".to_owned() } else { format!("{name}_count") };
            put(&mut report, &field, json!(count));
        }
    }
    Ok(Response::json(200, &report).as_routine().into())
}

/// A test that failed, of which only the name is kept.
fn test_case(name: &str) -> Value {
    let (class, name) = name.split_once(": ").unwrap_or(("", name));
    json!({
        "status": "failed", "name": name, "classname": class, "file": null, "execution_time": 0.0,
        "system_output": null, "stack_trace": null, "recent_failures": null,
    })
}
