//! A log as lines, with what runners put into it: times before lines, and the begins and ends of sections.
//!
//! A line is what stands between two line feeds; its number is for good. A line that continues an earlier one belongs to
//! that when it is shown (`line_times`), and keeps its number. Sections (`section_start:TIME:NAME[OPTIONS]` CR) begin and
//! end anywhere in a line.
//!
//! What must stay true: it does not matter into which pieces a log is cut; whoever begins at a line that continues none,
//! with what was known there, is told the same as whoever began at the first. Memory is bounded, whatever comes.

mod stretch;

pub use stretch::Stretch;

use super::line_times::{HEAD_BYTES, UNCUT_BYTES_MAX, head_of};
use memchr::{memchr, memmem};
use std::time::UNIX_EPOCH;

/// Bytes of a line that are taken at a time.
const PART_BYTES: usize = 32 << 10;

/// Bytes of the name of a section.
const NAME_BYTES_MAX: usize = 255;

/// Bytes of the options of a section.
const OPTIONS_BYTES_MAX: usize = 255;

/// Bytes of a mark of a section at most.
const MARKER_BYTES_MAX: usize = NAME_BYTES_MAX + OPTIONS_BYTES_MAX + 64;

/// What stands before a line that its runner timed.
#[derive(Clone, Copy, Debug)]
pub struct LineHead([u8; HEAD_BYTES]);

type Stream = [u8; 3];

impl LineHead {
    /// The time as it stands there, in RFC 3339.
    #[must_use]
    pub fn time(&self) -> &str {
        std::str::from_utf8(self.0.get(..27).unwrap_or_default()).unwrap_or_default()
    }

    /// Seconds since 1970; `None`: there is no such time.
    #[must_use]
    pub fn second(&self) -> Option<i64> {
        let time = humantime::parse_rfc3339(self.time()).ok()?.duration_since(UNIX_EPOCH).ok()?;
        i64::try_from(time.as_secs()).ok()
    }

    /// Whether the line came from standard error.
    #[must_use]
    pub fn is_error(&self) -> bool {
        self.0.get(30) == Some(&b'E')
    }

    fn stream(&self) -> Stream {
        let [.., number, digit, kind, _] = self.0;
        [number, digit, kind]
    }

    fn continues(&self) -> bool {
        self.0.last() == Some(&b'+')
    }
}

/// A line that begins.
#[derive(Clone, Copy, Debug)]
pub struct LineStart {
    /// From 1 on.
    pub number: u64,
    /// Where its first byte is in the log.
    pub offset: u64,
    /// What its runner put before it.
    pub head: Option<LineHead>,
    /// Whether it says that it continues a line, and that is not the one before it.
    pub is_loose: bool,
}

/// Where a line has ended, with all that continue it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LineEnd {
    /// The number of the next line.
    pub number: u64,
    /// Where that begins.
    pub offset: u64,
}

/// Where a section begins or ends.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SectionMark<'a> {
    /// Which.
    pub is_start: bool,
    /// Seconds since 1970, as the build says.
    pub second: i64,
    /// The section.
    pub name: &'a str,
    /// Whether it is to be folded.
    pub is_collapsed: bool,
    /// Whether its duration is not to be shown.
    pub hides_duration: bool,
}

/// Who is told of lines.
pub trait LineReader {
    /// A line begins, which continues none.
    fn begin(&mut self, start: &LineStart);

    /// Some of its bytes, without a line feed, and without the CR that may stand before that.
    fn text(&mut self, bytes: &[u8]);

    /// A section begins or ends here.
    fn section(&mut self, mark: &SectionMark<'_>);

    /// The line has ended.
    fn end(&mut self, end: &LineEnd);

    /// A whole line, without returns and sections, and not long. Who takes it returns true; who does not is told of it by
    /// the others.
    fn whole(&mut self, _start: &LineStart, _bytes: &[u8]) -> bool {
        false
    }

    /// Up to where a stretch of lines that begins at `offset` goes, if stretches are taken: the first line that begins there
    /// or behind it is the first of another one.
    fn stretch_until(&self, _offset: u64) -> Option<u64> {
        None
    }

    /// Many lines at once. Who takes them returns true; who does not is told of each.
    fn stretch(&mut self, _stretch: &Stretch<'_>) -> bool {
        false
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
enum Form {
    #[default]
    Unknown,
    Timed,
    Other,
}

/// Splits a log into lines.
#[derive(Clone, Debug)]
pub struct LogLines {
    form: Form,
    /// The line that comes next, or is being read.
    number: u64,
    /// Where the next byte is that was not told of.
    offset: u64,
    /// Bytes that were not told of.
    pending: Vec<u8>,
    /// Whether a part of a long line was told of.
    is_inside: bool,
    line_bytes: usize,
    has_return: bool,
    /// Whether a CR before the line feed was held back.
    held_return: bool,
    stream: Option<Stream>,
    /// The stream of a line that may be continued.
    open: Option<Stream>,
    /// The last line that began.
    begun: LineEnd,
}

impl Default for LogLines {
    fn default() -> LogLines {
        LogLines::at(LineEnd { number: 1, offset: 0 }, None)
    }
}

impl LogLines {
    /// From this place on, where a line begins that continues none. Whether the log has times is known but at its begin.
    #[must_use]
    pub fn at(place: LineEnd, is_timed: Option<bool>) -> LogLines {
        let form = is_timed.map_or(Form::Unknown, |is_timed| if is_timed { Form::Timed } else { Form::Other });
        LogLines {
            form,
            number: place.number,
            offset: place.offset,
            pending: Vec::new(),
            is_inside: false,
            line_bytes: 0,
            has_return: false,
            held_return: false,
            stream: None,
            open: None,
            begun: place,
        }
    }

    /// Whether lines have times; `None`: nobody knows yet.
    #[must_use]
    pub fn is_timed(&self) -> Option<bool> {
        match self.form {
            Form::Unknown => None,
            Form::Timed => Some(true),
            Form::Other => Some(false),
        }
    }

    /// Bytes of the log that were taken.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.offset + self.pending.len() as u64
    }

    /// Lines that were taken, with one that has no end yet.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.number - 1 + u64::from(self.is_inside || !self.pending.is_empty())
    }

    /// Where the first line begins of which more may come.
    #[must_use]
    pub fn unfinished(&self) -> LineEnd {
        if self.is_inside || self.open.is_some() {
            self.begun
        } else {
            LineEnd { number: self.number, offset: self.offset }
        }
    }

    /// Bytes of memory beside its own.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.pending.capacity()
    }

    /// Takes the next bytes of the log.
    pub fn push(&mut self, mut bytes: &[u8], to: &mut impl LineReader) {
        // Lines up to there go one by one.
        let mut single = self.offset;
        while !bytes.is_empty() {
            if self.offset >= single && self.is_between_lines() {
                match self.stretch(bytes, to) {
                    Ok(taken) => {
                        bytes = bytes.get(taken..).unwrap_or_default();
                        continue;
                    }
                    Err(refused) => single = self.offset + refused,
                }
            }
            let room = PART_BYTES - self.pending.len();
            let window = bytes.get(..room).unwrap_or(bytes);
            let end = memchr(b'\n', window);
            let (now, rest) = bytes.split_at(end.unwrap_or(window.len()));
            bytes = rest.get(usize::from(end.is_some())..).unwrap_or_default();
            if self.pending.is_empty() && end.is_some() {
                self.take(now, end.is_some(), 1, to);
                continue;
            }
            self.pending.extend_from_slice(now);
            if end.is_some() {
                let line = std::mem::take(&mut self.pending);
                self.take(&line, true, 1, to);
                self.pending = line;
                self.pending.clear();
            } else if self.pending.len() == PART_BYTES {
                let mut line = std::mem::take(&mut self.pending);
                let cut = before_marker(&line);
                self.take(line.get(..cut).unwrap_or_default(), false, 0, to);
                line.drain(..cut);
                self.pending = line;
            }
        }
    }

    /// Whether the next byte begins a line that cannot continue another.
    fn is_between_lines(&self) -> bool {
        !self.is_inside && self.pending.is_empty() && self.open.is_none() && self.form != Form::Unknown
    }

    /// Takes a stretch of lines; how many bytes these are, or how many it does not take.
    fn stretch(&mut self, bytes: &[u8], to: &mut impl LineReader) -> Result<usize, u64> {
        let until = to.stretch_until(self.offset).ok_or(u64::MAX - self.offset)?;
        let bytes = stretch::bytes_of(bytes, until.saturating_sub(self.offset)).ok_or(stretch::REFUSED_BYTES)?;
        let start = LineEnd { number: self.number, offset: self.offset };
        let last_head = if self.form == Form::Timed { stretch::last_head(bytes) } else { None };
        if !to.stretch(&Stretch { start, bytes, last_head }) {
            return Err(bytes.len() as u64);
        }
        self.number += stretch::count(bytes);
        self.offset += bytes.len() as u64;
        Ok(bytes.len())
    }

    /// The log has ended.
    pub fn finish(&mut self, to: &mut impl LineReader) {
        if self.is_inside || !self.pending.is_empty() {
            let line = std::mem::take(&mut self.pending);
            self.take(&line, true, 0, to);
        }
        if self.open.take().is_some() {
            to.end(&LineEnd { number: self.number, offset: self.offset });
        }
    }

    /// Takes a line, or the next part of one, and so many bytes behind it.
    fn take(&mut self, bytes: &[u8], is_end: bool, end_bytes: u64, to: &mut impl LineReader) {
        let mut text = bytes;
        if !self.is_inside {
            let head = self.head(bytes);
            text = bytes.get(if head.is_some() { HEAD_BYTES } else { 0 }..).unwrap_or_default();
            if self.begin(head, text, is_end, to) {
                self.number += 1;
                self.offset += bytes.len() as u64 + end_bytes;
                return;
            }
        }
        self.is_inside = !is_end;
        self.line_bytes = self.line_bytes.saturating_add(bytes.len());
        if memchr(b'\r', text).is_some() {
            self.has_return = true;
            self.take_marked(text, is_end, to);
        } else if !text.is_empty() {
            to.text(text);
        }
        self.offset += bytes.len() as u64 + end_bytes;
        if is_end {
            self.number += 1;
            let may_be_continued = self.has_return || self.line_bytes > UNCUT_BYTES_MAX;
            self.open = self.stream.filter(|_| may_be_continued);
            if self.open.is_none() {
                self.held_return = false;
                to.end(&LineEnd { number: self.number, offset: self.offset });
            }
        }
    }

    /// Begins a line, or goes on with the one before. True: all of it was taken.
    fn begin(&mut self, head: Option<LineHead>, text: &[u8], is_end: bool, to: &mut impl LineReader) -> bool {
        (self.line_bytes, self.has_return) = (0, false);
        self.stream = head.map(|head| head.stream());
        let place = LineEnd { number: self.number, offset: self.offset };
        let is_loose = head.is_some_and(|head| head.continues());
        let open = self.open.take();
        let held_return = std::mem::take(&mut self.held_return);
        if is_loose && open.is_some() && open == self.stream {
            if held_return {
                to.text(b"\r");
            }
            return false;
        }
        if open.is_some() {
            to.end(&place);
        }
        self.begun = place;
        let start = LineStart { number: self.number, offset: self.offset, head, is_loose };
        let is_plain = is_end && text.len() <= UNCUT_BYTES_MAX - HEAD_BYTES && memchr(b'\r', text).is_none();
        if is_plain && to.whole(&start, text) {
            return true;
        }
        to.begin(&start);
        false
    }

    fn head(&mut self, line: &[u8]) -> Option<LineHead> {
        if self.form == Form::Other {
            return None;
        }
        let head = head_of(line).map(|head| LineHead(*head));
        if self.form == Form::Unknown {
            self.form = if head.is_some() { Form::Timed } else { Form::Other };
        }
        head
    }

    /// Takes text that has returns, and maybe sections.
    fn take_marked(&mut self, mut text: &[u8], is_end: bool, to: &mut impl LineReader) {
        while let Some((before, mark, after)) = SectionMark::find(text) {
            if !before.is_empty() {
                to.text(before);
            }
            to.section(&mark);
            text = after;
        }
        if is_end && let Some(before) = text.strip_suffix(b"\r") {
            self.held_return = true;
            text = before;
        }
        if !text.is_empty() {
            to.text(text);
        }
    }
}

/// How much of a part of a line can be taken, so that no mark of a section is cut.
fn before_marker(part: &[u8]) -> usize {
    let from = part.len().saturating_sub(MARKER_BYTES_MAX);
    let tail = part.get(from..).unwrap_or_default();
    let begun = memmem::rfind(tail, MARKER).filter(|at| memchr(b'\r', tail.get(*at..).unwrap_or_default()).is_none());
    let beginning =
        (1..MARKER.len()).rev().find(|bytes| MARKER.get(..*bytes).is_some_and(|begin| tail.ends_with(begin)));
    begun.map(|at| from + at).or(beginning.map(|bytes| part.len() - bytes)).filter(|at| *at > 0).unwrap_or(part.len())
}

const MARKER: &[u8] = b"section_";

impl<'a> SectionMark<'a> {
    /// The first one in a text, with what stands before and behind it.
    fn find(text: &'a [u8]) -> Option<(&'a [u8], SectionMark<'a>, &'a [u8])> {
        memmem::find_iter(text, MARKER).find_map(|at| {
            let (before, rest) = text.split_at_checked(at)?;
            let (mark, after) = SectionMark::parse(rest.get(MARKER.len()..)?)?;
            Some((before, mark, after))
        })
    }

    /// One whose first word was read, and what follows its CR.
    fn parse(text: &'a [u8]) -> Option<(SectionMark<'a>, &'a [u8])> {
        let (is_start, text) = match (text.strip_prefix(b"start:"), text.strip_prefix(b"end:")) {
            (Some(rest), _) => (true, rest),
            (None, Some(rest)) => (false, rest),
            (None, None) => return None,
        };
        let digits = text.iter().take(19).take_while(|byte| byte.is_ascii_digit()).count();
        let (second, text) = text.split_at_checked(digits)?;
        let second = std::str::from_utf8(second).ok()?.parse().ok()?;
        let text = text.strip_prefix(b":")?;
        let is_of_name = |byte: &&u8| byte.is_ascii_alphanumeric() || b"_.-".contains(byte);
        let length = text.iter().take(NAME_BYTES_MAX + 1).take_while(is_of_name).count();
        let (name, mut text) = text.split_at_checked(length)?;
        if name.is_empty() || name.len() > NAME_BYTES_MAX {
            return None;
        }
        let mut options: &[u8] = b"";
        if let Some(rest) = text.strip_prefix(b"[") {
            let end = memchr(b']', rest.get(..=OPTIONS_BYTES_MAX).unwrap_or(rest))?;
            options = rest.get(..end)?;
            text = rest.get(end + 1..)?;
        }
        let text = text.strip_prefix(b"\r")?;
        let has = |option: &[u8]| options.split(|byte| *byte == b',').any(|own| own.trim_ascii() == option);
        let mark = SectionMark {
            is_start,
            second,
            name: std::str::from_utf8(name).ok()?,
            is_collapsed: has(b"collapsed=true"),
            hides_duration: has(b"hide_duration=true"),
        };
        Some((mark, text.strip_prefix(b"\x1b[0K").unwrap_or(text)))
    }
}

#[cfg(test)]
pub(super) mod tests;
