//! Deeds that end in one write: whoever asks may wait for it, or leave word of what is to be done with what comes of
//! it, and go on.

use crate::error::Result;
use crate::store::Store;
use rusqlite::Connection;
use std::sync::Arc;

type Job<T> = Box<dyn FnOnce(&Connection) -> Result<T> + Send>;

/// A deed that is all but done. Nothing is written unless it is waited for or followed up.
#[must_use = "nothing is written yet"]
pub struct Deed<T>(Left<T>);

/// What is left to do.
enum Left<T> {
    Nothing(Result<T>),
    Write(Arc<Store>, Job<T>),
}

impl<T: Send + 'static> Deed<T> {
    /// A deed that has come to this, without a write.
    pub fn done(result: Result<T>) -> Deed<T> {
        Deed(Left::Nothing(result))
    }

    /// A deed that `job` does, inside a transaction.
    pub fn write(store: &Arc<Store>, job: impl FnOnce(&Connection) -> Result<T> + Send + 'static) -> Deed<T> {
        Deed(Left::Write(Arc::clone(store), Box::new(job)))
    }

    /// What came of it, if nothing is left to do.
    ///
    /// # Errors
    /// The deed itself, if something is.
    pub fn outcome(self) -> std::result::Result<Result<T>, Deed<T>> {
        match self.0 {
            Left::Nothing(result) => Ok(result),
            left @ Left::Write(..) => Err(Deed(left)),
        }
    }

    /// Does it. What succeeded is durable.
    ///
    /// # Errors
    /// The deed's.
    pub fn wait(self) -> Result<T> {
        match self.0 {
            Left::Nothing(result) => result,
            Left::Write(store, job) => store.write(job),
        }
    }

    /// Has it done, and then what came of it given to `then`: by another thread, or by this one before it returns.
    /// `then` must not wait for anything, since other writes may wait for it.
    pub fn then(self, then: impl FnOnce(Result<T>) + Send + 'static) {
        match self.0 {
            Left::Nothing(result) => then(result),
            Left::Write(store, job) => store.submit(job, then),
        }
    }
}
