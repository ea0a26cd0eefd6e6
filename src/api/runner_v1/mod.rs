//! GitLab's Builds API, version 1, as GitLab 8.0 to 9.5 spoke it with runners 1.x.
//!
//! Statuses and headers matter more than bodies: runners 1.x read bodies of the two 201 of `register` only.
//! What is absent on purpose: Workhorse's side of uploads (`file.path` parameters would let a client name a
//! file of the server), and triggers.

mod artifacts;
mod claim;
mod options;
mod payload;
mod report;
mod runners;
mod trace;
mod user_agent;
mod variables;

use super::shared::token::{Keys, TOKEN, TOKEN_ONLY};
use super::shared::{build, params, upload};
use super::{Handler, Protocol, on};
use crate::domain::token::{Shown, Takes};
use crate::http::params::Params;
use crate::http::router::Endpoint;
use crate::http::{Method, Request};
use std::borrow::Cow;

/// The old protocol of runners.
pub const PROTOCOL: Protocol = Protocol {
    // Runners before 1.6 that are given a bare host leave out `/ci`.
    prefixes: &["/ci/api/v1/", "/api/v1/"],
    tables: &[&ENDPOINTS],
    in_table,
    is_for_runners: true,
};

const ENDPOINTS: [Endpoint<Handler>; 9] = [
    on(Method::Post, "builds/register", |api, request, _, now| Ok(claim::register_build(api, request, now))),
    on(Method::Put, "builds/:id", |api, request, places, now| report::update_build(api, request, build(places)?, now)),
    on(Method::Patch, "builds/:id/trace.txt", |api, request, places, now| {
        trace::append_trace(api, request, build(places)?, now)
    }),
    on(Method::Get, "builds/:id/artifacts", |api, request, places, now| {
        Ok(artifacts::download(api, request, build(places)?, now)?.into())
    }),
    on(Method::Post, "builds/:id/artifacts", |api, request, places, now| {
        upload::answer(artifacts::upload(api, request, build(places)?, now))
    }),
    on(Method::Delete, "builds/:id/artifacts", |api, request, places, now| {
        Ok(artifacts::delete(api, request, build(places)?, now)?.into())
    }),
    on(Method::Post, "builds/:id/artifacts/authorize", |api, request, places, now| {
        Ok(artifacts::authorize(api, request, build(places)?, now)?.into())
    }),
    on(Method::Post, "runners/register", |api, request, _, now| Ok(runners::register(api, request, now)?.into())),
    on(Method::Delete, "runners/delete", |api, request, _, now| Ok(runners::delete(api, request, now)?.into())),
];

/// The tokens of a build stand for each other.
const KEYS: Keys = Keys { header: "BUILD-TOKEN", takes: Takes::Any };

/// Any path may end in `.json`, and that of a trace may lack its `.txt`. Ids may be negative: runners verify themselves
/// with -1.
fn in_table(path: &str) -> Cow<'_, str> {
    let path = path.strip_suffix(".json").unwrap_or(path);
    if path.ends_with("/trace") { format!("{path}.txt").into() } else { path.into() }
}

/// What a request shows whose parameters these are.
fn shown(params: &Params, request: &Request<'_>) -> Shown {
    KEYS.of_request(params, request)
}
