//! What those who watch a server are told: health, readiness, metrics.

use crate::harness::metrics::Metrics;
use crate::harness::{Baton, Request, ask, new_build, new_runner, tags, upload};
use baton::coordinator::Coordinator;
use baton::limits::Limits;
use baton::store::runners::NewRunner;
use serde_json::json;
use std::process::Command;

#[track_caller]
fn metrics(baton: &Baton) -> Metrics {
    let response = baton.send(Request::get("/-/metrics")).expect(200);
    assert_eq!(response.header("Content-Type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    Metrics::parse(&response.text())
}

/// Builds in the states from `created` to `skipped`.
fn states(metrics: &Metrics) -> [f64; 7] {
    ["created", "pending", "running", "success", "failed", "canceled", "skipped"]
        .map(|status| metrics.value("baton_builds", &[("status", status)]))
}

fn finished(metrics: &Metrics, status: &str, reason: &str) -> f64 {
    metrics.value("baton_builds_finished_total", &[("status", status), ("reason", reason)])
}

#[test]
fn health_and_readiness_say_each_check() {
    let baton = Baton::start();
    for path in ["/-/health", "/-/liveness"] {
        assert_eq!(baton.send(Request::get(path)).expect(200).json(), json!({"status": "ok"}));
    }
    let ready = baton.send(Request::get("/-/readiness")).expect(200).json();
    assert_eq!(ready, json!({"status": "ok", "database": "ok", "disk": "ok", "draining": false}));
    baton.operator().begin_draining();
    let draining = baton.send(Request::get("/-/readiness")).expect(503).json();
    assert_eq!(draining, json!({"status": "draining", "database": "ok", "disk": "ok", "draining": true}));
    baton.send(Request::get("/-/health")).expect(200);
}

#[test]
fn a_crowd_that_asks_for_readiness_makes_a_commit_a_second_and_no_more() {
    let baton = Baton::start();
    let changes = || -> i64 {
        let database = baton.database();
        database.query_row("SELECT alive_at FROM settings", [], |row| row.get(0)).unwrap()
    };
    let begin = std::time::Instant::now();
    let mut seen = std::collections::BTreeSet::from([changes()]);
    for _ in 0..50 {
        baton.send(Request::get("/-/readiness")).expect(200);
        seen.insert(changes());
    }
    // Beside these: one that a timer makes at the start.
    let allowed = begin.elapsed().as_secs() + 3;
    assert!(seen.len() as u64 <= allowed, "{} commits", seen.len());
}

#[test]
fn metrics_follow_builds_through_their_lives_and_survive_a_restart() {
    let baton = Baton::with_project();
    let empty = metrics(&baton);
    assert_eq!((states(&empty), empty.value("baton_queue_length", &[])), ([0.0; 7], 0.0));
    assert_eq!(empty.value("baton_queue_oldest_seconds", &[]), 0.0);

    let first = baton.build();
    let second = baton.build_needing(&[first]);
    let third = baton.build();
    baton.build_needing(&[third]);
    let queued = metrics(&baton);
    assert_eq!((states(&queued), queued.value("baton_queue_length", &[])), ([2.0, 2.0, 0.0, 0.0, 0.0, 0.0, 0.0], 2.0));

    let runner = baton.runner();
    let claimed = baton.claim(&runner);
    assert_eq!(claimed.id, first);
    baton.append(&claimed, 0, "hello\n");
    baton.send(upload(&claimed, "x.zip", b"content")).expect(201);
    let running = metrics(&baton);
    assert_eq!(states(&running), [2.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0]);
    assert_eq!(running.value("baton_trace_bytes", &[]), 6.0);
    assert_eq!(running.value("baton_artifact_bytes", &[]), 7.0);
    assert_eq!(running.value("baton_queue_wait_seconds_count", &[]), 1.0);
    assert_eq!(running.value("baton_build_duration_seconds_count", &[]), 0.0);

    baton.finish(&claimed, "success");
    let other = baton.claim(&runner);
    baton.finish(&other, "failed");
    // Which of the two came first does not matter: one is left, and another process cancels it.
    let beside = Coordinator::open(baton.data(), Limits::default()).unwrap();
    let left = if other.id == second { third } else { second };
    beside.cancel_build(left, baton::domain::time::Timestamp::now()).unwrap();
    let ended = metrics(&baton);
    assert_eq!(ended.sum("baton_builds"), 4.0);
    assert_eq!(finished(&ended, "success", ""), 1.0);
    assert_eq!(finished(&ended, "failed", "script_failure"), 1.0);
    assert_eq!(finished(&ended, "failed", "runner_lost"), 0.0);
    assert_eq!((finished(&ended, "canceled", ""), finished(&ended, "skipped", "")), (1.0, 1.0));
    assert_eq!(ended.value("baton_build_duration_seconds_count", &[]), 2.0);
    drop(beside);

    let baton = baton.restart();
    let again = metrics(&baton);
    assert_eq!(states(&again), states(&ended));
    for name in ["baton_builds_finished_total", "baton_queue_wait_seconds_count", "baton_build_duration_seconds_sum"] {
        assert_eq!(again.sum(name), ended.sum(name), "{name}");
    }
    baton.erase(first);
    let erased = metrics(&baton);
    assert_eq!(erased.value("baton_artifact_bytes", &[]), 0.0);
    assert_eq!(erased.value("baton_trace_bytes", &[]), 0.0);
}

#[test]
fn runners_are_counted_by_state() {
    let baton = Baton::with_project();
    let (asking, paused) = (baton.runner(), baton.runner());
    baton.runner();
    baton.ask(&asking).expect(204);
    baton.operator().pause_runner(paused.id, true).unwrap();
    let metrics = metrics(&baton);
    let count = |state| metrics.value("baton_runners", &[("state", state)]);
    assert_eq!(["online", "stale", "paused", "never_seen"].map(count), [1.0, 0.0, 1.0, 1.0]);
}

#[test]
fn labels_hold_words_of_the_program_only() {
    let baton = Baton::with_project();
    let begin = metrics(&baton);
    let secret = "zanzibar";
    let runner = baton.runner_like(NewRunner { description: secret.into(), tags: tags(secret), ..new_runner() }, None);
    baton.queue(baton::domain::build::NewBuild { name: secret.into(), ref_: secret.into(), ..new_build("demo") });
    let build = baton.claim(&runner);
    baton.finish(&build, "failed");
    baton.send(ask(secret)).expect(403);
    for path in [format!("/{secret}"), format!("builds/{secret}"), format!("/-/{secret}"), format!("builds/1?{secret}")]
    {
        baton.send(Request::get(&path));
        baton.send(Request::new(&secret.to_uppercase(), &path));
    }
    let end = metrics(&baton);
    let routes = [baton::api::routes(), baton::web::routes()].concat();
    for (name, value) in end.labels() {
        assert!(!value.to_lowercase().contains(secret) && !value.contains(&runner.token), "{name}={value}");
        let is_word = value.chars().all(|c| c.is_ascii_lowercase() || c == '_');
        match name {
            "status" => assert!(is_word || value.parse::<u16>().is_ok(), "{value}"),
            "reason" | "state" | "outcome" | "verdict" => assert!(is_word, "{name}={value}"),
            "route" => assert!(value == "other" || routes.contains(&value), "{value}"),
            "method" => assert!(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OTHER"].contains(&value), "{value}"),
            "le" => assert!(value == "+Inf" || value.parse::<f64>().is_ok(), "{value}"),
            "version" => assert_eq!(value, env!("CARGO_PKG_VERSION")),
            _ => panic!("{name}={value}"),
        }
    }
    assert!(begin.kinds == end.kinds && end.len() < 1000, "{} samples", end.len());
}

#[test]
fn requests_are_counted_by_route_method_and_status_and_claims_by_outcome() {
    let baton = Baton::with_project();
    let (runner, paused) = (baton.runner(), baton.runner());
    baton.operator().pause_runner(paused.id, true).unwrap();
    baton.ask(&runner).expect(204);
    baton.ask(&paused).expect(404);
    baton.send(ask("zanzibar")).expect(403);
    baton.send(Request::post("builds/register").body("application/json", "{")).expect(400);
    baton.build();
    let build = baton.claim(&runner);
    baton.append(&build, 0, "x");
    baton.finish(&build, "success");
    let mut raw = crate::harness::Connection::open(baton.address());
    raw.send_raw(b"GET / HTTP/2.0\r\n\r\n");
    raw.read("GET").expect(505);
    // An answer is counted when it is out.
    let seen = crate::harness::served::wait_for("all counts", || {
        let seen = metrics(&baton);
        let count = seen.sum("baton_http_requests_total") - seen.sum_of("baton_http_requests_total", "/-/metrics");
        (count == 7.0 && seen.sum("baton_http_refusals_total") == 1.0).then_some(seen)
    });
    let requests = |route: &str, method: &str, status: &str| {
        seen.value("baton_http_requests_total", &[("route", route), ("method", method), ("status", status)])
    };
    for status in ["201", "204", "400", "403", "404"] {
        assert_eq!(requests("builds/register", "POST", status), 1.0, "{status}");
    }
    assert_eq!(requests("builds/:id/trace.txt", "PATCH", "202"), 1.0);
    assert_eq!(requests("builds/:id", "PUT", "200"), 1.0);
    let times = [("route", "builds/register"), ("method", "POST")];
    assert_eq!(seen.value("baton_http_request_duration_seconds_count", &times), 5.0);
    assert_eq!(seen.value("baton_http_refusals_total", &[("status", "505")]), 1.0);
    let claims = ["build", "nothing", "paused", "forbidden", "invalid", "held", "left", "failed"]
        .map(|outcome| seen.value("baton_claims_total", &[("outcome", outcome)]));
    assert_eq!(claims, [1.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0]);
    // One each for the project, two runners, a pause, a build, and three reports, at least.
    assert!(seen.value("baton_commit_duration_seconds_count", &[]) >= 8.0);
    assert!(seen.value("baton_commit_jobs_sum", &[]) >= seen.value("baton_commit_jobs_count", &[]));
    assert!(seen.value("process_start_time_seconds", &[]) > 1.7e9);
}

#[test]
fn polls_that_are_held_are_counted_while_they_are_and_by_what_comes_of_them() {
    let limits = Limits { hold_time_max: std::time::Duration::from_secs(1), ..Limits::default() };
    let baton = Baton::with_limits(limits);
    let runner = baton.runner();
    let last_update = baton.ask(&runner).expect(204).header("X-GitLab-Last-Update").unwrap().to_owned();
    let asks = Request::post("builds/register.json")
        .agent(crate::harness::http::RUNNER_1_11)
        .json(&json!({"token": runner.token, "last_update": last_update}));
    baton.send(asks.clone()).expect(204);
    assert_eq!(metrics(&baton).value("baton_claims_total", &[("outcome", "held")]), 1.0);
    // Whoever leaves meanwhile is no answer.
    let mut leaving = crate::harness::Connection::open(baton.address());
    leaving.send_raw(&asks.bytes());
    crate::harness::served::wait_for("a held poll", || {
        (metrics(&baton).value("baton_held_polls", &[]) == 1.0).then_some(())
    });
    drop(leaving);
    crate::harness::served::wait_for("its end", || {
        let seen = metrics(&baton);
        let left = seen.value("baton_claims_total", &[("outcome", "left")]);
        (left == 1.0 && seen.value("baton_held_polls", &[]) == 0.0).then_some(())
    });
}

/// Runs `baton ping` with these variables and options: its status, and what it has said where.
fn ping(variables: &[(&str, &str)], options: &[&str]) -> (Option<i32>, String, String) {
    let nowhere = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_baton"));
    let output =
        command.arg("ping").args(options).envs(variables.iter().copied()).current_dir(&nowhere).output().unwrap();
    assert_eq!(std::fs::read_dir(nowhere.path()).unwrap().count(), 0, "a data directory was made");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn ping_says_whether_the_server_is_ready_without_a_data_directory() {
    let baton = Baton::start();
    let url = format!("http://{}", baton.address());
    let port = baton.address().port();
    assert_eq!(ping(&[], &["--url", &url]), (Some(0), format!("{url} is ready\n"), String::new()));
    let everywhere = format!("0.0.0.0:{port}");
    assert_eq!(ping(&[("BATON_LISTEN", &everywhere)], &[]).0, Some(0));
    let (status, out, _) = ping(&[], &["--url", &url, "--json"]);
    let ready = json!({"status": "ok", "database": "ok", "disk": "ok", "draining": false});
    assert_eq!((status, serde_json::from_str(&out).unwrap()), (Some(0), ready));
    baton.operator().begin_draining();
    let (status, out, error) = ping(&[], &["--url", &url]);
    assert_eq!((status, out.as_str()), (Some(1), ""));
    assert!(error.starts_with(&format!("baton: {url} is not ready: ")) && error.contains("draining"), "{error}");
    drop(baton);
    let (status, _, error) = ping(&[], &["--url", &url]);
    assert!(status == Some(1) && error.contains("does not answer"), "{error}");
    for (variables, options) in [(&[("BATON_LISTEN", "127.0.0.1:0")][..], &[][..]), (&[], &["--url", "ftp://x"])] {
        assert_eq!(ping(variables, options).0, Some(2), "{variables:?} {options:?}");
    }
}
