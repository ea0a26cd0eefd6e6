//! What a server does by itself: two tables of periodic deeds with a thread each that does them, and the thread that
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

/// Every periodic deed that is quick. All of them run at the start, too.
const QUICK: [Periodic; 10] = [
    // Before the sweep.
    Periodic {
        name: "notice absence",
        every: Duration::from_secs(1),
        deed: |c, now| c.notice_absence(now, Instant::now()),
    },
    Periodic { name: "reclaim", every: Duration::from_secs(1), deed: |c, _| c.reclaim().map(drop) },
    Periodic { name: "decide", every: Duration::from_secs(1), deed: |c, now| c.decide(now).map(drop) },
    Periodic { name: "start what is due", every: Duration::from_secs(1), deed: |c, now| c.start_due(now).map(drop) },
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

/// Those that may ask others, and so take long: they have a thread of their own.
const SLOW: [Periodic; 2] = [
    Periodic { name: "make children", every: Duration::from_secs(1), deed: |c, now| c.make_children(now).map(drop) },
    Periodic { name: "sweep mirrors", every: Duration::from_secs(300), deed: |c, _| c.sweep_mirrors() },
];

/// The threads. Dropping it ends them.
pub struct Background {
    coordinator: Arc<Coordinator>,
    stop: Vec<Sender<()>>,
    stopping: Arc<AtomicBool>,
    threads: Vec<thread::JoinHandle<()>>,
}

impl Background {
    /// Begins.
    ///
    /// # Errors
    /// When no thread can be had.
    pub fn start(coordinator: Arc<Coordinator>, serving: Arc<Serving>) -> Result<Background> {
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
            Background { coordinator: Arc::clone(&coordinator), stop: Vec::new(), stopping, threads: Vec::new() };
        background.threads.push(thread::Builder::new().name("queue".to_owned()).spawn(watch)?);
        background.threads.push(thread::Builder::new().name("readers".to_owned()).spawn(readers)?);
        let say_alive = move || {
            // At least each second, as the table has it. The database says so, too, but less often.
            if let Err(error) = serving.say_alive(Timestamp::now()) {
                log::debug!("say alive: {error}");
            }
        };
        background.repeat("background", &QUICK, say_alive)?;
        background.repeat("slow background", &SLOW, || {})?;
        Ok(background)
    }

    /// Begins a thread that does these deeds, each when it is due, and `each_round` before.
    fn repeat(&mut self, name: &str, table: &'static [Periodic], each_round: impl Fn() + Send + 'static) -> Result<()> {
        let (stop, stopped) = channel::<()>();
        let coordinator = Arc::clone(&self.coordinator);
        let thread = thread::Builder::new().name(name.to_owned()).spawn(move || {
            let mut due: Vec<Instant> = table.iter().map(|_| Instant::now()).collect();
            loop {
                each_round();
                for (periodic, due) in table.iter().zip(&mut due) {
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
        })?;
        self.stop.push(stop);
        self.threads.push(thread);
        Ok(())
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        self.stop.clear();
        self.coordinator.end_fetches();
        self.coordinator.end_watch(&self.stopping);
        for thread in self.threads.drain(..) {
            let name = thread.thread().name().unwrap_or_default().to_owned();
            if thread.join().is_err() {
                log::error!("the thread {name} had panicked");
            }
        }
    }
}
