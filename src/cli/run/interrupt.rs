//! Ctrl-C and its kin while `baton run` has a build or a pipeline: the first cancels it, whatever else this process waits for
//! just then; one that comes well after that ends the process at once.
//!
//! What must stay true: once a build may be queued, no signal ends this process before the build is canceled, durably.
//! Signals come in volleys (`timeout` sends two, a closed terminal one and an error of each write), so that a second one
//! means something only when the first has had its effect for a while. Nothing is written to a terminal before the
//! build is canceled, since the terminal may be gone, or stand still.

use crate::cli::show::print;
use crate::cli::{Done, signals};
use crate::coordinator::Coordinator;
use crate::domain::build::BuildId;
use crate::domain::pipeline::PipelineId;
use crate::domain::time::Timestamp;
use crate::error::Kind;
use crate::sync::lock;
use nix::sys::signal::Signal;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, mpsc};
use std::thread;
use std::time::{Duration, Instant};

/// The signals that ask a program to end.
const SIGNALS: [Signal; 4] = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGQUIT];

/// A later signal counts when the first has had its effect for so long.
const APART: Duration = Duration::from_secs(1);

/// How long the last words may take.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// Between two tries to cancel, while the database is busy.
const PAUSE: Duration = Duration::from_millis(100);

/// What a signal finds.
#[derive(Default)]
pub struct Interrupt {
    stage: Mutex<Stage>,
    what: OnceLock<Queued>,
    stop: AtomicBool,
    /// Whether a signal has come.
    is_asked: AtomicBool,
    /// Since when the first signal has had its effect, or cannot have it for now.
    settled: OnceLock<Instant>,
}

/// What this process waits for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Queued {
    /// A build.
    Build(BuildId),
    /// All builds of a pipeline.
    Pipeline(PipelineId),
}

impl Queued {
    fn noun(self) -> &'static str {
        match self {
            Queued::Build(_) => "build",
            Queued::Pipeline(_) => "pipeline",
        }
    }
}

impl fmt::Display for Queued {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Queued::Build(id) => id.fmt(f),
            Queued::Pipeline(id) => id.fmt(f),
        }
    }
}

/// Has what this process runs end as canceled.
type Canceler = Arc<dyn Fn() + Send + Sync>;

/// What is there to be stopped.
#[derive(Default)]
enum Stage {
    /// Nothing: the process ends.
    #[default]
    Before,
    /// What is queued, and what has its runner hear of that at once, if it is in this process.
    Queued(Arc<Coordinator>, Queued, Canceler),
    /// What looks at the flag.
    After,
}

impl Interrupt {
    /// Watches from now on; with SIGHUP only if this process is not to ignore it, as `nohup` wants. To be called before
    /// any other thread starts.
    pub fn watch() -> Done<Arc<Interrupt>> {
        let interrupt = Arc::<Interrupt>::default();
        let (found, mut is_first) = (Arc::clone(&interrupt), true);
        let ignored = signals::ignored();
        let is_heard = |signal: &Signal| *signal != Signal::SIGHUP || !ignored.contains(signal);
        let heard: Vec<Signal> = SIGNALS.into_iter().filter(is_heard).collect();
        signals::each(&heard, move |_| {
            if is_first {
                is_first = false;
                found.is_asked.store(true, Ordering::SeqCst);
                let (found, copy) = (Arc::clone(&found), Arc::clone(&found));
                // Else a later signal would wait for what the first one waits for.
                if thread::Builder::new().spawn(move || found.stop()).is_err() {
                    copy.stop();
                }
            } else if found.settled.get().is_some_and(|since| since.elapsed() >= APART) {
                found.end_at_once();
            }
        })?;
        Ok(interrupt)
    }

    /// Queues a build or a pipeline with `queue`; from then on a signal cancels it, also one that came in the meantime, and calls
    /// `canceler`.
    pub fn queue(
        &self,
        coordinator: &Arc<Coordinator>,
        canceler: Canceler,
        queue: impl FnOnce() -> Done<Queued>,
    ) -> Done {
        let mut stage = self.lock();
        let what = queue()?;
        *stage = Stage::Queued(Arc::clone(coordinator), what, canceler);
        // Once only: `queue` is called once.
        let _ = self.what.set(what);
        Ok(())
    }

    /// The build has ended; from now on a signal only sets the flag, which is returned.
    pub fn after_build(&self) -> &AtomicBool {
        *self.lock() = Stage::After;
        &self.stop
    }

    /// Whether a signal has come.
    pub fn is_asked(&self) -> bool {
        self.is_asked.load(Ordering::SeqCst)
    }

    /// Waits until a signal that has come has had its effect. To be called before this process ends for another reason.
    pub fn wait_for_effect(&self) {
        while self.is_asked.load(Ordering::SeqCst) && self.settled.get().is_none() {
            thread::sleep(PAUSE / 10);
        }
    }

    /// What the first signal does.
    fn stop(&self) {
        let stage = self.lock();
        let (coordinator, what, canceler) = match &*stage {
            Stage::Before => last_words("ended by a signal; nothing was queued"),
            Stage::After => {
                self.stop.store(true, Ordering::Relaxed);
                self.settle();
                return;
            }
            Stage::Queued(coordinator, what, canceler) => (Arc::clone(coordinator), *what, Arc::clone(canceler)),
        };
        let noun = what.noun();
        match self.cancel(&coordinator, what) {
            // Conflict: it has ended in the meantime.
            Err(error) if error.kind != Kind::Conflict => {
                last_words(&format!("{noun} {what} is not canceled: {error}; `baton {noun} cancel {what}` does it"))
            }
            _ => self.settle(),
        }
        canceler();
        drop(stage);
        print::note(&format!("canceling {noun} {what}; a signal after more than a second ends this at once"));
    }

    /// Cancels it, durably, as soon as the database can be written.
    fn cancel(&self, coordinator: &Coordinator, what: Queued) -> crate::error::Result<()> {
        loop {
            let now = Timestamp::now();
            let canceled = match what {
                Queued::Build(id) => coordinator.cancel_build(id, now).map(drop),
                Queued::Pipeline(id) => coordinator.cancel_pipeline(id, now).map(drop),
            };
            match canceled {
                Err(error) if error.kind == Kind::Busy => {
                    self.settle();
                    thread::sleep(PAUSE);
                }
                result => return result,
            }
        }
    }

    fn settle(&self) {
        // The first time counts.
        let _ = self.settled.set(Instant::now());
    }

    fn end_at_once(&self) -> ! {
        let advice = match self.what.get() {
            Some(what) => format!("; `baton {0} show {what}` says what becomes of the {0}", what.noun()),
            None => String::new(),
        };
        last_words(&format!("ended at once by a second signal{advice}"))
    }

    fn lock(&self) -> MutexGuard<'_, Stage> {
        lock(&self.stage)
    }
}

/// Says this, if it can be said soon, and ends the process.
fn last_words(text: &str) -> ! {
    let (said, heard) = mpsc::channel();
    let text = text.to_owned();
    let say = move || {
        print::note(&text);
        // Nobody may listen any more.
        let _ = said.send(());
    };
    if thread::Builder::new().spawn(say).is_ok() {
        let _ = heard.recv_timeout(LAST_WORDS);
    }
    std::process::exit(1);
}
