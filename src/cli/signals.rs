//! Signals as messages.

use super::{Done, Stop};
use nix::sys::signal::{SigSet, Signal};
use std::thread;

/// From now on these signals do nothing but call `act`, in a thread of its own. To be called before any other
/// thread starts, since threads inherit what is blocked.
pub fn each(signals: &[Signal], mut act: impl FnMut(Signal) + Send + 'static) -> Done {
    let failed = |error: &dyn std::fmt::Display| Stop::Failed(format!("cannot watch for signals: {error}"));
    let set: SigSet = signals.iter().copied().collect();
    set.thread_block().map_err(|error| failed(&error))?;
    let wait = move || {
        while let Ok(signal) = set.wait() {
            act(signal);
        }
    };
    thread::Builder::new().name("signals".to_owned()).spawn(wait).map_err(|error| failed(&error))?;
    Ok(())
}
