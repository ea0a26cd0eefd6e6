//! A log without what is meant for a terminal: colours and other escape sequences, marks of sections, the cursor's way
//! back to the line's begin.
//!
//! What must stay true: the result is the same, wherever the log is cut into pieces; nothing that a person would read
//! is lost, however broken a sequence is.

/// Longest mark of a section, without its end.
const MARK_BYTES_MAX: usize = 512;

/// Takes a log piece by piece.
pub struct Plain {
    inside: Inside,
    /// What may become a mark, if a mark may begin or has begun here.
    held: Option<Vec<u8>>,
    /// Something of the line was printed.
    in_line: bool,
    /// The cursor went back to the line's begin: what comes next overwrites it.
    back: bool,
}

/// Which part of an escape sequence comes next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Inside {
    /// None.
    Text,
    /// What follows ESC.
    Escape,
    /// Parameters, up to a letter: `ESC [ 32;1 m`.
    Control,
    /// A text for the terminal, up to BEL or `ESC \`: its title, a link.
    String,
}

impl Default for Plain {
    fn default() -> Plain {
        Plain { inside: Inside::Text, held: Some(Vec::new()), in_line: false, back: false }
    }
}

impl Plain {
    /// What is to be printed of this piece.
    pub fn push(&mut self, piece: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(piece.len());
        for &byte in piece {
            self.byte(byte, &mut out);
        }
        out
    }

    /// What is to be printed at the log's end.
    pub fn finish(mut self) -> Vec<u8> {
        let mut out = Vec::new();
        self.release(&mut out);
        out
    }

    fn byte(&mut self, byte: u8, out: &mut Vec<u8>) {
        const ESC: u8 = 0x1b;
        self.inside = match (self.inside, byte) {
            (_, ESC) => Inside::Escape,
            (Inside::Text, _) => return self.text(byte, out),
            (Inside::Escape, b'[') => Inside::Control,
            (Inside::Escape, b']' | b'P' | b'X' | b'^' | b'_') => Inside::String,
            (Inside::Escape, b' '..=b'/') => Inside::Escape,
            (Inside::Escape, b'0'..=b'~') => Inside::Text,
            (Inside::Control, b' '..=b'?') => Inside::Control,
            (Inside::Control, b'@'..=b'~') | (Inside::String, 0x07 | 0x18 | 0x1a) => Inside::Text,
            // None has a line's end: it was never finished.
            (Inside::String, b'\n') | (Inside::Escape | Inside::Control, _) => {
                self.inside = Inside::Text;
                return self.text(byte, out);
            }
            (Inside::String, _) => Inside::String,
        };
    }

    /// A byte that is in no escape sequence.
    fn text(&mut self, byte: u8, out: &mut Vec<u8>) {
        let Some(held) = &mut self.held else { return self.line(byte, out) };
        if byte == b'\r' && is_mark(held) {
            // Another one may follow in the same line.
            return held.clear();
        }
        held.push(byte);
        if !may_become_mark(held) {
            self.release(out);
        }
    }

    fn release(&mut self, out: &mut Vec<u8>) {
        for byte in self.held.take().unwrap_or_default() {
            self.line(byte, out);
        }
    }

    /// A byte that is in no mark.
    fn line(&mut self, byte: u8, out: &mut Vec<u8>) {
        match byte {
            b'\n' => {
                out.push(b'\n');
                (self.in_line, self.back, self.held) = (false, false, Some(Vec::new()));
            }
            b'\r' => (self.back, self.held) = (self.in_line, Some(Vec::new())),
            b'\t' | b' '..=b'~' | 0x80.. => {
                if self.back {
                    out.push(b'\n');
                }
                out.push(byte);
                (self.in_line, self.back) = (true, false);
            }
            // Bells, backspaces and the like.
            0..=0x1f | 0x7f => {}
        }
    }
}

/// Whether this is `section_start:TIME:NAME` or `section_end:TIME:NAME`, which a carriage return ends.
fn is_mark(text: &[u8]) -> bool {
    let mut parts = text.splitn(3, |&byte| byte == b':');
    let is_kind = parts.next().is_some_and(|kind| KINDS.contains(&kind));
    let is_time = parts.next().is_some_and(|time| !time.is_empty() && time.iter().all(u8::is_ascii_digit));
    is_kind && is_time && parts.next().is_some_and(|name| !name.is_empty() && name.iter().all(u8::is_ascii_graphic))
}

fn may_become_mark(text: &[u8]) -> bool {
    let mut parts = text.splitn(3, |&byte| byte == b':');
    let kind = parts.next().unwrap_or_default();
    let (time, name) = (parts.next(), parts.next().unwrap_or_default());
    let fits = |known: &&[u8]| if time.is_some() { kind == *known } else { known.starts_with(kind) };
    text.len() <= MARK_BYTES_MAX
        && KINDS.iter().any(fits)
        && time.unwrap_or_default().iter().all(u8::is_ascii_digit)
        && name.iter().all(u8::is_ascii_graphic)
}

const KINDS: [&[u8]; 2] = [b"section_start", b"section_end"];

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(pieces: &[&[u8]]) -> String {
        let mut plain = Plain::default();
        let mut out: Vec<u8> = pieces.iter().flat_map(|piece| plain.push(piece)).collect();
        out.extend(plain.finish());
        String::from_utf8(out).unwrap()
    }

    const CASES: [(&str, &str); 17] = [
        ("\x1b[0KRunning\n\x1b[32;1m$ make\x1b[0;m\n", "Running\n$ make\n"),
        ("a\x1b]8;;http://x/\x1b\\link\x1b]8;;\x07b\x1b]0;title\x07c\n", "alinkbc\n"),
        ("\x1b(B\x1b#8\x1b=größe\x1b7\x1bM €\n", "größe €\n"),
        ("\x1bP1$r0m\x1b\\x\x1b_app\x1b\\y\n", "xy\n"),
        // Broken: what a person would read stays.
        ("\x1b[32\nnext", "\nnext"),
        ("\x1b]0;never ended\nnext\n", "\nnext\n"),
        ("\x1b\x1b[1mx\x1b", "x"),
        ("\x1b[1\x1b[2my \x1bé\n", "y é\n"),
        ("\x1b]t\x1b[1mx\x1b]t\x1b]u\x07y", "xy"),
        // Lines.
        ("a\r\nb\r\r\nc\n", "a\nb\nc\n"),
        ("\r 1 %\r 50 %\r\x1b[K100 %\r\n", " 1 %\n 50 %\n100 %\n"),
        ("a\x07\x08\0\x7fb\tc\r", "ab\tc"),
        // Marks.
        ("section_start:1560896352:my_first[collapsed=true]\r\x1b[0KTitle\n", "Title\n"),
        ("a\nsection_end:15:x\r\x1b[0Ksection_start:15:y.z-1\r\x1b[0K$ true\n", "a\n$ true\n"),
        (
            "section_start:x:y\r\nsection_end:12\nsection_middle:1:a\r\n",
            "section_start:x:y\nsection_end:12\nsection_middle:1:a\n",
        ),
        ("no section_start:1:a\rb\nsection_start:1:a b\rc\n", "no section_start:1:a\nb\nsection_start:1:a b\nc\n"),
        ("tail section_st\nsection_end:1:unfinished", "tail section_st\nsection_end:1:unfinished"),
    ];

    #[test]
    fn what_a_person_reads_is_left() {
        for (log, expected) in CASES {
            assert_eq!(plain(&[log.as_bytes()]), expected, "{log:?}");
        }
        let long = format!("section_start:1:{}\rx", "n".repeat(MARK_BYTES_MAX));
        assert_eq!(plain(&[long.as_bytes()]), long.replace('\r', "\n"));
    }

    #[test]
    fn it_does_not_matter_where_the_log_is_cut() {
        let whole: Vec<u8> = CASES.iter().flat_map(|(log, _)| log.bytes()).collect();
        for log in CASES.iter().map(|(log, _)| log.as_bytes()).chain([whole.as_slice()]) {
            let expected = plain(&[log]);
            for at in 0..=log.len() {
                let (begin, end) = log.split_at(at);
                assert_eq!(plain(&[begin, end]), expected, "{:?} cut at {at}", String::from_utf8_lossy(log));
            }
            let bytes: Vec<&[u8]> = log.chunks(1).collect();
            assert_eq!(plain(&bytes), expected);
        }
    }

    /// Whoever follows a log does not wait for the next piece to see this one.
    #[test]
    fn only_what_may_be_a_mark_or_a_sequence_is_held_back() {
        let mut plain = Plain::default();
        assert_eq!(plain.push(b"compiling"), b"compiling");
        assert_eq!(plain.push(b" ...\nsect"), b" ...\n");
        assert_eq!(plain.push(b"or 7\x1b["), b"sector 7");
    }
}
