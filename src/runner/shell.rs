//! Runs one shell of a job, until it has ended and nobody holds its output, or until it must end.
//!
//! What must stay true: whatever a job's processes do, a shell that was told to end is over after a bounded time; what it
//! says then does not count. The log takes what is printed, as it comes.

use super::client::Wish;
use super::frames::{End, Start};
use super::log::Stream;
use super::orders::{Ending, Stop, Wishes};
use super::process::{Keeper, Said};
use super::stages::Failure;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How often it is looked whether a shell must end.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// From a kill to the next, harder one.
const KILL_TIME: Duration = Duration::from_secs(4);
/// For how long output may be held when a shell that was told to end has ended.
const HELD_TIME: Duration = Duration::from_secs(5);

/// For how long a job's processes may go on when they were told to end.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// By the server, or since their time is up.
    pub usual: Duration,
    /// By whoever ends the runner, or when nobody wants the job any more.
    pub at_stop: Duration,
}

impl Default for Patience {
    fn default() -> Patience {
        Patience { usual: Duration::from_secs(600), at_stop: Duration::from_secs(10) }
    }
}

/// What may end a job.
pub struct Watch {
    /// The job's time, and when it is up.
    pub timeout: Duration,
    /// See there.
    pub deadline: Instant,
    /// What the server wants.
    pub wishes: Arc<Wishes>,
    /// What the runner's own end wants.
    pub stop: Stop,
    /// How long to wait for processes.
    pub patience: Patience,
}

impl Watch {
    /// Why the job must end, if it must. A cancel only counts until it was obeyed.
    #[must_use]
    pub fn cause(&self, counts_cancel: bool) -> Option<Failure> {
        let wish = self.wishes.strictest();
        if self.stop.ending() >= Ending::Interrupt {
            Some(Failure::Interrupted)
        } else if wish == Wish::Abort {
            Some(Failure::Aborted)
        } else if Instant::now() >= self.deadline {
            Some(Failure::JobTimeout(self.timeout))
        } else if counts_cancel && (wish == Wish::Cancel || self.stop.is_canceling()) {
            Some(Failure::Canceled)
        } else {
            None
        }
    }

    fn patience(&self, cause: &Failure) -> Duration {
        if self.stop.ending() == Ending::Kill {
            return Duration::ZERO;
        }
        match cause {
            Failure::Interrupted | Failure::Aborted => self.patience.at_stop,
            Failure::Canceled if self.stop.is_canceling() => self.patience.at_stop,
            Failure::Canceled
            | Failure::JobTimeout(_)
            | Failure::ScriptTimeout
            | Failure::Exit(_)
            | Failure::Signal(_)
            | Failure::Environment(_)
            | Failure::System(_)
            | Failure::Configuration(_) => self.patience.usual,
        }
    }
}

/// One run of a shell.
pub struct Run<'a> {
    /// Where its output goes.
    pub output: &'a dyn Fn(Stream, &[u8]),
    /// What may end it.
    pub watch: &'a Watch,
    /// What may end it, beside: its own time.
    pub timeout: Option<Duration>,
    /// Whether a cancel ends it.
    pub counts_cancel: bool,
    /// The job's name, for who looks after the machine.
    pub name: &'a str,
}

/// How far a shell is on its way to its end.
struct State {
    end: Option<End>,
    open_pipes: u8,
    cause: Option<Failure>,
    /// When something harder is done, and how often that was.
    harder_at: Option<Instant>,
    kills: u8,
}

impl Run<'_> {
    /// Runs it in `keeper`, which is taken when it has to be destroyed.
    ///
    /// # Errors
    /// Why it did not go well.
    pub fn run(&self, keeper: &mut Option<Keeper>, start: &Start) -> Result<(), Failure> {
        let Some(own) = keeper.as_mut() else { return Err(Failure::System("there is no keeper".to_owned())) };
        own.begin(start).map_err(|error| Failure::System(format!("cannot start a shell: {error}")))?;
        let script_deadline = self.timeout.map(|time| Instant::now() + time);
        let mut state = State { end: None, open_pipes: 2, cause: None, harder_at: None, kills: 0 };
        while state.end.is_none() || state.open_pipes > 0 {
            match own.next(LOOK_EVERY) {
                None => {}
                Some(Said::Printed(stream, bytes)) => (self.output)(stream, &bytes),
                Some(Said::PipeEnded) => state.open_pipes = state.open_pipes.saturating_sub(1),
                Some(Said::Ended(end)) => self.note_end(&mut state, end),
                Some(Said::Held(who)) => {
                    log::warn!("job {}: the script has ended, but {who} holds its output", self.name);
                }
                Some(Said::Failed(why)) => {
                    return Err(Failure::System(format!("cannot start {}: {why}", start.program)));
                }
                Some(Said::Lost) => {
                    drop(keeper.take());
                    let cause = || Failure::System("the process that keeps the job was ended".to_owned());
                    return Err(state.cause.unwrap_or_else(cause));
                }
            }
            self.look(&mut state, own, script_deadline);
            if state.kills > 2 {
                if let Some(keeper) = keeper.take() {
                    keeper.destroy();
                }
                break;
            }
        }
        match (state.cause, state.end) {
            (Some(cause), _) => Err(cause),
            (None, Some(End::Status(0))) => Ok(()),
            (None, Some(End::Status(status))) => Err(Failure::Exit(status)),
            (None, Some(End::Signal(signal))) => Err(Failure::Signal(signal_name(signal))),
            (None, None) => Err(Failure::System("the shell has no end".to_owned())),
        }
    }

    fn note_end(&self, state: &mut State, end: End) {
        state.end = Some(end);
        if let (Some(_), Some(at)) = (&state.cause, state.harder_at) {
            state.harder_at = Some(at.min(Instant::now() + HELD_TIME));
        }
    }

    /// Looks whether the shell must end, and does the next harder thing when it is time.
    fn look(&self, state: &mut State, keeper: &mut Keeper, script_deadline: Option<Instant>) {
        let now = Instant::now();
        let is_over = script_deadline.is_some_and(|deadline| now >= deadline);
        let cause = self.watch.cause(self.counts_cancel).or(is_over.then_some(Failure::ScriptTimeout));
        let is_stricter = |cause: &Failure| match &state.cause {
            None => true,
            Some(had) => cause.ends_everything() && !had.ends_everything(),
        };
        if let Some(cause) = cause.filter(is_stricter) {
            keeper.ask();
            let at = now + self.watch.patience(&cause);
            state.harder_at = Some(state.harder_at.map_or(at, |before| before.min(at)));
            state.cause = Some(cause);
        }
        let is_killed = state.cause.is_some() && state.kills == 0 && self.watch.stop.ending() == Ending::Kill;
        if !is_killed && state.harder_at.is_none_or(|at| now < at) {
            return;
        }
        match state.kills {
            0 => keeper.kill(),
            1 => keeper.kill_all(),
            _ => {}
        }
        state.kills += 1;
        state.harder_at = Some(now + KILL_TIME);
    }
}

/// A signal as Go calls it.
fn signal_name(signal: i32) -> String {
    match signal {
        1 => "hangup",
        2 => "interrupt",
        3 => "quit",
        4 => "illegal instruction",
        5 => "trace/breakpoint trap",
        6 => "aborted",
        7 => "bus error",
        8 => "floating point exception",
        9 => "killed",
        10 => "user defined signal 1",
        11 => "segmentation fault",
        12 => "user defined signal 2",
        13 => "broken pipe",
        14 => "alarm clock",
        15 => "terminated",
        _ => return format!("signal {signal}"),
    }
    .to_owned()
}
