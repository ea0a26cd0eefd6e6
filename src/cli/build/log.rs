//! `baton build log`, and how a log is followed.
//!
//! What must stay true: who follows a log gets each of its bytes once, also when the runner sends the whole log again;
//! if that is another log, it says so and begins anew, and goes on in the middle of neither.

use super::outcome;
use crate::cli::run::patience::Patience;
use crate::cli::show::plain::Plain;
use crate::cli::show::print;
use crate::cli::{Done, Stop, build_id};
use crate::coordinator::{Coordinator, NumberedPiece};
use crate::domain::build::{BuildId, Status};
use crate::domain::line_times::Untimed;
use crate::error::{Error, Result};
use argh::{ArgsInfo, FromArgs};
use sha2::{Digest, Sha256};
use std::borrow::Cow;
use std::sync::mpsc::{channel, sync_channel};
use std::thread;
use std::time::Duration;

/// Bytes that are read at a time: each read is a transaction of its own, which must be short.
const PIECE_BYTES: u64 = 512 << 10;

/// Threads that read a long log, each with a piece in its hands and one that waits to be printed.
const READERS: u64 = 2;

/// Between two looks at a log that grows: what is stored is shown within 200 ms.
pub const POLL: Duration = Duration::from_millis(100);

/// Print a build's log, without the times that runners from 18.7 on write before each line.
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

    /// without colours and what else is meant for a terminal
    #[argh(switch)]
    plain: bool,

    /// byte for byte as the runner sent it, with such times
    #[argh(switch)]
    raw: bool,
}

/// Standard output, for a log.
pub struct Output {
    untimed: Option<Untimed>,
    plain: Option<Plain>,
}

impl Output {
    /// For a log without times, with its colours or plain.
    pub fn new(plain: bool) -> Output {
        Output { untimed: Some(Untimed::default()), plain: plain.then(Plain::default) }
    }

    /// For a log as it is stored.
    fn raw() -> Output {
        Output { untimed: None, plain: None }
    }

    /// Prints a piece of the log, at once.
    pub fn print(&mut self, piece: &[u8]) -> Done {
        let text = self.untimed.as_mut().map_or(Cow::Borrowed(piece), |untimed| untimed.push(piece));
        match &mut self.plain {
            Some(plain) => print::bytes(&plain.push(&text)),
            None => print::bytes(&text),
        }
    }

    /// Prints what is left at the log's end.
    pub fn end(self) -> Done {
        let mut rest = self.untimed.map(Untimed::finish).unwrap_or_default();
        if let Some(mut plain) = self.plain {
            rest = plain.push(&rest);
            rest.extend(plain.finish());
        }
        if rest.is_empty() { Ok(()) } else { print::bytes(&rest) }
    }
}

impl Log {
    /// Does what the command line says.
    pub fn run(self, coordinator: &Coordinator) -> Done {
        if self.raw && self.plain {
            return Err(Stop::Usage(
                "--raw and --plain exclude each other; `baton build log --help` explains".to_owned(),
            ));
        }
        let mut output = if self.raw { Output::raw() } else { Output::new(self.plain) };
        if self.follow {
            let mut patience = Patience::new(self.id);
            let wait = |status, pause| {
                thread::sleep(pause);
                patience.look(coordinator, status)
            };
            follow(coordinator, self.id, |piece| output.print(piece), wait)?;
            output.end()?;
            return outcome(coordinator, self.id);
        }
        let read =
            |offset, memory| coordinator.read_trace_into(self.id, offset, PIECE_BYTES, memory).map(|(piece, _)| piece);
        print_whole(&read, |piece| output.print(piece))?;
        output.end()
    }
}

/// Gives a log to `print`, of which `read` reads a piece from an offset on, nothing at the log's end, into memory that
/// it may use again.
fn print_whole(read: &(impl Fn(u64, Vec<u8>) -> Result<Vec<u8>> + Sync), mut print: impl FnMut(&[u8]) -> Done) -> Done {
    let mut piece = read(0, Vec::new())?;
    print(&piece)?;
    let mut offset = piece.len() as u64;
    if is_full(&piece) {
        offset = print_read_ahead(read, &mut print)?;
    }
    while !piece.is_empty() {
        piece = read(offset, piece)?;
        offset += piece.len() as u64;
        print(&piece)?;
    }
    Ok(())
}

/// Gives `print` what follows the first piece, up to the first one that is not full, while others read ahead: SQLite
/// reads page by page, which takes more time than printing. Returns how long the log is so far.
fn print_read_ahead(
    read: &(impl Fn(u64, Vec<u8>) -> Result<Vec<u8>> + Sync),
    print: &mut impl FnMut(&[u8]) -> Done,
) -> Done<u64> {
    thread::scope(|scope| {
        let spawn_reader = |nth: u64| {
            let (to_print, pieces) = sync_channel(1);
            let (printed, memory) = channel();
            let read_every_other = move || {
                let mut offset = nth * PIECE_BYTES;
                loop {
                    let piece = read(offset, memory.try_recv().unwrap_or_default());
                    let is_last = !piece.as_ref().is_ok_and(|piece| is_full(piece));
                    if to_print.send(piece).is_err() || is_last {
                        break;
                    }
                    offset += READERS * PIECE_BYTES;
                }
            };
            thread::Builder::new().name("reader".to_owned()).spawn_scoped(scope, read_every_other)?;
            Ok((pieces, printed))
        };
        let readers = (1..=READERS).map(spawn_reader).collect::<Result<Vec<_>>>()?;
        let mut offset = PIECE_BYTES;
        for (pieces, printed) in readers.iter().cycle() {
            let piece = pieces.recv().map_err(|_| Error::internal("a thread that reads the log panicked"))??;
            print(&piece)?;
            offset += piece.len() as u64;
            if !is_full(&piece) {
                break;
            }
            // The reader may have come to its end.
            let _ = printed.send(piece);
        }
        Ok(offset)
    })
}

fn is_full(piece: &[u8]) -> bool {
    piece.len() as u64 == PIECE_BYTES
}

/// Gives a build's log to `print`, piece by piece, until the build has ended. After each look `wait` is called
/// with the build's state and how long to wait, which is not at all while there is more to print.
pub fn follow(
    coordinator: &Coordinator,
    id: BuildId,
    mut print: impl FnMut(&[u8]) -> Done,
    mut wait: impl FnMut(Status, Duration) -> Done,
) -> Done {
    let mut log = Growing::new(id);
    loop {
        let piece = log.read(coordinator)?;
        if piece.bytes.is_empty() && piece.status.is_finished() {
            return Ok(());
        }
        let pause = if piece.bytes.is_empty() { POLL } else { Duration::ZERO };
        print(&piece.bytes)?;
        wait(piece.status, pause)?;
    }
}

/// A log that is read while it grows, a piece at a time.
pub struct Growing {
    id: BuildId,
    printed: Printed,
    number: i64,
}

impl Growing {
    /// That of this build, from its begin on.
    pub fn new(id: BuildId) -> Growing {
        Growing { id, printed: Printed::default(), number: 0 }
    }

    /// Number and bytes of the log as far as it was read.
    pub fn read_so_far(&self) -> (i64, u64) {
        (self.number, self.printed.bytes)
    }

    /// The next piece; nothing for now at the log's end. It says so when another log has taken the place of this one,
    /// and begins anew.
    pub fn read(&mut self, coordinator: &Coordinator) -> Done<NumberedPiece> {
        let id = self.id;
        loop {
            let piece = coordinator.read_numbered_trace(id, self.printed.bytes, PIECE_BYTES)?;
            if piece.number == self.number {
                self.printed.add(&piece.bytes);
                return Ok(piece);
            }
            let read = |offset| coordinator.read_numbered_trace(id, offset, PIECE_BYTES);
            if !self.printed.begin(read, &piece)? {
                print::note(&format!("the runner has replaced the log of build {id}; it follows from its begin"));
                self.printed = Printed::default();
            }
            // What was read may be the middle of another log.
            self.number = piece.number;
        }
    }
}

/// What was printed of a log that is followed: how much, and a checksum, by which it is known again.
#[derive(Default)]
struct Printed {
    bytes: u64,
    checksum: Sha256,
}

impl Printed {
    fn add(&mut self, piece: &[u8]) {
        self.bytes += piece.len() as u64;
        self.checksum.update(piece);
    }

    /// Whether the log of which `of` is a piece begins with what was printed; `read` reads from an offset on.
    fn begin(&self, read: impl Fn(u64) -> Result<NumberedPiece>, of: &NumberedPiece) -> Result<bool> {
        let mut begin = Printed::default();
        while begin.bytes < self.bytes {
            let piece = read(begin.bytes)?;
            let left = usize::try_from(self.bytes - begin.bytes).unwrap_or(usize::MAX);
            let known = piece.bytes.get(..left.min(piece.bytes.len())).unwrap_or_default();
            if known.is_empty() || piece.number != of.number {
                return Ok(false);
            }
            begin.add(known);
        }
        Ok(begin.checksum.finalize() == self.checksum.clone().finalize())
    }
}

#[cfg(test)]
#[expect(clippy::cast_possible_truncation, reason = "small numbers made here")]
mod tests {
    use super::*;
    use crate::cli::Stop;
    use crate::domain::build::NewBuild;
    use crate::domain::time::Timestamp;
    use crate::limits::Limits;
    use std::sync::atomic::{AtomicU64, Ordering};

    const PIECE: usize = PIECE_BYTES as usize;

    /// Each piece of it begins with other bytes.
    fn log(bytes: usize) -> Vec<u8> {
        let line: Vec<u8> = (0..1021_u32).map(|n| n.wrapping_mul(0x9e37_79b9).to_le_bytes()[3]).collect();
        let mut log = line.repeat(bytes / line.len() + 1);
        log.truncate(bytes);
        log
    }

    fn piece(log: &[u8], offset: u64) -> Vec<u8> {
        let start = log.len().min(offset as usize);
        log[start..log.len().min(start + PIECE)].to_vec()
    }

    #[test]
    fn a_log_of_any_length_is_printed_to_the_byte() {
        for pieces in 0..5 {
            for bytes in [0, 1, PIECE / 2, PIECE - 1] {
                let log = log(pieces * PIECE + bytes);
                let mut printed = Vec::new();
                let print = |piece: &[u8]| {
                    printed.extend_from_slice(piece);
                    Ok(())
                };
                print_whole(&|offset, _| Ok(piece(&log, offset)), print).unwrap();
                assert!(printed == log, "{} of {} bytes", printed.len(), log.len());
            }
        }
    }

    /// The pause is what a line waits for at most, whatever else the machine does.
    #[test]
    fn a_follower_looks_ten_times_a_second_and_at_once_while_there_is_more() {
        let dir = tempfile::tempdir().unwrap();
        let now = Timestamp::now();
        let coordinator = Coordinator::open(dir.path(), Limits::default()).unwrap();
        coordinator.add_project("p", None, Duration::from_secs(60), now).unwrap();
        let id = coordinator.add_builds(vec![NewBuild::new("p", "true").into()], now).unwrap()[0];
        let mut looks = 0;
        let wait = |_, pause| {
            assert!(pause <= Duration::from_millis(100), "{pause:?}");
            looks += 1;
            if looks == 3 { Ok(coordinator.cancel_build(id, now).map(drop)?) } else { Ok(()) }
        };
        follow(&coordinator, id, |_| Ok(()), wait).unwrap();
        assert_eq!(looks, 3);
    }

    #[test]
    fn what_is_added_meanwhile_is_printed_where_it_belongs() {
        for step in [1, 1000, PIECE as u64 / 2, PIECE as u64 - 1, 2 * PIECE_BYTES] {
            for begin in [PIECE_BYTES, 2 * PIECE_BYTES + 5, 3 * PIECE_BYTES - 1] {
                let (log, size) = (log(5 * PIECE), AtomicU64::new(begin));
                // Grows with each of the first reads, whichever thread reads.
                let read = |offset, _| {
                    let size = size.fetch_add(step, Ordering::Relaxed).min(begin + 20 * step).min(log.len() as u64);
                    Ok(piece(&log[..size as usize], offset))
                };
                let mut printed = Vec::new();
                let print = |piece: &[u8]| {
                    printed.extend_from_slice(piece);
                    Ok(())
                };
                print_whole(&read, print).unwrap();
                assert!(printed.len() as u64 >= begin && log.starts_with(&printed), "{} bytes", printed.len());
            }
        }
    }

    #[test]
    fn an_error_comes_after_all_that_could_be_read_before_it() {
        for broken in 0..5 {
            let log = log(10 * PIECE);
            let read = |offset, _| {
                if offset < broken * PIECE_BYTES { Ok(piece(&log, offset)) } else { Err(Error::internal("broken")) }
            };
            let mut printed = Vec::new();
            let print = |piece: &[u8]| {
                printed.extend_from_slice(piece);
                Ok(())
            };
            let stop = print_whole(&read, print).unwrap_err();
            assert!(matches!(stop, Stop::Failed(message) if message == "broken"));
            assert!(printed == log[..broken as usize * PIECE]);
        }
    }

    #[test]
    fn it_ends_when_nobody_reads_what_it_prints() {
        for pieces in 0..5 {
            let mut left = pieces;
            let print = |_: &[u8]| {
                left -= 1;
                if left < 0 { Err(Stop::Unread) } else { Ok(()) }
            };
            let endless = |_, _| Ok(vec![b'x'; PIECE]);
            assert!(matches!(print_whole(&endless, print), Err(Stop::Unread)));
        }
    }
}
