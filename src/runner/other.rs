//! Another program that runs jobs, as a `gitlab-runner` does, kept as a job is: it and all that descends from it ends with
//! this process, by whatever death.

use super::environment::passed;
use super::frames::{End, Start};
use super::process::{Keeper, Program, Said};
use crate::error::{Error, Kind, Result};
use std::ffi::OsString;
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How often it is looked whether it is to end.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// For how long it may go on when it was told to end.
const END_TIME: Duration = Duration::from_secs(2);

/// A program that runs. Dropping it ends it.
pub struct Other {
    end: Option<Sender<()>>,
    over: Receiver<String>,
    thread: Option<JoinHandle<()>>,
}

impl Other {
    /// Starts `program` in `folder`, with what jobs see of this process's environment, and what `pass_env` names. What it
    /// prints goes to `print`.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start(
        program: &Path,
        arguments: Vec<String>,
        pass_env: &[String],
        folder: &Path,
        mut print: impl FnMut(&[u8]) + Send + 'static,
    ) -> Result<Other> {
        let failed =
            |why: String| Error::new(Kind::Internal, format!("{} cannot be started: {why}", program.display()));
        let environment: Vec<(OsString, OsString)> = passed(std::env::vars_os(), pass_env);
        let own = Program::own().map_err(|error| failed(error.to_string()))?;
        let mut keeper = Keeper::start(&own, &environment, folder).map_err(|error| failed(error.to_string()))?;
        let name = program.to_str().ok_or_else(|| failed("its path is not UTF-8".to_owned()))?.to_owned();
        let start = Start { program: name, arguments, folder: folder.to_owned(), script: String::new() };
        keeper.begin(&start).map_err(|error| failed(error.to_string()))?;
        let (end, ended) = channel();
        let (tell, over) = channel();
        let follow = move || {
            let why = follow(&mut keeper, &ended, &mut print);
            // Whatever is left of it ends before anybody is told.
            drop(keeper);
            // Nobody may listen any more.
            let _ = tell.send(why);
        };
        let thread = thread::Builder::new().name("other runner".to_owned()).spawn(follow)?;
        Ok(Other { end: Some(end), over, thread: Some(thread) })
    }

    /// Why it has ended, if it has.
    #[must_use]
    pub fn why_over(&self) -> Option<String> {
        match self.over.try_recv() {
            Ok(why) => Some(why),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => Some("it is not known why".to_owned()),
        }
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            ::log::error!("the thread of another runner had panicked");
        }
    }
}

/// Passes on what it prints, until it ends or is to end. Says why it has ended.
fn follow(keeper: &mut Keeper, ended: &Receiver<()>, print: &mut impl FnMut(&[u8])) -> String {
    let mut end_at: Option<Instant> = None;
    loop {
        match keeper.next(LOOK_EVERY) {
            // What it says of being told to end is no news.
            Some(Said::Printed(_, bytes)) if end_at.is_none() => print(&bytes),
            Some(Said::Ended(End::Status(status))) => return format!("it exited with {status}"),
            Some(Said::Ended(End::Signal(signal))) => return format!("it was ended by signal {signal}"),
            Some(Said::Failed(why)) => return why,
            Some(Said::Lost) => return "the process that keeps it was ended".to_owned(),
            Some(Said::Printed(..) | Said::PipeEnded | Said::Held(_)) | None => {}
        }
        match end_at {
            Some(at) if Instant::now() >= at => {
                keeper.kill_all();
                return "it was told to end".to_owned();
            }
            Some(_) => {}
            None => {
                if !matches!(ended.recv_timeout(Duration::ZERO), Err(RecvTimeoutError::Timeout)) {
                    keeper.ask();
                    end_at = Some(Instant::now() + END_TIME);
                }
            }
        }
    }
}
