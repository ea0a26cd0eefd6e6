//! Random numbers that can be had again: the seed is in `BATON_SEED`, or in the message of a test that failed.

use std::time::{SystemTime, UNIX_EPOCH};

/// A generator (splitmix64). When a test panics while it lives, it says its seed.
pub struct Random {
    seed: u64,
    state: u64,
}

impl Random {
    /// Seeded from `BATON_SEED`, else from the clock.
    pub fn new() -> Random {
        let seed = match std::env::var("BATON_SEED") {
            Ok(text) => text.parse().expect("BATON_SEED is a number"),
            Err(_) => SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64,
        };
        Random { seed, state: seed }
    }

    /// Another one, for another thread.
    pub fn fork(&mut self) -> Random {
        Random { seed: self.seed, state: self.next() }
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

    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    /// So many bytes of any value.
    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(count + 8);
        while bytes.len() < count {
            bytes.extend_from_slice(&self.next().to_le_bytes());
        }
        bytes.truncate(count);
        bytes
    }
}

impl Drop for Random {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("to see this again: BATON_SEED={}", self.seed);
        }
    }
}
