//! Texts that people write: durations, sizes, words with a slip in them.

pub mod did_you_mean;
pub mod duration;
pub mod size;
