//! A pipeline drawn: its stages as columns with the needs between them, and its jobs along the time.

use super::links::Links;
use super::states::of_row;
use super::words::{self, cleaned, foreign};
use super::{icons, states};
use crate::domain::build::{BuildId, Status};
use crate::domain::time::Timestamp;
use crate::store::job_rows::JobRow;
use maud::{Markup, html};
use std::collections::HashMap;

/// Sizes of the drawing in pixels, as the style has them.
const WIDTH: usize = 198;
const GAP: usize = 34;
const HEIGHT: usize = 46;
const HEAD: usize = 24;
const MIDDLE: usize = 19;
/// More lines between jobs are not drawn; they are said in words.
const EDGES_MAX: usize = 400;

/// A job in the drawing.
pub struct Drawn<'a> {
    /// The job.
    pub row: &'a JobRow,
    /// Those that it names as its needs.
    pub needs: Vec<BuildId>,
}

/// The jobs of a pipeline by stages, the earliest first.
pub struct Columns<'a> {
    columns: Vec<(String, Vec<Drawn<'a>>)>,
}

impl<'a> Columns<'a> {
    /// Of these jobs, whose needs are those.
    pub fn new(rows: &'a [JobRow], needs: &HashMap<BuildId, Vec<BuildId>>) -> Columns<'a> {
        let mut columns: Vec<(Option<usize>, String, Vec<Drawn<'a>>)> = Vec::new();
        for row in rows.iter().filter(|row| row.retried_by.is_none()) {
            let drawn = Drawn { row, needs: needs.get(&row.id).cloned().unwrap_or_default() };
            match columns.iter_mut().find(|(index, name, _)| *index == row.stage_index && *name == row.stage) {
                Some((.., jobs)) => jobs.push(drawn),
                None => columns.push((row.stage_index, row.stage.clone(), vec![drawn])),
            }
        }
        Columns { columns: columns.into_iter().map(|(_, name, jobs)| (name, jobs)).collect() }
    }

    /// The stages as columns, needs as lines.
    pub fn graph(&self, links: &Links, project: &str, now: Timestamp) -> Markup {
        let rows = self.columns.iter().map(|(_, jobs)| jobs.len()).max().unwrap_or(0);
        let width = self.columns.len() * (WIDTH + GAP) - GAP.min(self.columns.len() * GAP);
        let names: HashMap<BuildId, &str> =
            self.columns.iter().flat_map(|(_, jobs)| jobs).map(|it| (it.row.id, it.row.name.as_str())).collect();
        html! {
            div class="graph" tabindex="0" role="region" aria-label="Stages and needs" {
                div {
                    svg class="edges" width=(width) height=(HEAD + rows * HEIGHT) aria-hidden="true" { (self.edges()) }
                    div class="cols" {
                        @for (name, jobs) in &self.columns {
                            section {
                                h3 { (foreign(name)) }
                                ul { @for it in jobs { li { (cell(links, project, it, &names, now)) } } }
                            }
                        }
                    }
                }
            }
        }
    }

    fn edges(&self) -> Markup {
        let mut places = HashMap::new();
        for (column, (_, jobs)) in self.columns.iter().enumerate() {
            for (row, it) in jobs.iter().enumerate() {
                places.insert(it.row.id, (column, row, it.row));
            }
        }
        let mut edges = Vec::new();
        for (to_column, (_, jobs)) in self.columns.iter().enumerate() {
            for (to_row, it) in jobs.iter().enumerate() {
                for need in &it.needs {
                    if let Some((column, row, needed)) = places.get(need).filter(|(column, ..)| *column < to_column) {
                        edges.push((path((*column, *row), (to_column, to_row)), needed.is_bad()));
                    }
                }
            }
        }
        html! {
            @for (path, is_hot) in edges.iter().take(EDGES_MAX) {
                path class=[is_hot.then_some("hot")] d=(path) {}
            }
        }
    }

    /// Whether any job names its needs.
    pub fn has_needs(&self) -> bool {
        self.columns.iter().flat_map(|(_, jobs)| jobs).any(|it| !it.needs.is_empty())
    }
}

/// A line from the right of one cell to the left of another, with round corners.
fn path((column, row): (usize, usize), (to_column, to_row): (usize, usize)) -> String {
    let y = |row: usize| HEAD + row * HEIGHT + MIDDLE;
    let (x, to_x) = (column * (WIDTH + GAP) + WIDTH, to_column * (WIDTH + GAP));
    let (y, to_y) = (y(row), y(to_row));
    if y == to_y {
        return format!("M{x} {y}H{to_x}");
    }
    let middle = to_x - GAP / 2;
    let (bend, back) = if to_y > y { (y + 6, to_y - 6) } else { (y - 6, to_y + 6) };
    format!("M{x} {y}H{}Q{middle} {y} {middle} {bend}V{back}Q{middle} {to_y} {} {to_y}H{to_x}", middle - 6, middle + 6)
}

fn cell(links: &Links, project: &str, it: &Drawn<'_>, names: &HashMap<BuildId, &str>, now: Timestamp) -> Markup {
    let needs: Vec<String> = it.needs.iter().filter_map(|id| names.get(id)).map(|name| cleaned(name)).collect();
    html! {
        a class={ "job" @if it.row.is_bad() { " bad" } } href=(links.job(project, it.row.id)) {
            (icons::said(of_row(it.row)))
            span class="cut-off" { (foreign(&it.row.name)) }
            span class="num" { (took(it.row, now)) }
            @if !needs.is_empty() { span class="needs-list" { "needs " (needs.join(", ")) } }
        }
    }
}

/// How long a job ran, or runs; else its state.
pub fn took(row: &JobRow, now: Timestamp) -> Markup {
    match (row.started_at, row.finished_at) {
        (Some(from), Some(to)) => html! { (words::duration(to.since(from))) },
        (Some(from), None) if row.status == Status::Running => words::running(from, now),
        _ => html! { (of_row(row).word) },
    }
}

/// Jobs on the time line.
const TIMED_MAX: usize = 200;

/// When each job waited and ran. `from`: when the pipeline was made.
pub fn time_line(links: &Links, project: &str, rows: &[JobRow], from: Timestamp, now: Timestamp) -> Markup {
    let mut ran: Vec<&JobRow> = rows.iter().filter(|row| row.started_at.is_some()).collect();
    ran.sort_by_key(|row| (row.started_at, row.id));
    let is_open = ran.iter().any(|row| row.finished_at.is_none());
    let last = ran.iter().filter_map(|row| row.finished_at).max();
    let end = if is_open { now } else { last.unwrap_or(now) };
    let whole = end.since(from).as_millis().max(1);
    let x = |at: Timestamp| u64::try_from(at.since(from).as_millis().min(whole) * 1000 / whole).unwrap_or(1000);
    let ready = |row: &JobRow| {
        // What it waited for has ended at the latest when it began; what is not known is not drawn.
        let before = rows.iter().filter(|other| other.stage_index < row.stage_index);
        before.filter_map(|other| other.finished_at).filter(|at| Some(*at) <= row.started_at).max().unwrap_or(from)
    };
    html! {
        div class="gantt" {
            ul {
                @for row in ran.iter().take(TIMED_MAX) {
                    @let began = row.started_at.unwrap_or(from);
                    @let ended = row.finished_at.unwrap_or(now);
                    @let (waited, ran_from, ran_to) = (x(ready(row)), x(began), x(ended).max(x(began) + 3));
                    @let class = bar_class(row);
                    @let said = format!("{}: began after {}, ran {}", cleaned(&row.name), words::duration(began.since(from)), words::duration(ended.since(began)));
                    li {
                        (icons::said(states::of_row(row)))
                        a class="cut-off" href=(links.job(project, row.id)) { (foreign(&row.name)) }
                        @if row.finished_at.is_some() {
                            (line(waited, ran_from, ran_to, class, &said))
                        } @else {
                            (words::BEGIN) (line(waited, ran_from, ran_to, class, &said)) (words::END)
                        }
                        span class="num" { (took(row, now)) }
                    }
                }
            }
            @if ran.len() > TIMED_MAX { p class="dim" { (ran.len() - TIMED_MAX) " more jobs ran." } }
        }
    }
}

/// The class of a job's bar.
fn bar_class(row: &JobRow) -> &'static str {
    match row.status {
        Status::Success => "u",
        Status::Failed if row.failure_allowed => "a",
        Status::Failed => "d",
        Status::Created
        | Status::WaitingForResource
        | Status::Pending
        | Status::Running
        | Status::Scheduled
        | Status::Manual
        | Status::Canceled
        | Status::Skipped => "r",
    }
}

fn line(waited: u64, from: u64, to: u64, class: &str, said: &str) -> Markup {
    html! {
        svg viewBox="0 0 1000 14" preserveAspectRatio="none" role="img" aria-label=(said) {
            @if from > waited { rect class="w" x=(waited) y="5" width=(from - waited) height="4" {} }
            rect class=(class) x=(from) y="2" width=(to - from) height="10" rx="2" {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_go_from_cell_to_cell() {
        assert_eq!(path((0, 0), (1, 0)), "M198 43H232");
        assert_eq!(path((0, 0), (1, 1)), "M198 43H209Q215 43 215 49V83Q215 89 221 89H232");
        assert_eq!(path((2, 1), (3, 0)), "M662 89H673Q679 89 679 83V49Q679 43 685 43H696");
    }
}
