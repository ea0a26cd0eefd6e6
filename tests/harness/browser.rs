//! A real browser: Chromium over two pipes, as its `--remote-debugging-pipe` speaks. Messages are JSON, each ended by a NUL.
//!
//! What must stay true: nothing is awaited without an end; a browser ends with its test, and its files go with it. Where
//! there is none, [`Browser::start`] says so aloud and the test passes, unless `BATON_TEST_NEEDS_BROWSER` is 1.

mod tab;

pub use tab::{Tab, Transfer};

use super::skipped;
use serde_json::{Value, json};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::env;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::rc::Rc;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;
use tempfile::TempDir;

/// What a browser does not do within this it does not do.
const PATIENCE: Duration = Duration::from_secs(60);
/// The names that it has on the machines of people.
const NAMES: [&str; 4] = ["chromium", "chromium-browser", "google-chrome-stable", "google-chrome"];
/// Puts the two pipes where the browser looks for them. Its own words would fill a pipe that nobody reads.
const ON_PIPES: &str = r#"exec "$0" "$@" 3<&0 4>&1 </dev/null >/dev/null 2>/dev/null"#;
const OPTIONS: [&str; 10] = [
    "--headless",
    "--remote-debugging-pipe",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-gpu",
    "--disable-extensions",
    "--disable-sync",
    "--disable-background-networking",
    "--disable-component-update",
    "--force-color-profile=srgb",
];

/// A browser with one window. It is ended with the test.
pub struct Browser {
    process: Child,
    line: Rc<RefCell<Line>>,
    /// Its profile, dropped after it has ended.
    _dir: TempDir,
}

/// What is said over the pipes.
struct Line {
    to: ChildStdin,
    from: Receiver<Value>,
    last_id: u64,
    /// Told, and not yet taken by the tab that it is about.
    events: VecDeque<Value>,
}

/// The browser of this machine.
fn program() -> Option<PathBuf> {
    if let Some(named) = env::var_os("BATON_TEST_CHROMIUM") {
        return Some(named.into()).filter(|path: &PathBuf| path.is_file());
    }
    let folders: Vec<PathBuf> = env::split_paths(&env::var_os("PATH")?).collect();
    let mut all = NAMES.iter().flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
    all.find(|path| path.is_file())
}

impl Browser {
    /// Starts one. `None`: there is none here, which has been said.
    pub fn start() -> Option<Browser> {
        let Some(program) = program() else {
            let why = "no chromium; set BATON_TEST_CHROMIUM or install it";
            assert_ne!(env::var("BATON_TEST_NEEDS_BROWSER").as_deref(), Ok("1"), "{why}");
            skipped(why);
            return None;
        };
        Some(Browser::of(&program))
    }

    fn of(program: &Path) -> Browser {
        let dir = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", ON_PIPES]).arg(program).args(OPTIONS);
        command.arg(format!("--user-data-dir={}", dir.path().display())).env("HOME", dir.path());
        // Its sandbox refuses to work for root, as whom machines test.
        if nix::unistd::getuid().is_root() {
            command.arg("--no-sandbox");
        }
        let mut process = command.arg("about:blank").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (to, mut from) = (process.stdin.take().unwrap(), BufReader::new(process.stdout.take().unwrap()));
        let (send, receive) = mpsc::channel();
        thread::spawn(move || {
            let mut message = Vec::new();
            while from.read_until(0, &mut message).is_ok_and(|length| length > 0) {
                let value = serde_json::from_slice(message.strip_suffix(b"\0").unwrap_or(&message));
                if value.is_ok_and(|value: Value| send.send(value).is_err()) {
                    return;
                }
                message.clear();
            }
        });
        let line = Line { to, from: receive, last_id: 0, events: VecDeque::new() };
        Browser { process, line: Rc::new(RefCell::new(line)), _dir: dir }
    }

    /// A new tab with nothing in it.
    pub fn tab(&self) -> Tab {
        Tab::of(Rc::clone(&self.line))
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Asked, it ends its helpers itself; killed, it leaves them to find that out.
        if let Ok(mut line) = self.line.try_borrow_mut() {
            let _ = line.say(None, "Browser.close", &json!({}));
            while line.from.recv_timeout(Duration::from_secs(5)).is_ok() {}
        }
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Line {
    /// Sends a command; the number that its answer has.
    fn say(&mut self, session: Option<&str>, method: &str, params: &Value) -> std::io::Result<u64> {
        self.last_id += 1;
        let mut message = json!({"id": self.last_id, "method": method, "params": params});
        if let (Some(session), Some(fields)) = (session, message.as_object_mut()) {
            fields.insert("sessionId".to_owned(), session.into());
        }
        self.to.write_all(format!("{message}\0").as_bytes())?;
        Ok(self.last_id)
    }

    /// What the browser answers to a command, or why it refuses it.
    fn ask(&mut self, session: Option<&str>, method: &str, params: &Value) -> Result<Value, String> {
        let id = self.say(session, method, params).map_err(|error| format!("the browser is gone: {error}"))?;
        loop {
            let next = self.from.recv_timeout(PATIENCE);
            let mut message = next.unwrap_or_else(|error| panic!("no answer to {method} {params:.200}: {error}"));
            if message["id"] == id {
                return match message.get("error") {
                    None => Ok(message["result"].take()),
                    Some(error) => Err(format!("{method}: {error}")),
                };
            }
            if message.get("method").is_some() {
                self.events.push_back(message);
            }
        }
    }
}
