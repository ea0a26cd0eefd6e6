//! The program itself: what it spends on those that are held, and what becomes of them when it is told to stop.

use super::*;
use crate::harness::victim::{Victim, raise_descriptors};
use std::process::Command;

const OPTIONS: [&str; 2] = ["--hold", "50s"];

/// A runner that is held by the program. Each of its requests says something new of itself, which is written by
/// whoever works on it: so it shows from outside that one does.
struct Asker {
    runner: TestRunner,
    last_update: String,
    asked: usize,
}

impl Asker {
    fn of(victim: &Victim) -> Asker {
        if victim.operator.project_names().unwrap().is_empty() {
            add_project(&victim.operator, "demo");
        }
        let registration = victim.operator.add_runner(new_runner(), None, Timestamp::now()).unwrap();
        let token = registration.token.reveal().to_owned();
        let last_update = value(victim.address, &token);
        Asker { runner: TestRunner { id: registration.id, token }, last_update, asked: 0 }
    }

    /// Asks on a connection of its own, and returns when the program works on that.
    fn ask(&mut self, victim: &Victim) -> Raw {
        self.asked += 1;
        let version = self.asked.to_string();
        let body = json!({
            "token": self.runner.token,
            "last_update": self.last_update,
            "info": {"version": version},
        });
        let mut raw = Raw::open(victim.address).unwrap();
        raw.send(&Request::post("builds/register.json").agent(RUNNER_1_11).json(&body).bytes());
        wait_until("the request is worked on", || {
            let runners = victim.operator.list_runners().unwrap();
            let own = runners.iter().find(|runner| runner.id == self.runner.id).unwrap();
            own.info.get("version") == Some(&version)
        });
        raw
    }
}

#[test]
fn a_build_from_the_command_line_ends_the_hold() {
    let victim = Victim::with(&OPTIONS, &[], "");
    let mut asker = Asker::of(&victim);
    let mut raw = asker.ask(&victim);
    let mut command = Command::new(env!("CARGO_BIN_EXE_baton"));
    let added = command
        .env_remove("BATON_DATA")
        .arg("--data")
        .arg(victim.data())
        .args(["build", "add", "--project", "demo", "--script", "true"])
        .output()
        .unwrap();
    assert!(added.status.success(), "{}", String::from_utf8_lossy(&added.stderr));
    claimed(&raw.expect_answer().expect(201));
}

#[test]
fn five_hundred_held_requests_keep_no_thread() {
    assert!(raise_descriptors(4096));
    let victim = Victim::with(&OPTIONS, &[], "");
    let mut asker = Asker::of(&victim);
    let before = victim.vitals();
    let mut held: Vec<Raw> = (0..500).map(|_| asker.ask(&victim)).collect();
    let vitals = || victim.vitals();
    // Workers without work end after a while.
    wait_until("the workers have gone", || vitals().threads <= before.threads + 4);
    assert!(vitals().descriptors >= 500, "{:?}", vitals());
    http::send(victim.address, &Request::get("/-/health")).expect(200);
    let ids = queue_many(&victim.operator, 500);
    let mut got: Vec<BuildId> = held.iter_mut().map(|raw| claimed(&raw.expect_answer().expect(201)).id).collect();
    got.sort_unstable();
    assert_eq!(got, ids);
    assert_eq!(vitals().pid, before.pid);
}

#[test]
fn a_program_that_is_told_to_stop_answers_those_that_it_holds() {
    let mut victim = Victim::with(&OPTIONS, &[], "");
    let mut asker = Asker::of(&victim);
    let mut held: Vec<Raw> = (0..20).map(|_| asker.ask(&victim)).collect();
    let ended = victim.terminate();
    for raw in &mut held {
        let answer = raw.expect_answer().expect(204);
        assert_eq!((value_of(&answer), answer.header("Connection")), (asker.last_update.clone(), Some("close")));
        raw.expect_closed();
    }
    assert!(ended.success(), "{ended}");
}
