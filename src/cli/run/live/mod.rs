//! A pipeline is followed until nothing of it moves any more, and shown meanwhile and then: what `baton run` does once it
//! has queued one.
//!
//! What must stay true: a look at a pipeline of any size in which nothing has moved costs some ten rows and the logs that
//! have grown; what a job writes or is called moves no cursor; whether somebody reads what is shown changes nothing of
//! the result.

mod ask;
mod frame;
mod lines;
mod summary;
mod table;
mod watched;
pub(in crate::cli) mod words;

use self::lines::Lines;
use self::table::Table;
use self::watched::Watched;
use super::wake::Wake;
use crate::cli::build::log::POLL;
use crate::cli::pipeline::document::PipelineDocument;
use crate::cli::pipeline::facts::Facts;
use crate::cli::show::{print, terminal};
use crate::cli::{Done, Stop};
use crate::coordinator::Coordinator;
use crate::domain::pipeline::PipelineId;
use crate::domain::pipeline::states::PipelineState;
use crate::domain::time::Timestamp;
use crate::error::Kind;
use std::collections::HashSet;
use std::time::Duration;
use std::{io, thread};

/// Between two looks, however much is written.
const PAUSE_MIN: Duration = Duration::from_millis(20);

/// How a pipeline is followed.
#[derive(Clone, Copy)]
pub struct Options<'a> {
    /// Whether logs are printed as they come also on a terminal: `JOB | line`, and a line for each job that moves.
    pub plain: bool,
    /// Whether nothing is shown but JSON at the end.
    pub json: bool,
    /// Whether the first failure that is not allowed cancels the rest.
    pub fail_fast: bool,
    /// Whether whoever sits there wants this to end: then nothing is asked any more.
    pub is_interrupted: &'a dyn Fn() -> bool,
}

/// How a pipeline stood when nothing of it moved any more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct End {
    /// Its state.
    pub state: PipelineState,
    /// Exit status of a command that followed it.
    pub code: u8,
}

impl End {
    /// That of a pipeline in this state: 0 when it went well, also with warnings; 1 when it failed, was canceled, or has
    /// not ended; 3 when none of its jobs ran; 4 when it is blocked by a manual job.
    #[must_use]
    pub fn of(state: PipelineState) -> End {
        let code = match state {
            PipelineState::Success => 0,
            PipelineState::Skipped => 3,
            PipelineState::Manual => 4,
            PipelineState::Created
            | PipelineState::WaitingForResource
            | PipelineState::Pending
            | PipelineState::Running
            | PipelineState::Scheduled
            | PipelineState::Failed
            | PipelineState::Canceled => 1,
        };
        End { state, code }
    }
}

/// Follows a pipeline until nothing of it moves any more, and says then how it ended. On a terminal it asks whether manual
/// jobs start that hold it up. `check` is called at least ten times a second.
///
/// # Errors
/// [`crate::error::Kind::NotFound`] for a pipeline that is not there, or no more; what `check` says.
pub fn follow(
    coordinator: &Coordinator,
    id: PipelineId,
    options: &Options<'_>,
    check: &mut dyn FnMut() -> Done,
) -> Done<End> {
    let stages = coordinator.pipeline(id)?.stages;
    let mut follower = Follower {
        coordinator,
        watched: Watched::new(id, stages),
        display: Display::of(options),
        wake: Wake::of(coordinator.data()),
        fails_fast: options.fail_fast,
        out: Out::default(),
    };
    let (mut asked, asks) = (HashSet::new(), matches!(follower.display, Display::Table(_)) && ask::is_possible());
    // One that was refused has no jobs that could be followed.
    while !coordinator.pipeline_standing(id)?.is_refused {
        follower.follow_to_rest(check)?;
        let is_blocked = follower.watched.state() == PipelineState::Manual;
        if !is_blocked
            || !asks
            || !ask::start_blocking(coordinator, &follower.watched, &mut asked, options.is_interrupted, check)?
        {
            break;
        }
    }
    let report = coordinator.show_pipeline(id, Timestamp::now())?;
    let facts = Facts::of(coordinator, &report, !options.json)?;
    let mut out = follower.out;
    out.print(&match options.json {
        true => print::json_line(&PipelineDocument::new(&report, &facts))?,
        false => summary::text(&report, &facts),
    });
    out.end();
    Ok(End::of(report.state()))
}

/// A pipeline that is followed.
struct Follower<'a> {
    coordinator: &'a Coordinator,
    watched: Watched,
    display: Display,
    wake: Wake,
    fails_fast: bool,
    out: Out,
}

impl Follower<'_> {
    fn follow_to_rest(&mut self, check: &mut dyn FnMut() -> Done) -> Done {
        let coordinator = self.coordinator;
        loop {
            let places = self.watched.look(coordinator)?;
            match &mut self.display {
                Display::Table(table) => table.show(coordinator, &self.watched, &mut self.out)?,
                Display::Lines(lines) => lines.show(coordinator, &self.watched, &places, &mut self.out)?,
                Display::Nothing => {}
            }
            if self.watched.state().is_at_rest() {
                if let Display::Table(table) = &mut self.display {
                    table.end(&self.watched, &mut self.out);
                }
                return Ok(());
            }
            if self.fails_fast && self.watched.counting().any(|row| row.is_bad()) {
                self.fails_fast = false;
                self.cancel_rest()?;
                continue;
            }
            if let Some(words) = self.watched.patience(coordinator)? {
                print::note(&words);
            }
            check()?;
            thread::sleep(PAUSE_MIN);
            self.wake.wait(POLL.saturating_sub(PAUSE_MIN));
        }
    }

    fn cancel_rest(&mut self) -> Done {
        print::note("a job has failed: the rest is canceled, as --fail-fast says");
        match self.coordinator.cancel_pipeline(self.watched.id, Timestamp::now()) {
            // Nothing goes on.
            Err(error) if error.kind == Kind::Conflict => Ok(()),
            canceled => Ok(canceled.map(drop)?),
        }
    }
}

/// What shows a pipeline while it runs.
enum Display {
    Table(Table),
    Lines(Lines),
    Nothing,
}

impl Display {
    fn of(options: &Options<'_>) -> Display {
        if options.json {
            Display::Nothing
        } else if !options.plain && terminal::is_drawable(&io::stdout()) {
            Display::Table(Table::new())
        } else {
            Display::Lines(Lines::default())
        }
    }
}

/// Standard output, until it fails: then nothing is printed any more, and the pipeline is followed all the same.
#[derive(Default)]
struct Out {
    failed: Option<Stop>,
}

impl Out {
    fn print(&mut self, text: &str) {
        if !text.is_empty() {
            self.done(|| print::out(text));
        }
    }

    fn done(&mut self, write: impl FnOnce() -> Done) {
        if self.failed.is_none() {
            self.failed = write().err();
        }
    }

    /// Says what went wrong, if it is worth it.
    fn end(self) {
        if let Some(Stop::Failed(message)) = self.failed {
            print::note(&message);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exit_status_says_how_it_ended() {
        for (state, code) in [
            (PipelineState::Success, 0),
            (PipelineState::Failed, 1),
            (PipelineState::Canceled, 1),
            (PipelineState::Skipped, 3),
            (PipelineState::Manual, 4),
        ] {
            assert_eq!(End::of(state).code, code, "{state:?}");
        }
    }
}
