//! Which streams can be drawn on, and what is drawn over again while other things are said.
//!
//! What must stay true: whatever is written to the terminal in lines takes the place of what is drawn, which is then drawn
//! anew below it: whoever writes there does so through [`beside`] or after [`make_room`].

use crate::cli::{Done, Stop};
use crate::sync::lock;
use std::io::{self, IsTerminal, Write};
use std::sync::{Mutex, TryLockError};

/// Lines above the cursor that the next drawing goes over.
static DRAWN: Mutex<usize> = Mutex::new(0);

/// Whether what is written there can be drawn over: by a terminal, unless `TERM` says that it knows no such thing.
pub fn is_drawable(stream: &impl IsTerminal) -> bool {
    stream.is_terminal() && !is_dumb()
}

/// Whether `TERM` says that the terminal knows no more than text.
fn is_dumb() -> bool {
    std::env::var_os("TERM").is_some_and(|term| term == "dumb")
}

/// Draws lines on standard output over those that were drawn last, or on a terminal that begins anew.
pub fn draw(lines: &[String], is_anew: bool) -> Done {
    let mut drawn = lock(&DRAWN);
    let drawing = drawing(lines, *drawn, is_anew);
    *drawn = lines.len();
    write(&drawing).map_err(Stop::output)
}

/// Whether something is drawn that the next drawing goes over.
pub fn is_drawn() -> bool {
    *lock(&DRAWN) > 0
}

/// Has what is drawn stay: what comes next is below it.
pub fn leave() {
    *lock(&DRAWN) = 0;
}

/// Does `say`, which writes lines, in the place of what is drawn.
pub fn beside(say: impl FnOnce()) {
    let mut drawn = lock(&DRAWN);
    erase(&mut drawn);
    say();
}

/// Takes away what is drawn, unless that is being drawn just now: for those who must not wait.
pub fn make_room() {
    match DRAWN.try_lock() {
        Ok(mut drawn) => erase(&mut drawn),
        Err(TryLockError::Poisoned(poisoned)) => erase(&mut poisoned.into_inner()),
        Err(TryLockError::WouldBlock) => {}
    }
}

/// Nobody can be told when that fails.
fn erase(drawn: &mut usize) {
    if *drawn > 0 {
        let _ = write(&format!("\x1b[{drawn}A\r\x1b[J"));
        *drawn = 0;
    }
}

fn write(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush())
}

/// What draws lines over the last `before` ones, or on a terminal that begins anew.
fn drawing(lines: &[String], before: usize, is_anew: bool) -> String {
    let mut drawing = match (is_anew, before) {
        (true, _) => "\x1b[2J\x1b[H".to_owned(),
        (false, 0) => String::new(),
        (false, before) => format!("\x1b[{before}A\r"),
    };
    for line in lines {
        drawing.push_str(line);
        drawing.push_str("\x1b[K\n");
    }
    drawing + "\x1b[J"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drawing_goes_over_the_last_one_and_leaves_nothing_of_it() {
        let lines = |all: &[&str]| all.iter().map(|&line| line.to_owned()).collect::<Vec<_>>();
        assert_eq!(drawing(&lines(&["a", "b"]), 0, false), "a\x1b[K\nb\x1b[K\n\x1b[J");
        assert_eq!(drawing(&lines(&["c"]), 2, false), "\x1b[2A\rc\x1b[K\n\x1b[J");
        assert_eq!(drawing(&lines(&["c"]), 2, true), "\x1b[2J\x1b[Hc\x1b[K\n\x1b[J");
    }
}
