//! Processes as the kernel knows them: who descends from whom. Without `/proc`, nobody does.
//!
//! What must stay true: only what descends from a job's keeper, or is of its session, is ever named here.

use nix::unistd::Pid;
use std::collections::HashMap;
use std::fs;
use std::path::Path;

/// A process, as `/proc/PID/stat` tells.
struct Process {
    pid: i32,
    parent: i32,
    session: i32,
    is_dead: bool,
}

/// All that descend from `ancestor` and live.
#[must_use]
pub fn descendants(ancestor: Pid) -> Vec<Pid> {
    let all = processes();
    let mut children: HashMap<i32, Vec<&Process>> = HashMap::new();
    for process in &all {
        children.entry(process.parent).or_default().push(process);
    }
    let mut found = Vec::new();
    let mut open = vec![ancestor.as_raw()];
    while let Some(pid) = open.pop() {
        for child in children.remove(&pid).unwrap_or_default() {
            open.push(child.pid);
            if !child.is_dead {
                found.push(Pid::from_raw(child.pid));
            }
        }
    }
    found
}

/// All that live in a session.
#[must_use]
pub fn of_session(session: Pid) -> Vec<Pid> {
    let all = processes().into_iter();
    all.filter(|process| process.session == session.as_raw() && !process.is_dead)
        .map(|process| Pid::from_raw(process.pid))
        .collect()
}

/// The first of `pids` that holds the pipe with this inode number, and its name.
#[must_use]
pub fn holder_of(pids: &[Pid], inode: u64) -> Option<(Pid, String)> {
    let pipe = format!("pipe:[{inode}]");
    pids.iter().find_map(|&pid| {
        let folder = fs::read_dir(format!("/proc/{pid}/fd")).ok()?;
        let holds = folder.flatten().any(|entry| fs::read_link(entry.path()).is_ok_and(|to| to == Path::new(&pipe)));
        let name = || fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        holds.then(|| (pid, name().trim().to_owned()))
    })
}

fn processes() -> Vec<Process> {
    let Ok(folder) = fs::read_dir("/proc") else { return Vec::new() };
    let names = folder.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    let pids = names.filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()));
    pids.filter_map(|pid| parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)).collect()
}

/// `PID (NAME) STATE PARENT GROUP SESSION ...`, where the name may hold anything.
fn parse(stat: &str) -> Option<Process> {
    let (pid, _) = stat.split_once(' ')?;
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace();
    let is_dead = ["Z", "X"].contains(&fields.next()?);
    let parent = fields.next()?.parse().ok()?;
    let session = fields.nth(1)?.parse().ok()?;
    Some(Process { pid: pid.parse().ok()?, parent, session, is_dead })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn a_name_cannot_hide_a_process() {
        let process = parse("12 (a) S 1 (b) ) R 7 8 9 0").unwrap();
        assert_eq!((process.pid, process.parent, process.session, process.is_dead), (12, 7, 9, false));
        assert!(parse("12 (z) Z 1 2 3").unwrap().is_dead && parse("").is_none() && parse("x").is_none());
    }

    #[test]
    fn descendants_are_found_and_the_dead_are_not_among_them() {
        let mut child = Command::new("sh").args(["-c", "sleep 60 & wait"]).stdin(Stdio::null()).spawn().unwrap();
        let own = Pid::this();
        let of_child = Pid::from_raw(i32::try_from(child.id()).unwrap());
        while descendants(of_child).is_empty() {
            std::thread::yield_now();
        }
        let sleep = descendants(of_child)[0];
        let all = descendants(own);
        assert!(all.contains(&of_child) && all.contains(&sleep) && !all.contains(&own));
        nix::sys::signal::kill(sleep, nix::sys::signal::Signal::SIGKILL).unwrap();
        child.wait().unwrap();
        assert!(!descendants(own).contains(&of_child));
    }
}
