//! What is drawn of a pipeline: lines, from what is known of it, how large the terminal is, and what time it is.
//!
//! What must stay true: there are fewer lines than the terminal has rows, and none takes more cells than it has columns,
//! whatever the pipeline is like. What has ended is folded first, then what has not begun; what failed or runs goes last.

use super::words::{Colour, run_time, sign, word};
use crate::cli::show::cells::{Size, clean, fitting, padded, shortened};
use crate::cli::show::print;
use crate::domain::build::Status;
use crate::domain::pipeline::PipelineId;
use crate::domain::pipeline::states::PipelineState;
use crate::domain::text::duration::format_duration;
use crate::domain::time::Timestamp;
use crate::store::job_rows::JobRow;
use unicode_width::UnicodeWidthStr;

/// Columns of a state's word.
const STATE: usize = 9;
/// Columns of a time.
const TIME: usize = 7;
/// Columns of a runner's name on a narrow terminal and on a wide one.
const RUNNER: (usize, usize) = (12, 24);
/// A terminal is wide from so many columns on.
const WIDE: usize = 100;
/// On a terminal of fewer columns no runner is shown.
const RUNNER_FROM: usize = 50;
/// Fewest columns of a job's name.
const NAME_MIN: usize = 8;
/// Fewest lines of the log, where there is room for a table of as many.
const LOG_MIN: usize = 3;

/// What is to be drawn.
pub struct View<'a> {
    /// Its id.
    pub id: PipelineId,
    /// Its state.
    pub state: PipelineState,
    /// Names of its stages, in order.
    pub stages: &'a [String],
    /// Its builds in the order of stages; those that were made again are not drawn.
    pub rows: &'a [JobRow],
    /// The log of one of them.
    pub log: Option<LogView<'a>>,
}

/// The end of a log.
pub struct LogView<'a> {
    /// Whose it is.
    pub row: &'a JobRow,
    /// Its last lines, clean.
    pub lines: &'a [&'a str],
}

/// A line, and its colour where there are colours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// As wide as the terminal, at most.
    pub text: String,
    /// Of the whole line.
    pub colour: Colour,
}

/// The jobs of a stage, and how many of them are shown, a line each.
struct Stage<'a> {
    name: &'a str,
    jobs: Vec<&'a JobRow>,
    shown: usize,
}

/// The lines to draw.
pub fn frame(view: &View<'_>, size: Size, now: Timestamp) -> Vec<Line> {
    // The cursor stands in the last row.
    let rows = size.rows.saturating_sub(1);
    let mut lines = vec![title(view, now)];
    let room = rows.saturating_sub(1);
    let log = view.log.as_ref().filter(|log| !log.lines.is_empty() && room >= 2 * (LOG_MIN + 1));
    let reserved = log.map_or(0, |log| log.lines.len().min(LOG_MIN.max(room / 3)) + 1);
    lines.extend(table(view, size.columns, room.saturating_sub(reserved), now));
    if let Some(log) = log {
        let left = rows.saturating_sub(lines.len() + 1);
        let row = log.row;
        let rest = format!(", build {}, {} ", row.id, word(row.status));
        let begin = "--- log of ";
        let name = clean(&row.name);
        let text = format!("{begin}{}{rest}", shortened(&name, size.columns.saturating_sub(begin.len() + rest.len())));
        let dashes = "-".repeat(size.columns.saturating_sub(text.width()));
        lines.push(Line { text: text + &dashes, colour: Colour::Dim });
        let first = log.lines.len().saturating_sub(left);
        let shown = log.lines.get(first..).unwrap_or_default();
        lines.extend(shown.iter().map(|line| Line { text: (*line).to_owned(), colour: Colour::None }));
    }
    lines.truncate(rows);
    for line in &mut lines {
        line.text.truncate(fitting(&line.text, size.columns).len());
        line.text.truncate(line.text.trim_end().len());
    }
    lines
}

fn title(view: &View<'_>, now: Timestamp) -> Line {
    let jobs: Vec<&JobRow> = counting(view.rows).collect();
    let ended = jobs.iter().filter(|row| row.status.is_finished()).count();
    let start = jobs.iter().filter_map(|row| row.started_at).min();
    let end = jobs.iter().filter_map(|row| row.finished_at).max().filter(|_| view.state.is_at_rest());
    let took =
        start.map_or_else(String::new, |start| format!(", {}", format_duration(end.unwrap_or(now).since(start))));
    let (id, state, count) = (view.id, view.state.as_str(), print::count(jobs.len() as u64, "job"));
    let text = format!("pipeline {id}: {state}, {ended} of {count} ended{took}");
    let colour = match view.state {
        PipelineState::Success => Colour::Good,
        PipelineState::Failed | PipelineState::Canceled => Colour::Bad,
        PipelineState::Manual => Colour::Warning,
        PipelineState::Created
        | PipelineState::WaitingForResource
        | PipelineState::Pending
        | PipelineState::Running
        | PipelineState::Scheduled
        | PipelineState::Skipped => Colour::None,
    };
    Line { text, colour }
}

fn counting(rows: &[JobRow]) -> impl Iterator<Item = &JobRow> {
    rows.iter().filter(|row| row.retried_by.is_none())
}

/// The stages in at most so many lines.
fn table(view: &View<'_>, columns: usize, room: usize, now: Timestamp) -> Vec<Line> {
    let mut stages = stages(view);
    fold(&mut stages, room);
    let widths = Widths::of(&stages, columns);
    let mut lines = Vec::new();
    let name_width = stages.iter().map(|stage| stage.name.width()).max().unwrap_or_default().min(columns / 3);
    for stage in &stages {
        lines.extend(stage.lines(&widths, name_width, now));
    }
    if lines.len() <= room {
        return lines;
    }
    // Nothing but folded stages is left: those from the first that has not ended.
    let window = room.saturating_sub(1);
    let first = stages.iter().position(|stage| !stage.is_over()).unwrap_or(0).min(lines.len().saturating_sub(window));
    let hidden = lines.len().saturating_sub(window);
    let mut shown: Vec<Line> = lines.into_iter().skip(first).take(window).collect();
    if room > 0 {
        shown.push(Line { text: format!("and {} more", print::count(hidden as u64, "stage")), colour: Colour::Dim });
    }
    shown
}

fn stages<'a>(view: &View<'a>) -> Vec<Stage<'a>> {
    let mut stages: Vec<Stage<'a>> = Vec::new();
    let mut last = None;
    for row in counting(view.rows) {
        if last != Some(row.stage_index) {
            let name = row.stage_index.and_then(|index| view.stages.get(index)).unwrap_or(&row.stage);
            stages.push(Stage { name, jobs: Vec::new(), shown: 0 });
            last = Some(row.stage_index);
        }
        if let Some(stage) = stages.last_mut() {
            stage.jobs.push(row);
            stage.shown += 1;
        }
    }
    stages
}

/// Has the stages take no more than so many lines, as far as a line for each allows.
fn fold(stages: &mut [Stage<'_>], room: usize) {
    let height = |stages: &[Stage<'_>]| stages.iter().map(|stage| 1 + stage.height()).sum::<usize>();
    let over = |stage: &Stage<'_>| stage.is_over() && !stage.has_bad();
    for at in 0..stages.len() {
        if height(stages) <= room {
            return;
        }
        if let Some(stage) = stages.get_mut(at).filter(|stage| over(stage)) {
            stage.shown = 0;
        }
    }
    for at in (0..stages.len()).rev() {
        if height(stages) <= room {
            return;
        }
        if let Some(stage) = stages.get_mut(at).filter(|stage| stage.is_ahead()) {
            stage.shown = 0;
        }
    }
    if height(stages) <= room {
        return;
    }
    // The others share what is left; what a short one does not use is the others'.
    let mut left = room.saturating_sub(stages.len());
    let mut open: Vec<&mut Stage<'_>> = stages.iter_mut().filter(|stage| stage.shown > 0).collect();
    open.sort_by_key(|stage| stage.jobs.len());
    let mut count = open.len();
    for stage in open {
        let share = left / count.max(1);
        if stage.jobs.len() > share {
            stage.shown = share.saturating_sub(1);
        }
        left = left.saturating_sub(stage.height());
        count -= 1;
    }
}

/// How urgent it is that a job is seen, the lowest first.
fn urgency(row: &JobRow) -> usize {
    match row.status {
        Status::Failed if row.is_bad() => 0,
        Status::Running => 1,
        Status::Manual if row.blocks() => 2,
        Status::Pending | Status::WaitingForResource => 3,
        Status::Scheduled | Status::Manual => 4,
        Status::Failed | Status::Canceled => 5,
        Status::Created => 6,
        Status::Success => 7,
        Status::Skipped => 8,
    }
}

impl Stage<'_> {
    fn is_over(&self) -> bool {
        self.jobs.iter().all(|row| row.status.is_finished())
    }

    fn has_bad(&self) -> bool {
        self.jobs.iter().any(|row| row.is_bad())
    }

    /// Whether nothing of it has begun.
    fn is_ahead(&self) -> bool {
        self.jobs.iter().all(|row| row.status == Status::Created)
    }

    /// Its lines below its name.
    fn height(&self) -> usize {
        match self.shown {
            0 => 0,
            shown if shown < self.jobs.len() => shown + 1,
            shown => shown,
        }
    }

    fn lines(&self, widths: &Widths, name_width: usize, now: Timestamp) -> Vec<Line> {
        let name = clean(self.name);
        if self.shown == 0 {
            let text = format!("{}  {}", padded(&name, name_width), counts(&self.jobs));
            return vec![Line { text, colour: self.colour() }];
        }
        let mut lines = vec![Line { text: name, colour: Colour::None }];
        if self.shown >= self.jobs.len() {
            lines.extend(self.jobs.iter().map(|row| widths.line(row, now)));
            return lines;
        }
        let mut jobs = self.jobs.clone();
        jobs.sort_by_key(|row| urgency(row));
        let (shown, hidden) = jobs.split_at(self.shown.min(jobs.len()));
        lines.extend(shown.iter().map(|row| widths.line(row, now)));
        let text = format!("    and {} more: {}", hidden.len(), counts(hidden));
        lines.push(Line { text, colour: Colour::Dim });
        lines
    }

    fn colour(&self) -> Colour {
        if self.has_bad() {
            return Colour::Bad;
        }
        let has_warning = self.jobs.iter().any(|row| matches!(row.status, Status::Failed | Status::Canceled));
        match (self.is_over(), has_warning) {
            (true, true) => Colour::Warning,
            (true, false) => Colour::Good,
            (false, _) => {
                if self.is_ahead() {
                    Colour::Dim
                } else {
                    Colour::None
                }
            }
        }
    }
}

/// `3 success, 1 failed`, in the order of states.
fn counts(jobs: &[&JobRow]) -> String {
    let count = |status: Status| (jobs.iter().filter(|row| row.status == status).count(), word(status));
    let counts = Status::ALL.into_iter().map(count).filter(|(count, _)| *count > 0);
    counts.map(|(count, word)| format!("{count} {word}")).collect::<Vec<_>>().join(", ")
}

/// Of the columns of a job's line.
struct Widths {
    name: usize,
    runner: usize,
}

impl Widths {
    fn of(stages: &[Stage<'_>], columns: usize) -> Widths {
        let runner = match columns {
            WIDE.. => RUNNER.1,
            RUNNER_FROM.. => RUNNER.0,
            _ => 0,
        };
        let others = 4 + 2 + STATE + 2 + TIME + if runner > 0 { runner + 2 } else { 0 };
        let room = columns.saturating_sub(others).max(NAME_MIN);
        let jobs = stages.iter().filter(|stage| stage.shown > 0).flat_map(|stage| &stage.jobs);
        let widest = jobs.map(|row| row.name.width()).max().unwrap_or_default();
        Widths { name: widest.clamp(NAME_MIN, room), runner }
    }

    fn line(&self, row: &JobRow, now: Timestamp) -> Line {
        let (sign, colour) = sign(row);
        let name = padded(&clean(&row.name), self.name);
        let runner = if self.runner > 0 {
            padded(&clean(row.runner.as_deref().unwrap_or_default()), self.runner) + "  "
        } else {
            String::new()
        };
        let took = run_time(row, now);
        let text = format!("  {sign} {name}  {:STATE$}  {runner}{took:>TIME$}", word(row.status));
        Line { text, colour }
    }
}

#[cfg(test)]
#[path = "frame_tests.rs"]
mod tests;
