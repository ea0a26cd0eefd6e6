//! Manual jobs that hold a pipeline up: whoever sits at a terminal is asked whether they start.

use super::watched::Watched;
use crate::cli::show::cells::clean;
use crate::cli::show::print;
use crate::cli::{Done, Stop};
use crate::coordinator::Coordinator;
use crate::domain::build::BuildId;
use crate::domain::time::Timestamp;
use crate::error::Kind;
use crate::store::job_rows::JobRow;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::collections::HashSet;
use std::io::{self, BufRead, IsTerminal, Read};
use std::os::fd::AsFd;

/// Longest answer, in bytes.
const ANSWER_BYTES_MAX: u64 = 1024;

/// Milliseconds between two looks at the rest while somebody thinks.
const PAUSE_MS: u16 = 100;

/// Whether somebody can be asked.
pub fn is_possible() -> bool {
    io::stdin().is_terminal() && io::stdout().is_terminal()
}

/// Asks for each job that blocks the pipeline, and that was not asked for before, whether it starts. Says whether one did.
/// While it waits for the answer, `check` is called; it asks nothing more once it is interrupted.
pub fn start_blocking(
    coordinator: &Coordinator,
    watched: &Watched,
    asked: &mut HashSet<BuildId>,
    is_interrupted: &dyn Fn() -> bool,
    check: &mut dyn FnMut() -> Done,
) -> Done<bool> {
    let mut is_any_started = false;
    let blocking: Vec<&JobRow> = watched.counting().filter(|row| row.blocks()).collect();
    for row in blocking {
        if is_interrupted() || !asked.insert(row.id) {
            continue;
        }
        let about = coordinator.about_job(row.id)?.unwrap_or_default();
        print::out(&question(&row.name, row.id, about.manual_confirmation.as_deref()))?;
        if answer(is_interrupted, check)? {
            match coordinator.play_build(row.id, Timestamp::now()) {
                // Somebody else was faster.
                Err(error) if error.kind == Kind::Conflict => print::note(&error.message),
                played => played?,
            }
            is_any_started = true;
        }
    }
    Ok(is_any_started)
}

fn question(name: &str, id: BuildId, confirmation: Option<&str>) -> String {
    let words = confirmation.map_or_else(String::new, |words| format!("{} ", clean(words.trim())));
    format!("{words}start {} (build {id})? [y/N] ", clean(name))
}

/// Waits for a line; an end of the input, and an interrupt, is a no.
fn answer(is_interrupted: &dyn Fn() -> bool, check: &mut dyn FnMut() -> Done) -> Done<bool> {
    let input = io::stdin();
    loop {
        let ready = poll(&mut [PollFd::new(input.as_fd(), PollFlags::POLLIN)], PollTimeout::from(PAUSE_MS));
        if ready.is_ok_and(|count| count > 0) {
            break;
        }
        if is_interrupted() {
            print::out("\n")?;
            return Ok(false);
        }
        check()?;
    }
    let mut line = Vec::new();
    let read = input.lock().take(ANSWER_BYTES_MAX).read_until(b'\n', &mut line);
    read.map_err(|error| Stop::Failed(format!("cannot read the answer: {error}")))?;
    if line.last() != Some(&b'\n') {
        print::out("\n")?;
    }
    let word = String::from_utf8_lossy(&line).trim().to_lowercase();
    Ok(word == "y" || word == "yes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_names_the_job_and_what_its_file_asks() {
        assert_eq!(question("deploy", BuildId(7), None), "start deploy (build 7)? [y/N] ");
        let asked = question("de\x1bploy", BuildId(7), Some("Are you\nsure?\n"));
        assert_eq!(asked, "Are you?sure? start de?ploy (build 7)? [y/N] ");
    }
}
