//! Lets a pool of threads know when one of them only waits.
//!
//! A pool that lets as many threads run as there are processors is the fastest, as long as none of them waits
//! for a disk, a client or another thread. So whoever waits says so, wherever that is, and the pool lets
//! another thread run meanwhile. A thread of no pool may say so too; nothing happens then.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

/// A pool of threads.
pub trait Crew {
    /// The calling thread begins to wait.
    fn begins_to_wait(&self);
    /// It goes on.
    fn goes_on(&self);
}

thread_local! {
    static CREW: RefCell<Option<Arc<dyn Crew>>> = const { RefCell::new(None) };
    static IS_WAITING: Cell<bool> = const { Cell::new(false) };
}

/// Makes the calling thread, for the rest of its life, one of `crew`.
pub fn join(crew: Arc<dyn Crew>) {
    CREW.set(Some(crew));
}

/// Runs what waits more than it works.
pub fn waiting<T>(wait: impl FnOnce() -> T) -> T {
    let Some(crew) = CREW.with_borrow(Clone::clone).filter(|_| !IS_WAITING.get()) else { return wait() };
    let _wait = Wait::begin(crew);
    wait()
}

/// Ends with the wait, also in a panic.
struct Wait(Arc<dyn Crew>);

impl Wait {
    fn begin(crew: Arc<dyn Crew>) -> Wait {
        IS_WAITING.set(true);
        crew.begins_to_wait();
        Wait(crew)
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        IS_WAITING.set(false);
        self.0.goes_on();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::atomic::{AtomicI32, Ordering};

    #[derive(Default)]
    struct Count {
        waiting: AtomicI32,
        most: AtomicI32,
    }

    impl Crew for Count {
        fn begins_to_wait(&self) {
            self.most.fetch_max(self.waiting.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        }
        fn goes_on(&self) {
            self.waiting.fetch_sub(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn a_wait_inside_a_wait_counts_once_and_a_panic_ends_it() {
        assert_eq!(waiting(|| 1), 1, "of no crew");
        let count = Arc::new(Count::default());
        join(count.clone());
        assert_eq!(waiting(|| waiting(|| 2)), 2);
        assert!(catch_unwind(AssertUnwindSafe(|| waiting(|| panic!("expected in this test")))).is_err());
        assert_eq!((count.waiting.load(Ordering::SeqCst), count.most.load(Ordering::SeqCst)), (0, 1));
    }
}
