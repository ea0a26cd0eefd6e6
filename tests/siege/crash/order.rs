//! What a loss of power leaves is decided by the order of system calls, which `strace` tells. Where it is missing or may
//! not trace, the tests say so and are skipped.

use super::process::wait_for;
use crate::harness::*;
use baton::coordinator::Coordinator;
use baton::domain::time::Timestamp;
use baton::limits::Limits;
use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

const CALLS: &str = "trace=mkdir,mkdirat,openat,write,writev,pwrite64,sendto,fsync,fdatasync,rename,renameat,renameat2,\
                     unlink,unlinkat";

/// A system call: one of these names, and words that it has.
type Step = (&'static [&'static str], &'static str);

const SYNC: &[&str] = &["fsync(", "fdatasync("];
const RENAME: &[&str] = &["rename(", "renameat(", "renameat2("];
const REMOVE: &[&str] = &["unlink(", "unlinkat("];
const ANSWER: &[&str] = &["sendto(", "write(", "writev("];
const LOG_WRITTEN: Step = (&["pwrite64("], "/baton.db-wal>");
const LOG_SYNCED: Step = (SYNC, "/baton.db-wal>");

/// A server whose calls are recorded. Ended with the test.
struct Traced {
    process: Child,
    dir: TempDir,
    address: SocketAddr,
}

impl Traced {
    /// `None`, said aloud, where it cannot be.
    fn start() -> Option<Traced> {
        let probe = Command::new("strace").args(["-f", "-y", "-D", "true"]).output();
        if !probe.as_ref().is_ok_and(|output| output.status.success()) {
            skipped(&format!("no strace: {probe:?}"));
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        let mut process = Command::new("strace")
            .args(["-f", "-y", "-D", "-s", "64", "-e", CALLS, "-o"])
            .arg(dir.path().join("calls"))
            .args([env!("CARGO_BIN_EXE_baton"), "serve", "--listen", "127.0.0.1:0", "--data"])
            .arg(dir.path().join("data"))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim_end().rsplit("http://").next().and_then(|address| address.parse().ok());
        Some(Traced { process, dir, address: address.unwrap_or_else(|| panic!("{line:?}")) })
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    fn running(&self) -> Claimed {
        let operator = Coordinator::open(&self.data(), Limits::default()).unwrap();
        add_project(&operator, "demo");
        queue(&operator, new_build("demo"));
        let runner = operator.add_runner(new_runner(), None, Timestamp::now()).unwrap();
        claimed(&http::send(self.address, &ask(runner.token.reveal())).expect(201))
    }

    /// The calls from the beginning to the answer of the last request.
    fn calls(&self) -> Vec<String> {
        calls(&self.dir.path().join("calls"))
    }

    /// Fails unless this request is answered so, and these calls were made for it, in this order.
    #[track_caller]
    fn expect_order(&self, request: &Request, status: u16, steps: &[Step]) {
        let answer = format!("HTTP/1.1 {status}");
        let is_answer = |call: &String| is(call, (ANSWER, &answer));
        let answers = || self.calls().into_iter().filter(is_answer).count();
        let before = answers();
        let from = self.calls().len();
        http::send(self.address, request).expect(status);
        wait_for("the record of the answer", || answers() > before);
        let calls = &self.calls()[from..];
        let mut rest = calls.iter();
        for (index, step) in steps.iter().chain(&[(ANSWER, answer.as_str())]).enumerate() {
            let found = rest.by_ref().find(|call| is(call, *step));
            assert!(found.is_some(), "step {index}, {step:?}, is not in its place:\n{}", calls.join("\n"));
        }
    }
}

impl Drop for Traced {
    fn drop(&mut self) {
        // Whom it supervises goes with it.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn is(call: &str, (names, words): (&[&str], &str)) -> bool {
    names.iter().any(|name| call.starts_with(name)) && call.contains(words)
}

/// The recorded calls that did what they should. Those that another thread's interrupt stand where they ended, answers where they began.
fn calls(record: &Path) -> Vec<String> {
    let mut begun: HashMap<String, String> = HashMap::new();
    let mut calls = Vec::new();
    for line in fs::read_to_string(record).unwrap().lines() {
        let Some((thread, call)) = line.split_once(' ') else { continue };
        let call = call.trim_start();
        if call.starts_with("<... ") {
            let outcome = call.rsplit_once("resumed>").map(|(_, outcome)| outcome).unwrap_or_default();
            calls.extend(begun.remove(thread).map(|begin| begin + outcome));
        } else if call.ends_with("<unfinished ...>") && !call.contains("HTTP/1.1") {
            begun.insert(thread.to_owned(), call.to_owned());
        } else {
            calls.push(call.to_owned());
        }
    }
    calls.retain(|call| !call.contains(") = -1 "));
    calls
}

#[test]
fn an_upload_is_synced_then_named_then_its_row_is_synced_then_it_is_answered() {
    let Some(traced) = Traced::start() else { return };
    let build = traced.running();
    let steps: [Step; 7] = [
        (&["openat("], "/incoming-"),
        (&["write("], "/incoming-"),
        (SYNC, "/incoming-"),
        (RENAME, "/incoming-"),
        (SYNC, "/artifacts>"),
        LOG_WRITTEN,
        LOG_SYNCED,
    ];
    for speech in Speech::BOTH {
        traced.expect_order(&speech.upload(&build, &[Part::file("x.zip", b"content")]), 201, &steps);
        // Else the second one is the same again.
        let remove = Request::delete(&format!("builds/{}/artifacts", build.id)).build_token(&build.token);
        http::send(traced.address, &remove).expect(200);
    }
}

#[test]
fn the_row_of_removed_artifacts_is_gone_for_good_before_their_file_is() {
    let Some(traced) = Traced::start() else { return };
    let build = traced.running();
    http::send(traced.address, &upload(&build, "x.zip", b"content")).expect(201);
    let request = Request::delete(&format!("builds/{}/artifacts", build.id)).build_token(&build.token);
    traced.expect_order(&request, 200, &[LOG_WRITTEN, LOG_SYNCED, (REMOVE, "/artifacts/")]);
}

#[test]
fn a_patch_is_synced_before_it_is_answered() {
    let Some(traced) = Traced::start() else { return };
    let build = traced.running();
    traced.expect_order(&Speech::Old.patch(&build, 0, b"log"), 202, &[LOG_WRITTEN, LOG_SYNCED]);
    traced.expect_order(&Speech::Today.patch(&build, 3, b"log"), 202, &[LOG_WRITTEN, LOG_SYNCED]);
}

#[test]
fn a_claim_and_an_end_are_synced_before_they_are_answered() {
    let Some(traced) = Traced::start() else { return };
    traced.running();
    let operator = Coordinator::open(&traced.data(), Limits::default()).unwrap();
    let runner = operator.add_runner(new_runner(), None, Timestamp::now()).unwrap();
    for speech in Speech::BOTH {
        let id = queue(&operator, new_build("demo"));
        traced.expect_order(&speech.ask(runner.token.reveal()), 201, &[LOG_WRITTEN, LOG_SYNCED]);
        let token = baton::store::builds::token(&open_database(&traced.data()), id).unwrap();
        let build = Claimed { id, token: token.reveal().to_owned(), json: serde_json::Value::Null };
        let end = speech.report(&build, serde_json::json!({"state": "success"}));
        traced.expect_order(&end, 200, &[LOG_WRITTEN, LOG_SYNCED]);
    }
}

#[test]
fn the_names_of_a_new_data_directory_are_synced_before_anything_is_acknowledged() {
    let Some(traced) = Traced::start() else { return };
    let calls = traced.calls();
    let made = calls.iter().position(|call| is(call, (&["mkdir(", "mkdirat("], "/data/artifacts\""))).unwrap();
    let is_synced = calls[made..].iter().any(|call| is(call, (SYNC, "/data>")));
    assert!(is_synced, "artifacts/ may be gone after a loss of power:\n{}", calls[made..].join("\n"));
}
