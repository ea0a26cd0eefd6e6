//! The program `baton`: allocator, logger, arguments, run, exit status.

use mimalloc::MiMalloc;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    baton::cli::start_logger();
    baton::cli::run(std::env::args_os().skip(1))
}
