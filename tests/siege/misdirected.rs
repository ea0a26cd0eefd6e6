//! Runners at the wrong place: what they and their owners get to see.

use crate::harness::http::{RUNNER_1_11, Request, send};
use crate::harness::victim::Victim;
use serde_json::json;

const RUNNER_15: &str = "gitlab-runner 15.11.0 (15-11-stable; go1.19.6; linux/amd64)";

#[test]
fn a_runner_with_a_wrong_url_is_told_what_is_right_once_a_minute() {
    let victim = Victim::start();
    let body = json!({"token": "not-to-be-told"});
    for (agent, path, said) in [
        (RUNNER_15, "//api/v4/runners/verify", "doubled slashes"),
        (RUNNER_15, "/ci/api/v4/runners", "a path that is not this server's"),
        (RUNNER_1_11, "//ci/api/v1/builds/register.json", "doubled slashes"),
        (RUNNER_1_11, "/ci/api/v1/builds/register.json/", "doubled slashes"),
        (RUNNER_1_11, "/ci//api/v1/runners/register.json", "doubled slashes"),
        (RUNNER_1_11, "/ci/ci/api/v1/builds/register.json", "a path that is not this server's"),
        (RUNNER_1_11, "/hidden-in-the-path/api/v1/builds/register.json", "a path that is not this server's"),
        (RUNNER_1_11, "/ci/api/v1", "the URL of runners itself"),
    ] {
        let url = if agent == RUNNER_15 { "http://baton.test (" } else { "http://baton.test/ci (" };
        for _ in 0..3 {
            let request = Request::new("POST", path).agent(agent).json(&body);
            let text = send(victim.address, &request).expect_error(404).text();
            assert!(text.contains(said) && text.contains(url), "{path}: {text}");
        }
    }
    let log = victim.log();
    let warnings: Vec<&str> = log.lines().filter(|line| line.contains("the URL in its configuration")).collect();
    assert_eq!(warnings.len(), 1, "{log}");
    assert!(warnings[0].contains("15.11.0") && warnings[0].contains("must be http://HOST:PORT ("), "{log}");
    assert!(!log.contains("hidden-in-the-path") && !log.contains("not-to-be-told"), "{log}");
}

/// What comes from a header goes into the answer only as far as it can be a host.
#[test]
fn a_host_that_is_none_is_not_repeated() {
    let victim = Victim::start();
    let mut raw = crate::harness::raw::Raw::open(victim.address).unwrap();
    raw.send(b"GET /ci/api/v4/runners HTTP/1.1\r\nHost: <script>\"x\"\r\n\r\n");
    let text = raw.expect_answer().text();
    assert!(text.contains("http://HOST:PORT/ci") && !text.contains("script"), "{text}");
}
