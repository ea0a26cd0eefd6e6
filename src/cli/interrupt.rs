//! Ctrl-C and its kin while `baton run` has a build: the first cancels the build, whatever else this process waits for
//! just then, the second ends the process at once.

use super::{Done, print, signals};
use crate::coordinator::Coordinator;
use crate::domain::build::BuildId;
use crate::domain::time::Timestamp;
use crate::error::Kind;
use nix::sys::signal::Signal;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;

/// What a signal finds.
#[derive(Default)]
pub struct Interrupt {
    stage: Mutex<Stage>,
    build: OnceLock<BuildId>,
    stop: AtomicBool,
}

/// What is there to be stopped.
#[derive(Default)]
enum Stage {
    /// Nothing: the process ends.
    #[default]
    Before,
    /// The build.
    Build(Arc<Coordinator>, BuildId),
    /// What looks at the flag.
    After,
}

impl Interrupt {
    /// Watches from now on. To be called before any other thread starts.
    pub fn watch() -> Done<Arc<Interrupt>> {
        let interrupt = Arc::<Interrupt>::default();
        let (found, mut is_first) = (Arc::clone(&interrupt), true);
        signals::each(&[Signal::SIGINT, Signal::SIGTERM], move |_| {
            if !is_first {
                found.end_at_once();
            }
            is_first = false;
            let found = Arc::clone(&found);
            // Else a second signal would wait for what the first one waits for.
            thread::spawn(move || found.stop());
        })?;
        Ok(interrupt)
    }

    /// Queues a build with `queue`; from then on a signal cancels it.
    pub fn queue(&self, coordinator: &Arc<Coordinator>, queue: impl FnOnce() -> Done<BuildId>) -> Done<BuildId> {
        let mut stage = self.lock();
        let id = queue()?;
        *stage = Stage::Build(Arc::clone(coordinator), id);
        // Once only: `queue` is called once.
        let _ = self.build.set(id);
        Ok(id)
    }

    /// The build has ended; from now on a signal only sets the flag, which is returned.
    pub fn after_build(&self) -> &AtomicBool {
        *self.lock() = Stage::After;
        &self.stop
    }

    fn stop(&self) {
        match &*self.lock() {
            Stage::Before => {
                print::note("ended by a signal; nothing was queued");
                std::process::exit(1);
            }
            Stage::Build(coordinator, id) => {
                print::note(&format!("canceling build {id}; a second signal ends this at once"));
                match coordinator.cancel_build(*id, Timestamp::now()) {
                    Ok(()) => {}
                    // It has ended in the meantime.
                    Err(error) if error.kind == Kind::Conflict => {}
                    Err(error) => {
                        print::note(&format!("build {id} is not canceled: {error}; `baton build cancel {id}` does it"));
                        std::process::exit(1);
                    }
                }
            }
            Stage::After => self.stop.store(true, Ordering::Relaxed),
        }
    }

    fn end_at_once(&self) -> ! {
        let advice = match self.build.get() {
            Some(id) => format!("; `baton build show {id}` says what becomes of the build"),
            None => String::new(),
        };
        print::note(&format!("ended at once by a second signal{advice}"));
        std::process::exit(1);
    }

    fn lock(&self) -> MutexGuard<'_, Stage> {
        self.stage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
