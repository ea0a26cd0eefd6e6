//! The program `baton`: logger, arguments, run, exit status.

use std::process::ExitCode;

fn main() -> ExitCode {
    baton::cli::start_logger();
    baton::cli::run(std::env::args_os().skip(1))
}
