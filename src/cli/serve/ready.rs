//! What a program that has started `baton serve` is told once it serves: one line of JSON.
//!
//! What must stay true: the line has the registration token, so that it goes only where it was asked for; who does
//! not read it stops nothing.

use super::greeting;
use crate::cli::show::print;
use crate::cli::{Done, Stop};
use crate::coordinator::Coordinator;
use crate::domain::base_url::{BaseUrl, Endpoint};
use crate::limits::Limits;
use crate::process::descriptors;
use serde::Serialize;
use std::fs::File;
use std::io::Write;
use std::os::fd::RawFd;
use std::path::Path;

/// Where the line goes.
pub struct Ready {
    descriptor: Option<File>,
    is_answer: bool,
}

/// The line.
#[derive(Serialize)]
struct Line<'a> {
    url: String,
    registration_token: &'a str,
    pid: u32,
    data: &'a Path,
}

impl Ready {
    /// Takes over the descriptor of this number, if there is one. To be called before the process opens anything.
    /// `is_answer`: the line goes to standard output, too.
    pub fn new(number: Option<RawFd>, is_answer: bool) -> Done<Ready> {
        let descriptor = number.map(writer).transpose()?;
        Ok(Ready { descriptor, is_answer })
    }

    /// Whether standard output gets the line, and nothing else.
    pub fn is_answer(&self) -> bool {
        self.is_answer
    }

    /// Writes the line, and closes the descriptor.
    pub fn say(&mut self, endpoint: Endpoint, base_url: Option<&BaseUrl>, data: &Path) -> Done {
        let descriptor = self.descriptor.take();
        if descriptor.is_none() && !self.is_answer {
            return Ok(());
        }
        let token = Coordinator::open(data, Limits::default())?.registration_token(false)?;
        let data = &std::fs::canonicalize(data).unwrap_or_else(|_| data.to_owned());
        let (url, _) = greeting::url(endpoint, base_url);
        let line = Line { url, registration_token: &token, pid: std::process::id(), data };
        let line = print::json_line(&line)?;
        if let Some(Err(error)) = descriptor.map(|mut file| file.write_all(line.as_bytes())) {
            log::warn!("cannot write to the descriptor of --ready-fd: {error}");
        }
        match print::out(if self.is_answer { &line } else { "" }) {
            Ok(()) | Err(Stop::Unread) => Ok(()),
            Err(stop) => Err(stop),
        }
    }
}

/// For argh: the number of a descriptor.
pub fn number(text: &str) -> Result<RawFd, String> {
    match text.parse() {
        Ok(0..=2) => Err("it must be 3 or more; for standard output there is --json".to_owned()),
        Ok(number) if number > 2 => Ok(number),
        _ => Err("it must be a descriptor's number, as in `baton serve --ready-fd 3 3>ready.json`".to_owned()),
    }
}

fn writer(number: RawFd) -> Done<File> {
    let advice = "whoever starts baton must open it for writing, as in `baton serve --ready-fd 3 3>ready.json`";
    let wrong = |why: &dyn std::fmt::Display| Stop::Usage(format!("--ready-fd {number}: {why}; {advice}"));
    let descriptor = descriptors::take(number).map_err(|error| wrong(&error))?;
    match descriptors::is_writable(&descriptor) {
        Ok(true) => Ok(descriptor.into()),
        Ok(false) => Err(wrong(&"it is open for reading only")),
        Err(error) => Err(wrong(&error)),
    }
}
