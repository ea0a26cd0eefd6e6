//! The lines of a configuration around what is wrong with it.

use super::cells::clean;
use crate::gitlab_ci::messages::Message;
use std::fmt::Write;

/// So many of the lines before and behind the place, and its own, each behind a line end.
pub fn around(message: &Message, lines: u32) -> String {
    let mut text = String::new();
    for line in message.around.iter().filter(|line| line.number.abs_diff(message.line) <= lines) {
        let mark = if message.is_about(line) { '>' } else { ' ' };
        let _ = write!(text, "\n  {mark} {:>4} | {}", line.number, clean(&line.text));
    }
    text
}
