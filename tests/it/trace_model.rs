//! Promise 3 for traces: what was acknowledged, in order, once. A runner with a bad network against a simple model:
//! answers get lost, patches are repeated, leave gaps or overlap, and now and then comes the whole log.

use crate::harness::random::Random;
use crate::harness::*;
use baton::domain::build::Status;
use serde_json::json;

/// What a runner knows, beside the truth.
struct Model {
    /// The runner's log; only grows.
    log: Vec<u8>,
    /// How much of it the server has: the truth.
    stored: usize,
    /// How much of it the runner believes that the server has.
    believed: usize,
}

/// A step of the runner.
#[derive(Clone, Copy, Debug)]
enum Step {
    Patch,
    PatchInPieces,
    PatchWithInclusiveEnd,
    LoseAnswer,
    Repeat,
    LeaveGap,
    Overlap,
    SignOfLife,
    WholeLog,
    WholeLogLoseAnswer,
    StateOnly,
}

const STEPS: [Step; 11] = [
    Step::Patch,
    Step::PatchInPieces,
    Step::PatchWithInclusiveEnd,
    Step::LoseAnswer,
    Step::Repeat,
    Step::LeaveGap,
    Step::Overlap,
    Step::SignOfLife,
    Step::WholeLog,
    Step::WholeLogLoseAnswer,
    Step::StateOnly,
];

struct Life<'a> {
    baton: &'a Baton,
    speech: Speech,
    build: Claimed,
    connection: Connection,
    model: Model,
}

/// Text that is valid UTF-8 wherever it is cut by characters, as a runner's log is.
fn more(random: &mut Random, log: &mut Vec<u8>) {
    let words = ["line\n", "ü", "世界", "\u{1b}[0;m", "\r\n", "x", "--", "\t<&>\"\\", "0123456789abcdef"];
    let scale = random.pick(&[1, 10, 10, 100, 3000]);
    for _ in 0..=random.below(scale) {
        log.extend_from_slice(random.pick(&words).as_bytes());
    }
}

impl Life<'_> {
    fn range(&mut self, range: &str, start: usize, end: usize) -> Response {
        let request = Request::patch(&self.speech.path(self.build.id, "trace"))
            .header(self.speech.header(), &self.build.token)
            .header("Content-Range", range)
            .body("text/plain", &self.model.log[start..end]);
        self.connection.send(&request)
    }

    /// Sends a patch of `start..end` and checks the answer against the model.
    fn patch(&mut self, start: usize, end: usize, inclusive: bool) -> Response {
        let last = if inclusive && end > start { end - 1 } else { end };
        let response = self.range(&format!("{start}-{last}"), start, end);
        let expected = if start == self.model.stored { 202 } else { 416 };
        assert_eq!(response.status, expected, "{start}-{end} at {}", self.model.stored);
        if expected == 202 {
            self.model.stored = end;
            let told = if self.speech == Speech::Old { "Build-Status" } else { "Job-Status" };
            assert_eq!(response.header(told), Some("running"));
        }
        assert_eq!(response.header("Range"), Some(format!("0-{}", self.model.stored).as_str()));
        response
    }

    /// What a runner does: send what is new; when told to, resume elsewhere.
    fn patch_as_runners_do(&mut self, inclusive: bool) {
        let end = self.model.log.len();
        let response = self.patch(self.model.believed, end, inclusive);
        if response.status == 416 {
            let range = response.header("Range").unwrap();
            self.model.believed = range.split_once('-').unwrap().1.parse().unwrap();
            assert_eq!(self.patch(self.model.believed, end, inclusive).status, 202);
        }
        self.model.believed = end;
    }

    fn put(&mut self, state: &str, with_trace: bool) -> u16 {
        let mut body = object(json!({"state": state}));
        if with_trace {
            body.insert("trace".to_owned(), json!(String::from_utf8(self.model.log.clone()).unwrap()));
            self.model.stored = self.model.log.len();
        }
        // Of what is stored, whether the runner knows how much that is or not.
        let sum = format!("crc32:{:08x}", crc32fast::hash(&self.model.log[..self.model.stored]));
        body.insert("output".to_owned(), json!({"checksum": sum, "bytesize": self.model.stored}));
        let request = self.speech.report(&self.build, serde_json::Value::Object(body));
        self.connection.send(&request).status
    }

    fn step(&mut self, step: Step, random: &mut Random) {
        let length = self.model.log.len();
        match step {
            Step::Patch => self.patch_as_runners_do(false),
            Step::PatchWithInclusiveEnd => self.patch_as_runners_do(true),
            Step::PatchInPieces => {
                self.patch_as_runners_do(false);
                let mut start = length;
                more(random, &mut self.model.log);
                while start < self.model.log.len() {
                    let end = start + 1 + random.below(self.model.log.len() - start);
                    assert_eq!(self.patch(start, end, random.below(2) == 0).status, 202);
                    start = end;
                }
                self.model.believed = start;
            }
            // The runner goes on from where it was.
            Step::LoseAnswer => drop(self.patch(self.model.believed, length, false)),
            Step::Repeat => {
                let start = self.model.stored;
                self.patch(start, length, false);
                if length > start {
                    assert_eq!(self.patch(start, length, false).status, 416);
                }
            }
            Step::LeaveGap if length > self.model.stored => {
                let start = self.model.stored + 1 + random.below(length - self.model.stored);
                assert_eq!(self.patch(start, length, false).status, 416);
            }
            Step::Overlap if self.model.stored > 0 => {
                let start = random.below(self.model.stored);
                assert_eq!(self.patch(start, length, false).status, 416);
            }
            Step::LeaveGap | Step::Overlap | Step::SignOfLife => {
                let stored = self.model.stored;
                assert_eq!(self.patch(stored, stored, false).status, 202);
            }
            Step::WholeLog => {
                assert_eq!(self.put("running", true), 200);
                self.model.believed = length;
            }
            Step::WholeLogLoseAnswer => assert_eq!(self.put("running", true), 200),
            Step::StateOnly => assert_eq!(self.put("running", false), 200),
        }
    }

    fn check(&self, done: &[Step]) {
        let stored = self.baton.trace(self.build.id);
        let expected = &self.model.log[..self.model.stored];
        assert!(stored == expected, "after {done:?}");
        assert!(expected.starts_with(&self.baton.shown_trace(self.build.id)), "after {done:?}");
    }
}

#[test]
fn a_trace_is_what_was_acknowledged_in_order_and_once() {
    let baton = Baton::with_project();
    let mut random = Random::new();
    for round in 0..12 {
        let (_, build) = baton.running();
        let model = Model { log: vec![], stored: 0, believed: 0 };
        let (speech, connection) = (Speech::of(round), Connection::open(baton.address()));
        let mut life = Life { baton: &baton, speech, build, connection, model };
        let mut done = Vec::new();
        for _ in 0..25 {
            if random.below(3) > 0 {
                more(&mut random, &mut life.model.log);
            }
            let step = random.pick(&STEPS);
            done.push(step);
            life.step(step, &mut random);
            life.check(&done);
        }
        // The last report repeats the whole log, or the runner has given it up.
        let whole = random.below(3) > 0;
        assert_eq!(life.put("success", whole), 200, "after {done:?}");
        let expected = &life.model.log[..life.model.stored];
        assert!(baton.trace(life.build.id) == expected, "after {done:?}");
        assert_eq!(baton.show(life.build.id).trace_size, expected.len() as u64);
        assert_eq!(baton.status(life.build.id), Status::Success);
    }
    let seen = metrics::Metrics::parse(&baton.send(Request::get("/-/metrics")).expect(200).text());
    let verdicts = ["same", "different", "unknown"];
    assert_eq!(
        verdicts.map(|verdict| seen.value("baton_trace_checks_total", &[("verdict", verdict)])),
        [6.0, 0.0, 0.0]
    );
}

/// The connection dies before the answer, so that nobody knows whether the server has seen the patch when the runner
/// sends it again, maybe with more.
#[test]
fn patches_whose_connection_died_are_stored_at_most_once() {
    let baton = Baton::with_project();
    let mut random = Random::new();
    let (_, build) = baton.running();
    let mut log = Vec::new();
    let mut believed = 0;
    for _ in 0..60 {
        more(&mut random, &mut log);
        let mut connection = Connection::open(baton.address());
        connection.send_raw(&patch(&build, believed, &log[believed..]).bytes());
        if random.below(2) == 0 {
            drop(connection);
            more(&mut random, &mut log);
        } else {
            connection.read("PATCH");
        }
        let mut response = baton.send(patch(&build, believed, &log[believed..]));
        let mut tries = 0;
        while response.status == 416 {
            tries += 1;
            assert!(tries < 3, "the trace moved without us");
            believed = response.header("Range").unwrap().split_once('-').unwrap().1.parse().unwrap();
            response = baton.send(patch(&build, believed, &log[believed..]));
        }
        response.expect(202);
        believed = log.len();
    }
    baton.finish(&build, "success");
    assert!(baton.trace(build.id) == log, "the trace is not the log");
}

#[test]
fn a_trace_survives_a_restart_and_goes_on() {
    let baton = Baton::with_project();
    let (_, build) = baton.running();
    baton.append(&build, 0, "before\n");
    let baton = baton.restart();
    assert_eq!(baton.trace_text(build.id), "before\n");
    let response = baton.append(&build, 7, "after\n");
    assert_eq!(response.header("Range"), Some("0-13"));
    baton.finish(&build, "success");
    assert_eq!(baton.trace_text(build.id), "before\nafter\n");
}
