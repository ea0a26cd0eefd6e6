//! What must not leak: tokens, secret variables, traces, artifacts; into the log at its most talkative, the metrics,
//! and the answers to requests that are refused.

use crate::harness::http::{Request, Response, send};
use crate::harness::raw::{Raw, ask};
use crate::harness::victim::Victim;
use crate::harness::{Claimed, Part, Speech, claimed, new_build, patch, queue};
use baton::domain::build::{NewBuild, Variable};
use serde_json::json;

const SECRET_VALUE: &str = "correct-horse-battery-staple";
const TRACE: &str = "what-a-build-printed";
const CONTENT: &str = "what-a-build-made";
/// What a client takes for a token.
const WRONG: &str = "a-token-of-somewhere-else";

struct Session {
    speech: Speech,
    victim: Victim,
    secrets: Vec<String>,
    runner_token: String,
    build: Claimed,
}

impl Session {
    /// Registers with the registration token, as new runners do, and gets a build that has a secret.
    fn new(speech: Speech) -> Session {
        let victim = Victim::with(&[], &[("RUST_LOG", "trace"), ("RUST_BACKTRACE", "1")], "");
        let registration = victim.operator.registration_token(false).unwrap();
        let project = crate::harness::add_project(&victim.operator, "demo");
        let answer = send(victim.address, &speech.register(&registration));
        let runner_token = answer.expect(201).json()["token"].as_str().unwrap().to_owned();
        let variables = vec![Variable::secret("PASSWORD", SECRET_VALUE)];
        queue(&victim.operator, NewBuild { variables, ..new_build("demo") });
        let build = claimed(&send(victim.address, &speech.ask(&runner_token)).expect(201));
        let fixed = [SECRET_VALUE, TRACE, CONTENT, WRONG].map(ToOwned::to_owned);
        let tokens = [registration, project, runner_token.clone(), build.token.clone()];
        Session { speech, victim, secrets: [&fixed[..], &tokens[..]].concat(), runner_token, build }
    }

    fn send(&self, request: &Request) -> Response {
        send(self.victim.address, request)
    }

    #[track_caller]
    fn expect_silence(&self, where_: &str, text: &str) {
        for (number, secret) in self.secrets.iter().enumerate() {
            let at = text.find(secret.as_str());
            assert!(at.is_none(), "secret {number}, {secret:?}, is in {where_}: {text}");
        }
    }

    /// Fails unless it is refused, without a word of what was sent.
    #[track_caller]
    fn expect_refused(&self, request: &Request) {
        let answer = self.send(request);
        assert!(answer.status >= 400, "{}", answer.status);
        self.expect_silence("an error", &format!("{:?} {}", answer.headers, answer.text()));
    }

    /// All that a runner does, rightly.
    fn work(&self) {
        let line = format!("{TRACE} {SECRET_VALUE}\n");
        let speech = self.speech;
        self.send(&speech.patch(&self.build, 0, line.as_bytes())).expect(202);
        self.send(&speech.upload(&self.build, &[Part::file("a.zip", CONTENT.as_bytes())])).expect(201);
        self.send(&speech.download(&self.build)).expect(200);
        self.send(&speech.report(&self.build, json!({"state": "running"}))).expect(200);
    }

    /// The same, wrongly, with each secret in every place that a request has.
    fn blunder(&self) {
        let id = self.build.id;
        for secret in &self.secrets {
            for request in [
                Request::get(&format!("builds/{secret}/artifacts")).build_token(secret),
                Request::get(&format!("/{secret}?token={secret}")),
                Request::new(secret, &format!("builds/{id}/trace?token={secret}")),
                Request::post("builds/register").body("application/json", format!("{{\"token\":\"{secret}\",}}")),
                Request::post("builds/register").body("application/json", format!("{{{secret}")),
                Request::post("builds/register").body(secret, secret.as_str()).header("User-Agent", secret),
                Request::post("runners/register").form(&[("token", WRONG), ("tag_list", secret), ("locked", secret)]),
                Request::put(&format!("builds/{id}"))
                    .build_token(WRONG)
                    .json(&json!({"state": secret, "trace": secret})),
                Request::patch(&format!("builds/{id}/trace"))
                    .build_token(&self.build.token)
                    .header("Content-Range", secret)
                    .body("text/plain", secret.as_str()),
                patch(&self.build, 4711, secret.as_bytes()),
                Request::post(&format!("builds/{id}/artifacts"))
                    .build_token(&self.build.token)
                    .body(&format!("multipart/form-data; boundary={secret}"), secret.as_str()),
                Request::post(&format!("builds/{id}/artifacts"))
                    .build_token(&self.build.token)
                    .form(&[("expire_in", secret)]),
                Request::post(&format!("builds/{id}/artifacts/authorize"))
                    .build_token(&self.build.token)
                    .query("filesize", secret),
                Request::get(&format!("builds/{id}/artifacts")).build_token(WRONG).header("Range", secret),
                Request::delete("runners/delete").query("token", WRONG).header("If-None-Match", secret),
            ] {
                self.expect_refused(&request);
            }
            self.blunder_in_v4(secret);
        }
    }

    /// What only today's protocol has.
    fn blunder_in_v4(&self, secret: &str) {
        let v4 = |method: &str, path: &str| Request::new(method, &format!("/api/v4/{path}"));
        let id = self.build.id;
        let job =
            |method: &str, rest: &str| v4(method, &format!("jobs/{id}{rest}")).header("JOB-TOKEN", &self.build.token);
        for request in [
            v4("GET", &format!("jobs/{secret}/artifacts")).header("JOB-TOKEN", secret),
            v4("POST", "jobs/request").header("PRIVATE-TOKEN", secret).json(&json!({"last_update": secret})),
            v4("POST", "jobs/request")
                .body("application/json", format!("{{\"token\":\"{WRONG}\",\"info\":\"{secret}\"}}")),
            v4("POST", "runners").json(&json!({"token": WRONG, "tag_list": [secret], "description": secret})),
            v4("POST", "runners/verify").json(&json!({"token": WRONG, "system_id": secret})),
            v4("DELETE", "runners/managers").json(&json!({"token": WRONG, "system_id": secret})),
            v4("POST", "runners/reset_authentication_token").form(&[("token", WRONG), ("x", secret)]),
            v4("POST", "runners/1/reset_authentication_token").header("PRIVATE-TOKEN", secret),
            v4("GET", "runners/router/discovery").header("RUNNER-TOKEN", secret),
            job("PUT", "").json(&json!({"state": secret, "failure_reason": secret, "checksum": secret})),
            job("PUT", "").json(&json!({"state": "running", "output": secret})),
            job("PATCH", "/trace").header("Content-Range", secret).body("text/plain", secret),
            job("POST", "/artifacts").query("artifact_type", &format!("{secret} ")).multipart(&[Part::file("f", b"x")]),
            job("POST", "/artifacts").query("artifact_format", secret).multipart(&[Part::file("f", b"x")]),
            job("POST", "/artifacts").query("expire_in", secret).multipart(&[Part::file(secret, b"x")]),
            job("POST", "/artifacts/authorize").query("filesize", secret),
            v4("PATCH", &format!("jobs/{id}/trace?debug_trace={secret}"))
                .header("JOB-TOKEN", WRONG)
                .body("text/plain", secret),
        ] {
            self.expect_refused(&request);
        }
    }

    /// What is not even HTTP, and what is cut off.
    fn babble(&self) {
        for secret in &self.secrets {
            for bytes in [
                format!("{secret}\r\n\r\n"),
                format!("GET /?token={secret} HTTP/2.0\r\n\r\n"),
                format!("GET / HTTP/1.1\r\nBuild-Token: {secret}\r\nContent-Length: {secret}\r\n\r\n"),
                format!("GET / HTTP/1.1\r\n{secret}\r\n\r\n"),
                format!("GET / HTTP/1.1\r\nExpect: {secret}\r\n\r\n"),
                format!("GET /{} HTTP/1.1\r\n\r\n", secret.repeat(1000)),
                format!("POST /ci/api/v1/builds/register HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n{secret}\r\n"),
            ] {
                let (answer, _) = ask(self.victim.address, bytes.as_bytes());
                self.expect_silence("an error", &format!("{answer:?} {}", answer.text()));
            }
            let mut raw = Raw::open(self.victim.address).unwrap();
            raw.send(
                format!("POST /{secret} HTTP/1.1\r\nBuild-Token: {secret}\r\nContent-Length: 99999\r\n\r\n{secret}")
                    .as_bytes(),
            );
        }
    }

    fn finish(&self) {
        let trace = format!("{TRACE} {SECRET_VALUE} again");
        let speech = self.speech;
        // The checksum is that of another log, which the server's log tells.
        let done = json!({"state": "failed", "trace": trace, "checksum": "crc32:00000000"});
        self.send(&speech.report(&self.build, done)).expect(200);
        self.expect_refused(&speech.patch(&self.build, 0, TRACE.as_bytes()));
        let (leave, done) = speech.unregister(&self.runner_token);
        self.send(&leave).expect(done);
        self.expect_refused(&speech.ask(&self.runner_token));
    }
}

#[test]
fn no_secret_leaks_into_the_log_the_metrics_or_an_error() {
    Speech::BOTH.into_iter().for_each(leaks_no_secret);
}

fn leaks_no_secret(speech: Speech) {
    let session = Session::new(speech);
    let healthy = session.victim.healthy();
    session.work();
    session.blunder();
    session.babble();
    session.finish();
    healthy.work(5);
    healthy.rest("a session full of errors");
    let metrics = session.send(&Request::get("/-/metrics")).expect(200);
    session.expect_silence("the metrics", &metrics.text());
    let log = session.victim.log();
    session.expect_silence("the log", &log);
    assert!(!log.contains("one line of a trace"), "a trace is in the log");
    assert_eq!(log.contains("is not what its runner sent"), speech == Speech::Today);
    assert!(!log.contains("panicked"), "{log}");
}
