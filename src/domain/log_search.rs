//! A word looked for in a whole log, in what a reader would see of each line.
//!
//! What must stay true: it goes on from any line, so that a long search can be asked for in parts; escapes never keep a
//! word from being found. Absent on purpose: patterns, which somebody else pays for.

use super::log_html::{PieceBegin, lines_at, place_of};
use super::log_index::{LogIndex, READ_BYTES};
use super::log_lines::{LineEnd, LineReader, LineStart, SectionMark, Stretch};
use super::log_sections::{LogSection, OpenSections};
use super::terminal::html::write_escaped;
use super::terminal::{Parser, Screen, Simple};
use memchr::memchr;
use memchr::memmem::Finder;
use std::ops::Range;

/// Most hits of an answer.
pub const HITS_MAX: usize = 200;

/// Bytes that are looked through for an answer.
pub const SEARCHED_BYTES_MAX: u64 = 128 << 20;

/// Bytes of what is looked for.
pub const NEEDLE_BYTES_MAX: usize = 200;

/// Bytes of a line that are looked through.
const LINE_BYTES_MAX: usize = 1 << 20;

/// Bytes of a line before a hit, and behind it, that are shown.
const AROUND_BYTES: (usize, usize) = (120, 280);

/// What is looked for.
#[derive(Debug)]
pub struct Needle {
    text: String,
    /// Whether large and small letters differ.
    is_cased: bool,
    finder: Finder<'static>,
}

impl Needle {
    /// A text. Large and small letters are the same unless it has large ones.
    ///
    /// # Errors
    /// Says why it cannot be found.
    pub fn parse(text: &str) -> Result<Needle, String> {
        if text.trim().is_empty() || text.len() > NEEDLE_BYTES_MAX || text.chars().any(|c| c.is_control() && c != '\t')
        {
            return Err(format!("what is looked for is one line of 1 to {NEEDLE_BYTES_MAX} bytes"));
        }
        let is_cased = text.chars().any(char::is_uppercase);
        Ok(Needle { text: text.to_owned(), is_cased, finder: Finder::new(text).into_owned() })
    }

    /// Where it is in a text for the first time. `lowered` is memory for that.
    fn find(&self, text: &str, lowered: &mut Vec<u8>) -> Option<Range<usize>> {
        let at = if self.is_cased {
            self.finder.find(text.as_bytes())?
        } else {
            lower(text, lowered);
            self.finder.find(lowered)?
        };
        Some(at..at + self.text.len())
    }

    /// Whether it may be in what is seen of lines without returns. `seen` is memory for that.
    fn may_be_in(&self, lines: &[u8], seen: &mut Vec<u8>) -> bool {
        if !without_escapes(lines, seen) || (!self.text.is_ascii() && !seen.is_ascii()) {
            return true;
        }
        if !self.is_cased {
            seen.make_ascii_lowercase();
        }
        self.finder.find(seen).is_some()
    }
}

/// Writes lines as they are seen, if that is simply so. What the runner has put before them is seen, too.
fn without_escapes(mut lines: &[u8], out: &mut Vec<u8>) -> bool {
    out.clear();
    while let Some(at) = memchr(0x1b, lines) {
        let (text, escape) = lines.split_at(at);
        out.extend_from_slice(text);
        let Some(sequence) = Simple::parse(escape) else { return false };
        lines = sequence.rest;
    }
    out.extend_from_slice(lines);
    // Control characters, also those of two bytes, do something, or nothing, and are not seen.
    let is_odd = |byte: u8| (byte < 0x20 && byte != b'\n' && byte != b'\t') || byte == 0x7f || byte == 0xc2;
    !out.iter().fold(false, |any, byte| any | is_odd(*byte))
}

/// A text in small letters, each at its place: the few that would be longer or shorter stay.
fn lower(text: &str, out: &mut Vec<u8>) {
    out.clear();
    out.extend_from_slice(text.as_bytes());
    out.make_ascii_lowercase();
    if text.is_ascii() {
        return;
    }
    for (at, c) in text.char_indices().filter(|(_, c)| !c.is_ascii()) {
        let mut small = c.to_lowercase();
        if let (Some(small), None) = (small.next(), small.next())
            && small.len_utf8() == c.len_utf8()
            && let Some(place) = out.get_mut(at..at + c.len_utf8())
        {
            small.encode_utf8(place);
        }
    }
}

/// A line in which it is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogHit {
    /// The line.
    pub line: u64,
    /// The innermost section around it, by its place among all.
    pub section: Option<u32>,
    /// The line, or what is around the hit.
    pub text: String,
    /// Where in that text.
    pub at: Range<usize>,
}

impl From<u64> for LogHit {
    /// A line whose text nobody has looked at.
    fn from(line: u64) -> LogHit {
        LogHit { line, section: None, text: String::new(), at: 0..0 }
    }
}

impl LogHit {
    /// Its text as HTML, with the hit marked.
    pub fn write_html(&self, out: &mut String) {
        let part = |range: Range<usize>| self.text.get(range).unwrap_or_default();
        write_escaped(part(0..self.at.start), out);
        out.push_str("<mark>");
        write_escaped(part(self.at.clone()), out);
        out.push_str("</mark>");
        write_escaped(part(self.at.end..self.text.len()), out);
    }
}

/// What was found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogFound {
    /// The lines.
    pub hits: Vec<LogHit>,
    /// Where to go on; `None`: all was looked through.
    pub next_line: Option<u64>,
}

/// Looks for a text from a line on. `read` gives bytes from a place on, fewer at the end of what the index has read.
///
/// # Errors
/// Those of `read`.
pub fn search<E>(
    index: &LogIndex,
    needle: &Needle,
    from: u64,
    mut read: impl FnMut(u64, u64) -> Result<Vec<u8>, E>,
) -> Result<LogFound, E> {
    let begin = place_of(index, PieceBegin::Line(from), &mut read)?;
    let mut search = Search {
        needle,
        sections: index.sections(),
        from,
        hits: Vec::new(),
        parser: Parser::default(),
        screen: Screen::with_limit(LINE_BYTES_MAX),
        lowered: Vec::new(),
        open: begin.open,
        line: begin.line,
        section: None,
        has_hit: false,
        end: None,
        bytes_end: begin.offset.saturating_add(SEARCHED_BYTES_MAX),
    };
    let mut lines = lines_at(index, begin);
    while search.end.is_none() {
        let bytes = read(lines.bytes(), READ_BYTES)?;
        if bytes.is_empty() {
            lines.finish(&mut search);
            break;
        }
        lines.push(&bytes, &mut search);
    }
    Ok(LogFound { hits: search.hits, next_line: search.end.map(|end| end.number) })
}

struct Search<'a> {
    needle: &'a Needle,
    sections: &'a [LogSection],
    from: u64,
    hits: Vec<LogHit>,
    parser: Parser,
    screen: Screen,
    lowered: Vec<u8>,
    open: OpenSections,
    line: u64,
    section: Option<u32>,
    /// Whether the line has one already.
    has_hit: bool,
    /// Where it ended before the log's end.
    end: Option<LineEnd>,
    bytes_end: u64,
}

impl Search<'_> {
    fn pass(&mut self, start: &LineStart) {
        if self.end.is_none() && (self.hits.len() >= HITS_MAX || start.offset >= self.bytes_end) {
            self.end = Some(LineEnd { number: start.number, offset: start.offset });
        }
        self.line = start.number;
        self.section = self.open.all().last().copied();
        self.has_hit = false;
    }

    fn take_screen(&mut self) {
        self.parser.end_line(&mut self.screen);
        if self.end.is_none() && !self.has_hit && self.line >= self.from {
            let text = self.screen.as_str();
            if let Some(at) = self.needle.find(text, &mut self.lowered) {
                let (text, at) = around(text, at);
                self.hits.push(LogHit { line: self.line, section: self.section, text, at });
                self.has_hit = true;
            }
        }
        self.screen.clear();
    }
}

/// What is around a hit, and where it is in that.
fn around(text: &str, at: Range<usize>) -> (String, Range<usize>) {
    let (before, behind) = AROUND_BYTES;
    let start = (at.start.saturating_sub(before)..=at.start).find(|place| text.is_char_boundary(*place));
    let end = (at.end..=text.len().min(at.end + behind)).rev().find(|place| text.is_char_boundary(*place));
    let (start, end) = (start.unwrap_or(at.start), end.unwrap_or(at.end));
    (text.get(start..end).unwrap_or_default().to_owned(), at.start - start..at.end - start)
}

impl LineReader for Search<'_> {
    fn begin(&mut self, start: &LineStart) {
        self.pass(start);
    }

    fn text(&mut self, bytes: &[u8]) {
        self.parser.feed(bytes, &mut self.screen);
    }

    fn section(&mut self, mark: &SectionMark<'_>) {
        self.take_screen();
        if mark.is_start {
            self.section = self.open.start().or(self.section);
        } else {
            self.open.end(mark.name, self.sections);
            self.section = self.open.all().last().copied();
        }
    }

    fn end(&mut self, _: &LineEnd) {
        self.take_screen();
    }

    fn whole(&mut self, start: &LineStart, bytes: &[u8]) -> bool {
        if self.needle.may_be_in(bytes, &mut self.lowered) {
            return false;
        }
        self.pass(start);
        true
    }

    fn stretch_until(&self, _: u64) -> Option<u64> {
        Some(u64::MAX)
    }

    fn stretch(&mut self, stretch: &Stretch<'_>) -> bool {
        if self.needle.may_be_in(stretch.bytes, &mut self.lowered) {
            return false;
        }
        let LineEnd { number, offset } = stretch.start;
        self.pass(&LineStart { number, offset, head: stretch.last_head, is_loose: false });
        true
    }
}

#[cfg(test)]
mod tests {
    use super::super::log_index::tests::{index_of, random, random_long_log, seed};
    use super::super::log_lines::tests::log;
    use super::*;
    use std::convert::Infallible;

    fn found(log: &[u8], text: &str, from: u64) -> LogFound {
        found_in_pieces(log, text, from, usize::MAX)
    }

    fn found_in_pieces(log: &[u8], text: &str, from: u64, bytes_max: usize) -> LogFound {
        let read = |offset: u64, bytes: u64| {
            let rest = &log[usize::try_from(offset).unwrap().min(log.len())..];
            Ok::<_, Infallible>(rest[..rest.len().min(usize::try_from(bytes).unwrap()).min(bytes_max)].to_vec())
        };
        let Ok(found) = search(&index_of(log), &Needle::parse(text).unwrap(), from, read);
        found
    }

    fn lines(log: &[u8], text: &str) -> Vec<u64> {
        found(log, text, 1).hits.iter().map(|hit| hit.line).collect()
    }

    #[test]
    fn a_word_is_found_whatever_its_colours_and_letters() {
        let log = log(concat!(
            "@00O section_start:1:s\r\x1b[0KThe error\n@01O plain Error\n@01O e\x1b[31mrr\x1b[0mor\n@01E ERROR error\n",
            "@01O 01O \n@01O erro\r\n@01O+r\n@00O section_end:1:s\r\x1b[0K\n@00O Größe ÄÖ \x07er\x07ror\n",
        ));
        assert_eq!(lines(log.as_bytes(), "error"), [1, 2, 3, 4, 9]);
        assert_eq!(lines(log.as_bytes(), "Error"), [2]);
        assert_eq!(lines(log.as_bytes(), "größe"), [9]);
        assert_eq!(lines(log.as_bytes(), "äö"), [9]);
        // What a runner puts before a line is no text of it.
        assert_eq!(lines(log.as_bytes(), "01o"), [5]);
        assert_eq!(lines(log.as_bytes(), "2026"), Vec::<u64>::new());
        let hits = found(log.as_bytes(), "error", 3).hits;
        assert_eq!((hits[0].line, hits[0].section, hits[2].section), (3, Some(0), None));
        let mut html = String::new();
        LogHit { line: 1, section: None, text: "<a> & b".to_owned(), at: 4..5 }.write_html(&mut html);
        assert_eq!(html, "&lt;a&gt; <mark>&amp;</mark> b");
    }

    #[test]
    fn a_search_goes_on_where_it_ended_and_finds_the_ends_of_long_lines() {
        let log = format!("{}needle{}\n", "ä".repeat(4_500), "ö".repeat(1000)).repeat(450);
        let (mut from, mut all) = (1, Vec::new());
        for count in [200, 200, 50] {
            let found = found(log.as_bytes(), "needle", from);
            assert_eq!(found.hits.len(), count);
            assert!(found.hits.iter().all(|hit| &hit.text[hit.at.clone()] == "needle" && hit.text.len() < 420));
            all.extend(found.hits.iter().map(|hit| hit.line));
            from = found.next_line.unwrap_or(0);
        }
        assert_eq!((all, from), ((1..=450).collect(), 0));
    }

    #[test]
    fn what_cannot_be_found_is_refused() {
        for text in ["", "  ", "a\nb", "a\u{1b}", &"x".repeat(201)] {
            assert!(Needle::parse(text).unwrap_err().contains("1 to 200 bytes"), "{text:?}");
        }
    }

    #[test]
    fn from_any_line_on_the_same_is_found() {
        let seed = seed();
        let mut next = random(seed ^ 5);
        for round in 0..30 {
            let log = random_long_log(&mut next);
            for text in ["some", "größe", "<b>&", "Some", "some text", "2026", "textsome"] {
                // Of so few bytes at a time, none are taken by stretches.
                let single = found_in_pieces(&log, text, 1, 400);
                assert!(found(&log, text, 1) == single, "seed {seed}, round {round}: {text}");
                let all = lines(&log, text);
                let from = 1 + next(index_of(&log).lines().max(1));
                let some: Vec<u64> = found(&log, text, from).hits.iter().map(|hit| hit.line).collect();
                let mut rest: Vec<u64> = all.iter().copied().filter(|line| *line >= from).collect();
                rest.truncate(HITS_MAX);
                assert!(all.len() == HITS_MAX || some == rest, "seed {seed}, round {round}, from {from}: {text}");
            }
        }
    }
}
