//! API v4: every endpoint with every token, in every place where one could stand, and with its parameters in every encoding.
//!
//! A runner's token counts as a parameter and in RUNNER-TOKEN, a job's as a parameter and in JOB-TOKEN. In any other place
//! it is not seen: the request is one without a token.

use crate::encodings::{ENCODINGS, Encoding, encoded};
use crate::harness::*;
use baton::domain::build::{FailureReason, NewBuild, Status};
use serde_json::json;

/// Headers that a token might come in.
const HEADERS: [&str; 6] = ["JOB-TOKEN", "RUNNER-TOKEN", "PRIVATE-TOKEN", "BUILD-TOKEN", "Authorization", "X-Token"];

/// Where a token stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Place {
    Parameter(Encoding),
    Header(&'static str),
}

fn places() -> Vec<Place> {
    ENCODINGS.map(Place::Parameter).into_iter().chain(HEADERS.map(Place::Header)).collect()
}

/// A runner with a job that runs and has artifacts, one that has ended with some, and one that needs this and runs.
struct Scene {
    running: Claimed,
    ended: Claimed,
    needing: Claimed,
    runner: TestRunner,
    other_runner: TestRunner,
    ci_token: String,
    registration_token: String,
}

fn scene(baton: &Baton, number: usize) -> Scene {
    let project = format!("p{number}");
    let ci_token = baton.project(&project);
    let (runner, other_runner) = (baton.project_runner(&project), baton.project_runner(&project));
    let next = |needs| {
        let id = baton.queue(NewBuild { needs, ..new_build(&project) });
        let job = claimed(&baton.send(Speech::Today.ask(&runner.token)).expect(201));
        assert_eq!(job.id, id);
        baton.send(Speech::Today.upload(&job, &[Part::file("x.zip", b"content")])).expect(201);
        job
    };
    let ended = next(vec![]);
    baton.send(Speech::Today.report(&ended, json!({"state": "success"}))).expect(200);
    let needing = next(vec![ended.id]);
    let running = next(vec![]);
    // For whoever asks for one.
    baton.queue(new_build(&project));
    let registration_token = baton.operator().registration_token(false).unwrap();
    Scene { running, ended, needing, runner, other_runner, ci_token, registration_token }
}

/// What a request has beside its token.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Body {
    Parameters(&'static [(&'static str, &'static str)]),
    /// A piece of a log, which is never read as parameters.
    Log,
    /// A file, which may stand among fields.
    File,
    /// None: the path says it all.
    None,
}

/// An endpoint: what it is told, and what it answers if all is well.
struct Endpoint {
    method: &'static str,
    path: fn(&Scene) -> String,
    body: Body,
    done: u16,
    /// Whose token it wants.
    of_runner: bool,
}

const fn of_runner(method: &'static str, path: fn(&Scene) -> String, body: Body, done: u16) -> Endpoint {
    Endpoint { method, path, body, done, of_runner: true }
}

const fn of_job(method: &'static str, path: fn(&Scene) -> String, body: Body, done: u16) -> Endpoint {
    Endpoint { method, path, body, done, of_runner: false }
}

const NOTHING: Body = Body::Parameters(&[]);

/// Those that want a runner's token; the registration, which is the last one, wants another.
const OF_RUNNERS: [Endpoint; 6] = [
    of_runner("POST", |_| "jobs/request".to_owned(), Body::Parameters(&[("last_update", "x")]), 201),
    of_runner("POST", |_| "runners/verify".to_owned(), NOTHING, 200),
    of_runner("DELETE", |_| "runners/managers".to_owned(), Body::Parameters(&[("system_id", "s_1")]), 204),
    of_runner("POST", |_| "runners/reset_authentication_token".to_owned(), NOTHING, 201),
    of_runner("DELETE", |_| "runners".to_owned(), NOTHING, 204),
    of_runner("POST", |_| "runners".to_owned(), Body::Parameters(&[("description", "d")]), 201),
];

const OF_JOBS: [Endpoint; 5] = [
    of_job("PUT", |s| format!("jobs/{}", s.running.id), Body::Parameters(&[("state", "running")]), 200),
    of_job("PATCH", |s| format!("jobs/{}/trace", s.running.id), Body::Log, 202),
    of_job("POST", |s| format!("jobs/{}/artifacts", s.running.id), Body::File, 201),
    of_job(
        "POST",
        |s| format!("jobs/{}/artifacts/authorize", s.running.id),
        Body::Parameters(&[("filesize", "1")]),
        200,
    ),
    of_job("GET", |s| format!("jobs/{}/artifacts", s.running.id), Body::None, 200),
];

impl Endpoint {
    /// The request with its token there, if it can stand there.
    fn request(&self, scene: &Scene, place: Place, token: &str) -> Option<Request> {
        let bare = Request::new(self.method, &format!("/api/v4/{}", (self.path)(scene)));
        let (in_header, pair) = match place {
            Place::Parameter(_) => (bare, Some(("token", token))),
            Place::Header("Authorization") => (bare.header("Authorization", &format!("Bearer {token}")), None),
            Place::Header(name) => (bare.header(name, token), None),
        };
        let encoding = match place {
            Place::Parameter(encoding) => encoding,
            Place::Header(_) => Encoding::Query,
        };
        let pairs: Vec<(&str, &str)> = pair.into_iter().collect();
        Some(match (self.body, encoding) {
            (Body::Parameters(others), _) => encoded(in_header, encoding, &[others, pairs.as_slice()].concat()),
            (Body::File, Encoding::Multipart) => {
                in_header.multipart(&[Part::field("token", token), Part::file("x.zip", b"content")])
            }
            (Body::File, Encoding::Query) => {
                encoded(in_header, encoding, &pairs).multipart(&[Part::file("x.zip", b"content")])
            }
            (Body::Log, Encoding::Query) => {
                encoded(in_header, encoding, &pairs).header("Content-Range", "0-0").body("text/plain", "")
            }
            (Body::None, Encoding::Query) => encoded(in_header, encoding, &pairs),
            (Body::File | Body::Log | Body::None, _) => return None,
        })
    }

    fn name(&self, scene: &Scene) -> String {
        format!("{} {}", self.method, (self.path)(scene))
    }

    /// The one header that counts.
    fn header(&self) -> &'static str {
        if self.of_runner { "RUNNER-TOKEN" } else { "JOB-TOKEN" }
    }

    /// What a request without a token is told.
    fn without(&self) -> u16 {
        if self.of_runner { 400 } else { 403 }
    }
}

#[test]
fn a_token_counts_as_a_parameter_in_every_encoding_and_in_the_one_header_and_nowhere_else() {
    let (baton, mut number) = (Baton::start(), 0);
    for (index, endpoint) in OF_RUNNERS.iter().chain(&OF_JOBS).enumerate() {
        for place in places() {
            number += 1;
            let scene = scene(&baton, number);
            let token = match (index, endpoint.of_runner) {
                (5, _) => &scene.registration_token,
                (_, true) => &scene.runner.token,
                (_, false) => &scene.running.token,
            };
            let counts = matches!(place, Place::Parameter(_)) || place == Place::Header(endpoint.header());
            let Some(request) = endpoint.request(&scene, place, token) else { continue };
            let (name, response) = (endpoint.name(&scene), baton.send(request));
            let expected = if counts { endpoint.done } else { endpoint.without() };
            assert_eq!(response.status, expected, "{name}, token in {place:?}: {}", response.text());
            if !counts {
                response.expect_error(expected);
                assert_eq!(baton.status(scene.running.id), Status::Running);
            }
        }
    }
}

#[test]
fn a_parameter_wins_over_the_header() {
    let (baton, mut number) = (Baton::start(), 0);
    for (index, endpoint) in OF_RUNNERS.iter().chain(&OF_JOBS).enumerate() {
        for is_good in [true, false] {
            number += 1;
            let scene = scene(&baton, number);
            let good = match (index, endpoint.of_runner) {
                (5, _) => scene.registration_token.clone(),
                (_, true) => scene.runner.token.clone(),
                (_, false) => scene.running.token.clone(),
            };
            let (parameter, header) = if is_good { (good, "garbage".to_owned()) } else { ("garbage".to_owned(), good) };
            let request = endpoint.request(&scene, Place::Parameter(Encoding::Query), &parameter).unwrap();
            let status = baton.send(request.header(endpoint.header(), &header)).status;
            assert_eq!(status, if is_good { endpoint.done } else { 403 }, "{}", endpoint.name(&scene));
        }
    }
}

/// A token, by what it is.
type Holder = (&'static str, fn(&Scene) -> String);

const HOLDERS: [Holder; 10] = [
    ("the registration token", |scene| scene.registration_token.clone()),
    ("the project's CI token", |scene| scene.ci_token.clone()),
    ("the runner that has the jobs", |scene| scene.runner.token.clone()),
    ("another runner", |scene| scene.other_runner.token.clone()),
    ("the running job's token", |scene| scene.running.token.clone()),
    ("the ended job's token", |scene| scene.ended.token.clone()),
    ("the token of a running job that needs the ended one", |scene| scene.needing.token.clone()),
    ("garbage", |_| "no-such-token-anywhere-0123456789".to_owned()),
    ("a runner's that was never given", |_| "glrt-0123456789abcdefghij".to_owned()),
    ("a token that is too long to be one", |_| "a".repeat(3000)),
];

/// What each of [`HOLDERS`] is answered by these endpoints, and by the same of the job that has ended.
#[test]
fn every_token_opens_what_is_its_holders_and_nothing_else() {
    let (baton, mut number) = (Baton::start(), 0);
    let mut check = |endpoint: &Endpoint, expected: [u16; 10]| {
        for ((holder, token), status) in HOLDERS.iter().zip(expected) {
            number += 1;
            let scene = scene(&baton, number);
            let place = Place::Header(endpoint.header());
            let response = baton.send(endpoint.request(&scene, place, &token(&scene)).unwrap());
            assert_eq!(response.status, status, "{} with {holder}: {}", endpoint.name(&scene), response.text());
            if status >= 400 {
                assert_eq!(baton.status(scene.running.id), Status::Running);
            }
        }
    };
    //                          reg  ci   run  orun own  end  need garb glrt long
    let [request, verify, manager, reset, remove, register] = &OF_RUNNERS;
    check(request, [403, 403, 201, 201, 403, 403, 403, 403, 403, 403]);
    check(verify, [403, 403, 200, 200, 403, 403, 403, 403, 403, 403]);
    check(manager, [403, 403, 204, 204, 403, 403, 403, 403, 403, 403]);
    check(reset, [403, 403, 201, 201, 403, 403, 403, 403, 403, 403]);
    check(remove, [403, 403, 204, 204, 403, 403, 403, 403, 403, 403]);
    check(register, [201, 201, 403, 403, 403, 403, 403, 403, 403, 403]);
    for endpoint in &OF_JOBS {
        let done = endpoint.done;
        check(endpoint, [403, 403, 403, 403, done, 403, 403, 403, 403, 403]);
    }
    let of_ended = [
        of_job("PUT", |s| format!("jobs/{}", s.ended.id), Body::Parameters(&[("state", "success")]), 200),
        of_job("PATCH", |s| format!("jobs/{}/trace", s.ended.id), Body::Log, 202),
        of_job("POST", |s| format!("jobs/{}/artifacts", s.ended.id), Body::File, 201),
        of_job("GET", |s| format!("jobs/{}/artifacts", s.ended.id), Body::None, 200),
    ];
    check(&of_ended[0], [403, 403, 403, 403, 403, 200, 403, 403, 403, 403]);
    check(&of_ended[1], [403; 10]);
    check(&of_ended[2], [403; 10]);
    check(&of_ended[3], [403, 403, 403, 403, 403, 403, 200, 403, 403, 403]);
}

/// What is said beside the token arrives, too.
#[test]
fn parameters_arrive_in_every_encoding() {
    let baton = Baton::with_project();
    let runner = baton.runner();
    let registration_token = baton.operator().registration_token(false).unwrap();
    for encoding in ENCODINGS {
        let request = |method: &str, path: &str, pairs: &[(&str, &str)]| {
            baton.send(encoded(Request::new(method, &format!("/api/v4/{path}")), encoding, pairs))
        };
        let pairs = [
            ("token", registration_token.as_str()),
            ("description", "a b+c"),
            ("tag_list", "linux, shell"),
            ("run_untagged", "false"),
            ("maximum_timeout", "9000"),
            ("paused", "true"),
            ("maintenance_note", "n"),
            ("locked", "true"),
            ("access_level", "ref_protected"),
        ];
        let row = baton.runner_row(request("POST", "runners", &pairs).expect(201).json()["id"].as_i64().unwrap());
        assert_eq!((row.description.as_str(), &row.tags), ("a b+c", &tags("linux,shell")), "{encoding:?}");
        assert_eq!((row.run_untagged, row.paused, row.locked), (false, true, false));
        assert_eq!((row.maximum_timeout_s, row.maintenance_note.as_str()), (Some(9000), "n"));
        let pairs = [("token", runner.token.as_str()), ("system_id", "s_1746f8786189")];
        assert_eq!(request("POST", "runners/verify", &pairs).expect(200).json()["id"], runner.id.0);
        let known = request("POST", "jobs/request", &pairs).expect(204);
        let known = known.header("X-GitLab-Last-Update").unwrap();
        let again = request("POST", "jobs/request", &[pairs[0], pairs[1], ("last_update", "other")]).expect(204);
        assert_eq!(again.header("X-GitLab-Last-Update"), Some(known));
        let id = baton.build();
        let job = claimed(&request("POST", "jobs/request", &pairs).expect(201));
        assert_eq!(job.id, id);
        let path = format!("jobs/{id}");
        let ends = [
            ("token", job.token.as_str()),
            ("state", "failed"),
            ("failure_reason", "runner_system_failure"),
            ("exit_code", "7"),
            ("trace", "a=b&c%20d + \u{1b}[0m\r\n\u{fc}\n--\r\n"),
            ("checksum", "crc32:00000000"),
        ];
        request("PUT", &path, &ends).expect(200);
        let shown = baton.show(id);
        assert_eq!((shown.status, shown.failure_reason), (Status::Failed, Some(FailureReason::RunnerFailure)));
        assert_eq!((shown.failure_text.as_deref(), shown.exit_code), (Some("runner_system_failure"), Some(7)));
        assert_eq!(baton.trace_text(id), ends[4].1, "{encoding:?}");
        let managers = || baton.operator().show_runner(runner.id).unwrap().1.len();
        assert_eq!(managers(), 1);
        request("DELETE", "runners/managers", &pairs).expect(204);
        assert_eq!(managers(), 0);
    }
}
