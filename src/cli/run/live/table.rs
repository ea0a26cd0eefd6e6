//! A pipeline on a terminal: a table of its stages with the log of one job below it, drawn over what was drawn before.
//!
//! What must stay true: what is drawn fits the terminal as it is at that moment, so that the next drawing goes over all of
//! it; after another size nothing is known of what is where, and the terminal begins anew.

use super::Out;
use super::frame::{Line, LogView, View, frame};
use super::watched::Watched;
use crate::cli::Done;
use crate::cli::show::cells::{self, Size};
use crate::cli::show::tail::LineReader;
use crate::cli::show::{logger, terminal};
use crate::coordinator::Coordinator;
use crate::domain::build::{BuildId, Status};
use crate::domain::time::Timestamp;
use crate::store::job_rows::JobRow;
use std::collections::VecDeque;
use std::io;
use std::time::{Duration, Instant};

/// Between two drawings.
const FRAME: Duration = Duration::from_millis(100);

/// So much of the end of a log is read when it is shown first.
const END_BYTES: u64 = 64 << 10;

/// Lines of a log that are kept: more than a terminal has.
const LINES_MAX: usize = 300;

/// See the module.
pub struct Table {
    colours: bool,
    drawn: Vec<String>,
    size: Option<Size>,
    drawn_at: Option<Instant>,
    log: Option<ShownLog>,
}

/// The log below the table.
struct ShownLog {
    id: BuildId,
    number: i64,
    offset: u64,
    /// Whether what comes next is the middle of a line, which is left out.
    is_cut: bool,
    reader: LineReader,
    lines: VecDeque<String>,
}

impl Table {
    /// Nothing is drawn yet.
    pub fn new() -> Table {
        let colours = terminal::is_drawable(&io::stdout()) && logger::wants_colours(std::env::var_os("NO_COLOR"));
        Table { colours, drawn: Vec::new(), size: None, drawn_at: None, log: None }
    }

    /// Draws the pipeline as it is, unless that was just done.
    pub fn show(&mut self, coordinator: &Coordinator, watched: &Watched, out: &mut Out) -> Done {
        if self.drawn_at.is_some_and(|at| at.elapsed() < FRAME) {
            return Ok(());
        }
        self.drawn_at = Some(Instant::now());
        let row = shown_job(watched);
        self.read_log(coordinator, row)?;
        let begun = self.log.as_ref().and_then(|log| log.reader.begun());
        let lines = self.log.iter().flat_map(|log| log.lines.iter()).chain(&begun);
        let lines: Vec<&str> = lines.map(String::as_str).collect();
        let log = row.map(|row| LogView { row, lines: &lines });
        let size = cells::size();
        let view = View { id: watched.id, state: watched.state(), stages: &watched.stages, rows: &watched.rows, log };
        let lines = frame(&view, size, Timestamp::now());
        self.draw(&lines, size, out);
        Ok(())
    }

    /// Draws the whole table once more, without a log, and goes on below it.
    pub fn end(&mut self, watched: &Watched, out: &mut Out) {
        let size = cells::size();
        let view =
            View { id: watched.id, state: watched.state(), stages: &watched.stages, rows: &watched.rows, log: None };
        let lines = frame(&view, size, Timestamp::now());
        self.draw(&lines, size, out);
        terminal::leave();
    }

    fn draw(&mut self, lines: &[Line], size: Size, out: &mut Out) {
        let painted = |line: &Line| if self.colours { line.colour.paint(&line.text) } else { line.text.clone() };
        let lines: Vec<String> = lines.iter().map(painted).collect();
        let is_resized = self.size.is_some_and(|before| before != size);
        if lines == self.drawn && !is_resized && terminal::is_drawn() {
            return;
        }
        out.done(|| terminal::draw(&lines, is_resized));
        (self.drawn, self.size) = (lines, Some(size));
    }

    fn read_log(&mut self, coordinator: &Coordinator, row: Option<&JobRow>) -> Done {
        let Some(row) = row else {
            self.log = None;
            return Ok(());
        };
        let (number, size) = coordinator.trace_sizes(&[row.id])?.first().copied().unwrap_or_default();
        let is_other = self.log.as_ref().is_none_or(|log| log.id != row.id || log.number != number);
        if is_other {
            let (reader, lines) = (LineReader::default(), VecDeque::new());
            self.log = Some(ShownLog { id: row.id, number, offset: 0, is_cut: false, reader, lines });
        }
        let Some(log) = self.log.as_mut().filter(|log| log.offset < size) else { return Ok(()) };
        if size - log.offset > END_BYTES {
            // Nobody reads that fast.
            (log.offset, log.is_cut, log.reader) = (size - END_BYTES, true, LineReader::default());
            log.lines.clear();
        }
        let piece = coordinator.read_numbered_trace(row.id, log.offset, END_BYTES)?;
        if piece.number == log.number {
            log.offset += piece.bytes.len() as u64;
            let end = if log.is_cut { piece.bytes.iter().position(|&byte| byte == b'\n') } else { None };
            log.is_cut &= end.is_none();
            let begin = if log.is_cut { piece.bytes.len() } else { end.map_or(0, |end| end + 1) };
            log.lines.extend(log.reader.push(piece.bytes.get(begin..).unwrap_or_default()));
            let too_many = log.lines.len().saturating_sub(LINES_MAX);
            log.lines.drain(..too_many);
        }
        Ok(())
    }
}

/// The job whose log is shown: the first that failed, else the one that has run longest.
fn shown_job(watched: &Watched) -> Option<&JobRow> {
    let failed = watched.counting().filter(|row| row.is_bad()).min_by_key(|row| (row.finished_at, row.id));
    let running = watched.counting().filter(|row| row.status == Status::Running);
    failed.or_else(|| running.min_by_key(|row| (row.started_at, row.id)))
}
