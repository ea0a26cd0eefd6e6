//! What is remembered of a log, so that any part of it is found and shown at once: places to begin at, sections, and the
//! lines in which something is red.
//!
//! What must stay true: an index that grew with its log equals one that was made at once; its memory is bounded by
//! constants, whatever the log's size. The numbers of lines, the styles and the sections at a mark are those that counting
//! from the first line gives.

use super::log_lines::{LineEnd, LineHead, LineReader, LineStart, LogLines, SectionMark, Stretch};
use super::log_sections::{LogSection, OpenSections, section_of};
use super::terminal::{Parser, Screen, Style};
use std::cmp::Ordering;

/// Bytes between two marks, at first.
const MARK_BYTES: u64 = 64 << 10;

/// Most marks; then every second one goes.
const MARKS_MAX: usize = 4096;

/// Bytes that are read at a time by whoever goes through a long log.
pub const READ_BYTES: u64 = 1 << 20;

/// Most lines with something red that are remembered.
pub const REDS_MAX: usize = 10_000;

/// Bytes of a section's title, and of the first red line.
const TITLE_BYTES_MAX: usize = 200;

/// A place where a line begins that continues none, and what is known there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LogPlace {
    /// The line.
    pub line: u64,
    /// Where its first byte is.
    pub offset: u64,
    /// How text looks there.
    pub style: Style,
    /// The sections that are open there.
    pub open: OpenSections,
    /// The last time before it, in seconds since 1970.
    pub second_before: Option<i64>,
}

impl LogPlace {
    /// The begin of a log.
    pub const START: LogPlace =
        LogPlace { line: 1, offset: 0, style: Style::PLAIN, open: OpenSections::NONE, second_before: None };
}

/// The index of a log, as far as it was read.
#[derive(Clone, Default)]
pub struct LogIndex {
    lines: LogLines,
    known: Known,
    is_finished: bool,
}

/// What is known of the lines that were read.
#[derive(Clone)]
struct Known {
    marks: Vec<LogPlace>,
    /// Bytes between two marks.
    spacing: u64,
    /// Where the next mark is wanted.
    next_mark: u64,
    sections: Vec<LogSection>,
    open: OpenSections,
    reds: Vec<u64>,
    first_red: Option<String>,
    first_second: Option<i64>,
    head_before: Option<LineHead>,
    parser: Parser,
    screen: Screen,
    /// The line that is being read.
    line: u64,
    is_red: bool,
    /// The section whose title is being read.
    titled: Option<u32>,
}

impl Default for Known {
    fn default() -> Known {
        Known {
            marks: Vec::new(),
            spacing: MARK_BYTES,
            next_mark: 0,
            sections: Vec::new(),
            open: OpenSections::NONE,
            reds: Vec::new(),
            first_red: None,
            first_second: None,
            head_before: None,
            parser: Parser::default(),
            screen: Screen::default(),
            line: 0,
            is_red: false,
            titled: None,
        }
    }
}

impl LogIndex {
    /// Takes the next bytes of the log.
    pub fn push(&mut self, bytes: &[u8]) {
        self.lines.push(bytes, &mut self.known);
    }

    /// Nothing more will come.
    pub fn finish(&mut self) {
        if !self.is_finished {
            self.lines.finish(&mut self.known);
            self.is_finished = true;
        }
    }

    /// Whether [`LogIndex::finish`] was called.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.is_finished
    }

    /// Bytes that were read.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.lines.bytes()
    }

    /// Lines, with one that has no end yet.
    #[must_use]
    pub fn lines(&self) -> u64 {
        self.lines.count()
    }

    /// Whether its runner has put times before the lines.
    #[must_use]
    pub fn is_timed(&self) -> bool {
        self.lines.is_timed() == Some(true)
    }

    /// The same for whoever reads the log again, from any place.
    #[must_use]
    pub fn form(&self) -> Option<bool> {
        self.lines.is_timed()
    }

    /// The time before the first line that has one, in seconds since 1970.
    #[must_use]
    pub fn first_second(&self) -> Option<i64> {
        self.known.first_second
    }

    /// Sections in the order in which they begin.
    #[must_use]
    pub fn sections(&self) -> &[LogSection] {
        &self.known.sections
    }

    /// The lines in which something that is to be seen is red, as far as [`REDS_MAX`].
    #[must_use]
    pub fn reds(&self) -> &[u64] {
        &self.known.reds
    }

    /// The first of them, with its text.
    #[must_use]
    pub fn first_red(&self) -> Option<(u64, &str)> {
        Some((*self.known.reds.first()?, self.known.first_red.as_deref()?))
    }

    /// The last mark at or before this line.
    #[must_use]
    pub fn before_line(&self, line: u64) -> LogPlace {
        self.mark(self.known.marks.partition_point(|mark| mark.line <= line))
    }

    /// The mark behind a line that begins at `begin` and goes on at `offset`, if the line is so long that there is one for
    /// sure.
    #[must_use]
    pub fn behind_long(&self, begin: u64, offset: u64) -> Option<LogPlace> {
        let marks = &self.known.marks;
        let next = marks.get(marks.partition_point(|mark| mark.offset <= offset)).copied();
        next.filter(|_| offset.saturating_sub(begin) > self.known.spacing)
    }

    /// The last mark at or before this byte.
    #[must_use]
    pub fn before_offset(&self, offset: u64) -> LogPlace {
        self.mark(self.known.marks.partition_point(|mark| mark.offset <= offset))
    }

    fn mark(&self, count: usize) -> LogPlace {
        count.checked_sub(1).and_then(|last| self.known.marks.get(last)).copied().unwrap_or(LogPlace::START)
    }

    /// Bytes of memory that it takes.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        let known = &self.known;
        let texts: usize = known.sections.iter().map(|own| own.name.capacity() + own.title.capacity()).sum();
        size_of::<LogIndex>()
            + self.lines.memory_bytes()
            + known.marks.capacity() * size_of::<LogPlace>()
            + known.sections.capacity() * size_of::<LogSection>()
            + known.reds.capacity() * size_of::<u64>()
            + known.screen.memory_bytes()
            + texts
    }
}

impl Known {
    fn note_place(&mut self, start: &LineStart) {
        if start.offset >= self.next_mark {
            let second_before = self.head_before.and_then(|head| head.second());
            let (style, open) = (self.parser.style, self.open);
            self.marks.push(LogPlace { line: start.number, offset: start.offset, style, open, second_before });
            self.thin_out();
            self.next_mark = self.mark_behind(start.offset);
        }
        self.first_second = self.first_second.or_else(|| start.head?.second());
        self.head_before = start.head.or(self.head_before);
    }

    /// Takes lines from `start` on for their style only, if they are simple and nothing in them is red.
    fn skim(&mut self, start: &LineStart, bytes: &[u8]) -> bool {
        let style = self.parser.style;
        if style.is_red() || !self.parser.skim(bytes) {
            return false;
        }
        let after = std::mem::replace(&mut self.parser.style, style);
        self.note_place(start);
        self.parser.style = after;
        true
    }

    /// Where a mark is wanted, if one is at `offset`.
    fn mark_behind(&self, offset: u64) -> u64 {
        (offset / self.spacing + 1) * self.spacing
    }

    /// Keeps the first mark of each stretch of twice the length, if there are too many.
    fn thin_out(&mut self) {
        if self.marks.len() > MARKS_MAX {
            self.spacing *= 2;
            let (spacing, mut next) = (self.spacing, 0);
            self.marks.retain(|mark| {
                let is_kept = mark.offset >= next;
                next = if is_kept { (mark.offset / spacing + 1) * spacing } else { next };
                is_kept
            });
        }
    }

    /// What stands on the screen is a title, or a part of a line.
    fn take_screen(&mut self) {
        self.parser.end_line(&mut self.screen);
        if let Some(titled) = self.titled.take() {
            let title = shortened(self.screen.as_str()).to_owned();
            if let Some(section) = self.sections.get_mut(titled as usize) {
                section.title = title;
            }
        } else if self.screen.is_red() {
            self.is_red = true;
            if self.first_red.is_none() {
                self.first_red = Some(shortened(self.screen.as_str()).to_owned());
            }
        }
        self.screen.clear();
    }
}

/// As much of a text as is shown in a list.
fn shortened(text: &str) -> &str {
    let text = text.trim();
    let end = (0..=TITLE_BYTES_MAX.min(text.len())).rev().find(|at| text.is_char_boundary(*at));
    text.get(..end.unwrap_or(0)).unwrap_or_default()
}

impl LineReader for Known {
    fn begin(&mut self, start: &LineStart) {
        self.note_place(start);
        self.line = start.number;
        self.is_red = false;
    }

    fn text(&mut self, bytes: &[u8]) {
        self.parser.feed(bytes, &mut self.screen);
    }

    fn section(&mut self, mark: &SectionMark<'_>) {
        self.take_screen();
        if mark.is_start {
            let depth = self.open.all().len();
            self.titled = self.open.start();
            if self.titled.is_some() {
                self.sections.push(section_of(mark, self.line, depth));
            }
            return;
        }
        for place in self.open.end(mark.name, &self.sections) {
            if let Some(section) = self.sections.get_mut(place as usize) {
                section.end_line = Some(self.line);
                section.ended_at = Some(mark.second);
            }
        }
    }

    fn end(&mut self, _: &LineEnd) {
        self.take_screen();
        if self.is_red && self.reds.len() < REDS_MAX {
            self.reds.push(self.line);
        }
    }

    fn whole(&mut self, start: &LineStart, bytes: &[u8]) -> bool {
        self.skim(start, bytes)
    }

    fn stretch_until(&self, offset: u64) -> Option<u64> {
        // Marks are at the begins of stretches.
        Some(if offset < self.next_mark { self.next_mark } else { self.mark_behind(offset) })
    }

    fn stretch(&mut self, stretch: &Stretch<'_>) -> bool {
        if self.first_second.is_none() && stretch.last_head.is_some() {
            return false;
        }
        let LineEnd { number, offset } = stretch.start;
        let is_taken = self.skim(&LineStart { number, offset, head: None, is_loose: false }, stretch.bytes);
        if is_taken {
            self.head_before = stretch.last_head.or(self.head_before);
        }
        is_taken
    }
}

/// Goes from a mark to the place where something else begins to read.
pub struct LogWalk<'a, F> {
    sections: &'a [LogSection],
    compare: F,
    place: LogPlace,
    /// What is known behind the line that is being read.
    open: OpenSections,
    second_before: Option<i64>,
    head_before: Option<LineHead>,
    parser: Parser,
    is_there: bool,
}

impl<'a, F: Fn(&LineStart) -> Ordering> LogWalk<'a, F> {
    /// From `mark` to the last line that is not greater than what is looked for. `compare` says how a line is to that.
    pub fn new(index: &'a LogIndex, mark: LogPlace, compare: F) -> LogWalk<'a, F> {
        LogWalk {
            sections: index.sections(),
            compare,
            place: mark,
            open: mark.open,
            second_before: mark.second_before,
            head_before: None,
            parser: Parser::new(mark.style),
            is_there: false,
        }
    }

    /// The place, as far as it went.
    #[must_use]
    pub fn place(&self) -> LogPlace {
        self.place
    }

    /// Whether nothing more needs to be read.
    #[must_use]
    pub fn is_there(&self) -> bool {
        self.is_there
    }

    fn pass(&mut self, start: &LineStart) {
        let order = (self.compare)(start);
        let is_on_the_way = !self.is_there && order != Ordering::Greater;
        self.is_there |= order != Ordering::Less;
        if is_on_the_way && start.offset != self.place.offset {
            let second_before = self.head_before.map_or(self.second_before, |head| head.second());
            let (style, open) = (self.parser.style, self.open);
            self.place = LogPlace { line: start.number, offset: start.offset, style, open, second_before };
        }
        self.head_before = start.head.or(self.head_before);
    }
}

impl<F: Fn(&LineStart) -> Ordering> LineReader for LogWalk<'_, F> {
    fn begin(&mut self, start: &LineStart) {
        self.pass(start);
    }

    fn text(&mut self, bytes: &[u8]) {
        self.parser.feed(bytes, &mut ());
    }

    fn section(&mut self, mark: &SectionMark<'_>) {
        self.parser.end_line(&mut ());
        if mark.is_start {
            self.open.start();
        } else {
            self.open.end(mark.name, self.sections);
        }
    }

    fn end(&mut self, _: &LineEnd) {
        self.parser.end_line(&mut ());
    }

    fn whole(&mut self, start: &LineStart, bytes: &[u8]) -> bool {
        self.pass(start);
        self.text(bytes);
        self.parser.end_line(&mut ());
        true
    }
}

#[cfg(test)]
pub(super) mod tests;
