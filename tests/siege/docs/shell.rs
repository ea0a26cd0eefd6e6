//! A shell that runs the commands of a page one after the other, as a reader would type them.
//!
//! What must stay true: nothing that a page starts outlives [`play`], and a page that waits for ever fails.

use super::page::{Command, Page, Step, is_shown};
use super::runner::Player;
use crate::harness::random::Random;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A command that takes longer fails its page.
const PATIENCE: Duration = Duration::from_secs(120);
/// What a page may need beside `baton`.
const TOOLS: [&str; 5] = ["bash", "git", "curl", "openssl", "unzip"];
/// Stands before the status of each command.
const MARK: &str = "--- the command has ended:";
/// What the shell has in place of a runner: it leaves its arguments to [`Player`].
const STAND_IN: &str = "gitlab-runner() { printf '%s\\n' \"$@\" > \"$HOME/called\"; }\n";

/// Why a page did not come to its end.
pub enum Stopped {
    /// The machine lacks this.
    Lacking(&'static str),
    /// The page is wrong, or the program.
    Wrong(String),
}

/// Runs the commands of a page; their number.
pub fn play(page: &Page) -> Result<usize, Stopped> {
    let text: String = page
        .steps()
        .map(|step| if let Step::Command(it) = step { it.text.clone() } else { String::new() })
        .collect::<Vec<_>>()
        .join("\n");
    let is_needed =
        |tool: &&str| *tool == "bash" || text.split(|c: char| !c.is_alphanumeric()).any(|word| word == *tool);
    if let Some(tool) = TOOLS.into_iter().filter(is_needed).find(|tool| !is_installed(tool)) {
        return Err(Stopped::Lacking(tool));
    }
    let mut shell = Shell::new();
    for step in page.steps() {
        let (line, done) = match step {
            Step::Command(command) => (command.line, shell.command(command)),
            Step::Interrupt { line } => (*line, shell.end_server()),
        };
        done.map_err(|why| Stopped::Wrong(format!("{}:{line}: {why}\n{}", page.name, shell.log())))?;
    }
    if shell.server.is_some() {
        shell.end_server().map_err(|why| Stopped::Wrong(format!("{}: at its end: {why}", page.name)))?;
    }
    Ok(page.commands())
}

fn is_installed(tool: &str) -> bool {
    std::process::Command::new(tool).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
}

/// Whether this machine has a runner that is registered as the pages show it.
fn has_runner() -> bool {
    let output = std::process::Command::new("gitlab-runner").arg("--version").output();
    output.is_ok_and(|output| {
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let mut majors = text.lines().filter_map(|line| line.strip_prefix("Version:")?.trim().split('.').next());
        majors.any(|major| major.parse::<u32>().is_ok_and(|major| major >= 16))
    })
}

/// A port that nobody has. A page may start its server anew on it, so that it is none of those that the kernel gives to
/// whoever asks for any.
fn free_port() -> u16 {
    let mut random = Random::new();
    loop {
        let port = 20_000 + random.below(10_000) as u16;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

struct Shell {
    process: Child,
    input: ChildStdin,
    output: Receiver<Vec<u8>>,
    /// Fields are dropped in order: what runs ends before its directory goes.
    player: Option<Player>,
    /// The process of the server that runs.
    server: Option<String>,
    /// The port on the page, and the one in truth, which stays when the server is started anew.
    port: Option<(u16, u16)>,
    /// How many programs were left running.
    left_running: usize,
    dir: TempDir,
}

impl Shell {
    fn new() -> Shell {
        let dir = tempfile::tempdir().unwrap();
        let (bin, home, work) = (dir.path().join("bin"), dir.path().join("home"), dir.path().join("work"));
        for new in [&bin, &home, &work] {
            fs::create_dir(new).unwrap();
        }
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_baton"), bin.join("baton")).unwrap();
        let git = "[user]\nname = Reader\nemail = reader@example.org\n[init]\ndefaultBranch = master\n";
        fs::write(home.join(".gitconfig"), git).unwrap();
        let mut command = std::process::Command::new("bash");
        command.args(["--noprofile", "--norc"]).current_dir(&work).env_clear();
        let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap_or_default());
        command.env("PATH", path).env("HOME", &home).env("BATON_LISTEN", "127.0.0.1:0").env("LC_ALL", "C");
        command.env("RUST_LOG", "info,baton::requests=off");
        command.env("CONFIG_FILE", home.join("config.toml")).env("GIT_CONFIG_NOSYSTEM", "1").env("no_proxy", "*");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        let mut process = command.spawn().unwrap();
        let (input, mut from) = (process.stdin.take().unwrap(), process.stdout.take().unwrap());
        let (sender, output) = channel();
        thread::spawn(move || {
            let mut piece = [0; 4096];
            while let Some(count) = from.read(&mut piece).ok().filter(|&count| count > 0) {
                let _ = sender.send(piece[..count].to_vec());
            }
        });
        let player = (!has_runner()).then(Player::default);
        let mut shell = Shell { process, input, output, player, server: None, port: None, left_running: 0, dir };
        shell.send(&format!("exec 2>&1\n{}", if shell.player.is_some() { STAND_IN } else { "" }));
        shell
    }

    fn send(&mut self, text: &str) {
        self.input.write_all(text.as_bytes()).unwrap();
    }

    fn home(&self) -> PathBuf {
        self.dir.path().join("home")
    }

    /// What the server has said, for a failure's message.
    fn log(&self) -> String {
        let logs = (1..=self.left_running).map(|number| self.home().join(format!("errors-{number}")));
        logs.filter_map(|file| fs::read_to_string(file).ok()).collect()
    }

    /// Runs a line; its status, and what it says.
    fn run(&mut self, line: &str) -> Result<(i32, String), String> {
        self.send(&format!("{{ {line}\n}} </dev/null\nprintf '\\n{MARK} %s\\n' \"$?\"\n"));
        let deadline = Instant::now() + PATIENCE;
        let mut said = Vec::new();
        loop {
            match self.output.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(piece) => said.extend(piece),
                Err(RecvTimeoutError::Timeout) => {
                    return Err(format!("{line}: does not end; so far: {}", String::from_utf8_lossy(&said)));
                }
                Err(RecvTimeoutError::Disconnected) => return Err(format!("{line}: has ended the shell")),
            }
            let text = String::from_utf8_lossy(&said);
            if let Some((answer, status)) = text.split_once(&format!("\n{MARK} "))
                && let Some(status) = status.strip_suffix('\n')
            {
                return Ok((status.parse().unwrap(), answer.to_owned()));
            }
        }
    }

    fn command(&mut self, command: &Command) -> Result<(), String> {
        let words: Vec<&str> = program(&command.text).split_whitespace().collect();
        let is_server = words.first() == Some(&"baton") && words.contains(&"serve");
        if is_server && command.status == 0 {
            return self.start_server(command);
        }
        if words.starts_with(&["baton", "runner", "start"]) && command.status == 0 {
            return self.start_runner(&command.text);
        }
        if words.starts_with(&["gitlab-runner", "run"]) && self.player.is_none() {
            return self.leave_running(&command.text).map(|_| ());
        }
        let (status, said) = self.run(&self.here(&command.text))?;
        if status != command.status {
            return Err(format!("{}: exits with {status}, and says: {said}", command.text));
        }
        if let Ok(called) = fs::read_to_string(self.home().join("called")) {
            fs::remove_file(self.home().join("called")).unwrap();
            let builds = self.dir.path().join("builds");
            self.player.as_mut().unwrap().call(&called.lines().collect::<Vec<_>>(), &builds)?;
        }
        self.compare(command, &said)
    }

    fn compare(&self, command: &Command, said: &str) -> Result<(), String> {
        let lines: Vec<String> = self.there(&plain(said)).trim_end().lines().map(str::to_owned).collect();
        if command.answer.is_empty() || is_shown(&command.answer, &lines) {
            return Ok(());
        }
        Err(format!("{}: says other than shown:\n{}", command.text, lines.join("\n")))
    }

    /// Starts a program that goes on; the file with what it says.
    fn leave_running(&mut self, line: &str) -> Result<(String, PathBuf), String> {
        self.left_running += 1;
        let name = |what: &str| self.home().join(format!("{what}-{}", self.left_running));
        let (out, errors) = (name("output"), name("errors"));
        File::create(&out).unwrap();
        let assignments = &line[..line.len() - program(line).len()];
        let line = format!("{assignments}exec {}\n}} >{} 2>{} & {{ :", program(line), out.display(), errors.display());
        self.run(&line)?;
        Ok((self.run("echo $!")?.1.trim().to_owned(), out))
    }

    /// Starts a runner, and waits until the server has heard of it.
    fn start_runner(&mut self, line: &str) -> Result<(), String> {
        let (pid, _) = self.leave_running(&self.here(line))?;
        let deadline = Instant::now() + PATIENCE;
        while !self.run("baton runner list")?.1.contains("online") {
            if Instant::now() > deadline || self.run(&format!("kill -0 {pid} 2>/dev/null"))?.0 != 0 {
                return Err(format!("{line}: does not start"));
            }
            thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    fn start_server(&mut self, command: &Command) -> Result<(), String> {
        if self.server.is_some() {
            return Err("a server runs already".to_owned());
        }
        let listen = command.text.split("--listen ").nth(1).and_then(|rest| rest.split_whitespace().next());
        let shown = listen.and_then(|address| address.rsplit(':').next()?.parse().ok()).unwrap_or(8080);
        if self.port.is_none_or(|(known, _)| known != shown) {
            let port = free_port();
            self.port = Some((shown, port));
            self.run(&format!("export BATON_LISTEN=127.0.0.1:{port}"))?;
        }
        let (pid, out) = self.leave_running(&self.here(&command.text))?;
        let deadline = Instant::now() + PATIENCE;
        let first = loop {
            let said = fs::read_to_string(&out).unwrap();
            if said.ends_with('\n') {
                break said;
            }
            if Instant::now() > deadline || self.run(&format!("kill -0 {pid} 2>/dev/null"))?.0 != 0 {
                return Err(format!("{}: does not start", command.text));
            }
            thread::sleep(Duration::from_millis(10));
        };
        let address = first.trim().rsplit('/').next().and_then(|text| text.parse::<SocketAddr>().ok());
        address.ok_or_else(|| format!("{}: does not say where: {first}", command.text))?;
        self.server = Some(pid);
        self.compare(command, &first)
    }

    fn end_server(&mut self) -> Result<(), String> {
        let pid = self.server.take().ok_or("no server runs that could be ended")?;
        match self.run(&format!("kill {pid} && wait {pid}"))? {
            (0, _) => Ok(()),
            (status, said) => Err(format!("the server exits with {status}: {said}")),
        }
    }

    /// What stands on the page, with the port that there is.
    fn here(&self, text: &str) -> String {
        self.port
            .map_or_else(|| text.to_owned(), |(shown, real)| text.replace(&format!(":{shown}"), &format!(":{real}")))
    }

    /// The reverse.
    fn there(&self, text: &str) -> String {
        self.port
            .map_or_else(|| text.to_owned(), |(shown, real)| text.replace(&format!(":{real}"), &format!(":{shown}")))
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        self.player = None;
        // The shell and all that it started.
        let group = nix::unistd::Pid::from_raw(self.process.id().cast_signed());
        let _ = nix::sys::signal::killpg(group, nix::sys::signal::Signal::SIGKILL);
        let _ = self.process.wait();
    }
}

/// A command without the variables that are set for it.
fn program(mut command: &str) -> &str {
    while let Some((_, rest)) = command.split_once(' ').filter(|(first, _)| first.contains('=')) {
        command = rest;
    }
    command
}

/// A text without what is meant for a terminal.
fn plain(text: &str) -> String {
    let mut pieces = text.split("\x1b[");
    let first = pieces.next().unwrap_or_default().to_owned();
    let rest =
        pieces.map(|piece| piece.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';').get(1..).unwrap_or(""));
    first + &rest.collect::<String>().replace('\r', "")
}
