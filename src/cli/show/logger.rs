//! The log: to standard error, one line a record, `RUST_LOG` decides how much.
//!
//! What must stay true: a log that nobody reads holds nobody up. A pipe that is full, or a terminal that was stopped,
//! gets no more until it takes some; what was left out meanwhile is counted, and said then.

use super::{log_line, terminal};
use crate::domain::time::Timestamp;
use log::{Level, Log, Metadata, Record};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::ffi::OsString;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Crates that would print header values, tokens among them: silent whatever `RUST_LOG` says.
const SILENT: [&str; 4] = ["tiny_http_fork", "tiny_http", "multipart", "mio"];

/// Whether records are JSON. A command line says so, which is read after the log has begun.
static JSON: AtomicBool = AtomicBool::new(false);

/// How records look.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    /// A line for people.
    Text,
    /// A JSON object a line.
    Json,
}

struct Logger {
    filter: env_logger::Logger,
    colours: bool,
    /// Lines since the last one that was written.
    left_out: AtomicU64,
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        !is_silent(metadata.target()) && self.filter.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        let is_silent = is_silent(record.target()) || record.module_path().is_some_and(is_silent);
        if !is_silent && self.filter.matches(record) {
            self.write(record);
        }
    }

    fn flush(&self) {}
}

impl Logger {
    fn write(&self, record: &Record<'_>) {
        let line = self.line(record);
        let mut stderr = io::stderr().lock();
        // What is ready takes a line whole: pipes say so from 4 KiB on.
        let ready = poll(&mut [PollFd::new(stderr.as_fd(), PollFlags::POLLOUT)], PollTimeout::ZERO);
        if ready == Ok(0) {
            self.left_out.fetch_add(1, Ordering::Relaxed);
            return;
        }
        terminal::make_room();
        let left_out = self.left_out.swap(0, Ordering::Relaxed);
        if left_out > 0 {
            let said = format_args!("{left_out} lines of the log were left out, since nobody read them");
            let said = self.line(&Record::builder().level(Level::Warn).args(said).build());
            let _ = stderr.write_all(said.as_bytes());
        }
        let _ = stderr.write_all(line.as_bytes());
    }

    fn line(&self, record: &Record<'_>) -> String {
        match format() {
            Format::Text => log_line::text(Timestamp::now(), record, self.colours),
            Format::Json => log_line::json(Timestamp::now(), record),
        }
    }
}

fn is_silent(target: &str) -> bool {
    target.split("::").next().is_some_and(|root| SILENT.contains(&root))
}

/// Starts the log of this process, at level `info` unless `RUST_LOG` says otherwise; coloured on a terminal, unless
/// `NO_COLOR` is set or `TERM` says that the terminal knows none.
pub fn start() {
    let colours = terminal::is_drawable(&io::stderr()) && wants_colours(std::env::var_os("NO_COLOR"));
    let filter = env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("info")).build();
    let level = filter.filter();
    // It can only fail when there is a logger already.
    if log::set_boxed_logger(Box::new(Logger { filter, colours, left_out: AtomicU64::new(0) })).is_ok() {
        log::set_max_level(level);
    }
}

/// Has only warnings logged from now on, unless `RUST_LOG` says otherwise: for commands that are no servers.
pub fn be_quiet() {
    if std::env::var_os("RUST_LOG").is_none() {
        log::set_max_level(log::LevelFilter::Warn);
    }
}

/// Whether somebody who has set this variable wants colours: <https://no-color.org>.
pub fn wants_colours(no_color: Option<OsString>) -> bool {
    no_color.is_none_or(|value| value.is_empty())
}

/// Decides how records look from now on.
pub fn set_format(format: Format) {
    JSON.store(format == Format::Json, Ordering::Relaxed);
}

/// How records look.
pub fn format() -> Format {
    if JSON.load(Ordering::Relaxed) { Format::Json } else { Format::Text }
}

/// Says why the program ends, whatever `RUST_LOG` says, as a record in JSON.
pub fn say(text: &str) {
    terminal::make_room();
    let line =
        log_line::json(Timestamp::now(), &Record::builder().level(Level::Error).args(format_args!("{text}")).build());
    let _ = io::stderr().write_all(line.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_for_those_who_want_them() {
        for (no_color, wants) in [(None, true), (Some(""), true), (Some("1"), false)] {
            assert_eq!(wants_colours(no_color.map(OsString::from)), wants, "{no_color:?}");
        }
    }

    #[test]
    fn crates_that_would_print_headers_are_silent_in_all_their_modules() {
        for (target, silent) in [
            ("tiny_http", true),
            ("tiny_http_fork::client", true),
            ("multipart::server::boundary", true),
            ("mio::poll", true),
            ("baton::server", false),
            ("miod", false),
        ] {
            assert_eq!(is_silent(target), silent, "{target}");
        }
    }
}
