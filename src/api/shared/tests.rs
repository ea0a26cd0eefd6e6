//! A protocol with words of its own: what this folder holds serves it as it is.

use super::hold::{self, Ask, Got};
use super::long_body::{self, ReportWords};
use super::patch::PatchWords;
use super::token::{Keys, TOKEN};
use super::upload::{self, UploadWords};
use super::{INFO, SYSTEM_ID, download, info, patch, system_id};
use crate::api::{Api, Handler, Protocol, Reached, answer_to, on};
use crate::coordinator::{Coordinator, Patched, Queued, Report, Updated, Upload};
use crate::domain::asker::Asker;
use crate::domain::build::{BuildId, FailureReason, Status};
use crate::domain::end::{End, Reported};
use crate::domain::spec::ArtifactKind;
use crate::domain::time::Timestamp;
use crate::domain::token::{Takes, Token};
use crate::error::{Error, Result};
use crate::http::message::Headers;
use crate::http::params::{Field, Params, text};
use crate::http::router::{Endpoint, Places};
use crate::http::traffic::Traffic;
use crate::http::{Body, Method, Note, Request, Response};
use crate::limits::Limits;
use crate::store::runners::NewRunner;
use crate::store::traces::tests::new_build;
use std::sync::Arc;
use std::time::Duration;

const KEYS: Keys = Keys { header: "JOB-TOKEN", takes: Takes::Any };
const RUNNER_KEYS: Keys = Keys { header: "RUNNER-TOKEN", takes: Takes::Any };
const ASK: &[Field] = &[TOKEN, text("last_update"), SYSTEM_ID, INFO];
const UPLOAD: UploadWords = UploadWords { keys: KEYS, fields: &[TOKEN, text("artifact_type"), text("expire_in")] };
const REPORT: ReportWords = ReportWords { keys: KEYS, fields: &[TOKEN, text("state")], reported };

const OTHER: Protocol =
    Protocol { prefixes: &["/other/"], tables: &[&TABLE], in_table: |path| path.into(), is_for_runners: true };

const TABLE: [Endpoint<Handler>; 5] = [
    on(Method::Post, "jobs/request", |api, request, _, now| {
        let ask = ask(request);
        Ok(hold::claim_build(api, ask, words, now))
    }),
    on(Method::Put, "jobs/:id", |api, request, places, now| {
        let (id, sent) = (id(places), long_body::read(api, request, id(places), &REPORT)?);
        let end = reported(&sent.params).and_then(Reported::end);
        let report = Report { id, shown: sent.shown, end, trace: sent.trace, now };
        let memory = sent.memory;
        Ok(answer_to(api.coordinator.update_build(report)?, move |updated| {
            drop(memory);
            match updated? {
                Updated::Accepted(_) => Ok(Response::empty(200).into()),
                other @ (Updated::Gone(_) | Updated::TraceTooLarge | Updated::Refused(_)) => {
                    Err(Error::internal(format!("{other:?}")))
                }
            }
        }))
    }),
    on(Method::Patch, "jobs/:id/trace", |api, request, places, now| {
        let shown = KEYS.of_request(&Params::of_query(request, &[TOKEN])?, request);
        let response = |patched| match patched {
            Patched::Stored { size, .. } => Ok(Response::empty(202).with("Job-Size", size.to_string())),
            Patched::Elsewhere { size } => Ok(Response::empty(416).with("Job-Size", size.to_string())),
            Patched::Refused(error) => Err(error),
            Patched::NotRunning { .. } => Ok(Response::empty(403)),
        };
        let words = PatchWords { checks_end: true, response };
        patch::append_trace(api, request, (id(places), shown), &words, now)
    }),
    on(Method::Post, "jobs/:id/artifacts", |api, request, places, now| {
        upload::answer(receive(api, request, id(places), now))
    }),
    on(Method::Get, "jobs/:id/artifacts", |api, request, places, now| {
        let shown = KEYS.of_request(&Params::of_query(request, &[TOKEN])?, request);
        let found = api.coordinator.get_artifacts(id(places), &shown, now)?;
        Ok(download::send(api, request, found)?.into())
    }),
];

fn id(places: &Places<'_>) -> BuildId {
    BuildId(places.numbers[0])
}

fn ask(request: &mut Request<'_>) -> Result<Ask> {
    let params = Params::of_request(request, ASK, 1000)?;
    let last_update = params.text("last_update").map(ToOwned::to_owned);
    let token = RUNNER_KEYS.of_request(&params, request).token;
    let asker = Asker { token, info: info(&params), system_id: system_id(&params), address: request.peer };
    Ok(Ask { asker, last_update })
}

fn words(got: &Got<'_>) -> Response {
    match got {
        Got::Build(assigned) => Response::empty(201).with("Job", assigned.token.reveal()),
        Got::Nothing(word) => Response::empty(204).with("Word", *word),
        Got::Paused => Response::empty(204),
    }
}

fn reported(params: &Params) -> Option<Reported> {
    params.text("state").map(|state| match state {
        "done" => Reported::Ended(End::success()),
        "broken" => Reported::Ended(End::failed(FailureReason::ScriptFailure)),
        _ => Reported::Runs,
    })
}

fn receive(api: &Api, request: &mut Request<'_>, id: BuildId, now: Timestamp) -> Result<Response> {
    let sent = upload::receive(api, request, id, &UPLOAD, now)?;
    if sent.params.text("artifact_type") != Some("archive") {
        return Err(Error::invalid("artifact_type must be archive"));
    }
    let expire_in = sent.params.text("expire_in").map(ToOwned::to_owned);
    let upload = Upload {
        kind: ArtifactKind::archive(),
        format: None,
        file: sent.file,
        filename: sent.filename,
        metadata: sent.metadata,
        expire_in,
    };
    api.coordinator.put_artifacts(id, sent.shown, upload, now)?;
    Ok(Response::empty(201))
}

/// A server of that protocol, without sockets, with a runner and builds that wait.
struct Served {
    dir: tempfile::TempDir,
    api: Api,
    runner: Token,
}

impl Served {
    fn new(builds: usize) -> Served {
        let dir = tempfile::tempdir().unwrap();
        let now = Timestamp::now();
        let coordinator = Arc::new(Coordinator::open(dir.path(), Limits::default()).unwrap());
        coordinator.add_project("p", None, Duration::from_secs(60), now).unwrap();
        let queued = || Queued { new: new_build(), needs_names: vec![] };
        coordinator.add_builds((0..builds).map(|_| queued()).collect(), now).unwrap();
        let runner = NewRunner { description: "r".into(), ..NewRunner::default() };
        let runner = coordinator.add_runner(runner, None, now).unwrap().token;
        Served { dir, api: Api::new(coordinator, Arc::new(Traffic::new(&[])), Reached::default(), 0), runner }
    }

    fn send(&self, method: Method, target: &str, headers: &[(&str, &str)], mut body: &[u8]) -> Response {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let mut request = Request {
            method,
            path: path.to_owned(),
            query: query.to_owned(),
            headers: Headers(headers),
            body_bytes: Some(body.len() as u64),
            body: &mut body,
            peer: None,
            stranger: None,
            note: Note::default(),
        };
        self.api.answer_by(&[&OTHER], &mut request).at_once()
    }

    /// The token of the build that the runner gets.
    fn claim(&self) -> String {
        let got = self.send(Method::Post, "/other/jobs/request", &[("Runner-Token", self.runner.reveal())], b"");
        assert_eq!(got.status, 201);
        header(&got, "Job").to_owned()
    }
}

fn header<'r>(response: &'r Response, name: &str) -> &'r str {
    &response.headers.iter().find(|(own, _)| *own == name).expect("the header").1
}

#[test]
fn who_asks_in_another_protocols_words_gets_a_build_or_the_word_that_there_is_none() {
    let served = Served::new(1);
    let token = [("RUNNER-TOKEN", served.runner.reveal())];
    assert_eq!(served.send(Method::Post, "/other/jobs/request", &[("JOB-TOKEN", token[0].1)], b"").status, 403);
    served.claim();
    let none = served.send(Method::Post, "/other/jobs/request", &token, b"");
    assert!(none.status == 204 && none.note.is_routine);
    // It is held, and asked for the last time at once.
    let query = format!("/other/jobs/request?last_update={}", header(&none, "Word"));
    assert_eq!(served.send(Method::Post, &query, &token, b"").status, 204);
    let counts: u64 = served.api.claims.counts().map(|(_, count)| count).sum();
    assert_eq!(counts, 4, "each request is counted once");
}

#[test]
fn a_build_is_reported_on_in_another_protocols_words() {
    let served = Served::new(1);
    let token = served.claim();
    let own = ("job-token", token.as_str());
    let patch = |header, range| {
        let headers = [header, ("Content-Range", range)];
        served.send(Method::Patch, "/other/jobs/1/trace", &headers, b"hello").status
    };
    assert_eq!(patch(("BUILD-TOKEN", token.as_str()), "0-4"), 403, "another protocol's header");
    assert_eq!([patch(own, "0-4"), patch(own, "5-10"), patch(own, "3-7"), patch(own, "5-5")], [202, 202, 416, 400]);
    let put = |headers: &[(&str, &str)], body: &[u8]| served.send(Method::Put, "/other/jobs/1", headers, body).status;
    assert_eq!(put(&[own], b"token=no-such-token&state=done"), 403, "the parameter wins over the header");
    assert_eq!(put(&[own], b"state=running&trace=hellohello+again"), 200);
    assert_eq!([put(&[own], b"state=done"), put(&[own], b"state=done")], [200, 200]);
    let (trace, status) = served.api.coordinator.read_trace(BuildId(1), 0, 1000).unwrap();
    assert_eq!((trace.as_slice(), status), (b"hellohello again".as_slice(), Status::Success));
    assert_eq!(served.send(Method::Get, "/other/jobs/1/trace", &[], b"").status, 405);
}

#[test]
fn fields_behind_the_file_say_what_becomes_of_it() {
    let served = Served::new(1);
    let token = served.claim();
    let upload = |header: (&str, &str), kind: &str| {
        let field = |name: &str, value: &str| {
            format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
        };
        let file = "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.zip\"\r\n\r\ncontent\r\n";
        let body = format!("{file}{}{}--b--\r\n", field("artifact_type", kind), field("expire_in", "1 day"));
        let headers = [header, ("Content-Type", "multipart/form-data; boundary=b")];
        served.send(Method::Post, "/other/jobs/1/artifacts", &headers, body.as_bytes()).status
    };
    let files = || std::fs::read_dir(served.dir.path().join("artifacts")).unwrap().count();
    let own = (KEYS.header, token.as_str());
    assert_eq!([upload(("BUILD-TOKEN", &token), "archive"), upload(own, "other")], [403, 400]);
    assert_eq!(files(), 0, "what is not kept goes");
    assert_eq!((upload(own, "archive"), files()), (201, 1));
    let build =
        served.api.coordinator.operator_artifacts(BuildId(1), &ArtifactKind::archive(), Timestamp::now()).unwrap();
    assert!(build.artifacts.expire_at.is_some(), "the field that came last counts");
    let get = |method, headers: &[(&str, &str)]| served.send(method, "/other/jobs/1/artifacts", headers, b"");
    let part = get(Method::Get, &[own, ("Range", "bytes=3-5")]);
    assert_eq!((part.status, header(&part, "Content-Range")), (206, "bytes 3-5/7"));
    assert!(matches!(part.body, Body::File { bytes: 3, .. }));
    let head = get(Method::Head, &[own, ("Range", "bytes=3-5")]);
    assert_eq!((head.status, head.body.len()), (200, Some(7)));
    assert_eq!(get(Method::Get, &[own, ("If-None-Match", header(&head, "ETag"))]).status, 304);
    let stale = get(Method::Get, &[own, ("Range", "bytes=3-5"), ("If-Range", "\"another\"")]);
    assert_eq!((stale.status, stale.body.len()), (200, Some(7)));
    assert_eq!(get(Method::Get, &[]).status, 403);
}
