//! `baton build log`, and how a log is followed.

use super::build::outcome;
use super::{Done, build_id, print};
use crate::coordinator::Coordinator;
use crate::domain::build::{BuildId, Status};
use argh::{ArgsInfo, FromArgs};
use std::thread;
use std::time::Duration;

/// Bytes that are read at a time: each read is a transaction of its own, which must be short.
const PIECE_BYTES: u64 = 1 << 20;

/// Between two looks at a log that grows.
const POLL: Duration = Duration::from_millis(150);

/// Print a build's log, byte for byte.
#[derive(FromArgs, ArgsInfo)]
#[argh(
    subcommand,
    name = "log",
    example = "{command_name} 7\n{command_name} 7 --follow",
    error_code(0, "With --follow: the build succeeded."),
    error_code(1, "With --follow: it did not; one line on standard error says why.")
)]
pub struct Log {
    /// the build's id
    #[argh(positional, from_str_fn(build_id))]
    id: BuildId,

    /// go on until the build ends, and exit as it did
    #[argh(switch)]
    follow: bool,
}

impl Log {
    /// Does what the command line says.
    pub fn run(self, coordinator: &Coordinator) -> Done {
        if self.follow {
            follow(coordinator, self.id, print::bytes, |_, pause| {
                thread::sleep(pause);
                Ok(())
            })?;
            return outcome(coordinator, self.id);
        }
        let mut offset = 0;
        loop {
            let (piece, _) = coordinator.read_trace(self.id, offset, PIECE_BYTES)?;
            if piece.is_empty() {
                return Ok(());
            }
            offset += piece.len() as u64;
            print::bytes(&piece)?;
        }
    }
}

/// Gives a build's log to `print`, piece by piece, until the build has ended. After each look `wait` is called
/// with the build's state and how long to wait, which is not at all while there is more to print.
pub fn follow(
    coordinator: &Coordinator,
    id: BuildId,
    mut print: impl FnMut(&[u8]) -> Done,
    mut wait: impl FnMut(Status, Duration) -> Done,
) -> Done {
    let mut offset = 0;
    loop {
        let (piece, status) = coordinator.read_trace(id, offset, PIECE_BYTES)?;
        if piece.is_empty() && status.is_finished() {
            return Ok(());
        }
        let pause = if piece.is_empty() { POLL } else { Duration::ZERO };
        offset += piece.len() as u64;
        print(&piece)?;
        wait(status, pause)?;
    }
}
