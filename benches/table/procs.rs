//! Servers as processes: their address, memory and time.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs::File;
use std::io::{BufRead, BufReader, Seek};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// What the kernel counts processor time in, for every program (`man 5 proc_pid_stat`).
const TICKS_PER_SECOND: f64 = 100.0;

/// A server in processes of its own, stopped when dropped.
pub struct Served {
    process: Child,
    pub address: SocketAddr,
    /// What it says of its requests, as shipped.
    log: Option<File>,
}

/// The program as it is shipped, on this data directory.
pub fn baton(data: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_baton"));
    command.arg("--data").arg(data);
    command
}

/// Whether `baton serve` has this option.
pub fn serve_has(option: &str) -> bool {
    let help = Command::new(env!("CARGO_BIN_EXE_baton")).args(["serve", "--help"]).output().unwrap();
    String::from_utf8_lossy(&help.stdout).contains(option)
}

impl Served {
    /// `baton serve` on this data directory.
    pub fn baton(data: &Path, options: &[&str]) -> Served {
        let log = tempfile::tempfile().unwrap();
        let mut command = baton(data);
        command.args(["serve", "--listen", "127.0.0.1:0"]).args(options).stderr(log.try_clone().unwrap());
        let mut served = Served::start(&mut command);
        served.log = Some(log);
        served
    }

    /// A server whose first line says `listening on http://ADDRESS`.
    pub fn start(command: &mut Command) -> Served {
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().split_once("listening on http://").and_then(|(_, address)| address.parse().ok());
        let address = address.unwrap_or_else(|| panic!("the server's first line is {line:?}"));
        Served { process, address, log: None }
    }

    /// The process that was started; the supervisor, of Baton's two.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Every process of it.
    pub fn tree(&self) -> Vec<u32> {
        let mut tree = vec![self.pid()];
        let mut next = 0;
        while let Some(parent) = tree.get(next) {
            tree.extend(children(*parent));
            next += 1;
        }
        tree
    }

    /// Resident memory of all its processes together, in bytes.
    pub fn memory(&self) -> f64 {
        self.tree().into_iter().map(resident_bytes).sum()
    }

    /// Processor time that its processes have used.
    pub fn processor_time(&self) -> Duration {
        self.tree().into_iter().map(processor_time).sum()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        let _ = kill(Pid::from_raw(self.process.id().cast_signed()), Signal::SIGTERM);
        let _ = self.process.wait();
        // Warnings, if there are any, belong to the results.
        if let Some(mut log) = self.log.take() {
            log.rewind().unwrap();
            let lines = BufReader::new(log).lines().map_while(Result::ok);
            lines
                .filter(|line| line.contains(" WARN ") || line.contains(" ERROR "))
                .for_each(|line| eprintln!("{line}"));
        }
    }
}

fn children(parent: u32) -> Vec<u32> {
    let tasks = std::fs::read_dir(format!("/proc/{parent}/task")).into_iter().flatten().flatten();
    let lists = tasks.map(|task| std::fs::read_to_string(task.path().join("children")).unwrap_or_default());
    lists.flat_map(|list| list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>()).collect()
}

fn resident_bytes(process: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or("0 kB");
    let kib: f64 = line.trim().trim_end_matches("kB").trim().parse().unwrap();
    kib * 1024.0
}

fn processor_time(process: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    // The name, in brackets, may hold anything; user and system time are the 12th and 13th field after it.
    let after_name = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
    let ticks: f64 = after_name.split(' ').skip(11).take(2).filter_map(|field| field.parse::<f64>().ok()).sum();
    Duration::from_secs_f64(ticks / TICKS_PER_SECOND)
}
