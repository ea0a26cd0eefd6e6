//! One connection writes, and what arrives together shares one durable commit.
//!
//! Callers queue their jobs. The first of them becomes the leader: it runs all queued jobs in one
//! transaction, each under a savepoint of its own, commits, and only then hands out the answers. A lone
//! caller thus commits itself, without a switch of threads; under load a commit serves dozens (measured:
//! ten times the writes of a mutex around single commits, at 64 clients).

use crate::crew;
use crate::error::{Error, Result};
use crate::store::queue::{self, Queue};
use rusqlite::{Connection, TransactionBehavior};
use std::any::Any;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// Most jobs in one commit: bounds how long the first of them waits.
const JOBS_PER_COMMIT_MAX: usize = 256;

type Answer = Result<Box<dyn Any + Send>>;
type Run = Box<dyn FnOnce(&Connection) -> Answer + Send>;

/// What a waiting caller is told.
enum Turn {
    /// Its job is done.
    Done(Answer),
    /// The leader before it has finished; the caller leads the next group, its own job included.
    Lead,
}

struct Job {
    run: Run,
    caller: Arc<Seat>,
}

/// Where a caller waits for its turn. A channel would spin before it sleeps, which costs more than the sleep.
#[derive(Default)]
struct Seat {
    turn: Mutex<Option<Turn>>,
    given: Condvar,
}

impl Seat {
    fn give(&self, turn: Turn) {
        *self.turn.lock().unwrap_or_else(PoisonError::into_inner) = Some(turn);
        self.given.notify_one();
    }

    fn wait(&self) -> Turn {
        let mut turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            match turn.take() {
                Some(turn) => return turn,
                None => turn = self.given.wait(turn).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }
}

#[derive(Default)]
struct Waiting {
    jobs: VecDeque<Job>,
    /// Whether some caller is running a group, or was told to.
    led: bool,
}

pub struct Writer {
    connection: Mutex<Connection>,
    waiting: Mutex<Waiting>,
    queue: Arc<Queue>,
}

impl Writer {
    /// Writes through `connection`, and tells `queue` what became of its generation.
    pub fn new(connection: Connection, queue: Arc<Queue>) -> Writer {
        Writer { connection: Mutex::new(connection), waiting: Mutex::new(Waiting::default()), queue }
    }

    pub fn write<T, F>(&self, job: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T> + Send + 'static,
    {
        let seat = Arc::new(Seat::default());
        let run: Run = Box::new(move |connection| Ok(Box::new(job(connection)?) as Box<dyn Any + Send>));
        let leads = {
            let mut waiting = self.waiting();
            waiting.jobs.push_back(Job { run, caller: Arc::clone(&seat) });
            !std::mem::replace(&mut waiting.led, true)
        };
        let answer = crew::waiting(|| if leads { self.lead(&seat) } else { self.follow(&seat) })?;
        answer.downcast().map(|answer| *answer).map_err(|_| Error::internal("a job answered with another type"))
    }

    fn follow(&self, seat: &Seat) -> Answer {
        match seat.wait() {
            Turn::Done(answer) => answer,
            Turn::Lead => self.lead(seat),
        }
    }

    /// Runs one group, which the caller's own job is part of, and passes the lead on.
    fn lead(&self, seat: &Seat) -> Answer {
        let group: Vec<Job> = {
            let mut waiting = self.waiting();
            let count = waiting.jobs.len().min(JOBS_PER_COMMIT_MAX);
            waiting.jobs.drain(..count).collect()
        };
        let mut callers = Vec::with_capacity(group.len());
        let committed = {
            // A panic inside a job is caught in `run_job`, so that a poisoned lock still holds a usable connection.
            let mut connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
            self.commit_group(&mut connection, group, &mut callers)
        };
        // Before the answers: the next group need not wait until everybody of this one is awake.
        self.pass_on();
        for (caller, answer) in callers {
            let answer = match &committed {
                Ok(()) => answer,
                // Nothing of the group is stored, whatever the job itself says.
                Err(error) => Err(Error::new(error.kind, error.message.clone())),
            };
            caller.give(Turn::Done(answer));
        }
        self.follow(seat)
    }

    /// Makes the next one in the queue lead.
    fn pass_on(&self) {
        let mut waiting = self.waiting();
        match waiting.jobs.front() {
            Some(next) => next.caller.give(Turn::Lead),
            None => waiting.led = false,
        }
    }

    fn commit_group(
        &self,
        connection: &mut Connection,
        group: Vec<Job>,
        callers: &mut Vec<(Arc<Seat>, Answer)>,
    ) -> Result<()> {
        let transaction = match connection.transaction_with_behavior(TransactionBehavior::Immediate) {
            Ok(transaction) => transaction,
            Err(error) => {
                let error = Error::from(error);
                for job in group {
                    callers.push((job.caller, Err(Error::new(error.kind, error.message.clone()))));
                }
                return Err(error);
            }
        };
        let mut lost = None;
        for job in group {
            let answer =
                if lost.is_none() { run_job(&transaction, job.run) } else { Err(Error::internal("not tried")) };
            if lost.is_none() && transaction.is_autocommit() {
                // A full disk and the like end the whole transaction; the next savepoint would begin another.
                lost = answer.as_ref().err().map(|error| Error::new(error.kind, error.message.clone()));
                lost.get_or_insert_with(|| Error::internal("a write ended the transaction"));
            }
            callers.push((job.caller, answer));
        }
        if let Some(error) = lost {
            return Err(error);
        }
        let generation = queue::generation(&transaction)?;
        transaction.commit()?;
        self.queue.note(generation);
        Ok(())
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs one job under a savepoint, so that its failure harms none of the others.
fn run_job(transaction: &Connection, run: Run) -> Answer {
    let execute = |sql| Ok::<_, Error>(transaction.prepare_cached(sql)?.execute([])?);
    execute("SAVEPOINT job")?;
    let answer = catch_unwind(AssertUnwindSafe(|| run(transaction)))
        .unwrap_or_else(|_| Err(Error::internal("a write panicked; it was undone")));
    if answer.is_err() {
        execute("ROLLBACK TO job")?;
    }
    execute("RELEASE job")?;
    answer
}

#[cfg(test)]
mod tests {
    use crate::error::Error;
    use crate::store::Store;
    use std::sync::Arc;

    #[test]
    fn a_failed_or_panicking_job_is_undone_and_harms_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let store = Arc::new(Store::open(&dir.path().join("baton.db")).unwrap());
        store.write(|c| Ok(c.execute_batch("CREATE TABLE t (n INTEGER PRIMARY KEY)")?)).unwrap();
        std::thread::scope(|scope| {
            for n in 0..64_i64 {
                let store = &store;
                scope.spawn(move || {
                    let result = store.write(move |c| {
                        c.execute("INSERT INTO t VALUES (?1)", [n])?;
                        assert!(n % 8 != 3, "expected in this test");
                        if n % 8 == 5 { Err(Error::invalid("no")) } else { Ok(n) }
                    });
                    assert_eq!(result.ok(), (n % 8 != 3 && n % 8 != 5).then_some(n));
                });
            }
        });
        let kept: i64 = store.read(|c| Ok(c.query_row("SELECT count(*) FROM t", [], |row| row.get(0))?)).unwrap();
        assert_eq!(kept, 48);
    }

    #[test]
    fn a_job_that_ends_the_transaction_takes_its_group_along_and_nobody_else() {
        let dir = tempfile::tempdir().unwrap();
        let store = Arc::new(Store::open(&dir.path().join("baton.db")).unwrap());
        store.write(|c| Ok(c.execute_batch("CREATE TABLE t (n INTEGER PRIMARY KEY)")?)).unwrap();
        let done: usize = std::thread::scope(|scope| {
            let insert = |n: i64| {
                store.write(move |c| {
                    c.execute("INSERT INTO t VALUES (?1)", [n])?;
                    if n % 8 == 0 { Ok(c.execute_batch("ROLLBACK")?) } else { Ok(()) }
                })
            };
            let threads: Vec<_> = (0..64).map(|n| scope.spawn(move || insert(n).is_ok())).collect();
            threads.into_iter().map(|thread| usize::from(thread.join().unwrap())).sum()
        });
        let kept: usize = store.read(|c| Ok(c.query_row("SELECT count(*) FROM t", [], |row| row.get(0))?)).unwrap();
        assert_eq!(kept, done, "what was answered is stored, and nothing else");
        store.write(|c| Ok(c.execute("INSERT INTO t VALUES (100)", [])?)).unwrap();
    }
}
