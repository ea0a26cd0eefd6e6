//! Which streams can be drawn on.

use std::io::IsTerminal;

/// Whether what is written there can be drawn over: by a terminal, unless `TERM` says that it knows no such thing.
pub fn is_drawable(stream: &impl IsTerminal) -> bool {
    stream.is_terminal() && !is_dumb()
}

/// Whether `TERM` says that the terminal knows no more than text.
fn is_dumb() -> bool {
    std::env::var_os("TERM").is_some_and(|term| term == "dumb")
}
