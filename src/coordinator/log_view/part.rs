//! Parts of a log, and what is in it.

use super::{OrSoon, Shown, View};
use crate::coordinator::Coordinator;
use crate::domain::build::{BuildId, Status};
use crate::domain::log_html::{LogPiece, PieceBegin, PieceOrder, ROWS_MAX, write_piece};
use crate::domain::log_index::LogIndex;
use crate::domain::log_sections::{Folds, LogSection, Outcome};
use crate::error::Result;

/// Rows of the end that is shown when too much has come.
const TAIL_ROWS: u64 = 500;

/// Where a part of a log begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LogBegin {
    /// So that it ends with the log.
    Tail,
    /// With this line.
    Line(u64),
    /// With the first of these lines, and ending with the second.
    Lines(u64, u64),
    /// So that it ends before this line.
    Before(u64),
    /// So that this line is in the middle.
    Around(u64),
    /// At the byte where the last part ended; if too much has come since, so that it ends with the log.
    After(u64),
}

/// How a log stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LogStand {
    /// Which of all logs it is; 0: none is stored. Another one has another number.
    pub number: i64,
    /// Bytes that may be shown.
    pub bytes: u64,
    /// Lines, with one that has no end yet.
    pub lines: u64,
    /// The state of its build.
    pub status: Status,
    /// Whether more may come.
    pub is_open: bool,
    /// Whether its runner has put times before the lines.
    pub is_timed: bool,
}

/// A part of a log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogPart {
    /// How the whole stands.
    pub stand: LogStand,
    /// The part.
    pub piece: LogPiece,
    /// Of what has come after another part: the sections that were open before it, each by the line where it begins, with
    /// what stands beside its title now ([`LogSection::note`]).
    pub went_on: Vec<(u64, String)>,
}

/// What is in a log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogFacts {
    /// How it stands.
    pub stand: LogStand,
    /// Its sections, in the order in which they begin.
    pub sections: Vec<LogSection>,
    /// How many lines have something red, as far as [`crate::domain::log_index::REDS_MAX`].
    pub reds: usize,
    /// The first of them, and its text.
    pub first_red: Option<(u64, String)>,
}

impl Coordinator {
    /// A part of a build's log as HTML, of so many rows at most; what is folded is not in it, unless it is around the line
    /// that is asked for. `raw_link` is the address of the raw log, for lines that are too long.
    ///
    /// # Errors
    /// [`crate::error::Kind::NotFound`] for an unknown build; [`crate::error::Kind::Conflict`] if the log is replaced all
    /// the time.
    pub fn log_part(&self, id: BuildId, begin: LogBegin, rows: u64, raw_link: &str) -> Result<OrSoon<LogPart>> {
        self.view_log(id, |view| {
            let index = view.index();
            let stand = stand(&index, view.shown);
            let piece = piece(view, &index, begin, rows.clamp(1, ROWS_MAX), raw_link)?;
            let is_more = matches!(begin, LogBegin::After(_));
            let went_on = if is_more { went_on(&index, stand, piece.from) } else { Vec::new() };
            Ok(LogPart { stand, piece, went_on })
        })
    }

    /// A part of a build's log, as [`Coordinator::log_part`] gives it, and before it the begin of the log, as far as that is
    /// outside of the section that the part begins in; `None`: the part begins with the log.
    ///
    /// # Errors
    /// As [`Coordinator::log_part`].
    pub fn log_ends(
        &self,
        id: BuildId,
        begin: LogBegin,
        rows: u64,
        outline_rows: u64,
        raw_link: &str,
    ) -> Result<OrSoon<(Option<LogPart>, LogPart)>> {
        self.view_log(id, |view| {
            let index = view.index();
            let stand = stand(&index, view.shown);
            let part = piece(view, &index, begin, rows.clamp(1, ROWS_MAX), raw_link)?;
            let from = part.from;
            let is_around = |own: &&LogSection| own.line < from && own.end_line.is_none_or(|end| end >= from);
            let until = index.sections().iter().find(is_around).map_or(from, |own| own.line).saturating_sub(1);
            let outline = match until {
                0 => None,
                _ => Some(piece(view, &index, LogBegin::Lines(1, until), outline_rows.clamp(1, ROWS_MAX), raw_link)?),
            };
            let part_of = |piece| LogPart { stand, piece, went_on: Vec::new() };
            Ok((outline.map(part_of), part_of(part)))
        })
    }

    /// What is in a build's log.
    ///
    /// # Errors
    /// As [`Coordinator::log_part`].
    pub fn log_facts(&self, id: BuildId) -> Result<OrSoon<LogFacts>> {
        self.view_log(id, |view| {
            let index = view.index();
            Ok(LogFacts {
                stand: stand(&index, view.shown),
                sections: index.sections().to_vec(),
                reds: index.reds().len(),
                first_red: index.first_red().map(|(line, text)| (line, text.to_owned())),
            })
        })
    }

    /// Up to `count_max` lines from `from` on in which something is red, and whether there are more.
    ///
    /// # Errors
    /// As [`Coordinator::log_part`].
    pub fn log_reds(&self, id: BuildId, from: u64, count_max: usize) -> Result<OrSoon<(Vec<u64>, bool)>> {
        self.view_log(id, |view| {
            let index = view.index();
            let reds = index.reds().get(index.reds().partition_point(|red| *red < from)..).unwrap_or_default();
            Ok((reds.iter().take(count_max).copied().collect(), reds.len() > count_max))
        })
    }
}

/// How a log stands whose index is this.
fn stand(index: &LogIndex, shown: Shown) -> LogStand {
    let Shown { number, bytes, status, is_open } = shown;
    LogStand { number, bytes, lines: index.lines(), status, is_open, is_timed: index.is_timed() }
}

/// The sections that were open before a line, and how they stand now.
fn went_on(index: &LogIndex, stand: LogStand, from: u64) -> Vec<(u64, String)> {
    let before = index.sections().iter().take_while(|own| own.line < from);
    let open = before.filter(|own| own.end_line.is_none_or(|end| end >= from));
    open.map(|own| (own.line, own.note(stand.lines, stand.is_open))).collect()
}

fn piece(view: &View<'_>, index: &LogIndex, begin: LogBegin, rows: u64, raw_link: &str) -> Result<LogPiece> {
    let (sections, lines) = (index.sections(), index.lines());
    let outcome = if view.shown.is_open {
        Outcome::Open
    } else if view.shown.status == Status::Success {
        Outcome::Good
    } else {
        Outcome::Bad
    };
    let mut folds = Folds::new(sections, outcome);
    let mut write = |begin: PieceBegin, until: u64, rows_max: u64, seen: Option<u64>| {
        if let Some(line) = seen {
            folds.open(sections, line);
        }
        let order = PieceOrder { begin, until, rows_max, folds: &folds, is_open: view.shown.is_open, raw_link };
        write_piece(index, &order, |offset, bytes| view.read(offset, bytes))
    };
    match begin {
        LogBegin::Line(line) => write(PieceBegin::Line(line), u64::MAX, rows, Some(line)),
        LogBegin::Lines(from, to) => write(PieceBegin::Line(from), to.saturating_add(1), rows, Some(from)),
        LogBegin::Around(line) => {
            // What is around it is unfolded, so that there may be many lines before it.
            let mut own = Folds::new(sections, outcome);
            own.open(sections, line);
            let from = own.tail(sections, line.min(lines), rows / 2 + 1);
            write(PieceBegin::Line(from), u64::MAX, rows, Some(line.min(lines)))
        }
        LogBegin::Before(line) => {
            let last = line.saturating_sub(1).min(lines);
            let mut own = Folds::new(sections, outcome);
            own.open(sections, last);
            write(PieceBegin::Line(own.tail(sections, last, rows)), line, ROWS_MAX, Some(last))
        }
        LogBegin::After(offset) => {
            let piece = write(PieceBegin::Offset(offset), u64::MAX, ROWS_MAX, None)?;
            let is_flood = piece.next.number < lines;
            if is_flood { tail(index, &mut write, TAIL_ROWS, outcome) } else { Ok(piece) }
        }
        LogBegin::Tail => tail(index, &mut write, rows, outcome),
    }
}

fn tail(
    index: &LogIndex,
    write: &mut impl FnMut(PieceBegin, u64, u64, Option<u64>) -> Result<LogPiece>,
    rows: u64,
    outcome: Outcome,
) -> Result<LogPiece> {
    let from = Folds::new(index.sections(), outcome).tail(index.sections(), index.lines(), rows);
    write(PieceBegin::Line(from), u64::MAX, ROWS_MAX, None)
}
