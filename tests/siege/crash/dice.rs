//! Random choices for many threads, from one seed: `BATON_SEED`, or the clock. The threads' moments are the kernel's
//! choice, so that a seed repeats what is done, not when.

use std::time::{SystemTime, UNIX_EPOCH};

/// A generator (splitmix64).
pub struct Dice {
    state: u64,
    /// Whether [`Dice::one_in`] may be true.
    lucky: bool,
}

impl Dice {
    /// Says its seed.
    pub fn new() -> Dice {
        let seed = match std::env::var("BATON_SEED") {
            Ok(text) => text.parse().expect("BATON_SEED is a number"),
            Err(_) => SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64,
        };
        println!("BATON_SEED={seed}");
        Dice { state: seed, lucky: true }
    }

    /// For times when nothing may happen by chance.
    pub fn never() -> Dice {
        Dice { state: 0, lucky: false }
    }

    /// Another one, for another thread.
    pub fn fork(&mut self) -> Dice {
        Dice { state: self.next(), lucky: self.lucky }
    }

    pub fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// One of `0..end`.
    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    pub fn one_in(&mut self, chances: usize) -> bool {
        self.lucky && self.below(chances) == 0
    }

    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    /// So many bytes of any value.
    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut bytes: Vec<u8> = (0..count.div_ceil(8)).flat_map(|_| self.next().to_le_bytes()).collect();
        bytes.truncate(count);
        bytes
    }
}
