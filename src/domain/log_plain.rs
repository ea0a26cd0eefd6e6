//! A log as text: without escapes, times and marks of sections, each line as it stands at the end.

use super::log_lines::{LineEnd, LineReader, LineStart, LogLines, SectionMark};
use super::terminal::{Parser, Screen};

/// Bytes of a line that are kept.
const LINE_BYTES_MAX: usize = 1 << 20;

/// Takes a log piece by piece.
pub struct PlainLog {
    lines: LogLines,
    text: PlainText,
}

struct PlainText {
    parser: Parser,
    screen: Screen,
    out: Vec<u8>,
}

impl Default for PlainLog {
    fn default() -> PlainLog {
        let screen = Screen::with_limit(LINE_BYTES_MAX);
        PlainLog { lines: LogLines::default(), text: PlainText { parser: Parser::default(), screen, out: Vec::new() } }
    }
}

impl PlainLog {
    /// Takes the next bytes of the log; what is known of the text by now.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.lines.push(bytes, &mut self.text);
        std::mem::take(&mut self.text.out)
    }

    /// The rest of the text, at the log's end.
    pub fn finish(&mut self) -> Vec<u8> {
        self.lines.finish(&mut self.text);
        std::mem::take(&mut self.text.out)
    }
}

impl PlainText {
    fn take_screen(&mut self) {
        self.parser.end_line(&mut self.screen);
        self.out.extend_from_slice(self.screen.as_str().as_bytes());
        self.screen.clear();
    }
}

impl LineReader for PlainText {
    fn begin(&mut self, _: &LineStart) {}

    fn text(&mut self, bytes: &[u8]) {
        self.parser.feed(bytes, &mut self.screen);
    }

    fn section(&mut self, _: &SectionMark<'_>) {
        let is_begun = !self.screen.is_blank();
        self.take_screen();
        if is_begun {
            self.out.push(b'\n');
        }
    }

    fn end(&mut self, _: &LineEnd) {
        self.take_screen();
        self.out.push(b'\n');
    }
}

#[cfg(test)]
mod tests {
    use super::super::log_lines::tests::log;
    use super::*;

    #[test]
    fn the_text_is_what_a_reader_sees() {
        let log = log(concat!(
            "@00O section_start:1:s\r\x1b[0K\x1b[36mTitle\x1b[0m\n@01O 50 %\r\n@01O+100 %\n",
            "@01O no endsection_end:1:s\rsection_start:1:t\rNext\n@01E \x1b]0;x\x07<b>\n"
        ));
        for size in [1, 7, 1000] {
            let mut plain = PlainLog::default();
            let mut text: Vec<u8> = log.as_bytes().chunks(size).flat_map(|piece| plain.push(piece)).collect();
            text.extend(plain.finish());
            assert_eq!(String::from_utf8(text).unwrap(), "Title\n100 %\nno end\nNext\n<b>\n");
        }
    }
}
