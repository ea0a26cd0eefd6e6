//! A part of a log as HTML: a row a line, sections as they can be folded.
//!
//! What must stay true: a line looks the same, wherever the part begins; what is folded is not in it; it is whole HTML by
//! itself, and never longer than [`PIECE_BYTES_MAX`].

use super::log_index::{LogIndex, LogPlace, LogWalk};
use super::log_lines::{LineEnd, LineHead, LineReader, LineStart, LogLines, SectionMark};
use super::log_sections::{Folds, OpenSections};
use super::terminal::html::{write_escaped, write_line};
use super::terminal::{Parser, Screen};
use super::text::size::format_size;
use std::fmt::Write;

/// Most rows of a part.
pub const ROWS_MAX: u64 = 2000;

/// Most bytes of a part.
pub const PIECE_BYTES_MAX: usize = 2 << 20;

/// More than a row can have: 8 KiB of letters, each in a style of its own.
const ROW_BYTES_MAX: usize = 512 << 10;

/// Bytes of a log that are gone through for a part, but for the end of its last line.
const PIECE_READ_BYTES_MAX: u64 = 8 << 20;

/// Bytes of a line that are gone through for its row, if it is known where the next one begins.
const LINE_READ_BYTES_MAX: u64 = 1 << 20;

/// Bytes that are read at a time.
pub(super) const READ_BYTES: u64 = 128 << 10;

/// Where a part begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PieceBegin {
    /// With this line, or the one that it continues.
    Line(u64),
    /// With the line in which this byte is.
    Offset(u64),
}

/// Which part of a log is wanted.
pub struct PieceOrder<'a> {
    /// Its first line.
    pub begin: PieceBegin,
    /// The line that ends it, and is not in it.
    pub until: u64,
    /// Most rows.
    pub rows_max: u64,
    /// What is folded.
    pub folds: &'a Folds,
    /// Whether more may come behind the log's end.
    pub is_open: bool,
    /// The address of the raw log, for lines that are too long.
    pub raw_link: &'a str,
}

/// A part of a log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogPiece {
    /// Its rows.
    pub html: String,
    /// The line that it begins with.
    pub from: u64,
    /// Where that begins.
    pub offset: u64,
    /// Where the next part begins. Rows from this line on may come again, and then otherwise: it has no end yet.
    pub next: LineEnd,
}

/// Makes a part of a log. `read` gives bytes from a place on, fewer at the end of what the index has read.
///
/// # Errors
/// Those of `read`.
pub fn write_piece<E>(
    index: &LogIndex,
    order: &PieceOrder<'_>,
    mut read: impl FnMut(u64, u64) -> Result<Vec<u8>, E>,
) -> Result<LogPiece, E> {
    if matches!(order.begin, PieceBegin::Offset(offset) if offset >= index.bytes()) {
        let next = LineEnd { number: index.lines() + 1, offset: index.bytes() };
        return Ok(LogPiece { html: String::new(), from: next.number, offset: next.offset, next });
    }
    let begin = place_of(index, order.begin, &mut read)?;
    let mut writer = LogWriter::new(index, order, begin);
    let mut lines = lines_at(index, begin);
    let unfinished = loop {
        let bytes = read(lines.bytes(), READ_BYTES)?;
        if bytes.is_empty() {
            let unfinished = lines.unfinished();
            lines.finish(&mut writer);
            break if order.is_open { unfinished } else { end_of(&lines) };
        }
        lines.push(&bytes, &mut writer);
        if writer.end.is_some() {
            break end_of(&lines);
        }
        if let Some(place) = writer.jump(lines.bytes()).or_else(|| writer.jump_line(lines.bytes())) {
            lines = lines_at(index, place);
        }
    };
    writer.close(0);
    let next = writer.end.unwrap_or(unfinished);
    Ok(LogPiece { html: writer.out, from: begin.line, offset: begin.offset, next })
}

fn end_of(lines: &LogLines) -> LineEnd {
    LineEnd { number: lines.count() + 1, offset: lines.bytes() }
}

pub(super) fn lines_at(index: &LogIndex, place: LogPlace) -> LogLines {
    LogLines::at(LineEnd { number: place.line, offset: place.offset }, index.form())
}

/// Where a line begins, and what is known there.
pub(super) fn place_of<E>(
    index: &LogIndex,
    begin: PieceBegin,
    read: &mut impl FnMut(u64, u64) -> Result<Vec<u8>, E>,
) -> Result<LogPlace, E> {
    let mark = match begin {
        PieceBegin::Line(line) => index.before_line(line),
        PieceBegin::Offset(offset) => index.before_offset(offset),
    };
    let compare = move |start: &LineStart| match begin {
        PieceBegin::Line(line) => start.number.cmp(&line),
        PieceBegin::Offset(offset) => start.offset.cmp(&offset),
    };
    let is_it = match begin {
        PieceBegin::Line(line) => mark.line == line,
        PieceBegin::Offset(offset) => mark.offset == offset,
    };
    if is_it {
        return Ok(mark);
    }
    let (mut walk, mut lines) = (LogWalk::new(index, mark, compare), lines_at(index, mark));
    while !walk.is_there() {
        let bytes = read(lines.bytes(), READ_BYTES)?;
        if bytes.is_empty() {
            lines.finish(&mut walk);
            break;
        }
        lines.push(&bytes, &mut walk);
    }
    Ok(walk.place())
}

/// Writes rows.
struct LogWriter<'a> {
    index: &'a LogIndex,
    order: &'a PieceOrder<'a>,
    out: String,
    rows: u64,
    parser: Parser,
    screen: Screen,
    /// The sections that are open in the log.
    open: OpenSections,
    /// Those of them that are open in `out`, as many from the outermost on.
    written: usize,
    /// The folded section that hides what comes.
    hidden_by: Option<u32>,
    second_before: Option<i64>,
    /// Where it began to go through the log.
    gone_from: u64,
    line: LineStart,
    /// Bytes of its text that were gone through, and others.
    line_bytes: u64,
    unread_bytes: u64,
    /// Whether its row was begun, and whether sections begin or end in it.
    has_row: bool,
    has_mark: bool,
    is_title: bool,
    /// Where the part ended, if that is before the log's end.
    end: Option<LineEnd>,
}

impl<'a> LogWriter<'a> {
    fn new(index: &'a LogIndex, order: &'a PieceOrder<'a>, begin: LogPlace) -> LogWriter<'a> {
        let line = LineStart { number: begin.line, offset: begin.offset, head: None, is_loose: false };
        LogWriter {
            index,
            order,
            out: String::with_capacity(128 << 10),
            rows: 0,
            parser: Parser::new(begin.style),
            screen: Screen::default(),
            open: begin.open,
            written: 0,
            hidden_by: None,
            second_before: begin.second_before,
            gone_from: begin.offset,
            line,
            line_bytes: 0,
            unread_bytes: 0,
            has_row: false,
            has_mark: false,
            is_title: false,
            end: None,
        }
    }

    /// Where to go on, if all until there is hidden.
    fn jump(&mut self, at: u64) -> Option<LogPlace> {
        let section = self.index.sections().get(self.hidden_by? as usize)?;
        let place = self.index.before_line(section.end_line?);
        if place.offset <= at {
            return None;
        }
        self.parser = Parser::new(place.style);
        self.screen.clear();
        self.open = place.open;
        self.second_before = place.second_before;
        self.line.head = None;
        self.gone_from = place.offset;
        Some(place)
    }

    /// Where to go on, if the line that is being read is so long that the rest of it changes nothing that is shown.
    fn jump_line(&mut self, at: u64) -> Option<LogPlace> {
        if self.line_bytes < LINE_READ_BYTES_MAX || self.end.is_some() || self.hidden_by.is_some() {
            return None;
        }
        let place = self.index.behind_long(self.line.offset, at)?;
        self.unread_bytes = place.offset.saturating_sub(self.line.offset + self.line_bytes);
        self.take_screen(true);
        let same = self.open.all().iter().zip(place.open.all()).take_while(|(own, other)| own == other).count();
        self.close(same);
        self.parser = Parser::new(place.style);
        self.open = place.open;
        self.second_before = place.second_before;
        self.line.head = None;
        self.gone_from = place.offset;
        Some(place)
    }

    fn is_stuffed(&self) -> bool {
        self.out.len() + ROW_BYTES_MAX > PIECE_BYTES_MAX
    }

    /// The begin of a section, which goes on from before if it is continued.
    fn write_section(&mut self, place: u32, is_continued: bool, is_folded: bool) -> Option<()> {
        let section = self.index.sections().get(place as usize)?;
        let lines = section.lines(self.index.lines());
        let class = if is_continued { "sec cont" } else { "sec" };
        // It is asked for when it is opened; one that is open has all that there is of it.
        let open = if is_folded { " data-folded" } else { " open" };
        let (from, to) = (section.line + 1, section.line + 1 + lines);
        self.write(format_args!("<details class=\"{class}\"{open} data-from=\"{from}\" data-to=\"{to}\"><summary"));
        if is_continued {
            self.write(format_args!("><span>{}</span><b>", section.line));
        } else {
            self.write(format_args!(" id=\"S{0}\"><span id=\"L{0}\">{0}</span><b>", section.line));
        }
        write_escaped(if section.title.is_empty() { &section.name } else { &section.title }, &mut self.out);
        let note = section.note(self.index.lines(), self.order.is_open);
        self.write(format_args!("</b><i class=\"num\">{note}</i></summary>"));
        Some(())
    }

    /// Goes on with as many sections of those that began before, now that there is something to show in them.
    fn go_on(&mut self, depth: usize) {
        while let Some(place) = self.open.all().get(..depth).and_then(|all| all.get(self.written)).copied() {
            if self.write_section(place, true, false).is_none() {
                return;
            }
            self.written += 1;
        }
    }

    /// Ends all but so many of the sections that are open in `out`.
    fn close(&mut self, depth: usize) {
        while self.written > depth {
            self.out.push_str("</details>");
            self.written -= 1;
        }
    }

    /// What stands on the screen is a title, a row, or nothing that anybody wants to see.
    fn take_screen(&mut self, is_wanted: bool) {
        self.parser.end_line(&mut self.screen);
        let is_title = std::mem::take(&mut self.is_title);
        if is_wanted && !is_title && self.hidden_by.is_none() && !self.is_stuffed() {
            self.write_row();
        }
        self.screen.clear();
    }

    fn write_row(&mut self) {
        self.go_on(self.open.all().len());
        let LineStart { number, head, is_loose, .. } = self.line;
        let red = if self.screen.is_red() { " err" } else { "" };
        let loose = if is_loose { " more" } else { "" };
        self.write(format_args!("<div class=\"l{red}{loose}\""));
        if !self.has_row {
            self.write(format_args!(" id=\"L{number}\""));
        }
        self.write(format_args!("><a href=\"#L{number}\">{number}</a>"));
        if self.index.is_timed() {
            self.write_time(head);
        }
        self.out.push_str("<span>");
        write_line(&self.screen, &mut self.out);
        self.out.push_str("</span>");
        let cut_bytes = self.screen.cut_bytes() + std::mem::take(&mut self.unread_bytes);
        if cut_bytes > 0 {
            let more = format_size(cut_bytes);
            self.out.push_str("<a class=\"cut\" href=\"");
            write_escaped(self.order.raw_link, &mut self.out);
            self.write(format_args!("?line={number}\">{more} more in the raw log</a>"));
        }
        self.out.push_str("</div>");
        self.has_row = true;
        self.rows += 1;
    }

    fn write_time(&mut self, head: Option<LineHead>) {
        let Some(head) = head else { return self.out.push_str("<time></time>") };
        let second = head.second();
        let title = if head.is_error() { " title=\"standard error\"" } else { "" };
        self.write(format_args!("<time datetime=\"{}\"{title}>", head.time()));
        if !self.has_row
            && second != self.second_before
            && let (Some(second), Some(first)) = (second, self.index.first_second())
        {
            let elapsed = u64::try_from(second.saturating_sub(first)).unwrap_or(0);
            let (hours, minutes, seconds) = (elapsed / 3600, elapsed / 60 % 60, elapsed % 60);
            match hours {
                0 => self.write(format_args!("{minutes}:{seconds:02}")),
                _ => self.write(format_args!("{hours}:{minutes:02}:{seconds:02}")),
            }
        }
        self.out.push_str("</time>");
    }

    fn write(&mut self, text: std::fmt::Arguments<'_>) {
        // A string takes all.
        let _ = self.out.write_fmt(text);
    }

    fn begin_line(&mut self, start: &LineStart) {
        let is_full = self.rows >= self.order.rows_max.min(ROWS_MAX) || self.is_stuffed();
        let is_far = start.offset.saturating_sub(self.gone_from) > PIECE_READ_BYTES_MAX;
        // What is folded is passed over to its end, so that the next part does not begin inside.
        if self.hidden_by.is_none() && (start.number >= self.order.until || is_full || is_far) {
            self.end = Some(LineEnd { number: start.number, offset: start.offset });
            return;
        }
        if let Some(before) = self.line.head {
            self.second_before = before.second();
        }
        self.line = *start;
        (self.has_row, self.has_mark, self.is_title) = (false, false, false);
        (self.line_bytes, self.unread_bytes) = (0, 0);
    }
}

impl LineReader for LogWriter<'_> {
    fn begin(&mut self, start: &LineStart) {
        if self.end.is_none() {
            self.begin_line(start);
        }
    }

    fn text(&mut self, bytes: &[u8]) {
        if self.end.is_some() {
            return;
        }
        if self.line_bytes < LINE_READ_BYTES_MAX {
            self.parser.feed(bytes, &mut self.screen);
        } else {
            // The same as what is passed over elsewhere, where the next line is known.
            self.unread_bytes += bytes.len() as u64;
            self.parser.feed(bytes, &mut ());
        }
        self.line_bytes += bytes.len() as u64;
    }

    fn section(&mut self, mark: &SectionMark<'_>) {
        if self.end.is_some() {
            return;
        }
        let is_blank = self.screen.is_blank();
        self.take_screen(!is_blank);
        self.has_mark = true;
        if !mark.is_start {
            self.open.end(mark.name, self.index.sections());
            if self.hidden_by.is_some_and(|hiding| !self.open.all().contains(&hiding)) {
                self.hidden_by = None;
            }
            return self.close(self.open.all().len());
        }
        let Some(place) = self.open.start() else { return };
        self.is_title = true;
        if self.hidden_by.is_some() || self.is_stuffed() {
            return;
        }
        if self.line.number >= self.order.until {
            // Where what was hidden ends.
            self.end = Some(LineEnd { number: self.line.number, offset: self.line.offset });
            return;
        }
        let around = self.open.all().len() - 1;
        self.go_on(around);
        // The line of one that the index does not know yet comes again.
        if self.written != around {
            return;
        }
        let is_folded = self.order.folds.is_folded(place);
        if self.write_section(place, false, is_folded).is_some() {
            self.written += 1;
            self.rows += 1;
        }
        if is_folded {
            self.hidden_by = Some(place);
            self.close(self.open.all().len() - 1);
        }
    }

    fn end(&mut self, _: &LineEnd) {
        if self.end.is_none() {
            let is_wanted = !self.has_mark || !self.screen.is_blank();
            self.take_screen(is_wanted);
        }
    }

    fn whole(&mut self, start: &LineStart, bytes: &[u8]) -> bool {
        if self.end.is_none() && self.hidden_by.is_none() {
            return false;
        }
        self.begin(start);
        self.parser.feed(bytes, &mut ());
        self.parser.end_line(&mut ());
        true
    }
}

#[cfg(test)]
mod tests;
