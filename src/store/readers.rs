//! The connections that read. A read takes microseconds, so a few serve any number of threads; opening one for
//! each read would cost a hundred times as much.

use super::same_file::SameFile;
use super::{Access, open};
use crate::error::Result;
use crate::limits::READERS_MAX;
use crate::sync::{lock, whole};
use rusqlite::Connection;
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, MutexGuard};

pub struct Readers {
    path: PathBuf,
    access: Access,
    /// A connection that is opened later must not be to another file.
    place: SameFile,
    all: Mutex<All>,
    freed: Condvar,
}

#[derive(Default)]
struct All {
    idle: Vec<Connection>,
    open: usize,
    /// Threads that wait for a connection.
    waiting: usize,
}

/// A connection on loan; goes back when dropped, also in a panic.
struct Loan<'a> {
    readers: &'a Readers,
    connection: Option<Connection>,
}

impl Readers {
    pub fn new(path: PathBuf, access: Access, place: SameFile) -> Readers {
        Readers { path, access, place, all: Mutex::default(), freed: Condvar::new() }
    }

    /// The database's file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Runs `query` in one snapshot.
    pub fn read<T>(&self, query: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        let mut loan = self.borrow();
        let snapshot = loan.connection()?.transaction()?;
        let result = query(&snapshot);
        snapshot.finish()?;
        result
    }

    /// Runs a `query` of a single statement, which is a snapshot by itself.
    pub fn read_one<T>(&self, query: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        query(self.borrow().connection()?)
    }

    fn borrow(&self) -> Loan<'_> {
        let mut all = self.lock();
        while all.idle.is_empty() && all.open >= READERS_MAX {
            all.waiting += 1;
            all = whole(self.freed.wait(all));
            all.waiting -= 1;
        }
        let connection = all.idle.pop();
        if connection.is_none() {
            all.open += 1;
        }
        Loan { readers: self, connection }
    }

    fn lock(&self) -> MutexGuard<'_, All> {
        lock(&self.all)
    }
}

impl Loan<'_> {
    fn connection(&mut self) -> Result<&mut Connection> {
        Ok(match &mut self.connection {
            Some(connection) => connection,
            none => {
                let connection = open(&self.readers.path, self.readers.access)?;
                self.readers.place.check()?;
                none.insert(connection)
            }
        })
    }
}

impl Drop for Loan<'_> {
    fn drop(&mut self) {
        let mut all = self.readers.lock();
        match self.connection.take() {
            Some(connection) => all.idle.push(connection),
            None => all.open -= 1,
        }
        if all.waiting > 0 {
            self.readers.freed.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::store::{Store, queue};
    use std::panic::{AssertUnwindSafe, catch_unwind};

    #[test]
    fn many_threads_share_few_connections_and_a_panic_loses_none() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("baton.db")).unwrap();
        for _ in 0..super::READERS_MAX * 2 {
            let panicked = catch_unwind(AssertUnwindSafe(|| {
                store.read(|_| -> crate::error::Result<()> { panic!("expected in this test") })
            }));
            assert!(panicked.is_err());
        }
        std::thread::scope(|scope| {
            for _ in 0..64 {
                scope.spawn(|| (0..50).for_each(|_| assert_eq!(store.read(queue::generation).unwrap(), 1)));
            }
        });
    }
}
