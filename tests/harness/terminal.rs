//! A program on a terminal, and what a person would see there.

use nix::pty::{Winsize, openpty};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// A program that does not do what is expected within this fails the test.
const PATIENCE: Duration = Duration::from_secs(60);

/// A terminal that programs can be started on.
pub struct Terminal {
    outside: File,
    inside: OwnedFd,
}

/// A program that runs. It is killed with the test.
pub struct Running {
    process: Child,
    keyboard: File,
    shown: Arc<Mutex<Vec<u8>>>,
    reader: Option<JoinHandle<()>>,
}

impl Terminal {
    pub fn new(rows: u16, columns: u16) -> Terminal {
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        let pair = openpty(Some(&size), None).unwrap();
        Terminal { outside: File::from(pair.master), inside: pair.slave }
    }

    /// The terminal, for a program's input or output.
    pub fn stdio(&self) -> Stdio {
        self.inside.try_clone().unwrap().into()
    }

    /// Starts a program whose standard output and error are the terminal.
    pub fn run(self, command: &mut Command) -> Running {
        command.stdin(self.stdio()).stdout(self.stdio()).stderr(self.stdio());
        self.start(command)
    }

    /// Starts a program that has got the terminal where it is to have it.
    pub fn start(self, command: &mut Command) -> Running {
        // The one that runs the tests may be none, or a dumb one.
        if command.get_envs().all(|(name, _)| name != "TERM") {
            command.env("TERM", "xterm");
        }
        let process = command.spawn().unwrap();
        // The terminal ends with the last program that has it.
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let Terminal { mut outside, inside } = self;
        drop(inside);
        let keyboard = outside.try_clone().unwrap();
        let shown = Arc::new(Mutex::new(Vec::new()));
        let copy = Arc::clone(&shown);
        let reader = thread::spawn(move || {
            let mut piece = [0; 4096];
            while let Some(count) = outside.read(&mut piece).ok().filter(|&count| count > 0) {
                copy.lock().unwrap().extend_from_slice(&piece[..count]);
            }
        });
        Running { process, keyboard, shown, reader: Some(reader) }
    }
}

impl Running {
    /// What has been written to the terminal so far.
    pub fn shown(&self) -> String {
        String::from_utf8_lossy(&self.shown.lock().unwrap()).into_owned()
    }

    /// Waits until this is among what was shown.
    #[track_caller]
    pub fn wait_for(&self, text: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let shown = self.shown();
            if shown.contains(text) {
                return shown;
            }
            assert!(Instant::now() < deadline, "{text:?} was not shown: {shown:?}");
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Types this.
    pub fn type_in(&mut self, text: &str) {
        self.keyboard.write_all(text.as_bytes()).unwrap();
    }

    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.process.id().cast_signed()), signal).unwrap();
    }

    /// Waits for its end; how it ended, and all that it has shown.
    #[track_caller]
    pub fn end(mut self) -> (ExitStatus, String) {
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.process.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < deadline, "it does not end: {:?}", self.shown());
            thread::sleep(Duration::from_millis(5));
        };
        self.reader.take().unwrap().join().unwrap();
        (status, self.shown())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
