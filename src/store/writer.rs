//! One connection writes, and what arrives together shares one durable commit.
//!
//! Jobs queue. Whoever queues one while nobody commits leads: it runs all queued jobs in one transaction, each under a
//! savepoint of its own, commits, and only then are they answered. A lone caller thus commits itself, without a switch
//! of threads. What has queued meanwhile is left to a thread that does nothing else, so that no caller works for the
//! others for longer than one commit. Nobody needs to wait for an answer: what is to be done with it is part of the
//! job, so that the writes under way need no thread each. (Measured at 64 clients: commits of dozens of jobs, ten times
//! the writes of a mutex around single commits.)

use crate::blocking;
use crate::error::{Error, Result};
use crate::metrics::Histogram;
use crate::store::changes::Changes;
use crate::store::queue;
use crate::store::same_file::SameFile;
use crate::sync::{lock, whole};
use rusqlite::{Connection, TransactionBehavior};
use std::collections::VecDeque;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Most jobs in one commit: bounds how long the first of them waits.
const JOBS_PER_COMMIT_MAX: usize = 256;

/// Behind a commit of so many jobs, the next ones are given a moment to come together. (Measured: 5 to 10 % more
/// builds and patches at 64 clients.)
const CROWD: usize = 8;
const LINGER: Duration = Duration::from_micros(100);

/// Something to write, and what is to be done with what comes of it.
trait Job: Send {
    /// Runs it inside the transaction. What has failed is to be undone.
    fn run(&mut self, transaction: &Connection) -> Result<()>;
    /// It has failed for this reason, whatever it says itself.
    fn fail(&mut self, error: Error);
    /// Hands out the result. To be called once nothing can change it any more.
    fn answer(self: Box<Self>);
}

struct Write<T, F, A> {
    /// `None`: it was run.
    run: Option<F>,
    result: Result<T>,
    then: A,
}

impl<T, F, A> Job for Write<T, F, A>
where
    T: Send,
    F: FnOnce(&Connection) -> Result<T> + Send,
    A: FnOnce(Result<T>) + Send,
{
    fn run(&mut self, transaction: &Connection) -> Result<()> {
        if let Some(run) = self.run.take() {
            self.result = catch_unwind(AssertUnwindSafe(|| run(transaction)))
                .unwrap_or_else(|_| Err(Error::internal("a write panicked; it was undone")));
        }
        self.result.as_ref().map(drop).map_err(Error::clone)
    }

    fn fail(&mut self, error: Error) {
        self.result = Err(error);
    }

    fn answer(self: Box<Self>) {
        let Write { result, then, .. } = *self;
        if catch_unwind(AssertUnwindSafe(|| then(result))).is_err() {
            log::error!("what was to be done with the answer to a write panicked");
        }
    }
}

/// Where a caller waits for its answer. A channel would spin before it sleeps, which costs more than the sleep.
struct Seat<T> {
    answer: Mutex<Option<Result<T>>>,
    given: Condvar,
}

impl<T> Seat<T> {
    fn give(&self, answer: Result<T>) {
        *lock(&self.answer) = Some(answer);
        self.given.notify_one();
    }

    fn wait(&self) -> Result<T> {
        let mut answer = lock(&self.answer);
        loop {
            match answer.take() {
                Some(answer) => return answer,
                None => answer = whole(self.given.wait(answer)),
            }
        }
    }
}

pub struct Writer(Arc<Shared>);

/// What callers and the thread share.
struct Shared {
    connection: Mutex<Connection>,
    waiting: Mutex<Waiting>,
    /// Calls the thread.
    called: Condvar,
    changes: Arc<Changes>,
    place: SameFile,
    commits: Commits,
}

/// What commits take.
pub struct Commits {
    /// How long they take, from the last change to the moment in which all is durable.
    pub times: Histogram,
    /// How many writes share one.
    pub jobs: Histogram,
}

impl Default for Commits {
    fn default() -> Commits {
        Commits { times: Histogram::of_times(), jobs: Histogram::of_counts() }
    }
}

#[derive(Default)]
struct Waiting {
    jobs: VecDeque<Box<dyn Job>>,
    /// Whether somebody commits, or was told to.
    led: bool,
    /// Whether that is the thread.
    relieved: bool,
    /// Started when it is needed first.
    thread: Option<JoinHandle<()>>,
    closing: bool,
}

impl Writer {
    /// Writes through `connection` to the file at `place`, and tells `changes` of each commit.
    pub fn new(connection: Connection, changes: Arc<Changes>, place: SameFile) -> Writer {
        let (connection, waiting) = (Mutex::new(connection), Mutex::default());
        let (called, commits) = (Condvar::new(), Commits::default());
        Writer(Arc::new(Shared { connection, waiting, called, changes, place, commits }))
    }

    /// What commits have taken so far.
    pub fn commits(&self) -> &Commits {
        &self.0.commits
    }

    /// Runs `job`, and waits for its result.
    pub fn write<T, F>(&self, job: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T> + Send + 'static,
    {
        let seat = Arc::new(Seat { answer: Mutex::new(None), given: Condvar::new() });
        let given = Arc::clone(&seat);
        blocking::waiting(|| {
            self.submit(job, move |answer| given.give(answer));
            seat.wait()
        })
    }

    /// Has `job` run, and its result given to `then`: by another thread, or by this one before it returns.
    pub fn submit<T, F, A>(&self, job: F, then: A)
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T> + Send + 'static,
        A: FnOnce(Result<T>) + Send + 'static,
    {
        let result = Err(Error::internal("a write was not tried"));
        let job = Box::new(Write { run: Some(job), result, then });
        let leads = {
            let mut waiting = lock(&self.0.waiting);
            waiting.jobs.push_back(job);
            !mem::replace(&mut waiting.led, true)
        };
        if leads {
            blocking::waiting(|| self.0.lead_once());
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let thread = {
            let mut waiting = lock(&self.0.waiting);
            waiting.closing = true;
            waiting.thread.take()
        };
        self.0.called.notify_one();
        // The thread itself may have held the writer last; then the connection closes with it.
        if let Some(thread) = thread.filter(|thread| thread.thread().id() != thread::current().id())
            && thread.join().is_err()
        {
            log::error!("the thread that writes had panicked");
        }
    }
}

impl Shared {
    /// Commits what has queued, once; what has queued meanwhile is the thread's.
    fn lead_once(self: &Arc<Self>) {
        let group = self.next_group();
        let group = self.commit(group);
        // Before the answers: the next group need not wait for them.
        let is_passed_on = self.pass_on();
        group.into_iter().for_each(Job::answer);
        if !is_passed_on {
            self.lead();
        }
    }

    /// Commits until nothing is left.
    fn lead(&self) {
        loop {
            let group = self.commit(self.next_group());
            let count = group.len();
            group.into_iter().for_each(Job::answer);
            // Else the first of a crowd that is about to come back would have a commit of its own, and the others wait.
            if count >= CROWD && lock(&self.waiting).jobs.len() < count / 2 {
                thread::sleep(LINGER);
            }
            let mut waiting = lock(&self.waiting);
            if waiting.jobs.is_empty() {
                (waiting.led, waiting.relieved) = (false, false);
                return;
            }
        }
    }

    /// Gives up the lead. False: there is more to do, and no thread to be had that does it.
    fn pass_on(self: &Arc<Self>) -> bool {
        let mut waiting = lock(&self.waiting);
        if waiting.jobs.is_empty() {
            waiting.led = false;
            return true;
        }
        if waiting.thread.is_none() {
            let shared = Arc::clone(self);
            match thread::Builder::new().name("writer".to_owned()).spawn(move || shared.serve()) {
                Ok(thread) => waiting.thread = Some(thread),
                Err(error) => {
                    log::warn!("cannot start a thread: {error}");
                    return false;
                }
            }
        }
        waiting.relieved = true;
        drop(waiting);
        self.called.notify_one();
        true
    }

    /// The thread's life.
    fn serve(&self) {
        loop {
            let mut waiting = lock(&self.waiting);
            while !waiting.relieved {
                if waiting.closing {
                    return;
                }
                waiting = whole(self.called.wait(waiting));
            }
            drop(waiting);
            self.lead();
        }
    }

    fn next_group(&self) -> Vec<Box<dyn Job>> {
        let mut waiting = lock(&self.waiting);
        let count = waiting.jobs.len().min(JOBS_PER_COMMIT_MAX);
        waiting.jobs.drain(..count).collect()
    }

    /// Runs and commits these jobs. Each of them knows afterwards what to answer.
    fn commit(&self, mut group: Vec<Box<dyn Job>>) -> Vec<Box<dyn Job>> {
        // A panic inside a job is caught, so that a poisoned lock still holds a usable connection.
        if let Err(error) = self.try_commit(&mut lock(&self.connection), &mut group) {
            // Nothing of the group is stored, whatever the jobs themselves say.
            group.iter_mut().for_each(|job| job.fail(error.clone()));
        }
        group
    }

    fn try_commit(&self, connection: &mut Connection, group: &mut [Box<dyn Job>]) -> Result<()> {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let jobs = group.len();
        for job in group {
            run_job(&transaction, job.as_mut())?;
        }
        let generation = queue::generation(&transaction)?;
        self.place.check()?;
        let begun = Instant::now();
        transaction.commit()?;
        self.commits.times.observe(begun.elapsed());
        self.commits.jobs.observe_value(u64::try_from(jobs).unwrap_or(u64::MAX));
        self.changes.committed(generation);
        Ok(())
    }
}

/// Runs one job under a savepoint, so that its failure harms none of the others.
///
/// # Errors
/// The transaction has ended: a full disk and the like end it whole, and the next savepoint would begin another.
fn run_job(transaction: &Connection, job: &mut dyn Job) -> Result<()> {
    let execute = |sql| Ok::<_, Error>(transaction.prepare_cached(sql)?.execute([])?);
    execute("SAVEPOINT job")?;
    let done = job.run(transaction);
    if transaction.is_autocommit() {
        return done.and(Err(Error::internal("a write ended the transaction")));
    }
    if done.is_err() {
        execute("ROLLBACK TO job")?;
    }
    execute("RELEASE job")?;
    Ok(())
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
