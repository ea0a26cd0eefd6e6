//! Runners that wait for a build, and who of them is woken when one comes.
//!
//! Of all that could take a build, only as many are woken as there are builds, those that have waited longest
//! first: a thousand waiting runners and one build must not mean a thousand searches. A woken runner that leaves
//! has the others looked at again, whether it got a build or not.

use super::Coordinator;
use crate::domain::build::ProjectId;
use crate::domain::runner::{Runner, RunnerId};
use crate::error::Result;
use crate::store::{builds, runners};
use rusqlite::Connection;
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How soon a build is noticed that another process has queued. A look takes microseconds.
const FOREIGN_CHANGES_EVERY: Duration = Duration::from_millis(20);
/// Between two looks at who could take what, however many builds come.
const PAUSE_MIN: Duration = Duration::from_millis(1);
/// The pause is so many times as long as the look took, so that looking takes at most a fifth of a processor.
const PAUSE_PER_LOOK: u32 = 4;

/// Everybody that waits.
#[derive(Default)]
pub struct WaitingRoom {
    all: Mutex<Waiters>,
    look_again: AtomicBool,
}

#[derive(Default)]
struct Waiters {
    next: u64,
    /// By number, which is the order in which they came.
    waiters: BTreeMap<u64, Waiter>,
}

struct Waiter {
    runner: RunnerId,
    wake: Arc<dyn Fn() + Send + Sync>,
    woken: bool,
}

/// A place among those that wait; dropping it leaves.
pub struct Waiting {
    coordinator: Arc<Coordinator>,
    number: u64,
}

/// What decides which builds a runner may take, apart from their state.
type Profile = (i64, bool, Option<ProjectId>);

impl WaitingRoom {
    fn lock(&self) -> MutexGuard<'_, Waiters> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes one that still waits. Not under the lock: whoever is woken may leave at once.
    fn wake(&self, number: u64) {
        let wake = match self.lock().waiters.get_mut(&number) {
            Some(waiter) if !waiter.woken => {
                waiter.woken = true;
                Arc::clone(&waiter.wake)
            }
            Some(_) | None => return,
        };
        wake();
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let room = &self.coordinator.waiting;
        let left = room.lock().waiters.remove(&self.number);
        if left.is_some_and(|waiter| waiter.woken) {
            room.look_again.store(true, Ordering::Release);
            self.coordinator.store.queue().nudge();
        }
    }
}

impl Coordinator {
    /// Waits for a build for `runner`, who was told that there is none as of `generation`. `wake` is called, from
    /// another thread or this one, as soon as asking again makes sense.
    pub fn wait_for_build(
        self: &Arc<Self>,
        runner: RunnerId,
        generation: u64,
        wake: impl Fn() + Send + Sync + 'static,
    ) -> Waiting {
        let waiter = Waiter { runner, wake: Arc::new(wake), woken: false };
        let number = {
            let mut all = self.waiting.lock();
            all.next += 1;
            let number = all.next;
            all.waiters.insert(number, waiter);
            number
        };
        // What came in between has found nobody.
        if self.store.queue().generation() != generation {
            self.waiting.wake(number);
        }
        Waiting { coordinator: Arc::clone(self), number }
    }

    /// Wakes those that wait, as builds come, until `stop`.
    pub fn watch_queue(&self, stop: &AtomicBool) {
        let queue = self.store.queue();
        let mut seen = queue.generation();
        while !stop.load(Ordering::Acquire) {
            let mut newest = queue.wait(seen, FOREIGN_CHANGES_EVERY);
            if newest == seen {
                newest = self.store.look_at_queue().unwrap_or_else(|error| {
                    log::error!("cannot look at the queue: {error}; tried again");
                    seen
                });
            }
            let look_again = self.waiting.look_again.swap(false, Ordering::AcqRel);
            if newest == seen && !look_again {
                continue;
            }
            seen = newest;
            let started = Instant::now();
            if let Err(error) = self.wake_waiting() {
                log::error!("cannot see who could take a build: {error}; tried again");
                self.waiting.look_again.store(true, Ordering::Release);
            }
            thread::sleep((started.elapsed() * PAUSE_PER_LOOK).max(PAUSE_MIN));
        }
    }

    /// Wakes as many of those that wait as there are builds for them.
    fn wake_waiting(&self) -> Result<()> {
        let waiting: Vec<(u64, RunnerId)> = {
            let all = self.waiting.lock();
            all.waiters.iter().filter(|(_, waiter)| !waiter.woken).map(|(number, w)| (*number, w.runner)).collect()
        };
        if waiting.is_empty() {
            return Ok(());
        }
        let chosen = self.store.read(|c| self.choose(c, &waiting))?;
        chosen.into_iter().for_each(|number| self.waiting.wake(number));
        Ok(())
    }

    /// Those for whom asking again makes sense.
    fn choose(&self, c: &Connection, waiting: &[(u64, RunnerId)]) -> Result<Vec<u64>> {
        let mut known: HashMap<RunnerId, Option<Runner>> = HashMap::new();
        let mut builds_left: HashMap<Profile, usize> = HashMap::new();
        let mut chosen = Vec::new();
        for (number, id) in waiting {
            if !known.contains_key(id) {
                known.insert(*id, runners::by_id(c, *id)?);
            }
            let Some(runner) = known.get(id).and_then(Option::as_ref).filter(|runner| !runner.paused) else {
                // Removed or paused: it is to hear of that.
                chosen.push(*number);
                continue;
            };
            let project = runner.project.as_ref().map(|(id, _)| *id);
            if runner.locked && project.is_none() {
                continue;
            }
            let profile = (runner.tag_set_id, runner.run_untagged, project);
            let left = match builds_left.get_mut(&profile) {
                Some(left) => left,
                None => {
                    let sets = self.profiles.matching(c, runner, super::claim::Seen::Committed)?;
                    let count = builds::count_pending(c, &sets, project, waiting.len())?;
                    builds_left.entry(profile).or_insert(count)
                }
            };
            if *left > 0 {
                *left -= 1;
                chosen.push(*number);
            }
        }
        Ok(chosen)
    }
}
