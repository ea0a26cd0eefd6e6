//! A log as clean lines, while its bytes come.
//!
//! What must stay true: a line is one, and moves no cursor, whatever a job has put into it; of a line that never ends no
//! more than a piece is held.

use crate::cli::show::cells::clean;
use crate::cli::show::plain::Plain;
use crate::domain::line_times::Untimed;

/// A line that is longer is cut into several.
const LINE_BYTES_MAX: usize = 16 << 10;

/// See the module.
#[derive(Default)]
pub struct LineReader {
    untimed: Untimed,
    plain: Plain,
    held: Vec<u8>,
}

impl LineReader {
    /// The lines that end with these bytes. The first ones begin a line: whoever has read no more than the end of a log
    /// begins there.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<String> {
        let bytes = self.untimed.push(bytes);
        let bytes = self.plain.push(&bytes);
        self.lines(&bytes)
    }

    /// What is left at the log's end.
    pub fn finish(mut self) -> Vec<String> {
        let rest = std::mem::take(&mut self.untimed).finish();
        let mut rest = self.plain.push(&rest);
        rest.extend(std::mem::take(&mut self.plain).finish());
        let mut lines = self.lines(&rest);
        if !self.held.is_empty() {
            lines.push(line(&self.held));
        }
        lines
    }

    /// The begin of the line that has not ended.
    pub fn begun(&self) -> Option<String> {
        (!self.held.is_empty()).then(|| line(&self.held))
    }

    fn lines(&mut self, bytes: &[u8]) -> Vec<String> {
        let mut lines = Vec::new();
        for part in bytes.split_inclusive(|&byte| byte == b'\n') {
            let text = part.strip_suffix(b"\n").unwrap_or(part);
            for piece in text.chunks(LINE_BYTES_MAX) {
                if self.held.len() + piece.len() > LINE_BYTES_MAX {
                    lines.push(line(&std::mem::take(&mut self.held)));
                }
                self.held.extend_from_slice(piece);
            }
            if text.len() < part.len() {
                lines.push(line(&std::mem::take(&mut self.held)));
            }
        }
        lines
    }
}

fn line(bytes: &[u8]) -> String {
    clean(&String::from_utf8_lossy(bytes))
}

/// The last lines of a log whose end this is, at most so many; the first of them is not whole if the log is longer.
pub fn last_lines(end: &[u8], is_whole: bool, count: usize) -> Vec<String> {
    let from = if is_whole { 0 } else { end.iter().position(|&byte| byte == b'\n').map_or(0, |at| at + 1) };
    let mut reader = LineReader::default();
    let mut lines = reader.push(end.get(from..).unwrap_or_default());
    lines.extend(reader.finish());
    while lines.last().is_some_and(|line| line.trim().is_empty()) {
        lines.pop();
    }
    let first = lines.len().saturating_sub(count);
    lines.split_off(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_clean_wherever_the_log_is_cut() {
        let log = "section_start:1:x\r\x1b[0K\x1b[32m$ make\x1b[0m\n1 %\r2 %\r\n\u{202e}evil\u{9b}2J\n\nend";
        let expected = ["$ make", "1 %", "2 %", "?evil?2J", "", "end"];
        let timed: String = ["$ make", "1 %\r2 %\r", "\u{202e}evil\u{9b}2J", ""]
            .iter()
            .map(|line| format!("2026-11-28T07:45:02.123456Z 01O {line}\n"))
            .collect();
        let timed = timed + "2026-11-28T07:45:02.123456Z 01O end";
        let cuts = (0..=log.len()).map(|at| log.as_bytes().split_at(at));
        for (begin, end) in cuts.chain((0..=timed.len()).map(|at| timed.as_bytes().split_at(at))) {
            let at = begin.len();
            let mut reader = LineReader::default();
            let mut lines = reader.push(begin);
            lines.extend(reader.push(end));
            lines.extend(reader.finish());
            assert_eq!(lines, expected, "cut at {at}");
        }
    }

    #[test]
    fn a_line_that_never_ends_is_cut() {
        let mut reader = LineReader::default();
        let lines = reader.push(&vec![b'x'; 3 * LINE_BYTES_MAX + 5]);
        assert_eq!(lines.iter().map(String::len).collect::<Vec<_>>(), [LINE_BYTES_MAX; 3]);
        assert_eq!(reader.begun().as_deref(), Some("xxxxx"));
        assert_eq!(reader.finish(), ["xxxxx"]);
    }

    #[test]
    fn the_last_lines_are_whole_ones() {
        assert_eq!(last_lines(b"a\nb\nc\n\n", true, 2), ["b", "c"]);
        assert_eq!(last_lines(b"cut\nb\nc", false, 9), ["b", "c"]);
        assert_eq!(last_lines(b"", true, 9), Vec::<String>::new());
    }
}
