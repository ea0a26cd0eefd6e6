//! A pipeline without a terminal: `JOB | line` for all logs as they come, and a line for each job that moves.
//!
//! What must stay true: each line of a job's log comes once, before the line that says that the job has ended.

use super::Out;
use super::watched::Watched;
use super::words::moved;
use crate::cli::Done;
use crate::cli::build::log::Growing;
use crate::cli::show::cells::{clean, padded};
use crate::cli::show::tail::LineReader;
use crate::coordinator::Coordinator;
use crate::domain::build::{BuildId, Status};
use crate::store::job_rows::JobRow;
use std::collections::HashMap;
use unicode_width::UnicodeWidthStr;

/// Names of jobs are padded up to so many columns.
const NAME_COLUMNS_MAX: usize = 30;

/// Pieces of a log that are read at one look while others wait.
const PIECES_MAX: usize = 8;

/// See the module.
#[derive(Default)]
pub struct Lines {
    logs: HashMap<BuildId, JobLog>,
}

struct JobLog {
    log: Growing,
    lines: LineReader,
}

impl Lines {
    /// Prints what has come since the last look, in which the rows at these places have moved.
    pub fn show(&mut self, coordinator: &Coordinator, watched: &Watched, places: &[usize], out: &mut Out) -> Done {
        let widest = watched.rows.iter().map(|row| row.name.width()).max().unwrap_or_default();
        let columns = widest.min(NAME_COLUMNS_MAX);
        for row in places.iter().filter_map(|at| watched.rows.get(*at)) {
            let name = name(row, columns);
            if row.status.is_finished() && row.started_at.is_some() {
                self.print_rest(coordinator, row, &name, out)?;
            }
            out.print(&format!("{name} * {}\n", clean(&moved(row))));
        }
        let running: Vec<&JobRow> = watched.rows.iter().filter(|row| row.status == Status::Running).collect();
        let ids: Vec<BuildId> = running.iter().map(|row| row.id).collect();
        for (row, size) in running.into_iter().zip(coordinator.trace_sizes(&ids)?) {
            let known = self.logs.get(&row.id).map(|job| job.log.read_so_far()).unwrap_or_default();
            if size != known {
                self.print_some(coordinator, row, &name(row, columns), out)?;
            }
        }
        Ok(())
    }

    fn log(&mut self, id: BuildId) -> &mut JobLog {
        self.logs.entry(id).or_insert_with(|| JobLog { log: Growing::new(id), lines: LineReader::default() })
    }

    fn print_some(&mut self, coordinator: &Coordinator, row: &JobRow, name: &str, out: &mut Out) -> Done {
        let job = self.log(row.id);
        for _ in 0..PIECES_MAX {
            let piece = job.log.read(coordinator)?;
            if piece.bytes.is_empty() {
                break;
            }
            print(name, job.lines.push(&piece.bytes), out);
        }
        Ok(())
    }

    fn print_rest(&mut self, coordinator: &Coordinator, row: &JobRow, name: &str, out: &mut Out) -> Done {
        self.log(row.id);
        let Some(mut job) = self.logs.remove(&row.id) else { return Ok(()) };
        loop {
            let piece = job.log.read(coordinator)?;
            if piece.bytes.is_empty() {
                break;
            }
            print(name, job.lines.push(&piece.bytes), out);
        }
        print(name, job.lines.finish(), out);
        Ok(())
    }
}

fn name(row: &JobRow, columns: usize) -> String {
    let name = clean(&row.name);
    if name.width() > columns { name } else { padded(&name, columns) }
}

fn print(name: &str, lines: Vec<String>, out: &mut Out) {
    let text: String = lines.into_iter().map(|line| format!("{name} | {line}").trim_end().to_owned() + "\n").collect();
    out.print(&text);
}
