//! GitLab's API for programs, version 4: jobs, pipelines, runners and projects, as GitLab's own clients ask for them.
//!
//! What must stay true: who calls is looked at first, then the project, then what the token opens, and only then the thing,
//! its state and the parameters; a project that is not the caller's is answered as one that is not there. Objects have all
//! fields of GitLab's, `null` where there is nothing: clients with fixed types fail on less. Nothing here decides: what a
//! call does is a deed, which the command line does as well. Paths are never cut at `.json`: `report.json` is a file.
//!
//! What is absent on purpose: cookies and CORS headers (a browser is no program), `RateLimit-Limit` (a client would limit
//! itself to two thirds of it), 429 for wrong tokens (some clients then ask ten times as often, and say nothing),
//! `DELETE projects/:id/artifacts` (one undefined variable in a script would remove all), GraphQL.

mod about;
mod artifacts;
mod call;
mod denial;
mod description;
mod given;
mod jobs;
mod lint;
mod log;
mod object;
mod pages;
mod pipelines;
mod projects;
mod received;
mod repository;
mod route;
mod runners;
mod start;
mod terms;
mod triggers;
mod urls;
mod variables;

pub use self::route::{Route, answer};

use super::{Handler, Protocol};
use crate::http::Response;
use crate::http::router::Endpoint;
use serde_json::json;

/// What the paths begin with; runners' begin so, too.
const PREFIX: &str = "/api/v4/";

/// The API for programs.
pub const PROTOCOL: Protocol =
    Protocol { prefixes: &[PREFIX], tables: TABLES, in_table: |path| path.into(), is_for_runners: false };

/// All endpoints, a table for each noun.
const TABLES: &[&[Endpoint<Handler>]] = &[
    about::ENDPOINTS,
    projects::ENDPOINTS,
    jobs::ENDPOINTS,
    artifacts::ENDPOINTS,
    pipelines::ENDPOINTS,
    runners::ENDPOINTS,
    repository::ENDPOINTS,
    start::ENDPOINTS,
    triggers::ENDPOINTS,
    lint::ENDPOINTS,
    variables::ENDPOINTS,
    description::ENDPOINTS,
];

/// First words of paths that no runner means, also if they end as a runner's do.
const NOUNS: [&str; 5] = ["projects/", "ci/", "groups/", "user/", "personal_access_tokens/"];

/// Whether a path can only be meant for programs.
pub fn is_for_programs(path: &str) -> bool {
    path.strip_prefix(PREFIX).is_some_and(|rest| NOUNS.iter().any(|noun| rest.starts_with(noun)))
}

/// The answer to a path that is not there. Below this prefix some clients read the one member, some the other.
pub fn unknown_path(path: &str) -> Response {
    if !path.starts_with(PREFIX) {
        return Response::error(404, "");
    }
    let said = "404 Not Found";
    Response::json(404, &json!({ "error": said, "message": said }))
}
