//! Deeds that end in a write: whoever asks may wait for it, or leave word of what is to be done with what comes of it, and
//! go on.
//!
//! What must stay true: the outcome of a deed is final. One that must look again at what its write has found (somebody
//! else was quicker) does so itself, before anybody hears of it.

use crate::error::Result;
use crate::store::Store;
use rusqlite::Connection;
use std::sync::Arc;

/// A deed that is all but done. Nothing is written unless it is waited for or followed up.
#[must_use = "nothing is written yet"]
pub struct Deed<T>(Remaining<T>);

/// What is left to do.
enum Remaining<T> {
    Nothing(Result<T>),
    Write(Box<dyn Steps<T>>),
}

/// What came of a deed's write.
pub struct Tried<T>(Box<dyn FnOnce() -> Result<T> + Send>);

impl<T> Tried<T> {
    /// What the deed comes to. Only in a thread that may wait: there may be more to do.
    ///
    /// # Errors
    /// The deed's.
    pub fn settle(self) -> Result<T> {
        (self.0)()
    }
}

/// A write, and what is made of its result.
trait Steps<T>: Send {
    /// Does all of it.
    fn wait(self: Box<Self>) -> Result<T>;
    /// Has the write done, and gives `then` what the rest is made by.
    fn begin(self: Box<Self>, then: Box<dyn FnOnce(Tried<T>) + Send>);
}

struct Write<J, F> {
    store: Arc<Store>,
    job: J,
    finish: F,
}

impl<T, R, J, F> Steps<T> for Write<J, F>
where
    T: 'static,
    R: Send + 'static,
    J: FnOnce(&Connection) -> Result<R> + Send + 'static,
    F: FnOnce(Result<R>) -> Result<T> + Send + 'static,
{
    fn wait(self: Box<Self>) -> Result<T> {
        (self.finish)(self.store.write(self.job))
    }

    fn begin(self: Box<Self>, then: Box<dyn FnOnce(Tried<T>) + Send>) {
        let Write { store, job, finish } = *self;
        store.submit(job, move |result| then(Tried(Box::new(move || finish(result)))));
    }
}

impl<T: Send + 'static> Deed<T> {
    /// A deed that has come to this, without a write.
    pub fn done(result: Result<T>) -> Deed<T> {
        Deed(Remaining::Nothing(result))
    }

    /// A deed that `job` does, inside a transaction.
    pub fn write(store: &Arc<Store>, job: impl FnOnce(&Connection) -> Result<T> + Send + 'static) -> Deed<T> {
        Deed::write_and(store, job, |result| result)
    }

    /// A deed that `job` does, inside a transaction, and `finish` after it was committed or has failed: in a thread that
    /// may wait.
    pub fn write_and<R: Send + 'static>(
        store: &Arc<Store>,
        job: impl FnOnce(&Connection) -> Result<R> + Send + 'static,
        finish: impl FnOnce(Result<R>) -> Result<T> + Send + 'static,
    ) -> Deed<T> {
        Deed(Remaining::Write(Box::new(Write { store: Arc::clone(store), job, finish })))
    }

    /// What came of it, if nothing is left to do.
    ///
    /// # Errors
    /// The deed itself, if something is.
    pub fn outcome(self) -> std::result::Result<Result<T>, Deed<T>> {
        match self.0 {
            Remaining::Nothing(result) => Ok(result),
            remaining @ Remaining::Write(..) => Err(Deed(remaining)),
        }
    }

    /// Does it. What succeeded is durable.
    ///
    /// # Errors
    /// The deed's.
    pub fn wait(self) -> Result<T> {
        match self.0 {
            Remaining::Nothing(result) => result,
            Remaining::Write(steps) => steps.wait(),
        }
    }

    /// Has it done, and then what came of it given to `then`: by another thread, or by this one before it returns.
    /// `then` must not wait for anything, since other writes may wait for it.
    pub fn then(self, then: impl FnOnce(Tried<T>) + Send + 'static) {
        match self.0 {
            Remaining::Nothing(result) => then(Tried(Box::new(move || result))),
            Remaining::Write(steps) => steps.begin(Box::new(then)),
        }
    }
}
