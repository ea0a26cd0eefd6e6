//! Runners that wait for a build, and who of them is woken when one comes.
//!
//! Of all that could take a build, only as many are woken as there are builds, those that have waited longest
//! first: a thousand waiting runners and one build must not mean a thousand searches. A woken runner that leaves
//! has the others looked at again, whether it got a build or not.

use crate::coordinator::Coordinator;
use crate::domain::build::ProjectId;
use crate::domain::runner::{Runner, RunnerId};
use crate::error::Result;
use crate::store::{builds, runner_builds, runners};
use crate::sync::lock;
use rusqlite::Connection;
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

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

/// One that waits: its number, who it is, and whether it was woken.
type Candidate = (u64, RunnerId, bool);

/// What decides which builds a runner may take, apart from their state; itself, if it takes those only for which it was
/// made.
type Profile = (i64, bool, Option<ProjectId>, Option<RunnerId>);

impl WaitingRoom {
    fn lock(&self) -> MutexGuard<'_, Waiters> {
        lock(&self.all)
    }

    /// Wakes one, unless that was done before; false: it has left. Not under the lock: whoever is woken may leave
    /// at once.
    fn wake(&self, number: u64) -> bool {
        let wake = match self.lock().waiters.get_mut(&number) {
            Some(waiter) if !waiter.woken => {
                waiter.woken = true;
                Arc::clone(&waiter.wake)
            }
            Some(_) => return true,
            None => return false,
        };
        wake();
        true
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let room = &self.coordinator.waiting;
        let left = room.lock().waiters.remove(&self.number);
        if left.is_some_and(|waiter| waiter.woken) {
            room.look_again.store(true, Ordering::Release);
            self.coordinator.store.changes().nudge();
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
        if self.store.changes().generation() != generation {
            self.waiting.wake(number);
        }
        Waiting { coordinator: Arc::clone(self), number }
    }

    /// How many wait, those included that were woken and have not left yet.
    #[must_use]
    pub fn count_waiting(&self) -> usize {
        self.waiting.lock().waiters.len()
    }

    /// Wakes those that wait, as builds come, whichever process queues them, until [`Coordinator::end_watch`]. Only for
    /// who has the right to serve.
    pub fn watch_queue(&self, stop: &AtomicBool) {
        let _ear = self.store.listen();
        // No generation that there is: some may wait already for what came before this began.
        let mut seen = 0;
        while !stop.load(Ordering::Acquire) {
            let newest = self.store.wait_for_change(seen).unwrap_or_else(|error| {
                log::error!("cannot look at the queue: {error}; tried again");
                seen
            });
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

    /// Ends a watch that was given this `stop`.
    pub fn end_watch(&self, stop: &AtomicBool) {
        stop.store(true, Ordering::Release);
        self.store.changes().nudge();
        self.nudge_readers();
    }

    /// Wakes as many of those that wait as there are builds for them.
    fn wake_waiting(&self) -> Result<()> {
        let waiting: Vec<Candidate> = {
            let all = self.waiting.lock();
            let candidate = |(number, waiter): (&u64, &Waiter)| (*number, waiter.runner, waiter.woken);
            all.waiters.iter().map(candidate).collect()
        };
        if waiting.iter().all(|(_, _, woken)| *woken) {
            return Ok(());
        }
        for number in self.store.read(|c| self.choose(c, &waiting))? {
            if !self.waiting.wake(number) {
                // What it was chosen for is left for another, whom nobody has looked at for that.
                self.waiting.look_again.store(true, Ordering::Release);
                self.store.changes().nudge();
            }
        }
        Ok(())
    }

    /// Those for whom asking again makes sense. Those that were woken and have not left yet are about to take a build:
    /// it is not another's, too.
    fn choose(&self, c: &Connection, waiting: &[Candidate]) -> Result<Vec<u64>> {
        let mut known: HashMap<RunnerId, Option<Runner>> = HashMap::new();
        let mut builds_left: HashMap<Profile, usize> = HashMap::new();
        let mut chosen = Vec::new();
        for (number, id, woken) in waiting {
            if !known.contains_key(id) {
                known.insert(*id, runners::by_id(c, *id)?);
            }
            let Some(runner) = known.get(id).and_then(Option::as_ref).filter(|runner| !runner.paused) else {
                // Removed or paused: it is to hear of that.
                chosen.extend((!woken).then_some(number));
                continue;
            };
            let project = runner.project.as_ref().map(|(id, _)| *id);
            let own = (runner.locked && project.is_none()).then_some(*id);
            let profile = (runner.tag_set_id, runner.run_untagged, project, own);
            let left = match builds_left.get_mut(&profile) {
                Some(left) => left,
                None => {
                    let count = match own {
                        Some(id) => runner_builds::count_pending(c, id)?,
                        None => {
                            let sets = self.profiles.matching(c, runner, super::claim::Seen::Committed)?;
                            builds::count_pending(c, &sets, project, waiting.len())?
                        }
                    };
                    builds_left.entry(profile).or_insert(count)
                }
            };
            if *left > 0 {
                *left -= 1;
                chosen.extend((!woken).then_some(number));
            }
        }
        Ok(chosen)
    }
}
