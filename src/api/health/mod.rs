//! For those who watch the server: is it alive, can it work, what does it do.

pub(super) mod claim_metrics;
pub(super) mod metrics;

use super::{Api, error_response, method_not_allowed};
use crate::coordinator::{Coordinator, Disk};
use crate::domain::time::Timestamp;
use crate::http::{Body, Method, Request, Response};
use crate::metrics::Text;
use serde_json::json;
use std::time::Instant;

/// Where a supervisor tells its child how often it had to start another one; absent without a supervisor.
pub const RESTARTS_VARIABLE: &str = "BATON_RESTARTS";

/// The patterns of the paths.
pub const ROUTES: [&str; 4] = ["/-/health", "/-/liveness", "/-/readiness", "/-/metrics"];

/// Answers a request to a path below `/-/`.
pub fn handle(api: &Api, request: &mut Request<'_>, path: &str) -> Response {
    let Some(route) = ROUTES.into_iter().find(|route| route.strip_prefix("/-/") == Some(path)) else {
        return Response::error(404, "");
    };
    request.note.route = route;
    if !matches!(request.method, Method::Get | Method::Head) {
        return method_not_allowed(&[Method::Get, Method::Head]);
    }
    let response = match path {
        "readiness" => readiness(&api.coordinator),
        "metrics" => match metrics::text(api, Timestamp::now()) {
            Ok(text) => Response::new(200, Body::Bytes(text.into_bytes())).with("Content-Type", Text::CONTENT_TYPE),
            Err(error) => error_response(&error),
        },
        _ => Response::json(200, &json!({ "status": "ok" })),
    };
    response.as_routine()
}

/// What is answered on behalf of a server that finishes what is under way, and takes on nothing new.
#[must_use]
pub fn farewell(path: &str) -> Response {
    match path {
        "/-/health" | "/-/liveness" => Response::json(200, &json!({ "status": "ok" })),
        "/-/readiness" => {
            let body = json!({"status": "draining", "database": "unknown", "disk": "unknown", "draining": true});
            Response::json(503, &body)
        }
        _ => Response::error(503, "the server is stopping").with("Retry-After", "1"),
    }
}

/// Each check with its result. A disk that is low is no reason to send requests elsewhere.
fn readiness(coordinator: &Coordinator) -> Response {
    let seen = coordinator.readiness(Instant::now(), Timestamp::now());
    let status = match seen.is_ready() {
        true => "ok",
        false if seen.draining => "draining",
        false => "failing",
    };
    let disk = match seen.disk {
        Disk::Ok => "ok",
        Disk::Low => "low",
        Disk::Failing => "failing",
    };
    let body = json!({
        "status": status,
        "database": if seen.database { "ok" } else { "failing" },
        "disk": disk,
        "draining": seen.draining,
    });
    Response::json(if seen.is_ready() { 200 } else { 503 }, &body)
}
