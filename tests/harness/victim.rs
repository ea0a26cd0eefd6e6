//! The program itself, started as operators start it, and what the kernel knows about it.

use super::healthy::{Healthy, working_runner};
use crate::harness::{Claimed, TestRunner, skipped};
use baton::coordinator::Coordinator;
use baton::limits::Limits;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// By then everything must be back to normal, also while there is work: threads without any end after ten seconds, and
/// later on a busy machine.
const CALM_TIME_MAX: Duration = Duration::from_secs(120);

/// `baton serve`, at work.
pub struct Victim {
    process: Child,
    dir: TempDir,
    pub address: SocketAddr,
    /// The operator, at the same database.
    pub operator: Coordinator,
}

/// What the process holds.
#[derive(Clone, Copy, Debug)]
pub struct Vitals {
    /// A restarted process is another one.
    pub pid: i32,
    pub threads: usize,
    pub descriptors: usize,
    pub memory_mib: usize,
}

impl Victim {
    pub fn start() -> Victim {
        Victim::with(&[], &[], "")
    }

    /// With these options of `serve`, these variables, and this line of shell before it.
    pub fn with(options: &[&str], variables: &[(&str, &str)], shell: &str) -> Victim {
        super::turn::beside_others();
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        let stderr = fs::File::create(dir.path().join("stderr")).unwrap();
        let mut process = Command::new("sh")
            .arg("-c")
            .arg(format!("{shell}\nexec \"$0\" \"$@\""))
            .arg(env!("CARGO_BIN_EXE_baton"))
            .args(["serve", "--listen", "127.0.0.1:0", "--data"])
            .arg(&data)
            .args(options)
            .envs(variables.iter().copied())
            .stdout(Stdio::piped())
            .stderr(stderr)
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().rsplit("://").next().and_then(|address| address.parse().ok());
        let address = address.unwrap_or_else(|| panic!("no address in {line:?}"));
        let operator = Coordinator::open(&data, Limits::default()).unwrap();
        Victim { process, dir, address, operator }
    }

    pub fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// What it has written to standard error.
    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("stderr")).unwrap()
    }

    pub fn healthy(&self) -> Healthy {
        Healthy::beside(&self.operator, self.address)
    }

    /// A runner of its own project with a build, for attackers that have a token.
    pub fn running(&self) -> (TestRunner, Claimed) {
        working_runner(&self.operator, self.address, "demo")
    }

    pub fn supervisor(&self) -> i32 {
        i32::try_from(self.process.id()).unwrap()
    }

    /// Tells it to stop, as operators do, and waits for its end.
    pub fn terminate(&mut self) -> ExitStatus {
        kill(Pid::from_raw(self.supervisor()), Signal::SIGTERM).unwrap();
        self.process.wait().unwrap()
    }

    /// The process that serves: the child of a supervisor, or the program itself.
    fn serving(&self) -> i32 {
        children(self.supervisor()).first().copied().unwrap_or(self.supervisor())
    }

    pub fn vitals(&self) -> Vitals {
        let deadline = Instant::now() + CALM_TIME_MAX;
        loop {
            // A process that is being restarted has none for a moment.
            match vitals(self.serving()) {
                Some(vitals) => return vitals,
                None => assert!(Instant::now() < deadline, "nobody serves: {}", self.log()),
            }
        }
    }

    /// Fails unless the same process is soon back at what it held before, but for `memory_mib`, which an allocator
    /// may keep. A few workers and readers of the database may have come to stay.
    #[track_caller]
    pub fn expect_calm(&self, before: Vitals, memory_mib: usize) {
        self.calm(before, memory_mib).unwrap();
    }

    fn calm(&self, before: Vitals, memory_mib: usize) -> Result<(), String> {
        let deadline = Instant::now() + CALM_TIME_MAX;
        loop {
            let now = self.vitals();
            if now.pid != before.pid {
                return Err("the server died".to_owned());
            }
            let is_calm = now.threads <= before.threads + 8
                && now.descriptors <= before.descriptors + 64
                && now.memory_mib <= before.memory_mib + memory_mib;
            if is_calm {
                return Ok(());
            }
            if Instant::now() >= deadline {
                return Err(format!("{now:?} is not what was before, {before:?}"));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Runs an attack beside a healthy client, and looks whether all is well during and after it.
    #[track_caller]
    pub fn withstands<T>(&self, attack: &str, memory_mib: usize, run: impl FnOnce(&Healthy) -> T) {
        let healthy = self.healthy();
        healthy.work(20);
        let before = self.vitals();
        healthy.attack_begins();
        let attackers = run(&healthy);
        healthy.work(50);
        let during = self.vitals();
        println!("{attack}: before {before:?}, during {during:?}");
        healthy.attack_ends();
        drop(attackers);
        let calm = self.calm(before, memory_mib);
        healthy.rest(attack);
        calm.unwrap();
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        let serving = self.serving();
        let _ = self.process.kill();
        let _ = self.process.wait();
        if serving != self.supervisor() {
            let _ = kill(Pid::from_raw(serving), Signal::SIGKILL);
        }
        if std::thread::panicking() {
            let log = self.log();
            eprintln!("the log of the server ends with:\n{}", &log[log.len().saturating_sub(4000)..]);
        }
    }
}

fn children(pid: i32) -> Vec<i32> {
    let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else { return vec![] };
    let of_task = |task: fs::DirEntry| fs::read_to_string(task.path().join("children")).unwrap_or_default();
    let lists: Vec<String> = tasks.flatten().map(of_task).collect();
    lists.iter().flat_map(|list| list.split_whitespace()).filter_map(|pid| pid.parse().ok()).collect()
}

fn vitals(pid: i32) -> Option<Vitals> {
    let count = |what: &str| fs::read_dir(format!("/proc/{pid}/{what}")).ok().map(Iterator::count);
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: usize = resident.trim().trim_end_matches(" kB").parse().ok()?;
    Some(Vitals { pid, threads: count("task")?, descriptors: count("fd")?, memory_mib: kib / 1024 })
}

/// Lets this process have so many descriptors; false, and said aloud, where it may not.
pub fn raise_descriptors(needed: u64) -> bool {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    if hard < needed {
        skipped(&format!("{needed} descriptors are needed, and {hard} are allowed"));
        return false;
    }
    if soft < needed {
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard).unwrap();
    }
    true
}
