//! Texts that people write: durations, sizes, words with a slip in them, lines for a shell, and what strangers put in.

pub mod did_you_mean;
pub mod duration;
pub mod foreign;
pub mod shell;
pub mod size;
