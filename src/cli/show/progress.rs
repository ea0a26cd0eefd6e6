//! How far something has come that takes a while: one line on standard error, if that is a terminal; else nothing.

use super::terminal;
use crate::domain::text::size::format_size;
use std::io::{self, Write};
use std::time::{Duration, Instant};

/// What takes less time is not worth a line.
const PATIENCE: Duration = Duration::from_millis(300);

/// Between two drawings.
const PAUSE: Duration = Duration::from_millis(100);

/// Characters of the bar.
const BAR: u64 = 20;

/// A line that grows and goes: dropping it takes it away.
pub struct Progress {
    what: &'static str,
    done: u64,
    total: u64,
    started: Instant,
    next: Instant,
    is_drawn: bool,
    is_terminal: bool,
}

impl Progress {
    /// Of `what`, `total` bytes are to come.
    pub fn new(what: &'static str, total: u64) -> Progress {
        let started = Instant::now();
        let is_terminal = terminal::is_drawable(&io::stderr());
        Progress { what, done: 0, total, started, next: started + PATIENCE, is_drawn: false, is_terminal }
    }

    /// So many bytes more have come.
    pub fn add(&mut self, bytes: u64) {
        self.set(self.done + bytes, self.total);
    }

    /// So many bytes have come by now, of `total`.
    pub fn set(&mut self, done: u64, total: u64) {
        (self.done, self.total) = (done, total);
        let now = Instant::now();
        if self.is_terminal && now >= self.next {
            self.next = now + PAUSE;
            self.is_drawn = true;
            draw(&format!("\r{}\x1b[K", line(self.what, self.done, self.total, now.duration_since(self.started))));
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.is_drawn {
            draw("\r\x1b[K");
        }
    }
}

/// Nobody can be told when that fails.
fn draw(text: &str) {
    let mut stderr = io::stderr().lock();
    let _ = stderr.write_all(text.as_bytes()).and_then(|()| stderr.flush());
}

/// Less than 80 characters.
fn line(what: &str, done: u64, total: u64, time: Duration) -> String {
    let done = done.min(total);
    let part = |of: u64| u128::from(done) * u128::from(of) / u128::from(total.max(1));
    let filled = usize::try_from(part(BAR)).unwrap_or(0);
    let rate = u128::from(done) * 1000 / time.as_millis().max(1);
    let left =
        u128::from(total - done).checked_div(rate).map_or_else(String::new, |seconds| format!(", {seconds} s left"));
    let rate = format_size(u64::try_from(rate).unwrap_or(u64::MAX));
    let (done, size, bar) = (format_size(done), format_size(total), "#".repeat(filled));
    format!("{what} [{bar:20}] {:3} %, {done} of {size}, {rate}/s{left}", part(100))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_how_far_how_fast_and_how_long_yet_and_fits_a_terminal() {
        let second = Duration::from_secs(1);
        assert_eq!(
            line("artifacts", 512 << 20, 1 << 30, second * 2),
            format!(
                "artifacts [##########          ]  50 %, {} of {}, {}/s, 2 s left",
                "512.0 MiB", "1.0 GiB", "256.0 MiB"
            )
        );
        for (done, total, time) in [(0, 0, second), (0, 5, Duration::ZERO), (9, 5, second), (1, u64::MAX, second)] {
            let line = line("artifacts", done, total, time);
            assert!(line.chars().count() < 80 || total == u64::MAX, "{line}");
        }
        assert!(line("x", 9, 5, second).contains("100 %"));
    }
}
