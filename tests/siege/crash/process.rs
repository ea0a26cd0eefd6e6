//! The program itself, as one process or as a supervisor with a serving child, and its violent ends.

use super::client::{Outcome, try_send};
use super::dice::Dice;
use crate::harness::Request;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs::{self, OpenOptions};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// What does not come about within this does not come about.
const PATIENCE: Duration = Duration::from_secs(120);

/// What was killed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Death {
    /// Nobody is left.
    OfAll,
    /// The supervisor is left, and starts another child on the same address.
    OfTheChild,
}

/// `baton serve`. Killed with the test.
pub struct Serving {
    process: Child,
    log: PathBuf,
    pub address: SocketAddr,
    /// A supervisor takes its time after the second death in a second.
    lost_a_child: bool,
    alive: bool,
}

fn spawn(data: &Path) -> (Child, PathBuf) {
    let log = data.with_file_name("log");
    let stderr = OpenOptions::new().create(true).append(true).open(&log).unwrap();
    let process = Command::new(env!("CARGO_BIN_EXE_baton"))
        .env_remove("BATON_LISTEN")
        .args(["serve", "--listen", "127.0.0.1:0", "--data"])
        .arg(data)
        .stdout(Stdio::piped())
        .stderr(stderr)
        .spawn()
        .unwrap();
    (process, log)
}

/// Starts a server and kills it so long after, while it recovers what the one before it left.
pub fn start_and_kill(data: &Path, after: Duration) {
    let (mut process, _) = spawn(data);
    thread::sleep(after);
    kill_family(&mut process, &mut Dice::never());
}

impl Serving {
    pub fn start(data: &Path) -> Serving {
        let (mut process, log) = spawn(data);
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim_end().strip_prefix("baton listening on http://").and_then(|at| at.parse().ok());
        let address = address
            .unwrap_or_else(|| panic!("the first line is {line:?}: {}", fs::read_to_string(&log).unwrap_or_default()));
        Serving { process, log, address, lost_a_child: false, alive: true }
    }

    pub fn is_alive(&self) -> bool {
        self.alive
    }

    pub fn wait_until_it_answers(&self) {
        wait_for("an answer", || {
            let outcome = try_send(self.address, Request::get("/-/health"));
            matches!(outcome, Outcome::Answered(response) if response.status == 200)
        });
    }

    /// Kills the serving process: it alone, with its supervisor, or through the death of its supervisor.
    pub fn kill(&mut self, dice: &mut Dice) -> Death {
        let children = children(pid(&self.process));
        match dice.below(4) {
            0 if !children.is_empty() && !self.lost_a_child => {
                end(&children);
                self.lost_a_child = true;
                return Death::OfTheChild;
            }
            1 => {
                end(&[pid(&self.process)]);
                self.process.wait().unwrap();
                wait_for("the end of a child without a supervisor", || children.iter().all(|child| is_dead(*child)));
            }
            _ => kill_family(&mut self.process, dice),
        }
        self.alive = false;
        Death::OfAll
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        if self.alive {
            kill_family(&mut self.process, &mut Dice::never());
        }
        if thread::panicking() {
            let log = fs::read_to_string(&self.log).unwrap_or_default();
            eprintln!("the log of the server ends with:\n{}", &log[log.len().saturating_sub(3000)..]);
        }
    }
}

/// Kills a process and its children, in any order.
fn kill_family(process: &mut Child, dice: &mut Dice) {
    // Else a supervisor could start another child between two deaths.
    let _ = kill(pid(process), Signal::SIGSTOP);
    wait_for("the stop of a supervisor", || states(pid(process)).iter().all(|state| matches!(state, 'T' | 'Z' | 'X')));
    let mut family = children(pid(process));
    let place = dice.below(family.len() + 1);
    family.insert(place, pid(process));
    end(&family);
    process.wait().unwrap();
}

/// Kills these, and returns when they are dead.
fn end(processes: &[Pid]) {
    for process in processes {
        let _ = kill(*process, Signal::SIGKILL);
    }
    wait_for("the death of what was killed", || processes.iter().all(|process| is_dead(*process)));
}

fn pid(process: &Child) -> Pid {
    Pid::from_raw(process.id().cast_signed())
}

fn children(parent: Pid) -> Vec<Pid> {
    let Ok(tasks) = fs::read_dir(format!("/proc/{parent}/task")) else { return vec![] };
    let of_task = |task: fs::DirEntry| fs::read_to_string(task.path().join("children")).unwrap_or_default();
    let lists: Vec<String> = tasks.flatten().map(of_task).collect();
    lists.iter().flat_map(|list| list.split_whitespace()).map(|pid| Pid::from_raw(pid.parse().unwrap())).collect()
}

/// States of a process's threads; none if there is no such process.
fn states(process: Pid) -> Vec<char> {
    let Ok(tasks) = fs::read_dir(format!("/proc/{process}/task")) else { return vec![] };
    let state = |task: fs::DirEntry| {
        let stat = fs::read_to_string(task.path().join("stat")).ok()?;
        stat.rsplit_once(") ")?.1.chars().next()
    };
    tasks.flatten().filter_map(state).collect()
}

/// The last thread to go closes the files, with the lock on the data; the first one may be dead long before.
fn is_dead(process: Pid) -> bool {
    states(process).iter().all(|state| matches!(state, 'Z' | 'X'))
}

#[track_caller]
pub fn wait_for(what: &str, mut has_come: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !has_come() {
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        thread::sleep(Duration::from_millis(1));
    }
}
