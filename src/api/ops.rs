//! For those who watch the server: is it alive, can it work, what does it do.

use super::{error_response, method_not_allowed};
use crate::coordinator::Coordinator;
use crate::domain::build::Status;
use crate::domain::time::Timestamp;
use crate::http::{Body, Method, Request, Response};
use serde_json::json;
use std::fmt::Write;

/// Where a supervisor tells its child how often it had to start another one; absent without a supervisor.
pub const RESTARTS_VARIABLE: &str = "BATON_RESTARTS";

/// Answers a request to a path below `/-/`.
pub fn handle(coordinator: &Coordinator, request: &Request<'_>, path: &str) -> Response {
    let answer = match path {
        "health" | "liveness" | "readiness" | "metrics" if !matches!(request.method, Method::Get | Method::Head) => {
            return method_not_allowed(&[Method::Get, Method::Head]);
        }
        "health" | "liveness" => Ok(Response::json(200, &json!({ "status": "ok" }))),
        "readiness" => Ok(readiness(coordinator)),
        "metrics" => metrics(coordinator),
        _ => return Response::error(404, ""),
    };
    answer.unwrap_or_else(|error| error_response(&error))
}

/// Writes to the database and looks at the disk.
fn readiness(coordinator: &Coordinator) -> Response {
    let checks = [
        ("database", coordinator.check_writable(Timestamp::now()).map_err(|error| error.to_string())),
        ("disk", coordinator.free_disk_bytes().map(drop).map_err(|error| error.to_string())),
    ];
    let ready = checks.iter().all(|(_, result)| result.is_ok());
    let mut body = serde_json::Map::new();
    body.insert("status".to_owned(), json!(if ready { "ok" } else { "failing" }));
    for (name, result) in checks {
        if let Err(error) = &result {
            log::error!("not ready: {name}: {error}");
        }
        body.insert(name.to_owned(), json!(if result.is_ok() { "ok" } else { "failing" }));
    }
    Response::json(if ready { 200 } else { 503 }, &body.into())
}

/// Prometheus text format 0.0.4.
fn metrics(coordinator: &Coordinator) -> crate::error::Result<Response> {
    let counts = coordinator.count_builds()?;
    let mut text = String::from("# HELP baton_build_info The version of this server.\n# TYPE baton_build_info gauge\n");
    // Writing to a String cannot fail.
    let _ = writeln!(text, "baton_build_info{{version=\"{}\"}} 1", env!("CARGO_PKG_VERSION"));
    text.push_str("# HELP baton_builds Builds stored, by state.\n# TYPE baton_builds gauge\n");
    for status in Status::ALL {
        let count = counts.iter().find(|(own, _)| *own == status).map_or(0, |(_, count)| *count);
        let _ = writeln!(text, "baton_builds{{status=\"{status}\"}} {count}");
    }
    let oldest = coordinator.oldest_pending_at()?;
    let age = oldest.map_or(0.0, |at| Timestamp::now().since(at).as_secs_f64());
    text.push_str("# HELP baton_queue_oldest_seconds Age of the oldest pending build.\n");
    let _ = writeln!(text, "# TYPE baton_queue_oldest_seconds gauge\nbaton_queue_oldest_seconds {age}");
    let free = coordinator.free_disk_bytes()?;
    text.push_str("# HELP baton_disk_free_bytes Room on the file system of the data.\n");
    let _ = writeln!(text, "# TYPE baton_disk_free_bytes gauge\nbaton_disk_free_bytes {free}");
    let restarts: u64 = std::env::var(RESTARTS_VARIABLE).ok().and_then(|count| count.parse().ok()).unwrap_or(0);
    text.push_str("# HELP baton_restarts_total Serving processes that died and were replaced.\n");
    let _ = writeln!(text, "# TYPE baton_restarts_total counter\nbaton_restarts_total {restarts}");
    Ok(Response {
        status: 200,
        headers: vec![("Content-Type", "text/plain; version=0.0.4".to_owned())],
        body: Body::Bytes(text.into_bytes()),
    })
}
