//! Something there is only so much of: memory for large bodies, transfers at a time.

use crate::error::{Error, Kind, Result};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What is left of it.
#[derive(Clone, Debug)]
pub struct Budget {
    what: &'static str,
    left: Arc<AtomicU64>,
}

/// A part of it, given back when dropped.
#[derive(Debug)]
pub struct Reserved {
    amount: u64,
    of: Budget,
}

impl Budget {
    /// So much of `what`, which the refusal names.
    #[must_use]
    pub fn new(what: &'static str, amount: u64) -> Budget {
        Budget { what, left: Arc::new(AtomicU64::new(amount)) }
    }

    /// Takes `amount` of it.
    ///
    /// # Errors
    /// [`Kind::Busy`] if so much is not left.
    pub fn reserve(&self, amount: u64) -> Result<Reserved> {
        self.left
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |left| left.checked_sub(amount))
            .map(|_| Reserved { amount, of: self.clone() })
            .map_err(|_| Error::new(Kind::Busy, format!("too many {} at once", self.what)))
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.of.left.fetch_add(self.amount, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_dropped_can_be_had_again() {
        let budget = Budget::new("things", 3);
        let two = budget.reserve(2).unwrap();
        assert_eq!(budget.reserve(2).unwrap_err().kind, Kind::Busy);
        let one = budget.reserve(1).unwrap();
        drop((one, two));
        budget.reserve(3).unwrap();
    }
}
