//! Jobs: list, show, follow, cancel, retry, erase, play.

use super::call::Call;
use super::denial::Denial;
use super::given;
use super::log;
use super::object::job::job;
use super::object::put;
use super::pages::{self, Asked, Part};
use super::route::{Answered, Content, May, route, says};
use crate::api::Handler;
use crate::coordinator::{JobReport, JobsFound};
use crate::domain::access_token::Caller;
use crate::domain::act::Act;
use crate::domain::build::{BuildId, Status, Variable};
use crate::error::Kind;
use crate::http::params::{Field, Params, Shape};
use crate::http::router::Endpoint;
use crate::http::{Method, Response};
use crate::store::lists::{BuildsAsked, Whose};
use serde_json::{Value, json};

/// The endpoints.
pub const ENDPOINTS: &[Endpoint<Handler>] = &[
    route(Method::Get, "job", May::Job, &[], own, says("The job whose token this is", 200, Content::Object("Job"))),
    route(Method::Get, "projects/:project/jobs", May::ReadOrJob, LIST, list, says("Jobs", 200, Content::List("Job"))),
    route(
        Method::Get,
        "projects/:project/jobs/:id",
        May::ReadOrJob,
        &[],
        show,
        says("A job", 200, Content::Object("Job")),
    ),
    route(
        Method::Get,
        "projects/:project/jobs/:id/trace",
        May::Read,
        &[],
        log::trace,
        says("A job's log, as far as it has come", 200, Content::Text),
    ),
    route(
        Method::Post,
        "projects/:project/jobs/:id/cancel",
        May::Write,
        FORCE,
        cancel,
        says("Cancels a job; with force also one that its runner brings to an end", 201, Content::Object("Job")),
    ),
    route(
        Method::Post,
        "projects/:project/jobs/:id/retry",
        May::Write,
        &[],
        retry,
        says("Repeats a job, and answers the new one", 201, Content::Object("Job")),
    ),
    route(
        Method::Post,
        "projects/:project/jobs/:id/erase",
        May::Write,
        &[],
        erase,
        says("Removes a job's log and artifacts", 201, Content::Object("Job")),
    ),
    route(
        Method::Post,
        "projects/:project/jobs/:id/play",
        May::Write,
        PLAY,
        play,
        says("Starts a manual job, which may be given variables", 200, Content::Object("Job")),
    ),
];

/// Only those in these states.
pub const SCOPE: Field = Field { name: "scope", shape: Shape::Words };

const LIST: &[Field] =
    &[SCOPE, pages::PAGE, pages::PER_PAGE, pages::PAGINATION, pages::CURSOR, pages::ORDER_BY, pages::SORT];
const FORCE: &[Field] = &[Field { name: "force", shape: Shape::Flag }];
const GIVEN: Field = Field { name: "job_variables_attributes", shape: given::LIST };
const PLAY: &[Field] = &[GIVEN];

/// GitLab's words for states of jobs; no job of Baton is ever in those that are not a [`Status`].
const OTHER_WORDS: [&str; 3] = ["preparing", "waiting_for_callback", "canceling"];

/// The states that `scope` names; `None`: none that a job can be in, so that the list is empty.
///
/// # Errors
/// 400 for a word that is none.
pub fn states(params: &Params) -> Result<Option<Vec<Status>>, Denial> {
    let text = params.text(SCOPE.name).filter(|word| !word.is_empty()).map(|word| vec![word.to_owned()]);
    let words = params.list(SCOPE.name).map(<[String]>::to_vec).or(text).unwrap_or_default();
    let mut states = Vec::new();
    for word in &words {
        match Status::parse(word) {
            Some(state) => states.push(state),
            None if OTHER_WORDS.contains(&word.as_str()) => {}
            None => return Err(Denial::Status(400, "Scope contains invalid value(s)".to_owned())),
        }
    }
    Ok((words.is_empty() || !states.is_empty()).then_some(states))
}

/// Answers a list of builds that an index finds.
pub fn list_of(call: &Call<'_, '_>, whose: Whose, states: Option<Vec<Status>>) -> Answered {
    let params = call.params()?;
    let asked = Asked::of(params)?;
    if params.text(pages::ORDER_BY.name).is_some_and(|word| !["", "id"].contains(&word)) {
        return Err(Denial::invalid(pages::ORDER_BY.name));
    }
    let is_ascending = pages::is_ascending(params)?.unwrap_or(false);
    let found = match states {
        Some(states) => {
            let wanted = BuildsAsked {
                whose,
                kept_to: call.kept_to(),
                states,
                is_ascending,
                cursor: asked.cursor.map(BuildId),
                is_numbered: !asked.is_keyset,
                skip: asked.skipped(),
                limit: usize::try_from(asked.entries).unwrap_or(usize::MAX),
            };
            call.coordinator().jobs_page(&wanted, call.now)?
        }
        None => JobsFound { jobs: Vec::new(), next: None },
    };
    let urls = call.urls();
    let next = found.next.map(|id| (pages::CURSOR.name, id));
    // Whoever asks by number goes on only behind a full page.
    let has_more = next.is_some() && found.jobs.len() as u64 == u64::from(asked.entries);
    let items = found.jobs.iter().map(|report| job(&urls, report, call.now)).collect();
    Ok(asked.answer(call, &Part { items, has_more, total: None, next }).as_routine().into())
}

fn list(call: &mut Call<'_, '_>) -> Answered {
    let project = call.project()?.id;
    let states = states(call.params()?)?;
    list_of(call, Whose::Project(project), states)
}

/// Writes down who did it.
pub fn note(call: &Call<'_, '_>, ids: &[BuildId], act: Act) -> Result<(), Denial> {
    Ok(call.coordinator().note_acts(ids, act, &call.caller()?.actor(), call.now)?)
}

/// A job by itself: with what its log and its variables say, which is too dear for lists.
pub fn whole(call: &Call<'_, '_>, report: &JobReport) -> Result<Value, Denial> {
    let (id, mut object) = (report.report.build.id, job(&call.urls(), report, call.now));
    if let Some(pattern) = report.about.coverage.as_deref().filter(|_| report.report.build.finished_at.is_some()) {
        let number = call.coordinator().coverage(id, pattern)?;
        put(&mut object, "coverage", json!(number.and_then(|number| number.parse::<f64>().ok())));
    }
    if let Some(url) = report.about.environment.as_ref().and_then(|environment| environment.url.as_deref()) {
        let known = call.coordinator().environment_url(id, url)?;
        if let Some(environment) = object.get_mut("environment") {
            put(environment, "url", json!(known));
        }
    }
    Ok(object)
}

/// The answer that a job is.
fn answer(call: &Call<'_, '_>, status: u16, id: BuildId) -> Answered {
    let report = call.coordinator().job_of(call.project()?.id, id, call.now)?;
    Ok(Response::json(status, &whole(call, &report)?).with_id("build", id.0).into())
}

fn own(call: &mut Call<'_, '_>) -> Answered {
    let Caller::Job { build, project } = *call.caller()? else { return Err(Denial::Absent("404 Job Not Found")) };
    let report = call.coordinator().job_of(project, build, call.now)?;
    Ok(Response::json(200, &whole(call, &report)?).with_id("build", build.0).into())
}

fn show(call: &mut Call<'_, '_>) -> Answered {
    let id = call.job()?;
    let report = call.coordinator().job_of(call.project()?.id, id, call.now)?;
    Ok(Response::json(200, &whole(call, &report)?).as_routine().into())
}

fn cancel(call: &mut Call<'_, '_>) -> Answered {
    let id = call.job()?;
    call.coordinator().is_job_of(call.project()?.id, id)?;
    let times = if call.params()?.flag("force") == Some(true) { 2 } else { 1 };
    let mut is_done = false;
    for _ in 0..times {
        match call.coordinator().cancel_build(id, call.now) {
            // It has ended.
            Err(error) if error.kind == Kind::Conflict => {}
            other => is_done = other.map(|_| true)?,
        }
    }
    if is_done {
        note(call, &[id], Act::Cancel)?;
    }
    answer(call, 201, id)
}

fn retry(call: &mut Call<'_, '_>) -> Answered {
    const NOT: Denial = Denial::Refused("403 Forbidden - Job is not retryable");
    let id = call.job()?;
    let report = call.coordinator().job_of(call.project()?.id, id, call.now)?.report;
    if report.repeated_by.is_some() {
        return Err(NOT);
    }
    call.params()?;
    match call.coordinator().retry_build(id, call.now) {
        Err(error) if error.kind == Kind::Conflict => Err(NOT),
        new => {
            let new = new?;
            note(call, &[id], Act::Retry)?;
            answer(call, 201, new)
        }
    }
}

fn erase(call: &mut Call<'_, '_>) -> Answered {
    const NOT: Denial = Denial::Refused("403 Forbidden - Job is not erasable!");
    let id = call.job()?;
    let report = call.coordinator().job_of(call.project()?.id, id, call.now)?.report;
    if report.build.erased_at.is_some() {
        return Err(NOT);
    }
    call.params()?;
    match call.coordinator().erase_build(id, call.now) {
        Err(error) if error.kind == Kind::Conflict => Err(NOT),
        erased => {
            erased?;
            note(call, &[id], Act::Erase)?;
            answer(call, 201, id)
        }
    }
}

fn play(call: &mut Call<'_, '_>) -> Answered {
    let id = call.job()?;
    call.coordinator().is_job_of(call.project()?.id, id)?;
    let given = given::listed(call.params()?, GIVEN)?.into_iter().map(Variable::from).collect();
    match call.coordinator().play_build_with(id, given, call.now) {
        Err(error) if error.kind == Kind::Conflict => {
            Err(Denial::Status(400, "400 Bad request - Unplayable Job".to_owned()))
        }
        played => {
            played?;
            note(call, &[id], Act::Play)?;
            answer(call, 200, id)
        }
    }
}
