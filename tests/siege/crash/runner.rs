//! A simulated runner: one request after the other, until one gets no answer. Half of them speak today's protocol.

use super::client::{Outcome, try_send};
use super::dice::Dice;
use super::model::{Cancel, Facts, Model};
use crate::harness::{Claimed, Part, Request, Response, Speech, claimed};
use baton::domain::build::{BuildId, Status};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};

/// A longer trace is not appended to.
const TRACE_BYTES_MAX: usize = 200_000;

/// What a runner asked for itself when its server died.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Doubt {
    Register,
    Unregister,
    Claim,
}

/// A runner as the server knows it.
#[derive(Clone, Debug)]
pub struct Identity {
    pub id: i64,
    pub token: String,
}

pub struct TestRunner {
    registration_token: String,
    pub speech: Speech,
    dice: Dice,
    pub identity: Option<Identity>,
    pub doubt: Option<Doubt>,
    /// The build that it has, and a token for it.
    pub build: Option<(BuildId, String)>,
}

/// Whether to go on.
#[derive(PartialEq, Eq)]
enum Next {
    Work,
    /// The server is gone.
    Rest,
}

/// A request about a build, and what is true once it is done.
struct Report {
    what: &'static str,
    request: Request,
    done: u16,
    after: Facts,
    /// What a canceled build keeps of it.
    last_words: Option<Vec<u8>>,
}

impl TestRunner {
    pub fn new(registration_token: String, speech: Speech, dice: Dice) -> TestRunner {
        TestRunner { registration_token, speech, dice, identity: None, doubt: None, build: None }
    }

    /// Works until `over`, or until the server is gone.
    pub fn work(&mut self, model: &Model, address: SocketAddr, over: &AtomicBool) {
        while !over.load(Ordering::Relaxed) && self.step(model, address) == Next::Work {}
    }

    fn step(&mut self, model: &Model, address: SocketAddr) -> Next {
        match (self.identity.clone(), self.build.clone()) {
            (None, _) => self.register(model, address),
            (Some(identity), None) if self.dice.one_in(30) => self.unregister(model, address, &identity),
            (Some(identity), None) => self.claim(model, address, &identity),
            (Some(_), Some((id, token))) => {
                let build = Claimed { id, token, json: Value::Null };
                if self.dice.one_in(8) { self.get(model, address, &build) } else { self.report(model, address, &build) }
            }
        }
    }

    /// Sends a request for itself; the answer, or none.
    fn ask(&mut self, model: &Model, address: SocketAddr, doubt: Doubt, request: Request) -> Option<Response> {
        match try_send(address, request) {
            Outcome::Answered(response) => {
                if doubt != Doubt::Claim || response.status != 204 {
                    model.count(&format!("{doubt:?}").to_lowercase());
                }
                return Some(response);
            }
            // It needs the body to know what it got.
            Outcome::Cut(_) | Outcome::Doubtful => {
                model.count(&format!("in doubt: {doubt:?}"));
                self.doubt = Some(doubt);
            }
            Outcome::Unsent => {}
        }
        None
    }

    fn register(&mut self, model: &Model, address: SocketAddr) -> Next {
        let request = self.speech.register(&self.registration_token);
        let Some(response) = self.ask(model, address, Doubt::Register, request) else { return Next::Rest };
        let json = response.expect(201).json();
        let (id, token) = (json["id"].as_i64().unwrap(), json["token"].as_str().unwrap().to_owned());
        self.identity = Some(Identity { id, token });
        Next::Work
    }

    fn unregister(&mut self, model: &Model, address: SocketAddr, identity: &Identity) -> Next {
        let (request, done) = self.speech.unregister(&identity.token);
        let Some(response) = self.ask(model, address, Doubt::Unregister, request) else { return Next::Rest };
        response.expect(done);
        self.identity = None;
        Next::Work
    }

    fn claim(&mut self, model: &Model, address: SocketAddr, identity: &Identity) -> Next {
        let Some(response) = self.ask(model, address, Doubt::Claim, self.speech.ask(&identity.token)) else {
            return Next::Rest;
        };
        if response.status == 204 {
            std::thread::sleep(std::time::Duration::from_millis(2));
            return Next::Work;
        }
        let build = claimed(&response.expect(201));
        model.known(build.id, |known| known.facts.hand_to(build.id, identity.id));
        self.build = Some((build.id, build.token));
        Next::Work
    }

    fn get(&mut self, model: &Model, address: SocketAddr, build: &Claimed) -> Next {
        let Outcome::Answered(response) = try_send(address, self.speech.download(build)) else { return Next::Rest };
        let is_canceled = model.known(build.id, |known| known.cancel != Cancel::No);
        if self.speech == Speech::Today && response.status == 403 && is_canceled {
            // Reading ends with the build.
            self.build = None;
            return Next::Work;
        }
        expect_artifacts(&response, model.facts(build.id).artifacts.as_deref(), build.id);
        Next::Work
    }

    fn report(&mut self, model: &Model, address: SocketAddr, build: &Claimed) -> Next {
        let Report { what, request, done, after, last_words } = self.choose(model.facts(build.id), build);
        let status = match try_send(address, request) {
            Outcome::Answered(response) => response.status,
            Outcome::Cut(status) => status,
            Outcome::Unsent => return Next::Rest,
            Outcome::Doubtful => {
                model.count(&format!("in doubt: {what}"));
                model.known(build.id, |known| known.doubt = Some(after));
                return Next::Rest;
            }
        };
        if status == done {
            model.count(what);
            let has_ended = after.status.is_finished();
            model.known(build.id, |known| known.facts = after);
            if has_ended {
                self.build = None;
            }
        } else {
            let is_refusal = status == 403 || status == self.speech.not_here();
            assert!(is_refusal, "{what} of build {}: {status}", build.id);
            model.known(build.id, |known| {
                assert_ne!(known.cancel, Cancel::No, "{what} of build {} was refused with {status}", build.id);
                known.facts.trace = last_words.unwrap_or(std::mem::take(&mut known.facts.trace));
            });
            self.build = None;
        }
        Next::Work
    }

    fn choose(&mut self, facts: Facts, build: &Claimed) -> Report {
        match self.dice.below(20) {
            0..=9 if facts.trace.len() < TRACE_BYTES_MAX => self.patch(facts, build),
            10..=11 => self.whole_log(facts, build, "running"),
            12..=15 => self.upload(facts, build),
            16 if self.speech == Speech::Old => delete(facts, build),
            16..=17 if self.speech == Speech::Today => self.end(facts, build),
            _ => {
                let state = self.dice.pick(&["success", "failed"]);
                self.whole_log(facts, build, state)
            }
        }
    }

    fn patch(&mut self, facts: Facts, build: &Claimed) -> Report {
        let bytes = self.dice.pick(&[1, 80, 80, 1000, 1000, 20_000, 70_000]);
        let piece = lines(build.id, facts.trace.len(), bytes);
        let request = self.speech.patch(build, facts.trace.len(), &piece);
        let trace = [facts.trace.as_slice(), &piece].concat();
        let last_words = Some(trace.clone());
        Report { what: "patch", request, done: 202, after: Facts { trace, ..facts }, last_words }
    }

    /// The whole log with some new lines. An end is wholly there or not at all, with its log.
    fn whole_log(&mut self, facts: Facts, build: &Claimed, state: &str) -> Report {
        let bytes = self.dice.pick(&[0, 100, 30_000]);
        let mut trace = facts.trace.clone();
        trace.extend(lines(build.id, trace.len(), bytes));
        let text = std::str::from_utf8(&trace).unwrap();
        let request = self.speech.report(build, json!({"state": state, "trace": text}));
        let (what, status) = match state {
            "success" => ("finish", Status::Success),
            "failed" => ("finish", Status::Failed),
            _ => ("whole log", Status::Running),
        };
        let last_words = Some(trace.clone());
        Report { what, request, done: 200, after: Facts { status, trace, ..facts }, last_words }
    }

    /// The end as runners from 13.4 on say it: the log has come in pieces, and this is what it must be.
    fn end(&mut self, facts: Facts, build: &Claimed) -> Report {
        let (checksum, bytes) = (format!("crc32:{:08x}", crc32fast::hash(&facts.trace)), facts.trace.len());
        let said =
            json!({"state": "success", "checksum": checksum, "output": {"checksum": checksum, "bytesize": bytes}});
        let request = self.speech.report(build, said);
        let after = Facts { status: Status::Success, ..facts };
        Report { what: "finish with a checksum", request, done: 200, after, last_words: None }
    }

    fn upload(&mut self, facts: Facts, build: &Claimed) -> Report {
        let bytes = self.dice.pick(&[0, 10, 5000, 5000, 50_000, 700_000]);
        let archive = self.dice.bytes(bytes);
        let mut parts = vec![Part::file("artifacts.zip", &archive)];
        if self.dice.one_in(3) {
            parts.push(Part { name: "metadata", filename: Some("metadata.gz"), data: b"what is in it" });
        }
        let request = self.speech.upload(build, &parts);
        let after = Facts { artifacts: Some(archive), ..facts };
        Report { what: "upload", request, done: 201, after, last_words: None }
    }
}

fn delete(facts: Facts, build: &Claimed) -> Report {
    let request = Request::delete(&format!("builds/{}/artifacts", build.id)).build_token(&build.token);
    Report { what: "delete", request, done: 200, after: Facts { artifacts: None, ..facts }, last_words: None }
}

/// `count` bytes of a log from `offset` on, which tell where they belong.
fn lines(id: BuildId, offset: usize, count: usize) -> Vec<u8> {
    let mut text = Vec::new();
    while text.len() < count {
        text.extend_from_slice(format!("build {id}, byte {}\n", offset + text.len()).as_bytes());
    }
    text.truncate(count);
    text
}

impl Facts {
    fn hand_to(&mut self, id: BuildId, runner: i64) {
        assert_eq!(self.runner, None, "build {id} was handed to runner {runner}, too");
        assert_eq!(self.status, Status::Pending, "build {id}");
        (self.status, self.runner) = (Status::Running, Some(runner));
    }
}

/// Fails unless this answer to a download has these artifacts.
fn expect_artifacts(response: &Response, artifacts: Option<&[u8]>, id: BuildId) {
    assert_eq!(response.status, if artifacts.is_some() { 200 } else { 404 }, "build {id}: {}", response.text());
    if let Some(archive) = artifacts {
        assert!(response.body == archive, "build {id}: other bytes came back than went in");
    }
}
