//! Plays `gitlab-runner`, as far as the documentation shows it: it registers, asks for builds as a runner 1.11 does, runs
//! them with `sh` on this machine, sends logs and artifacts, and stops a build that is canceled.

use crate::crash::client::{Outcome, try_send};
use crate::harness::http::RUNNER_1_11;
use crate::harness::{Claimed, Part, Request, Response, ask, claimed, patch};
use serde_json::json;
use std::fs;
use std::io::{Cursor, Read, Write};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use zip::write::SimpleFileOptions;

/// Between two questions for work, and two looks at a build that says nothing.
const PAUSE: Duration = Duration::from_millis(50);

/// The program. What it runs ends when it is dropped.
#[derive(Default)]
pub struct Player {
    registered: Vec<(SocketAddr, String)>,
    is_running: bool,
    over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Player {
    /// Does what the program does that is called with these arguments.
    pub fn call(&mut self, arguments: &[&str], builds: &Path) -> Result<(), String> {
        let value = |name: &str| {
            let at = arguments.iter().position(|word| *word == name)?;
            arguments.get(at + 1).copied()
        };
        match arguments.first() {
            Some(&"register") => {
                let needed = |name| value(name).ok_or(format!("gitlab-runner register: {name} is missing"));
                let address =
                    needed("--url")?.trim_start_matches("http://").trim_end_matches("/ci").trim_end_matches('/');
                let address = address.parse().map_err(|_| format!("gitlab-runner register: no address: {address}"))?;
                let info = json!({"name": "gitlab-ci-multi-runner", "version": "1.11.5", "platform": "linux"});
                if let Some(token) = value("--token") {
                    let body = json!({"token": token, "info": info});
                    let response = answer(address, Request::post("/api/v4/runners/verify").json(&body));
                    let response = response.ok_or("gitlab-runner register: no answer")?;
                    if response.status != 200 {
                        return Err(format!("gitlab-runner register: {}", response.text()));
                    }
                    self.registered.push((address, token.to_owned()));
                    self.start_new(builds);
                    return Ok(());
                }
                let body = json!({
                    "token": needed("--registration-token")?,
                    "description": value("--name").unwrap_or("laptop"),
                    "tag_list": value("--tag-list").unwrap_or_default(),
                    "run_untagged": value("--tag-list").is_none(),
                    "info": info,
                });
                let request = Request::post("runners/register.json").agent(RUNNER_1_11).json(&body);
                let response = answer(address, request).ok_or("gitlab-runner register: no answer")?;
                if response.status != 201 {
                    return Err(format!("gitlab-runner register: {}", response.text()));
                }
                self.registered.push((address, response.json()["token"].as_str().unwrap().to_owned()));
                self.start_new(builds);
                Ok(())
            }
            Some(&"run") => {
                self.is_running = true;
                self.start_new(builds);
                Ok(())
            }
            other => Err(format!("gitlab-runner {other:?}: not played")),
        }
    }
}

impl Player {
    /// Like the program, it takes on what is registered while it runs.
    fn start_new(&mut self, builds: &Path) {
        let started = if self.is_running { self.threads.len() } else { self.registered.len() };
        for (address, token) in self.registered[started..].iter().cloned() {
            let (over, dir) = (Arc::clone(&self.over), builds.join(self.threads.len().to_string()));
            self.threads.push(thread::spawn(move || work(address, &token, &dir, &over)));
        }
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Release);
        for thread in self.threads.drain(..) {
            // Its panic was printed; what came of it shows in the build.
            let _ = thread.join();
        }
    }
}

fn answer(address: SocketAddr, request: Request) -> Option<Response> {
    match try_send(address, request) {
        Outcome::Answered(response) => Some(response),
        Outcome::Cut(_) | Outcome::Doubtful | Outcome::Unsent => None,
    }
}

/// Asks for builds and runs them, one at a time, through ends and starts of the server.
fn work(address: SocketAddr, token: &str, dir: &Path, over: &AtomicBool) {
    while !over.load(Ordering::Acquire) {
        match answer(address, ask(token)) {
            Some(response) if response.status == 201 => {
                let build = Work { address, build: claimed(&response), runner_token: token, dir, over };
                build.run();
            }
            _ => thread::sleep(PAUSE),
        }
    }
}

/// How a build ended here.
#[derive(PartialEq, Eq)]
enum End {
    Success,
    Failed,
    /// The server does not want it any more, or this program ends.
    Given,
}

struct Work<'a> {
    address: SocketAddr,
    build: Claimed,
    runner_token: &'a str,
    dir: &'a Path,
    over: &'a AtomicBool,
}

impl Work<'_> {
    fn run(self) {
        let _ = fs::remove_dir_all(self.dir);
        fs::create_dir_all(self.dir).unwrap();
        let mut log = b"Running with a runner that is played\n".to_vec();
        self.send_log(&log, 0);
        let end = match self.fetch() {
            Ok(()) => self.script(&mut log),
            Err(why) => {
                log.extend(format!("{why}\n").bytes());
                End::Failed
            }
        };
        if end == End::Given {
            return;
        }
        if end == End::Success
            && let Err(why) = self.upload()
        {
            log.extend(format!("{why}\n").bytes());
        }
        let is_success = end == End::Success;
        log.extend(if is_success { b"Job succeeded\n".as_slice() } else { b"ERROR: Job failed\n" });
        let state = if is_success { "success" } else { "failed" };
        let body = json!({"token": self.runner_token, "state": state, "trace": String::from_utf8_lossy(&log)});
        let report = || Request::put(&format!("builds/{}.json", self.build.id)).agent(RUNNER_1_11).json(&body);
        while answer(self.address, report()).is_none() && !self.over.load(Ordering::Acquire) {
            thread::sleep(PAUSE);
        }
    }

    /// Sources, and the artifacts of the builds that this one needs.
    fn fetch(&self) -> Result<(), String> {
        let job = &self.build.json;
        let strategy = self.variables().find(|(key, _)| *key == "GIT_STRATEGY").map(|(_, value)| value);
        if strategy != Some("none") {
            let text = |key: &str| job[key].as_str().unwrap();
            let git = |arguments: &[&str]| {
                let output = Command::new("git").args(arguments).current_dir(self.dir).output().unwrap();
                let words = String::from_utf8_lossy(&output.stderr).into_owned();
                if output.status.success() { Ok(()) } else { Err(words) }
            };
            git(&["clone", "--quiet", text("repo_url"), "."])?;
            git(&["checkout", "--quiet", text("sha")])?;
        }
        for needed in job["depends_on_builds"].as_array().unwrap() {
            if needed["artifacts_file"].is_null() {
                continue;
            }
            let path = format!("builds/{}/artifacts", needed["id"]);
            let request = Request::get(&path).build_token(needed["token"].as_str().unwrap());
            let response = answer(self.address, request).filter(|response| response.status == 200);
            let archive = response.ok_or(format!("no artifacts of build {}", needed["id"]))?.body;
            zip::ZipArchive::new(Cursor::new(archive)).unwrap().extract(self.dir).unwrap();
        }
        Ok(())
    }

    fn variables(&self) -> impl Iterator<Item = (&str, &str)> {
        let all = self.build.json["variables"].as_array().unwrap();
        all.iter().map(|pair| (pair["key"].as_str().unwrap(), pair["value"].as_str().unwrap()))
    }

    /// Runs the commands, and sends what they say as it comes.
    fn script(&self, log: &mut Vec<u8>) -> End {
        let commands = self.build.json["commands"].as_str().unwrap();
        let quoted = |line: &str| format!("'$ {}'", line.replace('\'', "'\\''"));
        let lines = commands.lines().map(|line| format!("echo {}\n{line}\n", quoted(line)));
        let script = format!("exec 2>&1\nset -e\n{}", lines.collect::<String>());
        let mut command = Command::new("sh");
        command.args(["-c", &script]).envs(self.variables()).current_dir(self.dir).process_group(0);
        let mut process = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let mut from = process.stdout.take().unwrap();
        let (sender, said) = channel();
        let reader = thread::spawn(move || {
            let mut piece = [0; 4096];
            while let Some(count) = from.read(&mut piece).ok().filter(|&count| count > 0) {
                let _ = sender.send(piece[..count].to_vec());
            }
        });
        let deadline = Instant::now() + Duration::from_secs(self.build.json["timeout"].as_u64().unwrap());
        let end = loop {
            let sent = log.len();
            let is_over = match said.recv_timeout(PAUSE) {
                Ok(piece) => {
                    log.extend(piece);
                    false
                }
                Err(RecvTimeoutError::Timeout) => false,
                Err(RecvTimeoutError::Disconnected) => true,
            };
            if !self.send_log(&log[sent..], sent) || self.over.load(Ordering::Acquire) {
                break End::Given;
            }
            if Instant::now() > deadline {
                log.extend(b"the build took longer than it may\n");
                break End::Failed;
            }
            if is_over {
                break if process.wait().unwrap().success() { End::Success } else { End::Failed };
            }
        };
        let group = nix::unistd::Pid::from_raw(process.id().cast_signed());
        let _ = nix::sys::signal::killpg(group, nix::sys::signal::Signal::SIGKILL);
        process.wait().unwrap();
        reader.join().unwrap();
        end
    }

    /// Sends more of the log, also nothing; false: the server does not want the build any more.
    fn send_log(&self, more: &[u8], start: usize) -> bool {
        loop {
            match answer(self.address, patch(&self.build, start, more).agent(RUNNER_1_11)) {
                Some(response) if response.status == 202 => {
                    return response.header("Build-Status") == Some("running");
                }
                Some(response) if response.status < 500 => return false,
                _ if self.over.load(Ordering::Acquire) => return false,
                _ => thread::sleep(PAUSE),
            }
        }
    }

    fn upload(&self) -> Result<(), String> {
        let artifacts = &self.build.json["options"]["artifacts"];
        let Some(paths) = artifacts["paths"].as_array() else { return Ok(()) };
        let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
        for path in paths {
            add(&mut archive, self.dir, &self.dir.join(path.as_str().unwrap()))?;
        }
        let archive = archive.finish().unwrap().into_inner();
        let mut request = Request::post(&format!("builds/{}/artifacts", self.build.id)).build_token(&self.build.token);
        if let Some(expiry) = artifacts["expire_in"].as_str() {
            request = request.query("expire_in", expiry);
        }
        let response = answer(self.address, request.multipart(&[Part::file("artifacts.zip", &archive)]));
        let response = response.ok_or("no answer to the upload")?;
        if response.status == 201 { Ok(()) } else { Err(format!("the upload: {}", response.text())) }
    }
}

/// Adds a file, or all below a folder, by its path below `dir`.
fn add(archive: &mut zip::ZipWriter<Cursor<Vec<u8>>>, dir: &Path, path: &Path) -> Result<(), String> {
    if path.is_dir() {
        let mut entries: Vec<PathBuf> = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).collect();
        entries.sort();
        return entries.iter().try_for_each(|entry| add(archive, dir, entry));
    }
    let data = fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let name = path.strip_prefix(dir).unwrap().to_str().unwrap();
    archive.start_file(name, SimpleFileOptions::default()).unwrap();
    archive.write_all(&data).map_err(|error| error.to_string())
}
