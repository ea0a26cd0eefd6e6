//! What a server does by itself: a table of periodic deeds with the thread that runs them, and the thread that
//! watches for what commits have made possible for those who wait.

use crate::coordinator::{Coordinator, Serving};
use crate::domain::time::Timestamp;
use crate::error::Result;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

/// A deed that is done again and again.
struct Periodic {
    name: &'static str,
    every: Duration,
    deed: fn(&Coordinator, Timestamp) -> Result<()>,
}

/// Every periodic deed. All of them run at the start, too.
const TABLE: [Periodic; 11] = [
    // Before the sweep.
    Periodic {
        name: "notice absence",
        every: Duration::from_secs(1),
        deed: |c, now| c.notice_absence(now, Instant::now()),
    },
    Periodic { name: "reclaim", every: Duration::from_secs(1), deed: |c, _| c.reclaim().map(drop) },
    Periodic { name: "decide", every: Duration::from_secs(1), deed: |c, now| c.decide(now).map(drop) },
    Periodic { name: "start what is due", every: Duration::from_secs(1), deed: |c, now| c.start_due(now).map(drop) },
    Periodic { name: "make children", every: Duration::from_secs(1), deed: |c, now| c.make_children(now).map(drop) },
    Periodic { name: "find undecided", every: Duration::from_secs(5), deed: |c, now| c.find_undecided(now).map(drop) },
    Periodic {
        name: "end lost runners",
        every: Duration::from_secs(2),
        deed: |c, now| c.end_lost_runners(now).map(drop),
    },
    Periodic { name: "sweep", every: Duration::from_secs(5), deed: |c, now| c.sweep(now).map(drop) },
    Periodic { name: "retire", every: Duration::from_secs(5), deed: |c, now| c.retire(now).map(drop) },
    Periodic { name: "sweep sources", every: Duration::from_secs(300), deed: |c, _| c.sweep_sources().map(drop) },
    Periodic { name: "say alive", every: Duration::from_secs(30), deed: Coordinator::say_alive },
];

/// The threads. Dropping it ends them.
pub struct Background {
    coordinator: Arc<Coordinator>,
    stop: Option<Sender<()>>,
    stopping: Arc<AtomicBool>,
    threads: Vec<thread::JoinHandle<()>>,
}

impl Background {
    /// Begins.
    ///
    /// # Errors
    /// When no thread can be had.
    pub fn start(coordinator: Arc<Coordinator>, serving: Arc<Serving>) -> Result<Background> {
        let (stop, stopped) = channel::<()>();
        let stopping = Arc::new(AtomicBool::new(false));
        let watch = {
            let (coordinator, stopping) = (Arc::clone(&coordinator), Arc::clone(&stopping));
            move || coordinator.watch_queue(&stopping)
        };
        let readers = {
            let (coordinator, stopping) = (Arc::clone(&coordinator), Arc::clone(&stopping));
            move || coordinator.wake_readers(&stopping)
        };
        let mut background =
            Background { coordinator: Arc::clone(&coordinator), stop: Some(stop), stopping, threads: Vec::new() };
        background.threads.push(thread::Builder::new().name("queue".to_owned()).spawn(watch)?);
        background.threads.push(thread::Builder::new().name("readers".to_owned()).spawn(readers)?);
        background.threads.push(thread::Builder::new().name("background".to_owned()).spawn(move || {
            let mut due = TABLE.map(|_| Instant::now());
            loop {
                // At least each second, as the table has it. The database says so, too, but less often.
                if let Err(error) = serving.say_alive(Timestamp::now()) {
                    log::debug!("say alive: {error}");
                }
                for (periodic, due) in TABLE.iter().zip(&mut due) {
                    if Instant::now() >= *due {
                        if let Err(error) = (periodic.deed)(&coordinator, Timestamp::now()) {
                            log::error!("{}: {error}; tried again in {:?}", periodic.name, periodic.every);
                        }
                        *due = Instant::now() + periodic.every;
                    }
                }
                let next = due.iter().min().copied().unwrap_or_else(Instant::now);
                match stopped.recv_timeout(next.saturating_duration_since(Instant::now())) {
                    Err(RecvTimeoutError::Timeout) => {}
                    Ok(()) | Err(RecvTimeoutError::Disconnected) => return,
                }
            }
        })?);
        Ok(background)
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        drop(self.stop.take());
        self.coordinator.end_watch(&self.stopping);
        for thread in self.threads.drain(..) {
            let name = thread.thread().name().unwrap_or_default().to_owned();
            if thread.join().is_err() {
                log::error!("the thread {name} had panicked");
            }
        }
    }
}
