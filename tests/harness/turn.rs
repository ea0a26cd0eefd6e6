//! Tests that compare times run alone, though others of the same binary run beside each other.
//!
//! A test takes a turn when it first starts a server, and keeps it to the end of its thread: one beside others, or, when
//! its [`healthy`](super::healthy) client begins to work, one alone. What must stay true: who waits for a turn has none,
//! so that no two wait for each other.

use std::cell::RefCell;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

/// The turns that tests have.
struct Turns {
    beside_others: usize,
    is_one_alone: bool,
    /// So many wait to be alone: nobody else begins.
    want_to_be_alone: usize,
}

static TURNS: Mutex<Turns> = Mutex::new(Turns { beside_others: 0, is_one_alone: false, want_to_be_alone: 0 });
static CHANGED: Condvar = Condvar::new();

thread_local! {
    /// The turn of the test that this thread runs.
    static OWN: RefCell<Option<Turn>> = const { RefCell::new(None) };
}

struct Turn {
    is_alone: bool,
}

/// Takes a turn beside others, if this test has none.
pub fn beside_others() {
    if runs_a_test() {
        OWN.with_borrow_mut(|own| {
            own.get_or_insert_with(Turn::beside_others);
        });
    }
}

/// Takes a turn alone.
pub fn alone() {
    if runs_a_test() {
        OWN.with_borrow_mut(|own| {
            if own.as_ref().is_none_or(|turn| !turn.is_alone) {
                // Given back before the next one is waited for.
                drop(own.take());
                *own = Some(Turn::alone());
            }
        });
    }
}

/// Threads that a test starts have no name, and go by the turn of the test.
fn runs_a_test() -> bool {
    thread::current().name().is_some()
}

fn turns() -> MutexGuard<'static, Turns> {
    TURNS.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Turn {
    fn beside_others() -> Turn {
        let must_wait = |turns: &mut Turns| turns.is_one_alone || turns.want_to_be_alone > 0;
        let mut turns = CHANGED.wait_while(turns(), must_wait).unwrap_or_else(PoisonError::into_inner);
        turns.beside_others += 1;
        Turn { is_alone: false }
    }

    fn alone() -> Turn {
        let mut turns = turns();
        turns.want_to_be_alone += 1;
        let must_wait = |turns: &mut Turns| turns.is_one_alone || turns.beside_others > 0;
        let mut turns = CHANGED.wait_while(turns, must_wait).unwrap_or_else(PoisonError::into_inner);
        turns.want_to_be_alone -= 1;
        turns.is_one_alone = true;
        Turn { is_alone: true }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut turns = turns();
        if self.is_alone {
            turns.is_one_alone = false;
        } else {
            turns.beside_others -= 1;
        }
        CHANGED.notify_all();
    }
}
