//! The log: to standard error, one line a record, `RUST_LOG` decides how much.

use super::log_line;
use crate::domain::time::Timestamp;
use log::{Log, Metadata, Record};
use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};

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

struct Logger(env_logger::Logger);

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        !is_silent(metadata.target()) && self.0.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        if !is_silent(record.target()) && !record.module_path().is_some_and(is_silent) {
            self.0.log(record);
        }
    }

    fn flush(&self) {
        self.0.flush();
    }
}

fn is_silent(target: &str) -> bool {
    target.split("::").next().is_some_and(|root| SILENT.contains(&root))
}

/// Starts the log of this process, at level `info` unless `RUST_LOG` says otherwise; coloured on a terminal, unless
/// `NO_COLOR` is set.
pub fn start() {
    let colours = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let logger = env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("info"))
        .format(move |buffer, record| {
            let line = match format() {
                Format::Text => log_line::text(Timestamp::now(), record, colours),
                Format::Json => log_line::json(Timestamp::now(), record),
            };
            buffer.write_all(line.as_bytes())
        })
        .build();
    let level = logger.filter();
    // It can only fail when there is a logger already.
    if log::set_boxed_logger(Box::new(Logger(logger))).is_ok() {
        log::set_max_level(level);
    }
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
    let line = log_line::json(
        Timestamp::now(),
        &Record::builder().level(log::Level::Error).args(format_args!("{text}")).build(),
    );
    let _ = io::stderr().write_all(line.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

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
