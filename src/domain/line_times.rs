//! The times that runners from 18.7 on write before each line of a log (`FF_TIMESTAMPS`), taken off for readers.
//!
//! A head is 32 bytes: `2026-11-28T07:45:02.123456Z 01O `. After the time stand the number of the stream, whether that is
//! standard output (`O`) or error (`E`), and either a blank or `+`: this line continues the last one of its stream, whose
//! line end the runner has put in (`timestamper.go` of gitlab-runner 19.3.0).
//!
//! What must stay true: the result is the same, wherever the log is cut into pieces. A log that does not begin with a head
//! has none, whatever its lines look like, and not a byte of it changes.

use memchr::memchr;
use std::borrow::Cow;

/// Bytes of a head.
pub(super) const HEAD_BYTES: usize = 32;

/// Longest line, with its head, that a runner never cuts.
pub(super) const UNCUT_BYTES_MAX: usize = 8 << 10;

/// Takes a log piece by piece.
#[derive(Default)]
pub struct Untimed {
    form: Form,
    /// What may become a head, at the begin of a line.
    head: Vec<u8>,
    line: Option<Line>,
    /// A line's end that was not passed on, since the next line of this stream may continue the line.
    held: Option<Stream>,
}

#[derive(Default, PartialEq, Eq)]
enum Form {
    /// Nothing was passed on yet.
    #[default]
    Unknown,
    Timed,
    Other,
}

type Stream = [u8; 3];

/// The line whose text comes next.
struct Line {
    /// That of its head, if it has one.
    stream: Option<Stream>,
    bytes: usize,
    has_return: bool,
}

impl Untimed {
    /// What a reader sees of this piece.
    pub fn push<'a>(&mut self, piece: &'a [u8]) -> Cow<'a, [u8]> {
        if self.form == Form::Other {
            return Cow::Borrowed(piece);
        }
        let mut out = Vec::with_capacity(piece.len());
        let mut rest = piece;
        while !rest.is_empty() && self.form != Form::Other {
            rest = match self.line.take() {
                Some(line) => self.text(line, rest, &mut out),
                None => self.begin(rest, &mut out),
            };
        }
        out.extend_from_slice(rest);
        Cow::Owned(out)
    }

    /// What a reader sees at the log's end.
    pub fn finish(mut self) -> Vec<u8> {
        let mut out = Vec::new();
        self.begin_without_head(&mut out);
        out
    }

    /// Takes bytes at the begin of a line, and returns those behind its head.
    fn begin<'a>(&mut self, rest: &'a [u8], out: &mut Vec<u8>) -> &'a [u8] {
        let places = self.head.len()..HEAD_BYTES;
        let fitting = places.zip(rest).take_while(|(place, byte)| fits(*place, **byte)).count();
        let (fitting, rest) = rest.split_at(fitting);
        self.head.extend_from_slice(fitting);
        if self.head.len() < HEAD_BYTES {
            if !rest.is_empty() {
                self.begin_without_head(out);
            }
            return rest;
        }
        let mut stream = None;
        if let [.., number, digit, kind, continued] = *self.head.as_slice() {
            stream = Some([number, digit, kind]);
            if self.held.take().is_some_and(|held| continued != b'+' || Some(held) != stream) {
                out.push(b'\n');
            }
        }
        self.form = Form::Timed;
        self.head.clear();
        self.line = Some(Line { stream, bytes: HEAD_BYTES, has_return: false });
        rest
    }

    /// Passes on what looked like a head and is none.
    fn begin_without_head(&mut self, out: &mut Vec<u8>) {
        if self.form == Form::Unknown {
            self.form = Form::Other;
        }
        if self.held.take().is_some() {
            out.push(b'\n');
        }
        out.append(&mut self.head);
        self.line = Some(Line { stream: None, bytes: 0, has_return: false });
    }

    /// Passes on the text of a line, and returns what follows it.
    fn text<'a>(&mut self, mut line: Line, rest: &'a [u8], out: &mut Vec<u8>) -> &'a [u8] {
        let end = memchr(b'\n', rest);
        let (text, after) = rest.split_at(end.unwrap_or(rest.len()));
        out.extend_from_slice(text);
        line.bytes += text.len();
        line.has_return |= memchr(b'\r', text).is_some();
        let Some((end, after)) = after.split_first() else {
            self.line = Some(line);
            return after;
        };
        // Others are never continued: their end is passed on at once, for readers who wait for it.
        let may_be_continued = line.has_return || line.bytes > UNCUT_BYTES_MAX;
        self.held = line.stream.filter(|_| may_be_continued);
        if self.held.is_none() {
            out.push(*end);
        }
        after
    }
}

/// The least and the greatest byte at each place of a head; between them are all that fit.
const LEAST: [u8; HEAD_BYTES] = *b"0000-00-00T00:00:00.000000Z 00E ";
const MOST: [u8; HEAD_BYTES] = *b"9999-99-99T99:99:99.999999Z ffO+";

/// The head that a line begins with.
pub(super) fn head_of(line: &[u8]) -> Option<&[u8; HEAD_BYTES]> {
    let head = line.first_chunk::<HEAD_BYTES>()?;
    // In one go over all of it, which compilers make quick.
    let is_between = |(byte, (least, most)): (&u8, (u8, u8))| (least <= *byte) & (*byte <= most);
    let is_near = head.iter().zip(LEAST.into_iter().zip(MOST)).fold(true, |all, own| all & is_between(own));
    let is_one = || (0..).zip(head).skip(28).all(|(place, byte)| fits(place, *byte));
    (is_near && is_one()).then_some(head)
}

/// Whether this byte may stand at this place of a head.
fn fits(place: usize, byte: u8) -> bool {
    match place {
        4 | 7 => byte == b'-',
        10 => byte == b'T',
        13 | 16 => byte == b':',
        19 => byte == b'.',
        26 => byte == b'Z',
        27 => byte == b' ',
        28 | 29 => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
        30 => matches!(byte, b'O' | b'E'),
        31 => matches!(byte, b' ' | b'+'),
        _ => byte.is_ascii_digit(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIME: &str = "2026-11-28T07:45:02.123456Z ";

    fn untimed(pieces: &[&[u8]]) -> String {
        let mut untimed = Untimed::default();
        let mut out: Vec<u8> = pieces.iter().flat_map(|piece| untimed.push(piece).into_owned()).collect();
        out.extend(untimed.finish());
        String::from_utf8(out).unwrap()
    }

    /// Logs, with `@` in place of the time, and what is read of them.
    fn cases() -> Vec<(String, String)> {
        let long = "x".repeat(UNCUT_BYTES_MAX);
        let cases = [
            ("", ""),
            ("@00O Running\n@01O $ make\n@01E warning\n@00O done\n", "Running\n$ make\nwarning\ndone\n"),
            ("@01O \n@01O \n@01O", "\n\n@01O"),
            // As gitlab-runner 19.3.0 begins a section.
            (
                "@00O section_start:15:x\r\x1b[0K\n@00O+\x1b[36mX\x1b[0m\n",
                "section_start:15:x\r\x1b[0K\x1b[36mX\x1b[0m\n",
            ),
            ("@01O 50 %\r\n@01O+100 %\r\n@01O+\n@01O end\n", "50 %\r100 %\r\nend\n"),
            ("@01O dos\r\n@01O file\r\n", "dos\r\nfile\r\n"),
            // Continued, but another stream has spoken meanwhile.
            ("@01O 50 %\r\n@01E oh\n@01O+100 %\n", "50 %\r\noh\n100 %\n"),
            ("@01O 50 %\r\nno head\n@01O+100 %\n", "50 %\r\nno head\n100 %\n"),
            (&format!("@01O {long}\n@01O+y\n"), &format!("{long}y\n")),
            (&format!("@01O {long}\n"), &format!("{long}\n")),
            // Only the head that the runner wrote goes, and only in a log of such lines.
            ("@01O @01O copied\n", "@01O copied\n"),
            ("$ cat log\n@01O copied\n", "$ cat log\n@01O copied\n"),
            ("@0gO no head\n@01O text\n", "@0gO no head\n@01O text\n"),
            ("@01X\n", "@01X\n"),
            ("@01O unfinished", "unfinished"),
            ("@01O a\n2026-11-28T07:4", "a\n2026-11-28T07:4"),
            ("@01O a\n2026-11-28 is a day\n@01O b\n", "a\n2026-11-28 is a day\nb\n"),
        ];
        cases.map(|(log, read)| (log.replace('@', TIME), read.replace('@', TIME))).to_vec()
    }

    #[test]
    fn the_text_is_left_without_the_times() {
        for (log, read) in cases() {
            assert_eq!(untimed(&[log.as_bytes()]), read, "{log:?}");
        }
    }

    #[test]
    fn it_does_not_matter_where_the_log_is_cut() {
        for (log, read) in cases() {
            for at in (0..=log.len()).filter(|at| log.len() < 1000 || at % 97 == 0) {
                let (begin, end) = log.as_bytes().split_at(at);
                assert_eq!(untimed(&[begin, end]), read, "{log:?} cut at {at}");
            }
            let bytes: Vec<&[u8]> = log.as_bytes().chunks(1).collect();
            assert_eq!(untimed(&bytes), read);
        }
    }

    /// Whoever follows a log does not wait for the next piece to see this one.
    #[test]
    fn a_line_that_nothing_continues_is_passed_on_with_its_end() {
        let mut untimed = Untimed::default();
        assert_eq!(*untimed.push(format!("{TIME}01O compiling").as_bytes()), *b"compiling");
        assert_eq!(*untimed.push(b" ...\n2026"), *b" ...\n");
        assert_eq!(*untimed.push(b" was a year\n"), *b"2026 was a year\n");
    }

    #[test]
    fn a_log_without_times_is_passed_on_without_a_copy() {
        let mut untimed = Untimed::default();
        assert_eq!(*untimed.push(b"202"), *b"");
        assert_eq!(*untimed.push(b"x\n"), *b"202x\n");
        assert!(matches!(untimed.push(b"more\n"), Cow::Borrowed(b"more\n")));
    }
}
