//! Numbers of what a process does, for those who watch it: counters and histograms, and the text that they are
//! read as.
//!
//! What must stay true: counting takes no lock and no memory; which numbers there are is fixed when the program is
//! written, so that no client can make new ones. A reader may see a histogram in the middle of an observation: its
//! count is then one ahead of its sum, never wrong for good.

mod text;

pub use text::{Kind, Text};

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A number that only grows.
#[derive(Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// One more.
    pub fn increment(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// The number.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// How large values are: so many of them in each of a few ranges.
pub struct Histogram {
    /// So many of what is observed make one of what is read, as microseconds and seconds.
    per_unit: f64,
    /// The largest value of each range but the last, rising.
    bounds: &'static [u64],
    /// One for each bound, and one for what is larger.
    counts: Box<[AtomicU64]>,
    sum: AtomicU64,
}

/// Bounds of times, in microseconds: from half a millisecond to the longest that a request may be held, and beyond.
pub const TIMES_US: &[u64] = &[
    500,
    1_000,
    2_500,
    5_000,
    10_000,
    25_000,
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    30_000_000,
    60_000_000,
    300_000_000,
];

/// Bounds of numbers of things that are done together.
pub const COUNTS: &[u64] = &[1, 2, 4, 8, 16, 32, 64, 128, 256];

impl Histogram {
    /// A histogram of times, in seconds.
    #[must_use]
    pub fn of_times() -> Histogram {
        Histogram::new(1e6, TIMES_US)
    }

    /// A histogram of whole numbers.
    #[must_use]
    pub fn of_counts() -> Histogram {
        Histogram::new(1.0, COUNTS)
    }

    fn new(per_unit: f64, bounds: &'static [u64]) -> Histogram {
        let counts = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Histogram { per_unit, bounds, counts, sum: AtomicU64::new(0) }
    }

    /// A time was so long.
    pub fn observe(&self, time: Duration) {
        self.observe_value(u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
    }

    /// A value was so large.
    pub fn observe_value(&self, value: u64) {
        let range = self.bounds.partition_point(|bound| *bound < value);
        if let Some(count) = self.counts.get(range) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        self.sum.fetch_add(value, Ordering::Relaxed);
    }

    /// What was observed so far.
    #[must_use]
    pub fn read(&self) -> Distribution {
        let bounds = self.bounds.iter().map(|bound| quotient(*bound, self.per_unit)).chain([f64::INFINITY]);
        let counts = self.counts.iter().map(|count| count.load(Ordering::Relaxed));
        let sum = quotient(self.sum.load(Ordering::Relaxed), self.per_unit);
        Distribution { ranges: bounds.zip(counts).collect(), sum }
    }
}

/// What a histogram has seen at some moment.
#[derive(Debug, PartialEq)]
pub struct Distribution {
    /// The largest value of each range, rising up to infinity, and how many values are in it.
    pub ranges: Vec<(f64, u64)>,
    /// All values together.
    pub sum: f64,
}

impl Distribution {
    /// How many values there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.ranges.iter().map(|(_, count)| count).sum()
    }
}

/// A whole number of small units in larger ones, as in 1500 of which 1000 make one; exact up to 2^53, which is 285
/// years of microseconds.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "numbers to be looked at")]
pub fn quotient(value: u64, per_unit: f64) -> f64 {
    value as f64 / per_unit
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_counted_in_the_first_range_whose_bound_it_does_not_pass() {
        let histogram = Histogram::of_counts();
        for value in [0, 1, 2, 3, 256, 257, u64::MAX >> 8] {
            histogram.observe_value(value);
        }
        let seen = histogram.read();
        let filled: Vec<_> = seen.ranges.iter().filter(|(_, count)| *count > 0).copied().collect();
        assert_eq!(filled, [(1.0, 2), (2.0, 1), (4.0, 1), (256.0, 1), (f64::INFINITY, 2)]);
        assert_eq!(seen.count(), 7);
    }

    #[test]
    fn times_are_read_in_seconds() {
        let histogram = Histogram::of_times();
        histogram.observe(Duration::from_micros(500));
        histogram.observe(Duration::from_micros(100_001));
        histogram.observe(Duration::from_secs(1000));
        let seen = histogram.read();
        let filled: Vec<_> = seen.ranges.iter().filter(|(_, count)| *count > 0).copied().collect();
        assert_eq!(filled, [(0.0005, 1), (0.25, 1), (f64::INFINITY, 1)]);
        assert!((seen.sum - 1_000.100_501).abs() < 1e-9);
    }

    #[test]
    fn nothing_is_lost_between_threads() {
        let (histogram, counter) = (Histogram::of_counts(), Counter::default());
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    (0..10_000).for_each(|value| {
                        histogram.observe_value(value % 300);
                        counter.increment();
                    });
                });
            }
        });
        assert_eq!((histogram.read().count(), counter.get()), (80_000, 80_000));
    }
}
