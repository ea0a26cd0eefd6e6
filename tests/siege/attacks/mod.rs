//! What hostile clients do, each beside a healthy one that must not feel it.
//!
//! Unless a test says otherwise it attacks the program itself: [`victim`](crate::harness::victim) starts `baton serve`, and looks at its
//! threads, descriptors and memory before and after. [`healthy`](crate::harness::healthy) is the runner that works meanwhile, and measures.
//! Where only the end of a time limit is of interest, a server inside the test has short ones.

mod bodies;
mod bombs;
mod chunks;
mod connections;
mod crowds;
mod git;
mod heads;
mod names;
mod parsers;
mod secrets;
mod slow;
mod smuggling;
