//! What `GET /-/metrics` says. README and docs/ explain each metric; names and labels, once released, stay.
//!
//! What must stay true: labels hold words of this program only, never an id, a name or a token; a look costs the same,
//! however many builds there are.

use crate::api::Api;
use crate::coordinator::Counts;
use crate::domain::build::{FailureReason, Status};
use crate::domain::time::Timestamp;
use crate::error::Result;
use crate::metrics::{Kind, Text, quotient};
use std::time::Duration;

/// All metrics.
pub fn text(api: &Api, now: Timestamp) -> Result<Text> {
    let counts = api.coordinator.counts(now)?;
    let mut text = Text::default();
    process(&mut text, api);
    builds(&mut text, &counts, now);
    claims(&mut text, api);
    logs(&mut text, api);
    storage(&mut text, &counts);
    commits(&mut text, api);
    requests(&mut text, api);
    Ok(text)
}

fn process(text: &mut Text, api: &Api) {
    text.family(Kind::Gauge, "baton_build_info", "The version of this server.")
        .sample(&[("version", env!("CARGO_PKG_VERSION"))], 1);
    let start = seconds(api.started_at.since(Timestamp(0)));
    text.number(Kind::Gauge, "process_start_time_seconds", "When the serving process started, since 1970.", start);
    let help = "Serving processes that died and were replaced.";
    text.number(Kind::Counter, "baton_restarts_total", help, api.restarts);
}

fn builds(text: &mut Text, counts: &Counts, now: Timestamp) {
    let statistics = &counts.statistics;
    let mut family = text.family(Kind::Gauge, "baton_builds", "Builds stored, by state.");
    for status in Status::ALL {
        family.sample(&[("status", status.as_str())], statistics.stored(status));
    }
    let help = "Builds that ended, by result and, if they failed, by reason; pruned ones and earlier processes' too.";
    let mut family = text.family(Kind::Counter, "baton_builds_finished_total", help);
    for status in Status::ALL.into_iter().filter(|status| status.is_finished()) {
        let reasons: &[Option<FailureReason>] =
            if status == Status::Failed { &FailureReason::ALL.map(Some) } else { &[None] };
        for reason in reasons {
            let labels = [("status", status.as_str()), ("reason", reason.map_or("", FailureReason::as_str))];
            family.sample(&labels, statistics.total(status, *reason));
        }
    }
    let pending = statistics.stored(Status::Pending);
    text.number(Kind::Gauge, "baton_queue_length", "Builds that wait for a runner.", pending);
    let age = counts.oldest_pending.map_or(Duration::ZERO, |(_, at)| now.since(at));
    let help = "How long the build has waited for a runner that has waited longest; 0: none waits.";
    text.number(Kind::Gauge, "baton_queue_oldest_seconds", help, seconds(age));
    let help = "From when builds could be handed out to when they were.";
    text.distribution("baton_queue_wait_seconds", help, &(&statistics.waits).into());
    let help = "From when builds were handed out to their end.";
    text.distribution("baton_build_duration_seconds", help, &(&statistics.runs).into());
    let mut family = text.family(Kind::Gauge, "baton_runners", "Registered runners, by state.");
    for (state, count) in &counts.runners {
        family.sample(&[("state", state.as_str())], count);
    }
}

fn storage(text: &mut Text, counts: &Counts) {
    let statistics = &counts.statistics;
    for (name, help, bytes) in [
        ("baton_trace_bytes", "Bytes of all logs.", statistics.trace_bytes),
        ("baton_artifact_bytes", "Bytes of all artifacts.", statistics.artifact_bytes),
        ("baton_database_bytes", "Length of the database's file.", counts.database_bytes),
        ("baton_database_wal_bytes", "Length of the database's write-ahead log.", counts.log_bytes),
        ("baton_disk_free_bytes", "Room on the file system of the data.", counts.room.free_bytes),
        ("baton_disk_size_bytes", "Size of the file system of the data.", counts.room.bytes),
    ] {
        text.number(Kind::Gauge, name, help, bytes);
    }
}

fn claims(text: &mut Text, api: &Api) {
    let help = "Answers to runners that asked for work, by outcome.";
    let mut family = text.family(Kind::Counter, "baton_claims_total", help);
    for (outcome, count) in api.claims.counts() {
        family.sample(&[("outcome", outcome.as_str())], count);
    }
    let waiting = api.coordinator.count_waiting();
    text.number(Kind::Gauge, "baton_held_polls", "Runners that wait for a build, without a thread.", waiting);
}

fn logs(text: &mut Text, api: &Api) {
    let help = "Logs that were compared at their end with what their runners say that they sent, by verdict.";
    let mut family = text.family(Kind::Counter, "baton_trace_checks_total", help);
    for (verdict, count) in api.log_checks.counts() {
        family.sample(&[("verdict", verdict.as_str())], count);
    }
}

fn commits(text: &mut Text, api: &Api) {
    let commits = api.coordinator.commits();
    let help = "How long commits took until they were durable.";
    text.distribution("baton_commit_duration_seconds", help, &commits.times.read());
    text.distribution("baton_commit_jobs", "Writes that shared a commit.", &commits.jobs.read());
}

fn requests(text: &mut Text, api: &Api) {
    let traffic = &api.traffic;
    let help = "Requests that were answered, by route, method and status.";
    let mut family = text.family(Kind::Counter, "baton_http_requests_total", help);
    for (route, method, status, count) in traffic.answers() {
        family.sample(&[("route", route), ("method", method.as_str()), ("status", &status.to_string())], count);
    }
    let help = "From the arrival of requests to the end of their answers, the time included for which they were held.";
    let mut family = text.family(Kind::Histogram, "baton_http_request_duration_seconds", help);
    for (route, method, times) in traffic.times() {
        family.distribution(&[("route", route), ("method", method.as_str())], &times);
    }
    let help = "What was refused before it was a request, by status.";
    let mut family = text.family(Kind::Counter, "baton_http_refusals_total", help);
    for (status, count) in traffic.refusals() {
        family.sample(&[("status", &status.to_string())], count);
    }
    let help = "Calls of programs without a token that is good for them.";
    text.number(Kind::Counter, "baton_auth_failures_total", help, api.bad_tokens.count());
    let connections = traffic.connections.get();
    text.number(Kind::Gauge, "baton_http_connections", "Connections that are open.", connections);
}

fn seconds(time: Duration) -> f64 {
    quotient(u64::try_from(time.as_millis()).unwrap_or(u64::MAX), 1e3)
}
