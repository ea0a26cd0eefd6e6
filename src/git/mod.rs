//! The `git` program: what a checkout holds, a commit of its present state, and how a runner fetches that commit.
//!
//! The program is asked, since it alone knows all kinds of repositories.
//!
//! * [`checkout`]: a checkout of the user's, which is only read;
//! * `reach`: what a runner gets of its present commit, and what it does not;
//! * [`snapshot`]: its present state as a commit, in a repository of our own that borrows the checkout's objects;
//! * [`mirror`]: commits of somebody else's repository, in one of our own;
//! * [`contents`]: what such a commit holds;
//! * [`upload_pack`]: hands the commit on to those who may have it; `wants` judges what they ask for;
//! * [`program`]: runs `git`, within bounds of time and bytes.
//!
//! What must stay true: nothing of the user's changes: no ref, no index, no object, no setting. What a runner asks for runs no
//! program that the checkout, its settings or its commits name: only our own repository's settings count there.

pub mod checkout;
pub mod contents;
pub mod mirror;
pub mod program;
mod reach;
mod repository;
pub mod snapshot;
mod status;
#[cfg(test)]
mod tests;
pub mod upload_pack;
pub mod wants;

pub use checkout::{Checkout, Found, Head};
pub use contents::Contents;
pub use mirror::Mirror;
pub use snapshot::{Snapshot, Wanted};
