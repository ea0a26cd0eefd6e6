//! The log: to standard error, one line a record, `RUST_LOG` decides how much.

use crate::domain::time::Timestamp;
use log::{Log, Metadata, Record};
use std::io::Write;

/// Crates that would print header values, tokens among them: silent whatever `RUST_LOG` says.
const SILENT: [&str; 4] = ["tiny_http_fork", "tiny_http", "multipart", "mio"];

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

/// Starts the log of this process, at level `info` unless `RUST_LOG` says otherwise.
pub fn start() {
    let logger = env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("info"))
        .format(|buffer, record| {
            // A record is one line, whatever a client has put into it.
            let text: String =
                record.args().to_string().chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
            writeln!(buffer, "{} {:5} {text}", Timestamp::now(), record.level())
        })
        .build();
    let level = logger.filter();
    // It can only fail when there is a logger already.
    if log::set_boxed_logger(Box::new(Logger(logger))).is_ok() {
        log::set_max_level(level);
    }
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
