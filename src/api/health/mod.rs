//! For those who watch the server: is it alive, can it work, what does it do.

pub(super) mod claim_metrics;
pub(super) mod log_metrics;
pub(super) mod metrics;

use super::{Handler, Protocol, error_response, on};
use crate::coordinator::{Coordinator, Disk};
use crate::domain::time::Timestamp;
use crate::http::router::Endpoint;
use crate::http::{Body, Method, Response};
use crate::metrics::Text;
use serde_json::json;
use std::time::Instant;

/// What those speak who watch the server.
pub(super) const PROTOCOL: Protocol = Protocol {
    prefixes: &["/-/"],
    tables: &[&ENDPOINTS],
    in_table: |path| format!("/-/{path}").into(),
    is_for_runners: false,
};

/// The endpoints. All are asked for all the time, and change nothing.
const ENDPOINTS: [Endpoint<Handler>; 4] = [
    on(Method::Get, "/-/health", |_, _, _, _| Ok(alive().as_routine().into())),
    on(Method::Get, "/-/liveness", |_, _, _, _| Ok(alive().as_routine().into())),
    on(Method::Get, "/-/readiness", |api, _, _, now| Ok(readiness(&api.coordinator, now).as_routine().into())),
    on(Method::Get, "/-/metrics", |api, _, _, now| {
        let text = match metrics::text(api, now) {
            Ok(text) => Response::new(200, Body::Bytes(text.into_bytes())).with("Content-Type", Text::CONTENT_TYPE),
            Err(error) => error_response(&error),
        };
        Ok(text.as_routine().into())
    }),
];

fn alive() -> Response {
    Response::json(200, &json!({ "status": "ok" }))
}

/// What is answered on behalf of a server that finishes what is under way, and takes on nothing new.
#[must_use]
pub fn farewell(path: &str) -> Response {
    match path {
        "/-/health" | "/-/liveness" => alive(),
        "/-/readiness" => {
            let body = json!({"status": "draining", "database": "unknown", "disk": "unknown", "draining": true});
            Response::json(503, &body)
        }
        _ => Response::error(503, "the server is stopping").with("Retry-After", "1"),
    }
}

/// Each check with its result. A disk that is low is no reason to send requests elsewhere.
fn readiness(coordinator: &Coordinator, now: Timestamp) -> Response {
    let seen = coordinator.readiness(Instant::now(), now);
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
