//! Locks that outlive a panic.
//!
//! What must stay true: whoever changes what such a lock guards leaves it whole at each step that may panic. Then a
//! panic elsewhere is no reason to refuse everybody else, and nobody asks whether the lock was poisoned.

use std::sync::{LockResult, Mutex, MutexGuard, PoisonError};

/// Locks `mutex`, also after a panic under its lock.
pub fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    whole(mutex.lock())
}

/// What a wait under a lock gives back, also after a panic under that lock.
pub fn whole<T>(result: LockResult<T>) -> T {
    result.unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_that_saw_a_panic_is_had_again() {
        let mutex = Mutex::new(1);
        let panicked = std::thread::scope(|scope| {
            let panics = || {
                let _guard = lock(&mutex);
                panic!("expected in this test");
            };
            scope.spawn(panics).join().is_err()
        });
        assert!(panicked && mutex.is_poisoned());
        *lock(&mutex) += 1;
        assert_eq!(*lock(&mutex), 2);
    }
}
