//! A runner beside a server, with folders of its own.

use super::fake::{Fake, TOKEN};
use baton::domain::token::Token;
use baton::error::Result;
use baton::runner::{self, Ending, Options, Patience, Program, Shell, Stop};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;
use std::time::Duration;
use tempfile::TempDir;

pub struct Stand {
    pub fake: Fake,
    pub stop: Stop,
    pub dir: TempDir,
    runner: Option<JoinHandle<Result<u64>>>,
    /// An installed runner in place of the built-in one.
    installed: Option<Child>,
}

/// How a runner is in tests: it ends what it leaves, and does not wait for long.
pub fn options(fake: &Fake, dir: &Path) -> Options {
    let (builds, cache, home) = (dir.join("builds"), dir.join("cache"), dir.join("home"));
    std::fs::create_dir_all(&home).unwrap();
    let token = Token::received(TOKEN).unwrap();
    let mut options = Options::new(&fake.url(), token, &builds, &cache).unwrap();
    let path = std::env::var_os("PATH").unwrap();
    options.environment = [
        ("PATH", path),
        ("HOME", home.into_os_string()),
        ("LANG", "C.UTF-8".into()),
        ("BATON_RUNNER_TOKEN", TOKEN.into()),
        ("BATON_DATA", dir.join("data").into_os_string()),
    ]
    .map(|(name, value)| (OsString::from(name), value))
    .to_vec();
    options.name = "tested".to_owned();
    options.concurrent = 1;
    options.log_interval = Some(Duration::from_millis(30));
    options.ends_leftovers = true;
    options.reserve_bytes = 0;
    options.patience = Patience { usual: Duration::from_secs(60), at_stop: Duration::from_secs(2) };
    let program = PathBuf::from(env!("CARGO_BIN_EXE_baton"));
    options.keeper = Program { path: program, arguments: vec![runner::KEEPER_COMMAND.into()] };
    options
}

impl Stand {
    pub fn start() -> Stand {
        Stand::with(|_| ())
    }

    pub fn with(change: impl FnOnce(&mut Options)) -> Stand {
        Stand::in_dir(Fake::start(), tempfile::tempdir().unwrap(), change)
    }

    pub fn in_dir(fake: Fake, dir: TempDir, change: impl FnOnce(&mut Options)) -> Stand {
        let mut options = options(&fake, &dir.path().canonicalize().unwrap());
        change(&mut options);
        let stop = Stop::default();
        let own = stop.clone();
        let runner = std::thread::spawn(move || runner::serve(options, &own));
        Stand { fake, stop, dir, runner: Some(runner), installed: None }
    }

    /// The same with a `gitlab-runner` that this machine has.
    pub fn installed(program: &Path, fake: Fake, dir: TempDir, change: impl FnOnce(&mut Options)) -> Stand {
        let top = dir.path().canonicalize().unwrap();
        let mut options = options(&fake, &top);
        change(&mut options);
        let shell = if options.shell == Shell::Sh { "sh" } else { "bash" };
        let config = format!(
            "concurrent = 1\ncheck_interval = 1\n[[runners]]\nname = \"tested\"\nurl = \"{}\"\ntoken = \"{TOKEN}\"\n\
             executor = \"shell\"\nshell = \"{shell}\"\nbuilds_dir = \"{top}/builds\"\ncache_dir = \"{top}/cache\"\n",
            fake.url(),
            top = top.display()
        );
        let file = top.join("config.toml");
        std::fs::write(&file, config).unwrap();
        let mut command = Command::new(program);
        command.arg("run").arg("--config").arg(&file).arg("--working-directory").arg(&top);
        command.env_clear().envs(options.environment).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().unwrap();
        Stand { fake, stop: Stop::default(), dir, runner: None, installed: Some(child) }
    }

    /// The checkout of the project of [`super::fake::job`].
    pub fn project(&self) -> PathBuf {
        self.dir.path().canonicalize().unwrap().join("builds/local/0/git/p")
    }

    /// Runs a job to its end; returns its log as people see it.
    #[track_caller]
    pub fn run(&self, job: serde_json::Value) -> String {
        let id = job["id"].as_u64().unwrap();
        self.fake.queue(job);
        shown(&self.fake.ended(id).log)
    }

    pub fn end(&mut self, ending: Ending) -> Result<u64> {
        if let Some(mut child) = self.installed.take() {
            // It has nothing to do any more.
            child.kill().unwrap();
            child.wait().unwrap();
            return Ok(0);
        }
        self.stop.tell(ending);
        self.runner.take().unwrap().join().unwrap()
    }

    /// Waits for the runner's own end.
    pub fn join(&mut self) -> Result<u64> {
        self.runner.take().unwrap().join().unwrap()
    }
}

impl Drop for Stand {
    fn drop(&mut self) {
        if let Some(mut child) = self.installed.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        self.stop.tell(Ending::Kill);
        if let Some(runner) = self.runner.take() {
            let _ = runner.join();
        }
    }
}

/// A log without times, marks of sections and colours; continued lines are one.
pub fn shown(log: &[u8]) -> String {
    let text = String::from_utf8(log.to_vec()).expect("a log is UTF-8");
    let mut lines: Vec<(String, String)> = Vec::new();
    let has_times = text.as_bytes().get(26) == Some(&b'Z');
    for line in text.split_terminator('\n') {
        if !has_times {
            lines.push((String::new(), line.to_owned()));
            continue;
        }
        let (head, rest) = line.split_at(32);
        let stream = &head[28..31];
        let last = lines.iter_mut().rfind(|(of, _)| of == stream);
        match last {
            Some((_, last)) if head.ends_with('+') => last.push_str(rest),
            _ => lines.push((stream.to_owned(), rest.to_owned())),
        }
    }
    let mut out = String::from("\n");
    for (_, line) in lines {
        out.push_str(plain(&line).trim_end());
        out.push('\n');
    }
    out
}

fn plain(line: &str) -> String {
    let mut out = String::new();
    let mut rest = line;
    while let Some(c) = rest.chars().next() {
        if let Some(after) = rest.strip_prefix("\x1b[") {
            let end = after.find(|c: char| c.is_ascii_alphabetic()).map_or(after.len(), |end| end + 1);
            rest = &after[end..];
        } else if let (true, Some(end)) = (rest.starts_with("section_"), rest.find('\r')) {
            rest = &rest[end + 1..];
        } else {
            if c != '\r' {
                out.push(c);
            }
            rest = &rest[c.len_utf8()..];
        }
    }
    out
}
