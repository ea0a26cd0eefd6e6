//! What a simulated runner says, in either protocol, so that one test tries both.

use super::http::RUNNER_1_11;
use super::*;

/// A protocol of runners.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Speech {
    /// API v1, as runners 1.11 speak it.
    Old,
    /// API v4, as runners 19 speak it.
    Today,
}

impl Speech {
    pub const BOTH: [Speech; 2] = [Speech::Old, Speech::Today];

    /// The one or the other, by a number.
    pub fn of(number: usize) -> Speech {
        Speech::BOTH[number % 2]
    }

    /// The path of a build, or of what belongs to it: `trace`, `artifacts`.
    pub fn path(self, id: BuildId, rest: &str) -> String {
        let rest = if rest.is_empty() { String::new() } else { format!("/{rest}") };
        match self {
            Speech::Old if rest == "/trace" => format!("/ci/api/v1/builds/{id}/trace.txt"),
            Speech::Old => format!("/ci/api/v1/builds/{id}{rest}"),
            Speech::Today => format!("/api/v4/jobs/{id}{rest}"),
        }
    }

    /// The path at which builds are asked for.
    pub fn asking(self) -> &'static str {
        match self {
            Speech::Old => "/ci/api/v1/builds/register.json",
            Speech::Today => "/api/v4/jobs/request",
        }
    }

    /// The header for a build's token.
    pub fn header(self) -> &'static str {
        match self {
            Speech::Old => "BUILD-TOKEN",
            Speech::Today => "JOB-TOKEN",
        }
    }

    /// What is answered to a stranger, or of a build that has ended, where the old protocol says that there is none.
    pub fn not_here(self) -> u16 {
        match self {
            Speech::Old => 404,
            Speech::Today => 403,
        }
    }

    /// The registration of a runner; 201.
    pub fn register(self, registration_token: &str) -> Request {
        let path = match self {
            Speech::Old => "/ci/api/v1/runners/register",
            Speech::Today => "/api/v4/runners",
        };
        Request::post(path).json(&json!({"token": registration_token, "info": self.info()}))
    }

    /// The removal of a runner by itself, and what it is answered.
    pub fn unregister(self, runner_token: &str) -> (Request, u16) {
        match self {
            Speech::Old => (Request::delete("runners/delete").query("token", runner_token), 200),
            Speech::Today => (Request::delete("/api/v4/runners").json(&json!({"token": runner_token})), 204),
        }
    }

    /// The question whether a runner is still known, and what it is answered if so.
    pub fn verify(self, runner_token: &str) -> (Request, u16) {
        match self {
            Speech::Old => (Request::put("builds/-1").json(&json!({"token": runner_token, "state": "success"})), 404),
            Speech::Today => (Request::post("/api/v4/runners/verify").json(&json!({"token": runner_token})), 200),
        }
    }

    fn info(self) -> Value {
        match self {
            Speech::Old => json!({"name": "gitlab-ci-multi-runner", "version": "1.11.5"}),
            Speech::Today => json!({"name": "gitlab-runner", "version": "19.3.0", "features": {"refspecs": true}}),
        }
    }

    /// The request for a build.
    pub fn ask(self, runner_token: &str) -> Request {
        self.poll(runner_token, None)
    }

    /// The request for a build by a runner that was told `last_update`.
    pub fn poll(self, runner_token: &str, last_update: Option<&str>) -> Request {
        let mut body = json!({"token": runner_token, "info": self.info()});
        if let Some(value) = last_update {
            body["last_update"] = value.into();
        }
        match self {
            Speech::Old => Request::post(self.asking()).agent(RUNNER_1_11).json(&body),
            Speech::Today => {
                body["system_id"] = "s_1746f8786189".into();
                Request::post(self.asking()).json(&body)
            }
        }
    }

    /// A report on a build, with its token.
    pub fn report(self, build: &Claimed, said: Value) -> Request {
        let mut body = json!({"token": build.token, "info": self.info()});
        body.as_object_mut().unwrap().extend(object(said));
        Request::put(&self.path(build.id, "")).agent(RUNNER_1_11).json(&body)
    }

    /// A piece of a log, as runners from 11.11 on send it in the one, and those before it in the other.
    pub fn patch(self, build: &Claimed, start: usize, data: &[u8]) -> Request {
        let end = match self {
            Speech::Old => start + data.len(),
            Speech::Today => (start + data.len()).saturating_sub(1),
        };
        Request::patch(&self.path(build.id, "trace"))
            .header(self.header(), &build.token)
            .header("Content-Range", &format!("{start}-{end}"))
            .body("text/plain", data)
    }

    /// An upload.
    pub fn upload(self, build: &Claimed, parts: &[Part<'_>]) -> Request {
        let request = Request::post(&self.path(build.id, "artifacts")).header(self.header(), &build.token);
        match self {
            Speech::Old => request.multipart(parts),
            Speech::Today => request.query("artifact_format", "zip").query("artifact_type", "archive").multipart(parts),
        }
    }

    /// A download with this token.
    pub fn download(self, build: &Claimed) -> Request {
        Request::get(&self.path(build.id, "artifacts")).header(self.header(), &build.token)
    }
}
